//! A batch at which the database or the code fails. The failure is stored, and the batch is staged when it comes again:
//! then its records are integrated one by one, and the one that fails goes into quarantine and stops no other.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use crate::error::{Error, Result};
use crate::storage::state::{self, Setting};
use crate::storage::{QuarantineCause, ReadTxn, Source, Storage, WriteTxn};

/// The setting that records that a batch of a source failed.
fn batch_failed(source: Source) -> Option<Setting<bool>> {
    let name = match source {
        Source::Central => "central",
        Source::Legacy => "legacy",
        Source::Site(_) | Source::Local => return None,
    };
    Some(state::batch_failed(name))
}

/// True if a batch of this source failed, and was not staged since.
pub(super) fn failed_before(txn: &dyn ReadTxn, source: Source) -> Result<bool> {
    batch_failed(source).map_or(Ok(false), |failed| failed.get(txn))
}

/// Forgets the failure, once the batch is staged.
pub(super) fn forget_failure(txn: &dyn WriteTxn, source: Source) -> Result<()> {
    batch_failed(source).map_or(Ok(()), |failed| failed.set(txn, false))
}

/// True if a record may have caused an error, rather than the machine or the host.
pub(super) fn may_be_of_a_record(error: &Error) -> bool {
    matches!(error, Error::Database { .. } | Error::DamagedState { .. })
}

/// Why a record is set aside at which the database fails, without content of the record.
pub(super) fn failure_reason(error: &Error) -> String {
    let causes: String = error.causes().iter().map(|cause| format!(": {cause}")).collect();
    format!("it cannot be integrated: {error}{causes}")
}

/// Runs a transaction that receives a batch. If the database or the code fails, that is stored, so that the batch is
/// staged when it comes again.
pub(crate) fn noting_failure<T>(storage: &dyn Storage, source: Source, run: impl FnOnce() -> Result<T>) -> Result<T> {
    let note = || {
        let Some(failed) = batch_failed(source) else { return Ok(()) };
        let txn = storage.write()?;
        failed.set(txn.as_ref(), true)?;
        txn.commit()
    };
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(Err(error)) if may_be_of_a_record(&error) => {
            // The first failure is returned; a database that cannot store it fails again.
            let _ = note();
            Err(error)
        }
        Ok(outcome) => outcome,
        Err(panic) => {
            let _ = note();
            resume_unwind(panic)
        }
    }
}

/// As [`noting_failure`], and tries a batch that failed once more at once. For a batch that comes again only after other
/// batches: these do not fail, and would be staged in its place.
pub(crate) fn staging_what_fails<T>(
    storage: &dyn Storage,
    source: Source,
    mut run: impl FnMut() -> Result<T>,
) -> Result<T> {
    match catch_unwind(AssertUnwindSafe(|| noting_failure(storage, source, &mut run))) {
        Ok(Err(error)) if may_be_of_a_record(&error) => run(),
        Ok(outcome) => outcome,
        Err(_) => run(),
    }
}

/// Records that failed are tried again when central restarts, because the machine may have been at fault.
pub(crate) fn requeue_failed(storage: &dyn Storage) -> Result<()> {
    if storage.read()?.quarantine_counts()?.iter().all(|(cause, _)| *cause != QuarantineCause::Failed) {
        return Ok(());
    }
    let txn = storage.write()?;
    txn.requeue(QuarantineCause::Failed, None)?;
    txn.commit()
}

/// After an upgrade of this library, records that an older version could not read or did not know are tried again.
pub(crate) fn requeue_after_upgrade(storage: &dyn Storage) -> Result<()> {
    let version = env!("CARGO_PKG_VERSION");
    if state::LIBRARY_VERSION.find(storage.read()?.as_ref())?.as_deref() == Some(version) {
        return Ok(());
    }
    let txn = storage.write()?;
    for cause in [QuarantineCause::Unsupported, QuarantineCause::Malformed, QuarantineCause::Failed] {
        txn.requeue(cause, None)?;
    }
    state::LIBRARY_VERSION.set(txn.as_ref(), version)?;
    txn.commit()
}
