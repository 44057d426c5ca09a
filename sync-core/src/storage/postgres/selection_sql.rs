//! The SQL of selections: walks an index for each audience, and merges the rows by cursor.

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::connection::Params;
use super::text::Text;
use crate::changelog::Audience;
use crate::record::StoreId;
use crate::storage::Selection;
use crate::storage::sql::{audience_text, patients_of};

/// The tables that make up the changelog, and whether they hold tombstones.
const TABLES: [(&str, bool); 2] = [("sync_record", false), ("sync_change", true)];

/// A part of a selection: rows that are together in an index, ordered by cursor. No row is in two parts, except one
/// about a patient whom several stores of a site see.
pub(super) struct IndexedPart {
    /// The common condition of the rows; `$P` stands for its parameter.
    condition: &'static str,
    /// The column with the cursor in the index by which they are found.
    cursor: &'static str,
    pub parameter: Option<String>,
    /// True if they are in the index of the patient rows that a store sees.
    pub of_patients: bool,
    /// The name for their counts, if they have any.
    pub counted: Option<String>,
}

impl IndexedPart {
    fn new(condition: &'static str, cursor: &'static str, parameter: Option<String>) -> Self {
        Self { condition, cursor, parameter, of_patients: false, counted: None }
    }

    fn audience(audience: &Audience) -> Self {
        let text = audience_text(audience).map(Cow::into_owned);
        Self { counted: text.clone(), ..Self::new("audience = $P", "listed", text) }
    }

    fn patients(store: &StoreId) -> Self {
        let counted = Some(patients_of(store.as_str()));
        Self { of_patients: true, counted, ..Self::new("store_id = $P", "cursor", Some(store.as_str().to_owned())) }
    }

    /// The tables with its rows, and what says whether a row is a tombstone.
    fn tables(&self) -> Vec<(&'static str, &'static str)> {
        if self.of_patients {
            return vec![("sync_seen", "is_tombstone")];
        }
        TABLES.iter().map(|(name, is_tombstone)| (*name, if *is_tombstone { "true" } else { "false" })).collect()
    }

    /// A query for each of its tables: rows whose cursor is as `range` says; in order, if there is a limit. Both and the columns
    /// say `CURSOR` and `IS_TOMBSTONE` for what each table has.
    pub(super) fn queries(&self, number: usize, columns: &str, range: &str, limit: &str) -> Vec<String> {
        let order = if limit.is_empty() { String::new() } else { format!("ORDER BY CURSOR {limit}") };
        let condition = self.condition.replace("$P", &format!("${number}"));
        let query = |(table, is_tombstone): (&str, &str)| {
            let sql = format!("(SELECT {columns} FROM {table} WHERE {condition} AND {range} {order})");
            sql.replace("IS_TOMBSTONE", is_tombstone).replace("CURSOR", self.cursor)
        };
        self.tables().into_iter().map(query).collect()
    }
}

/// The parts of a selection, with what each query about it has in common.
pub(super) struct SelectionSql {
    pub parts: Vec<IndexedPart>,
    /// The site whose own rows are left out.
    pub except: Option<i32>,
}

impl SelectionSql {
    pub(super) fn of(selection: &Selection) -> Self {
        let audience = |audience: &Audience| IndexedPart::audience(audience);
        let (parts, except) = match selection {
            Selection::All => (vec![IndexedPart::new("true", "cursor", None)], None),
            Selection::Local => (vec![IndexedPart::new("NOT is_sync_update", "cursor", None)], None),
            Selection::Patient(name) => {
                let condition = "name_id = $P AND audience = 'patient'";
                (vec![IndexedPart::new(condition, "listed", Some(name.as_str().to_owned()))], None)
            }
            Selection::Store(store) => {
                (vec![audience(&Audience::Store(store.clone())), IndexedPart::patients(store)], None)
            }
            Selection::Legacy => (vec![audience(&Audience::Legacy)], None),
            Selection::ForSite { stores, except_from } => {
                // A store that is named twice is walked once.
                let stores: BTreeSet<_> = stores.iter().collect();
                let mut parts = vec![audience(&Audience::Everyone)];
                parts.extend(stores.iter().map(|store| audience(&Audience::Store((*store).clone()))));
                parts.extend(stores.iter().map(|store| IndexedPart::patients(store)));
                (parts, except_from.map(|site| site.0))
            }
        };
        Self { parts, except }
    }

    /// The parts' parameters.
    pub(super) fn parameters(&self) -> Vec<Text<'_>> {
        self.parts.iter().filter_map(|part| part.parameter.as_deref().map(Text)).collect()
    }

    /// The numbers of the parts' parameters behind the first `before`.
    pub(super) fn numbers(&self, before: usize) -> Vec<usize> {
        let mut next = before;
        let number = |part: &IndexedPart| {
            next += usize::from(part.parameter.is_some());
            next
        };
        self.parts.iter().map(number).collect()
    }

    /// The condition by which a site's own rows are left out, if it is `$number`.
    pub(super) fn unless(&self, number: usize) -> String {
        format!("(${number}::integer IS NULL OR source_site_id IS DISTINCT FROM ${number})")
    }

    /// The first rows: `$1` the cursor, `$2` how many, `$3` the site whose own rows are left out; then the parts' own.
    pub(super) fn places(&self) -> String {
        let range = format!("CURSOR >= $1 AND {}", self.unless(3));
        let numbers = self.numbers(3);
        let queries: Vec<String> = self
            .parts
            .iter()
            .zip(numbers)
            .flat_map(|(part, number)| {
                part.queries(number, "CURSOR AS cursor, IS_TOMBSTONE AS is_tombstone", &range, "LIMIT $2")
            })
            .collect();
        format!(
            "SELECT DISTINCT cursor, is_tombstone FROM ({}) u ORDER BY cursor LIMIT $2",
            queries.join(" UNION ALL ")
        )
    }
}

/// The parameters of a query with those of its parts.
pub(super) fn with_parts<'p>(first: Params<'p>, parts: &'p [Text<'p>]) -> Vec<&'p (dyn postgres::types::ToSql + Sync)> {
    first.iter().copied().chain(parts.iter().map(|text| text as &(dyn postgres::types::ToSql + Sync))).collect()
}
