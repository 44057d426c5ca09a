//! The judge's own book of the legacy half: which records are one by now, and every version of every document.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::ledger::{Key, Ledger};

/// Which fields of V6 records name a record that the legacy server may merge, and of which table.
pub(crate) const REFERENCES: &[(&str, &str, &str)] = &[
    ("asset", "donor_name_id", "name"),
    ("item_variant", "item_link_id", "item"),
    ("item_variant", "manufacturer_id", "name"),
    ("rnr_form", "name_id", "name"),
    ("rnr_form_line", "item_link_id", "item"),
    ("vaccination", "clinician_link_id", "clinician"),
    ("vaccination", "facility_name_id", "name"),
    ("vaccination", "item_link_id", "item"),
    ("vaccination", "patient_id", "name"),
    ("name_store_join", "name_ID", "name"),
];

/// The same of documents.
pub(crate) const IN_DOCUMENTS: &[(&str, &str)] =
    &[("item_ID", "item"), ("name_ID", "name"), ("prescriber_ID", "clinician"), ("clinician_ID", "clinician")];

/// The table of the record that a field names, if it is one that may be merged.
pub(crate) fn named_by(table: &str, field: &str) -> Option<&'static str> {
    let typed = REFERENCES.iter().find(|(of, name, _)| *of == table && *name == field).map(|(_, _, target)| *target);
    let is_typed = crate::rules::RULES.iter().any(|rule| rule.table == table);
    let document = IN_DOCUMENTS.iter().find(|(name, _)| *name == field && !is_typed).map(|(_, target)| *target);
    typed.or(document)
}

/// The records that are one by now.
#[derive(Debug, Clone, Default)]
pub struct Merges(BTreeMap<Key, String>);

impl Merges {
    /// Notes that a record was merged into another one of its table. Says whether that is news.
    pub fn merged(&mut self, table: &str, keep: &str, gone: &str) -> bool {
        let (keep, gone) = (self.kept(table, keep).to_owned(), self.kept(table, gone).to_owned());
        keep != gone && self.0.insert((table.to_owned(), gone), keep).is_none()
    }

    /// The record that stands for this one.
    pub fn kept<'a>(&'a self, table: &str, id: &'a str) -> &'a str {
        let mut id = id;
        while let Some(next) = self.0.get(&(table.to_owned(), id.to_owned())) {
            id = next;
        }
        id
    }

    /// Whether a record was merged into another one.
    pub fn is_gone(&self, table: &str, id: &str) -> bool {
        self.0.contains_key(&(table.to_owned(), id.to_owned()))
    }

    /// Whether a record was merged into another one, or another one into it.
    pub fn is_part(&self, table: &str, id: &str) -> bool {
        self.is_gone(table, id) || self.0.iter().any(|((of, _), keep)| of == table && keep == id)
    }

    /// Whether nothing was merged yet.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A content in one spelling, with the kept record in the place of each that was merged.
    pub fn resolved(&self, table: &str, content: &str) -> String {
        let Ok(Value::Object(fields)) = serde_json::from_str(content) else { return content.to_owned() };
        let fields: BTreeMap<String, Value> = fields
            .into_iter()
            .map(|(field, value)| {
                let value = match (named_by(table, &field), value.as_str()) {
                    (Some(target), Some(id)) => Value::from(self.kept(target, id)),
                    _ => value,
                };
                (field, value)
            })
            .collect();
        serde_json::to_string(&fields).unwrap_or_default()
    }

    /// The first field of a content that names a record which was merged into another one.
    pub fn names_gone(&self, table: &str, content: &str) -> Option<String> {
        let fields = crate::rules::fields(content);
        fields.iter().find_map(|(field, value)| {
            let (target, id) = (named_by(table, field)?, value.as_str()?);
            self.is_gone(target, id).then(|| format!("{field} names {target} {id}"))
        })
    }
}

/// Who wrote a version at the legacy server itself.
pub(crate) const STAFF: usize = 1000;

/// The versions of the legacy server's records, and what it merged.
#[derive(Debug)]
pub struct Book {
    /// Every version, with who wrote it: an end, or the staff of the legacy server.
    pub versions: Ledger,
    /// Which rows sites or the staff wrote; all others are central records.
    pub rows: BTreeSet<Key>,
    /// How many things the staff made.
    pub made: u64,
    /// The patients whom sites linked, each with the store, and how many versions there were then. The legacy server gives a
    /// join that was deleted its old id.
    linked: Vec<(String, String, usize)>,
}

impl Default for Book {
    fn default() -> Self {
        Self { versions: Ledger::of_world(true), rows: BTreeSet::new(), made: 0, linked: Vec::new() }
    }
}

impl Book {
    /// Notes what an end or the staff wrote.
    pub(crate) fn wrote(&mut self, by: usize, key: Key, held: Option<&str>, content: Option<String>) {
        self.rows.insert(key.clone());
        self.versions.wrote(by, key, held, content);
    }

    /// Notes that a site linked a patient to a store.
    pub(crate) fn was_linked(&mut self, patient: &str, store: &str) {
        self.linked.push((patient.to_owned(), store.to_owned(), self.versions.versions.len()));
    }

    /// Whether a version is one of a join that a site asked for once more since, by linking its patient.
    pub(crate) fn is_linked_since(&self, number: usize) -> bool {
        let key = &self.versions.versions[number].key;
        let contents = self.versions.of(key).filter_map(|(_, version)| version.content.as_deref());
        let mut joins = contents.filter(|_| key.0 == "name_store_join").map(crate::rules::fields);
        joins.any(|join| {
            let of = |field| crate::rules::text(&join, field).unwrap_or_default();
            let is_it = |(patient, store, at): &(String, String, usize)| {
                number < *at && of("store_ID") == *store && of("name_ID") == *patient
            };
            self.linked.iter().any(is_it)
        })
    }

    /// The record merges.
    pub(crate) fn merges(&self) -> &Merges {
        &self.versions.merges
    }

    /// Whether all versions of a record were written one after the other, each by somebody who had seen the one before.
    pub(crate) fn is_chain(&self, key: &Key) -> bool {
        let versions: Vec<(usize, _)> = self.versions.of(key).collect();
        versions.windows(2).all(|pair| pair[1].1.ancestors.contains(&pair[0].0))
    }
}
