//! The thread that writes, so that it does not wait for itself.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::ThreadId;

use crate::error::{Error, Result};
use crate::text::sentences::input;

/// The thread that has the writing transaction of a storage, if any.
#[derive(Default)]
pub(super) struct WriterThread(Mutex<Option<ThreadId>>);

impl WriterThread {
    /// Refuses a second writing transaction of the same thread: it would wait for the first for ever.
    pub(super) fn check(&self) -> Result<()> {
        match *self.lock() == Some(std::thread::current().id()) {
            true => Err(Error::bad_input(input::writes_already())),
            false => Ok(()),
        }
    }

    /// Notes that this thread has the turn to write. The mark must go before the turn does.
    pub(super) fn mark(&self) -> WriterMark<'_> {
        *self.lock() = Some(std::thread::current().id());
        WriterMark(self)
    }

    fn lock(&self) -> MutexGuard<'_, Option<ThreadId>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Until it is dropped, its thread writes.
pub(super) struct WriterMark<'s>(&'s WriterThread);

impl Drop for WriterMark<'_> {
    fn drop(&mut self) {
        *self.0.lock() = None;
    }
}
