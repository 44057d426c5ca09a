//! Decides whether a caller may sign in: from a cached result, by a check now, or by one that the host has made
//! elsewhere.

use std::net::IpAddr;

use super::auth::authenticator::{AuthenticationError, CredentialRefusal};
use super::auth::throttle::{Attempt, Attempts, SHARED};
use super::caller::{Checked, CredentialCheck, Deferred};
use super::{Central, RequestTrace};
use crate::protocol::v6::Credentials;
use crate::record::SiteId;

type Admission = Result<SiteId, AuthenticationError>;

/// The credentials of a caller.
#[derive(Clone, Copy)]
struct SignIn<'a> {
    from: Option<IpAddr>,
    credentials: &'a Credentials,
    /// Whether the credentials hold the machine id from the request.
    names_machine: bool,
}

impl Central {
    /// Finds the site of a caller, unless it had too many refusals. If the host makes slow checks itself, the answer is
    /// deferred until it has made this one.
    pub(super) fn admit(&self, trace: &RequestTrace, credentials: &Credentials) -> Admission {
        if let Some(refusal) = out_of_bounds(credentials) {
            return Err(AuthenticationError::Refused { refusal, checked_at: "this server".to_owned() });
        }
        let sign_in = SignIn { from: trace.caller.from, credentials, names_machine: !trace.is_machine_assumed.get() };
        let Some(gate) = &trace.caller.gate else { return self.check_now(sign_in) };
        let checked = trace.caller.checked.as_ref().filter(|checked| checked.credentials == *credentials);
        let known = match checked {
            Some(checked) => Some(checked.outcome.clone()),
            None => self.check_cached(sign_in),
        };
        let Some(admission) = known else {
            trace.defer(Deferred::Unchecked(self.check_of(sign_in, false)));
            return Err(deferred());
        };
        let site = admission?;
        if checked.is_none() && self.authenticator.is_aging(credentials) {
            gate.renew(self.check_of(sign_in, true));
        }
        if gate.may_work(site) {
            return Ok(site);
        }
        trace.defer(Deferred::OutOfTurn(site));
        Err(deferred())
    }

    /// Makes a check, which may take as long as a server that does not answer. All requests with the same credentials
    /// may use the result; it counts as one attempt.
    pub fn check_credentials(&self, check: &CredentialCheck) -> Checked {
        let CredentialCheck { credentials, from, names_machine, .. } = check;
        let sign_in = SignIn { from: *from, credentials, names_machine: *names_machine };
        let outcome = match check.is_renewal {
            true => self.count_refusal(sign_in, self.authenticator.renew(credentials)),
            false => self.check_now(sign_in),
        };
        Checked { credentials: credentials.clone(), outcome }
    }

    /// The number of checks that are useful at the same time.
    pub fn checks_at_once(&self) -> usize {
        self.authenticator.checks_at_once().max(1)
    }

    fn check_now(&self, sign_in: SignIn<'_>) -> Admission {
        self.learn_refusals(sign_in)?;
        self.throttle(sign_in)?;
        self.count_refusal(sign_in, self.authenticator.authenticate(sign_in.credentials))
    }

    /// Learns what other servers on this storage have refused: before a check, since a guess needs one, and not before each
    /// request of a known site.
    fn learn_refusals(&self, sign_in: SignIn<'_>) -> crate::Result<()> {
        let Some(servers) = self.storage.servers() else { return Ok(()) };
        let SignIn { from, credentials, .. } = sign_in;
        for is_own in [false, true] {
            let of = (credentials.username.as_str(), from, is_own);
            if let (Some(shared), now) = servers.recall(SHARED, &Attempts::shared_key(of.0, from, is_own))? {
                self.attempts.learn(of, &shared, (now, self.clock.monotonic()));
            }
        }
        Ok(())
    }

    /// Tells the other servers on this storage of a refused attempt. If that fails, this one counts it alone.
    fn share_refusal(&self, username: &str, attempt: Attempt) {
        if let Some(servers) = self.storage.servers() {
            let key = Attempts::shared_key(username, attempt.from, attempt.is_own);
            let mut counted = |known: Option<&str>, now| Attempts::counted(known, attempt, now);
            let _ = servers.change(SHARED, &key, &mut counted);
        }
    }

    fn check_cached(&self, sign_in: SignIn<'_>) -> Option<Admission> {
        if let Err(throttled) = self.throttle(sign_in) {
            return Some(Err(throttled));
        }
        let known = self.authenticator.known(sign_in.credentials)?;
        Some(self.count_refusal(sign_in, known))
    }

    /// True if the request names the machine of the site. One that names no machine may come from anywhere.
    fn is_own_machine(&self, sign_in: SignIn<'_>) -> bool {
        sign_in.names_machine && self.authenticator.is_own_machine(sign_in.credentials)
    }

    /// Refuses a caller after too many guesses. Guesses under a site's name do not lock the site out, even from the
    /// same address: the site has credentials that were correct before, or its machine, which is counted separately.
    fn throttle(&self, sign_in: SignIn<'_>) -> Result<(), AuthenticationError> {
        let SignIn { from, credentials, .. } = sign_in;
        let now = self.clock.monotonic();
        let wait = |is_own| self.attempts.wait(&credentials.username, from, is_own, now);
        let (of_others, of_its_own) = (wait(false), wait(true));
        if of_others.is_none() && of_its_own.is_none() {
            return Ok(());
        }
        let wait = if self.is_own_machine(sign_in) { of_its_own } else { of_others };
        match wait {
            Some(wait) if !self.authenticator.were_right_lately(credentials) => {
                Err(AuthenticationError::TooMany { wait })
            }
            _ => Ok(()),
        }
    }

    fn count_refusal(&self, sign_in: SignIn<'_>, admission: Admission) -> Admission {
        let SignIn { from, credentials, .. } = sign_in;
        if let Err(AuthenticationError::Refused { refusal, .. }) = &admission
            && refusal.is_guess()
        {
            let is_own = self.is_own_machine(sign_in);
            if refusal.is_of_a_site() {
                self.activity.note_failed_sign_in(&credentials.username, self.clock.now());
            }
            let attempt = Attempt { from, is_own, is_of_a_site: refusal.is_of_a_site() };
            self.share_refusal(&credentials.username, attempt);
            self.attempts.refused(&credentials.username, attempt, self.clock.monotonic());
        }
        admission
    }

    fn check_of(&self, sign_in: SignIn<'_>, is_renewal: bool) -> CredentialCheck {
        let SignIn { from, credentials, names_machine } = sign_in;
        CredentialCheck {
            credentials: credentials.clone(),
            from,
            names_machine,
            guilt: self.guilt(from, credentials),
            is_renewal,
        }
    }

    fn guilt(&self, from: Option<IpAddr>, credentials: &Credentials) -> u32 {
        if self.authenticator.were_right_lately(credentials) {
            return 0;
        }
        1 + self.attempts.refusals(&credentials.username, from, self.clock.monotonic())
    }
}

/// The most bytes of one text of the credentials. No site has as many, and a check that waits keeps them in memory.
const TEXT_MAX: usize = 1024;

/// Credentials that are too large to be anybody's. They need no check, and none waits with them.
fn out_of_bounds(credentials: &Credentials) -> Option<CredentialRefusal> {
    let Credentials { server_url, username, password_sha256, site_uuid, app_version, app_name, sync_version } =
        credentials;
    let others = [server_url, password_sha256, site_uuid, app_version, app_name, sync_version];
    match others.iter().any(|text| text.len() > TEXT_MAX) {
        _ if username.len() > TEXT_MAX => Some(CredentialRefusal::UnknownSite),
        true => Some(CredentialRefusal::WrongPassword),
        false => None,
    }
}

/// Ends a deferred request; this response is not sent.
fn deferred() -> AuthenticationError {
    AuthenticationError::Unanswered { asked_at: String::new(), is_line: false, reason: "not checked yet".to_owned() }
}
