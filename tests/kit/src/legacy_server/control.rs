//! What an operator of the server does, and what a test looks at.

use serde_json::Value;

use super::faults::{Fault, PlannedFault};
use super::initialise::row;
use super::records::{LegacyRecord, Spelling};
use super::sites::{Account, Entry, LegacySite, PushedRecord, QueuedRecord, Takes};
use super::{Endpoint, LegacyServer, State, rows};
use sync_core::protocol::v5::InitialisationStatus;
use sync_core::protocol::v6::Action;
use sync_core::record::{RecordData, SiteId};

/// By which way a merge reaches the sites.
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
    /// Puts a site on the list, in the place of one with the same name.
    pub fn add_site(&self, site: LegacySite) {
        let mut state = self.state();
        state.sites.retain(|account| account.site.name != site.name);
        state.sites.push(Account::new(site));
    }

    /// Changes what the list says of a site; what else is known of it stays.
    pub fn change_site(&self, name: &str, change: impl FnOnce(&mut LegacySite)) {
        if let Some(account) = self.state().account_mut(name) {
            change(&mut account.site);
        }
    }

    /// The hardware id that a site is bound to.
    pub fn hardware_id(&self, site: &str) -> Option<String> {
        self.state().account(site)?.hardware_id.clone()
    }

    /// Lets the next machine in that speaks for a site.
    pub fn reset_hardware_id(&self, site: &str) {
        if let Some(account) = self.state().account_mut(site) {
            account.hardware_id = None;
        }
    }

    /// How far a site's initialisation is; `None` for a site that is not on the list.
    pub fn initialisation_status(&self, site: &str) -> Option<InitialisationStatus> {
        Some(self.state().account(site)?.status.clone())
    }

    /// Says of a site's initialisation whatever one likes; nothing else changes.
    pub fn set_initialisation_status(&self, site: &str, status: InitialisationStatus) {
        if let Some(account) = self.state().account_mut(site) {
            account.status = status;
        }
    }

    /// What waits for a site, in its order, as it would be sent now.
    pub fn queued(&self, site: &str) -> Vec<QueuedRecord> {
        let state = self.state();
        state.account(site).map(|account| account.queue.first(usize::MAX, &state.records.rows)).unwrap_or_default()
    }

    /// What of it was sent, as it was sent last.
    pub fn sent(&self, site: &str) -> Vec<QueuedRecord> {
        self.state().account(site).map(|account| account.queue.sent()).unwrap_or_default()
    }

    /// Everything that a site pushed, in its order, what came twice twice.
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
    /// Adds a store with a name of its own, active on a site, to the central records.
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

    /// Queues all rows of a store for the site where it is active now.
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

    /// Writes a central record: a new position of the log, and the old one is gone.
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

    /// Writes a row as if somebody did so at the server: it is queued for the initialised sites to which it belongs.
    pub fn put_row(&self, table: &str, id: &str, data: Value) {
        let mut state = self.state();
        let action = if state.records.rows.get(table, id).is_some() { Action::Update } else { Action::Insert };
        state.change_row(LegacyRecord::new(action, table, id, Some(RecordData::of(&data))), None);
    }

    /// Deletes a row as if somebody did so at the server.
    pub fn delete_row(&self, table: &str, id: &str) {
        self.state().change_row(LegacyRecord::new(Action::Delete, table, id, None), None);
    }

    /// Queues any record for a site, whether it fits there or not, to be sent as it is. The server keeps nothing of it.
    pub fn queue(&self, site: &str, action: Action, table: &str, id: &str, data: Option<Value>) {
        let mut state = self.state();
        if let Some(at) = state.sites.iter().position(|account| account.site.name == site) {
            let data = data.map(|data| RecordData::of(&data));
            state.enqueue(at, Entry::AsItIs(LegacyRecord::new(action, table, id, data)));
        }
    }

    /// Merges a record into another one of its table. The server's own records point to the kept one from now on, which is
    /// no change to them; sites are told of the merge only.
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

    /// A central record as it is now.
    pub fn central(&self, table: &str, id: &str) -> Option<Value> {
        let state = self.state();
        let record = state.records.central.get(table, id)?;
        serde_json::from_str(record.data.as_ref()?.as_str()).ok()
    }

    /// All central records as they are now, with their positions: deletes and merges too.
    pub fn central_log(&self) -> Vec<(u64, LegacyRecord)> {
        self.state().records.central.after(0).map(|(position, record)| (position, record.clone())).collect()
    }

    /// A row as it is now: what was pushed is there once it is integrated.
    pub fn row(&self, table: &str, id: &str) -> Option<Value> {
        let state = self.state();
        let row = state.records.rows.get(table, id)?;
        serde_json::from_str(row.record.data.as_ref()?.as_str()).ok()
    }

    /// All rows as they are now, in the order in which the server first had them.
    pub fn rows(&self) -> Vec<LegacyRecord> {
        self.state().records.rows.iter().map(|row| row.record.clone()).collect()
    }

    /// The rows that belong to a site, in the order in which the server first had them.
    pub fn rows_of_site(&self, site: SiteId) -> Vec<LegacyRecord> {
        let state = self.state();
        let rows = state.records.rows.iter().filter(|row| state.records.sites_of(row).contains(&site));
        rows.map(|row| row.record.clone()).collect()
    }
}

/// # Behaviour
impl LegacyServer {
    /// How long an initialisation takes from now on. One that takes any time at all gets no answer: the real server answers
    /// when it is done, which is later than a client waits.
    pub fn set_initialise_takes(&self, takes: Takes) {
        self.state().initialise_takes = takes;
    }

    /// How long the integration of a push takes from now on.
    pub fn set_integration_takes(&self, takes: Takes) {
        self.state().integration_takes = takes;
    }

    /// How values are spelled from now on.
    pub fn set_spelling(&self, spelling: Spelling) {
        self.state().spelling = spelling;
    }

    /// Which V5 versions of clients are let in.
    pub fn set_versions(&self, versions: std::ops::RangeInclusive<u32>) {
        self.state().versions = versions;
    }

    /// Plans a fault; of several that are about a request, the one that was planned first.
    pub fn plan(&self, fault: PlannedFault) {
        self.state().plans.push(fault);
    }

    /// Plans a fault of each request to an endpoint, until [`heal`](Self::heal).
    pub fn fail(&self, endpoint: Endpoint, fault: Fault) {
        self.plan(PlannedFault::new(endpoint, fault));
    }

    /// Plans a fault of the next requests to an endpoint.
    pub fn fail_times(&self, endpoint: Endpoint, fault: Fault, times: u32) {
        self.plan(PlannedFault::new(endpoint, fault).times(times));
    }

    /// Forgets all planned faults.
    pub fn heal(&self) {
        self.state().plans.clear();
    }

    /// How many requests came to an endpoint, those that went wrong included.
    pub fn count(&self, endpoint: Endpoint) -> u64 {
        self.state().requests.get(&endpoint).copied().unwrap_or(0)
    }

    /// How many requests came to addresses that the server does not have.
    pub fn unknown_requests(&self) -> u64 {
        self.state().unknown_requests
    }

    /// Begins to count from nothing.
    pub fn forget_requests(&self) {
        let mut state = self.state();
        state.requests.clear();
        state.unknown_requests = 0;
    }
}
