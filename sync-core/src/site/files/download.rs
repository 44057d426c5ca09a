//! A download from central: streamed to an unnamed part, resumed after interruptions, compared with the reference, and
//! only then named (`protocol-v6` §8.6).

use std::io::{Read as _, Write as _};
use std::time::Duration;

use super::upload::buffered;
use super::{FileTransfers, TransferFault, TransferResult, failed, tell_bytes};
use crate::address::shown;
use crate::error::{Error, Result};
use crate::files::{PIECE, Retry, hash_file, length};
use crate::protocol::v6::{DownloadRequest, V6_VERSION, WireError, path};
use crate::record::TableName;
use crate::record::file_reference::{Reference, TABLE as REFERENCES};
use crate::site::answer::{common_status, foreign_answer, not_central, stated_by_central, wire_error};
use crate::site::client::{join, to_json};
use crate::site::sizing::{TransferKind, may_be_the_size};
use crate::storage::{FileDirection, FileEntry, FileState};
use crate::transport::{HttpRequest, HttpResponse, Method, StreamedResponse, TransportError};

/// The most bytes of a file of unknown length: the largest length that a reference can hold.
const UNKNOWN_BYTES_MAX: u64 = i32::MAX as u64;

/// The smallest range of a file to ask for.
const RANGE_MIN: u64 = 4096;

/// After so many bytes of a broken answer, the rest is asked for at once; after fewer, or a timeout, with the next try.
const GOT_ON: u64 = 1024;

/// Central's answer to a request for a file.
enum DownloadAnswer {
    /// These bytes from this position on, of so many in all if it said that.
    Bytes { from: u64, total: Option<u64>, etag: Option<String>, response: StreamedResponse },
    /// The part here does not belong to its file.
    StartAnew,
    /// It has no such file, or not yet.
    NotThere,
}

impl FileTransfers<'_> {
    pub(super) fn download(&mut self, entry: &FileEntry) -> Result<TransferResult, TransferFault> {
        let record = self.site.storage.read()?.record(&TableName::from(REFERENCES), &entry.id)?;
        let reference = record.as_ref().and_then(Reference::read).ok_or(TransferFault::Gone)?;
        if self.files.store.length(&entry.id)?.is_some()
            && let Some(moved) = self.adopt(entry, &reference)?
        {
            return Ok(moved);
        }
        let part = self.files.store.part(&entry.id);
        let most = reference.bytes.unwrap_or(UNKNOWN_BYTES_MAX);
        let mut have = match &entry.etag {
            Some(_) => length(&part)?.unwrap_or(0),
            None => 0,
        };
        if have > most {
            have = 0;
        }
        if have == 0 || Some(have) != reference.bytes {
            self.fetch_rest(entry, have, most)?;
        }
        self.compare_and_name(entry, &reference)
    }

    /// Fetches a file that should be sent and is missing or changed here: central has it if only its answer was lost.
    pub(super) fn bring_back(&mut self, entry: &FileEntry, reason: String) -> Result<TransferResult, TransferFault> {
        match self.download(entry) {
            Err(TransferFault::File(..)) => Err(TransferFault::Spoilt(reason)),
            moved => moved,
        }
    }

    /// Fetches the rest of a part, or the whole file: in one request, or in ranges if the line has broken before.
    fn fetch_rest(&mut self, entry: &FileEntry, have: u64, most: u64) -> Result<(), TransferFault> {
        let (mut have, mut etag) = (have, entry.etag.clone());
        loop {
            let range = self.range(most.saturating_sub(have));
            let mut answered = match self.ask(entry, (have, etag.as_deref()), range) {
                Err(TransferFault::Common(error)) if may_be_the_size(&error) => {
                    self.answer_broke(range.unwrap_or(most.saturating_sub(have)), error)?;
                    continue;
                }
                answered => answered?,
            };
            if matches!(answered, DownloadAnswer::StartAnew) {
                self.files.store.drop_part(&entry.id)?;
                answered = self.ask(entry, (0, None), None)?;
            }
            let (from, total, new_etag, response) = match answered {
                DownloadAnswer::Bytes { from, total, etag, response } => (from, total, etag, response),
                DownloadAnswer::NotThere => {
                    return Err(TransferFault::File("central does not have it yet".to_owned(), Retry::Soon));
                }
                DownloadAnswer::StartAnew => {
                    return Err(TransferFault::File("central gives no beginning of it".to_owned(), Retry::Soon));
                }
            };
            if total.is_some_and(|total| total > most) {
                return Err(self.wrong(entry, "it is longer than announced".to_owned()));
            }
            etag = new_etag;
            // Stored before the first byte, because the part can only be resumed with it.
            if !self.files.change(&entry.id, |entry| entry.etag.clone_from(&etag))? {
                return Err(TransferFault::Gone);
            }
            let is_part = response.status == 206;
            let done = match self.keep_bytes(entry, (from, most), total, response) {
                Err(TransferFault::Common(error)) if may_be_the_size(&error) => {
                    let came = self.range_broke(entry, (from, total.unwrap_or(most)))?;
                    if came < GOT_ON || matches!(error, Error::TimedOut { .. }) {
                        return Err(error.into());
                    }
                    // The line carries so much at a time: the next request asks for what it carries.
                    have = from.saturating_add(came);
                    continue;
                }
                done => done?,
            };
            match (range, total) {
                (Some(range), Some(total)) if is_part && done > have && done < total => {
                    self.sizes.passed(TransferKind::Download, range, Duration::ZERO, &self.site.config);
                    have = done;
                }
                // The length is unknown: more may follow after a complete range.
                (Some(range), None) if is_part && done == have.saturating_add(range) => have = done,
                (_, Some(total)) if done < total => {
                    return Err(self.line(TransportError::CutOff(format!("{done} of {total} bytes came").into())));
                }
                _ => return Ok(()),
            }
        }
    }

    /// The number of bytes to ask for of so many missing ones; all of them on a line that has not broken.
    fn range(&mut self, missing: u64) -> Option<u64> {
        if !self.sizes.is_limited(TransferKind::Download) {
            return None;
        }
        let size = self.sizes.size(TransferKind::Download, &self.site.config).max(RANGE_MIN);
        (size < missing).then_some(size)
    }

    /// Records that no answer came, or only that of a proxy, where so many bytes were wanted. The next request asks for
    /// fewer at once, but not after a timeout, which is expensive: then the next turn does.
    ///
    /// # Errors
    /// The error, if fewer are not asked for now.
    fn answer_broke(&mut self, wanted: u64, error: Error) -> Result<(), TransferFault> {
        if wanted <= RANGE_MIN {
            self.sizes.gave_up(TransferKind::Download);
            return Err(error.into());
        }
        self.sizes.broke(TransferKind::Download, wanted, &self.site.config);
        match error {
            Error::ServerTrouble { .. } => Ok(()),
            error => Err(error.into()),
        }
    }

    /// Records that the line broke before all bytes up to here had come. It carries the part that came. Returns the number
    /// of bytes of that.
    fn range_broke(&mut self, entry: &FileEntry, (from, total): (u64, u64)) -> Result<u64> {
        let came = length(&self.files.store.part(&entry.id))?.unwrap_or(0).saturating_sub(from);
        let wanted = total.saturating_sub(from);
        if wanted > RANGE_MIN {
            let used = if came > 0 { wanted.min(came.saturating_mul(2).max(2 * RANGE_MIN)) } else { wanted };
            self.sizes.broke(TransferKind::Download, used, &self.site.config);
        }
        Ok(came)
    }

    /// Appends received bytes to the part. Returns its new length.
    fn keep_bytes(
        &mut self,
        entry: &FileEntry,
        (from, most): (u64, u64),
        total: Option<u64>,
        mut response: StreamedResponse,
    ) -> Result<u64, TransferFault> {
        let mut file = self.files.store.open_part(&entry.id, from == 0)?;
        let (mut done, mut piece) = (from, vec![0; PIECE]);
        let began = self.site.clock.monotonic();
        loop {
            let read = self.watched(|_| response.body.read(&mut piece));
            if planted!(FileNamedTooSoon) && read.is_err() {
                self.files.store.finish_part(&entry.id)?;
            }
            let read = read.map_err(|error| self.line(TransportError::of_body(error)))?;
            if read == 0 {
                return Ok(done);
            }
            done += read as u64;
            self.report.bytes_received += read as u64;
            if done > most {
                return Err(self.wrong(entry, format!("it is longer than announced: more than {most} bytes")));
            }
            if let Err(error) = file.write_all(&piece[..read]) {
                let error = failed("writing", &self.files.store.part(&entry.id), error);
                if matches!(error, Error::DiskFull { .. }) {
                    // A part that fills the disk would block every other file, and the database.
                    self.files.store.drop_part(&entry.id)?;
                }
                return Err(error.into());
            }
            let took = self.site.clock.monotonic().saturating_sub(began);
            tell_bytes(self.observer, (done, total.unwrap_or(most)), (done - from, took))?;
            // On a fast line the limits are otherwise not checked.
            if !self.time.goes_on(self.site.clock.monotonic()) {
                return Err(Error::Cancelled.into());
            }
        }
    }

    /// Asks for the bytes from `have` on, at most as many as `range` says.
    fn ask(
        &mut self,
        entry: &FileEntry,
        (have, etag): (u64, Option<&str>),
        range: Option<u64>,
    ) -> Result<DownloadAnswer, TransferFault> {
        let body = to_json(&DownloadRequest {
            table_name: entry.table.clone(),
            record_id: entry.record_id.clone(),
            id: entry.id.clone(),
            sync_v5_settings: self.identity.credentials(),
            sync_v6_version: V6_VERSION,
        })?;
        let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let mut headers = vec![header("content-type", "application/json"), header("accept-encoding", "identity")];
        if have > 0 || range.is_some() {
            let last = range.map_or(String::new(), |range| (have.saturating_add(range) - 1).to_string());
            headers.push(header("range", &format!("bytes={have}-{last}")));
        }
        if have > 0 && !planted!(ResumeWithoutMatch) {
            headers.extend(etag.map(|etag| header("if-match", etag)));
        }
        let url = join(&self.central, path::DOWNLOAD_FILE);
        let request = HttpRequest { method: Method::Post, url, headers, body };
        let response = self.stream(&request).map_err(|error| self.line(error))?;
        let etag = response.header("etag").map(str::to_owned);
        let number = |text: &str| text.trim().parse::<u64>().ok();
        match response.status {
            // A log-in page of a network, or a proxy: central always sends both headers.
            200 if etag.is_none() && response.header("content-disposition").is_none() => {
                let page = self.watched(|_| buffered(response)).map_err(|error| self.line(error))?;
                Err(not_central(&page, &shown(&self.central)).into())
            }
            200 => {
                let total = response.header("content-length").and_then(number);
                Ok(DownloadAnswer::Bytes { from: 0, total, etag, response })
            }
            206 => {
                // The range in its answer counts: it may differ from the requested one.
                let range = response.header("content-range").and_then(|range| range.trim().strip_prefix("bytes "));
                let parts = range.and_then(|range| range.split_once('/'));
                let from = parts.and_then(|(span, _)| number(span.split('-').next()?));
                let total = parts.and_then(|(_, total)| number(total));
                match from {
                    Some(from) if from == have => Ok(DownloadAnswer::Bytes { from, total, etag, response }),
                    _ => Ok(DownloadAnswer::StartAnew),
                }
            }
            412 | 416 if have > 0 || range.is_some() => Ok(DownloadAnswer::StartAnew),
            _ => {
                let answer = self.watched(|_| buffered(response)).map_err(|error| self.line(error))?;
                self.refusal(&answer)
            }
        }
    }

    /// The error of a download is the bare error value, with a meaningless status; other servers may put it into an envelope.
    fn refusal(&self, response: &HttpResponse) -> Result<DownloadAnswer, TransferFault> {
        let url = shown(&self.central);
        match stated_by_central(response) {
            Some(WireError::OtherServerError(text)) if text.starts_with("File not found") => {
                Ok(DownloadAnswer::NotThere)
            }
            Some(WireError::SyncFileNotFound(_)) => Ok(DownloadAnswer::NotThere),
            Some(error) => Err(wire_error(error, &url, &self.identity).into()),
            None if response.status == 404 => Ok(DownloadAnswer::NotThere),
            None if response.status == 405 => Err(Error::NotCentral { url }.into()),
            None => {
                common_status(response, crate::error::Server::Central, &url, &self.identity)?;
                Err(TransferFault::File(format!("central answered with {}", foreign_answer(response)), Retry::Soon))
            }
        }
    }

    fn compare_and_name(&mut self, entry: &FileEntry, reference: &Reference) -> Result<TransferResult, TransferFault> {
        let part = self.files.store.part(&entry.id);
        let Some((bytes, sha256)) =
            hash_file(&part, |done| tell_bytes(self.observer, (done, done), (0, Duration::ZERO)))?
        else {
            return Err(TransferFault::File("the received part is no longer there".to_owned(), Retry::Soon));
        };
        if let Some(fault) = reference.fault_of(bytes, &sha256) {
            return Err(self.wrong(entry, fault));
        }
        self.files.store.finish_part(&entry.id)?;
        self.is_here(entry, bytes, sha256)?;
        self.report.downloaded += 1;
        Ok(TransferResult::Whole)
    }

    fn is_here(&self, entry: &FileEntry, bytes: u64, sha256: String) -> Result<(), TransferFault> {
        let done = self.files.change(&entry.id, |entry| {
            (entry.state, entry.next_at, entry.attempts, entry.reason) = (FileState::Done, None, 0, None);
            (entry.bytes, entry.sha256, entry.etag) = (Some(bytes), Some(sha256), None);
        })?;
        if !done {
            self.files.store.remove(&entry.id)?;
            return Err(TransferFault::Gone);
        }
        Ok(())
    }

    /// The received bytes are not the file: nothing of it is kept.
    fn wrong(&self, entry: &FileEntry, reason: String) -> TransferFault {
        match self.files.store.drop_part(&entry.id) {
            Ok(()) => TransferFault::File(reason, Retry::Soon),
            Err(error) => error.into(),
        }
    }

    /// The bytes are here already, as after a database was created or restored beside its folder, or where somebody asked
    /// whether central has them. If it has, nothing is to do; otherwise they are sent.
    fn adopt(&mut self, entry: &FileEntry, reference: &Reference) -> Result<Option<TransferResult>, TransferFault> {
        let local = self.files.store.path(&entry.id);
        let Some((bytes, sha256)) =
            hash_file(&local, |done| tell_bytes(self.observer, (done, done), (0, Duration::ZERO)))?
        else {
            return Ok(None);
        };
        if reference.fault_of(bytes, &sha256).is_some() {
            return Ok(None);
        }
        match self.ask(entry, (0, None), None)? {
            // The body of its answer is not read.
            DownloadAnswer::Bytes { .. } => {
                self.is_here(entry, bytes, sha256)?;
                Ok(Some(TransferResult::Whole))
            }
            DownloadAnswer::StartAnew | DownloadAnswer::NotThere => {
                let direction = FileDirection::Upload;
                let (bytes, sha256) = (Some(bytes), Some(sha256));
                self.files.change(&entry.id, |entry| {
                    (entry.direction, entry.bytes, entry.sha256) = (direction, bytes, sha256.clone());
                })?;
                self.upload(&FileEntry { direction, bytes, sha256, ..entry.clone() }).map(Some)
            }
        }
    }
}
