//! Lines by rate: a body takes as long as its bytes do, breaks at any of them or at any moment, and stalls.

use std::time::Duration;

use fastrand::Rng;
use serde_json::Value;
use sync_core::protocol::v6::path;
use sync_core::transport::{HttpRequest, HttpResponse, TransportError};

use super::Harsh;
use crate::lock;
use crate::network::unzipped;
use crate::promises::Promise;
use crate::run::{Chance, Phase, Sim, Spot};

/// A transport gives up if no byte moves for so long.
const STALLED: Duration = Duration::from_secs(180);

/// A transport gives up if no answer begins for so long.
const UNANSWERED: Duration = Duration::from_secs(600);

/// A batch that takes longer is too large for its line.
const SLOW: Duration = Duration::from_secs(30);

/// A batch of so many records is not too large for any line.
const SMALL: u64 = 16;

/// How long a body is on its way before other things happen.
const PIECE: Duration = Duration::from_secs(10);

/// How often other things happen while one body is on its way, at most.
const PIECES_MAX: u32 = 8;

/// Bytes a second that a line may carry.
const SPEEDS: [u64; 6] = [500, 1000, 2000, 5000, 20_000, 50_000];

/// How many bytes a second a line carries, and how often it breaks or stalls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Bytes of requests.
    pub up: u64,
    /// Bytes of answers.
    pub down: u64,
    /// The seconds of carrying after which it breaks, on average; never if 0.
    pub breaks: u64,
    /// How often of a thousand pieces of a body it stalls.
    pub stalls: u32,
}

impl Rate {
    /// The lines of all ends of a world.
    pub(super) fn of_all(rng: &mut Rng) -> Vec<Self> {
        let (breaks, stalls) = ([0, 30, 120, 600][rng.usize(..4)], [0, 0, 30, 150][rng.usize(..4)]);
        let mut speed = || SPEEDS[rng.usize(..SPEEDS.len())];
        (0..20).map(|_| Self { up: speed(), down: speed(), breaks, stalls }).collect()
    }
}

/// A body on its way over a line by rate.
struct Carried {
    bytes: u64,
    came: u64,
    per_second: u64,
}

impl Carried {
    /// How long the rest takes.
    fn left(&self) -> Duration {
        Duration::from_millis((self.bytes - self.came).saturating_mul(1000).div_ceil(self.per_second))
    }

    /// Bytes move for so long.
    fn moves(&mut self, time: Duration) {
        let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        self.came = self.came.saturating_add(millis.saturating_mul(self.per_second) / 1000).min(self.bytes);
    }
}

impl Harsh {
    /// The line of an end, if it is one by rate.
    fn rate(&self, site: usize) -> Option<Rate> {
        self.swarm.rates.get(site).copied()
    }
}

impl Sim {
    /// Lets the time pass that a body takes over a line by rate; an error if the line breaks or stalls for too long. What happens
    /// meanwhile takes time in which the bytes move on.
    pub(super) fn carry_by_rate(
        &self,
        harsh: &Harsh,
        request: (usize, &HttpRequest),
        (bytes, is_up, nests): (usize, bool, bool),
    ) -> Result<(), TransportError> {
        let (site, request) = request;
        let Some(rate) = harsh.rate(site).filter(|_| lock(&self.state).phase != Phase::SetUp) else { return Ok(()) };
        let per_second = if is_up { rate.up } else { rate.down };
        let mut body = Carried { bytes: bytes as u64, came: 0, per_second };
        let piece = PIECE.max(body.left() / PIECES_MAX);
        let broken = |came: u64, error: TransportError| {
            harsh.count(site, 0, usize::try_from(came).unwrap_or(usize::MAX));
            self.note(|| {
                let way = if is_up { "up" } else { "down" };
                format!("site {site}: {came} of {bytes} bytes come through on the way {way}: {error:?}")
            });
            Err(error)
        };
        while body.came < body.bytes {
            let began = self.time.now();
            let next = body.left().min(piece);
            if let Some(after) = self.breaks_within(rate, next) {
                self.time.pass(after);
                body.moves(after);
                return broken(body.came, cut(is_up));
            }
            if let Some(stall) = self.stalls(rate) {
                self.time.pass(stall.min(STALLED));
                if stall >= STALLED {
                    return broken(body.came, TransportError::TimedOut("no byte moved for three minutes".into()));
                }
            }
            let stalled = self.time.now().saturating_sub(began);
            self.time.pass(next);
            if nests && body.left() > next {
                self.meanwhile(Spot::Request, site);
                if let Some(error) = self.unreachable(site, request) {
                    return broken(body.came, error);
                }
            }
            body.moves(self.time.now().saturating_sub(began).saturating_sub(stalled));
        }
        harsh.count(site, bytes, 0);
        Ok(())
    }

    /// Lets the time pass that a piece of a file takes; an error if the line breaks.
    pub(crate) fn carry_piece(&self, site: usize, bytes: usize, is_up: bool) -> Result<(), TransportError> {
        let Some(rate) = self.harsh.as_ref().and_then(|harsh| harsh.rate(site)) else { return Ok(()) };
        let per_second = if is_up { rate.up } else { rate.down };
        let body = Carried { bytes: bytes as u64, came: 0, per_second };
        match self.breaks_within(rate, body.left()) {
            Some(after) => {
                self.time.pass(after);
                self.note(|| format!("site {site}: the line breaks while a file is on its way"));
                Err(cut(is_up))
            }
            None => {
                self.time.pass(body.left());
                Ok(())
            }
        }
    }

    /// After how long the line breaks, if it does within this time.
    fn breaks_within(&self, rate: Rate, time: Duration) -> Option<Duration> {
        let is_chaos = lock(&self.state).phase == Phase::Chaos;
        let average = usize::try_from(rate.breaks * 1000).unwrap_or(0);
        if !is_chaos || average == 0 {
            return None;
        }
        let millis = usize::try_from(time.as_millis()).unwrap_or(usize::MAX);
        let at = self.roll(Chance::Line, average);
        // Of a longer time, only the part that is as long as the average is sure to have a break in it.
        (at < millis).then(|| Duration::from_millis(at as u64))
    }

    /// For how long the line stalls, if it does.
    fn stalls(&self, rate: Rate) -> Option<Duration> {
        let is_chaos = lock(&self.state).phase == Phase::Chaos;
        let stalls = is_chaos && self.happens(Chance::Line, rate.stalls);
        stalls.then(|| Duration::from_secs([5, 60, 170, 190, 900][self.roll(Chance::Line, 5)]))
    }

    /// An error if a server took too long to begin its answer, over a line by rate. Nobody knows then what came of the request.
    pub(crate) fn answers_in_time(&self, site: usize, since: Duration) -> Result<(), TransportError> {
        let by_rate = self.harsh.as_ref().is_some_and(|harsh| harsh.rate(site).is_some());
        if by_rate && self.time.now().saturating_sub(since) > UNANSWERED {
            self.note(|| format!("site {site}: no answer within ten minutes"));
            return Err(TransportError::TimedOut("no answer within ten minutes".into()));
        }
        Ok(())
    }

    /// Over a slow line, the pull after a batch that took too long asks for less.
    pub(crate) fn check_slow_pull(&self, site: usize, request: &HttpRequest) {
        let Some(harsh) = self.harsh.as_ref().filter(|_| request.url.ends_with(path::PULL)) else { return };
        let Some((from, took_long)) = lock(&harsh.slow_pulls).remove(&site) else { return };
        let asked: Value = serde_json::from_slice(&unzipped(request)).unwrap_or_default();
        let (again, asked) = (asked["cursor"] == from, asked["batchSize"].as_u64().unwrap_or(0));
        if again {
            let what =
                format!("site {site} asks from {from} again, which took more than half a minute and came through");
            self.violate(Promise::NothingIsWasted, what);
        } else if asked > SMALL && asked > took_long * 3 / 4 {
            let what = format!("site {site} asks for {asked} records after {took_long} took more than half a minute");
            self.violate(Promise::NothingIsWasted, what);
        }
    }

    /// Notes a batch that took too long.
    pub(crate) fn note_slow_pull(
        &self,
        site: usize,
        (request, began): (&HttpRequest, Duration),
        response: &HttpResponse,
    ) {
        let Some(harsh) = self.harsh.as_ref().filter(|_| request.url.ends_with(path::PULL)) else { return };
        let is_slow = self.time.now().saturating_sub(began) > SLOW && self.ends[site].is_busy();
        if harsh.rate(site).is_none() || !is_slow {
            return;
        }
        let answer: Value = serde_json::from_slice(&response.body).unwrap_or_default();
        let records = answer["data"]["records"].as_array().map_or(0, Vec::len) as u64;
        let asked: Value = serde_json::from_slice(&unzipped(request)).unwrap_or_default();
        if records > SMALL {
            lock(&harsh.slow_pulls).insert(site, (asked["cursor"].as_u64().unwrap_or(0), records));
        }
    }

    /// A cycle begins: what took long in the one before says nothing any more.
    pub(crate) fn forget_slow_pull(&self, site: usize) {
        if let Some(harsh) = &self.harsh {
            lock(&harsh.slow_pulls).remove(&site);
        }
    }
}

fn cut(is_up: bool) -> TransportError {
    if is_up { TransportError::Broken("reset".into()) } else { TransportError::CutOff("the line broke".into()) }
}
