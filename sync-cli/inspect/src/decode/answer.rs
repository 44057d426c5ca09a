//! Answers of both servers: data, errors, and plain texts.

use sync_core::protocol::masked_url;
use sync_core::protocol::v5::{SiteInfo, V5Error};
use sync_core::protocol::v6::{Answer, EnvelopeFault, PushResult, SiteStatus, WireError, decode_answer};
use sync_core::record::Fields;

use super::decoded::{Decoded, shown, unknown};
use super::records;
use crate::sentences::{decoded_fact as facts, decoded_kind as kinds, decoded_means as means, decoded_wrong as wrong};

/// Plain texts of central, or of the web server around it (`protocol-v6` §6, §8.7): their beginning, and their meaning.
pub(super) fn in_words(text: &str) -> Option<Decoded> {
    const TOO_LARGE: [&str; 2] = ["JSON payload (", "JSON payload has exceeded limit"];
    const UNREADABLE: [&str; 6] = [
        "Json deserialize error",
        "Content type error",
        "Required field is missing",
        "An error occurred processing field",
        "Payload error",
        "ContentTypeIncompatible",
    ];
    let begins = |with: &[&str]| with.iter().any(|start| text.starts_with(start));
    let means = if text.starts_with("Method only allowed on central server") {
        means::not_central()
    } else if begins(&TOO_LARGE) {
        means::too_large()
    } else if begins(&UNREADABLE) {
        means::request_unreadable()
    } else if text.starts_with("Internal error") {
        return Some(wire_error(&WireError::OtherServerError(text.to_owned())));
    } else {
        return None;
    };
    let mut decoded = Decoded::new(kinds::central_error());
    decoded.fact("means", means);
    decoded.fact("as sent", shown(text));
    Some(decoded)
}

/// An answer in an envelope, of V6, or an error of V5.
pub(super) fn answer(json: &str) -> Decoded {
    if let Ok(V5Error { error }) = serde_json::from_str(json) {
        let mut decoded = Decoded::new(kinds::legacy_refuses());
        decoded.fact("code", error.code);
        decoded.fact("message", error.message);
        if !error.data.is_null() {
            decoded.fact("data", error.data.to_string());
        }
        return decoded;
    }
    match decode_answer(json.as_bytes()) {
        Ok(Answer::Error(error)) => wire_error(&error),
        Ok(Answer::UnknownError(text)) => {
            let mut decoded = Decoded::new(kinds::central_error());
            decoded.fact("error", shown(&text));
            decoded.wrong(wrong::unknown_error());
            decoded
        }
        Ok(Answer::Data(data)) => data_of_answer(data.get()),
        Err(EnvelopeFault::Empty) => unknown(wrong::empty()),
        Err(EnvelopeFault::CutOff(error)) => unknown(wrong::cut_off(error)),
        Err(EnvelopeFault::Other(error)) => unknown(wrong::no_answer(error)),
    }
}

fn data_of_answer(data: &str) -> Decoded {
    if data == "null" {
        return Decoded::new(kinds::taken());
    }
    let Some(fields) = Fields::parse(data) else { return unknown(wrong::data_no_object()) };
    let has = |key: &str| fields.get(key).is_some();
    if has("records_pushed") {
        let mut decoded = Decoded::new(kinds::taken_records());
        if let Some(result) = decoded.read::<PushResult>(data) {
            decoded.fact("records", result.records_pushed);
        }
        decoded
    } else if has("is_integrating") {
        let mut decoded = Decoded::new(kinds::status());
        if let Some(status) = decoded.read::<SiteStatus>(data) {
            decoded.fact("integrating", if status.is_integrating { facts::still_integrating() } else { facts::no() });
        }
        decoded
    } else if has("records") || has("end_cursor") {
        records::v6_batch(data)
    } else {
        unknown(wrong::unknown_data())
    }
}

/// The meaning of an error of central.
pub(super) fn wire_error(error: &WireError) -> Decoded {
    let mut decoded = Decoded::new(kinds::central_error());
    let means = match error {
        WireError::NotACentralServer => means::not_central(),
        WireError::IntegrationInProgress => means::still_integrating(),
        WireError::SyncVersionMismatch(..) => means::versions_do_not_fit(),
        error if error.is_pause() => means::paused(),
        WireError::OtherServerError(text) => match WireError::flattened_legacy_code(text).as_deref() {
            Some("site_name_not_found") => means::unknown_site(),
            Some("site_incorrect_password") => means::wrong_password(),
            Some("site_incorrect_hardware_id") => means::other_machine(),
            Some("site_has_no_store") => means::no_store(),
            Some("site_auth_timeout") => means::legacy_too_slow(),
            Some("api_version_incompatible") => means::v5_not_taken(),
            Some(_) => means::check_refused(),
            None => means::failed_within(),
        },
        WireError::ParsingSyncRecordError(_) => means::record_unreadable(),
        WireError::SyncFileNotFound(_) => means::no_file(),
        WireError::SyncApiPaused => means::paused(),
        WireError::TableNotAuthoredBySite(_) => means::table_not_for_sites(),
        WireError::LegacyServerError(_) => means::site_refused(),
        WireError::CannotConnectToLegacyServer(_) => means::legacy_out_of_reach(),
        _ => means::failed_between(),
    };
    decoded.fact("means", means);
    match error {
        WireError::SyncVersionMismatch(min, max, sent) => {
            decoded.fact("central takes", facts::v6_versions(*min, *max));
            decoded.fact("the site sent", *sent);
        }
        other => {
            let json = serde_json::to_string(other).unwrap_or_default();
            decoded.fact("as sent", shown(&json));
        }
    }
    decoded
}

/// Reads the legacy server's answer about a site.
pub(super) fn site_info(json: &str) -> Decoded {
    let mut decoded = Decoded::new(kinds::site_info());
    if let Some(info) = decoded.read::<SiteInfo>(json) {
        decoded.fact("site", format!("{} ({})", info.name, info.site_id));
        decoded.fact("initialisation", format!("{:?}", info.initialisation_status).to_lowercase());
        let central = &info.om_supply_central_server_url;
        if info.is_om_supply_central_server {
            decoded.fact("role", facts::central());
        } else {
            decoded.fact("role", facts::remote());
            decoded.fact("central URL", masked_url(central));
            if central.is_empty() {
                decoded.wrong(wrong::no_central_address());
            } else if !central.starts_with("http://") && !central.starts_with("https://") {
                decoded.wrong(wrong::central_address_without_scheme());
            }
        }
    }
    decoded
}
