//! The remote site: discovers its identity, pushes, pulls and integrates.

mod answer;
pub(crate) mod central;
pub(crate) mod client;
pub(crate) mod config;
pub(crate) mod cycle;
pub(crate) mod device;
mod failed_push;
pub(crate) mod files;
pub(crate) mod identity;
mod idle_check;
pub(crate) mod legacy;
pub(crate) mod observer;
mod outbox;
mod progress;
pub(crate) mod release_3;
pub(crate) mod remote;
pub(crate) mod report;
pub(crate) mod secrets;
pub(crate) mod sizing;
mod steps;
mod too_large;
pub(crate) mod watch;

pub(crate) use crate::integrate::Resolvers;
pub use crate::integrate::{Conflict, ConflictOutcome, ConflictResolver, ConflictVersions, KeptConflict, Resolution};
pub use crate::machine::machine_id;
pub use central::{CentralRefusal, RefusalCause};
pub(crate) use cycle::SyncOptions;
pub use files::{FilesOptions, FilesReport};
pub use identity::Discovered;
pub(crate) use identity::Settings;
pub(crate) use observer::{NoopObserver, SyncEvent, SyncObserver};
pub use observer::{Pace, Step};
pub(crate) use remote::Site;
pub(crate) use report::SyncReport;
pub use report::{Finished, PushedRange, SkipReason, SkippedStep, StepReport};
pub use secrets::{EnvironmentSecrets, Secret, SecretStore};
