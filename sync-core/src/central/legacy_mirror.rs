//! Without a legacy server: stores records of legacy tables, such as stock and invoices, for the site that pushed them,
//! and returns them when the site begins anew.
//!
//! They are not part of V6 and are not read here: no other site ever gets them.

use std::collections::HashSet;

use super::Central;
use crate::error::Result;
use crate::protocol::v5::{Acknowledged, PushedAnswer, QueueBatch, QueueLength, QueuedRecord};
use crate::protocol::v6::{Action, WireRecord};
use crate::record::{FieldError, RecordData, RecordId, SiteId, TableName, portable};
use crate::storage::state::{Numbers, QueueLeft};
use crate::storage::{Incoming, MirroredRecord, Quarantine, QuarantineCause, ReadTxn, Source, WriteTxn, state};

/// Records that are read at once.
const AT_A_TIME: usize = 16;

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
        let still_kept = linked(txn, site)?.into_iter().map(|record| record.number);
        state::LINKED_OF_SITE.of(site).set(txn, Numbers(still_kept.chain([number]).collect()))
    }

    /// Stores a push. The site gets its answer once it is on the disk.
    pub(crate) fn keep_for_site(
        &self,
        site: SiteId,
        queue_length: u64,
        records: Vec<QueuedRecord>,
    ) -> Result<PushedAnswer> {
        let answer = PushedAnswer { integration_started: queue_length == 0 };
        if records.is_empty() {
            return Ok(answer);
        }
        let txn = self.storage.write()?;
        for record in records {
            let QueuedRecord { table_name: table, record_id: id, action, record_data: data, .. } = record;
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
        let txn = self.storage.write()?;
        let (queue_length, through) = txn.central()?.count_mirrored(site, 0)?;
        state::QUEUE_OF_SITE.of(site).set(txn.as_ref(), QueueLeft { after: 0, through })?;
        // They are among all stored records.
        state::LINKED_OF_SITE.of(site).set(txn.as_ref(), Numbers::default())?;
        txn.commit()?;
        Ok(QueueLength { queue_length })
    }

    /// The next records to return: the same until they are acknowledged.
    pub(crate) fn queue(&self, site: SiteId, limit: usize, bytes_max: usize) -> Result<QueueBatch> {
        let txn = self.storage.read()?;
        let left = state::QUEUE_OF_SITE.of(site).get(txn.as_ref())?;
        if left.after >= left.through {
            let linked = linked(txn.as_ref(), site)?;
            let queue_length = linked.len() as u64;
            return Ok(QueueBatch { queue_length, data: linked.into_iter().take(limit).map(queued).collect() });
        }
        let data = next_kept(txn.as_ref(), site, left, limit, bytes_max)?;
        let queue_length = if data.is_empty() { 0 } else { txn.central()?.count_mirrored(site, left.after)?.0 };
        Ok(QueueBatch { queue_length, data })
    }

    /// The site has stored the returned records, up to the first that it does not name.
    pub(crate) fn shorten_queue(&self, site: SiteId, acknowledged: &Acknowledged) -> Result<()> {
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
            let some = txn.central()?.legacy_mirror(site, queue.after, AT_A_TIME)?;
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
fn next_kept(
    txn: &dyn ReadTxn,
    site: SiteId,
    QueueLeft { mut after, through }: QueueLeft,
    limit: usize,
    bytes_max: usize,
) -> Result<Vec<QueuedRecord>> {
    let (mut data, mut bytes) = (Vec::new(), 0);
    while data.len() < limit {
        let some = txn.central()?.legacy_mirror(site, after, AT_A_TIME.min(limit - data.len()))?;
        let Some(last) = some.last().map(|record| record.number) else { break };
        for record in some.into_iter().filter(|record| record.number <= through) {
            bytes += record.data.as_str().len();
            if bytes > bytes_max && !data.is_empty() {
                return Ok(data);
            }
            data.push(queued(record));
        }
        after = last;
        if after >= through {
            break;
        }
    }
    Ok(data)
}

fn queued(MirroredRecord { number, table, id, data }: MirroredRecord) -> QueuedRecord {
    let (sync_out_id, action) = (number.to_string(), Action::Update);
    QueuedRecord { sync_out_id, table_name: table, record_id: id, action, record_data: data }
}
