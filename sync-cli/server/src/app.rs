//! What all requests share, and what is known of who asks.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::http::HeaderMap;
use sync_core::{Central, SystemClock};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use crate::body::Memory;
use crate::budget::{Addresses, Budget, Owner, Trust};
use crate::checks::Checks;
use crate::connection::{Connection, Peer};
use crate::metrics::Metrics;
use crate::options::ServerOptions;
use crate::turns::{Turns, UNIT};
use crate::view_cache::ViewCache;

/// The bytes of answers that are being made and sent, and what one site may have of them and keep its standing.
const ANSWERS: usize = 128 * 1024 * 1024;
const ANSWERS_FAIR: usize = 16 * 1024 * 1024;
/// How long a site may take an answer before it gives way to others, if memory runs out and it is the slowest.
const ANSWER_KEPT: Duration = Duration::from_secs(5);
/// How many files may be on their way at once: each that comes in holds a thread for as long as its line needs.
const FILES_AT_ONCE: usize = 128;

/// What all requests share.
pub(super) struct App {
    pub central: Arc<Central>,
    pub options: ServerOptions,
    /// Whether the administrator has a listener of their own.
    pub has_admin_listener: bool,
    pub metrics: Metrics,
    pub views: ViewCache,
    /// The places for files on their way.
    pub places: Arc<Budget>,
    /// The memory for answers until they are sent.
    pub answers: Arc<Budget>,
    pub turns: Turns,
    pub addresses: Addresses,
    pub checks: Arc<Checks>,
    pub memory: Memory,
    /// The large requests of clients of whom nothing is known that are read at once.
    pub strangers: Semaphore,
    /// Makes large answers.
    pub large: Handle,
    pub clock: SystemClock,
}

impl App {
    pub(super) fn new(central: Arc<Central>, options: ServerOptions, has_admin_listener: bool, large: Handle) -> Self {
        let (metrics, memory, checks) = (Metrics::new(), Memory::new(), Checks::new(central.clone()));
        Self {
            central,
            options,
            has_admin_listener,
            metrics,
            views: ViewCache::default(),
            places: Budget::new(FILES_AT_ONCE, FILES_AT_ONCE / 8, None),
            answers: Budget::new(ANSWERS / UNIT, ANSWERS_FAIR / UNIT, Some(ANSWER_KEPT)),
            turns: Turns::default(),
            addresses: Addresses::default(),
            checks,
            memory,
            strangers: Semaphore::new(half_of_the_cores()),
            large,
            clock: SystemClock::new(),
        }
    }

    /// The address of the client: the proxy's word for it only where there is a proxy of the administrator's.
    pub(super) fn client(&self, peer: &Peer, headers: &HeaderMap) -> IpAddr {
        let said = headers.get_all("x-forwarded-for").iter().next_back().and_then(|value| value.to_str().ok());
        // The last one is what the proxy itself saw; those before it are the client's own words.
        let last = said.and_then(|list| list.rsplit(',').next()?.trim().parse().ok());
        last.filter(|_| self.options.behind_proxy && !peer.is_admin).unwrap_or_else(|| peer.address.ip())
    }

    /// What is known of who asks: the site that signed in over this connection, or only the address. A proxy has the requests
    /// of many over one connection.
    pub(super) fn who(&self, peer: &Peer, from: IpAddr) -> (Owner, Trust) {
        match peer.connection.site().filter(|_| !self.options.behind_proxy) {
            Some(site) => (Owner::Site(site), Trust::SignedIn),
            None => self.addresses.trust(from),
        }
    }

    /// Notes that a site signed in.
    pub(super) fn signed_in(&self, connection: &Connection, from: IpAddr, site: sync_core::record::SiteId) {
        self.addresses.note(from);
        if !self.options.behind_proxy {
            connection.signed_in(site);
        }
    }
}

fn half_of_the_cores() -> usize {
    std::thread::available_parallelism().map_or(1, |cores| (cores.get() / 2).max(1))
}
