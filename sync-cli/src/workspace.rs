//! The workspace of a command: opens the library's parts as the flags say.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use sync_core::files::Files;
use sync_core::storage::PostgresStorage;
use sync_core::support::Support;
use sync_core::transport::Timeouts;
use sync_core::{Error, Replica, ReplicaBuilder, Result, Role, Site};

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
    /// The storage, if the database is on a PostgreSQL server.
    pub server: Option<Arc<PostgresStorage>>,
}

/// In place of the file of a database on a server: the folder of files is called after it.
pub(crate) const BESIDE_SERVER: &str = "oms-sync";

impl Workspace {
    /// Opens the database, and creates it if there is none.
    pub(crate) fn open_or_make(args: &Args, out: &Output) -> Result<Self> {
        match args.db.server()? {
            Some(address) => Self::on_server(PostgresStorage::open(&address, Some(&witness_of(args)))?, args, out),
            None => Self::over(builder(args)?.open(&args.db)?, None, args, out),
        }
    }

    /// Opens an existing database.
    pub(crate) fn open(args: &Args, out: &Output) -> Result<Self> {
        match args.db.server()? {
            Some(address) => {
                Self::on_server(PostgresStorage::open_existing(&address, Some(&witness_of(args)))?, args, out)
            }
            None => Self::over(builder(args)?.open_existing(&args.db)?, None, args, out),
        }
    }

    /// Opens the database for a command that only reads: a read-only database is accepted.
    pub(crate) fn open_to_read(args: &Args, out: &Output) -> Result<Self> {
        if let Some(address) = args.db.server()? {
            return Self::on_server(PostgresStorage::open_to_read(&address)?, args, out);
        }
        match builder(args)?.open_existing(&args.db) {
            Err(Error::DatabaseReadOnly { .. } | Error::DatabaseMoved { .. }) => {
                Self::over(args.builder()?.open_to_read(&args.db)?, None, args, out)
            }
            opened => Self::over(opened?, None, args, out),
        }
    }

    fn on_server(storage: PostgresStorage, args: &Args, out: &Output) -> Result<Self> {
        let storage = Arc::new(storage);
        Self::over(Replica::with_storage(storage.clone()), Some(storage), args, out)
    }

    fn over(replica: Replica, server: Option<Arc<PostgresStorage>>, args: &Args, out: &Output) -> Result<Self> {
        let folder = args.files.clone().unwrap_or_else(|| match (&server, replica.path()) {
            (Some(_), _) => Files::folder_of(Path::new(BESIDE_SERVER)),
            (None, real) => folder_of(&args.db, real.unwrap_or(&args.db)),
        });
        let workspace = Self { replica, folder, limits: Limits::of_environment()?, server };
        out.central_bar(workspace.role()?);
        Ok(workspace)
    }

    /// The role of the database, once it is known.
    pub(crate) fn role(&self) -> Result<Option<Role>> {
        self.replica.role()
    }

    /// The site over real HTTP.
    pub(crate) fn site(&self) -> Site {
        self.site_within(&Timeouts::default())
    }

    /// The same with these limits of time.
    pub(crate) fn site_within(&self, timeouts: &Timeouts) -> Site {
        let transport = Arc::new(self.limits.transport(timeouts));
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

/// How a file is opened: without the hook of an app only if that is wanted.
fn builder(args: &Args) -> Result<ReplicaBuilder> {
    args.builder().map(|builder| if args.without_hook { builder.without_hook() } else { builder })
}

/// The witness of a database on a server: beside the folder of files, whose name it has.
pub(crate) fn witness_of(args: &Args) -> PathBuf {
    let files = args.files.clone().unwrap_or_else(|| Files::folder_of(Path::new(BESIDE_SERVER)));
    let mut path = files.components().as_path().as_os_str().to_owned();
    path.push(".witness");
    path.into()
}

/// The folder of files beside the database file, not beside a symbolic link to it. One that an older version kept
/// beside the link is moved; on another disk it stays.
fn folder_of(given: &Path, real: &Path) -> PathBuf {
    let (before, now) = (Files::folder_of(given), Files::folder_of(real));
    let is_before = before.is_dir() && !now.exists();
    if is_before && std::fs::rename(&before, &now).is_err() { before } else { now }
}
