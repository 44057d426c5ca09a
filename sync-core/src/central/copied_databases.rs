//! Decides which of two running copies of one site's database continues.
//!
//! Central does not send a site its own records, so two copies that both push would silently drift apart. Each push
//! names the push before it ([`PushChain`]). If that one already has another successor, the push comes from another
//! copy and is refused. The copy whose push was accepted last continues.

use serde::{Deserialize, Serialize};

use super::replay_window::may_still_arrive;
use crate::changelog::ChangelogGap;
use crate::clock::Timestamp;
use crate::error::Result;
use crate::protocol::v6::{CopyReport, PushChain};
use crate::record::{Cursor, SiteId};
use crate::storage::state::{SiteSetting, StoredJson};
use crate::storage::{ReadTxn, Storage, WriteTxn, changelog_gaps, newest_gaps, state};

/// The number of remembered pushes of a site: one of them may arrive once more, late.
const REMEMBERED: usize = 64;

/// The number of databases of a site that are remembered.
const FIRSTS: usize = 8;

/// The longest id of a push.
const BYTES_MAX: usize = 64;

/// What central knows of a site's database from its pushes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SiteDatabases {
    /// The accepted pushes, newest last; none of a database that was set up and has only pulled.
    taken: Vec<String>,
    /// The number of all accepted pushes.
    #[serde(default)]
    number: u64,
    /// The time of the newest.
    pub taken_at: Timestamp,
    /// The last restore that the site has reported.
    site_restored: Cursor,
    /// The last restore of central itself: pushes accepted after a backup are unknown once it is restored.
    central_restored: Cursor,
    /// The time when another copy was last refused.
    pub refused_at: Option<Timestamp>,
    /// The end of this changelog when the newest push was accepted, or when it was integrated.
    #[serde(default)]
    at: Cursor,
    /// True if the newest push may not be integrated yet.
    #[serde(default)]
    is_pending: bool,
    /// The [`first`](PushChain::first) of each database of the site, newest last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    firsts: Vec<String>,
    /// When a push showed that central was restored, and may not know the pushes before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    forgot_at: Option<Timestamp>,
    /// The loss that only this site is told: everything after the newest known push, when a later one showed that there
    /// had been more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lost: Option<ChangelogGap>,
    /// The pushes of the database before, while only the first pull of the newest one has come: that may be a late one, of
    /// a database that was given up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    replaced: Option<ReplacedDatabase>,
}

/// A database that another one may have replaced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct ReplacedDatabase {
    /// Its accepted pushes, newest last.
    taken: Vec<String>,
    /// When the first pull of the other one came.
    at: Timestamp,
}

impl SiteDatabases {
    /// What is known of a site that has not pushed yet.
    fn none(now: Timestamp) -> Self {
        Self {
            taken: Vec::new(),
            number: 0,
            taken_at: now,
            site_restored: Cursor(0),
            central_restored: Cursor(0),
            refused_at: None,
            at: Cursor(0),
            is_pending: false,
            firsts: Vec::new(),
            forgot_at: None,
            lost: None,
            replaced: None,
        }
    }

    /// True if a request is of the database that may have been replaced.
    fn is_replaced(&self, chain: &PushChain) -> bool {
        let before = self.firsts.len().checked_sub(2).and_then(|at| self.firsts.get(at));
        self.replaced.as_ref().is_some_and(|replaced| {
            replaced.taken.contains(&chain.id)
                || replaced.taken.last() == Some(&chain.after)
                || before == Some(&chain.first)
        })
    }

    /// What is known if the newest database has sent nothing after its first pull: that pull was a late one.
    fn reinstated(mut self, chain: &PushChain) -> Self {
        if let Some(ReplacedDatabase { taken, .. }) = self.replaced.take() {
            self.taken = taken;
            // As the older one of the two.
            let last = self.firsts.len().saturating_sub(1);
            self.firsts.swap(last.saturating_sub(1), last);
            self.note_first(chain);
        }
        self
    }

    /// True if central accepted pushes after this one that it does not know any more, as after its whole folder was
    /// restored from a snapshot: only central gives out the numbers. A false claim of a site harms no other site,
    /// because it only concerns the site's own copies.
    fn went_back(&self, chain: &PushChain) -> bool {
        chain.number > self.number
    }

    /// The loss that this site has shown: positions of the changelog that it has read may have another meaning now.
    fn lost_since(&self, txn: &dyn ReadTxn) -> Result<ChangelogGap> {
        let newest = txn.last_cursor()?;
        Ok(ChangelogGap { after: self.at.min(newest), before: newest.next() })
    }

    /// True for the database that was set up last, if central has not accepted a push of it yet.
    fn is_expected(&self, chain: &PushChain) -> bool {
        self.taken.is_empty() && self.firsts.last() == Some(&chain.first)
    }

    /// True if a push that follows no other, and is not known, is one that this server lost: pushes of the same database
    /// were accepted already, so this is a late copy of its first one. Or the database was copied before its first push.
    fn is_lost_first(&self, chain: &PushChain) -> bool {
        let is_known = self.firsts.contains(&chain.id) || self.firsts.contains(&chain.first);
        chain.after.is_empty() && is_known && !self.is_expected(chain)
    }

    /// True for a database that another one has replaced since.
    fn is_former(&self, chain: &PushChain) -> bool {
        let newer = self.firsts.iter().rev().take_while(|first| **first != chain.first).count();
        newer > 0 && newer < self.firsts.len()
    }

    /// Notes the database that a request is of.
    fn note_first(&mut self, chain: &PushChain) {
        // An older version names its first push only in the pushes that follow.
        let first = if chain.first.is_empty() && chain.after.is_empty() { &chain.id } else { &chain.first };
        if first.is_empty() || self.firsts.last() == Some(first) {
            return;
        }
        self.firsts.retain(|known| known != first);
        self.firsts.push(first.clone());
        self.firsts.drain(..self.firsts.len().saturating_sub(FIRSTS));
    }

    /// Records that a copy was refused, unless that may have been a late request of the copy that continues.
    fn noting_refused(self, now: Timestamp) -> Self {
        // A push from before a restore of central, which central does not know any more.
        let may_be_late = self.forgot_at.is_some_and(|at| may_still_arrive(at, now));
        let refused_at = if may_be_late { self.refused_at } else { Some(now) };
        Self { refused_at, ..self }
    }

    fn told(&self) -> CopyReport {
        CopyReport { refused_at: self.refused_at, number: self.number }
    }
}

/// The verdict on a push.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum PushVerdict {
    /// It is accepted; with what the site is told, if it sent a chain.
    Taken(Option<CopyReport>),
    /// Another copy continues, whose push was accepted at this time.
    Refused { goes_on_since: Timestamp },
    /// Another database has just been set up, or a request of one that was given up came late: that shows soon.
    Undecided,
}

/// What a pull says of its database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PullStage {
    /// It asks for the beginning of the changelog, with its own records.
    Begins,
    /// It has read a part of it.
    Continues,
    /// It has read all of it before.
    Initialised,
}

/// The verdict on a pull.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum PullVerdict {
    Continues,
    /// Another copy continues, whose push was accepted at this time.
    Refused {
        goes_on_since: Timestamp,
    },
    /// As for a push.
    Undecided,
}

const COPIES: SiteSetting<Option<StoredJson<SiteDatabases>>> = state::copies_of_site();

/// What is known of a site's copies; nothing for a site without a chain, such as Open mSupply.
pub(crate) fn of_site(txn: &dyn ReadTxn, site: SiteId) -> Result<Option<SiteDatabases>> {
    Ok(COPIES.of(site).get(txn)?.map(|StoredJson(copies)| copies))
}

/// Forgets it: the next copy that pushes continues.
pub(super) fn forget(txn: &dyn WriteTxn, site: SiteId) -> Result<()> {
    COPIES.of(site).set(txn, None::<StoredJson<SiteDatabases>>)
}

/// True if the ids are short enough to be kept; a chain with others counts as none.
fn fits(chain: &PushChain) -> bool {
    [&chain.id, &chain.after, &chain.first].iter().all(|id| id.len() <= BYTES_MAX)
}

/// Judges a push and stores its chain. The caller commits, also after a refusal.
pub(super) fn judge(
    txn: &dyn WriteTxn,
    site: SiteId,
    chain: Option<&PushChain>,
    lost_there: &[ChangelogGap],
    now: Timestamp,
) -> Result<PushVerdict> {
    let names_a_push = |chain: &&PushChain| !chain.id.is_empty() && fits(chain);
    let Some(chain) = chain.filter(names_a_push).filter(|_| !planted!(CopiesNotTold)) else {
        return Ok(PushVerdict::Taken(None));
    };
    let mut known = of_site(txn, site)?;
    if let Some(replaced) =
        known.as_ref().filter(|known| known.is_replaced(chain)).and_then(|known| known.replaced.as_ref())
    {
        if may_still_arrive(replaced.at, now) {
            return Ok(PushVerdict::Undecided);
        }
        known = known.map(|known| known.reinstated(chain));
    }
    let mut lost = known.as_ref().and_then(|known| known.lost);
    let mut forgot_at = known.as_ref().and_then(|known| known.forgot_at);
    let newest =
        |lost: &[ChangelogGap]| lost.iter().map(|lost| lost.before).filter(|before| before.is_possible()).max();
    let site_restored = newest(lost_there).unwrap_or(Cursor(0));
    let central_restored = newest(&changelog_gaps(txn)?).unwrap_or(Cursor(0));
    if let Some(known) = &known {
        if known.taken.contains(&chain.id) {
            // The same push once more, because its answer was lost or it arrived late.
            return Ok(PushVerdict::Taken(Some(known.told())));
        }
        let begins = chain.after.is_empty() && !known.is_lost_first(chain);
        // One that is expected may follow a push that something else than this server has accepted.
        let follows = begins || known.is_expected(chain) || known.taken.last() == Some(&chain.after);
        // No restore of central brings a database back that was replaced since.
        let is_former = known.is_former(chain);
        let central_was_restored = central_restored > known.central_restored && !is_former;
        let went_back = known.went_back(chain) && !is_former;
        let is_restored = site_restored > known.site_restored || central_was_restored;
        if went_back && !is_restored {
            lost = Some(known.lost_since(txn)?);
        }
        if !follows && !is_restored && !went_back {
            let goes_on_since = known.taken_at;
            store(txn, site, &known.clone().noting_refused(now))?;
            return Ok(PushVerdict::Refused { goes_on_since });
        }
        if central_was_restored || went_back {
            forgot_at = Some(now);
        }
    } else if chain.number > 0 && (central_restored == Cursor(0) || chain.loss_handled < central_restored) {
        // Restored to before the first push of this site, and the site does not know it.
        lost = Some(ChangelogGap { after: Cursor(0), before: txn.last_cursor()?.next() });
    }
    // What was refused before a set-up that only this push shows concerns the database that was replaced.
    let goes_on = |known: &&SiteDatabases| !chain.after.is_empty() || known.is_expected(chain);
    let refused_at = known.as_ref().filter(goes_on).and_then(|known| known.refused_at);
    let number = known.as_ref().map_or(0, |known| known.number).max(chain.number).saturating_add(1);
    let firsts = known.as_ref().map_or_else(Vec::new, |known| known.firsts.clone());
    let mut taken = known.map_or_else(Vec::new, |known| known.taken);
    taken.push(chain.id.clone());
    let surplus = taken.len().saturating_sub(REMEMBERED);
    taken.drain(..surplus);
    let (at, is_pending) = (txn.last_cursor()?, true);
    let mut now_known = SiteDatabases {
        taken,
        number,
        taken_at: now,
        site_restored,
        central_restored,
        refused_at,
        at,
        is_pending,
        firsts,
        forgot_at,
        lost,
        replaced: None,
    };
    now_known.note_first(chain);
    store(txn, site, &now_known)?;
    Ok(PushVerdict::Taken(Some(now_known.told())))
}

/// Decides whether the database that pulls continues as the site.
pub(super) fn judge_pull(txn: &dyn ReadTxn, site: SiteId, chain: &PushChain, now: Timestamp) -> Result<PullVerdict> {
    let is_named = !chain.after.is_empty() || !chain.first.is_empty();
    let Some(mut known) = of_site(txn, site)?.filter(|_| is_named && !planted!(CopiesNotTold)) else {
        return Ok(PullVerdict::Continues);
    };
    if known.is_replaced(chain) {
        if known.replaced.as_ref().is_some_and(|replaced| may_still_arrive(replaced.at, now)) {
            return Ok(PullVerdict::Undecided);
        }
        known = known.reinstated(chain);
    }
    let central_restored = changelog_gaps(txn)?.iter().map(|lost| lost.before).max().unwrap_or(Cursor(0));
    let goes_on = known.is_expected(chain)
        || known.taken.last() == Some(&chain.after)
        || known.taken.contains(&chain.id)
        || (central_restored > known.central_restored || known.went_back(chain)) && !known.is_former(chain);
    Ok(match goes_on {
        true => PullVerdict::Continues,
        false => PullVerdict::Refused { goes_on_since: known.taken_at },
    })
}

/// Records that a database was set up, which its pulls show before its first push: from now on requests of the databases
/// before it are refused, because it would not receive what they push.
pub(super) fn note_set_up(
    storage: &dyn Storage,
    site: SiteId,
    chain: &PushChain,
    stage: PullStage,
    now: Timestamp,
) -> Result<()> {
    let was_set_up = chain.after.is_empty() && !chain.first.is_empty() && fits(chain);
    let is_news = |known: &Option<SiteDatabases>| match known {
        Some(known) if known.firsts.contains(&chain.first) => {
            // A second request shows that the first one was no late one.
            known.replaced.is_some() && known.firsts.last() == Some(&chain.first) && stage != PullStage::Begins
        }
        _ => true,
    };
    if !was_set_up || planted!(CopiesNotTold) || !is_news(&of_site(storage.read()?.as_ref(), site)?) {
        return Ok(());
    }
    let txn = storage.write()?;
    let known = of_site(txn.as_ref(), site)?;
    if !is_news(&known) {
        return Ok(());
    }
    let known = match known {
        Some(known) if known.firsts.contains(&chain.first) => SiteDatabases { replaced: None, ..known },
        known => replace(txn.as_ref(), known, chain, stage, now)?,
    };
    store(txn.as_ref(), site, &known)?;
    txn.commit()
}

/// What is known once the database of a pull has replaced the one before it.
fn replace(
    txn: &dyn WriteTxn,
    known: Option<SiteDatabases>,
    chain: &PushChain,
    stage: PullStage,
    now: Timestamp,
) -> Result<SiteDatabases> {
    let had_others = known.is_some();
    let mut known = known.unwrap_or_else(|| SiteDatabases::none(now));
    let taken = std::mem::take(&mut known.taken);
    if stage == PullStage::Begins && !taken.is_empty() {
        known.replaced = Some(ReplacedDatabase { taken, at: now });
    }
    if stage == PullStage::Initialised && had_others {
        // This server forgot it, and may have accepted pushes of another one meanwhile: it reads everything again.
        known.lost = Some(ChangelogGap { after: Cursor(0), before: txn.last_cursor()?.next() });
    }
    known.taken_at = now;
    // What a site is told of copies concerns the database that was replaced.
    known.refused_at = None;
    known.note_first(chain);
    Ok(known)
}

/// Records a loss that a pulling site shows, once.
pub(super) fn note_went_back(storage: &dyn Storage, site: SiteId, chain: &PushChain, now: Timestamp) -> Result<()> {
    let shows = |known: &SiteDatabases| fits(chain) && known.went_back(chain) && !planted!(CopiesNotTold);
    if !of_site(storage.read()?.as_ref(), site)?.as_ref().is_some_and(shows) {
        return Ok(());
    }
    let txn = storage.write()?;
    let Some(known) = of_site(txn.as_ref(), site)?.filter(shows) else { return Ok(()) };
    let central_restored = changelog_gaps(txn.as_ref())?.iter().map(|lost| lost.before).max().unwrap_or(Cursor(0));
    // A loss that this server knows itself is told to every site.
    let is_told = central_restored > known.central_restored;
    let lost = if is_told { known.lost } else { Some(known.lost_since(txn.as_ref())?) };
    // Only the number of the pushes between is known: the next push follows one of them.
    let taken = if chain.after.is_empty() { known.taken.clone() } else { vec![chain.after.clone()] };
    let (number, forgot_at) = (chain.number, Some(now));
    let mut known = SiteDatabases { taken, number, central_restored, lost, forgot_at, ..known };
    known.note_first(chain);
    store(txn.as_ref(), site, &known)?;
    txn.commit()
}

/// The loss that a site is told.
pub(super) fn lost_history(txn: &dyn ReadTxn, site: SiteId) -> Result<Vec<ChangelogGap>> {
    let mut told = newest_gaps(txn)?;
    told.extend(of_site(txn, site)?.and_then(|known| known.lost));
    Ok(told)
}

/// Records that a site's push is integrated.
pub(super) fn note_integrated(storage: &dyn Storage, site: SiteId) -> Result<()> {
    if !of_site(storage.read()?.as_ref(), site)?.is_some_and(|known| known.is_pending) {
        return Ok(());
    }
    let txn = storage.write()?;
    if let Some(known) = of_site(txn.as_ref(), site)?.filter(|known| known.is_pending)
        && !txn.central()?.integration_waits(site)?
    {
        store(txn.as_ref(), site, &SiteDatabases { at: txn.last_cursor()?, is_pending: false, ..known })?;
        return txn.commit();
    }
    Ok(())
}

/// Records that a copy was refused.
pub(super) fn note_refused(txn: &dyn WriteTxn, site: SiteId, now: Timestamp) -> Result<()> {
    match of_site(txn, site)? {
        Some(known) => store(txn, site, &known.noting_refused(now)),
        None => Ok(()),
    }
}

fn store(txn: &dyn WriteTxn, site: SiteId, copies: &SiteDatabases) -> Result<()> {
    COPIES.of(site).set(txn, StoredJson(copies.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::MemoryStorage;

    const SITE: SiteId = SiteId(2);

    struct Judge(MemoryStorage);

    impl Judge {
        fn push(&self, after: &str, id: &str, lost: &[ChangelogGap], at: i64) -> PushVerdict {
            self.numbered((after, 0), id, lost, at)
        }

        fn numbered(&self, (after, number): (&str, u64), id: &str, lost: &[ChangelogGap], at: i64) -> PushVerdict {
            let chain = PushChain {
                after: after.to_owned(),
                id: id.to_owned(),
                number,
                loss_handled: Cursor(0),
                first: String::new(),
            };
            let txn = self.0.write().unwrap();
            let verdict = judge(txn.as_ref(), SITE, Some(&chain), lost, Timestamp::from_unix_millis(at)).unwrap();
            txn.commit().unwrap();
            verdict
        }
    }

    fn taken(verdict: &PushVerdict) -> bool {
        matches!(verdict, PushVerdict::Taken(_))
    }

    /// What a pull names is stored, and read with each later request of the site.
    #[test]
    fn ids_longer_than_any_site_makes_are_not_kept() {
        let judge = Judge(MemoryStorage::new());
        assert!(taken(&judge.push("", "1", &[], 1)));
        let known = of_site(judge.0.read().unwrap().as_ref(), SITE).unwrap();
        let (after, loss_handled) = ("x".repeat(1_000_000), Cursor(0));
        let chain = PushChain { after, id: "2".to_owned(), number: 9, loss_handled, first: String::new() };
        note_went_back(&judge.0, SITE, &chain, Timestamp::from_unix_millis(2)).unwrap();
        assert_eq!(of_site(judge.0.read().unwrap().as_ref(), SITE).unwrap(), known);
        assert!(taken(&judge.push("1", "2", &[], 3)), "its next push is taken");
    }

    #[test]
    fn of_two_copies_the_one_that_was_taken_last_goes_on() {
        let judge = Judge(MemoryStorage::new());
        for (after, id) in [("", "a"), ("a", "b"), ("a", "b"), ("b", "c"), ("a", "b")] {
            assert!(taken(&judge.push(after, id, &[], 1)), "{after} {id}");
        }
        // A copy that was made when "a" was the last one.
        let refused = judge.push("a", "other b", &[], 2);
        assert_eq!(refused, PushVerdict::Refused { goes_on_since: Timestamp::from_unix_millis(1) });
        let told = judge.push("c", "d", &[], 3);
        assert_eq!(
            told,
            PushVerdict::Taken(Some(CopyReport { refused_at: Some(Timestamp::from_unix_millis(2)), number: 4 }))
        );
        // A person decides for it by setting it up again: from then on the other one is refused.
        assert!(taken(&judge.push("", "new", &[], 4)));
        assert!(!taken(&judge.push("d", "e", &[], 5)));
        assert!(taken(&judge.push("new", "newer", &[], 6)));
    }

    #[test]
    fn a_backup_that_was_put_back_goes_on_once() {
        let judge = Judge(MemoryStorage::new());
        for (after, id) in [("", "a"), ("a", "b"), ("b", "c")] {
            assert!(taken(&judge.push(after, id, &[], 1)));
        }
        let lost = [ChangelogGap { after: Cursor(10), before: Cursor(20) }];
        assert!(taken(&judge.push("a", "after the restore", &lost, 2)));
        assert!(!taken(&judge.push("c", "d", &[], 3)), "what it was made of runs on");
        assert!(!taken(&judge.push("a", "a second copy of the backup", &lost, 4)));
        assert!(taken(&judge.push("after the restore", "on", &lost, 5)));
    }

    #[test]
    fn central_that_was_put_back_itself_knows_less() {
        let judge = Judge(MemoryStorage::new());
        assert!(taken(&judge.push("", "a", &[], 1)));
        let txn = judge.0.write().unwrap();
        state::LOST.set(txn.as_ref(), vec![ChangelogGap { after: Cursor(5), before: Cursor(9) }]).unwrap();
        txn.commit().unwrap();
        assert!(taken(&judge.push("z", "on", &[], 2)), "the pushes in between are not known");
        assert!(!taken(&judge.push("a", "b", &[], 3)));
    }

    #[test]
    fn a_late_copy_of_a_push_that_central_lost_is_no_other_database() {
        const MINUTES: i64 = 60_000;
        let judge = Judge(MemoryStorage::new());
        for (after, id) in [("", "of an older database"), ("", "a"), ("a", "b")] {
            assert!(taken(&judge.push(after, id, &[], 0)));
        }
        // Restored to before "a"; the database goes on with a push that names its first one.
        let judge = Judge(MemoryStorage::new());
        assert!(taken(&judge.push("", "of an older database", &[], 0)));
        let goes_on = |judge: &Judge, after: &str, number, id: &str, at| {
            let first = "a".to_owned();
            let chain =
                PushChain { after: after.to_owned(), id: id.to_owned(), number, loss_handled: Cursor(0), first };
            let txn = judge.0.write().unwrap();
            let verdict = super::judge(txn.as_ref(), SITE, Some(&chain), &[], Timestamp::from_unix_millis(at)).unwrap();
            txn.commit().unwrap();
            verdict
        };
        let refused_at = |verdict: &PushVerdict| match verdict {
            PushVerdict::Taken(Some(told)) => told.refused_at,
            other => panic!("{other:?}"),
        };
        assert!(taken(&goes_on(&judge, "b", 3, "c", MINUTES)));
        for (after, late) in [("", "a"), ("a", "b")] {
            assert!(!taken(&judge.push(after, late, &[], 2 * MINUTES)), "{late}");
        }
        let on = goes_on(&judge, "c", 4, "d", 3 * MINUTES);
        assert_eq!(refused_at(&on), None, "a late request shows no copy");
        // Much later nothing is late any more, so it is a copy of the database.
        assert!(!taken(&judge.push("", "a", &[], 60 * MINUTES)));
        assert!(refused_at(&goes_on(&judge, "d", 5, "e", 61 * MINUTES)).is_some());
        // A new database begins with a push of its own, which no other push has named.
        assert!(taken(&judge.push("", "anew", &[], 62 * MINUTES)));

        // A pull shows it too.
        let judge = Judge(MemoryStorage::new());
        assert!(taken(&judge.push("", "of an older database", &[], 0)));
        let (after, id, first) = ("b".to_owned(), String::new(), "a".to_owned());
        let pulls = PushChain { after, id, number: 3, loss_handled: Cursor(0), first };
        note_went_back(&judge.0, SITE, &pulls, Timestamp::from_unix_millis(MINUTES)).unwrap();
        assert!(!taken(&judge.push("", "a", &[], 2 * MINUTES)));
        assert_eq!(refused_at(&goes_on(&judge, "b", 3, "c", 3 * MINUTES)), None);
    }

    #[test]
    fn a_database_that_was_set_up_replaces_the_former_one_with_its_first_pull() {
        let chain = |first: &str, after: &str, number, id: &str| PushChain {
            after: after.to_owned(),
            id: id.to_owned(),
            number,
            loss_handled: Cursor(0),
            first: first.to_owned(),
        };
        let judge = Judge(MemoryStorage::new());
        let at = Timestamp::from_unix_millis;
        let pulls_in = |stage, first: &str, now| {
            note_set_up(&judge.0, SITE, &chain(first, "", 0, ""), stage, at(now)).unwrap();
        };
        let pulls = |first: &str, now| {
            pulls_in(PullStage::Begins, first, now);
            pulls_in(PullStage::Continues, first, now);
        };
        let pull_verdict =
            |chain: &PushChain, now| judge_pull(judge.0.read().unwrap().as_ref(), SITE, chain, at(now)).unwrap();
        let pushes = |chain: PushChain, now| {
            let txn = judge.0.write().unwrap();
            let verdict = super::judge(txn.as_ref(), SITE, Some(&chain), &[], at(now)).unwrap();
            txn.commit().unwrap();
            verdict
        };
        pulls("former", 0);
        assert!(taken(&pushes(chain("former", "", 0, "a"), 1)));
        assert!(taken(&pushes(chain("former", "a", 1, "b"), 2)));
        let copied_before_its_first_push = pushes(chain("former", "", 0, "other a"), 3);
        assert_eq!(copied_before_its_first_push, PushVerdict::Refused { goes_on_since: at(2) });

        pulls("new", 4);
        pulls("former", 5);
        let elsewhere = pull_verdict(&chain("new", "y", 0, ""), 5);
        assert_eq!(elsewhere, PullVerdict::Continues, "its push went to a server that only looked like central");
        assert_eq!(pull_verdict(&chain("former", "", 0, ""), 5), PullVerdict::Refused { goes_on_since: at(4) });
        for (after, number, id) in [("b", 2, "c"), ("z", 30, "c"), ("", 0, "a")] {
            let verdict = pushes(chain("former", after, number, id), 6);
            assert_eq!(verdict, PushVerdict::Refused { goes_on_since: at(4) }, "{after} {id}");
        }
        let first = pushes(chain("new", "", 0, "d"), 7);
        assert_eq!(first, PushVerdict::Taken(Some(CopyReport { refused_at: Some(at(6)), number: 3 })));
        assert!(taken(&pushes(chain("new", "", 0, "d"), 8)), "it was sent once more");
        assert!(taken(&pushes(chain("new", "d", 3, "e"), 9)));
        assert!(!taken(&pushes(chain("new", "", 0, "other d"), 10)));
        let copied_before_its_first_push = pull_verdict(&chain("new", "", 0, "other d"), 10);
        assert_eq!(copied_before_its_first_push, PullVerdict::Refused { goes_on_since: at(9) });
        assert_eq!(
            pull_verdict(&chain("new", "", 0, "d"), 10),
            PullVerdict::Continues,
            "it had no answer to its first push"
        );

        // After a restore of central the former one does not come before the new one.
        let txn = judge.0.write().unwrap();
        state::LOST.set(txn.as_ref(), vec![ChangelogGap { after: Cursor(5), before: Cursor(9) }]).unwrap();
        txn.commit().unwrap();
        assert!(!taken(&pushes(chain("former", "b", 2, "f"), 11)));
        assert!(taken(&pushes(chain("new", "e", 4, "f"), 12)));

        // A first pull that was held up on its way, of a database that was given up.
        const MINUTES: i64 = 60_000;
        pulls_in(PullStage::Begins, "given up", 13);
        assert_eq!(pushes(chain("new", "f", 5, "g"), 14), PushVerdict::Undecided);
        assert_eq!(pull_verdict(&chain("new", "f", 5, ""), 14), PullVerdict::Undecided);
        assert_eq!(pull_verdict(&chain("new", "f", 5, ""), 16 * MINUTES), PullVerdict::Continues);
        assert!(taken(&pushes(chain("new", "f", 5, "g"), 16 * MINUTES)));
        assert!(taken(&pushes(chain("new", "g", 6, "h"), 17 * MINUTES)));
        assert!(!taken(&pushes(chain("given up", "", 0, "late"), 18 * MINUTES)));

        // Central forgot a database that has read everything long ago.
        pulls_in(PullStage::Initialised, "forgotten", 19 * MINUTES);
        assert!(!taken(&pushes(chain("new", "h", 7, "i"), 20 * MINUTES)));
        let told = lost_history(judge.0.read().unwrap().as_ref(), SITE).unwrap();
        assert_eq!(told.last().map(|gap| gap.after), Some(Cursor(0)), "it reads everything again");
    }

    #[test]
    fn a_central_server_that_was_put_back_from_a_snapshot_refuses_no_site() {
        let judge = Judge(MemoryStorage::new());
        for (n, (after, id)) in [("", "a"), ("a", "b"), ("b", "c")].into_iter().enumerate() {
            assert!(taken(&judge.numbered((after, n as u64), id, &[], 1)));
        }
        // Five pushes of the site were accepted, of which this server knows three.
        let pulls = |after: &str, number| {
            let chain = PushChain {
                after: after.to_owned(),
                id: String::new(),
                number,
                loss_handled: Cursor(0),
                first: String::new(),
            };
            let verdict = judge_pull(judge.0.read().unwrap().as_ref(), SITE, &chain, Timestamp::from_unix_millis(2));
            verdict.unwrap() == PullVerdict::Continues
        };
        assert!(pulls("e", 5) && !pulls("e", 3));
        let on = judge.numbered(("e", 5), "f", &[], 2);
        assert_eq!(on, PushVerdict::Taken(Some(CopyReport { refused_at: None, number: 6 })));
        // Copies are told apart as before: one that was made in between, and one that is set up again.
        assert!(!taken(&judge.numbered(("e", 5), "other f", &[], 3)) && !pulls("d", 4));
        assert!(taken(&judge.numbered(("", 0), "new", &[], 4)));
        assert!(!taken(&judge.numbered(("f", 6), "g", &[], 5)));
    }

    #[test]
    fn a_loss_that_the_site_has_handled_explains_a_number_that_nobody_knows_here() {
        for (handled, is_told_more) in [(0, true), (8, true), (9, false)] {
            let storage = MemoryStorage::new();
            let txn = storage.write().unwrap();
            let known = vec![ChangelogGap { after: Cursor(5), before: Cursor(9) }];
            state::LOST.set(txn.as_ref(), known.clone()).unwrap();
            let (after, id) = ("c".to_owned(), "d".to_owned());
            let chain = PushChain { after, id, number: 3, loss_handled: Cursor(handled), first: String::new() };
            let verdict = judge(txn.as_ref(), SITE, Some(&chain), &[], Timestamp::from_unix_millis(1)).unwrap();
            assert!(taken(&verdict));
            assert_eq!(lost_history(txn.as_ref(), SITE).unwrap() != known, is_told_more, "{handled}");
        }
    }

    #[test]
    fn who_tells_nothing_is_asked_nothing() {
        let storage = MemoryStorage::new();
        let txn = storage.write().unwrap();
        for chain in [
            None,
            Some(PushChain {
                after: String::new(),
                id: "x".repeat(65),
                number: 0,
                loss_handled: Cursor(0),
                first: String::new(),
            }),
        ] {
            let verdict = judge(txn.as_ref(), SITE, chain.as_ref(), &[], Timestamp::from_unix_millis(1)).unwrap();
            assert_eq!(verdict, PushVerdict::Taken(None));
        }
        assert_eq!(of_site(txn.as_ref(), SITE).unwrap(), None);
    }
}
