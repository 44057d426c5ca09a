//! The settings of a site that recovers from a restore of its own database or of central's; see `docs/recovery.md`.

use super::stored::{SettingValue, StoredLine, numbers};
use super::{LOST, Setting};
use crate::changelog::ChangelogGap;
use crate::error::{Result, Server};
use crate::record::Cursor;
use crate::storage::{ReadTxn, WriteTxn};

/// The cursor up to which a restored site has handled its losses.
pub const RECOVERED: Setting<Cursor> = Setting::new("recovered");
/// The highest cursor up to which it ever has: it stays when a store comes, and the losses are read once more.
pub(crate) const RECOVERED_ONCE: Setting<Cursor> = Setting::new("recovered_once");
/// The cursor up to which a restored site has read the legacy server's records again.
const RECOVERED_LEGACY: Setting<Cursor> = Setting::new("recovered_legacy");
/// The facts about the newest restore that a site has begun to handle.
const RECOVERING_FROM: Setting<RestorePoint> = Setting::new("recovering_from");
/// The cursor up to which a site has handled the losses that central reports.
pub const CENTRAL_LOST_KNOWN: Setting<Cursor> = Setting::new("central_lost_known");
/// The state of the newest row of central's changelog.
pub(crate) const NEWEST_GONE: Setting<NewestRow> = Setting::new("newest_gone");
/// Checkpoints: positions in central's changelog with the part of ours that it had integrated by then.
pub(crate) const PUSH_MARKS: Setting<Checkpoints> = Setting::new("push_marks");
/// The pushed edits that central may have lost.
const RESEND: Setting<Option<ResendRange>> = Setting::new("resend");
/// Set while everything is read again because central went back.
const REREADING: Setting<Option<Rereading>> = Setting::new("rereading");

/// The settings that show the progress of a recovery.
pub(crate) fn recovery_shown() -> [Setting<String>; 5] {
    [
        RECOVERED.as_text(),
        RECOVERING_FROM.as_text(),
        REREADING.as_text(),
        RESEND.as_text(),
        CENTRAL_LOST_KNOWN.as_text(),
    ]
}

/// The facts about the newest restore of the site's database that it has begun to handle. They stay valid after that,
/// because edits from the backup may still wait for a store that is away.
pub(crate) fn restore_point(txn: &dyn ReadTxn) -> Result<Option<RestorePoint>> {
    RECOVERING_FROM.find(txn)
}

/// The state of the restores of this database, at one of its servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OwnRestore {
    /// It has read its losses, or never had any.
    Recovered { up_to: Cursor },
    /// A backup was restored, and nothing of its losses is read yet.
    Restored { lost: ChangelogGap },
    /// The losses are being read.
    Recovering { lost: ChangelogGap, since: RestorePoint },
}

impl OwnRestore {
    /// The state from three settings: the gaps of the changelog, the handled part, and the recovery that was begun.
    pub(crate) fn of(gaps: &[ChangelogGap], up_to: Cursor, begun: Option<RestorePoint>) -> Self {
        // Of several restores the last: edits between them may be in the newer backup.
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

    /// Stores it. The storage itself records that a backup was restored.
    pub(crate) fn store(self, txn: &dyn WriteTxn, server: Server) -> Result<()> {
        match (self, server) {
            (Self::Recovered { up_to }, Server::Central) => {
                if up_to > RECOVERED_ONCE.get(txn)? {
                    RECOVERED_ONCE.set(txn, up_to)?;
                }
                RECOVERED.set(txn, up_to)
            }
            (Self::Recovered { up_to }, Server::Legacy) => RECOVERED_LEGACY.set(txn, up_to),
            (Self::Recovering { since, .. }, Server::Central) => RECOVERING_FROM.set(txn, since),
            (Self::Recovering { .. }, Server::Legacy) | (Self::Restored { .. }, _) => Ok(()),
        }
    }
}

/// The state of a restore of central.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CentralRestore {
    /// There was none, or the records of this site that central lost are logged to be sent.
    Settled,
    /// Everything is being read again, and compared with the edits that may have to be sent again.
    Rereading { reading: Rereading, resend: Option<ResendRange> },
    /// Everything was read again. The edits that central lost are being logged again, as edits that are not pushed.
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

/// The state of the newest row of central's changelog.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum NewestRow {
    /// It exists.
    #[default]
    There,
    /// The row with this number was seen and is gone. If the number is used again, central was restored from a backup.
    Gone(Cursor),
}

/// The number; 0 if the row exists.
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

/// The facts that a restored site needs while it reads its losses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RestorePoint {
    /// The end of central's changelog that it had seen at the time of the backup: later rows came after it.
    pub seen: Cursor,
    /// Own edits from here on were made after the restore.
    pub made_since: Cursor,
}

/// The facts that a site needs while it reads everything again because central went back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rereading {
    /// The end of the part that central kept.
    pub after: Cursor,
    /// The end of central's changelog that had been seen: the site had read, or sent, its own records up to there.
    pub seen: Cursor,
}

/// Own edits from `from` to `below`, excluding `below`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ResendRange {
    pub from: Cursor,
    pub below: Cursor,
}

/// When central's changelog ended at `central`, it had all our changes below `own`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Checkpoint {
    pub central: Cursor,
    pub own: Cursor,
}

/// Checkpoints in ascending order.
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
