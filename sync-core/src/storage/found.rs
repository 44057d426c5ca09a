//! What a storage finds records by: read from their data once, when they are written, by the one reader that decides about
//! them too. SQL reads JSON in ways of its own, and looked for the same record somewhere else.

use crate::record::{NameId, RecordData, RecordId, Scope, StoreId, TableName, json_text, record_type};

const STORES: &str = "store";
pub(in crate::storage) const JOINS: &str = "name_store_join";

/// What a record is found by.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::storage) struct Found {
    /// The record whose store it belongs to.
    pub parent: Option<RecordId>,
    /// Of a store, the number of the site on which it is active.
    pub site: Option<i64>,
    /// Of a join that is not inactive, the name and the store that it joins.
    pub join: Option<(NameId, StoreId)>,
}

impl Found {
    /// What this record is found by.
    pub(in crate::storage) fn of(table: &TableName, data: &RecordData) -> Self {
        match table.as_str() {
            STORES => {
                let site = data.fields().and_then(|fields| fields.number("sync_id_remote_site"));
                Self { site, ..Self::default() }
            }
            JOINS => Self { join: joined(data).filter(|_| !is_inactive(data)), ..Self::default() },
            table => Self { parent: parent(table, data), ..Self::default() },
        }
    }
}

/// The name and the store that a join joins, active or not.
pub(in crate::storage) fn joined(join: &RecordData) -> Option<(NameId, StoreId)> {
    let fields = join.fields()?;
    let text = |key| fields.text(key).map(std::borrow::Cow::into_owned);
    Some((NameId::new(text("name_ID")?), StoreId::new(text("store_ID")?)))
}

fn is_inactive(join: &RecordData) -> bool {
    let fields = join.fields();
    let inactive = fields.as_ref().and_then(|fields| fields.get("inactive"));
    inactive.is_some_and(|raw| matches!(raw.get(), "true" | "1"))
}

fn parent(table: &str, data: &RecordData) -> Option<RecordId> {
    let kind = record_type(table)?;
    let Scope::ParentStore(field, ..) = kind.scope else { return None };
    let fields = data.fields()?;
    let raw = kind.field(field)?.find(&fields)?;
    json_text(raw).map(|id| RecordId::new(id.into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(table: &str, data: &str) -> Found {
        Found::of(&TableName::from(table), &RecordData::parse(data).unwrap())
    }

    #[test]
    fn what_each_table_is_found_by() {
        let site = |data: &str| found("store", data).site;
        assert_eq!(site(r#"{"ID":"s","sync_id_remote_site":7}"#), Some(7));
        assert_eq!(site(r#"{"sync_id_remote_site":" 7 "}"#), Some(7));
        assert_eq!(site(r#"{"sync_id_remote_site":7.0}"#), Some(7));
        for none in [r#"{"sync_id_remote_site":"7a"}"#, r#"{"sync_id_remote_site":7.5}"#, "{}", "[]"] {
            assert_eq!(site(none), None, "{none}");
        }
        let join = |more: &str| found(JOINS, &format!(r#"{{"name_ID":"n","store_ID":"s"{more}}}"#)).join;
        let active = Some(("n".into(), "s".into()));
        for more in ["", r#","inactive":false"#, r#","inactive":null"#, r#","inactive":0"#] {
            assert_eq!(join(more), active, "{more}");
        }
        assert_eq!((join(r#","inactive":true"#), join(r#","inactive":1"#)), (None, None));
        assert_eq!(found("asset_log", r#"{"asset_id":"a"}"#).parent, Some("a".into()));
        assert_eq!(found("asset", r#"{"store_id":"a"}"#), Found::default());
    }
}
