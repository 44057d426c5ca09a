//! What the judge may still ask of documents once an end was put back from a backup.

use sync_core::protocol::v6::Action;
use sync_testkit::legacy_server::PushedRecord;

use super::{Legacy, name};
use crate::ledger::Version;
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
            // A site may delete a record twice, to the letter: the first push is that of the first deletion.
            let of_record = book.versions.of(&version.key).take_while(|(before, _)| *before <= number);
            let is_the_same = |before: &Version| {
                let (before, content) = (before.content.as_deref(), version.content.as_deref());
                book.versions.is_same(&version.key.0, before, content)
            };
            let written = of_record.filter(|(_, before)| before.by == end && is_the_same(before)).count();
            let is_void = version.by == end && pushed.iter().filter(|pushed| is_it(pushed)).count() < written;
            book.versions.versions[number].is_void |= is_void;
        }
        book.versions.was_restored(end);
    }
}
