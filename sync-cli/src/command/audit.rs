//! `audit`: compares this site with central. Changes nothing.

use std::path::Path;

use sync_core::support::{Audit, Difference, DifferenceKind};
use sync_core::{Error, Replica};

use super::layout::{say, short};
use crate::args::Args;
use crate::failure::{CommandOutcome, Failure};
use crate::output::Output;
use crate::progress::Progress;
use crate::sentences::{audit_result as result, common, records};
use crate::signals::end_on_signals;
use crate::workspace::Workspace;

/// The most records that are shown to people.
const LISTED: usize = 20;

pub(super) fn run(args: &Args, out: &Output) -> Result<CommandOutcome, Failure> {
    let workspace = Workspace::open(args, out)?;
    end_on_signals();
    let found = {
        let mut progress = Progress::new(out);
        // Removed with its folder, however this ends.
        let folder = tempfile::Builder::new().prefix("oms-sync-audit").tempdir().map_err(no_room)?;
        let scratch = scratch(args, folder.path())?;
        out.in_words(workspace.site().support().audit(scratch.storage().as_ref(), &mut progress)?)
    };
    if out.json {
        out.document(&found)?;
    } else {
        show(&found, out)?;
        out.hint_said(&common::nothing_changed());
    }
    let differs = found.lost_records + found.set_aside_records > 0 || found.central_went_back;
    Ok(if differs { CommandOutcome::LeftBehind } else { CommandOutcome::Done })
}

/// The database for central's records: with the key of this site's, because they are as confidential.
fn scratch(args: &Args, folder: &Path) -> sync_core::Result<Replica> {
    args.builder()?.open(folder.join("central.sqlite"))
}

fn no_room(error: std::io::Error) -> Error {
    Error::Io { what: "making a temporary folder".to_owned(), source: error.into() }
}

fn show(found: &Audit, out: &Output) -> Result<(), Failure> {
    if found.central_went_back {
        say(out, "", &result::central_went_back())?;
    }
    let at_central: u64 = found.by_type.iter().map(|of_type| of_type.at_central).sum();
    match (found.lost_records, found.explained_records) {
        (0, 0) => {
            say(out, "", &result::all_same(records(at_central)))?;
            return say(out, "", &found.compared);
        }
        (0, _) => say(out, "", &result::only_on_the_way())?,
        (lost, _) => say(out, "", &result::differ(records(lost)))?,
    }
    types(found, out)?;
    for (title, list, count) in [
        (result::lost(records(found.lost_records)), &found.lost, found.lost_records),
        (result::on_the_way(records(found.explained_records)), &found.explained, found.explained_records),
    ] {
        if count > 0 {
            say(out, "", &title)?;
            list.iter().take(LISTED).try_for_each(|difference| named(difference, out))?;
        }
        match count.saturating_sub(LISTED as u64) {
            0 => {}
            more => say(out, "  ", &common::and_more(more))?,
        }
    }
    for reason in &found.reasons {
        let (meaning, advice) = (reason.meaning.clone(), reason.advice.clone());
        say(out, "", &result::reason(records(reason.records), meaning, advice))?;
    }
    say(out, "", &found.compared)
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
    out.line(&short(&format!("  {} {}", difference.table, difference.id), out.width()))?;
    let why = difference.why.meaning();
    let how = match difference.kind {
        DifferenceKind::Missing => result::missing_here(why),
        DifferenceKind::HereOnly => result::here_only(why),
        _ => result::differs_in(difference.fields.join(", "), why),
    };
    say(out, "    ", &how)
}

#[cfg(all(test, feature = "sqlcipher"))]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[test]
    fn the_records_of_an_encrypted_site_are_encrypted_here_too() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().expect("a folder");
        let key = folder.path().join("key");
        std::fs::write(&key, "two people know it").expect("written");
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).expect("set");
        let begins_openly = |args: &Args| {
            let scratch = tempfile::tempdir().expect("a folder");
            drop(super::scratch(args, scratch.path()).expect("opened"));
            let bytes = std::fs::read(scratch.path().join("central.sqlite")).expect("a file");
            bytes.starts_with(b"SQLite format 3")
        };
        let key = key.to_str().expect("text");
        assert!(!begins_openly(&Args::parse_from(["oms-sync", "--db-key-file", key, "audit"])));
        assert!(begins_openly(&Args::parse_from(["oms-sync", "audit"])), "a site without a key has none here");
    }
}
