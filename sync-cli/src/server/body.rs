//! Bodies of requests: never larger than the limit, never slower than the patience, and all of them together never more than
//! the memory that is meant for them.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use http_body_util::BodyExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout, timeout_at};

/// The bytes of bodies that are being received at once.
const RECEIVING: usize = 64 * 1024 * 1024;
/// The bytes of bodies that are being worked at at once; a gzipped one counts as large as it may become.
const WORKING: usize = 128 * 1024 * 1024;
/// The part of memory that is counted as one.
const UNIT: usize = 1024;
/// How much beyond its limit a body is read and thrown away, so that its sender reads the answer.
const THROWN_AWAY: usize = 3;
/// How much longer than the patience a whole body may take.
const WHOLE: u32 = 60;

/// Why a body was not taken.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NotTaken {
    TooLarge,
    /// It came too slowly, or not to its end.
    TooSlow,
    Cut,
    /// Too much is being received or worked at.
    Busy,
}

/// A body, and the memory that counts for it.
pub(super) struct Taken {
    pub bytes: Vec<u8>,
    _memory: Option<OwnedSemaphorePermit>,
}

/// The memory for bodies.
pub(super) struct Memory {
    receiving: Arc<Semaphore>,
    working: Arc<Semaphore>,
}

impl Memory {
    pub(super) fn new() -> Self {
        Self { receiving: semaphore(RECEIVING), working: semaphore(WORKING) }
    }

    /// Receives a body of at most `limit` bytes.
    pub(super) async fn receive(&self, mut body: Body, limit: usize, patience: Duration) -> Result<Taken, NotTaken> {
        let until = Instant::now() + patience * WHOLE;
        let mut bytes = Vec::new();
        let mut memory: Option<OwnedSemaphorePermit> = None;
        let mut length = 0;
        loop {
            let frame = match timeout_at(until.min(Instant::now() + patience), body.frame()).await {
                Err(_) => return Err(if length > limit { NotTaken::TooLarge } else { NotTaken::TooSlow }),
                Ok(None) => break,
                Ok(Some(Err(_))) => return Err(NotTaken::Cut),
                Ok(Some(Ok(frame))) => frame,
            };
            let Ok(part) = frame.into_data() else { continue };
            length += part.len();
            if length > limit {
                bytes = Vec::new();
                memory = None;
                if length > limit * (1 + THROWN_AWAY) {
                    return Err(NotTaken::TooLarge);
                }
                continue;
            }
            let needed = length.div_ceil(UNIT) - memory.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
            let more = acquire(&self.receiving, needed, patience).await?;
            match &mut memory {
                Some(memory) => memory.merge(more),
                None => memory = Some(more),
            }
            bytes.extend_from_slice(&part);
        }
        if length > limit { Err(NotTaken::TooLarge) } else { Ok(Taken { bytes, _memory: memory }) }
    }

    /// Waits until there is memory to work at a body that may have this many bytes once it is decoded.
    pub(super) async fn for_work(&self, bytes: usize, patience: Duration) -> Result<OwnedSemaphorePermit, NotTaken> {
        acquire(&self.working, bytes.div_ceil(UNIT), patience * 3).await
    }
}

fn semaphore(bytes: usize) -> Arc<Semaphore> {
    Arc::new(Semaphore::new(bytes / UNIT))
}

async fn acquire(memory: &Arc<Semaphore>, units: usize, patience: Duration) -> Result<OwnedSemaphorePermit, NotTaken> {
    let units = u32::try_from(units).map_err(|_| NotTaken::TooLarge)?;
    match timeout(patience, memory.clone().acquire_many_owned(units)).await {
        Ok(Ok(permit)) => Ok(permit),
        _ => Err(NotTaken::Busy),
    }
}
