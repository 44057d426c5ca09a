//! The end of the program: prints what failed, and gives the exit status.

use std::io::Write as _;
use std::process::ExitCode;

use sync_core::ErrorClass;

use crate::failure::{CommandOutcome, Failure, status};
use crate::output::Output;
use crate::sentences::common;

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
pub(crate) fn finish(result: Result<CommandOutcome, Failure>, out: &mut Output) -> ExitCode {
    let code = match result {
        Ok(CommandOutcome::Done) => 0,
        Ok(CommandOutcome::LeftBehind) => 1,
        Ok(CommandOutcome::Reported(class)) => status(class),
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
