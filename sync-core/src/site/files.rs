//! Sending and fetching files, one at a time. It is no step of the cycle and has its own lock, so records never wait
//! for it.

mod download;
mod upload;

#[cfg(feature = "support")]
pub(crate) use upload::is_gone;

use std::collections::HashSet;
use std::time::Duration;

use serde::Serialize;
use serde::ser::SerializeStruct as _;
use url::Url;

use super::Site;
use super::identity::Identity;
use super::observer::{Pace, Step, SyncEvent, SyncObserver};
use super::report::Finished;
use super::sizing::Sizes;
use super::watch::{ExchangeProgress, apart};
use crate::error::{Error, ErrorClass, Result, Server};
use crate::files::{Files, Retry, failed};
use crate::role::Role;
use crate::storage::state::role;
use crate::storage::{FileDirection, FileEntry, FileState, LoggedError};
use crate::text::sentences::cycle as says;
use crate::trace::{self, RequestFigures};
use crate::transport::{HttpRequest, Stop, StreamedResponse, Transport, TransportError};

/// After so many failures of the line in a row, the line is bad, not the files.
const FAILURES_IN_A_ROW: u32 = 3;

/// A part of so many bytes makes an early next try worthwhile, however often it was cut.
const PROGRESS: u64 = 64 * 1024;

/// Stored with a file that was being sent when the time was over.
const CUT_BY_TIME: &str = "the time that was given was over before all of it was sent";

/// The beginning of central's message if central itself is at fault, not the file.
const OF_THE_SERVER: &str = "Internal error";

/// How much of the queue to work on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FilesOptions {
    /// Begin no further file after this time, and break the running one off, within two seconds if the transport can do
    /// that. Received bytes stay. An upload has to start again, so its next try may run to its end: so a file that
    /// needs more than this time still gets through.
    pub max_time: Option<Duration>,
    /// Begin no further file after this many bytes in both directions.
    pub max_bytes: Option<u64>,
}

impl FilesOptions {
    /// Sets the limit of [time](Self#structfield.max_time).
    #[must_use]
    pub fn max_time(self, time: Duration) -> Self {
        Self { max_time: Some(time), ..self }
    }

    /// Sets the limit of [bytes](Self#structfield.max_bytes).
    #[must_use]
    pub fn max_bytes(self, bytes: u64) -> Self {
        Self { max_bytes: Some(bytes), ..self }
    }
}

/// The result of a run over the due files.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
#[must_use = "a run that failed is a report with an error, not an `Err`: look at it, or use `into_result`"]
pub struct FilesReport {
    /// Files that were sent.
    pub uploaded: u64,
    /// Files that were received.
    pub downloaded: u64,
    /// Files that failed and are tried again later.
    pub failed: u64,
    /// Files whose reference was deleted meanwhile.
    pub gone: u64,
    /// Bytes of files that were sent, including failed tries.
    pub bytes_sent: u64,
    /// Bytes of files that were received.
    pub bytes_received: u64,
    /// The error that ended it before the end of the queue.
    pub error: Option<Error>,
}

impl FilesReport {
    /// The report of a run that came to the end of the queue, or to a limit.
    ///
    /// # Errors
    /// The error that ended it.
    pub fn into_result(mut self) -> Result<Finished<Self>> {
        self.error.take().map_or(Ok(Finished(self)), Err)
    }
}

impl From<Error> for FilesReport {
    /// A report without any work, and the reason.
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

/// Why a file failed.
enum TransferFault {
    /// The file itself; the others continue.
    File(String, Retry),
    /// The file to send is missing or changed.
    Spoilt(String),
    /// A fault that concerns every file, or may.
    Common(Error),
    /// Its reference was deleted meanwhile.
    Gone,
}

impl From<Error> for TransferFault {
    fn from(error: Error) -> Self {
        Self::Common(error)
    }
}

/// How a file succeeded.
enum TransferResult {
    /// Its bytes are in place.
    Whole,
    /// It is not due yet; nothing was tried.
    NotYet(Duration),
}

/// The time limit, by the monotonic clock.
#[derive(Debug, Clone, Copy, Default)]
struct TimeBudget {
    until: Option<Duration>,
    /// True if the current file may exceed the limit.
    is_let_end: bool,
    /// True if it ended an exchange.
    ended: bool,
}

impl TimeBudget {
    /// True if an exchange continues at this time.
    fn goes_on(&mut self, now: Duration) -> bool {
        self.ended |= !self.is_let_end && self.until.is_some_and(|until| now >= until);
        !self.ended
    }
}

/// Works through the queue.
struct FileTransfers<'a> {
    site: &'a Site,
    files: &'a Files,
    identity: Identity,
    central: Url,
    observer: &'a mut dyn SyncObserver,
    /// Ends the running exchange.
    stop: Stop,
    time: TimeBudget,
    report: FilesReport,
    /// The sizes that the line carries.
    sizes: Sizes,
}

impl Site {
    /// Sends and fetches the due files, each once. A file that fails is tried again later and delays no other. Failures
    /// are in the report and stored with each file.
    ///
    /// # Errors
    /// It could not begin: [`Error::NotSetUp`], [`Error::WrongRole`] on central, [`Error::CentralUrlMissing`] if the
    /// legacy server names no central server, [`Error::InvalidUrl`] if that address is unusable,
    /// [`Error::CycleRunning`] if files are already on their way; the disk or the database failed.
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
            Identity::load(txn.as_ref(), &self.device)?
        };
        let central = identity.central_url()?;
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
        let _span = trace::step(step.label());
        let outcome = mover.tell(&SyncEvent::StepStarted { step }).and_then(|()| mover.run(is_over));
        let is_out_of_time = mover.time.ended;
        let outcome = outcome.or_else(|error| match error {
            Error::Cancelled if is_out_of_time => Ok(()),
            error => Err(error),
        });
        let kept = mover.sizes.store_of_files(self.storage.as_ref());
        mover.report.error = outcome.and(kept).err();
        let error = mover.report.error.as_ref().map(Error::code);
        let moved = mover.report.uploaded + mover.report.downloaded;
        trace::step_ended(error, moved, moved + mover.report.failed);
        // The run ends anyway, so a break of the observer here changes nothing.
        let _ = mover.tell(&SyncEvent::StepFinished { step, error, ended_early: is_out_of_time });
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

    /// Handles one file. It returns errors that may concern every file; they are also stored with the file if the file
    /// may be at fault.
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
                // The state of the file is unknown, so it is tried again. If this fails too, it is tried anyway.
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
                // A received part stays: over a weak line a file arrives in steps.
                let got_on = self.report.bytes_received >= received + PROGRESS;
                let retry = if got_on { Retry::GotOn } else { Retry::Soon };
                // The text that came with the status is the only reason.
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

    /// Does a part of an exchange while the observer is asked whether to continue, if the transport can be broken off.
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
        let began = self.site.clock.monotonic();
        let response = self.watched(|transport| transport.stream(request, None));
        let announced = |response: &StreamedResponse| response.header("content-length")?.trim().parse().ok();
        self.note_request(
            began,
            request.body.len() as u64,
            response.as_ref().ok().and_then(announced).unwrap_or(0),
            response.as_ref().ok().map(|response| response.status),
        );
        response
    }

    /// Emits a request with the bytes that it sent, and those that its answer has or announces.
    fn note_request(&self, began: Duration, bytes_sent: u64, bytes_received: u64, status: Option<u16>) {
        let took = self.site.clock.monotonic().saturating_sub(began);
        trace::request(&RequestFigures { server: Server::Central.as_str(), bytes_sent, bytes_received, status, took });
    }
}

fn tell(observer: &mut dyn SyncObserver, event: &SyncEvent) -> Result<()> {
    if observer.on_event(event).is_break() { Err(Error::Cancelled) } else { Ok(()) }
}

/// Reports the progress of a file, of which so many bytes were moved in this time.
fn tell_bytes(
    observer: &mut dyn SyncObserver,
    (done, total): (u64, u64),
    (moved, took): (u64, Duration),
) -> Result<()> {
    let total = total.max(done);
    tell(observer, &SyncEvent::Progress { step: Step::Files, done, total, pace: Pace::of(moved, total - done, took) })
}

/// True if no other file could succeed now.
fn ends_all(error: &Error) -> bool {
    match error.class() {
        ErrorClass::Configure | ErrorClass::Upgrade | ErrorClass::Cancelled | ErrorClass::Busy => true,
        // The disk may have room for a smaller file.
        ErrorClass::LocalFault => !matches!(error, Error::DiskFull { .. } | Error::Io { .. }),
        ErrorClass::Retry => matches!(error, Error::Unreachable { .. } | Error::CentralCannotReachLegacy),
        _ => false,
    }
}
