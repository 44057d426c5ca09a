//! What a site knows of the lines to its servers.

use super::Setting;
use super::stored::StoredJson;

/// How much the lines to both servers carry at once, and whether the legacy server reads gzip. A hint: what cannot be read is
/// learnt again.
pub(crate) const fn lines<T>() -> Setting<StoredJson<T>> {
    Setting::lenient("lines")
}

/// The same of the line on which files come.
pub(crate) const fn file_lines<T>() -> Setting<StoredJson<T>> {
    Setting::lenient("file_lines")
}
