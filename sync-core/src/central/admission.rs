//! Who is let in: from what is known, by a check now, or by one that the host has made elsewhere.

use std::net::IpAddr;

use super::authenticator::AuthenticationError;
use super::caller::{Check, Checked, Deferred};
use super::{Central, Noted};
use crate::protocol::v6::Credentials;
use crate::record::SiteId;

type Admission = Result<SiteId, AuthenticationError>;

impl Central {
    /// Says who a site is, unless too many attempts were refused. Where the host makes slow checks itself, the answer is put
    /// off until it has made this one.
    pub(super) fn admit(&self, noted: &Noted, credentials: &Credentials) -> Admission {
        let from = noted.caller.from;
        let Some(gate) = &noted.caller.gate else { return self.ask_now(from, credentials) };
        let checked = noted.caller.checked.as_ref().filter(|checked| checked.credentials == *credentials);
        let known = match checked {
            Some(checked) => Some(checked.outcome.clone()),
            None => self.ask_memory(from, credentials),
        };
        let Some(admission) = known else {
            noted.defer(Deferred::Unchecked(self.check_of(from, credentials, false)));
            return Err(put_off());
        };
        let site = admission?;
        if checked.is_none() && self.authenticator.is_aging(credentials) {
            gate.renew(self.check_of(from, credentials, true));
        }
        if gate.may_work(site) {
            return Ok(site);
        }
        noted.defer(Deferred::OutOfTurn(site));
        Err(put_off())
    }

    /// Makes a check, which may take as long as a server that does not answer. All requests that ask the same may use what it
    /// brings; it counts as one attempt.
    pub fn check_credentials(&self, check: &Check) -> Checked {
        let outcome = match check.is_renewal {
            true => self.count(check.from, &check.credentials, self.authenticator.renew(&check.credentials)),
            false => self.ask_now(check.from, &check.credentials),
        };
        Checked { credentials: check.credentials.clone(), outcome }
    }

    /// How many checks make sense at the same time.
    pub fn checks_at_once(&self) -> usize {
        self.authenticator.checks_at_once().max(1)
    }

    fn ask_now(&self, from: Option<IpAddr>, credentials: &Credentials) -> Admission {
        self.brake(from, credentials)?;
        let admission = self.authenticator.authenticate(credentials);
        self.count(from, credentials, admission)
    }

    fn ask_memory(&self, from: Option<IpAddr>, credentials: &Credentials) -> Option<Admission> {
        if let Err(braked) = self.brake(from, credentials) {
            return Some(Err(braked));
        }
        let known = self.authenticator.known(credentials)?;
        Some(self.count(from, credentials, known))
    }

    /// Refuses where there were too many guesses. Who guesses under a site's name does not keep the site itself out, even
    /// from behind the same address: it is known by credentials that were right, or by its machine, which counts apart.
    fn brake(&self, from: Option<IpAddr>, credentials: &Credentials) -> Result<(), AuthenticationError> {
        let now = self.clock.monotonic();
        let wait = |is_own| self.attempts.wait(&credentials.username, from, is_own, now);
        let (of_others, of_its_own) = (wait(false), wait(true));
        if of_others.is_none() && of_its_own.is_none() {
            return Ok(());
        }
        let wait = if self.authenticator.is_own_machine(credentials) { of_its_own } else { of_others };
        match wait {
            Some(wait) if !self.authenticator.were_right_lately(credentials) => {
                Err(AuthenticationError::TooMany { wait })
            }
            _ => Ok(()),
        }
    }

    fn count(&self, from: Option<IpAddr>, credentials: &Credentials, admission: Admission) -> Admission {
        if let Err(AuthenticationError::Refused { refusal, .. }) = &admission
            && refusal.is_guess()
        {
            let is_own = self.authenticator.is_own_machine(credentials);
            let attempt = super::attempts::Attempt { from, is_own, is_of_a_site: refusal.is_of_a_site() };
            self.attempts.refused(&credentials.username, attempt, self.clock.monotonic());
        }
        admission
    }

    fn check_of(&self, from: Option<IpAddr>, credentials: &Credentials, is_renewal: bool) -> Check {
        Check { credentials: credentials.clone(), from, guilt: self.guilt(from, credentials), is_renewal }
    }

    fn guilt(&self, from: Option<IpAddr>, credentials: &Credentials) -> u32 {
        if self.authenticator.were_right_lately(credentials) {
            return 0;
        }
        1 + self.attempts.refusals(&credentials.username, from, self.clock.monotonic())
    }
}

/// Ends a request whose answer is put off; nobody sees it.
fn put_off() -> AuthenticationError {
    AuthenticationError::Unanswered { asked_at: String::new(), is_line: false, reason: "not checked yet".to_owned() }
}
