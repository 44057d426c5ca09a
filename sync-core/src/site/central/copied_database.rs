//! The site's part of the defence against copied databases: each push names the push before it, and a database that
//! central refused as the wrong copy sends nothing more to any server. `central/copied_databases.rs` is central's part.

use super::position::read_from_the_beginning;
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::protocol::hex;
use crate::protocol::v6::{CopyReport, PushChain};
use crate::record::Cursor;
use crate::site::Site;
use crate::storage::{ReadTxn, WriteTxn, changelog_gaps, state};

/// Chooses the id of the next push, if that is not done yet. It is stored before anything is sent, so that a repeated
/// push has the same id. It is random, so two copies never choose the same id. A backup may hold the id of a push that
/// was accepted since, or that another machine with this backup sends: after a restore a new one is chosen.
pub(crate) fn choose_push_id(txn: &dyn WriteTxn) -> Result<()> {
    match is_chosen(txn)? {
        true => Ok(()),
        false => choose(txn),
    }
}

/// True if an id was chosen since the newest restore of this database.
fn is_chosen(txn: &dyn ReadTxn) -> Result<bool> {
    let restored = restored(txn)?;
    if state::PUSH_UNDER_WAY.get(txn)?.is_empty() {
        return Ok(false);
    }
    if restored == Cursor(0) || planted!(BackupPushIsKnown) {
        return Ok(true);
    }
    // An older version did not store when it chose.
    let since = state::PUSH_CHOSEN_AFTER.find(txn)?.or(state::PUSH_TAKEN_AFTER.find(txn)?);
    Ok(since == Some(restored))
}

fn choose(txn: &dyn WriteTxn) -> Result<()> {
    state::PUSH_CHOSEN_AFTER.set(txn, restored(txn)?)?;
    state::PUSH_UNDER_WAY.set(txn, new_id())
}

fn new_id() -> String {
    hex(uuid::Uuid::new_v4().as_bytes())
}

/// The identity of the current push.
pub(crate) fn push_chain(site: &Site) -> Result<PushChain> {
    {
        let txn = site.storage.read()?;
        if is_chosen(txn.as_ref())? {
            return stored_chain(txn.as_ref());
        }
    }
    let txn = site.storage.write()?;
    choose_push_id(txn.as_ref())?;
    let chain = stored_chain(txn.as_ref())?;
    txn.commit()?;
    Ok(chain)
}

fn stored_chain(txn: &dyn ReadTxn) -> Result<PushChain> {
    Ok(PushChain {
        after: state::PUSH_TAKEN.get(txn)?,
        id: state::PUSH_UNDER_WAY.get(txn)?,
        number: state::PUSH_TAKEN_NUMBER.get(txn)?.unwrap_or(0),
        loss_handled: state::LOSS_HANDLED_SINCE_PUSH.get(txn)?,
        first: state::PUSH_FIRST.get(txn)?,
    })
}

/// The identity of this database in pulls. `None` after a restore until a push has reported it.
pub(crate) fn pull_chain(txn: &dyn ReadTxn) -> Result<Option<PushChain>> {
    let is_reported = state::PUSH_TAKEN_AFTER.find(txn)? == Some(restored(txn)?);
    // An older version has no id before its first push.
    let is_known = |chain: &PushChain| !chain.after.is_empty() || !chain.first.is_empty();
    Ok(Some(stored_chain(txn)?).filter(|chain| is_known(chain) && is_reported))
}

/// The newest restore of this database.
fn restored(txn: &dyn ReadTxn) -> Result<Cursor> {
    Ok(changelog_gaps(txn)?.last().map_or(Cursor(0), |lost| lost.before))
}

/// Records that a push was accepted, and with it this copy. Returns the time when another copy was refused, if that is
/// new. If more batches follow at once, the id of the next one is chosen here.
pub(crate) fn note_accepted(
    txn: &dyn WriteTxn,
    chain: &PushChain,
    copies: Option<CopyReport>,
    is_last: bool,
) -> Result<Option<Timestamp>> {
    state::PUSH_TAKEN.set(txn, &chain.id)?;
    if chain.after.is_empty() && chain.first.is_empty() {
        state::PUSH_FIRST.set(txn, &chain.id)?;
    }
    match is_last {
        true => state::PUSH_UNDER_WAY.set(txn, String::new())?,
        false => choose(txn)?,
    }
    state::PUSH_TAKEN_AFTER.set(txn, restored(txn)?)?;
    state::LOSS_HANDLED_SINCE_PUSH.set(txn, Cursor(0))?;
    // An Open mSupply central server reports nothing.
    let Some(CopyReport { refused_at, number }) = copies else { return Ok(None) };
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
pub(crate) fn note_other_continues(site: &Site, since: &str) -> Result<()> {
    let txn = site.storage.write()?;
    state::COPY_GOES_ON.set(txn.as_ref(), Some(since.to_owned()))?;
    txn.commit()
}

/// Checks that this copy may act for its site.
///
/// # Errors
/// [`Error::DatabaseCopied`] if another copy continues.
pub(crate) fn check_may_act(txn: &dyn ReadTxn, site: &str) -> Result<()> {
    match state::COPY_GOES_ON.get(txn)? {
        Some(since) => Err(Error::DatabaseCopied { site: site.to_owned(), since }),
        None => Ok(()),
    }
}

/// Records that this database was set up, so it continues as the site. One that had read everything reads it again: another
/// copy may have continued until now, and central sends a site its own records only then.
pub(crate) fn note_set_up(txn: &dyn WriteTxn) -> Result<()> {
    state::PUSH_TAKEN.set(txn, "")?;
    state::PUSH_FIRST.set(txn, new_id())?;
    state::PUSH_TAKEN_AFTER.set(txn, restored(txn)?)?;
    state::PUSH_TAKEN_NUMBER.set(txn, None::<u64>)?;
    state::PUSH_UNDER_WAY.set(txn, "")?;
    state::COPY_REFUSED_AT.set(txn, None::<Timestamp>)?;
    state::FILE_CAME_HERE.set(txn, None::<String>)?;
    state::COPY_GOES_ON.set(txn, None::<String>)?;
    match state::INITIALISED_AT.is_set(txn)? {
        true => read_from_the_beginning(txn),
        false => Ok(()),
    }
}
