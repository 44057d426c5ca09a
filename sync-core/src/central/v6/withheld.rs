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
    #[serde(rename = "held")]
    withheld: Option<WithheldRange>,
    #[serde(rename = "again")]
    catch_up: Option<CatchUp>,
    /// A site restored to an earlier backup has passed these records without having them.
    #[serde(rename = "given", default)]
    delivered: Option<DeliveredRange>,
}

/// The part of the changelog with the records that are withheld now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct WithheldRange {
    /// The oldest release that they were withheld from.
    release: Release,
    from: Cursor,
    up_to: Cursor,
    records: u64,
    /// Before this position the site's own records are among them, because it had begun anew.
    #[serde(default)]
    own_below: Cursor,
}

/// A delivery of withheld records, over several pulls.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct CatchUp {
    from: Cursor,
    /// The site asks from here next if it received the last answer.
    #[serde(rename = "next")]
    acked_by: Option<Cursor>,
    /// Where the delivery then continues. An older version, which answered from further back, does not store it: then
    /// the site's own cursor counts.
    #[serde(rename = "then", default)]
    sent_to: Option<Cursor>,
    /// The start of the part that the site has read in its newer release; its cursor if that is unknown.
    #[serde(default)]
    below: Option<Cursor>,
    /// The release that could not read them; all releases, if unknown.
    #[serde(rename = "was", default)]
    unreadable_in: Option<Release>,
    /// Before this position the site's own records are sent too.
    #[serde(default)]
    own_below: Cursor,
}

/// The part of the changelog of which the withheld records were delivered, or are being delivered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct DeliveredRange {
    from: Cursor,
    below: Cursor,
    #[serde(rename = "was")]
    unreadable_in: Option<Release>,
    own_below: Cursor,
    /// A site that has all of them asks from here or later.
    arrived: Cursor,
    /// Where the site asked from last, up to `arrived`.
    asked: Cursor,
    /// True once a pull in the older release has come: the site may have been put back to before its upgrade.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    is_lost: bool,
}

/// A pull, as far as it decides about withheld records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PullQuery {
    pub from: Cursor,
    pub release: Release,
    /// True if the site asks for its own records too.
    pub includes_own: bool,
}

/// The rows to search for withheld records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CatchUpRange {
    pub from: Cursor,
    pub below: Cursor,
    /// The release that could not read them.
    pub unreadable_in: Option<Release>,
    /// Before this position the site's own rows count too.
    pub own_below: Cursor,
}

const WITHHELD: SiteSetting<StoredJson<WithheldRecords>> = state::withheld_of_site();

/// The number of records withheld from a site.
///
/// # Errors
/// The database failed.
pub(crate) fn count_withheld(storage: &dyn Storage, site: SiteId) -> Result<u64> {
    Ok(WithheldRecords::load(storage.read()?.as_ref(), site)?.withheld.map_or(0, |withheld| withheld.records))
}

impl WithheldRecords {
    pub(crate) fn load(txn: &dyn ReadTxn, site: SiteId) -> Result<Self> {
        Ok(WITHHELD.of(site).get(txn)?.0)
    }

    pub(crate) fn store(&self, txn: &dyn WriteTxn, site: SiteId) -> Result<()> {
        WITHHELD.of(site).set(txn, self.clone())
    }

    /// The rows to search for withheld records that go out now, before the requested ones. A pull in the release that
    /// could not read them brings none of them, from any cursor: it may be a late copy.
    pub(crate) fn catch_up_range(&mut self, query: PullQuery) -> Option<CatchUpRange> {
        let PullQuery { from: asked, release, includes_own } = query;
        self.note_older_release(release);
        // Before what was withheld meanwhile is added: that begins where the site asks now.
        self.repeat_if_site_went_back(asked, release);
        let can_read = |withheld: &mut WithheldRange| release > withheld.release && !planted!(WithheldForgotten);
        if let Some(withheld) = self.withheld.take_if(can_read) {
            self.begin_catch_up(&withheld, asked);
        }
        let catch_up =
            self.catch_up.as_mut().filter(|catch_up| catch_up.unreadable_in.is_none_or(|old| release > old))?;
        if !includes_own && asked < catch_up.own_below {
            // The site reads the rows of others again, and its own once it has passed them.
            catch_up.below = None;
            return None;
        }
        if catch_up.acked_by == Some(asked) {
            catch_up.from = catch_up.sent_to.unwrap_or(asked);
            catch_up.acked_by = None;
        }
        let below = catch_up.below.unwrap_or(asked).min(asked);
        catch_up.below = Some(below);
        let CatchUp { from, unreadable_in, own_below, .. } = *catch_up;
        if from >= below {
            self.catch_up = None;
            return None;
        }
        Some(CatchUpRange { from, below, unreadable_in, own_below })
    }

    /// Starts to deliver the withheld records, together with those that are still being delivered.
    fn begin_catch_up(&mut self, withheld: &WithheldRange, asked: Cursor) {
        let running = self.catch_up.take();
        let unreadable_in = running
            .as_ref()
            .map_or(Some(withheld.release), |running| running.unreadable_in.map(|old| old.min(withheld.release)));
        let from = running.as_ref().map_or(withheld.from, |running| running.from.min(withheld.from));
        let own_below = running.map_or(withheld.own_below, |running| running.own_below.max(withheld.own_below));
        self.catch_up =
            Some(CatchUp { from, acked_by: None, sent_to: None, below: Some(asked), unreadable_in, own_below });
        let new =
            DeliveredRange { from, below: asked, unreadable_in, own_below, arrived: asked, asked, is_lost: false };
        self.delivered = Some(match self.delivered.take() {
            None => new,
            Some(before) => DeliveredRange {
                from: before.from.min(from),
                below: before.below.max(asked),
                unreadable_in: before.unreadable_in.zip(unreadable_in).map(|(one, other)| one.min(other)),
                own_below: before.own_below.max(own_below),
                arrived: before.arrived.max(asked),
                asked,
                ..before
            },
        });
    }

    /// Notes a site that may go on in its older release after a restore. A late copy of a pull looks the same; then the site gets
    /// records that it has.
    fn note_older_release(&mut self, release: Release) {
        if let Some(delivered) = &mut self.delivered {
            delivered.is_lost |= delivered.unreadable_in.is_some_and(|old| release <= old);
        }
    }

    /// A site that asks from before its last cursor was restored, or reads again: it may have lost the delivered records
    /// too. A late copy of a pull looks the same; then the site gets records that it has.
    fn repeat_if_site_went_back(&mut self, asked: Cursor, release: Release) {
        let is_newer = |delivered: &&mut DeliveredRange| delivered.unreadable_in.is_none_or(|old| release > old);
        let Some(delivered) = self.delivered.as_mut().filter(is_newer) else { return };
        if std::mem::take(&mut delivered.is_lost) || asked < delivered.asked {
            let DeliveredRange { from, below, unreadable_in, own_below, .. } = *delivered;
            self.catch_up =
                Some(CatchUp { from, acked_by: None, sent_to: None, below: Some(below), unreadable_in, own_below });
        }
        delivered.asked = asked.min(delivered.arrived);
    }

    /// Notes that no withheld record is before this position.
    pub(crate) fn note_searched(&mut self, reached: Cursor) {
        if let Some(catch_up) = &mut self.catch_up {
            catch_up.from = reached;
            catch_up.acked_by = None;
        }
    }

    /// Notes that an answer brings the withheld records before `reached`, and leads the site to `next`.
    pub(crate) fn note_sent(&mut self, reached: Cursor, next: Cursor) {
        if let Some(catch_up) = &mut self.catch_up {
            catch_up.sent_to = Some(reached);
            catch_up.acked_by = Some(next);
        }
        if let Some(delivered) = &mut self.delivered {
            delivered.arrived = delivered.arrived.max(next);
        }
    }

    /// Records a row that is left out of the answer to this pull.
    pub(crate) fn withhold(&mut self, at: Cursor, PullQuery { release, includes_own, .. }: PullQuery) {
        let none = WithheldRange { release, from: at, up_to: Cursor(0), records: 0, own_below: Cursor(0) };
        let withheld = self.withheld.get_or_insert(none);
        withheld.release = withheld.release.min(release);
        if includes_own {
            withheld.own_below = withheld.own_below.max(at.next());
        }
        withheld.from = withheld.from.min(at);
        if at > withheld.up_to {
            withheld.up_to = at;
            withheld.records += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: Release = (2, 16, 3);
    const NEW: Release = (2, 18, 0);

    fn asks(from: u64, release: Release) -> PullQuery {
        PullQuery { from: Cursor(from), release, includes_own: false }
    }

    fn with_two_withheld() -> WithheldRecords {
        let mut withheld = WithheldRecords::default();
        assert_eq!(withheld.catch_up_range(asks(1, OLD)), None);
        withheld.withhold(Cursor(20), asks(0, OLD));
        withheld.withhold(Cursor(30), asks(0, OLD));
        withheld
    }

    fn late(from: u64, below: u64) -> Option<CatchUpRange> {
        Some(CatchUpRange { from: Cursor(from), below: Cursor(below), unreadable_in: Some(OLD), own_below: Cursor(0) })
    }

    #[test]
    fn a_newer_release_is_sent_what_was_held_back_until_the_answers_arrived() {
        let mut withheld = with_two_withheld();
        assert_eq!(withheld.catch_up_range(asks(100, OLD)), None, "the same release goes on");
        assert_eq!(withheld.catch_up_range(asks(100, NEW)), late(20, 100));
        withheld.note_sent(Cursor(21), Cursor(108));
        assert_eq!(withheld.catch_up_range(asks(100, NEW)), late(20, 100), "the answer was lost");
        withheld.note_sent(Cursor(21), Cursor(109));
        assert_eq!(withheld.catch_up_range(asks(109, NEW)), late(21, 100), "it arrived");
        withheld.note_sent(Cursor(100), Cursor(110));
        assert_eq!(withheld.catch_up_range(asks(109, NEW)), late(21, 100), "the next was lost");
        withheld.note_sent(Cursor(100), Cursor(110));
        assert_eq!(withheld.catch_up_range(asks(110, NEW)), None, "once");
        assert_is_settled(&withheld);
        assert_eq!(withheld.catch_up_range(asks(300, NEW)), None);
    }

    #[test]
    fn a_site_that_reads_again_from_before_it_reads_it_by_itself() {
        let mut withheld = with_two_withheld();
        assert_eq!(withheld.catch_up_range(asks(100, NEW)), late(20, 100));
        withheld.note_sent(Cursor(21), Cursor(108));
        assert_eq!(
            withheld.catch_up_range(asks(50, NEW)),
            late(20, 50),
            "it was restored, and knows nothing of the answer"
        );
        assert_eq!(withheld.catch_up_range(asks(0, NEW)), None, "it begins anew");
        assert_is_settled(&withheld);
    }

    #[test]
    fn a_site_that_was_restored_after_it_had_all_is_sent_it_again() {
        let mut withheld = with_two_withheld();
        assert_eq!(withheld.catch_up_range(asks(100, NEW)), late(20, 100));
        withheld.note_sent(Cursor(21), Cursor(108));
        assert_eq!(withheld.catch_up_range(asks(100, NEW)), late(20, 100), "the answer was lost");
        withheld.note_sent(Cursor(21), Cursor(108));
        assert_eq!(withheld.catch_up_range(asks(108, NEW)), late(21, 100));
        assert_eq!(withheld.catch_up_range(asks(100, NEW)), late(20, 100), "restored when it had a part of it");
        withheld.note_sent(Cursor(100), Cursor(110));
        assert_eq!(withheld.catch_up_range(asks(110, NEW)), None);
        assert_eq!(withheld.catch_up_range(asks(500, NEW)), None);
        assert_eq!(withheld.catch_up_range(asks(110, NEW)), None, "restored, to what has all of it");
        assert_eq!(withheld.catch_up_range(asks(50, OLD)), None, "held up on its way");
        assert_eq!(withheld.catch_up_range(asks(105, NEW)), late(20, 100), "restored to what has not");
        withheld.note_sent(Cursor(100), Cursor(120));
        assert_eq!(withheld.catch_up_range(asks(120, NEW)), None);
        for asked in [0, 40, 90, 120] {
            assert_eq!(withheld.catch_up_range(asks(asked, NEW)), None, "it reads everything again");
        }
        assert_eq!(
            withheld.catch_up_range(asks(105, NEW)),
            late(20, 100),
            "restored once more, after it had read it by itself"
        );
    }

    /// Its old program came back with its old database, as with the image of a whole machine.
    #[test]
    fn a_site_that_went_on_in_its_older_release_after_a_restore_is_sent_it_again() {
        let settled = || {
            let mut withheld = with_two_withheld();
            assert_eq!(withheld.catch_up_range(asks(100, NEW)), late(20, 100));
            withheld.note_sent(Cursor(100), Cursor(110));
            assert_eq!(withheld.catch_up_range(asks(110, NEW)), None);
            withheld
        };
        let mut withheld = settled();
        let with_own = PullQuery { includes_own: true, ..asks(40, OLD) };
        assert_eq!(withheld.catch_up_range(with_own), None, "it reads its own records too");
        assert_eq!(withheld.catch_up_range(asks(120, NEW)), late(20, 100));
        withheld.note_sent(Cursor(100), Cursor(130));
        assert_eq!(withheld.catch_up_range(asks(130, NEW)), None);
        let mut withheld = settled();
        assert_eq!(withheld.catch_up_range(asks(105, OLD)), None, "that release was never here before");
        assert_eq!(withheld.catch_up_range(asks(120, NEW)), late(20, 100));
        let mut withheld = settled();
        assert_eq!(withheld.catch_up_range(asks(100, OLD)), None, "it may be held up on its way");
        assert_eq!(withheld.catch_up_range(asks(120, NEW)), late(20, 100));

        // What is withheld from it there comes with what it lost.
        let mut withheld = settled();
        assert_eq!(withheld.catch_up_range(asks(90, OLD)), None);
        withheld.withhold(Cursor(95), asks(90, OLD));
        assert_eq!(withheld.catch_up_range(asks(90, NEW)), late(20, 90), "its answer was lost");
        let mut withheld = settled();
        assert_eq!(withheld.catch_up_range(asks(105, OLD)), None);
        withheld.withhold(Cursor(110), asks(105, OLD));
        assert_eq!(withheld.catch_up_range(asks(111, NEW)), late(20, 111));
    }

    fn assert_is_settled(withheld: &WithheldRecords) {
        assert!(withheld.withheld.is_none() && withheld.catch_up.is_none(), "{withheld:?}");
    }

    #[test]
    fn what_a_newer_release_cannot_read_either_stays_held_back() {
        let mut withheld = with_two_withheld();
        assert_eq!(withheld.catch_up_range(asks(100, (2, 17, 0))), late(20, 100));
        withheld.withhold(Cursor(30), asks(0, (2, 17, 0)));
        withheld.note_sent(Cursor(100), Cursor(108));
        assert_eq!(withheld.catch_up_range(asks(108, (2, 17, 0))), None);
        let unreadable_in = Some((2, 17, 0));
        let left = CatchUpRange { from: Cursor(30), below: Cursor(108), unreadable_in, own_below: Cursor(0) };
        assert_eq!(withheld.catch_up_range(asks(108, NEW)), Some(left));
    }

    #[test]
    fn nothing_left_to_send_ends_it() {
        let mut withheld = with_two_withheld();
        assert_eq!(withheld.catch_up_range(asks(100, NEW)), late(20, 100));
        withheld.note_searched(Cursor(100));
        assert_eq!(withheld.catch_up_range(asks(100, NEW)), None);
        assert_is_settled(&withheld);
    }

    #[test]
    fn a_record_counts_once() {
        let mut withheld = with_two_withheld();
        withheld.withhold(Cursor(30), asks(0, OLD));
        assert_eq!(withheld.withheld.as_ref().map(|range| range.records), Some(2));
        assert_eq!(withheld.catch_up_range(asks(5, OLD)), None, "it reads everything again");
        withheld.withhold(Cursor(20), asks(5, OLD));
        withheld.withhold(Cursor(30), asks(5, OLD));
        assert_eq!(withheld.withheld.as_ref().map(|range| range.records), Some(2));
    }

    #[test]
    fn a_question_that_was_held_up_on_its_way_takes_nothing_away() {
        let mut withheld = with_two_withheld();
        let before = withheld.clone();
        assert_eq!(withheld.catch_up_range(asks(0, OLD)), None);
        assert_eq!(withheld, before, "still held back");
        assert_eq!(withheld.catch_up_range(asks(100, NEW)), late(20, 100));
        withheld.note_sent(Cursor(21), Cursor(108));
        assert_eq!(withheld.catch_up_range(asks(0, OLD)), None);
        assert_eq!(
            withheld.catch_up_range(asks(108, NEW)),
            late(20, 100),
            "all once more: the site may have been put back"
        );
        withheld.note_sent(Cursor(100), Cursor(110));
        assert_eq!(withheld.catch_up_range(asks(110, NEW)), None);
        assert_is_settled(&withheld);
    }

    #[test]
    fn a_site_that_began_anew_is_sent_its_own_too() {
        let mut withheld = WithheldRecords::default();
        withheld.withhold(Cursor(20), PullQuery { includes_own: true, ..asks(0, OLD) });
        withheld.withhold(Cursor(30), asks(25, OLD));
        let late = |from, below| Some(CatchUpRange { own_below: Cursor(21), ..late(from, below).unwrap() });
        let mut reads_again = withheld.clone();
        assert_eq!(withheld.catch_up_range(asks(100, NEW)), late(20, 100));
        assert_eq!(reads_again.catch_up_range(asks(5, NEW)), None, "what it asks for has nothing of its own");
        assert_eq!(reads_again.catch_up_range(asks(40, NEW)), late(20, 40));
        assert_eq!(
            reads_again.catch_up_range(PullQuery { includes_own: true, ..asks(0, NEW) }),
            None,
            "it begins anew once more"
        );
        assert_is_settled(&reads_again);
    }

    #[test]
    fn what_an_older_version_wrote_is_understood() {
        let read = |text: &str| serde_json::from_str::<WithheldRecords>(text).unwrap();
        let text = r#"{"held":null,"again":{"from":20,"next":61}}"#;
        let unknown = |below| {
            Some(CatchUpRange { from: Cursor(20), below: Cursor(below), unreadable_in: None, own_below: Cursor(0) })
        };
        assert_eq!(
            read(text).catch_up_range(asks(100, NEW)),
            unknown(100),
            "the answer from further back did not arrive"
        );
        assert_eq!(read(text).catch_up_range(asks(61, NEW)), None, "it did, and the site goes on from there");
        let withheld = r#"{"release":[2,16,3],"from":20,"up_to":30,"records":2,"own_below":0}"#;
        let catch_up = r#"{"from":20,"next":61,"then":21,"below":100,"was":[2,16,3],"own_below":0}"#;
        let delivered = r#"{"from":20,"below":100,"was":[2,16,3],"own_below":0,"arrived":108,"asked":100}"#;
        let all = format!(r#"{{"held":{withheld},"again":{catch_up},"given":{delivered}}}"#);
        assert_eq!(serde_json::to_string(&read(&all)).unwrap(), all, "the stored keys");
    }
}
