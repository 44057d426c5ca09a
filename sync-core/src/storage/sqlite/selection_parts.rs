//! A selection as parts: each is a stretch of an index, in the order of cursors.

use std::borrow::Cow;

use std::collections::BTreeSet;

use super::schema::TABLES;
use crate::changelog::Audience;
use crate::record::StoreId;
use crate::storage::Selection;
use crate::storage::sql::{audience_text, patients_of};

/// The place of a selected row: its cursor, its table's index and its rowid.
pub(super) type RowPlace = (i64, usize, i64);

/// A part of a selection: rows that are together in an index, ordered by cursor. No row is in two parts, except one
/// about a patient whom several stores of a site see.
pub(super) struct SelectionPart {
    /// The common condition of the rows of each table; `?2` is its parameter.
    condition: &'static str,
    pub(super) parameter: Option<String>,
    /// True if they are in the index of the patient rows that a store sees.
    pub(super) of_patients: bool,
    /// The name for their counts, if they have any.
    pub(super) counted: Option<String>,
}

impl SelectionPart {
    fn new(condition: &'static str, parameter: Option<String>) -> Self {
        Self { condition, parameter, of_patients: false, counted: None }
    }

    fn audience(audience: &Audience) -> Self {
        let text = audience_text(audience).map(Cow::into_owned);
        Self { counted: text.clone(), ..Self::new("s.audience = ?2", text) }
    }

    fn patients(store: &StoreId) -> Self {
        let counted = Some(patients_of(store.as_str()));
        Self { of_patients: true, counted, ..Self::new("s.store_id = ?2", Some(store.as_str().to_owned())) }
    }

    /// The rows of one table from a cursor (`?1`) to another (`?4`), in order, at most so many (`?5`), without those that came from a site (`?3`).
    pub(super) fn sql(&self, table: usize, columns: &str, except: Option<i32>) -> String {
        let name = TABLES[table];
        let from = match self.of_patients {
            true => format!("sync_seen s CROSS JOIN {name} r ON r.cursor = s.cursor"),
            false => format!("{name} s"),
        };
        let of_table = if self.of_patients { format!("AND s.beside = {table}") } else { String::new() };
        // If no row is left out, the index alone answers.
        let unless = if except.is_some() { "AND s.source_site_id IS NOT ?3" } else { "AND ?3 IS NULL" };
        format!(
            "SELECT {columns} FROM {from} WHERE {} {of_table} AND s.cursor BETWEEN ?1 AND ?4 {unless} \
             ORDER BY s.cursor LIMIT ?5",
            self.condition
        )
    }
}

/// The parts of a selection.
pub(super) fn parts(selection: &Selection) -> Vec<SelectionPart> {
    match selection {
        Selection::All => vec![SelectionPart::new("?2 IS NULL", None)],
        Selection::Local => vec![SelectionPart::new("s.is_sync_update = 0 AND ?2 IS NULL", None)],
        Selection::Patient(name) => {
            vec![SelectionPart::new("s.name_id = ?2 AND s.audience = 'patient'", Some(name.as_str().to_owned()))]
        }
        Selection::Store(store) => {
            vec![SelectionPart::audience(&Audience::Store(store.clone())), SelectionPart::patients(store)]
        }
        Selection::Legacy => vec![SelectionPart::audience(&Audience::Legacy)],
        Selection::ForSite { stores, .. } => {
            // A store that is named twice is walked once.
            let stores: BTreeSet<_> = stores.iter().collect();
            let own = stores.iter().map(|store| SelectionPart::audience(&Audience::Store((*store).clone())));
            let mut parts = vec![SelectionPart::audience(&Audience::Everyone)];
            parts.extend(own);
            parts.extend(stores.iter().map(|store| SelectionPart::patients(store)));
            parts
        }
    }
}

/// The site whose own rows are left out.
pub(super) fn except_from(selection: &Selection) -> Option<i32> {
    match selection {
        Selection::ForSite { except_from, .. } => except_from.map(|site| site.0),
        _ => None,
    }
}
