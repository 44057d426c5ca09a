//! What is held back from a site because its release cannot read it, and how it comes to the site once it can.
//!
//! A pull leaves such records out and goes on, so the site's cursor passes them. Where the first of them stands is
//! remembered. When the site says a newer release, its next pull is answered from there: every client takes the end of an
//! answer for its cursor, and so goes back by itself and reads on from there.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::protocol::v6::{Batch, Release};
use crate::record::{Cursor, SiteId};
use crate::storage::{ReadTxn, Storage, WriteTxn, key};

/// What is held back from one site.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct HeldBack {
    held: Option<Held>,
    again: Option<Again>,
}

/// Records that were held back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Held {
    /// The oldest release that they were held back from.
    release: Release,
    from: Cursor,
    up_to: Cursor,
    records: u64,
}

/// A pull that is to be answered from further back than the site asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Again {
    from: Cursor,
    /// The cursor that the site asks from next if the answer reached it.
    next: Option<Cursor>,
}

fn key_of(site: SiteId) -> String {
    format!("{}{site}", key::HELD_BACK_OF_SITE)
}

/// How many records are held back from a site.
///
/// # Errors
/// The database failed.
pub fn held_back(storage: &dyn Storage, site: SiteId) -> Result<u64> {
    Ok(HeldBack::load(storage.read()?.as_ref(), site)?.held.map_or(0, |held| held.records))
}

impl HeldBack {
    pub(super) fn load(txn: &dyn ReadTxn, site: SiteId) -> Result<Self> {
        match txn.state(&key_of(site))? {
            None => Ok(Self::default()),
            Some(text) => serde_json::from_str(&text).map_err(|_| Error::DamagedState { what: key_of(site) }),
        }
    }

    pub(super) fn store(&self, txn: &dyn WriteTxn, site: SiteId) -> Result<()> {
        txn.set_state(&key_of(site), &serde_json::to_string(self).unwrap_or_default())
    }

    /// From where a pull of a site with this release is answered.
    pub(super) fn start(&mut self, asked: Cursor, release: Release) -> Cursor {
        if let Some(held) = self.held.take_if(|held| release > held.release) {
            let from = self.again.take().map_or(held.from, |again| again.from.min(held.from));
            self.again = Some(Again { from, next: None });
        }
        if let Some(again) = &self.again {
            if asked > again.from && again.next != Some(asked) {
                // Whatever is held back from there on is found again.
                self.held = None;
                return again.from;
            }
            self.again = None;
        }
        // The same where the site reads again from before it, on its own.
        self.held.take_if(|held| asked <= held.from);
        asked
    }

    /// Notes a record that was left out of an answer.
    pub(super) fn note(&mut self, at: Cursor, release: Release) {
        let held = self.held.get_or_insert(Held { release, from: at, up_to: Cursor(0), records: 0 });
        held.release = held.release.min(release);
        held.from = held.from.min(at);
        if at > held.up_to {
            held.up_to = at;
            held.records += 1;
        }
    }

    /// After an answer from further back: by which cursor the site will show that it has it. The answer must not end where
    /// the site is already, or that could not be told from an answer that was lost; it then ends one row earlier, and that
    /// row comes twice.
    pub(super) fn answered(&mut self, asked: Cursor, batch: &mut Batch) {
        let Some(again) = &mut self.again else { return };
        if batch.total_records == 0 {
            self.again = None;
            return;
        }
        if batch.end_cursor.next() == asked {
            batch.end_cursor = Cursor(batch.end_cursor.0.saturating_sub(1));
        }
        again.next = Some(batch.end_cursor.next());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: Release = (2, 16, 3);
    const NEW: Release = (2, 18, 0);

    fn batch(end: u64, total: u64) -> Batch {
        Batch { end_cursor: Cursor(end), total_records: total, ..Batch::empty(Cursor(end)) }
    }

    fn with_one_held() -> HeldBack {
        let mut held = HeldBack::default();
        assert_eq!(held.start(Cursor(1), OLD), Cursor(1));
        held.note(Cursor(20), OLD);
        held.note(Cursor(30), OLD);
        held
    }

    #[test]
    fn a_newer_release_is_answered_from_the_first_that_was_held_back_until_the_answer_arrived() {
        let mut held = with_one_held();
        assert_eq!(held.start(Cursor(100), OLD), Cursor(100), "the same release goes on");
        assert_eq!(held.start(Cursor(100), NEW), Cursor(20));
        held.answered(Cursor(100), &mut batch(60, 50));
        assert_eq!(held.start(Cursor(100), NEW), Cursor(20), "the answer was lost");
        held.answered(Cursor(100), &mut batch(60, 50));
        assert_eq!(held.start(Cursor(61), NEW), Cursor(61), "it arrived");
        assert_eq!(held.start(Cursor(100), NEW), Cursor(100), "once");
        assert_eq!(held, HeldBack::default());
    }

    #[test]
    fn an_answer_does_not_end_where_the_site_is() {
        let mut held = with_one_held();
        assert_eq!(held.start(Cursor(100), NEW), Cursor(20));
        let mut last = batch(99, 5);
        held.answered(Cursor(100), &mut last);
        assert_eq!(last.end_cursor, Cursor(98));
        assert_eq!(held.start(Cursor(99), NEW), Cursor(99));
        assert_eq!(held.start(Cursor(100), NEW), Cursor(100));
    }

    #[test]
    fn a_restored_site_that_knows_nothing_of_the_answer_gets_it_again() {
        let mut held = with_one_held();
        assert_eq!(held.start(Cursor(100), NEW), Cursor(20));
        held.answered(Cursor(100), &mut batch(60, 50));
        assert_eq!(held.start(Cursor(50), NEW), Cursor(20));
        assert_eq!(held.start(Cursor(0), NEW), Cursor(0), "it begins anew");
        assert_eq!(held, HeldBack::default());
    }

    #[test]
    fn what_a_newer_release_cannot_read_either_stays_held_back() {
        let mut held = with_one_held();
        assert_eq!(held.start(Cursor(100), (2, 17, 0)), Cursor(20));
        held.note(Cursor(30), (2, 17, 0));
        held.answered(Cursor(100), &mut batch(60, 50));
        assert_eq!(held.start(Cursor(61), (2, 17, 0)), Cursor(61));
        assert_eq!(held.start(Cursor(100), NEW), Cursor(30));
    }

    #[test]
    fn nothing_left_to_send_ends_it() {
        let mut held = with_one_held();
        assert_eq!(held.start(Cursor(100), NEW), Cursor(20));
        held.answered(Cursor(100), &mut batch(99, 0));
        assert_eq!(held, HeldBack::default());
    }

    #[test]
    fn a_record_counts_once() {
        let mut held = with_one_held();
        held.note(Cursor(30), OLD);
        assert_eq!(held.held.as_ref().map(|held| held.records), Some(2));
        assert_eq!(held.start(Cursor(5), OLD), Cursor(5), "it reads everything again");
        assert_eq!(held.held, None);
    }
}
