//! `net`: measures the line to both servers, and estimates the time of a first sync. Changes nothing.

use std::sync::Arc;

use sync_core::error::catalogue;
use sync_core::support::{NetLimits, NetReport, ServerLine};
use sync_core::transport::HttpTransport;
use sync_core::{ErrorClass, Message};

use super::doctor::FIRST_ANSWER;
use super::layout::{facts, say};
use crate::args::{Args, Net};
use crate::failure::{CommandOutcome, Failure};
use crate::output::{Output, bytes};
use crate::password::password;
use crate::progress::until_interrupted;
use crate::sentences::{common, net_shown as shown};
use crate::signals::end_on_signals;

pub(super) fn run(args: &Args, options: &Net, out: &Output) -> Result<CommandOutcome, Failure> {
    end_on_signals();
    let patience = super::doctor::PATIENCE.min(options.max_time);
    let limits = NetLimits::new(options.max_time, options.max_bytes);
    let new = &options.new_site;
    new.note_unread_database(args, out);
    let measured = match (&new.legacy_url, &new.site) {
        (Some(url), Some(site)) => {
            let settings = new.settings(url, site, password(&new.password, site, out)?);
            let site = super::doctor::site_without_database(patience);
            site.support().silent_after(FIRST_ANSWER).line_test_before_set_up(
                &settings,
                &limits,
                &mut until_interrupted,
            )?
        }
        _ => {
            let opened = match super::doctor::on_server(args)? {
                Some(replica) => Ok(replica),
                None => args.builder()?.open_to_read(&args.db),
            };
            let replica = opened.inspect_err(|_| out.hint_said(&shown::without_database()))?;
            let timeouts = super::doctor::timeouts(patience).connect(patience.min(FIRST_ANSWER));
            let site = replica.site(Arc::new(HttpTransport::new(&timeouts)));
            site.support().silent_after(FIRST_ANSWER).line_test(&limits, &mut until_interrupted)?
        }
    };
    let mut found = out.in_words(measured);
    found.servers.iter_mut().filter_map(|line| line.error.as_mut()).for_each(|error| *error = out.advised(error));
    if out.json {
        out.document(&found)?;
    } else {
        show(&found, out)?;
    }
    Ok(found.servers.iter().find_map(|line| line.error.as_ref()).map_or(CommandOutcome::Done, |error| {
        let known = catalogue().into_iter().find(|entry| entry.code == error.code);
        CommandOutcome::Reported(known.map_or(ErrorClass::Retry, |entry| entry.class))
    }))
}

fn show(found: &NetReport, out: &Output) -> Result<(), Failure> {
    for line in &found.servers {
        let name = if line.server == "central" { "central server" } else { "legacy server" };
        facts(
            out,
            &[
                (name, Some(if line.url.is_empty() { out.texts.say(&shown::no_address()) } else { line.url.clone() })),
                ("  latency", latency(line).map(|said| out.texts.say(&said))),
                ("  throughput", Some(out.texts.say(&throughput(line)))),
                ("  has for us", line.total_records.map(|total| out.texts.say(&has(line, total)))),
            ],
        )?;
        if let Some(error) = &line.error {
            say(out, "  ", &common::an_error(&error.code, &error.message, &error.advice))?;
        }
    }
    match &found.first_sync {
        None => say(out, "", &shown::first_sync_unknown())?,
        Some(first) => {
            say(out, "", &shown::first_sync(time(first.seconds)))?;
            for part in &first.parts {
                let from = if part.server == "central" { shown::from_central } else { shown::from_legacy };
                let known_from = part.known_from.clone();
                say(out, "  ", &from(part.records, bytes(part.bytes), time(part.seconds), known_from))?;
            }
            say(out, "  ", &shown::not_in_it())?;
        }
    }
    if let Some(records) = found.batch_records {
        say(out, "", &shown::batches(records))?;
    }
    out.hint_said(&common::nothing_changed());
    Ok(())
}

fn latency(line: &ServerLine) -> Option<Message> {
    let (median, worst) = (line.median_ms?, line.worst_ms?);
    Some(shown::latency(format!("{median:.1}"), format!("{worst:.1}"), line.questions))
}

fn throughput(line: &ServerLine) -> Message {
    let Some(rate) = line.bytes_per_second else { return shown::not_measured() };
    let throughput = if line.is_measured_well() { shown::throughput } else { shown::throughput_of_little };
    throughput(bytes(rate as u64), line.records, bytes(line.bytes), format!("{:.3}", line.seconds))
}

fn has(line: &ServerLine, total: u64) -> Message {
    match (line.server, line.is_estimate) {
        ("central", false) => shown::unread(total),
        ("central", true) => shown::about_unread(total),
        (_, false) => shown::central_data(total),
        (_, true) => shown::about_central_data(total),
    }
}

fn time(seconds: f64) -> Message {
    match seconds {
        s if s < 1.0 => shown::an_instant(),
        s if s < 120.0 => shown::seconds(format!("{s:.0}")),
        s if s < 7200.0 => shown::minutes(format!("{:.0}", s / 60.0)),
        s => shown::hours(format!("{:.1}", s / 3600.0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_as_people_say_them() {
        assert_eq!(
            [0.2, 61.0, 600.0, 9000.0].map(|seconds| time(seconds).to_string()),
            ["less than a second", "about 61 seconds", "about 10 minutes", "about 2.5 hours"]
        );
    }
}
