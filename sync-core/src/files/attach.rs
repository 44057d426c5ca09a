//! Attaching a file: first its bytes, then its reference and its place in the queue.

use std::fs::File;
use std::io::{Read, Write as _};
use std::path::Path;

use super::Files;
use super::store::{NewFile, PIECE, failed};
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::record::file_name::mime_type;
use crate::record::file_reference::{Reference, TABLE};
use crate::record::{RecordId, TableName};
use crate::role::Role;
use crate::storage::state::role;
use crate::storage::{FileDirection, FileEntry, FileState, ReadTxn};
use crate::text::sentences::input;
use crate::write::is_local_only;
use crate::write::records::Records;

/// The description of a file to attach.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Attach<'a> {
    /// The table of its record.
    pub table: &'a str,
    /// The id of its record, which must be here.
    pub record_id: &'a str,
    /// Its name; made safe.
    pub file_name: &'a str,
    /// Its MIME type; guessed from the name if missing.
    pub mime_type: Option<&'a str>,
}

impl<'a> Attach<'a> {
    /// A file of this name for a record; its MIME type is guessed from the name.
    pub fn new(table: &'a str, record_id: &'a str, file_name: &'a str) -> Self {
        Self { table, record_id, file_name, mime_type: None }
    }

    /// Says what kind of file it is.
    #[must_use]
    pub fn mime_type(self, mime_type: &'a str) -> Self {
        Self { mime_type: Some(mime_type), ..self }
    }
}

impl Files {
    /// Attaches a file of the disk to a record: copies its bytes into the folder and writes its reference. Returns the
    /// reference's id. This is a transaction of its own: call it after the [`Replica::write`](crate::Replica::write) that writes the
    /// record, not inside it.
    ///
    /// ```
    /// use std::path::Path;
    ///
    /// use sync_core::Replica;
    /// use sync_core::files::Files;
    /// use sync_core::record::{AssetId, RecordId};
    ///
    /// fn add_photo(replica: &Replica, database: &Path, asset: &AssetId, photo: &Path) -> sync_core::Result<RecordId> {
    ///     replica.files(Files::folder_of(database)).attach("asset", asset, photo)
    /// }
    /// ```
    ///
    /// # Errors
    /// [`Error::NotFound`] if the record is not here, [`Error::NotAllowed`] if it is of another site's store,
    /// [`Error::FileTooLarge`], [`Error::BadInput`] if the file cannot be
    /// read or changes meanwhile, and for a record that is [local only](crate::Transaction::local_only); the disk or the database failed. Nothing was written then.
    pub fn attach(&self, table: impl Into<TableName>, record_id: impl Into<RecordId>, path: &Path) -> Result<RecordId> {
        let (table, record_id) = (table.into(), record_id.into());
        let shown = || path.display().to_string();
        let unreadable = |error: std::io::Error| Error::bad_input(input::file_unreadable(shown(), error.to_string()));
        // Checked before it is opened: opening a pipe would wait for a writer.
        let before = std::fs::metadata(path).map_err(unreadable)?;
        if !before.is_file() {
            return Err(Error::bad_input(input::not_a_file(shown())));
        }
        self.check_length(before.len())?;
        let name = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        let attach = Attach::new(table.as_str(), record_id.as_str(), &name);
        self.may_attach(&attach)?;
        let mut file = File::open(path).map_err(unreadable)?;
        let new = self.copy(&mut file).map_err(|error| match error {
            CopyError::Source(error) => unreadable(error),
            CopyError::Ours(error) => error,
        })?;
        let after = std::fs::metadata(path).map_err(unreadable)?;
        if new.bytes() != before.len() || (after.len(), after.modified().ok()) != (before.len(), before.modified().ok())
        {
            return Err(Error::bad_input(input::file_changed(shown())));
        }
        self.enter(&attach, new_id(self.clock.now()), new)
    }

    /// Attaches bytes to a record, as [`attach`](Self::attach) does.
    ///
    /// # Errors
    /// As [`attach`](Self::attach).
    pub fn attach_bytes(&self, attach: &Attach<'_>, bytes: &mut dyn Read) -> Result<RecordId> {
        self.enter_bytes(attach, new_id(self.clock.now()), bytes)
    }

    /// Attaches bytes under an id that a test chooses, for reproducible runs.
    ///
    /// # Errors
    /// As [`attach`](Self::attach).
    #[cfg(feature = "testing")]
    pub fn attach_as(&self, id: &RecordId, attach: &Attach<'_>, bytes: &mut dyn Read) -> Result<()> {
        self.enter_bytes(attach, id.clone(), bytes).map(|_| ())
    }

    fn enter_bytes(&self, attach: &Attach<'_>, id: RecordId, bytes: &mut dyn Read) -> Result<RecordId> {
        self.may_attach(attach)?;
        let new = self.copy(bytes).map_err(|error| match error {
            CopyError::Source(error) => Error::bad_input(input::bytes_unreadable(error.to_string())),
            CopyError::Ours(error) => error,
        })?;
        self.enter(attach, id, new)
    }

    fn may_attach(&self, attach: &Attach<'_>) -> Result<()> {
        let txn = self.storage.read()?;
        role(txn.as_ref())?.ok_or(Error::NotSetUp)?;
        check_record(txn.as_ref(), attach.table, attach.record_id)
    }

    fn check_length(&self, bytes: u64) -> Result<()> {
        let max = self.config.file_bytes_max.min(i32::MAX as u64);
        if bytes > max { Err(Error::FileTooLarge { bytes, max }) } else { Ok(()) }
    }

    fn copy(&self, from: &mut dyn Read) -> std::result::Result<NewFile, CopyError> {
        let mut new = self.store.begin().map_err(CopyError::Ours)?;
        let mut piece = vec![0; PIECE];
        loop {
            let read = from.read(&mut piece).map_err(CopyError::Source)?;
            if read == 0 {
                return Ok(new);
            }
            let written = new.write_all(&piece[..read]);
            written.map_err(|error| CopyError::Ours(failed("writing to", self.store.folder(), error)))?;
            self.check_length(new.bytes()).map_err(CopyError::Ours)?;
        }
    }

    /// The bytes get their name first: a crash before the transaction leaves bytes without a reference, which are swept
    /// later, and never a reference without bytes.
    fn enter(&self, attach: &Attach<'_>, id: RecordId, new: NewFile) -> Result<RecordId> {
        let now = self.clock.now();
        let reference = Reference {
            table: attach.table.into(),
            record_id: attach.record_id.into(),
            file_name: attach.file_name.to_owned(),
            mime_type: attach.mime_type.or_else(|| mime_type(attach.file_name)).map(str::to_owned),
            bytes: Some(new.bytes()),
            sha256: Some(new.sha256()),
            is_deleted: false,
        };
        new.keep(&self.store, &id)?;
        let entered = self.write_reference(&id, &reference, now);
        if entered.is_err() {
            // Leftovers are swept later.
            let _ = self.store.remove(&id);
        }
        entered.map(|()| id)
    }

    fn write_reference(&self, id: &RecordId, reference: &Reference, now: Timestamp) -> Result<()> {
        let records = Records::new(self.storage.clone(), self.clock.clone());
        let txn = self.storage.write()?;
        // It may have been deleted or replaced since.
        check_record(txn.as_ref(), reference.table.as_str(), reference.record_id.as_str())?;
        records.within(txn.as_ref(), |txn| txn.put(TABLE, [reference.write(id, &now.wire())]))?;
        let is_remote = role(txn.as_ref())? == Some(Role::Remote);
        txn.put_file(&FileEntry {
            id: id.clone(),
            table: reference.table.clone(),
            record_id: reference.record_id.clone(),
            direction: FileDirection::Upload,
            state: if is_remote { FileState::Waiting } else { FileState::Done },
            bytes: reference.bytes,
            sha256: reference.sha256.clone(),
            etag: None,
            attempts: 0,
            next_at: is_remote.then_some(now),
            reason: None,
            changed_at: now,
        })?;
        txn.commit()
    }
}

/// Refuses a file of a record that is not here, or that stays here: its reference and its bytes would be sent.
fn check_record(txn: &dyn ReadTxn, table: &str, id: &str) -> Result<()> {
    let (name, record) = (TableName::from(table), RecordId::from(id));
    if !txn.has_record(&name, &record)? {
        return Err(Error::not_found(table, id));
    }
    match is_local_only(txn, &name, &record)? {
        true => Err(Error::bad_input(input::no_file_of_local_only(table, id))),
        false => Ok(()),
    }
}

enum CopyError {
    Source(std::io::Error),
    Ours(Error),
}

/// A new id in the format of Open mSupply: a UUID of version 7.
fn new_id(now: Timestamp) -> RecordId {
    let millis = u64::try_from(now.unix_millis()).unwrap_or(0);
    let random: [u8; 16] = uuid::Uuid::new_v4().into_bytes();
    let mut chance = [0; 10];
    // The bytes of a version 4 UUID, without those that hold version and variant.
    chance.copy_from_slice(&[&random[..6], &random[12..]].concat());
    RecordId::new(uuid::Builder::from_unix_timestamp_millis(millis, &chance).into_uuid().hyphenated().to_string())
}
