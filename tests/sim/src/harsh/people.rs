//! What people do in a harsh world: they write large records, move records between stores, and have what is set aside tried
//! again.

use serde_json::{Map, Value, json};
use sync_core::support::RetrySelection;
use sync_core::{Replica, SyncOptions};

use super::Harsh;
use crate::hosts::Desk;
use crate::lock;
use crate::promises::Promise;
use crate::rules::{StoreOf, rule_of};
use crate::run::{Chance, Phase, Sim, Spot};

/// The key of the text that makes records larger; no release knows it.
const PADDING: &str = "padding";

/// The text of a record that central's database fails to store.
pub(crate) const POISON: &str = "poison for a database";

/// More than a million bytes.
pub(super) const LARGE: usize = 1_200_000;

/// The tables whose records central may give to another store.
const MOVABLE: [&str; 2] = ["asset", "preference"];

impl Harsh {
    /// Makes some of the records that hosts write larger.
    pub(crate) fn fill(&self, sim: &Sim, record: &mut Map<String, Value>) {
        record.remove(PADDING);
        if sim.happens(Chance::Harsh, self.swarm.poison) {
            record.insert("extra".to_owned(), json!(POISON));
        }
        if sim.happens(Chance::Harsh, self.swarm.large) {
            record.insert(PADDING.to_owned(), json!("x".repeat(LARGE)));
        } else if self.swarm.padding > 0 && sim.happens(Chance::Harsh, 700) {
            let length = sim.roll(Chance::Harsh, self.swarm.padding);
            let seed = sim.roll(Chance::Harsh, usize::MAX >> 1) as u64;
            let mut rng = fastrand::Rng::with_seed(seed);
            let text: String = std::iter::repeat_with(|| rng.alphanumeric()).take(length).collect();
            record.insert(PADDING.to_owned(), json!(text));
        }
    }
}

impl Sim {
    /// Something happens that is harsh.
    pub(crate) fn harsh_event(&self, harsh: &Harsh) {
        if self.happens(Chance::Harsh, harsh.swarm.retries) {
            self.try_again(self.roll(Chance::Harsh, self.ends.len()));
        }
        if self.happens(Chance::Harsh, harsh.swarm.neighbour) {
            self.neighbour(harsh);
        }
        if self.happens(Chance::Harsh, harsh.swarm.rises) {
            self.raise_release(harsh);
        }
        if self.happens(Chance::Harsh, harsh.swarm.passwords) {
            self.change_password(harsh);
        }
        if self.happens(Chance::Harsh, harsh.swarm.disks) {
            self.replace_disk(harsh);
        }
        if self.happens(Chance::Harsh, harsh.swarm.moves) {
            self.move_record();
        }
    }

    /// Lets central's database fail to store poisoned records.
    pub(crate) fn poison(&self, end: usize) {
        if end == 0 && self.harsh.as_ref().is_some_and(|harsh| harsh.swarm.poison > 0) {
            self.ends[end].process().faulty.refuse_records(POISON);
        }
    }

    /// While central is about to begin a transaction, others push, or old requests arrive. Says whether anything happened.
    pub(crate) fn crowded(&self, spot: Spot, end: usize, phase: Phase) -> bool {
        let Some(harsh) = self.harsh.as_ref().filter(|harsh| harsh.swarm.crowd > 0) else { return false };
        let is_free = lock(&self.state).depth < 2 && phase == Phase::Chaos && (spot, end) == (Spot::Transaction, 0);
        if !is_free || !self.happens(Chance::Harsh, harsh.swarm.crowd) {
            return false;
        }
        {
            let mut left = lock(&harsh.crowd_left);
            if *left == 0 {
                return false;
            }
            *left -= 1;
        }
        lock(&self.state).depth += 1;
        match self.roll(Chance::Harsh, 4) {
            0 | 1 => self.deliver_late(),
            2 => self.integrate(),
            _ => {
                let site = 1 + self.roll(Chance::Harsh, self.ends.len() - 1);
                self.host(site);
                self.cycle(site, &SyncOptions::default());
            }
        }
        lock(&self.state).depth -= 1;
        true
    }

    /// Somebody at an end has tried again what is set aside there.
    fn try_again(&self, index: usize) {
        let end = &self.ends[index];
        if end.is_down() || end.is_busy() {
            return;
        }
        let process = end.process();
        let failed = process.faulty.failed();
        let done = Replica::builder()
            .clock(end.clock.clone())
            .with_storage(process.faulty.clone())
            .support()
            .retry(RetrySelection::All);
        self.note(|| {
            let told = done.as_ref().map(|done| (done.staged, done.sent_again, done.integrated, done.set_aside_again));
            format!("somebody has tried again what {} has set aside: {told:?}", end.name)
        });
        self.notice_crash(index);
        if let Err(error) = done
            && process.faulty.failed() == failed
        {
            self.violate(Promise::ErrorsAreSaid, format!("{} cannot try again: {error}", end.name));
        }
    }

    /// Central gives a record to another store.
    fn move_record(&self) {
        if self.ends[0].is_down() {
            return;
        }
        let storage = self.ends[0].process().raw;
        let Ok(txn) = storage.read() else { return };
        let desk = Desk::at(self, 0, txn.as_ref());
        let table = MOVABLE[self.roll(Chance::Harsh, MOVABLE.len())];
        let (Some(rule), ids) = (rule_of(table, None), desk.ids(table)) else { return };
        let StoreOf::Field(field) = rule.store else { return };
        if ids.is_empty() || desk.stores.is_empty() {
            return;
        }
        let id = &ids[self.roll(Chance::Harsh, ids.len())];
        let held = desk.content(table, id);
        let mut moved = crate::rules::fields(&desk.document(rule, id, held.as_deref(), false));
        moved.insert(field.to_owned(), json!(desk.stores[self.roll(Chance::Harsh, desk.stores.len())]));
        self.write(&desk, rule, id, Some(Value::Object(moved).to_string()));
    }
}
