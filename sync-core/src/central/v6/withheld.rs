//! Records withheld from a site because its release cannot read them, and their delivery once it can.
//!
//! A pull leaves such records out and continues, so the site's cursor passes them. The position of the first one is
//! stored. When the site reports a newer release, its next pulls bring them before new records. Answers end where they
//! would end without them, or later: a site never goes back for them.

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::protocol::v6::Release;
use crate::record::{Cursor, SiteId};
use crate::storage::state::{SiteSetting, StoredJson};
use crate::storage::{ReadTxn, Storage, WriteTxn, state};

/// The records withheld from one site.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct WithheldRecords {
    held: Option<Withheld>,
    again: Option<CatchUp>,
    /// The records that were delivered late: a site restored to an earlier backup has passed them without having them.
    #[serde(default)]
    given: Option<Given>,
}

/// Records are withheld.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Withheld {
    /// The oldest release that they were withheld from.
    release: Release,
    from: Cursor,
    up_to: Cursor,
    records: u64,
    /// Before this position the site's own records are among them, because it had begun anew.
    #[serde(default)]
    own_below: Cursor,
}

/// Withheld records that are being sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct CatchUp {
    from: Cursor,
    /// The cursor of the site's next request if it received the answer.
    next: Option<Cursor>,
    /// The position to continue from then. An older version, which answered from further back, does not store it: then
    /// the site's own cursor counts.
    #[serde(default)]
    then: Option<Cursor>,
    /// The start of the part that the site has read in its newer release; its cursor if that is unknown.
    #[serde(default)]
    below: Option<Cursor>,
    /// The release that could not read it; all releases, if unknown.
    #[serde(default)]
    was: Option<Release>,
    /// Before this position the site's own records are sent too.
    #[serde(default)]
    own_below: Cursor,
}

/// Records that were delivered late, or are being delivered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Given {
    from: Cursor,
    below: Cursor,
    was: Option<Release>,
    own_below: Cursor,
    /// From here on the site asks once it has all of it.
    arrived: Cursor,
    /// Where the site asked from last, up to `arrived`.
    asked: Cursor,
    /// True once the site, put back to before its upgrade, has asked in its older release again: it has lost them.
    #[serde(default)]
    is_lost: bool,
}

/// A request, as far as it decides about withheld records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PullQuery {
    pub from: Cursor,
    pub release: Release,
    /// Whether the site asks for its own records too.
    pub own_too: bool,
}

/// The rows to search for withheld records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CatchUpRange {
    pub from: Cursor,
    pub below: Cursor,
    /// The release that could not read them.
    pub was: Option<Release>,
    /// Before this position the site's own rows count too.
    pub own_below: Cursor,
}

const WITHHELD: SiteSetting<StoredJson<WithheldRecords>> = state::withheld_of_site();

/// The number of records withheld from a site.
///
/// # Errors
/// The database failed.
pub(crate) fn withheld(storage: &dyn Storage, site: SiteId) -> Result<u64> {
    Ok(WithheldRecords::load(storage.read()?.as_ref(), site)?.held.map_or(0, |held| held.records))
}

impl WithheldRecords {
    pub(crate) fn load(txn: &dyn ReadTxn, site: SiteId) -> Result<Self> {
        Ok(WITHHELD.of(site).get(txn)?.0)
    }

    pub(crate) fn store(&self, txn: &dyn WriteTxn, site: SiteId) -> Result<()> {
        WITHHELD.of(site).set(txn, self.clone())
    }

    /// The withheld rows that are to be sent now, beside the requested ones. A request in the release that could not
    /// read them brings none of them, from any cursor: it may have arrived late.
    pub(crate) fn late(&mut self, PullQuery { from: asked, release, own_too }: PullQuery) -> Option<CatchUpRange> {
        self.note_older_release(asked, release, own_too);
        if let Some(held) = self.held.take_if(|held| release > held.release && !planted!(WithheldForgotten)) {
            self.begin(&held, asked);
        }
        self.begin_again_where_it_went_back(asked, release);
        let again = self.again.as_mut().filter(|again| again.was.is_none_or(|was| release > was))?;
        if !own_too && asked < again.own_below {
            // The site reads the rows of others again, and its own once it has passed them.
            again.below = None;
            return None;
        }
        if again.next == Some(asked) {
            again.from = again.then.unwrap_or(asked);
            again.next = None;
        }
        let below = again.below.unwrap_or(asked).min(asked);
        again.below = Some(below);
        let late = CatchUpRange { from: again.from, below, was: again.was, own_below: again.own_below };
        if late.from >= below {
            self.again = None;
            return None;
        }
        Some(late)
    }

    /// Starts to deliver the withheld records, together with those that are still being delivered.
    fn begin(&mut self, held: &Withheld, asked: Cursor) {
        let again = self.again.take();
        let was = again.as_ref().map_or(Some(held.release), |again| again.was.map(|was| was.min(held.release)));
        let from = again.as_ref().map_or(held.from, |again| again.from.min(held.from));
        let own_below = again.map_or(held.own_below, |again| again.own_below.max(held.own_below));
        self.again = Some(CatchUp { from, next: None, then: None, below: Some(asked), was, own_below });
        let given = self.given.take();
        let was = given.as_ref().map_or(was, |given| given.was.zip(was).map(|(one, other)| one.min(other)));
        self.given = Some(Given {
            from: given.as_ref().map_or(from, |given| given.from.min(from)),
            below: given.as_ref().map_or(asked, |given| given.below.max(asked)),
            was,
            own_below: given.as_ref().map_or(own_below, |given| given.own_below.max(own_below)),
            arrived: given.as_ref().map_or(asked, |given| given.arrived.max(asked)),
            asked,
            is_lost: given.is_some_and(|given| given.is_lost),
        });
    }

    /// Notes a site that goes on in its older release after a restore. It reads its own records too, or it asks from behind the
    /// position at which it was upgraded; any other request of that release may be one from before, which was held up on its way.
    fn note_older_release(&mut self, asked: Cursor, release: Release, own_too: bool) {
        let Some(given) = self.given.as_mut().filter(|given| given.was.is_some_and(|was| release <= was)) else {
            return;
        };
        given.is_lost |= (own_too && asked < given.asked) || asked > given.below;
    }

    /// A site that asks from before its last cursor was restored, or reads again: it may have lost the late records too. A
    /// delayed request looks the same; then the site gets records that it has.
    fn begin_again_where_it_went_back(&mut self, asked: Cursor, release: Release) {
        let Some(given) = self.given.as_mut().filter(|given| given.was.is_none_or(|was| release > was)) else { return };
        if std::mem::take(&mut given.is_lost) || asked < given.asked {
            let (from, below, was, own_below) = (given.from, Some(given.below), given.was, given.own_below);
            self.again = Some(CatchUp { from, next: None, then: None, below, was, own_below });
        }
        given.asked = asked.min(given.arrived);
    }

    /// No withheld record is before this position.
    pub(crate) fn looked_to(&mut self, reached: Cursor) {
        if let Some(again) = &mut self.again {
            again.from = reached;
            again.next = None;
        }
    }

    /// They are sent up to here, with an answer that leads the site there.
    pub(crate) fn sent(&mut self, reached: Cursor, next: Cursor) {
        if let Some(again) = &mut self.again {
            again.then = Some(reached);
            again.next = Some(next);
        }
        if let Some(given) = &mut self.given {
            given.arrived = given.arrived.max(next);
        }
    }

    /// Records a row that was left out of an answer to this request.
    pub(crate) fn note(&mut self, at: Cursor, PullQuery { release, own_too, .. }: PullQuery) {
        let nothing = Withheld { release, from: at, up_to: Cursor(0), records: 0, own_below: Cursor(0) };
        let held = self.held.get_or_insert(nothing);
        held.release = held.release.min(release);
        if own_too {
            held.own_below = held.own_below.max(at.next());
        }
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

    fn asks(from: u64, release: Release) -> PullQuery {
        PullQuery { from: Cursor(from), release, own_too: false }
    }

    fn with_two_held() -> WithheldRecords {
        let mut held = WithheldRecords::default();
        assert_eq!(held.late(asks(1, OLD)), None);
        held.note(Cursor(20), asks(0, OLD));
        held.note(Cursor(30), asks(0, OLD));
        held
    }

    fn late(from: u64, below: u64) -> Option<CatchUpRange> {
        Some(CatchUpRange { from: Cursor(from), below: Cursor(below), was: Some(OLD), own_below: Cursor(0) })
    }

    #[test]
    fn a_newer_release_is_sent_what_was_held_back_until_the_answers_arrived() {
        let mut held = with_two_held();
        assert_eq!(held.late(asks(100, OLD)), None, "the same release goes on");
        assert_eq!(held.late(asks(100, NEW)), late(20, 100));
        held.sent(Cursor(21), Cursor(108));
        assert_eq!(held.late(asks(100, NEW)), late(20, 100), "the answer was lost");
        held.sent(Cursor(21), Cursor(109));
        assert_eq!(held.late(asks(109, NEW)), late(21, 100), "it arrived");
        held.sent(Cursor(100), Cursor(110));
        assert_eq!(held.late(asks(109, NEW)), late(21, 100), "the next was lost");
        held.sent(Cursor(100), Cursor(110));
        assert_eq!(held.late(asks(110, NEW)), None, "once");
        assert_is_settled(&held);
        assert_eq!(held.late(asks(300, NEW)), None);
    }

    #[test]
    fn a_site_that_reads_again_from_before_it_reads_it_by_itself() {
        let mut held = with_two_held();
        assert_eq!(held.late(asks(100, NEW)), late(20, 100));
        held.sent(Cursor(21), Cursor(108));
        assert_eq!(held.late(asks(50, NEW)), late(20, 50), "it was restored, and knows nothing of the answer");
        assert_eq!(held.late(asks(0, NEW)), None, "it begins anew");
        assert_is_settled(&held);
    }

    #[test]
    fn a_site_that_was_restored_after_it_had_all_is_sent_it_again() {
        let mut held = with_two_held();
        assert_eq!(held.late(asks(100, NEW)), late(20, 100));
        held.sent(Cursor(21), Cursor(108));
        assert_eq!(held.late(asks(100, NEW)), late(20, 100), "the answer was lost");
        held.sent(Cursor(21), Cursor(108));
        assert_eq!(held.late(asks(108, NEW)), late(21, 100));
        assert_eq!(held.late(asks(100, NEW)), late(20, 100), "restored when it had a part of it");
        held.sent(Cursor(100), Cursor(110));
        assert_eq!(held.late(asks(110, NEW)), None);
        assert_eq!(held.late(asks(500, NEW)), None);
        assert_eq!(held.late(asks(110, NEW)), None, "restored, to what has all of it");
        assert_eq!(held.late(asks(50, OLD)), None, "held up on its way");
        assert_eq!(held.late(asks(105, NEW)), late(20, 100), "restored to what has not");
        held.sent(Cursor(100), Cursor(120));
        assert_eq!(held.late(asks(120, NEW)), None);
        for asked in [0, 40, 90, 120] {
            assert_eq!(held.late(asks(asked, NEW)), None, "it reads everything again");
        }
        assert_eq!(held.late(asks(105, NEW)), late(20, 100), "restored once more, after it had read it by itself");
    }

    /// Its old program came back with its old database, as with the image of a whole machine.
    #[test]
    fn a_site_that_went_on_in_its_older_release_after_a_restore_is_sent_it_again() {
        let settled = || {
            let mut held = with_two_held();
            assert_eq!(held.late(asks(100, NEW)), late(20, 100));
            held.sent(Cursor(100), Cursor(110));
            assert_eq!(held.late(asks(110, NEW)), None);
            held
        };
        let mut held = settled();
        assert_eq!(held.late(PullQuery { own_too: true, ..asks(40, OLD) }), None, "it reads its own records too");
        assert_eq!(held.late(asks(120, NEW)), late(20, 100));
        held.sent(Cursor(100), Cursor(130));
        assert_eq!(held.late(asks(130, NEW)), None);
        let mut held = settled();
        assert_eq!(held.late(asks(105, OLD)), None, "that release was never here before");
        assert_eq!(held.late(asks(120, NEW)), late(20, 100));
        let mut held = settled();
        assert_eq!(held.late(asks(100, OLD)), None, "held up on its way");
        assert_eq!(held.late(asks(120, NEW)), None);
    }

    fn assert_is_settled(held: &WithheldRecords) {
        assert!(held.held.is_none() && held.again.is_none(), "{held:?}");
    }

    #[test]
    fn what_a_newer_release_cannot_read_either_stays_held_back() {
        let mut held = with_two_held();
        assert_eq!(held.late(asks(100, (2, 17, 0))), late(20, 100));
        held.note(Cursor(30), asks(0, (2, 17, 0)));
        held.sent(Cursor(100), Cursor(108));
        assert_eq!(held.late(asks(108, (2, 17, 0))), None);
        let was = Some((2, 17, 0));
        let left = CatchUpRange { from: Cursor(30), below: Cursor(108), was, own_below: Cursor(0) };
        assert_eq!(held.late(asks(108, NEW)), Some(left));
    }

    #[test]
    fn nothing_left_to_send_ends_it() {
        let mut held = with_two_held();
        assert_eq!(held.late(asks(100, NEW)), late(20, 100));
        held.looked_to(Cursor(100));
        assert_eq!(held.late(asks(100, NEW)), None);
        assert_is_settled(&held);
    }

    #[test]
    fn a_record_counts_once() {
        let mut held = with_two_held();
        held.note(Cursor(30), asks(0, OLD));
        assert_eq!(held.held.as_ref().map(|held| held.records), Some(2));
        assert_eq!(held.late(asks(5, OLD)), None, "it reads everything again");
        held.note(Cursor(20), asks(5, OLD));
        held.note(Cursor(30), asks(5, OLD));
        assert_eq!(held.held.as_ref().map(|held| held.records), Some(2));
    }

    #[test]
    fn a_question_that_was_held_up_on_its_way_changes_nothing() {
        let mut held = with_two_held();
        let before = held.clone();
        assert_eq!(held.late(asks(0, OLD)), None);
        assert_eq!(held, before, "still held back");
        assert_eq!(held.late(asks(100, NEW)), late(20, 100));
        held.sent(Cursor(21), Cursor(108));
        let before = held.clone();
        assert_eq!(held.late(asks(0, OLD)), None);
        assert_eq!(held, before, "still being sent");
    }

    #[test]
    fn a_site_that_began_anew_is_sent_its_own_too() {
        let mut held = WithheldRecords::default();
        held.note(Cursor(20), PullQuery { own_too: true, ..asks(0, OLD) });
        held.note(Cursor(30), asks(25, OLD));
        let late = |from, below| Some(CatchUpRange { own_below: Cursor(21), ..late(from, below).unwrap() });
        let mut reads_again = held.clone();
        assert_eq!(held.late(asks(100, NEW)), late(20, 100));
        assert_eq!(reads_again.late(asks(5, NEW)), None, "what it asks for has nothing of its own");
        assert_eq!(reads_again.late(asks(40, NEW)), late(20, 40));
        assert_eq!(reads_again.late(PullQuery { own_too: true, ..asks(0, NEW) }), None, "it begins anew once more");
        assert_is_settled(&reads_again);
    }

    #[test]
    fn what_an_older_version_wrote_is_understood() {
        let read = |text: &str| serde_json::from_str::<WithheldRecords>(text).unwrap();
        let text = r#"{"held":null,"again":{"from":20,"next":61}}"#;
        let unknown =
            |below| Some(CatchUpRange { from: Cursor(20), below: Cursor(below), was: None, own_below: Cursor(0) });
        assert_eq!(read(text).late(asks(100, NEW)), unknown(100), "the answer from further back did not arrive");
        assert_eq!(read(text).late(asks(61, NEW)), None, "it did, and the site goes on from there");
    }
}
