//! `status`: how this database stands.

use std::time::Duration;

use sync_core::{Status, status};

use super::layout::moment;
use crate::args::{Args, Status as StatusOptions};
use crate::exit::{Ended, Failure};
use crate::output::{Output, bytes};
use crate::progress::{end_on_signals, interrupted};
use crate::setup::Parts;

pub(super) fn run(args: &Args, options: &StatusOptions, out: &Output) -> Result<Ended, Failure> {
    let parts = Parts::open(args, out)?;
    if options.watch {
        return watch(&parts, options.every, out);
    }
    let status = status(parts.storage.as_ref())?;
    if out.json {
        out.document(&status)?
    } else {
        show(&status, out)?
    }
    Ok(Ended::Done)
}

/// Shows it again whenever it has changed, until a signal comes.
fn watch(parts: &Parts, every: Duration, out: &Output) -> Result<Ended, Failure> {
    end_on_signals();
    let mut before = None;
    while !interrupted() {
        let status = status(parts.storage.as_ref())?;
        let now = serde_json::to_string(&status).map_err(std::io::Error::other)?;
        if before.as_ref() != Some(&now) {
            if out.json {
                out.line(&now)?;
            } else {
                if before.is_some() {
                    out.line("")?;
                }
                out.line(&format!("-- {}", moment(parts.clock.now())))?;
                show(&status, out)?;
            }
            before = Some(now);
        }
        // In short pieces, so that a signal ends it soon.
        let mut left = every;
        while !left.is_zero() && !interrupted() {
            let piece = left.min(Duration::from_millis(100));
            parts.clock.sleep(piece);
            left = left.saturating_sub(piece);
        }
    }
    Ok(Ended::Done)
}

fn show(status: &Status, out: &Output) -> Result<(), Failure> {
    let waiting = match status.waiting.records {
        0 => "nothing".to_owned(),
        records => {
            let oldest = status.waiting.oldest_at.map(|at| format!(", the oldest from {at}")).unwrap_or_default();
            let noun = if records == 1 { "record" } else { "records" };
            format!("{records} {noun}, {}{oldest}", bytes(status.waiting.bytes))
        }
    };
    let last = status.last_sync.as_ref().map_or("never".to_owned(), |last| {
        let error = last.error.as_ref().map(|error| format!(" [{}] {}", error.code, error.message)).unwrap_or_default();
        format!("{} at {}{error}", last.outcome, last.finished_at)
    });
    let causes: Vec<String> = status.quarantined_by_cause.iter().map(|(cause, n)| format!("{n} {cause}")).collect();
    let quarantined = if causes.is_empty() { "nothing".to_owned() } else { causes.join(", ") };
    let files: Vec<String> = status.files.iter().map(|(state, n)| format!("{n} {state}")).collect();
    let files = if files.is_empty() { "none".to_owned() } else { files.join(", ") };
    out.facts(&[
        ("role", Some(status.role.unwrap_or("not set up").to_owned())),
        ("site", status.site_name.clone()),
        ("site id", status.site_id.map(|id| id.to_string())),
        ("legacy URL", status.legacy_url.clone()),
        ("central URL", status.central_url.clone()),
        ("initialised", Some(if status.initialised { "yes" } else { "no" }.to_owned())),
        ("pull cursor", Some(status.pull_cursor_v6.to_string())),
        ("push cursor", Some(status.push_cursor_v6.to_string())),
        ("to be pushed", Some(waiting)),
        ("last sync", Some(last)),
        ("set aside", Some(quarantined)),
        ("files", Some(files)),
        ("records", Some(status.records.values().sum::<u64>().to_string())),
    ])?;
    for concern in &status.concerns {
        out.line(&format!("warning: {}", out.texts.say(&concern.says())))?;
    }
    Ok(())
}
