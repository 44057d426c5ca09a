//! A stand-in for the legacy mSupply server, whose source is closed: made from the description of protocol V5, with
//! faults.
//!
//! It is a value in memory that answers one request at a time: without threads, sockets or randomness, and with its own
//! clock. Tests call it in process, as a [`Transport`](sync_core::transport::Transport), or over HTTP, with
//! [`ListeningLegacyServer`] or their own server in front of [`LegacyServer::reply`].
//!
//! - **Sites** ([`LegacySite`]) with a password, an address of their Open mSupply central server, and a hardware id that is
//!   bound at first contact.
//! - **Central records**, one log for all sites, that keeps the newest change of each record.
//! - **Rows** of stores and patients. `initialise` queues those of a site; each later change is queued for the sites to which
//!   it belongs, but for the one that pushed it. A queue holds no data: a row is looked up when it is sent, and one that
//!   changes after that is sent again under the same id, whatever was acknowledged.
//! - **Faults** ([`PlannedFault`]), and how long initialising and integrating take ([`Takes`]).
//!
//! Where the description is silent, the stand-in is strict with clients: the queue is empty until the initialisation is
//! over, a gzipped request is not JSON, and every header must be there.
//!
//! ```
//! use std::sync::Arc;
//! use sync_core::clock::SystemClock;
//! use sync_testkit::legacy_server::{Endpoint, Fault, LegacyServer, LegacySite, rows};
//!
//! let server = LegacyServer::new(Arc::new(SystemClock::new()));
//! server.add_site(LegacySite::new(7, "district_a", "pass", "http://oms.example.org"));
//! server.put_central("item", "ITEM", rows::item("ITEM", "AMX250", "Amoxicillin 250mg caps", "UNIT"));
//! server.fail_times(Endpoint::Initialise, Fault::AnswerLost, 1);
//! assert_eq!(server.count(Endpoint::Initialise), 0);
//! ```

mod control;
mod faults;
mod initialise;
mod records;
mod routes;
pub mod rows;
mod sites;
mod socket;
mod transport;
mod world;

#[cfg(test)]
mod fault_tests;
#[cfg(test)]
mod queue_tests;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sha2::{Digest, Sha256};

pub use control::MergeBy;
pub use faults::{Fault, PlannedFault, Refusal};
pub use records::{LegacyRecord, Spelling};
pub use routes::Endpoint;
pub use sites::{LegacySite, PushedRecord, QueuedRecord, Takes};
pub use socket::ListeningLegacyServer;
pub use transport::{LegacyAnd, Reply};
pub use world::{PASSWORD, SmallSite, SmallWorld, add_invoices, small_world};

use records::Records;
use sites::Account;
use sync_core::clock::Clock;
use sync_core::record::SiteId;
use sync_core::transport::{HttpRequest, HttpResponse};

/// The number of the legacy server's own site.
pub const LEGACY_SITE_ID: SiteId = SiteId(1);

/// An id in the format of the legacy server, of 32 upper-case hexadecimal digits; always the same for the same words.
pub fn legacy_id(kind: &str, what: &str) -> String {
    let digest = Sha256::digest(format!("{kind} {what}"));
    digest.iter().take(16).map(|byte| format!("{byte:02X}")).collect()
}

/// The stand-in; see the [module](self).
pub struct LegacyServer {
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

impl fmt::Debug for LegacyServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LegacyServer").finish_non_exhaustive()
    }
}

struct State {
    /// The time of the server's clock in the current request or call.
    now: Duration,
    sites: Vec<Account>,
    records: Records,
    next_out_id: u64,
    plans: Vec<PlannedFault>,
    initialise_takes: Takes,
    integration_takes: Takes,
    spelling: Spelling,
    requests: BTreeMap<Endpoint, u64>,
    unknown_requests: u64,
}

impl LegacyServer {
    /// A server without sites or records, whose initialisations and integrations take no time.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let state = State {
            now: Duration::ZERO,
            sites: Vec::new(),
            records: Records::default(),
            next_out_id: 0,
            plans: Vec::new(),
            initialise_takes: Takes::default(),
            integration_takes: Takes::default(),
            spelling: Spelling::default(),
            requests: BTreeMap::new(),
            unknown_requests: 0,
        };
        Self { clock, state: Mutex::new(state) }
    }

    /// Answers a request; the answer may be missing or cut.
    pub fn reply(&self, request: &HttpRequest) -> Reply {
        self.state().reply(request)
    }

    /// Answers a request for callers that need an answer: a cut one has the shorter body, and a missing one is status
    /// 504, as from a proxy.
    pub fn handle(&self, request: &HttpRequest) -> HttpResponse {
        match self.reply(request) {
            Reply::Whole(response) => response,
            Reply::Cut(mut response, bytes) => {
                response.body.truncate(bytes);
                response
            }
            Reply::Nothing => HttpResponse::text(504, "no answer from the server"),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        let now = self.clock.monotonic();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.now = state.now.max(now);
        state.finish_what_is_over();
        state
    }
}
