//! What a site does once it, or central, was restored from a backup.
//!
//! A site that went back reads what it lost, its own records among it, before it sends anything. When central went back,
//! what it lost of ours is sent again, and everything is read again.

use url::Url;

use super::Site;
use super::cycle::Cycle;
use super::identity::cursor;
use super::marks::{Mark, Marks};
use super::observer::{Step, SyncEvent};
use crate::apply;
use crate::error::{Error, Result};
use crate::protocol::v6::{Action, ReadBatch};
use crate::record::{Cursor, RecordData, RecordId, TableName};
use crate::storage::{Incoming, Lost, Quarantine, QuarantineCause, ReadTxn, Selection, Source, WriteTxn, key};

/// Changelog rows that are logged again in one transaction.
const ROWS: usize = 1000;

/// What a site that went back needs to know while it reads what it lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Recovering {
    /// How far it had seen central's changelog at the time of the backup: what lies beyond came later.
    pub seen: Cursor,
    /// Own edits from here on were made after the restore.
    pub made_since: Cursor,
}

impl Cycle<'_, '_> {
    /// Whether this database is a backup that was put back, and has not read yet what it lost.
    pub(super) fn went_back(&self) -> Result<bool> {
        Ok(unrecovered(self.site.storage.read()?.as_ref())?.is_some() && !planted!(SiteRestoreIgnored))
    }

    /// Reads everything since the backup, what came from this site included; only then may edits of the backup be sent.
    pub(super) fn recover(&mut self, central: &Url) -> Result<()> {
        self.warn(
            "this database was restored from a backup: what was synchronised since then is read again".to_owned(),
        )?;
        // A push may have been cut since the backup: central is told that nothing more of it comes.
        let txn = self.site.storage.write()?;
        if txn.state(key::PUSH_UNCONFIRMED)?.as_deref() != Some("1") {
            txn.set_state(key::PUSH_CONFIRMED_V6, &cursor(txn.as_ref(), key::PUSH_CURSOR_V6)?.to_string())?;
            txn.set_state(key::PUSH_UNCONFIRMED, "1")?;
        }
        txn.commit()?;
        if !self.confirm_before_pull(central)? {
            return Ok(());
        }
        let txn = self.site.storage.write()?;
        let Some(lost) = unrecovered(txn.as_ref())? else { return Ok(()) };
        if txn.state(key::RECOVERING_FROM)?.is_none_or(|text| text.is_empty()) {
            txn.set_state(key::RECOVERING_FROM, &seen(txn.as_ref())?.to_string())?;
        }
        let recovering = Recovering { seen: cursor(txn.as_ref(), key::RECOVERING_FROM)?, made_since: lost.before };
        txn.commit()?;
        self.recovering = Some(recovering);
        let outcome = self.pull_v6(central);
        self.recovering = None;
        outcome?;
        if self.ended_early() {
            // The next cycle goes on reading.
            return Ok(());
        }
        let txn = self.site.storage.write()?;
        let recovered = Lost::all(txn.as_ref())?.last().map_or(lost.before, |last| last.before);
        txn.set_state(key::RECOVERED, &recovered.to_string())?;
        txn.set_state(key::RECOVERING_FROM, "")?;
        txn.commit()
    }

    /// Deals with what central says that it lost, once. Says whether everything has to be read again.
    /// `sent_since` is where pushes to the restored central server began, as far as that is known.
    pub(super) fn learn_of_loss(&mut self, lost: &[Lost], sent_since: Option<Cursor>) -> Result<bool> {
        let unknown = {
            let known = cursor(self.site.storage.read()?.as_ref(), key::CENTRAL_LOST_KNOWN)?;
            lost.iter().filter(|part| part.before > known && part.before.0 < i64::MAX as u64).collect::<Vec<_>>()
        };
        let Some(after) = unknown.iter().map(|part| part.after).min() else { return Ok(false) };
        let known = unknown.iter().map(|part| part.before).max();
        self.central_went_back(after, known, sent_since)
    }

    /// Central's changelog went back to `after`: what it lost of ours goes out again with the next push, and everything
    /// is read again, which is safe: what is here already changes nothing.
    pub(super) fn central_went_back(
        &mut self,
        after: Cursor,
        known: Option<Cursor>,
        sent_since: Option<Cursor>,
    ) -> Result<bool> {
        let txn = self.site.storage.write()?;
        if let Some(known) = known {
            txn.set_state(key::CENTRAL_LOST_KNOWN, &known.to_string())?;
        }
        let pushed = cursor(txn.as_ref(), key::PUSH_CURSOR_V6)?;
        let any_contact = cursor(txn.as_ref(), key::PULL_CURSOR_V6)? > Cursor(0) || pushed > Cursor(0);
        let mut marks = Marks::load(txn.as_ref())?;
        let from = marks.back_to(after);
        marks.store(txn.as_ref())?;
        let below = sent_since.unwrap_or(pushed);
        let (from, below) = match resend(txn.as_ref())? {
            Some((from_before, below_before)) => (from.min(from_before), below.max(below_before)),
            None => (from, below),
        };
        let from = if planted!(CentralRestoreIgnored) { below } else { from };
        txn.set_state(key::RESEND, &format!("{from} {below}"))?;
        txn.set_state(key::PULL_CURSOR_V6, "0")?;
        if self.identity.central_is_legacy() {
            // One server for both: what it lost of stores and names is read again too.
            txn.set_state(key::PULL_CURSOR_CENTRAL, "0")?;
        }
        txn.commit()?;
        if !any_contact {
            return Ok(true);
        }
        self.warn(format!(
            "central went back to {after} in its changelog: it was restored from a backup or replaced. What it lost of \
             this site's goes out again with the next push, and everything is read again from the beginning."
        ))?;
        // In a site that went back too, only what is still its own newest once it has read what it lost.
        if self.recovering.is_none() {
            self.finish_resending()?;
        }
        self.client.tell(&SyncEvent::Progress { step: Step::PullV6, done: 0, total: 0 })?;
        Ok(true)
    }

    /// Logs again the edits that central lost, as edits that are not pushed yet. Goes on where a cycle was cut.
    pub(super) fn finish_resending(&mut self) -> Result<()> {
        while log_again(self.site)? {
            self.client.tell(&SyncEvent::Progress { step: Step::PullV6, done: 0, total: 0 })?;
        }
        Ok(())
    }

    /// Whether it is worth asking where central's changelog ends: something was pushed since that was known last.
    pub(super) fn wants_mark(&self) -> Result<bool> {
        let txn = self.site.storage.read()?;
        let confirmed = txn.state(key::PUSH_UNCONFIRMED)?.as_deref() != Some("1");
        Ok(confirmed && Marks::load(txn.as_ref())?.own() < cursor(txn.as_ref(), key::PUSH_CURSOR_V6)?)
    }

    /// Notes where central's changelog ends, as an empty last batch says it.
    pub(super) fn mark(&self, central: Cursor) -> Result<()> {
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

/// The first restore of this database that was not dealt with yet.
fn unrecovered(txn: &dyn ReadTxn) -> Result<Option<Lost>> {
    let recovered = cursor(txn, key::RECOVERED)?;
    Ok(Lost::all(txn)?.into_iter().find(|lost| lost.before > recovered))
}

/// How far central's changelog was seen: it never ends below, unless it went back.
pub(super) fn seen(txn: &dyn ReadTxn) -> Result<Cursor> {
    let read = cursor(txn, key::PULL_CURSOR_V6)?;
    Ok(Marks::load(txn)?.central().max(Cursor(read.0.saturating_sub(1))))
}

fn resend(txn: &dyn ReadTxn) -> Result<Option<(Cursor, Cursor)>> {
    let Some(text) = txn.state(key::RESEND)?.filter(|text| !text.is_empty()) else { return Ok(None) };
    let range = text.split_once(' ').and_then(|(from, below)| Some((from.parse().ok()?, below.parse().ok()?)));
    let (from, below) = range.ok_or_else(|| Error::DamagedState { what: key::RESEND.to_owned() })?;
    Ok(Some((Cursor(from), Cursor(below))))
}

/// Logs the next of the edits again; says whether there are more.
fn log_again(site: &Site) -> Result<bool> {
    if resend(site.storage.read()?.as_ref())?.is_none() {
        return Ok(false);
    }
    let txn = site.storage.write()?;
    let Some((from, below)) = resend(txn.as_ref())? else { return Ok(false) };
    let rows = txn.changes(&Selection::Local, from, ROWS)?;
    let next = rows.last().map(|row| row.cursor.next()).filter(|next| rows.len() == ROWS && *next < below);
    for row in rows.into_iter().filter(|row| row.cursor < below) {
        apply::log_again(txn.as_ref(), row.change, site.clock.now())?;
    }
    let left = next.map_or(String::new(), |next| format!("{next} {below}"));
    txn.set_state(key::RESEND, &left)?;
    txn.commit()?;
    Ok(next.is_some())
}

/// In a site that went back, edits of the backup give way to what central got after it: those are the same edits, or
/// later ones of this site. Where another site's came in between, the edit is not lost but set aside.
pub(super) fn give_way(site: &Site, txn: &dyn WriteTxn, batch: &ReadBatch, recovering: Recovering) -> Result<()> {
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
        let same = match record.action {
            Action::Delete => ours.is_none(),
            _ => ours.as_ref() == Some(&record.record_data),
        };
        if !same {
            txn.stage(&set_aside(table, id, ours.as_ref()), site.clock.now())?;
        }
        apply::yield_local(txn, table, id, ours.as_ref(), &record.record_data, site.clock.now())?;
    }
    Ok(())
}

fn set_aside(table: &TableName, id: &RecordId, ours: Option<&RecordData>) -> Incoming {
    let reason = "this edit was in the backup that was put back, but central has a later version".to_owned();
    Incoming {
        source: Source::Local,
        table: table.clone(),
        id: id.clone(),
        action: if ours.is_some() { Action::Update } else { Action::Delete },
        data: ours.cloned().unwrap_or_else(|| RecordData::of(&())),
        quarantine: Some(Quarantine { cause: QuarantineCause::Refused, reason, waits_for: None }),
    }
}
