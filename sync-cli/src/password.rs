//! The password of a site, from all its sources.

use std::io::IsTerminal as _;
use std::path::Path;

use sync_core::protocol::PasswordHash;
use sync_core::text_input::first_line;
use sync_core::{Error, Result};

use crate::args::Password;
use crate::input::{PASSWORD_MAX, first_line_of_input, text, text_of};
use crate::output::Output;
use crate::sentences::input_given as given;

/// As [`password`]; `None` if no source has one.
pub(crate) fn password_if_given(from: &Password, site: &str, out: &Output) -> Result<Option<PasswordHash>> {
    let is_named =
        from.password_file.is_some() || from.password_stdin || std::env::var_os("OMS_SYNC_PASSWORD").is_some();
    if is_named || std::io::stdin().is_terminal() { password(from, site, out).map(Some) } else { Ok(None) }
}

/// Takes the password of a site from the source in the flags, then from the environment, then from a hidden prompt.
pub(crate) fn password(from: &Password, site: &str, out: &Output) -> Result<PasswordHash> {
    let text = if let Some(path) = &from.password_file {
        text_of(path, PASSWORD_MAX)?
    } else if from.password_stdin {
        text(Path::new("-"), &first_line_of_input()?)?
    } else if let Some(value) = std::env::var_os("OMS_SYNC_PASSWORD") {
        text(Path::new("OMS_SYNC_PASSWORD"), value.as_encoded_bytes())?
    } else if std::io::stdin().is_terminal() {
        rpassword::prompt_password(out.texts.say(&given::password_prompt(format!("{site:?}"))) + " ")
            .map_err(not_typed)?
    } else {
        String::new()
    };
    // A variable from a file of Windows keeps the end of its line.
    let password = first_line(&text);
    // Which of several lines is meant, nobody can know; a site would be locked out for the wrong one.
    let has_more = !text[password.len()..].trim().is_empty();
    match password {
        "" => Err(Error::bad_input(given::no_password())),
        _ if has_more => Err(Error::bad_input(given::password_of_lines())),
        password => Ok(PasswordHash::of_password(password)),
    }
}

/// Why nothing came from the prompt: Ctrl-C is no fault of this machine, and Ctrl-D types no password.
fn not_typed(error: std::io::Error) -> Error {
    match error.kind() {
        std::io::ErrorKind::Interrupted => Error::Cancelled,
        std::io::ErrorKind::UnexpectedEof => Error::bad_input(given::no_password()),
        _ => Error::Io { what: "reading the password".to_owned(), source: error.into() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prompt_that_is_left_is_no_fault_of_this_machine() {
        let code = |kind: std::io::ErrorKind| not_typed(kind.into()).code();
        assert_eq!(code(std::io::ErrorKind::Interrupted), "cancelled");
        assert_eq!(code(std::io::ErrorKind::UnexpectedEof), "bad_input");
        assert_eq!(code(std::io::ErrorKind::NotFound), "io_failed");
    }
}
