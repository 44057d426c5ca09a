//! Sending and fetching files, one at a time, each at its turn. Records never wait for it: it is no step of the cycle, and
//! has a lock of its own.

mod download;
mod upload;

use std::collections::HashSet;
use std::time::Duration;

use serde::Serialize;
use serde::ser::SerializeStruct as _;
use url::Url;

use super::Site;
use super::identity::Identity;
use super::legacy::discover::central_url;
use super::observer::{Step, SyncEvent, SyncObserver};
use super::sizing::Sizes;
use super::watch::{ExchangeProgress, apart};
use crate::error::{Error, ErrorClass, Result};
use crate::files::{Files, Retry, failed};
use crate::ownership::Role;
use crate::storage::state::role;
use crate::storage::{FileDirection, FileEntry, FileState, LoggedError};
use crate::text::sentences::cycle as says;
use crate::transport::{HttpRequest, Stop, StreamedResponse, Transport, TransportError};

/// After so many files in a row that failed by the line, the line is bad, and not the files.
const FAILURES_IN_A_ROW: u32 = 3;

/// So many bytes of a file are worth a next try soon, however often it was cut.
const PROGRESS: u64 = 64 * 1024;

/// Noted with a file that was being sent when the time was over.
const CUT_BY_TIME: &str = "the time that was given was over before all of it was sent";

/// How central's words begin where it is at fault itself, and not the file.
const OF_THE_SERVER: &str = "Internal error";

/// How much of the queue is worked on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FilesOptions {
    /// Begin no further file after this time, and break off the one that is under way, within two seconds where the transport
    /// can do that. What came of it stays. One that was being sent has to be sent from its beginning, so its next turn is
    /// let end: a file that needs longer than this gets there all the same.
    pub max_time: Option<Duration>,
    /// Begin no further file after this many bytes in both directions.
    pub max_bytes: Option<u64>,
}

/// What became of the files that were due.
#[derive(Debug, Default)]
pub struct FilesReport {
    /// Files that were sent.
    pub uploaded: u64,
    /// Files that came.
    pub downloaded: u64,
    /// Files that failed and are tried again later.
    pub failed: u64,
    /// Files whose reference was deleted meanwhile.
    pub gone: u64,
    /// Bytes of files that were sent, those of tries that failed too.
    pub bytes_sent: u64,
    /// Bytes of files that came.
    pub bytes_received: u64,
    /// Why it ended before the queue did.
    pub error: Option<Error>,
}

impl From<Error> for FilesReport {
    /// A report that nothing was begun, and why.
    fn from(error: Error) -> Self {
        Self { error: Some(error), ..Self::default() }
    }
}

impl Serialize for FilesReport {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let mut report = serializer.serialize_struct("FilesReport", 7)?;
        report.serialize_field("uploaded", &self.uploaded)?;
        report.serialize_field("downloaded", &self.downloaded)?;
        report.serialize_field("failed", &self.failed)?;
        report.serialize_field("gone", &self.gone)?;
        report.serialize_field("bytes_sent", &self.bytes_sent)?;
        report.serialize_field("bytes_received", &self.bytes_received)?;
        report.serialize_field("error", &self.error.as_ref().map(LoggedError::from))?;
        report.end()
    }
}

/// Why a file did not get through.
enum TransferFault {
    /// By itself: the others go on.
    File(String, Retry),
    /// What should go is gone or changed.
    Spoilt(String),
    /// Something that every file needs is at fault, or may be.
    Common(Error),
    /// Its reference was deleted meanwhile.
    Gone,
}

impl From<Error> for TransferFault {
    fn from(error: Error) -> Self {
        Self::Common(error)
    }
}

/// How a file got through.
enum TransferResult {
    /// Its bytes are where they should be.
    Whole,
    /// Its turn has not come: nothing was tried.
    NotYet(Duration),
}

/// The time that is given, by the clock that only goes forward.
#[derive(Debug, Clone, Copy, Default)]
struct TimeBudget {
    until: Option<Duration>,
    /// Whether the file whose turn it is may take longer.
    is_let_end: bool,
    /// Whether it ended an exchange.
    ended: bool,
}

impl TimeBudget {
    /// Whether an exchange goes on at this time.
    fn goes_on(&mut self, now: Duration) -> bool {
        self.ended |= !self.is_let_end && self.until.is_some_and(|until| now >= until);
        !self.ended
    }
}

/// Works on the queue.
struct FileTransfers<'a> {
    site: &'a Site,
    files: &'a Files,
    identity: Identity,
    central: Url,
    observer: &'a mut dyn SyncObserver,
    /// Ends the exchange that is under way.
    stop: Stop,
    time: TimeBudget,
    report: FilesReport,
    /// How much of a file the line carries at once.
    sizes: Sizes,
}

impl Site {
    /// Sends and fetches the files that are due, each once; a file that fails is tried again later and delays no other.
    /// What went wrong is in the report and with each file.
    ///
    /// # Errors
    /// It could not even begin: [`Error::NotSetUp`], [`Error::WrongRole`] on central, [`Error::CentralUrlMissing`] if the
    /// legacy server names no central server, [`Error::InvalidUrl`] if what it names is no address, [`Error::CycleRunning`]
    /// if files are on their way already; the disk or the database failed.
    pub fn sync_files(
        &self,
        files: &Files,
        options: &FilesOptions,
        observer: &mut dyn SyncObserver,
    ) -> Result<FilesReport> {
        let identity = {
            let txn = self.storage.read()?;
            if role(txn.as_ref())? == Some(Role::Central) {
                return Err(Error::WrongRole { needed: "remote site", found: "central server" });
            }
            Identity::load(txn.as_ref(), &self.machine)?
        };
        let central = central_url(&identity)?;
        let _lock = files.store.lock()?;
        let began = self.clock.monotonic();
        let sizes = Sizes::load_of_files(self.storage.read()?.as_ref())?;
        let stop = Stop::new();
        let report = FilesReport::default();
        let until = options.max_time.map(|max| began.saturating_add(max));
        let time = TimeBudget { until, ..TimeBudget::default() };
        let mut mover = FileTransfers { site: self, files, identity, central, observer, stop, time, report, sizes };
        let is_over = |report: &FilesReport| {
            let bytes = report.bytes_sent + report.bytes_received;
            options.max_time.is_some_and(|max| self.clock.monotonic().saturating_sub(began) >= max)
                || options.max_bytes.is_some_and(|max| bytes >= max)
        };
        let step = Step::Files;
        let outcome = mover.tell(&SyncEvent::StepStarted { step }).and_then(|()| mover.run(is_over));
        let is_out_of_time = mover.time.ended;
        let outcome = outcome.or_else(|error| match error {
            Error::Cancelled if is_out_of_time => Ok(()),
            error => Err(error),
        });
        let kept = mover.sizes.store_of_files(self.storage.as_ref());
        mover.report.error = outcome.and(kept).err();
        let error = mover.report.error.as_ref().map(Error::code);
        // It is ending anyway where the observer breaks here.
        let _ = mover.tell(&SyncEvent::StepFinished { step, error });
        Ok(mover.report)
    }
}

impl FileTransfers<'_> {
    fn run(&mut self, is_over: impl Fn(&FilesReport) -> bool) -> Result<()> {
        self.files.sweep(false)?;
        self.files.take_note()?;
        self.files.mend_waits()?;
        self.files.ask_again()?;
        let mut failures = 0;
        let mut tried = HashSet::new();
        while let Some(entry) = self.files.next_due(&tried)? {
            tried.insert(entry.id.clone());
            if is_over(&self.report) {
                return Ok(());
            }
            match self.turn(&entry) {
                Ok(()) if planted!(BadFileStopsQueue) && self.report.failed > 0 => return Ok(()),
                Ok(()) => failures = 0,
                Err(error) => {
                    failures += 1;
                    if ends_all(&error) || failures >= FAILURES_IN_A_ROW {
                        return Err(error);
                    }
                }
            }
        }
        Ok(())
    }

    /// A file's turn. An error is one that every file may meet; it is noted with the file where the file may be at fault.
    fn turn(&mut self, entry: &FileEntry) -> Result<()> {
        if !self.files.change(&entry.id, |entry| entry.state = FileState::Running)? {
            return Ok(());
        }
        let received = self.report.bytes_received;
        self.time.is_let_end = entry.reason.as_deref() == Some(CUT_BY_TIME);
        let moved = match entry.direction {
            FileDirection::Upload => match self.upload(entry) {
                Err(TransferFault::Spoilt(reason)) => self.bring_back(entry, reason),
                moved => moved,
            },
            FileDirection::Download => self.download(entry),
        };
        let id = &entry.id;
        match moved {
            Ok(TransferResult::Whole) => Ok(()),
            Ok(TransferResult::NotYet(wait)) => {
                let next_at = crate::files::later(self.site.clock.now(), wait);
                self.files.change(id, |entry| (entry.state, entry.next_at) = (FileState::Waiting, Some(next_at)))?;
                Ok(())
            }
            Err(TransferFault::Gone) => {
                self.report.gone += 1;
                self.files.store.drop_part(id)
            }
            Err(TransferFault::File(reason, retry)) => self.failed(entry, reason, retry),
            Err(TransferFault::Spoilt(reason)) => self.failed(entry, reason, Retry::Refused),
            Err(TransferFault::Common(error)) if ends_all(&error) => {
                // Nobody knows whether the file is good: its turn comes again. If this fails too, it comes anyway.
                let is_cut = self.time.ended && entry.direction == FileDirection::Upload;
                let _ = self.files.change(id, |entry| {
                    entry.state = FileState::Waiting;
                    if is_cut {
                        entry.reason = Some(CUT_BY_TIME.to_owned());
                    }
                });
                Err(error)
            }
            Err(TransferFault::Common(Error::PeerError { detail, .. }))
                if !detail.to_string().starts_with(OF_THE_SERVER) =>
            {
                self.failed(entry, format!("central says: {detail}"), Retry::Soon)
            }
            Err(TransferFault::Common(error)) => {
                // A part that came stays: over a weak line a file gets there in steps.
                let got_on = self.report.bytes_received >= received + PROGRESS;
                let retry = if got_on { Retry::GotOn } else { Retry::Soon };
                // What came with a status is the only word of why.
                let cause = error.causes().into_iter().next().filter(|_| matches!(error, Error::ServerTrouble { .. }));
                let reason = cause.map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"));
                self.failed(entry, reason, retry)?;
                Err(error)
            }
        }
    }

    fn failed(&mut self, entry: &FileEntry, reason: String, retry: Retry) -> Result<()> {
        self.report.failed += 1;
        self.files.fail(&entry.id, reason.clone(), retry)?;
        let direction = entry.direction.as_str();
        self.tell(&SyncEvent::Warning { message: says::file_failed(direction, entry.id.as_str(), reason) })
    }

    fn tell(&mut self, event: &SyncEvent) -> Result<()> {
        tell(self.observer, event)
    }

    /// Does a part of an exchange while the observer is asked whether it should go on, where the transport lets it be broken off.
    fn watched<T: Send>(&mut self, work: impl FnOnce(&dyn Transport) -> T + Send) -> T {
        let transport = self.site.transport.as_ref();
        let Some(stoppable) = transport.stoppable(&self.stop) else { return work(transport) };
        let (clock, observer, time) = (self.site.clock.as_ref(), &mut *self.observer, &mut self.time);
        let began = clock.monotonic();
        let mut watch = |_: ExchangeProgress| {
            let now = clock.monotonic();
            let waited = now.saturating_sub(began);
            tell(observer, &SyncEvent::RequestUnderWay { waited }).is_ok() && time.goes_on(now)
        };
        apart(&self.stop, &mut watch, |_| work(stoppable.as_ref()))
    }

    fn stream(&mut self, request: &HttpRequest) -> std::result::Result<StreamedResponse, TransportError> {
        self.watched(|transport| transport.stream(request, None))
    }
}

fn tell(observer: &mut dyn SyncObserver, event: &SyncEvent) -> Result<()> {
    if observer.on_event(event).is_break() { Err(Error::Cancelled) } else { Ok(()) }
}

/// Tells how far a file is.
fn tell_bytes(observer: &mut dyn SyncObserver, done: u64, total: u64) -> Result<()> {
    tell(observer, &SyncEvent::Progress { step: Step::Files, done, total: total.max(done) })
}

/// Whether no other file could do better now.
fn ends_all(error: &Error) -> bool {
    match error.class() {
        ErrorClass::Configure | ErrorClass::Upgrade | ErrorClass::Cancelled | ErrorClass::Busy => true,
        // What one file cannot have of the disk a smaller one may.
        ErrorClass::LocalFault => !matches!(error, Error::DiskFull { .. } | Error::Io { .. }),
        ErrorClass::Retry => matches!(error, Error::Unreachable { .. } | Error::CentralCannotReachLegacy),
        _ => false,
    }
}
