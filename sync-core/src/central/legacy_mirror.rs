//! Where no legacy server is: records of its tables, such as stock and invoices, are kept for the site that brought them,
//! and given back to it when it begins anew.
//!
//! They are no part of V6 and nothing here reads them: another site never sees them.

use std::collections::HashSet;

use super::Central;
use crate::error::{Error, Result};
use crate::protocol::v5::{Acknowledged, PushedAnswer, QueueBatch, QueueLength, QueuedRecord};
use crate::protocol::v6::{Action, WireRecord};
use crate::record::{FieldError, RecordData, RecordId, SiteId, TableName, portable};
use crate::storage::{Incoming, MirroredRecord, Quarantine, QuarantineCause, ReadTxn, Source, WriteTxn, key};

/// How many records are read at a time.
const AT_A_TIME: usize = 16;

/// What is still to be given back to a site: what is kept for it beyond `after`, as far as it was there when it asked.
#[derive(Debug, Clone, Copy)]
struct Queue {
    after: u64,
    through: u64,
}

impl Queue {
    fn load(txn: &dyn ReadTxn, site: SiteId) -> Result<Self> {
        let key = format!("{}{site}", key::QUEUE_OF_SITE);
        let Some(text) = txn.state(&key)? else { return Ok(Self { after: 0, through: 0 }) };
        let read = || {
            let (after, through) = text.split_once(' ')?;
            Some(Self { after: after.parse().ok()?, through: through.parse().ok()? })
        };
        read().ok_or(Error::DamagedState { what: key })
    }

    fn store(self, txn: &dyn WriteTxn, site: SiteId) -> Result<()> {
        txn.set_state(&format!("{}{site}", key::QUEUE_OF_SITE), &format!("{} {}", self.after, self.through))
    }
}

/// Numbers of records that are to be given to a site beside its queue: of patients whom it linked since it began.
#[derive(Debug, Default)]
struct Linked(Vec<u64>);

impl Linked {
    fn load(txn: &dyn ReadTxn, site: SiteId) -> Result<Self> {
        let key = format!("{}{site}", key::LINKED_OF_SITE);
        let text = txn.state(&key)?.unwrap_or_default();
        let numbers = text.split_whitespace().map(str::parse).collect::<std::result::Result<_, _>>();
        numbers.map(Self).map_err(|_| Error::DamagedState { what: key })
    }

    fn store(&self, txn: &dyn WriteTxn, site: SiteId) -> Result<()> {
        let numbers: Vec<String> = self.0.iter().map(u64::to_string).collect();
        txn.set_state(&format!("{}{site}", key::LINKED_OF_SITE), &numbers.join(" "))
    }

    /// Those that are still kept under these numbers: the site may have pushed a newer version since.
    fn records(&self, txn: &dyn ReadTxn, site: SiteId) -> Result<Vec<MirroredRecord>> {
        let mut records = Vec::new();
        for number in &self.0 {
            let next = txn.central()?.legacy_mirror(site, number.saturating_sub(1), 1)?;
            records.extend(next.into_iter().filter(|record| record.number == *number));
        }
        Ok(records)
    }
}

impl Central {
    /// Keeps a record of a patient whom a site links, and gives it to the site with its queue.
    pub(crate) fn queue_for_site(
        &self,
        txn: &dyn WriteTxn,
        site: SiteId,
        (table, id): (&TableName, &RecordId),
        data: &RecordData,
    ) -> Result<()> {
        txn.central()?.mirror_record(site, table, id, data)?;
        let (_, number) = txn.central()?.count_mirrored(site, 0)?;
        let mut linked = Linked::load(txn, site)?;
        let still_kept: Vec<u64> = linked.records(txn, site)?.iter().map(|record| record.number).collect();
        linked.0 = still_kept;
        linked.0.push(number);
        linked.store(txn, site)
    }

    /// Keeps what a site pushes. The site is told that it was taken once it is on the disk.
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

    /// A site begins anew: everything that is kept for it is given back. What it pushes from now on it has.
    pub(crate) fn fill_queue(&self, site: SiteId) -> Result<QueueLength> {
        let txn = self.storage.write()?;
        let (queue_length, through) = txn.central()?.count_mirrored(site, 0)?;
        Queue { after: 0, through }.store(txn.as_ref(), site)?;
        // They are among all that is kept.
        Linked::default().store(txn.as_ref(), site)?;
        txn.commit()?;
        Ok(QueueLength { queue_length })
    }

    /// What is next to be given back: the same until it is acknowledged.
    pub(crate) fn queue(&self, site: SiteId, limit: usize, bytes_max: usize) -> Result<QueueBatch> {
        let txn = self.storage.read()?;
        let Queue { after, through } = Queue::load(txn.as_ref(), site)?;
        if after >= through {
            let linked = Linked::load(txn.as_ref(), site)?.records(txn.as_ref(), site)?;
            let queue_length = linked.len() as u64;
            return Ok(QueueBatch { queue_length, data: linked.into_iter().take(limit).map(queued).collect() });
        }
        let data = next_kept(txn.as_ref(), site, Queue { after, through }, limit, bytes_max)?;
        let queue_length = if data.is_empty() { 0 } else { txn.central()?.count_mirrored(site, after)?.0 };
        Ok(QueueBatch { queue_length, data })
    }

    /// A site has what it was given, up to the first that it does not name.
    pub(crate) fn shorten_queue(&self, site: SiteId, acknowledged: &Acknowledged) -> Result<()> {
        let stored: HashSet<u64> = acknowledged.sync_ids.iter().filter_map(|id| id.parse().ok()).collect();
        let txn = self.storage.write()?;
        let mut queue = Queue::load(txn.as_ref(), site)?;
        if queue.after >= queue.through {
            let mut linked = Linked::load(txn.as_ref(), site)?;
            linked.0.retain(|number| !stored.contains(number));
            linked.store(txn.as_ref(), site)?;
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
        queue.store(txn.as_ref(), site)?;
        txn.commit()
    }
}

/// What not every peer can read is not given back to the site: it would read nothing beyond. It is shown in the quarantine.
fn set_aside(site: SiteId, (table, id): (TableName, RecordId), data: RecordData, error: &FieldError) -> Incoming {
    let quarantine = Quarantine { cause: QuarantineCause::Malformed, reason: error.to_string(), waits_for: None };
    let (source, action) = (Source::Site(site), Action::Update);
    Incoming {
        quarantine: Some(quarantine),
        ..Incoming::new(source, WireRecord { table_name: table, record_id: id, action, record_data: data })
    }
}

/// The records that come next, a few at a time: one may have as many bytes as a whole answer should. There is one at least.
fn next_kept(
    txn: &dyn ReadTxn,
    site: SiteId,
    Queue { mut after, through }: Queue,
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
