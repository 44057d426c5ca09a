//! Releases: sites and a central server of older ones, which read, say and hear less, and rise in the course of a run.

use std::collections::BTreeMap;

use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};
use sync_core::protocol::v6::path;
use sync_core::storage::state;
use sync_core::transport::{HttpRequest, HttpResponse, TransportError};

use super::Harsh;
use crate::lock;
use crate::network::unzipped;
use crate::rules::{self, Release, release_of};
use crate::run::{Chance, Phase, Sim, Spot};

/// Releases in the field that read less than the newest.
const RELEASES: [&str; 4] = ["2.4.0", "2.8.0", "2.13.0", "2.17.0"];

/// The release that some sites still have when all is quiet: it reads every deletion that tells of a loss.
const STAYS: &str = "2.17.0";

/// The keys that only this project sends and reads.
const OURS: [&str; 10] = [
    "copies",
    "copy_refused_at",
    "idleAnswers",
    "lost_history",
    "pushChain",
    "readTo",
    "refused",
    "refusedUpTo",
    "refused_up_to",
    "sent_since",
];

/// How often a site of Open mSupply 2.x sends a request that did not come through.
const TRIES: u32 = 3;

/// An object whose values stay as they are written, to the letter.
type Object = BTreeMap<String, Box<RawValue>>;

/// A message without what only this project says; its records in the spelling of an older release if wanted.
fn without_ours(body: &[u8], is_respelled: bool) -> Option<Vec<u8>> {
    let mut message: Object = serde_json::from_slice(body).ok()?;
    message.retain(|key, _| !OURS.contains(&key.as_str()));
    for part in ["batch", "data"] {
        let Some(mut batch) = message.get(part).and_then(|raw| serde_json::from_str::<Object>(raw.get()).ok()) else {
            continue;
        };
        batch.retain(|key, _| !OURS.contains(&key.as_str()));
        let records = batch.get("records").and_then(|raw| serde_json::from_str::<Vec<Object>>(raw.get()).ok());
        if let Some(mut records) = records {
            for element in &mut records {
                element.retain(|key, _| !OURS.contains(&key.as_str()));
                if let Some(older) = element.get("record").filter(|_| is_respelled).and_then(|raw| respelled(raw)) {
                    element.insert("record".to_owned(), older);
                }
            }
            batch.insert("records".to_owned(), to_raw_value(&records).ok()?);
        }
        message.insert(part.to_owned(), to_raw_value(&batch).ok()?);
    }
    serde_json::to_vec(&message).ok()
}

/// A record in the spelling of releases before 2.17.0, if that is another one.
fn respelled(record: &RawValue) -> Option<Box<RawValue>> {
    let mut record: Object = serde_json::from_str(record.get()).ok()?;
    let table: String = serde_json::from_str(record.get("tableName")?.get()).ok()?;
    let older = rules::spelled_before(&table, record.get("recordData")?.get())?;
    record.insert("recordData".to_owned(), RawValue::from_string(older).ok()?);
    to_raw_value(&record).ok()
}

impl Harsh {
    /// The release that an end says it has, if it is an older one.
    fn release(&self, end: usize) -> Option<&'static str> {
        lock(&self.releases).get(&end).copied()
    }

    /// Whether an end is of an older release now.
    pub(crate) fn is_old(&self, end: usize) -> bool {
        self.release(end).is_some()
    }

    /// Whether any end is of an older release now, so that it has records in the spelling of that.
    pub(crate) fn any_is_old(&self) -> bool {
        !lock(&self.releases).is_empty()
    }

    /// Whether ends of older releases say and hear only what those do.
    pub(crate) fn has_upstream(&self) -> bool {
        self.swarm.upstream
    }

    /// Whether an end is one of Open mSupply, of an older release.
    fn is_upstream(&self, end: usize) -> bool {
        self.swarm.upstream && self.is_old(end)
    }
}

impl Sim {
    /// Some sites begin with an older release, and central too.
    pub(crate) fn begin_harshly(&self) {
        let Some(harsh) = &self.harsh else { return };
        if harsh.swarm.old {
            for site in 1..self.ends.len() {
                if self.happens(Chance::Harsh, 500) {
                    self.begins_with(harsh, site, RELEASES[self.roll(Chance::Harsh, RELEASES.len())]);
                }
            }
        }
        if harsh.swarm.old_central {
            self.begins_with(harsh, 0, RELEASES[1 + self.roll(Chance::Harsh, RELEASES.len() - 1)]);
        }
    }

    fn begins_with(&self, harsh: &Harsh, end: usize, release: &'static str) {
        self.note(|| format!("{} has release {release}", self.ends[end].name));
        lock(&harsh.releases).insert(end, release);
    }

    /// A site gets the newest release; or any end gets one, and has what it could not read tried again.
    pub(super) fn raise_release(&self, harsh: &Harsh) {
        let end = self.roll(Chance::Harsh, self.ends.len());
        if self.stays_old(harsh, end) {
            return;
        }
        let was_old = lock(&harsh.releases).remove(&end).is_some();
        if was_old && end > 0 {
            // It may be answered from further back now.
            lock(&self.state).may_fall[end][0] += 1;
        }
        if self.ends[end].is_busy() || self.ends[end].is_down() {
            return;
        }
        self.note(|| format!("{} gets a newer release", self.ends[end].name));
        let storage = self.ends[end].process().raw;
        let txn = storage.write().expect("a transaction");
        state::LIBRARY_VERSION.set(txn.as_ref(), "an older one").expect("a state");
        txn.commit().expect("a commit");
    }

    /// Whether an end keeps its older release to the end of the run.
    fn stays_old(&self, harsh: &Harsh, end: usize) -> bool {
        let release = harsh.release(end);
        harsh.swarm.stays_old && release.is_some() && (end == 0 || release == Some(STAYS))
    }

    /// All ends have the newest release, but for those that keep an older one; the judge is told of these.
    pub(super) fn heal_releases(&self, harsh: &Harsh) {
        let old: Vec<usize> = lock(&harsh.releases).keys().copied().collect();
        for end in old {
            if self.stays_old(harsh, end) {
                let release = harsh.release(end).and_then(release_of);
                lock(&self.ledger).releases.extend(release.filter(|_| end > 0).map(|release| (end, release)));
                continue;
            }
            lock(&harsh.releases).remove(&end);
            if end > 0 {
                lock(&self.state).may_fall[end][0] += 1;
            }
        }
    }

    /// Whether hosts at an end write records of a table: its release has it, and that of central.
    pub(crate) fn has_table(&self, end: usize, table: &str) -> bool {
        let Some(harsh) = self.harsh.as_ref().filter(|harsh| harsh.swarm.upstream) else { return true };
        let release = |end: usize| harsh.release(end).and_then(release_of);
        [0, end].into_iter().filter_map(release).all(|release| rules::since(table) <= release)
    }

    /// A request as a site of an older release sends it.
    pub(crate) fn in_its_release(&self, site: usize, request: &HttpRequest) -> Option<HttpRequest> {
        let harsh = self.harsh.as_ref()?;
        let release = harsh.release(site).filter(|_| site > 0)?;
        let text = String::from_utf8(unzipped(request)).ok()?;
        let (before, rest) = text.split_once("\"appVersion\":\"")?;
        let (_, after) = rest.split_once('"')?;
        let mut older = request.clone();
        older.headers.retain(|(name, _)| !name.eq_ignore_ascii_case("content-encoding"));
        older.body = format!("{before}\"appVersion\":\"{release}\"{after}").into_bytes();
        if harsh.is_upstream(site)
            && let Some(body) = without_ours(&older.body, is_spelled_before(release))
        {
            older.body = body;
        }
        Some(older)
    }

    /// An answer as a site of an older release reads it.
    pub(crate) fn as_its_release_reads(&self, site: usize, response: &mut HttpResponse) {
        let is_upstream = self.harsh.as_ref().is_some_and(|harsh| site > 0 && harsh.is_upstream(site));
        if let Some(body) = is_upstream.then(|| without_ours(&response.body, false)).flatten() {
            response.body = body;
        }
    }

    /// Sends a request as often as a site of its release does.
    pub(crate) fn send_as_its_release(
        &self,
        site: usize,
        send: impl Fn() -> Result<HttpResponse, TransportError>,
    ) -> Result<HttpResponse, TransportError> {
        let is_upstream = self.harsh.as_ref().is_some_and(|harsh| site > 0 && harsh.is_upstream(site));
        let tries = if is_upstream { TRIES } else { 1 };
        for _ in 1..tries {
            match send() {
                // The same request at once: nobody knows what came of the one before.
                Err(TransportError::Broken(_) | TransportError::TimedOut(_) | TransportError::Unreachable(_)) => {}
                Ok(response) if response.status == 408 => {}
                answered => return answered,
            }
        }
        send()
    }

    /// A request as a central server of an older release reads it.
    pub(crate) fn as_older_central_reads(&self, received: &mut HttpRequest) {
        if !self.has_older_central() {
            return;
        }
        let json = unzipped(received);
        let Some(mut body) = without_ours(&json, false) else { return };
        if let Ok(mut message) = serde_json::from_slice::<Object>(&body)
            && message.remove("looksOnly").is_some()
        {
            body = serde_json::to_vec(&message).unwrap_or(body);
        }
        received.headers.retain(|(name, _)| !name.eq_ignore_ascii_case("content-encoding"));
        received.body = body;
    }

    /// An answer as a central server of an older release gives it. It reads the end of its changelog, and how many rows are
    /// left, after the rows: what was written meanwhile counts.
    pub(crate) fn as_older_central_answers(&self, received: &HttpRequest, response: &mut HttpResponse) {
        let release = self.harsh.as_ref().and_then(|harsh| harsh.release(0));
        let Some(release) = release.filter(|_| self.has_older_central()) else { return };
        let Some(body) = without_ours(&response.body, is_spelled_before(release)) else { return };
        response.body = body;
        if received.url.ends_with(path::PULL) {
            if lock(&self.state).phase == Phase::Chaos && self.happens(Chance::Harsh, 300) {
                self.meanwhile(Spot::Transaction, 0);
                if self.happens(Chance::Harsh, 500) && lock(&self.state).depth < 3 {
                    self.host(0);
                }
            }
            self.ends_as_upstream(received, response);
        }
    }

    pub(crate) fn has_older_central(&self) -> bool {
        self.harsh.as_ref().is_some_and(|harsh| harsh.is_upstream(0))
    }

    fn ends_as_upstream(&self, received: &HttpRequest, response: &mut HttpResponse) -> Option<()> {
        let asked: Value = serde_json::from_slice(&received.body).ok()?;
        let mut answer: Object = serde_json::from_slice(&response.body).ok()?;
        let mut batch: Object = serde_json::from_str(answer.get("data")?.get()).ok()?;
        let number = |key: &str| serde_json::from_str::<u64>(batch.get(key)?.get()).ok();
        let (end, total) = (number("end_cursor")?, number("total_records")?);
        let records: Vec<&RawValue> = serde_json::from_str(batch.get("records")?.get()).ok()?;
        let (given, is_last) = (records.len() as u64, batch.get("is_last_batch")?.get() == "true");
        let newest = self.ends[0].process().raw.read().and_then(|txn| txn.last_cursor()).ok()?.0;
        if !is_last || newest <= end {
            return Some(());
        }
        if given == 0 {
            batch.insert("end_cursor".to_owned(), to_raw_value(&newest).ok()?);
        } else if Some(given) == asked["batchSize"].as_u64() {
            batch.insert("is_last_batch".to_owned(), to_raw_value(&false).ok()?);
            batch.insert("total_records".to_owned(), to_raw_value(&(total + 1)).ok()?);
        }
        answer.insert("data".to_owned(), to_raw_value(&batch).ok()?);
        response.body = serde_json::to_vec(&answer).ok()?;
        Some(())
    }
}

/// Whether a release spells keys as before 2.17.0.
fn is_spelled_before(release: &str) -> bool {
    release_of(release).is_some_and(|release: Release| release < rules::SPELLED_AS_TODAY)
}
