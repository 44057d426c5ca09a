//! The choices of a host before it opens a database.

use std::collections::BTreeMap;
use std::fmt;
#[cfg(all(feature = "sqlite", feature = "postgres"))]
use std::ops::ControlFlow;
#[cfg(feature = "sqlite")]
use std::path::Path;
use std::sync::Arc;

use super::{Parts, Replica};
use crate::clock::{Clock, SystemClock};
#[cfg(feature = "sqlite")]
use crate::error::{Error, Result};
use crate::machine::Machine;
use crate::protocol::AppIdentity;
use crate::record::TableName;
#[cfg(feature = "sqlite")]
use crate::record::is_known_table;
use crate::site::device::Device;
use crate::site::secrets::Secrets;
use crate::site::{ConflictResolver, Resolvers, SecretStore};
use crate::storage::Storage;

#[cfg(all(doc, not(feature = "sqlite")))]
use crate::error::Error;
#[cfg(feature = "sqlite")]
use crate::storage::{DatabaseKey, RecordHook, SqliteStorage};
#[cfg(all(feature = "sqlite", feature = "postgres"))]
use crate::storage::{MigrationEnd, MigrationProgress, MigrationReport};
#[cfg(all(feature = "sqlite", feature = "support"))]
use crate::support::doctor::{Check, examine_file};

/// Chooses how a [`Replica`] is opened.
#[derive(Default)]
pub struct ReplicaBuilder {
    clock: Option<Arc<dyn Clock>>,
    device: Device,
    resolvers: BTreeMap<TableName, Arc<dyn ConflictResolver>>,
    #[cfg(feature = "sqlite")]
    hook: Option<Box<dyn RecordHook>>,
    #[cfg(feature = "sqlite")]
    is_without_hook: bool,
    #[cfg(feature = "sqlite")]
    tables: Option<String>,
    #[cfg(feature = "sqlite")]
    indexes: Vec<(String, String)>,
    #[cfg(feature = "sqlite")]
    key: Option<DatabaseKey>,
    #[cfg(feature = "sqlite")]
    replaces_another: bool,
}

impl fmt::Debug for ReplicaBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReplicaBuilder")
    }
}

impl ReplicaBuilder {
    /// Goes by this clock instead of the [`SystemClock`].
    #[must_use]
    pub fn clock(self, clock: Arc<dyn Clock>) -> Self {
        Self { clock: Some(clock), ..self }
    }

    /// Gives the id of this machine, if the host knows it better than the system does, such as an app on Android. Pass it at each
    /// opening, so that the library notices a database that was copied to another machine.
    #[must_use]
    pub fn machine_id(self, id: impl Into<String>) -> Self {
        let device = Device { machine: Machine::Given(id.into()), ..self.device };
        Self { device, ..self }
    }

    /// Keeps the site's secrets in this store instead of the database file: the hash of its password, and the id of this machine. Pass it
    /// each time.
    #[must_use]
    pub fn secrets(self, store: impl SecretStore + 'static) -> Self {
        let device = Device { secrets: Secrets::of_host(Arc::new(store)), ..self.device };
        Self { device, ..self }
    }

    /// Sets the name and version that servers see. The default is the release of Open mSupply whose behaviour this library has;
    /// every server knows it. [`AppIdentity`] says what servers do with it.
    #[must_use]
    pub fn app_identity(self, app: AppIdentity) -> Self {
        let device = Device { app, ..self.device };
        Self { device, ..self }
    }

    /// Sets the function that decides the conflicts of a table. It is called whenever a pull brings a record that was edited here
    /// and whose edit is not pushed yet. Without a resolver the local edit stays. An edit that is on its way to a
    /// server stays too, because it may have arrived. The
    /// [report](crate::SyncReport::conflicts) of the cycle names each conflict and how it ended.
    ///
    /// With a resolver for any table a cycle pulls before it pushes, so that the resolver sees the other version before an edit
    /// replaces it. Without one a cycle pushes first. If a pull ends early, nothing is pushed in that cycle
    /// ([`SkipReason::NotPulled`](crate::site::SkipReason::NotPulled)). If it gets no further at all, the edits are pushed
    /// without asking, because otherwise they would stay on this machine alone. So are edits that were made after the pull,
    /// and all edits of a cycle that was asked [only to push](crate::SyncOptions::push_only).
    ///
    /// A resolver is for data that two people may both edit in good faith. It should give the same result at each site of a
    /// network; otherwise the sites replace each other's results again and again.
    ///
    /// A value in [`Resolution::replace_with`](crate::site::Resolution::replace_with) is written with its own `unknown` keys
    /// alone, so the resolver adds those of the other version: a later release may have written them. The example also goes by
    /// `modified_datetime`, which each app sets itself at an edit.
    ///
    /// ```
    /// use sync_core::Replica;
    /// use sync_core::record::Asset;
    /// use sync_core::site::{ConflictVersions, Resolution};
    ///
    /// /// The newer version stays, with the notes of both, and with the keys that only the older one has.
    /// fn of_assets(versions: &ConflictVersions<'_>) -> Resolution {
    ///     let (Some(ours), Some(theirs)) = (versions.local_as::<Asset>(), versions.received_as::<Asset>()) else {
    ///         return Resolution::KeepLocal; // One of them is a deletion.
    ///     };
    ///     let (mut newer, older) = if ours.modified_datetime < theirs.modified_datetime { (theirs, ours) } else { (ours, theirs) };
    ///     let notes: Vec<String> = newer.notes.into_iter().chain(older.notes).collect();
    ///     newer.notes = Some(notes.join("\n"));
    ///     for (key, value) in older.unknown {
    ///         newer.unknown.entry(key).or_insert(value);
    ///     }
    ///     Resolution::replace_with(&newer)
    /// }
    ///
    /// let builder = Replica::builder().resolver("asset", of_assets);
    /// ```
    ///
    /// A resolver for a table that this version does not know is refused when a database file is opened; over a storage of the host's
    /// own, each cycle warns of it.
    #[must_use]
    pub fn resolver(mut self, table: impl Into<TableName>, resolver: impl ConflictResolver + 'static) -> Self {
        self.resolvers.insert(table.into(), Arc::new(resolver));
        self
    }

    /// Makes a replica over a storage of the host's own. It ignores the choices for a database file.
    pub fn with_storage(self, storage: Arc<dyn Storage>) -> Replica {
        self.build(
            storage,
            #[cfg(feature = "sqlite")]
            None,
        )
    }

    fn build(self, storage: Arc<dyn Storage>, #[cfg(feature = "sqlite")] file: Option<Arc<SqliteStorage>>) -> Replica {
        let clock = self.clock.unwrap_or_else(|| Arc::new(SystemClock::new()));
        let (device, resolvers) = (self.device, Resolvers::new(self.resolvers));
        Replica {
            parts: Arc::new(Parts {
                storage,
                #[cfg(feature = "sqlite")]
                file,
                clock,
                device,
                resolvers,
            }),
        }
    }
}

/// The choices for a database file.
#[cfg(feature = "sqlite")]
impl ReplicaBuilder {
    /// Calls this hook for each record that this replica writes or removes, in the transaction that does it. The database
    /// remembers that an app has a hook: a replica that is opened without one then writes no record
    /// ([`Error::HookMissing`]).
    #[must_use]
    pub fn hook(self, hook: impl RecordHook + 'static) -> Self {
        Self { hook: Some(Box::new(hook)), ..self }
    }

    /// Writes records although an app opens this database with a [hook](Self::hook), which this replica does not have. The app
    /// later calls [`Replica::replay_hook`].
    #[must_use]
    pub fn without_hook(self) -> Self {
        Self { is_without_hook: true, ..self }
    }

    /// Makes or changes the host's own tables when the file is opened, by SQL statements separated by `;`, in one transaction.
    /// They run at each opening, so they say `IF NOT EXISTS`. The host's tables may have indexes, triggers, views and virtual tables such as
    /// those of FTS5. Names that begin with `sync_` belong to this library: its tables can be read
    /// and not changed, and have no triggers, indexes or foreign keys of the host; [`index`](Self::index) makes an index on records.
    /// Settings of the database (`PRAGMA`), the transaction, temporary tables and other files (`ATTACH`) are refused too.
    #[must_use]
    pub fn host_tables(self, sql: impl Into<String>) -> Self {
        Self { tables: Some(sql.into()), ..self }
    }

    /// Keeps an index on a field of a record type, so that an SQL query for that field through the [view](crate::Replica::read_sql)
    /// of the type does not read the whole table. The first opening with this choice makes the index, and takes the longer the
    /// larger the table is. The index stays when this library is upgraded, and is made again if the view changed.
    /// `DROP INDEX IF EXISTS "host_index_asset_store_id"` among the [host's SQL](Self::host_tables) removes the index of
    /// `("asset", "store_id")`.
    ///
    /// ```
    /// # use sync_core::Replica;
    /// # let folder = tempfile::tempdir()?;
    /// let replica = Replica::builder().index("asset", "store_id").open(folder.path().join("clinic.sqlite"))?;
    /// let of_store = "SELECT count(*) FROM asset WHERE store_id = ?1";
    /// let count: i64 = replica.read_sql(|connection| connection.query_row(of_store, ["STORE_1"], |row| row.get(0)))?;
    /// # assert_eq!(count, 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn index(mut self, table: impl Into<String>, field: impl Into<String>) -> Self {
        self.indexes.push((table.into(), field.into()));
        self
    }

    /// Opens a database file, and makes it if it does not exist. A file of an older version of this library is upgraded.
    ///
    /// # Errors
    /// As [`SqliteStorage::open`]; [`Error::BadInput`] with SQLite's message if a statement of
    /// [`host_tables`](Self::host_tables) is wrong or not allowed; [`Error::UnknownTable`] for a [`resolver`](Self::resolver) of a table that
    /// this version does not know; [`Error::UnknownTable`] and [`Error::BadInput`] for an [`index`](Self::index) on a table or field that no record type has.
    pub fn open(self, path: impl AsRef<Path>) -> Result<Replica> {
        self.check_resolvers()?;
        let file = SqliteStorage::open_keyed(path.as_ref(), self.key.clone())?;
        self.over_written(file)
    }

    /// Opens a database file that must exist.
    ///
    /// # Errors
    /// As [`open`](Self::open); [`Error::NoDatabase`] if there is no such file.
    pub fn open_existing(self, path: impl AsRef<Path>) -> Result<Replica> {
        self.check_resolvers()?;
        let file = SqliteStorage::open_existing_keyed(path.as_ref(), self.key.clone())?;
        self.over_written(file)
    }

    /// Opens a database file that must exist, to be read only: it is not brought up to date, and each write is refused.
    ///
    /// # Errors
    /// As [`SqliteStorage::open_to_read`].
    pub fn open_to_read(self, path: impl AsRef<Path>) -> Result<Replica> {
        let file = SqliteStorage::open_to_read_keyed(path.as_ref(), self.key.clone())?;
        Ok(self.over_file(file))
    }

    /// Checks that a file is a sound database that this version can open, with the key of this builder if it has one. Reads all of it,
    /// and changes nothing.
    ///
    /// # Errors
    /// [`Error::BackupDamaged`]; [`Error::NoDatabase`], [`Error::NotADatabase`], [`Error::DatabaseKeyRefused`]; or a
    /// newer version wrote the file; or
    /// the file cannot be read.
    pub fn check_backup(&self, backup: impl AsRef<Path>) -> Result<()> {
        crate::storage::check_backup(backup.as_ref(), self.key.as_ref())
    }

    /// Checks that a backup is of the database at `path`, by its role, its site and the ids that it got when it was set up. Any backup may
    /// take the place of a database that is missing, was never set up, or is damaged.
    ///
    /// # Errors
    /// [`Error::BackupOfAnother`]; the backup cannot be read; [`Error::DatabaseKeyRefused`], [`Error::DatabaseNotEncrypted`] or
    /// [`Error::NotADatabase`]: the database has, or may have, another key than the backup, so that nobody can tell whose it is.
    pub fn check_backup_is_of(&self, backup: impl AsRef<Path>, path: impl AsRef<Path>) -> Result<()> {
        crate::storage::check_backup_is_of(backup.as_ref(), path.as_ref(), self.key.as_ref())
    }

    /// True only if a backup is surely of the database at `path`: both have the same role, site and ids. What removes old backups from a
    /// folder that several databases share asks this.
    ///
    /// # Errors
    /// One of the two cannot be read, for example because the backup has a former key.
    pub fn is_backup_of(&self, backup: impl AsRef<Path>, path: impl AsRef<Path>) -> Result<bool> {
        crate::storage::is_backup_of(backup.as_ref(), path.as_ref(), self.key.as_ref())
    }

    /// Lets [`restore`](Self::restore) put a backup in the place of the database of another site, which a person has to confirm.
    #[must_use]
    pub fn replace_another(self) -> Self {
        Self { replaces_another: true, ..self }
    }

    /// Puts a backup in the place of the database at `path`, which moves to `aside`. The next opening
    /// recognises the database as restored, and the next cycle reads the missing records from the servers. The backup
    /// has the key of this builder, if it has one.
    ///
    /// # Errors
    /// Those of [`check_backup`](Self::check_backup) and of [`check_backup_is_of`](Self::check_backup_is_of), unless
    /// [`replace_another`](Self::replace_another) was called; [`Error::CycleRunning`] or [`Error::DatabaseBusy`]: a program has the
    /// database open; [`Error::Io`]: `aside` is taken; a file cannot be written. The database stays as it is then.
    pub fn restore(&self, backup: impl AsRef<Path>, path: impl AsRef<Path>, aside: impl AsRef<Path>) -> Result<()> {
        if !self.replaces_another {
            self.check_backup_is_of(backup.as_ref(), path.as_ref())?;
        }
        crate::storage::restore(backup.as_ref(), path.as_ref(), aside.as_ref(), self.key.as_ref())
    }

    /// Moves a central server's database from a file to a PostgreSQL server, or back: copies it, compares both record by record, and marks the
    /// original, which is then refused ([`Error::DatabaseMoved`]). Sites go on without reading anything again. The folder of files stays
    /// where it is. `watch` is called with the progress, and may stop it; a migration that was interrupted in any way is continued by the
    /// same call. The file has the key of this builder, if it has one.
    ///
    /// # Errors
    /// [`Error::WrongRole`] and [`Error::NotSetUp`]: it is no central server's; [`Error::DatabaseMoved`]: it was moved before;
    /// [`Error::MigrationTargetUsed`]: `to` is not empty; [`Error::MigrationUnfinished`]: `from` is an unfinished copy itself;
    /// [`Error::ServedAlready`], [`Error::CycleRunning`], [`Error::DatabaseBusy`]: one of the two is in use; [`Error::BadInput`]: one has an older
    /// schema, or both are files, or none is; [`Error::MigrationDiffers`]; [`Error::Cancelled`]; one of the two cannot be opened, read or
    /// written. The original stays in use then.
    #[cfg(feature = "postgres")]
    pub fn migrate(
        &self,
        from: &MigrationEnd,
        to: &MigrationEnd,
        mut watch: impl FnMut(&MigrationProgress) -> ControlFlow<()>,
    ) -> Result<MigrationReport> {
        let now = self.clock.as_ref().map_or_else(|| SystemClock::new().now(), |clock| clock.now());
        crate::storage::migrate(from, to, self.key.as_ref(), now, &mut watch)
    }

    /// Undoes a [migration](Self::migrate): takes `from` into use again. If nobody has used the copy `to` since, it becomes an unfinished
    /// copy, and nothing else changes. Without `to` the copy is given up, and `from` counts as restored from a backup: sites send
    /// again what they have sent to the copy. What was written only there is lost, and the copy must not be used any more.
    ///
    /// # Errors
    /// [`Error::BadInput`]: `from` was not moved, `to` is another database, or was used; those of opening both.
    #[cfg(feature = "postgres")]
    pub fn undo_migration(&self, from: &MigrationEnd, to: Option<&MigrationEnd>) -> Result<()> {
        crate::storage::take_back(from, to, self.key.as_ref())
    }

    /// Examines a database file, as [`Replica::examine`] does, with the key of this builder if it has one.
    #[cfg(feature = "support")]
    pub fn examine(self, path: impl AsRef<Path>, free_bytes: Option<u64>) -> (Vec<Check>, Option<Replica>) {
        let (checks, file) = examine_file(path.as_ref(), self.key.as_ref(), free_bytes);
        (checks, file.map(|file| self.over_file(file)))
    }

    fn check_resolvers(&self) -> Result<()> {
        match self.resolvers.keys().find(|table| !is_known_table(table.as_str())) {
            Some(table) => Err(Error::unknown_table(table.as_str())),
            None => Ok(()),
        }
    }

    fn over_written(mut self, file: SqliteStorage) -> Result<Replica> {
        if let Some(sql) = &self.tables {
            file.host_tables(sql)?;
        }
        file.host_indexes(&self.indexes)?;
        let file = match self.hook.take() {
            Some(hook) => file.with_hook(hook)?,
            None if self.is_without_hook => file.without_hook(),
            None => file,
        };
        Ok(self.over_file(file))
    }

    pub(super) fn over_file(self, file: SqliteStorage) -> Replica {
        let file = Arc::new(file);
        self.build(file.clone(), Some(file))
    }
}

/// The choices for an encrypted database file.
#[cfg(feature = "sqlcipher")]
impl ReplicaBuilder {
    /// Opens a database file that is encrypted with this key; a new file is encrypted with it. Pass the key at each opening. To
    /// encrypt an existing file for the first time, use [`change_key`](Self::change_key).
    ///
    /// ```
    /// use sync_core::Replica;
    /// use sync_core::storage::DatabaseKey;
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("clinic.sqlite");
    /// # let from_the_key_chain = [7; 32];
    /// let key = DatabaseKey::of_bytes(&from_the_key_chain);
    /// let replica = Replica::builder().key(key.clone()).open(&path)?;
    /// # drop(replica);
    ///
    /// let new = DatabaseKey::of_passphrase("known to two people")?;
    /// Replica::builder().key(key).change_key(&path, &new)?;
    /// let replica = Replica::builder().key(new).open(&path)?;
    /// # drop(replica);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Opening gives [`Error::DatabaseKeyRefused`] if the file has another key, and [`Error::DatabaseNotEncrypted`] if it has none.
    #[must_use]
    pub fn key(self, key: DatabaseKey) -> Self {
        Self { key: Some(key), ..self }
    }

    /// Encrypts a database file with a new key, in the place of the key of this builder; without one the file is encrypted for the first
    /// time. The whole file is written again. No other program may have it open. If the work is interrupted, the file
    /// is complete and has either the old
    /// key or the new one. Backups keep the key that they were made with.
    ///
    /// If the file was not encrypted before, the disk may still hold parts of the old file.
    ///
    /// # Errors
    /// [`Error::NoDatabase`], [`Error::NotADatabase`], [`Error::DatabaseKeyRefused`], [`Error::DatabaseNotEncrypted`]; [`Error::CycleRunning`] or [`Error::DatabaseBusy`]: a
    /// program has it open; [`Error::DiskFull`]: a copy needs as much space again; it cannot be written.
    pub fn change_key(&self, path: impl AsRef<Path>, new: &DatabaseKey) -> Result<()> {
        crate::storage::change_key(path.as_ref(), self.key.as_ref(), new)
    }
}
