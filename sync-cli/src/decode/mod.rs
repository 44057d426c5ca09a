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
use sync_core::{Error, Result, Said};

use crate::sentences::input_given as given;

pub(crate) use self::records::RecordLine;

/// A message in words.
#[derive(Debug, Serialize)]
pub(crate) struct Decoded {
    /// What it is.
    pub message: &'static str,
    /// What it says, other than records.
    pub facts: Vec<(&'static str, String)>,
    pub records: Vec<RecordLine>,
    /// What is wrong with the message itself.
    pub problems: Vec<String>,
    /// What is worth knowing, but not wrong.
    pub notes: Vec<String>,
}

impl Decoded {
    fn new(message: &'static str) -> Self {
        Self { message, facts: Vec::new(), records: Vec::new(), problems: Vec::new(), notes: Vec::new() }
    }

    /// Whether anything is wrong with it.
    pub(crate) fn has_problems(&self) -> bool {
        !self.problems.is_empty() || self.records.iter().any(|record| !record.problems.is_empty())
    }

    fn fact(&mut self, name: &'static str, value: impl ToString) {
        self.facts.push((name, value.to_string()));
    }

    /// Reads a message by its type; what does not fit is a problem.
    fn read<T: DeserializeOwned>(&mut self, json: &str) -> Option<T> {
        match serde_json::from_str(json) {
            Ok(value) => Some(value),
            Err(error) => {
                // Where the input is laid out otherwise than what was sent, its position says nothing.
                let text = error.to_string();
                self.problems.push(text.split(" at line ").next().unwrap_or_default().to_owned());
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
        decoded.problems.push("it holds bytes that are not UTF-8".to_owned());
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
            Err(_) => unknown("it is neither an object nor a list"),
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
        let mut decoded = Decoded::new("V5: the legacy server's answer to pushed records");
        decoded.raw_fact("integration started", &fields, "integrationStarted");
        decoded
    } else if has("syncIds") {
        let mut decoded = Decoded::new("V5: records are acknowledged");
        decoded.raw_fact("ids", &fields, "syncIds");
        decoded
    } else if has("tableName") || has("recordId") || has("record") {
        records::single(json)
    } else if has("code") && has("message") {
        let mut decoded = Decoded::new("V5: what the legacy server is doing for this site");
        decoded.raw_fact("code", &fields, "code");
        decoded.raw_fact("message", &fields, "message");
        decoded
    } else if let Ok(error) = serde_json::from_str::<WireError>(json) {
        wire_error(&error)
    } else {
        unknown("none of its keys belongs to a message of V5 or V6")
    }
}

fn unknown(why: &str) -> Decoded {
    let mut decoded = Decoded::new("no message of V5 or V6");
    decoded.problems.push(why.to_owned());
    decoded
}

fn credentials(decoded: &mut Decoded, settings: &Credentials, version: u32) {
    decoded.fact("site name", &settings.username);
    decoded.fact("program", format!("{} {}", settings.app_name, settings.app_version));
    decoded.fact("legacy URL", &settings.server_url);
    decoded.fact("V6 version", version);
    let hash = &settings.password_sha256;
    if hash.len() != 64 || !hash.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)) {
        decoded.problems.push("the password is not a SHA-256 hash in small hex digits".to_owned());
    }
    if settings.site_uuid.is_empty() {
        decoded.problems.push("there is no hardware id".to_owned());
    }
    if settings.sync_version != V5_VERSION.to_string() {
        decoded.notes.push(format!("V5 version {}; this program speaks {V5_VERSION}", settings.sync_version));
    }
    if version > V6_VERSION_MAX {
        decoded.problems.push(format!("V6 version {version} is newer than any that is known; central refuses it"));
    }
}

fn request(json: &str, fields: &Fields<'_>) -> Decoded {
    let has = |key: &str| fields.get(key).is_some();
    if has("fetchPatientId") {
        let mut decoded = Decoded::new("V6: a site asks for one patient");
        if let Some(request) = decoded.read::<PatientPullRequest>(json) {
            credentials(&mut decoded, &request.sync_v5_settings, request.sync_v6_version);
            decoded.fact("patient", request.fetch_patient_id);
            decoded.fact("from cursor", request.cursor.0);
            decoded.fact("rows at most", request.batch_size);
        }
        decoded
    } else if has("batch") {
        let mut decoded = Decoded::new("V6: a site pushes records");
        let batch = fields.get("batch").map_or("null", RawValue::get);
        let listed = records::v6_batch(batch);
        if let Some(request) = decoded.read::<PushRequest>(json) {
            credentials(&mut decoded, &request.sync_v5_settings, request.sync_v6_version);
        } else {
            decoded.notes.push("central refuses a push as a whole if one part of it cannot be read".to_owned());
        }
        decoded.facts.extend(listed.facts);
        decoded.records = listed.records;
        decoded
    } else if has("tableName") {
        let mut decoded = Decoded::new("V6: a site asks for a file");
        for (name, key) in [("table", "tableName"), ("record", "recordId"), ("file reference", "id")] {
            decoded.raw_fact(name, fields, key);
        }
        with_credentials(&mut decoded, fields);
        decoded
    } else if has("cursor") || has("batchSize") || has("isInitialised") {
        let mut decoded = Decoded::new("V6: a site pulls");
        if let Some(request) = decoded.read::<PullRequest>(json) {
            credentials(&mut decoded, &request.sync_v5_settings, request.sync_v6_version);
            decoded.fact("from cursor", request.cursor.0);
            decoded.fact("rows at most", request.batch_size);
            decoded
                .fact("initialised", if request.is_initialised { "yes" } else { "no: it wants its own records too" });
            if request.batch_size == 0 {
                decoded.problems.push("0 rows are asked for: central answers with none, and never ends".to_owned());
            }
        }
        decoded
    } else {
        let mut decoded = Decoded::new("V6: a site asks whether central is done integrating");
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
        let mut decoded = Decoded::new("V5: the legacy server refuses");
        decoded.fact("code", error.code);
        decoded.fact("message", error.message);
        if !error.data.is_null() {
            decoded.fact("data", error.data);
        }
        return decoded;
    }
    match decode_answer(bytes) {
        Ok(Answer::Error(error)) => wire_error(&error),
        Ok(Answer::UnknownError(text)) => {
            let mut decoded = Decoded::new("V6: central reports an error");
            decoded.fact("error", records::shown(&text));
            decoded.problems.push("this version does not know such an error".to_owned());
            decoded
        }
        Ok(Answer::Data(data)) => data_of_answer(data.get()),
        Err(NotAnAnswer::Empty) => unknown("it is empty"),
        Err(error) => unknown(&error.to_string()),
    }
}

fn data_of_answer(data: &str) -> Decoded {
    if data == "null" {
        return Decoded::new("V6: central has taken it");
    }
    let Some(fields) = Fields::parse(data) else { return unknown("its data is no object") };
    let has = |key: &str| fields.get(key).is_some();
    if has("records_pushed") {
        let mut decoded = Decoded::new("V6: central has taken pushed records");
        if let Some(result) = decoded.read::<PushResult>(data) {
            decoded.fact("records", result.records_pushed);
        }
        decoded
    } else if has("is_integrating") {
        let mut decoded = Decoded::new("V6: whether central is done integrating");
        if let Some(status) = decoded.read::<SiteStatus>(data) {
            decoded.fact("integrating", if status.is_integrating { "yes: ask again" } else { "no" });
        }
        decoded
    } else if has("records") || has("end_cursor") {
        records::v6_batch(data)
    } else {
        unknown("its data is that of no answer that is known")
    }
}

fn wire_error(error: &WireError) -> Decoded {
    let mut decoded = Decoded::new("V6: central reports an error");
    let means = match error {
        WireError::NotACentralServer => {
            "this server is no central server, or has not yet asked the legacy server who it is"
        }
        WireError::IntegrationInProgress => "central still integrates what this site pushed earlier: try again",
        WireError::SyncVersionMismatch(..) => "the V6 versions do not fit: upgrade whichever end is older",
        WireError::OtherServerError(text) => match WireError::flattened_legacy_code(text).as_deref() {
            Some("site_name_not_found") => "the legacy server knows no such site",
            Some("site_incorrect_password") => "the legacy server says that the password is wrong",
            Some("site_incorrect_hardware_id") => "the legacy server says that the site is bound to another machine",
            Some("site_has_no_store") => "the legacy server says that the site has no store",
            Some("site_auth_timeout") => "the legacy server took too long to check the site",
            Some("api_version_incompatible") => "the legacy server does not take central's V5 version",
            Some(_) => "the legacy server refused to check the site",
            None => "something failed within central, or between it and the legacy server",
        },
        WireError::ParsingSyncRecordError(_) => "central could not read a record",
        WireError::SyncFileNotFound(_) => "central does not have the file, or not its reference",
        WireError::LegacyServerError(_) => "the legacy server refused the site",
        WireError::CannotConnectToLegacyServer(_) => "central cannot reach the legacy server",
        _ => "something failed between central and the legacy server",
    };
    decoded.fact("means", means);
    match error {
        WireError::SyncVersionMismatch(min, max, sent) => {
            decoded.fact("central takes", format!("V6 version {min} to {max}"));
            decoded.fact("the site sent", sent);
        }
        other => {
            let json = serde_json::to_string(other).unwrap_or_default();
            decoded.fact("as sent", records::shown(&json));
        }
    }
    decoded
}

fn site_info(json: &str) -> Decoded {
    let mut decoded = Decoded::new("V5: who a site is");
    if let Some(info) = decoded.read::<SiteInfo>(json) {
        decoded.fact("site", format!("{} ({})", info.name, info.site_id));
        decoded.fact("initialisation", format!("{:?}", info.initialisation_status).to_lowercase());
        let central = &info.om_supply_central_server_url;
        if info.is_om_supply_central_server {
            decoded.fact("role", "Open mSupply central server");
        } else {
            decoded.fact("role", "remote site");
            decoded.fact("central URL", central);
            if central.is_empty() {
                decoded.problems.push("no address of the central server is entered on the legacy server".to_owned());
            } else if !central.starts_with("http://") && !central.starts_with("https://") {
                decoded.problems.push("the central server's address has no http:// or https://".to_owned());
            }
        }
    }
    decoded
}
