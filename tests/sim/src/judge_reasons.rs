//! Whether the judge confirms the reason for which an end set a record aside.

use super::{ADDED, Judge};
use crate::harsh::POISON;
use crate::ledger::{Key, Version};
use crate::promises::{Aside, From};
use crate::rules::{StoreOf, Writers, fields, rule_of, text};

impl Judge<'_> {
    /// True if the judge confirms the reason for which an end put something into quarantine.
    pub(super) fn is_true(&self, aside: &Aside, end: usize) -> bool {
        let is_poisoned = aside.content.as_deref().is_some_and(|content| content.contains(POISON));
        if end == 0 && is_poisoned {
            return true;
        }
        match (aside.cause, &aside.waits_for, aside.from) {
            // It waits for a join (named by the patient's id) that makes the patient visible on the site.
            ("waiting", Some((table, patient)), From::Site(site))
                if table == "name_store_join"
                    && matches!(aside.key.0.as_str(), "vaccination" | "name" | "name_oms_fields") =>
            {
                !self.is_seen_on(patient, site)
            }
            ("waiting", Some(parent), From::Site(_) | From::Central) => !self.ends[end].records.contains_key(parent),
            // A site wrote the record before it knew that the record was merged into another one.
            ("ignored", _, From::Site(_)) => self.ledger.merges.is_gone(&aside.key.0, &aside.key.1),
            ("refused", _, From::Site(site)) => self.may_be_refused(site, &aside.key),
            ("superseded", _, From::Site(site)) => {
                self.was_overtaken(aside, site) || self.may_be_refused(site, &aside.key)
            }
            ("superseded", _, From::Central) => self.ledger.of(&aside.key).any(|(_, version)| version.by == end),
            ("refused", _, From::Here) => {
                self.gave_way(aside, end) || self.ledger.is_too_large(end, &aside.key, aside.content.as_deref())
            }
            _ => false,
        }
    }

    /// True if central may refuse a record that the site was allowed to write when it wrote it: at some time the store of the
    /// record or of its parent was on another site, or the record or its parent had no store.
    fn may_be_refused(&self, site: usize, key: &Key) -> bool {
        let Some(rule) = rule_of(&key.0, None) else { return false };
        if self.is_added_unknowing(site, key) {
            return false;
        }
        match rule.writers {
            // These have no store. A log may be changed by its writer; a reference of a file by the site of its record.
            Writers::Everyone if matches!(key.0.as_str(), "sync_file_reference" | "system_log") => {
                // Another may have written the same to the letter, such as a deletion in the same moment.
                let is_anothers = |number, by| by != site || self.ledger.of_several.contains(&number);
                let mut versions = self.ledger.of(key);
                versions.any(|(number, version)| {
                    is_anothers(number, version.by) || self.record_was_elsewhere(site, version)
                })
            }
            Writers::Central | Writers::Everyone => false,
            Writers::StoreSite | Writers::StoreSiteElseCentral | Writers::StoreSiteOrCentral => self
                .ledger
                .stores_ever(key)
                .iter()
                .any(|store| store.as_ref().is_none_or(|store| self.ledger.was_elsewhere(store, site))),
        }
    }

    /// True if a site added a write-once record to a store or parent that had moved away, before the site could know of the
    /// move.
    fn is_added_unknowing(&self, site: usize, key: &Key) -> bool {
        let mut versions = self.ledger.of(key);
        let (Some((number, version)), None) = (versions.next(), versions.next()) else { return false };
        let is_added = ADDED.contains(&key.0.as_str()) && version.by == site && version.content.is_some();
        is_added
            && self.ledger.judges_order
            && self.ledger.restored.is_empty()
            && self.ledger.came_unknowing(number)
            && !self.ledger.stores_ever(key).contains(&None)
            && !self.is_of_a_record_made_twice(version)
            && !self.ledger.stores_ever(key).iter().flatten().any(|store| {
                self.ledger.may_have_passed_unheard(store) || self.ledger.may_have_read_past_the_move(number, store)
            })
    }

    /// True if two ends made the parent that a version names, independently and with one id. Then the parent did not move:
    /// central has its own record under that id, and the site added to another one.
    pub(super) fn is_of_a_record_made_twice(&self, version: &Version) -> bool {
        let (Some(content), Some(rule)) = (&version.content, rule_of(&version.key.0, version.content.as_deref()))
        else {
            return false;
        };
        let StoreOf::Parent(field, table) = rule.store else { return false };
        let Some(parent) = text(&fields(content), field).map(|id| (table.to_owned(), id)) else { return false };
        let made =
            self.ledger.of(&parent).filter(|(_, version)| version.content.is_some() && version.ancestors.is_empty());
        let mut makers: Vec<usize> = made.map(|(_, version)| version.by).collect();
        makers.dedup();
        makers.len() > 1
    }

    /// True if the record that a reference of a file names belonged to another site's store at some time, or to none.
    fn record_was_elsewhere(&self, site: usize, reference: &Version) -> bool {
        let Some(content) = &reference.content else { return false };
        let content = fields(content);
        let of = text(&content, "table_name").zip(text(&content, "record_id"));
        of.is_some_and(|record| {
            let mut stores = self.ledger.stores_ever(&record).into_iter();
            stores.any(|store| store.is_none_or(|store| self.ledger.was_elsewhere(&store, site)))
        })
    }
}
