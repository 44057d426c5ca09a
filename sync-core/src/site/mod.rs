//! The remote site: discovers its identity, pushes, pulls and integrates.

mod answer;
pub(crate) mod central;
pub(crate) mod client;
pub(crate) mod config;
mod cycle;
mod files;
pub(crate) mod identity;
pub(crate) mod legacy;
pub(crate) mod observer;
mod outbox;
mod progress;
pub(crate) mod report;
pub(crate) mod sizing;
mod steps;
pub(crate) mod watch;

use std::sync::Arc;

pub use config::SyncConfig;
pub use cycle::SyncOptions;
pub use files::{FilesOptions, FilesReport};
pub use identity::{Discovered, Settings};
pub use observer::{NoopObserver, Step, SyncEvent, SyncObserver};
pub use report::{PushedRange, SkipReason, SkippedStep, StepReport, SyncOutcome, SyncReport};

use self::identity::Identity;
use crate::clock::Clock;
use crate::error::Result;
use crate::machine::Machine;
use crate::storage::Storage;
use crate::transport::Transport;

/// A site on its storage: all calls that talk to servers start here.
///
/// Holds no state of its own; several may be made over one storage. Reading and writing records is
/// [`Records`](crate::Records).
#[derive(Clone)]
pub struct Site {
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) config: SyncConfig,
    pub(crate) machine: Machine,
}

impl std::fmt::Debug for Site {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Site").field("config", &self.config).finish_non_exhaustive()
    }
}

impl Site {
    /// A site over these parts, with the default limits.
    pub fn new(storage: Arc<dyn Storage>, transport: Arc<dyn Transport>, clock: Arc<dyn Clock>) -> Self {
        Self { storage, transport, clock, config: SyncConfig::default(), machine: Machine::default() }
    }

    /// Replaces the limits.
    #[must_use]
    pub fn with_config(self, config: SyncConfig) -> Self {
        Self { config, ..self }
    }

    /// Sets the id of the machine, if the host app knows it better than the system does, such as on Android. Pass it
    /// each time, so that a database that was copied to another machine is noticed.
    #[must_use]
    pub fn with_machine_id(self, id: impl Into<String>) -> Self {
        Self { machine: Machine::Given(id.into()), ..self }
    }

    /// The identity of this site, as stored in its database.
    pub(crate) fn identity(&self) -> Result<Identity> {
        Identity::load(self.storage.read()?.as_ref(), &self.machine)
    }

    /// The clock of this site.
    pub(crate) fn clock(&self) -> Arc<dyn Clock> {
        self.clock.clone()
    }
}
