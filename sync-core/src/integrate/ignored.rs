//! What a person ignored stays ignored, until a newer version comes.

use crate::error::Result;
use crate::protocol::v6::Action;
use crate::storage::{Buffered, Incoming, QuarantineCause, ReadTxn, Source, StagedKind};

/// Separates a person's reason for ignoring a record from its original reason.
pub(crate) const IGNORED_BEFORE: &str = " (it was ";

/// A batch without the versions that a person ignored. They come again when a site reads everything again.
pub(super) fn without_ignored(txn: &dyn ReadTxn, batch: Vec<Incoming>) -> Result<Vec<Incoming>> {
    // Costs the same whatever the quarantine holds; to count the ignored ones would not.
    if batch.is_empty() || !txn.any_quarantined()? {
        return Ok(batch);
    }
    let mut others = Vec::with_capacity(batch.len());
    for incoming in batch {
        if !is_ignored(txn, &incoming)? {
            others.push(incoming);
        }
    }
    Ok(others)
}

fn is_ignored(txn: &dyn ReadTxn, incoming: &Incoming) -> Result<bool> {
    let rows = match incoming.action {
        Action::Merge => Vec::new(),
        _ => txn.buffered_versions(&incoming.table, &incoming.id)?,
    };
    Ok(rows.iter().any(|row| is_same(row, incoming)))
}

fn is_same(row: &Buffered, incoming: &Incoming) -> bool {
    let known = &row.incoming;
    let by_person = known
        .quarantine
        .as_ref()
        .is_some_and(|why| why.cause == QuarantineCause::Ignored && why.reason.contains(IGNORED_BEFORE));
    by_person
        && known.source == incoming.source
        && StagedKind::of(known.action) == StagedKind::of(incoming.action)
        && known.data.as_str() == incoming.data.as_str()
        // A site that sends the same again, in another change of its own, wants it to be looked at.
        && (!matches!(known.source, Source::Site(_)) || known.cursor == incoming.cursor)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::record::{Cursor, RecordData, SiteId};
    use crate::storage::{MemoryStorage, Quarantine, Storage as _};

    fn incoming(source: Source, data: &str, cursor: u64) -> Incoming {
        Incoming {
            source,
            table: "asset".into(),
            id: "a".into(),
            action: Action::Update,
            data: RecordData::parse(data.to_owned()).unwrap(),
            cursor: Some(Cursor(cursor)),
            known: Default::default(),
            quarantine: None,
        }
    }

    /// True if the second one stays ignored after the first one was, with this reason.
    fn stays(reason: &str, first: Incoming, again: &Incoming) -> bool {
        let storage = MemoryStorage::new();
        let txn = storage.write().unwrap();
        let ignored = Quarantine { cause: QuarantineCause::Ignored, reason: reason.to_owned(), waits_for: None };
        txn.stage(&Incoming { quarantine: Some(ignored), ..first }, Timestamp::from_unix_millis(0)).unwrap();
        without_ignored(txn.as_ref(), vec![again.clone()]).unwrap().is_empty()
    }

    #[test]
    fn only_the_same_version_that_a_person_ignored_stays_so() {
        const BY_PERSON: &str = "of a closed clinic (it was waiting: for a parent)";
        let (one, other) = (r#"{"id":"a"}"#, r#"{"id":"a","notes":"newer"}"#);
        let central = |data, cursor| incoming(Source::Central, data, cursor);
        let site = |cursor| incoming(Source::Site(SiteId(2)), one, cursor);
        assert!(stays(BY_PERSON, central(one, 7), &central(one, 7)));
        // Central writes a record again without a change for a store that moves.
        assert!(stays(BY_PERSON, central(one, 7), &central(one, 9)));
        assert!(!stays(BY_PERSON, central(one, 7), &central(other, 9)));
        assert!(!stays(BY_PERSON, central(one, 7), &incoming(Source::Legacy, one, 7)));
        let deleted = Incoming { action: Action::Delete, ..central(one, 9) };
        assert!(!stays(BY_PERSON, central(one, 7), &deleted));
        assert!(stays(BY_PERSON, site(7), &site(7)) && !stays(BY_PERSON, site(7), &site(9)));
        // By the program itself, which decides again.
        assert!(!stays("a store without a name of its own is not in use", central(one, 7), &central(one, 7)));
    }
}
