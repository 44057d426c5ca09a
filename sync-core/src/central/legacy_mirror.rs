//! Without a legacy server: stores records of legacy tables, such as stock and invoices, for the site that pushed them,
//! and returns them when the site begins anew.
//!
//! They are not part of V6 and are not read here: no other site ever gets them. Patients are the exception: sites push them
//! over V6 too, which returns none. So a site that begins anew gets the patients of its stores as they are here now.

use std::collections::HashSet;

use super::Central;
use super::v6::push::late_copy::{Replay, note_legacy_row};
use crate::changelog::ChangeAction;
use crate::clock::Timestamp;
use crate::error::Result;
use crate::protocol::v5::{Acknowledged, PushedAnswer, QueueBatch, QueueLength, QueuedRecord};
use crate::protocol::v6::{Action, WireRecord};
use crate::record::field::check_document;
use crate::record::types::is_patient;
use crate::record::{NameId, RecordData, RecordId, SiteId, StoreId, TableName, portable};
use crate::storage::state::{Numbers, QueueLeft};
use crate::storage::{
    Buffered, Incoming, MirroredRecord, Quarantine, QuarantineCause, ReadTxn, Source, WriteTxn, state,
};
use crate::write;
use crate::write::outgoing::is_readable;
use crate::write::record_owner::{self, WriterOnRecord};

const NAMES: &str = "name";
const JOINS: &str = "name_store_join";

/// Stored records that are read at once: each may be large.
const MIRRORED_AT_ONCE: usize = 16;

/// Joins that are read at once.
const PAGE: usize = 500;

/// The most records of linked patients that wait for a site beside its queue: two for each patient. A site that reads its queue
/// has nearly none.
const LINKED_MAX: usize = 1000;

/// Calls `each` for the records of linked patients that are still stored under their numbers: a newer version may have come since.
/// One is read at a time, because each may be large.
fn each_linked(txn: &dyn ReadTxn, site: SiteId, mut each: impl FnMut(MirroredRecord) -> Result<()>) -> Result<()> {
    for number in state::LINKED_OF_SITE.of(site).get(txn)?.0 {
        let next = txn.central()?.legacy_mirror(site, number.saturating_sub(1), 1)?;
        next.into_iter().filter(|record| record.number == number).try_for_each(&mut each)?;
    }
    Ok(())
}

/// What begins the ids of a queue's entries. Its numbers are the same in each queue of a site.
struct Epoch(String);

impl Epoch {
    fn of(txn: &dyn ReadTxn, site: SiteId) -> Result<Self> {
        state::QUEUE_EPOCH_OF_SITE.of(site).get(txn).map(Self)
    }

    fn begin(txn: &dyn WriteTxn, site: SiteId) -> Result<()> {
        let mut random = uuid::Uuid::new_v4().simple().to_string();
        random.truncate(12);
        state::QUEUE_EPOCH_OF_SITE.of(site).set(txn, random)
    }

    /// The id of an entry: its number, as older versions wrote it, in a queue that began with one.
    fn entry(&self, number: u64) -> String {
        if self.0.is_empty() { number.to_string() } else { format!("{}-{number}", self.0) }
    }

    /// The number in an entry's id; `None` for one of another queue.
    fn number(&self, entry: &str) -> Option<u64> {
        let number = match self.0.as_str() {
            "" => entry,
            epoch => entry.strip_prefix(epoch)?.strip_prefix('-')?,
        };
        number.parse().ok()
    }
}

impl Central {
    /// True if so many records of linked patients wait for a site that it has to read its queue before it links more. Asked before
    /// the only writer of the database is held.
    pub(crate) fn too_many_links_wait(&self, site: SiteId) -> Result<bool> {
        let txn = self.storage.read()?;
        if state::LINKED_OF_SITE.of(site).get(txn.as_ref())?.0.len() < LINKED_MAX {
            return Ok(false);
        }
        let mut waiting = 0;
        each_linked(txn.as_ref(), site, |_| {
            waiting += 1;
            Ok(())
        })?;
        Ok(waiting >= LINKED_MAX)
    }

    /// Stores a record of a patient whom a site links, and queues it for the site. Returns false if so many wait already that the
    /// site has to read its queue first.
    pub(crate) fn queue_for_site(
        &self,
        txn: &dyn WriteTxn,
        site: SiteId,
        (table, id): (&TableName, &RecordId),
        data: &RecordData,
    ) -> Result<bool> {
        mirror_if_newer(txn, site, (table, id), data)?;
        let Some(MirroredRecord { number, .. }) = txn.central()?.mirrored_record(site, table, id)? else {
            return Ok(true);
        };
        let setting = state::LINKED_OF_SITE.of(site);
        let mut listed = setting.get(txn)?.0;
        if listed.contains(&number) {
            return Ok(true);
        }
        if listed.len() >= LINKED_MAX {
            listed.clear();
            each_linked(txn, site, |record| {
                listed.push(record.number);
                Ok(())
            })?;
        }
        if listed.len() >= LINKED_MAX {
            return Ok(false);
        }
        listed.push(number);
        setting.set(txn, Numbers(listed))?;
        Ok(true)
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
            if let Some(fault) = fault(&record) {
                set_aside(txn.as_ref(), site, record, fault, self.clock.now())?;
                continue;
            }
            let WireRecord { table_name: table, record_id: id, action, record_data: data } = record;
            settle_faulty(txn.as_ref(), site, (&table, &id))?;
            match action {
                Action::Delete => txn.central()?.drop_mirrored(site, &table, &id)?,
                _ => txn.central()?.mirror_record(site, &table, &id, &data)?,
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
        Epoch::begin(txn.as_ref(), site)?;
        // They are among all stored records.
        state::LINKED_OF_SITE.of(site).set(txn.as_ref(), Numbers::default())?;
        txn.commit()?;
        Ok(QueueLength { queue_length })
    }

    /// Adds the patients whom the stores of a site see, and the joins by which they do, to the records that are returned. What is
    /// stored already is not written again, and other writers get their turns: a site may begin anew very often.
    fn mirror_patients(&self, site: SiteId) -> Result<()> {
        let joins = TableName::from(JOINS);
        let mut after = None;
        loop {
            let (page, of_site) = {
                let txn = self.storage.read()?;
                let stores = txn.stores_of_site(site)?;
                let page = txn.records(&joins, after.as_ref(), PAGE)?;
                let last = page.last().map(|(last, _)| last.clone());
                let mut of_site = Vec::new();
                for (table, id) in patients_of(txn.as_ref(), &stores, page)? {
                    if let Some(data) = txn.record(&table, &id)?.filter(is_readable)
                        && !is_mirrored(txn.as_ref(), site, (&table, &id), &data)?
                    {
                        of_site.push((table, id));
                    }
                }
                (last, of_site)
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
                    mirror_if_newer(txn.as_ref(), site, (&table, &id), &data)?;
                }
            }
            txn.commit()?;
            self.clock.sleep(write::PAUSE);
        }
    }

    /// The next records to return: the same until they are acknowledged.
    pub(crate) fn queue(&self, site: SiteId, limit: usize, bytes_max: usize) -> Result<QueueBatch> {
        let txn = self.storage.read()?;
        let left = state::QUEUE_OF_SITE.of(site).get(txn.as_ref())?;
        if left.after >= left.through {
            return linked_batch(txn.as_ref(), site, limit, bytes_max);
        }
        let data = next_mirrored(txn.as_ref(), site, left, limit, bytes_max)?;
        let queue_length = if data.is_empty() { 0 } else { txn.central()?.count_mirrored(site, left.after)?.0 };
        Ok(QueueBatch { queue_length, data })
    }

    /// The site has stored the returned records, up to the first that it does not name.
    pub(crate) fn acknowledge_queue(&self, site: SiteId, acknowledged: &Acknowledged) -> Result<()> {
        let txn = self.storage.write()?;
        let epoch = Epoch::of(txn.as_ref(), site)?;
        let stored: HashSet<u64> = acknowledged.sync_ids.iter().filter_map(|id| epoch.number(id)).collect();
        let mut queue = state::QUEUE_OF_SITE.of(site).get(txn.as_ref())?;
        if queue.after >= queue.through {
            let mut linked = state::LINKED_OF_SITE.of(site).get(txn.as_ref())?;
            let before = linked.0.len();
            linked.0.retain(|number| !stored.contains(number));
            if linked.0.len() == before {
                return Ok(());
            }
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

/// True if this version of a record is stored for a site.
fn is_mirrored(
    txn: &dyn ReadTxn,
    site: SiteId,
    (table, id): (&TableName, &RecordId),
    data: &RecordData,
) -> Result<bool> {
    Ok(txn.central()?.mirrored_record(site, table, id)?.is_some_and(|stored| stored.data == *data))
}

/// Stores a version of a record for a site, unless it is stored: that would only give it a new number.
fn mirror_if_newer(
    txn: &dyn WriteTxn,
    site: SiteId,
    (table, id): (&TableName, &RecordId),
    data: &RecordData,
) -> Result<()> {
    if is_mirrored(txn, site, (table, id), data)? {
        return Ok(());
    }
    txn.central()?.mirror_record(site, table, id, data)
}

/// What keeps a pushed record from being stored for its site.
fn fault(record: &WireRecord) -> Option<String> {
    let WireRecord { table_name: table, record_id: id, action, record_data: data } = record;
    match action {
        Action::Delete => None,
        Action::Merge => Some("only the legacy server merges records".to_owned()),
        Action::Insert | Action::Update => portable::length_fault(table, id).or_else(|| {
            let checked = portable::admit(table, id, Some(data)).and_then(|()| check_document(data));
            checked.err().map(|error| error.to_string())
        }),
    }
}

/// True for a version of a legacy record that a site pushed over V5: only pushes over V6 have cursors here.
fn is_of_legacy_push(site: SiteId, row: &Buffered) -> bool {
    row.incoming.source == Source::Site(site) && row.incoming.cursor.is_none()
}

/// Puts a record into quarantine that cannot be stored for its site, which could not read past it. A version that came over V6
/// stays in its place: it is the same record.
fn set_aside(txn: &dyn WriteTxn, site: SiteId, record: WireRecord, reason: String, now: Timestamp) -> Result<()> {
    let source = Source::Site(site);
    let versions = txn.buffered_versions(&record.table_name, &record.record_id)?;
    if versions.iter().any(|row| row.incoming.source == source && !is_of_legacy_push(site, row)) {
        return Ok(());
    }
    let quarantine = Some(Quarantine { cause: QuarantineCause::Malformed, reason, waits_for: None });
    let record = WireRecord { action: Action::Update, ..record };
    txn.stage(&Incoming { quarantine, ..Incoming::new(source, record) }, now)
}

/// Removes the earlier versions of a record that were set aside, because a newer one came.
fn settle_faulty(txn: &dyn WriteTxn, site: SiteId, (table, id): (&TableName, &RecordId)) -> Result<()> {
    if !txn.any_quarantined()? {
        return Ok(());
    }
    let is_faulty = |row: &Buffered| is_of_legacy_push(site, row) && row.incoming.quarantine.is_some();
    let versions = txn.buffered_versions(table, id)?;
    let faulty: Vec<u64> = versions.iter().filter(|row| is_faulty(row)).map(|row| row.sequence).collect();
    if faulty.is_empty() { Ok(()) } else { txn.settle(&faulty) }
}

/// The records of linked patients that a site gets beside its queue, at least one.
fn linked_batch(txn: &dyn ReadTxn, site: SiteId, limit: usize, bytes_max: usize) -> Result<QueueBatch> {
    let (epoch, stores) = (Epoch::of(txn, site)?, txn.stores_of_site(site)?);
    let (mut queue_length, mut bytes, mut data) = (0, 0, Vec::new());
    each_linked(txn, site, |record| {
        queue_length += 1;
        if data.len() >= limit || bytes > bytes_max {
            return Ok(());
        }
        let record = queued(txn, (site, &stores), &epoch, record)?;
        bytes += record.record_data.as_str().len();
        if bytes <= bytes_max || data.is_empty() {
            data.push(record);
        }
        Ok(())
    })?;
    Ok(QueueBatch { queue_length, data })
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
    let (epoch, stores) = (Epoch::of(txn, site)?, txn.stores_of_site(site)?);
    while data.len() < limit {
        let some = txn.central()?.legacy_mirror(site, after, MIRRORED_AT_ONCE.min(limit - data.len()))?;
        let Some(last) = some.last().map(|record| record.number) else { break };
        for record in some.into_iter().filter(|record| record.number <= through) {
            let record = queued(txn, (site, &stores), &epoch, record)?;
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
fn queued(
    txn: &dyn ReadTxn,
    (site, stores): (SiteId, &[StoreId]),
    epoch: &Epoch,
    record: MirroredRecord,
) -> Result<QueuedRecord> {
    let (action, data) = match current_version(txn, (site, stores), &record)? {
        CurrentVersion::AsStored => (Action::Update, record.data),
        CurrentVersion::Newer(data) => (Action::Update, data),
        CurrentVersion::Deleted => (Action::Delete, RecordData::empty()),
    };
    let (sync_out_id, table_name, record_id) = (epoch.entry(record.number), record.table, record.id);
    Ok(QueuedRecord { sync_out_id, table_name, record_id, action, record_data: data })
}

/// What central has of a record that is stored for a site.
enum CurrentVersion {
    AsStored,
    Newer(RecordData),
    Deleted,
}

fn current_version(
    txn: &dyn ReadTxn,
    (site, stores): (SiteId, &[StoreId]),
    record: &MirroredRecord,
) -> Result<CurrentVersion> {
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
    // A site learns nothing new of a patient whom none of its stores sees, unless it wrote the newest version itself, and of
    // the joins of other stores.
    let may_learn = match is_name {
        true => {
            let is_seen = txn.is_visible(&NameId::from(id.as_str()), stores)? || planted!(QueueTellsAnyPatient);
            let wrote_it =
                || record_owner::writer(txn, (site, &[]), (table, id)).map(|by| by == WriterOnRecord::Itself);
            is_patient(&data) && (is_seen || wrote_it()?)
        }
        false => write::scope(txn, table, &data)?.0.is_some_and(|store| stores.contains(&store)),
    };
    Ok(if may_learn && is_readable(&data) { CurrentVersion::Newer(data) } else { CurrentVersion::AsStored })
}

/// True if a site deleted this patient, whom central keeps with a mark.
pub(crate) fn is_deleted(patient: &RecordData) -> bool {
    patient.fields().is_some_and(|fields| fields.text("deleted_datetime").is_some())
}
