//! The search columns of records: read from their data once, when they are written, by the code that also decides about
//! them. SQL reads JSON differently, and would find another record.

use crate::record::{NameId, RecordData, RecordId, Scope, StoreId, TableName, json_text, record_type};

const STORES: &str = "store";
pub(in crate::storage) const JOINS: &str = "name_store_join";

/// The search columns of a record.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::storage) struct Found {
    /// The parent record whose store it belongs to.
    pub parent: Option<RecordId>,
    /// The site number of a store's record.
    pub site: Option<i64>,
    /// The name and the store of a join, unless it is inactive.
    pub join: Option<(NameId, StoreId)>,
}

impl Found {
    /// The search columns of this record.
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

/// The name and the store of a join, active or not.
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
