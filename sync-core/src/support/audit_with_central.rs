//! Compares this site with central: reads all of central's records for it into a scratch database from the beginning,
//! and compares them. Changes nothing here or there, and moves no cursor.

use url::Url;

use crate::changelog::{Audience, ChangeAction, NewChange};
use crate::error::{Error, Result, Server};
use crate::protocol::v6::{Action, PullRequest, ReadBatch, path};
use crate::record::Cursor;
use crate::role::Role;
use crate::site::central::position::Position;
use crate::site::central::pull::{request_batch, set_aside};
use crate::site::client::Client;
use crate::site::identity::Identity;
use crate::site::observer::{Pace, Step, SyncEvent, SyncObserver, Totals};
use crate::site::sizing::{PullBatchSize, Sizes};
use crate::storage::{Incoming, Source, Storage, WriteTxn, lock_cycle, state};
use crate::support::SiteSupport;
use crate::support::{Audit, CentralSnapshot, compare};

/// Batches that are read after the last one, for changes at central meanwhile.
const ROUNDS_AFTER_LAST: u32 = 3;

/// The part that is read.
#[derive(Clone, Copy)]
struct ComparedTypes {
    from: Cursor,
    /// True to read this site's own records too.
    own_too: bool,
}

impl SiteSupport {
    /// Reads all of central's records for this site into `scratch`, an empty storage that can be deleted afterwards,
    /// and compares. No cycle can run meanwhile.
    ///
    /// # Errors
    /// [`Error::NotSetUp`], [`Error::WrongRole`], [`Error::CentralUrlMissing`], [`Error::CycleRunning`]; central cannot be
    /// reached, or refuses; one of the databases failed.
    pub fn audit(&self, scratch: &dyn Storage, observer: &mut dyn SyncObserver) -> Result<Audit> {
        let _lock = lock_cycle(self.site.storage.as_ref())?;
        let identity = self.site.identity()?;
        match identity.role {
            Some(Role::Remote) => {}
            Some(Role::Central) => {
                return Err(Error::WrongRole { needed: "remote site", found: "central server" });
            }
            None => return Err(Error::NotSetUp),
        }
        let central = identity.central_url()?;
        let mut client = self.site.client(observer);
        client.sizes = Sizes::load(self.site.storage.read()?.as_ref())?;
        client.tell(&SyncEvent::StepStarted { step: Step::PullV6 })?;
        let read = self.read_both(&identity, &central, &mut client, scratch);
        let error = read.as_ref().err().map(Error::code);
        client.tell(&SyncEvent::StepFinished { step: Step::PullV6, error, ended_early: false })?;
        let (end, rows) = read?;
        client.tell(&SyncEvent::StepStarted { step: Step::Compare })?;
        let here = self.site.storage.read()?;
        // One row less is no proof.
        let went_back = end.next() < Position::in_central(here.as_ref())?.end;
        let mut audit = compare(here.as_ref(), &CentralSnapshot { scratch, rows }, &mut |done, total| {
            let total = total.max(done);
            client.tell(&SyncEvent::Progress { step: Step::Compare, done, total, pace: Pace::default() })
        })?;
        client.tell(&SyncEvent::StepFinished { step: Step::Compare, error: None, ended_early: false })?;
        audit.central_went_back = went_back;
        (audit.requests, audit.bytes_received) = (client.traffic.requests, client.traffic.bytes_received);
        Ok(audit)
    }

    /// Reads everything, then the records that the next pull would bring, to leave out this site's own records, which
    /// never come back.
    fn read_both(
        &self,
        identity: &Identity,
        central: &Url,
        client: &mut Client<'_>,
        scratch: &dyn Storage,
    ) -> Result<(Cursor, u64)> {
        let all = ComparedTypes { from: Cursor(0), own_too: true };
        let read = self.read(identity, central, client, all, &mut |batch| self.keep(batch, scratch))?;
        let next = {
            let txn = self.site.storage.read()?;
            let own_too = !identity.initialised || state::PULL_OWN.get(txn.as_ref())?;
            ComparedTypes { from: Position::in_central(txn.as_ref())?.next, own_too }
        };
        self.read(identity, central, client, next, &mut |batch| {
            let txn = scratch.write()?;
            for element in batch.records {
                let incoming = element.map_or_else(set_aside, |element| Incoming::new(Source::Central, element.record));
                CentralSnapshot::note_waiting(txn.as_ref(), &incoming.table, &incoming.id)?;
            }
            txn.commit()
        })?;
        Ok(read)
    }

    /// Reads central's changelog to its end; returns its end and the number of rows.
    fn read(
        &self,
        identity: &Identity,
        central: &Url,
        client: &mut Client<'_>,
        wanted: ComparedTypes,
        take: &mut dyn FnMut(ReadBatch) -> Result<()>,
    ) -> Result<(Cursor, u64)> {
        let (mut start, mut rows) = (wanted.from, 0);
        let (mut pace, mut rounds_left, mut totals) = (PullBatchSize::default(), ROUNDS_AFTER_LAST, Totals::default());
        loop {
            let request = |batch_size| PullRequest {
                is_initialised: !wanted.own_too,
                ..identity.dry_run_pull(start, batch_size)
            };
            let began = self.site.clock.monotonic();
            let most = pace.next(&mut client.sizes, &self.site.config);
            let asked = request_batch(client, identity, central, path::PULL, most, &request)?;
            let took = self.site.clock.monotonic().saturating_sub(began);
            pace.note(&asked, took, &mut client.sizes, &self.site.config);
            let batch = asked.batch;
            let (records, total, is_last) = (batch.records.len() as u64, batch.total_records, batch.is_last_batch);
            let end = batch.end_cursor;
            let next = batch.last_record_cursor().unwrap_or_default().max(end).next();
            take(batch)?;
            rows += records;
            let shown = Pace::default().with_estimate(totals.is_estimate(total, records));
            let total = rows + total.saturating_sub(records);
            client.tell(&SyncEvent::Progress { step: Step::PullV6, done: rows, total, pace: shown })?;
            if is_last {
                // Only an empty batch shows the end of the changelog.
                rounds_left -= 1;
                if records == 0 || rounds_left == 0 {
                    return Ok((end.max(Cursor(next.0.saturating_sub(1))), rows));
                }
            }
            // Any movement is progress, with or without records.
            if next <= start {
                return Err(Error::NoProgress { server: Server::Central, cursor: start.0 });
            }
            start = next;
        }
    }

    /// Stores the received records, the last version of each.
    fn keep(&self, batch: ReadBatch, scratch: &dyn Storage) -> Result<()> {
        let end = batch.end_cursor;
        let txn = scratch.write()?;
        for element in batch.records {
            let (incoming, cursor) = match element {
                Ok(element) => (Incoming::new(Source::Central, element.record), element.cursor),
                Err(bad) => {
                    let cursor = bad.cursor.unwrap_or(end);
                    (set_aside(bad), cursor)
                }
            };
            self.keep_one(txn.as_ref(), incoming, cursor)?;
        }
        txn.commit()
    }

    fn keep_one(&self, txn: &dyn WriteTxn, incoming: Incoming, cursor: Cursor) -> Result<()> {
        let Incoming { table, id, action, data, .. } = incoming;
        CentralSnapshot::note(txn, &table, &id, cursor)?;
        let action = match action {
            Action::Insert | Action::Update => ChangeAction::Upsert,
            Action::Delete if !txn.has_record(&table, &id)? => return Ok(()),
            Action::Delete => ChangeAction::Delete,
            Action::Merge => return Ok(()),
        };
        let change = NewChange {
            table,
            id,
            action,
            store: None,
            name: None,
            source_site: None,
            is_sync_update: true,
            audience: Audience::Nobody,
            changed_at: self.site.clock.now(),
        };
        match action {
            ChangeAction::Upsert => txn.put_record(&data, &change),
            ChangeAction::Delete => txn.remove_record(&change),
        }
        .map(|_| ())
    }
}
