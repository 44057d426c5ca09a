//! On central, stores that moved to another site: their records are logged again, so that the site gets them.
//!
//! The site may have read past them, or have read everything while central did not know yet that they are its own. A
//! store may have very many records, so they are logged a few at a time, each in its own transaction; the progress is
//! stored with them.

use super::PAUSE;
use crate::clock::Clock;
use crate::error::Result;
use crate::record::{Cursor, StoreId};
use crate::storage::state::{JsonList, Setting};
use crate::storage::{ReadTxn, Selection, Storage, WriteTxn, state};
use crate::write;

/// A store whose records are being logged again: the next row, and the end of the rows from before the move.
type Pending = (StoreId, Cursor, Cursor);

const MOVED: Setting<JsonList<Pending>> = state::moved_stores();

fn pending<T: ReadTxn + ?Sized>(txn: &T) -> Result<Vec<Pending>> {
    Ok(MOVED.get(txn)?.0)
}

/// Records that a store moved, if it has any records.
pub(crate) fn note(txn: &dyn WriteTxn, store: StoreId) -> Result<()> {
    if planted!(GainedStoreIgnored) || txn.changes(&Selection::Store(store.clone()), Cursor(0), 1)?.is_empty() {
        return Ok(());
    }
    let mut stores = pending(txn)?;
    stores.retain(|(other, ..)| *other != store);
    stores.push((store, Cursor(0), txn.last_cursor()?.next()));
    MOVED.set(txn, stores)
}

/// Logs all records of these stores again.
pub(crate) fn relog_pending(storage: &dyn Storage, clock: &dyn Clock) -> Result<()> {
    while log_next(storage, clock)? {}
    Ok(())
}

/// Logs the next of them again, in one transaction. Returns whether there were any.
pub(crate) fn log_next(storage: &dyn Storage, clock: &dyn Clock) -> Result<bool> {
    if pending(storage.read()?.as_ref())?.is_empty() {
        return Ok(false);
    }
    let txn = storage.write()?;
    let mut stores = pending(txn.as_ref())?;
    let Some((store, from, end)) = stores.first_mut() else { return Ok(false) };
    match write::relog_range(txn.as_ref(), &Selection::Store(store.clone()), (*from, *end), true)? {
        Some(next) => *from = next,
        None => drop(stores.remove(0)),
    }
    let is_any_left = !stores.is_empty();
    MOVED.set(txn.as_ref(), stores)?;
    txn.commit()?;
    if is_any_left {
        clock.sleep(PAUSE);
    }
    Ok(true)
}
