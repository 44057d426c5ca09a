//! Tells copies of the site's database apart: each push names the push before it, and a copy that central refused sends
//! nothing more to any server.

use sha2::{Digest as _, Sha256};

use super::position::read_from_the_beginning;
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::protocol::hex;
use crate::protocol::v6::{CopyReport, PushChain};
use crate::record::Cursor;
use crate::site::Site;
use crate::storage::{ReadTxn, WriteTxn, changelog_gaps, state};

/// Chooses the id of the next push, if that is not done yet. It is stored before anything is sent, so that a repeated
/// push has the same id. It depends on the time of the choice and on the state of the database, so two copies never
/// choose the same id.
pub(crate) fn prepare(txn: &dyn WriteTxn, now: Timestamp) -> Result<()> {
    if !state::PUSH_UNDER_WAY.get(txn)?.is_empty() {
        return Ok(());
    }
    let after = state::PUSH_TAKEN.get(txn)?;
    let id = id_of(&[&after, &now.unix_millis().to_string(), &txn.last_cursor()?.to_string()]);
    state::PUSH_UNDER_WAY.set(txn, id)
}

/// The identity of the current push.
pub(crate) fn begin(site: &Site) -> Result<PushChain> {
    let chain = under_way(site.storage.read()?.as_ref())?;
    if !chain.id.is_empty() {
        return Ok(chain);
    }
    let txn = site.storage.write()?;
    prepare(txn.as_ref(), site.clock.now())?;
    txn.commit()?;
    under_way(site.storage.read()?.as_ref())
}

fn under_way(txn: &dyn ReadTxn) -> Result<PushChain> {
    let (after, chosen, restored) = (state::PUSH_TAKEN.get(txn)?, state::PUSH_UNDER_WAY.get(txn)?, restored(txn)?);
    // A backup may hold the id of a push that was accepted since: a push after the restore needs a new one, so that
    // central can tell them apart.
    let is_of_backup =
        restored > Cursor(0) && state::PUSH_TAKEN_AFTER.find(txn)? != Some(restored) && !planted!(BackupPushIsKnown);
    let id = if is_of_backup && !chosen.is_empty() { id_of(&[&chosen, &restored.to_string()]) } else { chosen };
    Ok(PushChain { after, id, number: number(txn)?, loss_handled: state::LOSS_HANDLED_SINCE_PUSH.get(txn)? })
}

fn id_of(parts: &[&str]) -> String {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part);
    }
    hex(&digest.finalize()[..16])
}

/// The identity of this copy in pulls. `None` before its first push, and after a restore until a push has reported it.
pub(crate) fn of_pull(txn: &dyn ReadTxn) -> Result<Option<PushChain>> {
    let (after, id) = (state::PUSH_TAKEN.get(txn)?, state::PUSH_UNDER_WAY.get(txn)?);
    let is_told = state::PUSH_TAKEN_AFTER.find(txn)? == Some(restored(txn)?);
    let (number, loss_handled) = (number(txn)?, state::LOSS_HANDLED_SINCE_PUSH.get(txn)?);
    Ok((!after.is_empty() && is_told).then_some(PushChain { after, id, number, loss_handled }))
}

/// The number of the last accepted push.
fn number(txn: &dyn ReadTxn) -> Result<u64> {
    Ok(state::PUSH_TAKEN_NUMBER.get(txn)?.unwrap_or(0))
}

/// The newest restore of this database.
fn restored(txn: &dyn ReadTxn) -> Result<Cursor> {
    Ok(changelog_gaps(txn)?.last().map_or(Cursor(0), |lost| lost.before))
}

/// Records that a push was accepted, and with it this copy. Returns the time when another copy was refused, if that is
/// new. If more batches follow at once, the id of the next one is chosen here.
pub(crate) fn taken(
    txn: &dyn WriteTxn,
    chain: &PushChain,
    told: Option<CopyReport>,
    is_last: bool,
) -> Result<Option<Timestamp>> {
    state::PUSH_TAKEN.set(txn, &chain.id)?;
    let next = if is_last { String::new() } else { id_of(&[&chain.id, "next"]) };
    state::PUSH_UNDER_WAY.set(txn, next)?;
    state::PUSH_TAKEN_AFTER.set(txn, restored(txn)?)?;
    state::LOSS_HANDLED_SINCE_PUSH.set(txn, Cursor(0))?;
    // An Open mSupply central server reports nothing.
    let Some(CopyReport { refused_at, number }) = told else { return Ok(None) };
    state::PUSH_TAKEN_NUMBER.set(txn, Some(number))?;
    if state::FILE_CAME_HERE.get(txn)?.is_some() {
        state::FILE_CAME_HERE.set(txn, None::<String>)?;
    }
    if state::COPY_REFUSED_AT.get(txn)? == refused_at {
        return Ok(None);
    }
    state::COPY_REFUSED_AT.set(txn, refused_at)?;
    Ok(refused_at)
}

/// Records that another copy continues as this site: this copy keeps its data, and sends nothing more.
pub(crate) fn give_up(site: &Site, since: &str) -> Result<()> {
    let txn = site.storage.write()?;
    state::COPY_GOES_ON.set(txn.as_ref(), Some(since.to_owned()))?;
    txn.commit()
}

/// Checks that this copy may act for its site.
///
/// # Errors
/// [`Error::DatabaseCopied`] if another copy continues.
pub(crate) fn check(txn: &dyn ReadTxn, site: &str) -> Result<()> {
    match state::COPY_GOES_ON.get(txn)? {
        Some(since) => Err(Error::DatabaseCopied { site: site.to_owned(), since }),
        None => Ok(()),
    }
}

/// Records that this copy was set up again, so it continues as the site. If another copy did until now, its records
/// have to be read again, because central does not send a site its own records.
pub(crate) fn set_up(txn: &dyn WriteTxn) -> Result<()> {
    state::PUSH_TAKEN.set(txn, "")?;
    state::PUSH_TAKEN_NUMBER.set(txn, None::<u64>)?;
    state::PUSH_UNDER_WAY.set(txn, "")?;
    state::COPY_REFUSED_AT.set(txn, None::<Timestamp>)?;
    state::FILE_CAME_HERE.set(txn, None::<String>)?;
    if state::COPY_GOES_ON.get(txn)?.is_some() {
        state::COPY_GOES_ON.set(txn, None::<String>)?;
        read_from_the_beginning(txn)?;
    }
    Ok(())
}
