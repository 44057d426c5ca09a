//! Without a legacy server: stores records of legacy tables, such as stock and invoices, for the site that pushed them,
//! and returns them when the site begins anew.
//!
//! They are not part of V6 and are not read here: no other site ever gets them. Patients are the exception: sites push them
//! over V6 too, which returns none. So a site that begins anew gets the patients of its stores as they are here now.

use std::collections::HashSet;

use super::Central;
use super::v6::push::late_copy::{Replay, note_legacy_row};
use crate::changelog::ChangeAction;
use crate::error::Result;
use crate::protocol::v5::{Acknowledged, PushedAnswer, QueueBatch, QueueLength, QueuedRecord};
use crate::protocol::v6::{Action, WireRecord};
use crate::record::types::is_patient;
use crate::record::{FieldError, NameId, RecordData, RecordId, SiteId, StoreId, TableName, portable};
use crate::storage::state::{Numbers, QueueLeft};
use crate::storage::{Incoming, MirroredRecord, Quarantine, QuarantineCause, ReadTxn, Source, WriteTxn, state};
use crate::write;
use crate::write::outgoing::is_readable;

const NAMES: &str = "name";
const JOINS: &str = "name_store_join";

/// Stored records that are read at once: each may be large.
const MIRRORED_AT_ONCE: usize = 16;

/// Joins that are read at once.
const PAGE: usize = 500;

/// Links of a site that are still stored under its number: the site may have pushed a newer version since.
fn linked(txn: &dyn ReadTxn, site: SiteId) -> Result<Vec<MirroredRecord>> {
    let mut records = Vec::new();
    for number in state::LINKED_OF_SITE.of(site).get(txn)?.0 {
        let next = txn.central()?.legacy_mirror(site, number.saturating_sub(1), 1)?;
        records.extend(next.into_iter().filter(|record| record.number == number));
    }
    Ok(records)
}

impl Central {
    /// Stores a record of a patient whom a site links, and queues it for the site.
    pub(crate) fn queue_for_site(
        &self,
        txn: &dyn WriteTxn,
        site: SiteId,
        (table, id): (&TableName, &RecordId),
        data: &RecordData,
    ) -> Result<()> {
        txn.central()?.mirror_record(site, table, id, data)?;
        let (_, number) = txn.central()?.count_mirrored(site, 0)?;
        let still_stored = linked(txn, site)?.into_iter().map(|record| record.number);
        state::LINKED_OF_SITE.of(site).set(txn, Numbers(still_stored.chain([number]).collect()))
    }

    /// Stores a push. The site gets its answer once it is on the disk. `None` if a newer version of one of its records came a
    /// short time ago, so that this request is a late copy: nothing of it is stored.
    pub(crate) fn mirror_push(
        &self,
        site: SiteId,
        queue_length: u64,
        records: Vec<QueuedRecord>,
    ) -> Result<Option<PushedAnswer>> {
        let answer = Some(PushedAnswer { integration_started: queue_length == 0 });
        if records.is_empty() {
            return Ok(answer);
        }
        let txn = self.storage.write()?;
        let uptime = self.uptime.now(txn.as_ref(), self.clock.as_ref())?;
        for record in records {
            let sync_out_id = record.sync_out_id.clone();
            let record = WireRecord::from(record);
            match note_legacy_row(txn.as_ref(), site, uptime, &sync_out_id, &record)? {
                Replay::New => {}
                Replay::Duplicate => continue,
                Replay::Stale => return Ok(None),
            }
            let WireRecord { table_name: table, record_id: id, action, record_data: data } = record;
            if action == Action::Delete {
                txn.central()?.drop_mirrored(site, &table, &id)?;
                continue;
            }
            match portable::admit(&table, &id, Some(&data)) {
                Ok(()) => txn.central()?.mirror_record(site, &table, &id, &data)?,
                Err(error) => txn.stage(&set_aside(site, (table, id), data, &error), self.clock.now())?,
            }
        }
        txn.commit()?;
        Ok(answer)
    }

    /// A site begins anew: all its stored records are returned. It has the records that it pushes from now on.
    pub(crate) fn fill_queue(&self, site: SiteId) -> Result<QueueLength> {
        self.mirror_patients(site)?;
        let txn = self.storage.write()?;
        let (queue_length, through) = txn.central()?.count_mirrored(site, 0)?;
        state::QUEUE_OF_SITE.of(site).set(txn.as_ref(), QueueLeft { after: 0, through })?;
        // They are among all stored records.
        state::LINKED_OF_SITE.of(site).set(txn.as_ref(), Numbers::default())?;
        txn.commit()?;
        Ok(QueueLength { queue_length })
    }

    /// Adds the patients whom the stores of a site see, and the joins by which they do, to the records that are returned.
    fn mirror_patients(&self, site: SiteId) -> Result<()> {
        let joins = TableName::from(JOINS);
        let mut after = None;
        loop {
            let (page, of_site) = {
                let txn = self.storage.read()?;
                let stores = txn.stores_of_site(site)?;
                let page = txn.records(&joins, after.as_ref(), PAGE)?;
                (page.last().map(|(last, _)| last.clone()), patients_of(txn.as_ref(), &stores, page)?)
            };
            if page.is_none() {
                return Ok(());
            }
            after = page;
            if of_site.is_empty() {
                continue;
            }
            let txn = self.storage.write()?;
            for (table, id) in of_site {
                if let Some(data) = txn.record(&table, &id)?.filter(is_readable) {
                    txn.central()?.mirror_record(site, &table, &id, &data)?;
                }
            }
            txn.commit()?;
        }
    }

    /// The next records to return: the same until they are acknowledged.
    pub(crate) fn queue(&self, site: SiteId, limit: usize, bytes_max: usize) -> Result<QueueBatch> {
        let txn = self.storage.read()?;
        let left = state::QUEUE_OF_SITE.of(site).get(txn.as_ref())?;
        if left.after >= left.through {
            let linked = linked(txn.as_ref(), site)?;
            let (queue_length, stores) = (linked.len() as u64, txn.stores_of_site(site)?);
            let data = linked.into_iter().take(limit).map(|record| queued(txn.as_ref(), &stores, record));
            return Ok(QueueBatch { queue_length, data: data.collect::<Result<_>>()? });
        }
        let data = next_mirrored(txn.as_ref(), site, left, limit, bytes_max)?;
        let queue_length = if data.is_empty() { 0 } else { txn.central()?.count_mirrored(site, left.after)?.0 };
        Ok(QueueBatch { queue_length, data })
    }

    /// The site has stored the returned records, up to the first that it does not name.
    pub(crate) fn acknowledge_queue(&self, site: SiteId, acknowledged: &Acknowledged) -> Result<()> {
        let stored: HashSet<u64> = acknowledged.sync_ids.iter().filter_map(|id| id.parse().ok()).collect();
        let txn = self.storage.write()?;
        let mut queue = state::QUEUE_OF_SITE.of(site).get(txn.as_ref())?;
        if queue.after >= queue.through {
            let mut linked = state::LINKED_OF_SITE.of(site).get(txn.as_ref())?;
            linked.0.retain(|number| !stored.contains(number));
            state::LINKED_OF_SITE.of(site).set(txn.as_ref(), linked)?;
            return txn.commit();
        }
        let before = queue.after;
        loop {
            let some = txn.central()?.legacy_mirror(site, queue.after, MIRRORED_AT_ONCE)?;
            let known = some.iter().take_while(|record| stored.contains(&record.number)).last();
            let Some(last) = known else { break };
            queue.after = last.number;
        }
        if queue.after == before {
            return Ok(());
        }
        state::QUEUE_OF_SITE.of(site).set(txn.as_ref(), queue)?;
        txn.commit()
    }
}

/// A record that not every peer can read is not returned to the site, which could not read past it. It is shown in the
/// quarantine.
fn set_aside(site: SiteId, (table, id): (TableName, RecordId), data: RecordData, error: &FieldError) -> Incoming {
    let quarantine = Quarantine { cause: QuarantineCause::Malformed, reason: error.to_string(), waits_for: None };
    let (source, action) = (Source::Site(site), Action::Update);
    Incoming {
        quarantine: Some(quarantine),
        ..Incoming::new(source, WireRecord { table_name: table, record_id: id, action, record_data: data })
    }
}

/// The next records, a few at a time, because one may be as large as a whole answer. At least one.
fn next_mirrored(
    txn: &dyn ReadTxn,
    site: SiteId,
    QueueLeft { mut after, through }: QueueLeft,
    limit: usize,
    bytes_max: usize,
) -> Result<Vec<QueuedRecord>> {
    let (mut data, mut bytes) = (Vec::new(), 0);
    let stores = txn.stores_of_site(site)?;
    while data.len() < limit {
        let some = txn.central()?.legacy_mirror(site, after, MIRRORED_AT_ONCE.min(limit - data.len()))?;
        let Some(last) = some.last().map(|record| record.number) else { break };
        for record in some.into_iter().filter(|record| record.number <= through) {
            let record = queued(txn, &stores, record)?;
            bytes += record.record_data.as_str().len();
            if bytes > bytes_max && !data.is_empty() {
                return Ok(data);
            }
            data.push(record);
        }
        after = last;
        if after >= through {
            break;
        }
    }
    Ok(data)
}

/// The patients among the names that these stores see, each with its join.
fn patients_of(
    txn: &dyn ReadTxn,
    stores: &[StoreId],
    joins: Vec<(RecordId, RecordData)>,
) -> Result<Vec<(TableName, RecordId)>> {
    let (names, table) = (TableName::from(NAMES), TableName::from(JOINS));
    let mut found = Vec::new();
    for (id, join) in joins {
        let (Some(store), Some(name)) = write::scope(txn, &table, &join)? else { continue };
        if !stores.contains(&store) || !txn.is_visible(&name, &[store])? {
            continue;
        }
        let patient = RecordId::from(name.as_str());
        if txn.record(&names, &patient)?.is_some_and(|name| is_patient(&name) && !is_deleted(&name)) {
            found.extend([(names.clone(), patient), (table.clone(), id)]);
        }
    }
    Ok(found)
}

/// The element of a queue for a stored record. A patient and a join of names are returned as they are now, which may be newer
/// than what is stored for the site: a site that edited the old version would undo the newer one.
fn queued(txn: &dyn ReadTxn, stores: &[StoreId], record: MirroredRecord) -> Result<QueuedRecord> {
    let (action, data) = match current_version(txn, stores, &record)? {
        CurrentVersion::AsStored => (Action::Update, record.data),
        CurrentVersion::Newer(data) => (Action::Update, data),
        CurrentVersion::Deleted => (Action::Delete, RecordData::empty()),
    };
    let (sync_out_id, table_name, record_id) = (record.number.to_string(), record.table, record.id);
    Ok(QueuedRecord { sync_out_id, table_name, record_id, action, record_data: data })
}

/// What central has of a record that is stored for a site.
enum CurrentVersion {
    AsStored,
    Newer(RecordData),
    Deleted,
}

fn current_version(txn: &dyn ReadTxn, stores: &[StoreId], record: &MirroredRecord) -> Result<CurrentVersion> {
    let (table, id) = (&record.table, &record.id);
    let is_name = *table == *NAMES;
    if !is_name && *table != *JOINS {
        return Ok(CurrentVersion::AsStored);
    }
    let Some(data) = txn.record(table, id)? else {
        // A record that never came here over V6 was not deleted here.
        let was_deleted = txn.tombstones(table, id)?.iter().any(|(row, _)| row.action == ChangeAction::Delete);
        return Ok(if was_deleted { CurrentVersion::Deleted } else { CurrentVersion::AsStored });
    };
    if is_name && is_patient(&data) && is_deleted(&data) {
        return Ok(CurrentVersion::Deleted);
    }
    // A site learns nothing new of a patient whom none of its stores sees, and of the joins of other stores.
    let may_learn = match is_name {
        true => {
            let is_seen = txn.is_visible(&NameId::from(id.as_str()), stores)? || planted!(QueueTellsAnyPatient);
            is_patient(&data) && is_seen
        }
        false => write::scope(txn, table, &data)?.0.is_some_and(|store| stores.contains(&store)),
    };
    Ok(if may_learn && is_readable(&data) { CurrentVersion::Newer(data) } else { CurrentVersion::AsStored })
}

/// True if a site deleted this patient, whom central keeps with a mark.
pub(crate) fn is_deleted(patient: &RecordData) -> bool {
    patient.fields().is_some_and(|fields| fields.text("deleted_datetime").is_some())
}
