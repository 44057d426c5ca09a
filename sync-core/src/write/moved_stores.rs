//! On central, stores that moved to another site: their records are logged anew, so that the site is sent them.
//!
//! The site may have read past them, or have read everything again while central did not know yet whose they are. A store
//! may have very many records, so they are logged a few at a time, in transactions of their own; how far that has come is
//! kept with them.

use super::PAUSE;
use crate::clock::Clock;
use crate::error::Result;
use crate::record::{Cursor, StoreId};
use crate::storage::state::{JsonList, Setting};
use crate::storage::{ReadTxn, Selection, Storage, WriteTxn, state};
use crate::write;

/// A store whose records are being logged anew: the next row, and where the rows from before the move end.
type Pending = (StoreId, Cursor, Cursor);

const MOVED: Setting<JsonList<Pending>> = state::moved_stores();

fn pending<T: ReadTxn + ?Sized>(txn: &T) -> Result<Vec<Pending>> {
    Ok(MOVED.get(txn)?.0)
}

/// Notes that a store moved, if there is anything of it.
pub(crate) fn note(txn: &dyn WriteTxn, store: StoreId) -> Result<()> {
    if planted!(GainedStoreIgnored) || txn.changes(&Selection::Store(store.clone()), Cursor(0), 1)?.is_empty() {
        return Ok(());
    }
    let mut stores = pending(txn)?;
    stores.retain(|(other, ..)| *other != store);
    stores.push((store, Cursor(0), txn.last_cursor()?.next()));
    MOVED.set(txn, stores)
}

/// Logs anew all that there is of the stores that were noted.
pub(crate) fn relog_pending(storage: &dyn Storage, clock: &dyn Clock) -> Result<()> {
    while log_next(storage, clock)? {}
    Ok(())
}

/// Logs anew the next of it, in one transaction. Says whether there was anything.
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
