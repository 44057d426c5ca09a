//! `run`: cycles at an interval until a signal comes, one line a cycle.

use std::ops::ControlFlow;
use std::time::Duration;

use serde_json::json;
use sync_core::storage::{LoggedError, Storage as _, key};
use sync_core::{
    CycleEnd, Driver, DriverConfig, DriverHandle, DriverObserver, Error, Role, SyncEvent, SyncObserver, SyncOptions,
};

use crate::args::{Args, Run};
use crate::exit::{Ended, Failure};
use crate::output::Output;
use crate::progress::at_signals;
use crate::setup::Parts;

pub(super) fn run(args: &Args, options: &Run, out: &Output) -> Result<Ended, Failure> {
    let parts = Parts::open(args, out)?;
    // Without a legacy server there is nobody to ask: waiting for it to get better would hide that.
    if parts.storage.read()?.state(key::LEGACY_URL)?.is_none() {
        return Err(match parts.role()? {
            Some(Role::Central) => {
                Error::WrongRole { needed: "remote site", found: "central server without a legacy server" }
            }
            _ => Error::NotSetUp,
        }
        .into());
    }
    let mut config = DriverConfig::default();
    config.interval = options.interval;
    config.options = SyncOptions { max_time: options.max_time, max_bytes: options.max_bytes, ..SyncOptions::default() };
    let mut driver = Driver::new(parts.site(), config);
    let handle = driver.handle();
    let at_signal = handle.clone();
    at_signals(move || at_signal.stop());
    let mut lines = Lines { out, handle, failure: None };
    driver.run(&mut lines);
    lines.failure.map_or(Ok(Ended::Done), Err)
}

/// Prints a line a cycle.
struct Lines<'o> {
    out: &'o Output,
    handle: DriverHandle,
    /// Why nothing can be printed any more.
    failure: Option<Failure>,
}

impl SyncObserver for Lines<'_> {
    fn on_event(&mut self, event: &SyncEvent) -> ControlFlow<()> {
        match event {
            SyncEvent::Warning { message } => self.out.hint(&format!("warning: {message}")),
            SyncEvent::Retrying { error, wait, .. } => {
                self.out.hint(&format!("{error}; trying again in {:.0} s", wait.as_secs_f64().max(1.0)));
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

impl DriverObserver for Lines<'_> {
    fn on_cycle(&mut self, end: &CycleEnd) {
        let printed = if self.out.json { self.out.document(&document(end)) } else { self.out.line(&line(end)) };
        if let Err(failure) = printed {
            self.failure = Some(failure);
            self.handle.stop();
        }
        // Once in a row of failures is enough for people; the lines go on.
        if let (Some(error), true) = (end.error(), end.failures <= 1 || end.needs_person)
            && end.failures > 0
        {
            let again = if end.needs_person { " This does not mend itself." } else { "" };
            self.out.hint(&format!("[{}]: {error}. {}{again}", error.code(), error.advice()));
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

fn document(end: &CycleEnd) -> serde_json::Value {
    let (outcome, pushed, pulled, seconds) = facts(end);
    let left = end.result.as_ref().map_or((0, 0), |report| (report.quarantined, report.refused));
    json!({
        "cycle": end.number, "started_at": end.started_at, "outcome": outcome, "pushed": pushed, "pulled": pulled,
        "quarantined": left.0, "refused": left.1, "seconds": seconds, "error": end.error().map(LoggedError::from),
        "failures": end.failures, "needs_person": end.needs_person, "next_in_seconds": end.next_in.map(|wait| wait.as_secs()),
    })
}

fn line(end: &CycleEnd) -> String {
    let (outcome, pushed, pulled, seconds) = facts(end);
    let error = end.error().map(|error| format!(" [{}]", error.code())).unwrap_or_default();
    let next = end.next_in.map(|wait| format!("; next in {}", time(wait))).unwrap_or_default();
    format!("{} {outcome}{error}: pushed {pushed}, pulled {pulled}, {seconds:.1} s{next}", end.started_at)
}

/// A wait as people read it.
fn time(wait: Duration) -> String {
    match wait.as_secs() {
        seconds @ 0..=119 => format!("{seconds} s"),
        seconds @ 120..=7199 => format!("{} min", seconds / 60),
        seconds => format!("{} h", seconds / 3600),
    }
}
