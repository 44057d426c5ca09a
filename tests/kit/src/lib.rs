//! The test kit: what tests of storages, hosts and the engine share. Nothing that ships depends on it.
//!
//! - [`storage_contract`](mod@storage_contract): the promises of [`Storage`](sync_core::storage::Storage) as one function each, and
//!   [`storage_contract!`](macro@storage_contract), which makes a test of each for an implementation.
//! - [`CountingStorage`] and [`FaultyStorage`]: a storage over any other, to hold budgets and to fail on request.
//! - [`legacy_server`]: a stand-in for the legacy mSupply server, with faults.

mod counting;
mod faulty;
pub mod legacy_server;
pub mod storage_contract;
mod watched;

pub use counting::{CountingStorage, Counts};
pub use faulty::FaultyStorage;
pub use watched::Operation;
