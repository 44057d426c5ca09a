//! `run`: cycles at an interval until a signal comes, one line a cycle.

use std::ops::ControlFlow;
use std::time::Duration;

use serde_json::json;
use sync_core::central::SiteList;
use sync_core::driver::{CycleEnd, Driver, DriverConfig, DriverHandle, DriverObserver};
use sync_core::{Error, Message, SyncEvent, SyncObserver};

use crate::args::{Args, Run};
use crate::failure::{CommandOutcome, Failure};
use crate::output::Output;
use crate::progress::{at_signals, trying_again};
use crate::sentences::{common, run_shown as shown};
use crate::workspace::Workspace;

pub(super) fn run(args: &Args, options: &Run, out: &Output) -> Result<CommandOutcome, Failure> {
    let workspace = Workspace::open(args, out)?;
    // Without a legacy server there is nobody to ask: retrying would hide that.
    match workspace.replica.site_list()? {
        Some(SiteList::Legacy) => {}
        Some(SiteList::Local) => {
            let found = "central server without a legacy server";
            return Err(Error::WrongRole { needed: "remote site", found }.into());
        }
        None => return Err(Error::NotSetUp.into()),
    }
    let mut config = DriverConfig::default();
    config.interval = options.interval;
    (config.options.max_time, config.options.max_bytes) = (options.max_time, options.max_bytes);
    let mut driver = Driver::new(workspace.site(), config);
    let handle = driver.handle();
    let at_signal = handle.clone();
    at_signals(move || at_signal.stop());
    let mut lines = Lines { out, handle, failure: None };
    driver.run(&mut lines);
    lines.failure.map_or(Ok(CommandOutcome::Done), Err)
}

/// Prints a line for each cycle.
struct Lines<'o> {
    out: &'o Output,
    handle: DriverHandle,
    /// Why nothing can be printed any more.
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
        ControlFlow::Continue(())
    }
}

impl DriverObserver for Lines<'_> {
    fn on_cycle(&mut self, end: &CycleEnd) {
        let printed =
            if self.out.json { self.out.document(&document(end, self.out)) } else { self.out.line_said(&line(end)) };
        self.failure = printed.err();
        // Its output would be lost: the program that started it can start it again.
        if let Some(Error::DatabaseReplaced { path }) = end.error() {
            self.failure = Some(Error::DatabaseReplaced { path: path.clone() }.into());
        }
        if self.failure.is_some() || self.out.is_unread() {
            self.handle.stop();
        }
        // Once in a row of failures is enough for people; the lines continue.
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

fn document(end: &CycleEnd, out: &Output) -> serde_json::Value {
    let (outcome, pushed, pulled, seconds) = facts(end);
    let left = end.result.as_ref().map_or((0, 0), |report| (report.quarantined, report.refused));
    json!({
        "cycle": end.number, "started_at": end.started_at, "outcome": outcome, "pushed": pushed, "pulled": pulled,
        "quarantined": left.0, "refused": left.1, "seconds": seconds, "error": end.error().map(|error| out.written_down(error)),
        "failures": end.failures, "needs_person": end.needs_person, "next_in_seconds": end.next_in.map(|wait| wait.as_secs()),
    })
}

fn line(end: &CycleEnd) -> Message {
    let (outcome, pushed, pulled, seconds) = facts(end);
    let (at, seconds) = (end.started_at.to_string(), format!("{seconds:.1}"));
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
