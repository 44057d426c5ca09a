//! The fields that name an item, a name or a clinician: the records that the legacy server merges (`legacy-tables`,
//! *Merge*).

use std::borrow::Cow;

use super::json::RecordData;
use super::{RecordId, record_type};

/// The tables with merges.
pub(crate) const MERGED: [&str; 3] = ["item", "name", "clinician"];

/// Fields of record types, with the table of the named record. Each field also under its former names.
const TYPED: &[(&str, &str, &str)] = &[
    ("ancillary_item", "ancillary_item_id", "item"),
    ("ancillary_item", "item_id", "item"),
    ("asset", "donor_name_id", "name"),
    ("item_variant", "item_link_id", "item"),
    ("item_variant", "manufacturer_id", "name"),
    ("name_store_join", "name_ID", "name"),
    ("pack_variant", "itemId", "item"),
    ("rnr_form", "name_id", "name"),
    ("rnr_form_line", "item_link_id", "item"),
    ("vaccination", "clinician_link_id", "clinician"),
    ("vaccination", "facility_name_id", "name"),
    ("vaccination", "item_link_id", "item"),
    ("vaccination", "patient_id", "name"),
    ("vaccine_course_item", "item_link_id", "item"),
];

/// Keys of legacy documents, in lower case, with the table of the named record.
const IN_DOCUMENTS: &[(&str, &str)] = &[
    ("clinician_id", "clinician"),
    ("customer_id", "name"),
    ("donor_id", "name"),
    ("item_id", "item"),
    ("manufacturer_id", "name"),
    ("name_id", "name"),
    ("patient_id", "name"),
    ("prescriber_id", "clinician"),
    ("supplier_id", "name"),
];

/// The table of the record that a field names, if it has merges.
fn target(table: &str, key: &str) -> Option<&'static str> {
    let Some(kind) = record_type(table) else {
        let key = key.to_ascii_lowercase();
        return IN_DOCUMENTS.iter().find(|(name, _)| *name == key).map(|(_, target)| *target);
    };
    let is_it = |name: &str| name == key || kind.field(name).is_some_and(|field| field.aliases.contains(&key));
    TYPED.iter().find(|(of, name, _)| *of == table && is_it(name)).map(|(_, _, target)| *target)
}

/// The data with each reference to a merged record replaced by that to the remaining one, from `kept`; `None` if there
/// is none in it.
pub(crate) fn with_kept<E>(
    table: &str,
    data: &RecordData,
    mut kept: impl FnMut(&'static str, RecordId) -> Result<Option<RecordId>, E>,
) -> Result<Option<RecordData>, E> {
    let Some(fields) = data.fields() else { return Ok(None) };
    let mut changed = false;
    let mut out: Vec<String> = Vec::new();
    for (key, value) in fields.iter() {
        let mut text = Cow::Borrowed(value.get());
        if let (Some(target), Some(id)) = (target(table, key), super::json_text(value).filter(|id| !id.is_empty()))
            && let Some(id) = kept(target, RecordId::new(id.into_owned()))?
        {
            text = Cow::Owned(serde_json::Value::from(id.as_str()).to_string());
            changed = true;
        }
        out.push(format!("{}:{text}", serde_json::Value::from(key)));
    }
    Ok(changed.then(|| RecordData::parse(format!("{{{}}}", out.join(","))).ok()).flatten())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_declared_field_is_one_of_its_type() {
        for (table, field, target) in TYPED {
            let kind = record_type(table).unwrap_or_else(|| panic!("{table}"));
            assert!(kind.field(field).is_some() && MERGED.contains(target), "{table}.{field}");
        }
        assert!(IN_DOCUMENTS.iter().all(|(key, target)| *key == key.to_lowercase() && MERGED.contains(target)));
    }

    #[test]
    fn names_of_merged_records_are_replaced_and_nothing_else() {
        let kept = |target: &'static str, id: RecordId| -> Result<Option<RecordId>, std::convert::Infallible> {
            Ok((target == "name" && id.as_str() == "old").then(|| "new \"1\"".into()))
        };
        let replaced = |table: &str, data: &str| {
            let data = RecordData::parse(data).unwrap();
            with_kept(table, &data, kept).unwrap().map(|data| data.as_str().to_owned())
        };
        assert_eq!(
            replaced("vaccination", r#"{"id":"old","patient_link_id":"old","facility_name_id":null,"n":1.50}"#)
                .unwrap(),
            r#"{"id":"old","patient_link_id":"new \"1\"","facility_name_id":null,"n":1.50}"#
        );
        assert_eq!(
            replaced("transact", r#"{"ID":"t","name_ID":"old"}"#).unwrap(),
            r#"{"ID":"t","name_ID":"new \"1\""}"#
        );
        for (table, data) in [
            ("vaccination", r#"{"patient_id":"other","comment":"old"}"#),
            ("transact", r#"{"ID":"old","item_ID":"old","the_ref":"old"}"#),
            ("transact", "null"),
        ] {
            assert_eq!(replaced(table, data), None, "{data}");
        }
    }
}
