//! `site` and `store`: the local list of a central server.

use std::time::Duration;

use serde_json::json;
use sync_core::central::{SiteList, SiteRegistry, SiteView};
use sync_core::clock::Timestamp;
use sync_core::record::{SiteId, StoreId};
use sync_core::support::CentralAlarm;
use sync_core::{Error, Message, Role};

use super::layout::{age, say, short};
use super::site_import::import;
use crate::args::{Args, Limit, Site, Store};
use crate::failure::{CommandOutcome, Failure};
use crate::output::Output;
use crate::password::password;
use crate::sentences::sites_shown as says;
use crate::site_names::SiteNames;
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

/// Pauses a central server, or ends its pause.
pub(super) fn pause(args: &Args, is_paused: bool, out: &Output) -> Result<CommandOutcome, Failure> {
    let workspace = Workspace::open(args, out)?;
    let is_new = workspace.replica.support().pause_central(is_paused)?;
    if out.json {
        out.document(&json!({ "paused": is_paused, "was_paused": is_paused != is_new }))?;
    } else {
        let said = match (is_paused, is_new) {
            (true, true) => says::paused(),
            (true, false) => says::paused_before(),
            (false, true) => says::resumed(),
            (false, false) => says::not_paused(),
        };
        say(out, "", &said)?;
    }
    Ok(CommandOutcome::Done)
}

pub(super) fn run_site(args: &Args, command: &Site, out: &Output) -> Result<CommandOutcome, Failure> {
    match command {
        Site::Add { name, number: Some(number), uuid: Some(uuid), password: from } => {
            let hash = password(from, name, out)?;
            let site = open_or_make(args, out)?.add_known(name, &hash, (SiteId(*number), uuid))?;
            if out.json {
                out.document(&json!({ "site_id": site.id, "site_name": site.name, "is_back": true }))?;
            } else {
                out.line_said(&says::known_site(format!("{name:?}"), site.id.to_string()))?;
            }
        }
        Site::Add { name, password: from, .. } => {
            let hash = password(from, name, out)?;
            let sites = open_or_make(args, out)?;
            let known = sites.list()?.iter().any(|site| site.name == *name);
            let is_back = !known && sites.removed(name)?.is_some();
            let site = sites.add(name, &hash)?;
            if out.json {
                out.document(&json!({ "site_id": site.id, "site_name": site.name, "is_back": is_back }))?;
            } else {
                let (name, id) = (format!("{name:?}"), site.id.to_string());
                let said = match (known, is_back) {
                    (true, _) => says::new_password(name, id),
                    (false, true) => says::returned_site(name, id),
                    (false, false) => says::new_site(name, id),
                };
                out.line_said(&said)?;
            }
        }
        Site::List { max_age } => return list(args, Limit::of(*max_age), out),
        Site::Import(options) => return import(args, options, out),
        Site::SetPassword { name, password: from } => {
            let hash = password(from, name, out)?;
            let id = open(args, out)?.set_password(name, &hash)?.id;
            done(out, name, "new password", &says::new_password(format!("{name:?}"), id.to_string()))?;
        }
        Site::Remove { name, move_stores_to } => {
            let sites = open(args, out)?;
            if let Some(to) = move_stores_to {
                let moved = sites.move_stores(name, to)?;
                out.hint_said(&says::moved(moved, format!("{to:?}")));
            }
            sites.remove(name)?;
            done(out, name, "removed", &says::removed(format!("{name:?}")))?;
        }
        Site::ResetHardware { name } => {
            open(args, out)?.reset_hardware(name)?;
            done(out, name, "free to come in from another machine", &says::free(format!("{name:?}")))?;
        }
    }
    Ok(CommandOutcome::Done)
}

/// The sites with their state, whoever keeps the list.
fn list(args: &Args, max_age: Option<Duration>, out: &Output) -> Result<CommandOutcome, Failure> {
    let workspace = Workspace::open_to_read(args, out)?;
    if workspace.role()? != Some(Role::Central) {
        return Err(Error::WrongRole { needed: "central server", found: "remote site" }.into());
    }
    // A legacy server keeps the machines of its sites itself.
    let registry = match workspace.replica.site_list()? {
        Some(SiteList::Legacy) => None,
        _ => Some(workspace.replica.site_registry()?),
    };
    let entries = registry.as_ref().map_or(Ok(Vec::new()), SiteRegistry::list)?;
    let central = workspace.replica.stand_alone_central();
    let (view, copies) = (central.view()?, central.refused_copies()?);
    let is_silent = |site: &SiteView| match (max_age, site.seen_at) {
        (None, _) => true,
        // It is listed because of its records in quarantine, and comes no more.
        (Some(_), _) if site.is_removed => false,
        (Some(most), Some(at)) => view.at.since(at) > most,
        (Some(_), None) => true,
    };
    let mut sites: Vec<&SiteView> = view.sites.iter().filter(|site| is_silent(site)).collect();
    if max_age.is_some() {
        // First the sites that came before and stay away now, the longest silent on top: they need somebody. Then those that never came.
        sites.sort_by_key(|site| (site.seen_at.is_none(), site.seen_at, site.id));
    }
    // A column for what is rare would leave too little room for the names.
    let has_failed = sites.iter().any(|site| site.failed_sign_ins > 0);
    let mut head = vec!["SITE ID", "NAME", "SEEN", "PULLED", "PUSHED", "TO READ", "QUAR.", "VERSION"];
    if has_failed {
        head.insert(7, "FAILED");
    }
    let has_copies = sites.iter().any(|site| copies.iter().any(|copy| copy.site == site.id));
    if has_copies {
        head.insert(7, "COPY");
    }
    if out.verbose() {
        head.extend(["MACHINE", "HELD BACK"]);
    }
    let mut rows = vec![head.into_iter().map(str::to_owned).collect::<Vec<_>>()];
    for site in &sites {
        let entry = entries.iter().find(|entry| entry.id == site.id);
        let copy = copies.iter().find(|copy| copy.site == site.id);
        let held_back = registry.as_ref().map_or(Ok(0), |registry| registry.withheld(site.id))?;
        if out.json {
            let mut document = serde_json::to_value(site).map_err(std::io::Error::other)?;
            document["bound"] = json!(entry.map(|entry| entry.hardware_id.is_some()));
            document["first_sync_at"] = json!(entry.and_then(|entry| entry.last_pull_at));
            document["held_back"] = json!(held_back);
            out.document(&document)?;
            continue;
        }
        let ago = |at: Option<Timestamp>| at.map_or_else(|| out.word("never").to_owned(), |at| age(view.at.since(at)));
        let machine = match entry.map(|entry| entry.hardware_id.is_some()) {
            Some(true) => out.word("bound").to_owned(),
            Some(false) => out.word("not bound yet").to_owned(),
            None => String::new(),
        };
        let mut row = vec![
            site.id.to_string(),
            short(&site.name, if has_failed || has_copies { 12 } else { 20 }),
            if site.is_removed { out.word("removed").to_owned() } else { ago(site.seen_at) },
            ago(site.pulled_at),
            ago(site.pushed_at),
            site.behind.map(|behind| behind.to_string()).unwrap_or_default(),
            (site.refused + site.quarantined).to_string(),
            site.app_version.clone(),
        ];
        if has_failed {
            let last = site.sign_in_failed_at.map(|at| age(view.at.since(at)));
            row.insert(
                7,
                match (site.failed_sign_ins, last) {
                    (0, _) | (_, None) => site.failed_sign_ins.to_string(),
                    (count, Some(last)) => format!("{count} ({last})"),
                },
            );
        }
        if has_copies {
            row.insert(7, copy.map(|copy| age(view.at.since(copy.refused_at))).unwrap_or_default());
        }
        if out.verbose() {
            row.extend([machine, held_back.to_string()]);
        }
        rows.push(row);
    }
    if let Some(most) = max_age.filter(|_| !out.json) {
        let never = sites.iter().filter(|site| site.seen_at.is_none()).count() as u64;
        let (time, silent) = (age(most), sites.len() as u64 - never);
        match (silent, never) {
            (0, 0) => say(out, "", &says::none_silent(time))?,
            _ => {
                // It is the answer to what was asked, so it is said with --quiet too.
                out.told(&says::silent_and_never(&time, silent, never));
                out.hint_said(&says::only_silent(time));
            }
        }
        if never > 0 {
            out.hint_said(&says::never_came(never));
        }
    }
    if !out.json && (max_age.is_none() || !sites.is_empty()) {
        out.table(&rows)?;
        for site in sites.iter().filter(|site| site.pushes_nothing) {
            out.hint_said(
                &CentralAlarm::SitePushesNothing { site: site.name.clone(), release: site.app_version.clone() }.says(),
            );
        }
        for copy in copies.iter().filter(|copy| sites.iter().any(|site| site.id == copy.site)) {
            let (name, ago) = (format!("{:?}", copy.name), age(view.at.since(copy.refused_at)));
            out.hint_said(&says::copy_refused(name, ago));
        }
    }
    Ok(if max_age.is_some() && !sites.is_empty() { CommandOutcome::LeftBehind } else { CommandOutcome::Done })
}

fn done(out: &Output, name: &str, what: &str, said: &Message) -> Result<(), Failure> {
    if out.json { out.document(&json!({ "site_name": name, "changed": what })) } else { out.line_said(said) }
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
                out.document(&json!({ "store_id": id, "name": name, "store_code": code, "site_name": site }))?;
            } else {
                let (name, site) = (format!("{name:?}"), format!("{site:?}"));
                let said = if is_known { says::known_store } else { says::store };
                out.line_said(&said(id.as_str(), name, site))?;
            }
            if let Some(other) = namesake {
                out.hint_said(&says::same_code(other.id.as_str(), code));
            }
        }
        Store::Remove { id } => {
            open(args, out)?.remove_store(&StoreId::from(id.as_str()))?;
            if out.json {
                out.document(&json!({ "store_id": id, "changed": "removed" }))?;
            } else {
                out.line_said(&says::store_removed(id))?;
            }
        }
        Store::List => {
            let head = ["STORE ID", "CODE", "NAME", "SITE ID", "SITE"];
            let mut rows = vec![head.map(str::to_owned).to_vec()];
            let workspace = Workspace::open(args, out)?;
            if workspace.role()? != Some(Role::Central) {
                return Err(Error::WrongRole { needed: "central server", found: "remote site" }.into());
            }
            let names = SiteNames::of(&workspace)?;
            for store in workspace.replica.stores()? {
                let name = store.site.and_then(|site| names.name(site));
                if out.json {
                    let mut document = serde_json::to_value(&store).map_err(std::io::Error::other)?;
                    document["site_name"] = json!(name);
                    out.document(&document)?;
                } else {
                    let site = store.site.map(|id| id.to_string()).unwrap_or_default();
                    let name = name.unwrap_or_default().to_owned();
                    rows.push(vec![store.id.to_string(), store.code, store.name, site, name]);
                }
            }
            if !out.json {
                out.table(&rows)?;
            }
        }
    }
    Ok(CommandOutcome::Done)
}
