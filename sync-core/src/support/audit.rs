//! Compares this site's records with central's, one by one, and explains the differences.

use std::collections::{BTreeMap, BTreeSet};

use super::audit_report::{Audit, AuditReason, AuditedType, Difference, DifferenceKind, DifferenceReason};
use super::preview_push::NAMED;
use super::refused_by_central::refused_by_central;
use crate::changelog::Audience;
use crate::error::{Result, Server};
use crate::record::{Cursor, Deletion, RecordData, RecordId, RecordType, SiteId, StoreId, TableName, record_type};
use crate::storage::state::{Setting, confirmed_to, site_id};
use crate::storage::{QuarantineCause, ReadTxn, Source, Storage, WriteTxn, each_quarantined, state};
use crate::write;
use crate::write::merged;

/// Records that are read at once.
const PAGE: usize = 100;

/// The site number under which a scratch storage stores central's cursors: no site has it.
const CENTRAL: SiteId = SiteId(0);
/// The number for the records that the next pull would bring.
const WAITING: SiteId = SiteId(-1);

/// Central's records for this site, in a scratch storage: the records as they came, with their cursors.
pub(crate) struct CentralSnapshot<'s> {
    pub scratch: &'s dyn Storage,
    pub rows: u64,
}

impl CentralSnapshot<'_> {
    /// Notes the cursor of a record's row in central's changelog.
    pub(crate) fn note(scratch: &dyn WriteTxn, table: &TableName, id: &RecordId, at: Cursor) -> Result<()> {
        scratch.note_pushed(CENTRAL, table, id, at)
    }

    /// Notes that the next pull would bring a record.
    pub(crate) fn note_waiting(scratch: &dyn WriteTxn, table: &TableName, id: &RecordId) -> Result<()> {
        scratch.note_pushed(WAITING, table, id, Cursor(1))
    }
}

/// Compares the records here with central's.
pub(crate) fn compare(
    here: &dyn ReadTxn,
    central: &CentralSnapshot<'_>,
    progress: &mut dyn FnMut(u64, u64) -> Result<()>,
) -> Result<Audit> {
    note_set_aside(here, central.scratch)?;
    let there = central.scratch.read()?;
    let comparison = Comparison {
        here,
        there: there.as_ref(),
        stores: site_id(here)?.map_or(Ok(Vec::new()), |site| here.stores_of_site(site))?,
        unsent_from: confirmed_to(here, Server::Central)?,
        any_merged: merged::any(here)?,
        sent: there.record_counts()?.into_iter().map(|(table, _)| table).collect(),
    };
    let mut found =
        AuditTally { audit: Audit::of_rows(central.rows), types: BTreeMap::new(), reasons: BTreeMap::new() };
    let tables = |txn: &dyn ReadTxn| txn.record_counts();
    let is_compared = |table: &TableName| record_type(table.as_str()).is_some_and(|kind| kind.pulled);
    let of_here: Vec<_> = tables(here)?.into_iter().filter(|(table, _)| is_compared(table)).collect();
    let of_central = tables(there.as_ref())?;
    let total: u64 = of_here.iter().chain(&of_central).map(|(_, count)| count).sum();
    let mut done = 0;
    for (table, _) in of_central {
        each_record(there.as_ref(), &table, |id, data| {
            comparison.at_central(&table, id, data, &mut found)?;
            done += 1;
            if done % PAGE as u64 == 0 { progress(done, total) } else { Ok(()) }
        })?;
    }
    for (table, _) in of_here {
        each_record(here, &table, |id, data| {
            comparison.here(&table, id, data, &mut found)?;
            done += 1;
            if done % PAGE as u64 == 0 { progress(done, total) } else { Ok(()) }
        })?;
    }
    Ok(found.into_audit())
}

fn each_record(
    txn: &dyn ReadTxn,
    table: &TableName,
    mut each: impl FnMut(RecordId, RecordData) -> Result<()>,
) -> Result<()> {
    let mut after: Option<RecordId> = None;
    loop {
        let page = txn.records(table, after.as_ref(), PAGE)?;
        let Some((last, _)) = page.last() else { return Ok(()) };
        after = Some(last.clone());
        for (id, data) in page {
            each(id, data)?;
        }
    }
}

/// Tables that some 3.x central servers never send over V6.
const NOT_SENT_BY_SOME: [&str; 4] =
    ["ancillary_item", "asset_catalogue_type", "name_oms_fields", "vaccine_course_store_config"];

/// The setting in which a scratch storage marks a record as quarantined.
fn aside(table: &TableName, id: &RecordId) -> Setting<String> {
    state::named(format_args!("set aside {table}\n{id}"))
}

/// Copies the quarantine of this database into the scratch storage, so that it can be looked up by record and need not be kept in
/// memory.
fn note_set_aside(here: &dyn ReadTxn, scratch: &dyn Storage) -> Result<()> {
    let txn = scratch.write()?;
    each_quarantined(here, 0, |row, why| {
        let source = row.incoming.source;
        let why = match (source, why.cause) {
            (Source::Site(_) | Source::Legacy, _)
            | (Source::Local, QuarantineCause::Ignored)
            | (_, QuarantineCause::Superseded) => {
                return Ok(());
            }
            (Source::Local, _) => "local",
            (_, QuarantineCause::Ignored) => "ignored",
            (_, QuarantineCause::Waiting) => "waiting",
            _ => "central",
        };
        aside(&row.incoming.table, &row.incoming.id).set(txn.as_ref(), why)
    })?;
    for refused in refused_by_central(here)? {
        aside(&refused.table, &refused.id).set(txn.as_ref(), "local")?;
    }
    txn.commit()
}

/// The results so far.
struct AuditTally {
    audit: Audit,
    types: BTreeMap<TableName, AuditedType>,
    reasons: BTreeMap<DifferenceReason, u64>,
}

impl AuditTally {
    fn of(&mut self, table: &TableName) -> &mut AuditedType {
        let empty =
            || AuditedType { table: table.clone(), at_central: 0, same: 0, missing: 0, differing: 0, here_only: 0 };
        self.types.entry(table.clone()).or_insert_with(empty)
    }

    fn add(&mut self, difference: Difference) {
        *self.reasons.entry(difference.why).or_default() += 1;
        let of_type = self.of(&difference.table);
        match difference.kind {
            DifferenceKind::Missing => of_type.missing += 1,
            DifferenceKind::Differing => of_type.differing += 1,
            DifferenceKind::HereOnly => of_type.here_only += 1,
        }
        let audit = &mut self.audit;
        audit.set_aside_records += u64::from(matches!(
            difference.why,
            DifferenceReason::SetAside | DifferenceReason::WaitsForAnother | DifferenceReason::RefusedByCentral
        ));
        let (list, count) = match difference.why.is_loss() {
            true => (&mut audit.lost, &mut audit.lost_records),
            false => (&mut audit.explained, &mut audit.explained_records),
        };
        *count += 1;
        if list.len() < NAMED {
            list.push(difference);
        }
    }

    fn into_audit(self) -> Audit {
        let reason = |(why, records): (DifferenceReason, u64)| AuditReason {
            why,
            is_loss: why.is_loss(),
            records,
            meaning: why.meaning(),
            advice: why.advice(),
        };
        Audit {
            same: self.types.values().map(|of_type| of_type.same).sum(),
            by_type: self.types.into_values().collect(),
            reasons: self.reasons.into_iter().map(reason).collect(),
            ..self.audit
        }
    }
}

/// Both ends, and the cursors of this one.
struct Comparison<'t> {
    here: &'t dyn ReadTxn,
    there: &'t dyn ReadTxn,
    stores: Vec<StoreId>,
    unsent_from: Cursor,
    /// True if records have merged ids replaced here.
    any_merged: bool,
    /// The tables of which central sent any record.
    sent: BTreeSet<TableName>,
}

impl Comparison<'_> {
    /// A record that central has.
    fn at_central(&self, table: &TableName, id: RecordId, theirs: RecordData, found: &mut AuditTally) -> Result<()> {
        let merged = if self.any_merged { merged::resolved(self.here, table, &theirs)? } else { None };
        let theirs = merged.unwrap_or(theirs);
        let (kind, fields) = match self.here.record(table, &id)? {
            None => (DifferenceKind::Missing, Vec::new()),
            Some(ours) => (DifferenceKind::Differing, differing_fields(table, &ours, &theirs)),
        };
        let is_same = kind == DifferenceKind::Differing && fields.is_empty();
        // A record may have left a store of this site. Central still has its row, with the version from before. Neither that
        // version nor the one in the other store is for this site.
        let is_elsewhere = self.is_of_another_store(table, &theirs)?;
        if !is_elsewhere {
            found.of(table).at_central += 1;
        }
        if is_same && !is_elsewhere {
            found.of(table).same += 1;
            return Ok(());
        }
        let why = match self.on_its_way(table, &id)? {
            Some(why) if !is_same => why,
            _ if is_elsewhere => DifferenceReason::NotForThisSite,
            _ if self.here.has_local_change(table, &id, Cursor(0))? => DifferenceReason::NotTaken,
            _ => DifferenceReason::LostHere,
        };
        let kind = if is_same { DifferenceKind::HereOnly } else { kind };
        found.add(Difference { table: table.clone(), id, kind, why, fields });
        Ok(())
    }

    /// A record that is here.
    fn here(&self, table: &TableName, id: RecordId, ours: RecordData, found: &mut AuditTally) -> Result<()> {
        let Some(kind) = record_type(table.as_str()) else { return Ok(()) };
        if self.there.has_record(table, &id)? || kind.removed.is_some() || write::is_local_only(self.here, table, &id)?
        {
            return Ok(());
        }
        let is_deleted_there = self.there.pushed_at(CENTRAL, table, &id)?.is_some();
        if is_deleted_there && is_marked_deleted(kind, &ours) {
            found.of(table).same += 1;
            return Ok(());
        }
        let why = match self.on_its_way(table, &id)? {
            Some(why) => why,
            None if is_deleted_there => DifferenceReason::DeletedAtCentral,
            None if !self.is_for_this_site(kind, table, &ours)? => DifferenceReason::NotForThisSite,
            None if NOT_SENT_BY_SOME.contains(&table.as_str()) && !self.sent.contains(table) => {
                DifferenceReason::NotSentByCentral
            }
            None if self.here.has_local_change(table, &id, Cursor(0))? => DifferenceReason::NotTaken,
            None => DifferenceReason::LostAtCentral,
        };
        found.add(Difference { table: table.clone(), id, kind: DifferenceKind::HereOnly, why, fields: Vec::new() });
        Ok(())
    }

    /// The reason why a record may differ, if there is one.
    fn on_its_way(&self, table: &TableName, id: &RecordId) -> Result<Option<DifferenceReason>> {
        let is_pushed = record_type(table.as_str()).is_some_and(|kind| kind.pushed);
        let aside = aside(table, id).find(self.there)?;
        Ok(match aside.as_deref() {
            Some("local") => Some(DifferenceReason::RefusedByCentral),
            _ if is_pushed && self.here.has_local_change(table, id, self.unsent_from)? => {
                Some(DifferenceReason::WaitsForPush)
            }
            Some("waiting") => Some(DifferenceReason::WaitsForAnother),
            Some("ignored") => Some(DifferenceReason::Ignored),
            Some(_) => Some(DifferenceReason::SetAside),
            None if self.there.pushed_at(WAITING, table, id)?.is_some() => Some(DifferenceReason::WaitsForPull),
            None => None,
        })
    }

    /// True if a record with this data belongs to a store that is not active here, or needs a store and has none.
    fn is_of_another_store(&self, table: &TableName, data: &RecordData) -> Result<bool> {
        let Some(kind) = record_type(table.as_str()) else { return Ok(false) };
        let (store, name) = write::scope(self.here, table, data)?;
        let audience = Audience::of(kind.style, kind.table, store.as_ref(), name.as_ref());
        Ok(match audience {
            Audience::Store(store) => !self.stores.contains(&store),
            Audience::Nobody | Audience::LocalOnly => true,
            Audience::Everyone | Audience::Patient | Audience::Legacy => false,
        })
    }

    /// True if central sends a record with this data to this site, as far as known here.
    fn is_for_this_site(&self, kind: &RecordType, table: &TableName, data: &RecordData) -> Result<bool> {
        let (store, name) = write::scope(self.here, table, data)?;
        Ok(match Audience::of(kind.style, kind.table, store.as_ref(), name.as_ref()) {
            Audience::Everyone => true,
            Audience::Store(store) => self.stores.contains(&store),
            Audience::Patient => name.map_or(Ok(false), |name| self.here.is_visible(&name, &self.stores))?,
            Audience::Legacy | Audience::Nobody | Audience::LocalOnly => false,
        })
    }
}

fn differing_fields(table: &TableName, ours: &RecordData, theirs: &RecordData) -> Vec<String> {
    match record_type(table.as_str()) {
        Some(kind) => kind.differing_fields(ours, theirs),
        None if ours.same_value(theirs) => Vec::new(),
        None => vec!["$".to_owned()],
    }
}

/// True if a record has the soft-delete mark of its type.
fn is_marked_deleted(kind: &RecordType, data: &RecordData) -> bool {
    match kind.deletion {
        Deletion::Soft(field) | Deletion::SoftAndWire(field) => {
            data.fields().is_some_and(|fields| fields.text(field).is_some())
        }
        Deletion::Never | Deletion::Wire => false,
    }
}
