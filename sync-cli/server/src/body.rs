//! Request bodies: within the size limit, the time limit, and the memory for all of them together.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use http_body_util::BodyExt as _;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

use crate::budget::{Budget, Evicted, Owner, Share, Trust, within};

/// The bytes of bodies that are being received.
const RECEIVING: usize = 64 * 1024 * 1024;
/// The share of one site or address: one body of the largest size, and some more.
const FAIR: usize = 16 * 1024 * 1024;
/// The bytes of bodies in work; a gzipped one counts with its largest possible size.
const WORKING: usize = 128 * 1024 * 1024;
/// The largest ratio of a gzipped body.
pub(super) const GZIP_RATIO: usize = 1032;
/// The unit of memory.
const UNIT: usize = 1024;
/// The bytes of each body that do not count: small requests are not larger, so no push delays them.
const UNCOUNTED: usize = 16 * 1024;
/// The bytes beyond its limit that are read and dropped, so that the sender reads the answer.
const THROWN_AWAY: usize = 3;
/// The time limit of a whole body, as a multiple of the patience.
const WHOLE: u32 = 60;

/// Why a body was refused.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum BodyRefusal {
    TooLarge,
    /// It came too slowly, or incomplete.
    TooSlow,
    Cut,
    /// Too much is being received or worked at.
    Busy,
}

/// A body that is being received, with its memory.
pub(super) struct Receiving {
    share: Share,
    leave: Arc<Notify>,
    counted: usize,
    length: usize,
}

/// A body with its memory.
pub(super) struct CountedBody {
    pub bytes: Vec<u8>,
    pub held: BodyMemory,
}

/// The memory of a complete body, until it is answered.
pub(super) struct BodyMemory {
    _share: Share,
    leave: Arc<Notify>,
}

impl BodyMemory {
    /// Waits for something, unless others need the memory meanwhile.
    pub(super) async fn unless_needed<T>(&self, wait: impl Future<Output = T>) -> Result<T, BodyRefusal> {
        unless_told(&self.leave, wait).await
    }
}

/// Waits for something that may be slow: meanwhile it can be dropped like a body that is still being sent.
async fn unless_told<T>(leave: &Notify, wait: impl Future<Output = T>) -> Result<T, BodyRefusal> {
    tokio::select! {
        done = wait => Ok(done),
        () = leave.notified() => Err(BodyRefusal::Busy),
    }
}

/// The memory for bodies.
pub(super) struct Memory {
    receiving: Arc<Budget>,
    working: Arc<Semaphore>,
}

impl Memory {
    pub(super) fn new() -> Self {
        let receiving = Budget::new(RECEIVING / UNIT, FAIR / UNIT, None);
        Self { receiving, working: Arc::new(Semaphore::new(WORKING / UNIT)) }
    }

    /// Starts to receive a body.
    pub(super) fn begin(&self, who: (Owner, Trust)) -> Receiving {
        let leave = Arc::new(Notify::new());
        Receiving { share: self.receiving.enter(who, leave.clone()), leave, counted: 0, length: 0 }
    }

    /// Receives a body of at most `limit` bytes.
    pub(super) async fn receive(
        &self,
        who: (Owner, Trust),
        mut body: Body,
        limit: usize,
        patience: Duration,
    ) -> Result<CountedBody, BodyRefusal> {
        let mut receiving = self.begin(who);
        let until = Instant::now() + patience * WHOLE;
        let mut bytes = Vec::new();
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let part = match receiving.part(&mut body, patience.min(left)).await {
                Err(BodyRefusal::TooSlow) if receiving.length > limit => return Err(BodyRefusal::TooLarge),
                Err(why) => return Err(why),
                Ok(None) => break,
                Ok(Some(part)) => part,
            };
            if receiving.length > limit {
                bytes = Vec::new();
                receiving.forget();
                if receiving.length > limit * (1 + THROWN_AWAY) {
                    return Err(BodyRefusal::TooLarge);
                }
                continue;
            }
            receiving.count(patience).await?;
            bytes.extend_from_slice(&part);
        }
        let Receiving { share, leave, length, .. } = receiving;
        let held = BodyMemory { _share: share, leave };
        if length > limit { Err(BodyRefusal::TooLarge) } else { Ok(CountedBody { bytes, held }) }
    }

    /// Waits for memory to work at a body of so many bytes, which has at most `limit` once it is decoded.
    pub(super) async fn for_work(
        &self,
        (bytes, is_gzipped): (usize, bool),
        limit: usize,
        patience: Duration,
    ) -> Result<Option<OwnedSemaphorePermit>, BodyRefusal> {
        let bytes = if is_gzipped { bytes.saturating_mul(GZIP_RATIO).min(limit) } else { bytes };
        if bytes <= UNCOUNTED {
            // It would wait behind the large ones.
            return Ok(None);
        }
        let units = u32::try_from(bytes.div_ceil(UNIT)).map_err(|_| BodyRefusal::TooLarge)?;
        match timeout(patience * 3, self.working.clone().acquire_many_owned(units)).await {
            Ok(Ok(permit)) => Ok(Some(permit)),
            _ => Err(BodyRefusal::Busy),
        }
    }
}

impl Receiving {
    /// The next part of a body; `None` at its end.
    pub(super) async fn part(
        &mut self,
        body: &mut Body,
        patience: Duration,
    ) -> Result<Option<axum::body::Bytes>, BodyRefusal> {
        loop {
            let part = match within(&self.leave, patience, body.frame()).await {
                Err(Evicted) => return Err(BodyRefusal::Busy),
                Ok(None) => return Err(BodyRefusal::TooSlow),
                Ok(Some(None)) => return Ok(None),
                Ok(Some(Some(Err(_)))) => return Err(BodyRefusal::Cut),
                Ok(Some(Some(Ok(frame)))) => frame.into_data(),
            };
            if let Ok(part) = part {
                self.length += part.len();
                self.share.moved(part.len());
                return Ok(Some(part));
            }
        }
    }

    /// Counts the received bytes.
    pub(super) async fn count(&mut self, patience: Duration) -> Result<(), BodyRefusal> {
        let needed = self.length.saturating_sub(UNCOUNTED).div_ceil(UNIT).saturating_sub(self.counted);
        if needed > 0 {
            match within(&self.leave, patience, self.share.grow(needed, patience)).await {
                Ok(Some(Ok(()))) => self.counted += needed,
                _ => return Err(BodyRefusal::Busy),
            }
        }
        Ok(())
    }

    /// Waits for something, unless others need the memory meanwhile.
    pub(super) async fn unless_needed<T>(&self, wait: impl Future<Output = T>) -> Result<T, BodyRefusal> {
        unless_told(&self.leave, wait).await
    }

    /// The signal to drop it.
    pub(super) fn leave(&self) -> Arc<Notify> {
        self.leave.clone()
    }

    /// Returns the memory: further bytes are not kept.
    pub(super) fn forget(&mut self) {
        self.share.shrink_to(0);
        self.counted = 0;
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(30);

    fn nobody(last: u8) -> (Owner, Trust) {
        (Owner::Address(Ipv4Addr::new(192, 0, 2, last).into()), Trust::Unknown)
    }

    async fn receive(memory: &Memory, who: (Owner, Trust), bytes: usize) -> Result<CountedBody, BodyRefusal> {
        memory.receive(who, Body::from(vec![b' '; bytes]), bytes, PATIENCE).await
    }

    #[tokio::test(start_paused = true)]
    async fn a_small_request_waits_for_no_large_one() {
        let memory = Memory::new();
        let limit = 10 * 1024 * 1024;
        let mut packed = Vec::new();
        while let Ok(Ok(permit)) = timeout(PATIENCE, memory.for_work((20_000, true), limit, PATIENCE)).await {
            packed.push(permit);
        }
        let next = tokio::time::timeout(Duration::from_millis(10), memory.for_work((20_000, true), limit, PATIENCE));
        assert!(packed.len() > 5 && next.await.is_err());
        assert!(memory.for_work((400, false), limit, PATIENCE).await.is_ok());
    }

    /// A complete body may wait long for a check of its sender: others need its memory.
    #[tokio::test(start_paused = true)]
    async fn whole_bodies_that_wait_give_way_as_those_that_are_still_sent() {
        let memory = Memory::new();
        let mut waiting = Vec::new();
        for _ in 0..7 {
            let taken = receive(&memory, nobody(1), 9_000_000).await.expect("there is room");
            waiting.push(tokio::spawn(async move { taken.held.unless_needed(std::future::pending::<()>()).await }));
        }
        tokio::time::advance(Duration::from_secs(2)).await;
        let known = (nobody(2).0, Trust::KnownAddress);
        let began = Instant::now();
        assert!(receive(&memory, known, 9_000_000).await.is_ok());
        assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
        let left = waiting.iter().filter(|waits| waits.is_finished()).count();
        assert!((1..7).contains(&left), "{left} gave way");
    }
}
