//! Puts a [`Central`] behind an HTTP server.

mod access_log;
mod admin;
mod answer;
mod body;
mod budget;
mod checks;
mod connections;
mod files;
mod integrator;
mod metrics;
mod moving;
mod page;
mod request_id;
mod sending;
mod tls;
mod visit;

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use sync_core::{Central, Error, Texts};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;

use self::answer::App;
use self::connections::Door;

use crate::sentences::input_given as given;

pub(crate) use self::access_log::AccessLog;
pub(crate) use self::connections::connections_max;
pub(crate) use self::tls::acceptor;

/// The most requests that are worked at at once; those beyond wait. Each is short, but a slow legacy server may hold some.
const WORKERS: usize = 256;

/// The threads that make large answers, if there are not more cores. They are few: what each has needed at its peak stays with
/// it, and more would not be quicker.
const LARGE_WORKERS: usize = 4;

/// Takes an address.
pub(crate) fn listen(address: SocketAddr) -> Result<TcpListener, Error> {
    let listener = TcpListener::bind(address).and_then(|listener| listener.set_nonblocking(true).map(|()| listener));
    let shown = address.to_string();
    listener.map_err(|error| {
        Error::bad_input(match error.kind() {
            std::io::ErrorKind::AddrInUse => given::address_in_use(shown),
            _ => given::address_unusable(shown, error.to_string()),
        })
    })
}

/// How a server is run.
pub(crate) struct Options {
    /// Where the status page and the figures are, for whoever comes there; otherwise they are for this machine only.
    pub admin: Option<TcpListener>,
    /// The names under which that door may be asked, beside addresses and `localhost`.
    pub admin_hosts: Vec<String>,
    /// With this the server speaks TLS to sites.
    pub tls: Option<tokio_rustls::TlsAcceptor>,
    /// Whether a proxy stands before it that says who asks.
    pub behind_proxy: bool,
    /// The most connections of sites at once; those beyond wait.
    pub connections_max: usize,
    /// How long nothing may come of what a client has begun to send, or has not begun yet.
    pub patience: Duration,
    /// Where a line for each request goes.
    pub access_log: Option<AccessLog>,
    /// The database, to tell its size and how much room it has.
    pub database: Option<PathBuf>,
    /// The folder of files, to tell how much room they have.
    pub files: Option<PathBuf>,
    /// How what goes wrong is said.
    pub texts: Texts,
}

impl Default for Options {
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
            texts: Texts::default(),
        }
    }
}

/// A running server: connections on an async runtime, the central server's own work on threads that may block.
pub(crate) struct Server {
    central: Arc<Central>,
    address: SocketAddr,
    admin_address: Option<SocketAddr>,
    stop: watch::Sender<bool>,
    stopping: Arc<AtomicBool>,
    serving: JoinHandle<()>,
    integrating: JoinHandle<()>,
    texts: Texts,
}

impl Server {
    /// Answers from then on.
    pub(crate) fn start(central: Arc<Central>, listener: TcpListener, mut options: Options) -> Result<Self, Error> {
        let failed =
            |source: std::io::Error| Error::Io { what: "starting the server".to_owned(), source: source.into() };
        let runtime = Builder::new_multi_thread().worker_threads(2).max_blocking_threads(WORKERS).enable_all().build();
        let runtime = runtime.map_err(failed)?;
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let large = Builder::new_current_thread().max_blocking_threads(cores.max(LARGE_WORKERS)).build();
        let large = large.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let admin = options.admin.take();
        let admin_address = admin.as_ref().map(TcpListener::local_addr).transpose().map_err(failed)?;
        let (connections, patience, tls) = (options.connections_max, options.patience, options.tls.take());
        let texts = options.texts.clone();
        let app = Arc::new(App::new(central.clone(), options, admin.is_some(), large.handle().clone()));
        let (stop, stopped) = watch::channel(false);
        let for_sites = Door { is_admin: false, tls, connections, patience };
        let mut doors = vec![(asynchronous(&runtime, listener).map_err(failed)?, for_sites)];
        if let Some(admin) = admin {
            let door = Door { is_admin: true, tls: None, connections: 32, patience };
            doors.push((asynchronous(&runtime, admin).map_err(failed)?, door));
        }
        let serving = std::thread::spawn(move || {
            let serving = doors.into_iter().map(|(listener, door)| {
                runtime.spawn(connections::serve(listener, door, app.clone(), stopped.clone()))
            });
            for door in serving.collect::<Vec<_>>() {
                // It ends only when it is told to.
                let _ = runtime.block_on(door);
            }
            // What a site was promised an answer to was waited for; nothing else is lost by not being finished.
            runtime.shutdown_timeout(Duration::from_secs(1));
            large.shutdown_timeout(Duration::from_secs(1));
        });
        let stopping = Arc::new(AtomicBool::new(false));
        let integrating = {
            let (central, stopping, texts) = (central.clone(), stopping.clone(), texts.clone());
            std::thread::spawn(move || integrator::run(&central, &stopping, &texts))
        };
        Ok(Self { central, address, admin_address, stop, stopping, serving, integrating, texts })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where the status page and the figures are, if not there.
    pub(crate) fn admin_address(&self) -> Option<SocketAddr> {
        self.admin_address
    }

    /// Takes no new requests, finishes those that run, and returns. What is not integrated yet stays queued.
    pub(crate) fn stop(self) {
        self.stopping.store(true, Ordering::SeqCst);
        let _ = self.stop.send(true);
        let _ = self.serving.join();
        let _ = self.integrating.join();
        integrator::flush(&self.central, &self.texts);
    }
}

fn asynchronous(runtime: &Runtime, listener: TcpListener) -> std::io::Result<tokio::net::TcpListener> {
    let _inside = runtime.enter();
    tokio::net::TcpListener::from_std(listener)
}
