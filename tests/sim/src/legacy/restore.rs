//! What the judge may still ask of documents once an end was put back from a backup.

use sync_core::protocol::v6::Action;
use sync_testkit::legacy_server::PushedRecord;

use super::{Legacy, name};
use crate::lock;
use crate::run::Sim;

impl Sim {
    /// What an end wrote since its backup, and the legacy server never got, is void.
    pub(crate) fn documents_went_back(&self, legacy: &Legacy, end: usize, since: usize) {
        let pushed = legacy.server.pushed(&name(end));
        let mut book = lock(&legacy.book);
        for number in since..book.versions.versions.len() {
            let version = &book.versions.versions[number];
            let is_it = |PushedRecord { record, .. }: &PushedRecord| {
                let sent = record.data.as_ref().filter(|_| record.action != Action::Delete).map(|data| data.as_str());
                (&record.table, &record.id) == (&version.key.0, &version.key.1)
                    && book.versions.is_same(&record.table, sent, version.content.as_deref())
            };
            let is_void = version.by == end && !pushed.iter().any(is_it);
            book.versions.versions[number].is_void |= is_void;
        }
        book.versions.was_restored(end);
    }
}
