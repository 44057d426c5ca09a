//! How commands end: their outcomes, their failures, and the exit status of each class of error.

use sync_core::{Error, ErrorClass};

/// How a command ended, other than with an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CommandOutcome {
    /// Everything was done.
    Done,
    /// Something was left behind.
    LeftBehind,
    /// It failed, and the output says so already.
    Reported(ErrorClass),
}

/// Why a command failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// An error of the library.
    Sync(Error),
    /// The output failed.
    Print(std::io::Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Sync(error)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::Print(error)
    }
}

/// The exit status of an error's class.
pub(crate) fn status(class: ErrorClass) -> u8 {
    match class {
        ErrorClass::Input => 2,
        ErrorClass::Configure => 3,
        ErrorClass::Upgrade => 5,
        ErrorClass::LocalFault => 6,
        ErrorClass::Busy => 7,
        ErrorClass::Cancelled => 130,
        // Retry, a peer's fault, and classes of later versions of the library.
        _ => 4,
    }
}
