//! What is held back from a site because its release cannot read it, and how it comes to the site once it can.
//!
//! A pull leaves such records out and goes on, so the site's cursor passes them. Where the first of them stands is
//! remembered. When the site says a newer release, its next pulls bring them before what is new. The answers end where they
//! would without them, or beyond: a site never goes back for it.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::protocol::v6::Release;
use crate::record::{Cursor, SiteId};
use crate::storage::{ReadTxn, Storage, WriteTxn, key};

/// What is held back from one site.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HeldBack {
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

/// What was held back and is being sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Again {
    from: Cursor,
    /// The cursor that the site asks from next if the answer reached it.
    next: Option<Cursor>,
    /// Where to go on then. An older version, which answered from further back, does not say that: then the site itself goes
    /// on from there.
    #[serde(default)]
    then: Option<Cursor>,
    /// Where what the site has read in its newer release begins; where it asks from, if that is not known.
    #[serde(default)]
    below: Option<Cursor>,
    /// The release that could not read it; of everything, if that is not known.
    #[serde(default)]
    was: Option<Release>,
}

/// Which rows are looked through for what was held back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Late {
    pub from: Cursor,
    pub below: Cursor,
    /// The release that could not read them.
    pub was: Option<Release>,
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
    pub(crate) fn load(txn: &dyn ReadTxn, site: SiteId) -> Result<Self> {
        match txn.state(&key_of(site))? {
            None => Ok(Self::default()),
            Some(text) => serde_json::from_str(&text).map_err(|_| Error::DamagedState { what: key_of(site) }),
        }
    }

    pub(crate) fn store(&self, txn: &dyn WriteTxn, site: SiteId) -> Result<()> {
        txn.set_state(&key_of(site), &serde_json::to_string(self).unwrap_or_default())
    }

    /// What of the rows that a site has passed it is to be sent now, beside what it asks for.
    pub(crate) fn late(&mut self, asked: Cursor, release: Release) -> Option<Late> {
        if let Some(held) = self.held.take_if(|held| release > held.release) {
            let again = self.again.take();
            let was = again.as_ref().map_or(Some(held.release), |again| again.was.map(|was| was.min(held.release)));
            let from = again.map_or(held.from, |again| again.from.min(held.from));
            self.again = Some(Again { from, next: None, then: None, below: Some(asked), was });
        }
        // The same where the site reads again from before it, on its own.
        self.held.take_if(|held| asked <= held.from);
        let again = self.again.as_mut()?;
        if again.next == Some(asked) {
            again.from = again.then.unwrap_or(asked);
            again.next = None;
        }
        let below = again.below.unwrap_or(asked).min(asked);
        again.below = Some(below);
        let late = Late { from: again.from, below, was: again.was };
        if late.from >= below {
            self.again = None;
            return None;
        }
        Some(late)
    }

    /// Nothing of it stood before here.
    pub(crate) fn looked_to(&mut self, reached: Cursor) {
        if let Some(again) = &mut self.again {
            again.from = reached;
            again.next = None;
        }
    }

    /// It is sent up to here, with an answer that leads the site there.
    pub(crate) fn sent(&mut self, reached: Cursor, next: Cursor) {
        if let Some(again) = &mut self.again {
            again.then = Some(reached);
            again.next = Some(next);
        }
    }

    /// Notes a record that was left out of an answer.
    pub(crate) fn note(&mut self, at: Cursor, release: Release) {
        let held = self.held.get_or_insert(Held { release, from: at, up_to: Cursor(0), records: 0 });
        held.release = held.release.min(release);
        held.from = held.from.min(at);
        if at > held.up_to {
            held.up_to = at;
            held.records += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: Release = (2, 16, 3);
    const NEW: Release = (2, 18, 0);

    fn with_two_held() -> HeldBack {
        let mut held = HeldBack::default();
        assert_eq!(held.late(Cursor(1), OLD), None);
        held.note(Cursor(20), OLD);
        held.note(Cursor(30), OLD);
        held
    }

    fn late(from: u64, below: u64) -> Option<Late> {
        Some(Late { from: Cursor(from), below: Cursor(below), was: Some(OLD) })
    }

    #[test]
    fn a_newer_release_is_sent_what_was_held_back_until_the_answers_arrived() {
        let mut held = with_two_held();
        assert_eq!(held.late(Cursor(100), OLD), None, "the same release goes on");
        assert_eq!(held.late(Cursor(100), NEW), late(20, 100));
        held.sent(Cursor(21), Cursor(108));
        assert_eq!(held.late(Cursor(100), NEW), late(20, 100), "the answer was lost");
        held.sent(Cursor(21), Cursor(109));
        assert_eq!(held.late(Cursor(109), NEW), late(21, 100), "it arrived");
        held.sent(Cursor(100), Cursor(110));
        assert_eq!(held.late(Cursor(109), NEW), late(21, 100), "the next was lost");
        held.sent(Cursor(100), Cursor(110));
        assert_eq!(held.late(Cursor(110), NEW), None, "once");
        assert_eq!(held, HeldBack::default());
    }

    #[test]
    fn a_site_that_reads_again_from_before_it_reads_it_by_itself() {
        let mut held = with_two_held();
        assert_eq!(held.late(Cursor(100), NEW), late(20, 100));
        held.sent(Cursor(21), Cursor(108));
        assert_eq!(held.late(Cursor(50), NEW), late(20, 50), "it was restored, and knows nothing of the answer");
        assert_eq!(held.late(Cursor(0), NEW), None, "it begins anew");
        assert_eq!(held, HeldBack::default());
    }

    #[test]
    fn what_a_newer_release_cannot_read_either_stays_held_back() {
        let mut held = with_two_held();
        assert_eq!(held.late(Cursor(100), (2, 17, 0)), late(20, 100));
        held.note(Cursor(30), (2, 17, 0));
        held.sent(Cursor(100), Cursor(108));
        assert_eq!(held.late(Cursor(108), (2, 17, 0)), None);
        let was = Some((2, 17, 0));
        let left = Late { from: Cursor(30), below: Cursor(108), was };
        assert_eq!(held.late(Cursor(108), NEW), Some(left));
    }

    #[test]
    fn nothing_left_to_send_ends_it() {
        let mut held = with_two_held();
        assert_eq!(held.late(Cursor(100), NEW), late(20, 100));
        held.looked_to(Cursor(100));
        assert_eq!(held.late(Cursor(100), NEW), None);
        assert_eq!(held, HeldBack::default());
    }

    #[test]
    fn a_record_counts_once() {
        let mut held = with_two_held();
        held.note(Cursor(30), OLD);
        assert_eq!(held.held.as_ref().map(|held| held.records), Some(2));
        assert_eq!(held.late(Cursor(5), OLD), None, "it reads everything again");
        assert_eq!(held.held, None);
    }

    #[test]
    fn what_an_older_version_wrote_is_understood() {
        let read = |text: &str| serde_json::from_str::<HeldBack>(text).unwrap();
        let text = r#"{"held":null,"again":{"from":20,"next":61}}"#;
        let unknown = |below| Some(Late { from: Cursor(20), below: Cursor(below), was: None });
        assert_eq!(read(text).late(Cursor(100), NEW), unknown(100), "the answer from further back did not arrive");
        assert_eq!(read(text).late(Cursor(61), NEW), None, "it did, and the site goes on from there");
    }
}
