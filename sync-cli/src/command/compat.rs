//! `compat`: whether releases fit together.

use serde_json::json;
use sync_core::{Error, ErrorClass};

use crate::args::Compat;
use crate::compat::{End, compat};
use crate::exit::{Ended, Failure};
use crate::output::Output;
use crate::sentences::input_given;

pub(super) fn run(options: &Compat, out: &Output) -> Result<Ended, Failure> {
    if options.legacy.is_none() && options.central.is_none() {
        return Err(Error::bad_input(input_given::nothing_to_compare()).into());
    }
    let site = options.site.clone().map_or(End::Ours, End::Upstream);
    let checks = compat(options.legacy.as_ref(), options.central.as_ref(), &site);
    let fits = checks.iter().all(|check| check.fits != Some(false));
    let loses = checks.iter().any(|check| !check.losses.is_empty());
    // Whoever serves comes first: an older end may come to a newer server, not the other way round.
    let order = ["legacy", "central", "site"];
    let first = order.into_iter().find(|end| checks.iter().any(|check| check.upgrade_first == Some(*end)));
    if out.json {
        out.document(&json!({ "fits": fits, "upgrade_first": first, "checks": checks }))?;
    } else {
        for check in &checks {
            let verdict = match check.fits {
                Some(true) if check.losses.is_empty() => "fit",
                Some(true) => "fit, with losses",
                Some(false) => "do NOT fit",
                None => "not known",
            };
            out.line(&format!("{}: {verdict}; {}", check.between, check.says))?;
            for loss in &check.losses {
                out.line(&format!("  {loss}"))?;
            }
        }
        if let Some(first) = first {
            let who = match first {
                "legacy" => "the legacy server",
                "central" => "the Open mSupply central server",
                _ => "the site",
            };
            out.line(&format!("Upgrade {who} first."))?;
        }
    }
    Ok(match (fits, loses) {
        (false, _) => Ended::Reported(ErrorClass::Upgrade),
        (true, true) => Ended::LeftBehind,
        (true, false) => Ended::Done,
    })
}
