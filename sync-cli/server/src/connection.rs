//! An open connection, and who is at its other end.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use sync_core::record::SiteId;
use tokio::sync::Notify;

use crate::budget::Share;

/// An open connection.
pub(super) struct Connection {
    share: Share,
    /// Told when it has to be closed, because others need its place or the memory of an answer that it does not take.
    pub close: Arc<Notify>,
    /// The site that signed in over it.
    site: OnceLock<SiteId>,
}

impl Connection {
    pub(super) fn new(share: Share, close: Arc<Notify>) -> Self {
        Self { share, close, site: OnceLock::new() }
    }

    /// The site that signed in over it.
    pub(super) fn site(&self) -> Option<SiteId> {
        self.site.get().copied()
    }

    /// Notes that a site signed in over it.
    pub(super) fn signed_in(&self, site: SiteId) {
        if self.site.set(site).is_ok() {
            self.share.signed_in(site);
        }
    }

    /// Notes whether a request of it is worked at.
    pub(super) fn hold(&self, is_held: bool) {
        self.share.hold(is_held);
    }
}

/// Who asks, by what the connection says.
#[derive(Clone)]
pub(super) struct Peer {
    pub connection: Arc<Connection>,
    pub address: SocketAddr,
    pub is_tls: bool,
    pub is_admin: bool,
    /// Whether connections are running out, so that this one is better closed after the answer.
    pub is_crowded: bool,
}
