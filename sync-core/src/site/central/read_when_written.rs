//! What this site had read of central's changelog when it wrote the edits that are not pushed yet. An edit may be pushed long after
//! it was written, because a push failed or was not possible, while pulls go on. Central has to know what its writer could know.

use crate::error::Result;
use crate::protocol::v6::ReadPositions;
use crate::record::Cursor;
use crate::storage::state::{READ_WHEN_WRITTEN, ReadWhenWritten};
use crate::storage::{ReadTxn, Selection, WriteTxn, state};

/// Stores, before this transaction moves a cursor, what is read so far, if edits wait to be pushed. Their first position counts for
/// all of them: what they are said to know is never too much.
pub(crate) fn note_before_reading(txn: &dyn WriteTxn) -> Result<()> {
    let pushed = state::PUSH_CURSOR_V6.get(txn)?;
    let any_edit = !txn.changes(&Selection::Local, pushed, 1)?.is_empty();
    if !any_edit {
        return Ok(());
    }
    // An edit that was logged again behind others knows what it knew at its first position.
    let first = state::RENUMBERED.get(txn)?.iter().map(|row| row.since).min().map_or(pushed, |since| since.min(pushed));
    let known = READ_WHEN_WRITTEN.get(txn)?.filter(|noted| noted.below > first);
    let now = ReadWhenWritten { below: txn.last_cursor()?.next(), read_to: read_so_far(txn)? };
    let noted = known.map_or(now, |known| ReadWhenWritten { read_to: known.read_to, ..now });
    if known != Some(noted) {
        READ_WHEN_WRITTEN.set(txn, Some(noted))?;
    }
    Ok(())
}

/// What the site had read when it wrote a batch that begins with this edit.
pub(super) fn read_to(txn: &dyn ReadTxn, first: Option<Cursor>) -> Result<ReadPositions> {
    let now = read_so_far(txn)?;
    let noted = READ_WHEN_WRITTEN.get(txn)?.filter(|noted| first.is_some_and(|first| first < noted.below));
    Ok(noted.map_or(now, |noted| ReadPositions {
        records: noted.read_to.records.min(now.records),
        stores: noted.read_to.stores.min(now.stores),
    }))
}

fn read_so_far(txn: &dyn ReadTxn) -> Result<ReadPositions> {
    Ok(ReadPositions { records: state::PULL_CURSOR_V6.get(txn)?, stores: state::PULL_CURSOR_CENTRAL.get(txn)?.next() })
}
