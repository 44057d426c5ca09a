//! Files at central: taken from sites, kept once, given to sites (`protocol-v6` §8.5, §8.6).

use std::fs::File;
use std::io::{self, Read, Seek as _, SeekFrom, Write as _};
use std::net::IpAddr;
use std::sync::PoisonError;
use std::time::UNIX_EPOCH;

use time::OffsetDateTime;
use time::macros::format_description;

use super::caller::{Caller, Checked, Deferred, Handled, UploadHead};
use super::multipart::{Multipart, MultipartError, PartHead, boundary};
use super::{Answered, Central, Noted, Question, Refused, not_central};
use crate::apply;
use crate::changelog::Audience;
use crate::clock::Timestamp;
use crate::error::Result;
use crate::files::{
    FileStore, NewFile, ORPHAN_AGE, REFERENCES, Reference, failed, hash_file, mime_type, safe_file_name,
};
use crate::protocol::v6::{DownloadRequest, UploadPart, WireError, check_version, encode_data, encode_error};
use crate::record::{RecordId, RecordType, SiteId, SyncStyle, TableName, record_type};
use crate::storage::{FileDirection, FileEntry, FileState, ReadTxn};
use crate::transport::{HttpRequest, HttpResponse, StreamedResponse};

/// The most bytes of the part that says whose file it is.
const JSON_PART_BYTES_MAX: usize = 2 * 1024 * 1024;

/// Which way a site wants a file to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    ToCentral,
    ToSite,
}

/// What an upload has brought so far.
#[derive(Default)]
struct Upload {
    /// Which file it is, once its sender was let in.
    admitted: Option<(RecordId, Reference)>,
    /// Its bytes; `None` within where nobody needs them.
    bytes: Option<Option<NewFile>>,
    has_name: bool,
}

/// Why an upload comes to no good.
enum Stop {
    /// An answer of the protocol.
    Refused(Refused),
    /// A response that is none.
    Response(HttpResponse),
}

impl From<Refused> for Stop {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

impl From<crate::Error> for Stop {
    fn from(error: crate::Error) -> Self {
        Self::Refused(error.into())
    }
}

impl From<MultipartError> for Stop {
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
    /// The same with a folder for files. Without one, central takes and gives none.
    #[must_use]
    pub fn with_files(self, store: FileStore) -> Self {
        Self { files: Some(store), ..self }
    }

    /// Takes a file that a site brings from this address: the body is written to the disk as it is read. Never fails: what
    /// goes wrong is in the response.
    pub fn upload_file(&self, content_type: Option<&str>, body: &mut dyn Read, from: Option<IpAddr>) -> Answered {
        self.upload_for(content_type, body, Caller::at(from))
    }

    /// The same for a host that has looked at the beginning of the body before: see [`upload_head`](Self::upload_head).
    pub fn upload_for(&self, content_type: Option<&str>, body: &mut dyn Read, caller: Caller) -> Answered {
        let noted = Noted::of(caller);
        let response = match self.is_central() {
            true => self.take_file(content_type, body, &noted),
            false => not_central(),
        };
        self.activity.note(&noted, self.clock.now());
        match noted.into_handled(response) {
            Handled::Answered(answered) => answered,
            // Its beginning did not say who brings it, or its sender may not bring it now.
            _ => Noted::default().into_answered(HttpResponse::text(400, "The json_part has to come first.")),
        }
    }

    /// Looks at the beginning of an upload: who brings it. A host that asks here, and has the check made that this may need,
    /// gives no thread to an upload whose sender is not known.
    pub fn upload_head(&self, content_type: Option<&str>, beginning: &[u8], caller: Caller) -> UploadHead {
        let Some(boundary) = boundary(content_type.unwrap_or_default()) else { return UploadHead::Other };
        let noted = Noted::of(caller);
        let mut beginning = beginning;
        let mut parts = Multipart::new(boundary, &mut beginning, self.config.upload_bytes_max);
        let head = match parts.next_part() {
            Ok(Some(head)) if head.name == "json_part" => head,
            Err(MultipartError::CutOff) => return UploadHead::More,
            _ => return UploadHead::Other,
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
        let outcome = self.admit(&noted, &part.sync_v5_settings);
        match noted.deferred.take() {
            Some(Deferred::Unchecked(check)) => UploadHead::Unchecked(check),
            _ => UploadHead::Checked(Checked { credentials: part.sync_v5_settings, outcome }),
        }
    }

    pub(super) fn take_file(&self, content_type: Option<&str>, body: &mut dyn Read, noted: &Noted) -> HttpResponse {
        noted.question.set(Question::UploadFile);
        let Some(boundary) = boundary(content_type.unwrap_or_default()) else {
            return HttpResponse::text(415, "ContentTypeIncompatible");
        };
        // Whether this one is taken or not: where none is, what is left over would lie for ever.
        if let Some(store) = &self.files {
            self.sweep(store);
        }
        let mut parts = Multipart::new(boundary, body, self.config.upload_bytes_max);
        let outcome = self.receive(&mut parts, noted);
        if outcome.is_err() {
            // Whoever is still sending would take a refusal in between for a broken line.
            parts.drain();
        }
        match outcome.and_then(|upload| self.keep(upload)) {
            Ok(()) => HttpResponse::json(200, encode_data(&())),
            Err(Stop::Refused(Refused(error))) => {
                noted.refused(&error);
                HttpResponse::json(200, encode_error(&error))
            }
            Err(Stop::Response(response)) => response,
        }
    }

    fn receive(&self, parts: &mut Multipart<'_>, noted: &Noted) -> std::result::Result<Upload, Stop> {
        let mut upload = Upload::default();
        while let Some(head) = parts.next_part()? {
            match head.name.as_str() {
                "json_part" if upload.admitted.is_none() => {
                    let part = json_part(parts, &head)?;
                    let site = self.enter(noted, part.sync_v6_version, &part.sync_v5_settings, false)?;
                    let reference = self.known(site, &part.file_id, Way::ToCentral)?;
                    let reference =
                        reference.ok_or_else(|| Refused(WireError::SyncFileNotFound(part.file_id.to_string())))?;
                    upload.admitted = Some((part.file_id, reference));
                }
                "file_part" if upload.bytes.is_none() => {
                    upload.has_name = head.filename.is_some();
                    upload.bytes = Some(self.file_part(parts, upload.admitted.as_ref())?);
                }
                // Anything else is passed over.
                _ => {}
            }
        }
        Ok(upload)
    }

    fn file_part(
        &self,
        parts: &mut Multipart<'_>,
        admitted: Option<&(RecordId, Reference)>,
    ) -> std::result::Result<Option<NewFile>, Stop> {
        let is_wanted = admitted.is_none_or(|(_, reference)| !reference.is_deleted);
        let Some(store) = self.files.as_ref().filter(|_| is_wanted) else { return Ok(None) };
        let mut new = store.begin()?;
        while let Some(bytes) = parts.content()? {
            new.write_all(&bytes).map_err(|error| failed("writing to", store.folder(), error))?;
        }
        Ok(Some(new))
    }

    /// Once a day, removes what uploads left over which this server died.
    fn sweep(&self, store: &FileStore) {
        let day = i64::try_from(ORPHAN_AGE.as_millis()).unwrap_or(i64::MAX);
        let now = self.clock.now();
        let a_day_ago = Timestamp::from_unix_millis(now.unix_millis().saturating_sub(day));
        let mut swept_at = self.swept_at.lock().unwrap_or_else(PoisonError::into_inner);
        if swept_at.is_none_or(|at| at < a_day_ago || at > now) {
            *swept_at = Some(now);
            // What stays is looked at tomorrow, and no reason to refuse a file today.
            let _ = store.sweep_new(a_day_ago, now);
        }
    }

    /// Keeps what came, if it is what was announced. The same again is the same as once.
    fn keep(&self, upload: Upload) -> std::result::Result<(), Stop> {
        let missing =
            |part: &str| Stop::Response(HttpResponse::text(400, format!("Required field is missing: {part}")));
        let other = |text: &str| Stop::from(Refused(WireError::OtherServerError(text.to_owned())));
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
        let _one_at_a_time = self.keeping.lock().unwrap_or_else(PoisonError::into_inner);
        match hash_file(&store.path(&id), |_| Ok(()))? {
            Some((_, stored)) if stored == sha256 => drop(new),
            Some((bytes, stored)) if reference.fault_of(bytes, &stored).is_none() => {
                return Err(other("The file was not taken: another one came under this id before"));
            }
            // There is none, or it is damaged.
            _ => new.keep(store, &id)?,
        }
        Ok(self.note_file(&id, &reference, length, sha256)?)
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

    /// What is known of a file, if this site may know: of a record of another site's store it may not (weak point D3).
    fn known(&self, site: SiteId, id: &RecordId, way: Way) -> Result<Option<Reference>> {
        let txn = self.storage.read()?;
        let reference = txn.record(&TableName::from(REFERENCES), id)?.as_ref().and_then(Reference::read);
        match reference {
            Some(reference) if is_for(txn.as_ref(), site, &reference, way)? => Ok(Some(reference)),
            _ => Ok(None),
        }
    }

    /// Gives a file, or a part of it, to a site that asks from this address. Never fails: what goes wrong is in the response.
    pub fn download_file(&self, request: &HttpRequest, from: Option<IpAddr>) -> Answered<StreamedResponse> {
        let noted = Noted::of(Caller::at(from));
        let response = self.give_if_central(request, &noted);
        noted.into_answered(response)
    }

    /// The same for a host that has slow checks of credentials made elsewhere, or lets sites wait for their turn.
    pub fn download_for(&self, request: &HttpRequest, caller: Caller) -> Handled<StreamedResponse> {
        let noted = Noted::of(caller);
        let response = self.give_if_central(request, &noted);
        noted.into_handled(response)
    }

    fn give_if_central(&self, request: &HttpRequest, noted: &Noted) -> StreamedResponse {
        let response = match self.is_central() {
            true => self.give_file(request, noted),
            false => not_central().into(),
        };
        self.activity.note(noted, self.clock.now());
        response
    }

    pub(super) fn give_file(&self, request: &HttpRequest, noted: &Noted) -> StreamedResponse {
        noted.question.set(Question::DownloadFile);
        let question: DownloadRequest = match self.read(request) {
            Ok(question) => question,
            Err(response) => return response.into(),
        };
        let refused = match self.find_file(&question, noted) {
            Ok(Some((name, file))) => match give(request, &name, file) {
                Ok(response) => return response,
                Err(error) => WireError::from(failed("reading", std::path::Path::new(&name), error)),
            },
            Ok(None) => WireError::OtherServerError("File not found".to_owned()),
            Err(Refused(error)) => error,
        };
        noted.refused(&refused);
        bare(&refused)
    }

    fn find_file(
        &self,
        question: &DownloadRequest,
        noted: &Noted,
    ) -> std::result::Result<Option<(String, File)>, Refused> {
        let site = self.enter(noted, question.sync_v6_version, &question.sync_v5_settings, false)?;
        let is_meant =
            |reference: &Reference| reference.table == question.table_name && reference.record_id == question.record_id;
        let reference = self.known(site, &question.id, Way::ToSite)?.filter(is_meant);
        let (Some(store), Some(reference)) = (&self.files, reference) else { return Ok(None) };
        let path = store.path(&question.id);
        match File::open(&path) {
            Ok(file) => Ok(Some((reference.file_name, file))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed("opening", &path, error).into()),
        }
    }
}

impl From<crate::Error> for WireError {
    fn from(error: crate::Error) -> Self {
        Refused::from(error).0
    }
}

/// Whether a site may have the file of this reference: as the record that it belongs to. Of one that central does not
/// hold, as a document of the legacy server's, it cannot be said.
fn is_for(txn: &dyn ReadTxn, site: SiteId, reference: &Reference, way: Way) -> Result<bool> {
    // What is the legacy server's is given out by its own rules, which are not known here.
    let ours = |kind: &&RecordType| kind.style != SyncStyle::Legacy;
    let Some(kind) = record_type(reference.table.as_str()).filter(ours) else { return Ok(true) };
    let Some(data) = txn.record(&reference.table, &reference.record_id)? else { return Ok(true) };
    let stores = txn.stores_of_site(site)?;
    let (store, name) = apply::scope(txn, &reference.table, &data)?;
    match Audience::of(kind.style, kind.table, store.as_ref(), name.as_ref()) {
        Audience::Everyone | Audience::Legacy => Ok(true),
        Audience::Store(store) => Ok(stores.contains(&store)),
        Audience::Patient => name.map_or(Ok(false), |name| txn.is_visible(&name, &stores)),
        // It went to central and goes nowhere from there.
        Audience::Nobody => Ok(way == Way::ToCentral),
    }
}

fn json_part(parts: &mut Multipart<'_>, head: &PartHead) -> std::result::Result<UploadPart, Stop> {
    let mut json = Vec::new();
    while let Some(bytes) = parts.content()? {
        json.extend(bytes);
        if json.len() > JSON_PART_BYTES_MAX {
            return Err(Stop::Response(HttpResponse::text(400, "Payload error")));
        }
    }
    read_json_part(&json, head)
}

fn read_json_part(json: &[u8], head: &PartHead) -> std::result::Result<UploadPart, Stop> {
    let wrong = || Stop::Response(HttpResponse::text(400, "An error occurred processing field: json_part"));
    let kind = head.content_type.as_deref().and_then(|kind| kind.split(';').next()).unwrap_or_default();
    if !kind.trim().eq_ignore_ascii_case("application/json") {
        return Err(wrong());
    }
    let part: UploadPart = serde_json::from_slice(json).map_err(|_| wrong())?;
    // An id that no record can have is not quoted either.
    if part.file_id.as_str().len() > RecordId::BYTES_MAX { Err(wrong()) } else { Ok(part) }
}

/// A response whole in memory, for whoever asks without a stream.
pub(super) fn whole(response: StreamedResponse) -> HttpResponse {
    let StreamedResponse { status, headers, body: mut reader } = response;
    let mut body = Vec::new();
    match reader.read_to_end(&mut body) {
        Ok(_) => HttpResponse { status, headers, body },
        Err(_) => HttpResponse { status: 500, headers: Vec::new(), body: Vec::new() },
    }
}

/// A refusal of a download: the error without an envelope.
fn bare(error: &WireError) -> StreamedResponse {
    HttpResponse::text(500, serde_json::to_string_pretty(error).unwrap_or_default()).into()
}

/// The bytes of a file, or those that the request names.
fn give(request: &HttpRequest, name: &str, mut file: File) -> io::Result<StreamedResponse> {
    let metadata = file.metadata()?;
    let total = metadata.len();
    let written = metadata.modified()?;
    let nanos = written.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
    let etag = format!("\"{total:x}-{nanos:x}\"");
    let mut headers = vec![("etag".to_owned(), etag.clone()), ("accept-ranges".to_owned(), "bytes".to_owned())];
    let date =
        format_description!("[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT");
    if let Ok(date) = OffsetDateTime::from(written).format(date) {
        headers.push(("last-modified".to_owned(), date));
    }
    let nothing = |status: u16, headers| Ok(StreamedResponse { status, headers, body: Box::new(io::empty()) });
    let names = |header: &str| {
        request.header(header).map(|tags| tags.trim() == "*" || tags.split(',').any(|tag| tag.trim() == etag))
    };
    if names("if-match") == Some(false) {
        return nothing(412, headers);
    }
    if names("if-none-match") == Some(true) {
        return nothing(304, headers);
    }
    let (status, from, to) = match request.header("range").map(|range| wanted(range, total)) {
        None | Some(Wanted::Whole) => (200, 0, total),
        Some(Wanted::Part(from, to)) => {
            headers.push(("content-range".to_owned(), format!("bytes {from}-{}/{total}", to - 1)));
            (206, from, to)
        }
        Some(Wanted::Nothing) => {
            headers.push(("content-range".to_owned(), format!("bytes */{total}")));
            return nothing(416, headers);
        }
    };
    let name = safe_file_name(name);
    headers.push(("content-type".to_owned(), content_type(&name)));
    headers.push(("content-disposition".to_owned(), disposition(&name)));
    headers.push(("content-length".to_owned(), (to - from).to_string()));
    file.seek(SeekFrom::Start(from))?;
    Ok(StreamedResponse { status, headers, body: Box::new(file.take(to - from)) })
}

enum Wanted {
    Whole,
    Part(u64, u64),
    Nothing,
}

/// A single range of bytes; several, and what is none, count as not said.
fn wanted(range: &str, total: u64) -> Wanted {
    let span = range.trim().strip_prefix("bytes=").and_then(|span| span.trim().split_once('-'));
    let Some((first, last)) = span else { return Wanted::Whole };
    let (from, to) = match (first.trim().parse::<u64>(), last.trim().parse::<u64>()) {
        (Ok(from), Ok(last)) if last >= from => (from, last.saturating_add(1).min(total)),
        (Ok(from), Err(_)) if last.trim().is_empty() => (from, total),
        (Err(_), Ok(back)) if first.trim().is_empty() => (total.saturating_sub(back), total),
        _ => return Wanted::Whole,
    };
    if from < to { Wanted::Part(from, to) } else { Wanted::Nothing }
}

fn content_type(name: &str) -> String {
    match mime_type(name) {
        Some(kind) if kind.starts_with("text/") => format!("{kind}; charset=utf-8"),
        Some(kind) => kind.to_owned(),
        None => "application/octet-stream".to_owned(),
    }
}

fn disposition(name: &str) -> String {
    let plain: String = name.chars().map(|c| if c.is_ascii() { c } else { '_' }).collect();
    let mut text = format!("inline; filename=\"{plain}\"");
    if plain != name {
        let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~".contains(byte);
        let escape = |byte: u8| if is_plain(&byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
        text.push_str("; filename*=UTF-8''");
        text.extend(name.bytes().map(escape));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        for (range, expected) in [
            ("bytes=10-", Some((10, 26))),
            ("bytes=0-0", Some((0, 1))),
            ("bytes=10-99", Some((10, 26))),
            ("bytes=-5", Some((21, 26))),
            ("bytes=-99", Some((0, 26))),
            ("bytes=25-25", Some((25, 26))),
        ] {
            let Wanted::Part(from, to) = wanted(range, 26) else { panic!("{range}") };
            assert_eq!(Some((from, to)), expected, "{range}");
        }
        for range in ["bytes=26-", "bytes=99-100", "bytes=-0"] {
            assert!(matches!(wanted(range, 26), Wanted::Nothing), "{range}");
        }
        for range in ["bytes=5-3", "bytes=0-1,3-4", "lines=1-2", "bytes=x-y", "bytes=-", ""] {
            assert!(matches!(wanted(range, 26), Wanted::Whole), "{range}");
        }
        assert!(matches!(wanted("bytes=0-", 0), Wanted::Nothing));
    }

    #[test]
    fn names_in_headers() {
        assert_eq!(disposition("a photo.txt"), "inline; filename=\"a photo.txt\"");
        assert_eq!(disposition("é.txt"), "inline; filename=\"_.txt\"; filename*=UTF-8''%C3%A9.txt");
    }
}
