//! The work between requests: initialising a site, integrating its push, and queueing records for other sites.

use std::collections::BTreeSet;

use super::State;
use super::records::{JOIN, LegacyRecord, Row};
use super::sites::{Entry, Work};
use sync_core::protocol::v5::InitialisationStatus;
use sync_core::protocol::v6::Action;
use sync_core::record::SiteId;

impl State {
    /// Finishes all work whose time is over.
    pub(super) fn finish_what_is_over(&mut self) {
        let now = self.now;
        for at in 0..self.sites.len() {
            if self.sites[at].initialising.is_some_and(|work| work.is_over(now)) {
                self.finish_initialising(at);
            }
            if self.sites[at].integrating.is_some_and(|work| work.is_over(now)) {
                self.finish_integrating(at);
            }
        }
    }

    /// Starts to initialise a site; its old queue is dropped. Returns whether that is done already.
    pub(super) fn begin_initialising(&mut self, at: usize) -> bool {
        let account = &mut self.sites[at];
        account.queue.clear();
        account.status = InitialisationStatus::Started;
        account.initialising = Work::begin(self.initialise_takes, self.now);
        let done = account.initialising.is_none();
        if done {
            self.finish_initialising(at);
        }
        done
    }

    /// Queues everything that belongs to the site.
    pub(super) fn finish_initialising(&mut self, at: usize) {
        let site = self.sites[at].site.site_id;
        let rows: Vec<LegacyRecord> =
            self.records.rows.iter().filter(|row| self.is_for(row, site)).map(|row| row.record.clone()).collect();
        for record in rows {
            self.enqueue(at, row(&record, Action::Insert));
        }
        let account = &mut self.sites[at];
        (account.initialising, account.status) = (None, InitialisationStatus::Completed);
    }

    fn is_for(&self, row: &Row, site: SiteId) -> bool {
        self.records.sites_of(row).contains(&site)
    }

    /// Starts to integrate a site's push.
    pub(super) fn begin_integrating(&mut self, at: usize) {
        let account = &mut self.sites[at];
        account.integrating = Work::begin(self.integration_takes, self.now);
        if account.integrating.is_none() {
            self.finish_integrating(at);
        }
    }

    /// Applies a site's push, and queues it for the other sites to which it belongs.
    pub(super) fn finish_integrating(&mut self, at: usize) {
        let account = &mut self.sites[at];
        account.integrating = None;
        let from = account.site.site_id;
        for record in std::mem::take(&mut account.waiting) {
            if self.records.central.get(&record.table, &record.id).is_some() {
                self.records.central.put(record);
            } else {
                self.change_row(record, Some(from));
            }
        }
    }

    /// Writes a row, or deletes it, and queues it for all its sites except the one that pushed it.
    pub(super) fn change_row(&mut self, record: LegacyRecord, pusher: Option<SiteId>) {
        let before = self.records.rows.get(&record.table, &record.id);
        let from = pusher.or_else(|| before.and_then(|row| row.from));
        let mut sites: BTreeSet<SiteId> = before.map(|row| self.records.sites_of(row)).unwrap_or_default();
        if record.action == Action::Delete {
            self.records.rows.remove(&record.table, &record.id);
        } else {
            self.records.rows.put(record.clone(), from);
            sites.extend(self.records.sites_of(&Row { record: record.clone(), from }));
        }
        // A site that starts to see a patient needs the patient first.
        let name = if record.table == JOIN { record.text("name_ID") } else { None };
        let name = name.and_then(|name| self.records.rows.get("name", &name)).map(|row| row.record.clone());
        for site in sites.into_iter().filter(|site| Some(*site) != pusher) {
            for record in name.iter().chain([&record]) {
                self.enqueue_for(site, row(record, record.action));
            }
        }
    }

    /// Queues an entry for an initialised site; any other site gets it with its initialisation.
    pub(super) fn enqueue_for(&mut self, site: SiteId, entry: Entry) {
        let account = self.sites.iter().position(|account| account.site.site_id == site);
        let at = account.filter(|at| self.sites[*at].status == InitialisationStatus::Completed);
        if let Some(at) = at {
            self.enqueue(at, entry);
        }
    }

    pub(super) fn enqueue(&mut self, at: usize, entry: Entry) {
        self.next_out_id += 1;
        self.sites[at].queue.push(self.next_out_id, entry);
    }
}

/// The entry of a row.
pub(super) fn row(record: &LegacyRecord, action: Action) -> Entry {
    Entry::Row { key: (record.table.clone(), record.id.clone()), action }
}
