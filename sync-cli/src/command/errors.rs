//! `errors`: the catalogue.

use serde_json::json;
use sync_core::{CatalogueEntry, Error, Text, Texts, catalogue};

use super::layout::{facts, table};
use crate::exit::{Ended, Failure, status};
use crate::output::Output;

pub(super) fn run(code: Option<&str>, out: &Output) -> Result<Ended, Failure> {
    let all = catalogue();
    let Some(code) = code else {
        for entry in &all {
            if out.json {
                out.document(&document(entry, out))?;
            }
        }
        if !out.json {
            let head = ["code", "exit", "message"].map(str::to_owned).to_vec();
            let row = |entry: &CatalogueEntry| {
                vec![entry.code.to_owned(), status(entry.class).to_string(), said(entry, out).message]
            };
            table(out, &std::iter::once(head).chain(all.iter().map(row)).collect::<Vec<_>>())?;
            out.hint("oms-sync errors CODE tells what lies behind one and what to do.");
            if out.texts != Texts::default() {
                out.hint(&format!("{} of {} codes are said in English.", out.texts.missing().len(), all.len()));
            }
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
        out.document(&document(entry, out))?;
    } else {
        let said = said(entry, out);
        facts(
            out,
            &[
                ("code", Some(entry.code.to_owned())),
                ("in Open mSupply", entry.upstream.map(str::to_owned)),
                ("example", Some(said.message)),
                ("cause", Some(said.cause)),
                ("what to do", Some(said.advice)),
                ("who must act", Some(entry.class.who_must_act().to_owned())),
                ("exit status", Some(status(entry.class).to_string())),
            ],
        )?;
    }
    Ok(Ended::Done)
}

/// What is said of a code in the language that is wanted; without an example where that is not English.
struct Said {
    message: String,
    cause: String,
    advice: String,
}

fn said(entry: &CatalogueEntry, out: &Output) -> Said {
    let text = out.texts.of(entry.code);
    let given = |given: fn(&Text) -> &Option<String>, english: &str| {
        text.and_then(|text| given(text).clone()).unwrap_or_else(|| english.to_owned())
    };
    Said {
        message: given(|text| &text.message, &entry.message),
        cause: given(|text| &text.cause, entry.cause),
        advice: given(|text| &text.advice, entry.advice),
    }
}

fn document(entry: &CatalogueEntry, out: &Output) -> serde_json::Value {
    let said = said(entry, out);
    json!({
        "code": entry.code, "class": entry.class.as_str(), "exit_status": status(entry.class),
        "message": said.message, "template": entry.template, "cause": said.cause, "advice": said.advice,
        "who_must_act": entry.class.who_must_act(), "open_msupply_code": entry.upstream,
    })
}
