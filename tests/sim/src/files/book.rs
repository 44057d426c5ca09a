//! The judge's own book of files: what was attached where, and what central said that it took.

use std::collections::{BTreeMap, BTreeSet};

use sync_core::clock::Timestamp;

use crate::ledger::Key;

/// A file.
#[derive(Debug, Clone)]
pub struct BookedFile {
    /// The record that it belongs to.
    pub record: Key,
    /// Its bytes. Of a file of another program there may be several versions, or none at all: only its reference.
    pub versions: Vec<Vec<u8>>,
    /// Whether another program made it, which says no hash.
    pub is_foreign: bool,
}

/// All files of a world.
#[derive(Debug, Default)]
pub struct FileBook {
    /// The files, by the id of their reference: those too whose attaching failed.
    pub files: BTreeMap<String, BookedFile>,
    /// What central said that it took, and what was attached there.
    pub taken: BTreeSet<String>,
    /// Which copies somebody changed by hand: at an end, of a file.
    pub damaged: BTreeSet<(usize, String)>,
    /// How many were made.
    pub made: usize,
    /// When a site brought one last, by central's clock: then central removes what it had left behind.
    pub brought_at: Option<Timestamp>,
}

impl BookedFile {
    /// Whether these are the bytes of the file, all of them and no others.
    pub fn is_whole(&self, bytes: &[u8]) -> bool {
        self.versions.iter().any(|version| version == bytes)
    }
}

/// Bytes that differ from those of all other files and versions, as far as their length allows.
pub(super) fn content(seed: u64, number: usize, length: usize) -> Vec<u8> {
    let mut rng = fastrand::Rng::with_seed(seed ^ (number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    std::iter::repeat_with(|| rng.u8(..)).take(length).collect()
}
