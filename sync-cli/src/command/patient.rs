//! `patient`: what central has of one patient.

use sync_core::Error;
use sync_core::record::NameId;

use super::sync::{ended, show};
use crate::args::{Args, Patient};
use crate::exit::{Ended, Failure};
use crate::output::Output;
use crate::progress::{Progress, end_on_signals};
use crate::sentences::{input_given, sync_shown};
use crate::setup::Parts;

pub(super) fn run(args: &Args, command: &Patient, out: &Output) -> Result<Ended, Failure> {
    let Patient::Pull { id } = command;
    if id.trim().is_empty() {
        return Err(Error::bad_input(input_given::no_patient_id()).into());
    }
    let parts = Parts::open(args, out)?;
    end_on_signals();
    let report = {
        let mut progress = Progress::new(out);
        out.in_words(parts.site().pull_patient(&NameId::new(id.as_str()), &mut progress)?)
    };
    if out.json {
        out.report(&report, report.error.as_ref())?;
    } else {
        show(&report, out)?;
        if report.error.is_none() && report.pulled == 0 {
            out.hint_said(&sync_shown::no_patient());
        }
    }
    ended(&report, out)
}
