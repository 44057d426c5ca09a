//! The counts of an integration.

use super::conflict::Conflict;
use crate::text::Message;

/// The result of an integration.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Integrated {
    /// Integrated records, including those that were here already.
    pub integrated: u64,
    /// Records that went into quarantine for another cause than a rule of ownership.
    pub quarantined: u64,
    /// Records that a rule of ownership refused.
    pub refused: u64,
    /// Pulled records that yielded to a local edit.
    pub kept_local: u64,
    /// Conflicts that a resolver of the host decided otherwise.
    pub resolved: u64,
    /// The first conflicts.
    pub conflicts: Vec<Conflict>,
    /// Why resolvers of the host failed, for the first [`FAILED_MAX`] conflicts.
    pub failed_resolvers: Vec<Message>,
}

/// The most failures of resolvers that are told.
const FAILED_MAX: usize = 20;

impl Integrated {
    /// Adds another result.
    pub(crate) fn add(&mut self, other: &Self) {
        self.integrated += other.integrated;
        self.quarantined += other.quarantined;
        self.refused += other.refused;
        self.kept_local += other.kept_local;
        self.resolved += other.resolved;
        Conflict::add_to(&mut self.conflicts, &other.conflicts);
        other.failed_resolvers.iter().for_each(|why| self.note_failed_resolver(why.clone()));
    }

    /// Notes why a resolver failed, as far as there is room.
    pub(super) fn note_failed_resolver(&mut self, why: Message) {
        if self.failed_resolvers.len() < FAILED_MAX {
            self.failed_resolvers.push(why);
        }
    }

    pub(super) fn count(&self) -> u64 {
        self.integrated + self.quarantined + self.refused + self.kept_local + self.resolved
    }
}
