//! Who may come in.

use crate::error::Error;
use crate::protocol::v6::Credentials;
use crate::record::SiteId;

/// Says which site credentials belong to.
pub trait SiteAuthenticator: Send + Sync {
    /// Checks the name, the password hash and the hardware id that a site sent.
    ///
    /// # Errors
    /// They are refused, or could not be checked.
    fn authenticate(&self, credentials: &Credentials) -> Result<SiteId, AuthenticationError>;
}

/// Why a site is not let in.
#[derive(Debug)]
pub enum AuthenticationError {
    /// The credentials are wrong.
    Refused {
        /// In what way.
        refusal: CredentialRefusal,
        /// The address of the server that checked them, for the message.
        checked_at: String,
    },
    /// They could not be checked.
    Failed(Error),
}

impl From<Error> for AuthenticationError {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// In what way credentials are wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is its own meaning")]
pub enum CredentialRefusal {
    UnknownSite,
    WrongPassword,
    HardwareIdMismatch,
}

impl CredentialRefusal {
    /// Code and message as V6 answers flatten them.
    pub(super) fn flattened(self) -> (&'static str, &'static str) {
        match self {
            Self::UnknownSite => ("SiteNameNotFound", "Site name not found"),
            Self::WrongPassword => ("SiteIncorrectPassword", "Incorrect password"),
            Self::HardwareIdMismatch => ("SiteIncorrectHardwareId", "Site hardware ID does not match"),
        }
    }

    /// Code and message as V5 answers have them.
    pub(super) fn legacy(self) -> (&'static str, &'static str) {
        let code = match self {
            Self::UnknownSite => "site_name_not_found",
            Self::WrongPassword => "site_incorrect_password",
            Self::HardwareIdMismatch => "site_incorrect_hardware_id",
        };
        (code, self.flattened().1)
    }
}
