//! The results of the steps of a running cycle so far.

use url::Url;

/// The results of the steps so far.
#[derive(Debug, Default)]
pub(super) struct CycleProgress {
    /// The cycle ends: the remaining steps are skipped.
    pub(super) is_over: bool,
    pub(super) legacy: LegacyProgress,
    /// The address of the central server.
    pub(super) central: Option<Url>,
    pub(super) push: PushState,
    pub(super) backup: BackupState,
    /// All of central's records are read.
    pub(super) is_central_read: bool,
    /// Records pulled from central.
    pub(super) pulled_from_central: u64,
    /// Records pulled from the legacy server.
    pub(super) pulled_from_legacy: u64,
    /// A push of an earlier cycle was finished before the pull.
    pub(super) has_finished_push: bool,
    /// Links of patients to stores of this site are pending.
    pub(super) has_links: bool,
    pub(super) is_integrated: bool,
}

/// The progress of the cycle at the legacy server.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum LegacyProgress {
    #[default]
    Unavailable,
    Answers,
    /// Its central data is read.
    DataRead,
    /// Its queue is read too.
    AllRead,
}

/// The state of the last push to central.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum PushState {
    /// It is unknown whether central has it, so nothing may be pulled.
    #[default]
    Open,
    /// Central may be asked whether it is integrated.
    Sent,
    /// Central has integrated it.
    Confirmed,
}

/// Whether this database was restored from a backup.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum BackupState {
    #[default]
    No,
    /// Its lost records are still to be read.
    Restored,
}
