//! `init` and `discover`.

use std::io::IsTerminal as _;
use std::ops::ControlFlow;
use std::time::Duration;

use serde_json::json;
use sync_core::protocol::masked_url;
use sync_core::site::Discovered;
use sync_core::support::doctor::{Check, CheckOutcome};
use sync_core::{Error, ErrorClass, Role, Settings, SyncEvent, SyncObserver as _};

use super::doctor;
use super::layout::{facts, folded, pairs, say};
use crate::args::{Args, Discover, Init};
use crate::failure::{CommandOutcome, Failure};
use crate::output::Output;
use crate::password::password;
use crate::progress::{Progress, until_interrupted};
use crate::sentences::{common, input_given, set_up_shown as says};
use crate::signals::{end_on_signals, interrupted};
use crate::workspace::Workspace;

/// How long a step of the way is checked.
const TO_LOOK: Duration = Duration::from_secs(15);

/// How long the server may be silent until the person who waits is told.
const TELLS_OF_WAIT: Duration = Duration::from_secs(4);

/// How long the server may be silent until the steps of the way are checked.
const FIRST_ANSWER: Duration = Duration::from_secs(12);

pub(super) fn init(args: &Args, init: &Init, out: &Output) -> Result<CommandOutcome, Failure> {
    end_on_signals();
    // An empty file is no database yet.
    let existed = args.db.metadata().is_ok_and(|file| file.len() > 0);
    let (opened, url, site) = site_meant(args, init, existed, out)?;
    let settings =
        Settings::new(&url, &site, password(&init.password, &site, out)?).hardware_id(init.hardware_id.clone());
    let workspace = opened.map_or_else(|| Workspace::open_or_make(args, out), Ok)?;
    // Without either flag a site that is set up already keeps what it has, and a new one uses https alone.
    let settings = match (init.https_only, init.allow_http) {
        (false, false) => settings,
        (https_only, _) => settings.https_only(https_only),
    };
    out.hint_said(&says::asking(masked_url(&url), format!("{site:?}")));
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
        let (db, site) = (args.db.display().to_string(), format!("{site:?}"));
        out.line_said(&says::is_set_up(db, site))?;
        show(&discovered, out)?;
        match discovered.central_unconfirmed {
            true => out.hint_said(&says::unconfirmed(&discovered.central_url)),
            false => out.hint_said(&common::next_sync()),
        }
    }
    Ok(CommandOutcome::Done)
}

/// The legacy server's address and the name of the site: those of the database in the place of what is not given. Then the database is open.
fn site_meant(
    args: &Args,
    init: &Init,
    existed: bool,
    out: &Output,
) -> Result<(Option<Workspace>, String, String), Failure> {
    if let (Some(url), Some(site)) = (&init.legacy_url, &init.site) {
        return Ok((None, url.clone(), site.clone()));
    }
    let needs_both = || Error::bad_input(input_given::init_needs(args.db.display().to_string()));
    if !existed && !args.db.is_on_server() {
        return Err(needs_both().into());
    }
    let workspace = Workspace::open(args, out)?;
    let known = workspace.replica.settings()?.ok_or_else(needs_both)?;
    let url = init.legacy_url.clone().unwrap_or(known.legacy_url);
    let site = init.site.clone().unwrap_or(known.site_name);
    Ok((Some(workspace), url, site))
}

/// Asks once. If that fails, each step of the way is checked and told: a person waits. If all is well by then, the usual
/// number of tries follows.
fn set_up(workspace: &Workspace, settings: &Settings, out: &Output) -> sync_core::Result<Discovered> {
    let mut once = workspace.limits.config.clone();
    once.attempts = 1;
    let (mut is_told, mut is_late) = (false, false);
    let mut warned = |event: &SyncEvent| {
        match event {
            SyncEvent::Warning { message } => out.hint_said(&common::warning(message)),
            SyncEvent::RequestUnderWay { waited } => {
                is_late = *waited >= FIRST_ANSWER;
                if *waited >= TELLS_OF_WAIT && !is_told {
                    is_told = true;
                    out.hint_said(&says::waits(FIRST_ANSWER.as_secs()));
                }
            }
            _ => {}
        }
        if is_late { ControlFlow::Break(()) } else { until_interrupted(event) }
    };
    let first = workspace.site().with_config(once).set_up(settings, &mut warned);
    let error = match first {
        Err(Error::Cancelled) if is_late && !interrupted() => {
            let url = masked_url(&settings.legacy_url);
            Error::TimedOut { server: sync_core::error::Server::Legacy, url, source: None }
        }
        Err(error) if is_of_the_way(&error) => error,
        ended => return ended,
    };
    let mut each = |_: &Check| if interrupted() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
    let found =
        doctor::before_set_up(&doctor::site_of(&workspace.replica, TO_LOOK), settings, Some(TO_LOOK), &mut each)?;
    let of_legacy = |check: &&Check| check.name.starts_with("legacy ") && check.outcome == CheckOutcome::Fault;
    match found.checks.iter().find(of_legacy) {
        Some(check) => {
            let check = out.in_words(check.clone());
            if let Some(finding) = &check.finding {
                let is_one = workspace.support().identity().is_ok_and(|identity| identity.servers.one_server);
                let name = if is_one { check.name.trim_start_matches("legacy ") } else { check.name };
                out.hint_said(&says::found_on_the_way(name, check.says, finding.advice.clone()));
            }
            Err(error)
        }
        None => {
            let mut progress = Progress::new(out);
            // It was warned of already.
            let mut rest = |event: &SyncEvent| match event {
                SyncEvent::Warning { .. } => until_interrupted(event),
                _ => progress.on_event(event),
            };
            workspace.site().set_up(settings, &mut rest)
        }
    }
}

/// True for an error that may lie on the way to the server.
fn is_of_the_way(error: &Error) -> bool {
    error.class() == ErrorClass::Retry
        || matches!(
            error.code(),
            "not_an_msupply_server"
                | "certificate_refused"
                | "client_certificate_refused"
                | "proxy_unusable"
                | "unreadable_answer"
        )
}

pub(super) fn discover(args: &Args, options: &Discover, out: &Output) -> Result<CommandOutcome, Failure> {
    end_on_signals();
    let site = Workspace::open(args, out)?.site();
    let mut discovered = out.in_words(site.discover(&mut until_interrupted)?);
    match &options.accept {
        Some(expected) if discovered.central_unconfirmed => {
            // Somebody has to have seen the address: who typed it, or who reads the terminal.
            if expected.is_none() && !std::io::stderr().is_terminal() {
                return Err(Error::bad_input(input_given::name_central(&discovered.central_url)).into());
            }
            out.hint_said(&says::would_confirm(&discovered.central_url));
            site.confirm_central_url(expected.as_deref().unwrap_or(&discovered.central_url))?;
            discovered.central_unconfirmed = false;
            out.hint_said(&says::confirmed(&discovered.central_url));
        }
        // Nothing waits to be confirmed; the address that somebody named is compared all the same.
        Some(Some(named)) => site.confirm_central_url(named)?,
        _ => {}
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
        let name = format!("{:<14}", out.word("central"));
        pairs(out, "", &[(name, out.texts.say(&says::central_answers()))], folded)?;
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
