//! Lines that carry little at a time: they break after so many bytes, or are so slow that a request takes too long. Also a
//! central server that looks through a part of its changelog for each answer.

use std::time::Duration;

use serde_json::Value;
use sync_core::transport::{HttpRequest, HttpResponse, TransportError};

use super::Harsh;
use crate::lock;
use crate::network::unzipped;
use crate::promises::Promise;
use crate::run::{Phase, Sim};

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
    fn count(&self, site: usize, kept: usize, thrown_away: usize) {
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
            Phase::Quiet => !narrow.ends,
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
    pub(crate) fn carry_up(&self, site: usize, request: &HttpRequest) -> Result<(), TransportError> {
        let Some(harsh) = &self.harsh else { return Ok(()) };
        self.carry(harsh, site, request.body.len(), true)
    }

    /// The body of an answer on its way; an error if it does not come through.
    pub(crate) fn carry_down(&self, site: usize, response: &HttpResponse) -> Result<(), TransportError> {
        let Some(harsh) = &self.harsh else { return Ok(()) };
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
        let Some(narrow) = harsh.swarm.narrow else { return };
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
