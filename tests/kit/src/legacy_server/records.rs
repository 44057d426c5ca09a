//! The legacy server's records: the central change log, and the data of stores and patients.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::Serialize;
use serde_json::Value;

use sync_core::protocol::v6::Action;
use sync_core::record::{RecordData, SiteId};

/// A record of any legacy table.
#[derive(Debug, Clone, PartialEq)]
pub struct LegacyRecord {
    /// The legacy table name; case counts.
    pub table: String,
    /// Its id.
    pub id: String,
    /// The action.
    pub action: Action,
    /// Its data; a delete has none.
    pub data: Option<RecordData>,
}

impl LegacyRecord {
    pub(super) fn new(action: Action, table: &str, id: &str, data: Option<RecordData>) -> Self {
        Self { table: table.to_owned(), id: id.to_owned(), action, data }
    }

    pub(super) fn text(&self, key: &str) -> Option<String> {
        let text = self.data.as_ref()?.fields()?.text(key)?.into_owned();
        Some(text).filter(|text| !text.is_empty())
    }

    /// Replaces references to one id by another one; `None` if there are none.
    fn repointed(&self, from: &str, to: &str) -> Option<Self> {
        let text = self.data.as_ref()?.as_str();
        // Parsing every row for each merge would take long in a large world.
        let mut value: Value = text.contains(from).then(|| serde_json::from_str(text).ok()).flatten()?;
        let mut changed = false;
        for (_, value) in value.as_object_mut()?.iter_mut().filter(|(_, value)| value.as_str() == Some(from)) {
            *value = Value::from(to);
            changed = true;
        }
        changed.then(|| Self { data: Some(RecordData::of(&value)), ..self.clone() })
    }
}

/// The key of a record; a merge has its own.
type Key = (String, String, bool);

fn key(record: &LegacyRecord) -> Key {
    (record.table.clone(), record.id.clone(), record.action == Action::Merge)
}

/// The central change log. It holds only the newest change of each record, so it has gaps.
#[derive(Debug, Default)]
pub(super) struct CentralLog {
    by_position: BTreeMap<u64, LegacyRecord>,
    positions: HashMap<Key, u64>,
    last: u64,
}

impl CentralLog {
    pub(super) fn put(&mut self, record: LegacyRecord) -> u64 {
        self.last += 1;
        if let Some(old) = self.positions.insert(key(&record), self.last) {
            self.by_position.remove(&old);
        }
        self.by_position.insert(self.last, record);
        self.last
    }

    pub(super) fn skip(&mut self, positions: u64) {
        self.last += positions;
    }

    pub(super) fn last(&self) -> u64 {
        self.last
    }

    pub(super) fn after(&self, cursor: u64) -> impl Iterator<Item = (u64, &LegacyRecord)> {
        let from = (std::ops::Bound::Excluded(cursor), std::ops::Bound::Unbounded);
        self.by_position.range(from).map(|(position, record)| (*position, record))
    }

    pub(super) fn get(&self, table: &str, id: &str) -> Option<&LegacyRecord> {
        self.by_position.get(self.positions.get(&(table.to_owned(), id.to_owned(), false))?)
    }

    /// Removes a record completely, and replaces references to it. Neither is a change.
    fn replace(&mut self, table: &str, from: &str, to: &str) {
        if let Some(old) = self.positions.remove(&(table.to_owned(), from.to_owned(), false)) {
            self.by_position.remove(&old);
        }
        repoint(self.by_position.values_mut(), from, to);
    }
}

/// Records of stores and patients, in order of arrival.
#[derive(Debug, Default)]
pub(super) struct Rows {
    by_number: BTreeMap<u64, Row>,
    numbers: HashMap<(String, String), u64>,
    /// The stores that see a name, by the id of the join.
    joins: HashMap<String, BTreeMap<String, String>>,
    next: u64,
}

/// A record with the site that pushed it, if one did.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Row {
    pub(super) record: LegacyRecord,
    pub(super) from: Option<SiteId>,
}

impl Rows {
    pub(super) fn put(&mut self, record: LegacyRecord, from: Option<SiteId>) {
        let key = (record.table.clone(), record.id.clone());
        self.forget_join(&record.table, &record.id);
        if record.table == JOIN
            && !is_inactive(&record)
            && let (Some(name), Some(store)) = (record.text("name_ID"), record.text("store_ID"))
        {
            self.joins.entry(name).or_default().insert(record.id.clone(), store);
        }
        let number = *self.numbers.entry(key).or_insert_with(|| {
            self.next += 1;
            self.next
        });
        self.by_number.insert(number, Row { record, from });
    }

    pub(super) fn remove(&mut self, table: &str, id: &str) -> Option<Row> {
        self.forget_join(table, id);
        let number = self.numbers.remove(&(table.to_owned(), id.to_owned()))?;
        self.by_number.remove(&number)
    }

    pub(super) fn get(&self, table: &str, id: &str) -> Option<&Row> {
        self.by_number.get(self.numbers.get(&(table.to_owned(), id.to_owned()))?)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Row> {
        self.by_number.values()
    }

    /// The stores that see a name.
    pub(super) fn stores_of_name(&self, name: &str) -> BTreeSet<&str> {
        self.joins.get(name).into_iter().flat_map(BTreeMap::values).map(String::as_str).collect()
    }

    /// The join of a store with a name.
    pub(super) fn join(&self, name: &str, store: &str) -> Option<&Row> {
        let (id, _) = self.joins.get(name)?.iter().find(|(_, of)| *of == store)?;
        self.get(JOIN, id)
    }

    fn forget_join(&mut self, table: &str, id: &str) {
        let name = if table == JOIN { self.get(JOIN, id).and_then(|row| row.record.text("name_ID")) } else { None };
        if let Some(stores) = name.and_then(|name| self.joins.get_mut(&name)) {
            stores.remove(id);
        }
    }

    fn replace(&mut self, table: &str, from: &str, to: &str) {
        self.remove(table, from);
        repoint(self.by_number.values_mut().map(|row| &mut row.record), from, to);
        if table == "name"
            && let Some(joins) = self.joins.remove(from)
        {
            self.joins.entry(to.to_owned()).or_default().extend(joins);
        }
    }
}

fn repoint<'a>(records: impl Iterator<Item = &'a mut LegacyRecord>, from: &str, to: &str) {
    for record in records.filter(|record| record.action != Action::Merge) {
        if let Some(repointed) = record.repointed(from, to) {
            *record = repointed;
        }
    }
}

/// The link of a name with a store.
pub(super) const JOIN: &str = "name_store_join";

fn is_inactive(record: &LegacyRecord) -> bool {
    record
        .data
        .as_ref()
        .and_then(RecordData::fields)
        .is_some_and(|f| f.get("inactive").is_some_and(|v| v.get() == "true"))
}

/// The key in which a row names its parent, and the parent's table.
const PARENTS: &[(&str, &str)] = &[
    ("transaction_ID", "transact"),
    ("requisition_ID", "requisition"),
    ("stock_take_ID", "Stock_take"),
    ("purchase_order_ID", "purchase_order"),
    ("Goods_received_ID", "Goods_received"),
];

/// The whole content of the server.
#[derive(Debug, Default)]
pub(super) struct Records {
    pub(super) central: CentralLog,
    pub(super) rows: Rows,
}

impl Records {
    /// The site on which a store is active.
    pub(super) fn site_of_store(&self, store: &str) -> Option<SiteId> {
        let store = self.central.get("store", store)?;
        let site = store.data.as_ref()?.fields()?.number("sync_id_remote_site")?;
        i32::try_from(site).ok().map(SiteId)
    }

    /// The sites to which a row belongs: that of its store, or of its parent's; for a patient, those that see it.
    pub(super) fn sites_of(&self, row: &Row) -> BTreeSet<SiteId> {
        let record = &row.record;
        if record.table == "name" {
            let stores = self.rows.stores_of_name(&record.id);
            return stores.into_iter().filter_map(|store| self.site_of_store(store)).collect();
        }
        let store_of = |record: &LegacyRecord| ["store_ID", "store_id"].into_iter().find_map(|key| record.text(key));
        match store_of(record).or_else(|| store_of(&self.parent(record)?.record)) {
            Some(store) => self.site_of_store(&store).into_iter().collect(),
            None => row.from.into_iter().collect(),
        }
    }

    /// The parent of a record.
    pub(super) fn parent(&self, record: &LegacyRecord) -> Option<&Row> {
        PARENTS.iter().find_map(|(key, table)| self.rows.get(table, &record.text(key)?))
    }

    /// Merges a record into another one of its table.
    pub(super) fn merge(&mut self, table: &str, keep: &str, delete: &str) {
        self.central.replace(table, delete, keep);
        self.rows.replace(table, delete, keep);
    }
}

/// The spelling of values on the wire; stored values do not change.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Spelling {
    /// An empty text for null, and `0000-00-00` for a key of a date.
    pub null_as_empty: bool,
    /// A number as text.
    pub numbers_as_text: bool,
}

impl Spelling {
    pub(super) fn apply(self, data: &RecordData) -> RecordData {
        if self == Self::default() {
            return data.clone();
        }
        let Ok(Value::Object(mut fields)) = serde_json::from_str(data.as_str()) else { return data.clone() };
        for (key, value) in &mut fields {
            match value {
                Value::Null if self.null_as_empty && key.contains("date") => *value = Value::from("0000-00-00"),
                Value::Null if self.null_as_empty => *value = Value::from(""),
                Value::Number(number) if self.numbers_as_text => *value = Value::from(number.to_string()),
                _ => {}
            }
        }
        RecordData::of(&fields)
    }
}

/// An element of `data` in a batch.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Element {
    #[serde(rename = "ID", skip_serializing_if = "Option::is_none")]
    position: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sync_out_id: Option<String>,
    table_name: String,
    record_id: String,
    action: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    record_data: Option<RecordData>,
}

impl Element {
    pub(super) fn of_central(position: u64, record: &LegacyRecord, spelling: Spelling) -> Self {
        Self { position: Some(position), ..Self::new(record, spelling) }
    }

    pub(super) fn of_queue(sync_out_id: String, record: &LegacyRecord, spelling: Spelling) -> Self {
        Self { sync_out_id: Some(sync_out_id), ..Self::new(record, spelling) }
    }

    fn new(record: &LegacyRecord, spelling: Spelling) -> Self {
        let action = match record.action {
            Action::Insert => "insert",
            Action::Update => "update",
            Action::Delete => "delete",
            Action::Merge => "merge",
        };
        let record_data = record.data.as_ref().filter(|_| record.action != Action::Delete);
        Self {
            position: None,
            sync_out_id: None,
            table_name: record.table.clone(),
            record_id: record.id.clone(),
            action,
            record_data: record_data.map(|data| spelling.apply(data)),
        }
    }
}
