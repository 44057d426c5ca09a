//! Lines that carry little at a time: they break after so many bytes, or are so slow that a request takes too long. Also a
//! central server that looks through a part of its changelog for each answer.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use serde_json::Value;
use sync_core::SyncOptions;
use sync_core::record::Cursor;
use sync_core::storage::{Selection, state};
use sync_core::transport::{HttpRequest, HttpResponse, TransportError};

use super::Harsh;
use super::people::LARGE;
use crate::ledger::Version;
use crate::lock;
use crate::network::unzipped;
use crate::promises::{Promise, shown};
use crate::run::{Chance, Phase, Sim};

/// How long a request may take.
const TOO_LONG: Duration = Duration::from_secs(60);

/// How often a line may break before the size is found that comes through: once for each halving, in each of four
/// directions, and as often again where records are larger than those before.
const BREAKS: u64 = 80;

/// The bytes that went over the line of a site.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Bytes {
    /// In bodies that came through.
    kept: u64,
    /// In bodies that did not.
    thrown_away: u64,
}

impl Harsh {
    pub(super) fn count(&self, site: usize, kept: usize, thrown_away: usize) {
        let mut bytes = lock(&self.bytes);
        let known = bytes.len().max(site + 1);
        bytes.resize(known, Bytes::default());
        bytes[site].kept += kept as u64;
        bytes[site].thrown_away += thrown_away as u64;
    }

    /// How many of so many bytes come through before the line of this moment breaks; nothing if all do.
    fn breaks_after(&self, phase: Phase, bytes: usize, is_up: bool) -> Option<usize> {
        let narrow = self.swarm.narrow.filter(|narrow| match phase {
            Phase::SetUp => false,
            Phase::Chaos => true,
            Phase::Quiet => !narrow.ends || self.line_stays.load(Relaxed),
        })?;
        let most = if is_up { narrow.up } else { narrow.down };
        (bytes > most).then_some(most)
    }

    fn is_slow(&self) -> bool {
        self.swarm.narrow.is_some_and(|narrow| narrow.is_slow)
    }
}

impl Sim {
    /// The body of a request on its way; an error if it does not come through.
    pub(crate) fn carry_up(&self, site: usize, request: &HttpRequest, nests: bool) -> Result<(), TransportError> {
        let Some(harsh) = &self.harsh else { return Ok(()) };
        if !harsh.swarm.rates.is_empty() {
            return self.carry_by_rate(harsh, (site, request), (request.body.len(), true, nests));
        }
        self.carry(harsh, site, request.body.len(), true)
    }

    /// The body of an answer on its way; an error if it does not come through.
    pub(crate) fn carry_down(
        &self,
        site: usize,
        (request, response): (&HttpRequest, &HttpResponse),
        nests: bool,
    ) -> Result<(), TransportError> {
        let Some(harsh) = &self.harsh else { return Ok(()) };
        if !harsh.swarm.rates.is_empty() {
            return self.carry_by_rate(harsh, (site, request), (response.body.len(), false, nests));
        }
        self.carry(harsh, site, response.body.len(), false)
    }

    fn carry(&self, harsh: &Harsh, site: usize, bytes: usize, is_up: bool) -> Result<(), TransportError> {
        let phase = lock(&self.state).phase;
        let Some(most) = harsh.breaks_after(phase, bytes, is_up) else {
            harsh.count(site, bytes, 0);
            return Ok(());
        };
        harsh.count(site, 0, most);
        let way = if is_up { "up" } else { "down" };
        self.note(|| format!("site {site}: {most} of {bytes} bytes come through on the way {way}"));
        Err(match (harsh.is_slow(), is_up) {
            (true, _) => {
                self.time.pass(TOO_LONG);
                TransportError::TimedOut("no end of it".into())
            }
            (false, true) => TransportError::Broken("reset".into()),
            (false, false) => TransportError::CutOff("the line broke".into()),
        })
    }

    /// Over a line that carries little at a time, what is thrown away stays below what comes through, but for what it takes
    /// to find the size that does.
    pub(crate) fn check_bytes(&self, harsh: &Harsh) {
        // What is too large for a line is tried again and again.
        let Some(narrow) = harsh.swarm.narrow.filter(|narrow| !narrow.ends) else { return };
        let most = narrow.up.max(narrow.down) as u64;
        let wasteful = lock(&harsh.bytes)
            .iter()
            .enumerate()
            .find(|(_, bytes)| bytes.thrown_away > bytes.kept + BREAKS * most)
            .map(|(site, bytes)| (site, *bytes));
        if let Some((site, bytes)) = wasteful {
            let what = format!("over the line of site {site}, which carries {narrow:?}, went {bytes:?}");
            self.violate(Promise::NothingIsWasted, what);
        }
    }

    /// Where records are too large for a line, all others go on: each was sent within a few rounds.
    pub(crate) fn others_go_on(&self, harsh: &Harsh) {
        if harsh.swarm.large == 0 || !harsh.swarm.narrow.is_some_and(|narrow| narrow.ends) {
            return;
        }
        harsh.line_stays.store(true, Relaxed);
        for _ in 0..4 {
            self.time.pass(Duration::from_secs(3600));
            for site in usize::from(self.legacy.is_none())..self.ends.len() {
                self.cycle(site, &SyncOptions::default());
                self.integrate();
            }
        }
        harsh.line_stays.store(false, Relaxed);
        let is_small = |version: &&Version| version.content.as_ref().is_none_or(|content| content.len() < LARGE);
        // Who was restored, or whose central was, reads before it sends.
        let all_send = lock(&self.ledger).restored.is_empty();
        for site in (1..self.ends.len()).filter(|site| all_send && self.is_initialised(*site)) {
            let ledger = lock(&self.ledger);
            let held_up = ledger.unsent(site).filter(|version| ledger.is_of_v6(&version.key.0)).find(is_small).cloned();
            drop(ledger);
            if let Some(version) = held_up {
                let what = format!("site {site} sends no {}, because another record is too large", shown(&version.key));
                self.violate(Promise::ItEnds, what);
            }
        }
    }

    /// Whether a site has run its first cycle to its end.
    fn is_initialised(&self, site: usize) -> bool {
        let storage = self.ends[site].process().raw;
        storage.read().and_then(|txn| state::INITIALISED_AT.is_set(txn.as_ref())).unwrap_or(false)
    }

    /// An upstream central server deletes its newest row, one that goes to nobody: where nothing is left to send, its
    /// changelog ends one earlier, until something is written.
    pub(crate) fn without_newest(&self, response: &mut HttpResponse) {
        let Some(harsh) = self.harsh.as_ref().filter(|harsh| harsh.swarm.newest_gone) else { return };
        let Ok(mut answer) = serde_json::from_slice::<Value>(&response.body) else { return };
        // Such a server sends no answers ahead, which would still know the row.
        if answer.as_object_mut().is_some_and(|answer| answer.remove("idleAnswers").is_some()) {
            response.body = answer.to_string().into_bytes();
            return;
        }
        let batch = &mut answer["data"];
        let is_end = batch["is_last_batch"] == true && batch["records"].as_array().is_some_and(Vec::is_empty);
        let Some(end) = batch["end_cursor"].as_u64().filter(|_| is_end) else { return };
        let mut gone = lock(&harsh.newest_gone);
        if !gone.contains(&end) {
            let goes = self.is_for_nobody(end) && lock(&self.state).phase == Phase::Chaos;
            // One row at a time: two of them are like a restore.
            if goes && self.happens(Chance::Harsh, 300) && !gone.contains(&(end - 1)) {
                gone.insert(end);
            }
        }
        // A row that is gone stays so: a number that comes again shows a restore.
        if gone.contains(&end) {
            batch["end_cursor"] = (end - 1).into();
            response.body = answer.to_string().into_bytes();
        }
    }

    /// Whether the row of central's changelog at this position goes to no site.
    fn is_for_nobody(&self, at: u64) -> bool {
        let storage = self.ends[0].process().raw;
        let rows = storage.read().and_then(|txn| txn.changes(&Selection::All, Cursor(at), 1)).unwrap_or_default();
        rows.first().is_some_and(|row| row.change.table == *"system_log" && row.cursor == Cursor(at))
    }

    /// What a central server answers that looks through a part of its changelog only: up to the first record if that is
    /// further on, it says how far it looked.
    pub(crate) fn looked_through(&self, request: &HttpRequest, response: &mut HttpResponse) {
        let Some(window) = self.harsh.as_ref().map(|harsh| harsh.swarm.window).filter(|window| *window > 0) else {
            return;
        };
        let asked: Value = serde_json::from_slice(&unzipped(request)).unwrap_or_default();
        let Ok(mut answer) = serde_json::from_slice::<Value>(&response.body) else { return };
        let Some(asked) = asked["cursor"].as_u64() else { return };
        let Some(first) = answer["data"]["records"][0]["cursor"].as_u64() else { return };
        if first < asked.saturating_add(window) {
            return;
        }
        let batch = &mut answer["data"];
        batch["end_cursor"] = (asked + window - 1).into();
        batch["records"] = Value::Array(Vec::new());
        batch["is_last_batch"] = false.into();
        response.body = answer.to_string().into_bytes();
    }
}
