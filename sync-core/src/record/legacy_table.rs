//! Tables of the legacy server without a record type: their records are kept whole, as documents. Defines which of them
//! a site may write, and which travel to the legacy server.

use super::{RecordData, RecordId, StoreId, TableName};

/// How a site's records of a legacy table travel over V5.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct LegacyTable {
    /// Its name on the wire; capital letters matter.
    pub table: &'static str,
    /// True if the server understands deletes (`sync-cycle` §6.5).
    pub deletes: bool,
}

const fn table(table: &'static str) -> LegacyTable {
    LegacyTable { table, deletes: false }
}

const fn deletable(table: &'static str) -> LegacyTable {
    LegacyTable { table, deletes: true }
}

/// The legacy tables that sites own, sorted by name. All others are configured on the legacy server, and sites only
/// read them.
pub(super) const OWNED_BY_SITES: &[LegacyTable] = &[
    deletable("Goods_received"),
    deletable("Goods_received_line"),
    deletable("Location"),
    deletable("Stock_take"),
    deletable("Stock_take_lines"),
    table("barcode"),
    table("clinician"),
    table("clinician_store_join"),
    table("contact"),
    table("encounter"),
    deletable("indicator_value"),
    deletable("item_line"),
    table("item_store_join"),
    table("location_movement"),
    table("message"),
    table("nameInsuranceJoin"),
    table("om_activity_log"),
    table("om_document"),
    deletable("purchase_order"),
    deletable("purchase_order_line"),
    deletable("requisition"),
    deletable("requisition_line"),
    table("sensor"),
    table("temperature_breach"),
    table("temperature_log"),
    deletable("trans_line"),
    deletable("transact"),
    deletable("vaccine_vial_monitor_status_log"),
];

/// The legacy table of this name, if sites own its records.
pub fn owned_by_sites(table: &str) -> Option<&'static LegacyTable> {
    OWNED_BY_SITES.binary_search_by(|known| known.table.cmp(table)).ok().map(|index| &OWNED_BY_SITES[index])
}

/// Tables that the legacy server configures (`sync-cycle` §6.4), sorted by name.
const CONFIGURED_THERE: &[&str] = &[
    "Location_type",
    "abbreviation",
    "currency",
    "diagnosis",
    "form_schema",
    "indicator_attribute",
    "insuranceProvider",
    "item",
    "item_category",
    "item_category_level1",
    "item_category_level2",
    "item_direction",
    "item_warning_link",
    "list_master",
    "list_master_line",
    "list_master_name_join",
    "name_tag",
    "name_tag_join",
    "om_document_registry",
    "om_user_permission",
    "options",
    "period",
    "periodSchedule",
    "pref",
    "program_indicator",
    "ship_method",
    "store",
    "unit",
    "user",
    "vaccine_vial_monitor_status",
    "warning",
];

/// True if only the legacy server writes records of this table.
pub fn configured_by_legacy(table: &str) -> bool {
    CONFIGURED_THERE.binary_search(&table).is_ok()
}

/// The tables that this version knows: those of record types, and those of the legacy server.
pub(crate) fn known_tables() -> impl Iterator<Item = &'static str> {
    let typed = super::record_types().iter().map(|kind| kind.table);
    typed.chain(OWNED_BY_SITES.iter().map(|known| known.table)).chain(CONFIGURED_THERE.iter().copied())
}

/// True for the name of a record type, and of a table of the legacy server that this version knows.
pub(crate) fn is_known_table(table: &str) -> bool {
    super::record_type(table).is_some() || owned_by_sites(table).is_some() || configured_by_legacy(table)
}

/// Lines have no store: theirs is that of the record in this key, of this table. Sorted by the lines' tables.
const LINES: &[(&str, &str, &str)] = &[
    ("Goods_received_line", "goods_received_ID", "Goods_received"),
    ("Stock_take_lines", "stock_take_ID", "Stock_take"),
    ("purchase_order_line", "purchase_order_ID", "purchase_order"),
    ("requisition_line", "requisition_ID", "requisition"),
    ("trans_line", "transaction_ID", "transact"),
];

/// The row of a table with lines.
fn line_of(table: &str) -> Option<(&'static str, &'static str)> {
    let row = LINES.binary_search_by(|(known, ..)| (*known).cmp(table)).ok().map(|index| LINES[index]);
    row.map(|(_, key, parent)| (key, parent))
}

impl LegacyTable {
    /// The field with the id of the record whose line it is, if its records are lines.
    pub(super) fn parent_field(&self) -> Option<&'static str> {
        self.parent().map(|(key, _)| key)
    }

    /// The same, and the table of that record.
    pub(crate) fn parent(&self) -> Option<(&'static str, &'static str)> {
        line_of(self.table)
    }
}

/// The keys in which a legacy record names its store. `storeID` is that of a sensor.
pub(crate) const STORE_KEYS: [&str; 3] = ["store_ID", "store_id", "storeID"];

/// Where the store of a document is found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum DocumentStore {
    /// Nowhere: it belongs to no store, or to several.
    Nowhere,
    /// In the document.
    Here(StoreId),
    /// In the record with this table and id.
    In(TableName, RecordId),
}

/// Where the store of a legacy record is found. Its own store counts first, for lines too.
pub(crate) fn document_store(table: &TableName, data: &RecordData) -> DocumentStore {
    let Some(fields) = data.fields() else { return DocumentStore::Nowhere };
    let text = |key: &str| fields.text(key).filter(|text| !text.is_empty());
    if let Some(store) = STORE_KEYS.into_iter().find_map(text) {
        return DocumentStore::Here(StoreId::from(store.as_ref()));
    }
    match line_of(table.as_str()).and_then(|(key, parent)| Some((parent, text(key)?))) {
        Some((parent, id)) => DocumentStore::In(TableName::from(parent), RecordId::from(id.as_ref())),
        None => DocumentStore::Nowhere,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::record_type;

    #[test]
    fn the_store_of_a_document_is_its_own_or_that_of_the_record_whose_line_it_is() {
        let of = |table: &str, data: serde_json::Value| document_store(&table.into(), &RecordData::of(&data));
        let parent = |table: &str| DocumentStore::In(table.into(), "p".into());
        for (line, key, table) in LINES {
            assert!(owned_by_sites(line).is_some() && owned_by_sites(table).is_some(), "{line}");
            assert_eq!(of(line, serde_json::json!({ *key: "p" })), parent(table));
            assert_eq!(of(line, serde_json::json!({ *key: "" })), DocumentStore::Nowhere);
            let says_both = serde_json::json!({ *key: "p", "store_ID": "s" });
            assert_eq!(of(line, says_both), DocumentStore::Here("s".into()), "{line}");
        }
        assert!(LINES.is_sorted());
        assert_eq!(of("transact", serde_json::json!({ "store_id": "s" })), DocumentStore::Here("s".into()));
        assert_eq!(of("sensor", serde_json::json!({ "storeID": "s" })), DocumentStore::Here("s".into()));
        assert_eq!(of("transact", serde_json::json!({ "transaction_ID": "p" })), DocumentStore::Nowhere);
        assert_eq!(of("barcode", serde_json::json!({ "store_ID": "" })), DocumentStore::Nowhere);
    }

    #[test]
    fn sorted_and_told_apart() {
        assert!(OWNED_BY_SITES.is_sorted_by(|a, b| a.table < b.table));
        assert!(CONFIGURED_THERE.is_sorted());
        for known in OWNED_BY_SITES {
            assert!(!configured_by_legacy(known.table) && record_type(known.table).is_none(), "{}", known.table);
            assert_eq!(owned_by_sites(known.table), Some(known));
        }
        assert_eq!((owned_by_sites("item"), owned_by_sites("location")), (None, None));
    }
}
