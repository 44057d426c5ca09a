//! The envelope of every JSON answer: `{"data": …}` or `{"error": …}`, both with status 200 (`protocol-v6` §5).

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::protocol::v5::V5ErrorBody;
use crate::record::Fields;
use crate::text_input::as_utf8;

/// The value of `error`: a bare string, or an object with one key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum WireError {
    /// The server is not the central one.
    NotACentralServer,
    /// Records that this site pushed are still being integrated.
    IntegrationInProgress,
    /// The version is outside the range: lowest, highest, received.
    SyncVersionMismatch(u32, u32, u32),
    /// Any other error; since v2.7.3 also all problems with credentials and the legacy server, flattened into the text.
    OtherServerError(String),
    /// A pushed record could not be written to central's buffer.
    ParsingSyncRecordError(String),
    /// The reference record of an uploaded file is not integrated yet.
    SyncFileNotFound(String),
    /// The server is paused for maintenance (servers from v3.2 on).
    SyncApiPaused,
    /// The whole push is refused, because sites may not write this table (servers from v3 on).
    TableNotAuthoredBySite(String),
    /// The legacy server refused the site (servers up to v2.7.2).
    LegacyServerError(V5ErrorBody),
    /// Central could not reach the legacy server (servers up to v2.7.2).
    CannotConnectToLegacyServer(String),
    /// The legacy server sent central something unreadable (servers up to v2.7.2).
    OtherLegacyServerError(String),
}

/// The content of an answer's envelope.
#[derive(Debug, Clone)]
pub enum Answer {
    /// The JSON text of `data`.
    Data(Box<RawValue>),
    /// A known error.
    Error(WireError),
    /// An error unknown to this version, as JSON text.
    UnknownError(String),
}

/// Why a body is not an envelope.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the message of each variant says what it is")]
pub enum EnvelopeFault {
    #[error("the body is empty")]
    Empty,
    #[error("the body is cut off: {0}")]
    CutOff(String),
    #[error("not an answer of this protocol: {0}")]
    Other(String),
}

/// Reads an answer. Bytes that are not UTF-8 are replaced, so that only their record is lost for now and not the whole
/// batch (its elements are then [`Unreadable`](super::Unreadable)).
///
/// # Errors
/// The kind of body that came in place of an envelope.
pub fn decode_answer(body: &[u8]) -> Result<Answer, EnvelopeFault> {
    let text = marked_text(body);
    if text.trim().is_empty() {
        return Err(EnvelopeFault::Empty);
    }
    let fields: Fields<'_> = serde_json::from_str(&text).map_err(|error| match error.classify() {
        serde_json::error::Category::Eof => EnvelopeFault::CutOff(error.to_string()),
        _ => EnvelopeFault::Other(error.to_string()),
    })?;
    if let Some(data) = data_of(&fields) {
        return Ok(Answer::Data(data.to_owned()));
    }
    let keys: Vec<(&str, &RawValue)> = fields.iter().collect();
    match keys.as_slice() {
        [("error", error)] => Ok(serde_json::from_str(error.get())
            .map_or_else(|_| Answer::UnknownError(error.get().to_owned()), Answer::Error)),
        _ => Err(EnvelopeFault::Other("neither data nor error".to_owned())),
    }
}

/// The data in an answer; `None` for any other answer, of which [`decode_answer`] says what it is.
pub(crate) fn data_in(text: &str) -> Option<&RawValue> {
    data_of(&serde_json::from_str(text).ok()?)
}

fn data_of<'a>(fields: &Fields<'a>) -> Option<&'a RawValue> {
    let mut keys = fields.iter();
    match (keys.next(), keys.next()) {
        (Some(("data", data)), None) => Some(data),
        _ => None,
    }
}

/// Replaces bytes that are not UTF-8: a noncharacter of Unicode, which no text uses.
const NOT_UTF8: char = '\u{fdd0}';

/// Replaces a control character that stands in a string without an escape; another such noncharacter.
const RAW_CONTROL: char = '\u{fdd1}';

/// Why an element of a body is unreadable, if bytes of it were replaced.
pub(crate) fn replaced_in(element: &str) -> Option<&'static str> {
    match () {
        () if element.contains(NOT_UTF8) => Some("its text is not UTF-8"),
        () if element.contains(RAW_CONTROL) => Some("its text has a control character without an escape"),
        () => None,
    }
}

/// A peer's body as text, without a byte order mark, and with bytes that are not UTF-8 replaced by [`NOT_UTF8`].
pub(crate) fn marked_text(body: &[u8]) -> Cow<'_, str> {
    match as_utf8(body) {
        Cow::Borrowed(body) => marked(body),
        Cow::Owned(body) => Cow::Owned(marked(&body).into_owned()),
    }
}

/// The body as text, with bytes that are not UTF-8 replaced by [`NOT_UTF8`]. If that character itself was sent, it is
/// escaped, which in JSON is the same. Control characters that stand in a string without an escape are replaced too: they would
/// make the whole body unreadable, and not only their record.
fn marked(body: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(body) {
        // Most bodies have not even the first byte of these two.
        Ok(text) if !(body.contains(&0xef) && text.contains([NOT_UTF8, RAW_CONTROL])) => {
            return with_controls_marked(text).map_or(text.into(), Cow::Owned);
        }
        _ => {}
    }
    let mut text = String::with_capacity(body.len());
    for chunk in body.utf8_chunks() {
        text.push_str(&chunk.valid().replace(NOT_UTF8, r"\ufdd0").replace(RAW_CONTROL, r"\ufdd1"));
        if !chunk.invalid().is_empty() {
            text.push(NOT_UTF8);
        }
    }
    Cow::Owned(with_controls_marked(&text).unwrap_or(text))
}

/// The text with each control character in a string replaced by [`RAW_CONTROL`]; `None` if there is none.
fn with_controls_marked(text: &str) -> Option<String> {
    // In pieces without an early end, which take a fraction of the time.
    let is_clean = |piece: &[u8]| piece.iter().fold(true, |clean, byte| clean & (*byte >= b' '));
    if text.as_bytes().chunks(256).all(is_clean) {
        return None;
    }
    let (mut is_inside, mut is_escaped, mut any) = (false, false, false);
    let mark = |letter: char| {
        let is_raw = is_inside && letter < ' ';
        match letter {
            _ if is_escaped => is_escaped = false,
            '\\' if is_inside => is_escaped = true,
            '"' => is_inside = !is_inside,
            _ => {}
        }
        any |= is_raw;
        if is_raw { RAW_CONTROL } else { letter }
    };
    let marked: String = text.chars().map(mark).collect();
    any.then_some(marked)
}

/// Writes a success.
pub fn encode_data(data: &impl Serialize) -> Vec<u8> {
    #[derive(Serialize)]
    struct DataEnvelope<'a, T: Serialize> {
        data: &'a T,
    }
    serde_json::to_vec(&DataEnvelope { data }).unwrap_or_default()
}

/// Writes a failure.
pub fn encode_error(error: &WireError) -> Vec<u8> {
    #[derive(Serialize)]
    struct ErrorEnvelope<'a> {
        error: &'a WireError,
    }
    serde_json::to_vec(&ErrorEnvelope { error }).unwrap_or_default()
}

/// How this project's central says that it is paused to a site whose release has no error for that.
const PAUSED: &str = "The central server is paused for maintenance";

/// Only this project's central sends it, to sites of this project.
const DATABASE_COPIED: &str = "The database of this site was copied, and another copy goes on as the site since";

/// The same for a database that may have been replaced by another one.
const COPY_UNDECIDED: &str =
    "Another database of this site was set up, and this server waits to see which of them goes on, since";

impl WireError {
    /// The legacy server's code in snake_case, if the text of an [`OtherServerError`](Self::OtherServerError) is a
    /// flattened refusal of the legacy server (`protocol-v6` §5).
    pub fn flattened_legacy_code(text: &str) -> Option<Cow<'static, str>> {
        const CODES: &[(&str, &str)] = &[
            ("SiteNameNotFound", "site_name_not_found"),
            ("SiteIncorrectPassword", "site_incorrect_password"),
            ("SiteIncorrectHardwareId", "site_incorrect_hardware_id"),
            ("SiteHasNoStore", "site_has_no_store"),
            ("SiteAuthTimeout", "site_auth_timeout"),
            ("ApiVersionIncompatible", "api_version_incompatible"),
        ];
        let quoted = text.split_once("code: '")?.1;
        if let Some((_, code)) = CODES.iter().find(|(pascal, _)| quoted.starts_with(&format!("{pascal}'"))) {
            return Some(Cow::Borrowed(code));
        }
        let raw = quoted.strip_prefix("Other(\"")?.split_once("\")")?.0;
        Some(Cow::Owned(raw.to_owned()))
    }

    /// Includes the message, and the data if they are JSON.
    pub fn flattened_legacy_error(text: &str) -> Option<V5ErrorBody> {
        let code = Self::flattened_legacy_code(text)?.into_owned();
        let (message, rest) =
            text.split_once("' message: '").and_then(|(_, rest)| rest.split_once("' data: '")).unwrap_or_default();
        let data = rest.rsplit_once('\'').and_then(|(data, _)| serde_json::from_str(data).ok()).unwrap_or_default();
        Some(V5ErrorBody { code, message: message.to_owned(), data })
    }

    /// Says that the server is paused for maintenance, in a way that a site with this application version understands: an
    /// unknown error would be a broken answer to an older one, which shows this text to its user.
    pub fn paused_for(app_version: &str) -> Self {
        match super::release(app_version) {
            Some(release) if release >= (3, 2, 0) => Self::SyncApiPaused,
            _ => Self::OtherServerError(format!("{PAUSED}. Nothing is lost; this site goes on by itself afterwards")),
        }
    }

    /// True if it says that the server is paused for maintenance.
    pub fn is_pause(&self) -> bool {
        match self {
            Self::SyncApiPaused => true,
            Self::OtherServerError(text) => text.starts_with(PAUSED),
            _ => false,
        }
    }

    /// Says that another copy of the site's database continues as the site, since then.
    pub fn database_copied(since: &str) -> Self {
        Self::OtherServerError(format!("{DATABASE_COPIED} {since}"))
    }

    /// Since when another copy continues, if the text of an [`OtherServerError`](Self::OtherServerError) says that.
    pub fn copy_goes_on_since(text: &str) -> Option<&str> {
        text.strip_prefix(DATABASE_COPIED).map(str::trim)
    }

    /// Says that another database of the site was set up at this time, and that it is not decided yet which of them continues.
    pub fn copy_undecided(set_up_at: &str) -> Self {
        Self::OtherServerError(format!("{COPY_UNDECIDED} {set_up_at}"))
    }

    /// When another database was set up, if the text of an [`OtherServerError`](Self::OtherServerError) says
    /// [that](Self::copy_undecided).
    pub fn copy_undecided_since(text: &str) -> Option<&str> {
        text.strip_prefix(COPY_UNDECIDED).map(str::trim)
    }

    /// The text in which an Open mSupply central reports a refusal of the legacy server.
    pub fn flatten_legacy(legacy_url: &str, status: u16, reason: &str, pascal_code: &str, message: &str) -> Self {
        Self::OtherServerError(format!(
            "Internal error: Sync api error, url: '{legacy_url}', route: '/sync/v5/site' -> [\n    \
             \"status: '{status} {reason}'\",\n    \"code: '{pascal_code}' message: '{message}' data: 'null'\",\n]"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_shape_is_read_and_written() {
        for json in [
            r#"{"error":"notACentralServer"}"#,
            r#"{"error":"integrationInProgress"}"#,
            r#"{"error":{"syncVersionMismatch":[0,5,6]}}"#,
            r#"{"error":{"otherServerError":"Internal error: Key Value Store missing sync URL"}}"#,
            r#"{"error":{"parsingSyncRecordError":"text"}}"#,
            r#"{"error":{"syncFileNotFound":"c2a1f2b7-0b7d-4b39-9a0a-8f6a1c4f7d11"}}"#,
            r#"{"error":"syncApiPaused"}"#,
            r#"{"error":{"tableNotAuthoredBySite":"item_variant"}}"#,
            r#"{"error":{"legacyServerError":{"code":"site_incorrect_hardware_id","message":"Site hardware ID does not match","data":null}}}"#,
            r#"{"error":{"cannotConnectToLegacyServer":"text"}}"#,
            r#"{"error":{"otherLegacyServerError":"text"}}"#,
        ] {
            let Ok(Answer::Error(error)) = decode_answer(json.as_bytes()) else { panic!("{json}") };
            assert_eq!(String::from_utf8(encode_error(&error)).unwrap(), json);
        }
    }

    #[test]
    fn each_release_gets_a_pause_that_it_can_read() {
        for (release, known) in [("3.2.0", true), ("3.10.1", true), ("3.1.9", false), ("2.19.0", false), ("", false)] {
            let error = WireError::paused_for(release);
            assert_eq!(error == WireError::SyncApiPaused, known, "{release}");
            assert!(error.is_pause(), "{release}");
        }
        assert!(!WireError::OtherServerError("another".to_owned()).is_pause());
    }

    #[test]
    fn what_is_no_envelope() {
        for (body, says) in [
            ("", "empty"),
            ("  \n", "empty"),
            ("<html>", "not an answer"),
            (r#"{"data":{"is_integrating":"#, "cut off"),
            ("{}", "neither"),
            (r#"{"data":1,"error":"x"}"#, "neither"),
            ("[]", "not an answer"),
        ] {
            let reason = decode_answer(body.as_bytes()).unwrap_err().to_string();
            assert!(reason.contains(says), "{body}: {reason}");
        }
    }

    #[test]
    fn null_data_and_errors_of_the_future() {
        assert!(matches!(decode_answer(br#"{"data":null}"#), Ok(Answer::Data(data)) if data.get() == "null"));
        assert!(matches!(decode_answer(br#"{"error":{"quotaExceeded":3}}"#), Ok(Answer::UnknownError(_))));
    }

    #[test]
    fn bytes_that_are_not_utf8_spoil_their_own_record_only() {
        use crate::protocol::v6::ReadBatch;
        let element =
            |id: &str| format!(r#"{{"cursor":1,"record":{{"tableName":"t","recordId":"{id}","action":"Update"}}}}"#);
        let head = br#"{"data":{"end_cursor":1,"total_records":3,"is_last_batch":true,"records":["#;
        // A replacement character that was really typed is an ordinary character.
        let parts =
            [element("typed \u{fffd}").into_bytes(), element("broken X").into_bytes(), element("good").into_bytes()];
        let mut body = [head.as_slice(), &parts.join(&b','), b"]}}"].concat();
        let at = body.iter().position(|b| *b == b'X').unwrap();
        body[at] = 0xff;
        let Ok(Answer::Data(data)) = decode_answer(&body) else { panic!() };
        let batch = ReadBatch::parse(data.get()).unwrap();
        let readable: Vec<bool> = batch.records.iter().map(Result::is_ok).collect();
        assert_eq!(readable, [true, false, true]);
        assert_eq!(batch.records[1].as_ref().unwrap_err().reason, "its text is not UTF-8");
    }

    #[test]
    fn the_mark_of_bytes_that_are_no_text_may_be_sent_as_text() {
        let body = "{\"data\":\"a\u{fdd0}\"}";
        let Ok(Answer::Data(data)) = decode_answer(body.as_bytes()) else { panic!() };
        assert!(!data.get().contains(NOT_UTF8));
        assert_eq!(serde_json::from_str::<String>(data.get()).unwrap(), "a\u{fdd0}");
    }

    #[test]
    fn flattened_refusals() {
        let error =
            WireError::flatten_legacy("http://l/", 401, "Unauthorized", "SiteIncorrectPassword", "Incorrect password");
        let WireError::OtherServerError(text) = error else { panic!() };
        assert_eq!(WireError::flattened_legacy_code(&text).unwrap(), "site_incorrect_password");
        let with_data =
            r#"-> ["code: 'Other("integration_error")' message: 'It's 'bad'' data: '{"record_ID":"A1"}'",]"#;
        let error = WireError::flattened_legacy_error(with_data).unwrap();
        assert_eq!(error.summary(), "integration_error: It's 'bad' (A1)");
        let other = "x \"code: 'Other(\"sync_is_running\")' message: ''";
        assert_eq!(WireError::flattened_legacy_code(other).unwrap(), "sync_is_running");
        assert_eq!(WireError::flattened_legacy_code("Connection problem"), None);
    }

    #[test]
    fn a_control_character_in_a_string_spoils_its_record_alone() {
        let body = "{\"data\":\n\t[\"a\tb\",\"c\\\"\td\",\"e\\\\\",\t1]}";
        let Ok(Answer::Data(data)) = decode_answer(body.as_bytes()) else { panic!("it is read") };
        assert_eq!(data.get(), "[\"a\u{fdd1}b\",\"c\\\"\u{fdd1}d\",\"e\\\\\",\t1]");
        let pretty = "{\n\t\"data\": [1]\r\n}";
        assert!(matches!(marked_text(pretty.as_bytes()), Cow::Borrowed(_)));
    }
}
