//! Push: a site's records into the sync buffer, and integration once the last batch is there.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sha2::{Digest as _, Sha256};

use super::{Central, Refused};
use crate::apply;
use crate::echo::SiteRestore;
use crate::error::Result;
use crate::protocol::v6::{Batch, BatchElement, PushRequest, PushResult, WireError, WireRecord};
use crate::record::{Cursor, SiteId};
use crate::storage::{Incoming, Lost, ReadTxn, Source, StagedKind, WriteTxn, key};

/// How long after it was sent a request may still arrive, held up on its way: longer than any proxy keeps one.
const LATE: Duration = Duration::from_secs(15 * 60);

/// The most rows that are remembered of one site.
const REMEMBERED: usize = 20_000;

/// What tells one pushed row from every other.
type Fingerprint = [u8; 8];

/// A row that is to be taken: its cursor at the site, and its fingerprints without and with what it says.
struct Row {
    element: BatchElement,
    record: Fingerprint,
    whole: Fingerprint,
}

impl Row {
    fn new(element: BatchElement) -> Self {
        let WireRecord { table_name, record_id, action, record_data } = &element.record;
        let mut digest = Sha256::new();
        let add = |digest: &mut Sha256, text: &str| {
            digest.update((text.len() as u64).to_be_bytes());
            digest.update(text);
        };
        add(&mut digest, table_name.as_str());
        add(&mut digest, record_id.as_str());
        let record = first_bytes(&digest.clone().finalize());
        digest.update(element.cursor.0.to_be_bytes());
        add(&mut digest, StagedKind::of(*action).as_str());
        add(&mut digest, record_data.as_str());
        Self { record, whole: first_bytes(&digest.finalize()), element }
    }

    /// Whether a site counts its rows at all; upstream's central never looked at these numbers.
    fn is_numbered(&self) -> bool {
        self.element.cursor > Cursor(0)
    }
}

fn first_bytes(digest: &[u8]) -> Fingerprint {
    let mut bytes = Fingerprint::default();
    bytes.copy_from_slice(&digest[..8]);
    bytes
}

/// What each site pushed lately: a request that was held up on its way comes when what it holds is out of date.
#[derive(Debug, Default)]
pub(super) struct Lately(Mutex<Remembered>);

#[derive(Debug, Default)]
struct Remembered {
    rows: HashMap<SiteId, HashMap<Fingerprint, Seen>>,
    tidied_at: Duration,
}

#[derive(Debug, Clone, Copy)]
struct Seen {
    cursor: Cursor,
    whole: Fingerprint,
    at: Duration,
}

impl Seen {
    /// Whether a request that was sent before may still arrive.
    fn is_recent(&self, now: Duration) -> bool {
        now.saturating_sub(self.at) < LATE
    }
}

/// The rows of a batch, without those that are out of date.
#[derive(Default)]
struct Sorted {
    /// What is taken.
    fresh: Vec<Row>,
    /// What was taken before.
    repeated: Vec<(Fingerprint, Seen)>,
    /// What is of a backup, and out of date.
    superseded: Vec<WireRecord>,
}

/// How a row stands to what the same site pushed lately.
#[derive(Debug, PartialEq, Eq)]
enum Standing {
    New,
    /// It came already.
    Repeated,
    /// A newer version of its record came already.
    Late,
}

impl Lately {
    fn lock(&self) -> MutexGuard<'_, Remembered> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn standing(&self, site: SiteId, row: &Row, now: Duration) -> Standing {
        let remembered = self.lock();
        let seen = remembered.rows.get(&site).and_then(|rows| rows.get(&row.record));
        match seen.filter(|seen| seen.is_recent(now)) {
            Some(before) if before.whole == row.whole => Standing::Repeated,
            Some(before) if row.element.cursor < before.cursor => Standing::Late,
            _ => Standing::New,
        }
    }

    /// Remembers rows that were taken: not before that is committed.
    fn note(&self, site: SiteId, taken: Vec<(Fingerprint, Seen)>, now: Duration) {
        let remembered = &mut *self.lock();
        let rows = remembered.rows.entry(site).or_default();
        if rows.len() + taken.len() > REMEMBERED {
            rows.clear();
        }
        for (record, seen) in taken {
            // A repeated row may be of a backup: it does not make what came after it new.
            let newer = rows.get(&record).filter(|before| before.is_recent(now) && before.cursor > seen.cursor);
            if newer.is_none() {
                rows.insert(record, seen);
            }
        }
        if now.saturating_sub(remembered.tidied_at) >= LATE {
            remembered.tidied_at = now;
            remembered.rows.retain(|_, rows| {
                rows.retain(|_, seen| seen.is_recent(now));
                !rows.is_empty()
            });
        }
    }
}

/// Whether a row is of a backup, and it or a newer one came before. A restored database gives out no cursor twice, so a
/// lower one is older; one beyond all that it had given out is another database's.
fn is_superseded(txn: &dyn ReadTxn, site: SiteId, element: &BatchElement, lost_there: &[Lost]) -> Result<bool> {
    let Some(before) = end_of_backup(element.cursor, lost_there) else { return Ok(false) };
    let (table, id) = (&element.record.table_name, &element.record.record_id);
    let came = |noted: Option<Cursor>| noted.is_some_and(|at| element.cursor <= at && at < before);
    Ok(came(txn.pushed_at(site, table, id)?) || came(txn.buffered_cursor(Source::Site(site), table, id)?))
}

/// Where a site goes on to count after the newest of the backups that hold a row.
fn end_of_backup(row: Cursor, lost_there: &[Lost]) -> Option<Cursor> {
    let holds_it = |lost: &&Lost| row > Cursor(0) && row <= lost.after;
    lost_there.iter().filter(holds_it).map(|lost| lost.before).max()
}

/// Keeps how far a site has counted. One that pushes a new row with a lower cursor, and tells of no backup, counts anew, in
/// another database: what was noted of the former one says nothing of this.
fn begin_count(txn: &dyn WriteTxn, site: SiteId, fresh: &[Row], lost_there: &[Lost]) -> Result<()> {
    let mut numbered = fresh.iter().filter(|row| row.is_numbered()).map(|row| row.element.cursor);
    let (Some(first), key) = (numbered.next(), format!("{}{site}", key::HIGHEST_PUSH_OF_SITE)) else { return Ok(()) };
    let highest = numbered.max().unwrap_or(first).max(first);
    // An older version wrote here whatever a site said. What cannot be a cursor says nothing of what comes.
    let known = txn.state(&key)?.as_deref().and_then(Cursor::parse).unwrap_or_default();
    let is_anew = first < known && end_of_backup(first, lost_there).is_none();
    if is_anew {
        txn.forget_pushed(site)?;
    }
    if is_anew || highest > known {
        txn.set_state(&key, &highest.to_string())?;
    }
    Ok(())
}

fn last_push(site: SiteId) -> String {
    format!("{}{site}", key::LAST_PUSH_OF_SITE)
}

/// Notes whether more batches of a site's push are to come.
pub(super) fn set_open(txn: &dyn WriteTxn, site: SiteId, is_open: bool) -> Result<()> {
    let key = format!("{}{site}", key::OPEN_PUSH_OF_SITE);
    if crate::site::identity::flag(txn, &key)? == is_open {
        return Ok(());
    }
    txn.set_state(&key, if is_open { "1" } else { "0" })
}

/// The fingerprints of the rows that a site pushed last.
fn pushed_last(txn: &dyn ReadTxn, site: SiteId) -> Result<HashSet<String>> {
    let text = txn.state(&last_push(site))?.unwrap_or_default();
    Ok(text.split_whitespace().map(str::to_owned).collect())
}

impl Central {
    pub(super) fn push(&self, site: SiteId, request: PushRequest) -> std::result::Result<PushResult, Refused> {
        let Batch { records, is_last_batch: is_last, lost_history: lost_there, .. } = request.batch;
        let records_pushed = records.len() as u64;
        let cursors = records.iter().map(|element| element.cursor);
        if cursors.chain([request.batch.end_cursor]).any(|cursor| !cursor.next().is_possible()) {
            // One that counts beyond every database's numbers could never count on. The whole batch stays with the site.
            let why = "a cursor in the batch is out of range; nothing of the batch was taken";
            return Err(Refused(WireError::ParsingSyncRecordError(why.to_owned())));
        }
        let (now, monotonic) = (self.clock.now(), self.clock.monotonic());
        let rows: Vec<Row> = records.into_iter().map(Row::new).collect();
        let txn = self.storage.write()?;
        SiteRestore::learn(txn.as_ref(), site, &lost_there)?;
        let Sorted { fresh, repeated, superseded } = self.fresh(txn.as_ref(), (site, monotonic), rows, &lost_there)?;
        begin_count(txn.as_ref(), site, &fresh, &lost_there)?;
        for Row { element, .. } in &fresh {
            txn.note_pushed(site, &element.record.table_name, &element.record.record_id, element.cursor)?;
        }
        let stores = txn.stores_of_site(site)?;
        for record in &superseded {
            let newer = txn.buffered_cursor(Source::Site(site), &record.table_name, &record.record_id)?;
            apply::tell_of_newer(txn.as_ref(), &stores, record, newer.is_some(), now)?;
        }
        let mut taken = repeated;
        // A batch that came before and is only heard again opens nothing.
        let brings_something = !fresh.is_empty();
        for Row { element, record, whole } in fresh {
            taken.push((record, Seen { cursor: element.cursor, whole, at: monotonic }));
            let BatchElement { cursor, record } = element;
            let cursor = Some(cursor).filter(|cursor| *cursor > Cursor(0));
            let incoming = Incoming { cursor, ..Incoming::new(Source::Site(site), record) };
            txn.stage(&incoming, now)?;
        }
        if is_last {
            txn.request_integration(site, now)?;
            set_open(txn.as_ref(), site, false)?;
        } else if brings_something {
            set_open(txn.as_ref(), site, true)?;
        }
        let lost_history = Lost::told(txn.as_ref())?;
        match txn.commit() {
            Err(_) if planted!(AnswerWithoutCommit) => {}
            committed => committed?,
        }
        self.lately.note(site, taken, monotonic);
        if is_last {
            self.announce_work();
        }
        Ok(PushResult { records_pushed, lost_history })
    }

    /// What of a batch has not been taken before, and what has. A site that got no answer sends its last batch again, and
    /// others may have changed those records meanwhile. A batch with a row that is older than what the site pushed lately
    /// was held up on its way; it is refused for a while, so that a site that really counts anew only has to wait. Of
    /// records that it is never sent back, a restored site may have pushed newer versions that it does not know of.
    fn fresh(
        &self,
        txn: &dyn WriteTxn,
        (site, monotonic): (SiteId, Duration),
        rows: Vec<Row>,
        lost_there: &[Lost],
    ) -> std::result::Result<Sorted, Refused> {
        let known = pushed_last(txn, site)?;
        let mut sorted = Sorted::default();
        let mut last = String::new();
        for row in rows {
            let fingerprint = crate::protocol::hex(&row.whole);
            let standing = match row.is_numbered() {
                true if planted!(RepeatedPushTaken) => Standing::New,
                true if known.contains(&fingerprint) => Standing::Repeated,
                true => self.lately.standing(site, &row, monotonic),
                false => Standing::New,
            };
            last.push_str(&fingerprint);
            last.push(' ');
            match standing {
                // It may be known from before a restart, and another copy be still on its way.
                Standing::Repeated => {
                    let seen = Seen { cursor: row.element.cursor, whole: row.whole, at: monotonic };
                    sorted.repeated.push((row.record, seen));
                }
                _ if is_superseded(txn, site, &row.element, lost_there)? => sorted.superseded.push(row.element.record),
                Standing::New => sorted.fresh.push(row),
                Standing::Late if planted!(LatePushTaken) => sorted.fresh.push(row),
                Standing::Late => return Err(Refused(WireError::IntegrationInProgress)),
            }
        }
        if !sorted.fresh.is_empty() {
            txn.set_state(&last_push(site), &last)?;
        }
        Ok(sorted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::v6::Action;
    use crate::record::RecordData;

    fn row(cursor: u64, id: &str, data: &str) -> Row {
        let record = WireRecord {
            table_name: "asset".into(),
            record_id: id.into(),
            action: Action::Update,
            record_data: RecordData::parse(data).unwrap(),
        };
        Row::new(BatchElement { cursor: Cursor(cursor), record })
    }

    #[test]
    fn a_row_is_new_repeated_or_late() {
        let lately = Lately::default();
        let (site, start) = (SiteId(2), Duration::from_secs(5));
        let note = |cursor, at| {
            let row = row(cursor, "x", "{}");
            lately.note(site, vec![(row.record, Seen { cursor: Cursor(cursor), whole: row.whole, at })], at);
        };
        note(8, start);
        for (cursor, id, data, after, expected) in [
            (8, "x", "{}", 1, Standing::Repeated),
            (8, "x", "1", 1, Standing::New),
            (9, "x", "{}", 1, Standing::New),
            (7, "x", "{}", 1, Standing::Late),
            (7, "y", "{}", 1, Standing::New),
            (7, "x", "{}", 15 * 60, Standing::New),
            (8, "x", "{}", 15 * 60, Standing::New),
        ] {
            let now = start + Duration::from_secs(after);
            assert_eq!(lately.standing(site, &row(cursor, id, data), now), expected, "{cursor} {id} {data} {after}");
        }
        assert_eq!(
            lately.standing(SiteId(3), &row(7, "x", "{}"), start),
            Standing::New,
            "another site counts for itself"
        );
        note(7, start);
        assert_eq!(
            lately.standing(site, &row(7, "x", "1"), start),
            Standing::Late,
            "a repeated older row changes nothing"
        );
        note(9, start + 2 * LATE);
        assert_eq!(lately.lock().rows[&site].len(), 1);
    }
}
