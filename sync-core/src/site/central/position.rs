//! The rules of cursors: where a site is in a changelog, and where it goes next.

use crate::error::Result;
use crate::protocol::v6::{ReadBatch, ReportedRefusals};
use crate::record::Cursor;
use crate::storage::state::{NewestRow, RestorePoint, StoredJson};
use crate::storage::{ReadTxn, WriteTxn, state};

/// A site's position in central's changelog, or in its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Position {
    /// The next position to read.
    pub next: Cursor,
    /// Of central's changelog, the end that was seen: it never ends before, unless it went back. Of the site's own, the
    /// first position after the current push: edits made during a push go out with the next one, because central may be
    /// integrating by then.
    pub end: Cursor,
}

/// Where the cursor goes after a batch (`protocol-v6` §9.1, weak points A1, A10, A21).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Advance {
    /// To this position, together with the records.
    To(Cursor),
    /// To this position, together with the records, although it is not after the cursor: central answers from further back
    /// once a site's new release can read withheld records. Every client takes the end of an answer as its cursor, and
    /// continues from there.
    Back(Cursor),
    /// Nowhere: an empty last batch proves nothing.
    Stay,
    /// Central's changelog ends one row before the end seen so far: an upstream central server deleted its newest row.
    /// That alone is no proof of a restore; if the number of the row is used again, it was one.
    NewestGone,
    /// Central's changelog ends before the end seen so far: it was restored or replaced.
    WentBack,
    /// Neither records nor progress, and not the last batch.
    Stuck,
}

/// Where the next batch of a pull begins, and what this site knows there.
pub(crate) struct PullStart {
    pub(super) position: Position,
    pub(super) newest: NewestRow,
    /// True if the site's own records are pulled too: it lost records, or got a store back.
    pub(super) pulls_own: bool,
    pub(super) restore_point: Option<RestorePoint>,
    /// What it has noted of its records that central refused.
    pub(super) refused_up_to: ReportedRefusals,
}

impl PullStart {
    pub(super) fn load(txn: &dyn ReadTxn, is_recovering: bool) -> Result<Self> {
        let pulls_own = is_recovering || state::PULL_OWN.get(txn)?;
        let newest = state::NEWEST_GONE.get(txn)?;
        Ok(Self {
            position: Position::in_central_where(txn, newest)?,
            newest,
            pulls_own,
            restore_point: if pulls_own { state::restore_point(txn)? } else { None },
            refused_up_to: reported_refusals(txn)?,
        })
    }
}

/// What this site has noted of its records that central refused.
pub(super) fn reported_refusals(txn: &dyn ReadTxn) -> Result<ReportedRefusals> {
    Ok(state::REFUSED_UP_TO.get(txn)?.map(|StoredJson(noted)| noted).unwrap_or_default())
}

impl Position {
    /// This site's position in central's changelog.
    pub(crate) fn in_central(txn: &dyn ReadTxn) -> Result<Self> {
        Self::in_central_where(txn, state::NEWEST_GONE.get(txn)?)
    }

    fn in_central_where(txn: &dyn ReadTxn, newest: NewestRow) -> Result<Self> {
        let next = state::PULL_CURSOR_V6.get(txn)?;
        let seen = state::PUSH_MARKS.get(txn)?.central().max(Cursor(next.0.saturating_sub(1)));
        let end = match newest {
            NewestRow::There => seen,
            NewestRow::Gone(gone) => seen.min(Cursor(gone.0 - 1)),
        };
        Ok(Self { next, end })
    }

    /// The part of its own changelog that this site pushes now.
    pub(crate) fn in_own(txn: &dyn ReadTxn) -> Result<Self> {
        Ok(Self { next: state::PUSH_CURSOR_V6.get(txn)?, end: txn.last_cursor()?.next() })
    }

    /// True if a row belongs to this push.
    pub(crate) fn contains(self, row: Cursor) -> bool {
        self.next <= row && row < self.end
    }

    /// Where a pulled batch leads.
    pub(crate) fn after(self, batch: &ReadBatch) -> Advance {
        let next = batch.last_record_cursor().map_or(batch.end_cursor, |last| last.max(batch.end_cursor)).next();
        match (batch.records.is_empty(), batch.is_last_batch) {
            (true, true) if batch.end_cursor.next() == self.end && !planted!(NewestGoneIsRestore) => {
                Advance::NewestGone
            }
            (true, true) if batch.end_cursor < self.end => Advance::WentBack,
            (true, true) if planted!(EmptyBatchMovesCursor) => Advance::To(next),
            (true, true) if planted!(EmptyEndTrusted) => Advance::To(next),
            (true, true) => Advance::Stay,
            _ if next > self.next => Advance::To(next),
            // No changelog has a row 0: such an answer names no position.
            _ if next == Cursor(1) || planted!(AnswerFromBeforeIsStuck) => Advance::Stuck,
            _ if next < self.next || !batch.records.is_empty() => Advance::Back(next),
            _ => Advance::Stuck,
        }
    }
}

/// Starts to read all of central's changelog again, including this site's own records.
pub(crate) fn read_from_the_beginning(txn: &dyn WriteTxn) -> Result<()> {
    state::PULL_CURSOR_V6.set(txn, Cursor(0))?;
    state::PULL_OWN.set(txn, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(end: u64, cursors: &[u64], last: bool) -> ReadBatch {
        let records = cursors
            .iter()
            .map(|c| {
                let json = format!(r#"{{"cursor":{c},"record":{{"tableName":"t","recordId":"r","action":"Update"}}}}"#);
                serde_json::from_str(&json).map_err(|_| unreachable!())
            })
            .collect();
        ReadBatch {
            end_cursor: Cursor(end),
            total_records: 0,
            records,
            is_last_batch: last,
            lost_history: Vec::new(),
            refused: Vec::new(),
            refused_up_to: None,
            copy_refused_at: None,
        }
    }

    fn position(next: u64, end: u64) -> Position {
        Position { next: Cursor(next), end: Cursor(end) }
    }

    #[test]
    fn batches_as_servers_send_them() {
        for (start, batch, expected) in [
            (1000, batch(1733, &[1000, 1733], false), Advance::To(Cursor(1734))),
            (1000, batch(1733, &[1000, 1700], false), Advance::To(Cursor(1734))),
            (1000, batch(1700, &[1000, 1733], true), Advance::To(Cursor(1734))),
            (1000, batch(1000, &[1000], true), Advance::To(Cursor(1001))),
            // A batch of rows without a V6 form.
            (1000, batch(1500, &[], false), Advance::To(Cursor(1501))),
            // Nothing new: the end is the newest row, which may have been written after the request.
            (1000, batch(2950, &[], true), Advance::Stay),
            (1000, batch(999, &[], true), Advance::Stay),
            (0, batch(0, &[], true), Advance::Stay),
            (1000, batch(998, &[], true), Advance::NewestGone),
            (1000, batch(997, &[], true), Advance::WentBack),
            (1000, batch(999, &[], false), Advance::Stuck),
            // From before the cursor: records withheld from an older release.
            (1000, batch(900, &[900], true), Advance::Back(Cursor(901))),
            (1000, batch(999, &[999], false), Advance::Back(Cursor(1000))),
            (1000, batch(900, &[20, 900], false), Advance::Back(Cursor(901))),
            (1000, batch(900, &[], false), Advance::Back(Cursor(901))),
            (1000, batch(0, &[], false), Advance::Stuck),
            (u64::MAX, batch(u64::MAX, &[], false), Advance::Stuck),
        ] {
            let stands = position(start, u64::saturating_sub(start, 1));
            assert_eq!(stands.after(&batch), expected, "from {start}: {batch:?}");
        }
        // Seen but not read: rows for other sites.
        assert_eq!(position(100, 5000).after(&batch(5000, &[], true)), Advance::Stay);
        assert_eq!(position(100, 5000).after(&batch(4999, &[], true)), Advance::NewestGone);
        assert_eq!(position(100, 5000).after(&batch(4998, &[], true)), Advance::WentBack);
    }

    /// Every batch of up to two records, from every position, with numbers below six.
    #[test]
    fn the_rules_hold_for_every_small_case() {
        let numbers = || 0..6u64;
        let mut records: Vec<Vec<u64>> = vec![Vec::new()];
        records.extend(numbers().map(|a| vec![a]));
        records.extend(numbers().flat_map(|a| numbers().map(move |b| vec![a, b])));
        let mut cases = 0;
        for (next, seen) in numbers().flat_map(|next| numbers().map(move |seen| (next, seen))) {
            for (end, last) in numbers().flat_map(|end| [(end, true), (end, false)]) {
                for cursors in &records {
                    cases += 1;
                    let case = format!("{next} {seen} {end} {last} {cursors:?}");
                    let ends_empty = cursors.is_empty() && last;
                    match position(next, seen).after(&batch(end, cursors, last)) {
                        Advance::To(to) => {
                            assert!(to.0 > next, "it never goes back, and it moves: {case}");
                            let behind = cursors.iter().chain([&end]).max().expect("an end") + 1;
                            assert_eq!(to.0, behind, "behind all that came, and no further: {case}");
                            assert!(!ends_empty, "an empty last batch skips nothing: {case}");
                        }
                        Advance::Stay => assert!(ends_empty && end >= seen, "{case}"),
                        Advance::NewestGone => assert!(ends_empty && end + 1 == seen, "{case}"),
                        Advance::WentBack => assert!(ends_empty && end + 1 < seen, "{case}"),
                        Advance::Back(to) => {
                            let behind = cursors.iter().chain([&end]).max().expect("an end") + 1;
                            assert_eq!(to.0, behind, "behind all that came: {case}");
                            let is_back = to.0 < next || to.0 == next && !cursors.is_empty();
                            assert!(!ends_empty && is_back && to.0 > 1, "{case}");
                        }
                        Advance::Stuck => {
                            let behind = cursors.iter().chain([&end]).max().expect("an end") + 1;
                            let is_empty = behind == next && cursors.is_empty();
                            assert!(!ends_empty && (is_empty || behind == 1 && next > 0), "{case}");
                        }
                    }
                }
            }
        }
        assert_eq!(cases, 6 * 6 * 12 * 43);
    }

    #[test]
    fn a_push_has_an_upper_bound() {
        let now = [4, 5, 6, 7, 8].map(|row| position(5, 8).contains(Cursor(row)));
        assert_eq!(now, [false, true, true, true, false]);
        assert!(!position(5, 5).contains(Cursor(5)), "nothing new");
    }
}
