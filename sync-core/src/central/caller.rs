//! The sender of a request, as the host knows it, and the host's part in signing it in: a slow check of credentials is left
//! to the host, so that it blocks no thread that answers requests.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use super::auth::authenticator::AuthenticationError;
use super::handled_request::HandledRequest;
use crate::protocol::v6::Credentials;
use crate::record::SiteId;
use crate::transport::HttpResponse;

/// The sender of a request, as far as the host knows.
#[derive(Clone, Default)]
pub struct Caller {
    /// The address of the request. Refused attempts are counted by it.
    pub from: Option<IpAddr>,
    /// The result of a check of these credentials, if the host had it made.
    pub checked: Option<Checked>,
    /// Asked once the site of the request is known. With a gate, slow checks of credentials are not made while the
    /// request is answered: the answer is [`Handled::Unchecked`].
    pub gate: Option<Arc<dyn Gate>>,
}

impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Caller").field("from", &self.from).finish_non_exhaustive()
    }
}

impl Caller {
    /// A caller with only an address.
    pub fn at(from: Option<IpAddr>) -> Self {
        Self { from, ..Self::default() }
    }
}

/// Lets the requests of sites pass, or makes them wait.
pub trait Gate: Send + Sync {
    /// Called when the credentials of a request are correct, before any work. If it returns `false`, no work is done,
    /// and the answer is [`Handled::OutOfTurn`].
    fn may_work(&self, site: SiteId) -> bool;

    /// Called when cached credentials will expire soon: a host that makes this check meanwhile spares the site a wait.
    fn renew(&self, _check: CredentialCheck) {}

    /// The most bytes of records in the answer, asked after the site passed; `None` for the configured limit. A single
    /// record may have more.
    fn answer_bytes_max(&self) -> Option<usize> {
        None
    }
}

/// The result of a request.
#[derive(Debug)]
pub enum Handled<R = HttpResponse> {
    /// It was answered.
    Answered(HandledRequest<R>),
    /// Its credentials need a check first, which may be slow: see
    /// [`Central::check_credentials`](super::Central::check_credentials). Nothing was done.
    Unchecked(CredentialCheck),
    /// The [`Gate`] did not let this site pass. Nothing was done.
    OutOfTurn(SiteId),
}

/// A check of credentials to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CredentialCheck {
    pub(super) credentials: Credentials,
    pub(super) from: Option<IpAddr>,
    pub(super) guilt: u32,
    /// The cached result is still valid.
    pub(super) is_renewal: bool,
    /// Whether the request names its machine.
    pub(super) names_machine: bool,
}

impl CredentialCheck {
    /// True if another check has the same result: it is for the same credentials from the same address.
    pub fn is_same(&self, other: &Self) -> bool {
        self.credentials == other.credentials && self.from == other.from && self.names_machine == other.names_machine
    }

    /// The site's name in the request.
    pub fn site_name(&self) -> &str {
        &self.credentials.username
    }

    /// The address of the request.
    pub fn from(&self) -> Option<IpAddr> {
        self.from
    }

    /// The number of refusals against the sender: 0 for credentials that were correct within a day, more for each
    /// refusal of this name from this address. Checks with fewer go first.
    pub fn guilt(&self) -> u32 {
        self.guilt
    }
}

/// The result of a check, for the request that caused it.
#[derive(Clone)]
pub struct Checked {
    pub(super) credentials: Credentials,
    pub(super) outcome: Result<SiteId, AuthenticationError>,
}

impl fmt::Debug for Checked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Checked").field(&self.outcome.is_ok()).finish()
    }
}

impl Checked {
    /// The result of a check that was not made because too many wait.
    pub fn too_many(check: &CredentialCheck) -> Self {
        let wait = std::time::Duration::from_secs(30);
        Self { credentials: check.credentials.clone(), outcome: Err(AuthenticationError::TooMany { wait }) }
    }
}

/// The information in the beginning of an upload.
#[derive(Debug)]
pub enum UploadHead {
    /// Too little has come to decide.
    More,
    /// Its credentials need a check first.
    Unchecked(CredentialCheck),
    /// Its credentials are correct, or are known to be wrong.
    Checked(Checked),
    /// It does not begin with the credentials.
    Other,
}

/// The reason why a request cannot be answered yet.
#[derive(Debug)]
pub(crate) enum Deferred {
    Unchecked(CredentialCheck),
    OutOfTurn(SiteId),
}
