//! The synchronisation state in the database of a real Open mSupply 2.x server. Only reads.

mod buffer;
mod cycles;
mod files;
mod open;
mod site;
mod values;
mod waiting;

use std::path::Path;

use serde::Serialize;
use sync_core::text::Localize;
use sync_core::{Error, Message, Result};

use self::open::Database;
use crate::sentences::input_given as given;

pub use self::buffer::{Buffer, Cause, Missing, NotIntegrated, Stuck};
pub use self::cycles::{CycleError, CycleLine, ServerError};
pub use self::files::FileCounts;
pub use self::open::unreadable;
pub use self::site::{Cursors, Part, SiteFacts, Store};
pub use self::waiting::Waiting;

/// The report on a database.
#[derive(Debug, Serialize)]
pub struct Inspection {
    /// The file, as given.
    pub file: String,
    /// Its size in bytes.
    pub bytes: u64,
    /// True if a copy was read, because a log was beside the file.
    pub read_from_copy: bool,
    /// The identity of the site.
    #[serde(flatten)]
    pub site: SiteFacts,
    /// Its progress in reading and sending.
    pub cursors: Cursors,
    /// Local changes that have not been sent.
    #[serde(rename = "waiting_by_table")]
    pub waiting: Vec<Waiting>,
    /// Its received records.
    pub buffer: Buffer,
    /// The end of the newest cycle without an error.
    pub last_success: Option<String>,
    /// The newest first.
    pub cycles: Vec<CycleLine>,
    /// The number of cycles that ended with each code; `unknown` if Open mSupply had no code.
    pub cycle_errors: std::collections::BTreeMap<String, u64>,
    /// Files on their way, by direction and status.
    #[serde(rename = "file_counts")]
    pub files: Vec<FileCounts>,
    /// The newest errors of the server's own log.
    pub server_errors: Vec<ServerError>,
}

impl Localize for Inspection {
    fn each_message(&mut self, each: &mut dyn FnMut(&mut Message)) {
        self.site.role_because.each_message(each);
        self.cursors.doubts.each_message(each);
        self.buffer.stuck.each_message(each);
        self.cycles.each_message(each);
    }
}

/// A database of Open mSupply, and the version that wrote it last, as the database says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OpenMsupply {
    /// One of 2.x, which [`inspect`] reads.
    Release2(String),
    /// One of 3.0 or later, which synchronises by V7.
    Release3(String),
}

/// Whether a file is a database of Open mSupply. Changes no byte of it.
pub fn open_msupply(path: &Path) -> Option<OpenMsupply> {
    let database = Database::open(path).ok()?;
    let version = site::database_version(&database)?;
    Some(if site::is_of_release_3(&database) { OpenMsupply::Release3(version) } else { OpenMsupply::Release2(version) })
}

/// Reads a database, and its newest `cycles` cycles. Changes no byte of the file or of its folder.
///
/// # Errors
/// [`Error::BadInput`]: the file cannot be read, or is no database of Open mSupply. [`Error::Database`]: SQLite cannot read it.
pub fn inspect(path: &Path, cycles: usize) -> Result<Inspection> {
    let database = Database::open(path)?;
    let release_3 = || Error::bad_input(given::of_release_3(path.display().to_string()));
    let is_release_3 = site::is_of_release_3(&database);
    if let Some(missing) =
        ["key_value_store", "changelog", "sync_buffer", "sync_log"].iter().find(|table| !database.has_table(table))
    {
        if is_release_3 {
            return Err(release_3());
        }
        let file = path.display().to_string();
        return Err(Error::bad_input(match database.has_table("sync_state") {
            true => given::of_this_program(file, *missing),
            false => given::not_open_msupply(file, *missing),
        }));
    }
    report(path, &database, cycles).map_err(|error| match error {
        // The tables of 3.x have the same names and other columns.
        Error::Database { .. } if is_release_3 => release_3(),
        error => error,
    })
}

fn report(path: &Path, database: &Database, cycles: usize) -> Result<Inspection> {
    let settings = site::Settings::read(database)?;
    let site = SiteFacts::read(database, &settings)?;
    Ok(Inspection {
        file: path.display().to_string(),
        bytes: path.metadata().map_or(0, |data| data.len()),
        read_from_copy: database.is_copy(),
        cursors: Cursors::read(database, &settings)?,
        waiting: waiting::waiting(database, &settings, site.role, values::latest(database)?)?,
        buffer: Buffer::read(database)?,
        last_success: cycles::last_success(database)?,
        cycles: cycles::newest(database, cycles)?,
        cycle_errors: cycles::errors(database)?,
        files: files::files(database)?,
        server_errors: cycles::server_errors(database, 5)?,
        site,
    })
}

impl Inspection {
    /// True if somebody should look at it.
    pub fn has_trouble(&self) -> bool {
        !self.buffer.stuck.is_empty() || self.cycles.first().is_some_and(|cycle| cycle.error.is_some())
    }
}
