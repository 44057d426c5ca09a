//! Metrics in the text format of Prometheus.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sync_core::central::{CentralView, Integrations, SiteView};
use sync_core::clock::Timestamp;
use sync_core::protocol::one_line;
use sync_core::support::CentralAlarm;

use crate::last_day::{LastDay, Part};
use crate::options::ServerOptions;

/// The upper bounds of the histogram of durations, in seconds.
pub(super) const BUCKETS: [f64; 10] = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0];
/// The time within which a site counts as seen.
const LATELY: Duration = Duration::from_secs(15 * 60);

/// The counts since the server started.
pub(super) struct Metrics {
    started: Instant,
    counts: Mutex<Counts>,
}

#[derive(Default)]
struct Counts {
    connections: u64,
    connections_ever: u64,
    by_status: BTreeMap<(&'static str, u16), u64>,
    by_error: BTreeMap<(&'static str, &'static str), u64>,
    durations: BTreeMap<&'static str, Durations>,
    records: BTreeMap<&'static str, u64>,
    bytes: (u64, u64),
    last_day: LastDay,
}

#[derive(Default)]
struct Durations {
    within: [u64; BUCKETS.len()],
    count: u64,
    sum: f64,
}

/// Counts an answered request.
pub(super) struct CountedRequest {
    pub question: &'static str,
    pub status: u16,
    pub error: Option<&'static str>,
    pub records: u64,
    pub bytes: (u64, u64),
    pub took: Duration,
}

impl Metrics {
    pub(super) fn new() -> Self {
        Self { started: Instant::now(), counts: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn connected(&self) {
        let mut counts = self.lock();
        counts.connections += 1;
        counts.connections_ever += 1;
    }

    pub(super) fn disconnected(&self) {
        self.lock().connections -= 1;
    }

    pub(super) fn count(&self, request: &CountedRequest) {
        let mut counts = self.lock();
        *counts.by_status.entry((request.question, request.status)).or_default() += 1;
        if let Some(error) = request.error {
            *counts.by_error.entry((request.question, error)).or_default() += 1;
        }
        *counts.records.entry(request.question).or_default() += request.records;
        counts.bytes.0 += request.bytes.0;
        counts.bytes.1 += request.bytes.1;
        let durations = counts.durations.entry(request.question).or_default();
        let seconds = request.took.as_secs_f64();
        durations.count += 1;
        durations.sum += seconds;
        for (within, bound) in durations.within.iter_mut().zip(BUCKETS) {
            *within += u64::from(seconds <= bound);
        }
        let bound = BUCKETS.iter().position(|bound| seconds <= *bound).unwrap_or(BUCKETS.len());
        let failed = request.status >= 500 || request.error.is_some();
        counts.last_day.count(self.started.elapsed(), bound, BUCKETS.len(), request.records, failed);
    }

    /// Records how many sites wait for integration.
    pub(super) fn waiting(&self, sites: u64) {
        self.lock().last_day.waiting(self.started.elapsed(), sites);
    }

    /// The last 24 hours in parts, the oldest first.
    pub(super) fn last_day(&self) -> Vec<Part> {
        self.lock().last_day.parts(self.started.elapsed())
    }

    /// The state of each site as text: a page of its own, because a country has thousands.
    pub(super) fn text_of_sites(view: &CentralView) -> String {
        let mut page = Page::default();
        let families: [SiteFamily; 11] = [
            ("oms_sync_site_seen_timestamp_seconds", "When a site came last.", |site| site.seen_at.map(seconds)),
            ("oms_sync_site_pull_timestamp_seconds", "Its last answered pull.", |site| site.pulled_at.map(seconds)),
            ("oms_sync_site_push_timestamp_seconds", "Its last accepted push.", |site| site.pushed_at.map(seconds)),
            ("oms_sync_site_to_read", "Positions of the changelog after its cursor.", |site| {
                site.behind.map(|n| n as f64)
            }),
            ("oms_sync_site_refused_records", "Its records that a rule refused.", |site| Some(site.refused as f64)),
            ("oms_sync_site_quarantine_records", "Its records in quarantine for another cause.", |site| {
                Some(site.quarantined as f64)
            }),
            ("oms_sync_site_failed_sign_ins", "Refused sign-ins under its name.", |site| {
                Some(site.failed_sign_ins as f64)
            }),
            ("oms_sync_site_failed_sign_in_timestamp_seconds", "The last of them.", |site| {
                site.sign_in_failed_at.map(seconds)
            }),
            (
                "oms_sync_site_copy_refused_timestamp_seconds",
                "Another copy of its database was refused last.",
                |site| site.copy_refused_at.map(seconds),
            ),
            ("oms_sync_site_integrating", "1 while its push is being integrated.", |site| {
                Some(f64::from(u8::from(site.is_integrating)))
            }),
            (
                "oms_sync_site_pushes_nothing",
                "1 if its release pushes nothing over V6, by a fault of its own.",
                |site| Some(f64::from(u8::from(site.pushes_nothing))),
            ),
        ];
        for (name, help, value) in families {
            page.family(name, "gauge", help);
            for site in &view.sites {
                if let Some(value) = value(site) {
                    page.value(&[("site", &site.id.to_string()), ("name", &site.name)], value);
                }
            }
        }
        page.family("oms_sync_site_info", "gauge", "The version of its application, once it has come.");
        for site in view.sites.iter().filter(|site| !site.app_version.is_empty()) {
            let labels =
                [("site", site.id.to_string()), ("name", site.name.clone()), ("version", site.app_version.clone())];
            page.value(&labels.each_ref().map(|(label, value)| (*label, value.as_str())), 1.0);
        }
        page.text
    }

    /// All of them as text.
    pub(super) fn text(
        &self,
        view: &CentralView,
        integrations: &Integrations,
        alarms: &[CentralAlarm],
        options: &ServerOptions,
    ) -> String {
        let mut page = Page::default();
        page.family("oms_sync_info", "gauge", "The version that runs.");
        page.value(&[("version", env!("CARGO_PKG_VERSION"))], 1.0);
        page.family("oms_sync_uptime_seconds", "gauge", "Since the server started.");
        page.value(&[], self.started.elapsed().as_secs_f64());
        self.of_requests(&mut page);
        page.family("oms_sync_integration_waiting_sites", "gauge", "Sites whose pushed records wait for integration.");
        page.value(&[], integrations.waiting as f64);
        page.family("oms_sync_integrated_total", "counter", "Pushed records by what became of them.");
        page.value(&[("outcome", "integrated")], integrations.integrated as f64);
        page.value(&[("outcome", "refused")], integrations.refused as f64);
        page.value(&[("outcome", "quarantined")], integrations.quarantined as f64);
        page.family("oms_sync_quarantine_records", "gauge", "Records in quarantine now, by cause.");
        for (cause, count) in &view.quarantined {
            page.value(&[("cause", cause.as_str())], *count as f64);
        }
        page.family(
            "oms_sync_alarms",
            "gauge",
            "The alarms of the status page, by code: how many sites or records each is about.",
        );
        for code in CentralAlarm::codes() {
            let of_code = alarms.iter().filter(|alarm| alarm.code() == code);
            page.value(&[("code", code)], of_code.map(CentralAlarm::count).sum::<u64>() as f64);
        }
        page.family("oms_sync_sites", "gauge", "Sites that are known, and those that asked in the last 15 minutes.");
        page.value(&[("state", "known")], view.sites.len() as f64);
        let seen = view.sites.iter().filter_map(|site| site.seen_at);
        page.value(&[("state", "seen")], seen.filter(|at| view.at.since(*at) <= LATELY).count() as f64);
        page.family("oms_sync_changelog_newest", "gauge", "The newest position of the changelog.");
        page.value(&[], view.newest.0 as f64);
        let help = "The share of the positions that sites of Open mSupply 2.x can count which the changelog has used.";
        page.family("oms_sync_changelog_used_ratio", "gauge", help);
        page.value(&[], view.newest.0 as f64 / f64::from(1_u32 << 31));
        if let Some(backups) = options.backups.as_ref().map(|backups| backups.now()) {
            page.family("oms_sync_backup_failures_total", "counter", "Backups of the server that failed.");
            page.value(&[], backups.failures as f64);
            if let Some(at) = backups.last_good {
                page.family("oms_sync_backup_timestamp_seconds", "gauge", "When the newest whole backup was taken.");
                page.value(&[], seconds(at));
            }
        }
        if let Some(bytes) = options.database.as_deref().and_then(size_of) {
            page.family("oms_sync_database_bytes", "gauge", "The size of the database, its log included.");
            page.value(&[], bytes as f64);
        }
        if let Some(bytes) = resident_memory() {
            page.family("process_resident_memory_bytes", "gauge", "The memory of this process.");
            page.value(&[], bytes as f64);
        }
        page.text
    }

    fn of_requests(&self, page: &mut Page) {
        let counts = self.lock();
        page.family("oms_sync_connections", "gauge", "Open connections.");
        page.value(&[], counts.connections as f64);
        page.family("oms_sync_connections_total", "counter", "Connections that were taken.");
        page.value(&[], counts.connections_ever as f64);
        page.family("oms_sync_requests_total", "counter", "Requests by what was asked and the HTTP status.");
        for ((question, status), count) in &counts.by_status {
            page.value(&[("question", question), ("status", &status.to_string())], *count as f64);
        }
        page.family(
            "oms_sync_request_errors_total",
            "counter",
            "Requests that were answered with an error of the protocol, and files that were cut off.",
        );
        for ((question, error), count) in &counts.by_error {
            page.value(&[("question", question), ("error", error)], *count as f64);
        }
        page.family(
            "oms_sync_request_seconds",
            "histogram",
            "From the head of a request to its answer, or to the end of a file.",
        );
        for (question, durations) in &counts.durations {
            for (within, bound) in durations.within.iter().zip(BUCKETS) {
                page.part("_bucket", &[("question", question), ("le", &bound.to_string())], *within as f64);
            }
            page.part("_bucket", &[("question", question), ("le", "+Inf")], durations.count as f64);
            page.part("_sum", &[("question", question)], durations.sum);
            page.part("_count", &[("question", question)], durations.count as f64);
        }
        page.family("oms_sync_records_total", "counter", "Records that went out by pulls and came in by pushes.");
        for question in ["pull", "patient_pull", "push"] {
            page.value(&[("question", question)], counts.records.get(question).copied().unwrap_or(0) as f64);
        }
        page.family("oms_sync_body_bytes_total", "counter", "Bytes of bodies, answers before compression.");
        page.value(&[("direction", "in")], counts.bytes.0 as f64);
        page.value(&[("direction", "out")], counts.bytes.1 as f64);
    }
}

/// A metric of each site: its name, its help, and its value where there is one.
type SiteFamily = (&'static str, &'static str, fn(&SiteView) -> Option<f64>);

/// A time as Prometheus has it: seconds since 1970.
fn seconds(at: Timestamp) -> f64 {
    at.unix_millis() as f64 / 1000.0
}

/// The growing text.
#[derive(Default)]
struct Page {
    text: String,
    family: &'static str,
}

impl Page {
    fn family(&mut self, name: &'static str, kind: &str, help: &str) {
        self.family = name;
        let _ = write!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
    }

    fn value(&mut self, labels: &[(&str, &str)], value: f64) {
        self.part("", labels, value);
    }

    /// Labels are words of this program and numbers; this makes sure that each stays one label on one line.
    fn part(&mut self, suffix: &str, labels: &[(&str, &str)], value: f64) {
        let labels: Vec<String> = labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        let _ = writeln!(self.text, "{}{suffix}{labels} {value}", self.family);
    }
}

/// A value of a label in the text format.
fn escaped(value: &str) -> String {
    one_line(value).replace('\\', "\\\\").replace('"', "\\\"")
}

fn size_of(database: &Path) -> Option<u64> {
    let log = database.with_file_name(format!("{}-wal", database.file_name()?.to_str()?));
    let size = |path: &Path| std::fs::metadata(path).map(|data| data.len()).ok();
    Some(size(database)? + size(&log).unwrap_or(0))
}

/// Known on Linux only.
fn resident_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let kilobytes: u64 =
        status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?.trim().trim_end_matches(" kB").parse().ok()?;
    Some(kilobytes * 1024)
}
