//! Removes possible secrets from foreign text, and characters that would control the display.

use std::borrow::Cow;

/// True if a character controls the display: it ends the line, reverses text, moves the cursor, or shows nothing, so that two
/// ids look alike. Joiners, which some scripts need, do not.
pub fn steers(c: char) -> bool {
    let reverses = matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let ends_line = matches!(c, '\u{2028}' | '\u{2029}');
    let shows_nothing = matches!(c, '\u{200b}' | '\u{2060}'..='\u{2064}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}');
    c.is_control() || reverses || ends_line || shows_nothing
}

/// A foreign text as a part of one line: each control character is replaced by a mark. Others choose ids and names, so
/// these must not forge a line.
///
/// ```
/// # use sync_core::protocol::one_line;
/// assert_eq!(one_line("a\nerror: b"), "a\u{fffd}error: b");
/// ```
pub fn one_line(text: &str) -> Cow<'_, str> {
    if text.contains(steers) {
        text.chars().map(|c| if steers(c) { '\u{fffd}' } else { c }).collect::<String>().into()
    } else {
        text.into()
    }
}

/// An address without a possible password.
///
/// ```
/// # use sync_core::protocol::masked_url;
/// assert_eq!(masked_url("https://me:secret@oms.example.org/"), "https://…@oms.example.org/");
/// ```
pub fn masked_url(url: &str) -> String {
    let Some((before, host)) = url.rsplit_once('@') else { return url.to_owned() };
    let scheme = before.split_once("://").map(|(scheme, _)| format!("{scheme}://")).unwrap_or_default();
    format!("{scheme}…@{host}")
}

/// A text, such as an error of another program, without hashes as long as that of a password, and without user names
/// and passwords in addresses.
///
/// ```
/// # use sync_core::protocol::masked_text;
/// assert_eq!(masked_text("GET 'http://me:secret@host/x' failed"), "GET 'http://…@host/x' failed");
/// ```
pub fn masked_text(text: &str) -> String {
    let ends_word = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '<' | '>' | '(' | ')' | ',');
    let words = without_hex_runs(text, 64);
    let words = words.split_inclusive(ends_word).map(|word| {
        let holds_password = word.rsplit_once('@').is_some_and(|(before, _)| before.contains(':'));
        if holds_password { masked_url(word) } else { word.to_owned() }
    });
    words.collect()
}

/// The beginning of an answer for messages: one line of printable characters, without anything that looks like a
/// credential.
pub(crate) fn excerpt(body: &[u8]) -> String {
    const SHOWN: usize = 120;
    let text = String::from_utf8_lossy(&body[..body.len().min(4 * SHOWN)]);
    let words: Vec<&str> = text.split_whitespace().collect();
    let line: String = words.join(" ").chars().filter(|c| !c.is_control()).take(SHOWN).collect();
    // Hashes and keys are long runs of hex digits; ids with 32 of them are not secret, but dispensable here.
    masked_text(&without_hex_runs(&line, 32)).trim_end().to_owned()
}

/// The text of an error that the other end states, in full: one line of printable characters, without hashes, without
/// passwords of addresses, and without `secrets`. Unlike an [`excerpt`] it keeps ids, which show what the error is
/// about.
pub(crate) fn whole_words(text: &str, secrets: &[&str]) -> String {
    // Longer than any known error; it cuts a page that somebody put into an error.
    const SHOWN: usize = 2000;
    let words: Vec<&str> = text.split_whitespace().collect();
    let mut line: String = words.join(" ").chars().filter(|c| !c.is_control()).take(SHOWN).collect();
    for secret in secrets.iter().filter(|secret| secret.len() >= 8) {
        line = line.replace(secret, "…");
    }
    masked_text(&line)
}

/// A text with a mark in place of each run of so many hex digits or more.
fn without_hex_runs(text: &str, length: usize) -> String {
    let mut shown = String::new();
    let mut rest = text;
    while !rest.is_empty() {
        let run = rest.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(rest.len());
        shown.push_str(if run >= length { "…" } else { &rest[..run] });
        let other = rest[run..].find(|c: char| c.is_ascii_hexdigit()).map_or(rest.len(), |at| run + at);
        shown.push_str(&rest[run..other]);
        rest = &rest[other..];
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "d74ff0ee8da3b9806b18c877dbf29bbde50b5bd8e4dad7a3a725000feb82e8f1";

    #[test]
    fn excerpts_are_short_and_hold_no_hash_and_no_password() {
        let shown = excerpt(format!("<html>\n<b>x</b> {HASH} {}", "word ".repeat(100)).as_bytes());
        assert!(shown.starts_with("<html> <b>x</b> … word"), "{shown}");
        assert!(shown.len() < 140);
        assert_eq!(excerpt(&[0xff, 0xfe, b'a']), "\u{fffd}\u{fffd}a");
        assert_eq!(excerpt(b""), "");
        assert_eq!(excerpt(b"no way to http://me:secret@host"), "no way to http://…@host");
    }

    #[test]
    fn errors_are_shown_to_their_end_without_secrets() {
        let id = "8D1A6F0E3B5C4A7D9E2F1C0B7A6D5E4F";
        let text = format!("no parent\n {id}, {HASH} of machine 11112222 {}end", "word ".repeat(100));
        let shown = whole_words(&text, &["11112222", ""]);
        assert!(
            shown.starts_with(&format!("no parent {id}, … of machine … word")) && shown.ends_with("word end"),
            "{shown}"
        );
    }

    #[test]
    fn texts_keep_ids_and_lose_secrets() {
        let id = "8D1A6F0E3B5C4A7D9E2F1C0B7A6D5E4F";
        for (text, shown) in [
            (format!("missing {id} of a@b.org"), format!("missing {id} of a@b.org")),
            (format!("hash {HASH}é"), "hash …é".to_owned()),
            ("url: 'https://me:se/cret@host:2048/x', next".to_owned(), "url: 'https://…@host:2048/x', next".to_owned()),
            ("me:secret@host and ü".to_owned(), "…@host and ü".to_owned()),
            (String::new(), String::new()),
        ] {
            assert_eq!(masked_text(&text), shown);
        }
    }

    #[test]
    fn addresses_lose_whatever_may_be_a_password() {
        for (url, shown) in [
            ("https://host:2048/a", "https://host:2048/a"),
            ("https://me:top secret@host/a", "https://…@host/a"),
            ("me:s@cret@host", "…@host"),
        ] {
            assert_eq!(masked_url(url), shown);
        }
    }
}
