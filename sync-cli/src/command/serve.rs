//! `serve`: the central server over HTTP, until a signal comes.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use sync_core::central::{CentralConfig, LocalSites};
use sync_core::{Central, Error};

use crate::args::{Args, Authentication, Serve};
use crate::exit::{Ended, Failure};
use crate::output::Output;
use crate::progress::{end_on_signals, interrupted};
use crate::server::{AccessLog, Options, Server, acceptor, connections_max, listen};
use crate::setup::Parts;

pub(super) fn run(args: &Args, options: &Serve, out: &Output) -> Result<Ended, Failure> {
    let Authentication::Local = options.auth;
    // First, so that a taken address leaves no fresh database behind.
    let listener = listen(options.listen)?;
    let serving = serving(args, options)?;
    let parts = Parts::open_or_make(args, out)?;
    LocalSites::open(parts.storage.clone(), parts.clock.clone())?;
    let mut config = CentralConfig::default();
    config.public_url.clone_from(&options.public_url);
    let central = Arc::new(Central::stand_alone(parts.storage, parts.clock).with_config(config));
    let server = Server::start(central, listener, serving)?;
    end_on_signals();
    let (address, admin) = (server.address(), server.admin_address());
    if out.json {
        let admin = admin.map(|admin| admin.to_string());
        out.document(&json!({ "listening": address.to_string(), "admin": admin }))?;
    } else {
        let scheme = if options.tls_cert.is_some() { "https" } else { "http" };
        out.line(&format!("listening on {scheme}://{address}"))?;
        if let Some(page) = admin.or(Some(address).filter(|_| !options.behind_proxy)) {
            let for_whom = if admin.is_some() { "" } else { ", for this machine only" };
            let page = if admin.is_some() {
                format!("http://{page}/")
            } else {
                format!("{scheme}://localhost:{}/", page.port())
            };
            out.hint(&format!("Status page: {page}{for_whom}"));
        }
        out.hint("Stop with Ctrl-C.");
    }
    while !interrupted() {
        std::thread::sleep(Duration::from_millis(100));
    }
    server.stop();
    Ok(Ended::Done)
}

/// How the server is run, by the flags. Everything that may be wrong with them is found here.
fn serving(args: &Args, options: &Serve) -> Result<Options, Failure> {
    if options.patience < Duration::from_secs(1) {
        let detail = "--patience must be a second at least: lines are slow".to_owned();
        return Err(Failure::Sync(Error::BadInput { detail }));
    }
    let tls = match (&options.tls_cert, &options.tls_key) {
        (Some(certificates), Some(key)) => Some(acceptor(certificates, key)?),
        _ => None,
    };
    Ok(Options {
        admin: options.admin_listen.map(listen).transpose()?,
        tls,
        behind_proxy: options.behind_proxy,
        connections_max: connections_max(options.max_connections.map(|n| n as usize)),
        patience: options.patience,
        access_log: options.access_log.as_deref().map(AccessLog::open).transpose()?,
        database: Some(args.db.clone()),
    })
}
