//! What a host says of a request before it is answered, and what central may ask of the host first: so that a slow check of
//! credentials holds none of the threads that answer.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use super::auth::authenticator::AuthenticationError;
use super::handled_request::HandledRequest;
use crate::protocol::v6::Credentials;
use crate::record::SiteId;
use crate::transport::HttpResponse;

/// Who sent a request, as far as the host knows.
#[derive(Clone, Default)]
pub struct Caller {
    /// The address that the request came from. Refused attempts are counted by it.
    pub from: Option<IpAddr>,
    /// What a check of the credentials in the request brought, if the host had them checked.
    pub checked: Option<Checked>,
    /// Asked once it is clear which site sent the request. With a gate, credentials that take a slow check are not checked
    /// while the request is answered: the answer is [`Handled::Unchecked`].
    pub gate: Option<Arc<dyn Gate>>,
}

impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Caller").field("from", &self.from).finish_non_exhaustive()
    }
}

impl Caller {
    /// A caller of whom only the address is known.
    pub fn at(from: Option<IpAddr>) -> Self {
        Self { from, ..Self::default() }
    }
}

/// Lets the requests of sites pass, or makes them wait.
pub trait Gate: Send + Sync {
    /// Called when the credentials of a request were right, before anything is done for it. With `false` nothing is done,
    /// and the answer is [`Handled::OutOfTurn`].
    fn may_work(&self, site: SiteId) -> bool;

    /// Called when credentials were known to be right, but will soon not be: who makes this check meanwhile has no request of
    /// the site wait for it.
    fn renew(&self, _check: CredentialCheck) {}

    /// The most bytes of records that the answer may have, asked after the site was let pass; `None` for as many as the
    /// configuration says. A single record may have more.
    fn answer_bytes_max(&self) -> Option<usize> {
        None
    }
}

/// What became of a request.
#[derive(Debug)]
pub enum Handled<R = HttpResponse> {
    /// It was answered.
    Answered(HandledRequest<R>),
    /// Its credentials have to be checked first, which may take long: see [`Central::check_credentials`](super::Central::check_credentials).
    /// Nothing was done.
    Unchecked(CredentialCheck),
    /// The [`Gate`] did not let this site pass. Nothing was done.
    OutOfTurn(SiteId),
}

/// A check of credentials that is to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CredentialCheck {
    pub(super) credentials: Credentials,
    pub(super) from: Option<IpAddr>,
    pub(super) guilt: u32,
    /// What is known still counts.
    pub(super) is_renewal: bool,
    /// Whether the request says which machine it comes from.
    pub(super) names_machine: bool,
}

impl CredentialCheck {
    /// Whether another check would bring the same: it asks for the same credentials from the same address.
    pub fn is_same(&self, other: &Self) -> bool {
        self.credentials == other.credentials && self.from == other.from && self.names_machine == other.names_machine
    }

    /// The name of the site, as the request says it.
    pub fn site_name(&self) -> &str {
        &self.credentials.username
    }

    /// The address that the request came from.
    pub fn from(&self) -> Option<IpAddr> {
        self.from
    }

    /// How much speaks against the sender: 0 for credentials that were right within a day, more for each refusal of this
    /// name from this address. Checks with less go first.
    pub fn guilt(&self) -> u32 {
        self.guilt
    }
}

/// What a check brought, for the request that it was made for.
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
    /// The outcome of a check that was not made, because too many wait.
    pub fn too_many(check: &CredentialCheck) -> Self {
        let wait = std::time::Duration::from_secs(30);
        Self { credentials: check.credentials.clone(), outcome: Err(AuthenticationError::TooMany { wait }) }
    }
}

/// What the beginning of an upload tells.
#[derive(Debug)]
pub enum UploadHead {
    /// Too little has come to tell.
    More,
    /// Its credentials have to be checked first.
    Unchecked(CredentialCheck),
    /// Its credentials were right, or are known to be wrong.
    Checked(Checked),
    /// It does not begin with who brings it.
    Other,
}

/// Why a request could not be answered yet.
#[derive(Debug)]
pub(crate) enum Deferred {
    Unchecked(CredentialCheck),
    OutOfTurn(SiteId),
}
