//! A hostile neighbour and every record type: it pushes another's record of each type, as its own or as the other's, and
//! deletions of it.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::Harsh;
use crate::hosts::Desk;
use crate::ledger::Ledger;
use crate::lock;
use crate::promises::FORGED;
use crate::rules::{RULES, Rule, StoreOf, Writers, fields, text};
use crate::run::{Chance, Sim};
use crate::world;

/// A record that the neighbour may not write, as it would push it.
pub(super) struct Forgery {
    pub table: &'static str,
    pub id: String,
    pub data: String,
}

impl Sim {
    /// Pushes a record of any type that is not the neighbour's to write, or its deletion.
    pub(super) fn push_any_type(&self, harsh: &Harsh) {
        let Some(Forgery { table, id, data }) = self.forgery() else { return };
        let action = if self.happens(Chance::Neighbour, 250) { "Delete" } else { "Update" };
        self.push_forged_as(harsh, action, (table, &id, data));
    }

    /// A record of any type that the neighbour may not write.
    pub(super) fn forgery(&self) -> Option<Forgery> {
        let storage = self.ends[0].process().raw;
        let txn = storage.read().ok()?;
        let desk = Desk::at(self, 0, txn.as_ref());
        let rule = &RULES[self.roll(Chance::Neighbour, RULES.len())];
        let table = if rule.table.contains(' ') { "name" } else { rule.table };
        if !lock(&self.ledger).is_of_v6(table) {
            return None;
        }
        let others: Vec<String> = {
            let ledger = lock(&self.ledger);
            let held = txn_ids(&desk, rule);
            held.into_iter().filter(|id| self.is_anothers(&desk, &ledger, rule, (table, id))).collect()
        };
        let is_held = !others.is_empty() && !self.happens(Chance::Neighbour, 300);
        let (id, mut document) = match is_held {
            true => {
                let id = others[self.roll(Chance::Neighbour, others.len())].clone();
                let held = fields(&desk.content(table, &id)?);
                (id, held)
            }
            // What any site may add is no forgery, and without a document there is none to forge.
            false if rule.writers == Writers::Everyone || table.starts_with("store") || table == "name" => return None,
            false => {
                let id = format!("{table}-forged-anew-{}", self.roll(Chance::Neighbour, 3));
                (id.clone(), fields(&desk.document(rule, &id, None, true)))
            }
        };
        self.lay_claim(rule, is_held, &desk, &mut document)?;
        document.insert("forged".to_owned(), json!(FORGED));
        Some(Forgery { table, id, data: Value::Object(document).to_string() })
    }

    /// Whether no site but another one, or central alone, may write a record that is held.
    fn is_anothers(&self, desk: &Desk<'_>, ledger: &Ledger, rule: &Rule, (table, id): (&str, &str)) -> bool {
        let site = world::rogue(self);
        let stores = ledger.stores_ever(&(table.to_owned(), id.to_owned()));
        let of_others = stores.iter().flatten().next().is_some()
            && stores.iter().all(|store| store.as_ref().is_some_and(|store| !ledger.was_on(store, site)));
        match rule.writers {
            Writers::Central => true,
            Writers::StoreSite | Writers::StoreSiteOrCentral | Writers::StoreSiteElseCentral => of_others,
            Writers::Everyone => {
                let patient = match table {
                    "name_oms_fields" => Some(id.to_owned()),
                    "vaccination" => desk.content(table, id).and_then(|held| text(&fields(&held), "patient_id")),
                    // `change_a_patient` and `replace_what_is_of_no_store` push those.
                    _ => None,
                };
                let is_known = |patient: &String| {
                    let held = desk.content("name", patient);
                    held.is_some_and(|held| text(&fields(&held), "type").as_deref() == Some("patient"))
                };
                // The neighbour sees no patient: it links none.
                patient.as_ref().is_some_and(is_known)
            }
        }
    }

    /// Gives a forged document the neighbour's store or another's, so that it may not write the record either way: a record that
    /// is held is another's, and one that is new names another.
    fn lay_claim(
        &self,
        rule: &Rule,
        is_held: bool,
        desk: &Desk<'_>,
        document: &mut serde_json::Map<String, Value>,
    ) -> Option<()> {
        let own = world::store_name(world::rogue(self), 0);
        let is_claimed = is_held && self.happens(Chance::Neighbour, 500);
        match rule.store {
            StoreOf::None => {}
            // A store of another is put on the neighbour's site.
            StoreOf::Field("ID") => {
                let number = world::number(world::rogue(self)).0;
                document.insert("sync_id_remote_site".to_owned(), json!(number));
            }
            StoreOf::Field(field) if is_claimed => drop(document.insert(field.to_owned(), json!(own))),
            StoreOf::Field(_) if is_held => {}
            StoreOf::Field(field) => {
                let others: Vec<&String> = desk.stores.iter().filter(|store| **store != own).collect();
                let store = others.get(self.roll(Chance::Neighbour, others.len()))?;
                document.insert(field.to_owned(), json!(store));
            }
            StoreOf::Parent(field, parents) => {
                let site = world::rogue(self);
                let ledger = lock(&self.ledger);
                let wanted = |id: &String| {
                    let stores: BTreeSet<_> =
                        ledger.stores_ever(&(parents.to_owned(), id.clone())).into_iter().collect();
                    let is_own =
                        |store: &Option<String>| store.as_ref().is_some_and(|store| ledger.was_on(store, site));
                    match is_claimed {
                        true => stores.iter().any(is_own),
                        false => !stores.is_empty() && stores.iter().all(|store| store.is_some() && !is_own(store)),
                    }
                };
                let ids: Vec<String> = desk.ids(parents).into_iter().filter(wanted).collect();
                drop(ledger);
                match ids.get(self.roll(Chance::Neighbour, ids.len())) {
                    Some(parent) => drop(document.insert(field.to_owned(), json!(parent))),
                    None if is_held => {}
                    None => return None,
                }
            }
        }
        Some(())
    }
}

/// The records of a rule's type that central holds; of the names those of stores, if the rule is theirs.
fn txn_ids(desk: &Desk<'_>, rule: &Rule) -> Vec<String> {
    match rule.table {
        "name of a store" => desk.stores.iter().map(|store| format!("name-of-{store}")).collect(),
        table => desk.ids(table),
    }
}
