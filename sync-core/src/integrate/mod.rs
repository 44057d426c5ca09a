//! Integration: stores received records among the records, in dependency order, in short transactions.
//!
//! A site integrates pulled records as they arrive, in the transaction that moves its cursor ([`receive`]); records
//! that cannot be integrated go into quarantine in the sync buffer. Central does the same with each batch of a push
//! ([`receive_push`]). Records are staged if they waited for a parent which arrived, if their batch fails, or if there are
//! too many for one transaction; central integrates these in turns of one transaction for each site
//! ([`IntegrationQueue`]).

mod conflict;
mod failed_batch;
mod ignored;
mod integrated;
mod integrator;
mod local_state;
pub(crate) mod merge;
mod noted_conflicts;
mod plan;
mod provenance;
mod pushed;
mod receive;
mod resolve;
mod sent_back;
mod staged;
mod turns;

pub(crate) use conflict::Resolvers;
#[cfg(feature = "support")]
pub(crate) use conflict::differing;
pub use conflict::{Conflict, ConflictOutcome, ConflictResolver, ConflictVersions, Resolution};
pub(crate) use failed_batch::{noting_failure, requeue_after_upgrade, requeue_failed, staging_what_fails};
#[cfg(feature = "support")]
pub(crate) use ignored::IGNORED_BEFORE;
pub(crate) use integrated::Integrated;
pub(crate) use local_state::{note_at_central, seen_at_central};
pub use noted_conflicts::KeptConflict;
pub(crate) use noted_conflicts::kept_conflicts;
pub(crate) use plan::is_code_of_system;
pub(crate) use provenance::Provenance;
pub(crate) use pushed::receive_push;
pub(crate) use receive::receive;
pub(crate) use staged::{ChunkFailure, attempted, integrate};
pub(crate) use turns::IntegrationQueue;
