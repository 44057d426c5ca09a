//! The lines to the servers.

use super::Setting;
use super::stored::StoredJson;

/// The sizes that the lines to both servers carry, and whether the legacy server reads gzip. Only hints: unreadable
/// ones are learnt again.
pub(crate) const fn lines<T>() -> Setting<StoredJson<T>> {
    Setting::lenient("lines")
}

/// The sizes on the line for files.
pub(crate) const fn file_lines<T>() -> Setting<StoredJson<T>> {
    Setting::lenient("file_lines")
}
