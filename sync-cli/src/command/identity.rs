//! `identity`: the identity of this database, and its disagreements.

use sync_core::support::{IdentityShown, StoreShown};
use sync_core::{ErrorClass, Message};

use super::layout::{facts, moment, say, wrapped};
use crate::args::{Args, Identity};
use crate::failure::{CommandOutcome, Failure};
use crate::output::Output;
use crate::progress::until_interrupted;
use crate::sentences::{common, identity_shown as shown};
use crate::signals::end_on_signals;
use crate::workspace::Workspace;

pub(super) fn run(args: &Args, options: &Identity, out: &Output) -> Result<CommandOutcome, Failure> {
    let workspace = Workspace::open_to_read(args, out)?;
    let mut found = workspace.support().identity()?;
    if options.ask {
        end_on_signals();
        found.disagreements.extend(workspace.site().support().compare_identity(&mut until_interrupted)?);
    }
    let found = out.in_words(found);
    if out.json {
        out.document(&found)?;
    } else {
        show(&found, options.ask, out)?;
    }
    Ok(if found.disagreements.is_empty() {
        CommandOutcome::Done
    } else {
        CommandOutcome::Reported(ErrorClass::Configure)
    })
}

fn show(found: &IdentityShown, asked: bool, out: &Output) -> Result<(), Failure> {
    let (servers, versions) = (&found.servers, &found.versions);
    let said = |said: &Message| Some(out.texts.say(said));
    let role = found.role.map_or_else(|| out.texts.say(&common::not_set_up()), |role| out.word(role).to_owned());
    let central = |url: &String| match servers.one_server {
        true => out.texts.say(&shown::same_server(url)),
        false => url.clone(),
    };
    facts(
        out,
        &[
            ("role", Some(role)),
            ("site", found.site_name.clone()),
            ("site id", found.site_id.map(|id| id.to_string())),
            ("site UUID", found.site_uuid.clone()),
            ("hardware id", found.hardware_id.as_ref().and_then(|id| said(&shown::shortened(id)))),
            ("legacy server", servers.legacy_url.clone()),
            ("central", servers.central_url.as_ref().map(central)),
            ("discovered", found.discovered_at.map(moment)),
            ("initialised", found.initialised_at.map(moment).or_else(|| said(&common::no()))),
            ("program", Some(versions.program.to_owned())),
            ("database by", versions.database_used_by.clone()),
            ("speaks", said(&shown::speaks(&versions.v5, versions.v6, &versions.open_msupply))),
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
