//! Events of a cycle, for whoever watches.

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
    /// Pulls central data of the legacy server.
    PullCentral,
    /// Pulls what the legacy server has queued for this site.
    PullRemote,
    /// Pulls from the Open mSupply central server and integrates what needs nothing that is not here.
    PullV6,
    /// Makes a patient visible in a store of this site, at the legacy server and at the central server.
    LinkPatient,
    /// Pulls the records of one patient from the Open mSupply central server; no part of a whole cycle.
    PullPatient,
    /// Integrates what had to wait for another record.
    Integrate,
    /// Sends and fetches files; no part of a cycle.
    Files,
    /// Compares what is here with what central has; no part of a cycle.
    Compare,
}

impl Step {
    /// The step as users see it.
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

/// What happens in a cycle.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SyncEvent {
    /// A step begins.
    StepStarted {
        /// Which.
        step: Step,
    },
    /// A step got on. Totals are what the other end says, and may change.
    Progress {
        /// Which.
        step: Step,
        /// Records done.
        done: u64,
        /// Records in all.
        total: u64,
    },
    /// A step ended, well or not.
    StepFinished {
        /// Which.
        step: Step,
        /// The code of the error it ended with.
        error: Option<&'static str>,
    },
    /// A request failed and will be tried again.
    Retrying {
        /// Who did not answer well.
        server: Server,
        /// How.
        error: Message,
        /// The wait before the next try.
        wait: Duration,
    },
    /// The cycle waits; told a few times a second, so that it can be stopped.
    Waiting {
        /// For how long still.
        left: Duration,
    },
    /// A request is under way; told a few times a second, so that it can be broken off.
    RequestUnderWay {
        /// For how long already.
        waited: Duration,
    },
    /// The pushed records are being integrated; asked again soon.
    WaitingForIntegration {
        /// For how long already.
        waited: Duration,
    },
    /// The legacy server gathers this site's records; asked again soon.
    WaitingForInitialisation {
        /// For how long already.
        waited: Duration,
    },
    /// Something that the administrator of this site should know.
    Warning {
        /// In words.
        message: Message,
    },
}

/// Is told what happens, and may stop the cycle.
///
/// Called on the thread that runs the cycle, between two requests and between two transactions, also while it waits and while
/// a request is under way. `Break` ends the cycle with [`Error::Cancelled`](crate::Error::Cancelled); everything done so far
/// stays.
///
/// A request that is under way is broken off within two seconds, wherever it is: while a name is looked up, while it connects,
/// sends, waits or receives. That needs a transport that can be [broken off](crate::transport::Transport::stoppable), as
/// [`HttpTransport`](crate::transport::HttpTransport) can; any other is first let end.
pub trait SyncObserver {
    /// Is told of one event.
    fn on_event(&mut self, event: &SyncEvent) -> ControlFlow<()>;
}

/// Watches nothing and stops nothing.
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
