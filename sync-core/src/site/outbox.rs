//! Reads the changelog for a push: the next batch, and the records that break the line.

use crate::changelog::{Change, NewChange};
use crate::clock::Timestamp;
use crate::error::{Error, Result, Server};
use crate::record::{Cursor, RecordData};
use crate::storage::state::Renumbered;
use crate::storage::{ReadTxn, Selection, WriteTxn, state};
use crate::write;

use super::central::position::Position;

/// Changelog rows that are read at once.
const ROWS: usize = 1000;
/// The bytes around a record's data on the wire.
pub(crate) const ENVELOPE: u64 = 200;
/// The most records that break the line alone and are tried in one cycle.
const TRIES: u32 = 16;

/// The limits of a batch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BatchBudget {
    pub records: usize,
    pub bytes: u64,
    /// Records of so many bytes and more are passed over.
    pub below: Option<u64>,
}

/// A batch to send.
pub(crate) struct Gathered<E> {
    pub elements: Vec<E>,
    /// The bytes of the elements.
    pub bytes: u64,
    /// The position of the cursor once the batch is accepted.
    pub next: Cursor,
    /// True if no pushed row lies between `next` and the end of the push.
    pub is_last: bool,
    /// Rows before `next` that were passed over: they stay to be pushed.
    passed_over: Vec<(Cursor, NewChange)>,
}

/// Gathers the next batch: at least one record, even a large one. `make` returns an element with its bytes, or nothing
/// for a row that is not pushed.
pub(crate) fn gather<E>(
    txn: &dyn ReadTxn,
    stands: Position,
    room: BatchBudget,
    mut make: impl FnMut(Change, Option<RecordData>) -> Result<Option<(E, u64)>>,
) -> Result<Gathered<E>> {
    // Some of the records that are passed over may still be tried.
    let is_last = room.below.is_none();
    let mut out = Gathered { elements: Vec::new(), bytes: 0, next: stands.next, is_last, passed_over: Vec::new() };
    let mut from = stands.next;
    let page = usize::try_from(room.bytes).unwrap_or(usize::MAX);
    loop {
        let rows = txn.changed_records(&Selection::Local, from, ROWS, page)?;
        let exhausted = rows.is_empty();
        for (row, data) in rows {
            if !stands.is_now(row.cursor) {
                return Ok(out);
            }
            let at = row.cursor;
            from = at.next();
            let change = room.below.map(|_| row.change.clone());
            let Some((element, bytes)) = make(row, data)? else { continue };
            if let Some(change) = change.filter(|_| room.below.is_some_and(|below| bytes >= below)) {
                out.passed_over.push((at, change));
                continue;
            }
            let is_full = out.elements.len() >= room.records || out.bytes.saturating_add(bytes) > room.bytes;
            if is_full && !out.elements.is_empty() {
                out.is_last = false;
                return Ok(out);
            }
            out.next = from;
            out.bytes += bytes;
            out.elements.push(element);
        }
        if exhausted {
            return Ok(out);
        }
    }
}

impl<E> Gathered<E> {
    /// Logs the rows that were passed over again, in the transaction that moves the cursor past them: they stay to be
    /// pushed, after all edits so far. Each may have arrived, so central is told its first position with it. Returns their number.
    pub(crate) fn log_passed_over(&self, txn: &dyn WriteTxn, server: Server, now: Timestamp) -> Result<u64> {
        let mut logged = 0;
        let known = state::RENUMBERED.get(txn)?;
        let mut renumbered: Vec<_> = known.iter().copied().filter(|row| row.at >= self.next).collect();
        for (at, change) in self.passed_over.iter().filter(|(at, _)| *at < self.next) {
            logged += 1;
            // Edited again meanwhile: the newer edit goes out in its turn.
            if !txn.has_local_change(&change.table, &change.id, self.next)? {
                let before = txn.last_cursor()?;
                write::requeue_edit(txn, change.clone(), now)?;
                let last = txn.last_cursor()?;
                if last > before {
                    let since = state::sent_since(&known, *at).unwrap_or(*at);
                    renumbered.push(Renumbered { at: last, since });
                }
            }
        }
        if server == Server::Central && renumbered != known {
            state::RENUMBERED.set(txn, renumbered)?;
        }
        Ok(logged)
    }
}

/// Records that break the line, each sent alone. A line that breaks above some size lets smaller records through, so
/// those are sent: first those of at most half the size of the record that broke, then any smaller one.
#[derive(Debug, Default)]
pub(crate) struct SingleRecordPushes {
    smallest: Option<u64>,
    below: Option<u64>,
    tries: u32,
    error: Option<Error>,
}

impl SingleRecordPushes {
    /// Records of so many bytes and more are passed over.
    pub(crate) fn below(&self) -> Option<u64> {
        self.below
    }

    /// The number of tries of one record: only the first has the usual number.
    pub(crate) fn attempts(&self, usual: u32) -> u32 {
        if self.tries == 0 { usual } else { 1 }
    }

    /// Notes that one record of this size broke the line. Returns whether smaller ones may be tried.
    pub(crate) fn broke(&mut self, bytes: u64, error: Error) -> bool {
        self.tries += 1;
        let smallest = self.smallest.map_or(bytes, |smallest| smallest.min(bytes));
        self.smallest = Some(smallest);
        self.below = Some((smallest / 2).max(1));
        self.error.get_or_insert(error);
        self.tries < TRIES && !planted!(LargeRecordHoldsUpAll)
    }

    /// Notes that only rows that are passed over are left. Returns whether more may be tried.
    pub(crate) fn widen(&mut self) -> bool {
        match (self.below, self.smallest) {
            (Some(below), Some(smallest)) if below < smallest => {
                self.below = Some(smallest);
                true
            }
            _ => false,
        }
    }

    /// The error of the first record that broke the line.
    pub(crate) fn error(&mut self) -> Option<Error> {
        self.error.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut() -> Error {
        let url = "https://central.example.org".to_owned();
        Error::CutOff { server: crate::error::Server::Central, url, source: "reset".into() }
    }

    /// Sends records of these sizes over a line that carries less than `line` bytes. Returns those tried in vain, and
    /// those that went.
    fn over(line: u64, mut pending: Vec<u64>) -> (Vec<u64>, Vec<u64>) {
        let (mut sieve, mut broke, mut went) = (SingleRecordPushes::default(), Vec::new(), Vec::new());
        loop {
            let fits = |bytes: &u64| sieve.below().is_none_or(|below| *bytes < below);
            let Some(at) = pending.iter().position(fits) else {
                if sieve.widen() {
                    continue;
                }
                return (broke, went);
            };
            let bytes = pending[at];
            if bytes < line {
                went.push(pending.remove(at));
            } else {
                broke.push(bytes);
                if !sieve.broke(bytes, cut()) {
                    return (broke, went);
                }
            }
        }
    }

    #[test]
    fn records_that_break_the_line_hold_up_no_smaller_one() {
        assert_eq!(over(100, vec![10, 500, 20, 30]), (vec![500], vec![10, 20, 30]));
        assert_eq!(
            over(100, vec![1000, 900, 60, 500, 90, 10]),
            (vec![1000, 900, 500], vec![60, 90, 10]),
            "the small ones first"
        );
        assert_eq!(over(700, vec![1000, 600]), (vec![1000], vec![600]), "more than half as large passes too");
        assert_eq!(
            over(100, vec![1000, 600, 400]),
            (vec![1000, 400], vec![]),
            "nothing larger than what broke is tried"
        );
    }

    #[test]
    fn a_dead_line_is_not_asked_for_ever() {
        let (broke, went) = over(0, (1..=1000).rev().collect());
        assert!(broke.len() <= TRIES as usize && went.is_empty(), "{broke:?}");
        let mut sieve = SingleRecordPushes::default();
        assert_eq!(sieve.attempts(4), 4);
        sieve.broke(5, cut());
        assert_eq!(sieve.attempts(4), 1);
    }
}
