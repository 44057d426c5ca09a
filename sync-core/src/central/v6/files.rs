//! Files at central: received from sites, stored once, sent to sites (`protocol-v6` §8.5, §8.6).

use std::fs::File;
use std::io::{self, Read, Write as _};
use std::net::IpAddr;
use std::sync::PoisonError;

use super::file_response::file_response;
use super::multipart::{Multipart, MultipartError, PartHead, boundary};
use crate::central::caller::{Caller, Checked, Deferred, Handled, UploadHead};
use crate::central::{Central, Endpoint, EnvelopeError, HandledRequest, RequestTrace, not_central};
use crate::changelog::Audience;
use crate::clock::Timestamp;
use crate::error::Result;
use crate::files::{FileStore, NewFile, ORPHAN_AGE, failed, hash_file, lost};
use crate::protocol::v6::{DownloadRequest, UploadPart, WireError, check_version, encode_data, encode_error};
use crate::record::file_reference::{Reference, TABLE as REFERENCES};
use crate::record::types::is_patient;
use crate::record::{NameId, RecordId, SiteId, SyncStyle, TableName, record_type};
use crate::storage::{FileDirection, FileEntry, FileState, ReadTxn};
use crate::transport::{HttpRequest, HttpResponse, StreamedResponse};
use crate::write;
use crate::write::record_owner::{self, WriterOnRecord};

/// The most bytes of the part with the credentials and the file's id.
const JSON_PART_BYTES_MAX: usize = 2 * 1024 * 1024;

/// The most bytes of a file that are held in memory until its sender has signed in. Sites of Open mSupply and of this
/// library send the credentials first, so this is for small files of other clients.
const EARLY_BYTES_MAX: usize = 64 * 1024;

/// The destination of an upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    ToCentral,
    ToSite,
}

/// The received parts of an upload.
#[derive(Default)]
struct Upload {
    /// Its file, once the sender has signed in.
    admitted: Option<(RecordId, Reference)>,
    /// Its bytes; the inner `None` if they are not needed.
    bytes: Option<Option<NewFile>>,
    /// Its bytes if they came before the credentials: bytes of unknown senders are not written to the disk.
    early: Option<Vec<u8>>,
    has_name: bool,
}

/// Why an upload fails.
enum UploadFault {
    /// An error of the protocol.
    Refused(EnvelopeError),
    /// Another response.
    Response(HttpResponse),
}

impl From<EnvelopeError> for UploadFault {
    fn from(refused: EnvelopeError) -> Self {
        Self::Refused(refused)
    }
}

impl From<crate::Error> for UploadFault {
    fn from(error: crate::Error) -> Self {
        Self::Refused(error.into())
    }
}

impl From<MultipartError> for UploadFault {
    fn from(error: MultipartError) -> Self {
        Self::Response(HttpResponse::text(
            400,
            match error {
                MultipartError::TooLarge | MultipartError::CutOff => "Payload error",
                MultipartError::Malformed => "Multipart parse error",
            },
        ))
    }
}

impl Central {
    /// Adds a folder for files. Without one, central neither accepts nor sends any.
    #[must_use]
    pub fn with_files(self, store: FileStore) -> Self {
        Self { files: Some(store), ..self }
    }

    /// Receives a file from a site at this address: the body is written to the disk as it is read. Never fails: errors
    /// are in the response.
    pub fn upload_file(&self, content_type: Option<&str>, body: &mut dyn Read, from: Option<IpAddr>) -> HandledRequest {
        self.upload_for(content_type, body, Caller::at(from))
    }

    /// Like [`upload_file`](Self::upload_file), for a host that has read the beginning of the body before: see
    /// [`upload_head`](Self::upload_head).
    pub fn upload_for(&self, content_type: Option<&str>, body: &mut dyn Read, caller: Caller) -> HandledRequest {
        let trace = RequestTrace::of(caller);
        let response = match self.is_central() {
            true => self.receive_file(content_type, body, &trace),
            false => not_central(),
        };
        self.activity.note(&trace, self.clock.now());
        match trace.into_handled(response) {
            Handled::Answered(answered) => answered,
            // Its beginning did not name the sender, or the sender may not upload now.
            _ => RequestTrace::default()
                .into_handled_request(HttpResponse::text(400, "The json_part has to come first.")),
        }
    }

    /// Reads the beginning of an upload, which names the sender. A host that does this first, and has the needed check
    /// made, gives no thread to an upload of an unknown sender.
    pub fn upload_head(&self, content_type: Option<&str>, beginning: &[u8], caller: Caller) -> UploadHead {
        let Some(boundary) = boundary(content_type.unwrap_or_default()) else { return UploadHead::Other };
        let trace = RequestTrace::of(caller);
        let mut beginning = beginning;
        let mut parts = Multipart::new(boundary, &mut beginning, self.config.upload_bytes_max);
        let mut early = 0;
        let head = loop {
            match parts.next_part() {
                Ok(Some(head)) if head.name == "json_part" => break head,
                // A small file may come first.
                Ok(Some(_)) => loop {
                    match parts.content() {
                        Ok(Some(bytes)) if early + bytes.len() <= EARLY_BYTES_MAX => early += bytes.len(),
                        Ok(None) => break,
                        Err(MultipartError::CutOff) => return UploadHead::More,
                        _ => return UploadHead::Other,
                    }
                },
                Err(MultipartError::CutOff) => return UploadHead::More,
                _ => return UploadHead::Other,
            }
        };
        let mut json = Vec::new();
        loop {
            match parts.content() {
                Ok(Some(bytes)) => json.extend(bytes),
                Ok(None) => break,
                Err(MultipartError::CutOff) if json.len() <= JSON_PART_BYTES_MAX => return UploadHead::More,
                Err(_) => return UploadHead::Other,
            }
        }
        let Ok(part) = read_json_part(&json, &head) else { return UploadHead::Other };
        if check_version(part.sync_v6_version).is_err() {
            return UploadHead::Other;
        }
        let outcome = self.admit(&trace, &part.sync_v5_settings);
        match trace.deferred.take() {
            Some(Deferred::Unchecked(check)) => UploadHead::Unchecked(check),
            _ => UploadHead::Checked(Checked { credentials: part.sync_v5_settings, outcome }),
        }
    }

    pub(crate) fn receive_file(
        &self,
        content_type: Option<&str>,
        body: &mut dyn Read,
        trace: &RequestTrace,
    ) -> HttpResponse {
        trace.endpoint.set(Endpoint::UploadFile);
        let Some(boundary) = boundary(content_type.unwrap_or_default()) else {
            return HttpResponse::text(415, "ContentTypeIncompatible");
        };
        // Done in any case: leftovers of failed uploads would otherwise stay for ever.
        if let Some(store) = &self.files {
            self.sweep(store);
        }
        let mut parts = Multipart::new(boundary, body, self.config.upload_bytes_max);
        let outcome = self.receive(&mut parts, trace);
        if outcome.is_err() {
            // Drain the body first: a client that is still sending reads an early refusal as a broken connection.
            parts.drain();
        }
        match outcome.and_then(|upload| self.store_upload(upload)) {
            Ok(()) => HttpResponse::json(200, encode_data(&())),
            Err(UploadFault::Refused(EnvelopeError(error))) => {
                trace.note_error(&error);
                HttpResponse::json(200, encode_error(&error))
            }
            Err(UploadFault::Response(response)) => response,
        }
    }

    fn receive(&self, parts: &mut Multipart<'_>, trace: &RequestTrace) -> std::result::Result<Upload, UploadFault> {
        let mut upload = Upload::default();
        while let Some(head) = parts.next_part()? {
            match head.name.as_str() {
                "json_part" if upload.admitted.is_none() => {
                    let part = json_part(parts, &head)?;
                    let site = self.sign_in(trace, part.sync_v6_version, &part.sync_v5_settings)?;
                    let reference = self.reference_for(site, &part.file_id, Direction::ToCentral)?;
                    let reference = reference
                        .ok_or_else(|| EnvelopeError(WireError::SyncFileNotFound(part.file_id.to_string())))?;
                    if let Some(bytes) = upload.early.take() {
                        let mut new = self.begin_file(&reference)?;
                        self.write(&mut new, &bytes)?;
                        upload.bytes = Some(new);
                    }
                    upload.admitted = Some((part.file_id, reference));
                }
                "file_part" if upload.bytes.is_none() && upload.early.is_none() => {
                    upload.has_name = head.filename.is_some();
                    match &upload.admitted {
                        Some((_, reference)) => upload.bytes = Some(self.file_part(parts, reference)?),
                        None if planted!(FileBeforeCredentials) => self.write_anyones(parts)?,
                        None => upload.early = Some(early_part(parts)?),
                    }
                }
                // Other parts are skipped.
                _ => {}
            }
        }
        Ok(upload)
    }

    /// A planted bug: writes a part to the disk before its sender has signed in.
    fn write_anyones(&self, parts: &mut Multipart<'_>) -> std::result::Result<(), UploadFault> {
        let mut new = self.files.as_ref().map(FileStore::begin).transpose()?;
        while let Some(bytes) = parts.content()? {
            self.write(&mut new, &bytes)?;
        }
        std::mem::forget(new);
        Ok(())
    }

    fn file_part(
        &self,
        parts: &mut Multipart<'_>,
        reference: &Reference,
    ) -> std::result::Result<Option<NewFile>, UploadFault> {
        let mut new = self.begin_file(reference)?;
        while let Some(bytes) = parts.content()? {
            self.write(&mut new, &bytes)?;
        }
        Ok(new)
    }

    /// A place for the bytes of a file, if they are needed.
    fn begin_file(&self, reference: &Reference) -> Result<Option<NewFile>> {
        self.files.as_ref().filter(|_| !reference.is_deleted).map(FileStore::begin).transpose()
    }

    fn write(&self, new: &mut Option<NewFile>, bytes: &[u8]) -> Result<()> {
        let (Some(new), Some(store)) = (new, &self.files) else { return Ok(()) };
        new.write_all(bytes).map_err(|error| failed("writing to", store.folder(), error))
    }

    /// Once a day, removes the leftovers of uploads during which this server died.
    fn sweep(&self, store: &FileStore) {
        let day = i64::try_from(ORPHAN_AGE.as_millis()).unwrap_or(i64::MAX);
        let now = self.clock.now();
        let a_day_ago = Timestamp::from_unix_millis(now.unix_millis().saturating_sub(day));
        let mut swept_at = self.swept_at.lock().unwrap_or_else(PoisonError::into_inner);
        if swept_at.is_none_or(|at| at < a_day_ago || at > now) {
            *swept_at = Some(now);
            // Leftovers that stay are tried again tomorrow; they are no reason to refuse a file now.
            let _ = store.sweep_new(a_day_ago, now);
        }
    }

    /// Stores the received bytes if they match the reference. Receiving the same again changes nothing.
    fn store_upload(&self, upload: Upload) -> std::result::Result<(), UploadFault> {
        let missing =
            |part: &str| UploadFault::Response(HttpResponse::text(400, format!("Required field is missing: {part}")));
        let other = |text: &str| UploadFault::from(EnvelopeError(WireError::OtherServerError(text.to_owned())));
        let (id, reference) = upload.admitted.ok_or_else(|| missing("json_part"))?;
        let bytes = upload.bytes.ok_or_else(|| missing("file_part"))?;
        if !upload.has_name {
            return Err(other("Filename not provided"));
        }
        if reference.is_deleted {
            return Ok(());
        }
        let (Some(store), Some(new)) = (&self.files, bytes) else {
            return Err(other("This server keeps no files"));
        };
        let (length, sha256) = (new.bytes(), new.sha256());
        if let Some(fault) = reference.fault_of(length, &sha256) {
            return Err(other(&format!("The file was not taken: {fault}")));
        }
        let another = || other("The file was not taken: another one came under this id before");
        let _one_at_a_time = self.naming_upload.lock().unwrap_or_else(PoisonError::into_inner);
        let _on_all_servers = self.storage.servers().map(|servers| servers.take_upload_turn()).transpose()?;
        // Complete bytes stay, even if the reference has changed: only identical bytes may repair them on the disk.
        let known = self.hash_when_it_came(&id)?;
        match hash_file(&store.path(&id), |_| Ok(()))? {
            Some((_, stored)) if stored == sha256 => drop(new),
            Some((_, stored)) if known.as_ref() == Some(&stored) => return Err(another()),
            Some((bytes, stored)) if known.is_none() && reference.fault_of(bytes, &stored).is_none() => {
                return Err(another());
            }
            // There is no file, or it is damaged.
            _ if known.is_some_and(|known| known != sha256) => return Err(another()),
            _ => new.keep(store, &id)?,
        }
        self.note_file(&id, &reference, length, sha256)?;
        Ok(lost::note(self.storage.as_ref(), &id, true)?)
    }

    /// The hash of a file with complete bytes.
    fn hash_when_it_came(&self, id: &RecordId) -> Result<Option<String>> {
        let file = self.storage.read()?.file(id)?.filter(|file| file.state == FileState::Done);
        Ok(file.filter(|_| !planted!(FileIsAnyones)).and_then(|file| file.sha256))
    }

    fn note_file(&self, id: &RecordId, reference: &Reference, bytes: u64, sha256: String) -> Result<()> {
        let txn = self.storage.write()?;
        txn.put_file(&FileEntry {
            id: id.clone(),
            table: reference.table.clone(),
            record_id: reference.record_id.clone(),
            direction: FileDirection::Download,
            state: FileState::Done,
            bytes: Some(bytes),
            sha256: Some(sha256),
            etag: None,
            attempts: 0,
            next_at: None,
            reason: None,
            changed_at: self.clock.now(),
        })?;
        txn.commit()
    }

    /// The reference of a file, if this site may have it: not if its record belongs to another site's store (weak point
    /// D3).
    fn reference_for(&self, site: SiteId, id: &RecordId, direction: Direction) -> Result<Option<Reference>> {
        let txn = self.storage.read()?;
        let reference = txn.record(&TableName::from(REFERENCES), id)?.as_ref().and_then(Reference::read);
        match reference {
            Some(reference) if is_for(txn.as_ref(), site, (id, &reference), direction)? => Ok(Some(reference)),
            _ => Ok(None),
        }
    }

    /// Sends a file, or a part of it, to a site at this address. Never fails: errors are in the response.
    pub fn download_file(&self, request: &HttpRequest, from: Option<IpAddr>) -> HandledRequest<StreamedResponse> {
        let trace = RequestTrace::of(Caller::at(from));
        let response = self.send_if_central(request, &trace);
        trace.into_handled_request(response)
    }

    /// For a host that makes slow checks of credentials elsewhere, or lets sites wait for their turn.
    pub fn download_for(&self, request: &HttpRequest, caller: Caller) -> Handled<StreamedResponse> {
        let trace = RequestTrace::of(caller);
        let response = self.send_if_central(request, &trace);
        trace.into_handled(response)
    }

    fn send_if_central(&self, request: &HttpRequest, trace: &RequestTrace) -> StreamedResponse {
        let response = match self.is_central() {
            true => self.send_file(request, trace),
            false => not_central().into(),
        };
        self.activity.note(trace, self.clock.now());
        response
    }

    pub(crate) fn send_file(&self, request: &HttpRequest, trace: &RequestTrace) -> StreamedResponse {
        trace.endpoint.set(Endpoint::DownloadFile);
        let wanted: DownloadRequest = match self.read(request) {
            Ok(wanted) => wanted,
            Err(response) => return response.into(),
        };
        let refused = match self.find_file(&wanted, trace) {
            Ok(Some((name, file))) => match file_response(request, &name, file) {
                Ok(response) => return response,
                Err(error) => WireError::from(failed("reading", std::path::Path::new(&name), error)),
            },
            Ok(None) => WireError::OtherServerError("File not found".to_owned()),
            Err(EnvelopeError(error)) => error,
        };
        trace.note_error(&refused);
        bare(&refused)
    }

    fn find_file(
        &self,
        wanted: &DownloadRequest,
        trace: &RequestTrace,
    ) -> std::result::Result<Option<(String, File)>, EnvelopeError> {
        let site = self.sign_in(trace, wanted.sync_v6_version, &wanted.sync_v5_settings)?;
        let is_meant =
            |reference: &Reference| reference.table == wanted.table_name && reference.record_id == wanted.record_id;
        let reference = self.reference_for(site, &wanted.id, Direction::ToSite)?.filter(is_meant);
        let (Some(store), Some(reference)) = (&self.files, reference) else { return Ok(None) };
        let path = store.path(&wanted.id);
        let file = match File::open(&path) {
            Ok(file) => Some(file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(failed("opening", &path, error).into()),
        };
        lost::note(self.storage.as_ref(), &wanted.id, file.is_some())?;
        Ok(file.map(|file| (reference.file_name, file)))
    }
}

impl From<crate::Error> for WireError {
    fn from(error: crate::Error) -> Self {
        EnvelopeError::from(error).0
    }
}

/// Whether a site may fetch, or upload, the file of this reference: decided by its record. If the record decides
/// nothing, because every site has it or because it is a document of the legacy server, every site may fetch the file,
/// and the writer of the reference may upload it. A record of a V6 type that central does not hold exists only at that
/// writer.
fn is_for(
    txn: &dyn ReadTxn,
    site: SiteId,
    (id, reference): (&RecordId, &Reference),
    direction: Direction,
) -> Result<bool> {
    let stores = txn.stores_of_site(site)?;
    let writer = record_owner::writer(txn, (site, &[]), (&TableName::from(REFERENCES), id))?;
    let wrote_it = writer == WriterOnRecord::Itself;
    // The writer of a restored reference may be forgotten.
    let may_have_written = writer != WriterOnRecord::Another || planted!(FileIsAnyones);
    let is_to_site = direction == Direction::ToSite;
    // Its record may have moved since the site wrote the reference; no other site can upload the bytes.
    let brings_its_own = !is_to_site && wrote_it;
    let or_writer = || Ok(is_to_site || may_have_written);
    let Some(kind) = record_type(reference.table.as_str()) else { return or_writer() };
    let held = txn.record(&reference.table, &reference.record_id)?;
    if kind.style == SyncStyle::Legacy {
        // The legacy server's documents follow its own rules, which are unknown here, except for patients.
        return match held {
            Some(data) if is_to_site && is_patient(&data) && !wrote_it => {
                txn.is_visible(&NameId::from(reference.record_id.as_str()), &stores)
            }
            _ => or_writer(),
        };
    }
    let Some(data) = held else { return Ok(wrote_it || (!is_to_site && may_have_written)) };
    let (store, name) = write::scope(txn, &reference.table, &data)?;
    match Audience::of(kind.style, kind.table, store.as_ref(), name.as_ref()) {
        Audience::Everyone | Audience::Legacy => or_writer(),
        Audience::Store(store) => Ok(brings_its_own || stores.contains(&store)),
        Audience::Patient if brings_its_own => Ok(true),
        Audience::Patient => name.map_or(Ok(false), |name| txn.is_visible(&name, &stores)),
        Audience::LocalOnly => Ok(false),
        // It went to central and goes no further.
        Audience::Nobody if is_to_site => Ok(false),
        Audience::Nobody => Ok(brings_its_own || store.map_or(may_have_written, |store| stores.contains(&store))),
    }
}

/// A small file of a sender that has not signed in yet.
fn early_part(parts: &mut Multipart<'_>) -> std::result::Result<Vec<u8>, UploadFault> {
    let mut bytes = Vec::new();
    while let Some(some) = parts.content()? {
        bytes.extend(some);
        if bytes.len() > EARLY_BYTES_MAX {
            let text = format!("json_part must come before a file_part of more than {EARLY_BYTES_MAX} bytes");
            return Err(UploadFault::Response(HttpResponse::text(400, text)));
        }
    }
    Ok(bytes)
}

fn json_part(parts: &mut Multipart<'_>, head: &PartHead) -> std::result::Result<UploadPart, UploadFault> {
    let mut json = Vec::new();
    while let Some(bytes) = parts.content()? {
        json.extend(bytes);
        if json.len() > JSON_PART_BYTES_MAX {
            return Err(UploadFault::Response(HttpResponse::text(400, "Payload error")));
        }
    }
    read_json_part(&json, head)
}

fn read_json_part(json: &[u8], head: &PartHead) -> std::result::Result<UploadPart, UploadFault> {
    let wrong = || UploadFault::Response(HttpResponse::text(400, "An error occurred processing field: json_part"));
    let kind = head.content_type.as_deref().and_then(|kind| kind.split(';').next()).unwrap_or_default();
    if !kind.trim().eq_ignore_ascii_case("application/json") {
        return Err(wrong());
    }
    let part: UploadPart = serde_json::from_slice(json).map_err(|_| wrong())?;
    // An id that no record can have is not quoted either.
    if part.file_id.as_str().len() > RecordId::BYTES_MAX { Err(wrong()) } else { Ok(part) }
}

/// A response whole in memory, for callers without streams.
pub(crate) fn whole(response: StreamedResponse) -> HttpResponse {
    let StreamedResponse { status, headers, body: mut reader } = response;
    let mut body = Vec::new();
    match reader.read_to_end(&mut body) {
        Ok(_) => HttpResponse { status, headers, body },
        Err(_) => HttpResponse { status: 500, headers: Vec::new(), body: Vec::new() },
    }
}

/// A refusal of a download: the error without an envelope.
fn bare(error: &WireError) -> StreamedResponse {
    let status = if error.is_pause() { 503 } else { 500 };
    HttpResponse::text(status, serde_json::to_string_pretty(error).unwrap_or_default()).into()
}
