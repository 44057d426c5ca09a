//! Sorts errors of PostgreSQL by who must act.

use std::error::Error as StdError;
use std::fmt;

use postgres::error::DbError;

use crate::error::{Cause, Error};

/// What the server said, without its details: they quote rows.
#[derive(Debug)]
struct ServerSaid(String);

impl fmt::Display for ServerSaid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl StdError for ServerSaid {}

fn said(error: &DbError) -> Cause {
    let hint = error.hint().map(|hint| format!("; {hint}")).unwrap_or_default();
    Box::new(ServerSaid(format!("PostgreSQL: {} ({}){hint}", error.message(), error.code().code())))
}

/// Sorts an error of a database, which is shown as `shown`. Only one that the statement or its data brought is
/// [`Error::Database`]: whoever integrates tries the other records without that one.
pub(super) fn database_error(shown: &str, error: postgres::Error) -> Error {
    let Some(server) = error.as_db_error() else {
        return match error.into_source() {
            Some(source) if is_value(source.as_ref()) => Error::Database { source },
            source => unreachable(shown, source.unwrap_or_else(|| "the connection was closed".into())),
        };
    };
    let (code, source) = (server.code().code(), said(server));
    let path = || shown.to_owned();
    match code {
        "53100" => Error::DiskFull { source },
        // A lock, a statement or a transaction that took too long; it did not fit another one.
        "55P03" | "57014" | "40001" | "40P01" => Error::DatabaseBusy { source },
        // Too many connections, or too little memory.
        code if code.starts_with("53") => Error::DatabaseBusy { source },
        "25006" | "42501" => Error::DatabaseReadOnly { source },
        "3D000" => Error::NoDatabase { path: path() },
        // The server is stopped, or ended the connection; 25P03 because a transaction did nothing for too long.
        "25P03" => unreachable(shown, source),
        code if code.starts_with("57P") || code.starts_with("08") => unreachable(shown, source),
        code if code.starts_with("28") => Error::DatabaseRefused { database: path(), source },
        _ => Error::Database { source },
    }
}

pub(super) fn unreachable(shown: &str, source: Cause) -> Error {
    Error::DatabaseUnreachable { database: shown.to_owned(), source }
}

/// True if a value of a row or a parameter could not be read or written: nothing is wrong with the connection.
fn is_value(source: &(dyn StdError + 'static)) -> bool {
    source.is::<postgres::types::WasNull>()
        || source.is::<postgres::types::WrongType>()
        || source.is::<std::str::Utf8Error>()
}
