//! Who a site is, who its servers are, and how far it is with reading and sending.

use super::{Setting, SettingValue};
use crate::clock::Timestamp;
use crate::ownership::Role;
use crate::protocol::PasswordHash;
use crate::record::{Cursor, SiteId};
use crate::storage::state::stored::JsonList;

/// The legacy server's address.
pub const LEGACY_URL: Setting<String> = Setting::new("legacy_url");
/// The site's name on the legacy server.
pub const SITE_NAME: Setting<String> = Setting::new("site_name");
/// The hash of the site's password; never shown.
pub const PASSWORD_HASH: Setting<PasswordHash> = Setting::new("password_sha256");
/// The id of this machine; never shown.
pub const HARDWARE_ID: Setting<String> = Setting::new("hardware_id");
/// Whose id that is.
pub(crate) const HARDWARE_ID_FROM: Setting<HardwareFrom> = Setting::new("hardware_id_from");
/// Where somebody chose that id, a digest of the machine's own: on another machine the chosen id does not count. Empty where the
/// machine had none, or where a version before kept the id.
pub const HARDWARE_ID_BOUND: Setting<String> = Setting::new("hardware_id_bound");
/// The site's own UUID; never changes once set.
pub const SITE_UUID: Setting<String> = Setting::new("site_uuid");
/// The site's number.
pub const SITE_ID: Setting<SiteId> = Setting::lenient("site_id");
/// The part that the database plays.
pub const ROLE: Setting<Role> = Setting::lenient("role");
/// The address of the Open mSupply central server; empty where the legacy server knows none.
pub const CENTRAL_URL: Setting<String> = Setting::new("central_url");
/// The number of the legacy server's own site.
pub const LEGACY_SITE_ID: Setting<SiteId> = Setting::lenient("legacy_site_id");
/// When the legacy server last said who this site is.
pub const DISCOVERED_AT: Setting<Timestamp> = Setting::lenient("discovered_at");
/// When the first cycle completed.
pub const INITIALISED_AT: Setting<Timestamp> = Setting::lenient("initialised_at");
/// The version of this library that used the database last.
pub const LIBRARY_VERSION: Setting<String> = Setting::new("library_version");

/// The next position to read of central's changelog.
pub const PULL_CURSOR_V6: Setting<Cursor> = Setting::new("pull_cursor_v6");
/// Whether what came from this site is to be sent back to it, because it reads everything again.
pub const PULL_OWN: Setting<bool> = Setting::new("pull_own");
/// The next position to push of our own changelog.
pub const PUSH_CURSOR_V6: Setting<Cursor> = Setting::new("push_cursor_v6");
/// Where the push cursor was when central last confirmed that it integrated what was pushed; counts only while
/// [`PUSH_UNCONFIRMED`].
pub const PUSH_CONFIRMED_V6: Setting<Cursor> = Setting::new("push_confirmed_v6");
/// Whether central has not confirmed that it integrated what was pushed last.
pub const PUSH_UNCONFIRMED: Setting<bool> = Setting::new("push_unconfirmed");

/// The last position read of the legacy server's central data; exclusive, as V5 has it.
pub const PULL_CURSOR_CENTRAL: Setting<Cursor> = Setting::new("pull_cursor_central");
/// The highest position that the legacy server said it had.
pub const LEGACY_POSITION_SEEN: Setting<Cursor> = Setting::new("legacy_position_seen");
/// The next position to push of our own changelog to the legacy server.
pub const PUSH_CURSOR_LEGACY: Setting<Cursor> = Setting::new("push_cursor_legacy");
/// Where that cursor was when the legacy server last confirmed that it integrated what was pushed; counts only while
/// [`PUSH_UNCONFIRMED_LEGACY`].
pub const PUSH_CONFIRMED_LEGACY: Setting<Cursor> = Setting::new("push_confirmed_legacy");
/// Whether the legacy server has not confirmed that it integrated what was pushed last.
pub const PUSH_UNCONFIRMED_LEGACY: Setting<bool> = Setting::new("push_unconfirmed_legacy");
/// How far the legacy server is with filling this site's queue.
pub(crate) const QUEUE_PREPARED: Setting<QueuePrepared> = Setting::lenient("queue_prepared");
/// The last batch of the legacy server's queue.
pub(crate) const QUEUE_TAKEN: Setting<QueueTaken> = Setting::new("queue_taken");

/// Patients who are being linked to stores of this site.
pub(crate) const fn links<T>() -> Setting<JsonList<T>> {
    Setting::new("links")
}

/// Whether a batch of a source failed, until the next is staged instead, to be integrated record by record.
pub(crate) fn batch_failed(source: &str) -> Setting<bool> {
    Setting::new("batch_failed_").of(source)
}

/// Whose id a hardware id is.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum HardwareFrom {
    /// This machine's own, which is asked for anew each time: a copy of the database on another machine has another one.
    Machine,
    /// Somebody chose it.
    Given,
    /// A version before made it by chance and kept it in the database, with which it is copied.
    #[default]
    Chance,
}

impl SettingValue for HardwareFrom {
    fn from_text(text: &str) -> Option<Self> {
        Some(match text {
            "machine" => Self::Machine,
            "given" => Self::Given,
            _ => Self::Chance,
        })
    }

    fn to_text(&self) -> String {
        match self {
            Self::Machine => "machine",
            Self::Given => "given",
            Self::Chance => "",
        }
        .to_owned()
    }
}

/// How far the legacy server is with filling this site's queue, and since which restore of this database: a later one makes
/// it necessary anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct QueuePrepared {
    pub preparation: Preparation,
    pub since: Cursor,
}

/// How far a database is with being initialised by the legacy server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Preparation {
    /// Nothing shows that the server was asked.
    Wanted,
    /// The server was seen at work on it.
    Under,
    /// Everything is in the queue.
    Done,
}

impl Preparation {
    const NAMES: [(Self, &str); 3] = [(Self::Wanted, "wanted"), (Self::Under, "under"), (Self::Done, "done")];
}

impl SettingValue for QueuePrepared {
    fn from_text(text: &str) -> Option<Self> {
        let (name, since) = text.split_once(' ')?;
        let (preparation, _) = Preparation::NAMES.into_iter().find(|(_, known)| *known == name)?;
        Some(Self { preparation, since: Cursor::parse(since)? })
    }

    fn to_text(&self) -> String {
        let name = Preparation::NAMES.into_iter().find(|(known, _)| *known == self.preparation);
        format!("{} {}", name.map_or("wanted", |(_, name)| name), self.since)
    }
}

/// Digests of the records of the last batch of the legacy server's queue: what they are acknowledged by and what they say.
/// They are here; where the acknowledgement was lost, they come again, or newer versions of them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct QueueTaken(pub Vec<String>);

impl SettingValue for QueueTaken {
    fn from_text(text: &str) -> Option<Self> {
        Some(Self(text.lines().map(str::to_owned).collect()))
    }

    fn to_text(&self) -> String {
        self.0.join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_far_a_queue_is_prepared_is_read_as_it_was_written() {
        for (preparation, text) in
            [(Preparation::Wanted, "wanted 0"), (Preparation::Under, "under 0"), (Preparation::Done, "done 0")]
        {
            let prepared = QueuePrepared { preparation, since: Cursor(0) };
            assert_eq!((prepared.to_text().as_str(), QueuePrepared::from_text(text)), (text, Some(prepared)));
        }
        assert_eq!(QueuePrepared::from_text("ready 0"), None);
    }
}
