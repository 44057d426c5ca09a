//! The state that all requests share, and the facts about a caller.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::http::HeaderMap;
use sync_core::central::Central;
use sync_core::clock::SystemClock;
use sync_core::record::SiteId;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use crate::addresses::Addresses;
use crate::body::Memory;
use crate::budget::{Budget, Owner, Trust};
use crate::checks::Checks;
use crate::connection::{Connection, Peer};
use crate::metrics::Metrics;
use crate::options::ServerOptions;
use crate::turns::{OF_ONE_SITE, Turns, UNIT};
use crate::view_cache::ViewCache;

/// The bytes of answers in memory, and the share of one site.
const ANSWERS: usize = 128 * 1024 * 1024;
const ANSWERS_FAIR: usize = 16 * 1024 * 1024;
/// The part of it that only a site without another answer under way can get.
const ANSWERS_RESERVE: usize = 16 * 1024 * 1024;
/// How long a site may hold memory for an answer before it can be dropped as the slowest, if memory runs out.
const ANSWER_KEPT: Duration = Duration::from_secs(5);
/// The most file transfers at once: each upload holds a thread for as long as its line needs.
const FILES_AT_ONCE: usize = 128;

/// The state that all requests share.
pub(super) struct App {
    pub central: Arc<Central>,
    pub options: ServerOptions,
    /// True if the administrator has a separate listener.
    pub has_admin_listener: bool,
    pub metrics: Metrics,
    pub views: ViewCache,
    /// The places for file transfers.
    pub places: Arc<Budget>,
    /// The memory for answers until they are sent.
    pub answers: Arc<Budget>,
    pub turns: Turns<SiteId>,
    pub addresses: Addresses,
    pub checks: Arc<Checks>,
    pub memory: Memory,
    /// The large requests of unknown clients that are read at once.
    pub strangers: Arc<Semaphore>,
    /// Those of clients at one address from which a site signed in: it may have neighbours there.
    pub neighbours: Turns<IpAddr>,
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
            answers: Budget::with_reserve(
                (ANSWERS / UNIT, ANSWERS_RESERVE / UNIT),
                ANSWERS_FAIR / UNIT,
                Some(ANSWER_KEPT),
            ),
            turns: Turns::new(OF_ONE_SITE as usize),
            addresses: Addresses::default(),
            checks,
            memory,
            strangers: Arc::new(Semaphore::new(half_of_the_cores())),
            neighbours: Turns::new(half_of_the_cores()),
            large,
            clock: SystemClock::new(),
        }
    }

    /// The address of the client: from the proxy only if the administrator configured one.
    pub(super) fn client(&self, peer: &Peer, headers: &HeaderMap) -> IpAddr {
        let said = headers.get_all("x-forwarded-for").iter().next_back().and_then(|value| value.to_str().ok());
        // The last one is the proxy's own; those before it come from the client.
        let last = said.and_then(|list| list.rsplit(',').next()?.trim().parse().ok());
        last.filter(|_| self.options.behind_proxy && !peer.is_admin).unwrap_or_else(|| peer.address.ip())
    }

    /// The owner of a request: the site that signed in on this connection, or only the address. A proxy sends the
    /// requests of many clients on one connection.
    pub(super) fn who(&self, peer: &Peer, from: IpAddr) -> (Owner, Trust) {
        match peer.connection.site().filter(|_| !self.options.behind_proxy) {
            Some(site) => (Owner::Site(site), Trust::SignedIn),
            None => self.addresses.trust(from),
        }
    }

    /// The turns of large requests whose sender has not signed in on its connection.
    pub(super) fn turns_before_sign_in(&self, who: (Owner, Trust)) -> Option<Arc<Semaphore>> {
        match who {
            (_, Trust::SignedIn) | (Owner::Site(_), _) => None,
            (_, Trust::Unknown) => Some(self.strangers.clone()),
            (Owner::Address(address), Trust::KnownAddress) => Some(self.neighbours.of(address)),
        }
    }

    /// Records that a site signed in.
    pub(super) fn signed_in(&self, connection: &Connection, from: IpAddr, site: SiteId) {
        self.addresses.note(from);
        if !self.options.behind_proxy {
            connection.signed_in(site);
        }
    }
}

fn half_of_the_cores() -> usize {
    std::thread::available_parallelism().map_or(1, |cores| (cores.get() / 2).max(1))
}
