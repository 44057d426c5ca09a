//! Two copies of one site's database that both run. What the one writes that was left behind must come to nobody, and it
//! has to hear of it.

use std::sync::Arc;

use serde_json::{Value, json};
use sync_core::record::RecordData;
use sync_core::storage::{MemoryStorage, Storage, state};
use sync_core::{Error, NoopObserver, Replica, SyncConfig, SyncOptions};

use super::Aimed;
use crate::disk::Disk;
use crate::hosts::Desk;
use crate::lock;
use crate::network::Network;
use crate::promises::{FORGED, Promise};
use crate::rules::{fields, rule_of};
use crate::run::{Chance, Sim};

/// What a copy knows of its pushes: the newest that central took, and the one that is under way.
fn pushes(storage: &dyn Storage) -> (String, String) {
    let text = |name: &str| storage.read().and_then(|txn| txn.state(name)).ok().flatten().unwrap_or_default();
    (text(state::PUSH_TAKEN.name()), text(state::PUSH_UNDER_WAY.name()))
}

impl Sim {
    /// A site's database is copied; or the copy of before runs, once the site has gone on without it.
    pub(super) fn copy_event(&self, aimed: &Aimed) {
        let site = 1 + self.roll(Chance::Aim, self.ends.len() - 1);
        let end = &self.ends[site];
        if end.is_down() || end.is_busy() || !self.happens(Chance::Aim, 400) {
            return;
        }
        let (taken, under_way) = pushes(end.process().raw.as_ref());
        let copy = lock(&aimed.copies)[site].clone();
        match copy {
            Some((copy, of)) if of != taken => self.run_copy(site, &copy),
            // In the midst of a push both copies hold the id of that push: whichever of them goes on with it is the site.
            None if !taken.is_empty() && under_way.is_empty() => {
                let Disk::Memory(storage) = &end.disk else { return };
                let copy = Arc::new(lock(storage).duplicate());
                self.note(|| format!("the database of site {site} is copied"));
                lock(&aimed.copies)[site] = Some((copy, taken));
            }
            _ => {}
        }
    }

    /// The copy that was left behind runs: somebody writes there, and it runs a cycle.
    fn run_copy(&self, site: usize, copy: &Arc<MemoryStorage>) {
        let end = &self.ends[site];
        let id = format!("asset-of-a-copy-{}", self.roll(Chance::Aim, 3));
        self.note(|| format!("the copy of site {site} writes {id} and runs a cycle"));
        {
            let Ok(txn) = copy.read() else { return };
            let desk = Desk::at(self, site, txn.as_ref());
            let rule = rule_of("asset", None).expect("a rule");
            let mut document = fields(&desk.document(rule, &id, None, false));
            document.insert("forged".to_owned(), json!(FORGED));
            let own = desk.own.first().cloned();
            document.insert("store_id".to_owned(), json!(own));
            let records = Replica::builder().clock(end.clock.clone()).with_storage(copy.clone()).records();
            // A copy that knows that it was left behind may still be written to.
            let _ = records.put("asset", [RecordData::of(&Value::Object(document))]);
        }
        let mut config = SyncConfig::default();
        (config.pull_records, config.push_records_max) = self.swarm.batches;
        config.pull_records_max = (config.pull_records * 4).max(16);
        let transport = Arc::new(Network::of(self.me.clone(), site));
        let program =
            Replica::builder().clock(end.clock.clone()).with_storage(copy.clone()).site(transport).with_config(config);
        end.busy.store(true, std::sync::atomic::Ordering::Relaxed);
        let outcome = program.sync(&SyncOptions::default(), &mut NoopObserver);
        end.busy.store(false, std::sync::atomic::Ordering::Relaxed);
        let error = match &outcome {
            Ok(report) => report.error.as_ref(),
            Err(error) => Some(error),
        };
        self.note(|| format!("the copy of site {site} ends: {:?}", error.map(ToString::to_string)));
        match error {
            None => self.violate(
                Promise::ErrorsAreSaid,
                format!("the copy of site {site} that was left behind ran a cycle, and heard nothing of that"),
            ),
            Some(Error::DatabaseCopied { .. }) => {}
            // The line failed before central could say it.
            Some(_) => {}
        }
    }
}
