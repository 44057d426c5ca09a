//! The controls of an operator of the server, and the views of a test.

use serde_json::Value;

use super::faults::{Fault, PlannedFault};
use super::initialise::row;
use super::records::{LegacyRecord, Spelling};
use super::sites::{Account, Entry, LegacySite, PushedRecord, QueuedRecord, Takes};
use super::{Endpoint, LegacyServer, State, rows};
use sync_core::protocol::v5::InitialisationStatus;
use sync_core::protocol::v6::Action;
use sync_core::record::{RecordData, SiteId};

/// The way on which a merge reaches the sites.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MergeBy {
    /// The central change log.
    CentralLog,
    /// The queue of each initialised site.
    Queues,
}

impl State {
    fn account(&self, site: &str) -> Option<&Account> {
        self.sites.iter().find(|account| account.site.name == site)
    }

    fn account_mut(&mut self, site: &str) -> Option<&mut Account> {
        self.sites.iter_mut().find(|account| account.site.name == site)
    }
}

/// # Sites
impl LegacyServer {
    /// Adds a site, in place of one with the same name.
    pub fn add_site(&self, site: LegacySite) {
        let mut state = self.state();
        state.sites.retain(|account| account.site.name != site.name);
        state.sites.push(Account::new(site));
    }

    /// Changes a site's entry in the list; its other state stays.
    pub fn change_site(&self, name: &str, change: impl FnOnce(&mut LegacySite)) {
        if let Some(account) = self.state().account_mut(name) {
            change(&mut account.site);
        }
    }

    /// The hardware id of a site's machine.
    pub fn hardware_id(&self, site: &str) -> Option<String> {
        self.state().account(site)?.hardware_id.clone()
    }

    /// Frees a site from its machine.
    pub fn reset_hardware_id(&self, site: &str) {
        if let Some(account) = self.state().account_mut(site) {
            account.hardware_id = None;
        }
    }

    /// The state of a site's initialisation; `None` for an unknown site.
    pub fn initialisation_status(&self, site: &str) -> Option<InitialisationStatus> {
        Some(self.state().account(site)?.status.clone())
    }

    /// The queue of a site, in order, with the present data.
    pub fn queued(&self, site: &str) -> Vec<QueuedRecord> {
        let state = self.state();
        state.account(site).map(|account| account.queue.first(usize::MAX, &state.records.rows)).unwrap_or_default()
    }

    /// The sent entries of it, with the data that were last sent.
    pub fn sent(&self, site: &str) -> Vec<QueuedRecord> {
        self.state().account(site).map(|account| account.queue.sent()).unwrap_or_default()
    }

    /// Everything that a site pushed, in order, including repetitions.
    pub fn pushed(&self, site: &str) -> Vec<PushedRecord> {
        self.state().account(site).map(|account| account.pushed.clone()).unwrap_or_default()
    }

    /// The `queueLength` of each push of a site.
    pub fn push_lengths(&self, site: &str) -> Vec<u64> {
        self.state().account(site).map(|account| account.push_lengths.clone()).unwrap_or_default()
    }
}

/// # Records
impl LegacyServer {
    /// Adds a store with its own name, active on a site, to the central records.
    pub fn add_store(&self, id: &str, name_id: &str, code: &str, site: SiteId) {
        self.put_central("name", name_id, rows::name(name_id, code, code, "store"));
        self.put_central("store", id, rows::store(id, name_id, code, site));
    }

    /// Makes a store active on another site. Its rows are not sent; see [`queue_store`](Self::queue_store).
    pub fn move_store(&self, id: &str, to: SiteId) {
        let store = self.central("store", id);
        if let Some(mut store) = store {
            store["sync_id_remote_site"] = Value::from(to.0);
            self.put_central("store", id, store);
        }
    }

    /// Queues all rows of a store for the site on which it is active now.
    pub fn queue_store(&self, id: &str) {
        let mut state = self.state();
        let Some(site) = state.records.site_of_store(id) else { return };
        let of_store = |record: &LegacyRecord| record.text("store_ID").is_some_and(|store| store == id);
        let of_parent =
            |record: &LegacyRecord| state.records.parent(record).is_some_and(|parent| of_store(&parent.record));
        let rows = state.records.rows.iter().map(|row| &row.record);
        let records: Vec<LegacyRecord> = rows.filter(|record| of_store(record) || of_parent(record)).cloned().collect();
        for record in records {
            state.enqueue_for(site, row(&record, record.action));
        }
    }

    /// Writes a central record: at a new position of the log, which loses the old one.
    pub fn put_central(&self, table: &str, id: &str, data: Value) -> u64 {
        let mut state = self.state();
        let action = if state.records.central.get(table, id).is_some() { Action::Update } else { Action::Insert };
        state.records.central.put(LegacyRecord::new(action, table, id, Some(RecordData::of(&data))))
    }

    /// Deletes a central record.
    pub fn delete_central(&self, table: &str, id: &str) -> u64 {
        self.state().records.central.put(LegacyRecord::new(Action::Delete, table, id, None))
    }

    /// Leaves a gap of so many positions at the end of the central log.
    pub fn skip_positions(&self, positions: u64) {
        self.state().records.central.skip(positions);
    }

    /// The last position of the central log.
    pub fn last_position(&self) -> u64 {
        self.state().records.central.last()
    }

    /// Writes a row as a user of the server would: it is queued for the initialised sites to which it belongs.
    pub fn put_row(&self, table: &str, id: &str, data: Value) {
        let mut state = self.state();
        let action = if state.records.rows.get(table, id).is_some() { Action::Update } else { Action::Insert };
        state.change_row(LegacyRecord::new(action, table, id, Some(RecordData::of(&data))), None);
    }

    /// Deletes a row as a user of the server would.
    pub fn delete_row(&self, table: &str, id: &str) {
        self.state().change_row(LegacyRecord::new(Action::Delete, table, id, None), None);
    }

    /// Queues any record for a site, even one that does not belong there, to be sent unchanged. The server itself does
    /// not store it.
    pub fn queue(&self, site: &str, action: Action, table: &str, id: &str, data: Option<Value>) {
        let mut state = self.state();
        if let Some(at) = state.sites.iter().position(|account| account.site.name == site) {
            let data = data.map(|data| RecordData::of(&data));
            state.enqueue(at, Entry::AsItIs(LegacyRecord::new(action, table, id, data)));
        }
    }

    /// Merges a record into another one of its table. The server's own records then name the remaining one, which does
    /// not count as a change; sites only get the merge.
    pub fn merge(&self, by: MergeBy, table: &str, keep: &str, delete: &str) {
        let mut state = self.state();
        state.records.merge(table, keep, delete);
        state.sites.iter_mut().for_each(|account| account.queue.forget(table, delete));
        let merge = serde_json::json!({ "mergeIdToKeep": keep, "mergeIdToDelete": delete });
        let merge = LegacyRecord::new(Action::Merge, table, delete, Some(RecordData::of(&merge)));
        match by {
            MergeBy::CentralLog => {
                state.records.central.put(merge);
            }
            MergeBy::Queues => {
                let sites: Vec<SiteId> = state.sites.iter().map(|account| account.site.site_id).collect();
                for site in sites {
                    state.enqueue_for(site, Entry::AsItIs(merge.clone()));
                }
            }
        }
    }

    /// A central record in its current version.
    pub fn central(&self, table: &str, id: &str) -> Option<Value> {
        let state = self.state();
        let record = state.records.central.get(table, id)?;
        serde_json::from_str(record.data.as_ref()?.as_str()).ok()
    }

    /// All central records in their current versions, with their positions, including deletes and merges.
    pub fn central_log(&self) -> Vec<(u64, LegacyRecord)> {
        self.state().records.central.after(0).map(|(position, record)| (position, record.clone())).collect()
    }

    /// A row in its current version; a push counts once it is integrated.
    pub fn row(&self, table: &str, id: &str) -> Option<Value> {
        let state = self.state();
        let row = state.records.rows.get(table, id)?;
        serde_json::from_str(row.record.data.as_ref()?.as_str()).ok()
    }

    /// All rows in their current versions, in order of arrival.
    pub fn rows(&self) -> Vec<LegacyRecord> {
        self.state().records.rows.iter().map(|row| row.record.clone()).collect()
    }

    /// The rows that belong to a site, in order of arrival.
    pub fn rows_of_site(&self, site: SiteId) -> Vec<LegacyRecord> {
        let state = self.state();
        let rows = state.records.rows.iter().filter(|row| state.records.sites_of(row).contains(&site));
        rows.map(|row| row.record.clone()).collect()
    }
}

/// # Behaviour
impl LegacyServer {
    /// Sets the time of initialisations. One that takes any time gets no answer: the real server answers at its end,
    /// which is later than a client waits.
    pub fn set_initialise_takes(&self, takes: Takes) {
        self.state().initialise_takes = takes;
    }

    /// Sets the time of integrations.
    pub fn set_integration_takes(&self, takes: Takes) {
        self.state().integration_takes = takes;
    }

    /// Sets the spelling of values.
    pub fn set_spelling(&self, spelling: Spelling) {
        self.state().spelling = spelling;
    }

    /// Plans a fault; of several for a request, the one that was planned first happens.
    pub fn plan(&self, fault: PlannedFault) {
        self.state().plans.push(fault);
    }

    /// Plans a fault of every request to an endpoint, until [`heal`](Self::heal).
    pub fn fail(&self, endpoint: Endpoint, fault: Fault) {
        self.plan(PlannedFault::new(endpoint, fault));
    }

    /// Plans a fault of the next requests to an endpoint.
    pub fn fail_times(&self, endpoint: Endpoint, fault: Fault, times: u32) {
        self.plan(PlannedFault::new(endpoint, fault).times(times));
    }

    /// Removes all planned faults.
    pub fn heal(&self) {
        self.state().plans.clear();
    }

    /// The number of requests to an endpoint, including failed ones.
    pub fn count(&self, endpoint: Endpoint) -> u64 {
        self.state().requests.get(&endpoint).copied().unwrap_or(0)
    }

    /// The number of requests to unknown addresses.
    pub fn unknown_requests(&self) -> u64 {
        self.state().unknown_requests
    }

    /// Resets the counts.
    pub fn forget_requests(&self) {
        let mut state = self.state();
        state.requests.clear();
        state.unknown_requests = 0;
    }
}
