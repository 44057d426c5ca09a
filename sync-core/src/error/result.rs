//! What the library's operations give.

use super::errors_with_texts::Error;

/// The result of this library's operations.
pub type Result<T, E = Error> = std::result::Result<T, E>;
