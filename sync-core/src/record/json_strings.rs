//! Finds the end of a string in JSON text.

use std::convert::Infallible;

/// The end of a string that begins here, after its first quote; and whether it has no escape.
pub(super) fn string_end<E>(
    bytes: &[u8],
    from: usize,
    escape_end: impl Fn(&[u8], usize) -> Result<usize, E>,
) -> Result<(usize, bool), E> {
    let mut at = from;
    let mut is_plain = true;
    loop {
        at = plain_end(bytes, at);
        if bytes.get(at) != Some(&b'\\') {
            return Ok((at, is_plain));
        }
        is_plain = false;
        at = escape_end(bytes, at)?;
    }
}

/// The same in valid JSON, whatever its escapes stand for.
pub(super) fn end_of_any_string(bytes: &[u8], from: usize) -> (usize, bool) {
    // The character after a backslash belongs to the escape, also if it is a quote or another backslash.
    let Ok(end) = string_end(bytes, from, |_, at| Ok::<_, Infallible>(at + 2));
    end
}

/// The next quote or backslash, or the end. Looks at eight bytes at once, because texts are most of a record.
fn plain_end(bytes: &[u8], from: usize) -> usize {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    // The high bit of each zero byte; above the first of them, of some others too.
    let zeros = |word: u64| word.wrapping_sub(ONES) & !word & (ONES << 7);
    let rest = bytes.get(from..).unwrap_or_default();
    let (words, tail) = rest.as_chunks::<8>();
    for (n, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let found = zeros(word ^ (ONES * u64::from(b'"'))) | zeros(word ^ (ONES * u64::from(b'\\')));
        if found != 0 {
            return from + n * 8 + found.trailing_zeros() as usize / 8;
        }
    }
    let in_tail = tail.iter().position(|byte| matches!(byte, b'"' | b'\\')).unwrap_or(tail.len());
    from + words.len() * 8 + in_tail
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quote_or_a_backslash_is_found_at_every_place() {
        for length in 0..40 {
            for around in ["x", "\u{7f}", "!", "#", "[", "]", "\u{a2}", "\u{1}"] {
                let text = around.repeat(length);
                assert_eq!(plain_end(text.as_bytes(), 0), text.len(), "{text:?}");
                for mark in ["\"", "\\"] {
                    let marked = format!("{text}{mark}{mark}{around}");
                    assert_eq!(plain_end(marked.as_bytes(), 0), text.len(), "{marked:?}");
                    let from = text.len().min(3 * around.len());
                    assert_eq!(plain_end(marked.as_bytes(), from), text.len(), "{marked:?}");
                }
            }
        }
    }
}
