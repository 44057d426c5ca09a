//! `serve`: the central server over HTTP, until a signal comes.

mod check;
mod chores;
mod lead;

use std::fs::{File, TryLockError};
use std::io::{Read as _, Write as _};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use oms_sync_server::{AccessLog, Server, ServerOptions, connections_max, https_host, listen};
use serde_json::json;
use sync_core::central::{Central, CentralConfig, SiteList};
use sync_core::files::FileStore;
use sync_core::storage::{PostgresStorage, ServerLock};
use sync_core::support::CentralAlarm;
use sync_core::transport::{HttpTransport, Timeouts};
use sync_core::{Error, ErrorClass, Message, Replica, Role, Site, SyncEvent, Texts};

use self::chores::{CertificateFiles, say};
use self::lead::Lead;
use crate::args::{Args, Authentication, Serve};
use crate::backup::Plan;
use crate::failure::{CommandOutcome, Failure};
use crate::output::Output;
use crate::progress::until_interrupted;
use crate::sentences::{common, input_given, serving as says};
use crate::signals::{end_or_reload_on_signals, interrupted};
use crate::workspace::Workspace;

/// How long to wait for the legacy server at the start if its earlier answer is stored, because sites wait meanwhile.
const AT_START: Duration = Duration::from_secs(10);

/// How long to wait for the end of a former server of the same database.
const FORMER_ENDS: Duration = Duration::from_secs(5);

/// How often to see whether this server still has its lock.
const LOOK_AT_LOCK: Duration = Duration::from_secs(1);

pub(super) fn run(args: &Args, options: &Serve, out: &Output) -> Result<CommandOutcome, Failure> {
    if options.check {
        return check::run(args, options, out);
    }
    // First, so that a used address leaves no new database behind.
    let listener = listen(options.listen)?;
    // The times of the files from before they are read, so that no change is missed.
    let certificate = certificate_files(options)?.map(|files| (files.changed_at(), files));
    let mut serving = serving(options, &out.texts)?;
    let access_log = serving.access_log.clone();
    let reopen = move || access_log.iter().for_each(|log| log.reopen());
    end_or_reload_on_signals(|| (), reopen);
    let workspace = match options.auth {
        Some(Authentication::Legacy) => Workspace::open(args, out)?,
        Some(Authentication::Local) | None => open(args, options, out)?,
    };
    if workspace.replica.is_hook_missing() {
        // Pushes would be accepted and never integrated.
        return Err(Error::HookMissing.into());
    }
    // The real paths, behind symbolic links: their disk may be full.
    let (on_server, folder) = (workspace.server.clone(), workspace.folder.clone());
    let (central, replica, site) = match site_list(&workspace.replica, options)? {
        SiteList::Legacy => legacy(workspace, out)?,
        SiteList::Local => local(workspace, options, out)?,
    };
    if options.paused {
        replica.support().pause_central(true)?;
    }
    let is_paused = replica.status()?.paused;
    let mut served_once = match &on_server {
        Some(storage) => ServedOnce::OnServer(Box::new(lock_on_server(storage, args)?)),
        None => ServedOnce::File(lock(replica.path().unwrap_or(&args.db))?),
    };
    let backed_up = folder.clone();
    serving.files = Some(folder);
    serving.database = replica.path().map(Path::to_owned);
    let tls = serving.tls.clone();
    let owner = super::backup::owner(args, &replica)?;
    let backup_log = options.backup_to.as_deref().map(|to| Arc::new(chores::backup_log(to, &owner)));
    serving.backups = backup_log.clone();
    let server = Server::start(Arc::new(central), listener, serving)?;
    tell_where(&server, options, out)?;
    if is_paused {
        out.hint_said(&says::is_paused());
    }
    tell_service_manager(ServerState::Answers);
    if let Some(((read_at, files), tls)) = certificate.zip(tls) {
        let texts = out.texts.clone();
        std::thread::spawn(move || chores::certificates(&files, read_at, &tls, &texts));
    }
    // Ends with the program at any point: an open transaction is rolled back.
    if let Some(site) = site {
        let (texts, lead) = (out.texts.clone(), Arc::new(Lead::of(on_server.is_some())));
        if let Some(storage) = on_server.clone() {
            let lead = lead.clone();
            std::thread::spawn(move || lead.keep(&storage));
        }
        std::thread::spawn(move || chores::cycles(&site, &lead, &texts));
    }
    if let Some((to, log)) = options.backup_to.clone().zip(backup_log) {
        let (replica, folder, texts) = (replica.clone(), backed_up, out.texts.clone());
        let (every, keep) = (options.backup_every, options.backup_keep.map(|keep| keep as usize));
        std::thread::spawn(move || {
            let plan = Plan { to: &to, files: &folder, owner: &owner, keep };
            chores::backups(&replica, &plan, every, &log, &texts);
        });
    }
    let (mut in_place, mut looked_at) = (Ok(()), Instant::now());
    while !interrupted() && in_place.is_ok() {
        std::thread::sleep(Duration::from_millis(100));
        in_place = replica.check_in_place();
        if in_place.is_ok() && looked_at.elapsed() >= LOOK_AT_LOCK {
            in_place = served_once.check(args);
            looked_at = Instant::now();
        }
    }
    tell_service_manager(ServerState::Stops);
    server.stop();
    in_place?;
    Ok(CommandOutcome::Done)
}

#[derive(Clone, Copy)]
enum ServerState {
    Answers,
    Stops,
}

/// Tells systemd, if it waits for that.
#[cfg(target_os = "linux")]
fn tell_service_manager(state: ServerState) {
    let state = match state {
        ServerState::Answers => sd_notify::NotifyState::Ready,
        ServerState::Stops => sd_notify::NotifyState::Stopping,
    };
    let _ = sd_notify::notify(&[state]);
}

/// Only Linux has systemd.
#[cfg(not(target_os = "linux"))]
fn tell_service_manager(_: ServerState) {}

/// The database; a missing one is made only if that is wanted, so that a wrong path starts no empty server.
fn open(args: &Args, options: &Serve, out: &Output) -> Result<Workspace, Error> {
    if options.create { Workspace::open_or_make(args, out) } else { Workspace::open(args, out) }
}

/// Prints its address.
fn tell_where(server: &Server, options: &Serve, out: &Output) -> Result<(), Failure> {
    let (address, admin) = (server.address(), server.admin_address());
    if out.json {
        let admin = admin.map(|admin| admin.to_string());
        return out.document(&json!({ "listening": address.to_string(), "admin": admin }));
    }
    let scheme = if options.tls_cert.is_some() { "https" } else { "http" };
    out.line_said(&says::listening(format!("{scheme}://{address}")))?;
    match admin {
        Some(admin) => out.hint_said(&says::status_page(format!("http://{admin}/"))),
        None if options.behind_proxy => {}
        None => {
            let port = address.port();
            out.hint_said(&says::status_page_here(format!("{scheme}://localhost:{port}/")));
        }
    }
    out.hint_said(&says::stop_with());
    Ok(())
}

/// A central server, its database, and its own site at the legacy server.
type Served = (Central, Replica, Option<Site>);

/// Who keeps the list of sites, as the database was set up: never a list of its own beside that of a legacy server.
///
/// # Errors
/// `--auth` says otherwise, or `--public-url` is given beside a legacy server.
fn site_list(replica: &Replica, options: &Serve) -> Result<SiteList, Error> {
    let known = replica.site_list()?;
    let list = match (options.auth, known) {
        (Some(Authentication::Local), Some(SiteList::Legacy)) => {
            // It refuses, with the reason.
            replica.site_registry()?;
            SiteList::Local
        }
        (Some(Authentication::Legacy), Some(SiteList::Local)) => {
            let (needed, found) = ("central server with a legacy server", "central server without one");
            return Err(Error::WrongRole { needed, found });
        }
        (Some(Authentication::Local), _) => SiteList::Local,
        (Some(Authentication::Legacy), _) => SiteList::Legacy,
        (None, known) => known.unwrap_or(SiteList::Local),
    };
    if list == SiteList::Legacy && options.public_url.is_some() {
        return Err(Error::bad_input(input_given::public_url_not_local()));
    }
    Ok(list)
}

/// A central server that keeps the list of sites itself.
fn local(workspace: Workspace, options: &Serve, out: &Output) -> Result<Served, Failure> {
    workspace.replica.site_registry()?;
    let mut config = CentralConfig::default();
    let concern = options.public_url.as_deref().and_then(CentralAlarm::of_own_url);
    warn(concern.iter(), out);
    // Sites get it only if they can use it; otherwise they get the address that they ask.
    config.public_url = options.public_url.clone().filter(|_| concern.is_none());
    warn(workspace.replica.status()?.alarms.iter(), out);
    let central = workspace.replica.stand_alone_central();
    Ok((central.with_config(config).with_files(FileStore::new(workspace.folder)), workspace.replica, None))
}

/// A central server by the word of the legacy server, which also identifies its sites.
fn legacy(workspace: Workspace, out: &Output) -> Result<Served, Failure> {
    let site = workspace.site();
    let is_known = workspace.role()? == Some(Role::Central);
    let began = Instant::now();
    let mut watch = |event: &SyncEvent| {
        let is_late = is_known && began.elapsed() >= AT_START;
        if is_late { ControlFlow::Break(()) } else { until_interrupted(event) }
    };
    match site.discover(&mut watch) {
        Ok(discovered) => {
            for change in &discovered.changes {
                out.hint_said(&says::something_new(change.clone()));
            }
        }
        Err(Error::Cancelled) if is_known && !interrupted() => {
            let url = workspace.replica.settings()?.map_or_else(String::new, |settings| settings.legacy_url);
            let late = Error::TimedOut { server: sync_core::error::Server::Legacy, url, source: None };
            out.hint_said(&says::goes_on_with_before(Message::of(&late)));
        }
        Err(error) if is_known && may_pass(&error) => {
            out.hint_said(&says::goes_on_with_before(Message::of(&error)));
        }
        Err(error) => return Err(error.into()),
    }
    if workspace.role()? != Some(Role::Central) {
        return Err(Error::WrongRole { needed: "central server", found: "remote site" }.into());
    }
    warn(workspace.replica.status()?.alarms.iter(), out);
    // Sites wait meanwhile, and give up after some minutes.
    let wait = |seconds| Duration::from_secs(seconds);
    let timeouts = Timeouts::all(wait(10)).response(wait(30));
    let asks = Arc::new(HttpTransport::new(&timeouts));
    let authenticator = Arc::new(workspace.replica.legacy_authenticator(asks));
    let central = workspace.replica.central(authenticator).with_own_site(site.clone());
    Ok((central.with_files(FileStore::new(workspace.folder)), workspace.replica, Some(site)))
}

/// True for a fault of the legacy server, or on the way to it, that may pass by itself: a proxy's page of maintenance too, or a
/// certificate that is being renewed. A service that ended for one of those would stay down, because it is not started again.
fn may_pass(error: &Error) -> bool {
    error.class() == ErrorClass::Retry || matches!(error, Error::NotAServer { .. } | Error::CertificateRefused { .. })
}

fn warn<'c>(alarms: impl Iterator<Item = &'c CentralAlarm>, out: &Output) {
    // What a server tells of itself is of its own run: a former one may have had another certificate and disk.
    for concern in alarms.filter(|alarm| !matches!(alarm, CentralAlarm::OfServer(_))) {
        out.hint_said(&common::warning(concern.says()));
    }
}

/// The files of the certificate, if TLS is wanted.
///
/// # Errors
/// One without the other: in a file of settings nothing else notices that, and the server would start without TLS.
fn certificate_files(options: &Serve) -> Result<Option<CertificateFiles>, Error> {
    match (options.tls_cert.clone(), options.tls_key.clone()) {
        (Some(certificates), Some(key)) => {
            let public_host = options.public_url.as_deref().and_then(https_host);
            Ok(Some(CertificateFiles { certificates, key, public_host }))
        }
        (None, None) => Ok(None),
        _ => Err(Error::bad_input(input_given::tls_needs_both())),
    }
}

/// What keeps others from the database: a second `serve` from a file, and on a PostgreSQL server, where several may serve, whoever
/// needs the database alone.
enum ServedOnce {
    #[allow(dead_code, reason = "held for its drop")]
    File(File),
    OnServer(Box<ServerLock>),
}

impl ServedOnce {
    /// # Errors
    /// Another process has the database for itself now: the connection that held the lock broke.
    fn check(&mut self, args: &Args) -> Result<(), Error> {
        let is_kept = match self {
            Self::OnServer(lock) => lock.is_kept(),
            Self::File(_) => true,
        };
        if is_kept { Ok(()) } else { Err(served_already(&args.db)) }
    }
}

fn served_already(database: &Path) -> Error {
    Error::ServedAlready { database: database.display().to_string(), holder: None }
}

/// As [`lock`], for a database on a server.
fn lock_on_server(storage: &PostgresStorage, args: &Args) -> Result<ServerLock, Error> {
    let began = Instant::now();
    loop {
        match storage.lock_server()? {
            Some(lock) => return Ok(lock),
            None if began.elapsed() < FORMER_ENDS && !interrupted() => std::thread::sleep(Duration::from_millis(100)),
            None => return Err(served_already(&args.db)),
        }
    }
}

/// Keeps a second `serve` from the same database: both would answer, and neither would know of the other's visits and limits.
/// The system releases the lock when the process ends in any way.
pub(super) fn lock(database: &Path) -> Result<File, Error> {
    let mut path = database.as_os_str().to_owned();
    path.push(".serving");
    let failed = |error: std::io::Error| Error::Io { what: "locking the database".to_owned(), source: error.into() };
    let mut options = File::options();
    options.create(true).truncate(false).read(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path).map_err(failed)?;
    let began = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => {
                file.set_len(0).and_then(|()| write!(file, "{}", std::process::id())).map_err(failed)?;
                return Ok(file);
            }
            // The former server may be about to end.
            Err(TryLockError::WouldBlock) if began.elapsed() < FORMER_ENDS && !interrupted() => {
                std::thread::sleep(Duration::from_millis(100));
            }
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // It is only shown; that the lock is held is known without it.
                let _ = file.read_to_string(&mut holder);
                let holder = holder.trim().parse().ok();
                return Err(Error::ServedAlready { database: database.display().to_string(), holder });
            }
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
    }
}

/// The options of the server, from the flags. All faults of the flags are found here.
fn serving(options: &Serve, texts: &Texts) -> Result<ServerOptions, Failure> {
    let tls = certificate_files(options)?.map(|files| files.read()).transpose()?.map(|(tls, warning)| {
        warning.iter().for_each(|warning| say(warning, texts));
        tls
    });
    let texts = texts.clone();
    Ok(ServerOptions {
        admin: options.admin_listen.map(listen).transpose()?,
        admin_hosts: options.admin_host.clone(),
        tls,
        behind_proxy: options.behind_proxy,
        connections_max: connections_max(options.max_connections.map(|n| n as usize)),
        patience: options.patience,
        access_log: options.access_log.as_deref().map(AccessLog::open).transpose()?.map(Arc::new),
        database: None,
        files: None,
        backups: None,
        notice: Arc::new(move |said| say(said, &texts)),
    })
}
