//! The report of a cycle.

use std::ops::Deref;

use serde::Serialize;

use super::central::CentralRefusal;
use super::observer::Step;
use crate::error::{Error, Result, Server};
use crate::integrate::Conflict;
use crate::record::{Cursor, NameId};
use crate::storage::LoggedError;
use crate::text::{Localize, Message};

/// The report `R` of a run that ended without an error, of [`SyncReport::into_result`] or [`FilesReport::into_result`](super::FilesReport::into_result).
/// It is read as the report itself, and may be dropped unread.
#[derive(Debug, Clone, Serialize)]
#[serde(transparent)]
pub struct Finished<R>(pub(super) R);

impl<R> Finished<R> {
    /// The report.
    pub fn into_report(self) -> R {
        self.0
    }
}

impl<R> Deref for Finished<R> {
    type Target = R;

    fn deref(&self) -> &R {
        &self.0
    }
}

/// How a cycle ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
#[must_use = "a cycle that failed is not an `Err`: this says how it ended"]
pub enum SyncOutcome {
    /// Everything was done.
    Done,
    /// Everything was done, but records were left in quarantine: by this cycle, or by an earlier one and somebody has to act.
    LeftBehind,
    /// It ended at the given limit of time or bytes; the next cycle continues.
    Partial,
    /// It failed; see the error.
    Failed,
    /// It was stopped.
    Cancelled,
}

impl SyncOutcome {
    /// The outcome in snake_case.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::LeftBehind => "left_behind",
            Self::Partial => "partial",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// The report of a cycle, which is also its JSON document.
///
/// A cycle that failed on its way has a report too, because its finished work stays. [`into_result`](Self::into_result) gives
/// the error alone.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
#[must_use = "a cycle that failed is a report with an error, not an `Err`: look at its outcome, or use `into_result`"]
pub struct SyncReport {
    /// How it ended.
    pub outcome: SyncOutcome,
    /// The patient whose records were pulled; `None` for a whole cycle.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patient: Option<NameId>,
    /// Records that either server accepted.
    pub pushed: u64,
    /// Records received from either server, integrated or not.
    pub pulled: u64,
    /// Records integrated.
    pub integrated: u64,
    /// Records in quarantine because they are malformed, unknown or wait for another. `refused` counts
    /// the others.
    pub quarantined: u64,
    /// Records in quarantine because a rule of ownership forbids them, or because central refused them.
    pub refused: u64,
    /// Records in quarantine at the end of the cycle that stay there until somebody acts, whenever they came. Those that only wait
    /// for another record are not among them.
    pub still_quarantined: u64,
    /// Pulled records that were edited here too, and whose local version stayed.
    pub kept_local: u64,
    /// Pulled records that were edited here too, and for which a resolver of the host took the pulled version, or replaced both.
    pub resolved: u64,
    /// The first hundred conflicts of those that `kept_local` and `resolved` count.
    pub conflicts: Vec<Conflict>,
    /// Records that were written here and that central did not take, as it told in this cycle: a rule refused them, or another
    /// version won there. The first hundred; [`Status::refused_by_central`](crate::support::Status::refused_by_central) lists those
    /// of earlier cycles too. The version that won is not here yet if it belongs to another site, or comes with a later pull.
    pub refused_by_central: Vec<CentralRefusal>,
    /// The steps that ran.
    pub steps: Vec<StepReport>,
    /// The steps that did not run, with the reason.
    pub skipped: Vec<SkippedStep>,
    /// The parts of this database's changelog that each server accepted.
    pub pushed_ranges: Vec<PushedRange>,
    /// The first cursor that was written during the cycle: sync writes from here on came with it.
    pub changes_from: Cursor,
    /// The first cursor after those of the cycle.
    pub changes_below: Cursor,
    /// Requests sent, including repeated ones.
    pub requests: u64,
    /// How many of them were retries.
    pub retries: u64,
    /// Bytes of request bodies, as sent.
    pub bytes_sent: u64,
    /// Bytes of response bodies, decoded.
    pub bytes_received: u64,
    /// Warnings for the administrator of this site.
    pub warnings: Vec<Message>,
    /// The first error, if any.
    pub error: Option<Error>,
}

impl Localize for SyncReport {
    fn each_message(&mut self, each: &mut dyn FnMut(&mut Message)) {
        self.warnings.each_message(each);
    }
}

/// A part of this database's changelog whose edits a server accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PushedRange {
    /// `central` or `legacy`.
    pub to: &'static str,
    /// Its first cursor.
    #[serde(rename = "from_cursor")]
    pub from: Cursor,
    /// The first cursor after it.
    #[serde(rename = "below_cursor")]
    pub below: Cursor,
}

impl SyncReport {
    /// The report of a cycle that did its work, also if it ended at a [limit](SyncOutcome::Partial) or left records
    /// [behind](SyncOutcome::LeftBehind).
    ///
    /// ```no_run
    /// # use sync_core::{NoopObserver, Site, SyncOptions};
    /// # fn of(site: &Site) -> sync_core::Result<()> {
    /// let report = site.sync(&SyncOptions::default(), &mut NoopObserver)?.into_result()?;
    /// println!("{} records up, {} down", report.pushed, report.pulled);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The error of a cycle that failed or was cancelled.
    pub fn into_result(mut self) -> Result<Finished<Self>> {
        self.error.take().map_or(Ok(Finished(self)), Err)
    }

    /// True if it ended at a limit, so that the next cycle goes on.
    pub(crate) fn is_partial(&self) -> bool {
        self.outcome == SyncOutcome::Partial
    }

    /// Adds a step that did not run.
    pub(crate) fn note_skipped(&mut self, name: Step, reason: SkipReason) {
        self.skipped.push(SkippedStep { name, reason });
    }

    /// Adds a batch that a server accepted.
    pub(crate) fn note_pushed(&mut self, server: Server, from: Cursor, below: Cursor) {
        let to = match server {
            Server::Central => "central",
            Server::Legacy => "legacy",
        };
        match self.pushed_ranges.iter_mut().rev().find(|range| range.to == to) {
            Some(range) if range.below == from => range.below = below,
            _ => self.pushed_ranges.push(PushedRange { to, from, below }),
        }
    }
}

/// A step that did not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SkippedStep {
    /// The step.
    pub name: Step,
    /// The reason.
    pub reason: SkipReason,
}

/// Why a step of a cycle did not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SkipReason {
    /// The cycle was asked to push only, or to pull only.
    NotRequested,
    /// An earlier step ended the cycle: this machine failed, the cycle was cancelled, or the legacy server refuses this
    /// site.
    CycleEnded,
    /// The time of the cycle is over ([`SyncOptions::max_time`](super::SyncOptions::max_time)); the next cycle goes on.
    OutOfTime,
    /// The legacy server does not answer.
    LegacyUnavailable,
    /// This database is the central server's own.
    IsCentral,
    /// There is no usable address of the central server.
    NoCentral,
    /// Local edits are pushed only after the first complete cycle.
    NotInitialised,
    /// A backup was restored. Its lost records have to be read before anything is pushed or pulled.
    NotRecovered,
    /// The recovery after a backup has read everything in this cycle.
    AlreadyRead,
    /// Central has not confirmed the last push. A pull could take an older version for a newer one.
    PushUnconfirmed,
    /// The app decides conflicts by a [resolver](crate::ReplicaBuilder::resolver), and the pull got further without an end. The
    /// next cycle goes on.
    NotPulled,
    /// The step before failed, and this step needs its result.
    StepBeforeFailed,
}

impl SkipReason {
    /// True if the step needs the result of an earlier one.
    pub(super) fn is_missing_result(self) -> bool {
        matches!(self, Self::LegacyUnavailable | Self::PushUnconfirmed | Self::NotPulled | Self::StepBeforeFailed)
    }
}

/// The result of a step.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct StepReport {
    /// The step.
    pub name: Step,
    /// Records done.
    pub done: u64,
    /// Records in all.
    pub total: u64,
    /// Its duration.
    pub seconds: f64,
    /// The code of its error.
    pub error: Option<&'static str>,
}

impl Default for SyncReport {
    fn default() -> Self {
        Self {
            outcome: SyncOutcome::Done,
            patient: None,
            pushed: 0,
            pulled: 0,
            integrated: 0,
            quarantined: 0,
            refused: 0,
            still_quarantined: 0,
            kept_local: 0,
            resolved: 0,
            conflicts: Vec::new(),
            refused_by_central: Vec::new(),
            steps: Vec::new(),
            skipped: Vec::new(),
            pushed_ranges: Vec::new(),
            changes_from: Cursor(0),
            changes_below: Cursor(0),
            requests: 0,
            retries: 0,
            bytes_sent: 0,
            bytes_received: 0,
            warnings: Vec::new(),
            error: None,
        }
    }
}

impl From<&Error> for LoggedError {
    fn from(error: &Error) -> Self {
        Self {
            code: error.code().to_owned(),
            class: error.class().as_str().to_owned(),
            message: error.to_string(),
            advice: error.advice().to_owned(),
            causes: error.causes(),
        }
    }
}

impl Serialize for Error {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        LoggedError::from(self).serialize(serializer)
    }
}
