//! The steps of the cycle that speak to the Open mSupply central server (protocol V6).

pub(crate) mod checkpoints;
pub(crate) mod copied_database;
pub(crate) mod outdated;
mod packed_batch;
pub(crate) mod position;
pub(crate) mod pull;
pub(crate) mod pull_patient;
pub(crate) mod push;
pub(crate) mod read_when_written;
pub(crate) mod recovery;
mod refusal;
mod refused_records;
mod refused_tables;

pub use refusal::{CentralRefusal, RefusalCause};
