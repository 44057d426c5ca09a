//! The database that `--db` names: a file, or one on a PostgreSQL server.

use std::ffi::OsString;
use std::ops::Deref;
use std::path::{Path, PathBuf};

use clap::builder::{OsStringValueParser, TypedValueParser};
use sync_core::storage::PostgresAddress;
use sync_core::{Error, Result};

use super::values::without_line_end;
use crate::sentences::input_given;

/// A database. As a path, one on a server is its address without a password.
#[derive(Debug, Clone)]
pub(crate) struct Database {
    shown: PathBuf,
    server: Option<Result<PostgresAddress>>,
}

impl Database {
    /// Reads it. An address that cannot be used is an error of the command, whose message hides the password.
    fn read(text: OsString) -> Self {
        let path = without_line_end(PathBuf::from(text));
        let Some(text) = path.to_str().filter(|text| PostgresAddress::is_one(text)) else {
            return Self { shown: path, server: None };
        };
        let address = PostgresAddress::parse(text).and_then(not_on_the_command_line);
        let shown = address.as_ref().map_or_else(|_| "postgres://".to_owned(), ToString::to_string);
        Self { shown: shown.into(), server: Some(address) }
    }

    /// Reads it from the command line or the environment.
    pub(super) fn parser() -> impl TypedValueParser<Value = Self> {
        OsStringValueParser::new().try_map(|text| match text.is_empty() {
            true => Err("it names no database; without it, that is oms-sync.sqlite in the current folder"),
            false => Ok(Self::read(text)),
        })
    }

    /// The address of a database on a server, with the password for it; `None` for a file.
    pub(crate) fn server(&self) -> Result<Option<PostgresAddress>> {
        let Some(address) = self.server.clone().transpose()? else { return Ok(None) };
        address.with_password_of_environment().map(Some)
    }

    /// True if it is on a server.
    pub(crate) fn is_on_server(&self) -> bool {
        self.server.is_some()
    }
}

/// Other users of the machine can read command lines.
fn not_on_the_command_line(address: PostgresAddress) -> Result<PostgresAddress> {
    let is_typed = |arg: OsString| arg.to_string_lossy().contains("postgres") && arg.to_string_lossy().contains("://");
    match address.has_password() && std::env::args_os().any(is_typed) {
        true => Err(Error::bad_input(input_given::password_on_command_line())),
        false => Ok(address),
    }
}

impl Deref for Database {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.shown
    }
}

impl AsRef<Path> for Database {
    fn as_ref(&self) -> &Path {
        &self.shown
    }
}
