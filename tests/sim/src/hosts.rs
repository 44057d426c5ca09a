//! The hosts: people who write, change and delete records at every end, what they may and now and then what they may
//! not; and a rogue who has the credentials of a site.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde_json::{Map, Value, json};
use sync_core::record::{RecordData, RecordId, record_type};
use sync_core::storage::ReadTxn;
use sync_core::transport::{HttpRequest, Method};
use sync_core::{Error, Replica};

use crate::harsh::Harsh;
use crate::judge::ADDED;
use crate::lock;
use crate::promises::{FORGED, Promise, short};
use crate::rules::{
    Deletes, Marker, NEWER, RULES, Rule, StoreOf, Writers, fields, key_field, may_write, rule_of, spelled_as_today,
    store_of, text,
};
use crate::run::{Chance, Sim};
use crate::world::{self, ADDRESS, PASSWORD};

/// One valid document of every record type, without what may be left out: the engine looks at little of it, and short
/// documents make fast worlds.
static TEMPLATES: LazyLock<BTreeMap<String, Map<String, Value>>> = LazyLock::new(|| {
    let mut templates = BTreeMap::new();
    for line in include_str!("../../../sync-cli/demo/src/seed.jsonl").lines() {
        let line: Value = serde_json::from_str(line).expect("valid JSON");
        let mut document = line["data"].as_object().expect("an object").clone();
        let table = line["table"].as_str().expect("a table");
        let kind = record_type(table).expect("a record type");
        let deleted = |key: &str| key == "deleted_datetime";
        for key in document.keys().filter(|key| !deleted(key)).cloned().collect::<Vec<_>>() {
            let mut shorter = document.clone();
            shorter.remove(&key);
            let data = RecordData::of(&shorter);
            // What older releases left out is filled in on the way, and would not come back as it was written.
            if kind.check(&data).is_ok() && kind.in_current_spelling(&data).is_none() {
                document = shorter;
            }
        }
        templates.insert(table.to_owned(), document);
    }
    templates
});

/// A valid document of a record type.
pub(crate) fn template(table: &str) -> Map<String, Value> {
    TEMPLATES[table].clone()
}

/// What an end knows when somebody there writes.
pub(crate) struct Desk<'a> {
    sim: &'a Sim,
    pub end: usize,
    pub txn: &'a dyn ReadTxn,
    /// The stores that the end has for its own.
    pub own: Vec<String>,
    /// All stores that it knows.
    pub stores: Vec<String>,
}

impl Sim {
    /// Somebody writes or deletes a record at an end.
    pub(crate) fn host(&self, end: usize) {
        if self.ends[end].is_down() {
            return;
        }
        let storage = self.ends[end].process().raw;
        let Ok(txn) = storage.read() else { return };
        let desk = Desk::at(self, end, txn.as_ref());
        if let Some(legacy) = &self.legacy
            && self.roll(Chance::Hosts, 100) < legacy.swarm.documents as usize
        {
            return self.write_document(legacy, &desk);
        }
        let wild = self.happens(Chance::Hosts, self.swarm.hosts[1]);
        if self.happens(Chance::Hosts, self.swarm.ids[1])
            && let Some((rule, id)) = desk.wanted()
        {
            let content = desk.document(rule, &id, desk.content(rule.table, &id).as_deref(), false);
            self.write(&desk, rule, &id, Some(content));
            return;
        }
        let Some(rule) = desk.some_table(wild) else { return };
        let present = desk.ids(rule.table);
        if !present.is_empty() && self.happens(Chance::Hosts, self.swarm.hosts[0]) {
            let id = &present[self.roll(Chance::Hosts, present.len())];
            self.write(&desk, rule, id, None);
        } else if !present.is_empty() && self.happens(Chance::Hosts, 550) {
            let id = &present[self.roll(Chance::Hosts, present.len())];
            let held = desk.content(rule.table, id);
            let content = desk.document(rule, id, held.as_deref(), wild);
            self.write(&desk, rule, id, Some(content));
        } else {
            let id = desk.new_id(rule);
            let content = desk.document(rule, &id, desk.content(rule.table, &id).as_deref(), wild);
            self.write(&desk, rule, &id, Some(content));
        }
    }

    /// Somebody at central writes what something waits for that is set aside there.
    pub(crate) fn write_what_is_wanted(&self) {
        if self.ends[0].is_down() {
            return;
        }
        let storage = self.ends[0].process().raw;
        let Ok(txn) = storage.read() else { return };
        let desk = Desk::at(self, 0, txn.as_ref());
        if let Some((rule, id)) = desk.wanted() {
            let content = desk.document(rule, &id, desk.content(rule.table, &id).as_deref(), false);
            self.write(&desk, rule, &id, Some(content));
        }
    }

    /// Writes a record, or deletes it, through the library's door; what it says is compared with the judge's rules.
    pub(crate) fn write(&self, desk: &Desk<'_>, rule: &'static Rule, id: &str, content: Option<String>) {
        let (end, key) = (desk.end, (rule.table.to_owned(), id.to_owned()));
        let held = desk.content(rule.table, id);
        let may = desk.may(rule, held.as_deref(), content.as_deref());
        let marked = held.as_deref().is_some_and(|held| text(&fields(held), "deleted_datetime").is_some());
        if content.is_none() && (held.is_none() || (marked && rule.deletes == Deletes::Mark)) {
            return;
        }
        let process = self.ends[end].process();
        let records =
            Replica::builder().clock(self.ends[end].clock.clone()).with_storage(process.faulty.clone()).records();
        let failed = process.faulty.failed();
        let done = match &content {
            Some(content) => {
                let data = RecordData::parse(content.clone()).expect("valid JSON");
                records.put(rule.table, [data]).map(|_| ())
            }
            None => records.delete(rule.table, RecordId::from(id)),
        };
        self.note(|| {
            let (name, content, done) =
                (&self.ends[end].name, short(content.as_deref()), done.as_ref().map_err(Error::code));
            format!("{name} writes {} {id}: {content} over {} -> {done:?}", rule.table, short(held.as_deref()))
        });
        self.notice_crash(end);
        let refused = matches!(done, Err(Error::NotAllowed { .. } | Error::InvalidRecord { .. }));
        let what = || {
            let (name, content, held) = (&self.ends[end].name, short(content.as_deref()), short(held.as_deref()));
            format!("{name} writes {} {id}: {content} over {held}", rule.table)
        };
        match done {
            Ok(()) if may == Some(false) => {
                self.violate(Promise::OnlyWhoMayChanges, format!("{}, and it is taken", what()))
            }
            Ok(()) => {
                let now = process.raw.read().and_then(|txn| txn.record(&rule.table.into(), &id.into()));
                let now = now.expect("a readable record").map(|data| data.as_str().to_owned());
                self.wrote_for_legacy(end, &key, held.as_deref(), now.as_deref());
                lock(&self.ledger).wrote(end, key, held.as_deref(), now);
                lock(&self.state).written.insert((rule.table, end == 0));
            }
            Err(_) if process.faulty.failed() > failed => {}
            Err(_) if refused && may != Some(true) => {}
            Err(error) => self.violate(Promise::OnlyWhoMayChanges, format!("{}, and is refused: {error}", what())),
        }
    }

    /// Somebody pushes, with the credentials of a site, what that site may not write.
    pub(crate) fn rogue(&self) {
        let site = world::rogue(self);
        if self.ends[0].is_down() {
            return;
        }
        let storage = self.ends[0].process().raw;
        let Ok(txn) = storage.read() else { return };
        let desk = Desk::at(self, 0, txn.as_ref());
        let stores = desk.stores.iter().filter(|store| !lock(&self.ledger).was_on(store, site)).cloned();
        let stores: Vec<String> = stores.collect();
        let mut records = Vec::new();
        for _ in 0..=self.roll(Chance::Hosts, 3) {
            let on = RULES.iter().zip(&self.swarm.tables).enumerate();
            let on = on.filter(|(at, (_, on))| **on || *at < RULES.len() - NEWER).map(|(_, (rule, _))| rule);
            let rules = on.filter(|rule| {
                let of_central = rule.writers == Writers::Central && !rule.table.contains("store");
                let of_others = matches!(rule.store, StoreOf::Field("store_id")) && !stores.is_empty();
                of_central || of_others
            });
            let rules: Vec<&Rule> = rules.collect();
            let rule = rules[self.roll(Chance::Hosts, rules.len())];
            let mut ids = desk.ids(rule.table);
            ids.retain(|id| {
                let ledger = lock(&self.ledger);
                let stores = ledger.stores_ever(&(rule.table.to_owned(), id.clone()));
                let anybody = rule.writers == Writers::StoreSiteOrCentral && stores.contains(&None);
                !anybody && stores.iter().flatten().all(|store| !ledger.was_on(store, site))
            });
            let id = match ids.is_empty() || self.happens(Chance::Hosts, 500) {
                true => format!("{}-forged-{site}", rule.table),
                false => ids[self.roll(Chance::Hosts, ids.len())].clone(),
            };
            let mut forged = fields(&desk.document(rule, &id, None, true));
            forged.insert("forged".to_owned(), json!(FORGED));
            if let (StoreOf::Field(field), false) = (rule.store, stores.is_empty()) {
                forged.insert(field.to_owned(), json!(stores[self.roll(Chance::Hosts, stores.len())]));
            }
            let action = if self.happens(Chance::Hosts, 200) { "Delete" } else { "Update" };
            lock(&self.ledger).was_forged(site, (rule.table.to_owned(), id.clone()));
            records.push(json!({"cursor": records.len() + 1, "record":
                {"tableName": rule.table, "recordId": id, "action": action, "recordData": forged}}));
        }
        let credentials = json!({
            "serverUrl": ADDRESS, "username": world::site_name(site),
            "passwordSha256": sync_core::protocol::PasswordHash::of_password(PASSWORD).expose(),
            "siteUuid": format!("machine-{site}"), "appVersion": "2.19.0", "appName": "rogue", "syncVersion": "9",
        });
        let count = records.len();
        let batch = json!({"end_cursor": count, "total_records": count, "records": records, "is_last_batch": true});
        let push = json!({"batch": batch, "syncV5Settings": credentials, "syncV6Version": sync_core::protocol::v6::V6_VERSION});
        let request = HttpRequest {
            method: Method::Post,
            url: format!("{ADDRESS}/central/sync/push"),
            headers: vec![("content-type".to_owned(), "application/json".to_owned())],
            body: push.to_string().into_bytes(),
        };
        self.note(|| format!("a rogue with the credentials of site {site} pushes {push}"));
        drop(txn);
        self.deliver(site, &request);
    }
}

impl Sim {
    /// The stores that an end has for its own.
    pub(crate) fn own_stores(&self, end: usize) -> Vec<String> {
        let storage = self.ends[end].process().raw;
        storage.read().map(|txn| Desk::at(self, end, txn.as_ref()).own).unwrap_or_default()
    }
}

impl<'a> Desk<'a> {
    pub(crate) fn at(sim: &'a Sim, end: usize, txn: &'a dyn ReadTxn) -> Self {
        let number = i64::from(sim.ends[end].site.0);
        let mut desk = Self { sim, end, txn, own: Vec::new(), stores: desk_ids(txn, "store") };
        for store in desk.stores.clone() {
            let site =
                desk.content("store", &store).and_then(|content| fields(&content)["sync_id_remote_site"].as_i64());
            if site == Some(number) {
                desk.own.push(store);
            }
        }
        desk
    }

    pub(crate) fn ids(&self, table: &str) -> Vec<String> {
        let mut ids = desk_ids(self.txn, table);
        if table == "name" {
            ids.retain(|id| !id.starts_with("name-of-"));
        }
        ids
    }

    pub(crate) fn content(&self, table: &str, id: &str) -> Option<String> {
        let data = self.txn.record(&table.into(), &id.into()).expect("a readable record");
        data.map(|data| data.as_str().to_owned())
    }

    fn roll(&self, n: usize) -> usize {
        self.sim.roll(Chance::Hosts, n)
    }

    fn chance(&self, of_thousand: u32) -> bool {
        self.sim.happens(Chance::Hosts, of_thousand)
    }

    /// A table that hosts of this seed write, and that this end may write unless it is `wild`.
    fn some_table(&self, wild: bool) -> Option<&'static Rule> {
        let is_central = self.end == 0;
        let on = RULES.iter().zip(&self.sim.swarm.tables).filter(|(_, on)| **on).map(|(rule, _)| rule);
        let mine = on.filter(|rule| {
            let by_this_end = match rule.writers {
                Writers::Central => is_central,
                Writers::Everyone => true,
                Writers::StoreSite => !is_central && !self.own.is_empty(),
                Writers::StoreSiteOrCentral | Writers::StoreSiteElseCentral => is_central || !self.own.is_empty(),
            };
            (wild || by_this_end) && self.sim.has_table(self.end, rule.table)
        });
        let mine: Vec<&'static Rule> = mine.collect();
        (!mine.is_empty()).then(|| mine[self.roll(mine.len())])
    }

    /// The id of a record that is made: of its own, or one that several ends use, or one that was named already.
    fn new_id(&self, rule: &Rule) -> String {
        let table = rule.table;
        match table {
            "name" => return format!("patient-{}", self.roll(4)),
            // Ids of two tables may be equal, and then they are two records all the same.
            "name_oms_fields" if self.chance(300) => return format!("patient-{}", self.roll(4)),
            "name_oms_fields" if !self.stores.is_empty() => {
                return format!("name-of-{}", self.stores[self.roll(self.stores.len())]);
            }
            _ => {}
        }
        if self.chance(self.sim.swarm.ids[0]) {
            return format!("shared-{}-{}", self.end, self.roll(3));
        }
        if self.chance(200) {
            return format!("{table}-{}-named-{}", self.end, self.roll(3));
        }
        let mut state = lock(&self.sim.state);
        state.created += 1;
        format!("{table}-{}-{}", self.end, state.created)
    }

    /// A record that something waits for which is set aside here, if this end may write it.
    fn wanted(&self) -> Option<(&'static Rule, String)> {
        let aside = self.txn.quarantined(0, 100).expect("a readable quarantine");
        let wanted = aside.into_iter().filter_map(|(_, quarantine)| quarantine.waits_for);
        let mut wanted = wanted.filter_map(|(table, id)| Some((rule_of(table.as_str(), None)?, id.to_string())));
        wanted.find(|(rule, _)| match rule.writers {
            _ if !self.sim.has_table(self.end, rule.table) => false,
            Writers::Central => self.end == 0,
            _ => true,
        })
    }

    /// A document of this type that differs from all that were ever made.
    pub(crate) fn document(&self, rule: &Rule, id: &str, base: Option<&str>, wild: bool) -> String {
        let is_new = base.is_none();
        // What came in the spelling of an older release is edited in that of today.
        let has_upstream = self.sim.harsh.as_ref().is_some_and(Harsh::has_upstream);
        let today = base.filter(|_| has_upstream).and_then(|base| spelled_as_today(rule.table, base));
        let base = today.as_deref().or(base);
        let mut map = base.map_or_else(|| TEMPLATES[rule.table].clone(), fields);
        map.insert(key_field(rule.table).to_owned(), json!(id));
        let marker = {
            let mut state = lock(&self.sim.state);
            state.created += 1;
            format!("v{} by {}", state.created, self.end)
        };
        match rule.marker {
            Marker::Text(field) => map.insert(field.to_owned(), json!(marker)),
            Marker::Json(field) => map.insert(field.to_owned(), json!(json!({"text": marker}).to_string())),
            Marker::Unknown => map.insert("text of a later release".to_owned(), json!(marker)),
        };
        if let StoreOf::Field(field) = rule.store
            && (is_new || wild || self.chance(80))
        {
            map.insert(field.to_owned(), self.some_store(rule, wild));
        }
        for (field, table) in rule.parents {
            if is_new || self.chance(40) {
                map.insert((*field).to_owned(), json!(self.some_parent(table)));
            }
        }
        if rule.table == "vaccination" && (is_new || self.chance(40)) {
            map.insert("patient_id".to_owned(), json!(format!("patient-{}", self.roll(4))));
        }
        if let Some(legacy) = &self.sim.legacy {
            legacy.refer(self.sim, rule.table, &mut map);
        }
        if let Some(harsh) = &self.sim.harsh {
            harsh.fill(self.sim, &mut map);
        }
        Value::Object(map).to_string()
    }

    fn some_store(&self, rule: &Rule, wild: bool) -> Value {
        let stores = if self.end == 0 || wild { &self.stores } else { &self.own };
        let without = match (rule.writers, self.end) {
            (Writers::StoreSiteElseCentral, 0) => !wild,
            (Writers::StoreSiteOrCentral, _) => self.chance(100),
            (Writers::Central, _) => self.chance(300),
            _ => false,
        };
        match (without, stores.is_empty()) {
            (true, _) => Value::Null,
            (false, true) => json!("a store that nobody knows"),
            (false, false) => json!(stores[self.roll(stores.len())]),
        }
    }

    /// A record to be named as a parent: one that is here, or now and then one that may come later.
    fn some_parent(&self, table: &str) -> String {
        let ids = self.ids(table);
        if ids.is_empty() || self.chance(self.sim.swarm.hosts[2]) {
            let by_central = rule_of(table, None).is_some_and(|rule| rule.writers == Writers::Central);
            let writer = if by_central { 0 } else { self.end };
            return if table == "name" {
                "patient-0".to_owned()
            } else {
                format!("{table}-{writer}-named-{}", self.roll(3))
            };
        }
        ids[self.roll(ids.len())].clone()
    }

    /// Whether the judge's rules let this end write, as far as it knows whose stores are whose; nothing where it depends on
    /// where this end saw the parent last, which may have been in a store of its own, or, at central, in one of a site.
    fn may(&self, rule: &Rule, held: Option<&str>, content: Option<&str>) -> Option<bool> {
        if content.is_none() && rule.deletes == Deletes::Never {
            return Some(false);
        }
        // A history: what is here is not changed. A version that another end wrote under the same id may still come.
        if ADDED.contains(&rule.table) && held.is_some() && content.is_some() && held != content {
            return Some(false);
        }
        let parent = |table: &str, id: &str| self.content(table, id);
        // A file is of the site that has the record to which it belongs.
        let is_of_another = |reference: &str| {
            let reference = fields(reference);
            let record = text(&reference, "table_name").zip(text(&reference, "record_id"));
            let record = record.and_then(|(table, id)| self.content(&table, &id));
            let store = record.and_then(|record| text(&fields(&record), "store_id"));
            store.is_some_and(|store| !self.own.contains(&store))
        };
        if rule.table == "sync_file_reference" && self.end > 0 && held.into_iter().chain(content).any(is_of_another) {
            return Some(false);
        }
        if let (StoreOf::Parent(field, table), Some(content)) = (rule.store, content) {
            // Whose it is cannot be said without its parent.
            let id = text(&fields(content), field).unwrap_or_default();
            if parent(table, &id).is_none() {
                return Some(false);
            }
        }
        let is_own = |store: &str| self.own.iter().any(|own| own == store);
        let may = |content: &str| {
            let store = store_of(rule, content, parent);
            may_write(self.end == 0, rule, store.as_deref(), is_own)
        };
        let orphan = held.and_then(|held| match rule.store {
            StoreOf::Parent(field, table) => {
                let key = (table.to_owned(), text(&fields(held), field)?);
                parent(&key.0, &key.1).is_none().then_some(key)
            }
            _ => None,
        });
        if let Some(deleted) = orphan.filter(|_| content.is_none_or(may)) {
            let stores = lock(&self.sim.ledger).stores_ever(&deleted);
            let was_in_any = stores.iter().flatten().next().is_some();
            let depends = stores.iter().flatten().any(|store| is_own(store)) || (self.end == 0 && was_in_any);
            return if depends { None } else { held.map(may) };
        }
        Some(held.into_iter().chain(content).all(may))
    }
}

fn desk_ids(txn: &dyn ReadTxn, table: &str) -> Vec<String> {
    let records = txn.records(&table.into(), None, 100).expect("readable records");
    records.into_iter().map(|(id, _)| id.to_string()).collect()
}
