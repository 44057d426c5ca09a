//! The history of one record in this database: written, waiting, sent, accepted, received, in quarantine.

use serde::Serialize;
use serde_json::Value;

use super::quarantine::{SetAside, set_aside_in, staged_of};
use super::refused_by_central::refusal_of;
use crate::changelog::{Audience, Change, ChangeAction};
use crate::clock::Timestamp;
use crate::error::{Result, Server};
use crate::integrate::{Conflict, kept_conflicts};
use crate::record::{
    Cursor, RecordId, SiteId, StoreId, TableName, configured_by_legacy, owned_by_sites, record_type, record_types,
};
use crate::role::Role;
use crate::site::CentralRefusal;
use crate::site::central::push::is_pushed;
use crate::site::legacy::push::is_pushed_to_legacy;
use crate::storage::state::{central_is_legacy, confirmed_to, role, site_id};
use crate::storage::{LogEntry, QuarantineCause, ReadTxn, Selection, each_quarantined, state};
use crate::support::Support;

/// Changelog rows that are read at once.
const ROWS: usize = 5000;

/// The source of a record that a server refused.
const HERE: &str = "here";

/// The name of the central server as a source and as a receiver.
const CENTRAL: &str = "central";

/// The most sites that are named.
const SITES_NAMED: usize = 20;

/// The history of a record.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Explanation {
    /// Its table.
    pub table: TableName,
    /// Its id.
    pub id: RecordId,
    /// Its state, in one word.
    pub verdict: Verdict,
    /// The way of its table.
    pub travels: SyncRoute,
    /// The size of its data, if it is here.
    pub bytes: Option<u64>,
    /// Its changes, newest first: its own, then those for stores that it has left.
    pub changes: Vec<ChangeHistory>,
    /// The last cycle, if the log has it, in which a version from elsewhere yielded to an edit of it made here.
    pub conflict_at: Option<Timestamp>,
    /// Its last conflict, if it is one of those that [`Replica::conflicts`](crate::Replica::conflicts) keeps; without the versions.
    pub conflict: Option<Conflict>,
    /// Since when a version of it waits to be integrated here.
    pub staged_since: Option<Timestamp>,
    /// Its last refusal by central, if central told of one.
    pub refused_by_central: Option<CentralRefusal>,
    /// Its versions in quarantine.
    pub set_aside: Vec<SetAside>,
    /// The number of quarantined records that wait for it.
    pub awaited_by: u64,
    /// Other tables that have a record with this id.
    pub also_in: Vec<TableName>,
    /// A table with a similar name.
    pub table_may_be: Option<&'static str>,
}

/// The state of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Verdict {
    /// Unknown here.
    NotKnown,
    /// A version of it is in quarantine.
    SetAside,
    /// Central refused the version that is here.
    RefusedByCentral,
    /// A version of it waits to be integrated here.
    Staged,
    /// It was edited here and waits to be pushed.
    WaitsForPush,
    /// It was sent, and the other end has not confirmed the integration.
    Sent,
    /// It was sent, and the other end has finished integrating. It does not say whether the record went into
    /// quarantine.
    Taken,
    /// It came from the other end.
    Received,
    /// It was written here and does not leave this database.
    StaysHere,
    /// It is on this central server, for the sites to pull.
    AtCentral,
}

/// The way of a table's records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SyncRoute {
    /// Over V6, from sites to central and from there to sites.
    V6BothWays,
    /// Over V6, from central to sites only.
    V6FromCentral,
    /// Over V6, from sites to central only.
    V6ToCentral,
    /// Over V5, from a site to the legacy server and back.
    V5BothWays,
    /// Over V5, from the legacy server only.
    V5FromLegacy,
    /// This version knows no such table.
    NotKnown,
}

/// A change of a record, and its progress.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ChangeHistory {
    /// Its position in the changelog.
    pub cursor: Cursor,
    /// The action.
    pub action: ChangeAction,
    /// Its writer: `here`, `central`, `legacy`, `site 3`.
    pub by: String,
    /// True if the host wrote it as local only: it is not synchronised.
    pub local_only: bool,
    /// The time of the write here.
    pub at: Timestamp,
    /// The store of the record then.
    pub store_id: Option<StoreId>,
    /// The cycle that brought it, if the log has it.
    pub brought_by_cycle: Option<Timestamp>,
    /// The number of that cycle in the log; the newest is 1.
    pub brought_by_cycle_number: Option<usize>,
    /// Its ways out, if it was written here: to central from a site, to the legacy server.
    pub sent: Vec<Delivery>,
    /// On central: its receivers.
    pub receivers: Option<Receivers>,
}

/// A way out of a site.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Delivery {
    /// `central` or `legacy`.
    pub to: &'static str,
    /// Its progress.
    pub state: DeliveryState,
    /// The number of changes that wait before it.
    pub before_it: u64,
    /// The cycle that sent it, if the log has it.
    pub by_cycle: Option<Timestamp>,
    /// The number of that cycle in the log; the newest is 1.
    pub by_cycle_number: Option<usize>,
}

/// The progress of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum DeliveryState {
    /// It waits for the next push.
    Waits,
    /// It was accepted; whether it is integrated there is not known yet.
    Sent,
    /// It was accepted, and the other end has finished integrating.
    Taken,
    /// It was refused, and is in quarantine here.
    NotTaken,
    /// It was accepted, and central told later that it refused it.
    Refused,
}

/// The receivers of a change from central.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Receivers {
    /// The number of sites that may read it, including those that never came.
    pub sites: u64,
    /// The number of sites that have read past it.
    pub have_it: u64,
    /// The first of the other sites, by number.
    pub not_yet: Vec<SiteId>,
}

impl Support {
    /// Explains the state and the history of a record.
    ///
    /// # Errors
    /// The database failed.
    pub fn explain(&self, table: impl Into<TableName>, id: impl Into<RecordId>) -> Result<Explanation> {
        let (table, id) = (&table.into(), &id.into());
        let txn = self.storage.read()?;
        let txn = txn.as_ref();
        let role = role(txn)?;
        let log = txn.log(usize::MAX)?;
        let data = txn.record(table, id)?;
        let mut numbers = Vec::new();
        let mut awaited_by = 0;
        each_quarantined(txn, 0, |row, why| {
            if row.incoming.table == *table && row.incoming.id == *id {
                numbers.push(row.sequence);
            }
            let waits = why.waits_for.is_some_and(|(t, i)| t == *table && i == *id);
            awaited_by += u64::from(waits && why.cause == QuarantineCause::Waiting);
            Ok(())
        })?;
        let set_aside = numbers.into_iter().map(|number| set_aside_in(txn, number)).collect::<Result<Vec<_>>>()?;
        let refused_at = set_aside.iter().filter(|row| row.from == HERE).map(|row| row.received_at).max();
        let refused_by_central = refusal_of(txn, table, id)?;
        let mut changes = Vec::new();
        for row in changes_of(txn, table, id)? {
            changes.push(written(txn, role, (&log, refused_at), row)?);
        }
        changes.reverse();
        if refused_by_central.as_ref().is_some_and(|refused| refused.is_newest) {
            changes.first_mut().into_iter().for_each(mark_refused);
        }
        let staged = staged_of(txn, table, id)?;
        let mut also_in = Vec::new();
        for (other, _) in txn.record_counts()? {
            if other != *table && txn.has_record(&other, id)? {
                also_in.push(other);
            }
        }
        Ok(Explanation {
            verdict: verdict(role, &set_aside, staged.is_some(), &changes),
            travels: travels(table.as_str()),
            bytes: data.map(|data| data.as_str().len() as u64),
            changes,
            conflict_at: conflict_of(&log, table, id),
            conflict: kept_conflict_of(txn, table, id)?,
            staged_since: staged.map(|row| row.received_at),
            refused_by_central,
            set_aside,
            awaited_by,
            also_in,
            table_may_be: nearly(table.as_str()),
            table: table.clone(),
            id: id.clone(),
        })
    }
}

/// The last conflict about a record that this database keeps.
fn kept_conflict_of(txn: &dyn ReadTxn, table: &TableName, id: &RecordId) -> Result<Option<Conflict>> {
    let mut kept = kept_conflicts(txn)?.into_iter().map(|kept| kept.conflict);
    Ok(kept.find(|conflict| conflict.table == *table && conflict.id == *id))
}

/// The beginning of the last cycle that reports a conflict about a record in which the local version was kept.
fn conflict_of(log: &[LogEntry], table: &TableName, id: &RecordId) -> Option<Timestamp> {
    let is_kept = |conflict: &Value| !matches!(conflict["outcome"].as_str(), Some("took_received" | "replaced"));
    let is_it =
        |conflict: &Value| conflict["table"] == table.as_str() && conflict["id"] == id.as_str() && is_kept(conflict);
    newest(log, |report| report["conflicts"].as_array().is_some_and(|all| all.iter().any(is_it))).map(|(_, at)| at)
}

/// The changelog rows of a record, oldest first.
fn changes_of(txn: &dyn ReadTxn, table: &TableName, id: &RecordId) -> Result<Vec<Change>> {
    let mut found = Vec::new();
    let mut from = Cursor(0);
    loop {
        let rows = txn.changes(&Selection::All, from, ROWS)?;
        let next = rows.last().map(|row| row.cursor.next()).filter(|_| rows.len() == ROWS);
        found.extend(rows.into_iter().filter(|row| row.change.table == *table && row.change.id == *id));
        match next {
            Some(next) => from = next,
            None => return Ok(found),
        }
    }
}

fn travels(table: &str) -> SyncRoute {
    match record_type(table) {
        Some(kind) if kind.pulled && kind.pushed => SyncRoute::V6BothWays,
        Some(kind) if kind.pushed => SyncRoute::V6ToCentral,
        Some(_) => SyncRoute::V6FromCentral,
        None if owned_by_sites(table).is_some() => SyncRoute::V5BothWays,
        None if configured_by_legacy(table) => SyncRoute::V5FromLegacy,
        None => SyncRoute::NotKnown,
    }
}

/// A known table that differs only in capital letters or separators.
fn nearly(table: &str) -> Option<&'static str> {
    let plain = |text: &str| text.to_ascii_lowercase().replace(['_', '-', ' '], "").trim_end_matches('s').to_owned();
    let known = record_types().iter().map(|kind| kind.table);
    (travels(table) == SyncRoute::NotKnown).then(|| known.into_iter().find(|name| plain(name) == plain(table)))?
}

fn verdict(role: Option<Role>, set_aside: &[SetAside], is_staged: bool, changes: &[ChangeHistory]) -> Verdict {
    if set_aside.iter().any(|row| !row.cause.is_settled()) {
        return Verdict::SetAside;
    }
    if is_staged {
        return Verdict::Staged;
    }
    let Some(newest) = changes.first() else {
        return if set_aside.is_empty() { Verdict::NotKnown } else { Verdict::SetAside };
    };
    if newest.local_only {
        return Verdict::StaysHere;
    }
    if role == Some(Role::Central) && newest.sent.is_empty() {
        return Verdict::AtCentral;
    }
    let is = |state| newest.sent.iter().any(|sent| sent.state == state);
    match () {
        () if is(DeliveryState::Waits) => Verdict::WaitsForPush,
        () if is(DeliveryState::Refused) => Verdict::RefusedByCentral,
        () if is(DeliveryState::Sent) => Verdict::Sent,
        () if is(DeliveryState::Taken) => Verdict::Taken,
        () if newest.by == HERE => Verdict::StaysHere,
        () => Verdict::Received,
    }
}

/// Central told that it refused this change.
fn mark_refused(change: &mut ChangeHistory) {
    let to_central = change.sent.iter_mut().filter(|sent| sent.to == CENTRAL && sent.state != DeliveryState::Waits);
    to_central.for_each(|sent| sent.state = DeliveryState::Refused);
}

/// True if a number is that of the legacy server itself, from which a central server beside it has records too.
fn is_legacy(txn: &dyn ReadTxn, site: SiteId) -> Result<bool> {
    Ok(state::LEGACY_SITE_ID.find(txn)? == Some(site))
}

fn written(
    txn: &dyn ReadTxn,
    role: Option<Role>,
    (log, refused_at): (&[LogEntry], Option<Timestamp>),
    row: Change,
) -> Result<ChangeHistory> {
    let is_central = role == Some(Role::Central);
    let change = &row.change;
    let is_received = !change.is_written_here();
    let by = match (is_received, change.source_site) {
        (false, _) => HERE.to_owned(),
        (true, Some(site)) if is_central && !is_legacy(txn, site)? => format!("site {site}"),
        (true, Some(site)) if !is_central && site_id(txn)? == Some(site) => "central".to_owned(),
        (true, Some(_)) => "legacy".to_owned(),
        (true, None) => "central".to_owned(),
    };
    let sent = if change.is_sync_update { Vec::new() } else { ways_out(txn, (log, refused_at), &row, is_central)? };
    let receivers = if is_central { receivers(txn, &row)? } else { None };
    // Records that sites push to central belong to no cycle, even if one runs meanwhile.
    let came_with_cycle = is_received && !(is_central && by != "legacy");
    let brought_by = if came_with_cycle { cycle_that_brought(log, row.cursor) } else { None };
    let Change { cursor, change } = row;
    Ok(ChangeHistory {
        cursor,
        action: change.action,
        by,
        local_only: change.audience == Audience::LocalOnly,
        at: change.changed_at,
        store_id: change.store,
        brought_by_cycle: brought_by.map(|(_, at)| at),
        brought_by_cycle_number: brought_by.map(|(number, _)| number),
        sent,
        receivers,
    })
}

/// A cycle: its number in the log and its beginning.
type NumberedCycle = (usize, Timestamp);

/// The newest cycle with this property. What reports do not contain (from older versions, and of killed cycles) is not
/// guessed from times: two cycles may begin in one second, and clocks are set back.
fn newest(log: &[LogEntry], is_it: impl Fn(&Value) -> bool) -> Option<NumberedCycle> {
    let found = log.iter().enumerate().find(|(_, entry)| is_it(&entry.report));
    found.map(|(index, entry)| (index + 1, entry.started_at))
}

fn lies_in(at: Cursor, from: &Value, below: &Value) -> bool {
    from.as_u64().is_some_and(|from| from <= at.0) && below.as_u64().is_some_and(|below| at.0 < below)
}

/// The cycle in which sync wrote this change.
fn cycle_that_brought(log: &[LogEntry], at: Cursor) -> Option<NumberedCycle> {
    newest(log, |report| lies_in(at, &report["changes_from"], &report["changes_below"]))
}

/// The cycle in which a server accepted this change.
fn cycle_that_sent(log: &[LogEntry], to: &str, at: Cursor) -> Option<NumberedCycle> {
    let is_in = |range: &Value| range["to"] == to && lies_in(at, &range["from_cursor"], &range["below_cursor"]);
    newest(log, |report| report["pushed_ranges"].as_array().is_some_and(|ranges| ranges.iter().any(is_in)))
}

fn ways_out(
    txn: &dyn ReadTxn,
    (log, refused_at): (&[LogEntry], Option<Timestamp>),
    row: &Change,
    is_central: bool,
) -> Result<Vec<Delivery>> {
    let one_server = central_is_legacy(txn)?;
    let mut ways = Vec::new();
    type ChangeFilter<'a> = &'a dyn Fn(&Change) -> bool;
    let has_legacy = state::LEGACY_URL.is_set(txn)?;
    let central = |row: &Change| !is_central && is_pushed(row);
    let legacy = |row: &Change| has_legacy && is_pushed_to_legacy(row, one_server);
    for (to, concerns, server) in [
        (CENTRAL, &central as ChangeFilter<'_>, Server::Central),
        ("legacy", &legacy as ChangeFilter<'_>, Server::Legacy),
    ] {
        if !concerns(row) {
            continue;
        }
        let next = state::push_to(server).cursor.get(txn)?;
        let state = match () {
            () if row.cursor >= next => DeliveryState::Waits,
            () if row.cursor >= confirmed_to(txn, server)? => DeliveryState::Sent,
            () => DeliveryState::Taken,
        };
        let before_it = if state == DeliveryState::Waits { count_before(txn, next, row.cursor, concerns)? } else { 0 };
        let sent_by = if state == DeliveryState::Waits { None } else { cycle_that_sent(log, to, row.cursor) };
        // The push cursor moves past records that a server refuses.
        let is_refused = refused_at.is_some_and(|at| row.change.changed_at <= at) && sent_by.is_none();
        let state = if is_refused && state != DeliveryState::Waits { DeliveryState::NotTaken } else { state };
        let (by_cycle, by_cycle_number) = (sent_by.map(|(_, at)| at), sent_by.map(|(number, _)| number));
        ways.push(Delivery { to, state, before_it, by_cycle, by_cycle_number });
    }
    Ok(ways)
}

fn count_before(txn: &dyn ReadTxn, from: Cursor, to: Cursor, concerns: &dyn Fn(&Change) -> bool) -> Result<u64> {
    let (mut from, mut count) = (from, 0);
    loop {
        let rows = txn.changes(&Selection::Local, from, ROWS)?;
        count += rows.iter().filter(|row| row.cursor < to && concerns(row)).count() as u64;
        match rows.last() {
            Some(last) if rows.len() == ROWS && last.cursor < to => from = last.cursor.next(),
            _ => return Ok(count),
        }
    }
}

/// The sites that read a change from this central server; `None` if no site does over V6.
fn receivers(txn: &dyn ReadTxn, row: &Change) -> Result<Option<Receivers>> {
    let change = &row.change;
    let central = txn.central()?;
    let activity = central.activity()?;
    let mut sites: Vec<SiteId> = activity.iter().map(|visit| visit.site).collect();
    sites.extend(central.sites()?.into_iter().map(|site| site.id));
    sites.sort_unstable();
    sites.dedup();
    let mut found = Receivers { sites: 0, have_it: 0, not_yet: Vec::new() };
    for site in sites {
        let is_for = match &change.audience {
            Audience::Everyone => true,
            Audience::Store(store) => txn.stores_of_site(site)?.contains(store),
            Audience::Patient => match &change.name {
                Some(name) => txn.is_visible(name, &txn.stores_of_site(site)?)?,
                None => false,
            },
            Audience::Legacy | Audience::Nobody | Audience::LocalOnly => return Ok(None),
        };
        if !is_for {
            continue;
        }
        found.sites += 1;
        let read_to = activity.iter().find(|visit| visit.site == site).and_then(|visit| visit.read_to);
        if change.source_site == Some(site) || read_to.is_some_and(|read_to| read_to > row.cursor) {
            found.have_it += 1;
        } else if found.not_yet.len() < SITES_NAMED {
            found.not_yet.push(site);
        }
    }
    Ok(Some(found))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_and_how_they_travel() {
        assert_eq!(travels("asset"), SyncRoute::V6BothWays);
        assert_eq!(travels("asset_class"), SyncRoute::V6FromCentral);
        assert_eq!(travels("system_log"), SyncRoute::V6ToCentral);
        assert_eq!(travels("transact"), SyncRoute::V5BothWays);
        assert_eq!(travels("store"), SyncRoute::V5FromLegacy);
        assert_eq!(travels("weather"), SyncRoute::NotKnown);
        assert_eq!((nearly("Assets"), nearly("asset-log")), (Some("asset"), Some("asset_log")));
        assert_eq!((nearly("asset"), nearly("weather")), (None, None));
    }
}
