//! The steps of the cycle that speak to the legacy server (protocol V5).

pub(crate) mod discover;
pub(crate) mod initialise;
pub(crate) mod link_patient;
pub(crate) mod patients;
pub(crate) mod pull_legacy_data;
pub(crate) mod pull_legacy_queue;
pub(crate) mod push;
