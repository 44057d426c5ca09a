//! The state of the backups that the host of a server takes, for the administrator.

use std::sync::{Mutex, MutexGuard, PoisonError};

use sync_core::clock::Timestamp;

/// How the backups of a server went. The host that takes them writes it, and the health check and the metrics show it.
#[derive(Debug, Default)]
pub struct BackupLog(Mutex<Backups>);

#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Backups {
    /// When the newest whole backup was taken.
    pub last_good: Option<Timestamp>,
    /// How many failed since the start.
    pub failures: u64,
    /// True if the last one failed.
    pub is_failing: bool,
}

impl BackupLog {
    /// A log that knows of an earlier backup.
    pub fn since(last_good: Option<Timestamp>) -> Self {
        Self(Mutex::new(Backups { last_good, ..Backups::default() }))
    }

    /// Records that a whole backup was taken.
    pub fn taken(&self, at: Timestamp) {
        let mut backups = self.lock();
        (backups.last_good, backups.is_failing) = (Some(at), false);
    }

    /// Records that a backup failed.
    pub fn failed(&self) {
        let mut backups = self.lock();
        (backups.failures, backups.is_failing) = (backups.failures + 1, true);
    }

    pub(super) fn now(&self) -> Backups {
        *self.lock()
    }

    fn lock(&self) -> MutexGuard<'_, Backups> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Backups {
    /// How they stand, in a word.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self { is_failing: true, .. } => "failed",
            Self { last_good: None, .. } => "none_yet",
            Self { .. } => "ok",
        }
    }
}
