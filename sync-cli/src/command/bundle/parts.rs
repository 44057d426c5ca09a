//! The parts of a bundle: a new part is a new line in the list.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::{Value, json};
use sync_core::clock::Timestamp;
use sync_core::error::catalogue;
use sync_core::files::Files;
use sync_core::storage::LoggedError;
use sync_core::{Error, Message, Replica, Result, Settings};

use crate::args::{Args, Bundle};
use crate::command::doctor::{Asks, PATIENCE, diagnosed, on_server};
use crate::output::Output;
use crate::sentences::bundle_shown as shown;
use crate::signals::interrupted;
use crate::workspace::Workspace;

/// A part of a bundle.
pub(super) struct Part {
    pub name: &'static str,
    /// Its description for the sender.
    pub what: fn() -> Message,
    pub make: fn(&Source<'_>) -> Result<String>,
}

/// All parts. A new one must hold neither a secret nor any content of a record.
pub(super) const PARTS: &[Part] = &[
    Part { name: "README.txt", what: shown::read_me, make: read_me },
    Part { name: "environment.json", what: shown::environment, make: environment },
    Part { name: "status.json", what: shown::status, make: |from| pretty(&from.replica()?.status()?) },
    Part { name: "doctor.json", what: shown::doctor, make: doctor },
    Part { name: "identity.json", what: shown::identity, make: |from| pretty(&from.replica()?.support().identity()?) },
    Part { name: "settings.json", what: shown::settings, make: settings },
    Part { name: "cursors.json", what: shown::cursors, make: |from| pretty(&from.replica()?.support().cursors()?) },
    Part { name: "push.json", what: shown::push, make: |from| pretty(&from.replica()?.support().preview_push()?) },
    Part { name: "log.jsonl", what: shown::log, make: log },
    Part { name: "errors.json", what: shown::errors, make: errors },
    Part {
        name: "quarantine.json",
        what: shown::set_aside,
        make: |from| pretty(&from.replica()?.support().redacted_groups()?),
    },
    Part { name: "quarantine.jsonl", what: shown::each_set_aside, make: quarantine },
    Part { name: "files.jsonl", what: shown::files, make: files },
];

/// The most records and files that are listed one by one.
const MOST: usize = 1000;

/// The sources of the parts.
pub(super) struct Source<'s> {
    args: &'s Args,
    cycles: usize,
    is_offline: bool,
    pub now: Timestamp,
    /// The database, or the reason why it cannot be opened. The other parts are gathered anyway.
    pub workspace: Result<Workspace>,
    folder: PathBuf,
}

impl<'s> Source<'s> {
    /// Opens the database, if possible.
    ///
    /// # Errors
    /// [`Error::NoDatabase`].
    pub(super) fn new(args: &'s Args, options: &Bundle, out: &Output) -> Result<Self> {
        if !args.db.is_on_server() && !args.db.exists() {
            return Err(Error::NoDatabase { path: args.db.display().to_string() });
        }
        let workspace = Workspace::open_to_read(args, out);
        let usual = || args.files.clone().unwrap_or_else(|| Files::folder_of(&args.db));
        let folder = workspace.as_ref().map_or_else(|_| usual(), |workspace| workspace.folder.clone());
        let now = sync_core::clock::Clock::now(&sync_core::clock::SystemClock::new());
        Ok(Self { args, cycles: options.cycles, is_offline: options.offline, now, workspace, folder })
    }

    fn replica(&self) -> Result<&Replica> {
        match &self.workspace {
            Ok(workspace) => Ok(&workspace.replica),
            // The stored error cannot be returned from a reference, so the database is opened once more for its error.
            Err(_) if self.args.db.is_on_server() => Err(on_server(self.args).err().unwrap_or(Error::NotSetUp)),
            Err(_) => Err(self.args.builder()?.open_existing(&self.args.db).err().unwrap_or(Error::NotSetUp)),
        }
    }

    /// The settings of the site, if they can be read.
    pub(super) fn settings(&self) -> Option<Settings> {
        self.replica().ok()?.settings().ok()?
    }
}

fn pretty(value: &impl Serialize) -> Result<String> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|error| Error::Io { what: "writing JSON".to_owned(), source: error.into() })?;
    Ok(text + "\n")
}

fn lines<T: Serialize>(values: &[T]) -> Result<String> {
    let line = |value| serde_json::to_string(value).map(|line| line + "\n");
    let all: std::result::Result<String, _> = values.iter().map(line).collect();
    all.map_err(|error| Error::Io { what: "writing JSON".to_owned(), source: error.into() })
}

/// The content of a part that could not be gathered.
pub(super) fn error_document(error: &Error) -> String {
    format!("{:#}\n", json!({ "error": LoggedError::from(error) }))
}

fn read_me(from: &Source<'_>) -> Result<String> {
    let mut text = format!("A bundle for support, made by oms-sync {} at {}\n\n", env!("CARGO_PKG_VERSION"), from.now);
    for part in PARTS {
        text.push_str(&format!("{:<18}{}\n", part.name, (part.what)()));
    }
    text.push_str("\nIt holds no password, hash or machine id, and no content of a record.\n");
    Ok(text)
}

fn doctor(from: &Source<'_>) -> Result<String> {
    let mut each = |_: &_| if interrupted() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
    let asks = if from.is_offline { Asks::Nobody } else { Asks::Servers(Some(PATIENCE)) };
    pretty(&diagnosed(from.args, asks, &mut each)?)
}

fn settings(from: &Source<'_>) -> Result<String> {
    pretty(&from.replica()?.support().settings_shown()?)
}

fn log(from: &Source<'_>) -> Result<String> {
    let entries = from.replica()?.support().redacted_log(from.cycles)?;
    let document = |entry: &sync_core::storage::LogEntry| {
        json!({
            "started_at": entry.started_at, "finished_at": entry.finished_at, "outcome": entry.outcome,
            "error": entry.error, "report": entry.report,
        })
    };
    lines(&entries.iter().map(document).collect::<Vec<_>>())
}

/// The codes of the last cycles, with number, newest time, and catalogue entry.
fn errors(from: &Source<'_>) -> Result<String> {
    let known = catalogue();
    let mut all: BTreeMap<String, (u64, Timestamp)> = BTreeMap::new();
    for entry in from.replica()?.support().redacted_log(from.cycles)? {
        let Some(error) = entry.error else { continue };
        let (count, last) = all.entry(error.code).or_insert((0, entry.started_at));
        *count += 1;
        *last = entry.started_at.max(*last);
    }
    let told = |(code, (cycles, last_at)): (&String, &(u64, Timestamp))| {
        let entry = known.iter().find(|entry| entry.code == code);
        json!({
            "code": code, "cycles": cycles, "last_at": last_at,
            "cause": entry.map(|entry| entry.cause), "advice": entry.map(|entry| entry.advice),
        })
    };
    pretty(&all.iter().map(told).collect::<Vec<Value>>())
}

fn quarantine(from: &Source<'_>) -> Result<String> {
    lines(&from.replica()?.support().redacted_set_aside(MOST)?)
}

fn files(from: &Source<'_>) -> Result<String> {
    lines(&from.replica()?.support().redacted_files(MOST)?)
}

/// The environment of the program. Only the names of variables are shown, because their values may contain users and passwords of
/// proxies.
fn environment(from: &Source<'_>) -> Result<String> {
    const NAMED: &[&str] = &[
        "OMS_SYNC_DB",
        "OMS_SYNC_FILES",
        "OMS_SYNC_HARDWARE_ID",
        "OMS_SYNC_PASSWORD",
        "OMS_SYNC_PULL_RECORDS",
        "OMS_SYNC_PULL_BYTES",
        "OMS_SYNC_PUSH_BYTES",
        "OMS_SYNC_LEGACY_RECORDS",
        "OMS_SYNC_ANSWER_MAX",
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "ALL_PROXY",
        "NO_PROXY",
        "http_proxy",
        "https_proxy",
        "all_proxy",
        "no_proxy",
        "SSL_CERT_FILE",
        "SSL_CERT_DIR",
        "NO_COLOR",
        "TMPDIR",
    ];
    let named = &from.args.db;
    let real = std::fs::canonicalize(named).or_else(|_| std::path::absolute(named));
    let db = real.unwrap_or_else(|_| named.to_path_buf());
    let beside = |more: &str| {
        let mut name = db.clone().into_os_string();
        name.push(more);
        size(Path::new(&name))
    };
    // The disk of a server is not seen from here: that of the files counts.
    let beside_disk = if named.is_on_server() { &from.folder } else { &db };
    let folder = std::path::absolute(beside_disk).unwrap_or_else(|_| beside_disk.clone());
    let folder = folder.parent().unwrap_or(Path::new("."));
    let value = |name: &&str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let language = ["LC_ALL", "LC_MESSAGES", "LANG"].iter().find_map(value);
    let processors = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let set: Vec<_> = NAMED.iter().filter(|name| std::env::var_os(name).is_some()).collect();
    pretty(&json!({
        "program": {
            "version": env!("CARGO_PKG_VERSION"),
            "build": if cfg!(debug_assertions) { "debug" } else { "release" },
        },
        "system": {
            "os": std::env::consts::OS, "architecture": std::env::consts::ARCH, "name": system_name(),
            "processors": processors,
        },
        "clock": { "now": from.now, "time_zone": std::env::var("TZ").ok().or_else(time_zone) },
        "language": language,
        "disk": {
            "free_bytes": fs4::available_space(folder).ok(), "total_bytes": fs4::total_space(folder).ok(),
        },
        "database": {
            "name": db.file_name().map(|name| name.to_string_lossy()), "is_on_server": named.is_on_server(),
            "bytes": size(&db), "wal_bytes": beside("-wal"), "watermark": beside(".watermark").is_some(),
            "read_only": db.metadata().map(|data| data.permissions().readonly()).ok(),
            "files_folder": from.folder.is_dir(),
        },
        "variables_set": set,
    }))
}

fn size(path: &Path) -> Option<u64> {
    path.metadata().map(|data| data.len()).ok()
}

/// The name of the system, if a file has it.
fn system_name() -> Option<String> {
    let text = std::fs::read_to_string("/etc/os-release").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="))?;
    Some(line.trim_matches('"').to_owned())
}

fn time_zone() -> Option<String> {
    let target = std::fs::read_link("/etc/localtime").ok()?;
    target.to_str()?.split_once("zoneinfo/").map(|(_, zone)| zone.to_owned())
}
