//! `serve --check`: whether the server could start with these settings. Starts nothing, and changes nothing: a server may be
//! running with the same database and at the same address.

use std::fs::OpenOptions;
use std::net::SocketAddr;
use std::path::Path;

use serde_json::json;
use sync_core::central::SiteList;
use sync_core::storage::PostgresStorage;
use sync_core::support::CentralAlarm;
use sync_core::{Error, Replica, Role};

use super::{certificate_files, site_list};
use crate::args::{Args, Authentication, Serve};
use crate::failure::{CommandOutcome, Failure};
use crate::output::Output;
use crate::sentences::{input_given, serving as says};

pub(super) fn run(args: &Args, options: &Serve, out: &Output) -> Result<CommandOutcome, Failure> {
    let files = certificate_files(options)?;
    if let Some(files) = &files {
        let (tls, warning) = files.read()?;
        warning
            .iter()
            .chain(&files.ends_soon(&tls))
            .chain(&files.misses_host(&tls))
            .for_each(|warning| out.hint_said(warning));
    }
    if let Some(concern) = options.public_url.as_deref().and_then(CentralAlarm::of_own_url) {
        return Err(Error::bad_input(input_given::public_url_unusable(concern.to_string())).into());
    }
    for folder in options.backup_to.iter().chain(args.files.as_ref()) {
        writable(folder)?;
    }
    if let Some(log) = options.access_log.as_deref().filter(|log| *log != Path::new("-")) {
        appendable(log)?;
    }
    if let Some(admin) = options.admin_listen.filter(|admin| is_one_address(*admin, options.listen)) {
        return Err(Error::bad_input(input_given::one_address_twice(admin.to_string())).into());
    }
    let is_there = database(args, options)?;
    if out.json {
        out.document(&json!({ "checked": true, "tls": files.is_some(), "database_is_there": is_there }))?;
    } else {
        let db = args.db.display().to_string();
        out.line_said(&if is_there { says::could_start(db) } else { says::could_start_anew(db) })?;
    }
    Ok(CommandOutcome::Done)
}

/// Whether the database is there, and a central server's.
fn database(args: &Args, options: &Serve) -> Result<bool, Error> {
    // A database of a legacy server is set up by `init`.
    let may_be_made = options.create && options.auth != Some(Authentication::Legacy);
    let replica = match args.db.server()? {
        Some(address) => Replica::with_storage(std::sync::Arc::new(PostgresStorage::open_to_read(&address)?)),
        None => match args.builder()?.open_to_read(&args.db) {
            Err(Error::NoDatabase { .. }) if may_be_made => return Ok(false),
            opened => opened?,
        },
    };
    if replica.is_hook_missing() && !args.without_hook {
        return Err(Error::HookMissing);
    }
    // A database that was only set up at a legacy server learns its part from it.
    if replica.role()? == Some(Role::Remote) {
        return Err(Error::WrongRole { needed: "central server", found: "remote site" });
    }
    if site_list(&replica, options)? == SiteList::Legacy && replica.settings()?.is_none() {
        return Err(Error::NotSetUp);
    }
    Ok(true)
}

/// A folder in which files can be made, or that can be made itself.
fn writable(folder: &Path) -> Result<(), Error> {
    let there = folder.ancestors().find(|folder| folder.is_dir()).unwrap_or(Path::new("."));
    let tried = tempfile::tempfile_in(there);
    tried.map(drop).map_err(|error| {
        Error::bad_input(input_given::folder_unwritable(folder.display().to_string(), error.to_string()))
    })
}

/// A file to which lines can be added, or that can be made: not its folder, which nobody makes.
fn appendable(file: &Path) -> Result<(), Error> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let tried = match file.exists() {
        true => OpenOptions::new().append(true).open(file).map(drop),
        false => tempfile::tempfile_in(folder).map(drop),
    };
    tried.map_err(|error| {
        Error::bad_input(input_given::folder_unwritable(file.display().to_string(), error.to_string()))
    })
}

/// True if a server cannot listen at both: at a port of all addresses of a machine nobody else can listen at one of them.
fn is_one_address(one: SocketAddr, other: SocketAddr) -> bool {
    let is_any = one.ip().is_unspecified() || other.ip().is_unspecified();
    one.port() != 0 && one.port() == other.port() && (one.ip() == other.ip() || is_any)
}
