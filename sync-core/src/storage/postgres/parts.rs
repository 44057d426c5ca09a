//! What the transactions of a process share.

use std::path::Path;

use parking_lot::Mutex;

use super::address::PostgresAddress;
use super::connection::Pool;
use super::witness::Witness;
use crate::storage::writer_thread::WriterThread;

pub(super) struct SharedParts {
    pub address: PostgresAddress,
    pub pool: Pool,
    /// Held by the only writing transaction of this process. Fair: a waiting thread comes before the last holder.
    pub writer: Mutex<()>,
    pub writer_thread: WriterThread,
    pub witness: Witness,
}

impl SharedParts {
    pub(super) fn new(address: &PostgresAddress, witness: Option<&Path>) -> Self {
        Self {
            address: address.clone(),
            pool: Pool::default(),
            writer: Mutex::default(),
            writer_thread: WriterThread::default(),
            witness: Witness::at(witness),
        }
    }
}
