//! Watching a database: which records changed, and who changed them.

mod query;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use crate::changelog::{Change, ChangeAction};
use crate::clock::Clock;
#[cfg(doc)]
use crate::error::Error;
use crate::error::Result;
use crate::record::{Cursor, RecordId, SiteId, TableName};
use crate::role::Role;
use crate::storage::state::{WrittenPart, changelog_gaps, role, site_id};
use crate::storage::{ReadTxn, Selection, Storage, state};
use crate::write::check_known;

pub use query::QueryWatch;

/// Changelog rows that are read at once, and the most records of a batch.
const ROWS: usize = 1000;

/// How often the database is looked at while nothing changes.
const INTERVAL: Duration = Duration::from_millis(100);

/// Follows the changes of a database, whoever writes them: this replica, a cycle, another process.
///
/// It reads the changelog from a position on. A record that changed several times since is reported once; a reader that
/// is slow gets fewer reports and loses none. Nothing runs in the background: a host calls [`wait`](Self::wait) on a
/// thread of its own. After a restart it goes on from a stored [`position`](Self::position), with
/// [`Replica::watch_from`](crate::Replica::watch_from).
///
/// ```
/// use std::time::Duration;
/// # use std::sync::Arc;
/// # use sync_core::record::AssetClass;
/// # use sync_core::{Replica, storage::MemoryStorage};
/// # let replica = Replica::with_storage(Arc::new(MemoryStorage::new()));
/// # replica.site_registry()?;
/// let mut watch = replica.watch()?.only(["asset_class"]);
/// # let class = AssetClass { id: "cold".into(), name: "Cold chain".into(), ..AssetClass::default() };
/// replica.records().of().put(&class)?;
/// if let Some(batch) = watch.wait(Duration::from_secs(30))? {
///     for record in batch.records {
///         println!("{} {} was changed by {:?}", record.table, record.id, record.by);
///     }
/// }
/// # Ok::<(), sync_core::Error>(())
/// ```
///
/// A screen is kept up to date by a thread like this one:
///
/// ```no_run
/// use std::sync::atomic::{AtomicBool, Ordering};
/// use std::time::Duration;
/// use sync_core::Replica;
/// use sync_core::watch::ChangeBatch;
///
/// fn follow(replica: &Replica, closed: &AtomicBool, show: impl Fn(ChangeBatch)) -> sync_core::Result<()> {
///     let mut watch = replica.watch()?.only(["asset", "asset_log"]);
///     while !closed.load(Ordering::Relaxed) {
///         match watch.wait(Duration::from_secs(1))? {
///             Some(batch) if batch.restored => show(batch), // everything has to be read again
///             Some(batch) => show(batch),                   // read the records that it names
///             None => {}                                    // nothing changed: look whether the app was closed
///         }
///     }
///     Ok(())
/// }
/// ```
#[derive(Clone)]
pub struct Watch {
    storage: Arc<dyn Storage>,
    clock: Arc<dyn Clock>,
    next: Cursor,
    /// Where the first of the batches began that bring this reader to the end of the changelog. What was written since then
    /// may have been logged again after the batches that were read, and is not reported yet.
    round: Cursor,
    tables: Option<Vec<TableName>>,
    interval: Duration,
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").field("next", &self.next).field("tables", &self.tables).finish_non_exhaustive()
    }
}

/// Records that changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ChangeBatch {
    /// Each of them once, in the order of their newest changes: 1000 at most, the rest comes with the next batch.
    pub records: Vec<ChangedRecord>,
    /// True if a backup of this database was restored, so that changes which were reported are undone: read again
    /// whatever is shown or derived. The batch has no records then.
    pub restored: bool,
}

/// A record that changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ChangedRecord {
    /// Its table.
    pub table: TableName,
    /// Its id.
    pub id: RecordId,
    /// Whether it is here now.
    pub action: ChangeAction,
    /// Who changed it last.
    pub by: ChangeSource,
}

/// The writer of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ChangeSource {
    /// A host of this database, through [`Records`](crate::Records) or a [`Transaction`](crate::Transaction).
    Host,
    /// The central server: it came with a pull.
    Central,
    /// The legacy server: it came with a pull.
    Legacy,
    /// A merge of two records by the legacy server, which removed this record or changed its reference to the removed one. A change by one
    /// of the oldest merges may be reported as of [`Legacy`](Self::Legacy).
    Merge,
    /// At central: a site, whose push was integrated. `None` if the changelog does not name the site any more.
    Site(Option<SiteId>),
}

impl Watch {
    pub(crate) fn new(storage: Arc<dyn Storage>, clock: Arc<dyn Clock>, next: Cursor) -> Self {
        Self { storage, clock, next, round: next, tables: None, interval: INTERVAL }
    }

    /// Reports records of these tables only. A name that is no table is an error of the calls that look for changes.
    #[must_use]
    pub fn only<T: Into<TableName>>(self, tables: impl IntoIterator<Item = T>) -> Self {
        Self { tables: Some(tables.into_iter().map(Into::into).collect()), ..self }
    }

    /// Looks at the database this often while it waits, instead of ten times a second.
    #[must_use]
    pub fn every(self, interval: Duration) -> Self {
        Self { interval, ..self }
    }

    #[cfg(feature = "tokio")]
    pub(crate) fn interval(&self) -> Duration {
        self.interval
    }

    /// Where to go on after a restart. Store it once the last batch is dealt with. While more batches are there at once, it
    /// stays where the first of them began, and a restart repeats them.
    pub fn position(&self) -> Cursor {
        self.round
    }

    /// What changed since the last batch, without waiting; `None` if nothing did.
    ///
    /// # Errors
    /// [`Error::UnknownTable`] if a table of [`only`](Self::only) is not known to this version, and has no record here; the database
    /// failed.
    pub fn changes(&mut self) -> Result<Option<ChangeBatch>> {
        let txn = self.storage.read()?;
        let txn = txn.as_ref();
        self.tables.iter().flatten().try_for_each(|table| check_known(txn, table))?;
        let end = txn.last_cursor()?.next();
        if self.next == end {
            return Ok(None);
        }
        if is_undone(txn, self.next, end)? {
            (self.next, self.round) = (end, end);
            return Ok(Some(ChangeBatch { records: Vec::new(), restored: true }));
        }
        let sources = Sources::of(txn)?;
        while self.next < end {
            let rows = txn.changes(&Selection::All, self.next, ROWS)?;
            self.next = end;
            if let Some(last) = rows.last().filter(|_| rows.len() == ROWS) {
                self.next = last.cursor.next();
            }
            let records = self.changed(txn, &sources, rows)?;
            if self.next == end {
                self.round = end;
            }
            if !records.is_empty() {
                return Ok(Some(ChangeBatch { records, restored: false }));
            }
        }
        Ok(None)
    }

    /// What changed since the last batch; waits for a change if there is none, for this time at most.
    ///
    /// # Errors
    /// As [`changes`](Self::changes).
    pub fn wait(&mut self, most: Duration) -> Result<Option<ChangeBatch>> {
        let until = self.clock.monotonic().saturating_add(most);
        loop {
            let found = self.changes()?;
            let left = until.saturating_sub(self.clock.monotonic());
            if found.is_some() || left.is_zero() {
                return Ok(found);
            }
            self.clock.sleep(left.min(self.interval));
        }
    }

    /// The records of these rows whose data changed, each once. A row that was only logged again, for another reader, is
    /// no change.
    fn changed(&self, txn: &dyn ReadTxn, sources: &Sources, rows: Vec<Change>) -> Result<Vec<ChangedRecord>> {
        let is_watched = |table: &TableName| self.tables.as_ref().is_none_or(|tables| tables.contains(table));
        let mut newest = BTreeMap::new();
        for row in rows.into_iter().filter(|row| is_watched(&row.change.table)) {
            newest.insert((row.change.table.clone(), row.change.id.clone()), row);
        }
        let mut found: Vec<_> = newest.into_iter().collect();
        found.sort_by_key(|(_, row)| row.cursor);
        let mut records = Vec::new();
        for ((table, id), row) in found {
            let written = txn.written_at(&table, &id)?;
            if written.is_some_and(|written| written < self.round) {
                continue;
            }
            let action = if txn.has_record(&table, &id)? { ChangeAction::Upsert } else { ChangeAction::Delete };
            let by = match sources.is_of_merge(written.unwrap_or(row.cursor)) {
                true => ChangeSource::Merge,
                false => sources.source_of(&row),
            };
            records.push(ChangedRecord { table, id, action, by });
        }
        Ok(records)
    }
}

/// True if changes before this position are not in the changelog any more, because a backup was restored.
fn is_undone(txn: &dyn ReadTxn, position: Cursor, end: Cursor) -> Result<bool> {
    let is_in = |(after, before): (Cursor, Cursor)| after.next() < position && position <= before.next();
    Ok(position > end || changelog_gaps(txn)?.iter().any(|gap| is_in((gap.after, gap.before))))
}

/// What tells the writers of changes apart.
struct Sources {
    is_central: bool,
    own: Option<SiteId>,
    legacy: Option<SiteId>,
    merges: Vec<WrittenPart>,
}

impl Sources {
    fn of(txn: &dyn ReadTxn) -> Result<Self> {
        let (is_central, merges) = (role(txn)? == Some(Role::Central), state::MERGES_WROTE.get(txn)?);
        Ok(Self { is_central, own: site_id(txn)?, legacy: state::LEGACY_SITE_ID.find(txn)?, merges })
    }

    fn is_of_merge(&self, written: Cursor) -> bool {
        self.merges.iter().any(|part| part.from <= written && written < part.below)
    }

    fn source_of(&self, row: &Change) -> ChangeSource {
        let change = &row.change;
        match change.source_site {
            _ if change.is_written_here() => ChangeSource::Host,
            Some(site) if self.is_central && self.legacy != Some(site) => ChangeSource::Site(Some(site)),
            Some(site) if !self.is_central && self.own == Some(site) => ChangeSource::Central,
            Some(_) => ChangeSource::Legacy,
            None if self.is_central => ChangeSource::Site(None),
            None => ChangeSource::Central,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::RecordData;
    use crate::storage::MemoryStorage;
    use crate::write::{self, Origin};

    #[test]
    fn a_change_that_is_logged_again_behind_a_slow_reader_is_reported() {
        let storage = Arc::new(MemoryStorage::new());
        let mut watch = Watch::new(storage.clone(), Arc::new(crate::clock::SystemClock::new()), Cursor(1));
        let txn = storage.write().unwrap();
        let now = crate::clock::Timestamp::from_unix_millis(0);
        let put = |id: &str| {
            let data = RecordData::parse(format!(r#"{{"id":"{id}"}}"#)).unwrap();
            write::upsert(txn.as_ref(), &"asset_class".into(), &id.into(), &data, Origin::Local, now).unwrap();
        };
        put("x");
        (0..1200).for_each(|n| put(&format!("n{n}")));
        let data = txn.record(&"asset_class".into(), &"x".into()).unwrap().unwrap();
        let change = txn.newest_change(&"asset_class".into(), &"x".into()).unwrap().unwrap();
        txn.put_record(&data, &change).unwrap();
        txn.commit().unwrap();
        let mut seen = Vec::new();
        while let Some(batch) = watch.changes().unwrap() {
            seen.extend(batch.records.into_iter().map(|record| record.id));
        }
        assert!(seen.contains(&"x".into()), "{} reported, x is lost", seen.len());
    }
}
