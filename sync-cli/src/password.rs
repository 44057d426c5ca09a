//! The password of a site, from all its sources.

use std::io::IsTerminal as _;
use std::path::Path;

use sync_core::protocol::PasswordHash;
use sync_core::text_input::first_line;
use sync_core::{Error, Result};

use crate::args::Password;
use crate::input::{first_line_of_input, text, text_of};
use crate::output::Output;
use crate::sentences::input_given as given;

/// Takes the password of a site from the source in the flags, then from the environment, then from a hidden prompt.
pub(crate) fn password(from: &Password, site: &str, out: &Output) -> Result<PasswordHash> {
    let text = if let Some(path) = &from.password_file {
        text_of(path)?
    } else if from.password_stdin {
        text(Path::new("-"), &first_line_of_input()?)?
    } else if let Some(value) = std::env::var_os("OMS_SYNC_PASSWORD") {
        text(Path::new("OMS_SYNC_PASSWORD"), value.as_encoded_bytes())?
    } else if std::io::stdin().is_terminal() {
        rpassword::prompt_password(out.texts.say(&given::password_prompt(format!("{site:?}"))) + " ")
            .map_err(|error| Error::Io { what: "reading the password".to_owned(), source: error.into() })?
    } else {
        String::new()
    };
    // A variable from a file of Windows keeps the end of its line.
    match first_line(&text) {
        "" => Err(Error::bad_input(given::no_password())),
        password => Ok(PasswordHash::of_password(password)),
    }
}
