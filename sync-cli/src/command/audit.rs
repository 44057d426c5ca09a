//! `audit`: whether this site holds what central has for it. Nothing is changed.

use sync_core::Error;
use sync_core::storage::SqliteStorage;
use sync_core::support::{Audit, Difference, DifferenceKind};

use super::layout::{WIDTH, counted, short, wrapped};
use crate::args::Args;
use crate::exit::{Ended, Failure};
use crate::output::Output;
use crate::progress::{Progress, end_on_signals};
use crate::setup::Parts;

/// How many records are named to people.
const LISTED: usize = 20;

pub(super) fn run(args: &Args, out: &Output) -> Result<Ended, Failure> {
    let parts = Parts::open(args, out)?;
    end_on_signals();
    let found = {
        let mut progress = Progress::new(out);
        // Gone with its folder, however this ends.
        let folder = tempfile::Builder::new().prefix("oms-sync-audit").tempdir().map_err(no_room)?;
        let scratch = SqliteStorage::open(folder.path().join("central.sqlite"))?;
        parts.site().audit(&scratch, &mut progress)?
    };
    if out.json {
        out.document(&found)?;
    } else {
        show(&found, out)?;
        out.hint("Nothing was changed.");
    }
    let differs = found.lost_records + found.set_aside_records > 0 || found.central_went_back;
    Ok(if differs { Ended::LeftBehind } else { Ended::Done })
}

fn no_room(error: std::io::Error) -> Error {
    Error::Io { what: "making a temporary folder".to_owned(), source: error.into() }
}

fn show(found: &Audit, out: &Output) -> Result<(), Failure> {
    if found.central_went_back {
        let went_back = "Central's changelog ends before what this site has seen of it: central was restored from a \
                         backup or replaced. Its keeper must know.";
        wrapped(out, "", went_back)?;
    }
    let at_central: u64 = found.by_type.iter().map(|of_type| of_type.at_central).sum();
    match (found.lost_records, found.explained_records) {
        (0, 0) => {
            let all =
                format!("Nothing is missing: {} of central, all here and the same.", counted(at_central, "record"));
            return wrapped(out, "", &all);
        }
        (0, _) => wrapped(out, "", "Nothing is missing but what is on its way or set aside.")?,
        (lost, _) => wrapped(out, "", &format!("{} differ and should not.", counted(lost, "record")))?,
    }
    types(found, out)?;
    for (title, list, count) in [
        ("Differ and should not", &found.lost, found.lost_records),
        ("On their way, or set aside", &found.explained, found.explained_records),
    ] {
        if count > 0 {
            out.line(&format!("{title}: {}", counted(count, "record")))?;
            list.iter().take(LISTED).try_for_each(|difference| named(difference, out))?;
        }
        match count.saturating_sub(LISTED as u64) {
            0 => {}
            more => out.line(&format!("  and {more} more; --json lists the first thousand"))?,
        }
    }
    for reason in &found.reasons {
        wrapped(out, "", &format!("{}, {}: {}", counted(reason.records, "record"), reason.meaning, reason.advice))?;
    }
    Ok(())
}

fn types(found: &Audit, out: &Output) -> Result<(), Failure> {
    let head = ["  TABLE", "AT CENTRAL", "SAME", "MISSING", "DIFFER", "ONLY HERE"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for of_type in &found.by_type {
        let counts = [of_type.at_central, of_type.same, of_type.missing, of_type.differing, of_type.here_only];
        let mut row = vec![format!("  {}", of_type.table)];
        row.extend(counts.map(|count| count.to_string()));
        rows.push(row);
    }
    out.table(&rows)
}

fn named(difference: &Difference, out: &Output) -> Result<(), Failure> {
    out.line(&short(&format!("  {} {}", difference.table, difference.id), WIDTH))?;
    let how = match difference.kind {
        DifferenceKind::Missing => "missing here".to_owned(),
        DifferenceKind::HereOnly => "here only".to_owned(),
        _ => format!("differs in {}", difference.fields.join(", ")),
    };
    wrapped(out, "    ", &format!("{how}: {}", difference.why.meaning()))
}
