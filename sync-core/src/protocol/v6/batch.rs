//! Batches of records (`protocol-v6` §4.2 and §4.3).

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::envelope::replaced_in;
use crate::changelog::ChangelogGap;
use crate::clock::Timestamp;
use crate::record::{Cursor, RecordData, RecordId, TableName};
use crate::redaction::excerpt;

/// The action on a record. Insert and Update both mean "upsert"; we send only `Update` and `Delete`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "each is its own meaning")]
pub enum Action {
    #[serde(alias = "insert")]
    Insert,
    #[serde(alias = "update")]
    Update,
    #[serde(alias = "delete")]
    Delete,
    #[serde(alias = "merge")]
    Merge,
}

/// A record on the wire.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WireRecord {
    /// The wire table name.
    pub table_name: TableName,
    /// The record's id.
    pub record_id: RecordId,
    /// The action.
    pub action: Action,
    /// Its data: as it came; `null` for a delete; a missing key reads as `{}`.
    #[serde(default = "RecordData::empty")]
    pub record_data: RecordData,
}

/// A record with the cursor of its changelog row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BatchElement {
    /// The sender's cursor; several elements may share one.
    pub cursor: Cursor,
    /// The record.
    pub record: WireRecord,
    /// In a push: the position under which this edit was first sent. Smaller ones passed it and it got a new position, although
    /// it may have arrived. Only in this project. Open mSupply neither sends nor reads it (unknown keys are ignored,
    /// `protocol-v6` §2).
    #[serde(default, deserialize_with = "if_it_is_ours", skip_serializing_if = "Option::is_none")]
    pub sent_since: Option<Cursor>,
    /// In an answer to a pull of a site that reads its own records too: true if that site wrote this version. Only in this project.
    /// Open mSupply neither sends nor reads it.
    #[serde(default, deserialize_with = "is_true", skip_serializing_if = "std::ops::Not::not")]
    pub is_own: bool,
}

/// Another meaning of the key stops no push.
pub(crate) fn if_it_is_ours<'de, D: serde::Deserializer<'de>, T: serde::de::DeserializeOwned>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    // Not a tree of values, which may need a hundred times the memory of its text.
    let value = Box::<RawValue>::deserialize(deserializer)?;
    Ok(serde_json::from_str(value.get()).ok())
}

/// Another meaning of the key stops no pull, and no push.
pub(super) fn is_true<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    if_it_is_ours(deserializer).map(|value| value == Some(true))
}

/// A batch as it is sent, and as central reads a push: all or nothing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Batch {
    /// Cursor of the last changelog row considered.
    pub end_cursor: Cursor,
    /// Matching changelog rows at or after the request's cursor, including this batch. A hint.
    pub total_records: u64,
    /// The records, in ascending cursor order.
    pub records: Vec<BatchElement>,
    /// True if nothing is left after this batch.
    pub is_last_batch: bool,
    /// The parts of its own changelog that the sender lost in restores from backups; only in this project. Open mSupply
    /// neither sends nor reads it (unknown keys are ignored, `protocol-v6` §2).
    #[serde(default, deserialize_with = "lost_history", skip_serializing_if = "Vec::is_empty")]
    pub lost_history: Vec<ChangelogGap>,
    /// In an answer: records of the asking site that a rule refused, or that gave way to another version, since it was told
    /// last; only in this project.
    #[serde(default, deserialize_with = "refused", skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<RefusedRecord>,
    /// In an answer: where central goes on with the refused records; the site says it in its next pull
    /// ([`PullRequest::refused_up_to`](super::PullRequest::refused_up_to)). Only in this project.
    #[serde(default, deserialize_with = "if_it_is_ours", skip_serializing_if = "Option::is_none")]
    pub refused_up_to: Option<ReportedRefusals>,
    /// In an answer to the database that goes on as its site: when another copy of it was last refused, as in the answer to a push
    /// ([`CopyReport::refused_at`](super::CopyReport::refused_at)). Only in this project.
    #[serde(default, deserialize_with = "if_it_is_ours", skip_serializing_if = "Option::is_none")]
    pub copy_refused_at: Option<Timestamp>,
}

/// The part of central's quarantine of which a site was told, by the numbers that central gives its entries.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReportedRefusals {
    /// The last entry that was looked at.
    pub up_to: u64,
    /// Entries before it that still waited then: they may be refused later.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waiting: Vec<u64>,
    /// Entries before it that were refused. In an answer those are missing that central has taken since, or lost.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<u64>,
}

/// A record of a site that central refused, and the rule that it broke.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedRecord {
    /// Its table.
    pub table: TableName,
    /// Its id.
    pub id: RecordId,
    /// Why it was refused.
    pub reason: String,
    /// The number of its entry in central's quarantine.
    #[serde(default)]
    pub number: u64,
    /// True if another version won; false if a rule refused it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub superseded: bool,
    /// The position in central's changelog of the version that won.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<Cursor>,
    /// The SHA-256 of that version's data in hexadecimal digits; none for a deletion.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
}

impl Batch {
    /// A last batch without records.
    pub fn empty(end_cursor: Cursor) -> Self {
        let (records, lost_history, refused) = Default::default();
        Self {
            end_cursor,
            total_records: 0,
            records,
            is_last_batch: true,
            lost_history,
            refused,
            refused_up_to: None,
            copy_refused_at: None,
        }
    }
}

/// A pulled batch: each record is read separately, so that one bad record does not stop the others (weak point B19).
#[derive(Debug, Clone)]
pub struct ReadBatch {
    /// Cursor of the last changelog row considered.
    pub end_cursor: Cursor,
    /// Matching changelog rows, including this batch.
    pub total_records: u64,
    /// The records, each readable or not.
    pub records: Vec<Result<BatchElement, Unreadable>>,
    /// True if nothing is left after this batch.
    pub is_last_batch: bool,
    /// Central's losses in restores from backups, if it reports them.
    pub lost_history: Vec<ChangelogGap>,
    /// As [`Batch::refused`].
    pub refused: Vec<RefusedRecord>,
    /// As [`Batch::refused_up_to`].
    pub refused_up_to: Option<ReportedRefusals>,
    /// As [`Batch::copy_refused_at`].
    pub copy_refused_at: Option<Timestamp>,
}

/// An element of a batch that is not a record, kept as it came.
#[derive(Debug, Clone)]
pub struct Unreadable {
    /// Its cursor, if that could be read.
    pub cursor: Option<Cursor>,
    /// Its table, if that could be read.
    pub table: Option<TableName>,
    /// Its id, if that could be read.
    pub id: Option<RecordId>,
    /// Why it cannot be read.
    pub reason: String,
    /// The element as it came.
    pub raw: RecordData,
}

#[derive(Deserialize)]
struct RawBatch<'a> {
    end_cursor: Cursor,
    total_records: Option<u64>,
    #[serde(borrow)]
    records: Vec<&'a RawValue>,
    is_last_batch: bool,
    /// Only this project's central server sends it; another meaning of the key stops no batch.
    #[serde(default, deserialize_with = "lost_history")]
    lost_history: Vec<ChangelogGap>,
    #[serde(default, deserialize_with = "refused")]
    refused: Vec<RefusedRecord>,
    #[serde(default, deserialize_with = "if_it_is_ours")]
    refused_up_to: Option<ReportedRefusals>,
    #[serde(default, deserialize_with = "if_it_is_ours")]
    copy_refused_at: Option<Timestamp>,
}

impl ReadBatch {
    /// Reads a batch from JSON text.
    ///
    /// # Errors
    /// The text is not a batch at all; a single bad record is not an error.
    pub fn parse(json: &str) -> Result<Self, serde_json::Error> {
        let raw: RawBatch<'_> = serde_json::from_str(json)?;
        Ok(Self {
            end_cursor: raw.end_cursor,
            total_records: raw.total_records.unwrap_or(raw.records.len() as u64),
            records: raw.records.into_iter().map(read_element).collect(),
            is_last_batch: raw.is_last_batch,
            lost_history: raw.lost_history,
            refused: raw.refused,
            refused_up_to: raw.refused_up_to,
            copy_refused_at: raw.copy_refused_at,
        })
    }

    /// The highest cursor of its records, readable or not.
    pub fn last_record_cursor(&self) -> Option<Cursor> {
        self.records
            .iter()
            .filter_map(|element| element.as_ref().map_or_else(|bad| bad.cursor, |e| Some(e.cursor)))
            .max()
    }
}

fn read_element(raw: &RawValue) -> Result<BatchElement, Unreadable> {
    #[derive(Deserialize)]
    struct Outer<'a> {
        cursor: Option<Cursor>,
        #[serde(borrow)]
        record: Option<&'a RawValue>,
    }

    let element = serde_json::from_str::<BatchElement>(raw.get());
    let reason = match (element, replaced_in(raw.get())) {
        (Ok(element), None) => {
            element.record.record_data.read_ahead();
            return Ok(element);
        }
        (_, Some(replaced)) => replaced.to_owned(),
        (Err(error), None) => excerpt(error.to_string().as_bytes()),
    };
    let outer = serde_json::from_str::<Outer<'_>>(raw.get()).ok();
    let fields = outer.as_ref().and_then(|o| o.record).and_then(|record| crate::record::Fields::parse(record.get()));
    let text = |key| fields.as_ref().and_then(|f| f.text(key)).map(std::borrow::Cow::into_owned);
    Err(Unreadable {
        cursor: outer.as_ref().and_then(|o| o.cursor),
        table: text("tableName").map(TableName::new),
        id: text("recordId").map(RecordId::new),
        reason,
        raw: RecordData::of(&raw),
    })
}

/// Another meaning of the key stops no push.
pub(super) fn lost_history<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<ChangelogGap>, D::Error> {
    if_it_is_ours(deserializer).map(Option::unwrap_or_default)
}

/// Another meaning of the key stops no push.
fn refused<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<RefusedRecord>, D::Error> {
    if_it_is_ours(deserializer).map(Option::unwrap_or_default)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eight_spellings_of_actions_and_no_other() {
        for (text, action) in [
            ("Insert", Action::Insert),
            ("insert", Action::Insert),
            ("Update", Action::Update),
            ("update", Action::Update),
            ("Delete", Action::Delete),
            ("delete", Action::Delete),
            ("Merge", Action::Merge),
            ("merge", Action::Merge),
        ] {
            assert_eq!(serde_json::from_str::<Action>(&format!("{text:?}")).unwrap(), action);
        }
        for text in ["INSERT", "upsert", "UPSERT", ""] {
            assert!(serde_json::from_str::<Action>(&format!("{text:?}")).is_err(), "{text}");
        }
    }

    #[test]
    fn a_delete_may_miss_its_data() {
        for (json, data) in [
            (r#"{"tableName":"asset","recordId":"1","action":"Delete"}"#, "{}"),
            (r#"{"tableName":"asset","recordId":"1","action":"Delete","recordData":null}"#, "null"),
            (r#"{"tableName":"asset","recordId":"1","action":"Delete","recordData":{}}"#, "{}"),
        ] {
            assert_eq!(serde_json::from_str::<WireRecord>(json).unwrap().record_data.as_str(), data);
        }
    }

    #[test]
    fn one_bad_record_does_not_spoil_the_batch() {
        let batch = ReadBatch::parse(
            r#"{"end_cursor":9,"total_records":4,"is_last_batch":true,"records":[
                {"cursor":7,"record":{"tableName":"asset","recordId":"a","action":"Update","recordData":{"n":1.10}}},
                {"cursor":8,"record":{"tableName":"asset","recordId":"b","action":"UPSERT","recordData":{}}},
                {"cursor":9,"record":{"tableName":"asset","recordId":5}},
                17]}"#,
        )
        .unwrap();
        assert_eq!(batch.records[0].as_ref().unwrap().record.record_data.as_str(), r#"{"n":1.10}"#);
        let bad = batch.records[1].as_ref().unwrap_err();
        assert_eq!(
            (bad.cursor, bad.table.clone(), bad.id.clone()),
            (Some(Cursor(8)), Some("asset".into()), Some("b".into()))
        );
        assert!(bad.reason.contains("unknown variant `UPSERT`"), "{}", bad.reason);
        assert_eq!(batch.records[2].as_ref().unwrap_err().id, None);
        assert_eq!(batch.records[3].as_ref().unwrap_err().raw.as_str(), "17");
        assert_eq!(batch.last_record_cursor(), Some(Cursor(9)));
    }

    /// Whatever else somebody means by `lost_history`, the records beside it are read, in a pull, a push and its answer.
    #[test]
    fn a_strange_lost_history_stops_nothing() {
        let gap = r#"[{"after":3,"before":7}]"#;
        let told = vec![ChangelogGap { after: Cursor(3), before: Cursor(7) }];
        for (value, expected) in [
            (gap, told),
            ("null", vec![]),
            ("5", vec![]),
            (r#""none""#, vec![]),
            (r#"{"after":3}"#, vec![]),
            ("[1]", vec![]),
            (r#"[{"after":"3","before":"x"}]"#, vec![]),
            (r#"[{"after":3,"before":7},{"after":-1,"before":1e300}]"#, vec![]),
        ] {
            let batch = format!(
                r#"{{"end_cursor":7,"total_records":1,"is_last_batch":true,"lost_history":{value},"records":[
                    {{"cursor":7,"record":{{"tableName":"asset","recordId":"a","action":"Update","recordData":{{}}}}}}]}}"#
            );
            let pushed: Batch = serde_json::from_str(&batch).unwrap_or_else(|error| panic!("{value}: {error}"));
            assert_eq!((pushed.records.len(), &pushed.lost_history), (1, &expected), "a push with {value}");
            let pulled = ReadBatch::parse(&batch).unwrap_or_else(|error| panic!("{value}: {error}"));
            assert_eq!((pulled.records.len(), &pulled.lost_history), (1, &expected), "a pull with {value}");
            let answer = format!(r#"{{"records_pushed":1,"lost_history":{value}}}"#);
            let answer: crate::protocol::v6::PushResult =
                serde_json::from_str(&answer).unwrap_or_else(|error| panic!("{value}: {error}"));
            assert_eq!((answer.records_pushed, answer.lost_history), (1, expected), "an answer with {value}");
        }
    }
}
