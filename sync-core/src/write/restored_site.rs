//! Which records go back to the site that pushed them: those that it lost, because it was restored from a backup.

use crate::changelog::ChangelogGap;
use crate::error::{Error, Result};
use crate::record::{Cursor, SiteId};
use crate::storage::{ReadTxn, WriteTxn, key};

/// On central, what is known of a site's newest restore.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SiteRestore {
    /// Rows that the site pushed with a lower cursor are from before.
    before: Cursor,
    /// Where central's changelog ended when the site said so: what had come from the site was from before.
    known_at: Cursor,
}

impl SiteRestore {
    /// The newest restore that a site told of.
    pub(crate) fn load(txn: &dyn ReadTxn, site: SiteId) -> Result<Option<Self>> {
        let name = setting(site);
        let Some(text) = txn.state(&name)? else { return Ok(None) };
        let parts = text.split_once(' ').and_then(|(before, at)| Some((Cursor::parse(before)?, Cursor::parse(at)?)));
        let (before, known_at) = parts.ok_or(Error::DamagedState { what: name })?;
        Ok(Some(Self { before, known_at }))
    }

    /// Keeps what a site tells of what it lost.
    pub(crate) fn learn(txn: &dyn WriteTxn, site: SiteId, lost_there: &[ChangelogGap]) -> Result<()> {
        let told = lost_there.iter().filter(|lost| lost.before.is_possible() && lost.after < lost.before);
        let Some(before) = told.map(|lost| lost.before).max() else { return Ok(()) };
        if Self::load(txn, site)?.is_none_or(|known| known.before < before) {
            txn.set_state(&setting(site), &format!("{before} {}", txn.last_cursor()?))?;
        }
        Ok(())
    }

    /// Notes that a site begins anew, with an empty database: of all that came from it it may have nothing.
    pub(crate) fn begins_anew(txn: &dyn WriteTxn, site: SiteId) -> Result<()> {
        let before = Self::load(txn, site)?.map_or(Cursor(0), |known| known.before);
        txn.set_state(&setting(site), &format!("{before} {}", txn.last_cursor()?))
    }

    /// Notes that a site counts anew, in another database: where it went on after a restore of the former one says nothing of
    /// the numbers of this.
    pub(crate) fn counts_anew(txn: &dyn WriteTxn, site: SiteId) -> Result<()> {
        match Self::load(txn, site)?.filter(|known| known.before > Cursor(0)) {
            Some(known) => txn.set_state(&setting(site), &format!("0 {}", known.known_at)),
            None => Ok(()),
        }
    }

    /// Whether the site may have lost what it pushed with this cursor.
    pub(crate) fn lost_pushed(self, at_site: Cursor) -> bool {
        at_site < self.before
    }

    /// Whether the site may have lost what came from it and has this cursor here.
    pub(crate) fn lost_logged(self, here: Cursor) -> bool {
        here <= self.known_at
    }
}

fn setting(site: SiteId) -> String {
    format!("{}{site}", key::RESTORED_SITE)
}
