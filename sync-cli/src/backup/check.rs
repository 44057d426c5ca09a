//! Checks a backup without changing it.

use std::path::Path;

use sync_core::{Error, Result};

use super::{StoredBackup, files_in, hash};

/// Checks that a backup is whole: the database has the bytes that were written and is sound, and no file is missing. `is_sound` checks the
/// database, with the key that it has.
///
/// # Errors
/// [`Error::BackupDamaged`], or it cannot be read.
pub(crate) fn check(backup: &StoredBackup, is_sound: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let damaged = |what: String| Error::BackupDamaged { path: backup.database.display().to_string(), what };
    if let Some(manifest) = &backup.manifest {
        let (sha256, _) = hash(&backup.database)?;
        if sha256 != manifest.database_sha256 {
            return Err(damaged("its bytes are not those that were written".to_owned()));
        }
        let found = files_in(&backup.files)?;
        let (count, bytes) = (found.len() as u64, found.iter().map(|(_, bytes)| bytes).sum::<u64>());
        let (files, files_bytes) = (manifest.files, manifest.files_bytes);
        if (count, bytes) != (files, files_bytes) {
            return Err(damaged(format!("it has {count} files of {bytes} bytes, not {files} of {files_bytes} bytes")));
        }
    }
    is_sound(&backup.database)
}
