//! Makes the record that travels out of a changelog row, in either direction.

use crate::changelog::{Change, ChangeAction};
use crate::protocol::v6::{Action, BatchElement, WireRecord};
use crate::record::{RecordData, record_type};

/// True if every peer can read a record. A record from an older version that some peers cannot read stays here, as does one that
/// another program damaged: it would stop everything beside it in an answer or a push.
pub(crate) fn is_readable(data: &RecordData) -> bool {
    data.is_object() && data.check_portable().is_ok() || planted!(DoorStandsOpen)
}

/// A row with the current data of its record; a delete if the record is gone, because the row for a store that it has
/// left outlives it. `None` for a table without a record type, for a delete that no receiver understands, which must
/// not stop the batch (weak point B5), and for a record that not every peer can read.
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
    Some(BatchElement { cursor: row.cursor, record, sent_since: None, is_own: false })
}
