//! Decides which of two running copies of one site's database continues.
//!
//! Central does not send a site its own records, so two copies that both push would silently drift apart. Each push
//! names the push before it ([`PushChain`]). If that one already has another successor, the push comes from another
//! copy and is refused. The copy whose push was accepted last continues.

pub(crate) mod refused;

use serde::{Deserialize, Serialize};

use super::replay_window::may_still_arrive;
use crate::changelog::ChangelogGap;
use crate::clock::Timestamp;
use crate::error::Result;
use crate::protocol::v6::{CopyReport, PushChain};
use crate::record::{Cursor, SiteId};
use crate::storage::state::{SiteSetting, StoredJson};
use crate::storage::{ReadTxn, Selection, Storage, WriteTxn, changelog_gaps, newest_gaps, state};
use crate::write;

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
    /// The same for central's alarm. A new set-up ends what the site is told, not this: the copy that was refused may still hold edits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    alarm_at: Option<Timestamp>,
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
    /// True from when the site may come from another machine until a push was accepted: any copy may continue.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    is_open_to_all: bool,
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
            alarm_at: None,
            at: Cursor(0),
            is_pending: false,
            firsts: Vec::new(),
            forgot_at: None,
            lost: None,
            replaced: None,
            is_open_to_all: false,
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

    /// What is known once it is clear which database this request is of.
    ///
    /// # Errors
    /// When another database was set up, whose only pull so far may still turn out to be a late one.
    fn settled(self, chain: &PushChain, now: Timestamp) -> std::result::Result<Self, Timestamp> {
        match self.replaced.as_ref().map(|replaced| replaced.at) {
            Some(set_up_at) if self.is_replaced(chain) => match may_still_arrive(set_up_at, now) {
                true => Err(set_up_at),
                false => Ok(self.reinstated(chain)),
            },
            _ => Ok(self),
        }
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
    fn lost_since(&self, txn: &dyn WriteTxn) -> Result<ChangelogGap> {
        let newest = txn.last_cursor()?;
        Ok(ChangelogGap { after: self.at.min(newest), before: use_position(txn)? })
    }

    /// True for the database that was set up last, if central has not accepted a push of it yet.
    fn is_expected(&self, chain: &PushChain) -> bool {
        self.taken.is_empty() && self.firsts.last() == Some(&chain.first)
    }

    /// True for the database whose push was accepted last, and for one that was set up since.
    fn is_newest(&self, chain: &PushChain) -> bool {
        self.is_expected(chain) || self.taken.contains(&chain.id) || self.taken.last() == Some(&chain.after)
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
        match may_be_late {
            true => self,
            false => Self { refused_at: Some(now), alarm_at: Some(now), ..self },
        }
    }

    /// When another copy was last refused, whatever was set up since.
    fn alarmed_at(&self) -> Option<Timestamp> {
        self.alarm_at.max(self.refused_at)
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
    /// Another database was set up at this time, or a request of one that was given up came late: that shows soon.
    Undecided { set_up_at: Timestamp },
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
    Undecided {
        set_up_at: Timestamp,
    },
}

const COPIES: SiteSetting<Option<StoredJson<SiteDatabases>>> = state::copies_of_site();

/// What is known of a site's copies; nothing for a site without a chain, such as Open mSupply.
pub(crate) fn of_site(txn: &dyn ReadTxn, site: SiteId) -> Result<Option<SiteDatabases>> {
    Ok(COPIES.of(site).get(txn)?.map(|StoredJson(copies)| copies))
}

/// Lets the next copy that pushes continue. The pushes so far stay known: if the same database continues, on this machine or on
/// another one, nothing is lost.
pub(super) fn open_to_all(txn: &dyn WriteTxn, site: SiteId) -> Result<()> {
    match of_site(txn, site)? {
        Some(known) => {
            let open =
                SiteDatabases { is_open_to_all: true, replaced: None, refused_at: None, alarm_at: None, ..known };
            store(txn, site, &open)
        }
        None => Ok(()),
    }
}

/// Uses the next position of the changelog for a loss that is told to one site, and returns it. A site handles only losses that
/// end behind those it knows: without this, the next restore of this server could end at the same position.
fn use_position(txn: &dyn WriteTxn) -> Result<Cursor> {
    let newest = txn.last_cursor()?;
    if let Some((row, data)) = txn.changed_records(&Selection::All, newest, 1, usize::MAX)?.pop() {
        write::relog_row(txn, &row.change, data, true)?;
    }
    Ok(newest.next())
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
    let known = match of_site(txn, site)?.map(|known| known.settled(chain, now)).transpose() {
        Err(set_up_at) => return Ok(PushVerdict::Undecided { set_up_at }),
        Ok(known) => known,
    };
    // Another copy than the newest misses what that one sent: it reads everything again, as after a restore of this server.
    let known = known.filter(|known| !known.is_open_to_all || known.is_newest(chain));
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
        // Nor does one of a site: a copy without its watermark counts as restored.
        let is_restored = site_restored > known.site_restored && !is_former || central_was_restored;
        if went_back && !is_restored {
            lost = Some(known.lost_since(txn)?);
        }
        if !follows && !is_restored && !went_back {
            let goes_on_since = known.taken_at;
            refuse(txn, site, known.clone(), now)?;
            return Ok(PushVerdict::Refused { goes_on_since });
        }
        if central_was_restored || went_back {
            forgot_at = Some(now);
        }
    } else if chain.number > 0 && (central_restored == Cursor(0) || chain.loss_handled < central_restored) {
        // Restored to before the first push of this site, and the site does not know it.
        lost = Some(ChangelogGap { after: Cursor(0), before: use_position(txn)? });
    }
    // What was refused before a set-up that only this push shows concerns the database that was replaced.
    let goes_on = |known: &&SiteDatabases| !chain.after.is_empty() || known.is_expected(chain);
    let refused_at = known.as_ref().filter(goes_on).and_then(|known| known.refused_at);
    let alarm_at = known.as_ref().and_then(SiteDatabases::alarmed_at);
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
        alarm_at,
        at,
        is_pending,
        firsts,
        forgot_at,
        lost,
        replaced: None,
        is_open_to_all: false,
    };
    now_known.note_first(chain);
    store(txn, site, &now_known)?;
    Ok(PushVerdict::Taken(Some(now_known.told())))
}

/// Decides whether the database that pulls continues as the site.
pub(super) fn judge_pull(txn: &dyn ReadTxn, site: SiteId, chain: &PushChain, now: Timestamp) -> Result<PullVerdict> {
    let is_named = !chain.after.is_empty() || !chain.first.is_empty();
    let Some(known) = of_site(txn, site)?.filter(|_| is_named && !planted!(CopiesNotTold)) else {
        return Ok(PullVerdict::Continues);
    };
    let known = match known.settled(chain, now) {
        Err(set_up_at) => return Ok(PullVerdict::Undecided { set_up_at }),
        Ok(known) => known,
    };
    let central_restored = changelog_gaps(txn)?.iter().map(|lost| lost.before).max().unwrap_or(Cursor(0));
    let goes_on = known.is_open_to_all
        || known.is_newest(chain)
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
    let known = known.filter(|known| !known.is_open_to_all);
    let had_others = known.is_some();
    let mut known = known.unwrap_or_else(|| SiteDatabases::none(now));
    let taken = std::mem::take(&mut known.taken);
    if stage == PullStage::Begins && !taken.is_empty() {
        known.replaced = Some(ReplacedDatabase { taken, at: now });
    }
    if stage == PullStage::Initialised && had_others {
        // This server forgot it, and may have accepted pushes of another one meanwhile: it reads everything again.
        known.lost = Some(ChangelogGap { after: Cursor(0), before: use_position(txn)? });
    }
    known.taken_at = now;
    // What a site is told of copies concerns the database that was replaced.
    known.alarm_at = known.alarmed_at();
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
        Some(known) => refuse(txn, site, known, now),
        None => Ok(()),
    }
}

fn refuse(txn: &dyn WriteTxn, site: SiteId, known: SiteDatabases, now: Timestamp) -> Result<()> {
    let before = known.refused_at;
    let known = known.noting_refused(now);
    refused::log_first(txn, site, (before, known.refused_at))?;
    store(txn, site, &known)
}

fn store(txn: &dyn WriteTxn, site: SiteId, copies: &SiteDatabases) -> Result<()> {
    COPIES.of(site).set(txn, StoredJson(copies.clone()))
}

#[cfg(test)]
mod tests;
