//! Initialisation: the legacy server gathers all records of this site into its queue (`protocol-v5` §6).
//!
//! It may take half an hour, and the request for it may break meanwhile. So it is a state of the database and of the
//! server, not a call: a cycle whose time is over ends, and the next one continues to wait.

use std::time::Duration;

use crate::error::{Error, Result, Server};
use crate::protocol::v5::{InitialisationStatus, LegacyStatus, QueueLength, SiteInfo, StatusCode, V5ErrorBody, path};
use crate::record::Cursor;
use crate::site::answer::stated;
use crate::site::cycle::Cycle;
use crate::site::observer::SyncEvent;
use crate::storage::state::{Preparation, QueuePrepared};
use crate::storage::{ReadTxn, changelog_gaps, state};
use crate::text::sentences::error_detail;

/// The longest wait between two questions.
const POLL_MAX: Duration = Duration::from_secs(15);

/// The state of this database's initialisation. A restored database needs it again, because entries that it took from
/// the queue since the backup are gone there.
fn preparation(txn: &dyn ReadTxn) -> Result<QueuePrepared> {
    let since = changelog_gaps(txn)?.last().map_or(Cursor(0), |lost| lost.before);
    let stored = state::QUEUE_PREPARED.find(txn)?.filter(|stored| stored.since == since);
    Ok(stored.unwrap_or(QueuePrepared { preparation: Preparation::Wanted, since }))
}

impl Cycle<'_, '_> {
    /// Has the legacy server fill this site's queue, once for a database.
    pub(crate) fn initialise(&mut self, status: &InitialisationStatus) -> Result<()> {
        let QueuePrepared { preparation, .. } = preparation(self.site.storage.read()?.as_ref())?;
        match (preparation, status) {
            (Preparation::Done, _) => Ok(()),
            (_, InitialisationStatus::Started) => self.wait_until_prepared(),
            // It was seen at work, and has ended since.
            (Preparation::Under, InitialisationStatus::Completed) if self.is_idle()? => {
                self.prepared(Preparation::Done)
            }
            _ => self.ask_for_records(status),
        }
    }

    /// Sends the request once, because the server begins anew each time. However the request ends, the server may be
    /// working on it.
    fn ask_for_records(&mut self, before: &InitialisationStatus) -> Result<()> {
        self.settle_what_was_sent()?;
        let error = match self.client.legacy_post_once::<QueueLength>(&self.identity, path::INITIALISE, &EmptyBody {}) {
            Ok(_) => return self.prepared(Preparation::Done),
            Err(error) => error,
        };
        // A proxy that waited too long answers in place of the server, which continues to work.
        let may_be_at_work = matches!(
            error,
            Error::TimedOut { .. }
                | Error::CutOff { .. }
                | Error::IntegrationInProgress { .. }
                | Error::ServerTrouble { .. }
        );
        if !may_be_at_work {
            return Err(error);
        }
        let info: SiteInfo = self.client.legacy_get(&self.identity, path::SITE)?;
        match info.initialisation_status {
            InitialisationStatus::Started => self.wait_until_prepared(),
            // If that was the state before, nothing shows that the request arrived; the next cycle asks again.
            InitialisationStatus::Completed if *before != InitialisationStatus::Completed => {
                self.prepared(Preparation::Done)
            }
            _ => Err(error),
        }
    }

    /// A push may have been cut after the backup was made: the server then holds records that it has not integrated and
    /// would not put into the queue. So the push is ended first.
    fn settle_what_was_sent(&mut self) -> Result<()> {
        if changelog_gaps(self.site.storage.read()?.as_ref())?.is_empty() {
            return Ok(());
        }
        self.confirm_at_legacy()
    }

    fn wait_until_prepared(&mut self) -> Result<()> {
        self.prepared(Preparation::Under)?;
        let began = self.site.clock.monotonic();
        let mut pause = self.site.config.integration_poll;
        loop {
            let waited = self.site.clock.monotonic().saturating_sub(began);
            if waited >= self.site.config.initialisation_wait || self.over_budget() {
                return Err(Error::InitialisationInProgress);
            }
            match self.client.wait(pause, &SyncEvent::WaitingForInitialisation { waited }) {
                Err(Error::Cancelled) if self.client.is_out_of_time => return Err(Error::InitialisationInProgress),
                waited => waited?,
            }
            pause = (pause * 2).min(POLL_MAX);
            if !self.is_idle()? {
                continue;
            }
            let info: SiteInfo = self.client.legacy_get(&self.identity, path::SITE)?;
            match info.initialisation_status {
                InitialisationStatus::Started => {}
                InitialisationStatus::New | InitialisationStatus::Error => {
                    self.prepared(Preparation::Wanted)?;
                    let detail = error_detail::gathering_stopped().into();
                    return Err(Error::PeerError { server: Server::Legacy, detail });
                }
                InitialisationStatus::Completed | InitialisationStatus::Unknown(_) => {
                    return self.prepared(Preparation::Done);
                }
            }
        }
    }

    /// True if the legacy server is not working for this site.
    pub(crate) fn is_idle(&mut self) -> Result<bool> {
        let LegacyStatus { code, message, data } = self.client.legacy_get(&self.identity, path::SITE_STATUS)?;
        match code {
            StatusCode::Idle => Ok(true),
            // An error does not pass on its own, and waiting would hide its reason.
            StatusCode::Unknown(code) if names_an_error(&code) => {
                let said = V5ErrorBody { code, message, data }.summary();
                Err(Error::PeerError { server: Server::Legacy, detail: stated(&said, &self.identity) })
            }
            _ => Ok(false),
        }
    }

    fn prepared(&self, now: Preparation) -> Result<()> {
        let txn = self.site.storage.write()?;
        let prepared = QueuePrepared { preparation: now, ..preparation(txn.as_ref())? };
        state::QUEUE_PREPARED.set(txn.as_ref(), prepared)?;
        txn.commit()
    }
}

/// True if an unknown status is an error rather than unfinished work.
fn names_an_error(code: &str) -> bool {
    let code = code.to_ascii_lowercase();
    ["error", "fail", "invalid", "not_found", "incorrect", "incompatible"].iter().any(|word| code.contains(word))
}

/// The body of a request without content.
#[derive(serde::Serialize)]
struct EmptyBody {}
