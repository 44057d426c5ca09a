//! `site` and `store`: the local list of a central server.

use serde_json::json;
use sync_core::central::SiteRegistry;
use sync_core::record::StoreId;
use sync_core::{Error, Message, Role};

use crate::args::{Args, Site, Store};
use crate::failure::{CommandOutcome, Failure};
use crate::output::Output;
use crate::password::password;
use crate::sentences::sites_shown as says;
use crate::workspace::Workspace;

/// The list of an existing database.
fn open(args: &Args, out: &Output) -> Result<SiteRegistry, Failure> {
    let workspace = Workspace::open(args, out)?;
    Ok(workspace.replica.site_registry()?)
}

/// The list of a database that is created if needed: the first site makes it a central server's.
fn open_or_make(args: &Args, out: &Output) -> Result<SiteRegistry, Failure> {
    let workspace = Workspace::open_or_make(args, out)?;
    Ok(workspace.replica.site_registry()?)
}

pub(super) fn run_site(args: &Args, command: &Site, out: &Output) -> Result<CommandOutcome, Failure> {
    match command {
        Site::Add { name, password: from } => {
            let hash = password(from, name, out)?;
            let sites = open_or_make(args, out)?;
            let known = sites.list()?.iter().any(|site| site.name == *name);
            let site = sites.add(name, &hash)?;
            if out.json {
                out.document(&json!({ "site_id": site.id, "name": site.name }))?;
            } else {
                let (name, id) = (format!("{name:?}"), site.id.to_string());
                let said = if known { says::new_password(name, id) } else { says::new_site(name, id) };
                out.line_said(&said)?;
            }
        }
        Site::List => {
            let head = ["SITE ID", "NAME", "MACHINE", "FIRST SYNC", "HELD BACK"];
            let word = |word| out.word(word).to_owned();
            let mut rows = vec![head.map(str::to_owned).to_vec()];
            let sites = open(args, out)?;
            for site in sites.list()? {
                let withheld = sites.withheld(site.id)?;
                let bound = site.hardware_id.is_some();
                if out.json {
                    let synced_at = site.last_pull_at;
                    out.document(
                        &json!({ "site_id": site.id, "name": site.name, "bound": bound, "first_sync_at": synced_at,
                            "held_back": withheld }),
                    )?;
                } else {
                    let machine = word(if bound { "bound" } else { "not bound yet" });
                    let first = site.last_pull_at.map_or_else(|| word("never"), |at| at.to_string());
                    rows.push(vec![site.id.to_string(), site.name, machine, first, withheld.to_string()]);
                }
            }
            if !out.json {
                out.table(&rows)?;
            }
        }
        Site::Remove { name } => {
            open(args, out)?.remove(name)?;
            done(out, name, "removed", &says::removed(format!("{name:?}")))?;
        }
        Site::ResetHardware { name } => {
            open(args, out)?.reset_hardware(name)?;
            done(out, name, "free to come in from another machine", &says::free(format!("{name:?}")))?;
        }
    }
    Ok(CommandOutcome::Done)
}

fn done(out: &Output, name: &str, what: &str, said: &Message) -> Result<(), Failure> {
    if out.json { out.document(&json!({ "name": name, "done": what })) } else { out.line_said(said) }
}

pub(super) fn run_store(args: &Args, command: &Store, out: &Output) -> Result<CommandOutcome, Failure> {
    match command {
        Store::Add { name, code, site, id } => {
            let id = id.as_deref().map(StoreId::from);
            let workspace = Workspace::open(args, out)?;
            let sites = workspace.replica.site_registry()?;
            let stores = workspace.replica.stores()?;
            let is_known = stores.iter().any(|store| Some(&store.id) == id.as_ref());
            let namesake = stores.iter().find(|store| store.code == *code && Some(&store.id) != id.as_ref());
            let id = sites.add_store(name, code, site, id)?;
            if out.json {
                out.document(&json!({ "store_id": id, "name": name, "code": code, "site": site }))?;
            } else {
                let (name, site) = (format!("{name:?}"), format!("{site:?}"));
                let said = if is_known { says::known_store } else { says::store };
                out.line_said(&said(id.as_str(), name, site))?;
            }
            if let Some(other) = namesake {
                out.hint_said(&says::same_code(other.id.as_str(), code));
            }
        }
        Store::List => {
            let head = ["STORE ID", "CODE", "NAME", "SITE ID"];
            let mut rows = vec![head.map(str::to_owned).to_vec()];
            let workspace = Workspace::open(args, out)?;
            if workspace.role()? != Some(Role::Central) {
                return Err(Error::WrongRole { needed: "central server", found: "remote site" }.into());
            }
            for store in workspace.replica.stores()? {
                if out.json {
                    out.document(&store)?;
                } else {
                    let site = store.site.map(|id| id.to_string()).unwrap_or_default();
                    rows.push(vec![store.id.to_string(), store.code, store.name, site]);
                }
            }
            if !out.json {
                out.table(&rows)?;
            }
        }
    }
    Ok(CommandOutcome::Done)
}
