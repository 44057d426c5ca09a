//! The identity of a site, its servers, and its progress in reading and sending.

use super::{Setting, SettingValue};
use crate::clock::Timestamp;
use crate::protocol::PasswordHash;
use crate::record::{Cursor, SiteId};
use crate::storage::state::stored::JsonList;

/// The legacy server's address.
pub const LEGACY_URL: Setting<String> = Setting::new("legacy_url");
/// The site's name on the legacy server.
pub const SITE_NAME: Setting<String> = Setting::new("site_name");
/// The hash of the site's password; never shown. Empty if the host keeps it elsewhere.
pub const PASSWORD_HASH: Setting<PasswordHash> = Setting::new("password_sha256");
/// The id of this machine; never shown. Empty if the host keeps it elsewhere.
pub const HARDWARE_ID: Setting<String> = Setting::new("hardware_id");
/// True if credentials and records go to other machines over https alone.
pub const HTTPS_ONLY: Setting<bool> = Setting::lenient("https_only");
/// The origin of that id.
pub(crate) const HARDWARE_ID_FROM: Setting<HardwareFrom> = Setting::new("hardware_id_from");
/// If the id was chosen, a digest of the machine's own id: on another machine the chosen id does not count. Empty if
/// the machine had none, or if an older version stored the id.
pub const HARDWARE_ID_BOUND: Setting<String> = Setting::new("hardware_id_bound");
/// The site's own UUID; never changes once set.
pub const SITE_UUID: Setting<String> = Setting::new("site_uuid");
/// The site's number.
pub const SITE_ID: Setting<SiteId> = Setting::lenient("site_id");
/// The address of the Open mSupply central server; empty if the legacy server knows none.
pub const CENTRAL_URL: Setting<String> = Setting::new("central_url");
/// The address of central that was set up, or that somebody confirmed since. Nothing is sent to another host. An older version did not
/// store it: there it is [`CENTRAL_URL`].
pub const CENTRAL_CONFIRMED: Setting<String> = Setting::new("central_url_confirmed");
/// The address of central in the last complete cycle; empty after a set-up at another legacy server.
pub(crate) const CENTRAL_ANSWERED: Setting<String> = Setting::new("central_url_answered");
/// The number of the legacy server's own site.
pub const LEGACY_SITE_ID: Setting<SiteId> = Setting::lenient("legacy_site_id");
/// The time of the last discovery.
pub const DISCOVERED_AT: Setting<Timestamp> = Setting::lenient("discovered_at");
/// The time when the first cycle completed.
pub const INITIALISED_AT: Setting<Timestamp> = Setting::lenient("initialised_at");
/// The version of this library that last used the database.
pub const LIBRARY_VERSION: Setting<String> = Setting::new("library_version");

/// True once an app opened this database with a hook, which keeps the app's own tables.
#[cfg(feature = "sqlite")]
pub(crate) const HAS_HOOK: Setting<bool> = Setting::lenient("has_hook");
/// The first change that was written without the hook, and that the hook was not called for since.
#[cfg(feature = "sqlite")]
pub(crate) const HOOK_MISSED_FROM: Setting<Option<Cursor>> = Setting::lenient("hook_missed_from");

/// The next position to read of central's changelog.
pub const PULL_CURSOR_V6: Setting<Cursor> = Setting::new("pull_cursor_v6");
/// True if this site needs its own records too, because it reads everything again.
pub const PULL_OWN: Setting<bool> = Setting::new("pull_own");
/// The next position to push of our own changelog.
pub const PUSH_CURSOR_V6: Setting<Cursor> = Setting::new("push_cursor_v6");
/// The push cursor when central last confirmed the integration; counts only while [`PUSH_UNCONFIRMED`].
pub const PUSH_CONFIRMED_V6: Setting<Cursor> = Setting::new("push_confirmed_v6");
/// Our own edits before this position were sent to central at least once, with or without an answer.
pub const PUSH_SENT_BEFORE: Setting<Cursor> = Setting::lenient("push_sent_before");
/// When records that a server found too large are pushed once more; `None` if there are none.
pub const TOO_LARGE_AGAIN_AT: Setting<Option<Timestamp>> = Setting::lenient("too_large_again_at");
/// True if central has not confirmed that it integrated the last push.
pub const PUSH_UNCONFIRMED: Setting<bool> = Setting::new("push_unconfirmed");

/// The last position read of the legacy server's central data; exclusive, as V5 has it.
pub const PULL_CURSOR_CENTRAL: Setting<Cursor> = Setting::new("pull_cursor_central");
/// The highest position that the legacy server has reported.
pub const LEGACY_POSITION_SEEN: Setting<Cursor> = Setting::new("legacy_position_seen");
/// The next position to push of our own changelog to the legacy server.
pub const PUSH_CURSOR_LEGACY: Setting<Cursor> = Setting::new("push_cursor_legacy");
/// That cursor when the legacy server last confirmed the integration; counts only while [`PUSH_UNCONFIRMED_LEGACY`].
pub const PUSH_CONFIRMED_LEGACY: Setting<Cursor> = Setting::new("push_confirmed_legacy");
/// True if the legacy server has not confirmed that it integrated the last push.
pub const PUSH_UNCONFIRMED_LEGACY: Setting<bool> = Setting::new("push_unconfirmed_legacy");
/// The state of this site's queue at the legacy server.
pub(crate) const QUEUE_PREPARED: Setting<QueuePrepared> = Setting::lenient("queue_prepared");
/// The last batch of the legacy server's queue.
pub(crate) const QUEUE_TAKEN: Setting<QueueTaken> = Setting::new("queue_taken");

/// Links of patients to stores of this site that are not done.
pub(crate) const fn links<T>() -> Setting<JsonList<T>> {
    Setting::new("links")
}

/// The newest conflicts, with the versions that did not stay. Only for people: a damaged list is begun again.
pub(crate) const fn conflicts<T>() -> Setting<JsonList<T>> {
    Setting::lenient("conflicts")
}

/// True if a batch of a source failed, until the next one is staged and integrated record by record.
pub(crate) fn batch_failed(source: &str) -> Setting<bool> {
    Setting::new("batch_failed_").of(source)
}

/// The origin of a hardware id.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum HardwareFrom {
    /// The machine's own, read anew each time: a copy of the database on another machine has another one.
    Machine,
    /// A person chose it.
    Given,
    /// An older version made it at random and stored it in the database, so copies have it too.
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

/// The state of this site's queue at the legacy server, and the restore of this database after which it was reached: a
/// later restore makes it necessary again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct QueuePrepared {
    pub preparation: Preparation,
    pub since: Cursor,
}

/// The state of a database's initialisation by the legacy server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Preparation {
    /// Nothing shows that the server received the request.
    Wanted,
    /// The server was seen working on it.
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

/// Digests of the records of the last batch of the legacy server's queue: of their acknowledgements and of their
/// contents. They are stored here; if the acknowledgement was lost, they come again, or newer versions of them.
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
