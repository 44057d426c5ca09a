//! The workspace of a command: opens the library's parts as the flags say.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use sync_core::files::Files;
use sync_core::storage::{SqliteStorage, Storage, state};
use sync_core::transport::Timeouts;
use sync_core::{Clock, Error, Records, Result, Role, Site, SystemClock};

use crate::args::Args;
use crate::limits::Limits;
use crate::output::Output;

/// An open database, with the other parts that a command needs.
pub(crate) struct Workspace {
    pub storage: Arc<SqliteStorage>,
    pub clock: Arc<dyn Clock>,
    /// The folder with the bytes of files.
    pub folder: PathBuf,
    /// Limits of batches.
    pub limits: Limits,
}

impl Workspace {
    /// Opens the database, and creates it if there is none.
    pub(crate) fn open_or_make(args: &Args, out: &Output) -> Result<Self> {
        Self::over(SqliteStorage::open(&args.db)?, args, out)
    }

    /// Opens an existing database.
    pub(crate) fn open(args: &Args, out: &Output) -> Result<Self> {
        Self::over(SqliteStorage::open_existing(&args.db)?, args, out)
    }

    /// Opens the database for a command that only reads: a read-only database is accepted.
    pub(crate) fn open_to_read(args: &Args, out: &Output) -> Result<Self> {
        match SqliteStorage::open_existing(&args.db) {
            Err(Error::DatabaseReadOnly { .. }) => Self::over(SqliteStorage::open_to_read(&args.db)?, args, out),
            opened => Self::over(opened?, args, out),
        }
    }

    fn over(storage: SqliteStorage, args: &Args, out: &Output) -> Result<Self> {
        let folder = args.files.clone().unwrap_or_else(|| folder_of(&args.db, storage.path()));
        let limits = Limits::of_environment()?;
        let workspace = Self { storage: Arc::new(storage), clock: Arc::new(SystemClock::new()), folder, limits };
        out.central_bar(workspace.role()?);
        Ok(workspace)
    }

    /// The role of the database, once it is known.
    pub(crate) fn role(&self) -> Result<Option<Role>> {
        state::ROLE.find(self.storage.read()?.as_ref())
    }

    /// The site over real HTTP.
    pub(crate) fn site(&self) -> Site {
        let transport = Arc::new(self.limits.transport(&Timeouts::default()));
        Site::new(self.storage.clone(), transport, self.clock.clone()).with_config(self.limits.config.clone())
    }

    /// The files beside the database.
    pub(crate) fn files(&self) -> Files {
        Files::new(self.storage.clone(), self.clock.clone(), &self.folder)
    }

    pub(crate) fn records(&self) -> Records {
        Records::new(self.storage.clone(), self.clock.clone())
    }
}

/// The folder of files beside the database file, not beside a symbolic link to it. One that an older version kept
/// beside the link is moved; on another disk it stays.
fn folder_of(given: &Path, real: &Path) -> PathBuf {
    let (before, now) = (Files::folder_of(given), Files::folder_of(real));
    let is_before = before.is_dir() && !now.exists();
    if is_before && std::fs::rename(&before, &now).is_err() { before } else { now }
}
