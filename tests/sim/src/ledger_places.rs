//! Where stores are and were, and to whom a record may have been sent: the part of the book that looks at places.

use std::collections::BTreeSet;

use super::{Key, Ledger};
use crate::rules::{self, Rule, rule_of};

impl Ledger {
    /// The site that a store is on now.
    pub fn site_of(&self, store: &str) -> Option<usize> {
        self.stores.get(store)?.last().copied()
    }

    /// Whether a store was ever on a site.
    pub fn was_on(&self, store: &str, site: usize) -> bool {
        self.stores.get(store).is_some_and(|sites| sites.contains(&site))
    }

    /// Whether a store was ever on another site.
    pub fn was_elsewhere(&self, store: &str, site: usize) -> bool {
        self.stores.get(store).is_none_or(|sites| sites.iter().any(|other| *other != site))
    }

    /// Whether a store came to a site from another one.
    pub fn came_to(&self, store: &str, site: usize) -> bool {
        self.stores.get(store).is_some_and(|sites| sites.windows(2).any(|two| two[0] != site && two[1] == site))
    }

    /// Whether a store may have been on a site that central never heard of: the legacy server's log tells of the newest of its
    /// moves only. Central cannot know then that the site may have written for it.
    pub fn may_have_passed_unheard(&self, store: &str) -> bool {
        self.has_legacy && self.stores.get(store).is_some_and(|sites| sites.len() > 2)
    }

    /// The stores that exist.
    pub fn stores(&self) -> impl Iterator<Item = &str> {
        self.stores.keys().map(String::as_str)
    }

    /// All stores that a record ever belonged to, over its versions and those of its parents; `None` among them if some
    /// version belonged to none.
    pub fn stores_ever(&self, key: &Key) -> BTreeSet<Option<String>> {
        let mut stores = BTreeSet::new();
        for (_, version) in self.of(key) {
            let Some(content) = &version.content else { continue };
            let Some(rule) = rule_of(&key.0, Some(content)) else { continue };
            match rule.store {
                rules::StoreOf::Parent(field, table) => match rules::text(&rules::fields(content), field) {
                    Some(parent) => {
                        let parent = (table.to_owned(), parent);
                        let before = stores.len();
                        stores.extend(self.stores_ever(&parent));
                        if stores.len() == before {
                            stores.insert(None);
                        }
                    }
                    None => {
                        stores.insert(None);
                    }
                },
                _ => {
                    stores.insert(rules::store_of(rule, content, |_, _| None));
                }
            }
        }
        stores
    }

    /// Whether a site may ever have received a record.
    pub fn was_for(&self, site: usize, key: &Key) -> bool {
        let mut rules: Vec<&Rule> = Vec::new();
        for (_, version) in self.of(key) {
            rules.extend(rule_of(&key.0, version.content.as_deref()));
        }
        rules.iter().any(|rule| match rule.audience {
            rules::Audience::Everyone | rules::Audience::Legacy => true,
            rules::Audience::Nobody => false,
            rules::Audience::Store => self.stores_ever(key).iter().flatten().any(|store| self.was_on(store, site)),
            rules::Audience::StoreOrEveryone => {
                self.stores_ever(key).iter().any(|store| store.as_ref().is_none_or(|store| self.was_on(store, site)))
            }
            rules::Audience::Patient => self.patients_ever(key).iter().any(|patient| self.was_seen_on(patient, site)),
        })
    }

    fn patients_ever(&self, key: &Key) -> BTreeSet<String> {
        let contents = self.of(key).filter_map(|(_, version)| version.content.as_deref());
        contents.filter_map(|content| rules::text(&rules::fields(content), "patient_id")).collect()
    }

    /// Whether central may have returned a record to a site that asked to be initialised. Without a legacy server these are the
    /// patients whom its stores see, and their joins; V6 returns neither.
    pub fn was_given_back(&self, site: usize, key: &Key) -> bool {
        if self.has_legacy {
            return false;
        }
        let Some(before) = self.initialised.get(&site) else { return false };
        let joins = self.versions[..*before].iter().filter(|version| version.key.0 == "name_store_join");
        joins.filter_map(|join| Some((join, rules::fields(join.content.as_deref()?)))).any(|(join, fields)| {
            let names_it = || key.0 == "name" && rules::text(&fields, "name_ID").is_some_and(|name| name == key.1);
            (join.key == *key || names_it())
                && rules::text(&fields, "store_ID").is_some_and(|store| self.was_on(&store, site))
        })
    }

    fn was_seen_on(&self, patient: &str, site: usize) -> bool {
        let is_it = |name: &str| self.merges.kept("name", name) == self.merges.kept("name", patient);
        if self.joins_of_staff.iter().any(|(name, store)| is_it(name) && self.was_on(store, site)) {
            return true;
        }
        self.versions.iter().filter(|version| version.key.0 == "name_store_join").any(|version| {
            let Some(content) = &version.content else { return false };
            let fields = rules::fields(content);
            rules::text(&fields, "name_ID").is_some_and(|name| is_it(&name))
                && rules::text(&fields, "store_ID").is_some_and(|store| self.was_on(&store, site))
        })
    }
}
