//! The one front of a database: what an app opens, and what it does there.

mod builder;
#[cfg(feature = "sqlite")]
mod file;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

#[cfg(feature = "central")]
use crate::central::{
    Central, LegacyAuthenticator, LocalAuthenticator, SiteAuthenticator, SiteList, SiteRegistry, Store, stores,
};
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::files::Files;
use crate::integrate::kept_conflicts;
use crate::record::{Cursor, Query, RecordData, RecordId, TableName, TypedRecord};
use crate::role::Role;
use crate::site::device::Device;
use crate::site::identity::is_central_unconfirmed;
use crate::site::{KeptConflict, Resolvers, Settings, Site};
use crate::storage::{Storage, state};
#[cfg(feature = "support")]
use crate::support::Support;
use crate::support::{OtherCopy, Status, other_copy, status};
use crate::transport::Transport;
use crate::watch::{QueryWatch, Watch};
use crate::write::records::Records;
use crate::write::transaction::Transaction;

pub use builder::ReplicaBuilder;

#[cfg(feature = "sqlite")]
use crate::storage::SqliteStorage;

/// A database that takes part in synchronisation: what an app opens first, and what everything else hangs on.
///
/// A clone is the same replica, and any thread may use it. Nothing runs in the background: each call does its work on the thread
/// that makes it.
///
/// ```no_run
/// # #[cfg(not(feature = "sqlite"))]
/// # fn main() {}
/// # #[cfg(feature = "sqlite")]
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use sync_core::Replica;
///
/// let replica = Replica::open("clinic.sqlite")?;
/// println!("{} records wait to be pushed", replica.status()?.waiting.records);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Replica {
    parts: Arc<Parts>,
}

/// What the clones of a replica share.
struct Parts {
    storage: Arc<dyn Storage>,
    /// The same storage, if it is a file.
    #[cfg(feature = "sqlite")]
    file: Option<Arc<SqliteStorage>>,
    clock: Arc<dyn Clock>,
    device: Device,
    resolvers: Resolvers,
}

impl fmt::Debug for Replica {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replica").field("path", &self.path()).finish_non_exhaustive()
    }
}

impl Replica {
    /// Opens a database file, and makes it if it does not exist. [`builder`](Self::builder) has more to choose from.
    ///
    /// # Errors
    /// As [`SqliteStorage::open`].
    #[cfg(feature = "sqlite")]
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Self::builder().open(path)
    }

    /// A replica over a storage of the host's own.
    pub fn with_storage(storage: Arc<dyn Storage>) -> Self {
        Self::builder().with_storage(storage)
    }

    /// Chooses what is not as usual, and then opens.
    pub fn builder() -> ReplicaBuilder {
        ReplicaBuilder::default()
    }

    /// Reads and writes records.
    pub fn records(&self) -> Records {
        Records::new(self.parts.storage.clone(), self.parts.clock.clone())
    }

    /// Writes records of several tables together: all that `edit` writes takes effect, or nothing. Its reads see its writes.
    /// No other writer, a pull among them, comes between; others wait, so keep it short, and do not use this replica
    /// inside it, but the transaction. Do not wait in it for a thread that writes, either: that thread waits for this
    /// transaction, and gets [`Error::DatabaseBusy`](crate::Error::DatabaseBusy) after a minute.
    ///
    /// ```
    /// use sync_core::record::{AssetCategory, AssetClass};
    /// # use std::sync::Arc;
    /// # use sync_core::{Replica, storage::MemoryStorage};
    /// # let replica = Replica::with_storage(Arc::new(MemoryStorage::new()));
    /// # replica.site_registry()?;
    /// let class = AssetClass { id: "cold".into(), name: "Cold chain".into(), ..AssetClass::default() };
    /// let (id, name, class_id) = ("fridges".into(), "Fridges".into(), class.id.clone());
    /// replica.write(|txn| {
    ///     txn.of().put(&class)?;
    ///     txn.of().put(&AssetCategory { id, name, class_id, ..AssetCategory::default() })
    /// })?;
    /// # Ok::<(), sync_core::Error>(())
    /// ```
    ///
    /// Any `Err` from `edit` undoes everything: [`Error::bad_input`](crate::Error::bad_input) with a text, or any other. For errors of the
    /// app's own type there is [`write_with`](Self::write_with).
    ///
    /// # Errors
    /// The error of `edit`, or the first error of a call in it; nothing was written then. The database failed.
    pub fn write<T>(&self, edit: impl FnOnce(&Transaction<'_>) -> Result<T>) -> Result<T> {
        self.write_with(edit)
    }

    /// As [`write`](Self::write), where `edit` fails with an error of the app's own type: it comes back as it is, and nothing was written.
    /// The type has a `From` for the errors of this library, so that `?` works in `edit`, as in the other functions of the app. The
    /// compiler may have to be told which type it is: by the result of `edit`, as here, or by `write_with::<_, ClinicError>`.
    ///
    /// ```
    /// use sync_core::record::AssetClass;
    /// # use std::sync::Arc;
    /// # use sync_core::{Replica, storage::MemoryStorage};
    /// # let replica = Replica::with_storage(Arc::new(MemoryStorage::new()));
    /// # replica.site_registry()?;
    /// enum ClinicError {
    ///     TooMany(u64),
    ///     Sync(sync_core::Error),
    /// }
    ///
    /// impl From<sync_core::Error> for ClinicError {
    ///     fn from(error: sync_core::Error) -> Self {
    ///         Self::Sync(error)
    ///     }
    /// }
    ///
    /// let written = replica.write_with(|txn| -> Result<(), ClinicError> {
    ///     txn.of().put(&AssetClass { id: "cold".into(), name: "Cold chain".into(), ..AssetClass::default() })?;
    ///     match txn.of::<AssetClass>().count(&Default::default())? {
    ///         0 => Ok(()),
    ///         classes => Err(ClinicError::TooMany(classes)),
    ///     }
    /// });
    /// match written {
    ///     Ok(()) => println!("saved"),
    ///     Err(ClinicError::TooMany(classes)) => println!("{classes} classes are too many: nothing was written"),
    ///     Err(ClinicError::Sync(error)) => return Err(error),
    /// }
    /// # assert_eq!(replica.records().of::<AssetClass>().count(&Default::default())?, 0);
    /// # Ok::<(), sync_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`write`](Self::write). An `Ok` of `edit` after a call that failed is the error of that call.
    pub fn write_with<T, E: From<Error>>(&self, edit: impl FnOnce(&Transaction<'_>) -> Result<T, E>) -> Result<T, E> {
        self.records().write(edit)
    }

    /// Follows what changes from now on, whoever writes it.
    ///
    /// # Errors
    /// The database failed.
    pub fn watch(&self) -> Result<Watch> {
        Ok(self.watch_from(self.records().position()?))
    }

    /// Follows what changed from a position on, which is one of [`Watch::position`]; from `Cursor(0)` it begins with every
    /// record that is here.
    pub fn watch_from(&self, position: Cursor) -> Watch {
        Watch::new(self.parts.storage.clone(), self.parts.clock.clone(), position)
    }

    /// Follows the answer to a query, whoever writes the records. One record that cannot be read makes each answer with it an error;
    /// [`try_watch_query`](Self::try_watch_query) gives the others.
    ///
    /// # Errors
    /// The database failed. A field that the type does not have is an error of the first answer.
    pub fn watch_query<T: TypedRecord>(&self, query: Query) -> Result<QueryWatch<T>> {
        Ok(QueryWatch::of_values(self.watch()?, self.records(), query))
    }

    /// As [`watch_query`](Self::watch_query), where one record that cannot be read does not hide the others, as in
    /// [`TypedRecords::try_find`](crate::TypedRecords::try_find).
    ///
    /// # Errors
    /// As [`watch_query`](Self::watch_query).
    pub fn try_watch_query<T: TypedRecord>(&self, query: Query) -> Result<QueryWatch<Result<T>>> {
        Ok(QueryWatch::of_results(self.watch()?, self.records(), query))
    }

    /// The same for documents by the name of their table, each with its id.
    ///
    /// # Errors
    /// As [`watch_query`](Self::watch_query).
    pub fn watch_documents(
        &self,
        table: impl Into<TableName>,
        query: Query,
    ) -> Result<QueryWatch<(RecordId, RecordData)>> {
        Ok(QueryWatch::of_documents(self.watch()?, self.records(), table.into(), query))
    }

    /// The newest conflicts, the newest first: records that were edited here while another version of them came, each with the version that
    /// did not stay. For a screen on which a person compares the two and perhaps edits the record again. The last conflict of
    /// each of 100 records is kept, and half a megabyte of versions; the oldest make room.
    ///
    /// An edit that central [did not take](crate::site::CentralRefusal) is among them too, once another version has replaced it here.
    ///
    /// Only a pull finds conflicts, and a whole cycle pushes first. An edit that it pushes replaces central's version, which is
    /// then not among these; see [`ReplicaBuilder::resolver`].
    ///
    /// ```
    /// use sync_core::record::Asset;
    /// # use std::sync::Arc;
    /// # use sync_core::{Replica, storage::MemoryStorage};
    /// # let replica = Replica::with_storage(Arc::new(MemoryStorage::new()));
    /// for kept in replica.conflicts()? {
    ///     let conflict = &kept.conflict;
    ///     println!("{} {} differs in {}", conflict.table, conflict.id, conflict.differs.join(", "));
    ///     if let Some(theirs) = kept.received_as::<Asset>() {
    ///         println!("the version of {} had the notes {:?}", conflict.from, theirs.notes);
    ///     }
    /// }
    /// # Ok::<(), sync_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// The database failed.
    pub fn conflicts(&self) -> Result<Vec<KeptConflict>> {
        kept_conflicts(self.parts.storage.read()?.as_ref())
    }

    /// The remote site: sets the database up and synchronises it. Its requests go through `transport`.
    pub fn site(&self, transport: Arc<dyn Transport>) -> Site {
        let Parts { storage, clock, device, resolvers, .. } = self.parts.as_ref();
        Site::new(storage.clone(), transport, clock.clone(), device.clone(), resolvers.clone())
    }

    /// The files of records, whose bytes lie in this folder. For a database file, take
    /// [`Files::folder_of`](crate::files::Files::folder_of), as the program `oms-sync` does.
    pub fn files(&self, folder: impl Into<PathBuf>) -> Files {
        Files::new(self.parts.storage.clone(), self.parts.clock.clone(), folder)
    }

    #[cfg(feature = "central")]
    /// A central server that lets sites in as `authenticator` says.
    pub fn central(&self, authenticator: Arc<dyn SiteAuthenticator>) -> Central {
        Central::new(self.parts.storage.clone(), self.parts.clock.clone(), authenticator)
    }

    #[cfg(feature = "central")]
    /// A central server that needs no legacy server: it keeps the list of sites itself
    /// ([`site_registry`](Self::site_registry)) and answers the V5 requests that a site sends first.
    pub fn stand_alone_central(&self) -> Central {
        Central::stand_alone(self.parts.storage.clone(), self.parts.clock.clone())
    }

    #[cfg(feature = "central")]
    /// Lets sites in at a central server as the legacy server says, which is asked through `transport`.
    pub fn legacy_authenticator(&self, transport: Arc<dyn Transport>) -> LegacyAuthenticator {
        LegacyAuthenticator::new(self.parts.storage.clone(), transport, self.parts.clock.clone())
    }

    #[cfg(feature = "central")]
    /// Lets sites in at a central server as the local list of sites says.
    pub fn local_authenticator(&self) -> LocalAuthenticator {
        LocalAuthenticator::new(self.parts.storage.clone(), self.parts.clock.clone())
    }

    #[cfg(feature = "central")]
    /// The local list of sites and stores. The first call makes the database that of a central server without a legacy
    /// server.
    ///
    /// # Errors
    /// The database is a site's, or the legacy server keeps its list.
    pub fn site_registry(&self) -> Result<SiteRegistry> {
        SiteRegistry::open(self.parts.storage.clone(), self.parts.clock.clone())
    }

    #[cfg(feature = "central")]
    /// Who keeps the list of sites to which this database belongs; `None` before that is known.
    ///
    /// # Errors
    /// The database failed.
    pub fn site_list(&self) -> Result<Option<SiteList>> {
        SiteList::of(self.parts.storage.as_ref())
    }

    #[cfg(feature = "central")]
    /// All stores that are known here, by id. On a central server these are the stores of every site.
    ///
    /// # Errors
    /// The database failed.
    pub fn stores(&self) -> Result<Vec<Store>> {
        stores(self.parts.storage.as_ref())
    }

    /// The part that this database plays; `None` before it is set up.
    ///
    /// # Errors
    /// The database failed.
    pub fn role(&self) -> Result<Option<Role>> {
        state::role(self.parts.storage.read()?.as_ref())
    }

    /// With which settings this database was set up as a site; `None` if it was not.
    ///
    /// # Errors
    /// [`Error::SecretMissing`](crate::Error::SecretMissing), [`Error::SecretsFailed`](crate::Error::SecretsFailed) where the host keeps
    /// the [secrets](ReplicaBuilder::secrets); the database failed.
    pub fn settings(&self) -> Result<Option<Settings>> {
        let txn = self.parts.storage.read()?;
        let txn = txn.as_ref();
        let secrets = &self.parts.device.secrets;
        let known = (state::LEGACY_URL.find(txn)?, state::SITE_NAME.find(txn)?, secrets.password(txn)?);
        let (Some(legacy_url), Some(site_name), Some(password)) = known else { return Ok(None) };
        let hardware_id = state::HARDWARE_ID.find(txn)?.map(|here| secrets.hardware_id(here)).transpose()?;
        let https_only = Some(state::HTTPS_ONLY.get(txn)?);
        Ok(Some(Settings { legacy_url, site_name, password, hardware_id, https_only }))
    }

    /// True while the address of central that the legacy server gave last waits for
    /// [`Site::confirm_central_url`]: a cycle sends nothing there before.
    ///
    /// # Errors
    /// The database failed.
    pub fn is_central_unconfirmed(&self) -> Result<bool> {
        is_central_unconfirmed(self.parts.storage.read()?.as_ref())
    }

    /// How this database stands: who it is, what waits to be pushed, how the last cycle ended.
    ///
    /// # Errors
    /// The database failed.
    pub fn status(&self) -> Result<Status> {
        status(self.parts.storage.as_ref(), self.parts.clock.now())
    }

    /// Another copy of this site's database, if central or the watermark has seen one; as in [`status`](Self::status), which reads more.
    ///
    /// # Errors
    /// The database failed.
    pub fn other_copy(&self) -> Result<Option<OtherCopy>> {
        let storage = self.parts.storage.as_ref();
        other_copy(storage, storage.read()?.as_ref(), self.parts.clock.now())
    }

    #[cfg(feature = "support")]
    /// Explains and repairs this database. What the servers are asked for is at [`Site::support`].
    pub fn support(&self) -> Support {
        Support::new(self.parts.storage.clone(), self.parts.clock.clone(), self.parts.resolvers.clone())
    }

    /// The storage below, for what this front has no call for.
    pub fn storage(&self) -> &Arc<dyn Storage> {
        &self.parts.storage
    }

    /// The clock.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.parts.clock
    }

    /// The file of the database, without symbolic links; `None` for a storage that is no file.
    pub fn path(&self) -> Option<&Path> {
        #[cfg(feature = "sqlite")]
        return self.parts.file.as_ref().map(|file| file.path());
        #[cfg(not(feature = "sqlite"))]
        return None;
    }
}

#[cfg(all(test, feature = "central"))]
mod tests {
    use super::*;
    use crate::storage::MemoryStorage;

    fn any_thread<T: Clone + Send + Sync + 'static>(_: &T) {}

    #[test]
    fn a_clone_is_the_same_replica_on_any_thread() {
        let replica = Replica::with_storage(Arc::new(MemoryStorage::new()));
        any_thread(&replica);
        assert_eq!((replica.role().unwrap(), replica.path()), (None, None));
        let list = replica.clone().site_registry().unwrap();
        assert_eq!(replica.role().unwrap(), Some(Role::Central));
        assert_eq!(list.list().unwrap().len(), 0);
        assert_eq!(replica.site_list().unwrap(), Some(SiteList::Local));
        assert!(replica.settings().unwrap().is_none() && replica.stores().unwrap().is_empty());
    }

    #[cfg(feature = "sqlite")]
    #[test]
    fn a_file_is_made_or_must_be_there_or_is_only_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.sqlite");
        assert_eq!(Replica::builder().open_existing(&path).unwrap_err().code(), "no_database");
        let tables = "CREATE TABLE IF NOT EXISTS mine (id TEXT)";
        for _ in 0..2 {
            let replica = Replica::builder().host_tables(tables).open(&path).unwrap();
            replica.check_in_place().unwrap();
            assert_eq!(replica.path(), Some(std::fs::canonicalize(&path).unwrap().as_path()));
        }
        let wrong = Replica::builder().host_tables("CREATE").open(&path).unwrap_err();
        assert_eq!(wrong.code(), "bad_input", "a mistake of the host");
        let read = Replica::builder().open_to_read(&path).unwrap();
        assert_eq!(read.site_registry().err().map(|error| error.code()), Some("database_read_only"));
        read.back_up(&folder.path().join("copy.sqlite")).unwrap();
        Replica::builder().open_existing(folder.path().join("copy.sqlite")).unwrap();
        let memory = Replica::with_storage(Arc::new(MemoryStorage::new()));
        assert_eq!(memory.back_up(&folder.path().join("none.sqlite")).unwrap_err().code(), "bad_input");
    }
}
