//! Keeps a hook of a host from ending the transaction in which it is called, and from the tables of this library.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rusqlite::Connection;
use rusqlite::hooks::AuthContext;

use crate::error::{Cause, Result};

use super::fault::database_error;
use super::host_tables::{answer, may_write_rows};

/// Why the transaction is over.
const ENDED: &str =
    "the hook ended the transaction, by COMMIT or ROLLBACK: it belongs to the library, and all of it was undone";

/// Refuses each commit on a connection while a hook of a host runs: SQLite rolls the transaction back instead. A hook that rolled it back
/// itself is noticed. Statements of the hook that would change the library's tables, make tables or change settings of the database are refused
/// when they are prepared. The authorizer that does so is set once, because SQLite prepares all statements anew whenever one is set; the library's own
/// statements are prepared once too, so no record costs more.
#[derive(Default)]
pub(super) struct TransactionGuard(Arc<Flags>);

#[derive(Default)]
struct Flags {
    /// A hook runs.
    watches: AtomicBool,
    /// It tried to commit.
    tried_to_commit: AtomicBool,
    /// The transaction was rolled back, by the hook or by an error.
    is_over: AtomicBool,
}

impl TransactionGuard {
    /// Guards the transactions of a connection.
    pub(super) fn of(connection: &Connection) -> Result<Self> {
        let guard = Self::default();
        let flags = guard.0.clone();
        let refuses = move || {
            let is_of_hook = flags.watches.load(Ordering::Relaxed);
            if is_of_hook {
                flags.tried_to_commit.store(true, Ordering::Relaxed);
            }
            is_of_hook
        };
        connection.commit_hook(Some(refuses)).map_err(database_error)?;
        let flags = guard.0.clone();
        let notes = move || flags.is_over.store(true, Ordering::Relaxed);
        connection.rollback_hook(Some(notes)).map_err(database_error)?;
        let flags = guard.0.clone();
        let permits = move |context: AuthContext<'_>| {
            answer(!flags.watches.load(Ordering::Relaxed) || may_write_rows(&context.action))
        };
        connection.authorizer(Some(permits)).map_err(database_error)?;
        Ok(guard)
    }

    /// Calls a hook of the host, and fails if the transaction ended meanwhile.
    pub(super) fn watch(
        &self,
        hook: impl FnOnce() -> std::result::Result<(), Cause>,
    ) -> std::result::Result<(), Cause> {
        let flags = &*self.0;
        flags.tried_to_commit.store(false, Ordering::Relaxed);
        flags.is_over.store(false, Ordering::Relaxed);
        let done = {
            let _watching = Watching::begin(flags);
            hook()
        };
        // The error of a statement that was refused does not say what the hook did wrong.
        if flags.tried_to_commit.load(Ordering::Relaxed) {
            return Err(ENDED.into());
        }
        done.and_then(|()| if flags.is_over.load(Ordering::Relaxed) { Err(ENDED.into()) } else { Ok(()) })
    }
}

/// A hook that runs, until this is dropped, also by a panic of the hook.
struct Watching<'f>(&'f Flags);

impl<'f> Watching<'f> {
    fn begin(flags: &'f Flags) -> Self {
        flags.watches.store(true, Ordering::Relaxed);
        Self(flags)
    }
}

impl Drop for Watching<'_> {
    fn drop(&mut self) {
        self.0.watches.store(false, Ordering::Relaxed);
    }
}
