//! `patient`: finds a patient, links one to a store of this site, and pulls one from central.

use sync_core::protocol::v5::PatientQuery;
use sync_core::record::{NameId, StoreId};
use sync_core::{Error, SyncReport};

use super::sync::{ended, show};
use crate::args::{Args, Patient};
use crate::failure::{CommandOutcome, Failure};
use crate::output::Output;
use crate::progress::{Progress, until_interrupted};
use crate::sentences::{input_given, sync_shown};
use crate::signals::end_on_signals;
use crate::workspace::Workspace;

pub(super) fn run(args: &Args, command: &Patient, out: &Output) -> Result<CommandOutcome, Failure> {
    match command {
        Patient::Find { first, last, born, code, limit } => {
            let said = |text: &Option<String>| text.clone().filter(|text| !text.trim().is_empty());
            let query = PatientQuery {
                first_name: said(first),
                last_name: said(last),
                date_of_birth: said(born),
                code: said(code),
                limit: Some(*limit),
            };
            find(args, &query, out)
        }
        Patient::Link { id, store, give_up: false } => link(args, &patient(id)?, store.as_deref(), out),
        Patient::Link { id, store, give_up: true } => give_up(args, &patient(id)?, store.as_deref(), out),
        Patient::Pull { id } => pull(args, &patient(id)?, out),
    }
}

fn patient(id: &str) -> Result<NameId, Failure> {
    if id.trim().is_empty() {
        return Err(Error::bad_input(input_given::no_patient_id()).into());
    }
    Ok(NameId::new(id))
}

fn find(args: &Args, query: &PatientQuery, out: &Output) -> Result<CommandOutcome, Failure> {
    let workspace = Workspace::open_to_read(args, out)?;
    end_on_signals();
    let found = workspace.site().find_patients(query, &mut until_interrupted)?;
    if out.json {
        for patient in &found {
            out.document(patient)?;
        }
        return Ok(CommandOutcome::Done);
    }
    if found.is_empty() {
        out.hint_said(&sync_shown::nobody_found());
        return Ok(CommandOutcome::Done);
    }
    let mut rows = vec![["ID", "LAST NAME", "FIRST NAME", "BORN", "CODE"].map(str::to_owned).to_vec()];
    for patient in found {
        // The day is enough; some servers add a time.
        let born = patient.date_of_birth.get(..10).unwrap_or(&patient.date_of_birth).to_owned();
        let last = if patient.last_name.is_empty() { patient.name } else { patient.last_name };
        rows.push(vec![patient.id.to_string(), last, patient.first_name, born, patient.code]);
    }
    out.table(&rows)?;
    out.hint_said(&sync_shown::link_with());
    Ok(CommandOutcome::Done)
}

fn link(args: &Args, patient: &NameId, store: Option<&str>, out: &Output) -> Result<CommandOutcome, Failure> {
    let workspace = Workspace::open(args, out)?;
    let store = store_of(&workspace, store)?;
    end_on_signals();
    let report = {
        let mut progress = Progress::new(out);
        out.in_words(workspace.site().link_patient(patient, &store, &mut progress)?)
    };
    let nothing_came = report.pulled == 0;
    told(&report, out, || {
        if nothing_came {
            out.hint_said(&sync_shown::linked_nothing_came())
        }
    })
}

fn give_up(args: &Args, patient: &NameId, store: Option<&str>, out: &Output) -> Result<CommandOutcome, Failure> {
    let workspace = Workspace::open(args, out)?;
    let store = store_of(&workspace, store)?;
    if !workspace.site().give_up_link(patient, &store)? {
        return Err(Error::bad_input(input_given::no_open_link(patient.to_string(), store.to_string())).into());
    }
    if out.json {
        out.document(&serde_json::json!({ "patient": patient, "store": store, "given_up": true }))?;
    } else {
        out.hint_said(&sync_shown::link_given_up());
    }
    Ok(CommandOutcome::Done)
}

fn store_of(workspace: &Workspace, store: Option<&str>) -> Result<StoreId, Failure> {
    match store {
        Some(store) => Ok(StoreId::from(store)),
        None => only_store(workspace.replica.records().active_stores()?),
    }
}

fn only_store(stores: Vec<StoreId>) -> Result<StoreId, Failure> {
    match <[StoreId; 1]>::try_from(stores) {
        Ok([store]) => Ok(store),
        Err(stores) if stores.is_empty() => Err(Error::bad_input(input_given::no_store_here()).into()),
        Err(stores) => {
            let stores: Vec<&str> = stores.iter().map(StoreId::as_str).collect();
            Err(Error::bad_input(input_given::which_store(stores.join(", "))).into())
        }
    }
}

fn pull(args: &Args, patient: &NameId, out: &Output) -> Result<CommandOutcome, Failure> {
    let workspace = Workspace::open(args, out)?;
    end_on_signals();
    let report = {
        let mut progress = Progress::new(out);
        out.in_words(workspace.site().pull_patient(patient, &mut progress)?)
    };
    let nothing_came = report.pulled == 0;
    told(&report, out, || {
        if nothing_came {
            out.hint_said(&sync_shown::no_patient())
        }
    })
}

/// Reports a run for one patient, with a hint if it succeeded.
fn told(report: &SyncReport, out: &Output, hint: impl FnOnce()) -> Result<CommandOutcome, Failure> {
    if out.json {
        out.report(report, report.error.as_ref())?;
    } else {
        show(report, out)?;
        if report.error.is_none() {
            hint();
        }
    }
    ended(report, out)
}
