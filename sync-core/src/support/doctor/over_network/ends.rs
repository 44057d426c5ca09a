//! Checks the clocks of both ends, and this site's cursors against the servers' changelogs.

use std::time::Duration;

use super::Doctor;
use super::judge::{self, party_of_server};
use crate::clock::Timestamp;
use crate::error::{Error, ErrorClass, Result, Server};
use crate::protocol::v5::{ReadCentralBatch, path as v5_path};
use crate::protocol::v6;
use crate::site::central::position::{Advance, Position};
use crate::site::central::pull::read_batch;
use crate::site::identity::Identity;
use crate::storage::state;
use crate::support::doctor::{Check, CheckOutcome, Party};
use crate::text::Message;
use crate::text::sentences::doctor as say;
use crate::transport::CertificateFault;

/// A smaller difference of clocks is not reported.
const CLOCK_NEAR: i64 = 2 * 60 * 1000;
/// A larger difference puts records into the wrong hour or day.
const CLOCK_FAR: i64 = 60 * 60 * 1000;
/// Between two cycles that are further apart, the clock was set forward, or the device was off for long.
const LONG_GAP: Duration = Duration::from_secs(60 * 24 * 3600);
/// The cycles among which such a gap is looked for.
const CYCLES_LOOKED_AT: usize = 200;

impl Doctor<'_> {
    /// Records the time in an answer.
    pub(crate) fn note_date(&mut self, server: Server, date: Option<(Timestamp, Timestamp)>) {
        if let Some((theirs, ours)) = date {
            self.dates.push((server, ours.unix_millis() - theirs.unix_millis()));
        }
    }

    /// Compares the clock here with those of the servers.
    pub(crate) fn clock(&mut self) -> Result<()> {
        const NAME: &str = "clock";
        let now = self.site.clock.now();
        let newest = self.site.storage.read().and_then(|txn| txn.log(1)).unwrap_or_default();
        let went_back = newest.first().filter(|entry| entry.finished_at.unix_millis() - now.unix_millis() > CLOCK_NEAR);
        let worst =
            self.dates.iter().copied().max_by_key(|(_, ahead)| ahead.abs()).filter(|(_, a)| a.abs() > CLOCK_NEAR);
        let device = ("clock_wrong", ErrorClass::LocalFault, Party::Device);
        if let Some(says) = self.wrong_date_by_certificate(now) {
            return self.add(Check::found(NAME, CheckOutcome::Fault, says, device, say::set_clock_or_renew()));
        }
        let check = match (worst, went_back) {
            (Some((server, ahead)), _) => {
                let outcome = if ahead.abs() > CLOCK_FAR { CheckOutcome::Fault } else { CheckOutcome::Warning };
                // If another server agrees with the clock here, the differing one is wrong.
                let is_theirs = self.dates.iter().any(|(other, ahead)| *other != server && ahead.abs() <= CLOCK_NEAR);
                let minutes = ahead.abs() / 60_000;
                let time = match minutes {
                    0..120 => say::minutes(minutes),
                    120..2880 => say::hours(minutes / 60),
                    _ => say::days(minutes / 1440),
                };
                if is_theirs {
                    let says = say::clock_of_server(server, time);
                    let theirs = ("clock_wrong", ErrorClass::PeerFault, party_of_server(server));
                    Check::found(NAME, CheckOutcome::Warning, says, theirs, say::set_clock_there())
                } else {
                    let is_ahead = ahead > 0;
                    let says = if is_ahead { say::clock_ahead(time, server) } else { say::clock_behind(time, server) };
                    Check::found(NAME, outcome, says, device, say::set_clock())
                }
            }
            (None, Some(entry)) => {
                let says = say::clock_before_sync(now, entry.finished_at);
                Check::found(NAME, CheckOutcome::Warning, says, device, say::set_clock())
            }
            (None, None) if self.dates.is_empty() => Check::not_checked(NAME, say::no_time_told()),
            (None, None) => Check::ok(NAME, say::clock_well(now)),
        };
        self.add(check)
    }

    /// What says that the date here is wrong, if a certificate is refused by its dates and no server told the time: the cycles of this
    /// database, which its clock dated before it was wrong.
    fn wrong_date_by_certificate(&self, now: Timestamp) -> Option<Message> {
        if !self.dates.is_empty() {
            return None;
        }
        let fault = self.checks.iter().find_map(judge::refused_by_date)?;
        let log = self.site.storage.read().and_then(|txn| txn.log(CYCLES_LOOKED_AT)).unwrap_or_default();
        let days = |time: Duration| time.as_secs() / (24 * 3600);
        match fault {
            CertificateFault::NotYetValid => {
                let last = log.iter().map(|entry| entry.finished_at).max()?;
                let behind = last.since(now);
                (behind > Duration::from_millis(CLOCK_FAR.unsigned_abs())).then(|| say::clock_before_sync(now, last))
            }
            CertificateFault::Expired => {
                // Cycles after the clock was set forward failed, and have the wrong date too.
                let failed = log.iter().take_while(|entry| entry.error.is_some());
                let later = std::iter::once(now).chain(failed.map(|entry| entry.finished_at));
                let earlier = log.iter().map(|entry| entry.finished_at);
                let gap = later.zip(earlier).map(|(later, earlier)| (later.since(earlier), earlier)).max()?;
                (gap.0 > LONG_GAP).then(|| say::clock_far_after_sync(now, days(gap.0), gap.1))
            }
            _ => None,
        }
    }

    /// Checks that this site has not read further than the servers have come.
    pub(crate) fn cursors(&self, identity: &Identity, legacy: bool, central: bool) -> Check {
        const NAME: &str = "cursors";
        let mut asked = Vec::new();
        for (server, answers) in [(Server::Legacy, legacy), (Server::Central, central)] {
            if !answers {
                continue;
            }
            let found = match server {
                Server::Legacy => self.legacy_cursor(identity),
                Server::Central => self.central_cursor(identity),
            };
            match found {
                Ok(None) => asked.push(server),
                Ok(Some(error)) => return Check::fault(NAME, &error, party_of_server(server)),
                Err(error @ (Error::IntegrationInProgress { .. } | Error::SyncPaused { .. })) => {
                    return Check::fault(NAME, &error, party_of_server(server)).into_warning();
                }
                Err(error @ Error::CopyUndecided { .. }) => {
                    return Check::fault(NAME, &error, judge::party(&error, server)).into_warning();
                }
                Err(error) => return Check::fault(NAME, &error, judge::party(&error, server)),
            }
        }
        match asked[..] {
            [] => Check::not_checked(NAME, say::no_server_answered()),
            [server] => Check::ok(NAME, say::cursors_well_at(server)),
            [one, other, ..] => Check::ok(NAME, say::cursors_well_at(say::or_at(one, other))),
        }
    }

    fn legacy_cursor(&self, identity: &Identity) -> Result<Option<Error>> {
        let (ours, seen) = {
            let txn = self.site.storage.read()?;
            (state::PULL_CURSOR_CENTRAL.get(txn.as_ref())?.0, state::LEGACY_POSITION_SEEN.get(txn.as_ref())?.0)
        };
        let path = format!("{}?cursor={ours}&limit=1", v5_path::CENTRAL_RECORDS);
        let batch: ReadCentralBatch =
            self.client(self.one_or_legacy(), &identity.legacy_url, |client| client.legacy_get(identity, &path))?;
        let went_back = batch.data.is_empty() && batch.max_cursor < seen;
        Ok(went_back.then(|| Error::CursorWentBack { server: Server::Legacy, ours, theirs: batch.max_cursor }))
    }

    /// One record at this site's cursor.
    fn central_cursor(&self, identity: &Identity) -> Result<Option<Error>> {
        let stands = Position::in_central(self.site.storage.read()?.as_ref())?;
        let url = identity.central_url()?;
        let request = identity.dry_run_pull(stands.next, 1);
        let raw =
            self.client(Server::Central, &url, |client| client.central_raw(identity, &url, v6::path::PULL, &request))?;
        let batch = read_batch(raw.get(), &url)?;
        let (ours, theirs) = (stands.next.0, batch.end_cursor.0);
        let went_back = stands.after(&batch) == Advance::WentBack;
        Ok(went_back.then_some(Error::CursorWentBack { server: Server::Central, ours, theirs }))
    }
}
