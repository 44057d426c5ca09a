//! Settings and cursors of a database as typed values.
//!
//! Each is a row of text in the storage ([`StateReads::state`](super::StateReads::state)). Its name and its format are
//! defined only here; all other code uses its [`Setting`]:
//!
//! ```
//! use sync_core::record::Cursor;
//! use sync_core::storage::{MemoryStorage, Storage, state};
//!
//! let storage = MemoryStorage::new();
//! let txn = storage.write()?;
//! state::PUSH_CURSOR_V6.set(txn.as_ref(), Cursor(7))?;
//! assert_eq!(state::PUSH_CURSOR_V6.get(txn.as_ref())?, Cursor(7));
//! assert_eq!(state::SITE_NAME.find(txn.as_ref())?, None);
//! # Ok::<(), sync_core::Error>(())
//! ```

mod copied_database;
mod files;
mod gaps;
mod lines;
mod merges;
mod of_site;
mod recovery;
mod refused_by_central;
mod role;
mod setting;
mod site;
mod stored;
mod unpushed;

use url::Url;

pub use copied_database::*;
pub use files::*;
pub use gaps::{LOST, changelog_gaps};
pub(crate) use gaps::{newest_gaps, with_gap};
pub(crate) use lines::*;
pub(crate) use merges::*;
pub use of_site::*;
pub use recovery::*;
pub(crate) use refused_by_central::*;
pub use role::ROLE;
pub(crate) use role::role;
pub use setting::{Setting, SiteSetting, named};
pub use site::*;
pub use stored::SettingValue;
pub(crate) use stored::{JsonList, StoredJson};
pub(crate) use unpushed::*;

use super::ReadTxn;
use crate::error::{Result, Server};
use crate::record::{Cursor, SiteId};

/// True if two addresses are those of one server.
pub(crate) fn is_one_server(legacy: &str, central: Option<&str>) -> bool {
    let origin = |text: &str| Url::parse(text).ok().map(|url| url.origin());
    central.and_then(origin).is_some_and(|central| origin(legacy) == Some(central))
}

/// True if one server is both the legacy server and central.
pub(crate) fn central_is_legacy(txn: &dyn ReadTxn) -> Result<bool> {
    Ok(is_one_server(&LEGACY_URL.get(txn)?, CENTRAL_URL.find(txn)?.as_deref()))
}

/// The number of the site that a database belongs to, once it is known.
pub(crate) fn site_id(txn: &dyn ReadTxn) -> Result<Option<SiteId>> {
    SITE_ID.find(txn)
}

/// The first local change that a server has not confirmed. Pulls must not overwrite edits from here on.
pub(crate) fn confirmed_to(txn: &dyn ReadTxn, server: Server) -> Result<Cursor> {
    let push = push_to(server);
    if push.unconfirmed.get(txn)? { push.confirmed.get(txn) } else { push.cursor.get(txn) }
}

/// The settings of the push to one server.
pub(crate) struct PushSettings {
    /// The next position to push.
    pub cursor: Setting<Cursor>,
    /// The position when the server last confirmed the integration; counts only while `unconfirmed`.
    pub confirmed: Setting<Cursor>,
    /// True if the server has not confirmed that it integrated the last push.
    pub unconfirmed: Setting<bool>,
}

/// The settings of the push to `server`.
pub(crate) const fn push_to(server: Server) -> PushSettings {
    match server {
        Server::Central => {
            PushSettings { cursor: PUSH_CURSOR_V6, confirmed: PUSH_CONFIRMED_V6, unconfirmed: PUSH_UNCONFIRMED }
        }
        Server::Legacy => PushSettings {
            cursor: PUSH_CURSOR_LEGACY,
            confirmed: PUSH_CONFIRMED_LEGACY,
            unconfirmed: PUSH_UNCONFIRMED_LEGACY,
        },
    }
}
