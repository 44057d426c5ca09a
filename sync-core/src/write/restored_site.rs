//! Decides which records go back to the site that pushed them because it lost them, by a restore from a backup.

use crate::changelog::ChangelogGap;
use crate::error::Result;
use crate::record::{Cursor, SiteId};
pub(crate) use crate::storage::state::SiteRestore;
use crate::storage::{ReadTxn, Source, WriteTxn, state};

impl SiteRestore {
    /// The newest restore that a site reported.
    pub(crate) fn load(txn: &dyn ReadTxn, site: SiteId) -> Result<Option<Self>> {
        state::RESTORED_SITE.of(site).find(txn)
    }

    fn store(self, txn: &dyn WriteTxn, site: SiteId) -> Result<()> {
        state::RESTORED_SITE.of(site).set(txn, self)
    }

    /// Stores the losses that a site reports.
    pub(crate) fn note_losses(txn: &dyn WriteTxn, site: SiteId, lost_there: &[ChangelogGap]) -> Result<()> {
        let told = lost_there.iter().filter(|lost| lost.before.is_possible() && lost.after < lost.before);
        let Some(before) = told.map(|lost| lost.before).max() else { return Ok(()) };
        let known = Self::load(txn, site)?;
        if known.is_some_and(|known| known.before >= before) {
            return Ok(());
        }
        let buffered_to = known.map_or(0, |known| known.buffered_to);
        Self { before, known_at: txn.last_cursor()?, buffered_to }.store(txn, site)
    }

    /// Records that a site begins anew, with an empty database: it may have lost all its records.
    pub(crate) fn note_all_lost(txn: &dyn WriteTxn, site: SiteId) -> Result<()> {
        let before = Self::load(txn, site)?.map_or(Cursor(0), |known| known.before);
        Self { before, known_at: txn.last_cursor()?, buffered_to: newest_aside(txn, site)? }.store(txn, site)
    }

    /// Records that a site has a new database: its cursor after a restore of the former one says nothing about the
    /// numbers of this.
    pub(crate) fn note_new_database(txn: &dyn WriteTxn, site: SiteId) -> Result<()> {
        match Self::load(txn, site)?.filter(|known| known.before > Cursor(0)) {
            Some(known) => Self { before: Cursor(0), ..known }.store(txn, site),
            None => Ok(()),
        }
    }

    /// True if the site may have lost the push with this cursor.
    pub(crate) fn lost_pushed(self, at_site: Cursor) -> bool {
        at_site < self.before
    }

    /// True if the site may have lost its record at this place in the sync buffer.
    pub(crate) fn lost_buffered(self, sequence: u64) -> bool {
        sequence <= self.buffered_to
    }

    /// True if the site may have lost its record with this cursor here.
    pub(crate) fn lost_logged(self, here: Cursor) -> bool {
        here <= self.known_at
    }
}

/// The newest place in the sync buffer of a quarantined record of a site.
fn newest_aside(txn: &dyn ReadTxn, site: SiteId) -> Result<u64> {
    match txn.central()?.quarantine_of_sites()?.iter().any(|(of, ..)| *of == site) {
        true => txn.newest_quarantined(Source::Site(site)),
        false => Ok(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::protocol::v6::{Action, WireRecord};
    use crate::record::RecordData;
    use crate::storage::state::SettingValue as _;
    use crate::storage::{Incoming, MemoryStorage, Quarantine, QuarantineCause, Storage as _};

    fn set_aside(txn: &dyn WriteTxn, site: SiteId, id: &str) -> u64 {
        let (table_name, record_id) = ("name_oms_fields".into(), id.into());
        let record = WireRecord { table_name, record_id, action: Action::Update, record_data: RecordData::of(&()) };
        let quarantine = Quarantine { cause: QuarantineCause::Waiting, reason: String::new(), waits_for: None };
        let incoming = Incoming { quarantine: Some(quarantine), ..Incoming::new(Source::Site(site), record) };
        txn.stage(&incoming, Timestamp::from_unix_millis(0)).unwrap();
        txn.quarantined(0, usize::MAX).unwrap().last().unwrap().0.sequence
    }

    #[test]
    fn what_lay_in_the_buffer_when_its_site_began_anew_is_lost_there() {
        let storage = MemoryStorage::new();
        let txn = storage.write().unwrap();
        let (site, other) = (SiteId(2), SiteId(3));
        let before = set_aside(txn.as_ref(), site, "x");
        let of_another = set_aside(txn.as_ref(), other, "x");
        SiteRestore::note_all_lost(txn.as_ref(), site).unwrap();
        let after = set_aside(txn.as_ref(), site, "y");
        let known = || SiteRestore::load(txn.as_ref(), site).unwrap().unwrap();
        let lost = |known: SiteRestore| [before, after].map(|sequence| known.lost_buffered(sequence));
        assert_eq!(lost(known()), [true, false]);
        SiteRestore::note_losses(txn.as_ref(), site, &[ChangelogGap { after: Cursor(3), before: Cursor(9) }]).unwrap();
        SiteRestore::note_new_database(txn.as_ref(), site).unwrap();
        assert_eq!(lost(known()), [true, false], "it stays known");
        SiteRestore::note_all_lost(txn.as_ref(), other).unwrap();
        let known = SiteRestore::load(txn.as_ref(), other).unwrap().unwrap();
        assert!(known.lost_buffered(of_another) && !known.lost_buffered(after));
    }

    #[test]
    fn what_an_older_version_wrote_is_read() {
        let read =
            |text| SiteRestore::from_text(text).map(|known| (known.before.0, known.known_at.0, known.buffered_to));
        assert_eq!(read("7 40"), Some((7, 40, 0)));
        assert_eq!(read("7 40 12"), Some((7, 40, 12)));
        assert_eq!([read("7"), read("7 40 x"), read("7 40 12 1")], [None; 3]);
    }
}
