//! Text that fits a narrow terminal.

use std::time::Duration;

use sync_core::Message;
use sync_core::clock::Timestamp;

use crate::failure::Failure;
use crate::output::Output;
use crate::table::widths;

/// The least room for a value beside its name.
const BESIDE_MIN: usize = 20;

/// How long ago, or how long, in its largest unit.
pub(super) fn age(since: Duration) -> String {
    match since.as_secs() {
        seconds @ 0..=119 => format!("{seconds} s"),
        seconds @ 120..=7199 => format!("{} min", seconds / 60),
        seconds @ 7200..=172_799 => format!("{} h", seconds / 3600),
        seconds => format!("{} d", seconds / 86400),
    }
}

/// Prints lines that fit the terminal, continued with an indent.
pub(super) fn wrapped(out: &Output, indent: &str, text: &str) -> Result<(), Failure> {
    lines_of(out, indent, text).iter().try_for_each(|line| out.line(line))
}

/// A text cut into lines that fit the terminal, continued with an indent.
pub(super) fn lines_of(out: &Output, indent: &str, text: &str) -> Vec<String> {
    indented(text, indent, out.width())
}

/// Text in lines of at most so many columns, all but the first with a deeper indent; longer words get their own line.
pub(crate) fn indented(text: &str, indent: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = indent.to_owned();
    let mut is_empty = true;
    for word in text.split_whitespace() {
        if !is_empty && line.chars().count() + 1 + word.chars().count() > width {
            lines.push(std::mem::replace(&mut line, format!("{indent}  ")));
            is_empty = true;
        }
        if !is_empty {
            line.push(' ');
        }
        line.push_str(word);
        is_empty = false;
    }
    lines.push(line);
    lines
}

/// A sentence in the chosen language.
pub(super) fn say(out: &Output, indent: &str, said: &Message) -> Result<(), Failure> {
    wrapped(out, indent, &out.texts.say(said))
}

/// Facts with their values in a second column; facts without a value are left out.
pub(super) fn facts(out: &Output, facts: &[(&str, Option<String>)]) -> Result<(), Failure> {
    let named = facts.iter().filter_map(|(name, value)| Some((out.name(name), value.clone()?)));
    pairs(out, "", &named.collect::<Vec<_>>(), folded)
}

/// Names with their values in a second column; long values continue there, cut by `lines`. In a narrow terminal a value that has no room
/// beside its name is below it.
pub(crate) fn pairs(
    out: &Output,
    indent: &str,
    pairs: &[(String, String)],
    lines: fn(&str, usize) -> Vec<String>,
) -> Result<(), Failure> {
    let width = pairs.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    let room = out.width().saturating_sub(indent.len() + width + 2);
    for (name, value) in pairs {
        let beside = lines(value, room);
        let is_wider = beside.iter().any(|line| line.chars().count() > room);
        if out.columns().is_some() && is_wider || room < BESIDE_MIN && beside.len() > 1 {
            out.line(&format!("{indent}{name}"))?;
            for line in lines(value, out.width().saturating_sub(indent.len() + 2)) {
                out.line(&format!("{indent}  {line}"))?;
            }
            continue;
        }
        let mut name = name.as_str();
        for line in beside {
            out.line(format!("{indent}{name:<width$}  {line}").trim_end())?;
            name = "";
        }
    }
    Ok(())
}

/// A table with aligned columns, of which the last is folded; the first row is the head.
pub(super) fn table(out: &Output, rows: &[Vec<String>]) -> Result<(), Failure> {
    let rows = out.headed(rows);
    let mut widths = widths(&rows);
    let Some(last) = widths.pop() else { return Ok(()) };
    let before: usize = widths.iter().map(|width| width + 2).sum();
    let room = out.width().saturating_sub(before);
    if room < BESIDE_MIN.min(last) {
        return out.blocks(&rows);
    }
    widths.push(room.min(last));
    out.aligned(&rows, &widths)
}

/// Text in lines of at most so many columns; longer words get their own line.
pub(crate) fn folded(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let Some(line) = lines.last_mut() else { break };
        if line.is_empty() {
            line.push_str(word);
        } else if line.chars().count() + 1 + word.chars().count() <= width {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}

/// The same, with longer words cut: for text that nobody copies, such as JSON.
pub(super) fn cut(text: &str, width: usize) -> Vec<String> {
    let lines = folded(text, width).into_iter().flat_map(|line| {
        let letters: Vec<char> = line.chars().collect();
        letters.chunks(width.max(1)).map(|piece| piece.iter().collect()).collect::<Vec<String>>()
    });
    let lines: Vec<String> = lines.collect();
    if lines.is_empty() { vec![String::new()] } else { lines }
}

/// Text cut to so many columns, with a mark for the missing part.
pub(super) fn short(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let kept: String = text.chars().take(width.saturating_sub(1)).collect();
    format!("{kept}…")
}

/// A time of a file or of another program for people; as it is where it is no time.
pub(super) fn moment_of(text: &str) -> String {
    Timestamp::parse(text).map_or_else(|| text.to_owned(), Timestamp::for_people)
}

/// A time for people.
pub(super) fn moment(at: Timestamp) -> String {
    at.for_people()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_folded_between_words_and_cut_with_a_mark() {
        assert_eq!(folded("a bb ccc", 4), ["a bb", "ccc"]);
        assert_eq!(folded("a-long-word b", 4), ["a-long-word", "b"]);
        assert_eq!(cut("a-long-word b", 4), ["a-lo", "ng-w", "ord", "b"]);
        assert_eq!(cut("", 4), [""]);
        assert_eq!((short("abc", 3), short("abcd", 3)), ("abc".to_owned(), "ab…".to_owned()));
        assert_eq!(moment(sync_core::clock::Timestamp::from_unix_millis(1_763_892_379_120)), "2025-11-23 10:06:19Z");
    }
}
