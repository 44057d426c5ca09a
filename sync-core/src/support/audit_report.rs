//! The result of an audit: the differences between this site's records and central's, with their reasons.

use serde::Serialize;

use crate::record::{RecordId, TableName};
use crate::text::sentences::audit as say;
use crate::text::{Localize, Message};

/// The result of an audit.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Audit {
    /// Which records were compared, and which were not.
    pub compared: Message,
    /// The number of rows of central's changelog.
    pub rows: u64,
    /// The number of records that are the same at both ends.
    pub same: u64,
    /// The records by type.
    pub by_type: Vec<AuditedType>,
    /// The reasons of differences, each with its meaning and advice; losses first.
    pub reasons: Vec<AuditReason>,
    /// The first of the records that differ and should not.
    pub lost: Vec<Difference>,
    /// The number of these.
    pub lost_records: u64,
    /// The first of the records that may differ, because they are on their way or in quarantine.
    pub explained: Vec<Difference>,
    /// The number of these.
    pub explained_records: u64,
    /// How many of them are in quarantine, here or at central.
    pub set_aside_records: u64,
    /// True if central's changelog ends before the end that this site has seen: central was restored or replaced.
    pub central_went_back: bool,
    /// Requests sent.
    pub requests: u64,
    /// Bytes of answers, decoded.
    pub bytes_received: u64,
}

/// The comparison of one type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct AuditedType {
    /// The table.
    pub table: TableName,
    /// Central's records for this site.
    pub at_central: u64,
    /// Those that are here and the same.
    pub same: u64,
    /// Those that are missing here.
    pub missing: u64,
    /// Those with another version here.
    pub differing: u64,
    /// Records that are only here.
    pub here_only: u64,
}

/// Records that differ for one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct AuditReason {
    /// The reason.
    pub why: DifferenceReason,
    /// True if it should not happen.
    pub is_loss: bool,
    /// The number of records.
    pub records: u64,
    /// The meaning of the reason.
    pub meaning: Message,
    /// The advice.
    pub advice: Message,
}

/// A record that differs between both ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Difference {
    /// Its table.
    pub table: TableName,
    /// Its id.
    pub id: RecordId,
    /// The kind of difference.
    pub kind: DifferenceKind,
    /// The reason.
    pub why: DifferenceReason,
    /// The fields that differ, without their values.
    pub fields: Vec<String>,
}

/// The kind of difference of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum DifferenceKind {
    /// Central has it, and it is missing here.
    Missing,
    /// Both have it, in different versions.
    Differing,
    /// It is here, and central does not have it for this site.
    HereOnly,
}

/// Why a record differs between both ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum DifferenceReason {
    /// It was read from central, and the version here is another one, or none.
    LostHere,
    /// It was written or deleted here and accepted by central, which does not show that.
    NotTaken,
    /// Central deleted it, and it is still here.
    DeletedAtCentral,
    /// It came from central, which does not have it any more.
    LostAtCentral,
    /// It was written or deleted here, and waits to be pushed.
    WaitsForPush,
    /// It is after the pull cursor: the next pull brings it.
    WaitsForPull,
    /// It came, and is in quarantine here.
    SetAside,
    /// It came, and waits for a record that it names.
    WaitsForAnother,
    /// It was written here, and central refused it.
    RefusedByCentral,
    /// It belongs to a store or a patient whose records central does not send to this site, or no longer sends.
    NotForThisSite,
    /// It came, and a person here chose to ignore it.
    Ignored,
    /// Central sends no record of its table over V6, as some 3.x releases do.
    NotSentByCentral,
}

impl DifferenceReason {
    /// True if it should not happen.
    pub fn is_loss(self) -> bool {
        matches!(self, Self::LostHere | Self::NotTaken | Self::DeletedAtCentral | Self::LostAtCentral)
    }

    /// The meaning for people.
    pub fn meaning(self) -> Message {
        self.texts().0
    }

    /// The advice.
    pub fn advice(self) -> Message {
        self.texts().1
    }

    fn texts(self) -> (Message, Message) {
        match self {
            Self::LostHere => (say::lost_here(), say::lost_here_advice()),
            Self::NotTaken => (say::not_taken(), say::not_taken_advice()),
            Self::DeletedAtCentral => (say::deleted_at_central(), say::deleted_at_central_advice()),
            Self::LostAtCentral => (say::lost_at_central(), say::lost_at_central_advice()),
            Self::WaitsForPush => (say::waits_for_push(), say::waits_for_push_advice()),
            Self::WaitsForPull => (say::waits_for_pull(), say::waits_for_pull_advice()),
            Self::WaitsForAnother => (say::waits_for_another(), say::waits_for_another_advice()),
            Self::SetAside => (say::set_aside(), say::set_aside_advice()),
            Self::RefusedByCentral => (say::refused_by_central(), say::refused_by_central_advice()),
            Self::NotForThisSite => (say::not_for_this_site(), say::not_for_this_site_advice()),
            Self::Ignored => (say::ignored(), say::ignored_advice()),
            Self::NotSentByCentral => (say::not_sent_by_central(), say::not_sent_by_central_advice()),
        }
    }
}

impl Audit {
    /// The report before any comparison.
    pub(super) fn of_rows(rows: u64) -> Self {
        Self {
            compared: say::compared(),
            rows,
            same: 0,
            by_type: Vec::new(),
            reasons: Vec::new(),
            lost: Vec::new(),
            lost_records: 0,
            explained: Vec::new(),
            explained_records: 0,
            set_aside_records: 0,
            central_went_back: false,
            requests: 0,
            bytes_received: 0,
        }
    }
}

impl Localize for Audit {
    fn each_message(&mut self, each: &mut dyn FnMut(&mut Message)) {
        each(&mut self.compared);
        for reason in &mut self.reasons {
            each(&mut reason.meaning);
            each(&mut reason.advice);
        }
    }
}
