//! Checks that every peer can read a record's JSON text.
//!
//! Peers use different readers: Open mSupply uses `serde_json`, which stops at 128 levels and refuses numbers beyond
//! every float and half characters; PostgreSQL stores no U+0000; SQL reads the first of two equal keys and `serde_json`
//! the last. One record that a peer cannot read makes it refuse the whole message. So such a record is neither accepted
//! nor sent.

use std::borrow::Cow;
use std::fmt;

use serde_json::value::RawValue;

use super::field_error::{FieldError, unreadable};
use super::json::{Fields, RecordData, string};
use super::json_strings::string_end;
use super::{RecordId, TableName};
use crate::redaction;

/// The deepest nesting of a record, its own braces included. `serde_json` reads 127 levels, and the message around a
/// record takes five: the body, its batch, the list of records, the element and the record in it.
pub(crate) const DEPTH_MAX: usize = 127 - 5;

/// Content that some peer cannot read, or reads differently from others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unportable {
    /// A key occurs twice in one object.
    KeyTwice,
    /// Arrays and objects are nested too deeply.
    TooDeep,
    /// A number is beyond every float.
    NumberOutOfRange,
    /// Half of a surrogate pair.
    HalfCharacter,
    /// The character U+0000.
    Nul,
}

impl Unportable {
    /// Its name after "found" in an error.
    pub(crate) fn found(self) -> &'static str {
        match self {
            Self::KeyTwice => "one key twice",
            Self::TooDeep => "too deep a nesting",
            Self::NumberOutOfRange => "a number out of range",
            Self::HalfCharacter => "half a character",
            Self::Nul => "the character U+0000",
        }
    }
}

impl fmt::Display for Unportable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.found())
    }
}

/// The place of content that not every peer can read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Flaw {
    /// The content.
    pub kind: Unportable,
    /// The key of the outermost object with it in its value, or the repeated key; `None` if there is no such key.
    pub key: Option<String>,
}

impl Flaw {
    /// The fault as an error of its field.
    pub(crate) fn as_field_error(&self) -> FieldError {
        let path = match &self.key {
            Some(key) => format!("$.{}", redaction::excerpt(key.as_bytes())),
            None => "$".to_owned(),
        };
        unreadable(path, self.kind.found())
    }
}

/// Checks JSON text in one pass. A repeated key is reported only if there is no other fault, because it alone can be
/// repaired without a loss.
pub(crate) fn flaw(json: &str) -> Option<Flaw> {
    let mut scan = Scan { levels: Vec::with_capacity(8), keys: Vec::with_capacity(32), ..Scan::default() };
    match scan.run(json) {
        Err(kind) => Some(Flaw { kind, key: scan.outer_key.map(Cow::into_owned) }),
        Ok(()) => scan.twice.map(|key| Flaw { kind: Unportable::KeyTwice, key: Some(key) }),
    }
}

/// The check that every record passes on any way in: its table and its id, and its data unless it is a delete. Accepts
/// only content that every peer can read.
pub(crate) fn admit(table: &TableName, id: &RecordId, data: Option<&RecordData>) -> Result<(), FieldError> {
    for (name, text) in [("tableName", table.as_str()), ("recordId", id.as_str())] {
        if text.contains('\0') {
            return Err(unreadable(name.to_owned(), Unportable::Nul.found()));
        }
    }
    data.map_or(Ok(()), RecordData::check_portable)
}

/// What is wrong with the length of a record's table or id.
pub(crate) fn length_fault(table: &TableName, id: &RecordId) -> Option<String> {
    let fault = |(name, text): (&str, &str)| {
        let bytes = text.len();
        (bytes == 0 || bytes > RecordId::BYTES_MAX)
            .then(|| format!("{name} has {bytes} bytes; 1 to {} are allowed", RecordId::BYTES_MAX))
    };
    [("tableName", table.as_str()), ("recordId", id.as_str())].into_iter().find_map(fault)
}

/// An open array or object.
#[derive(Clone, Copy)]
struct OpenContainer {
    is_object: bool,
    /// The start of its keys among all keys.
    keys_from: usize,
    /// True if each of its keys is greater than the one before: then none is repeated.
    is_sorted: bool,
}

#[derive(Default)]
struct Scan<'a> {
    levels: Vec<OpenContainer>,
    keys: Vec<Cow<'a, str>>,
    outer_key: Option<Cow<'a, str>>,
    twice: Option<String>,
}

impl<'a> Scan<'a> {
    fn run(&mut self, json: &'a str) -> Result<(), Unportable> {
        let bytes = json.as_bytes();
        let mut at = 0;
        // A string is a key if it comes first in an object or after a comma in one.
        let mut key_comes = false;
        while let Some(byte) = bytes.get(at) {
            match byte {
                b'"' => {
                    let (end, is_plain) = string_end(bytes, at + 1, escape_end)?;
                    if key_comes {
                        self.take_key(json, (at, end), is_plain);
                        key_comes = false;
                    }
                    at = end;
                }
                b'{' | b'[' => {
                    if self.levels.len() >= DEPTH_MAX {
                        return Err(Unportable::TooDeep);
                    }
                    key_comes = *byte == b'{';
                    self.levels.push(OpenContainer {
                        is_object: key_comes,
                        keys_from: self.keys.len(),
                        is_sorted: true,
                    });
                }
                b'}' | b']' => {
                    key_comes = false;
                    self.close();
                }
                b',' => key_comes = self.levels.last().is_some_and(|level| level.is_object),
                b'-' | b'0'..=b'9' => {
                    at = number_end(json, at)?;
                    continue;
                }
                _ => {}
            }
            at += 1;
        }
        Ok(())
    }

    fn take_key(&mut self, json: &'a str, (start, end): (usize, usize), is_plain: bool) {
        let key = match is_plain {
            true => Cow::Borrowed(json.get(start + 1..end).unwrap_or_default()),
            false => Cow::Owned(serde_json::from_str(json.get(start..=end).unwrap_or_default()).unwrap_or_default()),
        };
        if self.levels.len() == 1 {
            self.outer_key = Some(key.clone());
        }
        let Some(level) = self.levels.last_mut() else { return };
        let before = self.keys.get(level.keys_from..).and_then(<[_]>::last);
        level.is_sorted &= before.is_none_or(|before| *before < key);
        self.keys.push(key);
    }

    fn close(&mut self) {
        let Some(level) = self.levels.pop() else { return };
        if !level.is_sorted && self.twice.is_none() {
            let keys = self.keys.get_mut(level.keys_from..).unwrap_or_default();
            keys.sort_unstable();
            if let Some(pair) = keys.windows(2).find(|pair| pair[0] == pair[1]) {
                let inner = pair[0].clone();
                self.twice = Some(
                    if self.levels.is_empty() { inner } else { self.outer_key.clone().unwrap_or(inner) }.into_owned(),
                );
            }
        }
        self.keys.truncate(level.keys_from);
    }
}

/// The end of an escape that begins here.
fn escape_end(bytes: &[u8], at: usize) -> Result<usize, Unportable> {
    match unit(bytes, at) {
        None => Ok(at + 2),
        Some(0) => Err(Unportable::Nul),
        Some(0xD800..=0xDBFF) => match unit(bytes, at + 6) {
            Some(0xDC00..=0xDFFF) => Ok(at + 12),
            _ => Err(Unportable::HalfCharacter),
        },
        Some(0xDC00..=0xDFFF) => Err(Unportable::HalfCharacter),
        Some(_) => Ok(at + 6),
    }
}

/// The number in `\uXXXX`, if that comes here.
fn unit(bytes: &[u8], at: usize) -> Option<u16> {
    let digits = bytes.get(at..at + 6)?.strip_prefix(b"\\u")?;
    u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

/// Numbers with at most this many digits are always in the range of floats.
const DIGITS: usize = 300;

/// The end of a number that begins here.
fn number_end(json: &str, at: usize) -> Result<usize, Unportable> {
    let rest = json.as_bytes().get(at..).unwrap_or_default();
    let is_part = |byte: &u8| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E');
    let length = rest.iter().position(|byte| !is_part(byte)).unwrap_or(rest.len());
    let text = json.get(at..at + length).unwrap_or_default();
    let may_be_large = length > DIGITS || text.contains(['e', 'E']);
    if may_be_large && !text.parse::<f64>().is_ok_and(f64::is_finite) {
        return Err(Unportable::NumberOutOfRange);
    }
    Ok(at + length)
}

/// The same JSON with each key once, with its last value: the one that `serde_json`, and so every Open mSupply server,
/// reads. Everything else stays.
pub(crate) fn with_each_key_once(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    write_once(json, 0, &mut out);
    out
}

fn write_once(json: &str, depth: usize, out: &mut String) {
    let whole = json.trim();
    if depth > DEPTH_MAX {
        return out.push_str(whole);
    }
    if let Some(fields) = Fields::parse(whole).filter(|_| whole.starts_with('{')) {
        let fields: Vec<(&str, &RawValue)> = fields.iter().collect();
        let mut last = std::collections::HashMap::with_capacity(fields.len());
        for (index, (key, _)) in fields.iter().enumerate() {
            last.insert(*key, index);
        }
        out.push('{');
        let kept = fields.iter().enumerate().filter(|(index, (key, _))| last.get(key) == Some(index));
        for (n, (_, (key, value))) in kept.enumerate() {
            out.push_str(if n > 0 { "," } else { "" });
            out.push_str(&serde_json::Value::from(*key).to_string());
            out.push(':');
            write_once(value.get(), depth + 1, out);
        }
        out.push('}');
    } else if let Some(values) = serde_json::from_str::<Vec<&RawValue>>(whole).ok().filter(|_| whole.starts_with('[')) {
        out.push('[');
        for (n, value) in values.iter().enumerate() {
            out.push_str(if n > 0 { "," } else { "" });
            write_once(value.get(), depth + 1, out);
        }
        out.push(']');
    } else {
        out.push_str(whole);
    }
}

/// True for a string; one with half a character is none. Its escapes are not decoded.
pub(super) fn is_string(raw: &RawValue) -> bool {
    let any_but_half = |bytes: &[u8], at| match escape_end(bytes, at) {
        Err(Unportable::HalfCharacter) => Err(()),
        end => Ok(end.unwrap_or(at + 2)),
    };
    let bytes = raw.get().as_bytes();
    bytes.first() == Some(&b'"') && string_end(bytes, 1, any_but_half).is_ok()
}

/// True if every peer can read a value.
pub(crate) fn is_portable(raw: &RawValue) -> bool {
    match raw.get().as_bytes().first() {
        Some(b'"') if !raw.get().contains('\\') => true,
        Some(b'"') => string(raw).is_some_and(|text| !text.contains('\0')),
        _ => flaw(raw.get()).is_none(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(json: &str) -> Option<(Unportable, Option<String>)> {
        assert!(RawValue::from_string(json.to_owned()).is_ok(), "no JSON: {json}");
        flaw(json).map(|flaw| (flaw.kind, flaw.key))
    }

    #[test]
    fn what_every_peer_reads_has_no_flaw() {
        let deep = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        for json in [
            r#"{"a":1,"b":{"a":2,"c":[{"a":1},{"a":2}]}," c":"a","d":["a","a","a"]}"#,
            r#"{"b":"x","a":"b","":"","é":"\"a\":1,\"a\":2"}"#,
            r#"{"n":-0,"m":1.50e-400,"o":12345678901234567890123,"p":1e308}"#,
            r#"{"t":"\ud83d\ude00 \u0001 \\u0000 \\ud800"}"#,
            "[]",
            "null",
            "5",
            "\"text\"",
            &deep(DEPTH_MAX),
        ] {
            assert_eq!(found(json), None, "{json}");
        }
    }

    #[test]
    fn each_flaw_is_found_at_its_key() {
        use Unportable::*;
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(DEPTH_MAX), "]".repeat(DEPTH_MAX));
        for (json, kind, key) in [
            (r#"{"b":1,"a":2,"b":3}"#, KeyTwice, "b"),
            (r#"{"id":1,"\u0069d":2}"#, KeyTwice, "id"),
            (r#"{"x":[1,{"q":1,"q":1}],"y":1}"#, KeyTwice, "x"),
            (r#"{"id":1e999,"id":2}"#, NumberOutOfRange, "id"),
            (r#"{"a":[-1e999]}"#, NumberOutOfRange, "a"),
            (&format!(r#"{{"a":1{}}}"#, "0".repeat(400)), NumberOutOfRange, "a"),
            (r#"{"a":"\ud800"}"#, HalfCharacter, "a"),
            (r#"{"a":"\ud800\n"}"#, HalfCharacter, "a"),
            (r#"{"a":"\udc00\ud800"}"#, HalfCharacter, "a"),
            (r#"{"a":"b","c":"x\u0000y"}"#, Nul, "c"),
            (&deep, TooDeep, "a"),
        ] {
            assert_eq!(found(json), Some((kind, Some(key.to_owned()))), "{json}");
        }
        assert_eq!(found(r#"{"a\u0000":1}"#).unwrap().0, Nul);
        assert_eq!(found("\"\\u0000\""), Some((Nul, None)));
    }

    #[test]
    fn the_readers_that_peers_use_agree() {
        let limit = |levels: usize| {
            let record = format!("{}1{}", "{\"a\":".repeat(levels), "}".repeat(levels));
            let message = format!(r#"{{"batch":{{"records":[{{"cursor":1,"record":{{"recordData":{record}}}}}]}}}}"#);
            (flaw(&record).is_none(), serde_json::from_str::<serde_json::Value>(&message).is_ok())
        };
        assert_eq!(limit(DEPTH_MAX), (true, true));
        assert_eq!(limit(DEPTH_MAX + 1), (false, false));
    }

    #[test]
    fn of_a_key_that_stands_twice_the_last_stays() {
        for (json, once) in [
            (r#"{"id":[[1]],"n":1.10,"id":"x"}"#, r#"{"n":1.10,"id":"x"}"#),
            (r#"{ "a" : [ {"q":1, "q" : 2.0} , 3 ], "a\"": "é\n" }"#, r#"{"a":[{"q":2.0},3],"a\"":"é\n"}"#),
        ] {
            assert_eq!(with_each_key_once(json), once);
            assert_eq!(
                serde_json::from_str::<serde_json::Value>(json).unwrap(),
                serde_json::from_str::<serde_json::Value>(once).unwrap()
            );
            assert_eq!(found(once), None);
        }
    }

    #[test]
    fn many_keys_and_many_levels_cost_no_more_than_their_length() {
        let keys: String = (0..200_000).map(|n| format!("\"k{}\":1,", (n * 7919) % 200_003)).collect();
        assert_eq!(found(&format!("{{{keys}\"z\":1}}")), None);
        let deep = format!("{}{}", "[".repeat(1_000_000), "]".repeat(1_000_000));
        assert_eq!(found(&deep).unwrap().0, Unportable::TooDeep);
    }
}
