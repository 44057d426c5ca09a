//! `identity`: who this database says it is, and where that does not agree.

use sync_core::ErrorClass;
use sync_core::support::{IdentityShown, StoreShown, identity};

use super::layout::{facts, moment, say, wrapped};
use crate::args::{Args, Identity};
use crate::exit::{Ended, Failure};
use crate::output::Output;
use crate::progress::{end_on_signals, until_interrupted};
use crate::sentences::identity_shown as shown;
use crate::setup::Parts;

pub(super) fn run(args: &Args, options: &Identity, out: &Output) -> Result<Ended, Failure> {
    let parts = Parts::open(args, out)?;
    let mut found = identity(parts.storage.as_ref())?;
    if options.ask {
        end_on_signals();
        found.disagreements.extend(parts.site().compare_identity(&mut until_interrupted)?);
    }
    let found = out.in_words(found);
    if out.json {
        out.document(&found)?;
    } else {
        show(&found, options.ask, out)?;
    }
    Ok(if found.disagreements.is_empty() { Ended::Done } else { Ended::Reported(ErrorClass::Configure) })
}

fn show(found: &IdentityShown, asked: bool, out: &Output) -> Result<(), Failure> {
    let (servers, versions) = (&found.servers, &found.versions);
    let one = if servers.one_server { " (the same server)" } else { "" };
    facts(
        out,
        &[
            ("role", Some(found.role.unwrap_or("not set up").to_owned())),
            ("site", found.site_name.clone()),
            ("site id", found.site_id.map(|id| id.to_string())),
            ("site UUID", found.site_uuid.clone()),
            ("hardware id", found.hardware_id.as_ref().map(|id| format!("{id} (shortened)"))),
            ("legacy server", servers.legacy_url.clone()),
            ("central", servers.central_url.as_ref().map(|url| format!("{url}{one}"))),
            ("discovered", found.discovered_at.map(moment)),
            ("initialised", Some(found.initialised_at.map_or("no".to_owned(), moment))),
            ("program", Some(versions.program.to_owned())),
            ("database by", versions.database_used_by.clone()),
            (
                "speaks",
                Some(format!("V5 {}, V6 {}, as Open mSupply {}", versions.v5, versions.v6, versions.open_msupply)),
            ),
        ],
    )?;
    if found.stores.is_empty() {
        say(out, "", &shown::no_store())?;
    } else {
        say(out, "", &shown::stores())?;
    }
    for StoreShown { id, code, name, .. } in &found.stores {
        let name = name.clone().unwrap_or_else(|| out.texts.say(&shown::no_name()));
        wrapped(out, "  ", &format!("{code}  {name}  {id}"))?;
    }
    for found in &found.disagreements {
        say(out, "", &shown::does_not_agree(found.code, found.what.clone(), found.advice.clone()))?;
    }
    if !asked && found.role.is_some() {
        out.hint_said(&shown::not_asked());
    }
    Ok(())
}
