//! What a database knows of itself and of its servers, read from its settings and cursors.

use url::Url;

use super::{ReadTxn, key};
use crate::error::{Error, Result, Server};
use crate::ownership::Role;
use crate::record::{Cursor, SiteId};

/// Whether two addresses are of one server.
pub(crate) fn is_one_server(legacy: &str, central: Option<&str>) -> bool {
    let origin = |text: &str| Url::parse(text).ok().map(|url| url.origin());
    central.and_then(origin).is_some_and(|central| origin(legacy) == Some(central))
}

/// Whether a database has one server for both.
pub(crate) fn central_is_legacy(txn: &dyn ReadTxn) -> Result<bool> {
    let legacy = txn.state(key::LEGACY_URL)?.unwrap_or_default();
    Ok(is_one_server(&legacy, txn.state(key::CENTRAL_URL)?.as_deref()))
}

/// The part a database plays, once it is known.
pub(crate) fn role(txn: &dyn ReadTxn) -> Result<Option<Role>> {
    Ok(match txn.state(key::ROLE)?.as_deref() {
        Some("central") => Some(Role::Central),
        Some("remote") => Some(Role::Remote),
        _ => None,
    })
}

/// The number of the site that a database belongs to, once it is known.
pub(crate) fn site_id(txn: &dyn ReadTxn) -> Result<Option<SiteId>> {
    Ok(txn.state(key::SITE_ID)?.and_then(|id| id.parse().ok()).map(SiteId))
}

/// A cursor of a database; 0 before it is first written.
pub(crate) fn cursor(txn: &dyn ReadTxn, name: &str) -> Result<Cursor> {
    match txn.state(name)? {
        None => Ok(Cursor(0)),
        Some(text) => Cursor::parse(&text).ok_or_else(|| Error::DamagedState { what: name.to_owned() }),
    }
}

/// From which on of its own edits a server may not have them for sure: what it has taken but not confirmed as integrated is
/// not safe from being overwritten yet.
pub(crate) fn confirmed_to(txn: &dyn ReadTxn, server: Server) -> Result<Cursor> {
    let (unconfirmed, confirmed, pushed) = match server {
        Server::Central => (key::PUSH_UNCONFIRMED, key::PUSH_CONFIRMED_V6, key::PUSH_CURSOR_V6),
        Server::Legacy => (key::PUSH_UNCONFIRMED_LEGACY, key::PUSH_CONFIRMED_LEGACY, key::PUSH_CURSOR_LEGACY),
    };
    cursor(txn, if flag(txn, unconfirmed)? { confirmed } else { pushed })
}

/// Whether a state of a database is `1`.
pub(crate) fn flag(txn: &dyn ReadTxn, name: &str) -> Result<bool> {
    Ok(txn.state(name)?.as_deref() == Some("1"))
}
