//! What the staff of the legacy server do, and what goes wrong there.

use std::time::Duration;

use serde_json::{Value, json};
use sync_core::storage::state;
use sync_testkit::legacy_server::{Endpoint, Fault, MergeBy, PlannedFault, Refusal, Takes, rows};

use super::{Legacy, STAFF_TABLES, name, number};
use crate::ledger::Key;
use crate::lock;
use crate::rules::{fields, text};
use crate::run::{Chance, Sim};
use crate::swarm::Fault as WorldFault;

use super::book::STAFF;

impl Legacy {
    /// What there is at the beginning.
    pub(super) fn first_records(&self, _sim: &Sim) {
        self.server.put_central("unit", "unit-0", rows::unit("unit-0", "Each"));
        for n in 0..4 {
            self.put_item(&format!("item-{n}"), "first");
            self.put_facility(&format!("name-of-facility-{n}"), "first");
        }
    }

    fn put_item(&self, id: &str, marker: &str) {
        self.server.put_central("item", id, rows::item(id, id, marker, "unit-0"));
    }

    fn put_facility(&self, id: &str, marker: &str) {
        self.server.put_central("name", id, rows::name(id, id, marker, "facility"));
    }

    /// Moves a store to another site, with its rows.
    pub(crate) fn put_store(&self, sim: &Sim, store: &str, site: usize) {
        lock(&sim.ledger).store_is_on(store, site);
        self.server.move_store(store, number(site));
        self.server.queue_store(store);
    }

    /// Everything goes well again at the legacy server.
    pub(crate) fn heal(&self) {
        self.server.heal();
        self.server.set_initialise_takes(Takes::NoTime);
        self.server.set_integration_takes(Takes::NoTime);
    }

    pub(crate) fn put_row(&self, key: Key, data: Value) {
        let held = self.server.row(&key.0, &key.1).map(|held| held.to_string());
        lock(&self.book).wrote(STAFF, key.clone(), held.as_deref(), Some(data.to_string()));
        self.server.put_row(&key.0, &key.1, data);
    }
}

impl Sim {
    /// Something happens at the legacy server, or to it.
    pub(crate) fn legacy_event(&self, legacy: &Legacy) {
        if self.happens(Chance::Events, legacy.swarm.staff) {
            for _ in 0..=self.roll(Chance::Events, 2) {
                self.staff(legacy);
            }
        }
        if self.happens(Chance::Faults, legacy.swarm.faults) {
            self.plan_legacy_fault(legacy);
        }
        if self.happens(Chance::Faults, legacy.swarm.slow) {
            let takes = match self.roll(Chance::Faults, 4) {
                0 => Takes::NoTime,
                1 => Takes::Polls(1 + u32::try_from(self.roll(Chance::Faults, 20)).unwrap_or(1)),
                2 => Takes::Time(Duration::from_secs(30)),
                _ => Takes::Time(Duration::from_secs(3600)),
            };
            self.note(|| format!("the legacy server is slow: {takes:?}"));
            if self.happens(Chance::Faults, 500) {
                legacy.server.set_initialise_takes(takes);
            } else {
                legacy.server.set_integration_takes(takes);
            }
        }
        if self.roll(Chance::Events, 100) < legacy.swarm.central as usize {
            let options = sync_core::SyncOptions::default();
            self.cycle(0, &options);
        }
    }

    /// The staff write, delete or merge records.
    pub(crate) fn staff(&self, legacy: &Legacy) {
        if self.happens(Chance::Events, legacy.swarm.merges) {
            return self.merge(legacy);
        }
        let marker = {
            let mut book = lock(&legacy.book);
            book.made += 1;
            format!("v{} by staff", book.made)
        };
        let is_gone = |table: &str, id: &str| lock(&legacy.book).merges().is_gone(table, id);
        match self.roll(Chance::Events, 10) {
            0 | 1 => {
                let id = Legacy::some_id(self, Chance::Events, "item");
                if is_gone("item", &id) {
                    return;
                }
                if self.happens(Chance::Events, 100) && legacy.server.central("item", &id).is_some() {
                    self.note(|| format!("the staff delete item {id}"));
                    legacy.server.delete_central("item", &id);
                } else {
                    self.note(|| format!("the staff write item {id}: {marker}"));
                    legacy.put_item(&id, &marker);
                }
            }
            2 => {
                let id = format!("name-of-facility-{}", self.roll(Chance::Events, 5));
                if !is_gone("name", &id) {
                    self.note(|| format!("the staff write name {id}: {marker}"));
                    legacy.put_facility(&id, &marker);
                }
            }
            3 | 4 => self.staff_write_patient(legacy, &marker),
            5 if self.harsh.is_some() && self.happens(Chance::Harsh, 300) => self.staff_write_store(legacy, &marker),
            _ => self.staff_write_document(legacy, &marker),
        }
    }

    fn some_store(&self) -> String {
        let stores: Vec<String> = lock(&self.ledger).stores().map(str::to_owned).collect();
        stores[self.roll(Chance::Events, stores.len())].clone()
    }

    /// Something of a store is news that is nothing to its site: a new address.
    fn staff_write_store(&self, legacy: &Legacy, marker: &str) {
        let store = self.some_store();
        let Some(mut row) = legacy.server.central("store", &store) else { return };
        self.note(|| format!("the staff write store {store}: {marker}"));
        row["address_1"] = json!(marker);
        legacy.server.put_central("store", &store, row);
    }

    fn staff_write_patient(&self, legacy: &Legacy, marker: &str) {
        let id = format!("patient-{}", self.roll(Chance::Events, 6));
        if lock(&legacy.book).merges().is_gone("name", &id) {
            return;
        }
        let is_known = legacy.server.row("name", &id).is_some();
        if !is_known || self.happens(Chance::Events, 400) {
            self.note(|| format!("the staff write name {id}: {marker}"));
            legacy.put_row(("name".to_owned(), id.clone()), rows::patient(&id, &id, marker, "Patient", "1990-01-01"));
        }
        let store = self.some_store();
        let join = format!("join-{id}-{store}");
        if legacy.server.row("name_store_join", &join).is_none() {
            self.note(|| format!("the staff join {id} with {store}"));
            lock(&self.ledger).joins_of_staff.push((id.clone(), store.clone()));
            let mut row = rows::name_store_join(&join, &id, &store);
            // No two versions are the same: it may be deleted and made again.
            row["comment"] = json!(marker);
            legacy.put_row(("name_store_join".to_owned(), join.clone()), row);
        }
    }

    fn staff_write_document(&self, legacy: &Legacy, marker: &str) {
        let table = STAFF_TABLES[self.roll(Chance::Events, STAFF_TABLES.len())];
        let known: Vec<String> = {
            let book = lock(&legacy.book);
            let of_table = book.rows.iter().filter(|key| key.0 == table && !book.merges().is_gone(table, &key.1));
            of_table.map(|key| key.1.clone()).filter(|id| legacy.server.row(table, id).is_some()).collect()
        };
        let key = |id: &str| (table.to_owned(), id.to_owned());
        if known.is_empty() || self.happens(Chance::Events, 400) {
            let id = match table {
                "clinician" => Legacy::some_id(self, Chance::Events, table),
                _ => format!("{table}-staff-{marker}").replace(' ', "-"),
            };
            if legacy.server.row(table, &id).is_some() || lock(&legacy.book).merges().is_gone(table, &id) {
                return;
            }
            let store = self.some_store();
            self.note(|| format!("the staff write {table} {id} of {store}: {marker}"));
            let document = legacy.document(self, Chance::Events, &id, &store, marker);
            legacy.put_row(key(&id), Value::Object(document));
            return;
        }
        let id = &known[self.roll(Chance::Events, known.len())];
        let held = legacy.server.row(table, id).unwrap_or_default().to_string();
        if table != "clinician" && self.happens(Chance::Events, 100) {
            self.note(|| format!("the staff delete {table} {id}"));
            lock(&legacy.book).wrote(STAFF, key(id), Some(&held), None);
            legacy.server.delete_row(table, id);
            return;
        }
        let mut document = fields(&held);
        document.insert("comment".to_owned(), json!(marker));
        self.note(|| format!("the staff edit {table} {id} of {:?}: {marker}", text(&document, "store_ID")));
        legacy.put_row(key(id), Value::Object(document));
    }

    /// Two records turn out to be one. Only what is there still is merged, into another one, which may have been merged.
    fn merge(&self, legacy: &Legacy) {
        let table = ["item", "name", "clinician"][self.roll(Chance::Events, 3)];
        let (gone, keep) = match table {
            // A patient is no facility.
            "name" => {
                let kind = ["patient", "name-of-facility"][self.roll(Chance::Events, 2)];
                let one = || format!("{kind}-{}", self.roll(Chance::Events, 6));
                (one(), one())
            }
            _ => (Legacy::some_id(self, Chance::Events, table), Legacy::some_id(self, Chance::Events, table)),
        };
        let mut book = lock(&legacy.book);
        let keep = match self.happens(Chance::Events, 200) {
            true => keep,
            false => book.merges().kept(table, &keep).to_owned(),
        };
        if book.merges().is_gone(table, &gone) || !book.versions.merges.merged(table, &keep, &gone) {
            return;
        }
        drop(book);
        lock(&self.ledger).merges.merged(table, &keep, &gone);
        // A queue that is filled anew has no merges in it: who is initialised after one by the queues never hears of it.
        let is_restored =
            [WorldFault::SiteRestored, WorldFault::CentralRestored].into_iter().any(|fault| self.swarm.has(fault));
        let all_have_queues = !is_restored && (0..self.ends.len()).all(|end| self.has_queue(end));
        let by = match all_have_queues && self.happens(Chance::Events, 500) {
            true => MergeBy::Queues,
            false => MergeBy::CentralLog,
        };
        self.note(|| format!("the staff merge {table} {gone} into {keep} ({by:?})"));
        legacy.server.merge(by, table, &keep, &gone);
    }

    fn plan_legacy_fault(&self, legacy: &Legacy) {
        let endpoints = [
            Endpoint::Site,
            Endpoint::SiteStatus,
            Endpoint::Initialise,
            Endpoint::CentralRecords,
            Endpoint::PullQueue,
            Endpoint::PushQueue,
            Endpoint::Acknowledge,
        ];
        let mut endpoint = endpoints[self.roll(Chance::Faults, endpoints.len())];
        let site = self.roll(Chance::Faults, self.ends.len());
        let fault = match self.roll(Chance::Faults, 14) {
            0 => Fault::Refuse(Refusal::ALL[self.roll(Chance::Faults, Refusal::ALL.len())]),
            1 => Fault::Status([401, 408, 413, 429, 500, 502, 503][self.roll(Chance::Faults, 7)]),
            2 => Fault::WebPage([200, 502][self.roll(Chance::Faults, 2)]),
            3 => Fault::NotJson,
            4 | 5 => Fault::Unheard,
            6 | 7 => Fault::AnswerLost,
            8 => Fault::Cut(self.roll(Chance::Faults, 200)),
            9 => Fault::AcknowledgementsLost,
            10 => Fault::OutOfOrder,
            11 | 12 => Fault::IntegrationNotStarted,
            _ => Fault::Window(500 + self.roll(Chance::Faults, 500) as u64),
        };
        endpoint = match fault {
            Fault::AcknowledgementsLost => Endpoint::Acknowledge,
            Fault::IntegrationNotStarted => Endpoint::PushQueue,
            Fault::Window(_) => Endpoint::CentralRecords,
            // Rows of the queue are in the order of what happened, and nothing else tells that.
            Fault::OutOfOrder => Endpoint::CentralRecords,
            _ => endpoint,
        };
        if let Fault::Window(_) = fault {
            legacy.server.skip_positions(1 + self.roll(Chance::Faults, 3000) as u64);
        }
        let times = 1 + u32::try_from(self.roll(Chance::Faults, 8)).unwrap_or(1);
        self.note(|| format!("the legacy server will fail {times} times for {}: {endpoint:?} {fault:?}", name(site)));
        legacy.server.plan(PlannedFault::new(endpoint, fault).of_site(&name(site)).times(times));
    }

    /// Whether an end knows that its queue was filled, so that it will not ask for that again.
    fn has_queue(&self, end: usize) -> bool {
        let storage = self.ends[end].process().raw;
        let state = storage.read().and_then(|txn| state::named("queue_prepared").find(txn.as_ref())).ok().flatten();
        state.is_some_and(|state| state.starts_with("done"))
    }
}
