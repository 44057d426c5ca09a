//! `run`: runs cycles at an interval until a signal comes, and prints one line for each cycle.

use std::io::Write as _;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Duration;

use serde_json::json;
use sync_core::central::SiteList;
use sync_core::clock::Timestamp;
use sync_core::driver::{CycleEnd, Driver, DriverConfig, DriverHandle, DriverObserver};
use sync_core::site::{FilesOptions, FilesReport};
use sync_core::{Error, Message, Replica, Status, SyncEvent, SyncObserver};

use super::layout::moment;
use crate::args::{Args, Limit, Run};
use crate::failure::{CommandOutcome, Failure};
use crate::output::Output;
use crate::progress::trying_again;
use crate::sentences::{common, run_shown as shown};
use crate::signals::{interrupted, stop_or_reload_on_signals};
use crate::workspace::Workspace;

pub(super) fn run(args: &Args, options: &Run, out: &Output) -> Result<CommandOutcome, Failure> {
    let workspace = Workspace::open(args, out)?;
    // Without a legacy server a cycle has no server to ask, and the driver would retry for ever and hide that.
    match workspace.replica.site_list()? {
        Some(SiteList::Legacy) => {}
        Some(SiteList::Local) => {
            let found = "central server without a legacy server";
            return Err(Error::WrongRole { needed: "remote site", found }.into());
        }
        None => return Err(Error::NotSetUp.into()),
    }
    if workspace.replica.is_hook_missing() {
        // Each cycle would push and integrate nothing.
        return Err(Error::HookMissing.into());
    }
    let mut config = DriverConfig::default();
    config.interval = options.interval;
    (config.options.max_time, config.options.max_bytes) = (Limit::of(options.max_time), Limit::of(options.max_bytes));
    let mut driver = Driver::new(workspace.site(), config);
    let handle = driver.handle();
    let at_signal = handle.clone();
    let at_hangup = handle.clone();
    stop_or_reload_on_signals(move || at_signal.stop(), move || _ = at_hangup.trigger());
    watch_settings(&workspace.replica, handle.clone(), out)?;
    let files = (!options.no_files).then(|| {
        let files = FilesOptions::default().max_time(options.interval);
        match Limit::of(options.max_bytes) {
            Some(bytes) => files.max_bytes(bytes),
            None => files,
        }
    });
    let metrics = options.metrics_file.as_deref();
    let mut lines = Lines { out, handle, workspace: &workspace, files, metrics, failure: None };
    driver.run(&mut lines);
    lines.failure.map_or(Ok(CommandOutcome::Done), Err)
}

/// Prints a line for each cycle.
struct Lines<'o> {
    out: &'o Output,
    handle: DriverHandle,
    workspace: &'o Workspace,
    /// The options for the transfer of files after each cycle; `None` if no files are transferred.
    files: Option<FilesOptions>,
    /// The file with figures.
    metrics: Option<&'o Path>,
    /// The reason why `run` has to end, such as an output that cannot be written.
    failure: Option<Failure>,
}

impl SyncObserver for Lines<'_> {
    fn on_event(&mut self, event: &SyncEvent) -> ControlFlow<()> {
        match event {
            SyncEvent::Warning { message } => self.out.hint_said(&common::warning(message)),
            SyncEvent::Retrying { error, wait, .. } => {
                self.out.hint_said(&trying_again(error, *wait));
            }
            _ => {}
        }
        // The driver ends the cycle; this notes that it can.
        interrupted();
        ControlFlow::Continue(())
    }
}

impl Lines<'_> {
    /// Moves files after a cycle that reached the servers.
    fn move_files(&mut self, end: &CycleEnd) -> Option<FilesReport> {
        let options = self.files.clone().filter(|_| end.error().is_none() && !self.handle.is_stopped())?;
        let (handle, out) = (self.handle.clone(), self.out);
        let mut watch = |event: &SyncEvent| {
            if let SyncEvent::Warning { message } = event {
                out.hint_said(&common::warning(message));
            }
            interrupted();
            if handle.is_stopped() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let moved = self.workspace.site().sync_files(&self.workspace.files(), &options, &mut watch);
        Some(moved.unwrap_or_else(FilesReport::from))
    }

    /// Writes the file of figures completely or not at all, so that no reader gets half of it.
    fn write_metrics(&self, end: &CycleEnd) {
        let Some(file) = self.metrics else { return };
        let beside = file.with_extension("tmp");
        let written =
            std::fs::write(&beside, figures(end, self.workspace)).and_then(|()| std::fs::rename(&beside, file));
        if let Err(error) = written {
            self.out.hint_said(&shown::no_metrics(file.display().to_string(), error.to_string()));
        }
    }
}

/// Wakes the driver when somebody changes the settings of the site, such as the password. Without that the driver might wait for an
/// hour.
fn watch_settings(replica: &Replica, handle: DriverHandle, out: &Output) -> Result<(), Failure> {
    const EVERY: Duration = Duration::from_secs(1);
    let replica = Replica::with_storage(replica.storage().clone());
    let now = move || {
        let of = replica.settings().ok().flatten()?;
        let waits = replica.is_central_unconfirmed().ok()?;
        Some(((of.legacy_url, of.site_name, of.password, of.hardware_id, of.https_only), waits))
    };
    let (mut before, said) = (now(), out.texts.say(&shown::settings_changed()));
    let is_quiet = out.is_quiet();
    // This thread ends with the program. It only reads.
    std::thread::spawn(move || {
        while !handle.is_stopped() {
            std::thread::sleep(EVERY);
            let after = now();
            // An address of central that begins to wait was noticed by a cycle: only its confirmation is news.
            let is_new = match (&before, &after) {
                (_, None) => continue,
                (Some((known, waited)), Some((settings, waits))) => known != settings || (*waited && !waits),
                (None, Some(_)) => true,
            };
            before = after;
            if is_new {
                if !is_quiet {
                    let _ = writeln!(std::io::stderr(), "{said}");
                }
                handle.trigger();
            }
        }
    });
    Ok(())
}

/// The figures of the last cycle, in the text format of Prometheus.
fn figures(end: &CycleEnd, workspace: &Workspace) -> String {
    let (_, pushed, pulled, seconds) = facts(end);
    let status = workspace.replica.status().ok();
    let at = |time: Option<Timestamp>| time.map_or(0.0, |time| time.unix_millis() as f64 / 1000.0);
    let of_status = |of: fn(&Status) -> u64| status.as_ref().map_or(0, of) as f64;
    let rows = [
        ("last_cycle_timestamp_seconds", "The end of the last cycle.", at(Some(workspace.replica.clock().now()))),
        (
            "last_success_timestamp_seconds",
            "The end of the last complete cycle.",
            at(status.as_ref().and_then(|status| status.last_success)),
        ),
        ("last_cycle_failed", "1 if the last cycle ended with an error.", f64::from(u8::from(end.error().is_some()))),
        ("failures_in_a_row", "Cycles in a row that failed.", f64::from(end.failures)),
        ("last_cycle_seconds", "The duration of the last cycle.", seconds),
        ("last_cycle_pushed_records", "Records pushed by the last cycle.", pushed as f64),
        ("last_cycle_pulled_records", "Records pulled by the last cycle.", pulled as f64),
        ("waiting_records", "Local edits that wait to be pushed.", of_status(|status| status.waiting.records)),
        ("quarantined_records", "Records in quarantine.", of_status(|status| status.quarantined)),
    ];
    let row = |(name, help, value): (&str, &str, f64)| {
        format!("# HELP oms_sync_site_{name} {help}\n# TYPE oms_sync_site_{name} gauge\noms_sync_site_{name} {value}\n")
    };
    rows.into_iter().map(row).collect()
}

impl DriverObserver for Lines<'_> {
    fn on_cycle(&mut self, end: &CycleEnd) {
        let printed = match self.out.json {
            true => {
                let moved = self.move_files(end);
                self.out.document(&document(end, moved.as_ref(), self.out))
            }
            false => self.out.line_said(&line(end)).and_then(|()| {
                let moved = self.move_files(end).filter(|moved| moved.uploaded + moved.downloaded + moved.failed > 0);
                let say = |moved: &FilesReport| shown::files(moved.uploaded, moved.downloaded, moved.failed);
                moved.as_ref().map_or(Ok(()), |moved| self.out.line_said(&say(moved)))
            }),
        };
        self.failure = printed.err();
        self.write_metrics(end);
        // The records that this process receives would be lost with the replaced file, so it ends. The service that started it can
        // start it again.
        if let Some(Error::DatabaseReplaced { path }) = end.error() {
            self.failure = Some(Error::DatabaseReplaced { path: path.clone() }.into());
        }
        if self.failure.is_some() || self.out.is_unread() {
            self.handle.stop();
        }
        // People need the advice only once in a row of failures; the line of each cycle is still printed.
        if let (Some(error), true) = (end.error(), end.failures <= 1 || end.needs_person)
            && end.failures > 0
        {
            let say = if end.needs_person { shown::lasting_error } else { shown::error };
            self.out.hint_said(&say(error.code(), Message::of(error), Message::advice(error.code())));
        }
    }
}

/// Outcome, pushed, pulled and seconds of a cycle.
fn facts(end: &CycleEnd) -> (&'static str, u64, u64, f64) {
    let seconds = (end.took.as_secs_f64() * 1000.0).round() / 1000.0;
    match &end.result {
        Ok(report) => (report.outcome.as_str(), report.pushed, report.pulled, seconds),
        Err(_) => ("failed", 0, 0, seconds),
    }
}

fn document(end: &CycleEnd, moved: Option<&FilesReport>, out: &Output) -> serde_json::Value {
    let (outcome, pushed, pulled, seconds) = facts(end);
    let left =
        end.result.as_ref().map_or((0, 0, 0), |report| (report.quarantined, report.refused, report.still_quarantined));
    json!({
        "cycle": end.number, "started_at": end.started_at, "outcome": outcome, "pushed": pushed, "pulled": pulled,
        "quarantined": left.0, "refused": left.1, "still_quarantined": left.2,
        "seconds": seconds, "error": end.error().map(|error| out.written_down(error)),
        "files": moved.map(|moved| json!({ "uploaded": moved.uploaded, "downloaded": moved.downloaded, "failed": moved.failed })),
        "failures": end.failures, "needs_person": end.needs_person, "next_in_seconds": end.next_in.map(|wait| wait.as_secs()),
    })
}

fn line(end: &CycleEnd) -> Message {
    let (outcome, pushed, pulled, seconds) = facts(end);
    let outcome = outcome.replace('_', " ");
    let (at, seconds) = (moment(end.started_at), format!("{seconds:.1}"));
    let cycle = match end.error() {
        Some(error) => shown::cycle_with_error(at, outcome, error.code(), pushed, pulled, seconds),
        None => shown::cycle(at, outcome, pushed, pulled, seconds),
    };
    match end.next_in {
        Some(wait) => shown::next_in(cycle, time(wait)),
        None => cycle,
    }
}

/// A wait for people.
fn time(wait: Duration) -> Message {
    match wait.as_secs() {
        seconds @ 0..=119 => shown::seconds(seconds),
        seconds @ 120..=7199 => shown::minutes(seconds / 60),
        seconds => shown::hours(seconds / 3600),
    }
}
