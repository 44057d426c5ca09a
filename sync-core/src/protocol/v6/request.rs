//! Requests and results of the V6 endpoints (`protocol-v6` §8).

use crate::clock::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Batch, Credentials};
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
    /// A file to central.
    pub const UPLOAD_FILE: &str = "central/sync/upload_file";
    /// A file from central.
    pub const DOWNLOAD_FILE: &str = "central/sync/download_file";
}

/// Asks for the records of this site from a cursor on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PullRequest {
    /// The first cursor wanted. A site of Open mSupply 2.x may ask with a negative number; see `protocol-v6` §2.
    #[serde(deserialize_with = "asked_cursor")]
    pub cursor: Cursor,
    /// The most changelog rows that are considered.
    pub batch_size: u32,
    /// Who asks.
    pub sync_v5_settings: Credentials,
    /// Whether the site has completed a sync before: then its own rows are left out.
    pub is_initialised: bool,
    /// The site's V6 version; 0 if the key is missing.
    #[serde(default)]
    pub sync_v6_version: u32,
    /// Whether the site only looks, and does not take what it is given: then it counts as given to nobody. Open mSupply
    /// neither sends nor reads it (unknown keys are ignored, `protocol-v6` §2).
    #[serde(default, deserialize_with = "is_true", skip_serializing_if = "std::ops::Not::not")]
    pub looks_only: bool,
    /// Which copy of its database the site reads into; see [`PushRequest::push_chain`].
    #[serde(default, deserialize_with = "if_it_is_ours", skip_serializing_if = "Option::is_none")]
    pub push_chain: Option<PushChain>,
}

/// Asks for everything V6 has about one patient.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PatientPullRequest {
    /// The first cursor wanted; starts at 0 in each run.
    #[serde(deserialize_with = "asked_cursor")]
    pub cursor: Cursor,
    /// The most changelog rows that are considered.
    pub batch_size: u32,
    /// Who asks.
    pub sync_v5_settings: Credentials,
    /// The site's V6 version; 0 if the key is missing.
    #[serde(default)]
    pub sync_v6_version: u32,
    /// The patient's name id.
    pub fetch_patient_id: NameId,
}

/// Asks that a patient be visible in a store of this site. It has no version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NameStoreJoinRequest {
    /// The id of the join that is made.
    pub id: RecordId,
    /// The patient's name id.
    pub name_id: NameId,
    /// The store.
    pub store_id: StoreId,
    /// Who asks.
    pub sync_v5_settings: Credentials,
}

/// Which push of its database a push follows: by that central tells the copies of one database apart. Sent by sites of this
/// project, and read by its central server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PushChain {
    /// The id of the push that was taken before; empty for the first one of a database that was set up.
    pub after: String,
    /// The id of this push; the same where it is sent again.
    pub id: String,
    /// The [number](CopyReport::number) that central gave to the push that was taken before. A central server that never gave one
    /// as high has been put back.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub number: u64,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// What central says of the copies of a site's database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopyReport {
    /// When another copy was refused last.
    pub refused_at: Option<Timestamp>,
    /// The number of this push among all that were taken from the site, whichever copy they came from.
    #[serde(default)]
    pub number: u64,
}

/// Brings records of a site.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PushRequest {
    /// The records. The last batch makes central integrate.
    pub batch: Batch,
    /// Who brings them.
    pub sync_v5_settings: Credentials,
    /// The site's V6 version; 0 if the key is missing.
    #[serde(default)]
    pub sync_v6_version: u32,
    /// Which copy of the site's database this is. Open mSupply ignores it, as it does all keys that it does not know.
    #[serde(default, deserialize_with = "if_it_is_ours", skip_serializing_if = "Option::is_none")]
    pub push_chain: Option<PushChain>,
}

/// Asks whether central is still integrating what this site pushed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SiteStatusRequest {
    /// Who asks.
    pub sync_v5_settings: Credentials,
    /// The site's V6 version; 0 if the key is missing.
    #[serde(default)]
    pub sync_v6_version: u32,
}

/// The answer to a push.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PushResult {
    /// How many records the request held.
    pub records_pushed: u64,
    /// As [`Batch::lost_history`].
    #[serde(default, deserialize_with = "super::batch::lost_history", skip_serializing_if = "Vec::is_empty")]
    pub lost_history: Vec<ChangelogGap>,
    /// What is known of copies of the site's database, if the request told which one it is.
    #[serde(default, deserialize_with = "if_it_is_ours", skip_serializing_if = "Option::is_none")]
    pub copies: Option<CopyReport>,
}

/// The answer to a site status request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SiteStatus {
    /// Whether records of this site are still being integrated.
    pub is_integrating: bool,
}

/// Anybody else's meaning of the key stops no pull.
fn is_true<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    serde_json::Value::deserialize(deserializer).map(|value| value == true)
}

/// A negative number as its 64 bits, as the sites write it that have them unsigned.
fn asked_cursor<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Cursor, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum CursorNumber {
        Unsigned(u64),
        Signed(i64),
    }
    Ok(match CursorNumber::deserialize(deserializer)? {
        CursorNumber::Unsigned(position) => Cursor(position),
        CursorNumber::Signed(position) => Cursor(position as u64),
    })
}

/// Anybody else's meaning of the key stops no push.
fn if_it_is_ours<'de, D: serde::Deserializer<'de>, T: serde::de::DeserializeOwned>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    let value = serde_json::Value::deserialize(deserializer)?;
    Ok(serde_json::from_value(value).ok())
}
