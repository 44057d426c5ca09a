//! Stores texts of peers in PostgreSQL. Such a text may hold the character U+0000, which a column cannot.

use std::error::Error as StdError;

use postgres::types::private::BytesMut;
use postgres::types::{FromSql, IsNull, ToSql, Type, accepts, to_sql_checked};

/// The mark before a replaced character.
const MARK: u8 = 1;
/// The bytes that stand for U+0000 and U+0001 after the mark. They keep the order of texts by bytes.
const ZERO: u8 = 1;
const ONE: u8 = 2;

/// A text as a parameter.
#[derive(Debug, Clone, Copy)]
pub(super) struct Text<'t>(pub &'t str);

impl ToSql for Text<'_> {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn StdError + Sync + Send>> {
        let bytes = self.0.as_bytes();
        if bytes.iter().all(|byte| *byte > MARK) {
            out.extend_from_slice(bytes);
            return Ok(IsNull::No);
        }
        for byte in bytes {
            match byte {
                0 => out.extend_from_slice(&[MARK, ZERO]),
                &MARK => out.extend_from_slice(&[MARK, ONE]),
                _ => out.extend_from_slice(&[*byte]),
            }
        }
        Ok(IsNull::No)
    }

    accepts!(TEXT);
    to_sql_checked!();
}

/// A text of a column.
pub(super) struct Stored(pub String);

impl<'a> FromSql<'a> for Stored {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn StdError + Sync + Send>> {
        let text = std::str::from_utf8(raw)?;
        if !raw.contains(&MARK) {
            return Ok(Self(text.to_owned()));
        }
        let mut read = String::with_capacity(text.len());
        let mut rest = text.chars();
        while let Some(character) = rest.next() {
            read.push(match character {
                '\u{1}' if rest.next() == Some('\u{1}') => '\0',
                other => other,
            });
        }
        Ok(Self(read))
    }

    accepts!(TEXT);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(text: &str) -> Vec<u8> {
        let mut out = BytesMut::new();
        Text(text).to_sql(&Type::TEXT, &mut out).unwrap();
        out.to_vec()
    }

    #[test]
    fn every_text_is_read_as_it_was_written_in_the_same_order_and_without_a_zero_byte() {
        let mut texts = ["", "a", "a\0", "a\0\0", "a\u{1}", "a\u{1}\u{2}", "a\u{2}", "\0", "\u{1}", "ä\0b", "plain"];
        texts.sort_unstable();
        let all: Vec<Vec<u8>> = texts.iter().map(|text| stored(text)).collect();
        assert!(all.is_sorted() && all.iter().all(|bytes| !bytes.contains(&0)));
        for (text, bytes) in texts.iter().zip(&all) {
            assert_eq!(Stored::from_sql(&Type::TEXT, bytes).unwrap().0, *text);
        }
    }
}
