//! The end of a run: nothing fails any more, all ends converge, and each is compared with central.

use std::collections::BTreeSet;
use std::time::Duration;

use sync_core::record::{Cursor, record_type};
use sync_core::storage::{MemoryStorage, state};
use sync_core::support::Difference;
use sync_core::{NoopObserver, SyncOptions};

use crate::harsh::Harsh;
use crate::ledger::Key;
use crate::promises::{Held, Promise, short};
use crate::run::{Chance, Sim};
use crate::{judge, lock, world};

/// In how many rounds all must be quiet.
const ROUNDS_MAX: usize = 12;

impl Sim {
    /// From here on nothing fails. What is still under way arrives now or never.
    pub(crate) fn heal(&self) {
        self.note(|| "nothing fails any more".to_owned());
        while !lock(&self.state).late.is_empty() {
            if self.happens(Chance::Events, 500) {
                self.deliver_late();
            } else {
                lock(&self.state).late.pop();
            }
            self.integrate();
        }
        for end in 0..self.ends.len() {
            self.restart(end);
        }
        let mut state = lock(&self.state);
        state.partitioned.fill(false);
        state.legacy_down = false;
        state.v6_down = false;
        if let Some(legacy) = &self.legacy {
            legacy.heal();
        }
        drop(state);
        self.time.pass(Duration::from_secs(20 * 60));
        // A machine has to be let in before its host takes over a password.
        self.heal_machines();
        self.heal_harshly();
        self.heal_access();
    }

    /// Rounds of cycles until a whole round brings nothing; whether it came to that in time.
    pub(crate) fn converge(&self) -> bool {
        let mut last = Vec::new();
        let mut quiet_before = false;
        let rounds = self.harsh.as_ref().map_or(ROUNDS_MAX, Harsh::rounds);
        for round in 0..rounds {
            self.note(|| format!("round {round}"));
            self.time.pass(Duration::from_secs(150));
            let mut quiet = true;
            last.clear();
            // Central is a site of the legacy server.
            for site in usize::from(self.legacy.is_none())..self.ends.len() {
                if self.is_removed(site) {
                    continue;
                }
                let Some(report) = self.cycle(site, &SyncOptions::default()) else { return false };
                quiet &= report.pushed == 0 && report.pulled == 0 && report.error.is_none();
                last.push((site, report.pushed, report.pulled, report.error.map(|error| error.to_string())));
                self.integrate();
            }
            // Twice in a row: a first cycle only pulls.
            if quiet && quiet_before {
                return true;
            }
            quiet_before = quiet;
        }
        let what = format!("after {rounds} rounds it is not quiet; (site, pushed, pulled, error): {last:?}");
        self.violate(Promise::ItEnds, what);
        false
    }

    /// Each site compares itself with central. It tells no loss where the judge finds both equal, leaves out nothing that is
    /// not the same, and changes nothing.
    pub(crate) fn audit(&self, held: &[Held]) {
        let at_central = &held[0].records;
        for site in (1..self.ends.len()).filter(|site| !self.is_removed(*site)) {
            let found = match world::site(self, site).support().audit(&MemoryStorage::new(), &mut NoopObserver) {
                Ok(found) => found,
                Err(error) => {
                    self.violate(Promise::ErrorsAreSaid, format!("site {site} cannot compare: {error}"));
                    continue;
                }
            };
            let key = |told: &Difference| -> Key { (told.table.to_string(), told.id.to_string()) };
            let ledger = lock(&self.ledger);
            // What central lost with its disk is rightly told; the judge knows that it was there.
            let is_wrong = |told: &&Difference| {
                at_central.contains_key(&key(told)) && judge::is_to_stay(&ledger, held, site, &key(told))
            };
            let wrong = found.lost.iter().find(is_wrong).cloned();
            if let Some(told) = wrong {
                self.violate(Promise::QuietMeansEqual, format!("site {site} compares, and says: {told:?}"));
            }
            let told: BTreeSet<Key> = found.lost.iter().chain(&found.explained).map(key).collect();
            // A release that spells keys otherwise is no difference: a site keeps what it was sent as it was spelled then.
            let differs = |(key, ours): &(&Key, &String)| {
                at_central.get(*key).is_some_and(|theirs| !judge::says_the_same(&key.0, Some(ours), theirs))
            };
            let is_compared = |key: &Key| record_type(&key.0).is_some_and(|kind| kind.pulled);
            let mut both = held[site].records.iter().filter(|(key, _)| is_compared(key));
            let is_seen = |key: &Key| judge::is_seen_to_differ(&ledger, held, site, key);
            if let Some((key, _)) = both.find(|pair| differs(pair) && !told.contains(pair.0) && is_seen(pair.0)) {
                self.violate(Promise::QuietMeansEqual, format!("site {site} compares, and says nothing of {key:?}"));
            }
        }
        let is_as_it_was = |(is, was): (&Held, &Held)| is.records == was.records && is.aside.len() == was.aside.len();
        if !world::held(self).iter().zip(held).all(is_as_it_was) {
            self.violate(Promise::TwiceIsOnce, "a comparison changed something".to_owned());
        }
    }

    /// A site reads everything again, and nothing changes.
    pub(crate) fn read_again(&self, before: &[Held]) {
        let site = 1 + self.roll(Chance::Events, self.ends.len() - 1);
        // Days have passed where files were moved.
        if self.is_removed(site) || (self.files.is_some() && lock(&self.ledger).has_too_large(site)) {
            return;
        }
        self.note(|| format!("site {site} reads everything again"));
        let storage = self.ends[site].process().raw;
        let reset = storage.write().and_then(|txn| {
            state::PULL_CURSOR_V6.set(txn.as_ref(), Cursor(0))?;
            txn.commit()
        });
        reset.expect("a commit");
        for _ in 0..2 {
            let Some(report) = self.cycle(site, &SyncOptions::default()) else { return };
            if report.pushed > 0 || report.error.is_some() {
                let what = format!("site {site} read again and pushed {}: {:?}", report.pushed, report.error);
                self.violate(Promise::TwiceIsOnce, what);
            }
            self.integrate();
        }
        let after = world::held(self);
        let ledger = lock(&self.ledger);
        let mut changed = Vec::new();
        for (end, (was, is)) in before.iter().zip(&after).enumerate() {
            let keys = was.records.keys().chain(is.records.keys().filter(|key| !was.records.contains_key(*key)));
            let differs = |key: &&Key| match is.records.get(*key) {
                Some(is) => !judge::says_the_same(&key.0, was.records.get(*key), is),
                None => true,
            };
            let matters = |key: &&Key| end != site || judge::is_to_stay(&ledger, before, site, key);
            if let Some(key) = keys.filter(differs).find(matters) {
                let (was, is) = (was.records.get(key), is.records.get(key));
                let (was, is) = (short(was.map(String::as_str)), short(is.map(String::as_str)));
                changed
                    .push(format!("site {site} read again, and {key:?} of {} was {was}, is {is}", self.ends[end].name));
            }
        }
        drop(ledger);
        for what in changed {
            self.violate(Promise::TwiceIsOnce, what);
        }
    }
}
