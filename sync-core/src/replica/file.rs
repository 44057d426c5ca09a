//! What only a database file has: queries in SQL, the hook, backups.

use std::path::Path;

use super::Replica;
#[cfg(doc)]
use super::ReplicaBuilder;
use crate::error::{Error, Result};
use crate::record::Cursor;
use crate::storage::{lock_cycle, state};
#[cfg(feature = "support")]
use crate::support::doctor::Check;
use crate::text::sentences::input;

impl Replica {
    #[cfg(feature = "support")]
    /// Examines a database file, and opens it to be read only if that is possible. The checks are the first ones of a
    /// [diagnosis](crate::support::SiteSupport::doctor). `free_bytes` is how much space is left on its disk, as far as the host
    /// knows.
    pub fn examine(path: impl AsRef<Path>, free_bytes: Option<u64>) -> (Vec<Check>, Option<Self>) {
        Self::builder().examine(path, free_bytes)
    }

    /// Whether the file that was opened is still the one at its path. Another file there is another database, or a backup
    /// that was put back; what is written to the one that was opened would be lost.
    ///
    /// # Errors
    /// [`Error::DatabaseReplaced`]: this replica is of no use any more, and has to be opened anew.
    pub fn check_in_place(&self) -> Result<()> {
        self.parts.file.as_ref().map_or(Ok(()), |file| file.check_in_place())
    }

    /// True if an app opened this database with a [hook](ReplicaBuilder::hook) and this replica has none: it writes no record.
    pub fn is_hook_missing(&self) -> bool {
        self.parts.file.as_ref().is_some_and(|file| file.is_hook_missing())
    }

    /// The first change that another program wrote [without the hook](ReplicaBuilder::without_hook) of this app; `None` if the
    /// hook missed nothing.
    ///
    /// # Errors
    /// The database failed.
    pub fn hook_missed_from(&self) -> Result<Option<Cursor>> {
        state::HOOK_MISSED_FROM.get(self.parts.storage.read()?.as_ref())
    }

    /// Calls the [hook](ReplicaBuilder::hook) again for each change from a position on, with the record as it is now, or without
    /// data if it is gone: for an app whose hook is new or does more than before (`Cursor(0)`), and after another program wrote
    /// without it ([`hook_missed_from`](Self::hook_missed_from)). A record can come more than once. Returns the number of
    /// changes.
    ///
    /// # Errors
    /// [`Error::BadInput`]: this replica has no hook, or is no file. [`Error::HostFailed`]; the database failed. What was done
    /// before stays done.
    pub fn replay_hook(&self, from: Cursor) -> Result<u64> {
        self.parts.file.as_ref().ok_or_else(|| Error::bad_input(input::no_hook()))?.replay_hook(from)
    }

    /// Reads the database file in SQL, from one snapshot. Each record type has a view of its name with a column for each
    /// field, to filter, join and count by; a host's own tables are there too. The connection cannot write.
    ///
    /// ```
    /// # use sync_core::Replica;
    /// # let folder = tempfile::tempdir()?;
    /// # let replica = Replica::open(folder.path().join("clinic.sqlite"))?;
    /// let per_class = "SELECT class_id, count(*) FROM asset_category GROUP BY class_id";
    /// let counts = replica.read_sql(|connection| {
    ///     let mut statement = connection.prepare(per_class)?;
    ///     let rows = statement.query_map((), |row| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?)))?;
    ///     rows.collect::<Result<Vec<_>, _>>()
    /// })?;
    /// # assert!(counts.is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::BadInput`] for a storage that is no file; the error of `read`.
    pub fn read_sql<T>(
        &self,
        read: impl FnOnce(&crate::storage::rusqlite::Connection) -> crate::storage::rusqlite::Result<T>,
    ) -> Result<T> {
        self.parts.file.as_ref().ok_or_else(|| Error::bad_input(input::no_sql()))?.read_sql(read)
    }

    /// Checks that a file is a sound database that this version can open. Reads all of it, and changes nothing.
    ///
    /// # Errors
    /// [`Error::BackupDamaged`]; [`Error::NoDatabase`], [`Error::NotADatabase`]; a newer version wrote it; it cannot be read.
    pub fn check_backup(backup: impl AsRef<Path>) -> Result<()> {
        Self::builder().check_backup(backup)
    }

    /// Checks that a copy of this database is sound, as [`check_backup`](Self::check_backup) does, with the key that this one has.
    ///
    /// # Errors
    /// As [`check_backup`](Self::check_backup); [`Error::BadInput`] for a storage that is no file.
    pub fn check_copy(&self, copy: impl AsRef<Path>) -> Result<()> {
        self.parts.file.as_ref().ok_or_else(|| Error::bad_input(input::no_file_to_copy()))?.check_copy(copy.as_ref())
    }

    /// Puts a backup in the place of the database at `path`, which moves to `aside`. The database is then recognised as restored
    /// when it is opened, and the servers fill what it lacks.
    ///
    /// # Errors
    /// Those of [`check_backup`](Self::check_backup); [`Error::BackupOfAnother`]: the database is of another site
    /// ([`ReplicaBuilder::check_backup_is_of`]); [`Error::CycleRunning`] or [`Error::DatabaseBusy`]: a program has the database open; [`Error::Io`]: `aside` is taken; a file cannot be written. The database stays as it is then.
    pub fn restore(backup: impl AsRef<Path>, path: impl AsRef<Path>, aside: impl AsRef<Path>) -> Result<()> {
        Self::builder().restore(backup, path, aside)
    }

    /// Copies the database into a new file that only its owner may read, between two cycles.
    ///
    /// # Errors
    /// [`Error::CycleRunning`]; [`Error::BadInput`] for a storage that is no file; the copy cannot be written.
    pub fn back_up(&self, to: &Path) -> Result<()> {
        let file = self.parts.file.as_ref().ok_or_else(|| Error::bad_input(input::no_file_to_copy()))?;
        let _lock = lock_cycle(file.as_ref())?;
        file.back_up(to)
    }
}
