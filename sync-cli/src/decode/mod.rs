//! What a message of V5 or V6 says, and what is wrong with it. Credentials are never repeated.

mod records;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use sync_core::protocol::v5::{SiteInfo, V5_VERSION, V5Error};
use sync_core::protocol::v6::{
    Answer, Credentials, NotAnAnswer, PatientPullRequest, PullRequest, PushRequest, PushResult, SiteStatus,
    SiteStatusRequest, V6_VERSION_MAX, WireError, decode_answer,
};
use sync_core::record::Fields;
use sync_core::{Detail, Error, Result, Said, Speaks};

use crate::sentences::{
    decoded_fact as facts, decoded_kind as kinds, decoded_means as means, decoded_note as notes,
    decoded_wrong as wrong, input_given as given,
};

pub(crate) use self::records::RecordLine;

/// A message in words.
#[derive(Debug, Serialize)]
pub(crate) struct Decoded {
    /// What it is.
    pub message: Said,
    /// What it says, other than records.
    pub facts: Vec<(&'static str, Detail)>,
    pub records: Vec<RecordLine>,
    /// What is wrong with the message itself.
    pub problems: Vec<Detail>,
    /// What is worth knowing, but not wrong.
    pub notes: Vec<Said>,
}

impl Speaks for Decoded {
    fn each_said(&mut self, each: &mut dyn FnMut(&mut Said)) {
        self.message.each_said(each);
        self.facts.iter_mut().for_each(|(_, value)| value.each_said(each));
        self.records.each_said(each);
        self.problems.each_said(each);
        self.notes.each_said(each);
    }
}

impl Decoded {
    fn new(message: Said) -> Self {
        Self { message, facts: Vec::new(), records: Vec::new(), problems: Vec::new(), notes: Vec::new() }
    }

    /// Whether anything is wrong with it.
    pub(crate) fn has_problems(&self) -> bool {
        !self.problems.is_empty() || self.records.iter().any(|record| !record.problems.is_empty())
    }

    fn fact(&mut self, name: &'static str, value: impl Into<Detail>) {
        self.facts.push((name, value.into()));
    }

    fn wrong(&mut self, problem: Said) {
        self.problems.push(problem.into());
    }

    /// Reads a message by its type; what does not fit is a problem.
    fn read<T: DeserializeOwned>(&mut self, json: &str) -> Option<T> {
        match serde_json::from_str(json) {
            Ok(value) => Some(value),
            Err(error) => {
                self.problems.push(records::without_position(&error).into());
                None
            }
        }
    }

    /// Notes a value that may be missing or of another kind.
    fn raw_fact(&mut self, name: &'static str, fields: &Fields<'_>, key: &str) {
        if let Some(value) = fields.get(key) {
            self.fact(name, records::shown(value.get()));
        }
    }
}

/// Reads a message.
///
/// # Errors
/// It is no message at all.
pub(crate) fn decode(bytes: &[u8]) -> Result<Decoded> {
    let none = |why: Said| Err(Error::bad_input(why));
    if bytes.starts_with(&[0x1f, 0x8b]) {
        return none(given::gzipped());
    }
    let text = String::from_utf8_lossy(bytes);
    let text = text.trim();
    if text.is_empty() {
        return none(given::empty());
    }
    if text.starts_with('<') {
        return none(given::web_page());
    }
    let raw: Box<RawValue> = match serde_json::from_str(text) {
        Ok(raw) => raw,
        Err(error) if error.is_eof() => return none(given::cut_off(error.to_string())),
        Err(error) => return none(given::not_json(error.to_string())),
    };
    let mut decoded = of_kind(raw.get(), bytes);
    if std::str::from_utf8(bytes).is_err() {
        decoded.wrong(wrong::not_utf8());
    }
    Ok(decoded)
}

/// Finds the kind of a message by its keys, which no two kinds share.
fn of_kind(json: &str, bytes: &[u8]) -> Decoded {
    let Some(fields) = Fields::parse(json) else {
        if let Ok(list) = serde_json::from_str::<Vec<Box<RawValue>>>(json) {
            return records::list(&list);
        }
        // The one error that is a mere text, and anything else.
        return match serde_json::from_str::<WireError>(json) {
            Ok(error) => wire_error(&error),
            Err(_) => unknown(wrong::neither_object_nor_list()),
        };
    };
    let has = |key: &str| fields.get(key).is_some();
    let only = |key: &str| has(key) && fields.iter().count() == 1;
    if has("syncV5Settings") || has("isInitialised") || has("batchSize") || (has("cursor") && !has("record")) {
        request(json, &fields)
    } else if only("data") || only("error") {
        answer(json, bytes)
    } else if has("end_cursor") || has("is_last_batch") || has("total_records") {
        records::v6_batch(json)
    } else if has("maxCursor") {
        records::central_records(json)
    } else if has("queueLength") {
        records::queue(&fields)
    } else if has("initialisationStatus") || has("siteId") {
        site_info(json)
    } else if has("integrationStarted") {
        let mut decoded = Decoded::new(kinds::pushed_to_legacy());
        decoded.raw_fact("integration started", &fields, "integrationStarted");
        decoded
    } else if has("syncIds") {
        let mut decoded = Decoded::new(kinds::acknowledged());
        decoded.raw_fact("ids", &fields, "syncIds");
        decoded
    } else if has("tableName") || has("recordId") || has("record") {
        records::single(json)
    } else if has("code") && has("message") {
        let mut decoded = Decoded::new(kinds::legacy_status());
        decoded.raw_fact("code", &fields, "code");
        decoded.raw_fact("message", &fields, "message");
        decoded
    } else if let Ok(error) = serde_json::from_str::<WireError>(json) {
        wire_error(&error)
    } else {
        unknown(wrong::no_known_key())
    }
}

fn unknown(why: Said) -> Decoded {
    let mut decoded = Decoded::new(kinds::none());
    decoded.wrong(why);
    decoded
}

fn credentials(decoded: &mut Decoded, settings: &Credentials, version: u32) {
    decoded.fact("site name", &settings.username);
    decoded.fact("program", format!("{} {}", settings.app_name, settings.app_version));
    decoded.fact("legacy URL", &settings.server_url);
    decoded.fact("V6 version", version);
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
    if version > V6_VERSION_MAX {
        decoded.wrong(wrong::v6_version_newer(version));
    }
}

fn request(json: &str, fields: &Fields<'_>) -> Decoded {
    let has = |key: &str| fields.get(key).is_some();
    if has("fetchPatientId") {
        let mut decoded = Decoded::new(kinds::asks_for_patient());
        if let Some(request) = decoded.read::<PatientPullRequest>(json) {
            credentials(&mut decoded, &request.sync_v5_settings, request.sync_v6_version);
            decoded.fact("patient", request.fetch_patient_id.to_string());
            decoded.fact("from cursor", request.cursor.0);
            decoded.fact("rows at most", request.batch_size);
        }
        decoded
    } else if has("batch") {
        let mut decoded = Decoded::new(kinds::pushes());
        let batch = fields.get("batch").map_or("null", RawValue::get);
        let listed = records::v6_batch(batch);
        if let Some(request) = decoded.read::<PushRequest>(json) {
            credentials(&mut decoded, &request.sync_v5_settings, request.sync_v6_version);
        } else {
            decoded.notes.push(notes::push_refused_as_a_whole());
        }
        decoded.facts.extend(listed.facts);
        decoded.records = listed.records;
        decoded
    } else if has("tableName") {
        let mut decoded = Decoded::new(kinds::asks_for_file());
        for (name, key) in [("table", "tableName"), ("record", "recordId"), ("file reference", "id")] {
            decoded.raw_fact(name, fields, key);
        }
        with_credentials(&mut decoded, fields);
        decoded
    } else if has("cursor") || has("batchSize") || has("isInitialised") {
        let mut decoded = Decoded::new(kinds::pulls());
        if let Some(request) = decoded.read::<PullRequest>(json) {
            credentials(&mut decoded, &request.sync_v5_settings, request.sync_v6_version);
            decoded.fact("from cursor", request.cursor.0);
            decoded.fact("rows at most", request.batch_size);
            decoded.fact("initialised", if request.is_initialised { facts::yes() } else { facts::not_initialised() });
            if request.batch_size == 0 {
                decoded.wrong(wrong::no_rows_asked_for());
            }
        }
        decoded
    } else {
        let mut decoded = Decoded::new(kinds::asks_for_status());
        if let Some(request) = decoded.read::<SiteStatusRequest>(json) {
            credentials(&mut decoded, &request.sync_v5_settings, request.sync_v6_version);
        }
        decoded
    }
}

/// The credentials of a request that this program has no type for.
fn with_credentials(decoded: &mut Decoded, fields: &Fields<'_>) {
    let version = fields.get("syncV6Version").and_then(|version| version.get().parse().ok()).unwrap_or(0);
    let settings = fields.get("syncV5Settings").map_or("null", RawValue::get);
    if let Some(settings) = decoded.read::<Credentials>(settings) {
        credentials(decoded, &settings, version);
    }
}

fn answer(json: &str, bytes: &[u8]) -> Decoded {
    if let Ok(V5Error { error }) = serde_json::from_str(json) {
        let mut decoded = Decoded::new(kinds::legacy_refuses());
        decoded.fact("code", error.code);
        decoded.fact("message", error.message);
        if !error.data.is_null() {
            decoded.fact("data", error.data.to_string());
        }
        return decoded;
    }
    match decode_answer(bytes) {
        Ok(Answer::Error(error)) => wire_error(&error),
        Ok(Answer::UnknownError(text)) => {
            let mut decoded = Decoded::new(kinds::central_error());
            decoded.fact("error", records::shown(&text));
            decoded.wrong(wrong::unknown_error());
            decoded
        }
        Ok(Answer::Data(data)) => data_of_answer(data.get()),
        Err(NotAnAnswer::Empty) => unknown(wrong::empty()),
        Err(NotAnAnswer::CutOff(error)) => unknown(wrong::cut_off(error)),
        Err(NotAnAnswer::Other(error)) => unknown(wrong::no_answer(error)),
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

fn wire_error(error: &WireError) -> Decoded {
    let mut decoded = Decoded::new(kinds::central_error());
    let means = match error {
        WireError::NotACentralServer => means::not_central(),
        WireError::IntegrationInProgress => means::still_integrating(),
        WireError::SyncVersionMismatch(..) => means::versions_do_not_fit(),
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
            decoded.fact("as sent", records::shown(&json));
        }
    }
    decoded
}

fn site_info(json: &str) -> Decoded {
    let mut decoded = Decoded::new(kinds::site_info());
    if let Some(info) = decoded.read::<SiteInfo>(json) {
        decoded.fact("site", format!("{} ({})", info.name, info.site_id));
        decoded.fact("initialisation", format!("{:?}", info.initialisation_status).to_lowercase());
        let central = &info.om_supply_central_server_url;
        if info.is_om_supply_central_server {
            decoded.fact("role", facts::central());
        } else {
            decoded.fact("role", facts::remote());
            decoded.fact("central URL", central);
            if central.is_empty() {
                decoded.wrong(wrong::no_central_address());
            } else if !central.starts_with("http://") && !central.starts_with("https://") {
                decoded.wrong(wrong::central_address_without_scheme());
            }
        }
    }
    decoded
}
