//! How a server is run.

use std::io::Write as _;
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use sync_core::{Message, Texts};

use crate::access_log::AccessLog;
use crate::tls::Tls;

/// The most connections of sites at once, if the administrator says nothing else and the machine allows as many.
const CONNECTIONS: usize = 4096;
/// The open files that are kept for the database and the like.
const OTHER_FILES: usize = 64;

/// Receives a sentence about something that went wrong. It is called on threads of the server, and must not block for long.
pub type Notice = Arc<dyn Fn(&Message) + Send + Sync>;

/// How a server is run.
pub struct ServerOptions {
    /// A listener of its own for the status page and the figures, which then answers everybody who reaches it. Without one
    /// they are at the address of the sites, for this machine only.
    pub admin: Option<TcpListener>,
    /// The names under which that listener may be asked, beside addresses and `localhost`.
    pub admin_hosts: Vec<String>,
    /// With this the server speaks TLS to sites.
    pub tls: Option<Tls>,
    /// Whether a proxy stands before it that says who asks.
    pub behind_proxy: bool,
    /// The most connections of sites at once; those beyond wait.
    pub connections_max: usize,
    /// How long a client may send nothing of a request that it has begun, or of the next one.
    pub patience: Duration,
    /// Where a line for each request goes.
    pub access_log: Option<AccessLog>,
    /// The database, to tell its size and how much room it has.
    pub database: Option<PathBuf>,
    /// The folder of files, to tell how much room they have.
    pub files: Option<PathBuf>,
    /// Receives what goes wrong with the integration; by default it is written to standard error, in English.
    pub notice: Notice,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            admin: None,
            admin_hosts: Vec::new(),
            tls: None,
            behind_proxy: false,
            connections_max: connections_max(None),
            patience: Duration::from_secs(30),
            access_log: None,
            database: None,
            files: None,
            notice: Arc::new(|said| {
                // Where standard error is closed nobody wants to know.
                let _ = writeln!(std::io::stderr(), "{}", Texts::default().say(said));
            }),
        }
    }
}

/// The most connections at once: what is wanted, or 4096, as far as this process may have open files.
pub fn connections_max(wanted: Option<usize>) -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let files = limits.lines().find_map(|line| line.strip_prefix("Max open files")?.split_whitespace().next());
    let files = files.and_then(|number| number.parse().ok()).unwrap_or(usize::MAX);
    wanted.unwrap_or(CONNECTIONS).min(files.saturating_sub(OTHER_FILES)).max(1)
}
