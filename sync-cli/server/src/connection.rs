//! An open connection, and the client at its other end.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use sync_core::record::SiteId;
use tokio::sync::Notify;

use crate::budget::Share;

/// An open connection.
pub(super) struct Connection {
    share: Share,
    /// Signalled when it has to be closed, because others need its place or the memory of an answer that it does not
    /// read.
    pub close: Arc<Notify>,
    /// The site that signed in on it.
    site: OnceLock<SiteId>,
}

impl Connection {
    pub(super) fn new(share: Share, close: Arc<Notify>) -> Self {
        Self { share, close, site: OnceLock::new() }
    }

    /// The site that signed in on it.
    pub(super) fn site(&self) -> Option<SiteId> {
        self.site.get().copied()
    }

    /// Records that a site signed in on it.
    pub(super) fn signed_in(&self, site: SiteId) {
        if self.site.set(site).is_ok() {
            self.share.signed_in(site);
        }
    }

    /// Records whether one of its requests is in work.
    pub(super) fn hold(&self, is_held: bool) {
        self.share.hold(is_held);
    }
}

/// The caller, as far as the connection shows it.
#[derive(Clone)]
pub(super) struct Peer {
    pub connection: Arc<Connection>,
    pub address: SocketAddr,
    pub is_tls: bool,
    pub is_admin: bool,
    /// True if connections are running out, so that this one should be closed after the answer.
    pub is_crowded: bool,
}
