//! What several central servers on one storage share beside its transactions.

use std::time::Duration;

use crate::clock::Timestamp;
use crate::error::Result;
use crate::record::Cursor;

/// What several central servers that work on one storage at once tell each other. Nothing of it is part of a transaction, and
/// no record depends on it alone: a storage that loses it is as after a restart of its only server.
///
/// # Errors
/// Each call: the storage cannot be reached, read or written.
pub trait SharedStorage: Send + Sync {
    /// Waits until a server, perhaps this one, committed that pushed records wait for integration, or for this time. True if
    /// there may be any: notices can get lost, so whoever waits also looks from time to time.
    fn wait_for_work(&self, timeout: Duration) -> Result<bool>;

    /// Remembers values. One that is remembered already is not written again.
    fn remember(&self, values: &[Remembered<'_>]) -> Result<()>;

    /// The value of a kind and key, and the time of the storage's clock, which all servers share.
    fn recall(&self, kind: &str, key: &str) -> Result<(Option<String>, Timestamp)>;

    /// Replaces a value by what `change` makes of it and of the time of the storage's clock; no other server changes it
    /// meanwhile.
    fn change(&self, kind: &str, key: &str, change: &mut dyn FnMut(Option<&str>, Timestamp) -> String) -> Result<()>;

    /// Forgets the values of a kind that were remembered so long ago.
    fn forget(&self, kind: &str, age: Duration) -> Result<()>;

    /// Waits until no server names an uploaded file, and takes that turn until the guard is dropped. It ends with the server's
    /// connection too.
    fn take_upload_turn(&self) -> Result<Box<dyn Send + '_>>;
}

/// The kind of what each server says of itself; the key is the server, the value JSON.
pub const TOLD: &str = "told";

/// A value that servers share.
#[derive(Debug, Clone, Copy)]
#[allow(missing_docs, reason = "each is its own meaning")]
pub struct Remembered<'r> {
    pub kind: &'r str,
    pub key: &'r str,
    pub value: &'r str,
}

/// How far a site has read the changelog, as its requests at all servers show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SharedPositions {
    /// The position before which it was sent everything of its own.
    pub read_to: Option<Cursor>,
    /// The position from which it asked last.
    pub asked_from: Option<Cursor>,
    /// The position from which it asked last for the changes of stores.
    pub stores_asked_from: Option<Cursor>,
}

#[cfg(any(feature = "central", feature = "postgres"))]
impl SharedPositions {
    /// The kind of [`read_to`](Self::read_to); the key is the site's number, the value the position.
    pub(crate) const READ_TO: &'static str = "read to";
    /// The kind of [`asked_from`](Self::asked_from).
    pub(crate) const ASKED_FROM: &'static str = "asked from";
    /// The kind of [`stores_asked_from`](Self::stores_asked_from).
    pub(crate) const STORES_ASKED_FROM: &'static str = "stores asked from";
}
