//! What a site does after a restore of its own database, or of central's: three small state machines, with diagrams in
//! `docs/recovery.md`.
//!
//! A restored site ([`OwnRestore`]) reads its lost records, its own included, before it sends anything. When central
//! was restored ([`CentralRestore`]), the site reads everything again, and sends again the records of this site that
//! central lost. Whether a missing newest row alone ([`NewestRow`]) was deleted, or lost by a
//! restore, is seen later. Transitions are pure
//! functions; `storage/state/recovery.rs` stores the states, and `outdated.rs` decides about single records.

use url::Url;

use super::outdated::{own_site, requeue_next, set_aside_of_moved_stores};
use super::position::{Position, read_from_the_beginning};
use crate::changelog::ChangelogGap;
use crate::error::{Result, Server};
use crate::protocol::v6::{BatchElement, ReadBatch, Unreadable};
use crate::record::Cursor;
use crate::site::Site;
use crate::site::cycle::Cycle;
use crate::site::observer::{Pace, Step, SyncEvent};
use crate::storage::state::{CentralRestore, NewestRow, OwnRestore, Rereading, ResendRange, RestorePoint};
use crate::storage::{ReadTxn, WriteTxn, state};
use crate::text::Message;
use crate::text::sentences::cycle as says;
use crate::text::sentences::input;

impl OwnRestore {
    /// The end of central's changelog is known as `seen`: reading begins, or continues after an interruption.
    fn begun(self, seen: Cursor) -> Self {
        match self {
            Self::Restored { lost } => Self::Recovering { lost, since: RestorePoint { seen, made_since: lost.before } },
            begun => begun,
        }
    }

    /// Everything was read.
    fn ended(self) -> Self {
        match self {
            Self::Restored { lost } | Self::Recovering { lost, .. } => Self::Recovered { up_to: lost.before },
            recovered @ Self::Recovered { .. } => recovered,
        }
    }

    /// All restores count as unhandled, however old they are.
    const ANEW: Self = Self::Recovered { up_to: Cursor(0) };

    /// Lost records that are not read yet.
    pub(super) fn unread(self) -> Option<ChangelogGap> {
        match self {
            Self::Recovered { .. } => None,
            Self::Restored { lost } | Self::Recovering { lost, .. } => Some(lost),
        }
    }
}

impl CentralRestore {
    /// Central's changelog went back, or went back further: it kept the part up to `after`, and was seen up to `seen`
    /// before. It may have lost the own edits in `lost`.
    fn went_back(self, after: Cursor, seen: Cursor, lost: ResendRange) -> Self {
        let (seen, before) = match self {
            Self::Settled => (seen, None),
            // The end seen since belongs to the new reading.
            Self::Rereading { reading, resend } => (reading.seen, resend),
            Self::Resending { resend } => (seen, Some(resend)),
        };
        let resend = before.map_or(lost, |before| ResendRange {
            from: lost.from.min(before.from),
            below: lost.below.max(before.below),
        });
        Self::Rereading { reading: Rereading { after, seen }, resend: Some(resend) }
    }

    /// Everything was read again.
    fn was_reread(self) -> Self {
        match self {
            Self::Rereading { resend: Some(resend), .. } => Self::Resending { resend },
            Self::Rereading { resend: None, .. } => Self::Settled,
            other => other,
        }
    }

    /// The edits below `next`, or all of them, were logged again.
    pub(super) fn resent(self, next: Option<Cursor>) -> Self {
        match (self, next) {
            (Self::Resending { resend }, Some(from)) => Self::Resending { resend: ResendRange { from, ..resend } },
            (Self::Resending { .. }, None) => Self::Settled,
            (other, _) => other,
        }
    }

    fn is_rereading(self) -> bool {
        matches!(self, Self::Rereading { .. })
    }
}

impl NewestRow {
    /// Central's changelog is known to reach this position.
    pub(super) fn seen_to(self, end: Cursor) -> Self {
        match self {
            Self::Gone(gone) if end > gone => Self::There,
            other => other,
        }
    }

    /// The loss of central that a batch shows by using the number of the row again.
    pub(super) fn loss_shown_by(self, batch: &ReadBatch) -> Option<ChangelogGap> {
        let Self::Gone(gone) = self else { return None };
        let is_it = |element: &std::result::Result<BatchElement, Unreadable>| match element {
            Ok(element) => element.cursor == gone,
            Err(bad) => bad.cursor == Some(gone),
        };
        let ends_there = batch.records.is_empty() && batch.is_last_batch && batch.end_cursor == gone;
        let is_given_again = ends_there || batch.records.iter().any(is_it);
        is_given_again.then(|| ChangelogGap { after: Cursor(gone.0.saturating_sub(1)), before: gone.next() })
    }
}

/// The losses reported by central beyond those that are known, as one gap.
fn loss_beyond(known: Cursor, reported: &[ChangelogGap]) -> Option<ChangelogGap> {
    let is_unknown =
        |part: &&ChangelogGap| part.before > known && part.before.is_possible() && part.after < part.before;
    let unknown = || reported.iter().filter(is_unknown);
    let (after, before) = (unknown().map(|part| part.after).min()?, unknown().map(|part| part.before).max()?);
    Some(ChangelogGap { after, before })
}

impl Cycle<'_, '_> {
    /// True if a restored site still has to read the legacy server's records.
    pub(crate) fn must_recover_at_legacy(&self) -> Result<bool> {
        Ok(OwnRestore::load(self.site.storage.read()?.as_ref(), Server::Legacy)?.unread().is_some())
    }

    /// True if this database was restored from a backup and has not read its lost records yet.
    pub(crate) fn must_recover(&self) -> Result<bool> {
        let restore = OwnRestore::load(self.site.storage.read()?.as_ref(), Server::Central)?;
        Ok(restore.unread().is_some() && !planted!(SiteRestoreIgnored))
    }

    /// Reads everything since the backup, including this site's own records; only then may edits from the backup be
    /// sent.
    pub(crate) fn recover(&mut self, central: &Url) -> Result<()> {
        if pending_recovery(self.site.storage.read()?.as_ref())? == Some(PendingRecovery::OfRestore) {
            self.warn(says::restored())?;
        }
        // A push may have been cut off after the backup was made. An empty last batch ends it at central.
        self.begin_sending(Cursor(0))?;
        if !self.confirm_before_pull(central)? {
            return Ok(());
        }
        let txn = self.site.storage.write()?;
        let restore = OwnRestore::load(txn.as_ref(), Server::Central)?;
        if restore.unread().is_none() {
            return Ok(());
        }
        let reading = restore.begun(Position::in_central(txn.as_ref())?.end);
        reading.store(txn.as_ref(), Server::Central)?;
        txn.commit()?;
        self.recovering = true;
        let outcome = self.pull_v6(central);
        self.recovering = false;
        outcome?;
        if self.ended_early() {
            // The next cycle continues reading.
            return Ok(());
        }
        let txn = self.site.storage.write()?;
        reading.ended().store(txn.as_ref(), Server::Central)?;
        txn.commit()
    }

    /// Handles losses reported by central, once. Returns whether everything has to be read again. `sent_since` is the
    /// start of the pushes to the restored central server, if known.
    pub(crate) fn handle_reported_loss(&mut self, lost: &[ChangelogGap], sent_since: Option<Cursor>) -> Result<bool> {
        match self.unknown_loss(lost)? {
            Some(lost) => self.central_went_back(lost, true, sent_since).map(|()| true),
            None => Ok(false),
        }
    }

    /// The losses reported by central that are not handled yet.
    pub(crate) fn unknown_loss(&self, lost: &[ChangelogGap]) -> Result<Option<ChangelogGap>> {
        Ok(loss_beyond(state::CENTRAL_LOST_KNOWN.get(self.site.storage.read()?.as_ref())?, lost))
    }

    /// Handles a central changelog that went back. Everything is read again, which is safe, because known records
    /// change nothing. The records of this site that central lost go out again with the next push.
    pub(crate) fn central_went_back(
        &mut self,
        lost: ChangelogGap,
        is_reported: bool,
        sent_since: Option<Cursor>,
    ) -> Result<()> {
        let txn = self.site.storage.write()?;
        if is_reported {
            state::CENTRAL_LOST_KNOWN.set(txn.as_ref(), lost.before)?;
            state::LOSS_HANDLED_SINCE_PUSH.set(txn.as_ref(), lost.before)?;
        }
        let pushed = state::PUSH_CURSOR_V6.get(txn.as_ref())?;
        let position = Position::in_central(txn.as_ref())?;
        let any_contact = position.next > Cursor(0) || pushed > Cursor(0);
        let mut checkpoints = state::PUSH_MARKS.get(txn.as_ref())?;
        let from = checkpoints.rewind_to(lost.after);
        state::PUSH_MARKS.set(txn.as_ref(), checkpoints)?;
        let below = sent_since.unwrap_or(pushed);
        let from = if planted!(CentralRestoreIgnored) { below } else { from };
        let restore = CentralRestore::load(txn.as_ref())?;
        restore.went_back(lost.after, position.end, ResendRange { from, below }).store(txn.as_ref())?;
        // Records seen at central may be lost since.
        txn.forget_pushed(own_site(txn.as_ref())?)?;
        read_from_the_beginning(txn.as_ref())?;
        state::NEWEST_GONE.set(txn.as_ref(), NewestRow::There)?;
        // It counts the records that it refuses anew from there.
        state::REFUSED_UP_TO.set(txn.as_ref(), None)?;
        // Its folder of files may have gone back too.
        state::FILES_ASK_AGAIN.set(txn.as_ref(), true)?;
        if self.identity.central_is_legacy() {
            // One server is both: its lost stores and names are read again too.
            state::PULL_CURSOR_CENTRAL.set(txn.as_ref(), Cursor(0))?;
        }
        txn.commit()?;
        if any_contact {
            self.warn(says::central_went_back(lost.after.0))?;
        }
        self.client.tell(&SyncEvent::Progress { step: Step::PullV6, done: 0, total: 0, pace: Pace::default() })
    }

    /// Everything was read again: edits that exist only here go out again.
    pub(crate) fn end_reread(&mut self) -> Result<()> {
        {
            let txn = self.site.storage.read()?;
            if !state::PULL_OWN.get(txn.as_ref())? && !CentralRestore::load(txn.as_ref())?.is_rereading() {
                return Ok(());
            }
        }
        let txn = self.site.storage.write()?;
        state::PULL_OWN.set(txn.as_ref(), false)?;
        CentralRestore::load(txn.as_ref())?.was_reread().store(txn.as_ref())?;
        txn.commit()?;
        self.finish_resending()
    }

    /// Logs the edits that central lost again, as edits that are not pushed. Continues after an interruption.
    pub(crate) fn finish_resending(&mut self) -> Result<()> {
        while requeue_next(self.site)? {
            self.client.tell(&SyncEvent::Progress { step: Step::PullV6, done: 0, total: 0, pace: Pace::default() })?;
        }
        Ok(())
    }
}

/// A store came to this site. Edits from a backup may have waited while it was away: they yield before anything is
/// pushed.
pub(crate) fn recover_anew(txn: &dyn WriteTxn) -> Result<()> {
    OwnRestore::ANEW.store(txn, Server::Central)
}

/// Why the losses of a restore have to be read before anything is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PendingRecovery {
    /// This database was restored, and its losses were never read to the end.
    OfRestore,
    /// They were, and are read once more, because a store came.
    OnceMore,
}

/// The recovery that is not at its end; `None` if there is none.
pub(crate) fn pending_recovery(txn: &dyn ReadTxn) -> Result<Option<PendingRecovery>> {
    let once = state::RECOVERED_ONCE.get(txn)?;
    Ok(OwnRestore::load(txn, Server::Central)?.unread().map(|lost| match lost.before > once {
        true => PendingRecovery::OfRestore,
        false => PendingRecovery::OnceMore,
    }))
}

/// The reason why everything has to be read first, after a restore here or at central.
pub(crate) fn must_read_first(txn: &dyn ReadTxn) -> Result<Option<Message>> {
    Ok(match pending_recovery(txn)? {
        Some(PendingRecovery::OfRestore) => Some(input::restored_sync_first()),
        Some(PendingRecovery::OnceMore) => Some(input::rereading_sync_first()),
        None if CentralRestore::load(txn)?.is_rereading() || state::PULL_OWN.get(txn)? => {
            Some(input::rereading_sync_first())
        }
        None => None,
    })
}

/// The legacy server's queue was read to its end.
pub(crate) fn legacy_is_recovered(site: &Site) -> Result<()> {
    let restore = OwnRestore::load(site.storage.read()?.as_ref(), Server::Legacy)?;
    let Some(lost) = restore.unread() else { return Ok(()) };
    let txn = site.storage.write()?;
    set_aside_of_moved_stores(site, txn.as_ref(), lost)?;
    restore.ended().store(txn.as_ref(), Server::Legacy)?;
    txn.commit()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOST: ChangelogGap = ChangelogGap { after: Cursor(10), before: Cursor(21) };
    const POINT: RestorePoint = RestorePoint { seen: Cursor(300), made_since: LOST.before };
    const EARLIER: RestorePoint = RestorePoint { seen: Cursor(100), made_since: Cursor(5) };

    fn range(from: u64, below: u64) -> ResendRange {
        ResendRange { from: Cursor(from), below: Cursor(below) }
    }

    fn rereading(after: u64, seen: u64, resend: ResendRange) -> CentralRestore {
        let reading = Rereading { after: Cursor(after), seen: Cursor(seen) };
        CentralRestore::Rereading { reading, resend: Some(resend) }
    }

    #[test]
    fn a_restore_is_unread_until_reading_ended_whatever_came_before() {
        let of = |up_to, begun| OwnRestore::of(&[LOST], Cursor(up_to), begun);
        assert_eq!(OwnRestore::of(&[], Cursor(0), None), OwnRestore::Recovered { up_to: Cursor(0) });
        assert_eq!(of(0, None), OwnRestore::Restored { lost: LOST });
        assert_eq!(of(5, Some(EARLIER)), OwnRestore::Restored { lost: LOST });
        assert_eq!(of(5, Some(POINT)), OwnRestore::Recovering { lost: LOST, since: POINT });
        assert_eq!(of(21, Some(POINT)), OwnRestore::Recovered { up_to: Cursor(21) });
        let unread = |restore: OwnRestore| restore.unread();
        assert_eq!([of(0, None), of(5, Some(POINT)), of(21, None)].map(unread), [Some(LOST), Some(LOST), None]);
    }

    #[test]
    fn reading_begins_once_and_goes_on_where_it_was_cut() {
        let reading = OwnRestore::Recovering { lost: LOST, since: POINT };
        assert_eq!(OwnRestore::Restored { lost: LOST }.begun(Cursor(300)), reading);
        assert_eq!(reading.begun(Cursor(900)), reading, "what was seen since is of the reading");
    }

    #[test]
    fn reading_ends_with_all_that_was_lost() {
        let reading = OwnRestore::Recovering { lost: LOST, since: POINT };
        let recovered = OwnRestore::Recovered { up_to: LOST.before };
        assert_eq!((reading.ended(), recovered.ended()), (recovered, recovered));
        assert_eq!(OwnRestore::Restored { lost: LOST }.ended(), recovered, "at the legacy server it never begins");
    }

    #[test]
    fn a_store_that_came_has_everything_read_anew() {
        let OwnRestore::Recovered { up_to } = OwnRestore::ANEW else { panic!("it is kept as how far it was read") };
        assert_eq!(OwnRestore::of(&[LOST], up_to, Some(POINT)), OwnRestore::Recovering { lost: LOST, since: POINT });
        assert_eq!(OwnRestore::of(&[], up_to, None).unread(), None, "unless nothing was ever lost");
    }

    #[test]
    fn central_that_went_back_is_read_again_from_any_state() {
        let settled = CentralRestore::Settled.went_back(Cursor(50), Cursor(80), range(4, 9));
        assert_eq!(settled, rereading(50, 80, range(4, 9)));
        // It went back further during the reading: the end seen before the first loss counts.
        assert_eq!(settled.went_back(Cursor(30), Cursor(60), range(2, 7)), rereading(30, 80, range(2, 9)));
        let resending = CentralRestore::Resending { resend: range(6, 9) };
        assert_eq!(resending.went_back(Cursor(50), Cursor(90), range(7, 12)), rereading(50, 90, range(6, 12)));
    }

    #[test]
    fn what_was_reread_is_resent() {
        let resending = CentralRestore::Resending { resend: range(4, 9) };
        assert_eq!(rereading(50, 80, range(4, 9)).was_reread(), resending);
        let reading = Rereading { after: Cursor(1), seen: Cursor(2) };
        assert_eq!(CentralRestore::Rereading { reading, resend: None }.was_reread(), CentralRestore::Settled);
        for other in [resending, CentralRestore::Settled] {
            assert_eq!(other.was_reread(), other);
        }
    }

    #[test]
    fn what_is_resent_in_parts_goes_on_after_the_last() {
        let resending = CentralRestore::Resending { resend: range(4, 9) };
        assert_eq!(resending.resent(Some(Cursor(6))), CentralRestore::Resending { resend: range(6, 9) });
        assert_eq!(resending.resent(None), CentralRestore::Settled);
        let reading = rereading(50, 80, range(4, 9));
        assert_eq!(reading.resent(None), reading, "nothing is resent before all is read");
    }

    #[test]
    fn a_number_that_is_given_out_again_shows_a_restore() {
        let gone = NewestRow::Gone(Cursor(9));
        let batch = |end| {
            let (end_cursor, records, lost_history) = (Cursor(end), Vec::new(), Vec::new());
            ReadBatch {
                end_cursor,
                total_records: 0,
                records,
                is_last_batch: true,
                lost_history,
                refused: Vec::new(),
                refused_up_to: None,
                copy_refused_at: None,
            }
        };
        assert_eq!(gone.loss_shown_by(&batch(8)), None);
        let lost = ChangelogGap { after: Cursor(8), before: Cursor(10) };
        assert_eq!(gone.loss_shown_by(&batch(9)), Some(lost));
        assert_eq!(NewestRow::There.loss_shown_by(&batch(9)), None);
        assert_eq!([9, 10].map(|end| gone.seen_to(Cursor(end))), [gone, NewestRow::There]);
    }

    #[test]
    fn only_what_is_told_beyond_what_is_known_is_a_loss() {
        let gap = |after, before| ChangelogGap { after: Cursor(after), before: Cursor(before) };
        assert_eq!(loss_beyond(Cursor(0), &[]), None);
        assert_eq!(loss_beyond(Cursor(20), &[gap(5, 20), gap(9, 4), gap(1, u64::MAX)]), None);
        assert_eq!(loss_beyond(Cursor(10), &[gap(2, 10), gap(7, 20), gap(15, 30)]), Some(gap(7, 30)));
    }
}
