//! A site's half of telling the copies of its database apart: each push says which one it follows, and a copy that central
//! refused sends nothing any more, to no server.

use sha2::{Digest as _, Sha256};

use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::protocol::hex;
use crate::protocol::v6::{CopiesTold, PushChain};
use crate::site::Site;
use crate::storage::{ReadTxn, WriteTxn, changelog_gaps, key};

/// Chooses by what the next push is told from every other, if that is not done yet. It is kept before anything is sent, so that
/// the same push bears the same id where it is sent again. It depends on when it is chosen and on what is here then, so that
/// no two copies choose the same one.
pub(crate) fn prepare(txn: &dyn WriteTxn, now: Timestamp) -> Result<()> {
    if txn.state(key::PUSH_UNDER_WAY)?.is_some_and(|id| !id.is_empty()) {
        return Ok(());
    }
    let after = txn.state(key::PUSH_TAKEN)?.unwrap_or_default();
    let id = id_of(&[&after, &now.unix_millis().to_string(), &txn.last_cursor()?.to_string()]);
    txn.set_state(key::PUSH_UNDER_WAY, &id)
}

/// The push that is sent now.
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
    let text = |name: &str| Ok::<_, Error>(txn.state(name)?.unwrap_or_default());
    let (after, chosen, restored) = (text(key::PUSH_TAKEN)?, text(key::PUSH_UNDER_WAY)?, restored(txn)?);
    // A backup may hold the id of a push that was taken since: what is pushed after the restore is another one, which
    // central has to know from that.
    let is_of_backup = restored != "0" && text(key::PUSH_TAKEN_AFTER)? != restored && !planted!(BackupPushIsKnown);
    let id = if is_of_backup && !chosen.is_empty() { id_of(&[&chosen, &restored]) } else { chosen };
    Ok(PushChain { after, id, number: number(txn)? })
}

fn id_of(parts: &[&str]) -> String {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part);
    }
    hex(&digest.finalize()[..16])
}

/// Which copy it is that pulls. Nothing before its first push, nor after a backup was put back of which no push has told yet.
pub(crate) fn of_pull(txn: &dyn ReadTxn) -> Result<Option<PushChain>> {
    let text = |name: &str| Ok::<_, Error>(txn.state(name)?.unwrap_or_default());
    let (after, id) = (text(key::PUSH_TAKEN)?, text(key::PUSH_UNDER_WAY)?);
    let is_told = text(key::PUSH_TAKEN_AFTER)? == restored(txn)?;
    let number = number(txn)?;
    Ok((!after.is_empty() && is_told).then_some(PushChain { after, id, number }))
}

/// The number of the push that was taken last.
fn number(txn: &dyn ReadTxn) -> Result<u64> {
    let text = txn.state(key::PUSH_TAKEN_NUMBER)?.unwrap_or_default();
    // Nothing of an older version, nor of a central server that gives none.
    Ok(text.parse().unwrap_or(0))
}

/// The newest restore of this database.
fn restored(txn: &dyn ReadTxn) -> Result<String> {
    Ok(changelog_gaps(txn)?.last().map_or_else(|| "0".to_owned(), |lost| lost.before.to_string()))
}

/// A push was taken, and with it this copy. Gives when another one was refused, if that is news.
/// Where more batches follow at once, the next one is chosen by that.
pub(crate) fn taken(
    txn: &dyn WriteTxn,
    chain: &PushChain,
    told: Option<CopiesTold>,
    is_last: bool,
) -> Result<Option<Timestamp>> {
    txn.set_state(key::PUSH_TAKEN, &chain.id)?;
    let next = if is_last { String::new() } else { id_of(&[&chain.id, "next"]) };
    txn.set_state(key::PUSH_UNDER_WAY, &next)?;
    txn.set_state(key::PUSH_TAKEN_AFTER, &restored(txn)?)?;
    // An Open mSupply central server tells nothing.
    let Some(CopiesTold { refused_at, number }) = told else { return Ok(None) };
    txn.set_state(key::PUSH_TAKEN_NUMBER, &number.to_string())?;
    if txn.state(key::FILE_CAME_HERE)?.is_some_and(|text| !text.is_empty()) {
        txn.set_state(key::FILE_CAME_HERE, "")?;
    }
    let known = txn.state(key::COPY_REFUSED_AT)?.unwrap_or_default();
    let now = refused_at.map_or_else(String::new, |at| at.to_string());
    if known == now {
        return Ok(None);
    }
    txn.set_state(key::COPY_REFUSED_AT, &now)?;
    Ok(refused_at)
}

/// Another copy goes on: this one keeps what it has, and sends nothing any more.
pub(crate) fn give_up(site: &Site, since: &str) -> Result<()> {
    let txn = site.storage.write()?;
    txn.set_state(key::COPY_GOES_ON, since)?;
    txn.commit()
}

/// Whether this copy may speak for its site.
///
/// # Errors
/// [`Error::DatabaseCopied`] where another one does.
pub(crate) fn check(txn: &dyn ReadTxn, site: &str) -> Result<()> {
    match txn.state(key::COPY_GOES_ON)?.filter(|since| !since.is_empty()) {
        Some(since) => Err(Error::DatabaseCopied { site: site.to_owned(), since }),
        None => Ok(()),
    }
}

/// This copy was set up again, so it is the one that goes on. If another one did so far, what that sent has to be read:
/// central sends no site what came from it.
pub(crate) fn set_up(txn: &dyn WriteTxn) -> Result<()> {
    for name in
        [key::PUSH_TAKEN, key::PUSH_TAKEN_NUMBER, key::PUSH_UNDER_WAY, key::COPY_REFUSED_AT, key::FILE_CAME_HERE]
    {
        txn.set_state(name, "")?;
    }
    if txn.state(key::COPY_GOES_ON)?.is_some_and(|since| !since.is_empty()) {
        txn.set_state(key::COPY_GOES_ON, "")?;
        txn.set_state(key::PULL_CURSOR_V6, "0")?;
        txn.set_state(key::PULL_OWN, "1")?;
    }
    Ok(())
}
