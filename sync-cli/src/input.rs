//! Files from people, and standard input.

use std::io::{BufRead, Read as _};
use std::path::Path;

use oms_sync_inspect::database::unreadable;
use sync_core::text_input::read_text;
use sync_core::{Error, Result};

/// Standard input up to the end of its first line, in any encoding. It does not wait for more.
pub(crate) fn first_line_of_input() -> Result<Vec<u8>> {
    let io = |error: std::io::Error| Error::Io { what: "reading the password".to_owned(), source: error.into() };
    first_line_of(&mut std::io::stdin().lock()).map_err(io)
}

/// In UTF-16 a byte that ends a line of other text may be half of a letter, and the end of a line has another half.
fn first_line_of(input: &mut impl BufRead) -> std::io::Result<Vec<u8>> {
    let mut line = Vec::new();
    loop {
        let begun = line.len();
        input.read_until(b'\n', &mut line)?;
        let order = match line[..] {
            [0xff, 0xfe, ..] | [_, 0, ..] => Some(0),
            [0xfe, 0xff, ..] | [0, _, ..] => Some(1),
            _ => None,
        };
        let Some(low) = order.filter(|_| line.len() > begun) else { return Ok(line) };
        if line.len() % 2 == 1 {
            input.take(1).read_to_end(&mut line)?;
        }
        let unit = &line[line.len().saturating_sub(2)..];
        if line.len() % 2 == 1 || (unit[low], unit[1 - low]) == (b'\n', 0) {
            return Ok(line);
        }
    }
}

/// The text of a file from a person, or of standard input for `-`.
pub(crate) fn text_of(path: &Path) -> Result<String> {
    text(path, &bytes_of(path)?)
}

/// The bytes of a file, or of standard input for `-`.
pub(crate) fn bytes_of(path: &Path) -> Result<Vec<u8>> {
    if path != Path::new("-") {
        return std::fs::read(path).map_err(|error| unreadable(path, error));
    }
    let mut bytes = Vec::new();
    let read = std::io::stdin().lock().read_to_end(&mut bytes);
    read.map_err(|error| Error::Io { what: "reading standard input".to_owned(), source: error.into() })?;
    Ok(bytes)
}

/// The text of bytes from a person, in any encoding.
pub(crate) fn text(from: &Path, bytes: &[u8]) -> Result<String> {
    let text = read_text(bytes).map_err(|why| unreadable(from, why))?;
    Ok(text.into_owned())
}

#[cfg(test)]
mod tests {
    use sync_core::text_input::first_line;

    use super::*;

    #[test]
    fn the_first_line_of_input_ends_where_its_text_does() {
        let little = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
        let big = |text: &str| text.encode_utf16().flat_map(u16::to_be_bytes).collect::<Vec<u8>>();
        // U+0A41 and U+0A0A, of the letters of Punjab, have the byte of a line end in them, and Cyrillic has no zero byte.
        for text in ["secret", "пароль", "\u{a41}\u{a0a}a", "\u{100a}\u{a0a}", "a"] {
            for line in [text.to_owned(), format!("{text}\n"), format!("{text}\r\n"), format!("{text}\nmore\n")] {
                let marked = |mark: &[u8], bytes: Vec<u8>| [mark, &bytes].concat();
                let mut all = vec![
                    line.as_bytes().to_vec(),
                    marked(&[0xff, 0xfe], little(&line)),
                    marked(&[0xfe, 0xff], big(&line)),
                ];
                if text.is_ascii() {
                    all.extend([little(&line), big(&line)]);
                }
                for bytes in all {
                    let read = first_line_of(&mut &bytes[..]).expect("memory");
                    assert_eq!(first_line(&super::text(Path::new("-"), &read).expect("text")), text, "{bytes:?}");
                }
            }
        }
        assert_eq!(first_line_of(&mut &b"a\nb"[..]).expect("memory"), b"a\n", "what follows is not waited for");
        assert_eq!(first_line_of(&mut &b""[..]).expect("memory"), b"");
    }
}
