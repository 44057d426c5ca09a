//! What `serve` does beside answering, each on its own thread, until a signal comes.

use std::io::Write as _;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use oms_sync_server::{BackupLog, Pem, Tls};
use sync_core::clock::{Clock as _, SystemClock, Timestamp};
use sync_core::{Error, Message, Replica, Site, SyncEvent, SyncOptions, Texts};

use super::lead::Lead;
use crate::backup::{Owner, Plan, newest_age, take};
use crate::input::{TEXT_MAX, text_of};
use crate::output::bytes;
use crate::progress::until_interrupted;
use crate::sentences::{common, input_given, serving as says};
use crate::signals::{asked_to_reload, interrupted};

/// The interval at which a central server asks the legacy server for news.
const INTERVAL: Duration = Duration::from_secs(5 * 60);

/// How long to wait for the end of another exchange with the legacy server.
const AFTER_ANOTHER: Duration = Duration::from_secs(5);

/// How often a server that does not lead sees whether it does now.
const LOOK_AT_LEAD: Duration = Duration::from_millis(500);

/// How long to wait after a backup that failed.
const AFTER_FAILED_BACKUP: Duration = Duration::from_secs(10 * 60);

/// The interval at which the files of the certificate are looked at.
const LOOK_AT_CERTIFICATE: Duration = Duration::from_secs(5);

/// The time before the end of the certificate in which it is warned of, once a day.
const END_IS_NEAR: Duration = Duration::from_secs(14 * DAY);

const DAY: u64 = 24 * 3600;

/// A message for the administrator, from a thread of the server.
pub(super) fn say(said: &Message, texts: &Texts) {
    // If standard error is closed, nobody reads it.
    let _ = writeln!(std::io::stderr(), "{}", texts.say(said));
}

/// Brings stores, names and this server's own role from the legacy server while this server leads, until a signal comes.
/// Failures are printed and retried. After the first time it also checks that this server answers at the address that sites get.
pub(super) fn cycles(site: &Site, lead: &Lead, texts: &Texts) {
    let say = |said: Message| say(&said, texts);
    let failed = |error: &Error| say(says::asking_failed(error.code(), Message::of(error)));
    let mut is_first = true;
    let mut watch = |event: &SyncEvent| if lead.is_mine() { until_interrupted(event) } else { ControlFlow::Break(()) };
    while !interrupted() {
        if !lead.is_mine() {
            rest(LOOK_AT_LEAD);
            continue;
        }
        let (began, mut interval) = (Instant::now(), INTERVAL);
        match site.sync(&SyncOptions::default(), &mut watch) {
            Ok(report) => {
                for warning in &report.warnings {
                    say(common::warning(warning));
                }
                if let Some(error) = report.error.filter(|_| !interrupted() && lead.is_mine()) {
                    failed(&error);
                }
            }
            // A pull of one patient, or what is left of a leader that fell.
            Err(Error::CycleRunning { .. }) => interval = AFTER_ANOTHER,
            Err(error) => failed(&error),
        }
        if std::mem::take(&mut is_first)
            && let Err(error) = site.probe_central(&mut until_interrupted)
            && !interrupted()
        {
            say(says::not_found_by_sites(error.code(), Message::of(&error)));
        }
        let reloads = asked_to_reload();
        rest_unless(interval.saturating_sub(began.elapsed()), || asked_to_reload() != reloads || !lead.is_mine());
    }
}

/// Takes a backup when one is due, until a signal comes. The newest backup says when the next one is due, so that a restart
/// neither repeats nor skips one. Failures are printed, and tried again after a while.
pub(super) fn backups(replica: &Replica, plan: &Plan<'_>, every: Duration, log: &BackupLog, texts: &Texts) {
    let mut wait = newest_age(plan.to, plan.owner).map_or(Duration::ZERO, |age| every.saturating_sub(age));
    while !interrupted() {
        if !rest(wait) {
            return;
        }
        wait = match take(replica, plan) {
            Ok(taken) => {
                log.taken(SystemClock::default().now());
                let size = bytes(taken.manifest.database_bytes + taken.manifest.files_bytes);
                say(&says::backup_taken(taken.backup.display().to_string(), size), texts);
                every
            }
            Err(error) => {
                log.failed();
                say(&failed_backup(plan.to, &error), texts);
                every.min(AFTER_FAILED_BACKUP)
            }
        };
    }
}

fn failed_backup(folder: &Path, error: &Error) -> Message {
    says::backup_failed(folder.display().to_string(), error.code(), Message::of(error))
}

/// A log of the backups of a database that knows the newest one in a folder.
pub(super) fn backup_log(folder: &Path, owner: &Owner) -> BackupLog {
    let now = SystemClock::default().now();
    let taken_at = newest_age(folder, owner).and_then(|age| {
        let age = i64::try_from(age.as_millis()).ok()?;
        Some(Timestamp::from_unix_millis(now.unix_millis() - age))
    });
    BackupLog::since(taken_at)
}

/// The times of change of both files; `None` where a file is missing.
type ChangeTimes = [Option<SystemTime>; 2];

/// The files of a certificate and its key.
pub(super) struct CertificateFiles {
    pub certificates: PathBuf,
    pub key: PathBuf,
    /// The host of the address that sites get, if one was given.
    pub public_host: Option<String>,
}

impl CertificateFiles {
    /// Reads them. Also returns a warning of a certificate that the sites refuse.
    ///
    /// # Errors
    /// They cannot be used, or the certificate has ended, or is not valid yet.
    pub(super) fn read(&self) -> Result<(Tls, Option<Message>), Error> {
        let text_of = |file: &Path| text_of(file, TEXT_MAX);
        let (chain, secret) = (text_of(&self.certificates)?, text_of(&self.key)?);
        let tls =
            Tls::from_pem(Pem { path: &self.certificates, text: &chain }, Pem { path: &self.key, text: &secret })?;
        let now = SystemClock::default().now();
        match (tls.begins_at(), tls.ends_at()) {
            (_, Some(end)) if end <= now => {
                Err(Error::bad_input(input_given::certificate_ended(self.shown(), end.for_people())))
            }
            (Some(begin), _) if begin > now => {
                Err(Error::bad_input(input_given::certificate_not_yet_valid(self.shown(), begin.for_people())))
            }
            _ => {
                let warning = tls.is_of_authority().then(|| says::certificate_of_authority(self.shown()));
                Ok((tls, warning))
            }
        }
    }

    /// Reads them for a server that runs. In the place of a certificate that sites accept comes none that they refuse.
    ///
    /// # Errors
    /// As [`read`](Self::read), and where sites refuse only the new certificate.
    fn read_again(&self, used: &Tls) -> Result<(Tls, Option<Message>), Error> {
        let (new, warning) = self.read()?;
        let is_current = used.ends_at().is_none_or(|end| end > SystemClock::default().now());
        if !is_current {
            return Ok((new, warning));
        }
        if new.is_of_authority() && !used.is_of_authority() {
            return Err(Error::bad_input(input_given::certificate_not_for_sites(self.shown())));
        }
        match &self.public_host {
            Some(host) if used.is_for(host) && !new.is_for(host) => {
                Err(Error::bad_input(input_given::certificate_not_for_host(self.shown(), host)))
            }
            _ if !used.shares_name_with(&new) => {
                Err(Error::bad_input(input_given::certificate_of_other_names(self.shown())))
            }
            _ => Ok((new, warning)),
        }
    }

    /// A warning of a certificate that is not for the address that sites get.
    pub(super) fn misses_host(&self, tls: &Tls) -> Option<Message> {
        let missed = self.public_host.as_deref().filter(|host| !tls.is_for(host));
        missed.map(|host| says::certificate_not_for_host(self.shown(), host))
    }

    /// A warning of a certificate that ends soon.
    pub(super) fn ends_soon(&self, tls: &Tls) -> Option<Message> {
        let near = tls.ends_at().filter(|end| end.since(SystemClock::default().now()) < END_IS_NEAR);
        near.map(|end| says::certificate_ends(self.shown(), end.for_people()))
    }

    fn shown(&self) -> String {
        self.certificates.display().to_string()
    }

    /// Their times of change, to notice the next one.
    pub(super) fn changed_at(&self) -> ChangeTimes {
        let at = |path: &Path| path.metadata().ok()?.modified().ok();
        [at(&self.certificates), at(&self.key)]
    }
}

/// Reads the certificate again when its files have changed or SIGHUP asks for it, and warns before it ends. If the new one
/// cannot be used, the server continues with the old one, and looks at the files each time until they can be used: each fault
/// that differs from the one before is told once, also one that changes no file's time, such as a missing permission.
///
/// `used` are the times of the files that are in use.
pub(super) fn certificates(files: &CertificateFiles, mut used: ChangeTimes, tls: &Tls, texts: &Texts) {
    let (mut warned, mut reloads) = (None, asked_to_reload());
    let mut fault: Option<Message> = None;
    while !interrupted() {
        if let Some(warning) = files.ends_soon(tls)
            && warned.is_none_or(|at: Instant| at.elapsed().as_secs() >= DAY)
        {
            say(&warning, texts);
            warned = Some(Instant::now());
        }
        let found = files.changed_at();
        let is_asked = || asked_to_reload() != reloads;
        let goes_on = rest_unless(LOOK_AT_CERTIFICATE, is_asked);
        // Both files, and not in the midst of being written.
        let is_still = found == files.changed_at();
        let is_changed = found != used;
        let is_due = is_asked() || (is_still && (is_changed || fault.is_some()));
        if !goes_on || !is_due {
            continue;
        }
        // Somebody asked, or wrote the files anew: the state is told again, even if it is as before.
        let is_news = is_asked() || is_changed;
        if is_news {
            warned = None;
        }
        (used, reloads) = (found, asked_to_reload());
        match files.read_again(tls) {
            Ok((new, warning)) => {
                tls.replace(&new);
                fault = None;
                say(&says::certificate_read_again(files.shown()), texts);
                warning.iter().for_each(|warning| say(warning, texts));
            }
            Err(error) => {
                tls.keep_former();
                let said = says::certificate_kept(error.code(), Message::of(&error));
                if is_news || fault.as_ref() != Some(&said) {
                    say(&said, texts);
                }
                fault = Some(said);
            }
        }
    }
}

/// Waits; false if a signal came meanwhile that ends the command.
fn rest(time: Duration) -> bool {
    rest_unless(time, || false)
}

/// Waits, but ends early once this says so; false if a signal came meanwhile that ends the command.
fn rest_unless(time: Duration, is_over: impl Fn() -> bool) -> bool {
    let began = Instant::now();
    while !interrupted() {
        let left = time.saturating_sub(began.elapsed());
        if left.is_zero() || is_over() {
            return true;
        }
        std::thread::sleep(left.min(Duration::from_millis(200)));
    }
    false
}
