//! Settings and cursors: text by key.

use crate::error::Result;

/// Reads settings and cursors.
///
/// # Errors
/// Each call: the storage cannot be read.
pub trait StateReads {
    /// A setting or a cursor; the library defines its name and format (`storage::state`).
    fn state(&self, key: &str) -> Result<Option<String>>;
}

/// Writes settings and cursors.
///
/// # Errors
/// Each call: the storage cannot be written. The call changed nothing.
pub trait StateWrites: StateReads {
    /// Writes a setting or a cursor.
    fn set_state(&self, key: &str, value: &str) -> Result<()>;
}
