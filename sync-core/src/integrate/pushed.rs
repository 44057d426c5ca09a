//! Integrates a batch of a push as it arrives, in the transaction that takes it.

use super::ignored::without_ignored;
use super::integrated::Integrated;
use super::provenance::Provenance;
use super::receive::receive;
use super::staged::integrate_staged;
use crate::clock::Timestamp;
use crate::error::Result;
use crate::record::SiteId;
use crate::storage::{CHUNK_BYTES, Incoming, WriteTxn};

/// Integrates a batch of a site's push, and the records of the same site that wait for nothing any more, at most so many
/// records together. The rest is staged.
pub(crate) fn receive_push(
    txn: &dyn WriteTxn,
    now: Timestamp,
    site: SiteId,
    mut batch: Vec<Incoming>,
    most: usize,
) -> Result<Integrated> {
    let provenance = Provenance::of_pushes(site);
    let rest = batch.split_off(fitting(&batch, most));
    let (taken, is_whole) = (batch.len(), rest.is_empty());
    let mut done = receive(txn, now, &provenance, batch)?;
    for incoming in &without_ignored(txn, rest)? {
        txn.stage(incoming, now)?;
    }
    if is_whole {
        done.add(&integrate_staged(txn, now, &provenance, most - taken)?);
    }
    Ok(done)
}

/// How many records of a batch fit into one transaction.
fn fitting(batch: &[Incoming], most: usize) -> usize {
    let mut bytes = 0;
    let fits = |incoming: &&Incoming| {
        let has_room = bytes < CHUNK_BYTES;
        bytes += incoming.data.as_str().len();
        has_room
    };
    batch.iter().take(most).take_while(fits).count()
}
