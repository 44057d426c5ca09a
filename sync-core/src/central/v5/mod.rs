//! The V5 endpoints that a central server answers if there is no legacy server.

mod idle_check;
pub(crate) mod legacy_api;
pub(crate) mod name_store_join;
pub(crate) mod patient_api;
