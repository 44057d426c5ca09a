//! What the steps of a running cycle have found out and done so far.

use url::Url;

/// What the steps have found out and done so far.
#[derive(Debug, Default)]
pub(super) struct CycleProgress {
    /// The cycle ends: the remaining steps are skipped.
    pub(super) is_over: bool,
    pub(super) legacy: LegacyProgress,
    /// The address of the central server.
    pub(super) central: Option<Url>,
    pub(super) push: PushState,
    pub(super) backup: BackupState,
    /// What central has is read.
    pub(super) is_central_read: bool,
    /// Patients are to be linked to stores of this site.
    pub(super) has_links: bool,
    pub(super) is_integrated: bool,
}

/// How far the cycle has come with the legacy server.
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

/// What is known of the last push to central.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum PushState {
    /// It may be there or not: nothing may be pulled.
    #[default]
    Open,
    /// Nothing speaks against asking central whether it is integrated.
    Sent,
    /// Central has integrated it.
    Confirmed,
}

/// Whether this database is a backup that was put back.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum BackupState {
    #[default]
    No,
    /// What it lost is still to be read.
    Restored,
}
