//! The quarantine: one record with all known reasons, and all records grouped by cause.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Serialize, Serializer};

use super::identity::store_named;
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::protocol::v6::Action;
use crate::record::{RecordData, RecordId, Scope, SiteId, StoreId, TableName, record_type};
use crate::storage::{
    Buffered, CentralReads, Incoming, Quarantine, QuarantineCause, ReadTxn, Source, StagedKind, each_quarantined,
};
use crate::support::Support;
use crate::text::Message;
use crate::text::sentences::quarantine as say;
use crate::write::site_of_store;

/// Rows that are read at once.
const PAGE: usize = 500;

/// The longest chain of waiting records that is followed.
const CHAIN_MAX: usize = 10;

/// The source of a record in words: `central`, `legacy`, `here`, `site 3`.
pub fn source_name(source: Source) -> String {
    match source {
        Source::Central => "central".to_owned(),
        Source::Legacy => "legacy".to_owned(),
        Source::Local => "here".to_owned(),
        Source::Site(site) => format!("site {site}"),
    }
}

/// A record in quarantine, with all known reasons.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct SetAside {
    /// Its number; a newer version of the record gets another one.
    pub number: u64,
    /// Its table.
    pub table: TableName,
    /// Its id.
    pub id: RecordId,
    /// The action.
    #[serde(serialize_with = "action_text")]
    pub action: Action,
    /// Its source; see [`source_name`].
    pub from: String,
    /// The time of its arrival.
    pub received_at: Timestamp,
    /// The cause.
    pub cause: QuarantineCause,
    /// The reason in words.
    pub reason: String,
    /// The field at fault, as a path into the data, if there is one.
    pub path: Option<String>,
    /// The records that it waits for, each waiting for the next.
    pub waits_for: Vec<Awaited>,
    /// On central: the record's store, if it is not active on the site that sent the record.
    pub store: Option<RecordStore>,
    /// True if a version of the record is stored.
    pub is_here: bool,
    /// Its data as they came.
    pub data: RecordData,
}

/// The store of a record that a site sent, and that is not active there: it moved, or was never there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RecordStore {
    /// Its id.
    pub store_id: StoreId,
    /// Its name, if it is known here.
    pub name: Option<String>,
    /// Its code, if it is known here.
    pub code: Option<String>,
    /// The site on which it is active, if there is one.
    pub active_on: Option<SiteId>,
}

/// A record for which another one waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Awaited {
    /// Its table.
    pub table: TableName,
    /// Its id.
    pub id: RecordId,
    /// Its state.
    #[serde(flatten)]
    pub state: AwaitedState,
    /// What brings it if it is at the other end and not here.
    #[serde(skip)]
    pub route: AwaitedRoute,
}

/// What brings a record here that is only at the other end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum AwaitedRoute {
    /// Rewinding the pull cursor here.
    Rewind,
    /// Rewinding it with what this site wrote itself: central sends a site its own records only then.
    RewindWithOwn,
    /// Sending it again from the site that has it: central pulls nothing.
    Resend,
}

impl AwaitedRoute {
    /// For a record of a table which one from this source waits for.
    fn of(source: Source, table: &TableName) -> Self {
        match source {
            Source::Site(_) => Self::Resend,
            _ if record_type(table.as_str()).is_some_and(|kind| kind.pushed && kind.pulled) => Self::RewindWithOwn,
            _ => Self::Rewind,
        }
    }
}

/// The state of a record for which another one waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
#[non_exhaustive]
pub enum AwaitedState {
    /// It never came, or was removed.
    NotHere,
    /// It is here by now: trying again will succeed.
    Here,
    /// It came, and waits to be integrated.
    Staged,
    /// It is in quarantine itself.
    SetAside {
        /// Its number.
        number: u64,
        /// The cause.
        cause: QuarantineCause,
    },
    /// Not a record but a join, which makes the patient with this id visible in a store of the sending site.
    Join,
}

fn action_text<S: Serializer>(action: &Action, serializer: S) -> std::result::Result<S::Ok, S::Error> {
    serializer.serialize_str(StagedKind::of(*action).as_str())
}

impl QuarantineCause {
    /// The meaning for a record, and what helps.
    pub fn meaning(self) -> Message {
        match self {
            Self::Waiting => say::waiting(),
            Self::Refused => say::refused(),
            Self::Unsupported => say::unsupported(),
            Self::Malformed => say::malformed(),
            Self::Failed => say::failed(),
            Self::Superseded => say::superseded(),
            Self::Ignored => say::ignored(),
        }
    }
}

/// The field at the beginning of a reason, such as `$.name`.
fn path_in(reason: &str) -> Option<String> {
    let end = reason.find([':', ' ']).unwrap_or(reason.len());
    reason.starts_with('$').then(|| reason[..end].to_owned())
}

impl Support {
    /// Up to `limit` records of the quarantine in order of arrival, after the one with the
    /// [sequence](Buffered::sequence) `after`; 0 for the first ones. Fewer come where they are large: only an empty answer is the
    /// end.
    ///
    /// # Errors
    /// The database failed.
    pub fn quarantine(&self, after: u64, limit: usize) -> Result<Vec<(Buffered, Quarantine)>> {
        self.storage.read()?.quarantined(after, limit)
    }

    /// How many records are in quarantine for each kind of cause.
    ///
    /// # Errors
    /// The database failed.
    pub fn quarantine_counts(&self) -> Result<Vec<(QuarantineCause, u64)>> {
        self.storage.read()?.quarantine_counts()
    }

    /// The quarantined record with this number.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is none; the database failed.
    pub fn set_aside(&self, number: u64) -> Result<SetAside> {
        set_aside_in(self.storage.read()?.as_ref(), number)
    }
}

/// The same within a transaction.
pub(super) fn set_aside_in(txn: &dyn ReadTxn, number: u64) -> Result<SetAside> {
    let (row, why) = row_of(txn, number)?;
    let store = store_elsewhere(txn, &row.incoming)?;
    let incoming = row.incoming;
    let mut waits_for = Vec::new();
    let mut next = why.waits_for.clone();
    while let Some((table, id)) = next.take().filter(|_| waits_for.len() < CHAIN_MAX) {
        let (state, further) = state_of(txn, &incoming.table, &table, &id)?;
        waits_for.push(Awaited { route: AwaitedRoute::of(incoming.source, &table), table, id, state });
        next = further;
    }
    Ok(SetAside {
        number: row.sequence,
        store,
        is_here: txn.has_record(&incoming.table, &incoming.id)?,
        table: incoming.table,
        id: incoming.id,
        action: incoming.action,
        from: source_name(incoming.source),
        received_at: row.received_at,
        cause: why.cause,
        path: path_in(&why.reason),
        reason: why.reason,
        waits_for,
        data: incoming.data,
    })
}

/// The store of a record from a site, if it is not active there.
fn store_elsewhere(txn: &dyn ReadTxn, incoming: &Incoming) -> Result<Option<RecordStore>> {
    let (Source::Site(sender), Some(_)) = (incoming.source, txn.as_central()) else { return Ok(None) };
    let Some(store) = store_of(txn, incoming)? else { return Ok(None) };
    if txn.stores_of_site(sender)?.contains(&store) {
        return Ok(None);
    }
    let id = RecordId::from(store.as_str());
    let (name, code) = store_named(txn, &id)?;
    let active_on =
        site_of_store(txn, &id)?.and_then(|site| i32::try_from(site).ok()).filter(|site| *site > 0).map(SiteId);
    Ok(Some(RecordStore { store_id: store, name, code, active_on }))
}

/// The store that a received record names, itself or by its parent.
fn store_of(txn: &dyn ReadTxn, incoming: &Incoming) -> Result<Option<StoreId>> {
    let kind = record_type(incoming.table.as_str());
    // A deletion has no data: the version here names the store.
    let here = txn.record(&incoming.table, &incoming.id)?;
    let named = |field: &str| {
        let of = |data: &RecordData| data.fields()?.text(field).map(|text| text.into_owned());
        of(&incoming.data).or_else(|| of(here.as_ref()?))
    };
    let store = match kind.map(|kind| kind.scope) {
        Some(Scope::Store(field) | Scope::StoreAndName(field, _) | Scope::Correspondence(field, _)) => named(field),
        Some(Scope::ParentStore(field, parent, of_parent)) => match named(field) {
            Some(id) => {
                let parent = txn.record(&TableName::from(parent), &RecordId::from(id.as_str()))?;
                parent.as_ref().and_then(|data| Some(data.fields()?.text(of_parent)?.into_owned()))
            }
            None => None,
        },
        _ => None,
    };
    Ok(store.filter(|store| !store.is_empty()).map(|store| StoreId::from(store.as_str())))
}

/// The row of a number.
pub(super) fn row_of(txn: &dyn ReadTxn, number: u64) -> Result<(Buffered, Quarantine)> {
    let found = txn.quarantined(number.saturating_sub(1), 1)?.into_iter().next();
    let not_found = || Error::not_found("record in quarantine with the number", number.to_string());
    found.filter(|(row, _)| row.sequence == number).ok_or_else(not_found)
}

type Waits = Option<(TableName, RecordId)>;

/// The state of a record for which one of `child` waits, and the record for which that waits.
fn state_of(txn: &dyn ReadTxn, child: &TableName, table: &TableName, id: &RecordId) -> Result<(AwaitedState, Waits)> {
    let names_join = record_type(child.as_str())
        .is_some_and(|kind| kind.fields.iter().any(|field| field.parent == Some(table.as_str())));
    if *table == *"name_store_join" && !names_join {
        return Ok((AwaitedState::Join, None));
    }
    if txn.has_record(table, id)? {
        return Ok((AwaitedState::Here, None));
    }
    let mut found = None;
    each_quarantined(txn, 0, |row, why| {
        if row.incoming.table == *table && row.incoming.id == *id {
            found = Some((row.sequence, why));
        }
        Ok(())
    })?;
    if let Some((number, why)) = found {
        return Ok((AwaitedState::SetAside { number, cause: why.cause }, why.waits_for));
    }
    let staged = staged_of(txn, table, id)?.is_some();
    Ok((if staged { AwaitedState::Staged } else { AwaitedState::NotHere }, None))
}

/// The sites that may have pushed something.
fn sites_that_push(central: &dyn CentralReads) -> Result<BTreeSet<SiteId>> {
    // An incomplete push has no request for integration yet.
    let visits = central.activity()?.into_iter().map(|visit| visit.site);
    let listed = central.sites()?.into_iter().map(|site| site.id);
    Ok(central.integrations()?.into_iter().chain(visits).chain(listed).collect())
}

/// A staged row of this record, from any source.
pub(super) fn staged_of(txn: &dyn ReadTxn, table: &TableName, id: &RecordId) -> Result<Option<Buffered>> {
    let sites = txn.as_central().map_or(Ok(BTreeSet::new()), sites_that_push)?;
    for source in [Source::Central, Source::Legacy].into_iter().chain(sites.into_iter().map(Source::Site)) {
        for kind in [StagedKind::Upserts, StagedKind::Deletes, StagedKind::Merges] {
            let mut after = 0;
            loop {
                let rows = txn.staged(source, table, kind, after, PAGE)?;
                let Some(last) = rows.last().map(|row| row.sequence) else { break };
                after = last;
                if let Some(found) = rows.into_iter().find(|row| row.incoming.id == *id) {
                    return Ok(Some(found));
                }
            }
        }
    }
    Ok(None)
}

/// Quarantined records with one cause: the same kind, table, and field, rule or missing record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SetAsideGroup {
    /// The cause.
    pub cause: QuarantineCause,
    /// The table of the records.
    pub table: TableName,
    /// Their source.
    pub from: String,
    /// The record for which all of them wait.
    pub waits_for: Option<(TableName, RecordId)>,
    /// The reason of the first of them.
    pub reason: String,
    /// Their number.
    pub records: u64,
    /// When the first of them came.
    pub oldest_received_at: Timestamp,
    /// The number of the first of them.
    pub first_number: u64,
}

impl Support {
    /// The quarantine, or one cause of it, in groups: largest first within a cause.
    ///
    /// # Errors
    /// The database failed.
    pub fn set_aside_groups(&self, cause: Option<QuarantineCause>) -> Result<Vec<SetAsideGroup>> {
        let txn = self.storage.read()?;
        let mut groups: BTreeMap<(QuarantineCause, TableName, String, String), SetAsideGroup> = BTreeMap::new();
        each_quarantined(txn.as_ref(), 0, |row, why| {
            if cause.is_some_and(|wanted| wanted != why.cause) {
                return Ok(());
            }
            let (table, from) = (row.incoming.table, source_name(row.incoming.source));
            let kind = (why.cause, table.clone(), kind(&why), from.clone());
            let group = groups.entry(kind).or_insert_with(|| SetAsideGroup {
                cause: why.cause,
                table,
                from,
                waits_for: why.waits_for,
                reason: why.reason,
                records: 0,
                oldest_received_at: row.received_at,
                first_number: row.sequence,
            });
            group.records += 1;
            group.oldest_received_at = group.oldest_received_at.min(row.received_at);
            Ok(())
        })?;
        let mut groups: Vec<SetAsideGroup> = groups.into_values().collect();
        groups.sort_by_key(|group| (group.cause, std::cmp::Reverse(group.records)));
        Ok(groups)
    }
}

impl SetAsideGroup {
    /// True if a quarantined record is one of this group.
    pub fn holds(&self, row: &Buffered, why: &Quarantine) -> bool {
        let of_group = Quarantine { cause: self.cause, reason: self.reason.clone(), waits_for: self.waits_for.clone() };
        why.cause == self.cause
            && row.incoming.table == self.table
            && source_name(row.incoming.source) == self.from
            && kind(why) == kind(&of_group)
    }
}

/// What the records of a group have in common: the record for which they wait, or the reason.
fn kind(why: &Quarantine) -> String {
    match &why.waits_for {
        Some((table, id)) => format!("{table} {id}"),
        None => without_ids(&why.reason),
    }
}

/// A reason without its variable parts: words with a digit.
fn without_ids(reason: &str) -> String {
    let plain = |word: &str| if word.contains(|c: char| c.is_ascii_digit()) { "#".to_owned() } else { word.to_owned() };
    reason.split_whitespace().map(plain).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::v6::WireRecord;

    /// Two reasons may begin with the same word, and two sites may have the same reason.
    #[test]
    fn a_record_is_in_one_group() {
        let support = Support::in_memory();
        let txn = support.storage.write().unwrap();
        let reasons = ["this asset belongs to a store that is not here", "this asset was written elsewhere"];
        for (number, (site, reason)) in [2, 3].into_iter().flat_map(|site| reasons.map(|why| (site, why))).enumerate() {
            let (table_name, record_id) = (TableName::from("asset"), RecordId::new(number.to_string()));
            let (action, record_data) = (Action::Update, RecordData::empty());
            let record = WireRecord { table_name, record_id, action, record_data };
            let (cause, reason) = (QuarantineCause::Refused, reason.to_owned());
            let quarantine = Some(Quarantine { cause, reason, waits_for: None });
            let incoming = Incoming { quarantine, ..Incoming::new(Source::Site(SiteId(site)), record) };
            txn.stage(&incoming, Timestamp::from_unix_millis(0)).unwrap();
        }
        txn.commit().unwrap();
        let groups = support.set_aside_groups(None).unwrap();
        assert_eq!(groups.len(), 4);
        each_quarantined(support.storage.read().unwrap().as_ref(), 0, |row, why| {
            let its: Vec<_> = groups.iter().filter(|group| group.holds(&row, &why)).collect();
            assert_eq!(its.len(), 1, "{its:?}");
            assert_eq!((&its[0].reason, its[0].first_number), (&why.reason, row.sequence));
            Ok(())
        })
        .unwrap();
    }

    #[test]
    fn a_path_is_what_a_reason_begins_with() {
        assert_eq!(path_in("$.name: expected a string").as_deref(), Some("$.name"));
        assert_eq!(path_in("$.class_id names asset_class c").as_deref(), Some("$.class_id"));
        assert_eq!(path_in("asset belongs to $.nobody"), None);
        assert_eq!(without_ids("recordId has 300 bytes; 1 to 255"), "recordId has # bytes; # to #");
    }
}
