//! Who may come in.

use std::sync::Arc;
use std::time::Duration;

use crate::error::Error;
use crate::protocol::v6::{Credentials, WireError};
use crate::record::SiteId;
use crate::redaction::excerpt;

/// Says which site credentials belong to.
pub trait SiteAuthenticator: Send + Sync {
    /// Checks the name, the password hash and the hardware id that a site sent.
    ///
    /// # Errors
    /// They are refused, or could not be checked.
    fn authenticate(&self, credentials: &Credentials) -> Result<SiteId, AuthenticationError>;

    /// Whether these very credentials were right lately. Who guesses under a site's name does not keep the site itself
    /// out, even from behind the same address. Costs little, and asks nobody.
    fn were_right_lately(&self, _credentials: &Credentials) -> bool {
        false
    }

    /// What is known of these credentials without a slow check: one that asks another server, or hashes a password.
    /// `None` if only [`authenticate`](Self::authenticate) can tell.
    fn known(&self, _credentials: &Credentials) -> Option<Result<SiteId, AuthenticationError>> {
        None
    }

    /// Whether what [`known`](Self::known) says of these credentials will soon not count any more.
    fn is_aging(&self, _credentials: &Credentials) -> bool {
        false
    }

    /// Checks credentials although what is known of them still counts, so that it goes on counting.
    ///
    /// # Errors
    /// As [`authenticate`](Self::authenticate).
    fn renew(&self, credentials: &Credentials) -> Result<SiteId, AuthenticationError> {
        self.authenticate(credentials)
    }

    /// Whether the machine is the one that the site is known by. Refusals of such credentials are counted apart: whoever
    /// guesses from elsewhere does not use up what the site's own machine may try. Costs little, and asks nobody.
    fn is_own_machine(&self, _credentials: &Credentials) -> bool {
        false
    }

    /// How many checks make sense at the same time.
    fn checks_at_once(&self) -> usize {
        1
    }
}

/// Why a site is not let in.
#[derive(Debug, Clone)]
pub enum AuthenticationError {
    /// The credentials are wrong.
    Refused {
        /// In what way.
        refusal: CredentialRefusal,
        /// The address of the server that checked them, for the message.
        checked_at: String,
    },
    /// The server that checks them gives no answer to that question: it is at fault, or the line to it.
    Unanswered {
        /// Its address.
        asked_at: String,
        /// Whether it could not be reached at all, or not in time.
        is_line: bool,
        /// What happened, in one line.
        reason: String,
    },
    /// There were too many refusals; nobody was asked.
    TooMany {
        /// When trying again makes sense.
        wait: Duration,
    },
    /// This machine failed.
    Failed(Arc<Error>),
}

impl From<Error> for AuthenticationError {
    fn from(error: Error) -> Self {
        Self::Failed(Arc::new(error))
    }
}

impl AuthenticationError {
    /// As V6 answers tell it: flattened into a text, in the shape that a real central server gives it (`protocol-v6` §5).
    pub(crate) fn flattened(self) -> WireError {
        match self {
            Self::Refused { refusal, checked_at } => {
                let (code, message) = refusal.flattened();
                WireError::flatten_legacy(&checked_at, 401, "Unauthorized", code, message)
            }
            Self::Unanswered { asked_at, is_line, reason } => {
                let what = if is_line { "Connection problem" } else { "The legacy server is at fault" };
                WireError::OtherServerError(format!(
                    "Internal error: Sync api error, url: '{asked_at}', route: '/sync/v5/site' -> [\n    \
                     \"{what}\",\n    \"{}\",\n]",
                    excerpt(reason.as_bytes())
                ))
            }
            Self::TooMany { wait } => {
                let message = format!("Too many refused attempts; try again in {} s", wait.as_secs().max(1));
                WireError::flatten_legacy("this server", 429, "Too Many Requests", "SiteAuthTimeout", &message)
            }
            Self::Failed(error) => WireError::OtherServerError(format!("Internal error: {}", error.code())),
        }
    }
}

/// In what way credentials are wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
#[allow(missing_docs, reason = "each is its own meaning")]
pub enum CredentialRefusal {
    UnknownSite,
    WrongPassword,
    HardwareIdMismatch,
    SiteHasNoStore,
    /// The legacy server does not speak the version of V5 that the site sends.
    VersionIncompatible,
}

impl CredentialRefusal {
    /// Reads a code of the legacy server (`protocol-v5` §9); `None` if it says nothing against the credentials.
    pub(crate) fn of_legacy(code: &str) -> Option<Self> {
        Some(match code {
            "site_name_not_found" => Self::UnknownSite,
            "site_incorrect_password" => Self::WrongPassword,
            "site_incorrect_hardware_id" => Self::HardwareIdMismatch,
            "site_has_no_store" => Self::SiteHasNoStore,
            "api_version_incompatible" => Self::VersionIncompatible,
            _ => return None,
        })
    }

    /// Whether it is a guess that failed.
    pub(crate) fn is_guess(&self) -> bool {
        matches!(self, Self::UnknownSite | Self::WrongPassword | Self::HardwareIdMismatch)
    }

    /// Whether there is a site of that name.
    pub(crate) fn is_of_a_site(&self) -> bool {
        !matches!(self, Self::UnknownSite)
    }

    /// Code and message as V6 answers flatten them.
    pub(crate) fn flattened(&self) -> (&'static str, &'static str) {
        match self {
            Self::UnknownSite => ("SiteNameNotFound", "Site name not found"),
            Self::WrongPassword => ("SiteIncorrectPassword", "Incorrect password"),
            Self::HardwareIdMismatch => ("SiteIncorrectHardwareId", "Site hardware ID does not match"),
            Self::SiteHasNoStore => ("SiteHasNoStore", "Site has no store"),
            Self::VersionIncompatible => ("ApiVersionIncompatible", "Api version is not compatible"),
        }
    }

    /// Code and message as V5 answers have them.
    pub(crate) fn legacy(&self) -> (&'static str, &'static str) {
        let code = match self {
            Self::UnknownSite => "site_name_not_found",
            Self::WrongPassword => "site_incorrect_password",
            Self::HardwareIdMismatch => "site_incorrect_hardware_id",
            Self::SiteHasNoStore => "site_has_no_store",
            Self::VersionIncompatible => "api_version_incompatible",
        };
        (code, self.flattened().1)
    }
}
