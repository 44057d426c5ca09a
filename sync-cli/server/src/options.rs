//! The options of a server.

use std::io::Write as _;
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use sync_core::{Message, Texts};

use crate::access_log::AccessLog;
use crate::backups::BackupLog;
use crate::tls::Tls;

/// The default for the most connections of sites at once, if the machine allows as many.
const CONNECTIONS: usize = 4096;
/// The open files reserved for the database and the like.
const OTHER_FILES: usize = 64;

/// Receives a message about a failure. It is called on threads of the server, and must not block for long.
pub type Notice = Arc<dyn Fn(&Message) + Send + Sync>;

/// The options of a server.
pub struct ServerOptions {
    /// A separate listener for the status page and the metrics, open to everybody who can reach it. Without one they
    /// are at the address of the sites, for this machine only.
    pub admin: Option<TcpListener>,
    /// The names allowed at that listener, beside addresses and `localhost`.
    pub admin_hosts: Vec<String>,
    /// With this the server uses TLS for sites.
    pub tls: Option<Tls>,
    /// True if it is behind a proxy that names the clients.
    pub behind_proxy: bool,
    /// The most connections of sites at once; more wait.
    pub connections_max: usize,
    /// How long a client may be silent within a request, or before the next one.
    pub patience: Duration,
    /// The log with a line for each request.
    pub access_log: Option<Arc<AccessLog>>,
    /// The database, to report its size and free space.
    pub database: Option<PathBuf>,
    /// The folder of files, to report its free space.
    pub files: Option<PathBuf>,
    /// The backups that the host takes, if it takes any.
    pub backups: Option<Arc<BackupLog>>,
    /// Receives failures of the integration; by default they are written to standard error, in English.
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
            backups: None,
            notice: Arc::new(|said| {
                // If standard error is closed, nobody reads it.
                let _ = writeln!(std::io::stderr(), "{}", Texts::default().say(said));
            }),
        }
    }
}

/// The most connections at once: the given number, or 4096, within the limit of open files of this process.
pub fn connections_max(wanted: Option<usize>) -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let files = limits.lines().find_map(|line| line.strip_prefix("Max open files")?.split_whitespace().next());
    let files = files.and_then(|number| number.parse().ok()).unwrap_or(usize::MAX);
    wanted.unwrap_or(CONNECTIONS).min(files.saturating_sub(OTHER_FILES)).max(1)
}
