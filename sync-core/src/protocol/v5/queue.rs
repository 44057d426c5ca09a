//! The legacy server's queue for each site, and the pushes of a site (`protocol-v5` §7.2, §7.3, §8).

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::central_records::{UnreadableRecord, lower_case, read_element};
use crate::protocol::v6::{Action, WireRecord};
use crate::record::{Fields, RecordData, RecordId, TableName};

/// The answer to `POST /sync/v5/initialise`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct QueueLength {
    /// The number of waiting records.
    pub queue_length: u64,
}

/// The answer to `GET /sync/v5/queued_records`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct QueueBatch {
    /// The number of waiting records, including those of this batch.
    pub queue_length: u64,
    /// Records; the same again until they are acknowledged.
    #[serde(default)]
    pub data: Vec<QueuedRecord>,
}

/// A record of the queue.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct QueuedRecord {
    /// The id of its acknowledgement.
    pub sync_out_id: String,
    /// The legacy table name.
    pub table_name: TableName,
    /// The record's id.
    pub record_id: RecordId,
    /// The action; the legacy server writes it in lower case.
    #[serde(serialize_with = "lower_case")]
    pub action: Action,
    /// Its data; missing on deletes.
    #[serde(default = "RecordData::empty")]
    pub record_data: RecordData,
}

impl From<QueuedRecord> for WireRecord {
    fn from(record: QueuedRecord) -> Self {
        let QueuedRecord { table_name, record_id, action, record_data, .. } = record;
        Self { table_name, record_id, action, record_data }
    }
}

/// The answer as it is read: each record separately, so that one bad record does not stop the others (weak point B5).
#[derive(Debug, Clone)]
pub struct ReadQueueBatch {
    /// The number of waiting records, including those of this batch.
    pub queue_length: u64,
    /// The records, each readable or not.
    pub data: Vec<Result<QueuedRecord, UnreadableRecord<String>>>,
}

impl ReadQueueBatch {
    /// The ids that acknowledge the batch.
    pub fn sync_out_ids(&self) -> Vec<String> {
        let id = |element: &Result<QueuedRecord, UnreadableRecord<String>>| match element {
            Ok(record) => Some(record.sync_out_id.clone()),
            Err(bad) => bad.key.clone(),
        };
        self.data.iter().filter_map(id).collect()
    }
}

impl<'de> Deserialize<'de> for ReadQueueBatch {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct RawQueuedRecord {
            queue_length: u64,
            #[serde(default)]
            data: Vec<Box<RawValue>>,
        }

        let raw = RawQueuedRecord::deserialize(deserializer)?;
        Ok(Self {
            queue_length: raw.queue_length,
            data: raw.data.iter().map(|element| read_element(element, sync_out_id)).collect(),
        })
    }
}

fn sync_out_id(fields: &Fields<'_>) -> Option<String> {
    fields.text("syncOutId").map(std::borrow::Cow::into_owned)
}

/// The body of `POST /sync/v5/acknowledged_records`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acknowledged {
    /// The stored entries; the key's capitals are the server's.
    #[serde(rename = "syncIDs")]
    pub sync_ids: Vec<String>,
}

/// The body of `POST /sync/v5/queued_records`; it is read as a [`ReadQueueBatch`].
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PushedQueue {
    /// Changelog rows that are still to be pushed, including those of this batch. 0 asks the server to integrate.
    pub queue_length: u64,
    /// The records.
    pub data: Vec<PushedRecord>,
}

/// A record that a site pushes.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PushedRecord {
    /// Its cursor in the site's changelog, as decimal text.
    pub sync_out_id: String,
    /// The record.
    #[serde(flatten)]
    pub record: WireRecord,
}

/// The answer to `POST /sync/v5/queued_records`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PushedAnswer {
    /// True if the server has begun to integrate the push.
    pub integration_started: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_with_a_bad_element_is_read_and_can_be_acknowledged() {
        let json = r#"{"queueLength":3,"data":[
            {"syncOutId":"A","tableName":"transact","recordId":"t","action":"insert","recordData":{"ID":"t"}},
            {"syncOutId":"B","tableName":"name","recordId":"n","action":"explode"},
            {"syncOutId":"C","tableName":"transact","recordId":"u","action":"delete"}]}"#;
        let batch: ReadQueueBatch = serde_json::from_str(json).unwrap();
        assert_eq!((batch.queue_length, batch.sync_out_ids()), (3, vec!["A".into(), "B".into(), "C".into()]));
        let bad = batch.data[1].as_ref().unwrap_err();
        assert_eq!((bad.table.as_ref().unwrap().as_str(), bad.id.as_ref().unwrap().as_str()), ("name", "n"));
        assert_eq!(batch.data[2].as_ref().unwrap().record_data.as_str(), "{}");
        let without: ReadQueueBatch = serde_json::from_str(r#"{"queueLength":18344}"#).unwrap();
        assert!(without.data.is_empty());
    }

    /// The examples of the spec (`protocol-v5` §7.3, §8).
    #[test]
    fn what_a_site_sends() {
        let acknowledged = Acknowledged { sync_ids: vec!["E0".into(), "F1".into()] };
        assert_eq!(serde_json::to_string(&acknowledged).unwrap(), r#"{"syncIDs":["E0","F1"]}"#);
        let deleted = PushedRecord {
            sync_out_id: "5520".into(),
            record: WireRecord {
                table_name: "trans_line".into(),
                record_id: "6e1d".into(),
                action: Action::Delete,
                record_data: RecordData::of(&()),
            },
        };
        let pushed = PushedQueue { queue_length: 2, data: vec![deleted] };
        assert_eq!(
            serde_json::to_value(&pushed).unwrap(),
            serde_json::json!({"queueLength": 2, "data": [
                {"syncOutId": "5520", "tableName": "trans_line", "recordId": "6e1d", "action": "Delete", "recordData": null}]})
        );
        let empty = PushedQueue { queue_length: 0, data: Vec::new() };
        assert_eq!(serde_json::to_string(&empty).unwrap(), r#"{"queueLength":0,"data":[]}"#);
    }
}
