//! Errors, sorted by who must act.

pub(crate) mod catalogue;
mod details;
pub(crate) mod errors_with_texts;
pub(crate) mod findings;
mod not_allowed;
pub(crate) mod result;

use std::error::Error as StdError;
use std::fmt;

use crate::record::known_tables;
use crate::text::sentences::input;
use crate::text::{Detail, similar};

pub use crate::ownership::Refusal;
pub(crate) use crate::text::ErrorClass;
pub use catalogue::{CatalogueEntry, catalogue};
pub(crate) use errors_with_texts::Error;
pub(crate) use result::Result;

/// A cause from below: a database, a socket, a parser.
pub type Cause = Box<dyn StdError + Send + Sync>;

/// Which server an error is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Server {
    /// The legacy mSupply central server.
    Legacy,
    /// The Open mSupply central server.
    Central,
}

impl Server {
    /// The server in snake_case.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Legacy => "legacy",
            Self::Central => "central",
        }
    }
}

impl std::fmt::Display for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Legacy => "the legacy server",
            Self::Central => "the central server",
        })
    }
}

/// In English; [`Texts::message`](crate::Texts::message) says it otherwise.
impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        crate::text::Message::of(self).fmt(f)
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Self::NotAllowed { refusal, id: None }
    }
}

/// Invalid input. The text says what is wrong and where, and names no content.
impl From<serde_json::Error> for Error {
    fn from(error: serde_json::Error) -> Self {
        let why = match error.classify() {
            serde_json::error::Category::Data => format!("line {}, column {}", error.line(), error.column()),
            _ => error.to_string(),
        };
        Self::bad_input(crate::text::sentences::input::not_json(why))
    }
}

impl Error {
    /// The same error about another server: where one server is both, its users know no other one.
    pub(crate) fn of(mut self, other: Server) -> Self {
        match &mut self {
            Self::Unreachable { server, .. }
            | Self::TimedOut { server, .. }
            | Self::CutOff { server, .. }
            | Self::ServerTrouble { server, .. }
            | Self::IntegrationInProgress { server, .. }
            | Self::SyncPaused { server, .. }
            | Self::TooManyAttempts { server, .. }
            | Self::UnknownSite { server, .. }
            | Self::NotAServer { server, .. }
            | Self::CertificateRefused { server, .. }
            | Self::ClientCertificateRefused { server, .. }
            | Self::UnreadableAnswer { server, .. }
            | Self::AnswerTooLarge { server, .. }
            | Self::Refused { server, .. }
            | Self::PeerError { server, .. }
            | Self::OtherSite { server, .. }
            | Self::LegacyVersionMismatch { server, .. }
            | Self::CentralUrlUnconfirmed { server, .. } => *server = other,
            _ => {}
        }
        self
    }

    /// Invalid input, with the fault as text.
    pub fn bad_input(detail: impl Into<Detail>) -> Self {
        Self::BadInput { detail: detail.into() }
    }

    /// An unknown record or other thing.
    pub fn not_found(what: impl Into<String>, id: impl Into<String>) -> Self {
        Self::NotFound { what: what.into(), id: id.into(), meant: None }
    }

    /// An unknown thing, with that one of the known names that is most similar, if one is.
    pub fn not_found_among<'a>(
        what: impl Into<String>,
        name: impl Into<String>,
        known: impl Iterator<Item = &'a str>,
    ) -> Self {
        let name = name.into();
        let meant = similar(&name, known).map(str::to_owned);
        Self::NotFound { what: what.into(), id: name, meant }
    }

    /// A table that this version does not know, with the known one that is most similar.
    pub(crate) fn unknown_table(table: &str) -> Self {
        Self::UnknownTable { table: table.to_owned(), meant: similar(table, known_tables()) }
    }

    /// A field that no record of a table has, with the known one that is most similar.
    pub(crate) fn unknown_field(table: &str, field: &str, meant: Option<&str>) -> Self {
        Self::bad_input(match meant {
            Some(meant) => input::no_field_meant(table, field, meant),
            None => input::no_field(table, field),
        })
    }

    /// A stable code in snake_case, for scripts and for the catalogue in the docs.
    pub fn code(&self) -> &'static str {
        self.declared().code
    }

    /// Who must act.
    pub fn class(&self) -> ErrorClass {
        self.declared().class
    }

    /// The advice, as a sentence.
    pub fn advice(&self) -> &'static str {
        self.declared().advice
    }

    /// True if the line is at fault, or nobody answers on it: an app shows "offline" and tries again later, and needs no
    /// dialogue. Everything that was written waits meanwhile.
    pub fn is_offline(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::TimedOut { .. } | Self::CutOff { .. })
    }

    /// The chain of causes below this error, outermost first.
    pub fn causes(&self) -> Vec<String> {
        let mut causes = Vec::new();
        let mut next = self.source();
        while let Some(cause) = next {
            let text = cause.to_string();
            if causes.last() != Some(&text) {
                causes.push(text);
            }
            next = cause.source();
        }
        causes
    }
}

#[cfg(test)]
mod tests;
