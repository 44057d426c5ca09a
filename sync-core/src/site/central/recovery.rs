//! What a site does once it, or central, was restored from a backup.
//!
//! A site that went back reads what it lost, its own records among it, before it sends anything. When central went back,
//! what it lost of ours is sent again, and everything is read again.

use url::Url;

use super::checkpoints::{Mark, Marks};
use super::position::Position;
use crate::changelog::ChangelogGap;
use crate::error::{Error, Result};
use crate::protocol::v6::{Action, ReadBatch};
use crate::record::{Cursor, RecordData, RecordId, SiteId, TableName};
use crate::site::Site;
use crate::site::cycle::Cycle;
use crate::site::observer::{Step, SyncEvent};
use crate::storage::state::{cursor, flag, site_id};
use crate::storage::{
    Incoming, Quarantine, QuarantineCause, ReadTxn, Selection, Source, WriteTxn, changelog_gaps, key,
};
use crate::text::Message;
use crate::text::sentences::cycle as says;
use crate::text::sentences::input;
use crate::write;

/// Changelog rows that are logged again in one transaction.
const ROWS: usize = 1000;

/// What a site that went back needs to know while it reads what it lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Recovering {
    /// How far it had seen central's changelog at the time of the backup: what lies beyond came later.
    pub seen: Cursor,
    /// Own edits from here on were made after the restore.
    pub made_since: Cursor,
}

impl Recovering {
    /// What holds since the newest restore of this database: edits of the backup may still wait, of a store that is away.
    pub(crate) fn load(txn: &dyn ReadTxn) -> Result<Option<Self>> {
        let Some(text) = txn.state(key::RECOVERING_FROM)? else { return Ok(None) };
        let parts = text.split_once(' ').and_then(|(seen, since)| Some((Cursor::parse(seen)?, Cursor::parse(since)?)));
        let (seen, made_since) = parts.ok_or_else(|| Error::DamagedState { what: key::RECOVERING_FROM.to_owned() })?;
        Ok(Some(Self { seen, made_since }))
    }
}

impl Cycle<'_, '_> {
    /// Whether a site that went back has still to read what the legacy server has of it.
    pub(crate) fn went_back_at_legacy(&self) -> Result<bool> {
        Ok(unrecovered(self.site.storage.read()?.as_ref(), key::RECOVERED_LEGACY)?.is_some())
    }

    /// Whether this database is a backup that was put back, and has not read yet what it lost.
    pub(crate) fn went_back(&self) -> Result<bool> {
        Ok(unrecovered(self.site.storage.read()?.as_ref(), key::RECOVERED)?.is_some() && !planted!(SiteRestoreIgnored))
    }

    /// Reads everything since the backup, what came from this site included; only then may edits of the backup be sent.
    pub(crate) fn recover(&mut self, central: &Url) -> Result<()> {
        self.warn(says::restored())?;
        // A push may have been cut since the backup: central is told that nothing more of it comes.
        self.begin_sending()?;
        if !self.confirm_before_pull(central)? {
            return Ok(());
        }
        let txn = self.site.storage.write()?;
        let Some(lost) = unrecovered(txn.as_ref(), key::RECOVERED)? else { return Ok(()) };
        // Of several restores the last: what was written between them may be in the newer backup.
        let recovering = match Recovering::load(txn.as_ref())? {
            Some(begun) if begun.made_since == lost.before => begun,
            _ => Recovering { seen: Position::in_central(txn.as_ref())?.end, made_since: lost.before },
        };
        txn.set_state(key::RECOVERING_FROM, &format!("{} {}", recovering.seen, recovering.made_since))?;
        txn.commit()?;
        self.recovering = true;
        let outcome = self.pull_v6(central);
        self.recovering = false;
        outcome?;
        if self.ended_early() {
            // The next cycle goes on reading.
            return Ok(());
        }
        let txn = self.site.storage.write()?;
        txn.set_state(key::RECOVERED, &lost.before.to_string())?;
        txn.commit()
    }

    /// Deals with what central says that it lost, once. Says whether everything has to be read again.
    /// `sent_since` is where pushes to the restored central server began, as far as that is known.
    pub(crate) fn learn_of_loss(&mut self, lost: &[ChangelogGap], sent_since: Option<Cursor>) -> Result<bool> {
        match self.unknown_loss(lost)? {
            Some(lost) => self.central_went_back(lost, true, sent_since),
            None => Ok(false),
        }
    }

    /// What central says that it lost, as far as that was not dealt with.
    pub(crate) fn unknown_loss(&self, lost: &[ChangelogGap]) -> Result<Option<ChangelogGap>> {
        let known = cursor(self.site.storage.read()?.as_ref(), key::CENTRAL_LOST_KNOWN)?;
        let is_unknown =
            |part: &&ChangelogGap| part.before > known && part.before.is_possible() && part.after < part.before;
        let unknown: Vec<&ChangelogGap> = lost.iter().filter(is_unknown).collect();
        let (after, before) =
            (unknown.iter().map(|part| part.after).min(), unknown.iter().map(|part| part.before).max());
        Ok(after.zip(before).map(|(after, before)| ChangelogGap { after, before }))
    }

    /// Central's changelog went back. Everything is read again, which is safe: what is here already changes nothing; and
    /// what central lost of ours goes out again with the next push.
    pub(crate) fn central_went_back(
        &mut self,
        lost: ChangelogGap,
        told: bool,
        sent_since: Option<Cursor>,
    ) -> Result<bool> {
        let txn = self.site.storage.write()?;
        if told {
            txn.set_state(key::CENTRAL_LOST_KNOWN, &lost.before.to_string())?;
        }
        let pushed = cursor(txn.as_ref(), key::PUSH_CURSOR_V6)?;
        let stands = Position::in_central(txn.as_ref())?;
        let any_contact = stands.next > Cursor(0) || pushed > Cursor(0);
        let mut marks = Marks::load(txn.as_ref())?;
        let from = marks.back_to(lost.after);
        marks.store(txn.as_ref())?;
        let below = sent_since.unwrap_or(pushed);
        let (from, below) = match resend(txn.as_ref())? {
            Some((from_before, below_before)) => (from.min(from_before), below.max(below_before)),
            None => (from, below),
        };
        let from = if planted!(CentralRestoreIgnored) { below } else { from };
        txn.set_state(key::RESEND, &format!("{from} {below}"))?;
        // What central was seen to have may have been lost since.
        txn.forget_pushed(own_site(txn.as_ref())?)?;
        let seen = Rereading::load(txn.as_ref())?.map_or(stands.end, |before| before.seen);
        Rereading { after: lost.after, seen }.store(txn.as_ref())?;
        txn.set_state(key::PULL_CURSOR_V6, "0")?;
        txn.set_state(key::PULL_OWN, "1")?;
        txn.set_state(key::NEWEST_GONE, "0")?;
        // Its folder may have gone back with it.
        txn.set_state(key::FILES_ASK_AGAIN, "1")?;
        if self.identity.central_is_legacy() {
            // One server for both: what it lost of stores and names is read again too.
            txn.set_state(key::PULL_CURSOR_CENTRAL, "0")?;
        }
        txn.commit()?;
        if any_contact {
            self.warn(says::central_went_back(lost.after.0))?;
        }
        self.client.tell(&SyncEvent::Progress { step: Step::PullV6, done: 0, total: 0 })?;
        Ok(true)
    }

    /// Everything was read again: what is still only here goes out again.
    pub(crate) fn end_reread(&mut self) -> Result<()> {
        {
            let txn = self.site.storage.read()?;
            if !flag(txn.as_ref(), key::PULL_OWN)? && Rereading::load(txn.as_ref())?.is_none() {
                return Ok(());
            }
        }
        let txn = self.site.storage.write()?;
        txn.set_state(key::PULL_OWN, "0")?;
        txn.set_state(key::REREADING, "")?;
        txn.commit()?;
        self.finish_resending()
    }

    /// Logs again the edits that central lost, as edits that are not pushed yet. Goes on where a cycle was cut.
    pub(crate) fn finish_resending(&mut self) -> Result<()> {
        if Rereading::load(self.site.storage.read()?.as_ref())?.is_some() {
            return Ok(());
        }
        while requeue_edit(self.site)? {
            self.client.tell(&SyncEvent::Progress { step: Step::PullV6, done: 0, total: 0 })?;
        }
        Ok(())
    }

    /// Whether it is worth asking where central's changelog ends: something was pushed since that was known last.
    pub(crate) fn wants_mark(&self) -> Result<bool> {
        let txn = self.site.storage.read()?;
        let confirmed = !flag(txn.as_ref(), key::PUSH_UNCONFIRMED)?;
        Ok(confirmed && Marks::load(txn.as_ref())?.own() < cursor(txn.as_ref(), key::PUSH_CURSOR_V6)?)
    }

    /// Notes where central's changelog ends, as an empty last batch says it.
    pub(crate) fn mark(&self, central: Cursor) -> Result<()> {
        if !self.wants_mark()? {
            return Ok(());
        }
        let txn = self.site.storage.write()?;
        let mut marks = Marks::load(txn.as_ref())?;
        marks.add(Mark { central, own: cursor(txn.as_ref(), key::PUSH_CURSOR_V6)? });
        marks.store(txn.as_ref())?;
        txn.commit()
    }
}

/// The newest restore of this database, if it was not dealt with yet, as this setting says.
fn unrecovered(txn: &dyn ReadTxn, recovered: &str) -> Result<Option<ChangelogGap>> {
    let recovered = cursor(txn, recovered)?;
    Ok(changelog_gaps(txn)?.into_iter().next_back().filter(|lost| lost.before > recovered))
}

/// What a site needs to know while it reads everything again because central went back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Rereading {
    /// The end of what central kept.
    after: Cursor,
    /// How far central's changelog had been seen: what was for this site up to there had been read, or came from it.
    seen: Cursor,
}

impl Rereading {
    fn load(txn: &dyn ReadTxn) -> Result<Option<Self>> {
        let Some(text) = txn.state(key::REREADING)?.filter(|text| !text.is_empty()) else { return Ok(None) };
        let numbers: Option<Vec<Cursor>> = text.split(' ').map(Cursor::parse).collect();
        match numbers.as_deref() {
            Some(&[after, seen]) => Ok(Some(Self { after, seen })),
            _ => Err(Error::DamagedState { what: key::REREADING.to_owned() }),
        }
    }

    fn store(self, txn: &dyn WriteTxn) -> Result<()> {
        txn.set_state(key::REREADING, &format!("{} {}", self.after, self.seen))
    }
}

/// While everything is read again because central went back: of what was pushed since, what central has is as good as
/// pushed; and what it has in a version that had been read before is sent again. Of other versions it cannot be told
/// whether they are later: they win, and ours is set aside.
pub(crate) fn compare_with_central(site: &Site, txn: &dyn WriteTxn, batch: &ReadBatch) -> Result<()> {
    let (Some(rereading), Some((from, below))) = (Rereading::load(txn)?, resend(txn)?) else { return Ok(()) };
    for element in batch.records.iter().flatten() {
        let record = &element.record;
        let (table, id) = (&record.table_name, &record.record_id);
        if !txn.has_local_change(table, id, from)? || txn.has_local_change(table, id, below)? {
            continue;
        }
        let ours = txn.record(table, id)?;
        if write::is_same(table, record.action, &record.record_data, ours.as_ref()) {
            // It stays an edit of this site, in case central goes back once more.
            txn.note_pushed(own_site(txn)?, table, id, below)?;
        } else if element.cursor <= rereading.after.min(rereading.seen) {
            write::reassert_local(txn, table, id, &record.record_data, site.clock.now())?;
        } else {
            txn.stage(&set_aside(table, id, ours.as_ref()), site.clock.now())?;
        }
    }
    Ok(())
}

/// Under this number a site notes what of its own it saw at central.
pub(crate) fn own_site(txn: &dyn ReadTxn) -> Result<SiteId> {
    Ok(site_id(txn)?.unwrap_or(SiteId(0)))
}

fn resend(txn: &dyn ReadTxn) -> Result<Option<(Cursor, Cursor)>> {
    let Some(text) = txn.state(key::RESEND)?.filter(|text| !text.is_empty()) else { return Ok(None) };
    let range = text.split_once(' ').and_then(|(from, below)| Some((Cursor::parse(from)?, Cursor::parse(below)?)));
    range.map(Some).ok_or_else(|| Error::DamagedState { what: key::RESEND.to_owned() })
}

/// Logs the next of the edits again; says whether there are more.
fn requeue_edit(site: &Site) -> Result<bool> {
    if resend(site.storage.read()?.as_ref())?.is_none() {
        return Ok(false);
    }
    let txn = site.storage.write()?;
    let Some((from, below)) = resend(txn.as_ref())? else { return Ok(false) };
    let rows = txn.changes(&Selection::Local, from, ROWS)?;
    let next = rows.last().map(|row| row.cursor.next()).filter(|next| rows.len() == ROWS && *next < below);
    let own = own_site(txn.as_ref())?;
    for row in rows.into_iter().filter(|row| row.cursor < below) {
        let at_central = txn.pushed_at(own, &row.change.table, &row.change.id)?.is_some_and(|at| at > row.cursor);
        if !at_central {
            write::requeue_edit(txn.as_ref(), row.change, site.clock.now())?;
        }
    }
    if next.is_none() {
        txn.forget_pushed(own)?;
    }
    let left = next.map_or(String::new(), |next| format!("{next} {below}"));
    txn.set_state(key::RESEND, &left)?;
    txn.commit()?;
    Ok(next.is_some())
}

/// In a site that went back, edits of the backup give way to what central got after it: those are the same edits, or
/// later ones of this site. Where another site's came in between, the edit is not lost but set aside.
pub(crate) fn give_way(site: &Site, txn: &dyn WriteTxn, batch: &ReadBatch, recovering: Recovering) -> Result<()> {
    let unpushed = cursor(txn, key::PUSH_CURSOR_V6)?;
    for element in batch.records.iter().flatten().filter(|element| element.cursor > recovering.seen) {
        let record = &element.record;
        let (table, id) = (&record.table_name, &record.record_id);
        let of_the_backup =
            txn.has_local_change(table, id, unpushed)? && !txn.has_local_change(table, id, recovering.made_since)?;
        if !of_the_backup {
            continue;
        }
        let ours = txn.record(table, id)?;
        if !write::is_same(table, record.action, &record.record_data, ours.as_ref()) {
            txn.stage(&set_aside(table, id, ours.as_ref()), site.clock.now())?;
        }
        txn.mark_synced(table, id)?;
    }
    Ok(())
}

/// In a site that went back, edits of the backup give way to what the legacy server has queued anew, as they do to what
/// central has.
pub(crate) fn give_way_to_legacy(site: &Site, txn: &dyn WriteTxn, incoming: &[Incoming]) -> Result<()> {
    let Some(lost) = unrecovered(txn, key::RECOVERED_LEGACY)? else { return Ok(()) };
    let unpushed = cursor(txn, key::PUSH_CURSOR_LEGACY)?;
    for Incoming { table, id, action, data, .. } in incoming {
        let of_the_backup =
            txn.has_local_change(table, id, unpushed)? && !txn.has_local_change(table, id, lost.before)?;
        if !of_the_backup {
            continue;
        }
        let ours = txn.record(table, id)?;
        if !write::is_same(table, *action, data, ours.as_ref()) {
            txn.stage(&set_aside(table, id, ours.as_ref()), site.clock.now())?;
        }
        txn.mark_synced(table, id)?;
    }
    Ok(())
}

/// Why everything has to be read before anything else is, after a restore here or at central.
pub(crate) fn must_read_first(txn: &dyn ReadTxn) -> Result<Option<Message>> {
    Ok(match () {
        () if unrecovered(txn, key::RECOVERED)?.is_some() => Some(input::restored_sync_first()),
        () if Rereading::load(txn)?.is_some() || flag(txn, key::PULL_OWN)? => Some(input::rereading_sync_first()),
        () => None,
    })
}

/// The legacy server's queue was read to its end.
pub(crate) fn legacy_is_recovered(site: &Site) -> Result<()> {
    let Some(lost) = unrecovered(site.storage.read()?.as_ref(), key::RECOVERED_LEGACY)? else { return Ok(()) };
    let txn = site.storage.write()?;
    txn.set_state(key::RECOVERED_LEGACY, &lost.before.to_string())?;
    txn.commit()
}

fn set_aside(table: &TableName, id: &RecordId, ours: Option<&RecordData>) -> Incoming {
    let reason = "a backup was put back, here or at central, and central has another version that may be the later one"
        .to_owned();
    Incoming {
        source: Source::Local,
        table: table.clone(),
        id: id.clone(),
        action: if ours.is_some() { Action::Update } else { Action::Delete },
        data: ours.cloned().unwrap_or_else(|| RecordData::of(&())),
        cursor: None,
        known: Default::default(),
        quarantine: Some(Quarantine { cause: QuarantineCause::Refused, reason, waits_for: None }),
    }
}
