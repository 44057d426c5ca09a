//! What happened, in order: kept as text when somebody wants to read it, and as one number that two runs must share.

use std::sync::Mutex;

use crate::lock;

/// The trace of a run.
#[derive(Debug, Default)]
pub struct Trace {
    wanted: bool,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    lines: Vec<String>,
    hash: u64,
}

impl Trace {
    /// A trace; nothing is noted unless it is `wanted`.
    pub fn new(wanted: bool) -> Self {
        Self { wanted, inner: Mutex::default() }
    }

    /// Notes a line.
    pub fn note(&self, line: impl FnOnce() -> String) {
        if !self.wanted {
            return;
        }
        let line = line();
        let mut inner = lock(&self.inner);
        // FNV-1a.
        let hash = line.bytes().fold(inner.hash ^ 0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        inner.hash = hash;
        inner.lines.push(line);
    }

    /// One number for all lines.
    pub fn hash(&self) -> u64 {
        lock(&self.inner).hash
    }

    /// The lines.
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut lock(&self.inner).lines)
    }
}
