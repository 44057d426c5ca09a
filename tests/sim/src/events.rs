//! What happens: on its own, one after the other, and while something else is under way.

use std::ops::ControlFlow;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use sync_core::storage::state;
use sync_core::{Error, Site, SyncEvent, SyncObserver, SyncOptions, SyncReport};

use crate::aim::Aim;
use crate::harsh::Harsh;
use crate::judge;
use crate::ledger::Key;
use crate::promises::Promise;
use crate::run::{Chance, Phase, Sim, Spot};
use crate::swarm::Fault;
use crate::{lock, wire, world};

/// How deep events may be nested.
const DEPTH_MAX: usize = 3;

impl Sim {
    /// Something happens on its own.
    pub(crate) fn event(&self) {
        lock(&self.state).events += 1;
        self.repair();
        self.trouble();
        self.backups();
        if let Some(legacy) = &self.legacy {
            self.legacy_event(legacy);
        }
        if let Some(files) = &self.files {
            self.files_event(files);
        }
        if let Some(harsh) = &self.harsh {
            self.harsh_event(harsh);
        }
        self.aimed_event();
        let end = self.roll(Chance::Events, self.ends.len());
        let chosen = self.roll(Chance::Events, 100);
        if chosen < self.swarm.cycles as usize {
            let site = 1 + self.roll(Chance::Events, self.ends.len() - 1);
            let options = self.some_options();
            self.cycle(site, &options);
        } else if chosen < 85 {
            for _ in 0..=self.roll(Chance::Events, 4) {
                self.host(end);
            }
        } else if chosen < 92 {
            self.integrate();
        } else if chosen < 95 {
            self.deliver_late();
        } else {
            let seconds = [1, 30, 600][self.roll(Chance::Events, 3)];
            self.time.pass(Duration::from_secs(seconds));
        }
    }

    /// Something happens while an end is about to begin a transaction, has a request under way, or waits.
    pub(crate) fn meanwhile(&self, spot: Spot, end: usize) {
        let (phase, depth, left) = {
            let state = lock(&self.state);
            (state.phase, state.depth, state.nested_left)
        };
        if self.crowded(spot, end, phase) {
            return;
        }
        self.aimed_meanwhile(spot, end);
        match (phase, spot) {
            (Phase::SetUp, _) => return,
            (Phase::Quiet, Spot::Wait) => return self.integrate(),
            (Phase::Quiet, _) => return,
            (Phase::Chaos, _) => {}
        }
        if spot == Spot::Wait && self.happens(Chance::Events, 200) {
            self.integrate();
        }
        if depth >= DEPTH_MAX || left == 0 || !self.happens(Chance::Events, self.swarm.interleave[spot as usize]) {
            return;
        }
        {
            let mut state = lock(&self.state);
            state.depth += 1;
            // What happened just now may have used up the rest.
            state.nested_left = state.nested_left.saturating_sub(1);
            state.events += 1;
        }
        let of_files = self.files.as_ref().is_some_and(|files| self.files_meanwhile(files, end));
        match self.roll(Chance::Events, 10) {
            _ if of_files => {}
            0..=2 => self.host(end),
            3 => self.host(0),
            4 => self.host(self.roll(Chance::Events, self.ends.len())),
            5 | 6 => self.integrate(),
            7 => self.deliver_late(),
            8 => {
                self.cycle(1 + self.roll(Chance::Events, self.ends.len() - 1), &SyncOptions::default()).map_or((), drop)
            }
            _ if self.swarm.has(Fault::StoreMove) => self.move_store(),
            _ => {}
        }
        lock(&self.state).depth -= 1;
    }

    /// Some of what is broken goes well again.
    fn repair(&self) {
        let heals = self.happens(Chance::Events, 300);
        {
            let mut state = lock(&self.state);
            if heals {
                state.partitioned.fill(false);
                state.legacy_down = false;
                state.v6_down = false;
            }
        }
        if let (true, Some(legacy)) = (heals, &self.legacy) {
            legacy.heal();
        }
        for end in 0..self.ends.len() {
            if self.ends[end].is_down() && self.happens(Chance::Events, 400) {
                self.restart(end);
            }
        }
    }

    /// Some of what may break does.
    fn trouble(&self) {
        let site = 1 + self.roll(Chance::Events, self.ends.len() - 1);
        let end = self.roll(Chance::Events, self.ends.len());
        if self.strikes(Fault::Partition) {
            self.note(|| format!("site {site} is cut off"));
            lock(&self.state).partitioned[site] = true;
        }
        if self.strikes(Fault::LegacyDown) {
            lock(&self.state).legacy_down = true;
        }
        if self.strikes(Fault::CentralDown) {
            lock(&self.state).v6_down = true;
        }
        if self.strikes(Fault::SiteCrash) {
            self.plan_crash(site, 150);
        }
        if self.strikes(Fault::CentralCrash) {
            self.plan_crash(0, 300);
        }
        if self.strikes(Fault::StorageFault) {
            self.plan_fault(end);
        }
        if self.strikes(Fault::ClockJump) {
            let minutes = [-100_000, -60, -1, 0, 1, 60, 100_000][self.roll(Chance::Events, 7)];
            self.note(|| format!("the clock of {} is wrong by {minutes} minutes", self.ends[end].name));
            self.ends[end].clock.set_wrong(minutes * 60_000);
        }
        if self.strikes(Fault::StoreMove) {
            self.move_store();
        }
        if self.strikes(Fault::Rogue) {
            self.rogue();
        }
    }

    fn plan_crash(&self, end: usize, within: usize) {
        let operations = 1 + self.roll(Chance::Faults, within) as u64;
        let faulty = self.ends[end].process().faulty;
        if lock(&self.state).crash[end].is_none() {
            self.note(|| format!("{} will die at its operation {operations}", self.ends[end].name));
            lock(&self.state).crash[end] = Some(faulty.failed());
            faulty.crash_at(operations);
        }
    }

    fn plan_fault(&self, end: usize) {
        let operations = 1 + self.roll(Chance::Faults, 100) as u64;
        let full = self.happens(Chance::Faults, 500);
        let io = self.harsh.is_some() && self.happens(Chance::Harsh, 500);
        if lock(&self.state).crash[end].is_none() {
            self.note(|| format!("operation {operations} of {} will fail", self.ends[end].name));
            self.ends[end].process().faulty.fail_at(operations, move |_| match (full, io) {
                (true, false) => Error::DiskFull { source: "planned".into() },
                (false, false) => Error::DatabaseBusy { source: "planned".into() },
                (true, true) => Error::Database { source: "planned: an I/O error".into() },
                (false, true) => Error::Io { what: "writing".to_owned(), source: "planned".into() },
            });
        }
    }

    /// Moves a store to another site.
    fn move_store(&self) {
        if self.ends[0].is_down() {
            return;
        }
        let stores: Vec<String> = lock(&self.ledger).stores().map(str::to_owned).collect();
        let store = &stores[self.roll(Chance::Events, stores.len())];
        if *store == world::store_name(world::rogue(self), 0) {
            return;
        }
        let site = 1 + self.roll(Chance::Events, self.ends.len() - 1);
        if lock(&self.ledger).site_of(store) == Some(site) {
            return;
        }
        let moved = world::put_store(self, store, site);
        self.note(|| format!("{store} moves to site {site}: {moved:?}"));
        self.notice_crash(0);
    }

    /// Central integrates what was pushed.
    pub(crate) fn integrate(&self) {
        let end = &self.ends[0];
        let Some(central) = lock(&self.state).central.clone() else { return };
        if end.is_down() || end.busy.swap(true, Relaxed) {
            return;
        }
        let failed = end.process().faulty.failed();
        let outcome = central.integrate_waiting();
        if self.harsh.is_some() {
            // How far sites have read is kept where a restart finds it, as whoever runs central does now and then.
            let _ = central.flush_activity();
        }
        end.busy.store(false, Relaxed);
        if let Err(error) = outcome {
            self.note(|| format!("central cannot integrate: {error}"));
            if end.process().faulty.failed() == failed {
                self.violate(Promise::ErrorsAreSaid, format!("central cannot integrate: {error}"));
            }
        }
        self.notice_crash(0);
    }

    fn some_options(&self) -> SyncOptions {
        let mut options = SyncOptions::default();
        match self.roll(Chance::Events, 20) {
            0 => options.push_only = true,
            1 => options.pull_only = true,
            2 => options.max_bytes = Some(1000),
            3 => options.max_time = Some(Duration::from_secs(1)),
            _ => {}
        }
        options
    }

    /// A site runs a cycle.
    pub(crate) fn cycle(&self, index: usize, options: &SyncOptions) -> Option<SyncReport> {
        self.cycle_by(index, &|site, observer| site.sync(options, observer))
    }

    /// A site runs a cycle, or as much of one as `run` does.
    pub(crate) fn cycle_by(
        &self,
        index: usize,
        run: &dyn Fn(&Site, &mut dyn SyncObserver) -> sync_core::Result<SyncReport>,
    ) -> Option<SyncReport> {
        let end = &self.ends[index];
        // Central integrates what sites push while its own cycle is under way.
        let busy = self.legacy.as_ref().filter(|_| index == 0).map_or(&end.busy, |legacy| &legacy.cycling);
        if end.is_down() || busy.swap(true, Relaxed) {
            return None;
        }
        self.note(|| format!("site {index} begins a cycle"));
        lock(&self.state).depth += 1;
        let failed = end.process().faulty.failed();
        let before = (self.cursors(index), self.own_stores(index));
        let mut left = if self.strikes(Fault::Cancelled) { 1 + self.roll(Chance::Faults, 30) } else { usize::MAX };
        self.aimed_cycle_begins(index);
        self.forget_slow_pull(index);
        let mut observer = |_: &SyncEvent| {
            left = left.saturating_sub(1);
            if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let outcome = run(&world::site(self, index), &mut observer);
        lock(&self.state).depth -= 1;
        busy.store(false, Relaxed);
        let storage_failed = end.process().faulty.failed() > failed;
        self.check_cursors(index, &before);
        self.check_unsent(index);
        self.notice_crash(index);
        match outcome {
            Ok(report) => {
                self.aimed_cycle_ends(index, &report);
                self.note(|| {
                    let error = report.error.as_ref().map(ToString::to_string);
                    let counts = (report.pushed, report.pulled, report.integrated, report.quarantined, report.refused);
                    let says = (&report.warnings, error);
                    format!(
                        "site {index} ends {} {counts:?} kept {} {says:?}",
                        report.outcome.as_str(),
                        report.kept_local
                    )
                });
                let nothing_fails = self.swarm.is_faultless() && !self.is_removed(index) && !self.aims_at(Aim::Reset);
                // Central may be slow, where other things happen in the midst of its work.
                let slow = |error: &Error| {
                    matches!(
                        error,
                        Error::IntegrationInProgress { .. }
                            | Error::IntegrationTimeout { .. }
                            | Error::CopyUndecided { .. }
                    )
                };
                if let Some(error) = report.error.as_ref().filter(|e| nothing_fails && !slow(e)) {
                    self.violate(
                        Promise::ErrorsAreSaid,
                        format!("site {index}: an error where nothing fails: {error}"),
                    );
                }
                Some(report)
            }
            Err(error) => {
                self.note(|| format!("site {index} cannot run a cycle: {error}"));
                if !storage_failed {
                    self.violate(Promise::ErrorsAreSaid, format!("site {index} cannot run a cycle: {error}"));
                }
                None
            }
        }
    }

    /// Nothing that a cycle brings replaces what was not sent yet.
    fn check_unsent(&self, site: usize) {
        let storage = self.ends[site].process().raw;
        let Ok(txn) = storage.read() else { return };
        let held = |(table, id): &Key| {
            let data = txn.record(&table.as_str().into(), &id.as_str().into()).expect("a readable record");
            data.map(|data| data.as_str().to_owned())
        };
        let found = wire::replaced(&lock(&self.ledger), site, held);
        if let Some(found) = found {
            self.violate(found.promise, found.what);
        }
    }

    /// The cursors of a site, as they are stored: pull, push, and that of the legacy half.
    fn cursors(&self, site: usize) -> [u64; 3] {
        let storage = self.ends[site].process().raw;
        let Ok(txn) = storage.read() else { return [0; 3] };
        let cursor = |name| txn.state(name).ok().flatten().and_then(|text| text.parse().ok()).unwrap_or(0);
        [state::PULL_CURSOR_V6.name(), state::PUSH_CURSOR_V6.name(), state::PULL_CURSOR_CENTRAL.name()].map(cursor)
    }

    /// A cursor may only fall where the site learned of a store of its own, or after a restore.
    fn check_cursors(&self, site: usize, (before, stores): &([u64; 3], Vec<String>)) {
        let after = self.cursors(site);
        let gained = self.own_stores(site).iter().any(|store| !stores.contains(store));
        let stores_may_differ = self.ledger_says_moved(site) || lock(&self.ledger).restored.contains(&0);
        // Where one server is both, a restore of it may also be noticed by the legacy half, which then reads all stores anew.
        let came_back = stores_may_differ && after[2] >= before[2];
        let fell = |cursor: usize| after[cursor] < before[cursor];
        let restored = |cursor: usize, which: usize| {
            let restores = &mut lock(&self.state).may_fall[site][which];
            let any = fell(cursor) && *restores > 0;
            *restores -= u32::from(any);
            any
        };
        let (pull, legacy) = (restored(0, 0), restored(2, 1));
        // Where central deleted its newest row, its number may be given out again.
        let pull = pull || (self.harsh.as_ref().is_some_and(Harsh::has_newest_gone) && before[0] <= after[0] + 1);
        if let Some(found) = judge::cursors(site, *before, after, [pull || gained || came_back, false, legacy]) {
            self.violate(found.promise, found.what);
        }
    }

    /// Whether some store came to a site in the course of the run.
    fn ledger_says_moved(&self, site: usize) -> bool {
        let ledger = lock(&self.ledger);
        let stores: Vec<&str> = ledger.stores().collect();
        stores.iter().any(|store| ledger.was_on(store, site) && ledger.was_elsewhere(store, site))
    }
}
