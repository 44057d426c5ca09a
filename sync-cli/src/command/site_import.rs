//! `site import`: many sites and stores from a table.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::json;
use sync_core::central::SiteRegistry;
use sync_core::clock::{Clock as _, SystemClock};
use sync_core::protocol::PasswordHash;
use sync_core::record::StoreId;
use sync_core::{Error, Message};

use super::layout::say;
use super::site_table::{self, Listed, Planned, StoreChange};
use crate::args::{Args, SiteImport};
use crate::failure::{CommandOutcome, Failure};
use crate::output::Output;
use crate::sentences::{input_given, sites_shown as says};
use crate::workspace::Workspace;

/// Adds the sites and stores of a table, after all of it is checked.
pub(super) fn import(args: &Args, options: &SiteImport, out: &Output) -> Result<CommandOutcome, Failure> {
    site_table::check_files(&options.file, &options.passwords)?;
    let (wanted, unread) = site_table::wanted(&options.file)?;
    for column in unread {
        out.hint_said(&input_given::column_unread(format!("{column:?}")));
    }
    let there = match Workspace::open(args, out) {
        Err(Error::NoDatabase { .. }) => None,
        opened => Some(opened?),
    };
    let mut listed = Listed::default();
    if let Some(there) = &there {
        listed.stores = there.replica.stores()?;
        if there.role()?.is_some() {
            let sites = there.replica.site_registry()?.list()?;
            listed.sites = sites.into_iter().map(|site| (i64::from(site.id.0), site.name)).collect();
        }
    }
    let planned = site_table::plan(&options.file, &wanted, &listed)?;
    let known: BTreeSet<&str> = listed.sites.values().map(String::as_str).collect();
    let new: BTreeSet<&str> =
        wanted.iter().map(|line| line.site.as_str()).filter(|name| !known.contains(*name)).collect();
    // On the disk before the first site has one: a password that was lost would be of no use.
    let passwords = site_table::passwords(&options.passwords, &new, SystemClock::default().now())?;
    let workspace = there.map_or_else(|| Workspace::open_or_make(args, out), Ok)?;
    let command = || format!("site import {}", options.file.display());
    let mut sites = workspace.replica.site_registry()?;
    if !passwords.is_empty() || !planned.stores.is_empty() {
        sites = sites.by_command(command(), plan_in_words(&planned, &passwords))?;
    }
    let mut done = Imported::default();
    let ended = done.add(&sites, &planned, &passwords);
    if !out.json {
        done.stores.iter().try_for_each(|store| say(out, "", &store.says()))?;
        for (line, store) in &planned.names_kept {
            let (name, other) = (format!("{:?}", store.name), format!("{:?}", line.store_name));
            out.hint_said(&says::name_kept(store.id.as_str(), name, other, line.line));
        }
    }
    if let Err(error) = ended {
        // The error that stopped it is the one to tell.
        let _ = sites.by_command(command(), format!("stopped after {}", counts(done.sites, done.stores.len())));
        out.hint_said(&says::import_stopped(done.sites, done.stores.len()));
        return Err(error.into());
    }
    let path = options.passwords.display().to_string();
    if out.json {
        let kept: Vec<_> = planned.names_kept.iter().map(|(_, store)| &store.id).collect();
        out.document(&json!({
            "sites_added": done.sites, "stores_changed": done.stores.len(), "stores": done.stores,
            "names_kept": kept, "passwords": path,
        }))?;
    } else {
        out.line_said(&says::imported(done.sites, done.stores.len()))?;
        if !passwords.is_empty() {
            out.hint_said(&says::passwords_in(path));
        }
    }
    Ok(CommandOutcome::Done)
}

/// The names that the entry of the log has at most.
const LOGGED_NAMES_MAX: usize = 20;

/// What an import does, for the log.
fn plan_in_words(planned: &Planned<'_>, passwords: &BTreeMap<String, String>) -> String {
    let does = format!("adds {}", counts(passwords.len(), planned.stores.len()));
    let of_stores = planned.stores.iter().map(|(line, _)| line.site.as_str());
    let names: BTreeSet<&str> = passwords.keys().map(String::as_str).chain(of_stores).collect();
    let shown: Vec<&str> = names.iter().copied().take(LOGGED_NAMES_MAX).collect();
    let more = match names.len() - shown.len() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("{does}; of the sites {}{more}", shown.join(", "))
}

fn counts(sites: usize, stores: usize) -> String {
    let ending = |count| if count == 1 { "" } else { "s" };
    format!("{sites} site{} and {stores} store{} (new or moved)", ending(sites), ending(stores))
}

/// A store that was added or moved.
#[derive(Serialize)]
struct ImportedStore {
    change: &'static str,
    store_id: StoreId,
    code: String,
    name: String,
    /// Where it was before, if it was anywhere.
    from_site: Option<String>,
    to_site: String,
}

impl ImportedStore {
    fn says(&self) -> Message {
        let (id, code) = (self.store_id.as_str(), self.code.as_str());
        let (name, to) = (format!("{:?}", self.name), format!("{:?}", self.to_site));
        match &self.from_site {
            Some(from) => says::imported_move(id, name, code, format!("{from:?}"), to),
            None if self.change == "moved" => says::imported_from_nowhere(id, name, code, to),
            None => says::imported_store(id, name, code, to),
        }
    }
}

/// How far an import came.
#[derive(Default)]
struct Imported {
    sites: usize,
    stores: Vec<ImportedStore>,
}

impl Imported {
    fn add(
        &mut self,
        sites: &SiteRegistry,
        planned: &Planned<'_>,
        passwords: &BTreeMap<String, String>,
    ) -> Result<(), Error> {
        for (name, password) in passwords {
            sites.add(name, &PasswordHash::of_password(password))?;
            self.sites += 1;
        }
        for (line, change) in &planned.stores {
            let (change, name, id, from) = match change {
                StoreChange::New => ("new", &line.store_name, None, None),
                StoreChange::Moved { id, name, from } => ("moved", name, Some(id.clone()), from.clone()),
            };
            let store_id = sites.add_store(name, &line.store_code, &line.site, id)?;
            self.stores.push(ImportedStore {
                change,
                store_id,
                code: line.store_code.clone(),
                name: name.clone(),
                from_site: from,
                to_site: line.site.clone(),
            });
        }
        Ok(())
    }
}
