//! The remote site: discovers who it is, pushes, pulls and integrates.

mod answer;
mod audit;
mod client;
mod config;
mod copies;
mod cycle;
mod discover;
mod doctor;
mod files;
pub(crate) mod identity;
mod initialise;
mod legacy_patients;
mod link_patient;
mod marks;
mod net;
mod observer;
mod outbox;
mod position;
mod preview;
mod pull;
mod pull_central;
mod pull_patient;
mod pull_remote;
pub(crate) mod push;
pub(crate) mod push_legacy;
mod report;
mod restored;
mod sizing;
mod status;
mod watch;

use std::sync::Arc;

pub use config::SyncConfig;
pub use cycle::SyncOptions;
pub use files::{FilesOptions, FilesReport};
pub use identity::{Discovered, Settings};
pub use net::{NetLimits, NetReport, PredictedPart, Prediction, ServerLine};
pub use observer::{Silent, Step, SyncEvent, SyncObserver};
pub use preview::{Coming, PullPreview};
pub use report::{Outcome, PushedRange, StepReport, SyncReport};
pub use status::{LastSync, Status, Waiting, status};

use self::identity::Identity;
use crate::clock::Clock;
use crate::error::Result;
use crate::machine::Machine;
use crate::storage::Storage;
use crate::transport::Transport;

/// A site over its storage: everything that talks to servers starts here.
///
/// Holds no state of its own; several may be made over one storage. Reading and writing records is
/// [`Records`](crate::Records).
#[derive(Clone)]
pub struct Site {
    storage: Arc<dyn Storage>,
    transport: Arc<dyn Transport>,
    clock: Arc<dyn Clock>,
    config: SyncConfig,
    machine: Machine,
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

    /// The same with other limits.
    #[must_use]
    pub fn with_config(self, config: SyncConfig) -> Self {
        Self { config, ..self }
    }

    /// The same on a machine whose id the host app knows better than the system does, as an app on Android: pass it each time,
    /// so that a database that was copied to another machine is noticed.
    #[must_use]
    pub fn with_machine_id(self, id: impl Into<String>) -> Self {
        Self { machine: Machine::Given(id.into()), ..self }
    }

    /// Who this site is, as its database has it.
    fn identity(&self) -> Result<Identity> {
        Identity::load(self.storage.read()?.as_ref(), &self.machine)
    }

    /// The clock that it goes by.
    pub(crate) fn clock(&self) -> Arc<dyn Clock> {
        self.clock.clone()
    }
}
