//! What hosts write of the legacy server's tables, and the references to what it may merge.

use serde_json::{Map, Value, json};
use sync_core::record::{RecordData, RecordId};
use sync_core::{Error, Replica};

use super::book::{IN_DOCUMENTS, REFERENCES};
use super::{Legacy, STAFF_TABLES};
use crate::hosts::Desk;
use crate::ledger::Key;
use crate::lock;
use crate::promises::{Promise, short};
use crate::rules::{fields, text};
use crate::run::{Chance, Sim};

impl Legacy {
    /// The id of some record of a table that may be merged: of one that is here, was merged, or never was.
    pub(super) fn some_id(sim: &Sim, chance: Chance, table: &str) -> String {
        match table {
            "item" => format!("item-{}", sim.roll(chance, 7)),
            "clinician" => format!("clinician-{}", sim.roll(chance, 5)),
            _ if sim.happens(chance, 500) => format!("patient-{}", sim.roll(chance, 6)),
            _ => format!("name-of-facility-{}", sim.roll(chance, 5)),
        }
    }

    /// Lets a record name records that may be merged.
    pub(crate) fn refer(&self, sim: &Sim, table: &str, record: &mut Map<String, Value>) {
        for (_, field, target) in REFERENCES.iter().filter(|(of, _, _)| *of == table) {
            let is_said = matches!((table, *field), ("vaccination", "patient_id") | ("name_store_join", _));
            if !is_said && sim.happens(Chance::Hosts, self.swarm.references) {
                record.insert((*field).to_owned(), json!(Self::some_id(sim, Chance::Hosts, target)));
            }
        }
    }

    /// A document of a store.
    pub(super) fn document(
        &self,
        sim: &Sim,
        chance: Chance,
        id: &str,
        store: &str,
        marker: &str,
    ) -> Map<String, Value> {
        let mut document = Map::new();
        document.insert("ID".to_owned(), json!(id));
        document.insert("store_ID".to_owned(), json!(store));
        document.insert("comment".to_owned(), json!(marker));
        for (field, target) in IN_DOCUMENTS {
            if sim.happens(chance, self.swarm.references) {
                document.insert((*field).to_owned(), json!(Self::some_id(sim, chance, target)));
            }
        }
        document
    }
}

impl Sim {
    /// Somebody at an end writes or deletes a document of the legacy server's tables.
    pub(crate) fn write_document(&self, legacy: &Legacy, desk: &Desk<'_>) {
        let end = desk.end;
        if end == 0 || desk.stores.is_empty() {
            return;
        }
        let table = STAFF_TABLES[self.roll(Chance::Hosts, STAFF_TABLES.len())];
        let may = !desk.own.is_empty() && !self.happens(Chance::Hosts, 50);
        let others: Vec<String> = desk.stores.iter().filter(|store| !desk.own.contains(store)).cloned().collect();
        let stores = if may { &desk.own } else { &others };
        if stores.is_empty() {
            return;
        }
        let store = &stores[self.roll(Chance::Hosts, stores.len())];
        let records = desk.txn.records(&table.into(), None, 100).expect("readable records");
        let of_store = |data: &RecordData| text(&fields(data.as_str()), "store_ID").as_ref() == Some(store);
        let present: Vec<(String, RecordData)> =
            records.into_iter().filter(|(_, data)| of_store(data)).map(|(id, data)| (id.to_string(), data)).collect();
        let deletes = table != "clinician" && !present.is_empty() && self.happens(Chance::Hosts, self.swarm.hosts[0]);
        let (id, held) = match present.is_empty() || (!deletes && self.happens(Chance::Hosts, 450)) {
            true if table == "clinician" => (Legacy::some_id(self, Chance::Hosts, table), None),
            true => {
                let mut state = lock(&self.state);
                state.created += 1;
                (format!("{table}-{end}-{}", state.created), None)
            }
            false => {
                let (id, data) = &present[self.roll(Chance::Hosts, present.len())];
                (id.clone(), Some(data.as_str().to_owned()))
            }
        };
        let taken = desk.txn.record(&table.into(), &id.as_str().into()).expect("a readable record");
        if held.is_none() && taken.is_some() {
            return;
        }
        let content = (!deletes).then(|| {
            let marker = {
                let mut state = lock(&self.state);
                state.created += 1;
                format!("v{} by {end}", state.created)
            };
            Value::Object(legacy.document(self, Chance::Hosts, &id, store, &marker)).to_string()
        });
        self.write_at(end, (table.to_owned(), id), held.as_deref(), content, may);
    }

    fn write_at(&self, end: usize, key: Key, held: Option<&str>, content: Option<String>, may: bool) {
        let process = self.ends[end].process();
        let records =
            Replica::builder().clock(self.ends[end].clock.clone()).with_storage(process.faulty.clone()).records();
        let failed = process.faulty.failed();
        let done = match &content {
            Some(content) => {
                let data = RecordData::parse(content.clone()).expect("valid JSON");
                records.put(&key.0, [data]).map(|_| ())
            }
            None => records.delete(&key.0, RecordId::from(key.1.as_str())),
        };
        let what = || {
            let (content, held) = (short(content.as_deref()), short(held));
            format!("{} writes {} {}: {content} over {held}", self.ends[end].name, key.0, key.1)
        };
        self.note(|| format!("{} -> {:?}", what(), done.as_ref().map_err(Error::code)));
        self.notice_crash(end);
        match done {
            Ok(()) if !may => self.violate(Promise::OnlyWhoMayChanges, format!("{}, and it is taken", what())),
            Ok(()) => self.wrote_for_legacy(end, &key, held, content.as_deref()),
            Err(_) if process.faulty.failed() > failed => {}
            Err(Error::NotAllowed { .. }) if !may => {}
            Err(error) => self.violate(Promise::OnlyWhoMayChanges, format!("{}, and is refused: {error}", what())),
        }
    }

    /// Tells the judge of a write that is for the legacy server.
    pub(crate) fn wrote_for_legacy(&self, end: usize, key: &Key, held: Option<&str>, content: Option<&str>) {
        let Some(legacy) = &self.legacy else { return };
        let is_for_it = matches!(key.0.as_str(), "name" | "name_store_join") || STAFF_TABLES.contains(&key.0.as_str());
        if is_for_it {
            lock(&legacy.book).wrote(end, key.clone(), held, content.map(str::to_owned));
        }
    }
}
