//! The HTTP front of a central server of Open mSupply: [`Server`] puts a [`Central`] behind a socket.
//!
//! It answers sites over HTTP/1.1, with optional TLS, within limits of connections, memory and time that withstand slow
//! and hostile clients. It streams files, integrates pushes on its own thread, and has a status page, Prometheus
//! metrics and a health check for the administrator.
//!
//! ```no_run
//! use std::sync::Arc;
//!
//! use oms_sync_server::{Server, ServerOptions, listen};
//! use sync_core::Replica;
//!
//! # fn main() -> sync_core::Result<()> {
//! let replica = Replica::open("central.sqlite")?;
//! replica.site_registry()?; // makes the database a central server's
//! let central = Arc::new(replica.stand_alone_central());
//! let server = Server::start(central, listen(([127, 0, 0, 1], 8000).into())?, ServerOptions::default())?;
//! // The server works on threads of its own until it is stopped.
//! server.stop();
//! # Ok(())
//! # }
//! ```

mod access_log;
mod addresses;
mod admin;
mod app;
mod backups;
mod body;
mod budget;
mod checks;
mod connection;
mod connections;
mod file_body;
mod files;
mod integrator;
mod last_day;
mod metrics;
mod options;
mod page;
mod plots;
mod reply;
mod request_id;
mod response_log;
mod router;
mod sending;
mod sentences;
mod stall_timeout;
mod tls;
mod turns;
mod view_cache;
mod visit;
mod work;

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use sync_core::Error;
use sync_core::central::Central;
use sync_core::text::MessageTemplate;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;

use self::app::App;
use self::connections::ListenerOptions;
use self::sentences::address as why;

pub use self::access_log::AccessLog;
pub use self::backups::BackupLog;
pub use self::options::{Notice, ServerOptions, connections_max};
pub use self::tls::{Pem, Tls, https_host};

/// The most requests in work at once; more wait. Each is short, but a slow legacy server may hold some.
const WORKERS: usize = 256;

/// The threads that make large answers, if there are not more cores. They are few, because each keeps the memory of its
/// peak, and more would not be quicker.
const LARGE_WORKERS: usize = 4;

/// The time between two looks at the queue of integrations.
const QUEUE_LOOK: Duration = Duration::from_secs(15);

/// The texts of this crate, for a host's translation ([`Texts::parse`](sync_core::Texts::parse)).
pub fn sentences() -> &'static [MessageTemplate] {
    sentences::ALL
}

/// The most bytes of an answer that the system holds for one connection. By default that is several MB, so that most answers
/// count as sent, and the next one is made, while nobody reads them.
const SEND_BUFFER: usize = 512 * 1024;

/// Opens a listener at an address.
///
/// # Errors
/// [`Error::BadInput`]: the address is in use, or is not one of this machine.
pub fn listen(address: SocketAddr) -> Result<TcpListener, Error> {
    let listener = TcpListener::bind(address).and_then(|listener| {
        listener.set_nonblocking(true)?;
        // Connections have it from their listener.
        socket2::SockRef::from(&listener).set_send_buffer_size(SEND_BUFFER)?;
        Ok(listener)
    });
    listener.map_err(|error| {
        let reason = match error.kind() {
            std::io::ErrorKind::AddrInUse => why::in_use().into(),
            _ => error.to_string().into(),
        };
        Error::AddressUnavailable { address: address.to_string(), reason }
    })
}

/// A running server: connections on an async runtime, the central server's own work on threads that may block.
pub struct Server {
    central: Arc<Central>,
    address: SocketAddr,
    admin_address: Option<SocketAddr>,
    stop: watch::Sender<bool>,
    stopping: Arc<AtomicBool>,
    serving: JoinHandle<()>,
    integrating: JoinHandle<()>,
    /// Waits for notices of other servers on the same storage, if there may be any.
    listening: Option<JoinHandle<()>>,
    notice: Notice,
}

impl Server {
    /// Starts to answer and to integrate pushes, on its own threads.
    ///
    /// # Errors
    /// [`Error::Io`]: the system provides no runtime or no address.
    pub fn start(central: Arc<Central>, listener: TcpListener, mut options: ServerOptions) -> Result<Self, Error> {
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
        let (connections, patience, tls) = (options.connections_max, options.patience, options.tls.clone());
        let notice = options.notice.clone();
        let app = Arc::new(App::new(central.clone(), options, admin.is_some(), large.handle().clone()));
        // At once: what a former server told is of other settings. Tried again a little later.
        let _ = central.tell_of_server(&admin::of_server(&app));
        let (stop, stopped) = watch::channel(false);
        let for_sites = ListenerOptions { is_admin: false, tls, connections, patience };
        let mut listeners = vec![(asynchronous(&runtime, listener).map_err(failed)?, for_sites)];
        if let Some(admin) = admin {
            let options = ListenerOptions { is_admin: true, tls: None, connections: 32, patience };
            listeners.push((asynchronous(&runtime, admin).map_err(failed)?, options));
        }
        runtime.spawn(watch_queue(app.clone()));
        let serving = std::thread::spawn(move || {
            let serving = listeners.into_iter().map(|(listener, options)| {
                runtime.spawn(connections::serve(listener, options, app.clone(), stopped.clone()))
            });
            for listener in serving.collect::<Vec<_>>() {
                // It ends only when it is told to.
                let _ = runtime.block_on(listener);
            }
            // Promised answers were waited for; other unfinished work loses nothing.
            runtime.shutdown_timeout(Duration::from_secs(1));
            large.shutdown_timeout(Duration::from_secs(1));
        });
        let stopping = Arc::new(AtomicBool::new(false));
        let integrating = {
            let (central, stopping, notice) = (central.clone(), stopping.clone(), notice.clone());
            std::thread::spawn(move || integrator::run(&central, &stopping, &notice))
        };
        let listening = central.has_others().then(|| {
            let (central, stopping) = (central.clone(), stopping.clone());
            std::thread::spawn(move || integrator::listen(&central, &stopping))
        });
        Ok(Self { central, address, admin_address, stop, stopping, serving, integrating, listening, notice })
    }

    /// Its address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address of the status page and the metrics, if they have a separate listener.
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin_address
    }

    /// Accepts no new requests, finishes the running ones, and returns. Records that are not integrated yet stay
    /// queued.
    pub fn stop(self) {
        self.stopping.store(true, Ordering::SeqCst);
        let _ = self.stop.send(true);
        let _ = self.serving.join();
        let _ = self.integrating.join();
        let _ = self.listening.map(JoinHandle::join);
        integrator::flush(&self.central, &self.notice);
        // A server that does not run has no certificate to renew. What it told counts for half an hour only.
        let _ = self.central.tell_of_server(&[]);
    }
}

/// Looks at the queue of integrations from time to time, for the plot of the status page, and tells the database what this server
/// knows of itself, for `doctor`.
async fn watch_queue(app: Arc<App>) {
    loop {
        let looks = app.clone();
        let found = tokio::task::spawn_blocking(move || {
            // Tried again at the next look.
            let _ = looks.central.tell_of_server(&admin::of_server(&looks));
            looks.central.integrations()
        });
        if let Ok(Ok(integrations)) = found.await {
            app.metrics.waiting(integrations.waiting);
        }
        tokio::time::sleep(QUEUE_LOOK).await;
    }
}

fn asynchronous(runtime: &Runtime, listener: TcpListener) -> std::io::Result<tokio::net::TcpListener> {
    let _inside = runtime.enter();
    tokio::net::TcpListener::from_std(listener)
}
