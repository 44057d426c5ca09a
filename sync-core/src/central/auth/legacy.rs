//! Checks sites against the legacy server.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use url::Url;

use super::authenticator::{AuthenticationError, CredentialRefusal, SiteAuthenticator};
use super::keyed_digest::{Digest, HmacKey};
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::protocol::v5::{SiteHeaders, SiteInfo, V5Error, path};
use crate::protocol::v6::Credentials;
use crate::protocol::{AppIdentity, PasswordHash};
use crate::record::SiteId;
use crate::redaction::excerpt;
use crate::storage::{Storage, state};
use crate::text_input::as_utf8;
use crate::transport::{HttpRequest, HttpResponse, Method, Transport, TransportError};

/// How long a positive answer is cached.
const ACCEPTED_FOR: Duration = Duration::from_secs(60);
/// How long a negative answer is cached.
const REFUSED_FOR: Duration = Duration::from_secs(5);
/// How long correct credentials are remembered, to distinguish the site from a person who guesses its password.
const REMEMBERED_FOR: Duration = Duration::from_secs(24 * 60 * 60);
/// The most checks at once: a legacy server that hangs must leave threads for the sites with a cached answer.
const CHECKS_MAX: usize = 128;
/// The most negative answers that are cached.
const REFUSALS_MAX: usize = 10_000;
/// The longest text that is passed on.
const TEXT_MAX: usize = 255;

/// Asks the legacy server who a site is, with the site's own credentials, at the address with which this server was set
/// up.
///
/// A positive answer is cached for a minute, a negative one for five seconds, a failed check not at all. Identical
/// requests at the same time share one check. Secrets are stored only as keyed digests.
pub struct LegacyAuthenticator {
    storage: Arc<dyn Storage>,
    transport: Arc<dyn Transport>,
    clock: Arc<dyn Clock>,
    keyed: HmacKey,
    known: Mutex<KnownSignIn>,
}

#[derive(Default)]
struct KnownSignIn {
    right: HashMap<String, Right>,
    names: HashMap<SiteId, String>,
    refused: HashMap<Digest, (CredentialRefusal, Duration)>,
    running: HashMap<Digest, Arc<SharedCheck>>,
}

/// Credentials that were correct.
struct Right {
    digest: Digest,
    /// Only the name, the password and the machine: they stay the same when the site is upgraded.
    who: Digest,
    machine: Digest,
    site: SiteId,
    at: Duration,
}

/// A running check, for all identical requests.
#[derive(Default)]
struct SharedCheck {
    answer: Mutex<Option<LegacyAnswer>>,
    answered: Condvar,
}

#[derive(Debug, Clone)]
enum LegacyAnswer {
    Yes(SiteId),
    No(CredentialRefusal),
    /// The connection is at fault.
    Line(String),
    /// The legacy server is at fault.
    Fault(String),
}

impl std::fmt::Debug for LegacyAuthenticator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LegacyAuthenticator")
    }
}

impl LegacyAuthenticator {
    /// Creates an authenticator that asks the legacy server of this database over this transport. Use short time
    /// limits, because sites wait meanwhile.
    pub(crate) fn new(storage: Arc<dyn Storage>, transport: Arc<dyn Transport>, clock: Arc<dyn Clock>) -> Self {
        Self { storage, transport, clock, keyed: HmacKey::new(), known: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, KnownSignIn> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Uses the cached answer unless a new one is wanted, joins a running check, or starts one.
    fn answer(&self, credentials: &Credentials, legacy: &Url, is_renewal: bool) -> LegacyAnswer {
        let parts = parts(credentials);
        let digest = self.keyed.digest(&parts);
        let check = {
            let mut known = self.lock();
            if let Some(answer) = self.remembered(&known, &credentials.username, &digest).filter(|_| !is_renewal) {
                return answer;
            }
            if let Some(check) = known.running.get(&digest).cloned() {
                drop(known);
                return check.wait();
            }
            if known.running.len() >= CHECKS_MAX {
                return LegacyAnswer::Line("it is too slow: too many questions wait for its answer".to_owned());
            }
            let check = Arc::<SharedCheck>::default();
            known.running.insert(digest, check.clone());
            check
        };
        // All who wait get a result, even if this thread fails.
        let mut running = CheckThread { of: self, digest, check, answer: None };
        let answer = self.remember(ask(self.transport.as_ref(), legacy, credentials), credentials, digest);
        running.answer = Some(answer.clone());
        answer
    }

    /// A cached answer that is still valid.
    fn remembered(&self, known: &KnownSignIn, name: &str, digest: &Digest) -> Option<LegacyAnswer> {
        let now = self.clock.monotonic();
        let is_fresh = |at: Duration, time: Duration| now.saturating_sub(at) < time;
        // Digests under a secret key: comparing them reveals nothing.
        let right = known.right.get(name).filter(|right| is_fresh(right.at, ACCEPTED_FOR) && right.digest == *digest);
        if let Some(right) = right {
            return Some(LegacyAnswer::Yes(right.site));
        }
        let (refusal, _) = known.refused.get(digest).filter(|(_, at)| is_fresh(*at, REFUSED_FOR))?;
        Some(LegacyAnswer::No(refusal.clone()))
    }

    /// Credentials of a name that were correct within a day.
    fn right_lately<T>(&self, name: &str, read: impl FnOnce(&Right) -> T) -> Option<T> {
        let now = self.clock.monotonic();
        self.lock().right.get(name).filter(|right| now.saturating_sub(right.at) < REMEMBERED_FOR).map(read)
    }

    /// The legacy server's address. Credentials that cannot be sent to it are refused at once.
    fn address(&self, credentials: &Credentials) -> Result<Url, AuthenticationError> {
        let legacy = state::LEGACY_URL.find(self.storage.read()?.as_ref())?.ok_or(Error::NotSetUp)?;
        let legacy = crate::address::parse_url("the legacy server's address", &legacy)?;
        let refused = |refusal| Err(AuthenticationError::Refused { refusal, checked_at: legacy.as_str().to_owned() });
        // A name that cannot be in a header belongs to no site: a colon would end it in Basic authentication.
        if credentials.username.contains(':') || credentials.username.is_empty() {
            return refused(CredentialRefusal::UnknownSite);
        }
        let fits = |text: &&str| text.len() <= TEXT_MAX && !text.chars().any(char::is_control);
        let [_, _, headers @ ..] = parts(credentials);
        if !parts(credentials).iter().all(fits) || !headers.iter().all(|text| text.is_ascii()) {
            return refused(CredentialRefusal::WrongPassword);
        }
        Ok(legacy)
    }

    fn remember(&self, answer: LegacyAnswer, credentials: &Credentials, digest: Digest) -> LegacyAnswer {
        let now = self.clock.monotonic();
        let name = &credentials.username;
        let mut known = self.lock();
        match &answer {
            LegacyAnswer::Yes(site) => {
                let other = known.names.get(site).filter(|other| *other != name);
                let other = other.and_then(|other| known.right.get(other)).filter(|right| right.site == *site);
                if other.is_some_and(|right| now.saturating_sub(right.at) < ACCEPTED_FOR) {
                    // Like a cache between the servers that only compares the address.
                    return LegacyAnswer::Fault(format!("it says of two sites that each is site {site}"));
                }
                known.names.insert(*site, name.clone());
                let (who, machine) = (self.keyed.digest(&who(credentials)), self.keyed.digest(&machine(credentials)));
                known.right.insert(name.clone(), Right { digest, who, machine, site: *site, at: now });
            }
            LegacyAnswer::No(refusal) => {
                if known.right.get(name).is_some_and(|right| right.digest == digest) {
                    known.right.remove(name);
                }
                if known.refused.len() >= REFUSALS_MAX {
                    known.refused.retain(|_, (_, at)| now.saturating_sub(*at) < REFUSED_FOR);
                }
                if known.refused.len() < REFUSALS_MAX {
                    known.refused.insert(digest, (refusal.clone(), now));
                }
            }
            LegacyAnswer::Line(_) | LegacyAnswer::Fault(_) => {}
        }
        answer
    }
}

impl SharedCheck {
    fn wait(&self) -> LegacyAnswer {
        let answer = self.answer.lock().unwrap_or_else(PoisonError::into_inner);
        let answer =
            self.answered.wait_while(answer, |answer| answer.is_none()).unwrap_or_else(PoisonError::into_inner);
        answer.clone().unwrap_or_else(|| LegacyAnswer::Line("nobody answered".to_owned()))
    }
}

/// The thread that makes a check.
struct CheckThread<'a> {
    of: &'a LegacyAuthenticator,
    digest: Digest,
    check: Arc<SharedCheck>,
    answer: Option<LegacyAnswer>,
}

impl Drop for CheckThread<'_> {
    fn drop(&mut self) {
        self.of.lock().running.remove(&self.digest);
        let answer = self.answer.take().unwrap_or_else(|| LegacyAnswer::Line("asking it failed".to_owned()));
        *self.check.answer.lock().unwrap_or_else(PoisonError::into_inner) = Some(answer);
        self.check.answered.notify_all();
    }
}

impl LegacyAnswer {
    fn admission(self, legacy: &Url) -> Result<SiteId, AuthenticationError> {
        let asked_at = legacy.as_str().to_owned();
        Err(match self {
            Self::Yes(site) => return Ok(site),
            Self::No(refusal) => AuthenticationError::Refused { refusal, checked_at: asked_at },
            Self::Line(reason) => AuthenticationError::Unanswered { asked_at, is_line: true, reason },
            Self::Fault(reason) => AuthenticationError::Unanswered { asked_at, is_line: false, reason },
        })
    }
}

fn who(credentials: &Credentials) -> [&str; 3] {
    [&credentials.username, &credentials.password_sha256, &credentials.site_uuid]
}

fn machine(credentials: &Credentials) -> [&str; 2] {
    [&credentials.username, &credentials.site_uuid]
}

/// All inputs of the answer.
fn parts(credentials: &Credentials) -> [&str; 6] {
    let Credentials { username, password_sha256, site_uuid, app_version, app_name, sync_version, .. } = credentials;
    [username, password_sha256, site_uuid, app_version, app_name, sync_version]
}

impl SiteAuthenticator for LegacyAuthenticator {
    fn authenticate(&self, credentials: &Credentials) -> Result<SiteId, AuthenticationError> {
        let legacy = self.address(credentials)?;
        self.answer(credentials, &legacy, false).admission(&legacy)
    }

    fn is_aging(&self, credentials: &Credentials) -> bool {
        let now = self.clock.monotonic();
        self.right_lately(&credentials.username, |right| now.saturating_sub(right.at) >= ACCEPTED_FOR / 2)
            .unwrap_or(false)
    }

    fn renew(&self, credentials: &Credentials) -> Result<SiteId, AuthenticationError> {
        let legacy = self.address(credentials)?;
        self.answer(credentials, &legacy, true).admission(&legacy)
    }

    fn were_right_lately(&self, credentials: &Credentials) -> bool {
        let is_right = |right: &Right| self.keyed.verify(&right.who, &who(credentials));
        self.right_lately(&credentials.username, is_right).unwrap_or(false)
    }

    fn known(&self, credentials: &Credentials) -> Option<Result<SiteId, AuthenticationError>> {
        let legacy = match self.address(credentials) {
            Ok(legacy) => legacy,
            Err(refused) => return Some(Err(refused)),
        };
        let digest = self.keyed.digest(&parts(credentials));
        let answer = self.remembered(&self.lock(), &credentials.username, &digest)?;
        Some(answer.admission(&legacy))
    }

    fn is_own_machine(&self, credentials: &Credentials) -> bool {
        let is_own = |right: &Right| self.keyed.verify(&right.machine, &machine(credentials));
        self.right_lately(&credentials.username, is_own).unwrap_or(false)
    }

    fn checks_at_once(&self) -> usize {
        CHECKS_MAX
    }
}

/// Asks once, and again if the line broke.
fn ask(transport: &dyn Transport, legacy: &Url, credentials: &Credentials) -> LegacyAnswer {
    let headers = SiteHeaders {
        site_name: credentials.username.clone(),
        password: PasswordHash::from_hex(credentials.password_sha256.clone()),
        hardware_id: credentials.site_uuid.clone(),
        app: AppIdentity { version: credentials.app_version.clone(), name: credentials.app_name.clone() },
        version: credentials.sync_version.trim().parse().unwrap_or(0),
    };
    let url = legacy.join(path::SITE).map_or_else(|_| legacy.to_string(), String::from);
    let request = HttpRequest { method: Method::Get, url, headers: headers.to_headers(), body: Vec::new() };
    let mut outcome = transport.send(&request);
    if matches!(outcome, Err(TransportError::Unreachable(_) | TransportError::Broken(_) | TransportError::CutOff(_))) {
        outcome = transport.send(&request);
    }
    match outcome {
        Ok(response) => read(&response),
        Err(error @ (TransportError::NotHttp(_) | TransportError::TooLarge(_))) => {
            LegacyAnswer::Fault(error.to_string())
        }
        Err(error) => LegacyAnswer::Line(error.to_string()),
    }
}

fn read(response: &HttpResponse) -> LegacyAnswer {
    let status = response.status;
    let body = as_utf8(&response.body);
    if (200..=299).contains(&status) {
        return match serde_json::from_slice::<SiteInfo>(&body) {
            Ok(info) if info.site_id.0 > 0 => LegacyAnswer::Yes(info.site_id),
            Ok(info) => LegacyAnswer::Fault(format!("it says that this is site {}", info.site_id)),
            Err(_) => LegacyAnswer::Fault(format!("it answered with status {status} and no site")),
        };
    }
    match serde_json::from_slice::<V5Error>(&body) {
        Ok(V5Error { error }) => match CredentialRefusal::of_legacy(&error.code) {
            Some(refusal) if status < 500 => LegacyAnswer::No(refusal),
            _ => LegacyAnswer::Fault(format!(
                "it answered with status {status}: {}",
                excerpt(error.summary().as_bytes())
            )),
        },
        Err(_) if matches!(status, 408 | 502..=504) => LegacyAnswer::Line(format!("it answered with status {status}")),
        Err(_) => LegacyAnswer::Fault(format!("it answered with status {status}")),
    }
}
