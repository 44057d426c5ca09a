//! What is promised of every error and every message.

use sync_core::protocol::PasswordHash;
use sync_core::{Error, ErrorClass, Outcome, SyncReport};

use super::small_world::{B, SECRET};
use crate::world::PASSWORD;

/// No message is longer than this, whatever the other end sent.
const MESSAGE_BYTES_MAX: usize = 2000;

/// A text is short, and is one that a terminal can show.
#[track_caller]
pub(super) fn assert_text(message: &str) {
    assert!(message.len() <= MESSAGE_BYTES_MAX, "a message of {} bytes: {:.200}", message.len(), message);
    assert!(!message.chars().any(|c| c.is_control() && c != '\n'), "control characters: {message:?}");
}

/// A message is short, is one that a terminal can show, and tells no secret.
#[track_caller]
pub(super) fn assert_message(message: &str) {
    assert_text(message);
    for secret in [PasswordHash::of_password(PASSWORD).expose(), SECRET, B.1] {
        assert!(!message.contains(secret), "a secret is told: {message}");
    }
}

/// Whether a text holds the character by which bytes that are not UTF-8 are marked. Records with it are written and
/// stored, but a site that gets them takes it for the mark and sets them aside; the targets leave it out.
pub(super) fn holds_the_mark(input: &[u8]) -> bool {
    input.windows(3).any(|bytes| bytes == "\u{fdd0}".as_bytes())
}

/// An error of the catalogue, in words that may be shown.
#[track_caller]
pub(super) fn assert_error(error: &Error) {
    assert!(!error.code().is_empty() && !error.advice().is_empty(), "{error}");
    assert_message(&error.to_string());
}

/// What another end sends is never the fault of this machine, of whoever called, or of another cycle.
#[track_caller]
pub(super) fn assert_fault_of_the_other_end(report: &SyncReport) {
    for warning in &report.warnings {
        assert_message(warning);
    }
    let Some(error) = &report.error else {
        assert_ne!(report.outcome, Outcome::Failed);
        return;
    };
    assert_error(error);
    let theirs =
        [ErrorClass::Retry, ErrorClass::Configure, ErrorClass::PeerFault, ErrorClass::Upgrade].contains(&error.class());
    assert!(theirs, "{}: {error} {:?}", error.code(), error.causes());
    assert_eq!(report.outcome, Outcome::Failed);
}
