//! The end of the program: prints what failed, and gives the exit status.

use std::io::Write as _;
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue};
use sync_core::ErrorClass;
use sync_core::protocol::{masked_text, one_line};

use crate::failure::{CommandOutcome, Failure, status};
use crate::output::Output;
use crate::sentences::common;

/// Prints an error of the command line; help and version come this way too, and are no error.
pub(crate) fn wrong_usage(mut error: clap::Error, json: bool) -> ExitCode {
    let exit_code = ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
    if !error.use_stderr() {
        let _ = error.print();
        return exit_code;
    }
    make_harmless(&mut error);
    let text = error.to_string();
    // Quoted arguments outside the error's context, such as in a tip.
    let lines: Vec<String> = text.lines().map(harmless).collect();
    if json {
        // The arguments that are missing stand in the lines after the first.
        let said: Vec<&str> = lines.iter().map(|line| line.trim()).take_while(|line| !line.is_empty()).collect();
        let message = said.join(" ");
        let message = message.trim_start_matches("error: ");
        let document = serde_json::json!({ "error": {
            "code": "usage", "class": ErrorClass::Input.as_str(), "message": message,
            "advice": "See oms-sync --help.", "causes": [],
        }});
        // If this cannot be printed, the exit status still shows it.
        let _ = writeln!(std::io::stdout(), "{document}");
    }
    let _ = match text.lines().eq(&lines) {
        true => error.print(),
        false => writeln!(std::io::stderr(), "{}", lines.join("\n")),
    };
    exit_code
}

/// Without control characters, and without possible passwords.
fn harmless(text: &str) -> String {
    masked_text(&one_line(text))
}

/// The wrong argument is repeated; a line end in it would forge a line.
fn make_harmless(error: &mut clap::Error) {
    let typed = [
        ContextKind::InvalidArg,
        ContextKind::InvalidValue,
        ContextKind::InvalidSubcommand,
        ContextKind::TrailingArg,
        ContextKind::PriorArg,
    ];
    for kind in typed {
        let shown = match error.get(kind) {
            Some(ContextValue::String(value)) => ContextValue::String(harmless(value)),
            Some(ContextValue::Strings(values)) => {
                ContextValue::Strings(values.iter().map(|value| harmless(value)).collect())
            }
            _ => continue,
        };
        error.insert(kind, shown);
    }
}

/// Prints the error, and returns the exit status.
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
            // If this cannot be printed either, the exit status still shows it.
            let _ = out.error(&error);
            status(error.class())
        }
    };
    ExitCode::from(code)
}
