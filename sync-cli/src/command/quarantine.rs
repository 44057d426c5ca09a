//! `quarantine`: what could not be integrated or was refused.

use serde_json::json;
use sync_core::quarantine;
use sync_core::storage::Source;

use crate::args::{Args, Quarantine};
use crate::exit::{Ended, Failure};
use crate::output::Output;
use crate::setup::Parts;

pub(super) fn run(args: &Args, command: &Quarantine, out: &Output) -> Result<Ended, Failure> {
    const PAGE: usize = 500;
    let Quarantine::List = command;
    let parts = Parts::open(args, out)?;
    let mut after = 0;
    loop {
        let page = quarantine(parts.storage.as_ref(), after, PAGE)?;
        for (row, why) in &page {
            after = row.sequence;
            let (table, id) = (&row.incoming.table, &row.incoming.id);
            let from = match row.incoming.source {
                Source::Central => "central".to_owned(),
                Source::Legacy => "legacy".to_owned(),
                Source::Local => "here".to_owned(),
                Source::Site(site) => format!("site {site}"),
            };
            if out.json {
                let waits_for = why.waits_for.as_ref().map(|(table, id)| json!({ "table": table, "id": id }));
                out.document(&json!({
                    "table": table, "id": id, "from": from, "cause": why.cause, "reason": why.reason,
                    "waits_for": waits_for, "received_at": row.received_at,
                }))?;
            } else {
                out.line(&format!("{table} {id}\n  from {from}, {}: {}", why.cause.as_str(), why.reason))?;
            }
        }
        if page.len() < PAGE {
            return Ok(Ended::Done);
        }
    }
}
