//! The promises, what breaks one, and what an end holds, as the judge sees it.

use std::collections::BTreeMap;
use std::fmt;

use crate::ledger::Key;
use crate::rules::fields;

/// A text that only forged records hold.
pub const FORGED: &str = "forged by a rogue site";

/// A promise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the text of each says what it is")]
pub enum Promise {
    NothingIsLost,
    OnlyWhoMayChanges,
    OnlyOnesOwnArrives,
    TwiceIsOnce,
    CursorsNeverGoBack,
    QuietMeansEqual,
    ErrorsAreSaid,
    ItEnds,
    NoEcho,
    FilesAreKept,
    NothingIsWasted,
}

impl fmt::Display for Promise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NothingIsLost => "1, what was acknowledged is never lost",
            Self::OnlyWhoMayChanges => "2, nobody changes a record but who may",
            Self::OnlyOnesOwnArrives => "3, no site receives a record that is not its own",
            Self::TwiceIsOnce => "4, applying twice is the same as once",
            Self::CursorsNeverGoBack => "5, cursors never go back",
            Self::QuietMeansEqual => "6, when all is quiet, all ends are equal",
            Self::ErrorsAreSaid => "7, errors are said, and nothing panics",
            Self::ItEnds => "8, it ends: all converges soon, and nothing stays set aside without a reason",
            Self::NoEcho => "9, a site is not sent back what it wrote",
            Self::FilesAreKept => "10, what has the name of a file is all of it, and stays where it was taken",
            Self::NothingIsWasted => "11, over a bad line, what is thrown away stays below what comes through",
        })
    }
}

/// A promise that was broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Which.
    pub promise: Promise,
    /// How.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "broken promise {}: {}", self.promise, self.what)
    }
}

/// Who had sent what is set aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum From {
    /// A site pushed it.
    Site(usize),
    /// It was pulled.
    Central,
    /// It was written here, and central did not take it.
    Here,
}

/// A record that is set aside, or staged.
#[derive(Debug, Clone)]
pub struct Aside {
    /// Who had sent it.
    pub from: From,
    /// Which.
    pub key: Key,
    /// Nothing for a deletion.
    pub content: Option<String>,
    /// One of `sync_core::storage::QuarantineCause`, in snake_case.
    pub cause: &'static str,
    /// What it waits for.
    pub waits_for: Option<Key>,
    /// Whether it is said of it that it gave way because of a backup that was put back.
    pub of_backup: bool,
}

impl fmt::Display for Aside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let waits_for = self.waits_for.as_ref().map(|key| format!(", waits for {}", shown(key))).unwrap_or_default();
        write!(f, "{}, from {:?}, {}{waits_for}", short(self.content.as_deref()), self.from, self.cause)
    }
}

/// What an end holds.
#[derive(Debug, Clone, Default)]
pub struct Held {
    /// Its records.
    pub records: BTreeMap<Key, String>,
    /// What it set aside.
    pub aside: Vec<Aside>,
    /// What is staged and was not looked at yet.
    pub staged: Vec<Aside>,
}

/// A record in words.
pub(crate) fn shown((table, id): &Key) -> String {
    format!("{table} {id}")
}

/// A content, short enough for a line: the text by which it is told from all others, its store and its parents.
pub fn short(content: Option<&str>) -> String {
    let Some(content) = content else { return "nothing".to_owned() };
    let is_telling = |key: &str| key.to_ascii_lowercase().ends_with("_id") || key.starts_with("deleted");
    let all = fields(content);
    let made_here = |text: &str| text.contains("-named-") || text.contains(" by ") || text.contains("store-");
    let mut shown = Vec::new();
    for (key, value) in &all {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let numbered = text.rsplit('-').next().is_some_and(|last| last.len() < 4 && last.parse::<u32>().is_ok());
        if made_here(&text) || (is_telling(key) && (numbered || key.starts_with("deleted")) && !value.is_null()) {
            shown.push(format!("{key}={text}"));
        }
    }
    shown.join(" ")
}

pub(crate) fn name_of(end: usize) -> String {
    if end == 0 { "central".to_owned() } else { format!("site {end}") }
}
