//! A deterministic simulator: one seed makes one world, in which hosts write, lines break, processes die and clocks are
//! wrong, and a judge who asks the engine nothing says whether its promises held.

pub mod aim;
mod backup;
pub mod clock;
pub mod disk;
pub mod events;
pub mod files;
pub mod harsh;
pub mod hosts;
pub mod judge;
pub mod ledger;
pub mod legacy;
pub mod network;
#[cfg(feature = "planted-bugs")]
pub mod planted;
pub mod promises;
mod quiet;
pub mod rules;
pub mod run;
pub mod runner;
pub mod swarm;
pub mod threads;
pub mod trace;
pub mod wire;
pub mod world;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// A mutex of a run that panicked is still read, to say what happened.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
