//! `net`: the line to both servers, and how long a first sync takes on it. Nothing is changed.

use std::sync::Arc;

use sync_core::storage::SqliteStorage;
use sync_core::support::{NetLimits, NetReport, ServerLine};
use sync_core::transport::HttpTransport;
use sync_core::{Error, ErrorClass, Site, SystemClock, catalogue};

use super::layout::{facts, wrapped};
use crate::args::{Args, Net};
use crate::exit::{Ended, Failure};
use crate::output::{Output, bytes};
use crate::progress::{end_on_signals, until_interrupted};
use crate::sentences::input_given;

pub(super) fn run(args: &Args, options: &Net, out: &Output) -> Result<Ended, Failure> {
    if options.max_time.is_zero() || options.max_bytes == 0 {
        return Err(Error::bad_input(input_given::nothing_to_measure()).into());
    }
    end_on_signals();
    let storage = Arc::new(SqliteStorage::open_to_read(&args.db)?);
    let transport = Arc::new(HttpTransport::new(&super::doctor::timeouts(super::doctor::PATIENCE)));
    let site = Site::new(storage, transport, Arc::new(SystemClock::new()));
    let limits = NetLimits { time: options.max_time, bytes: options.max_bytes };
    let found = site.measure(&limits, &mut until_interrupted)?;
    if out.json {
        out.document(&found)?;
    } else {
        show(&found, out)?;
    }
    Ok(found.servers.iter().find_map(|line| line.error.as_ref()).map_or(Ended::Done, |error| {
        let known = catalogue().into_iter().find(|entry| entry.code == error.code);
        Ended::Reported(known.map_or(ErrorClass::Retry, |entry| entry.class))
    }))
}

fn show(found: &NetReport, out: &Output) -> Result<(), Failure> {
    for line in &found.servers {
        let name = if line.server == "central" { "central server" } else { "legacy server" };
        facts(
            out,
            &[
                (name, Some(if line.url.is_empty() { "no address".to_owned() } else { line.url.clone() })),
                ("  latency", latency(line)),
                ("  throughput", Some(throughput(line))),
                ("  has for us", line.total_records.map(|total| has(line, total))),
            ],
        )?;
        if let Some(error) = &line.error {
            wrapped(out, "  ", &format!("[{}] {}. {}", error.code, error.message, error.advice))?;
        }
    }
    match &found.first_sync {
        None => wrapped(out, "", "How long a first sync takes cannot be told: no records came by which to measure.")?,
        Some(first) => {
            out.line(&format!("A first sync takes {} here:", time(first.seconds)))?;
            for part in &first.parts {
                let from = if part.server == "central" { "from central" } else { "from the legacy server" };
                let (records, size) = (part.records, bytes(part.bytes));
                let text = format!(
                    "{from}: {records} records, {size}, {}; known from {}",
                    time(part.seconds),
                    part.known_from
                );
                wrapped(out, "  ", &text)?;
            }
            wrapped(
                out,
                "  ",
                "Not in it: the time the legacy server takes to gather this site's own records, and writing them here.",
            )?;
        }
    }
    if let Some(records) = found.batch_records {
        out.line(&format!("Batches that fit this line: {records} records"))?;
    }
    out.hint("Nothing was changed.");
    Ok(())
}

fn latency(line: &ServerLine) -> Option<String> {
    let (median, worst) = (line.median_ms?, line.worst_ms?);
    Some(format!("{median:.1} ms, at worst {worst:.1} ms, of {} questions", line.questions))
}

fn throughput(line: &ServerLine) -> String {
    match line.bytes_per_second {
        None => "not measured: nothing came to measure with".to_owned(),
        Some(rate) => {
            let (rate, size) = (bytes(rate as u64), bytes(line.bytes));
            let little = if line.is_measured_well() { "" } else { "; too little to rely on" };
            format!("{rate} a second: {} records, {size}, in {:.3} s{little}", line.records, line.seconds)
        }
    }
}

fn has(line: &ServerLine, total: u64) -> String {
    let about = if line.is_estimate { "about " } else { "" };
    let what = if line.server == "central" { "records that this site has not read" } else { "records of central data" };
    format!("{about}{total} {what}")
}

fn time(seconds: f64) -> String {
    match seconds {
        s if s < 1.0 => "less than a second".to_owned(),
        s if s < 120.0 => format!("about {s:.0} seconds"),
        s if s < 7200.0 => format!("about {:.0} minutes", s / 60.0),
        s => format!("about {:.1} hours", s / 3600.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_as_people_say_them() {
        assert_eq!(
            [0.2, 61.0, 600.0, 9000.0].map(time),
            ["less than a second", "about 61 seconds", "about 10 minutes", "about 2.5 hours"]
        );
    }
}
