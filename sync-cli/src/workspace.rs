//! The workspace of a command: opens the library's parts as the flags say.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use sync_core::files::Files;
use sync_core::support::Support;
use sync_core::transport::Timeouts;
use sync_core::{Error, Replica, Result, Role, Site};

use crate::args::Args;
use crate::limits::Limits;
use crate::output::Output;

/// An open database, with the flags that concern it.
pub(crate) struct Workspace {
    pub replica: Replica,
    /// The folder with the bytes of files.
    pub folder: PathBuf,
    /// Limits of batches.
    pub limits: Limits,
}

impl Workspace {
    /// Opens the database, and creates it if there is none.
    pub(crate) fn open_or_make(args: &Args, out: &Output) -> Result<Self> {
        Self::over(Replica::open(&args.db)?, args, out)
    }

    /// Opens an existing database.
    pub(crate) fn open(args: &Args, out: &Output) -> Result<Self> {
        Self::over(Replica::builder().open_existing(&args.db)?, args, out)
    }

    /// Opens the database for a command that only reads: a read-only database is accepted.
    pub(crate) fn open_to_read(args: &Args, out: &Output) -> Result<Self> {
        match Replica::builder().open_existing(&args.db) {
            Err(Error::DatabaseReadOnly { .. }) => Self::over(Replica::builder().open_to_read(&args.db)?, args, out),
            opened => Self::over(opened?, args, out),
        }
    }

    fn over(replica: Replica, args: &Args, out: &Output) -> Result<Self> {
        let real = replica.path().unwrap_or(&args.db);
        let folder = args.files.clone().unwrap_or_else(|| folder_of(&args.db, real));
        let workspace = Self { replica, folder, limits: Limits::of_environment()? };
        out.central_bar(workspace.role()?);
        Ok(workspace)
    }

    /// The role of the database, once it is known.
    pub(crate) fn role(&self) -> Result<Option<Role>> {
        self.replica.role()
    }

    /// The site over real HTTP.
    pub(crate) fn site(&self) -> Site {
        let transport = Arc::new(self.limits.transport(&Timeouts::default()));
        self.replica.site(transport).with_config(self.limits.config.clone())
    }

    /// The files beside the database.
    pub(crate) fn files(&self) -> Files {
        self.replica.files(&self.folder)
    }

    /// The support desk of the database.
    pub(crate) fn support(&self) -> Support {
        self.replica.support()
    }
}

/// The folder of files beside the database file, not beside a symbolic link to it. One that an older version kept
/// beside the link is moved; on another disk it stays.
fn folder_of(given: &Path, real: &Path) -> PathBuf {
    let (before, now) = (Files::folder_of(given), Files::folder_of(real));
    let is_before = before.is_dir() && !now.exists();
    if is_before && std::fs::rename(&before, &now).is_err() { before } else { now }
}
