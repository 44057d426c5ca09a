//! A decoded message: the one form for every kind of message.

use serde::Serialize;
use serde::de::DeserializeOwned;
use sync_core::Message;
use sync_core::protocol::masked_text;
use sync_core::record::Fields;
use sync_core::text::{Detail, Localize};

use crate::sentences::decoded_kind as kinds;

/// A decoded message.
#[derive(Debug, Serialize)]
pub struct Decoded {
    /// Its kind.
    pub message: Message,
    /// Its content besides records: the name of each fact, and its value.
    pub facts: Vec<(&'static str, Detail)>,
    /// Its records, in the order they came.
    #[serde(rename = "record_lines")]
    pub records: Vec<RecordLine>,
    /// The faults of the message itself.
    pub problems: Vec<Detail>,
    /// Remarks that are no faults.
    pub notes: Vec<Message>,
}

impl Localize for Decoded {
    fn each_message(&mut self, each: &mut dyn FnMut(&mut Message)) {
        self.message.each_message(each);
        self.facts.iter_mut().for_each(|(_, value)| value.each_message(each));
        self.records.each_message(each);
        self.problems.each_message(each);
        self.notes.each_message(each);
    }
}

impl Decoded {
    pub(super) fn new(message: Message) -> Self {
        Self { message, facts: Vec::new(), records: Vec::new(), problems: Vec::new(), notes: Vec::new() }
    }

    /// True if anything is wrong with it.
    pub fn has_problems(&self) -> bool {
        !self.problems.is_empty() || self.records.iter().any(|record| !record.problems.is_empty())
    }

    pub(super) fn fact(&mut self, name: &'static str, value: impl Into<Detail>) {
        self.facts.push((name, value.into()));
    }

    pub(super) fn wrong(&mut self, problem: Message) {
        self.problems.push(problem.into());
    }

    /// Reads a message by its type; a mismatch is a fault.
    pub(super) fn read<T: DeserializeOwned>(&mut self, json: &str) -> Option<T> {
        match serde_json::from_str(json) {
            Ok(value) => Some(value),
            Err(error) => {
                self.problems.push(without_position(&error).into());
                None
            }
        }
    }

    /// Adds a value that may be missing or of another kind.
    pub(super) fn raw_fact(&mut self, name: &'static str, fields: &Fields<'_>, key: &str) {
        if let Some(value) = fields.get(key) {
            self.fact(name, shown(value.get()));
        }
    }
}

/// A record of a message.
#[derive(Debug, Default, Serialize)]
pub struct RecordLine {
    /// Its position or cursor in the message.
    #[serde(rename = "place")]
    pub position: Option<String>,
    /// Its action, as in the message.
    pub action: Option<String>,
    /// Its table on the wire.
    pub table: Option<String>,
    /// Its id.
    pub id: Option<String>,
    /// Key and value, as text.
    pub fields: Vec<(String, String)>,
    /// Its faults.
    pub problems: Vec<Detail>,
    /// Remarks that are no faults.
    pub notes: Vec<Message>,
}

impl RecordLine {
    pub(super) fn wrong(&mut self, problem: Message) {
        self.problems.push(problem.into());
    }
}

impl Localize for RecordLine {
    fn each_message(&mut self, each: &mut dyn FnMut(&mut Message)) {
        self.problems.each_message(each);
        self.notes.each_message(each);
    }
}

pub(super) fn unknown(why: Message) -> Decoded {
    let mut decoded = Decoded::new(kinds::none());
    decoded.wrong(why);
    decoded
}

/// The error of a parser. If the input has another layout than the sent text, its position is meaningless.
pub(super) fn without_position(error: &impl ToString) -> String {
    error.to_string().split(" at line ").next().unwrap_or_default().to_owned()
}

/// A value for display: on one line, shortened, without secrets.
pub(super) fn shown(json: &str) -> String {
    const SHOWN: usize = 100;
    let text = serde_json::from_str::<String>(json).unwrap_or_else(|_| json.to_owned());
    let words: Vec<&str> = text.split_whitespace().collect();
    let line = masked_text(&words.join(" "));
    if line.chars().count() <= SHOWN {
        return line;
    }
    line.chars().take(SHOWN - 1).chain(['…']).collect()
}
