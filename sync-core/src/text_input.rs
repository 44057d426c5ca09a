//! Text from people and servers, normalised: Notepad puts a byte order mark before UTF-8, or writes UTF-16; line ends
//! are those of Windows, of Unix, or of an old Mac.

use std::borrow::Cow;

const UTF8_MARK: &[u8] = &[0xef, 0xbb, 0xbf];

/// Why bytes are not text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotText {
    /// Neither UTF-8 nor UTF-16.
    #[error("its text is not UTF-8 from byte {0} on: save it as UTF-8")]
    NotUtf8(usize),
    /// UTF-16 that is cut, or damaged.
    #[error("it is UTF-16, and damaged: save it as UTF-8")]
    DamagedUtf16,
    /// UTF-32, which no editor writes by default.
    #[error("it is UTF-32: save it as UTF-8")]
    Utf32,
    /// Bytes that text does not contain.
    #[error("it holds a NUL byte, which no text does: save it as UTF-8")]
    Nul,
}

/// The two byte orders of UTF-16.
#[derive(Clone, Copy)]
enum Order {
    Little,
    Big,
}

/// Reads text from a person: UTF-8 with or without a byte order mark, or UTF-16 of either order, recognised by its mark
/// or by the zero bytes between its letters. The mark is not part of the text.
///
/// ```
/// # use sync_core::text_input::read_text;
/// assert_eq!(read_text(b"\xef\xbb\xbfsecret").unwrap(), "secret");
/// assert_eq!(read_text(b"\xff\xfes\0e\0").unwrap(), "se");
/// ```
///
/// # Errors
/// The bytes are no text, or text of another encoding; the reason says what to do.
pub fn read_text(bytes: &[u8]) -> Result<Cow<'_, str>, NotText> {
    let text = match encoding(bytes) {
        Some(Encoding::Utf32) => return Err(NotText::Utf32),
        Some(Encoding::Utf16(order, text)) => Cow::Owned(utf16(order, text).ok_or(NotText::DamagedUtf16)?),
        None => {
            let mark = if bytes.starts_with(UTF8_MARK) { UTF8_MARK.len() } else { 0 };
            let text = std::str::from_utf8(&bytes[mark..]);
            Cow::Borrowed(text.map_err(|error| NotText::NotUtf8(mark + error.valid_up_to()))?)
        }
    };
    if text.contains('\0') { Err(NotText::Nul) } else { Ok(text) }
}

/// The first line of a text, without its end, which is `
/// `, `\r
/// ` or `\r`.
pub fn first_line(text: &str) -> &str {
    text.split(['\n', '\r']).next().unwrap_or_default()
}

/// Input of a peer, as UTF-8 without a byte order mark. Bytes that are not text stay as they are: their reader reports
/// the fault.
pub fn as_utf8(body: &[u8]) -> Cow<'_, [u8]> {
    match encoding(body) {
        Some(Encoding::Utf16(order, text)) => {
            utf16(order, text).map_or(Cow::Borrowed(body), |text| Cow::Owned(text.into_bytes()))
        }
        _ => Cow::Borrowed(body.strip_prefix(UTF8_MARK).unwrap_or(body)),
    }
}

/// For owned bytes: nothing is copied if nothing changes.
pub(crate) fn into_utf8(body: Vec<u8>) -> Vec<u8> {
    match as_utf8(&body) {
        Cow::Borrowed(text) if text.len() == body.len() => body,
        changed => changed.into_owned(),
    }
}

enum Encoding<'b> {
    /// The bytes after the mark, if there is one.
    Utf16(Order, &'b [u8]),
    Utf32,
}

/// The encoding of a text that is not UTF-8.
fn encoding(bytes: &[u8]) -> Option<Encoding<'_>> {
    match bytes {
        [0xff, 0xfe, 0, 0, ..] | [0, 0, 0xfe, 0xff, ..] => Some(Encoding::Utf32),
        [0xff, 0xfe, text @ ..] => Some(Encoding::Utf16(Order::Little, text)),
        [0xfe, 0xff, text @ ..] => Some(Encoding::Utf16(Order::Big, text)),
        // Text here begins with an ASCII letter or sign: a name, a password, JSON.
        [first, 0, ..] if *first != 0 && looks_like_utf16(bytes) => Some(Encoding::Utf16(Order::Little, bytes)),
        [0, second, ..] if *second != 0 && looks_like_utf16(bytes) => Some(Encoding::Utf16(Order::Big, bytes)),
        _ => None,
    }
}

/// True if bytes without a mark, with a zero in the first two, continue like UTF-16: never two zero bytes in a unit.
fn looks_like_utf16(bytes: &[u8]) -> bool {
    bytes.len().is_multiple_of(2) && bytes.chunks_exact(2).take(1024).all(|unit| unit != [0, 0])
}

fn utf16(order: Order, text: &[u8]) -> Option<String> {
    let unit = |pair: &[u8]| match order {
        Order::Little => u16::from_le_bytes([pair[0], pair[1]]),
        Order::Big => u16::from_be_bytes([pair[0], pair[1]]),
    };
    let units: Vec<u16> = text.chunks_exact(2).map(unit).collect();
    if text.len().is_multiple_of(2) { String::from_utf16(&units).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn little(text: &str) -> Vec<u8> {
        text.encode_utf16().flat_map(u16::to_le_bytes).collect()
    }

    fn big(text: &str) -> Vec<u8> {
        text.encode_utf16().flat_map(u16::to_be_bytes).collect()
    }

    #[test]
    fn what_editors_write_is_read() {
        const TEXT: &str = "clé {\"a\": 1}\r\n";
        for bytes in [
            TEXT.as_bytes().to_vec(),
            [UTF8_MARK, TEXT.as_bytes()].concat(),
            [&[0xff, 0xfe][..], &little(TEXT)].concat(),
            [&[0xfe, 0xff][..], &big(TEXT)].concat(),
            little(TEXT),
            big(TEXT),
        ] {
            assert_eq!(read_text(&bytes).unwrap(), TEXT, "{bytes:?}");
            assert_eq!(&*as_utf8(&bytes), TEXT.as_bytes(), "{bytes:?}");
            assert_eq!(into_utf8(bytes), TEXT.as_bytes());
        }
        assert_eq!(read_text(b"").unwrap(), "");
    }

    #[test]
    fn what_is_no_text_says_why() {
        for (bytes, why) in [
            (&b"caf\xe9"[..], NotText::NotUtf8(3)),
            (b"\xef\xbb\xbf\xff", NotText::NotUtf8(3)),
            (b"\xff\xfea\0b", NotText::DamagedUtf16),
            (b"\xff\xfe\x00\xd8", NotText::DamagedUtf16),
            (b"\xff\xfe\0\0a\0\0\0", NotText::Utf32),
            (b"a\0", NotText::Nul),
            (b"ab\0c", NotText::Nul),
        ] {
            // Two bytes may be one letter of UTF-16: read as one, or refused, but never read with its NUL.
            match read_text(bytes) {
                Ok(text) => assert!(bytes == b"a\0" && text == "a", "{bytes:?}: {text:?}"),
                Err(error) => assert_eq!(error, why, "{bytes:?}"),
            }
        }
        // Input of a peer is left to its reader.
        assert_eq!(&*as_utf8(b"\xff\xfea\0b"), b"\xff\xfea\0b");
        assert_eq!(&*as_utf8(b"\x1f\x8b\x08\0"), b"\x1f\x8b\x08\0");
    }

    #[test]
    fn lines_end_as_they_end_anywhere() {
        for text in ["secret", "secret\n", "secret\r\n", "secret\r", "secret\r\nmore", "secret\rmore"] {
            assert_eq!(first_line(text), "secret");
        }
        assert_eq!((first_line(""), first_line("\nx")), ("", ""));
    }
}
