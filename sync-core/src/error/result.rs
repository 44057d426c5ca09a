//! What the library's operations give.

use super::list::Error;

/// The result of this library's operations.
pub type Result<T, E = Error> = std::result::Result<T, E>;
