//! `errors`: the catalogue.

use serde_json::json;
use sync_core::{CatalogueEntry, Error, catalogue};

use super::layout::{facts, table};
use crate::exit::{Ended, Failure, status};
use crate::output::Output;

pub(super) fn run(code: Option<&str>, out: &Output) -> Result<Ended, Failure> {
    let all = catalogue();
    let Some(code) = code else {
        for entry in &all {
            if out.json {
                out.document(&document(entry))?;
            }
        }
        if !out.json {
            let head = ["code", "exit", "message"].map(str::to_owned).to_vec();
            let row = |entry: &CatalogueEntry| {
                vec![entry.code.to_owned(), status(entry.class).to_string(), entry.message.clone()]
            };
            table(out, &std::iter::once(head).chain(all.iter().map(row)).collect::<Vec<_>>())?;
            out.hint("oms-sync errors CODE tells what lies behind one and what to do.");
        }
        return Ok(Ended::Done);
    };
    // As it is printed, in brackets; or as Open mSupply has it, in capital letters.
    let wanted = code.trim_matches(['[', ']', ' ']).to_lowercase();
    let is_it = |entry: &&CatalogueEntry| {
        entry.code == wanted || entry.upstream.is_some_and(|upstream| upstream.to_lowercase() == wanted)
    };
    let Some(entry) = all.iter().find(is_it) else {
        return Err(Error::NotFound { what: "error code".to_owned(), id: code.to_owned() }.into());
    };
    if out.json {
        out.document(&document(entry))?;
    } else {
        facts(
            out,
            &[
                ("code", Some(entry.code.to_owned())),
                ("in Open mSupply", entry.upstream.map(str::to_owned)),
                ("example", Some(entry.message.clone())),
                ("cause", Some(entry.cause.to_owned())),
                ("what to do", Some(entry.advice.to_owned())),
                ("who must act", Some(entry.class.who_must_act().to_owned())),
                ("exit status", Some(status(entry.class).to_string())),
            ],
        )?;
    }
    Ok(Ended::Done)
}

fn document(entry: &CatalogueEntry) -> serde_json::Value {
    json!({
        "code": entry.code, "class": entry.class.as_str(), "exit_status": status(entry.class),
        "message": entry.message, "cause": entry.cause, "advice": entry.advice,
        "who_must_act": entry.class.who_must_act(), "open_msupply_code": entry.upstream,
    })
}
