//! Watching the answer to a query.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::Watch;
use crate::error::Result;
use crate::record::{Query, RecordData, RecordId, TableName, TypedRecord};
use crate::write::records::Records;
use crate::write::typed_records::read;

/// Follows the answer to a query: a list on a screen that is always right, whoever writes the records.
///
/// The query runs again when a record of its type was written, and an answer is reported only if it differs from the one before. So it
/// costs a query for each batch of changes to the type; keep the answer to a page, with [`Query::limit`]. Like a [`Watch`], it does its
/// work on the thread that calls it.
///
/// ```
/// use std::time::Duration;
///
/// use sync_core::record::{AssetClass, Query};
/// # use std::sync::Arc;
/// # use sync_core::{Replica, storage::MemoryStorage};
/// # let replica = Replica::with_storage(Arc::new(MemoryStorage::new()));
/// # replica.site_registry()?;
/// let mut classes = replica.watch_query::<AssetClass>(Query::new().order_by("name").limit(50))?;
/// assert_eq!(classes.changes()?.map(|all| all.len()), Some(0)); // The first answer comes at once.
/// # let class = AssetClass { id: "cold".into(), name: "Cold chain".into(), ..AssetClass::default() };
/// replica.records().of().put(&class)?;
/// while let Some(page) = classes.wait(Duration::from_secs(1))? {
///     println!("{} classes", page.len());
/// }
/// # Ok::<(), sync_core::Error>(())
/// ```
pub struct QueryWatch<T> {
    watch: Watch,
    records: Records,
    table: TableName,
    query: Query,
    /// Reads a found record.
    read: fn(RecordId, RecordData) -> Result<T>,
    /// The last answer that was reported.
    last: Option<Arc<Vec<(RecordId, RecordData)>>>,
    /// The query has to run again.
    is_due: bool,
}

impl<T> fmt::Debug for QueryWatch<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueryWatch").field("table", &self.table).field("query", &self.query).finish_non_exhaustive()
    }
}

impl<T> Clone for QueryWatch<T> {
    fn clone(&self) -> Self {
        let Self { watch, records, table, query, read, last, is_due } = self;
        let (watch, records, table) = (watch.clone(), records.clone(), table.clone());
        Self { watch, records, table, query: query.clone(), read: *read, last: last.clone(), is_due: *is_due }
    }
}

impl<T: TypedRecord> QueryWatch<T> {
    /// `watch` began before anything was read.
    pub(crate) fn of_values(watch: Watch, records: Records, query: Query) -> Self {
        Self::new(watch, records, T::TYPE.table.into(), query, |id, data| read(&id, &data))
    }
}

impl<T: TypedRecord> QueryWatch<Result<T>> {
    /// `watch` began before anything was read.
    pub(crate) fn of_results(watch: Watch, records: Records, query: Query) -> Self {
        Self::new(watch, records, T::TYPE.table.into(), query, |id, data| Ok(read(&id, &data)))
    }
}

impl QueryWatch<(RecordId, RecordData)> {
    /// `watch` began before anything was read.
    pub(crate) fn of_documents(watch: Watch, records: Records, table: TableName, query: Query) -> Self {
        Self::new(watch, records, table, query, |id, data| Ok((id, data)))
    }
}

impl<T> QueryWatch<T> {
    fn new(
        watch: Watch,
        records: Records,
        table: TableName,
        query: Query,
        read: fn(RecordId, RecordData) -> Result<T>,
    ) -> Self {
        let watch = watch.only([table.clone()]);
        Self { watch, records, table, query, read, last: None, is_due: true }
    }

    /// Looks at the database this often while it waits, instead of ten times a second.
    #[must_use]
    pub fn every(self, interval: Duration) -> Self {
        Self { watch: self.watch.every(interval), ..self }
    }

    #[cfg(feature = "tokio")]
    pub(crate) fn interval(&self) -> Duration {
        self.watch.interval
    }

    /// The answer, if it differs from the last one that was reported; `None` if it does not. The first call gives the first answer.
    ///
    /// # Errors
    /// Those of [`TypedRecords::find`](crate::TypedRecords::find), or [`Records::find`] for documents. The next call asks again.
    pub fn changes(&mut self) -> Result<Option<Vec<T>>> {
        while self.watch.changes()?.is_some() {
            self.is_due = true;
        }
        if self.is_due { self.ask() } else { Ok(None) }
    }

    /// The same, but waits for an answer that differs, for this time at most.
    ///
    /// # Errors
    /// As [`changes`](Self::changes).
    pub fn wait(&mut self, most: Duration) -> Result<Option<Vec<T>>> {
        let clock = self.watch.clock.clone();
        let until = clock.monotonic().saturating_add(most);
        loop {
            if let Some(answer) = self.changes()? {
                return Ok(Some(answer));
            }
            let left = until.saturating_sub(clock.monotonic());
            if left.is_zero() {
                return Ok(None);
            }
            clock.sleep(left.min(self.watch.interval));
        }
    }

    fn ask(&mut self) -> Result<Option<Vec<T>>> {
        let found = self.records.find(&self.table, &self.query)?;
        let answer = match self.last.as_deref() == Some(&found) {
            true => None,
            false => Some(found.iter().cloned().map(|(id, data)| (self.read)(id, data)).collect::<Result<_>>()?),
        };
        (self.last, self.is_due) = (Some(Arc::new(found)), false);
        Ok(answer)
    }
}
