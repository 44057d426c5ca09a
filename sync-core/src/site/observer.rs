//! Events of a cycle for an observer.

use std::ops::ControlFlow;
use std::time::Duration;

use serde::Serialize;

use crate::error::Server;
use crate::text::Message;

/// A step of the cycle, named as the Open mSupply documentation names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Step {
    /// Asks the legacy server who this site is.
    Prepare,
    /// Pushes to the Open mSupply central server and waits until it has integrated.
    PushV6,
    /// Pushes to the legacy server and waits until it has integrated.
    Push,
    /// Pulls the central data of the legacy server (`site/legacy/pull_legacy_data.rs`).
    PullCentral,
    /// Pulls the queue of the legacy server for this site (`site/legacy/pull_legacy_queue.rs`).
    PullRemote,
    /// Pulls from the Open mSupply central server, and integrates records that need no missing record.
    PullV6,
    /// Makes a patient visible in a store of this site, at the legacy server and at the central server.
    LinkPatient,
    /// Pulls the records of one patient from the Open mSupply central server: in a cycle if a link of a patient is
    /// pending, otherwise on its own.
    PullPatient,
    /// Integrates records that waited for another record.
    Integrate,
    /// Sends and fetches files; not part of a cycle.
    Files,
    /// Compares this database with central; not part of a cycle.
    Compare,
}

impl Step {
    /// The name of the step for users.
    pub fn label(self) -> &'static str {
        match self {
            Self::Prepare => "Prepare",
            Self::PushV6 => "Push V6",
            Self::Push => "Push",
            Self::PullCentral => "Pull central",
            Self::PullRemote => "Pull remote",
            Self::PullV6 => "Pull V6",
            Self::LinkPatient => "Link patient",
            Self::PullPatient => "Pull patient",
            Self::Integrate => "Integrate",
            Self::Files => "Files",
            Self::Compare => "Compare",
        }
    }
}

/// The pace of a step since it began. Both are `None` in its first second, and while nothing is done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Pace {
    /// Records done in a minute; for [`Step::Files`] bytes.
    pub per_minute: Option<u64>,
    /// The time until everything is done at this pace.
    pub left: Option<Duration>,
    /// True if the total may be far off, because the other end counts positions of its changelog, of which many may be for other sites. Nothing
    /// is said of the time left then.
    pub is_estimate: bool,
}

/// Whether the totals of batches count records, as Open mSupply 2.x does, or the distance to the end of a changelog, as 3.x does.
#[derive(Debug, Default)]
pub(crate) struct Totals {
    /// The total of the next batch, if they count records.
    expected: Option<u64>,
    are_distances: bool,
}

impl Totals {
    /// True if the total of a batch of so many records is no number of records: it fell by more than came, nothing came of it, or more
    /// came than it says.
    pub(crate) fn is_estimate(&mut self, total: u64, records: u64) -> bool {
        let fell = self.expected.is_some_and(|expected| total < expected);
        self.are_distances |= fell || records == 0 && total > 0 || total < records;
        self.expected = Some(total.saturating_sub(records));
        self.are_distances
    }
}

impl Pace {
    /// The same where the total is no number of records.
    pub(crate) fn with_estimate(self, is_estimate: bool) -> Self {
        Self { left: self.left.filter(|_| !is_estimate), is_estimate, ..self }
    }

    /// The pace of work of which so much was done in this time, and so much is left.
    pub(crate) fn of(done: u64, left: u64, took: Duration) -> Self {
        if done == 0 || took < Duration::from_secs(1) {
            return Self::default();
        }
        let each = took.as_secs_f64() / done as f64;
        let left = Duration::try_from_secs_f64(each * left as f64).ok();
        Self { per_minute: Some((60.0 / each) as u64), left, is_estimate: false }
    }
}

/// An event of a cycle.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SyncEvent {
    /// A step begins.
    StepStarted {
        /// The step.
        step: Step,
    },
    /// Progress of a step: once for each batch, so a short step has one, and its total may be 0. The total comes from the other end, and may
    /// change.
    Progress {
        /// The step.
        step: Step,
        /// Records done; for [`Step::Files`] bytes.
        done: u64,
        /// Records in all; bytes in all for [`Step::Files`].
        total: u64,
        /// How fast the step goes on, and when it will be done.
        pace: Pace,
    },
    /// A step ended, successfully or not.
    StepFinished {
        /// The step.
        step: Step,
        /// The code of its error.
        error: Option<&'static str>,
        /// True if the limit of time or of bytes ended it, which is no error.
        ended_early: bool,
    },
    /// A request failed and will be retried.
    Retrying {
        /// The server.
        server: Server,
        /// The error.
        error: Message,
        /// The wait before the next try.
        wait: Duration,
    },
    /// The cycle waits. Sent a few times a second, so that it can be stopped.
    Waiting {
        /// The remaining time.
        left: Duration,
    },
    /// A request is running. Sent a few times a second, so that it can be broken off, and a screen can show that something goes on.
    RequestUnderWay {
        /// The time so far.
        waited: Duration,
    },
    /// Pushed records are being integrated; the next question follows soon.
    WaitingForIntegration {
        /// The time so far.
        waited: Duration,
    },
    /// The legacy server gathers this site's records; the next question follows soon.
    WaitingForInitialisation {
        /// The time so far.
        waited: Duration,
    },
    /// A warning for the administrator of this site.
    Warning {
        /// The text.
        message: Message,
    },
}

/// Receives the events of a cycle, and may stop it.
///
/// Called on the thread of the cycle, between two requests and between two transactions, also during waits and
/// requests. `Break` ends the cycle with [`Error::Cancelled`](crate::Error::Cancelled); everything done so far stays.
///
/// A running request is broken off within two seconds, wherever it is: looking up a name, connecting, sending, waiting
/// or receiving. The transport has to support [that](crate::transport::Transport::stoppable), as
/// [`HttpTransport`](crate::transport::HttpTransport) does; otherwise the request first runs to its end.
pub trait SyncObserver {
    /// Receives one event.
    fn on_event(&mut self, event: &SyncEvent) -> ControlFlow<()>;
}

/// Ignores all events and stops nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoopObserver;

impl SyncObserver for NoopObserver {
    fn on_event(&mut self, _: &SyncEvent) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

impl<F: FnMut(&SyncEvent) -> ControlFlow<()>> SyncObserver for F {
    fn on_event(&mut self, event: &SyncEvent) -> ControlFlow<()> {
        self(event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_left_follows_from_the_pace_so_far() {
        let seconds = Duration::from_secs;
        let pace = Pace::of(100, 300, seconds(10));
        assert_eq!((pace.per_minute, pace.left), (Some(600), Some(seconds(30))));
        for unknown in [Pace::of(0, 10, seconds(10)), Pace::of(10, 10, Duration::from_millis(900))] {
            assert_eq!(unknown, Pace::default());
        }
        assert_eq!(Pace::of(1, u64::MAX, seconds(u64::MAX)).left, None, "longer than a duration can be");
    }

    #[test]
    fn a_total_that_falls_by_more_than_came_is_a_distance() {
        let told = |batches: &[(u64, u64)]| {
            let mut totals = Totals::default();
            batches.iter().map(|(total, records)| totals.is_estimate(*total, *records)).collect::<Vec<_>>()
        };
        // As 2.x counts, also where records are added meanwhile.
        assert_eq!(told(&[(250, 100), (150, 100), (60, 60)]), [false; 3]);
        assert_eq!(told(&[(40, 40)]), [false], "one batch is all");
        // As 3.x counts: most positions are for other sites.
        assert_eq!(told(&[(9000, 100), (5000, 100), (4000, 100), (3900, 100)]), [false, true, true, true]);
        assert_eq!(told(&[(9000, 0), (8000, 100)]), [true, true]);
        let pace = Pace::of(100, 300, Duration::from_secs(10)).with_estimate(true);
        assert_eq!((pace.per_minute, pace.left, pace.is_estimate), (Some(600), None, true));
    }
}
