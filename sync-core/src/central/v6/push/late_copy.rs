//! Late copies of a push: a request that arrives twice, or after a later one, replaces nothing newer.
//!
//! A network may deliver a request again, or hold it back for minutes. So central stores the newest version of each record
//! that each site pushed, and compares every pushed row with that ([`Replay`]):
//!
//! * `New`: the row is accepted.
//! * `Duplicate`: the row came before. It is passed over, and the push succeeds.
//! * `Stale`: a newer version of the record came before. The whole request is refused with `integrationInProgress`: a
//!   proxy that delivers it late does not read the answer, and a real site tries again.

use std::collections::{HashMap, HashSet};

use sha2::{Digest as _, Sha256};

use crate::central::EnvelopeError;
use crate::central::replay_window::may_still_arrive;
use crate::changelog::ChangelogGap;
use crate::clock::Timestamp;
use crate::error::Result;
use crate::protocol::v6::{Action, BatchElement, PushChain, WireError, WireRecord};
use crate::record::{Cursor, RecordId, SiteId, TableName};
use crate::storage::state::Fingerprints;
use crate::storage::{PushedVersion, ReadTxn, Source, StagedKind, WriteTxn, state};
use crate::write::restored_site::SiteRestore;

/// A pushed row with its identity.
pub(super) struct IncomingRow {
    pub(super) element: BatchElement,
    fingerprint: u64,
}

impl IncomingRow {
    pub(super) fn new(element: BatchElement) -> Self {
        Self { fingerprint: Self::fingerprint(&element.record, element.cursor), element }
    }

    fn fingerprint(record: &WireRecord, cursor: Cursor) -> u64 {
        let WireRecord { table_name, record_id, action, record_data } = record;
        let mut digest = Sha256::new();
        let add = |digest: &mut Sha256, text: &str| {
            digest.update((text.len() as u64).to_be_bytes());
            digest.update(text);
        };
        add(&mut digest, table_name.as_str());
        add(&mut digest, record_id.as_str());
        digest.update(cursor.0.to_be_bytes());
        add(&mut digest, StagedKind::of(*action).as_str());
        add(&mut digest, record_data.as_str());
        let mut first = [0; 8];
        first.copy_from_slice(&digest.finalize()[..8]);
        u64::from_be_bytes(first)
    }

    /// True if a site sends cursors with its rows; upstream's central never reads them.
    fn is_numbered(&self) -> bool {
        self.element.cursor > Cursor(0)
    }

    /// Compares it with earlier pushes of the same record by the same site. `now` is the uptime of central.
    fn replay(&self, txn: &dyn ReadTxn, site: SiteId, read_to: Option<Cursor>, now: Timestamp) -> Result<Replay> {
        let WireRecord { table_name, record_id, .. } = &self.element.record;
        Ok(match txn.central()?.pushed(site, table_name, record_id)? {
            Some(before) if before.is_former && !may_still_arrive(before.at, now) => Replay::New,
            Some(before) if planted!(ManyRowsForgetAll) && forgets_all(txn, site, before.cursor)? => Replay::New,
            Some(before) if before.fingerprint == self.fingerprint => Replay::Duplicate,
            Some(before) if self.element.cursor < before.cursor && may_still_arrive(before.at, now) => Replay::Stale,
            Some(before) if self.is_renumbered(&before) => Replay::Duplicate,
            Some(before) if self.was_replaced_unseen(txn, &before, site, read_to)? => Replay::Duplicate,
            _ => Replay::New,
        })
    }

    /// True if this row repeats the edit that the site pushed before, and the site says so: the edit has not changed since it
    /// was first sent, and came under one of the cursors that it had since.
    fn is_renumbered(&self, before: &PushedVersion) -> bool {
        let BatchElement { cursor, record, sent_since, .. } = &self.element;
        sent_since.is_some_and(|since| since <= before.cursor && before.cursor <= *cursor)
            && !before.is_former
            && Self::fingerprint(record, before.cursor) == before.fingerprint
    }

    /// True if this row repeats the edit that the site pushed before, under a new cursor, and another writer has replaced
    /// that edit with a version that the site has not read. A site logs an edit again under a new cursor if it got no
    /// answer for it and a smaller edit behind it came through.
    ///
    /// A deletion has no content by which a repeated one could be recognised. Only `sent_since` distinguishes it from a later
    /// deletion of the record, which the site wrote again in between.
    fn was_replaced_unseen(
        &self,
        txn: &dyn ReadTxn,
        before: &PushedVersion,
        site: SiteId,
        read_to: Option<Cursor>,
    ) -> Result<bool> {
        let record = &self.element.record;
        let (Some(read_to), false) = (read_to, before.is_former) else { return Ok(false) };
        if record.action == Action::Delete || Self::fingerprint(record, before.cursor) != before.fingerprint {
            return Ok(false);
        }
        let (table, id) = (&record.table_name, &record.record_id);
        let is_unseen = txn.written_at(table, id)?.is_some_and(|at| at >= read_to);
        Ok(is_unseen && txn.newest_change(table, id)?.is_none_or(|newest| newest.source_site != Some(site)))
    }

    /// Stores it as the newest version that the site pushed of the record.
    pub(super) fn note(&self, txn: &dyn WriteTxn, site: SiteId, at: Timestamp) -> Result<()> {
        let (table, id) = self.record();
        txn.central()?.note_taken(site, table, id, &self.version(at))
    }

    /// Stores it if the site never pushed the record, which is nearly always so. Returns whether it was stored.
    fn note_first(&self, txn: &dyn WriteTxn, site: SiteId, at: Timestamp) -> Result<bool> {
        let (table, id) = self.record();
        txn.central()?.note_first_taken(site, table, id, &self.version(at))
    }

    fn record(&self) -> (&TableName, &RecordId) {
        (&self.element.record.table_name, &self.element.record.record_id)
    }

    fn version(&self, at: Timestamp) -> PushedVersion {
        PushedVersion { cursor: self.element.cursor, fingerprint: self.fingerprint, at, is_former: false }
    }
}

/// The planted bug `ManyRowsForgetAll`: after five later rows, the earlier pushes of a site are forgotten.
fn forgets_all(txn: &dyn ReadTxn, site: SiteId, before: Cursor) -> Result<bool> {
    const ROWS: u64 = 5;
    Ok(state::HIGHEST_PUSH_OF_SITE.of(site).get(txn)?.0 / ROWS > before.0 / ROWS)
}

/// Compares a row of a V5 push with earlier ones, and notes it: legacy tables are numbered by the same changelog of the site,
/// and noted beside those of V6. A row whose number cannot be read counts as new.
pub(crate) fn note_legacy_row(
    txn: &dyn WriteTxn,
    site: SiteId,
    now: Timestamp,
    sync_out_id: &str,
    record: &WireRecord,
) -> Result<Replay> {
    let Some(cursor) = sync_out_id.parse().ok().map(Cursor).filter(|cursor| cursor.next().is_possible()) else {
        return Ok(Replay::New);
    };
    let table_name = TableName::new(format!("V5 {}", record.table_name));
    let record = WireRecord { table_name, ..record.clone() };
    let row = IncomingRow::new(BatchElement { cursor, record, sent_since: None, is_own: false });
    let replay = if row.is_numbered() { row.replay(txn, site, None, now)? } else { Replay::New };
    if replay != Replay::Stale {
        row.note(txn, site, now)?;
    }
    Ok(replay)
}

/// The relation of a row to earlier pushes of the same site.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Replay {
    New,
    /// It came already.
    Duplicate,
    /// A newer version of its record came already.
    Stale,
}

/// The rows of a batch by the treatment that they get.
#[derive(Default)]
pub(super) struct FilteredBatch<'r> {
    /// Rows to accept.
    pub(super) fresh: Vec<&'r IncomingRow>,
    /// Rows accepted before.
    pub(super) duplicates: Vec<&'r IncomingRow>,
    /// Outdated rows from a backup of the site, which gets the newer versions.
    pub(super) superseded: Vec<&'r WireRecord>,
    /// The fingerprints of the rows that were noted already, because the site never pushed their records before.
    noted: HashMap<(&'r TableName, &'r RecordId), u64>,
}

impl<'r> FilteredBatch<'r> {
    /// Notes the accepted rows, and the repeated ones anew, because further copies of this request may still arrive. If
    /// `is_anew`, what was noted before counts as of a former database.
    pub(super) fn note(&mut self, txn: &dyn WriteTxn, site: SiteId, at: Timestamp, is_anew: bool) -> Result<()> {
        // Not kept while the rows are integrated, which takes the most memory.
        let noted = std::mem::take(&mut self.noted);
        for row in self.fresh.iter().chain(&self.duplicates) {
            if is_anew || noted.get(&row.record()) != Some(&row.fingerprint) {
                row.note(txn, site, at)?;
            }
        }
        Ok(())
    }

    /// Compares a row with those that came before this batch, and notes it if there are none of its record.
    fn replay(
        &mut self,
        txn: &dyn WriteTxn,
        site: SiteId,
        read_to: Option<Cursor>,
        row: &'r IncomingRow,
        now: Timestamp,
    ) -> Result<Replay> {
        if self.noted.contains_key(&row.record()) {
            return Ok(Replay::New);
        }
        if row.note_first(txn, site, now)? {
            self.noted.insert(row.record(), row.fingerprint);
            return Ok(Replay::New);
        }
        row.replay(txn, site, read_to, now)
    }
}

/// True if a row is from a backup of the site, and the site pushed it or a newer version of its record before the
/// restore. A restored database uses no cursor twice, so a cursor between the row and the end of the gap is of a newer
/// version. Cursors above the gap are of another database: this one would not send the row any more.
fn is_superseded(txn: &dyn ReadTxn, site: SiteId, element: &BatchElement, lost_there: &[ChangelogGap]) -> Result<bool> {
    let Some(before) = end_of_backup(element.cursor, lost_there) else { return Ok(false) };
    let (table, id) = (&element.record.table_name, &element.record.record_id);
    let came = |noted: Option<Cursor>| noted.is_some_and(|at| element.cursor <= at && at < before);
    Ok(came(txn.pushed_at(site, table, id)?) || came(txn.buffered_cursor(Source::Site(site), table, id)?))
}

/// The first cursor of a site after the newest backup that holds a row.
fn end_of_backup(row: Cursor, lost_there: &[ChangelogGap]) -> Option<Cursor> {
    let holds_it = |lost: &&ChangelogGap| row > Cursor(0) && row <= lost.after;
    lost_there.iter().filter(holds_it).map(|lost| lost.before).max()
}

/// Stores the highest cursor that a site has pushed. A new row with a lower cursor shows that the site has a new
/// database, so the versions noted of the former one do not count any more; returns whether that is so. There are two
/// exceptions:
///
/// * The site reported a restore: cursors of its backup are lower.
/// * The push names the push before it: then it is of the same database. A row that broke the connection is sent after
///   rows with higher cursors.
pub(super) fn note_highest_cursor(
    txn: &dyn WriteTxn,
    site: SiteId,
    fresh: &[&IncomingRow],
    chain: Option<&PushChain>,
    lost_there: &[ChangelogGap],
) -> Result<bool> {
    let mut numbered = fresh.iter().filter(|row| row.is_numbered()).map(|row| row.element.cursor);
    let Some(first) = numbered.next() else { return Ok(false) };
    let setting = state::HIGHEST_PUSH_OF_SITE.of(site);
    let highest = numbered.max().unwrap_or(first).max(first);
    // An older version stored any value that a site sent. A value that cannot be a cursor decides nothing.
    let known = setting.get(txn)?;
    let follows = chain.is_some_and(|chain| !chain.after.is_empty());
    let is_anew = first < known && !follows && end_of_backup(first, lost_there).is_none();
    if is_anew {
        txn.forget_pushed(site)?;
        SiteRestore::note_new_database(txn, site)?;
    }
    if is_anew || highest > known {
        setting.set(txn, highest)?;
    }
    Ok(is_anew)
}

/// The fingerprints of the rows that a site pushed last.
fn pushed_last(txn: &dyn ReadTxn, site: SiteId) -> Result<HashSet<u64>> {
    Ok(state::LAST_PUSH_OF_SITE.of(site).get(txn)?.0.into_iter().collect())
}

/// Sorts the rows of a batch into new, repeated and outdated ones.
///
/// * A site that got no answer sends its last batch again. Others may have changed those records meanwhile, so repeated
///   rows are not accepted a second time.
/// * A batch with a row that is older than what the site pushed recently arrived late: it is an error. Recent means
///   fifteen minutes, so a site with a new database only has to wait.
/// * A restored site may have pushed newer versions before its restore, which it does not know. Then its rows are
///   outdated.
pub(super) fn filter_replays<'r>(
    txn: &dyn WriteTxn,
    site: SiteId,
    read_to: Option<Cursor>,
    rows: &'r [IncomingRow],
    lost_there: &[ChangelogGap],
    now: Timestamp,
) -> std::result::Result<FilteredBatch<'r>, EnvelopeError> {
    let known = pushed_last(txn, site)?;
    let mut filtered = FilteredBatch::default();
    let mut last = Vec::new();
    for row in rows {
        let replay = match row.is_numbered() {
            true if planted!(RepeatedPushTaken) => Replay::New,
            true if known.contains(&row.fingerprint) => Replay::Duplicate,
            // Of a backup of the site, what was noted before decides whether it is outdated.
            true if end_of_backup(row.element.cursor, lost_there).is_some() => row.replay(txn, site, read_to, now)?,
            true => filtered.replay(txn, site, read_to, row, now)?,
            false => Replay::New,
        };
        last.push(row.fingerprint);
        match replay {
            Replay::Duplicate => filtered.duplicates.push(row),
            _ if is_superseded(txn, site, &row.element, lost_there)? => filtered.superseded.push(&row.element.record),
            Replay::New => filtered.fresh.push(row),
            Replay::Stale if planted!(LatePushTaken) => filtered.fresh.push(row),
            Replay::Stale => return Err(EnvelopeError(WireError::IntegrationInProgress)),
        }
    }
    if !filtered.fresh.is_empty() {
        state::LAST_PUSH_OF_SITE.of(site).set(txn, Fingerprints(last))?;
    }
    Ok(filtered)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::RecordData;
    use crate::storage::{MemoryStorage, Storage as _};

    fn row(cursor: u64, id: &str, data: &str) -> IncomingRow {
        let record = WireRecord {
            table_name: "asset".into(),
            record_id: id.into(),
            action: Action::Update,
            record_data: RecordData::parse(data).unwrap(),
        };
        IncomingRow::new(BatchElement { cursor: Cursor(cursor), record, sent_since: None, is_own: false })
    }

    #[test]
    fn a_lower_row_of_a_push_that_follows_another_is_of_the_same_database() {
        let (site, now) = (SiteId(2), Timestamp::from_unix_millis(0));
        let much_later = Timestamp::from_unix_millis(3_600_000);
        for (after, expected) in [(Some("before"), Replay::Duplicate), (Some(""), Replay::New), (None, Replay::New)] {
            let storage = MemoryStorage::new();
            let txn = storage.write().unwrap();
            let taken = row(8, "x", "{}");
            taken.note(txn.as_ref(), site, now).unwrap();
            note_highest_cursor(txn.as_ref(), site, &[&taken], None, &[]).unwrap();
            let chain = after.map(|after| PushChain {
                after: after.to_owned(),
                id: "this".to_owned(),
                number: 1,
                loss_handled: Cursor(0),
                first: String::new(),
            });
            note_highest_cursor(txn.as_ref(), site, &[&row(7, "y", "{}")], chain.as_ref(), &[]).unwrap();
            let replay = row(8, "x", "{}").replay(txn.as_ref(), site, None, much_later).unwrap();
            assert_eq!(replay, expected, "after {after:?}");
        }
    }

    #[test]
    fn an_edit_under_a_new_position_is_the_old_one_if_the_site_did_not_read_what_replaced_it() {
        let storage = MemoryStorage::new();
        let txn = storage.write().unwrap();
        let (site, now) = (SiteId(2), Timestamp::from_unix_millis(0));
        let (table, id) = (TableName::from("campaign"), RecordId::from("x"));
        let pushed = |cursor, data: &str| {
            let (table_name, record_id, action) = (table.clone(), id.clone(), Action::Update);
            let record = WireRecord { table_name, record_id, action, record_data: RecordData::parse(data).unwrap() };
            IncomingRow::new(BatchElement { cursor: Cursor(cursor), record, sent_since: None, is_own: false })
        };
        let theirs = r#"{"id":"x","name":"theirs"}"#;
        let write = |data: &str, origin| {
            crate::write::upsert(txn.as_ref(), &table, &id, &RecordData::parse(data).unwrap(), origin, now).unwrap();
        };
        write(theirs, crate::write::Origin::Sync(Some(site)));
        pushed(8, theirs).note(txn.as_ref(), site, now).unwrap();
        let replay = |row: IncomingRow, read_to| row.replay(txn.as_ref(), site, read_to, now).unwrap();
        assert_eq!(replay(pushed(9, theirs), Some(Cursor(1))), Replay::New, "nobody replaced it");
        write(r#"{"id":"x","name":"of another"}"#, crate::write::Origin::Local);
        let at = txn.written_at(&table, &id).unwrap().unwrap();
        for (row, read_to, expected) in [
            (pushed(9, theirs), Some(at), Replay::Duplicate),
            (pushed(9, theirs), Some(at.next()), Replay::New),
            (pushed(9, theirs), None, Replay::New),
            (pushed(9, r#"{"id":"x","name":"a new edit"}"#), Some(at), Replay::New),
        ] {
            assert_eq!(replay(row, read_to), expected, "{read_to:?}");
        }
    }

    /// A site deleted a record, wrote it anew and deleted it once more, while central wrote it too: two deletions, of which the
    /// second came last.
    #[test]
    fn a_deletion_under_a_new_position_is_a_new_one_unless_the_site_says_otherwise() {
        let storage = MemoryStorage::new();
        let txn = storage.write().unwrap();
        let (site, now) = (SiteId(2), Timestamp::from_unix_millis(0));
        let (table, id) = (TableName::from("campaign"), RecordId::from("x"));
        let deletion = |cursor, sent_since| {
            let (table_name, record_id, action) = (table.clone(), id.clone(), Action::Delete);
            let record = WireRecord { table_name, record_id, action, record_data: RecordData::of(&()) };
            IncomingRow::new(BatchElement { cursor: Cursor(cursor), record, sent_since, is_own: false })
        };
        deletion(8, None).note(txn.as_ref(), site, now).unwrap();
        let of_central = RecordData::parse(r#"{"id":"x","name":"of central"}"#).unwrap();
        crate::write::upsert(txn.as_ref(), &table, &id, &of_central, crate::write::Origin::Local, now).unwrap();
        let replay = |row: IncomingRow| row.replay(txn.as_ref(), site, Some(Cursor(0)), now).unwrap();
        assert_eq!(replay(deletion(9, None)), Replay::New);
        assert_eq!(replay(deletion(9, Some(Cursor(8)))), Replay::Duplicate);
    }

    #[test]
    fn an_edit_that_names_its_first_position_is_the_one_that_came_since() {
        let storage = MemoryStorage::new();
        let txn = storage.write().unwrap();
        let (site, now) = (SiteId(2), Timestamp::from_unix_millis(0));
        row(8, "x", "{}").note(txn.as_ref(), site, now).unwrap();
        // Whether central knows how far the site has read, and how far that is, changes nothing.
        for read_to in [None, Some(Cursor(0)), Some(Cursor(1_000))] {
            for (sent_since, data, expected) in [
                (Some(8), "{}", Replay::Duplicate),
                (Some(5), "{}", Replay::Duplicate),
                (Some(9), "{}", Replay::New),
                (Some(8), "1", Replay::New),
                (None, "{}", Replay::New),
            ] {
                let mut again = row(12, "x", data);
                again.element.sent_since = sent_since.map(Cursor);
                let replay = again.replay(txn.as_ref(), site, read_to, now).unwrap();
                assert_eq!(replay, expected, "{sent_since:?} {data} {read_to:?}");
            }
        }
    }

    #[test]
    fn a_row_is_new_repeated_or_late() {
        let storage = MemoryStorage::new();
        let txn = storage.write().unwrap();
        let (site, minutes) = (SiteId(2), |after: i64| Timestamp::from_unix_millis((1_000 + after) * 60_000));
        row(8, "x", "{}").note(txn.as_ref(), site, minutes(0)).unwrap();
        let replay = |row: IncomingRow, after| row.replay(txn.as_ref(), site, Some(Cursor(0)), minutes(after)).unwrap();
        for (cursor, id, data, after, expected) in [
            (8, "x", "{}", 1, Replay::Duplicate),
            (8, "x", "1", 1, Replay::New),
            (9, "x", "{}", 1, Replay::New),
            (7, "x", "{}", 1, Replay::Stale),
            (7, "y", "{}", 1, Replay::New),
            (7, "x", "{}", 15, Replay::New),
            (7, "x", "{}", -15, Replay::New),
            (8, "x", "{}", 15, Replay::Duplicate),
        ] {
            assert_eq!(replay(row(cursor, id, data), after), expected, "{cursor} {id} {data} {after}");
        }
        let other = row(7, "x", "{}").replay(txn.as_ref(), SiteId(3), None, minutes(0)).unwrap();
        assert_eq!(other, Replay::New, "another site counts for itself");
        row(7, "x", "{}").note(txn.as_ref(), site, minutes(1)).unwrap();
        assert_eq!(replay(row(7, "x", "1"), 1), Replay::Stale, "a repeated older row changes nothing");
        txn.forget_pushed(site).unwrap();
        assert_eq!(replay(row(7, "x", "1"), 1), Replay::Stale, "of a former database too");
        assert_eq!(replay(row(8, "x", "{}"), 15), Replay::New, "which is forgotten in the end");
    }
}
