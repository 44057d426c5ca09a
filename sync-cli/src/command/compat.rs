//! `compat`: the compatibility of releases.

use oms_sync_inspect::compat::{End, compat};
use serde_json::json;
use sync_core::{Error, ErrorClass};

use super::layout::{say, wrapped};
use crate::args::Compat;
use crate::failure::{CommandOutcome, Failure};
use crate::output::Output;
use crate::sentences::{compatibility as says, input_given};

pub(super) fn run(options: &Compat, out: &Output) -> Result<CommandOutcome, Failure> {
    if options.legacy.is_none() && options.central.is_none() {
        return Err(Error::bad_input(input_given::nothing_to_compare()).into());
    }
    let site = options.site.clone().map_or(End::Ours, End::Upstream);
    let checks = out.in_words(compat(options.legacy.as_ref(), options.central.as_ref(), &site));
    let fits = checks.iter().all(|check| check.fits != Some(false));
    let loses = checks.iter().any(|check| !check.losses.is_empty());
    // Servers come first: an older client works with a newer server, not the reverse.
    let order = ["legacy", "central", "site"];
    let first = order.into_iter().find(|end| checks.iter().any(|check| check.upgrade_first == Some(*end)));
    if out.json {
        out.document(&json!({ "fits": fits, "upgrade_first": first, "checks": checks }))?;
    } else {
        for check in &checks {
            let (between, why) = (check.between, check.says.clone());
            let verdict = match check.fits {
                Some(true) if check.losses.is_empty() => says::fit(between, why),
                Some(true) => says::fit_with_losses(between, why),
                Some(false) => says::do_not_fit(between, why),
                None => says::not_known(between, why),
            };
            say(out, "", &verdict)?;
            for loss in &check.losses {
                wrapped(out, "  ", &loss.to_string())?;
            }
        }
        if let Some(first) = first {
            out.line_said(&match first {
                "legacy" => says::upgrade_legacy_server(),
                "central" => says::upgrade_central(),
                _ => says::upgrade_site(),
            })?;
        }
    }
    Ok(match (fits, loses) {
        (false, _) => CommandOutcome::Reported(ErrorClass::Upgrade),
        (true, true) => CommandOutcome::LeftBehind,
        (true, false) => CommandOutcome::Done,
    })
}
