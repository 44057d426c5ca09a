//! `errors`: the catalogue.

use serde_json::json;
use sync_core::error::{CatalogueEntry, catalogue};
use sync_core::{Error, Message, Texts};

use super::layout::{facts, table};
use crate::failure::{CommandOutcome, Failure, status};
use crate::output::Output;
use crate::sentences::{self, errors_shown as shown};

pub(super) fn run(code: Option<&str>, out: &Output) -> Result<CommandOutcome, Failure> {
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
            out.hint_said(&shown::one_in_full());
            if out.texts.is_translated() {
                out.hint_said(&in_english(out));
            }
        }
        return Ok(CommandOutcome::Done);
    };
    // As it is printed, in brackets; or Open mSupply's code, in capital letters.
    let wanted = code.trim_matches(['[', ']', ' ']).to_lowercase();
    let is_it = |entry: &&CatalogueEntry| {
        entry.code == wanted || entry.upstream.is_some_and(|upstream| upstream.to_lowercase() == wanted)
    };
    let Some(entry) = all.iter().find(is_it) else {
        // A name in capital letters is one of Open mSupply.
        let known = all.iter().flat_map(|entry| std::iter::once(entry.code).chain(entry.upstream));
        return Err(Error::not_found_among("error code", code, known).into());
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
                ("who must act", Some(out.word(entry.class.who_must_act()).to_owned())),
                ("exit status", Some(status(entry.class).to_string())),
            ],
        )?;
    }
    Ok(CommandOutcome::Done)
}

/// The number of texts that are still in English.
fn in_english(out: &Output) -> Message {
    let own = sentences::all();
    shown::missing(out.texts.missing(&own).len(), sentences::english().missing(&own).len())
}

/// All texts, as a file for `--texts`.
pub(super) fn template(out: &Output) -> Result<CommandOutcome, Failure> {
    let texts = out.texts.clone().or(Texts::english(&sentences::all()));
    out.text(&serde_json::to_string_pretty(texts.groups()).map_err(std::io::Error::other)?)?;
    out.hint_said(&in_english(out));
    Ok(CommandOutcome::Done)
}

/// The texts of a code in the chosen language; without an example unless that is English.
struct Explained {
    message: String,
    cause: String,
    advice: String,
}

fn said(entry: &CatalogueEntry, out: &Output) -> Explained {
    let given = |name: &str, english: &str| out.texts.of(entry.code, name).unwrap_or(english).to_owned();
    let message = given("message", &entry.message);
    Explained {
        message: if entry.is_finding { out.texts.say(&shown::found_by_doctor(message)) } else { message },
        cause: given("cause", entry.cause),
        advice: given("advice", entry.advice),
    }
}

fn document(entry: &CatalogueEntry, out: &Output) -> serde_json::Value {
    let said = said(entry, out);
    json!({
        "code": entry.code, "class": entry.class.as_str(), "exit_status": status(entry.class),
        "message": said.message, "template": entry.template, "usual_cause": said.cause, "advice": said.advice,
        "meaning": entry.class.who_must_act(), "open_msupply_code": entry.upstream,
    })
}
