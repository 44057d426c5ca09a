//! The settings of a central server, most of them for each site.

use serde::{Deserialize, Serialize};

use super::stored::{JsonList, SettingValue, StoredJson};
use super::{Setting, SiteSetting};
use crate::alarm::ToldByServer;
use crate::clock::Timestamp;
use crate::record::{Cursor, RecordId, SiteId, TableName};

/// The highest number that a site of the local list ever had: none is used twice.
pub const HIGHEST_SITE: Setting<SiteId> = Setting::new("highest_site");
/// The refused sign-ins under a site's name.
pub(crate) const FAILED_SIGN_INS: SiteSetting<StoredJson<FailedSignIns>> = SiteSetting::lenient("failed_sign_ins_");
/// True while central is paused for maintenance.
pub const PAUSED: Setting<bool> = Setting::lenient("paused");
/// What the running central server told of itself: its disk, its certificate, its backups.
pub(crate) const TOLD_BY_SERVER: Setting<Option<StoredJson<ToldByServer>>> = Setting::lenient("told_by_server");
/// How long central has run on this database, in milliseconds, starting from the clock at its first push.
pub(crate) const STEADY_TIME: Setting<i64> = Setting::lenient("steady_time");
/// The rows of the last batch that a site pushed.
pub(crate) const LAST_PUSH_OF_SITE: SiteSetting<Fingerprints> = SiteSetting::new("last_push_of_site_");
/// The highest cursor of a row that a site pushed. An older version stored any value that a site sent.
pub const HIGHEST_PUSH_OF_SITE: SiteSetting<Cursor> = SiteSetting::lenient("highest_push_of_site_");
/// True if a site has pushed batches but not its last one.
pub const OPEN_PUSH_OF_SITE: SiteSetting<bool> = SiteSetting::new("open_push_of_site_");
/// The newest restore that a site reported.
pub(crate) const RESTORED_SITE: SiteSetting<SiteRestore> = SiteSetting::new("restored_site_");
/// Without a legacy server: the stored records that are left to return to a site, once it asked for initialisation.
pub(crate) const QUEUE_OF_SITE: SiteSetting<QueueLeft> = SiteSetting::new("queue_of_site_");
/// What begins the ids of the entries of a site's queue, new with each initialisation, so that a late acknowledgement of an earlier
/// queue changes nothing. Empty before the first initialisation, and with an older version.
pub(crate) const QUEUE_EPOCH_OF_SITE: SiteSetting<String> = SiteSetting::new("queue_epoch_of_site_");
/// Numbers of records that a site gets beside its queue.
pub(crate) const LINKED_OF_SITE: SiteSetting<Numbers> = SiteSetting::new("linked_of_site_");

/// The records withheld from a site because its release cannot read them.
pub(crate) const fn withheld_of_site<T>() -> SiteSetting<StoredJson<T>> {
    SiteSetting::new("held_back_of_site_")
}

/// Which copy of a site's database continues; missing if that was forgotten.
pub(crate) const fn copies_of_site<T>() -> SiteSetting<Option<StoredJson<T>>> {
    SiteSetting::new("copies_of_site_")
}

/// What a site of the local list was before it was removed: who adds it again means the same one.
pub(crate) fn removed_site(name: &str) -> Setting<Option<StoredJson<RemovedSite>>> {
    Setting::new("removed_site_").of(name)
}

/// The stores that moved to another site and whose records are still to be logged again.
pub(crate) const fn moved_stores<T>() -> Setting<JsonList<T>> {
    Setting::new("moved_stores")
}

/// The position in the changelog that says that a store has left a site.
pub(crate) fn store_left_site(site: SiteId, store: &str) -> Setting<Cursor> {
    Setting::lenient("store_left_site_").of(format_args!("{site} {store}"))
}

/// The site that wrote a record without a store, if its changelog row does not name the site so that the site gets it
/// back.
pub(crate) fn written_by(table: &TableName, id: &RecordId) -> Setting<WrittenBy> {
    Setting::lenient("written_by ").of(format_args!("{table} {id}"))
}

/// The identity of a site that was removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RemovedSite {
    pub id: SiteId,
    pub uuid: String,
    pub last_pull_at: Option<Timestamp>,
}

/// The refused sign-ins under a site's name, since it was added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct FailedSignIns {
    pub count: u64,
    pub last_at: Option<Timestamp>,
}

impl FailedSignIns {
    /// Both, of which `later` came last.
    pub(crate) fn and(self, later: Self) -> Self {
        Self { count: self.count.saturating_add(later.count), last_at: later.last_at.or(self.last_at) }
    }
}

/// Digests of rows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Fingerprints(pub Vec<u64>);

impl SettingValue for Fingerprints {
    /// An invalid word matches no row.
    fn from_text(text: &str) -> Option<Self> {
        Some(Self(text.split_whitespace().filter_map(|word| u64::from_str_radix(word, 16).ok()).collect()))
    }

    fn to_text(&self) -> String {
        self.0.iter().map(|one| format!("{one:016x} ")).collect()
    }
}

/// The newest restore of a site.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SiteRestore {
    /// Rows that the site pushed with a lower cursor are from before.
    pub before: Cursor,
    /// The end of central's changelog at the report: the site's rows up to there are from before.
    pub known_at: Cursor,
    /// The newest record of the site in the sync buffer when it began anew: it may be integrated long after.
    pub buffered_to: u64,
}

impl SettingValue for SiteRestore {
    /// Two numbers as an older version wrote them, or three.
    fn from_text(text: &str) -> Option<Self> {
        let mut words = text.split(' ');
        let (before, known_at) = (Cursor::parse(words.next()?)?, Cursor::parse(words.next()?)?);
        let buffered_to = words.next().map_or(Some(0), |word| word.parse().ok())?;
        words.next().is_none().then_some(Self { before, known_at, buffered_to })
    }

    fn to_text(&self) -> String {
        format!("{} {} {}", self.before, self.known_at, self.buffered_to)
    }
}

/// The stored records of a site after `after`, up to those that existed when the site asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct QueueLeft {
    pub after: u64,
    pub through: u64,
}

impl SettingValue for QueueLeft {
    fn from_text(text: &str) -> Option<Self> {
        let (after, through) = text.split_once(' ')?;
        Some(Self { after: after.parse().ok()?, through: through.parse().ok()? })
    }

    fn to_text(&self) -> String {
        format!("{} {}", self.after, self.through)
    }
}

/// Numbers separated by spaces.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Numbers(pub Vec<u64>);

impl SettingValue for Numbers {
    fn from_text(text: &str) -> Option<Self> {
        text.split_whitespace().map(|word| word.parse().ok()).collect::<Option<_>>().map(Self)
    }

    fn to_text(&self) -> String {
        self.0.iter().map(u64::to_string).collect::<Vec<_>>().join(" ")
    }
}

/// The writer of a record, and the cursor of that version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WrittenBy {
    pub site: SiteId,
    pub written: Cursor,
}

impl SettingValue for WrittenBy {
    fn from_text(text: &str) -> Option<Self> {
        let (site, written) = text.split_once(' ')?;
        Some(Self { site: site.parse().ok().map(SiteId)?, written: Cursor::parse(written)? })
    }

    fn to_text(&self) -> String {
        format!("{} {}", self.site, self.written)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        fn same<T: SettingValue + PartialEq + std::fmt::Debug>(value: T, text: &str) {
            assert_eq!(value.to_text(), text);
            assert_eq!(T::from_text(text), Some(value));
        }
        same(Fingerprints(vec![1, u64::MAX]), "0000000000000001 ffffffffffffffff ");
        same(QueueLeft { after: 3, through: 9 }, "3 9");
        same(Numbers(vec![4, 5]), "4 5");
        same(Numbers::default(), "");
        same(WrittenBy { site: SiteId(2), written: Cursor(8) }, "2 8");
        let restored = SiteRestore { before: Cursor(1), known_at: Cursor(2), buffered_to: 3 };
        same(restored, "1 2 3");
        assert_eq!(SiteRestore::from_text("1 2"), Some(SiteRestore { buffered_to: 0, ..restored }), "an older version");
        for damaged in ["", "1", "1 2 3 4", "1 x"] {
            assert_eq!(SiteRestore::from_text(damaged), None, "{damaged:?}");
        }
    }
}
