//! The contract for checks of credentials.

use std::sync::Arc;
use std::time::Duration;

use crate::error::Error;
use crate::protocol::v6::{Credentials, WireError};
use crate::record::SiteId;
use crate::redaction::excerpt;

/// Finds the site of credentials.
pub trait SiteAuthenticator: Send + Sync {
    /// Checks the name, the password hash and the hardware id of a request.
    ///
    /// # Errors
    /// They are refused, or could not be checked.
    fn authenticate(&self, credentials: &Credentials) -> Result<SiteId, AuthenticationError>;

    /// True if these credentials were correct recently. This keeps guesses under a site's name from locking the site
    /// out, even from the same address. Cheap, and asks no server.
    fn were_right_lately(&self, _credentials: &Credentials) -> bool {
        false
    }

    /// The result for these credentials without a slow check, that is one that asks another server or hashes a
    /// password. `None` if only [`authenticate`](Self::authenticate) can decide.
    fn known(&self, _credentials: &Credentials) -> Option<Result<SiteId, AuthenticationError>> {
        None
    }

    /// True if the result of [`known`](Self::known) for these credentials expires soon.
    fn is_aging(&self, _credentials: &Credentials) -> bool {
        false
    }

    /// Checks credentials although their cached result is valid, to renew it.
    ///
    /// # Errors
    /// As [`authenticate`](Self::authenticate).
    fn renew(&self, credentials: &Credentials) -> Result<SiteId, AuthenticationError> {
        self.authenticate(credentials)
    }

    /// True if the machine is that of the site. Refusals of such credentials are counted separately, so that guesses
    /// from elsewhere do not use up the attempts of the site's own machine. Cheap, and asks no server.
    fn is_own_machine(&self, _credentials: &Credentials) -> bool {
        false
    }

    /// The number of checks that are useful at the same time.
    fn checks_at_once(&self) -> usize {
        1
    }
}

/// Why a sign-in failed.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum AuthenticationError {
    /// The credentials are wrong.
    Refused {
        /// The kind of error.
        refusal: CredentialRefusal,
        /// The address of the server that checked them, for the message.
        checked_at: String,
    },
    /// The server that checks them did not answer properly: it or the connection to it is at fault.
    Unanswered {
        /// Its address.
        asked_at: String,
        /// True if it could not be reached, or not in time.
        is_line: bool,
        /// A description in one line.
        reason: String,
    },
    /// There were too many refusals; no check was made.
    TooMany {
        /// The time after which another try is useful.
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
    /// The text in V6 answers: flattened, in the format of a real central server (`protocol-v6` §5).
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

/// The kind of wrong credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
#[allow(missing_docs, reason = "each is its own meaning")]
pub enum CredentialRefusal {
    UnknownSite,
    WrongPassword,
    HardwareIdMismatch,
    SiteHasNoStore,
    /// The legacy server does not accept the site's version of V5.
    VersionIncompatible,
}

impl CredentialRefusal {
    /// Reads a code of the legacy server (`protocol-v5` §9); `None` if it does not concern the credentials.
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

    /// True for a failed guess.
    pub(crate) fn is_guess(&self) -> bool {
        matches!(self, Self::UnknownSite | Self::WrongPassword | Self::HardwareIdMismatch)
    }

    /// True if a site of that name exists.
    pub(crate) fn is_of_a_site(&self) -> bool {
        !matches!(self, Self::UnknownSite)
    }

    /// Code and message in V6 answers, flattened.
    pub(crate) fn flattened(&self) -> (&'static str, &'static str) {
        match self {
            Self::UnknownSite => ("SiteNameNotFound", "Site name not found"),
            Self::WrongPassword => ("SiteIncorrectPassword", "Incorrect password"),
            Self::HardwareIdMismatch => ("SiteIncorrectHardwareId", "Site hardware ID does not match"),
            Self::SiteHasNoStore => ("SiteHasNoStore", "Site has no store"),
            Self::VersionIncompatible => ("ApiVersionIncompatible", "Api version is not compatible"),
        }
    }

    /// Code and message in V5 answers.
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
