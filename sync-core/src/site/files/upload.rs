//! An upload to central: one request, read from the disk while it is sent, and never completed with wrong bytes
//! (`protocol-v6` §8.5).

use std::fs::File;
use std::io::{self, Cursor, Read};
use std::time::Duration;

use sha2::{Digest as _, Sha256};

use super::{FileTransfers, TransferFault, TransferResult, tell, tell_bytes};
use crate::address::shown;
use crate::error::{Error, Server};
use crate::files::{Retry, failed};
use crate::protocol::v6::{Answer, UploadPart, V6_VERSION, WireError, decode_answer, path};
use crate::record::TableName;
use crate::record::file_name::safe_file_name;
use crate::record::file_reference::{Reference, TABLE as REFERENCES};
use crate::site::answer::{central_answer, foreign_answer, is_of_proxy, transport_error};
use crate::site::client::{join, to_json};
use crate::site::observer::SyncEvent;
use crate::site::watch::{ByteCallback, ExchangeProgress, watched};
use crate::storage::{FileEntry, FileState, state};
use crate::text_input::into_utf8;
use crate::transport::{HttpRequest, HttpResponse, Method, StreamedBody, StreamedResponse, Transport, TransportError};

/// How a file is called whose bytes are not in the folder any more.
const GONE: &str = "is no longer there";

/// True if this is the reason of a file whose bytes this device has lost.
#[cfg(feature = "support")]
pub(crate) fn is_gone(reason: &str) -> bool {
    reason.starts_with("the file in the folder") && reason.ends_with(GONE)
}

/// The most bytes of an answer that is not a file.
const ANSWER_BYTES_MAX: u64 = 64 * 1024;

impl FileTransfers<'_> {
    pub(super) fn upload(&mut self, entry: &FileEntry) -> Result<TransferResult, TransferFault> {
        let reference = {
            let txn = self.site.storage.read()?;
            let table = TableName::from(REFERENCES);
            if txn.has_local_change(&table, &entry.id, state::PUSH_CURSOR_V6.get(txn.as_ref())?)? {
                // Central would not know the file. It stays due, so that it goes with the next run: the cycle before that run pushes
                // the reference.
                return Ok(TransferResult::NotYet(Duration::ZERO));
            }
            txn.record(&table, &entry.id)?.as_ref().and_then(Reference::read).ok_or(TransferFault::Gone)?
        };
        let changed = |what: &str| TransferFault::Spoilt(format!("the file in the folder {what}"));
        let local = self.files.store.path(&entry.id);
        let file = match File::open(&local) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(changed(GONE)),
            file => file.map_err(|error| failed("opening", &local, error))?,
        };
        let bytes = file.metadata().map_err(|error| failed("looking at", &local, error))?.len();
        if entry.bytes.is_some_and(|noted| noted != bytes) {
            return Err(changed("has another length than when it was attached"));
        }
        let json = to_json(&UploadPart {
            file_id: entry.id.clone(),
            table_name: Some(reference.table.clone()),
            record_id: Some(reference.record_id.clone()),
            sync_v5_settings: self.identity.credentials(),
            sync_v6_version: V6_VERSION,
        })?;
        let boundary = uuid::Uuid::new_v4().simple().to_string();
        let name = safe_file_name(&reference.file_name);
        let (head, tail) = around(&boundary, &json, &name);
        let length = (head.len() + tail.len()) as u64 + bytes;
        let request = HttpRequest {
            method: Method::Put,
            url: join(&self.central, path::UPLOAD_FILE),
            headers: vec![("content-type".to_owned(), format!("multipart/form-data; boundary={boundary}"))],
            body: Vec::new(),
        };
        let sha256 = entry.sha256.clone();
        let began = self.site.clock.monotonic();
        let (sent, checked) = self.sent(bytes, |transport, tell| {
            let mut checked =
                VerifiedReader { file, hash: Some(Sha256::new()), read: 0, bytes, sha256, tell, stopped: None };
            let mut reader = Cursor::new(head).chain(&mut checked).chain(Cursor::new(tail));
            let sent = transport.stream(&request, Some(StreamedBody { length, reader: &mut reader }));
            let VerifiedReader { read, sha256, stopped, .. } = checked;
            (sent.and_then(buffered), UploadResult { read, sha256, stopped })
        });
        let UploadResult { read, sha256, stopped } = checked;
        self.report.bytes_sent += read;
        let received = sent.as_ref().map_or(0, |response| response.body.len() as u64);
        self.note_request(began, read, received, sent.as_ref().ok().map(|response| response.status));
        match stopped {
            Some(Stopped::Changed) => return Err(changed("changed after it was attached")),
            Some(Stopped::Cancelled) => return Err(Error::Cancelled.into()),
            Some(Stopped::Disk(error)) => return Err(failed("reading", &local, error).into()),
            None => {}
        }
        if planted!(FileDoneBeforeAnswer) {
            self.files.change(&entry.id, |entry| (entry.state, entry.next_at) = (FileState::Done, None))?;
            if sent.is_err() {
                return Ok(TransferResult::Whole);
            }
        }
        let response = sent.map_err(|error| self.line(error))?;
        self.taken(&response)?;
        let done = self.files.change(&entry.id, |entry| {
            (entry.state, entry.next_at, entry.attempts, entry.reason) = (FileState::Done, None, 0, None);
            entry.sha256 = sha256;
        })?;
        if !done {
            return Err(TransferFault::Gone);
        }
        self.report.uploaded += 1;
        Ok(TransferResult::Whole)
    }

    /// Sends a file while the observer receives its progress and may stop it.
    fn sent<T: Send>(&mut self, bytes: u64, send: impl FnOnce(&dyn Transport, ByteCallback<'_>) -> T + Send) -> T {
        let (clock, observer, time) = (self.site.clock.as_ref(), &mut *self.observer, &mut self.time);
        let began = clock.monotonic();
        let mut watch = |look: ExchangeProgress| {
            let now = clock.monotonic();
            let told = match look {
                ExchangeProgress::Bytes(done) => tell_bytes(observer, (done, bytes), (done, now.saturating_sub(began))),
                ExchangeProgress::Waiting => {
                    tell(observer, &SyncEvent::RequestUnderWay { waited: now.saturating_sub(began) })
                }
            };
            told.is_ok() && time.goes_on(now)
        };
        watched(self.site.transport.as_ref(), &mut watch, send)
    }

    /// Interprets central's answer.
    fn taken(&self, response: &HttpResponse) -> Result<(), TransferFault> {
        if let Ok(Answer::Error(WireError::SyncFileNotFound(_))) = decode_answer(&response.body) {
            let reason = "central does not know the file's reference yet";
            return Err(TransferFault::File(reason.to_owned(), Retry::Soon));
        }
        if response.status == 413 || response.status == 400 && response.body.starts_with(b"Payload error") {
            // A proxy has its own limit, which central's administrator does not find in central.
            let reason = match is_of_proxy(response) {
                true => format!("a proxy before the central server refuses its size: {}", foreign_answer(response)),
                false => "it is too large for the central server".to_owned(),
            };
            return Err(TransferFault::File(reason, Retry::Refused));
        }
        central_answer(response, &shown(&self.central), &self.identity)?;
        Ok(())
    }

    /// An error of the line as an error of this site.
    pub(super) fn line(&self, error: TransportError) -> TransferFault {
        transport_error(error, Server::Central, &shown(&self.central)).into()
    }
}

/// The parts of the body before and after the bytes.
fn around(boundary: &str, json: &[u8], name: &str) -> (Vec<u8>, Vec<u8>) {
    let json = String::from_utf8_lossy(json);
    let head = format!(
        "--{boundary}\r\nContent-Disposition: form-data; name=\"json_part\"\r\nContent-Type: application/json\r\n\r\n\
         {json}\r\n--{boundary}\r\nContent-Disposition: form-data; name=\"file_part\"; filename=\"{name}\"\r\n\
         Content-Type: application/octet-stream\r\n\r\n"
    );
    (head.into_bytes(), format!("\r\n--{boundary}--\r\n").into_bytes())
}

/// A short answer, whole in memory.
pub(super) fn buffered(response: StreamedResponse) -> Result<HttpResponse, TransportError> {
    let StreamedResponse { status, headers, body: mut reader } = response;
    let mut body = Vec::new();
    let read = reader.by_ref().take(ANSWER_BYTES_MAX).read_to_end(&mut body);
    read.map_err(TransportError::of_body)?;
    Ok(HttpResponse { status, headers, body: into_utf8(body) })
}

/// Why the bytes of a file are not sent to their end.
enum Stopped {
    Changed,
    Cancelled,
    Disk(io::Error),
}

/// Reads a file that must be unchanged since it was attached. If it changed, reading fails before the end of the body,
/// so the other end never receives a complete upload.
struct VerifiedReader<'o> {
    file: File,
    /// `None` once it was compared.
    hash: Option<Sha256>,
    read: u64,
    bytes: u64,
    /// The expected bytes, then those that were sent.
    sha256: Option<String>,
    tell: ByteCallback<'o>,
    stopped: Option<Stopped>,
}

/// The result of sending the bytes of a file.
struct UploadResult {
    read: u64,
    sha256: Option<String>,
    stopped: Option<Stopped>,
}

impl VerifiedReader<'_> {
    fn stop(&mut self, stopped: Stopped) -> io::Error {
        self.stopped = Some(stopped);
        io::Error::other("the upload is given up")
    }
}

impl Read for VerifiedReader<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if into.is_empty() {
            return Ok(0);
        }
        let read = match self.file.read(into) {
            Ok(read) => read,
            Err(error) => return Err(self.stop(Stopped::Disk(error))),
        };
        self.read += read as u64;
        if read > 0 && self.read <= self.bytes {
            if let Some(hash) = &mut self.hash {
                hash.update(&into[..read]);
            }
            if !(self.tell)(self.read) {
                return Err(self.stop(Stopped::Cancelled));
            }
            return Ok(read);
        }
        if let Some(hash) = self.hash.take() {
            let now = crate::protocol::hex(&hash.finalize());
            if self.read != self.bytes || self.sha256.as_ref().is_some_and(|was| *was != now) {
                return Err(self.stop(Stopped::Changed));
            }
            self.sha256 = Some(now);
        }
        Ok(0)
    }
}
