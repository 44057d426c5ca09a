//! Decides which records go back to the site that pushed them: those that it lost since, and those of which it may hold
//! another version by now. The site has all others as it sent them.

use crate::error::Result;
use crate::record::SiteId;
use crate::storage::{Buffered, Incoming, ReadTxn};
use crate::write::restored_site::SiteRestore;

/// The entry that a record had in the sync buffer.
#[derive(Debug, Clone, Copy)]
pub(super) struct BufferPlace {
    sequence: u64,
    was_set_aside: bool,
}

impl BufferPlace {
    pub(super) fn of(row: &Buffered) -> Self {
        Self { sequence: row.sequence, was_set_aside: row.was_set_aside }
    }
}

/// True if the site that pushed a record may have lost it since.
pub(super) fn is_lost(restore: Option<SiteRestore>, incoming: &Incoming, buffered: Option<BufferPlace>) -> bool {
    restore.is_some_and(|restore| {
        incoming.cursor.is_some_and(|cursor| restore.lost_pushed(cursor))
            || buffered.is_some_and(|place| restore.lost_buffered(place.sequence))
    })
}

/// True if the site that pushed a record may hold another version by now. While this one was in quarantine, the site
/// could pull the stored one, even an old one, because it may have read everything again. A record that is integrated
/// as it arrives, or in its turn, needs no such check: until then the site gets no answers.
pub(super) fn is_replaced(
    txn: &dyn ReadTxn,
    site: SiteId,
    Incoming { table, id, .. }: &Incoming,
    buffered: Option<BufferPlace>,
) -> Result<bool> {
    if buffered.is_none_or(|place| !place.was_set_aside) {
        return Ok(false);
    }
    let rows = match txn.newest_change(table, id)? {
        Some(row) => vec![row],
        // It may have received a delete of the record.
        None => txn.tombstones(table, id)?.into_iter().map(|(row, _)| row).collect(),
    };
    Ok(rows.iter().any(|row| !row.is_sync_update || row.source_site != Some(site)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::protocol::v6::{Action, WireRecord};
    use crate::record::{RecordData, RecordId, TableName};
    use crate::storage::{MemoryStorage, Source, Storage as _, WriteTxn};
    use crate::write::{self, Origin};

    fn put(txn: &dyn WriteTxn, origin: Origin, text: &str) {
        let (table, id, now) = (TableName::from("campaign"), RecordId::from("x"), Timestamp::from_unix_millis(0));
        write::upsert(txn, &table, &id, &RecordData::parse(text).unwrap(), origin, now).unwrap();
    }

    #[test]
    fn it_is_replaced_where_somebody_else_wrote_or_deleted_the_record() {
        let (site, other) = (SiteId(2), SiteId(3));
        let storage = MemoryStorage::new();
        let txn = storage.write().unwrap();
        let (table_name, record_id) = (TableName::from("campaign"), RecordId::from("x"));
        let record = WireRecord { table_name, record_id, action: Action::Update, record_data: RecordData::of(&()) };
        let incoming = Incoming::new(Source::Site(site), record);
        let replaced = || {
            [None, Some(false), Some(true)].map(|was_set_aside| {
                let place = was_set_aside.map(|was_set_aside| BufferPlace { sequence: 1, was_set_aside });
                is_replaced(txn.as_ref(), site, &incoming, place).unwrap()
            })
        };
        let delete = |origin| {
            let (table, id) = (&incoming.table, &incoming.id);
            assert!(write::delete(txn.as_ref(), table, id, origin, Timestamp::from_unix_millis(0)).unwrap());
        };
        let (its_own, anothers) = (Origin::Sync(Some(site)), Origin::Sync(Some(other)));
        assert_eq!(replaced(), [false; 3], "there is nothing here");
        put(txn.as_ref(), its_own, "{}");
        assert_eq!(replaced(), [false; 3], "its own");
        delete(its_own);
        assert_eq!(replaced(), [false; 3], "its own deletion");
        for (origin, text) in [(anothers, "[1]"), (Origin::Sync(None), "[2]"), (Origin::Local, "[3]")] {
            put(txn.as_ref(), origin, text);
            assert_eq!(replaced(), [false, false, true], "{text}");
            delete(origin);
            assert_eq!(replaced(), [false, false, true], "the deletion of {text}");
        }
    }
}
