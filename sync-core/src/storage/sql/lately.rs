//! What a transaction read last.

use crate::record::{RecordData, RecordId, TableName};

/// A larger record is not kept: it is rarely asked for again, and a copy would cost more than the question.
pub(in crate::storage) const LATELY_BYTES: usize = 16 * 1024;

/// The last two records that were found, which are mostly a record and its parent, and the last that is not here.
#[derive(Default)]
pub(in crate::storage) struct LatelyRead {
    /// The newer one first.
    present: [Option<(TableName, RecordId, RecordData)>; 2],
    absent: Option<(TableName, RecordId)>,
}

impl LatelyRead {
    /// The record, or that it is not here; `None` if that is not known.
    pub(in crate::storage) fn record(&self, table: &TableName, id: &RecordId) -> Option<Option<&RecordData>> {
        if self.is_absent(table, id) {
            return Some(None);
        }
        let found = self.present.iter().flatten().find(|(of, which, _)| which == id && of == table);
        found.map(|(.., data)| Some(data))
    }

    pub(in crate::storage) fn is_absent(&self, table: &TableName, id: &RecordId) -> bool {
        self.absent.as_ref().is_some_and(|(of, which)| which == id && of == table)
    }

    pub(in crate::storage) fn note(&mut self, table: &TableName, id: &RecordId, found: Option<&RecordData>) {
        match found {
            Some(data) if data.as_str().len() > LATELY_BYTES => {}
            Some(data) => {
                self.present.swap(0, 1);
                self.present[0] = Some((table.clone(), id.clone(), data.clone()));
            }
            None => self.absent = Some((table.clone(), id.clone())),
        }
    }

    /// Forgets a record, because it is about to change.
    pub(in crate::storage) fn forget(&mut self, table: &TableName, id: &RecordId) {
        for present in &mut self.present {
            present.take_if(|(of, which, _)| which == id && of == table);
        }
        self.absent.take_if(|(of, which)| which == id && of == table);
    }
}
