//! What the transactions of a process share.

use std::path::Path;

use super::address::PostgresAddress;
use super::connection::Pool;
use super::witness::Witness;
use crate::storage::writer_turns::WriterTurns;

pub(super) struct SharedParts {
    pub address: PostgresAddress,
    pub pool: Pool,
    /// Held by the only writing transaction of this process.
    pub writer_turns: WriterTurns,
    pub witness: Witness,
}

impl SharedParts {
    pub(super) fn new(address: &PostgresAddress, witness: Option<&Path>) -> Self {
        Self {
            address: address.clone(),
            pool: Pool::default(),
            writer_turns: WriterTurns::default(),
            witness: Witness::at(witness),
        }
    }
}
