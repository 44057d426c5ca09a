//! The dialects of older releases: all differences of all versions, in the tables here and nowhere else.
//!
//! A site sends its release in each request. Releases of central have changed the wire without a new sync version
//! (`record-types`, quirks W1 and W3): keys were renamed, and a site drops a record with an unknown value or table for
//! good. So central writes the older key, and withholds records that a site cannot read until its release can.

use super::{Action, BatchElement, Release, release};
use crate::record::{Fields, RecordData, RecordType, json_text, record_type};

/// Keys with another name before a release: table, key, key before, release.
#[rustfmt::skip]
const RENAMED: &[(&str, &str, &str, Release)] = &[
    ("item_variant", "manufacturer_id",  "manufacturer_link_id",  (2, 17, 0)),
    ("vaccination",  "patient_id",       "patient_link_id",       (2, 17, 0)),
    ("vaccination",  "facility_name_id", "facility_name_link_id", (2, 17, 0)),
    ("rnr_form",     "name_id",          "name_link_id",          (2, 17, 0)),
];

/// Values that a release added: table, key, value, release. If the key holds a list, one such value is enough.
#[rustfmt::skip]
const VALUES: &[(&str, &str, &str, Release)] = &[
    ("asset_log",        "status",           "UNSERVICEABLE",   (2,  4, 0)),
    ("asset_log_reason", "asset_log_status", "UNSERVICEABLE",   (2,  4, 0)),
    ("asset_property",   "value_type",       "DATE",            (2, 18, 0)),
    ("property",         "value_type",       "DATE",            (2, 18, 0)),
    ("om_report",        "context",          "INTERNAL_ORDER",  (2,  6, 1)),
    ("om_report",        "context",          "PURCHASE_ORDER",  (2, 10, 0)),
    ("om_report",        "context",          "SUPPLIER_RETURN", (2, 15, 0)),
    ("om_report",        "context",          "CUSTOMER_RETURN", (2, 15, 0)),
    ("backend_plugin",   "types",            "graphql_query",   (2,  6, 1)),
    ("backend_plugin",   "types",            "processor",       (2,  7, 4)),
    ("backend_plugin",   "types",            "get_consumption", (2, 13, 0)),
    ("backend_plugin",   "types",            "schedule",        (2, 17, 0)),
];

/// Tables that some releases did not know: table, from this release, to before that one.
const LOST: &[(&str, Release, Release)] = &[("asset_internal_location", (2, 14, 0), (2, 14, 1))];

/// Keys that a release before takes for its own, where they are those of the sender: table, key, release. They are left out.
const NOT_ITS_OWN: &[(&str, &str, Release)] =
    &[("sync_file_reference", "status", (2, 20, 0)), ("sync_file_reference", "error", (2, 20, 0))];

/// Deletes that are understood from a release on; those of all other tables since the table exists.
#[rustfmt::skip]
const DELETES: &[(&str, Release)] = &[
    ("asset",         (2, 13, 1)),
    ("plugin_data",   (2, 20, 0)),
    ("rnr_form",      (2, 9, 1)),
    ("rnr_form_line", (2, 9, 1)),
];

/// The release whose wire this library writes.
const OURS: Release = (2, 21, 0);

/// The records that sites of one release can read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dialect(Release);

/// Why a record is withheld from a site.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is its own meaning")]
pub enum WithholdReason {
    Table,
    Value,
    Delete,
}

impl Dialect {
    /// The dialect of the release that a site sends; a newer or unreadable one counts as ours.
    pub fn of(app_version: &str) -> Self {
        Self(release(app_version).unwrap_or(OURS).min(OURS))
    }

    /// The dialect of a release.
    pub fn of_release(release: Release) -> Self {
        Self(release.min(OURS))
    }

    /// The release.
    pub fn release(self) -> Release {
        self.0
    }

    /// A record as the site reads it, or the reason why it cannot.
    ///
    /// # Errors
    /// The site's release does not know the table, a value, or that such a record is deleted.
    pub fn write(self, element: BatchElement) -> Result<BatchElement, WithholdReason> {
        let Some(kind) = record_type(element.record.table_name.as_str()).filter(|_| self.0 < OURS) else {
            return Ok(element);
        };
        if !self.knows(kind) {
            return Err(WithholdReason::Table);
        }
        if element.record.action == Action::Delete {
            let since = DELETES.iter().find(|(table, _)| *table == kind.table);
            return if since.is_some_and(|(_, since)| self.0 < *since) {
                Err(WithholdReason::Delete)
            } else {
                Ok(element)
            };
        }
        let Some(fields) = element.record.record_data.fields() else { return Ok(element) };
        if self.has_unknown_value(kind, &fields) {
            return Err(WithholdReason::Value);
        }
        match self.respelled(kind, &fields) {
            Some(data) => {
                let record = super::WireRecord { record_data: data, ..element.record };
                Ok(BatchElement { record, ..element })
            }
            None => Ok(element),
        }
    }

    fn knows(self, kind: &RecordType) -> bool {
        let since = release(kind.since).is_none_or(|since| self.0 >= since) || planted!(LaterTypesSent);
        since && !LOST.iter().any(|(table, from, to)| *table == kind.table && *from <= self.0 && self.0 < *to)
    }

    fn has_unknown_value(self, kind: &RecordType, fields: &Fields<'_>) -> bool {
        VALUES.iter().filter(|(table, .., since)| *table == kind.table && self.0 < *since).any(|(_, key, value, _)| {
            let Some(raw) = fields.get(key) else { return false };
            match json_text(raw) {
                Some(text) => text == *value,
                None => {
                    serde_json::from_str::<Vec<String>>(raw.get()).is_ok_and(|list| list.iter().any(|v| v == value))
                }
            }
        })
    }

    /// The data with the keys of the release, if they differ.
    fn respelled(self, kind: &RecordType, fields: &Fields<'_>) -> Option<RecordData> {
        let before = |key: &str| {
            let mut renamed = RENAMED.iter().filter(|(table, .., since)| *table == kind.table && self.0 < *since);
            renamed.find(|(_, now, ..)| *now == key).map(|(_, _, before, _)| *before)
        };
        let is_own = |key: &str| {
            let mut keys = NOT_ITS_OWN.iter().filter(|(table, _, since)| *table == kind.table && self.0 < *since);
            keys.any(|(_, other, _)| *other == key)
        };
        if !fields.iter().any(|(key, _)| before(key).is_some() || is_own(key)) {
            return None;
        }
        // A record may have the older key too, where it means nothing.
        let replaced: Vec<&str> = fields.iter().filter_map(|(key, _)| before(key)).collect();
        let pairs: Vec<String> = fields
            .iter()
            .filter(|(key, _)| !is_own(key) && !replaced.contains(key))
            .map(|(key, value)| format!("{}:{}", serde_json::Value::from(before(key).unwrap_or(key)), value.get()))
            .collect();
        RecordData::parse(format!("{{{}}}", pairs.join(","))).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::v6::WireRecord;
    use crate::record::{Cursor, record_types};

    fn element(table: &str, action: Action, data: &str) -> BatchElement {
        let record_data = RecordData::parse(data).unwrap();
        let record = WireRecord { table_name: table.into(), record_id: "r".into(), action, record_data };
        BatchElement { cursor: Cursor(1), record, sent_since: None, is_own: false }
    }

    fn written(version: &str, table: &str, data: &str) -> Result<String, WithholdReason> {
        let element = Dialect::of(version).write(element(table, Action::Update, data))?;
        Ok(element.record.record_data.as_str().to_owned())
    }

    #[test]
    fn releases_are_read_however_they_are_written() {
        for (text, read) in [
            ("2.16.3", Some((2, 16, 3))),
            ("2.16.03", Some((2, 16, 3))),
            ("v2.2.0-release", Some((2, 2, 0))),
            ("2.19", Some((2, 19, 0))),
            ("", None),
            ("two", None),
            ("2", None),
            ("99999999999.1.1", None),
        ] {
            assert_eq!(release(text), read, "{text}");
        }
        for text in ["2.21.0", "2.22.1", "3.0.0", "", "develop"] {
            assert_eq!(Dialect::of(text).release(), OURS, "{text}");
        }
    }

    /// Every row of every table: the release before it, and the release itself.
    #[test]
    fn each_quirk_begins_and_ends_where_the_tables_say() {
        let text = |(major, minor, patch): Release| format!("{major}.{minor}.{patch}");
        let before = |(major, minor, patch): Release| match (minor, patch) {
            (minor, 0) => text((major, minor - 1, 99)),
            (minor, patch) => text((major, minor, patch - 1)),
        };
        for (table, now, old, since) in RENAMED {
            let data = format!(r#"{{"{now}":"x","other":1}}"#);
            let expected = format!(r#"{{"{old}":"x","other":1}}"#);
            assert_eq!(written(&before(*since), table, &data), Ok(expected.clone()), "{table}");
            assert_eq!(written(&text(*since), table, &data), Ok(data), "{table}");
            let both = format!(r#"{{"{old}":"y","{now}":"x","other":1}}"#);
            assert_eq!(written(&before(*since), table, &both), Ok(expected), "{table}: one key once");
        }
        for (table, key, value, since) in VALUES {
            for data in [format!(r#"{{"{key}":"{value}"}}"#), format!(r#"{{"{key}":["x","{value}"]}}"#)] {
                assert_eq!(written(&before(*since), table, &data), Err(WithholdReason::Value), "{table} {value}");
                assert_eq!(written(&text(*since), table, &data), Ok(data), "{table} {value}");
            }
            let data = format!(r#"{{"{key}":"another"}}"#);
            assert_eq!(written(&before(*since), table, &data), Ok(data), "{table}");
        }
        for (table, key, since) in NOT_ITS_OWN {
            let data = format!(r#"{{"{key}":"x","other":1}}"#);
            assert_eq!(written(&before(*since), table, &data), Ok(r#"{"other":1}"#.to_owned()), "{table}");
            assert_eq!(written(&text(*since), table, &data), Ok(data), "{table}");
        }
        for (table, since) in DELETES {
            let delete = |version: &str| Dialect::of(version).write(element(table, Action::Delete, "null"));
            assert_eq!(delete(&before(*since)).unwrap_err(), WithholdReason::Delete, "{table}");
            assert!(delete(&text(*since)).is_ok(), "{table}");
        }
        for (table, from, to) in LOST {
            assert_eq!(written(&text(*from), table, "{}"), Err(WithholdReason::Table), "{table}");
            assert!(
                written(&before(*from), table, "{}").is_ok() && written(&text(*to), table, "{}").is_ok(),
                "{table}"
            );
        }
    }

    #[test]
    fn a_table_is_held_back_from_releases_before_it() {
        for kind in record_types() {
            let since = release(kind.since).unwrap_or_else(|| panic!("{} since {}", kind.table, kind.since));
            for minor in 0..=21 {
                let is_lost = kind.table == "asset_internal_location" && minor == 14;
                // 2.N.99 stands for the newest of its series, 2.14.0 for itself.
                let version = if minor == 14 { "2.14.0".to_owned() } else { format!("2.{minor}.99") };
                let known = release(&version).unwrap() >= since && !is_lost;
                assert_eq!(written(&version, kind.table, "{}").is_ok(), known, "{} for {version}", kind.table);
            }
        }
    }

    #[test]
    fn what_the_tables_name_is_declared() {
        let field = |table: &str, key: &str| record_type(table).and_then(|kind| kind.field(key)).is_some();
        assert!(RENAMED.iter().all(|(table, now, ..)| field(table, now)));
        assert!(VALUES.iter().all(|(table, key, ..)| field(table, key)));
        assert!(NOT_ITS_OWN.iter().all(|(table, key, _)| field(table, key)));
        assert!(DELETES.iter().all(|(table, _)| record_type(table).is_some()));
    }
}
