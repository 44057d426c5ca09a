//! A kept conflict with its versions beside the record as it is here now.

use std::collections::HashSet;

use serde::Serialize;

use crate::error::{Error, Result};
use crate::integrate::{KeptConflict, differing, kept_conflicts};
use crate::record::{RecordData, RecordId, TableName};
use crate::support::Support;

/// A conflict, with its versions beside the record as it is here now. It holds the data of records.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct ComparedConflict {
    /// The conflict, with the versions that did not stay.
    #[serde(flatten)]
    pub kept: KeptConflict,
    /// The record as it is here now, which may have been changed since; `None` if it is not here.
    pub here: Option<RecordData>,
    /// The fields in which the versions differ: those that differed when the other version came, then others in which a version differs from
    /// the record here now.
    pub fields: Vec<String>,
}

impl Support {
    /// The last conflict about a record, if it is one of those that [`Replica::conflicts`](crate::Replica::conflicts) keeps.
    ///
    /// # Errors
    /// [`Error::NotFound`]; the database failed.
    pub fn conflict(&self, table: impl Into<TableName>, id: impl Into<RecordId>) -> Result<ComparedConflict> {
        let (table, id) = (table.into(), id.into());
        let txn = self.storage.read()?;
        let is_it = |kept: &KeptConflict| kept.conflict.table == table && kept.conflict.id == id;
        let Some(kept) = kept_conflicts(txn.as_ref())?.into_iter().find(is_it) else {
            return Err(Error::not_found("kept conflict of the record", format!("{table} {id}")));
        };
        let here = txn.record(&table, &id)?;
        let mut fields = kept.conflict.differs.clone();
        for version in [&kept.local, &kept.received].into_iter().flatten() {
            let more = here.as_ref().map_or_else(Vec::new, |here| differing(&table, here, version));
            fields.extend(more);
        }
        let mut known = HashSet::new();
        fields.retain(|field| known.insert(field.clone()));
        Ok(ComparedConflict { kept, here, fields })
    }
}
