//! Data that may leave the site for support: states, but no content of records.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::log::without_words;
use super::quarantine::{SetAside, SetAsideGroup, set_aside_in};
use crate::clock::Timestamp;
use crate::error::Result;
use crate::integrate::IGNORED_BEFORE;
use crate::record::{Fields, RecordData, RecordId, TableName};
use crate::redaction::masked_url;
use crate::storage::state::Setting;
use crate::storage::{FileDirection, FileEntry, FileState, LogEntry, QuarantineCause, each_quarantined, state};
use crate::support::Support;

/// Replaces words that a person typed, because they may name anybody.
const KEPT_OUT: &str = "(kept out)";

/// The settings whose values are not secret.
fn shown() -> Vec<Setting<String>> {
    let mut all = vec![
        state::SITE_NAME,
        state::HARDWARE_ID_FROM.as_text(),
        state::SITE_UUID,
        state::SITE_ID.as_text(),
        state::ROLE.as_text(),
        state::LEGACY_SITE_ID.as_text(),
        state::DISCOVERED_AT.as_text(),
        state::INITIALISED_AT.as_text(),
        state::PUSH_UNCONFIRMED.as_text(),
        state::PUSH_UNCONFIRMED_LEGACY.as_text(),
        state::PULL_OWN.as_text(),
        state::LIBRARY_VERSION,
        state::HTTPS_ONLY.as_text(),
        state::LOST.as_text(),
        state::QUEUE_PREPARED.as_text(),
        state::FILES_SWEPT_AT.as_text(),
    ];
    all.extend(state::recovery_shown());
    all
}

/// Settings with addresses, into which people may have put a password.
const ADDRESSES: [Setting<String>; 3] = [state::LEGACY_URL, state::CENTRAL_URL, state::CENTRAL_CONFIRMED];

/// The settings that are only reported as present.
fn secret() -> [Setting<String>; 3] {
    [state::PASSWORD_HASH.as_text(), state::HARDWARE_ID, state::HARDWARE_ID_BOUND]
}

/// A quarantined record, without the values of its data.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct RedactedSetAside {
    /// All known reasons, without the data.
    #[serde(flatten)]
    pub set_aside: SetAside,
    /// The fields of its data, each with the kind of its value.
    pub fields: Vec<FieldShape>,
}

/// A field without its value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct FieldShape {
    /// Its name.
    pub name: String,
    /// The kind of its value.
    #[serde(flatten)]
    pub shape: Shape,
}

/// The kind of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "is", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Shape {
    /// Nothing.
    Null,
    /// True or false.
    Boolean,
    /// A number.
    Number,
    /// Text of so many characters.
    Text {
        /// The number of characters.
        characters: usize,
    },
    /// A list of so many values.
    List {
        /// The number of values.
        length: usize,
    },
    /// An object of so many fields.
    Object {
        /// The number of fields.
        length: usize,
    },
    /// Not JSON.
    Unreadable,
}

impl Shape {
    fn of(json: &str) -> Self {
        match serde_json::from_str(json) {
            Ok(Value::Null) => Self::Null,
            Ok(Value::Bool(_)) => Self::Boolean,
            Ok(Value::Number(_)) => Self::Number,
            Ok(Value::String(text)) => Self::Text { characters: text.chars().count() },
            Ok(Value::Array(values)) => Self::List { length: values.len() },
            Ok(Value::Object(fields)) => Self::Object { length: fields.len() },
            Err(_) => Self::Unreadable,
        }
    }
}

fn shapes(data: &RecordData) -> Vec<FieldShape> {
    match Fields::parse(data.as_str()) {
        Some(fields) => fields
            .iter()
            .map(|(name, value)| FieldShape { name: name.to_owned(), shape: Shape::of(value.get()) })
            .collect(),
        None => vec![FieldShape { name: "$".to_owned(), shape: Shape::of(data.as_str()) }],
    }
}

impl Support {
    /// The first quarantined records, without the values of their data.
    ///
    /// # Errors
    /// The database failed.
    pub fn redacted_set_aside(&self, most: usize) -> Result<Vec<RedactedSetAside>> {
        let txn = self.storage.read()?;
        let mut numbers = Vec::new();
        each_quarantined(txn.as_ref(), 0, |row, _| {
            if numbers.len() < most {
                numbers.push(row.sequence);
            }
            Ok(())
        })?;
        let mut all = Vec::with_capacity(numbers.len());
        for number in numbers {
            let mut set_aside = set_aside_in(txn.as_ref(), number)?;
            let data = std::mem::replace(&mut set_aside.data, RecordData::empty());
            keep_words_out(set_aside.cause, &mut set_aside.reason);
            all.push(RedactedSetAside { set_aside, fields: shapes(&data) });
        }
        Ok(all)
    }
}

impl Support {
    /// The quarantine, grouped by cause, without the reasons that people typed.
    ///
    /// # Errors
    /// The database failed.
    pub fn redacted_groups(&self) -> Result<Vec<SetAsideGroup>> {
        let mut groups = self.set_aside_groups(None)?;
        groups.iter_mut().for_each(|group| keep_words_out(group.cause, &mut group.reason));
        Ok(groups)
    }
}

/// For an ignored record, only its cause from before stays.
fn keep_words_out(cause: QuarantineCause, reason: &mut String) {
    if cause == QuarantineCause::Ignored {
        let before = reason.rsplit_once(IGNORED_BEFORE).map_or(")", |(_, before)| before);
        *reason = format!("{KEPT_OUT}{IGNORED_BEFORE}{before}");
    }
}

impl Support {
    /// The newest entries of the sync log, without the reasons that people typed.
    ///
    /// # Errors
    /// The database failed.
    pub fn redacted_log(&self, most: usize) -> Result<Vec<LogEntry>> {
        let entries = self.storage.read()?.log(most)?;
        Ok(entries.into_iter().map(|entry| without_words(entry, KEPT_OUT)).collect())
    }
}

/// A file, without its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RedactedFile {
    /// The id of its reference.
    pub id: RecordId,
    /// The table of its record.
    pub table: TableName,
    /// The direction of its bytes.
    pub direction: FileDirection,
    /// Its state.
    pub state: FileState,
    /// Its length, if known.
    pub bytes: Option<u64>,
    /// The number of failures in a row.
    pub attempts: u32,
    /// The time of the next try.
    pub next_at: Option<Timestamp>,
    /// The reason of the failure.
    pub reason: Option<String>,
    /// The time of the last change.
    pub changed_at: Timestamp,
}

impl From<FileEntry> for RedactedFile {
    fn from(entry: FileEntry) -> Self {
        let FileEntry { id, table, direction, state, bytes, attempts, next_at, reason, changed_at, .. } = entry;
        Self { id, table, direction, state, bytes, attempts, next_at, reason, changed_at }
    }
}

impl Support {
    /// The first files that are not done, without their names.
    ///
    /// # Errors
    /// The database failed.
    pub fn redacted_files(&self, most: usize) -> Result<Vec<RedactedFile>> {
        const PAGE: usize = 500;
        let txn = self.storage.read()?;
        let (mut all, mut after) = (Vec::new(), None);
        loop {
            let page = txn.files(after.as_ref(), PAGE)?;
            let is_last = page.len() < PAGE;
            after = page.last().map(|entry| entry.id.clone());
            let open = page.into_iter().filter(|entry| entry.state != FileState::Done);
            all.extend(open.take(most.saturating_sub(all.len())).map(RedactedFile::from));
            if is_last || all.len() >= most {
                return Ok(all);
            }
        }
    }
}

impl Support {
    /// The settings of this database; secrets only as present or missing.
    ///
    /// # Errors
    /// The database failed.
    pub fn settings_shown(&self) -> Result<BTreeMap<&'static str, String>> {
        let txn = self.storage.read()?;
        let mut all = BTreeMap::new();
        let txn = txn.as_ref();
        for setting in shown() {
            all.extend(setting.find(txn)?.map(|value| (setting.name(), value)));
        }
        for setting in ADDRESSES {
            all.extend(setting.find(txn)?.map(|value| (setting.name(), masked_url(&value))));
        }
        for setting in secret() {
            all.extend(setting.find(txn)?.map(|_| (setting.name(), KEPT_OUT.to_owned())));
        }
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::PasswordHash;
    use crate::protocol::v6::Action;
    use crate::storage::Repair;
    use crate::storage::{Incoming, Quarantine, Source};

    #[test]
    fn nothing_of_a_record_and_no_words_of_people_are_left() {
        let support = Support::in_memory();
        let data =
            r#"{"id":"v","first":"Miriam","given":true,"dose":2,"history":["Miriam"],"more":{"a":"Miriam"},"x":null}"#;
        let row = Incoming {
            source: Source::Central,
            table: "vaccination".into(),
            id: "v".into(),
            action: Action::Update,
            data: RecordData::parse(data).unwrap(),
            cursor: None,
            known: Default::default(),
            quarantine: Some(Quarantine {
                cause: QuarantineCause::Malformed,
                reason: "$.dose: expected text".to_owned(),
                waits_for: None,
            }),
        };
        let txn = support.storage.write().unwrap();
        txn.stage(&row, Timestamp::from_unix_millis(0)).unwrap();
        let words = |text: &str| text.to_owned();
        let repair =
            Repair { command: words("resend"), reason: words("Miriam asked"), changed: words("2 records go out") };
        repair.note(txn.as_ref(), Timestamp::from_unix_millis(0)).unwrap();
        state::PASSWORD_HASH.set(txn.as_ref(), PasswordHash::from_hex("hash")).unwrap();
        state::HARDWARE_ID.set(txn.as_ref(), "machine").unwrap();
        state::SITE_NAME.set(txn.as_ref(), "clinic").unwrap();
        txn.commit().unwrap();
        support.ignore(1, "Miriam (it was me) said so").unwrap();

        let all = support.redacted_set_aside(10).unwrap();
        assert_eq!(all[0].set_aside.reason, "(kept out) (it was malformed: $.dose: expected text)");
        assert_eq!(support.redacted_groups().unwrap()[0].reason, all[0].set_aside.reason);
        let shapes: Vec<_> = all[0].fields.iter().map(|field| (field.name.as_str(), field.shape)).collect();
        let expected = [
            ("id", Shape::Text { characters: 1 }),
            ("first", Shape::Text { characters: 6 }),
            ("given", Shape::Boolean),
            ("dose", Shape::Number),
            ("history", Shape::List { length: 1 }),
            ("more", Shape::Object { length: 1 }),
            ("x", Shape::Null),
        ];
        assert_eq!(shapes, expected);
        let log = support.redacted_log(10).unwrap();
        assert_eq!(log[0].report["repair"]["command"], "resend");
        let settings = support.settings_shown().unwrap();
        assert_eq!((settings["password_sha256"].as_str(), settings["site_name"].as_str()), (KEPT_OUT, "clinic"));
        let told = [&all.serialized(), &log.serialized(), &settings.serialized()].map(String::as_str).concat();
        for kept_out in ["Miriam", "machine", r#""hash""#] {
            assert!(!told.contains(kept_out), "{kept_out}: {told}");
        }
        assert_eq!(support.redacted_set_aside(0).unwrap().len(), 0);
    }

    trait Serialized: Serialize {
        fn serialized(&self) -> String {
            serde_json::to_string(self).unwrap()
        }
    }
    impl<T: Serialize> Serialized for T {}
}
