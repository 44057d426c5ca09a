//! Exit statuses, from the class of an error.

use std::io::Write as _;
use std::process::ExitCode;

use sync_core::{Error, ErrorClass};

use crate::output::Output;
use crate::sentences::common;

/// How a command ended, other than with an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// Everything was done.
    Done,
    /// Something was left behind.
    LeftBehind,
    /// It failed, and that is in what was printed already.
    Reported(ErrorClass),
}

/// Why a command failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The library says so.
    Sync(Error),
    /// It could not be printed.
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
        // Retry, a peer's fault, and whatever class a later version of the library has.
        _ => 4,
    }
}

/// Prints what is wrong with the command line; help and version, which come this way too, are no error.
pub(crate) fn wrong_usage(error: &clap::Error, json: bool) -> ExitCode {
    if json && error.use_stderr() {
        let text = error.to_string();
        let message = text.lines().next().unwrap_or_default().trim_start_matches("error: ");
        let document = serde_json::json!({ "error": {
            "code": "usage", "class": ErrorClass::Input.as_str(), "message": message,
            "advice": "See oms-sync --help.", "causes": [],
        }});
        // If this cannot be printed, the exit status still tells.
        let _ = writeln!(std::io::stdout(), "{document}");
    }
    let _ = error.print();
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
}

/// Prints what failed, and gives the exit status.
pub(crate) fn finish(result: Result<Ended, Failure>, out: &mut Output) -> ExitCode {
    let code = match result {
        Ok(Ended::Done) => 0,
        Ok(Ended::LeftBehind) => 1,
        Ok(Ended::Reported(class)) => status(class),
        Err(Failure::Print(error)) => {
            out.hint_said(&common::not_printed(error.to_string()));
            status(ErrorClass::LocalFault)
        }
        Err(Failure::Sync(error)) => {
            // If this cannot be printed either, the exit status still tells.
            let _ = out.error(&error);
            status(error.class())
        }
    };
    ExitCode::from(code)
}
