//! Where the top-level keys of a record's JSON text stand, found in one pass.
//!
//! A record is asked for its fields several times on its way in. The places are found once and kept with its text.

use serde_json::value::RawValue;

use super::json_strings::end_of_any_string;

/// The place of one key and its value in a JSON text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct KeyPlace {
    /// Between the quotes of the key.
    key: (u32, u32),
    /// The key, if it has an escape.
    unescaped: Option<Box<str>>,
    value: (u32, u32),
}

impl KeyPlace {
    /// The key in the text that this place was found in.
    pub(super) fn key<'p>(&'p self, json: &'p str) -> &'p str {
        self.unescaped.as_deref().unwrap_or_else(|| part(json, self.key))
    }

    /// True if this is its key in the text that it was found in.
    pub(super) fn is(&self, key: &str, json: &str) -> bool {
        let length = || (self.key.1 - self.key.0) as usize;
        self.unescaped.is_some() && self.key(json) == key || length() == key.len() && part(json, self.key) == key
    }

    /// The value in the text that this place was found in.
    pub(super) fn value<'a>(&self, json: &'a str) -> &'a RawValue {
        // A part of valid JSON that is a value reads as one.
        serde_json::from_str(part(json, self.value)).unwrap_or(RawValue::NULL)
    }
}

fn part(json: &str, (start, end): (u32, u32)) -> &str {
    json.get(start as usize..end as usize).unwrap_or_default()
}

/// The places of all top-level keys of a text that is valid JSON, in its order; `None` if it is not an object, or a key is no
/// Unicode text.
pub(super) fn key_places(json: &str) -> Option<Box<[KeyPlace]>> {
    let bytes = json.as_bytes();
    u32::try_from(bytes.len()).ok()?;
    let mut at = past_space(bytes, 0);
    if bytes.get(at) != Some(&b'{') {
        return None;
    }
    let mut places = Vec::with_capacity(16);
    loop {
        // After the opening brace or a comma: a key, or the end of an empty object.
        at = past_space(bytes, at + 1);
        if bytes.get(at) != Some(&b'"') {
            return Some(places.into_boxed_slice());
        }
        let (key_end, is_plain) = end_of_any_string(bytes, at + 1);
        let key = (at + 1, key_end);
        let unescaped = match is_plain {
            true => None,
            false => Some(serde_json::from_str(json.get(at..=key_end)?).ok()?),
        };
        let colon = past_space(bytes, key_end + 1);
        let start = past_space(bytes, colon + 1);
        let end = value_end(bytes, start);
        let short = |(start, end): (usize, usize)| (start as u32, end as u32);
        places.push(KeyPlace { key: short(key), unescaped, value: short((start, end)) });
        at = past_space(bytes, end);
        if bytes.get(at) != Some(&b',') {
            return Some(places.into_boxed_slice());
        }
    }
}

fn past_space(bytes: &[u8], from: usize) -> usize {
    let rest = bytes.get(from..).unwrap_or_default();
    from + rest.iter().position(|byte| !byte.is_ascii_whitespace()).unwrap_or(rest.len())
}

/// The end of a value that begins here.
fn value_end(bytes: &[u8], from: usize) -> usize {
    let mut depth = 0_usize;
    let mut at = from;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => {
                at = end_of_any_string(bytes, at + 1).0;
                if depth == 0 {
                    return at + 1;
                }
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' if depth <= 1 => return if depth == 1 { at + 1 } else { at },
            b'}' | b']' => depth -= 1,
            b',' if depth == 0 => return at,
            byte if depth == 0 && byte.is_ascii_whitespace() => return at,
            _ => {}
        }
        at += 1;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_levels_need_no_stack() {
        let json = format!("{{\"a\":{}{},\"b\":1}}", "[".repeat(1_000_000), "]".repeat(1_000_000));
        let places = key_places(&json).expect("an object");
        assert_eq!(places.len(), 2);
        assert_eq!(places[1].value(&json).get(), "1");
    }
}
