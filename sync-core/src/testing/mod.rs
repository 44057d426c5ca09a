//! What tests of storages and hosts need; behind the feature `testing`.
//!
//! - [`storage_contract`]: the promises of [`Storage`](crate::storage::Storage) as one function each, and
//!   [`storage_contract!`](crate::storage_contract!), which makes a test of each for an implementation.
//! - [`CountingStorage`] and [`FaultyStorage`]: a storage over any other, to hold budgets and to fail on request.
//! - [`legacy_server`]: a stand-in for the legacy mSupply server, with faults.

mod counting;
mod faulty;
pub mod legacy_server;
#[cfg(feature = "planted-bugs")]
pub mod planted;
pub mod storage_contract;
mod watched;

pub use counting::{CountingStorage, Counts};
pub use faulty::FaultyStorage;
pub use watched::Operation;
