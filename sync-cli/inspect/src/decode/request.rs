//! Requests of V6: their keys, their credentials without the secrets.

use serde_json::value::RawValue;
use sync_core::protocol::masked_url;
use sync_core::protocol::v5::V5_VERSION;
use sync_core::protocol::v6::{
    Credentials, DownloadRequest, NameStoreJoinRequest, PatientPullRequest, PullRequest, PushRequest,
    SiteStatusRequest, UploadPart, V6_VERSION_MAX,
};
use sync_core::record::Fields;

use super::decoded::Decoded;
use super::records;
use crate::sentences::{decoded_fact as facts, decoded_kind as kinds, decoded_note as notes, decoded_wrong as wrong};

/// A request, recognised by its unique keys.
pub(super) fn request(json: &str, fields: &Fields<'_>) -> Decoded {
    let has = |key: &str| fields.get(key).is_some();
    if has("fetchPatientId") {
        patient_pull(json)
    } else if has("batch") {
        push(json, fields)
    } else if has("file_id") || has("sync_v5_settings") {
        upload(json)
    } else if has("tableName") {
        download(json)
    } else if has("nameId") || has("storeId") {
        join(json)
    } else if has("cursor") || has("batchSize") || has("isInitialised") {
        pull(json)
    } else {
        let mut decoded = Decoded::new(kinds::asks_for_status());
        if let Some(request) = decoded.read::<SiteStatusRequest>(json) {
            credentials(&mut decoded, &request.sync_v5_settings, Some(request.sync_v6_version));
        }
        decoded
    }
}

fn pull(json: &str) -> Decoded {
    let mut decoded = Decoded::new(kinds::pulls());
    let Some(request) = decoded.read::<PullRequest>(json) else { return decoded };
    credentials(&mut decoded, &request.sync_v5_settings, Some(request.sync_v6_version));
    decoded.fact("from cursor", request.cursor.0);
    decoded.fact("rows at most", request.batch_size);
    decoded.fact("initialised", if request.is_initialised { facts::yes() } else { facts::not_initialised() });
    if request.batch_size == 0 {
        decoded.wrong(wrong::no_rows_asked_for());
    }
    decoded
}

fn patient_pull(json: &str) -> Decoded {
    let mut decoded = Decoded::new(kinds::asks_for_patient());
    let Some(request) = decoded.read::<PatientPullRequest>(json) else { return decoded };
    credentials(&mut decoded, &request.sync_v5_settings, Some(request.sync_v6_version));
    decoded.fact("patient", request.fetch_patient_id.to_string());
    decoded.fact("from cursor", request.cursor.0);
    decoded.fact("rows at most", request.batch_size);
    decoded
}

fn push(json: &str, fields: &Fields<'_>) -> Decoded {
    let mut decoded = Decoded::new(kinds::pushes());
    // Read by itself, so that one bad record hides no other.
    let listed = records::v6_batch(fields.get("batch").map_or("null", RawValue::get));
    if let Some(request) = decoded.read::<PushRequest>(json) {
        credentials(&mut decoded, &request.sync_v5_settings, Some(request.sync_v6_version));
    } else {
        decoded.notes.push(notes::push_refused_as_a_whole());
    }
    decoded.facts.extend(listed.facts);
    decoded.records = listed.records;
    decoded
}

/// The part beside the bytes of a file.
pub(super) fn upload(json: &str) -> Decoded {
    let mut decoded = Decoded::new(kinds::brings_file());
    let Some(part) = decoded.read::<UploadPart>(json) else { return decoded };
    credentials(&mut decoded, &part.sync_v5_settings, Some(part.sync_v6_version));
    decoded.fact("file reference", part.file_id.to_string());
    decoded
}

fn download(json: &str) -> Decoded {
    let mut decoded = Decoded::new(kinds::asks_for_file());
    let Some(request) = decoded.read::<DownloadRequest>(json) else { return decoded };
    credentials(&mut decoded, &request.sync_v5_settings, Some(request.sync_v6_version));
    decoded.fact("table", request.table_name.to_string());
    decoded.fact("record", request.record_id.to_string());
    decoded.fact("file reference", request.id.to_string());
    decoded
}

/// It has no version.
fn join(json: &str) -> Decoded {
    let mut decoded = Decoded::new(kinds::asks_for_join());
    let Some(request) = decoded.read::<NameStoreJoinRequest>(json) else { return decoded };
    credentials(&mut decoded, &request.sync_v5_settings, None);
    decoded.fact("record", request.id.to_string());
    decoded.fact("patient", request.name_id.to_string());
    decoded.fact("store", request.store_id.to_string());
    decoded
}

/// The caller; and the V6 version of the request, if it has one.
fn credentials(decoded: &mut Decoded, settings: &Credentials, version: Option<u32>) {
    decoded.fact("site name", &settings.username);
    decoded.fact("program", format!("{} {}", settings.app_name, settings.app_version));
    decoded.fact("legacy URL", masked_url(&settings.server_url));
    if let Some(version) = version {
        decoded.fact("V6 version", version);
    }
    let hash = &settings.password_sha256;
    if hash.len() != 64 || !hash.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)) {
        decoded.wrong(wrong::password_no_hash());
    }
    if settings.site_uuid.is_empty() {
        decoded.wrong(wrong::no_hardware_id());
    }
    if settings.sync_version != V5_VERSION.to_string() {
        decoded.notes.push(notes::v5_version(&settings.sync_version, V5_VERSION));
    }
    if let Some(version) = version.filter(|version| *version > V6_VERSION_MAX) {
        decoded.wrong(wrong::v6_version_newer(version));
    }
}
