//! `init` and `discover`.

use std::ops::ControlFlow;
use std::time::Duration;

use serde_json::json;
use sync_core::protocol::masked_url;
use sync_core::site::Discovered;
use sync_core::support::doctor::{Check, CheckOutcome};
use sync_core::{Error, ErrorClass, Role, Settings};

use super::doctor;
use super::layout::{facts, say};
use crate::args::{Args, Discover, Init};
use crate::failure::{CommandOutcome, Failure};
use crate::output::Output;
use crate::password::password;
use crate::progress::{Progress, until_interrupted};
use crate::sentences::{common, set_up_shown as says};
use crate::signals::{end_on_signals, interrupted};
use crate::workspace::Workspace;

/// How long a step of the way is checked.
const TO_LOOK: Duration = Duration::from_secs(15);

pub(super) fn init(args: &Args, init: &Init, out: &Output) -> Result<CommandOutcome, Failure> {
    end_on_signals();
    let settings = Settings::new(&init.legacy_url, init.site.clone(), password(&init.password, &init.site, out)?)
        .hardware_id(init.hardware_id.clone());
    let existed = args.db.exists();
    let workspace = Workspace::open_or_make(args, out)?;
    let before = match workspace.replica.settings() {
        // This sets it up again.
        Err(Error::SecretMissing { .. }) => None,
        before => before?,
    };
    let allowed_http = before.is_some_and(|before| before.https_only == Some(false));
    let allows_http = init.allow_http || (allowed_http && !init.https_only);
    if allows_http && init.legacy_url.starts_with("http://") && !is_this_machine(&init.legacy_url) {
        out.hint_said(&says::readable_on_the_way());
    }
    // Without either flag a site that is set up already keeps what it has, and a new one uses https alone.
    let settings = match (init.https_only, init.allow_http) {
        (false, false) => settings,
        (https_only, _) => settings.https_only(https_only),
    };
    out.hint_said(&says::asking(masked_url(&init.legacy_url), format!("{:?}", init.site)));
    let set_up = set_up(&workspace, &settings, out);
    if set_up.is_err() && !existed && workspace.server.is_none() {
        // A database that was created in vain is removed.
        let made = workspace.replica.path().unwrap_or(&args.db).to_owned();
        drop(workspace);
        for suffix in ["", "-wal", "-shm", ".watermark", ".lock"] {
            let mut path = made.clone().into_os_string();
            path.push(suffix);
            let _ = std::fs::remove_file(path);
        }
    }
    let discovered = out.in_words(set_up?);
    if out.json {
        out.document(&discovered)?;
    } else {
        let (db, site) = (args.db.display().to_string(), format!("{:?}", init.site));
        out.line_said(&says::is_set_up(db, site))?;
        show(&discovered, out)?;
        match discovered.central_unconfirmed {
            true => out.hint_said(&says::unconfirmed(&discovered.central_url)),
            false => out.hint_said(&common::next_sync()),
        }
    }
    Ok(CommandOutcome::Done)
}

/// Asks once. If that fails, each step of the way is checked and told: a person waits. If all is well by then, the usual
/// number of tries follows.
fn set_up(workspace: &Workspace, settings: &Settings, out: &Output) -> sync_core::Result<Discovered> {
    let mut once = workspace.limits.config.clone();
    once.attempts = 1;
    let first = workspace.site().with_config(once).set_up(settings, &mut until_interrupted);
    let error = match first {
        Err(error) if is_of_the_way(&error) => error,
        ended => return ended,
    };
    let mut each = |_: &Check| if interrupted() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
    let found = doctor::before_set_up(settings, TO_LOOK, &mut each)?;
    let of_legacy = |check: &&Check| check.name.starts_with("legacy ") && check.outcome == CheckOutcome::Fault;
    match found.checks.iter().find(of_legacy) {
        Some(check) => {
            let check = out.in_words(check.clone());
            if let Some(finding) = &check.finding {
                out.hint_said(&says::found_on_the_way(check.name, check.says, finding.advice.clone()));
            }
            Err(error)
        }
        None => workspace.site().set_up(settings, &mut Progress::new(out)),
    }
}

/// True for an error that may lie on the way to the server.
fn is_of_the_way(error: &Error) -> bool {
    error.class() == ErrorClass::Retry
        || matches!(
            error.code(),
            "not_an_msupply_server" | "certificate_refused" | "proxy_unusable" | "unreadable_answer"
        )
}

fn is_this_machine(url: &str) -> bool {
    ["http://localhost", "http://127.", "http://[::1]"].iter().any(|local| url.starts_with(local))
}

pub(super) fn discover(args: &Args, options: &Discover, out: &Output) -> Result<CommandOutcome, Failure> {
    end_on_signals();
    let site = Workspace::open(args, out)?.site();
    let mut discovered = out.in_words(site.discover(&mut until_interrupted)?);
    if options.accept && discovered.central_unconfirmed {
        site.confirm_central_url(&discovered.central_url)?;
        discovered.central_unconfirmed = false;
        out.hint_said(&says::confirmed(&discovered.central_url));
    }
    // Central has no other central server to probe.
    let probe = (discovered.role == Role::Remote).then(|| site.probe_central(&mut until_interrupted));
    if out.json {
        let mut document = serde_json::to_value(&discovered).map_err(std::io::Error::other)?;
        document["central_answers"] = json!(probe.as_ref().map(Result::is_ok));
        if let Some(Err(error)) = &probe {
            document["error"] = json!(out.written_down(error));
        }
        out.document(&document)?;
        return Ok(match probe {
            Some(Err(error)) => CommandOutcome::Reported(error.class()),
            _ => CommandOutcome::Done,
        });
    }
    show(&discovered, out)?;
    if let Some(probe) = probe {
        probe?;
        out.line(&format!("{:<14}  {}", out.word("central"), out.texts.say(&says::central_answers())))?;
    }
    Ok(CommandOutcome::Done)
}

fn show(discovered: &Discovered, out: &Output) -> Result<(), Failure> {
    let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    facts(
        out,
        &[
            ("role", Some(out.word(discovered.role.as_str()).to_owned())),
            ("site id", Some(discovered.site_id.to_string())),
            ("central URL", text(&discovered.central_url).or_else(|| Some(out.word("none").to_owned()))),
            ("initialisation", text(&discovered.initialisation_status)),
        ],
    )?;
    for change in &discovered.changes {
        say(out, "", &says::changed(change.clone()))?;
    }
    Ok(())
}
