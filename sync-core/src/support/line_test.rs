//! Measures the lines to both servers: the time of a small request, the bytes per second, and from these the time of a
//! first sync. Received records are dropped: no cursor moves, nothing is acknowledged.

use std::time::Duration;

use serde::Serialize;
use url::Url;

use crate::address::shown;
use crate::error::{Error, ErrorClass, Result, Server};
use crate::protocol::v5::{LegacyStatus, ReadCentralBatch, SiteInfo, path as v5_path};
use crate::protocol::v6::{self, ReadBatch};
use crate::record::record_type;
use crate::role::Role;
use crate::site::Site;
use crate::site::central::pull::read_batch;
use crate::site::client::Client;
use crate::site::config::SyncConfig;
use crate::site::identity::{Identity, Settings};
use crate::site::observer::SyncObserver;
use crate::storage::{LoggedError, ReadTxn, state};
use crate::support::SiteSupport;
use crate::support::patience::FirstAnswer;
use crate::text::sentences::net as say;
use crate::text::{Localize, Message};

/// Small requests to each server.
const QUESTIONS: usize = 7;
/// Records in the first request.
const FIRST: u32 = 50;
/// The number of records from which the measurement is meaningful.
const WELL: u64 = 20;
/// The most records in one request to the legacy server.
const LEGACY_MOST: u64 = 1000;
/// The longest useful time of a batch on the measured line.
const BATCH_SECONDS: f64 = 20.0;
/// Records of each table that are read to estimate their size.
const SAMPLE: usize = 20;
/// The bytes around a record's data on the wire.
const ENVELOPE: u64 = 120;

/// The limits for each server.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct NetLimits {
    /// No further request after this time.
    pub time: Duration,
    /// No further records after so many bytes.
    pub bytes: u64,
}

impl NetLimits {
    /// No further request after this time, and no further records after so many bytes.
    pub fn new(time: Duration, bytes: u64) -> Self {
        Self { time, bytes }
    }
}

/// The measurements and the conclusions.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct NetReport {
    /// The legacy server, then central.
    pub servers: Vec<ServerLine>,
    /// The estimated time of a first sync; `None` if no records came to measure.
    pub first_sync: Option<Prediction>,
    /// A good number of records in a pulled batch on this line; `None` if too few came.
    pub batch_records: Option<u32>,
}

/// The line to one server.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ServerLine {
    /// `legacy` or `central`.
    pub server: &'static str,
    /// Its address.
    pub url: String,
    /// The number of answered small requests.
    pub questions: u64,
    /// Their median time, in milliseconds.
    pub median_ms: Option<f64>,
    /// Their longest time, in milliseconds. The first, which also connects, does not count.
    pub worst_ms: Option<f64>,
    /// The number of records received for the measurement.
    pub records: u64,
    /// Their size, unpacked.
    pub bytes: u64,
    /// Their time.
    pub seconds: f64,
    /// Unpacked bytes a second, including the time of the server.
    pub bytes_per_second: Option<f64>,
    /// The server's number of records, from the first one on.
    pub total_records: Option<u64>,
    /// True if that is an estimate.
    pub is_estimate: bool,
    /// The error that stopped the measurement.
    pub error: Option<LoggedError>,
}

/// The estimated time of a first sync.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Prediction {
    /// In all.
    pub seconds: f64,
    /// Its parts.
    #[serde(rename = "predicted_parts")]
    pub parts: Vec<PredictedPart>,
}

/// The part of one server in a first sync.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct PredictedPart {
    /// `legacy` or `central`.
    pub server: &'static str,
    /// Records.
    pub records: u64,
    /// Their size, unpacked.
    pub bytes: u64,
    /// Their time.
    pub seconds: f64,
    /// The origin of the number of records.
    pub known_from: Message,
}

impl Localize for NetReport {
    fn each_message(&mut self, each: &mut dyn FnMut(&mut Message)) {
        let parts = self.first_sync.iter_mut().flat_map(|first| &mut first.parts);
        parts.for_each(|part| each(&mut part.known_from));
    }
}

impl ServerLine {
    fn new(server: &'static str, url: String) -> Self {
        Self {
            server,
            url,
            questions: 0,
            median_ms: None,
            worst_ms: None,
            records: 0,
            bytes: 0,
            seconds: 0.0,
            bytes_per_second: None,
            total_records: None,
            is_estimate: false,
            error: None,
        }
    }

    fn note_times(&mut self, mut times: Vec<f64>) {
        times.sort_by(f64::total_cmp);
        self.questions = times.len() as u64;
        self.median_ms = times.get(times.len() / 2).copied();
        self.worst_ms = times.last().copied();
    }

    /// True if enough was received for the time to show the line, and not the request.
    pub fn is_measured_well(&self) -> bool {
        self.records >= WELL
    }

    fn each(&self) -> Option<f64> {
        (self.records > 0).then(|| self.bytes as f64 / self.records as f64)
    }
}

impl SiteSupport {
    /// Measures the lines to both servers. Changes nothing, here or there: from central it only reads records that this
    /// site has not read yet, always from its cursor.
    ///
    /// # Errors
    /// [`NotSetUp`](crate::Error::NotSetUp); [`Cancelled`](crate::Error::Cancelled); the database failed. Errors of a
    /// server are in the report.
    pub fn line_test(&self, limits: &NetLimits, observer: &mut dyn SyncObserver) -> Result<NetReport> {
        self.measured(self.site.identity()?, limits, observer)
    }

    /// The same for a site that is to be set up with these settings, or whose database cannot be read. Like the set-up itself,
    /// the sign-in at the legacy server may bind the site to this machine.
    ///
    /// # Errors
    /// [`InvalidUrl`](crate::Error::InvalidUrl), [`NoMachineId`](crate::Error::NoMachineId);
    /// [`Cancelled`](crate::Error::Cancelled). Errors of a server are in the report.
    pub fn line_test_before_set_up(
        &self,
        settings: &Settings,
        limits: &NetLimits,
        observer: &mut dyn SyncObserver,
    ) -> Result<NetReport> {
        let mut identity = self.identity_of(settings)?;
        let config = SyncConfig { attempts: 1, ..self.site.config.clone() };
        let first = FirstAnswer::within(self.silence);
        let mut until_silent = first.observer(observer);
        let (transport, clock) = (self.site.transport.as_ref(), self.site.clock.as_ref());
        let mut client = Client::new(transport, clock, &config, &mut until_silent);
        let url = identity.legacy_url.clone();
        let ask = |client: &mut Client<'_>| client.legacy_get::<SiteInfo>(&identity, v5_path::SITE);
        let asked = first.of(&mut client, (Server::Legacy, &url), ask);
        drop(client);
        drop(until_silent);
        match asked {
            Ok(info) => {
                let url = info.om_supply_central_server_url.trim();
                identity.central_url = (!url.is_empty()).then(|| url.to_owned());
                identity.role = Some(if info.is_om_supply_central_server { Role::Central } else { Role::Remote });
            }
            Err(error @ Error::Cancelled) => return Err(error),
            // The first question of the measurement meets the same fault, and reports it.
            Err(_) => {}
        }
        self.measured(identity, limits, observer)
    }

    fn measured(&self, identity: Identity, limits: &NetLimits, observer: &mut dyn SyncObserver) -> Result<NetReport> {
        let config = SyncConfig { attempts: 1, ..self.site.config.clone() };
        let first = FirstAnswer::within(self.silence);
        let mut until_silent = first.observer(observer);
        let client = Client::new(self.site.transport.as_ref(), self.site.clock.as_ref(), &config, &mut until_silent);
        let mut meter = Meter { site: &self.site, identity: &identity, limits, client, first: &first };
        let mut servers = vec![meter.legacy()?];
        if identity.role == Some(Role::Remote) {
            servers.push(meter.central()?);
        }
        let first_sync = {
            let txn = self.site.storage.read()?;
            predict(txn.as_ref(), &identity, &servers)?
        };
        let measured = servers.iter().rev().find(|line| line.is_measured_well());
        let batch_records =
            measured.and_then(|line| Some(fitting(&self.site.config, line.each()?, line.bytes_per_second?)));
        Ok(NetReport { servers, first_sync, batch_records })
    }
}

struct Meter<'a> {
    site: &'a Site,
    identity: &'a Identity,
    limits: &'a NetLimits,
    client: Client<'a>,
    /// How long to wait for the first answer of a server.
    first: &'a FirstAnswer,
}

impl Meter<'_> {
    fn now(&self) -> Duration {
        self.site.clock.monotonic()
    }

    fn legacy(&mut self) -> Result<ServerLine> {
        let url = self.identity.legacy_url.clone();
        let mut line = ServerLine::new("legacy", shown(&url));
        let began = self.now();
        let outcome = self
            .questions(&mut line, (Server::Legacy, &url), began, |client, identity| {
                client.legacy_get::<LegacyStatus>(identity, v5_path::SITE_STATUS).map(|_| ())
            })
            .and_then(|()| self.central_data(&mut line, began));
        finish(line, outcome)
    }

    fn central(&mut self) -> Result<ServerLine> {
        let url = match self.identity.central_url() {
            Ok(url) => url,
            Err(error) => return finish(ServerLine::new("central", String::new()), Err(error)),
        };
        let mut line = ServerLine::new("central", shown(&url));
        let request = self.identity.status_request();
        let began = self.now();
        let outcome = self
            .questions(&mut line, (Server::Central, &url), began, |client, identity| {
                client.central::<v6::SiteStatus>(identity, &url, v6::path::SITE_STATUS, &request).map(|_| ())
            })
            .and_then(|()| self.pulled(&mut line, &url, began));
        finish(line, outcome)
    }

    /// Small requests, one after the other; the first, which also connects, does not count.
    fn questions(
        &mut self,
        line: &mut ServerLine,
        server: (Server, &Url),
        began: Duration,
        mut ask: impl FnMut(&mut Client<'_>, &Identity) -> Result<()>,
    ) -> Result<()> {
        let mut times = Vec::new();
        let identity = self.identity;
        self.first.of(&mut self.client, server, |client| ask(client, identity))?;
        for _ in 1..QUESTIONS {
            // Half of the time is for records.
            if self.now().saturating_sub(began) > self.limits.time / 2 && !times.is_empty() {
                break;
            }
            let asked = self.now();
            let answer = ask(&mut self.client, self.identity);
            if answer.is_ok() {
                times.push(self.now().saturating_sub(asked).as_secs_f64() * 1000.0);
            }
            if answer.is_err() {
                line.note_times(times);
                return answer;
            }
        }
        line.note_times(times);
        Ok(())
    }

    fn goes_on(&self, line: &ServerLine, began: Duration) -> bool {
        self.now().saturating_sub(began) < self.limits.time && line.bytes < self.limits.bytes
    }

    /// The number of records in the next request: more each time, within the limit of bytes.
    fn next_size(&self, line: &ServerLine, size: u32) -> u32 {
        let left = self.limits.bytes.saturating_sub(line.bytes) as f64;
        let fit = line.each().map_or(f64::from(FIRST), |each| left / each.max(1.0));
        (fit as u32).clamp(1, size.saturating_mul(4))
    }

    /// Central data of the legacy server, from the beginning.
    fn central_data(&mut self, line: &mut ServerLine, began: Duration) -> Result<()> {
        let (mut start, mut size) = (0, FIRST);
        while self.goes_on(line, began) {
            let path = format!("{}?cursor={start}&limit={size}", v5_path::CENTRAL_RECORDS);
            let (asked, before) = (self.now(), self.client.traffic.bytes_received);
            let batch: ReadCentralBatch = self.client.legacy_get(self.identity, &path)?;
            line.seconds += self.now().saturating_sub(asked).as_secs_f64();
            line.records += batch.data.len() as u64;
            line.bytes += self.client.traffic.bytes_received.saturating_sub(before);
            let last = batch.last_position().unwrap_or(0);
            if last <= start || last >= batch.max_cursor {
                (line.total_records, line.is_estimate) = (Some(line.records), false);
                break;
            }
            start = last;
            // Assumes as many empty positions in the rest as in the part that was read.
            let share = batch.max_cursor as f64 / last as f64;
            (line.total_records, line.is_estimate) = (Some((line.records as f64 * share).ceil() as u64), true);
            size = self.next_size(line, size).min(LEGACY_MOST as u32);
        }
        Ok(())
    }

    /// Central's records for this site, always from its cursor.
    fn pulled(&mut self, line: &mut ServerLine, url: &Url, began: Duration) -> Result<()> {
        let mut size = FIRST;
        let mut spent = 0;
        while spent < self.limits.bytes && self.now().saturating_sub(began) < self.limits.time {
            let asked = self.now();
            let (batch, bytes) = self.batch(url, size)?;
            let seconds = self.now().saturating_sub(asked).as_secs_f64();
            // The largest batch is the best measure.
            (line.records, line.bytes, line.seconds) = (batch.records.len() as u64, bytes, seconds);
            line.total_records = Some(batch.total_records.max(line.records));
            spent += line.bytes;
            if batch.is_last_batch {
                break;
            }
            let left = self.limits.bytes.saturating_sub(spent) as f64;
            let fit = (left / line.each().unwrap_or(1.0).max(1.0)) as u32;
            if fit <= size {
                break;
            }
            size = fit.min(size.saturating_mul(4)).min(self.site.config.pull_records_max.max(1));
            if u64::from(size) <= line.records {
                break;
            }
        }
        Ok(())
    }

    /// So many records from this site's cursor on, and their size.
    fn batch(&mut self, url: &Url, size: u32) -> Result<(ReadBatch, u64)> {
        let cursor = state::PULL_CURSOR_V6.get(self.site.storage.read()?.as_ref())?;
        let request = self.identity.dry_run_pull(cursor, size);
        let raw = self.client.central_raw(self.identity, url, v6::path::PULL, &request)?;
        let batch = read_batch(raw.get(), url)?;
        Ok((batch, raw.get().len() as u64))
    }
}

/// Records its end; errors that end everything are returned.
fn finish(mut line: ServerLine, outcome: Result<()>) -> Result<ServerLine> {
    if let Err(error) = outcome {
        if matches!(error.class(), ErrorClass::Cancelled | ErrorClass::LocalFault) {
            return Err(error);
        }
        line.error = Some((&error).into());
    }
    if line.records > 0 && line.seconds > 0.0 {
        line.bytes_per_second = Some(line.bytes as f64 / line.seconds);
    }
    Ok(line)
}

/// A good number of records in a batch.
fn fitting(config: &SyncConfig, each: f64, bytes_per_second: f64) -> u32 {
    let bytes = (config.pull_bytes as f64).min(bytes_per_second * BATCH_SECONDS);
    let most = config.pull_records_max.max(1);
    ((bytes / each.max(1.0)) as u32).clamp(most.min(16), most)
}

/// The time of a first sync: from the servers' numbers before it, from this database after it.
fn predict(txn: &dyn ReadTxn, identity: &Identity, servers: &[ServerLine]) -> Result<Option<Prediction>> {
    let mut here = [(0_u64, 0_u64); 2];
    if identity.initialised {
        for (table, count) in txn.record_counts()? {
            let sample = txn.records(&table, None, SAMPLE)?;
            let bytes: u64 = sample.iter().map(|(_, data)| data.as_str().len() as u64 + ENVELOPE).sum();
            let at = usize::from(record_type(table.as_str()).is_some_and(|kind| kind.pulled));
            here[at].0 += count;
            here[at].1 += bytes.saturating_mul(count) / (sample.len() as u64).max(1);
        }
    }
    let any_rate = servers.iter().find_map(|line| line.bytes_per_second);
    let mut parts = Vec::new();
    for (line, here) in servers.iter().zip(here) {
        let Some(rate) = line.bytes_per_second.or(any_rate) else { return Ok(None) };
        let (records, bytes, known_from) = match (identity.initialised, line.total_records) {
            (true, _) => (here.0, here.1, say::in_this_database()),
            (false, Some(total)) => {
                let known_from = match (line.server, line.is_estimate) {
                    ("central", _) => say::counted_by_central(),
                    (_, false) => say::received_whole(),
                    (_, true) => say::positions(),
                };
                (total, (line.each().unwrap_or(0.0) * total as f64) as u64, known_from)
            }
            (false, None) => return Ok(None),
        };
        let batches = records.div_ceil(500) + 1;
        let waits = batches as f64 * line.median_ms.unwrap_or(0.0) / 1000.0;
        let seconds = bytes as f64 / rate + waits;
        parts.push(PredictedPart { server: line.server, records, bytes, seconds, known_from });
    }
    Ok(Some(Prediction { seconds: parts.iter().map(|part| part.seconds).sum(), parts }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_fit_the_line() {
        let config = SyncConfig::default();
        assert_eq!(fitting(&config, 1000.0, 1e9), 4194, "the size that batches aim at");
        assert_eq!(fitting(&config, 1000.0, 5000.0), 100, "twenty seconds on a slow line");
        assert_eq!((fitting(&config, 1e7, 1e6), fitting(&config, 1.0, 1e9)), (16, 8000));
    }

    #[test]
    fn the_middle_and_the_worst() {
        let mut line = ServerLine::new("legacy", String::new());
        line.note_times(vec![9.0, 1.0, 3.0]);
        assert_eq!((line.median_ms, line.worst_ms, line.questions), (Some(3.0), Some(9.0), 3));
        line.note_times(Vec::new());
        assert_eq!((line.median_ms, line.worst_ms), (None, None));
    }
}
