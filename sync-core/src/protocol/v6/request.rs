//! Requests and results of the V6 endpoints (`protocol-v6` §8).

use crate::clock::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Batch, Credentials, ReportedRefusals};
use crate::changelog::ChangelogGap;
use crate::record::{Cursor, NameId, RecordId, StoreId};

/// Paths below the central server's address; hyphens and underscores are mixed on the wire.
pub mod path {
    /// Pull.
    pub const PULL: &str = "central/sync/pull";
    /// Pull of one patient's records.
    pub const PATIENT_PULL: &str = "central/sync/patient-pull";
    /// Push.
    pub const PUSH: &str = "central/sync/push";
    /// Whether central is still integrating.
    pub const SITE_STATUS: &str = "central/sync/site_status";
    /// Makes a patient visible in a store.
    pub const NAME_STORE_JOIN: &str = "central/name-store-join";
    /// Uploads a file to central.
    pub const UPLOAD_FILE: &str = "central/sync/upload_file";
    /// Downloads a file from central.
    pub const DOWNLOAD_FILE: &str = "central/sync/download_file";
}

/// Requests the records of this site from a cursor on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PullRequest {
    /// The first cursor wanted. A site of Open mSupply 2.x may ask with a negative number; see `protocol-v6` §2.
    #[serde(deserialize_with = "asked_cursor")]
    pub cursor: Cursor,
    /// The most changelog rows to read.
    pub batch_size: u32,
    /// The caller.
    pub sync_v5_settings: Credentials,
    /// True if the site has completed a sync before: then its own rows are left out.
    pub is_initialised: bool,
    /// The site's V6 version; 0 if the key is missing.
    #[serde(default)]
    pub sync_v6_version: u32,
    /// True for a dry run: central then records no delivery. Open mSupply neither sends nor reads it (unknown keys are
    /// ignored, `protocol-v6` §2).
    #[serde(
        rename = "looksOnly",
        default,
        deserialize_with = "super::batch::is_true",
        skip_serializing_if = "std::ops::Not::not"
    )]
    pub is_dry_run: bool,
    /// Identifies the copy of the database that pulls; see [`PushRequest::push_chain`].
    #[serde(default, deserialize_with = "super::batch::if_it_is_ours", skip_serializing_if = "Option::is_none")]
    pub push_chain: Option<PushChain>,
    /// What this site has noted of the records that central refused. Without it, central reports none. Only in this
    /// project.
    #[serde(default, deserialize_with = "super::batch::if_it_is_ours", skip_serializing_if = "Option::is_none")]
    pub refused_up_to: Option<ReportedRefusals>,
}

/// Requests all V6 records of one patient.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PatientPullRequest {
    /// The first cursor wanted; starts at 0 in each run.
    #[serde(deserialize_with = "asked_cursor")]
    pub cursor: Cursor,
    /// The most changelog rows to read.
    pub batch_size: u32,
    /// The caller.
    pub sync_v5_settings: Credentials,
    /// The site's V6 version; 0 if the key is missing.
    #[serde(default)]
    pub sync_v6_version: u32,
    /// The patient's name id.
    pub fetch_patient_id: NameId,
}

/// Asks to make a patient visible in a store of this site. It has no version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NameStoreJoinRequest {
    /// The id of the new join.
    pub id: RecordId,
    /// The patient's name id.
    pub name_id: NameId,
    /// The store.
    pub store_id: StoreId,
    /// The caller.
    pub sync_v5_settings: Credentials,
}

/// Links a push to the push of the same database before it: central tells copies of a database apart by that. Sent by
/// sites of this project, and read by its central server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PushChain {
    /// The id of the push that was accepted before; empty for the first one of a database that was set up.
    pub after: String,
    /// The id of this push; a repeated push has the same.
    pub id: String,
    /// The [number](CopyReport::number) that central gave to the push accepted before. A central server that never gave
    /// one as high was restored.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub number: u64,
    /// The position before which central lost its changelog, if the site handled that loss after the number was given; else 0.
    /// That loss explains a number that central does not know.
    #[serde(default, skip_serializing_if = "is_start")]
    pub loss_handled: Cursor,
    /// The id of this database since it was set up. By its first pull central learns that it replaces the one before it,
    /// and recognises a late copy of its first push, which follows no other. An older version sends the id of its first
    /// push, and nothing before central has accepted that.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub first: String,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

fn is_start(cursor: &Cursor) -> bool {
    *cursor == Cursor(0)
}

/// Central's report about the copies of a site's database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopyReport {
    /// When another copy was last refused.
    pub refused_at: Option<Timestamp>,
    /// The number of this push among all accepted pushes of the site, from any copy.
    #[serde(default)]
    pub number: u64,
}

/// Sends records of a site.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PushRequest {
    /// The records. The last batch makes central integrate.
    pub batch: Batch,
    /// The caller.
    pub sync_v5_settings: Credentials,
    /// The site's V6 version; 0 if the key is missing.
    #[serde(default)]
    pub sync_v6_version: u32,
    /// What the site has read of central's changelog. Without it central knows what the site asked for last. Only in this
    /// project.
    #[serde(default, deserialize_with = "super::batch::if_it_is_ours", skip_serializing_if = "Option::is_none")]
    pub read_to: Option<ReadPositions>,
    /// Identifies the copy of the site's database. Open mSupply ignores it, as it does all unknown keys.
    #[serde(default, deserialize_with = "super::batch::if_it_is_ours", skip_serializing_if = "Option::is_none")]
    pub push_chain: Option<PushChain>,
}

/// The positions in the changelog of a central server before which a site has read everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ReadPositions {
    /// By its pulls.
    pub records: Cursor,
    /// By its requests for central data, in which stores come. It counts only if central is the legacy server too.
    pub stores: Cursor,
}

/// The part of a request that identifies its sender. It is read first, because the rest of a request may need many times
/// the memory of its text, and a stranger can send anything.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Introduction {
    pub sync_v5_settings: Credentials,
    #[serde(default)]
    pub sync_v6_version: u32,
}

/// Asks whether central is still integrating this site's push.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SiteStatusRequest {
    /// The caller.
    pub sync_v5_settings: Credentials,
    /// The site's V6 version; 0 if the key is missing.
    #[serde(default)]
    pub sync_v6_version: u32,
}

/// The answer to a push.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PushResult {
    /// The number of records in the request.
    pub records_pushed: u64,
    /// As [`Batch::lost_history`].
    #[serde(default, deserialize_with = "super::batch::lost_history", skip_serializing_if = "Vec::is_empty")]
    pub lost_history: Vec<ChangelogGap>,
    /// The copies of the site's database, if the request identified its own.
    #[serde(default, deserialize_with = "super::batch::if_it_is_ours", skip_serializing_if = "Option::is_none")]
    pub copies: Option<CopyReport>,
}

/// The answer to a site status request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SiteStatus {
    /// True while records of this site are being integrated.
    pub is_integrating: bool,
    /// True while the server is paused for maintenance (servers from v3.2 on).
    #[serde(default, deserialize_with = "super::batch::is_true", skip_serializing_if = "std::ops::Not::not")]
    pub is_sync_api_paused: bool,
}

/// A negative number as its unsigned 64 bits, as some sites write it.
fn asked_cursor<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Cursor, D::Error> {
    let number = serde_json::Number::deserialize(deserializer)?;
    let position = number.as_u64().or_else(|| number.as_i64().map(|signed| signed as u64));
    position.map(Cursor).ok_or_else(|| serde::de::Error::custom(format!("{number} is no position")))
}
