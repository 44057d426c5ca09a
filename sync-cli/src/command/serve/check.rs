//! `serve --check`: whether the server could start with these settings. Starts nothing, and changes nothing: a server may be
//! running with the same database and at the same address.

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
        writable(log.parent().unwrap_or(log))?;
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
