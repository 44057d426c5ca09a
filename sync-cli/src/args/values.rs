//! Values as they are typed, and as scripts and environments bring them.

use std::path::PathBuf;
use std::time::Duration;

/// A value without the line end that a script or an environment file of Windows leaves behind it.
pub(super) fn one_line(value: &str) -> Result<String, std::convert::Infallible> {
    Ok(value.trim_end_matches(['\r', '\n']).to_owned())
}

/// The same of a path, which need not be text.
pub(super) fn path() -> impl clap::builder::TypedValueParser<Value = PathBuf> {
    use clap::builder::TypedValueParser as _;
    clap::builder::PathBufValueParser::new().map(|path| match path.to_str() {
        Some(text) => PathBuf::from(text.trim_end_matches(['\r', '\n'])),
        None => path,
    })
}

/// Reads a time such as `90s`, `10m`, `1h` or `90`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let seconds: u64 = match &text[digits.len()..] {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return Err("give a number and s, m or h".to_owned()),
    };
    let number: u64 = digits.parse().map_err(|_| "give a number and s, m or h".to_owned())?;
    match number.checked_mul(seconds) {
        None => Err("that is too long".to_owned()),
        Some(0) => Err("that is no time at all".to_owned()),
        Some(seconds) => Ok(Duration::from_secs(seconds)),
    }
}
