//! `bundle`: a small archive for support, without secrets and without patients' data.

mod parts;

use std::io::Write as _;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use serde::Serialize;
use sync_core::clock::Timestamp;
use sync_core::protocol::PasswordHash;
use sync_core::text::Localize;
use sync_core::{Error, Message};

use self::parts::{PARTS, Source};
use super::layout::{moment, say, table};
use crate::args::{Args, Bundle};
use crate::failure::{CommandOutcome, Failure};
use crate::output::{Output, bytes, on_one_line};
use crate::sentences::{bundle_shown as shown, input_given};
use crate::signals::{end_on_signals, interrupted};

/// Replaces a secret.
const REMOVED: &str = "(removed)";

/// The result, or its preview.
#[derive(Serialize)]
struct BundleDocument<'d> {
    /// The archive; `None` if it is only listed.
    file: Option<&'d Path>,
    /// Its size.
    bytes: Option<u64>,
    parts: &'d [Gathered],
}

/// A file of the archive.
#[derive(Serialize)]
struct Gathered {
    name: &'static str,
    what: Message,
    bytes: usize,
    /// Why it could not be gathered, as in the archive.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'static str>,
    #[serde(skip)]
    content: String,
}

impl Localize for Gathered {
    fn each_message(&mut self, each: &mut dyn FnMut(&mut Message)) {
        each(&mut self.what);
    }
}

pub(super) fn run(args: &Args, options: &Bundle, out: &Output) -> Result<CommandOutcome, Failure> {
    let source = Source::new(args, options, out)?;
    let file = options.file.clone().unwrap_or_else(|| PathBuf::from(usual_name(&source)));
    if !options.list && file.exists() {
        return Err(Error::bad_input(input_given::file_is_there(file.display().to_string())).into());
    }
    end_on_signals();
    let gathered = out.in_words(gather(&source));
    if interrupted() {
        return Err(Error::Cancelled.into());
    }
    if !out.json {
        list(&gathered, out)?;
    }
    let written = if options.list { None } else { Some(write(&file, &gathered, source.now)?) };
    if out.json {
        let file = written.is_some().then_some(file.as_path());
        out.document(&BundleDocument { file, bytes: written, parts: &gathered })?;
    } else if let Some(length) = written {
        say(out, "", &shown::written(file.display().to_string(), bytes(length)))?;
        out.hint_said(&shown::look_into_it());
    } else {
        out.hint_said(&shown::nothing_written());
    }
    Ok(if gathered.iter().any(|part| part.error.is_some()) { CommandOutcome::LeftBehind } else { CommandOutcome::Done })
}

fn gather(source: &Source<'_>) -> Vec<Gathered> {
    let secrets = secrets(source);
    let mut all = Vec::with_capacity(PARTS.len());
    for part in PARTS.iter().take_while(|_| !interrupted()) {
        let (content, error) = match (part.make)(source) {
            Ok(content) => (content, None),
            Err(error) => (parts::error_document(&error), Some(error.code())),
        };
        let content = secrets.iter().fold(content, |text, secret| text.replace(secret.as_str(), REMOVED));
        // Others choose ids and names; a part is read in an editor or a pager.
        let content = content.split('\n').map(on_one_line).collect::<Vec<_>>().join("\n");
        all.push(Gathered { name: part.name, what: (part.what)(), bytes: content.len(), error, content });
    }
    all
}

/// The secrets of this site. No part contains them; if a part should ever change, they are cut out anyway.
fn secrets(source: &Source<'_>) -> Vec<String> {
    let mut all = Vec::new();
    if let Some(settings) = source.settings() {
        all.push(settings.password.expose().to_owned());
        all.extend(settings.hardware_id);
    }
    all.extend(sync_core::site::machine_id().ok());
    if let Ok(password) = std::env::var("OMS_SYNC_PASSWORD") {
        all.push(PasswordHash::of_password(&password).expose().to_owned());
        all.push(password);
    }
    // Too short to be distinguished from similar words.
    all.retain(|secret| secret.len() >= 6);
    all
}

fn list(gathered: &[Gathered], out: &Output) -> Result<(), Failure> {
    let mut rows = vec![["PART", "SIZE", "WHAT IT IS"].map(str::to_owned).to_vec()];
    for part in gathered {
        let what = part.error.map_or_else(|| part.what.to_string(), |code| out.texts.say(&shown::not_gathered(code)));
        rows.push(vec![part.name.to_owned(), bytes(part.bytes as u64), what]);
    }
    table(out, &rows)?;
    say(out, "", &shown::not_in_it())
}

/// A name with the site and the time.
fn usual_name(source: &Source<'_>) -> String {
    let site = source.settings().map_or_else(String::new, |settings| settings.site_name);
    let plain = |letter: char| if letter.is_ascii_alphanumeric() { letter } else { '-' };
    let site: String = site.chars().take(40).map(plain).collect();
    let at = moment(source.now).replace([' ', ':'], "-");
    match site.trim_matches('-') {
        "" => format!("oms-sync-bundle-{at}.tar.gz"),
        site => format!("oms-sync-bundle-{site}-{at}.tar.gz"),
    }
}

/// Writes the archive, complete or not at all; only its owner can read it. Returns its size.
fn write(file: &Path, gathered: &[Gathered], now: Timestamp) -> Result<u64, Error> {
    let what = || format!("writing {}", file.display());
    let failed = |source: std::io::Error| Error::Io { what: what(), source: source.into() };
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let half = tempfile::Builder::new().prefix(".oms-sync-bundle").tempfile_in(folder).map_err(failed)?;
    let mut archive = tar::Builder::new(GzEncoder::new(half, Compression::default()));
    for part in gathered {
        let mut head = tar::Header::new_gnu();
        head.set_size(part.content.len() as u64);
        head.set_mode(0o600);
        head.set_mtime(u64::try_from(now.unix_millis() / 1000).unwrap_or(0));
        let path = format!("oms-sync-bundle/{}", part.name);
        archive.append_data(&mut head, path, part.content.as_bytes()).map_err(failed)?;
    }
    let mut half = archive.into_inner().and_then(GzEncoder::finish).map_err(failed)?;
    half.flush().and_then(|()| half.as_file().sync_all()).map_err(failed)?;
    let whole = half.persist_noclobber(file).map_err(|error| failed(error.error))?;
    Ok(whole.metadata().map_err(failed)?.len())
}
