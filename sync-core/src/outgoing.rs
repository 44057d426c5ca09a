//! A changelog row as the record that travels, in either direction.

use crate::changelog::{Change, ChangeAction};
use crate::protocol::v6::{Action, BatchElement, WireRecord};
use crate::record::{RecordData, record_type};

/// A row with the data that its record has now; a delete if it is gone: the row for a store that a record has left outlives
/// it. Nothing for a table that has no record type, and for a delete that no receiver understands, which must not stop the
/// batch (weak point B5).
pub(crate) fn element(row: Change, data: Option<RecordData>) -> Option<BatchElement> {
    let change = row.change;
    let kind = record_type(change.table.as_str())?;
    let (action, record_data) = match (change.action, data) {
        (ChangeAction::Upsert, Some(data)) => (Action::Update, kind.in_current_spelling(&data).unwrap_or(data)),
        _ if kind.deletes_on_wire() => (Action::Delete, RecordData::of(&())),
        _ => return None,
    };
    let record = WireRecord { table_name: change.table, record_id: change.id, action, record_data };
    Some(BatchElement { cursor: row.cursor, record })
}
