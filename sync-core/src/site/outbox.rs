//! Reads the changelog for a push: the next batch, and the records that break the line.

use std::collections::HashSet;

use crate::changelog::{Change, ChangeAction, NewChange};
use crate::clock::Timestamp;
use crate::error::{Error, Result, Server};
use crate::protocol::v6::{Action, WireRecord};
use crate::record::{Cursor, RecordData, TableName};
use crate::storage::state::Renumbered;
use crate::storage::{ReadTxn, Selection, Storage, WriteTxn, state};
use crate::write;

use super::central::position::Position;
use super::config::SyncConfig;

/// Changelog rows that are read at once.
pub(super) const ROWS: usize = 1000;
/// The bytes around a record's data on the wire.
pub(crate) const ENVELOPE: u64 = 200;
/// The most records that break the line alone, or are refused alone, and are tried in one cycle.
const TRIES: u32 = 16;
/// So many refusals in a row are about neighbours, such as the lines of one document, or not about the records.
const REFUSED_IN_A_ROW: u32 = 3;
/// Records so far behind the refused ones show which of the two it is: if these are refused too, it is not about the records.
const PROBES: [usize; 2] = [16, 256];

/// The limits of a batch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BatchBudget {
    pub records: usize,
    pub bytes: u64,
    /// Records of so many bytes and more are passed over.
    pub below: Option<u64>,
    /// So many records are passed over before the first, but not all.
    pub skipped: usize,
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
    /// The position of the first element.
    first: Option<Cursor>,
    /// Rows before `next` that were passed over: they stay to be pushed.
    passed_over: Vec<PassedOver>,
    /// Records whose stored text is no JSON object: no server can read them.
    pub damaged: Vec<WireRecord>,
}

/// A row that was passed over.
struct PassedOver {
    at: Cursor,
    change: NewChange,
    /// True if it was refused alone.
    is_refused: bool,
}

/// How a central server of this library says that it failed itself; the code of its error follows.
const FAILED_ITSELF: &str = "Internal error: ";

/// The codes with which a central server fails whatever is sent to it.
const FAILS_AS_A_WHOLE: [&str; 4] = ["disk_full", "database_busy", "database_read_only", "database_unreachable"];

/// True if a server refused a push with a reason of its own, which may be about one record of it.
pub(crate) fn may_be_about_a_record(error: &Error) -> bool {
    match error {
        Error::Refused { .. } => true,
        Error::PeerError { .. } => failed_itself(error).is_none_or(|code| !FAILS_AS_A_WHOLE.contains(&code.as_str())),
        _ => false,
    }
}

/// The code of the error with which the server failed itself: then it refused no record.
pub(crate) fn failed_itself(error: &Error) -> Option<String> {
    let Error::PeerError { detail, .. } = error else { return None };
    detail.to_string().strip_prefix(FAILED_ITSELF).map(str::to_owned)
}

/// Gathers the next batch: at least one record, even a large one. `make` returns an element with its bytes, or nothing
/// for a row that is not pushed. The rows that are `left_out` are passed over.
pub(crate) fn gather<E>(
    txn: &dyn ReadTxn,
    position: Position,
    budget: BatchBudget,
    left_out: &HashSet<Cursor>,
    mut make: impl FnMut(Change, Option<RecordData>) -> Result<Option<(E, u64)>>,
) -> Result<Gathered<E>> {
    // Some of the records that are passed over may still be tried.
    let is_last = budget.below.is_none() && budget.skipped == 0;
    let mut skipped = Skipped { left: budget.skipped, last: None };
    let mut out = Gathered {
        elements: Vec::new(),
        bytes: 0,
        next: position.next,
        is_last,
        first: None,
        passed_over: Vec::new(),
        damaged: Vec::new(),
    };
    let mut from = position.next;
    let page = usize::try_from(budget.bytes).unwrap_or(usize::MAX);
    loop {
        let rows = txn.changed_records(&Selection::Local, from, ROWS, page)?;
        let exhausted = rows.is_empty();
        for (row, data) in rows {
            if !position.contains(row.cursor) {
                return Ok(skipped.or_its_last(out));
            }
            let at = row.cursor;
            from = at.next();
            if row.change.action == ChangeAction::Upsert
                && let Some(record_data) = data.as_ref().filter(|data| !data.is_object()).cloned()
            {
                let (table_name, record_id) = (row.change.table, row.change.id);
                out.damaged.push(WireRecord { table_name, record_id, action: Action::Update, record_data });
                continue;
            }
            let is_left_out = left_out.contains(&at);
            let change = (is_left_out || budget.below.is_some() || skipped.left > 0).then(|| row.change.clone());
            let Some((element, bytes)) = make(row, data)? else { continue };
            let is_passed_over = is_left_out || budget.below.is_some_and(|below| bytes >= below);
            if let Some(change) = change.filter(|_| is_passed_over || skipped.left > 0) {
                out.passed_over.push(PassedOver { at, change, is_refused: is_left_out });
                if !is_passed_over {
                    skipped.left -= 1;
                    skipped.last = Some((at, element, bytes));
                }
                continue;
            }
            let is_full = out.elements.len() >= budget.records || out.bytes.saturating_add(bytes) > budget.bytes;
            if is_full && !out.elements.is_empty() {
                out.is_last = false;
                return Ok(out);
            }
            out.next = from;
            out.bytes += bytes;
            out.first.get_or_insert(at);
            out.elements.push(element);
        }
        if exhausted {
            return Ok(skipped.or_its_last(out));
        }
    }
}

/// The number of local edits at a position of the tables and actions that go out.
pub(crate) fn count_by_table(
    txn: &dyn ReadTxn,
    position: Position,
    goes_out: impl Fn(&TableName, ChangeAction) -> bool,
) -> Result<u64> {
    let edits = txn.count_local_edits(position.next, position.end)?;
    Ok(edits.iter().filter(|(table, action, _)| goes_out(table, *action)).map(|(.., count)| count).sum())
}

/// The number of local edits at a position for which `goes_out` returns true. Reads each.
pub(crate) fn count_to_push(
    txn: &dyn ReadTxn,
    position: Position,
    goes_out: impl Fn(&Change) -> Result<bool>,
) -> Result<u64> {
    let mut from = position.next;
    let mut count = 0;
    loop {
        let rows = txn.changes(&Selection::Local, from, ROWS)?;
        for row in rows.iter().filter(|row| position.contains(row.cursor)) {
            count += u64::from(goes_out(row)?);
        }
        match rows.last() {
            Some(last) if rows.len() == ROWS && position.contains(last.cursor) => from = last.cursor.next(),
            _ => return Ok(count),
        }
    }
}

/// The records that are skipped before the first of a batch.
struct Skipped<E> {
    left: usize,
    last: Option<(Cursor, E, u64)>,
}

impl<E> Skipped<E> {
    /// The last of them, if there are no others.
    fn or_its_last(self, mut out: Gathered<E>) -> Gathered<E> {
        if out.elements.is_empty()
            && let Some((at, element, bytes)) = self.last
        {
            out.passed_over.retain(|row| row.at != at);
            (out.next, out.bytes) = (at.next(), bytes);
            out.elements.push(element);
        }
        out
    }
}

impl<E> Gathered<E> {
    /// Logs the refused rows before the first element again, behind all others, so that each cycle begins with others. If
    /// nothing is behind them, they stay where they are.
    pub(crate) fn requeue_refused(mut self, storage: &dyn Storage, server: Server, now: Timestamp) -> Result<()> {
        let Some(first) = self.first.filter(|_| !self.passed_over.is_empty()) else { return Ok(()) };
        self.next = first;
        let txn = storage.write()?;
        state::push_to(server).cursor.set(txn.as_ref(), first)?;
        self.log_passed_over(txn.as_ref(), server, now)?;
        txn.commit()
    }

    /// Logs the rows that were passed over again, in the transaction that moves the cursor past them: they stay to be
    /// pushed, after all edits so far, and the refused ones come last. Each may have arrived before, so its first
    /// position is sent with it. Returns their number.
    pub(crate) fn log_passed_over(&self, txn: &dyn WriteTxn, server: Server, now: Timestamp) -> Result<u64> {
        let mut logged = 0;
        let known = state::RENUMBERED.get(txn)?;
        // Some types go to both servers. Those that the legacy server's push passes over get a new position for central too,
        // which may have them under the first one.
        let pushed_to = match server {
            Server::Central => self.next,
            Server::Legacy => state::PUSH_CURSOR_V6.get(txn)?,
        };
        let mut renumbered: Vec<_> = known.iter().copied().filter(|row| row.at >= pushed_to).collect();
        let mut rows: Vec<_> = self.passed_over.iter().filter(|row| row.at < self.next).collect();
        rows.sort_by_key(|row| row.is_refused);
        for PassedOver { at, change, .. } in rows {
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
        if renumbered != known {
            state::RENUMBERED.set(txn, renumbered)?;
        }
        Ok(logged)
    }
}

/// Finds the records of a push that break the line or are refused, each sent alone, and lets the others through.
///
/// A line that breaks above some size lets smaller records through, so those are sent: first those of at most half the size of
/// the record that broke, then any smaller one. What a server refuses, or answers with a fault of its own, may be about that one
/// record: all others are sent without it, unless they are refused too.
#[derive(Debug, Default)]
pub(crate) struct PushSieve {
    smallest: Option<u64>,
    below: Option<u64>,
    tries: u32,
    error: Option<Error>,
    /// The records that broke the line alone.
    broke: Vec<Cursor>,
    /// The records that are passed over, whatever their size.
    left_out: HashSet<Cursor>,
    /// The most records of a batch, while a refused one is searched for.
    most: Option<usize>,
    in_a_row: u32,
    /// The number of records before the next one that are passed over.
    skipped: usize,
}

impl PushSieve {
    /// The limits of the next batch, of at most so many bytes.
    pub(crate) fn budget(&self, config: &SyncConfig, bytes: u64) -> BatchBudget {
        let records = self.most(config.push_records_max);
        BatchBudget { records, bytes, below: self.below, skipped: self.skipped }
    }

    /// True if nothing was refused or broke so far.
    pub(crate) fn is_idle(&self) -> bool {
        self.error.is_none() && self.most.is_none() && self.below.is_none() && self.left_out.is_empty()
    }

    /// Records of so many bytes and more are passed over.
    pub(crate) fn below(&self) -> Option<u64> {
        self.below
    }

    /// Records that are passed over, whatever their size.
    pub(crate) fn left_out(&self) -> &HashSet<Cursor> {
        &self.left_out
    }

    /// Passes over what was refused alone, and nothing else.
    pub(crate) fn without_refused(&self) -> Self {
        Self { left_out: self.left_out.clone(), ..Self::default() }
    }

    /// The most records of the next batch.
    fn most(&self, usual: usize) -> usize {
        self.most.map_or(usual, |most| most.min(usual))
    }

    /// Notes that a batch was accepted.
    pub(crate) fn passed(&mut self) {
        (self.in_a_row, self.skipped) = (0, 0);
        self.most = self.most.map(|most| most.saturating_mul(2));
    }

    /// Notes that a batch of several records was refused: the next is half as long.
    pub(crate) fn refused_batch(&mut self, records: usize) {
        self.most = Some((records / 2).max(1));
    }

    /// Notes that one record was refused. Returns whether the others may be tried.
    pub(crate) fn refused(&mut self, at: Cursor, error: Error) -> bool {
        self.tries += 1;
        self.in_a_row += 1;
        self.left_out.insert(at);
        self.error.get_or_insert(error);
        let probe = match self.in_a_row.checked_sub(REFUSED_IN_A_ROW) {
            None => Some(0),
            Some(number) => PROBES.get(number as usize).copied(),
        };
        self.skipped = probe.unwrap_or(0);
        probe.is_some() && self.tries < TRIES && !planted!(LargeRecordHoldsUpAll)
    }

    /// The number of tries of one record: only the first has the usual number.
    pub(crate) fn attempts(&self, usual: u32) -> u32 {
        if self.tries == 0 { usual } else { 1 }
    }

    /// Notes that one record of this size broke the line. Returns whether smaller ones may be tried.
    pub(crate) fn broke(&mut self, at: Cursor, bytes: u64, error: Error) -> bool {
        if !self.left_out.is_empty() {
            return self.refused(at, error);
        }
        self.broke.push(at);
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
            // The size may not be what the server fails at: the others are tried without these records.
            (Some(_), _) if matches!(self.error, Some(Error::ServerTrouble { .. })) && self.tries < TRIES => {
                self.left_out.extend(self.broke.drain(..));
                self.below = None;
                !planted!(LargeRecordHoldsUpAll)
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
        let (mut sieve, mut broke, mut went) = (PushSieve::default(), Vec::new(), Vec::new());
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
                if !sieve.broke(Cursor(bytes), bytes, cut()) {
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
        let mut sieve = PushSieve::default();
        assert_eq!(sieve.attempts(4), 4);
        sieve.broke(Cursor(1), 5, cut());
        assert_eq!(sieve.attempts(4), 1);
    }

    /// Sends records in batches to a server that refuses these ones. Returns those that went, and the number of requests.
    fn refusing(bad: &[u64], mut pending: Vec<u64>) -> (Vec<u64>, u32) {
        let (mut sieve, mut went, mut requests) = (PushSieve::default(), Vec::new(), 0);
        let refusal = || Error::PeerError { server: crate::error::Server::Central, detail: "no".to_owned().into() };
        loop {
            let most = sieve.most(1000);
            let out = |at: &u64| sieve.left_out().contains(&Cursor(*at));
            let tried: Vec<u64> = pending.iter().copied().filter(|at| !out(at)).collect();
            let skipped = sieve.skipped.min(tried.len().saturating_sub(1));
            let batch: Vec<u64> = tried.into_iter().skip(skipped).take(most).collect();
            let Some(first) = batch.first() else { return (went, requests) };
            requests += 1;
            if !batch.iter().any(|at| bad.contains(at)) {
                // The cursor moves past the batch: those before it wait for the next cycle.
                pending.retain(|at| batch.last().is_none_or(|last| at > last));
                went.extend(batch);
                sieve.passed();
            } else if batch.len() > 1 {
                sieve.refused_batch(batch.len());
            } else if !sieve.refused(Cursor(*first), refusal()) {
                return (went, requests);
            }
        }
    }

    #[test]
    fn a_refused_record_holds_up_no_other_and_a_server_that_refuses_all_is_asked_a_few_times() {
        let all: Vec<u64> = (1..=1000).collect();
        let (went, requests) = refusing(&[500], all.clone());
        assert!(went.len() == 999 && requests < 40, "{} {requests}", went.len());
        let (went, requests) = refusing(&all, all.clone());
        assert!(went.is_empty() && requests < 15, "{requests}");
        // Neighbours, such as the lines of one document.
        for refused in [3..=5, 100..=104, 1..=200, 998..=1000] {
            let bad: Vec<u64> = refused.clone().collect();
            let (went, requests) = refusing(&bad, all.clone());
            assert!(went.len() >= 700 && requests < 60, "{refused:?}: {} {requests}", went.len());
        }
    }

    #[test]
    fn a_server_that_fails_at_one_record_gets_the_others_whatever_their_size() {
        let mut sieve = PushSieve::default();
        let url = "https://central.example.org".to_owned();
        let fails = Error::ServerTrouble { server: crate::error::Server::Central, url, status: 500, source: None };
        assert!(sieve.broke(Cursor(7), 100, fails));
        assert!(sieve.widen() && sieve.below() == Some(100), "smaller ones first");
        assert!(sieve.widen() && sieve.below().is_none());
        assert_eq!(sieve.left_out(), &HashSet::from([Cursor(7)]));
        assert!(!sieve.widen());
    }

    #[test]
    fn a_server_that_fails_as_a_whole_refuses_no_record() {
        let said =
            |text: &str| Error::PeerError { server: crate::error::Server::Central, detail: text.to_owned().into() };
        for (text, is_about_a_record) in [
            ("Internal error: disk_full", false),
            ("Internal error: database_busy", false),
            ("Internal error: database_failed", true),
            ("no such thing", true),
        ] {
            assert_eq!(may_be_about_a_record(&said(text)), is_about_a_record, "{text}");
        }
        assert_eq!(failed_itself(&said("Internal error: database_failed")).as_deref(), Some("database_failed"));
        assert_eq!(failed_itself(&said("no such thing")), None);
    }
}
