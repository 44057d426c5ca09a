//! From flags to the library's parts.

use std::io::{BufRead as _, IsTerminal as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sync_core::files::Files;
use sync_core::protocol::PasswordHash;
use sync_core::storage::{SqliteStorage, Storage, key};
use sync_core::transport::HttpTransport;
use sync_core::{Clock, Error, Records, Result, Role, Site, SystemClock};

use crate::args::{Args, Password};
use crate::output::Output;
use crate::sentences::input_given as given;

/// An opened database with the parts over it.
pub(crate) struct Parts {
    pub storage: Arc<SqliteStorage>,
    pub clock: Arc<dyn Clock>,
    /// The folder with the bytes of files.
    pub folder: PathBuf,
}

impl Parts {
    /// Opens the database, and makes it if there is none.
    pub(crate) fn open_or_make(args: &Args, out: &Output) -> Result<Self> {
        Self::over(SqliteStorage::open(&args.db)?, args, out)
    }

    /// Opens the database, which must be there.
    pub(crate) fn open(args: &Args, out: &Output) -> Result<Self> {
        Self::over(SqliteStorage::open_existing(&args.db)?, args, out)
    }

    /// The same for a command that only reads: a database that may not be written is read all the same.
    pub(crate) fn open_to_read(args: &Args, out: &Output) -> Result<Self> {
        match SqliteStorage::open_existing(&args.db) {
            Err(Error::DatabaseReadOnly { .. }) => Self::over(SqliteStorage::open_to_read(&args.db)?, args, out),
            opened => Self::over(opened?, args, out),
        }
    }

    fn over(storage: SqliteStorage, args: &Args, out: &Output) -> Result<Self> {
        let folder = args.files.clone().unwrap_or_else(|| folder_of(&args.db, storage.path()));
        let parts = Self { storage: Arc::new(storage), clock: Arc::new(SystemClock::new()), folder };
        out.central_bar(parts.role()?);
        Ok(parts)
    }

    /// The part that the database plays, once that is known.
    pub(crate) fn role(&self) -> Result<Option<Role>> {
        Ok(match self.storage.read()?.state(key::ROLE)?.as_deref() {
            Some("central") => Some(Role::Central),
            Some("remote") => Some(Role::Remote),
            _ => None,
        })
    }

    /// The site over real HTTP.
    pub(crate) fn site(&self) -> Site {
        Site::new(self.storage.clone(), Arc::new(HttpTransport::default()), self.clock.clone())
    }

    /// The files beside the database.
    pub(crate) fn files(&self) -> Files {
        Files::new(self.storage.clone(), self.clock.clone(), &self.folder)
    }

    pub(crate) fn records(&self) -> Records {
        Records::new(self.storage.clone(), self.clock.clone())
    }
}

/// The folder of files of a database, beside its file and not beside a symbolic link to it. One that a version before kept
/// beside the link is brought there; on another disk it stays where it is.
fn folder_of(given: &Path, real: &Path) -> PathBuf {
    let (before, now) = (Files::folder_of(given), Files::folder_of(real));
    let is_before = before.is_dir() && !now.exists();
    if is_before && std::fs::rename(&before, &now).is_err() { before } else { now }
}

/// Takes the password of a site from where the flags say, then from the environment, then from a hidden prompt.
pub(crate) fn password(from: &Password, site: &str, out: &Output) -> Result<PasswordHash> {
    let text = if let Some(path) = &from.password_file {
        first_line(&std::fs::read_to_string(path).map_err(|error| unreadable(path, error))?)
    } else if from.password_stdin {
        let mut line = String::new();
        let read = std::io::stdin().lock().read_line(&mut line);
        read.map_err(|error| Error::Io { what: "reading the password".to_owned(), source: error.into() })?;
        first_line(&line)
    } else if let Ok(text) = std::env::var("OMS_SYNC_PASSWORD") {
        text
    } else if std::io::stdin().is_terminal() {
        rpassword::prompt_password(out.texts.say(&given::password_prompt(format!("{site:?}"))) + " ")
            .map_err(|error| Error::Io { what: "reading the password".to_owned(), source: error.into() })?
    } else {
        String::new()
    };
    if text.is_empty() {
        return Err(Error::bad_input(given::no_password()));
    }
    Ok(PasswordHash::of_password(&text))
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

/// A file of the user's that cannot be read is wrong input.
pub(crate) fn unreadable(path: &Path, error: std::io::Error) -> Error {
    Error::bad_input(given::unreadable(path.display().to_string(), error.to_string()))
}
