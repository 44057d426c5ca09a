//! The activity of sites for the administrator of a central server: their visits, their positions, their quarantined
//! records.
//!
//! A pull writes nothing, so visits are kept in memory and written together from time to time. A crash loses only the
//! visits of that time.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::Central;
use super::auth::throttle::{ALL_REGAINED, SHARED};
use super::copied_databases::refused::refused_copies;
use super::handled_request::Endpoint;
use super::request_log::RequestTrace;
use crate::alarm::{CentralAlarm, ServerAlarm, ToldByServer};
use crate::central::alarms::alarms_of;
use crate::central::site_view::SiteView;
use crate::changelog::ChangelogGap;
use crate::clock::Timestamp;
use crate::error::Result;
use crate::protocol::v6::{ReadPositions, pushes_nothing};
use crate::record::{Cursor, SiteId};
use crate::storage::state::{FailedSignIns, StoredJson};
use crate::storage::{
    QuarantineCause, ReadTxn, Remembered, Selection, SharedPositions, SharedStorage, SiteActivity, TOLD,
    changelog_gaps, state,
};

/// The most visits in one transaction.
const CHUNK: usize = 1000;

/// How old what a server told of itself may become before it is written again.
const TOLD_AGAIN: Duration = Duration::from_secs(600);

/// How long what a server told of itself is kept where several do: longer than it counts.
const TOLD_FORGOTTEN: Duration = Duration::from_secs(3600);

/// The most names whose refused sign-ins are counted between two flushes.
const FAILED_NAMES_MAX: usize = 1000;

/// Visits that are not written yet.
#[derive(Debug, Default)]
pub(crate) struct Activity {
    visits: Mutex<HashMap<SiteId, SiteActivity>>,
    /// The positions from which each site asked last, before which it has read everything. Only in memory, or in a storage that
    /// several servers share.
    asked_from: Mutex<HashMap<SiteId, ReadPositions>>,
    /// The refused sign-ins by the name of the site.
    failed_sign_ins: Mutex<HashMap<String, FailedSignIns>>,
}

impl Activity {
    fn lock(&self) -> MutexGuard<'_, HashMap<SiteId, SiteActivity>> {
        self.visits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn asked_from(&self) -> MutexGuard<'_, HashMap<SiteId, ReadPositions>> {
        self.asked_from.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn failed_sign_ins(&self) -> MutexGuard<'_, HashMap<String, FailedSignIns>> {
        self.failed_sign_ins.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a refused sign-in under the name of a site.
    pub(crate) fn note_failed_sign_in(&self, name: &str, now: Timestamp) {
        let mut failed = self.failed_sign_ins();
        // Until the next flush, which drops names of no site.
        if failed.len() < FAILED_NAMES_MAX || failed.contains_key(name) {
            let failed = failed.entry(name.to_owned()).or_default();
            *failed = failed.and(FailedSignIns { count: 1, last_at: Some(now) });
        }
    }

    pub(crate) fn note(&self, trace: &RequestTrace, now: Timestamp) {
        let Some(signed_in) = &*trace.signed_in.borrow() else { return };
        let done = |endpoint| (trace.endpoint.get() == endpoint && trace.error.get().is_none()).then_some(now);
        let visit = SiteActivity {
            site: signed_in.site,
            name: signed_in.name.clone(),
            app_version: signed_in.app_version.clone(),
            seen_at: now,
            pulled_at: done(Endpoint::Pull).filter(|_| !trace.is_dry_run.get()),
            pushed_at: done(Endpoint::Push),
            read_to: trace.read_to.get(),
        };
        match self.lock().entry(signed_in.site) {
            std::collections::hash_map::Entry::Occupied(mut known) => known.get_mut().update(visit),
            std::collections::hash_map::Entry::Vacant(place) => {
                place.insert(visit);
            }
        }
    }

    /// Returns visits that could not be written, below newer ones.
    fn put_back(&self, unwritten: Vec<SiteActivity>) {
        let mut visits = self.lock();
        for mut earlier in unwritten {
            if let Some(later) = visits.remove(&earlier.site) {
                earlier.update(later);
            }
            visits.insert(earlier.site, earlier);
        }
    }
}

impl Central {
    /// Records that a site asked for the changes of stores from this position on: it has read those before.
    pub(crate) fn note_stores_asked(&self, site: SiteId, from: Cursor) -> Result<()> {
        self.note_asked(site, (SharedPositions::STORES_ASKED_FROM, from), |asked| asked.stores = from)
    }

    /// Records that a site pulled from this position on: it has read what is before. An answer proves nothing, because it may
    /// be lost.
    pub(crate) fn note_pulled_from(&self, site: SiteId, from: Cursor) -> Result<()> {
        self.note_asked(site, (SharedPositions::ASKED_FROM, from), |asked| asked.records = from)
    }

    /// Where several servers share the storage, there; otherwise in memory.
    fn note_asked(
        &self,
        site: SiteId,
        (kind, from): (&str, Cursor),
        in_memory: impl FnOnce(&mut ReadPositions),
    ) -> Result<()> {
        match self.storage.servers() {
            Some(servers) => share(servers, kind, site, from),
            None => {
                in_memory(self.activity.asked_from().entry(site).or_default());
                Ok(())
            }
        }
    }

    /// Tells other servers on this storage up to where a site is sent what is its own, before it is: it may push to any of them.
    pub(super) fn share_read_to(&self, site: SiteId, read_to: Option<Cursor>) -> Result<()> {
        match (self.storage.servers(), read_to) {
            (Some(servers), Some(read_to)) => share(servers, SharedPositions::READ_TO, site, read_to),
            _ => Ok(()),
        }
    }

    /// The position before which a site has read this changelog: as it says itself with its push, else as its last requests
    /// show. A store that moved comes with the legacy requests, if this server answers those.
    pub(crate) fn known_to_site(&self, txn: &dyn ReadTxn, site: SiteId, told: Option<ReadPositions>) -> Result<Cursor> {
        // Nothing shows that a site knew anything if it never asked, or if that is forgotten.
        let ReadPositions { records, stores } = match told {
            Some(told) => told,
            None => match txn.central()?.shared_positions(site)? {
                Some(SharedPositions { asked_from, stores_asked_from, .. }) => ReadPositions {
                    records: asked_from.unwrap_or_default(),
                    stores: stores_asked_from.unwrap_or_default(),
                },
                None => self.activity.asked_from().get(&site).copied().unwrap_or_default(),
            },
        };
        if !self.is_stand_alone {
            return Ok(records);
        }
        let unread = txn.changes(&Selection::Legacy, stores, 1)?;
        Ok(unread.first().map_or(records, |row| records.min(row.cursor)))
    }

    /// The position of the changelog up to which a site was sent what is its own; `None` if that is not known.
    pub(crate) fn read_to(&self, txn: &dyn ReadTxn, site: SiteId) -> Result<Option<Cursor>> {
        let newest = match txn.central()?.shared_positions(site)? {
            Some(shared) => shared.read_to,
            None => self.activity.lock().get(&site).and_then(|visit| visit.read_to),
        };
        if newest.is_some() {
            return Ok(newest);
        }
        Ok(txn.central()?.activity_of(site)?.and_then(|visit| visit.read_to))
    }
}

fn share(servers: &dyn SharedStorage, kind: &str, site: SiteId, position: Cursor) -> Result<()> {
    servers.remember(&[Remembered { kind, key: &site.to_string(), value: &position.to_string() }])
}

/// The state of a central server.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CentralView {
    /// The time of this report.
    pub at: Timestamp,
    /// The newest position of its changelog.
    pub newest: Cursor,
    /// Its sites by number, including those of the local list that never came.
    pub sites: Vec<SiteView>,
    /// The quarantined records by cause, including those that no site pushed.
    pub quarantined: Vec<(QuarantineCause, u64)>,
    /// Its alarms, without those that only the running server knows: see [`Central::tell_of_server`](crate::central::Central::tell_of_server).
    pub alarms: Vec<CentralAlarm>,
}

/// The waiting integrations, and the work done since the server started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Integrations {
    /// The waiting sites, including those that have their turn now.
    pub waiting: u64,
    /// Integrated records.
    pub integrated: u64,
    /// Records that a rule refused.
    pub refused: u64,
    /// Records that went into quarantine for another cause.
    pub quarantined: u64,
}

/// The number of positions from `from` to the newest one, without those that a restore skipped, where no row ever is. A restore without
/// a watermark skips a million.
fn rows_from(from: Cursor, newest: Cursor, gaps: &[ChangelogGap]) -> u64 {
    let skipped = |gap: &ChangelogGap| gap.before.min(newest).next().0.saturating_sub(gap.after.next().max(from).0);
    let positions = newest.next().0.saturating_sub(from.0);
    gaps.iter().map(skipped).fold(positions, u64::saturating_sub)
}

impl Central {
    /// Writes the visits in memory. The host calls it about every half minute, and before it ends.
    ///
    /// # Errors
    /// The storage failed; the visits that were not written are kept for the next call.
    pub fn flush_activity(&self) -> Result<()> {
        let mut visits: Vec<SiteActivity> = self.activity.lock().drain().map(|(_, visit)| visit).collect();
        while !visits.is_empty() {
            let rest = visits.split_off(visits.len().min(CHUNK));
            if let Err(error) = self.write_visits(&visits) {
                visits.extend(rest);
                self.activity.put_back(visits);
                return Err(error);
            }
            visits = rest;
        }
        if let Some(servers) = self.storage.servers() {
            servers.forget(SHARED, ALL_REGAINED)?;
        }
        self.flush_failed_sign_ins()
    }

    fn flush_failed_sign_ins(&self) -> Result<()> {
        let failed: HashMap<String, FailedSignIns> = std::mem::take(&mut *self.activity.failed_sign_ins());
        if failed.is_empty() {
            return Ok(());
        }
        let write = || {
            let txn = self.storage.write()?;
            let mut names: HashMap<String, SiteId> =
                txn.central()?.activity()?.into_iter().map(|visit| (visit.name, visit.site)).collect();
            names.extend(txn.central()?.sites()?.into_iter().map(|site| (site.name, site.id)));
            for (name, more) in &failed {
                if let Some(site) = names.get(name) {
                    let setting = state::FAILED_SIGN_INS.of(*site);
                    let known = setting.get(txn.as_ref())?.0;
                    setting.set(txn.as_ref(), known.and(*more))?;
                }
            }
            txn.commit()
        };
        write().inspect_err(|_| {
            let mut counted = self.activity.failed_sign_ins();
            for (name, earlier) in &failed {
                let later = counted.entry(name.clone()).or_default();
                *later = earlier.and(*later);
            }
        })
    }

    fn write_visits(&self, visits: &[SiteActivity]) -> Result<()> {
        let txn = self.storage.write()?;
        for visit in visits {
            txn.central()?.note_activity(visit)?;
        }
        txn.commit()
    }

    /// The state of this server.
    ///
    /// # Errors
    /// The storage failed.
    pub fn view(&self) -> Result<CentralView> {
        view(self.storage.read()?.as_ref(), self.clock.now(), &self.activity)
    }

    /// Tells the database what this server knows of itself, such as its disk and its certificate, so that `doctor` and `status` show it
    /// too. The host calls it every minute or so, with an empty list where all is well and before it ends; it writes only where
    /// that is news, or was written some minutes ago.
    ///
    /// # Errors
    /// The storage failed.
    pub fn tell_of_server(&self, alarms: &[ServerAlarm]) -> Result<()> {
        let (now, setting) = (self.clock.now(), state::TOLD_BY_SERVER);
        if let Some(servers) = self.storage.servers() {
            return self.tell_beside_others(servers, alarms, now);
        }
        let known = setting.get(self.storage.read()?.as_ref())?.map(|StoredJson(told)| told);
        let is_known = known.map_or(alarms.is_empty(), |told| {
            let is_fresh = told.alarms.is_empty() || now.since(told.at) < TOLD_AGAIN;
            told.alarms == alarms && is_fresh && told.at <= now
        });
        if is_known {
            return Ok(());
        }
        let txn = self.storage.write()?;
        setting.set(txn.as_ref(), Some(StoredJson(ToldByServer { at: now, alarms: alarms.to_vec() })))?;
        txn.commit()
    }

    /// As [`tell_of_server`](Self::tell_of_server), where each of several servers speaks for itself.
    fn tell_beside_others(&self, servers: &dyn SharedStorage, alarms: &[ServerAlarm], now: Timestamp) -> Result<()> {
        // Rounded, so that the same is not written at each call.
        let age = i64::try_from(TOLD_AGAIN.as_millis()).unwrap_or(i64::MAX);
        let at = Timestamp::from_unix_millis(now.unix_millis() / age * age);
        let told = serde_json::to_string(&ToldByServer { at, alarms: alarms.to_vec() }).unwrap_or_default();
        servers.remember(&[Remembered { kind: TOLD, key: &self.id, value: &told }])?;
        servers.forget(TOLD, TOLD_FORGOTTEN)
    }

    /// The waiting integrations, and the work done since this server started.
    ///
    /// # Errors
    /// The storage failed.
    pub fn integrations(&self) -> Result<Integrations> {
        let (waiting, done) = (self.storage.read()?.central()?.integrations()?.len() as u64, self.queue.done());
        let (integrated, refused, quarantined) = (done.integrated, done.refused, done.quarantined);
        Ok(Integrations { waiting, integrated, refused, quarantined })
    }

    /// Checks that the storage can be read.
    ///
    /// # Errors
    /// It cannot.
    pub fn check(&self) -> Result<()> {
        self.storage.read()?.last_cursor().map(|_| ())
    }
}

/// The state of a central server without the visits that a running one has not written yet.
pub(crate) fn written_view(txn: &dyn ReadTxn, now: Timestamp) -> Result<CentralView> {
    view(txn, now, &Activity::default())
}

fn view(txn: &dyn ReadTxn, now: Timestamp, activity: &Activity) -> Result<CentralView> {
    let mut visits: BTreeMap<SiteId, SiteActivity> =
        txn.central()?.activity()?.into_iter().map(|visit| (visit.site, visit)).collect();
    for (site, unwritten) in activity.lock().iter() {
        match visits.get_mut(site) {
            Some(known) => known.update(unwritten.clone()),
            None => {
                visits.insert(*site, unwritten.clone());
            }
        }
    }
    let (newest, gaps) = (txn.last_cursor()?, changelog_gaps(txn)?);
    let integrating: HashSet<SiteId> = txn.central()?.integrations()?.into_iter().collect();
    let refused = refused_copies(txn, now)?;
    let copies: HashMap<SiteId, Timestamp> = refused.iter().map(|copy| (copy.site, copy.refused_at)).collect();
    let mut sites: BTreeMap<SiteId, SiteView> = BTreeMap::new();
    let unseen = |id, name| SiteView {
        copy_refused_at: copies.get(&id).copied(),
        is_integrating: integrating.contains(&id),
        ..SiteView::unseen(id, name)
    };
    for entry in txn.central()?.sites()? {
        sites.insert(entry.id, unseen(entry.id, entry.name));
    }
    let listed: HashSet<SiteId> = sites.keys().copied().collect();
    for (id, visit) in visits {
        let behind = visit.read_to.map(|read_to| rows_from(read_to, newest, &gaps));
        let site = sites.entry(id).or_insert_with(|| unseen(id, visit.name));
        *site = SiteView {
            pushes_nothing: pushes_nothing(&visit.app_version),
            app_version: visit.app_version,
            seen_at: Some(visit.seen_at),
            pulled_at: visit.pulled_at,
            pushed_at: visit.pushed_at,
            behind,
            ..site.clone()
        };
    }
    for (id, cause, count) in txn.central()?.quarantine_of_sites()? {
        let site = sites.entry(id).or_insert_with(|| unseen(id, String::new()));
        match cause {
            QuarantineCause::Refused => site.refused += count,
            // Nobody has to act, so they do not alarm.
            settled if settled.is_settled() => {}
            _ => site.quarantined += count,
        }
    }
    // A site that was removed is silent for good. A legacy server keeps its list itself.
    if !state::LEGACY_URL.is_set(txn)? {
        sites.retain(|id, site| listed.contains(id) || site.is_integrating || site.refused + site.quarantined > 0);
        sites.iter_mut().for_each(|(id, site)| site.is_removed = !listed.contains(id));
    }
    // It signs in to check that sites find it.
    if let Some(own) = state::SITE_ID.find(txn)? {
        sites.remove(&own);
    }
    let unwritten = activity.failed_sign_ins().clone();
    for (id, site) in &mut sites {
        let written = state::FAILED_SIGN_INS.of(*id).get(txn)?.0;
        let failed = written.and(unwritten.get(&site.name).copied().unwrap_or_default());
        (site.failed_sign_ins, site.sign_in_failed_at) = (failed.count, failed.last_at);
    }
    let (sites, quarantined) = (sites.into_values().collect::<Vec<_>>(), txn.quarantine_counts()?);
    let alarms = alarms_of(txn, &sites, &quarantined, refused, now)?;
    Ok(CentralView { at: now, newest, sites, quarantined, alarms })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_restore_skipped_is_not_to_be_read() {
        let gap = |after, before| ChangelogGap { after: Cursor(after), before: Cursor(before) };
        let skipped = [gap(10, 13), gap(20, 1_000_021)];
        for (from, newest, gaps, rows) in [
            (0, 0, &[][..], 1),
            (5, 9, &[], 5),
            // Everything was read before the restore.
            (21, 1_000_021, &skipped, 0),
            (21, 1_000_024, &skipped, 3),
            (500_000, 1_000_024, &skipped, 3),
            (1_000_022, 1_000_024, &skipped, 3),
            (1_000_024, 1_000_024, &skipped, 1),
            (1_000_025, 1_000_024, &skipped, 0),
            (9, 1_000_024, &skipped, 2 + 7 + 3),
            // The site has read what central lost.
            (2_000_000, 1_000_024, &skipped, 0),
        ] {
            assert_eq!(rows_from(Cursor(from), Cursor(newest), gaps), rows, "from {from} to {newest}");
        }
    }
}
