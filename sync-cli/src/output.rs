//! Printing: data to standard output, everything else to standard error.

use std::borrow::Cow;
use std::io::{IsTerminal as _, Write as _, stderr, stdout};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Serialize;
use serde_json::json;
use sync_core::protocol::{one_line, steers};
use sync_core::record::{RecordData, RecordId, TableName};
use sync_core::storage::LoggedError;
use sync_core::text::Localize;
use sync_core::{Error, Message, Role, Texts};

use crate::args::{Args, ColorChoice};
use crate::command::layout::indented;
use crate::failure::Failure;
use crate::input::{TEXT_MAX, text_of};
use crate::palette::{Tone, painted};
use crate::sentences::{self, common, input_given};
use crate::terminal::{columns, is_dumb};
use crate::typed_commands::in_texts;
use crate::user::user;

/// The columns of text for people where those of the terminal are not known.
const WIDTH: usize = 80;

/// The most columns of text for people.
const WIDTH_MAX: usize = 100;

/// How and where to print.
#[derive(Debug)]
pub(crate) struct Output {
    /// JSON on standard output.
    pub json: bool,
    quiet: bool,
    verbose: bool,
    /// True if standard error is coloured.
    color: bool,
    /// True if data are coloured.
    colors_data: bool,
    /// Set once standard output is closed.
    is_unread: AtomicBool,
    /// The columns of the terminal, where they are known.
    columns: Option<usize>,
    /// The texts in the chosen language.
    pub texts: Texts,
}

impl Output {
    pub(crate) fn new(args: &Args) -> Self {
        let colors = |is_terminal: bool| match args.color {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto => is_terminal && !is_dumb() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty()),
        };
        Self {
            json: args.json,
            quiet: args.quiet,
            verbose: args.verbose,
            color: colors(stderr().is_terminal()),
            colors_data: colors(stdout().is_terminal()),
            is_unread: AtomicBool::new(false),
            columns: columns(),
            texts: in_texts(sentences::english(), args),
        }
    }

    /// Takes the texts from a file.
    pub(crate) fn take_texts(&mut self, file: &Path, args: &Args) -> Result<(), Error> {
        let json = text_of(file, TEXT_MAX)?;
        let texts = Texts::parse(&json, &sentences::all()).map_err(|error| match error {
            Error::BadInput { detail } => Error::bad_input(input_given::texts_file(file.display().to_string(), detail)),
            other => other,
        })?;
        self.texts = in_texts(texts, args);
        Ok(())
    }

    /// A line of data. Characters that would end it early or control a terminal are shown as a mark.
    pub(crate) fn line(&self, text: &str) -> Result<(), Failure> {
        self.print("", &harmless(text))
    }

    /// Text of this program in its own lines.
    pub(crate) fn text(&self, text: &str) -> Result<(), Failure> {
        text.lines().try_for_each(|line| self.line(line))
    }

    /// A line that begins with a word in its colour, if colours are wanted.
    pub(crate) fn toned_line(&self, word: &str, tone: Option<Tone>, text: &str) -> Result<(), Failure> {
        match tone.filter(|_| self.colors_data) {
            Some(tone) => self.print(&painted(&harmless(word), tone), &harmless(text)),
            None => self.print(&harmless(word), &harmless(text)),
        }
    }

    fn print(&self, before: &str, text: &str) -> Result<(), Failure> {
        match writeln!(stdout().lock(), "{before}{text}") {
            // Its reader is gone, which is no error: the command continues to its own end and exit status.
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => {
                self.is_unread.store(true, Ordering::Relaxed);
                Ok(())
            }
            written => Ok(written?),
        }
    }

    /// True if standard output is closed: endless commands may stop then.
    pub(crate) fn is_unread(&self) -> bool {
        self.is_unread.load(Ordering::Relaxed)
    }

    /// A sentence as a line of data. In a terminal whose width is known it is folded; elsewhere a program may read it.
    pub(crate) fn line_said(&self, said: &Message) -> Result<(), Failure> {
        self.line_within("", &self.texts.say(said))
    }

    /// A line of words with this indent, folded in the same way.
    pub(crate) fn line_within(&self, indent: &str, text: &str) -> Result<(), Failure> {
        match self.columns {
            Some(columns) if indent.len() + text.chars().count() > columns => {
                indented(text, indent, self.width()).iter().try_for_each(|line| self.line(line))
            }
            _ => self.line(&format!("{indent}{text}")),
        }
    }

    /// A JSON document, on one line.
    pub(crate) fn document(&self, value: &impl Serialize) -> Result<(), Failure> {
        let text = serde_json::to_string(value).map_err(std::io::Error::other)?;
        self.print("", &on_one_line(&text))
    }

    /// The JSON document of a report with this error, in the chosen language.
    pub(crate) fn report(&self, report: &impl Serialize, error: Option<&Error>) -> Result<(), Failure> {
        let Some(error) = error else { return self.document(report) };
        let mut value = serde_json::to_value(report).map_err(std::io::Error::other)?;
        value["error"] = json!(self.written_down(error));
        self.document(&value)
    }

    /// A hint, a warning or progress; nothing with --quiet.
    pub(crate) fn hint(&self, text: &str) {
        if !self.quiet {
            // If standard error is closed, nobody reads it.
            let _ = writeln!(stderr().lock(), "{}", harmless(text));
        }
    }

    /// A sentence as a hint.
    pub(crate) fn hint_said(&self, said: &Message) {
        self.hint(&self.texts.say(said));
    }

    /// A sentence beside the data that is said with --quiet too, because it explains the exit status.
    pub(crate) fn told(&self, said: &Message) {
        let _ = writeln!(stderr().lock(), "{}", harmless(&self.texts.say(said)));
    }

    /// A value with its messages in the chosen language.
    pub(crate) fn in_words<T: Localize>(&self, mut found: T) -> T {
        self.texts.translate(&mut found);
        found
    }

    /// An error for JSON, in the chosen language.
    pub(crate) fn written_down(&self, error: &Error) -> LoggedError {
        let (message, advice) = (self.texts.message(error), self.texts.advice(error).into_owned());
        LoggedError { message, advice, ..LoggedError::from(error) }
    }

    /// An error that was stored in English, with its advice in the chosen language.
    pub(crate) fn advised(&self, error: &LoggedError) -> LoggedError {
        let advice = self.texts.advice_for(&error.code, &error.advice).into_owned();
        LoggedError { advice, ..error.clone() }
    }

    /// The columns of the terminal, where they are known.
    pub(crate) fn columns(&self) -> Option<usize> {
        self.columns
    }

    /// The columns in which text is laid out: longer lines are hard to read in a wide terminal too.
    pub(crate) fn width(&self) -> usize {
        self.columns.unwrap_or(WIDTH).min(WIDTH_MAX)
    }

    /// True if causes are wanted.
    pub(crate) fn verbose(&self) -> bool {
        self.verbose
    }

    /// True if hints are not wanted.
    pub(crate) fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// True if progress may be drawn.
    pub(crate) fn draws_progress(&self) -> bool {
        !self.quiet && stderr().is_terminal() && !is_dumb()
    }

    /// The bar that marks a central server's database.
    pub(crate) fn central_bar(&self, role: Option<Role>) {
        if role == Some(Role::Central) && !self.json {
            let text = format!(" {} ", self.texts.say(&common::central_bar()));
            self.hint(&if self.color { painted(&text, Tone::Bar) } else { format!("=={text}==") });
        }
    }

    /// An error: the message, and the advice.
    pub(crate) fn error(&self, error: &Error) -> Result<(), Failure> {
        if self.json {
            self.document(&json!({ "error": self.written_down(error) }))?;
        }
        let label = self.texts.say(&common::error());
        let label = if self.color { painted(&label, Tone::Alarm) } else { label };
        let (message, advice) = (Message::of(error), Message::advice(error.code()));
        let mut text = self.texts.say(&common::labelled_error(label, error.code(), message, advice));
        if self.verbose {
            for cause in error.causes() {
                text.push_str(&format!("\n  {}", self.texts.say(&common::caused_by(cause))));
            }
        }
        if let Some(user) = denied_user(error) {
            text.push_str(&format!("\n{}", self.texts.say(&common::runs_as(user))));
        }
        // Its details contain no line ends; those between the lines are this program's.
        let _ = writeln!(stderr().lock(), "{text}");
        Ok(())
    }

    /// The name of a fact or the head of a column, with its indent, in the chosen language.
    pub(crate) fn name(&self, english: &str) -> String {
        let name = english.trim_start();
        let (indent, _) = english.split_at(english.len() - name.len());
        format!("{indent}{}", self.word(name))
    }

    /// A single word in the chosen language.
    pub(crate) fn word<'a>(&'a self, english: &'a str) -> &'a str {
        debug_assert!(sentences::is_named(english), "{english:?} is in the list of names");
        self.texts.label(english)
    }

    /// The rows of a table, with the head in the chosen language.
    pub(crate) fn headed(&self, rows: &[Vec<String>]) -> Vec<Vec<String>> {
        let mut rows = rows.to_vec();
        for name in rows.first_mut().into_iter().flatten() {
            *name = self.name(name);
        }
        rows
    }
}

/// The user as whom this program runs, if the rights of that user are what failed. An error of a file that a person gave has the reason of
/// the system only in its text.
fn denied_user(error: &Error) -> Option<String> {
    let denied = std::io::Error::from(std::io::ErrorKind::PermissionDenied).to_string();
    let mut said = std::iter::once(error.to_string()).chain(error.causes());
    said.any(|said| said.to_lowercase().contains(&denied)).then(user).flatten()
}

/// A line without characters that end it or control a terminal, because others choose ids and names. Tabs separate
/// columns.
fn harmless(line: &str) -> Cow<'_, str> {
    if line.contains('\t') {
        line.split('\t').map(|part| one_line(part).into_owned()).collect::<Vec<_>>().join("\t").into()
    } else {
        one_line(line)
    }
}

/// JSON text on one line, with the same value: line ends between values become blanks, control characters in values are
/// escaped.
pub(crate) fn on_one_line(json: &str) -> Cow<'_, str> {
    if !json.contains(steers) {
        return json.into();
    }
    let mut line = String::with_capacity(json.len() + 16);
    for c in json.chars() {
        match c {
            '\n' | '\r' | '\t' => line.push(' '),
            c if steers(c) => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    line.push_str(&format!("\\u{unit:04x}"));
                }
            }
            c => line.push(c),
        }
    }
    line.into()
}

/// Bytes for people.
pub(crate) fn bytes(count: u64) -> String {
    match count {
        0..=9_999 => format!("{count} B"),
        // As text this never rounds to 1000.0 kB.
        10_000..=999_949 => format!("{:.1} kB", count as f64 / 1e3),
        _ => format!("{:.1} MB", count as f64 / 1e6),
    }
}

/// A record in JSON documents, with exact data.
#[derive(Debug, Serialize)]
pub(crate) struct RecordDocument<'a> {
    pub table: &'a TableName,
    pub id: &'a RecordId,
    pub data: &'a RecordData,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_others_wrote_steers_a_terminal() {
        assert_eq!(harmless("a\u{1b}[31mb\u{9b}c\rd\te\nf"), "a\u{fffd}[31mb\u{fffd}c\u{fffd}d\te\u{fffd}f");
        assert_eq!(harmless("a\u{202e}b\u{2028}c\u{200f}d"), "a\u{fffd}b\u{fffd}c\u{fffd}d");
        assert_eq!(harmless("a\u{feff}b\u{e0041}c\u{200d}d"), "a\u{fffd}b\u{fffd}c\u{200d}d", "a joiner stays");
        assert_eq!(on_one_line("\"\u{e0041}\""), r#""\udb40\udc41""#);
        assert_eq!(on_one_line("{\"a\":\"x\u{202e}\u{9b}\"}"), r#"{"a":"x\u202e\u009b"}"#);
        assert_eq!(on_one_line("{\"a\":\n1,\r\n \"b\":2}"), "{\"a\": 1,   \"b\":2}");
    }
}
