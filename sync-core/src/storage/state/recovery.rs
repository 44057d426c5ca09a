//! What a site keeps while it recovers from a restore of its own database or of central's; see `docs/recovery.md`.

use super::stored::{SettingValue, StoredLine, numbers};
use super::{LOST, Setting};
use crate::changelog::ChangelogGap;
use crate::error::{Result, Server};
use crate::record::Cursor;
use crate::storage::{ReadTxn, WriteTxn};

/// Up to which cursor a restored site has dealt with what it lost.
pub const RECOVERED: Setting<Cursor> = Setting::new("recovered");
/// Up to which cursor a restored site has read again what the legacy server has of it.
const RECOVERED_LEGACY: Setting<Cursor> = Setting::new("recovered_legacy");
/// What holds since the newest restore of a site that it began to deal with.
const RECOVERING_FROM: Setting<RestorePoint> = Setting::new("recovering_from");
/// Up to which cursor a site has dealt with what central says that it lost.
pub const CENTRAL_LOST_KNOWN: Setting<Cursor> = Setting::new("central_lost_known");
/// What is known of the newest row of central's changelog.
pub(crate) const NEWEST_GONE: Setting<NewestRow> = Setting::new("newest_gone");
/// Points of central's changelog by which it had integrated what was pushed up to a cursor.
pub(crate) const PUSH_MARKS: Setting<Checkpoints> = Setting::new("push_marks");
/// The edits that were pushed and that central may have lost.
const RESEND: Setting<Option<ResendRange>> = Setting::new("resend");
/// Set while everything is read again because central went back.
const REREADING: Setting<Option<Rereading>> = Setting::new("rereading");

/// The settings that show how far a site is with recovering.
pub(crate) fn recovery_shown() -> [Setting<String>; 5] {
    [
        RECOVERED.as_text(),
        RECOVERING_FROM.as_text(),
        REREADING.as_text(),
        RESEND.as_text(),
        CENTRAL_LOST_KNOWN.as_text(),
    ]
}

/// What holds since the newest restore of the site's database that it began to deal with. It holds after that too: edits of
/// the backup may still wait, of a store that is away.
pub(crate) fn restore_point(txn: &dyn ReadTxn) -> Result<Option<RestorePoint>> {
    RECOVERING_FROM.find(txn)
}

/// How far a site is with the restores of its own database, at one of its servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OwnRestore {
    /// It has read what it lost, or never lost anything.
    Recovered { up_to: Cursor },
    /// A backup was put back, and nothing that this lost was read yet.
    Restored { lost: ChangelogGap },
    /// What was lost is being read.
    Recovering { lost: ChangelogGap, since: RestorePoint },
}

impl OwnRestore {
    /// What three settings together say: the gaps of the changelog, how far they were dealt with, and what was begun.
    pub(crate) fn of(gaps: &[ChangelogGap], up_to: Cursor, begun: Option<RestorePoint>) -> Self {
        // Of several restores the last: what was written between them may be in the newer backup.
        match (gaps.last().filter(|lost| lost.before > up_to), begun) {
            (None, _) => Self::Recovered { up_to },
            (Some(lost), Some(since)) if since.made_since == lost.before => Self::Recovering { lost: *lost, since },
            (Some(lost), _) => Self::Restored { lost: *lost },
        }
    }

    pub(crate) fn load(txn: &dyn ReadTxn, server: Server) -> Result<Self> {
        let gaps = LOST.get(txn)?;
        let up_to = match server {
            Server::Central => RECOVERED.get(txn)?,
            Server::Legacy => RECOVERED_LEGACY.get(txn)?,
        };
        match Self::of(&gaps, up_to, None) {
            Self::Restored { .. } if server == Server::Central => Ok(Self::of(&gaps, up_to, restore_point(txn)?)),
            known => Ok(known),
        }
    }

    /// Keeps it. That a backup was put back is kept by the storage.
    pub(crate) fn store(self, txn: &dyn WriteTxn, server: Server) -> Result<()> {
        match (self, server) {
            (Self::Recovered { up_to }, Server::Central) => RECOVERED.set(txn, up_to),
            (Self::Recovered { up_to }, Server::Legacy) => RECOVERED_LEGACY.set(txn, up_to),
            (Self::Recovering { since, .. }, Server::Central) => RECOVERING_FROM.set(txn, since),
            (Self::Recovering { .. }, Server::Legacy) | (Self::Restored { .. }, _) => Ok(()),
        }
    }
}

/// How far a site is with a restore of central.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CentralRestore {
    /// There was none, or all that central lost of ours is logged to be sent.
    Settled,
    /// Everything is being read again, and compared with what may have to be sent again.
    Rereading { reading: Rereading, resend: Option<ResendRange> },
    /// Everything was read again. What central lost of ours is being logged again, as edits that are not pushed.
    Resending { resend: ResendRange },
}

impl CentralRestore {
    pub(crate) fn load(txn: &dyn ReadTxn) -> Result<Self> {
        Ok(match (REREADING.get(txn)?, RESEND.get(txn)?) {
            (Some(reading), resend) => Self::Rereading { reading, resend },
            (None, Some(resend)) => Self::Resending { resend },
            (None, None) => Self::Settled,
        })
    }

    pub(crate) fn store(self, txn: &dyn WriteTxn) -> Result<()> {
        let (reading, resend) = match self {
            Self::Settled => (None, None),
            Self::Rereading { reading, resend } => (Some(reading), resend),
            Self::Resending { resend } => (None, Some(resend)),
        };
        if REREADING.get(txn)? != reading {
            REREADING.set(txn, reading)?;
        }
        if RESEND.get(txn)? != resend {
            RESEND.set(txn, resend)?;
        }
        Ok(())
    }
}

/// What is known of the newest row of central's changelog.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum NewestRow {
    /// It is there.
    #[default]
    There,
    /// The row with this number was seen and is gone. If the number is given out again, central was restored from a backup.
    Gone(Cursor),
}

/// The number; 0 where it is there.
impl SettingValue for NewestRow {
    fn from_text(text: &str) -> Option<Self> {
        Some(match Cursor::parse(text)? {
            Cursor(0) => Self::There,
            gone => Self::Gone(gone),
        })
    }

    fn to_text(&self) -> String {
        match self {
            Self::There => Cursor(0),
            Self::Gone(gone) => *gone,
        }
        .to_string()
    }
}

/// What a site that went back needs to know while it reads what it lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RestorePoint {
    /// How far it had seen central's changelog at the time of the backup: what lies beyond came later.
    pub seen: Cursor,
    /// Own edits from here on were made after the restore.
    pub made_since: Cursor,
}

/// What a site needs to know while it reads everything again because central went back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rereading {
    /// The end of what central kept.
    pub after: Cursor,
    /// How far central's changelog had been seen: what was for this site up to there had been read, or came from it.
    pub seen: Cursor,
}

/// Own edits from `from` on, those from `below` on excluded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ResendRange {
    pub from: Cursor,
    pub below: Cursor,
}

/// When central's changelog ended at `central`, everything of ours below `own` was in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Checkpoint {
    pub central: Cursor,
    pub own: Cursor,
}

/// Checkpoints in rising order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Checkpoints(pub Vec<Checkpoint>);

macro_rules! stored_as_pair {
    ($($type:ident { $first:ident, $second:ident }),* $(,)?) => {
        $(impl SettingValue for $type {
            fn from_text(text: &str) -> Option<Self> {
                let [$first, $second] = numbers(text)?;
                Some(Self { $first, $second })
            }

            fn to_text(&self) -> String {
                format!("{} {}", self.$first, self.$second)
            }
        })*
    };
}

stored_as_pair! {
    RestorePoint { seen, made_since },
    Rereading { after, seen },
    ResendRange { from, below },
    Checkpoint { central, own },
}

impl StoredLine for Checkpoint {
    fn from_line(line: &str) -> Option<Self> {
        Self::from_text(line)
    }

    fn to_line(&self) -> String {
        self.to_text()
    }
}

impl SettingValue for Checkpoints {
    fn from_text(text: &str) -> Option<Self> {
        let all = Vec::<Checkpoint>::from_text(text)?;
        all.is_sorted_by_key(|checkpoint| checkpoint.central).then_some(Self(all))
    }

    fn to_text(&self) -> String {
        self.0.to_text()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::{MemoryStorage, Storage as _};

    #[test]
    fn formats_are_those_of_older_versions() {
        fn same<T: SettingValue + PartialEq + std::fmt::Debug>(value: T, text: &str) {
            assert_eq!(value.to_text(), text);
            assert_eq!(T::from_text(text), Some(value));
        }
        same(RestorePoint { seen: Cursor(1), made_since: Cursor(2) }, "1 2");
        same(Some(Rereading { after: Cursor(3), seen: Cursor(4) }), "3 4");
        same(None::<ResendRange>, "");
        same(NewestRow::There, "0");
        same(NewestRow::Gone(Cursor(9)), "9");
        let checkpoint = |central, own| Checkpoint { central: Cursor(central), own: Cursor(own) };
        same(Checkpoints(vec![checkpoint(1, 2), checkpoint(3, 4)]), "1 2\n3 4\n");
        same(Checkpoints::default(), "");
        for damaged in ["3 4\n1 2\n", "1\n", "x 1\n"] {
            assert_eq!(Checkpoints::from_text(damaged), None, "{damaged:?}");
        }
    }

    #[test]
    fn what_is_kept_of_a_restore_is_found_again() {
        let storage = MemoryStorage::new();
        let txn = storage.write().unwrap();
        let txn = txn.as_ref();
        let reading = Rereading { after: Cursor(3), seen: Cursor(9) };
        let resend = ResendRange { from: Cursor(1), below: Cursor(5) };
        for central in [
            CentralRestore::Settled,
            CentralRestore::Rereading { reading, resend: Some(resend) },
            CentralRestore::Resending { resend },
            CentralRestore::Settled,
        ] {
            central.store(txn).unwrap();
            assert_eq!(CentralRestore::load(txn).unwrap(), central);
        }
        let lost = ChangelogGap { after: Cursor(4), before: Cursor(8) };
        let since = RestorePoint { seen: Cursor(7), made_since: lost.before };
        let restored = OwnRestore::Restored { lost };
        LOST.set(txn, vec![lost]).unwrap();
        for server in [Server::Central, Server::Legacy] {
            assert_eq!(OwnRestore::load(txn, server).unwrap(), restored);
        }
        OwnRestore::Recovering { lost, since }.store(txn, Server::Central).unwrap();
        assert_eq!(OwnRestore::load(txn, Server::Central).unwrap(), OwnRestore::Recovering { lost, since });
        let recovered = OwnRestore::Recovered { up_to: lost.before };
        recovered.store(txn, Server::Central).unwrap();
        assert_eq!(OwnRestore::load(txn, Server::Central).unwrap(), recovered);
        assert_eq!(restore_point(txn).unwrap(), Some(since), "what holds since the restore stays known");
        assert_eq!(OwnRestore::load(txn, Server::Legacy).unwrap(), restored, "each server has its own");
    }
}
