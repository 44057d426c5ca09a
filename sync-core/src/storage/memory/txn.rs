//! A transaction: a copy of the state that replaces the original at commit.

use std::cell::RefCell;
use std::sync::{Mutex, MutexGuard};

use super::state::{State, lock};
use crate::error::Result;
use crate::storage::writer_turns::{WriterTurn, WriterTurns};
use crate::storage::{CentralReads, CentralWrites, ReadTxn, WriteTxn};

/// Reads, or reads and writes: only a writer holds the original and the turn to write.
pub(super) struct MemoryTxn<'s> {
    pub(super) state: RefCell<State>,
    original: Option<(&'s Mutex<State>, MemoryTurn<'s>)>,
}

/// The turn to write.
pub(super) struct MemoryTurn<'s> {
    #[allow(dead_code, reason = "held for its drop")]
    writer: MutexGuard<'s, ()>,
    #[allow(dead_code, reason = "held for its drop")]
    turn: WriterTurn<'s>,
}

impl<'s> MemoryTurn<'s> {
    pub(super) fn of(writer: &'s Mutex<()>, turns: &'s WriterTurns) -> Result<Self> {
        let turn = turns.take()?;
        Ok(Self { writer: lock(writer), turn })
    }
}

impl<'s> MemoryTxn<'s> {
    pub(super) fn reading(state: State) -> Self {
        Self { state: RefCell::new(state), original: None }
    }

    pub(super) fn writing(state: State, original: &'s Mutex<State>, turn: MemoryTurn<'s>) -> Self {
        Self { state: RefCell::new(state), original: Some((original, turn)) }
    }
}

/// Takes items while their bytes fit, but always the first.
pub(super) fn within<T>(items: impl Iterator<Item = T>, bytes_max: usize, bytes_of: impl Fn(&T) -> usize) -> Vec<T> {
    let mut taken = Vec::new();
    let mut bytes = 0;
    for item in items {
        bytes += bytes_of(&item);
        if bytes > bytes_max && !taken.is_empty() {
            break;
        }
        taken.push(item);
    }
    taken
}

impl ReadTxn for MemoryTxn<'_> {
    fn as_central(&self) -> Option<&dyn CentralReads> {
        Some(self)
    }
}

impl WriteTxn for MemoryTxn<'_> {
    fn as_central_writer(&self) -> Option<&dyn CentralWrites> {
        Some(self)
    }

    fn commit(self: Box<Self>) -> Result<()> {
        let Self { state, original } = *self;
        if let Some((original, _turn)) = original {
            *lock(original) = state.into_inner();
        }
        Ok(())
    }
}
