//! The test kit: shared by tests of storages, hosts and the engine. Nothing that ships depends on it.
//!
//! - [`storage_contract`](mod@storage_contract): the promises of [`Storage`](sync_core::storage::Storage) as one function each, and
//!   [`storage_contract!`](macro@storage_contract), which makes a test of each for an implementation.
//! - [`CountingStorage`] and [`FaultyStorage`]: a storage over any other, to hold budgets and to fail on request.
//! - [`RemoteOnlyStorage`]: a storage over any other without the part of a central server.
//! - [`PostgresServer`]: a private PostgreSQL server in a temporary folder, where the machine has PostgreSQL.
//! - [`legacy_server`]: a stand-in for the legacy mSupply server, with faults.

mod counting;
mod faulty;
pub mod http;
pub mod legacy_server;
mod postgres_server;
mod remote_only;
pub mod storage_contract;
mod watched;

pub use counting::{CountingStorage, Counts};
pub use faulty::FaultyStorage;
pub use postgres_server::{PostgresServer, TestDatabase};
pub use remote_only::RemoteOnlyStorage;
pub use watched::Operation;
