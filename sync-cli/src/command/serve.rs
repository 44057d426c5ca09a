//! `serve`: the central server over HTTP, until a signal comes.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use sync_core::Central;
use sync_core::central::{CentralConfig, LocalSites};
use sync_core::files::FileStore;

use crate::args::{Args, Authentication, Serve};
use crate::exit::{Ended, Failure};
use crate::output::Output;
use crate::progress::{end_on_signals, interrupted};
use crate::server::{Server, listen};
use crate::setup::Parts;

pub(super) fn run(args: &Args, options: &Serve, out: &Output) -> Result<Ended, Failure> {
    let Authentication::Local = options.auth;
    // First, so that a taken address leaves no fresh database behind.
    let listener = listen(options.listen)?;
    let parts = Parts::open_or_make(args, out)?;
    LocalSites::open(parts.storage.clone(), parts.clock.clone())?;
    let mut config = CentralConfig::default();
    config.public_url.clone_from(&options.public_url);
    let central = Arc::new(
        Central::stand_alone(parts.storage, parts.clock).with_config(config).with_files(FileStore::new(parts.folder)),
    );
    let server = Server::start(central, listener)?;
    end_on_signals();
    let address = server.address();
    if out.json {
        out.document(&json!({ "listening": address.to_string() }))?;
    } else {
        out.line(&format!("listening on http://{address}"))?;
        out.hint("Stop with Ctrl-C.");
    }
    while !interrupted() {
        std::thread::sleep(Duration::from_millis(100));
    }
    server.stop();
    Ok(Ended::Done)
}
