//! `doctor`: the fault of a site, the party that has to act, and what to do. Changes nothing.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use oms_sync_inspect::database::{OpenMsupply, open_msupply};
use sync_core::files::Files;
use sync_core::storage::{MemoryStorage, PostgresStorage};
use sync_core::support::doctor::{Check, CheckOutcome, Diagnosis, Party};
use sync_core::support::{CentralAlarm, SiteSupport};
use sync_core::transport::{HttpTransport, Timeouts};
use sync_core::{Error, ErrorClass, Message, Replica, Settings, Site};

use super::layout::{folded, lines_of, say};
use crate::args::{Args, Doctor, NewSite};
use crate::failure::{CommandOutcome, Failure};
use crate::output::Output;
use crate::palette::Tone;
use crate::password::password_if_given;
use crate::progress::{Progress, until_interrupted};
use crate::sentences::{common, doctor_verdict as verdicts};
use crate::signals::{end_on_signals, interrupted};
use crate::workspace::BESIDE_SERVER;

/// How long a server may be silent over a fast line: somebody on the phone waits.
const SILENCE: Duration = Duration::from_secs(2);

/// The most lines of a verdict on a terminal of 80 columns: somebody reads it out.
const VERDICT_LINES: usize = 5;

/// How long `net` and `preview` wait for the first, small answer of each server over a fast line: longer than a diagnosis, because a busy server
/// is no silent one there.
pub(super) const FIRST_ANSWER: Duration = Duration::from_secs(4);

/// The longest wait for each answer: shorter than in a sync, because a person waits.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// The time limits of an exchange.
pub(super) fn timeouts(patience: Duration) -> Timeouts {
    Timeouts::all(patience).connect(patience.min(Duration::from_secs(15)))
}

pub(super) fn run(args: &Args, options: &Doctor, out: &Output) -> Result<CommandOutcome, Failure> {
    end_on_signals();
    let progress = Progress::new(out);
    let mut each = |check: &Check| {
        progress.note(&out.name(check.name));
        if interrupted() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let new = &options.new_site;
    new.note_unread_database(args, out);
    let found = match (&new.legacy_url, &new.site) {
        (Some(url), Some(site)) => match password_if_given(&new.password, site, out)? {
            Some(password) => {
                let settings = new.settings(url, site, password);
                before_set_up(&unstored(options.max_time), &settings, options.max_time, &mut each)
            }
            None => support(&unstored(options.max_time), options.max_time).doctor_without_password(
                url,
                site,
                &mut each,
                &mut until_interrupted,
            ),
        },
        _ => diagnosed(args, Asks::Servers(options.max_time), &mut each),
    };
    drop(progress);
    let found = out.in_words(found?);
    if out.json {
        out.document(&found)?;
    } else {
        show_found(&found, out)?;
    }
    let fault = found.finding.as_ref().filter(|_| found.outcome == CheckOutcome::Fault);
    let ends_with = fault.map(|finding| finding.class).or_else(|| found.checks.iter().find_map(passing));
    Ok(match ends_with {
        Some(class) => CommandOutcome::Reported(class),
        None if found.checks.iter().any(is_of_left_behind) => CommandOutcome::LeftBehind,
        None => CommandOutcome::Done,
    })
}

impl NewSite {
    /// Says that a database that is there is not read, such as that of the environment.
    pub(super) fn note_unread_database(&self, args: &Args, out: &Output) {
        if self.legacy_url.is_some() && args.db.exists() {
            out.hint_said(&common::database_not_read(args.db.display().to_string()));
        }
    }
}

/// The class of what is no fault and passes by itself, but with which a cycle would end now.
fn passing(check: &Check) -> Option<ErrorClass> {
    const CODES: [&str; 3] = ["database_busy", "sync_paused", "copy_undecided"];
    // The last sync ended so, and is over.
    let is_now = check.outcome == CheckOutcome::Warning && check.name != "last sync";
    let finding = check.finding.as_ref().filter(|finding| is_now && CODES.contains(&finding.code))?;
    Some(finding.class)
}

/// True for a check that found records which did not get through.
fn is_of_left_behind(check: &Check) -> bool {
    matches!(check.name, "quarantine" | "refused by central") && check.outcome == CheckOutcome::Warning
}

/// Both servers, for a site that is to be set up: nothing is written.
pub(super) fn before_set_up(
    site: &Site,
    settings: &Settings,
    max_time: Option<Duration>,
    each: &mut dyn FnMut(&Check) -> ControlFlow<()>,
) -> Result<Diagnosis, Error> {
    support(site, max_time).doctor_before_set_up(settings, each, &mut until_interrupted)
}

/// The support desk of a site; without a limit a server that is silent for some seconds does not answer.
fn support(site: &Site, max_time: Option<Duration>) -> SiteSupport {
    match max_time {
        None => site.support().silent_after(SILENCE),
        Some(_) => site.support(),
    }
}

/// Whom a diagnosis asks.
pub(super) enum Asks {
    /// Only this device.
    Nobody,
    /// The servers too, and waits so long for each answer.
    Servers(Option<Duration>),
}

/// The limits of the transport. Over a slow line an answer may take longer than [`SILENCE`], which is judged by the connection.
fn limits(max_time: Option<Duration>) -> Timeouts {
    match max_time {
        None => Timeouts::all(PATIENCE).connect(SILENCE),
        Some(max_time) => timeouts(max_time),
    }
}

fn unstored(max_time: Option<Duration>) -> Site {
    let replica = Replica::with_storage(Arc::new(MemoryStorage::new()));
    replica.site(Arc::new(HttpTransport::new(&limits(max_time))))
}

/// The site of a database, with the limits of a diagnosis.
pub(super) fn site_of(replica: &Replica, patience: Duration) -> Site {
    replica.site(Arc::new(HttpTransport::new(&timeouts(patience))))
}

/// A site that stores nothing.
pub(super) fn site_without_database(patience: Duration) -> Site {
    let replica = Replica::with_storage(Arc::new(MemoryStorage::new()));
    replica.site(Arc::new(HttpTransport::new(&timeouts(patience))))
}

/// The verdict comes first, since somebody reads it out on the phone; the checks on request.
fn show_found(found: &Diagnosis, out: &Output) -> Result<(), Failure> {
    verdict(found, out)?;
    show_alarms(found, out)?;
    if out.verbose() {
        out.line("")?;
        let mut shown = Shown { out, alarms: &found.alarms, skipped: Vec::new(), printed: Ok(()) };
        found.checks.iter().for_each(|check| shown.add(check));
        return shown.end();
    }
    let made = found.checks.iter().filter(|check| check.outcome != CheckOutcome::NotChecked).count();
    out.hint_said(&verdicts::more(made));
    Ok(())
}

/// The alarms of a central server, unless the verdict says the only one.
fn show_alarms(found: &Diagnosis, out: &Output) -> Result<(), Failure> {
    let is_told = |said: &Message| found.alarms.len() == 1 && found.says.to_string().contains(&said.to_string());
    let said = found.alarms.iter().map(CentralAlarm::says).filter(|said| !is_told(said) && !out.is_quiet());
    said.into_iter().try_for_each(|said| say(out, "", &verdicts::alarm(said)))
}

/// The checks; `each` receives one after the other.
pub(super) fn diagnosed(
    args: &Args,
    asks: Asks,
    each: &mut dyn FnMut(&Check) -> ControlFlow<()>,
) -> Result<Diagnosis, Error> {
    let db: &Path = &args.db;
    let (mut checks, replica) = match on_server(args)? {
        // Its file and its disk are in the care of the server.
        Some(replica) => (Vec::new(), Some(replica)),
        None => args.builder()?.examine(db, free_bytes(db)),
    };
    if let Some(replica) = replica.as_ref().filter(|replica| replica.is_hook_missing()) {
        // A role that cannot be read has a check of its own.
        checks.push(Check::of_missing_hook(replica.role().unwrap_or_default()));
    }
    if let Some(check) = checks.first_mut().filter(|_| replica.is_none()) {
        name_open_msupply(db, check);
    }
    match (replica, asks) {
        (Some(replica), Asks::Servers(max_time)) => {
            let site = replica.site(Arc::new(HttpTransport::new(&limits(max_time))));
            let mut support = support(&site, max_time);
            let folder = args.files.clone().unwrap_or_else(|| {
                Files::folder_of(match args.db.server() {
                    Ok(Some(_)) => Path::new(BESIDE_SERVER),
                    _ => replica.path().unwrap_or(db),
                })
            });
            if let Err(error) = check_folder_of_files(&folder) {
                support = support.files_fail_with(error);
            }
            support.doctor(checks, each, &mut until_interrupted)
        }
        (opened, _) => {
            let found = Diagnosis::of_file(checks, opened.is_some());
            // A stop comes too late to matter here.
            let _ = found.checks.iter().try_for_each(each);
            Ok(found)
        }
    }
}

/// The database if it is on a server, opened to be read only.
pub(super) fn on_server(args: &Args) -> Result<Option<Replica>, Error> {
    let address = args.db.server()?;
    let storage = address.map(|address| PostgresStorage::open_to_read(&address)).transpose()?;
    Ok(storage.map(|storage| Replica::with_storage(Arc::new(storage))))
}

/// Says so if the database is one of Open mSupply itself, which somebody may take for one of this program.
fn name_open_msupply(db: &Path, check: &mut Check) {
    let Some(finding) = check.finding.as_mut().filter(|finding| finding.code == "not_a_database") else { return };
    let file = db.display().to_string();
    match open_msupply(db) {
        Some(OpenMsupply::Release2(version)) => {
            check.says = verdicts::of_open_msupply(&file, version);
            finding.advice = verdicts::inspect_it(file);
        }
        Some(OpenMsupply::Release3(version)) => {
            check.says = verdicts::of_open_msupply(&file, version);
            finding.advice = verdicts::speaks_v7(file);
        }
        // What stands beside it is made by this program alone.
        None if beside(db, ".watermark").exists() => {
            check.says = verdicts::damaged_head(file);
            finding.advice = verdicts::restore_first();
        }
        None => {}
    }
}

/// The path of what this program keeps beside a database.
fn beside(db: &Path, ending: &str) -> std::path::PathBuf {
    let mut path = db.as_os_str().to_owned();
    path.push(ending);
    path.into()
}

/// Whether files can be made in the folder with their bytes, and where they are made first. A folder that is not there is made with the
/// first file. Nothing stays in it.
fn check_folder_of_files(folder: &Path) -> Result<(), Error> {
    let failed = |what: &str, folder: &Path, error: std::io::Error| Error::Io {
        what: format!("{what} {}", folder.display()),
        source: error.into(),
    };
    for folder in [folder, &folder.join("unfinished")] {
        match folder.metadata() {
            Ok(found) if found.is_dir() => {
                tempfile::tempfile_in(folder).map_err(|error| failed("writing into", folder, error))?;
            }
            Ok(_) => return Err(failed("making", folder, std::io::ErrorKind::AlreadyExists.into())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(failed("reading", folder, error)),
        }
    }
    Ok(())
}

/// The free space for the database.
fn free_bytes(db: &Path) -> Option<u64> {
    let folder = std::path::absolute(db).ok()?.parent()?.to_owned();
    fs4::available_space(folder).ok()
}

/// Shows check by check; unchecked ones in a row with the same reason share one line.
struct Shown<'a> {
    out: &'a Output,
    /// The alarms of a central server. The text of the check has only the first, and the number of the others.
    alarms: &'a [CentralAlarm],
    skipped: Vec<Check>,
    printed: Result<(), Failure>,
}

impl Shown<'_> {
    fn add(&mut self, check: &Check) {
        if self.skipped.last().is_some_and(|last| check.outcome != CheckOutcome::NotChecked || last.says != check.says)
        {
            self.show_skipped();
        }
        match check.outcome {
            CheckOutcome::NotChecked => self.skipped.push(check.clone()),
            _ if self.printed.is_ok() => self.printed = show(check, self.alarms, self.out),
            _ => {}
        }
    }

    fn show_skipped(&mut self) {
        let skipped = std::mem::take(&mut self.skipped);
        if self.printed.is_err() {
            return;
        }
        let texts = &self.out.texts;
        self.printed = match &skipped[..] {
            [] => Ok(()),
            [check] => show(check, self.alarms, self.out),
            [first, .., last] => {
                let why =
                    verdicts::not_checked(self.out.name(first.name), self.out.name(last.name), first.says.clone());
                let count = texts.say(&verdicts::checks(skipped.len()));
                row(CheckOutcome::NotChecked, &count, vec![texts.say(&why)], self.out)
            }
        };
    }

    fn end(mut self) -> Result<(), Failure> {
        self.show_skipped();
        self.printed
    }
}

fn show(check: &Check, alarms: &[CentralAlarm], out: &Output) -> Result<(), Failure> {
    let mut said = vec![check.says.to_string()];
    if let Some(finding) = &check.finding {
        if finding.code == "central_alarms" && alarms.len() > 1 {
            said = alarms.iter().map(|alarm| out.texts.say(&alarm.says())).collect();
        }
        said.push(format!("[{}] {}", finding.code, finding.advice));
        if out.verbose() {
            said.extend(finding.causes.iter().map(|cause| out.texts.say(&common::caused_by(cause))));
        }
    }
    row(check.outcome, &out.name(check.name), said, out)
}

/// A line, or several, of the table of checks.
fn row(outcome: CheckOutcome, name: &str, said: Vec<String>, out: &Output) -> Result<(), Failure> {
    const BEFORE: usize = 34;
    const BESIDE_MIN: usize = 24;
    let (word, tone) = match outcome {
        CheckOutcome::Fault => ("FAULT", Some(Tone::Alarm)),
        CheckOutcome::Warning => (outcome.as_str(), Some(Tone::Caution)),
        CheckOutcome::Ok => (outcome.as_str(), Some(Tone::Well)),
        _ => (outcome.as_str(), None),
    };
    let word = format!("{:<11}", out.word(word));
    // In a narrow terminal the text is below the name.
    let is_narrow = out.width() < BEFORE + BESIDE_MIN;
    let before = if is_narrow { 2 } else { BEFORE };
    let mut lines: Vec<String> =
        said.iter().flat_map(|text| folded(text, out.width().saturating_sub(before))).collect();
    let first = if is_narrow || lines.is_empty() { String::new() } else { lines.remove(0) };
    out.toned_line(&word, tone, format!("  {name:<19}  {first}").trim_end())?;
    lines.iter().try_for_each(|line| out.line(format!("{:before$}{line}", "").trim_end()))
}

/// The party at fault, and what to do.
pub(super) fn verdict(found: &Diagnosis, out: &Output) -> Result<(), Failure> {
    let (party, says) = (found.party.as_str(), capital(&found.says.to_string()));
    let text = match &found.finding {
        Some(finding) if found.outcome == CheckOutcome::Fault || found.party == Party::Record => {
            verdicts::fault(party, says, finding.advice.clone())
        }
        Some(finding) => verdicts::look(party, says, finding.advice.clone()),
        None => verdicts::well(says),
    };
    let lines_of = |text: &Message| lines_of(out, "", &out.texts.say(text)).len();
    let mut lines = lines_of(&text);
    say(out, "", &text)?;
    for check in found.also.iter().filter_map(|name| found.checks.iter().find(|check| check.name == *name)) {
        let party = check.finding.as_ref().map_or(Party::Nobody, |finding| finding.party).as_str();
        let whole = verdicts::also(party, check.says.clone());
        let fits = lines + lines_of(&whole) <= VERDICT_LINES;
        let also = shortly(check).filter(|_| !fits).map_or(whole, |says| verdicts::also(party, says));
        lines += lines_of(&also);
        say(out, "", &also)?;
    }
    Ok(())
}

/// What a check found at a server, in a few words.
fn shortly(check: &Check) -> Option<Message> {
    Some(match check.finding.as_ref()?.code {
        "unreachable" => verdicts::not_reached(),
        "timed_out" => verdicts::silent(),
        "cut_off" => verdicts::cut_off(),
        "not_an_msupply_server" => verdicts::something_else(),
        "server_trouble" => verdicts::in_trouble(),
        "certificate_refused" => verdicts::certificate_refused(),
        "unreadable_answer" => verdicts::unreadable(),
        _ => return None,
    })
}

/// A sentence with its first letter as at the beginning of one; a path, a host or another name stays as it is.
fn capital(text: &str) -> String {
    let first = text.split_whitespace().next().unwrap_or_default().trim_end_matches([',', ':', ';']);
    if !first.chars().all(|letter| letter.is_alphabetic() || matches!(letter, '\'' | '’' | '-')) {
        return text.to_owned();
    }
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}
