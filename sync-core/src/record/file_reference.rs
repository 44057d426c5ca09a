//! The content of a `sync_file_reference`.

use serde_json::json;

use super::file_name::safe_file_name;
use crate::record::{RecordData, RecordId, SyncFileReference, TableName, TypedRecord as _};

/// The table of references.
pub(crate) const TABLE: &str = "sync_file_reference";

/// The key with the SHA-256 of the bytes. Only this project uses it: others ignore it, and may not pass it on.
const SHA256: &str = "sha256";

/// The content of a reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reference {
    pub table: TableName,
    pub record_id: RecordId,
    pub file_name: String,
    pub mime_type: Option<String>,
    /// The length, if known: a missing length reads as 0.
    pub bytes: Option<u64>,
    pub sha256: Option<String>,
    pub is_deleted: bool,
}

impl Reference {
    /// Reads it; `None` for other data.
    pub(crate) fn read(data: &RecordData) -> Option<Self> {
        let typed = SyncFileReference::read(data).ok()?;
        let sha256 = data.fields().and_then(|fields| fields.text(SHA256).map(std::borrow::Cow::into_owned));
        let sha256 = sha256.filter(|hash| hash.len() == 64 && hash.chars().all(|c| c.is_ascii_hexdigit()));
        let bytes = u64::try_from(typed.total_bytes).ok().filter(|bytes| *bytes > 0 || sha256.is_some());
        Some(Self {
            table: TableName::new(typed.table_name),
            record_id: RecordId::new(typed.record_id),
            file_name: typed.file_name,
            mime_type: typed.mime_type,
            bytes,
            sha256: sha256.map(|hash| hash.to_ascii_lowercase()),
            is_deleted: typed.deleted_datetime.is_some(),
        })
    }

    /// The data of a new reference. Its name is made safe first, because Open mSupply puts it into a path.
    pub(crate) fn write(&self, id: &RecordId, created: &str) -> RecordData {
        RecordData::of(&json!({
            "id": id,
            "table_name": self.table,
            "record_id": self.record_id,
            "file_name": safe_file_name(&self.file_name),
            "mime_type": self.mime_type,
            "total_bytes": self.bytes,
            "created_datetime": created,
            "deleted_datetime": null,
            SHA256: self.sha256,
        }))
    }

    /// The difference of bytes with this length and hash from the reference; `None` if they match.
    pub(crate) fn fault_of(&self, bytes: u64, sha256: &str) -> Option<String> {
        match (self.bytes, &self.sha256) {
            (Some(announced), _) if announced != bytes => {
                let than = if bytes > announced { "longer" } else { "shorter" };
                Some(format!("it is {than} than announced: {bytes} bytes in place of {announced}"))
            }
            (_, Some(announced)) if announced != sha256 && !planted!(FileHashIgnored) => {
                Some("its bytes are not those that were announced: the hash differs".to_owned())
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_valid() {
        let reference = Reference {
            table: "asset".into(),
            record_id: "x3".into(),
            file_name: "a photo é.txt".to_owned(),
            mime_type: Some("text/plain".to_owned()),
            bytes: Some(26),
            sha256: Some("ab".repeat(32)),
            is_deleted: false,
        };
        let data = reference.write(&"f".into(), "2025-02-11T08:41:55.120");
        assert_eq!(Reference::read(&data), Some(reference.clone()));
        assert_eq!(reference.fault_of(26, &"ab".repeat(32)), None);
        assert!(reference.fault_of(27, &"ab".repeat(32)).unwrap().contains("longer"));
        assert!(reference.fault_of(25, &"ab".repeat(32)).unwrap().contains("shorter"));
        assert!(reference.fault_of(26, &"00".repeat(32)).unwrap().contains("hash"));
    }

    #[test]
    fn a_length_of_nought_says_nothing_unless_there_is_a_hash() {
        let read = |extra: &str| {
            let text = format!(
                r#"{{"id":"f","table_name":"asset","record_id":"a","file_name":"n","created_datetime":"2025-01-01T00:00:00"{extra}}}"#
            );
            Reference::read(&RecordData::parse(text).unwrap()).unwrap()
        };
        assert_eq!((read("").bytes, read(r#","total_bytes":0"#).bytes), (None, None));
        assert_eq!(read(r#","total_bytes":-5"#).bytes, None);
        let empty = read(&format!(r#","total_bytes":0,"sha256":"{}""#, "0A".repeat(32)));
        assert_eq!((empty.bytes, empty.sha256), (Some(0), Some("0a".repeat(32))));
        assert_eq!(read(r#","sha256":"short""#).sha256, None);
        assert_eq!(read("").fault_of(99, "any"), None);
    }
}
