//! What the transactions of a process share.

use std::path::Path;

use parking_lot::Mutex;

use super::address::PostgresAddress;
use super::connection::{Connection, Pool};
use super::witness::Witness;
use crate::storage::writer_turns::WriterTurns;

pub(super) struct SharedParts {
    pub address: PostgresAddress,
    pub pool: Pool,
    /// Held by the only writing transaction of this process.
    pub writer_turns: WriterTurns,
    pub witness: Witness,
    /// The connection on which notices of other servers come, once somebody waits for them.
    pub notices: Mutex<Option<Connection>>,
}

impl SharedParts {
    pub(super) fn new(address: &PostgresAddress, witness: Option<&Path>) -> Self {
        let mut address = address.clone();
        // PostgreSQL shows which sessions belong together.
        let id = uuid::Uuid::new_v4().simple().to_string();
        address.config.application_name(&format!("oms-sync {}", id.get(..12).unwrap_or_default()));
        Self {
            address,
            pool: Pool::default(),
            writer_turns: WriterTurns::default(),
            witness: Witness::at(witness),
            notices: Mutex::default(),
        }
    }
}
