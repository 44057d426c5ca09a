//! The promises about every error and every message.

use sync_core::protocol::PasswordHash;
use sync_core::{Error, ErrorClass, SyncOutcome, SyncReport};

use super::small_world::{B, SECRET};
use crate::world::PASSWORD;

/// No message is longer than this, whatever the other end sent.
const MESSAGE_BYTES_MAX: usize = 2000;

/// A text is short, and safe for a terminal.
#[track_caller]
pub(super) fn assert_text(message: &str) {
    assert!(message.len() <= MESSAGE_BYTES_MAX, "a message of {} bytes: {:.200}", message.len(), message);
    assert!(!message.chars().any(|c| c.is_control() && c != '\n'), "control characters: {message:?}");
}

/// A message is short, safe for a terminal, and contains no secret.
#[track_caller]
pub(super) fn assert_message(message: &str) {
    assert_text(message);
    for secret in [PasswordHash::of_password(PASSWORD).expose(), SECRET, B.1] {
        assert!(!message.contains(secret), "a secret is told: {message}");
    }
}

/// JSON text with U+FDD0 escaped, as a site may get it: that character also marks bytes that are not UTF-8.
pub(super) fn as_it_travels(json: &str) -> String {
    json.replace('\u{fdd0}', r"\ufdd0")
}

/// What central says with status 400 may quote the request, up to this many characters of it.
const QUOTED_CHARS_MAX: usize = 1000;

/// A refusal in plain text, with any status except 200: some words, and the quoted part of the request.
#[track_caller]
pub(super) fn assert_refusal(status: u16, said: &str) {
    let quoted = said.strip_prefix("Json deserialize error: ").filter(|_| status == 400);
    let (length, most) =
        (quoted.unwrap_or(said).chars().count(), if quoted.is_some() { QUOTED_CHARS_MAX } else { 100 });
    assert!((1..=most).contains(&length), "status {status} with {length} characters: {said:.300}");
    assert!(!said.chars().any(char::is_control), "status {status} with control characters: {said:?}");
    if quoted.is_none() {
        assert_message(said);
    }
}

/// An error of the catalogue, in words that may be shown.
#[track_caller]
pub(super) fn assert_error(error: &Error) {
    assert!(!error.code().is_empty() && !error.advice().is_empty(), "{error}");
    assert_message(&error.to_string());
}

/// Input of another end is never the fault of this machine, of the caller, or of another cycle.
#[track_caller]
pub(super) fn assert_fault_of_the_other_end(report: &SyncReport) {
    for warning in &report.warnings {
        assert_message(&warning.to_string());
    }
    let Some(error) = &report.error else {
        assert_ne!(report.outcome, SyncOutcome::Failed);
        return;
    };
    assert_error(error);
    let theirs =
        [ErrorClass::Retry, ErrorClass::Configure, ErrorClass::PeerFault, ErrorClass::Upgrade].contains(&error.class());
    assert!(theirs, "{}: {error} {:?}", error.code(), error.causes());
    assert_eq!(report.outcome, SyncOutcome::Failed);
}
