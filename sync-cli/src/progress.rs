//! Draws the events of a cycle on a terminal; on a pipe, a line for each step.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressState, ProgressStyle};
use sync_core::site::Step;
use sync_core::{Message, SyncEvent, SyncObserver};

use crate::output::{Output, bytes};
use crate::sentences::{common, progress as told};
use crate::signals::interrupted;

/// Draws events.
pub(crate) struct Progress<'o> {
    out: &'o Output,
    bar: Option<ProgressBar>,
    last: (u64, u64),
    /// The error of the last failed try that was shown, and when.
    retried: Option<(String, Instant)>,
}

/// For so long the same error of a try is shown once: each further line would tell nothing new.
const SAME_AGAIN: Duration = Duration::from_secs(10);

impl<'o> Progress<'o> {
    pub(crate) fn new(out: &'o Output) -> Self {
        let bar = out.draws_progress().then(|| {
            let bar = ProgressBar::new(0);
            bar.set_style(style(0, 0, false, out.width()));
            bar.enable_steady_tick(Duration::from_millis(250));
            bar
        });
        Self { out, bar, last: (0, 0), retried: None }
    }

    /// Shows what is being done, where no numbers are known.
    pub(crate) fn note(&self, what: &str) {
        if let Some(bar) = &self.bar {
            bar.set_message(what.to_owned());
        }
    }

    /// Begins a part of the work.
    pub(crate) fn begin(&mut self, label: &str) {
        self.last = (0, 0);
        if let Some(bar) = &self.bar {
            bar.reset();
            bar.set_style(style(0, 0, false, self.out.width()));
            bar.set_length(0);
            bar.set_message(label.to_owned());
        }
    }

    /// Shows how far the part is.
    pub(crate) fn at(&mut self, done: u64, total: u64, is_estimate: bool) {
        // A total that falls behind what is done is no total.
        let total = total.max(done);
        self.last = (done, total);
        if let Some(bar) = &self.bar {
            bar.set_style(style(done, total, is_estimate, self.out.width()));
            // At once, because the bar is drawn by a thread of its own.
            bar.update(|state| {
                state.set_len(total);
                state.set_pos(done);
            });
        }
    }

    /// A line beside the bar.
    pub(crate) fn say(&self, said: &Message) {
        match &self.bar {
            Some(bar) => bar.suspend(|| self.out.hint_said(said)),
            None => self.out.hint_said(said),
        }
    }
}

impl Drop for Progress<'_> {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

impl SyncObserver for Progress<'_> {
    fn on_event(&mut self, event: &SyncEvent) -> ControlFlow<()> {
        match event {
            SyncEvent::StepStarted { step } => {
                self.begin(self.out.word(step.label()));
            }
            SyncEvent::Progress { done, total, pace, .. } => self.at(*done, *total, pace.is_estimate),
            SyncEvent::StepFinished { step, error, ended_early } => {
                let label = step.label();
                self.say(&match error {
                    Some(code) => told::failed(label, *code),
                    None if *ended_early => told::ended_early(label),
                    None if self.last.0 > 0 && *step == Step::Files => told::moved_bytes(label, bytes(self.last.0)),
                    None if self.last.0 > 0 => told::moved(label, self.last.0),
                    None => told::done(label),
                });
            }
            SyncEvent::Retrying { error, wait, .. } => {
                let said = error.to_string();
                let is_repeated =
                    self.retried.as_ref().is_some_and(|(of, at)| *of == said && at.elapsed() < SAME_AGAIN);
                if !is_repeated {
                    self.say(&trying_again(error, *wait));
                    self.retried = Some((said, Instant::now()));
                }
            }
            SyncEvent::WaitingForInitialisation { waited } if waited.is_zero() => {
                self.say(&told::gathers());
            }
            SyncEvent::Warning { message } => self.say(&common::warning(message)),
            _ => {}
        }
        if interrupted() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

/// What the bar shows: a total that is no number of records, and a time left by it, would be read as if they were exact.
fn template(done: u64, total: u64, is_estimate: bool) -> &'static str {
    match (is_estimate, total > done) {
        // Nothing is known yet, or there is nothing to do: a bar of no length would be drawn full.
        (_, false) if done == 0 => "{msg:14}",
        (false, _) => "{msg:14} {bar:30} {pos}/{len}  {rate}  {eta}",
        (true, true) => "{msg:14} {bar:30} {pos}/~{len}  {rate}",
        // Nothing is known of the total.
        (true, false) => "{msg:14} {pos}  {rate}",
    }
}

/// The columns of a terminal from which on there is room for the bar itself, beside the largest numbers.
const ROOM_FOR_BAR: usize = 78;

fn style(done: u64, total: u64, is_estimate: bool, columns: usize) -> ProgressStyle {
    let template = fitting(template(done, total, is_estimate), columns);
    let style = ProgressStyle::with_template(&template).unwrap_or_else(|_| ProgressStyle::default_bar());
    style.with_key("rate", |state: &ProgressState, to: &mut dyn std::fmt::Write| {
        // If it cannot be written, nothing is drawn there.
        let _ = write!(to, "{}", rate(state.per_sec()));
    })
}

/// In a narrow terminal the numbers alone.
fn fitting(template: &str, columns: usize) -> String {
    if columns < ROOM_FOR_BAR { template.replace("{bar:30} ", "") } else { template.to_owned() }
}

/// A speed in whole numbers: more digits than the clock gives say nothing.
fn rate(per_second: f64) -> String {
    if per_second >= 1.0 || per_second <= 0.0 { format!("{per_second:.0}/s") } else { format!("{per_second:.1}/s") }
}

/// Says that a request failed and will be sent again.
pub(crate) fn trying_again(error: &Message, wait: Duration) -> Message {
    told::trying_again(error.clone(), format!("{:.0}", wait.as_secs_f64().max(1.0)))
}

/// Only checks for signals.
pub(crate) fn until_interrupted(_: &SyncEvent) -> ControlFlow<()> {
    if interrupted() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_narrow_terminal_has_the_numbers_alone() {
        let exact = template(100, 400, false);
        assert_eq!((fitting(exact, 80).as_str(), fitting(exact, 40).contains("{bar")), (exact, false));
    }

    #[test]
    fn a_speed_has_no_more_digits_than_it_means() {
        assert_eq!([774.3747, 1.0, 0.26, 0.0].map(rate), ["774/s", "1/s", "0.3/s", "0/s"]);
    }

    #[test]
    fn a_total_that_is_a_distance_is_not_drawn_as_if_it_were_exact() {
        assert!(template(100, 400, false).contains("{pos}/{len}  {rate}  {eta}"));
        let about = template(100, 9000, true);
        assert!(about.contains("{pos}/~{len}") && !about.contains("{eta}"), "{about}");
        assert_eq!([template(0, 0, false), template(0, 0, true)], ["{msg:14}"; 2], "no full bar of nothing");
        let unknown = template(100, 100, true);
        assert!(!["{len}", "{bar", "{eta}"].iter().any(|part| unknown.contains(part)), "{unknown}");
    }
}
