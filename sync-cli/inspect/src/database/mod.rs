//! The synchronisation state in the database of a real Open mSupply 2.x server. Only reads.

mod buffer;
mod cycles;
mod files;
mod open;
mod release_3;
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
pub use self::release_3::{Positions, Release3, Speaks};
pub use self::site::{Cursors, Part, SiteFacts, SiteIdentity, Store};
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

/// The report on a database, by its release.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Inspected {
    /// One of 2.x.
    Release2(Box<Inspection>),
    /// One of 3.0 or later.
    Release3(Box<Release3>),
}

impl Inspected {
    /// True if somebody should look at it.
    pub fn has_trouble(&self) -> bool {
        match self {
            Self::Release2(found) => found.has_trouble(),
            Self::Release3(_) => false,
        }
    }
}

impl Localize for Inspected {
    fn each_message(&mut self, each: &mut dyn FnMut(&mut Message)) {
        match self {
            Self::Release2(found) => found.each_message(each),
            Self::Release3(found) => found.each_message(each),
        }
    }
}

/// Reads a database, and its newest `cycles` cycles if it is of 2.x. Changes no byte of the file or of its folder.
///
/// # Errors
/// [`Error::BadInput`]: the file cannot be read, or is no database of Open mSupply. [`Error::Database`]: SQLite cannot read it.
pub fn inspect(path: &Path, cycles: usize) -> Result<Inspected> {
    let database = Database::open(path)?;
    if site::is_of_release_3(&database) {
        let version = site::database_version(&database).unwrap_or_default();
        return Release3::read(path, &database, version).map(|found| Inspected::Release3(Box::new(found)));
    }
    if let Some(missing) =
        ["key_value_store", "changelog", "sync_buffer", "sync_log"].iter().find(|table| !database.has_table(table))
    {
        let file = path.display().to_string();
        return Err(Error::bad_input(match database.has_table("sync_state") {
            true => given::of_this_program(file, *missing),
            false => given::not_open_msupply(file, *missing),
        }));
    }
    report(path, &database, cycles).map(|found| Inspected::Release2(Box::new(found)))
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
