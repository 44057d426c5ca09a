//! Values on the command line, also from scripts and environments.

use std::ffi::OsStr;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::builder::{PossibleValue, StringValueParser, TypedValueParser};
use clap::{Arg, Command};
use sync_core::clock::Timestamp;
use sync_core::record::record_types;

/// A value without the line end that a script or an environment file of Windows adds.
pub(super) fn one_line(value: &str) -> Result<String, std::convert::Infallible> {
    Ok(value.trim_end_matches(['\r', '\n']).to_owned())
}

/// The name of a table. A shell completes those of this version; any other is taken too, because a later release may have it.
#[derive(Debug, Clone, Copy)]
pub(super) struct KnownTables;

impl TypedValueParser for KnownTables {
    type Value = String;

    fn parse_ref(&self, command: &Command, arg: Option<&Arg>, value: &OsStr) -> Result<String, clap::Error> {
        StringValueParser::new().parse_ref(command, arg, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(record_types().iter().map(|kind| PossibleValue::new(kind.table))))
    }
}

/// Such a value as a path, which need not be text.
pub(super) fn path() -> impl TypedValueParser<Value = PathBuf> {
    clap::builder::PathBufValueParser::new().map(without_line_end)
}

/// A flag that the environment may set too: 1, yes, true or on, and 0, no, false or off.
pub(super) fn yes_or_no() -> impl TypedValueParser<Value = bool> {
    clap::builder::BoolishValueParser::new()
}

/// A path without what a line of a file left at its end.
pub(super) fn without_line_end(path: PathBuf) -> PathBuf {
    match path.to_str() {
        Some(text) => PathBuf::from(text.trim_end_matches(['\r', '\n'])),
        None => path,
    }
}

/// Reads a whole number. Its errors say what to type; those of the standard library ("invalid digit found in string") do not.
pub(super) fn number<T: FromStr>(text: &str) -> Result<T, String> {
    text.trim().parse().map_err(|_| match is_number(text.trim()) {
        true => "that number is too large".to_owned(),
        false => "give a whole number, as 12".to_owned(),
    })
}

/// Reads a whole number that is not 0.
pub(super) fn from_one<T: FromStr + PartialEq + From<u8>>(text: &str) -> Result<T, String> {
    match number(text) {
        Ok(none) if none == T::from(0) => Err("give a whole number from 1 on".to_owned()),
        Err(_) if !is_number(text.trim()) => Err("give a whole number from 1 on".to_owned()),
        read => read,
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Reads a time such as `90s`, `10m`, `1h`, `2d` or `90`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let seconds: u64 = match &text[digits.len()..] {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 24 * 3600,
        _ => return Err("give a number and s, m, h or d".to_owned()),
    };
    let number: u64 = digits.parse().map_err(|_| match is_number(digits) {
        true => "that is too long".to_owned(),
        false => "give a number and s, m, h or d".to_owned(),
    })?;
    match number.checked_mul(seconds) {
        None => Err("that is too long".to_owned()),
        Some(0) => Err("that is no time at all".to_owned()),
        Some(seconds) => Ok(Duration::from_secs(seconds)),
    }
}

/// A limit, or the word for none. With that word the command line undoes a limit of a settings file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limit<T>(Option<T>);

impl<T: Copy> Limit<T> {
    /// The limit that an option gives, if it gives one.
    pub(crate) fn of(given: Option<Self>) -> Option<T> {
        given.and_then(|limit| limit.0)
    }
}

/// Reads a time as [`duration`] does, or `none`.
pub(super) fn time_limit(text: &str) -> Result<Limit<Duration>, String> {
    if text == "none" {
        return Ok(Limit(None));
    }
    duration(text).map(|time| Limit(Some(time))).map_err(|why| format!("{why}, or none"))
}

/// Reads a time as [`duration`] does; `never` and `0` mean that no time is too long.
pub(super) fn age_limit(text: &str) -> Result<Limit<Duration>, String> {
    if matches!(text, "never" | "0") {
        return Ok(Limit(None));
    }
    duration(text).map(|time| Limit(Some(time))).map_err(|why| format!("{why}, or never"))
}

/// Reads a number of bytes, or `none`.
pub(super) fn bytes_limit(text: &str) -> Result<Limit<u64>, String> {
    match text.parse() {
        _ if text == "none" => Ok(Limit(None)),
        Ok(bytes @ 1..) => Ok(Limit(Some(bytes))),
        _ => Err("give a number from 1 on, or none".to_owned()),
    }
}

/// Reads an address to listen at; a name such as `localhost` stands for its first address.
pub(super) fn address(text: &str) -> Result<SocketAddr, String> {
    let found = text.trim().to_socket_addrs().ok().and_then(|mut all| all.next());
    found.ok_or_else(|| "give an address and a port, as 127.0.0.1:8000, 0.0.0.0:8000 or localhost:8000".to_owned())
}

/// A time on the command line: RFC 3339, or a day in UTC.
pub(super) fn since(text: &str) -> Result<Timestamp, String> {
    let spelled = text.replacen(' ', "T", 1);
    [spelled.clone(), format!("{spelled}Z"), format!("{spelled}T00:00:00Z")]
        .iter()
        .find_map(|text| Timestamp::parse(text))
        .ok_or_else(|| "give a day as 2026-11-23, or a time as 2026-11-23T08:00:00Z".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_may_have_a_name() {
        assert!(address("localhost:9449").is_ok_and(|at| at.port() == 9449 && at.ip().is_loopback()));
        assert!(address("127.0.0.1:0").is_ok() && address("[::1]:80").is_ok());
        assert!(address("9449").is_err() && address("no such name:1").is_err());
    }

    #[test]
    fn a_wrong_number_is_told_in_words_of_the_user() {
        assert_eq!((number("12"), from_one("1"), from_one(" 7 ")), (Ok(12_u64), Ok(1_u32), Ok(7_u64)));
        for wrong in ["", "x", "1k", "1.5", "-1"] {
            assert_eq!(number::<u64>(wrong), Err("give a whole number, as 12".to_owned()), "{wrong}");
            assert_eq!(from_one::<u64>(wrong), Err("give a whole number from 1 on".to_owned()), "{wrong}");
        }
        assert_eq!(from_one::<u64>("0"), Err("give a whole number from 1 on".to_owned()));
        let large = "99999999999999999999";
        assert_eq!(
            (number::<u64>(large), from_one::<u32>(large)),
            (Err("that number is too large".to_owned()), Err("that number is too large".to_owned()))
        );
        assert_eq!(duration("99999999999999999999s"), Err("that is too long".to_owned()));
    }

    #[test]
    fn a_word_undoes_a_limit() {
        let day = Ok(Limit(Some(Duration::from_secs(24 * 3600))));
        assert_eq!(
            (age_limit("1d"), age_limit("never"), age_limit("0")),
            (day.clone(), Ok(Limit(None)), Ok(Limit(None)))
        );
        assert_eq!((time_limit("1d"), time_limit("none")), (day, Ok(Limit(None))));
        assert_eq!((bytes_limit("7"), bytes_limit("none")), (Ok(Limit(Some(7))), Ok(Limit(None))));
        assert!(age_limit("0s").is_err() && time_limit("0").is_err() && bytes_limit("0").is_err());
        assert!(age_limit("soon").is_err_and(|why| why.contains("or never")));
    }

    #[test]
    fn moments_as_they_are_typed() {
        let at = |text: &str| since(text).map(|at| at.to_string());
        assert_eq!(at("2026-11-23").as_deref(), Ok("2026-11-23T00:00:00.000Z"));
        for same in ["2026-11-23T08:00:00Z", "2026-11-23 08:00:00", "2026-11-23T09:00:00+01:00"] {
            assert_eq!(at(same).as_deref(), Ok("2026-11-23T08:00:00.000Z"), "{same}");
        }
        assert!(at("yesterday").is_err() && at("").is_err());
    }
}
