//! The front as futures, for hosts that run on tokio. The engine itself stays blocking: each call works on a thread that tokio
//! keeps for such work, and the runtime goes on meanwhile.
//!
//! A future that is dropped cancels its call: one that did not begin is not made; a cycle ends within two seconds, what it
//! did stays; a transaction that runs is finished, because half of one would be worse. Until a dropped cycle has ended, another cycle of
//! this process waits for it, whichever way it is called: by a future, by [`AsyncSite::blocking`], by another [`Replica`] over the same
//! database. In another process it is [`Error::CycleRunning`], which passes as soon as the cycle has ended.
//!
//! A watch takes such a thread only while it looks at the database, and sleeps in between: any number of them may wait.
//!
//! ```no_run
//! # #[cfg(not(all(feature = "sqlite", feature = "http")))]
//! # fn main() {}
//! # #[cfg(all(feature = "sqlite", feature = "http"))]
//! # fn main() {
//! use std::sync::Arc;
//! use std::time::Duration;
//!
//! use sync_core::record::{Asset, Query};
//! use sync_core::transport::HttpTransport;
//! use sync_core::{Replica, SyncOptions};
//!
//! async fn refresh(replica: &Replica) -> sync_core::Result<Vec<Asset>> {
//!     let replica = replica.asynchronous();
//!     let site = replica.site(Arc::new(HttpTransport::default()));
//!     // A select or a timeout of the host that drops this future ends the cycle.
//!     site.sync(SyncOptions::default().max_time(Duration::from_secs(25))).await?.into_result()?;
//!     replica.find(Query::new().is_null("deleted_datetime")).await
//! }
//! # }
//! ```

mod work;

use std::sync::Arc;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::files::Files;
use crate::record::{Cursor, Query, RecordData, RecordId, TableName, TypedId, TypedRecord};
use crate::replica::Replica;
use crate::site::{
    Discovered, FilesOptions, FilesReport, KeptConflict, NoopObserver, Settings, Site, SyncObserver, SyncOptions,
    SyncReport,
};
use crate::support::Status;
use crate::transport::Transport;
use crate::watch::{ChangeBatch, QueryWatch, Watch};
use crate::write::record_write::RecordWrite;
use crate::write::transaction::Transaction;
use work::{blocking, observed};

/// A [`Replica`] whose calls are futures. A clone is the same replica.
#[derive(Debug, Clone)]
pub struct AsyncReplica {
    replica: Replica,
}

/// A [`Site`] whose calls are futures.
#[derive(Debug, Clone)]
pub struct AsyncSite {
    site: Site,
}

/// A [`Watch`] that is awaited.
#[derive(Debug)]
pub struct AsyncWatch {
    watch: Watch,
}

/// A [`QueryWatch`] that is awaited.
///
/// ```no_run
/// use sync_core::Replica;
/// use sync_core::record::{Asset, Query};
///
/// async fn show_list(replica: &Replica) -> sync_core::Result<()> {
///     let mut assets = replica.asynchronous().watch_query::<Asset>(Query::new().order_by("asset_number").limit(50)).await?;
///     loop {
///         // The first answer comes at once. A `select!` that drops this future loses none.
///         println!("{} assets", assets.changes().await?.len());
///     }
/// }
/// ```
#[derive(Debug)]
pub struct AsyncQueryWatch<T> {
    watch: QueryWatch<T>,
}

impl Replica {
    /// The same replica, with calls that are futures. They need a runtime of tokio; a watch also needs its time
    /// (`enable_time` or `enable_all` of a builder, which `#[tokio::main]` calls).
    pub fn asynchronous(&self) -> AsyncReplica {
        AsyncReplica { replica: self.clone() }
    }
}

impl AsyncReplica {
    /// The same replica, with calls that block.
    pub fn blocking(&self) -> &Replica {
        &self.replica
    }

    /// Makes any calls of the front that have no future here, on a thread for such work: documents by the name of their table
    /// ([`Replica::records`]), queries in SQL, files ([`Replica::files`]), settings, the list of sites, the support desk.
    ///
    /// # Errors
    /// The error of `work`. A result with an error of the app's own type is returned within the `Ok` of `work`.
    pub async fn run<T: Send + 'static>(&self, work: impl FnOnce(&Replica) -> Result<T> + Send + 'static) -> Result<T> {
        let replica = self.replica.clone();
        blocking(move || work(&replica)).await
    }

    /// As [`TypedRecords::get`](crate::TypedRecords::get).
    ///
    /// # Errors
    /// As there.
    pub async fn get<T: TypedRecord + Send + 'static>(&self, id: impl Into<TypedId<T>>) -> Result<Option<T>> {
        Ok(self.get_with_position(id).await?.0)
    }

    /// As [`TypedRecords::get_with_position`](crate::TypedRecords::get_with_position).
    ///
    /// # Errors
    /// As there.
    pub async fn get_with_position<T: TypedRecord + Send + 'static>(
        &self,
        id: impl Into<TypedId<T>>,
    ) -> Result<(Option<T>, Cursor)> {
        let id = id.into();
        self.run(move |replica| replica.records().of::<T>().get_with_position(id)).await
    }

    /// As [`TypedRecords::list`](crate::TypedRecords::list).
    ///
    /// # Errors
    /// As there.
    pub async fn list<T: TypedRecord + Send + 'static>(
        &self,
        after: Option<TypedId<T>>,
        limit: usize,
    ) -> Result<Vec<T>> {
        self.run(move |replica| replica.records().of::<T>().list(after.as_ref(), limit)).await
    }

    /// As [`TypedRecords::find`](crate::TypedRecords::find).
    ///
    /// # Errors
    /// As there.
    pub async fn find<T: TypedRecord + Send + 'static>(&self, query: Query) -> Result<Vec<T>> {
        self.run(move |replica| replica.records().of::<T>().find(&query)).await
    }

    /// As [`TypedRecords::try_list`](crate::TypedRecords::try_list).
    ///
    /// # Errors
    /// As there.
    pub async fn try_list<T: TypedRecord + Send + 'static>(
        &self,
        after: Option<TypedId<T>>,
        limit: usize,
    ) -> Result<Vec<Result<T>>> {
        self.run(move |replica| replica.records().of::<T>().try_list(after.as_ref(), limit)).await
    }

    /// As [`TypedRecords::try_find`](crate::TypedRecords::try_find).
    ///
    /// # Errors
    /// As there.
    pub async fn try_find<T: TypedRecord + Send + 'static>(&self, query: Query) -> Result<Vec<Result<T>>> {
        self.run(move |replica| replica.records().of::<T>().try_find(&query)).await
    }

    /// As [`TypedRecords::count`](crate::TypedRecords::count).
    ///
    /// # Errors
    /// As there.
    pub async fn count<T: TypedRecord>(&self, query: Query) -> Result<u64> {
        self.run(move |replica| replica.records().of::<T>().count(&query)).await
    }

    /// As [`TypedRecords::put`](crate::TypedRecords::put).
    ///
    /// # Errors
    /// As there.
    pub async fn put<T: TypedRecord + Send + 'static>(&self, record: T) -> Result<()> {
        self.run(move |replica| replica.records().of().put(&record)).await
    }

    /// As [`TypedRecords::update`](crate::TypedRecords::update).
    ///
    /// # Errors
    /// As there.
    pub async fn update<T: TypedRecord>(
        &self,
        id: impl Into<TypedId<T>>,
        edit: impl FnOnce(&mut T) -> Result<()> + Send + 'static,
    ) -> Result<()> {
        let id = id.into();
        self.run(move |replica| replica.records().of().update(id, edit)).await
    }

    /// As [`TypedRecords::delete`](crate::TypedRecords::delete).
    ///
    /// # Errors
    /// As there.
    pub async fn delete<T: TypedRecord>(&self, id: impl Into<TypedId<T>>) -> Result<()> {
        let id = id.into();
        self.run(move |replica| replica.records().of::<T>().delete(id)).await
    }

    /// As [`Replica::write`]: what `edit` writes takes effect together. It is a closure that does not await, so no writer ever
    /// waits for a future.
    ///
    /// # Errors
    /// As there.
    pub async fn write<T: Send + 'static>(
        &self,
        edit: impl FnOnce(&Transaction<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.run(move |replica| replica.write(edit)).await
    }

    /// As [`Replica::write_with`], for errors of the app's own type.
    ///
    /// # Errors
    /// As there.
    pub async fn write_with<T: Send + 'static, E: From<Error> + Send + 'static>(
        &self,
        edit: impl FnOnce(&Transaction<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E> {
        self.run(move |replica| Ok(replica.write_with(edit))).await?
    }

    /// As [`Records::apply`](crate::Records::apply): writes a list, values and documents, each perhaps
    /// [only if nobody changed the record](RecordWrite::unchanged_since).
    ///
    /// # Errors
    /// As there.
    pub async fn apply(&self, writes: Vec<RecordWrite>) -> Result<Vec<RecordId>> {
        self.run(move |replica| replica.records().apply(writes)).await
    }

    /// As [`Replica::conflicts`].
    ///
    /// # Errors
    /// As there.
    pub async fn conflicts(&self) -> Result<Vec<KeptConflict>> {
        self.run(Replica::conflicts).await
    }

    /// As [`Replica::status`].
    ///
    /// # Errors
    /// As there.
    pub async fn status(&self) -> Result<Status> {
        self.run(Replica::status).await
    }

    /// As [`Replica::watch`].
    ///
    /// # Errors
    /// As there.
    pub async fn watch(&self) -> Result<AsyncWatch> {
        self.run(Replica::watch).await.map(AsyncWatch::from)
    }

    /// As [`Replica::watch_from`].
    pub fn watch_from(&self, position: Cursor) -> AsyncWatch {
        self.replica.watch_from(position).into()
    }

    /// As [`Replica::watch_query`].
    ///
    /// # Errors
    /// As there.
    pub async fn watch_query<T: TypedRecord + Send>(&self, query: Query) -> Result<AsyncQueryWatch<T>> {
        self.run(move |replica| replica.watch_query(query)).await.map(AsyncQueryWatch::from)
    }

    /// As [`Replica::try_watch_query`].
    ///
    /// # Errors
    /// As there.
    pub async fn try_watch_query<T: TypedRecord + Send>(&self, query: Query) -> Result<AsyncQueryWatch<Result<T>>> {
        self.run(move |replica| replica.try_watch_query(query)).await.map(AsyncQueryWatch::from)
    }

    /// As [`Replica::watch_documents`].
    ///
    /// # Errors
    /// As there.
    pub async fn watch_documents(
        &self,
        table: impl Into<TableName>,
        query: Query,
    ) -> Result<AsyncQueryWatch<(RecordId, RecordData)>> {
        let table = table.into();
        self.run(move |replica| replica.watch_documents(table, query)).await.map(AsyncQueryWatch::from)
    }

    /// The remote site, as [`Replica::site`].
    pub fn site(&self, transport: Arc<dyn Transport>) -> AsyncSite {
        self.replica.site(transport).into()
    }
}

impl From<Site> for AsyncSite {
    fn from(site: Site) -> Self {
        Self { site }
    }
}

impl AsyncSite {
    /// The same site, with calls that block. A cycle, or a run over files, waits for a dropped one that is still ending.
    pub fn blocking(&self) -> &Site {
        &self.site
    }

    /// Makes any calls of the site that have no future here, on a thread for such work. Dropped, the observer that the closure gets ends
    /// the call that it is given to, and requests that are on their way, as in [`sync`](Self::sync).
    ///
    /// By it go [`discover`](Site::discover), [`probe_central`](Site::probe_central), [`confirm_central_url`](Site::confirm_central_url),
    /// the calls for one patient ([`pull_patient`](Site::pull_patient) and others), the support desk, and
    /// [`set_up`](Site::set_up) and [`sync_files`](Site::sync_files) with an observer of the host, which passes each event on:
    ///
    /// ```no_run
    /// use sync_core::asynchronous::AsyncSite;
    /// use sync_core::record::NameId;
    /// use sync_core::{SyncEvent, SyncReport};
    ///
    /// async fn bring(site: &AsyncSite, patient: NameId, show: fn(&SyncEvent)) -> sync_core::Result<SyncReport> {
    ///     site.run(move |site, ending| {
    ///         site.pull_patient(&patient, &mut |event: &SyncEvent| {
    ///             show(event);
    ///             ending.on_event(event)
    ///         })
    ///     })
    ///     .await
    /// }
    /// ```
    ///
    /// # Errors
    /// The error of `work`; [`Error::Cancelled`] if the runtime shuts down.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Site, &mut dyn SyncObserver) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        observed(&self.site, NoopObserver, work).await
    }

    /// As [`Site::set_up`].
    ///
    /// # Errors
    /// As there; [`Error::Cancelled`] if the runtime shuts down.
    pub async fn set_up(&self, settings: Settings) -> Result<Discovered> {
        observed(&self.site, NoopObserver, move |site, observer| site.set_up(&settings, observer)).await
    }

    /// As [`Site::sync`]. Dropped, it ends the cycle. A cycle that comes while a dropped one is still ending waits for its end.
    ///
    /// # Errors
    /// As there; [`Error::Cancelled`] if the runtime shuts down.
    pub async fn sync(&self, options: SyncOptions) -> Result<SyncReport> {
        self.sync_observed(options, NoopObserver).await
    }

    /// As [`sync`](Self::sync), with an observer, which is called on the thread of the cycle.
    ///
    /// # Errors
    /// As [`sync`](Self::sync).
    pub async fn sync_observed(
        &self,
        options: SyncOptions,
        observer: impl SyncObserver + Send + 'static,
    ) -> Result<SyncReport> {
        observed(&self.site, observer, move |site, observer| site.sync(&options, observer)).await
    }

    /// As [`Site::sync_files`]. Dropped, it ends the file that is on its way; received bytes stay.
    ///
    /// # Errors
    /// As there; [`Error::Cancelled`] if the runtime shuts down.
    pub async fn sync_files(&self, files: Files, options: FilesOptions) -> Result<FilesReport> {
        observed(&self.site, NoopObserver, move |site, observer| site.sync_files(&files, &options, observer)).await
    }
}

impl From<Watch> for AsyncWatch {
    fn from(watch: Watch) -> Self {
        Self { watch }
    }
}

impl AsyncWatch {
    /// As [`Watch::only`].
    #[must_use]
    pub fn only<N: Into<TableName>>(self, tables: impl IntoIterator<Item = N>) -> Self {
        self.watch.only(tables).into()
    }

    /// As [`Watch::every`].
    #[must_use]
    pub fn every(self, interval: Duration) -> Self {
        self.watch.every(interval).into()
    }

    /// The next changes. Dropped, it loses none: the next call brings them.
    ///
    /// # Errors
    /// The database failed; [`Error::Cancelled`] if the runtime shuts down.
    pub async fn changes(&mut self) -> Result<ChangeBatch> {
        found(&mut self.watch, Watch::changes, Watch::interval).await
    }

    /// Where to go on after a restart, as [`Watch::position`].
    pub fn position(&self) -> Cursor {
        self.watch.position()
    }
}

impl<T> From<QueryWatch<T>> for AsyncQueryWatch<T> {
    fn from(watch: QueryWatch<T>) -> Self {
        Self { watch }
    }
}

impl<T: Send + 'static> AsyncQueryWatch<T> {
    /// As [`QueryWatch::every`].
    #[must_use]
    pub fn every(self, interval: Duration) -> Self {
        self.watch.every(interval).into()
    }

    /// The next answer that differs from the one before; the first one at once. Dropped, it loses none: the next call brings it.
    ///
    /// # Errors
    /// Those of [`TypedRecords::find`](crate::TypedRecords::find), after which the next call asks again; [`Error::Cancelled`] if the
    /// runtime shuts down.
    pub async fn changes(&mut self) -> Result<Vec<T>> {
        found(&mut self.watch, QueryWatch::changes, QueryWatch::interval).await
    }
}

/// Looks, on a thread for such work, until something is found, and holds no thread in between. What a look finds after its future was
/// dropped is found again, because only the copy of the watch has seen it.
async fn found<W: Clone + Send + 'static, F: Send + 'static>(
    watch: &mut W,
    look: fn(&mut W) -> Result<Option<F>>,
    interval: fn(&W) -> Duration,
) -> Result<F> {
    loop {
        let mut looking = watch.clone();
        let (looked, found) = blocking(move || look(&mut looking).map(|found| (looking, found))).await?;
        *watch = looked;
        if let Some(found) = found {
            return Ok(found);
        }
        tokio::time::sleep(interval(watch)).await;
    }
}
