//! The wait after a cycle.

use std::time::Duration;

use super::config::DriverConfig;
use crate::error::{Error, ErrorClass};

/// The shortest wait between two cycles, whatever is configured.
const SHORTEST: Duration = Duration::from_secs(1);

/// True if only a person can fix this: retrying soon is useless, and wrong passwords may lock the site out. Faults that
/// a proxy, a log-in page, a clock or a starting server may cause pass by themselves.
pub(super) fn needs_person(error: &Error) -> bool {
    match error {
        Error::NotAServer { .. }
        | Error::NotCentral { .. }
        | Error::CertificateRefused { .. }
        | Error::ClientCertificateRefused { .. } => false,
        // The app has to synchronise, or somebody has to decide otherwise.
        Error::HookMissing => true,
        _ => matches!(error.class(), ErrorClass::Configure | ErrorClass::Upgrade),
    }
}

/// Counts failures in a row.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    pub failures: u32,
    /// Cycles in a row that edits came too late for.
    missed: u32,
}

impl Backoff {
    /// The wait if edits may have come too late for the cycle, in place of `wait`. It doubles with each such cycle in a row: a host
    /// that writes in each cycle must not make cycles without end.
    pub(super) fn shortened(&mut self, wait: Duration, has_missed_edits: bool) -> Duration {
        if !has_missed_edits {
            self.missed = 0;
            return wait;
        }
        let soon = SHORTEST.saturating_mul(2_u32.saturating_pow(self.missed));
        self.missed = self.missed.saturating_add(1);
        soon.min(wait)
    }

    /// The wait after a cycle with this result, [`SHORTEST`] or more. `moved` means that records got through before it failed;
    /// `chance` is from 0 up to 1.
    pub(super) fn after(
        &mut self,
        error: Option<&Error>,
        moved: bool,
        config: &DriverConfig,
        chance: &mut dyn FnMut() -> f64,
    ) -> Duration {
        self.as_configured(error, moved, config, chance).max(SHORTEST)
    }

    fn as_configured(
        &mut self,
        error: Option<&Error>,
        moved: bool,
        config: &DriverConfig,
        chance: &mut dyn FnMut() -> f64,
    ) -> Duration {
        let Some(error) = error else {
            self.failures = 0;
            return config.interval;
        };
        match error.class() {
            // A request is no failure.
            ErrorClass::Cancelled => config.interval,
            // The other cycle does the work.
            ErrorClass::Busy => config.first_wait,
            _ => {
                self.failures = if moved { 1 } else { self.failures.saturating_add(1) };
                if needs_person(error) { config.person_wait } else { self.backed_off(config, chance) }
            }
        }
    }

    /// Doubles with each failure up to the longest. Its upper half is random, so that the sites that lost one server do
    /// not return at the same moment.
    fn backed_off(&self, config: &DriverConfig, chance: &mut dyn FnMut() -> f64) -> Duration {
        let doubled = 2_u32.saturating_pow(self.failures.saturating_sub(1));
        let whole = config.first_wait.saturating_mul(doubled).min(config.longest_wait);
        let half = whole / 2;
        // At most half of it is added again, which is in range.
        half + half.mul_f64(chance().clamp(0.0, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Server;

    fn unreachable() -> Error {
        Error::Unreachable { server: Server::Central, url: String::new(), source: "no route".into() }
    }

    fn seconds(waits: &mut Backoff, error: Option<&Error>, moved: bool, chance: f64) -> f64 {
        waits.after(error, moved, &DriverConfig::default(), &mut || chance).as_secs_f64()
    }

    #[test]
    fn it_grows_to_its_longest_and_never_overflows() {
        let (mut low, mut high) = (Backoff::default(), Backoff::default());
        let error = unreachable();
        for whole in [30, 60, 120, 240, 480, 960, 1800, 1800, 1800].map(f64::from) {
            assert_eq!(seconds(&mut low, Some(&error), false, 0.0), whole / 2.0);
            assert_eq!(seconds(&mut high, Some(&error), false, 1.0), whole);
        }
        for failures in [31, 32, 59, 60, u32::MAX - 1, u32::MAX] {
            high.failures = failures;
            assert_eq!(seconds(&mut high, Some(&error), false, 1.0), 1800.0, "{failures}");
        }
        // A source that returns a value out of range.
        for wrong in [7.0, -3.0, f64::INFINITY] {
            assert!((15.0..=30.0).contains(&seconds(&mut Backoff::default(), Some(&error), false, wrong)));
        }
    }

    #[test]
    fn success_and_records_that_got_through_begin_anew() {
        let mut waits = Backoff { failures: 9, ..Backoff::default() };
        assert_eq!(seconds(&mut waits, None, false, 0.5), 300.0);
        assert_eq!(waits.failures, 0);
        waits.failures = 9;
        assert_eq!(seconds(&mut waits, Some(&unreachable()), true, 1.0), 30.0, "the line works a little");
        assert_eq!(seconds(&mut waits, Some(&unreachable()), false, 1.0), 60.0);
    }

    #[test]
    fn what_was_stopped_or_kept_out_is_no_failure() {
        let mut waits = Backoff { failures: 3, ..Backoff::default() };
        assert_eq!(seconds(&mut waits, Some(&Error::Cancelled), false, 1.0), 300.0);
        assert_eq!(seconds(&mut waits, Some(&Error::CycleRunning { holder: None }), false, 1.0), 30.0);
        assert_eq!(waits.failures, 3);
    }

    #[test]
    fn what_only_a_person_can_mend_is_left_alone_for_long() {
        let site = || "clinic".to_owned();
        let (server, url) = (Server::Legacy, String::new());
        for error in [
            Error::WrongPassword { site: site() },
            Error::OtherSite { server, ours: site(), theirs: site() },
            Error::LegacyVersionMismatch { server, sent: 14 },
            Error::NotSetUp,
            Error::HookMissing,
        ] {
            assert_eq!(seconds(&mut Backoff::default(), Some(&error), false, 0.0), 3600.0, "{error}");
        }
        for error in [
            Error::NotAServer { server, url: url.clone(), found: "a web page".into() },
            Error::NotCentral { url: url.clone() },
            Error::CertificateRefused { server, url: url.clone(), why: "x".into(), source: "expired".into() },
            Error::ClientCertificateRefused { server, url, why: "x".into(), source: "unknown".into() },
        ] {
            assert_eq!(seconds(&mut Backoff::default(), Some(&error), false, 1.0), 30.0, "{error}");
        }
    }
}
