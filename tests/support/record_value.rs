//! Record data as a value.

use sync_core::record::RecordData;

/// A record's data as a value, for comparing without the order of keys.
pub fn value(data: &RecordData) -> serde_json::Value {
    serde_json::from_str(data.as_str()).expect("record data is JSON")
}
