//! What is said of errors, by code: in English, or in the words that a host gives.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;

use crate::catalogue::samples;
use crate::error::{Error, Result};
use crate::ownership::Refusal;

/// Words for one code; what is left out is said in English.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Text {
    /// What happened. `{name}` stands for a detail, as in [`CatalogueEntry::template`](crate::CatalogueEntry::template).
    #[serde(default)]
    pub message: Option<String>,
    /// What to do.
    #[serde(default)]
    pub advice: Option<String>,
    /// What usually lies behind it.
    #[serde(default)]
    pub cause: Option<String>,
}

/// What is said of errors. The empty one speaks English.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Texts {
    by_code: BTreeMap<String, Text>,
    /// Details that are words themselves, as `the central server`.
    words: BTreeMap<String, String>,
}

impl Texts {
    /// Reads texts: a JSON object of codes, each with `message`, `advice` and `cause`, and under `words` what is to be said
    /// instead of English words in details.
    ///
    /// # Errors
    /// [`Error::BadInput`]: it is no such object, names a code that there is not, or a detail that the code does not have.
    pub fn parse(json: &str) -> Result<Self> {
        #[derive(Deserialize)]
        struct File {
            #[serde(default)]
            words: BTreeMap<String, String>,
            #[serde(flatten)]
            by_code: BTreeMap<String, Text>,
        }
        let bad = |detail: String| Error::BadInput { detail };
        let file: File = serde_json::from_str(json).map_err(|error| bad(format!("no texts of errors: {error}")))?;
        let samples = samples();
        for (code, text) in &file.by_code {
            let Some(sample) = samples.iter().find(|sample| sample.code() == code) else {
                return Err(bad(format!("there is no error code {code:?}")));
            };
            let known = details(sample);
            for name in placeholders(text.message.as_deref().unwrap_or_default()) {
                if !known.iter().any(|(known, _)| *known == name) {
                    return Err(bad(format!("{code} has no detail {{{name}}}")));
                }
            }
        }
        Ok(Self { by_code: file.by_code, words: file.words })
    }

    /// The words for a code, as they were given.
    pub fn of(&self, code: &str) -> Option<&Text> {
        self.by_code.get(code)
    }

    /// What happened.
    pub fn message(&self, error: &Error) -> String {
        let Some(template) = self.of(error.code()).and_then(|text| text.message.as_deref()) else {
            return error.to_string();
        };
        let details = details(error);
        let mut said = String::new();
        let mut rest = template;
        // In one pass: what is filled in is never read as a template itself.
        while let Some((before, name, after)) = next_placeholder(rest) {
            said.push_str(before);
            match details.iter().find(|(known, _)| *known == name) {
                Some((_, value)) => said.push_str(self.words.get(value).unwrap_or(value)),
                None => said.push_str(&format!("{{{name}}}")),
            }
            rest = after;
        }
        said + rest
    }

    /// What to do.
    pub fn advice(&self, error: &Error) -> Cow<'_, str> {
        match self.of(error.code()).and_then(|text| text.advice.as_deref()) {
            Some(advice) => advice.into(),
            None => error.advice().into(),
        }
    }

    /// The codes that lack a message or advice.
    pub fn missing(&self) -> Vec<&'static str> {
        let is_whole = |text: &Text| text.message.is_some() && text.advice.is_some();
        samples().iter().map(Error::code).filter(|code| !self.of(code).is_some_and(is_whole)).collect()
    }
}

/// The first `{name}` of a template, with what stands before and after it.
fn next_placeholder(template: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = template.split_once('{')?;
    let (name, after) = rest.split_once('}')?;
    Some((before, name, after))
}

fn placeholders(mut template: &str) -> Vec<&str> {
    let mut names = Vec::new();
    while let Some((_, name, after)) = next_placeholder(template) {
        names.push(name);
        template = after;
    }
    names
}

/// The message of an error with the names of its details in their places.
pub(crate) fn template(error: &Error) -> String {
    let mut details = details(error);
    details.retain(|(_, value)| !value.is_empty());
    // The longest first: a short one may stand within it.
    details.sort_by_key(|(_, value)| std::cmp::Reverse(value.len()));
    details.iter().fold(error.to_string(), |text, (name, value)| text.replace(value, &format!("{{{name}}}")))
}

/// What a message names, by name.
fn details(error: &Error) -> Vec<(&'static str, String)> {
    let mut all = Vec::new();
    let mut add = |name, value: &dyn std::fmt::Display| all.push((name, value.to_string()));
    match error {
        Error::Unreachable { server, url, .. }
        | Error::TimedOut { server, url, .. }
        | Error::CutOff { server, url, .. }
        | Error::CertificateRefused { server, url, .. } => {
            add("server", server);
            add("url", url);
        }
        Error::ServerTrouble { server, url, status } => {
            add("server", server);
            add("url", url);
            add("status", status);
        }
        Error::IntegrationInProgress { server } | Error::IntegrationTimeout { server } => add("server", server),
        Error::InvalidUrl { what, url, reason } => {
            add("what", what);
            add("url", url);
            add("reason", reason);
        }
        Error::UnknownSite { server, site } => {
            add("server", server);
            add("site", site);
        }
        Error::WrongPassword { site } | Error::HardwareIdMismatch { site } | Error::SiteHasNoStore { site } => {
            add("site", site);
        }
        Error::NotCentral { url } => add("url", url),
        Error::NotAServer { server, url, found } => {
            add("server", server);
            add("url", url);
            add("found", found);
        }
        Error::OtherSite { ours, theirs } => {
            add("ours", ours);
            add("theirs", theirs);
        }
        Error::WrongRole { needed, found } => {
            add("needed", needed);
            add("found", found);
        }
        Error::VersionMismatch { server, min, max, sent } => {
            add("server", server);
            add("min", min);
            add("max", max);
            add("sent", sent);
        }
        Error::LegacyVersionMismatch { sent } => add("sent", sent),
        Error::CentralTooOld { needs } => add("needs", needs),
        Error::DatabaseTooNew { found, known } => {
            add("found", found);
            add("known", known);
        }
        Error::UnreadableAnswer { server, url, detail } => {
            add("server", server);
            add("url", url);
            add("detail", detail);
        }
        Error::Refused { server, status, detail } => {
            add("server", server);
            add("status", status);
            add("detail", detail);
        }
        Error::PeerError { server, detail } => {
            add("server", server);
            add("detail", detail);
        }
        Error::NoProgress { server, cursor } => {
            add("server", server);
            add("cursor", cursor);
        }
        Error::CursorWentBack { server, ours, theirs } => {
            add("server", server);
            add("ours", ours);
            add("theirs", theirs);
        }
        Error::PartlyAccepted { server, sent, accepted } => {
            add("server", server);
            add("sent", sent);
            add("accepted", accepted);
        }
        Error::RecordTooLarge { server, table, id, bytes } => {
            add("server", server);
            add("table", table);
            add("id", id);
            add("bytes", bytes);
        }
        Error::NotADatabase { path, .. } => add("path", path),
        Error::Io { what, source } => {
            add("what", what);
            add("source", source);
        }
        Error::DamagedState { what } => add("what", what),
        Error::NotAllowed(refusal) => {
            match refusal {
                Refusal::OnlyAllowedOnCentral { table }
                | Refusal::StoreNotActiveHere { table }
                | Refusal::OwnedByRemoteSite { table }
                | Refusal::OnlyAllowedOnLegacy { table }
                | Refusal::NotDeletable { table }
                | Refusal::NotPulled { table } => add("table", table),
                Refusal::Removed { table, release } => {
                    add("table", table);
                    add("release", release);
                }
            };
        }
        Error::InvalidRecord { table, id, source } => {
            add("table", table);
            add("id", id);
            add("detail", source);
        }
        Error::UnknownTable { table } => add("table", table),
        Error::NotFound { what, id } => {
            add("what", what);
            add("id", id);
        }
        Error::FileTooLarge { bytes, max } => {
            add("bytes", bytes);
            add("max", max);
        }
        Error::BadInput { detail } => add("detail", detail),
        Error::CycleRunning { holder } => {
            add("holder", &holder.map(|pid| format!(" (process {pid})")).unwrap_or_default());
        }
        Error::UnknownSiteId { site } => add("site", site),
        Error::InitialisationInProgress
        | Error::SiteAuthTimeout
        | Error::CentralCannotReachLegacy
        | Error::NotSetUp
        | Error::CentralUrlMissing
        | Error::QueueNotMoving
        | Error::DatabaseBusy { .. }
        | Error::DatabaseReadOnly { .. }
        | Error::DiskFull { .. }
        | Error::Database { .. }
        | Error::Cancelled => {}
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Server;

    #[test]
    fn every_message_can_be_made_of_its_template() {
        for error in samples() {
            let template = template(&error);
            let named = details(&error);
            for (name, value) in &named {
                assert!(template.contains(&format!("{{{name}}}")), "{{{name}}} is not in {template}");
                assert!(!value.is_empty());
            }
            let json = serde_json::json!({ error.code(): { "message": template } }).to_string();
            assert_eq!(Texts::parse(&json).unwrap().message(&error), error.to_string());
        }
    }

    #[test]
    fn other_words_take_the_place_of_english_ones() {
        let texts = Texts::parse(
            r#"{
                "unreachable": {"message": "{server} ({url}) ne répond pas", "advice": "Vérifiez le réseau."},
                "disk_full": {"message": "plus de place"},
                "words": {"the central server": "le serveur central"}
            }"#,
        )
        .unwrap();
        // What is filled in may look like a template.
        let url = "http://a/{server}".to_owned();
        let error = Error::Unreachable { server: Server::Central, url, source: "x".into() };
        assert_eq!(texts.message(&error), "le serveur central (http://a/{server}) ne répond pas");
        assert_eq!(texts.advice(&error), "Vérifiez le réseau.");
        let full = Error::DiskFull { source: "x".into() };
        assert_eq!((texts.message(&full), texts.advice(&full)), ("plus de place".to_owned(), full.advice().into()));
        assert_eq!(texts.message(&Error::NotSetUp), Error::NotSetUp.to_string());
        let missing = texts.missing();
        assert!(missing.contains(&"disk_full") && !missing.contains(&"unreachable"), "{missing:?}");
        assert_eq!(Texts::default().missing().len(), samples().len());
    }

    #[test]
    fn texts_that_fit_no_error_are_refused() {
        for (json, says) in [
            ("[]", "no texts of errors"),
            (r#"{"unreachable": "x"}"#, "no texts of errors"),
            (r#"{"unreachable": {"massage": "x"}}"#, "massage"),
            (r#"{"unreachabel": {"message": "x"}}"#, r#"no error code "unreachabel""#),
            (r#"{"unreachable": {"message": "{server} {site}"}}"#, "unreachable has no detail {site}"),
        ] {
            let error = Texts::parse(json).unwrap_err();
            assert!(matches!(&error, Error::BadInput { detail } if detail.contains(says)), "{json}: {error}");
        }
    }
}
