//! Files on their way: cut at any byte, with bytes that come as others, twice, late or never, and other things happening
//! meanwhile.

use std::io::{self, Read};
use std::sync::Weak;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use serde_json::Value;
use sync_core::clock::Clock as _;
use sync_core::protocol::v6::path;
use sync_core::transport::{HttpRequest, HttpResponse, StreamedBody, StreamedResponse, TransportError};

use super::FilesHalf;
use crate::lock;
use crate::promises::{Promise, shown};
use crate::run::{Chance, Phase, Sim, Spot};
use crate::swarm::Fault;
use crate::world::ADDRESS;

/// Whether a request brings a file or asks for one.
pub(crate) fn is_of_a_file(request: &HttpRequest) -> bool {
    request.url.ends_with(path::UPLOAD_FILE) || request.url.ends_with(path::DOWNLOAD_FILE)
}

impl Sim {
    /// Sends the request of a file, and its body as that is read.
    pub(crate) fn stream(
        &self,
        half: &FilesHalf,
        site: usize,
        request: &HttpRequest,
        body: Option<StreamedBody<'_>>,
    ) -> Result<StreamedResponse, TransportError> {
        let millis = 1 + self.roll(Chance::Faults, usize::try_from(self.swarm.latency).unwrap_or(1));
        self.time.pass(Duration::from_millis(millis as u64));
        self.meanwhile(Spot::Request, site);
        if let Some(error) = self.unreachable(site, request) {
            self.note(|| format!("site {site} cannot send {request:?}: {error}"));
            return Err(error);
        }
        if self.strikes(Fault::RequestLost) {
            self.note(|| format!("site {site}: lost on its way: {request:?}"));
            return Err(self.broken_line());
        }
        let mut whole = request.clone();
        if let Some(body) = body
            && let Err(error) = self.send_body(half, site, body, &mut whole.body)
        {
            // What went out arrives, and no end of it.
            self.note(|| format!("site {site}: cut after {} bytes of {request:?}: {error}", whole.body.len()));
            let _ = self.deliver_file(half, site, &whole);
            return Err(error);
        }
        if is_upload(request) && !whole.body.is_empty() && self.garbles(half, request) {
            let at = self.roll(Chance::Files, whole.body.len());
            whole.body[at] ^= 1;
            self.note(|| format!("site {site}: byte {at} of {request:?} comes as another one"));
        }
        if self.strikes(Fault::DeliveredLate) {
            self.keep_late(site, &whole);
        }
        if let Some(response) = self.proxy_answer(site, request) {
            self.note(|| format!("site {site}: status {} from a proxy to {request:?}", response.status));
            return Ok(response.into());
        }
        let died = || TransportError::Broken("central died".into());
        let mut response = self.deliver_file(half, site, &whole).ok_or_else(died)?;
        if self.strikes(Fault::DeliveredTwice) {
            self.note(|| format!("site {site}: delivered twice: {request:?}"));
            let _ = self.deliver_file(half, site, &whole);
        }
        self.meanwhile(Spot::Request, site);
        if self.strikes(Fault::ResponseLost) {
            self.note(|| format!("site {site}: its answer was lost: {request:?}"));
            return Err(self.broken_line());
        }
        let length = response.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        let cut =
            (self.strikes(Fault::CutOff) || self.strikes(Fault::CutJson)).then(|| self.roll(Chance::Files, length));
        let cut = cut.or(self.breaks_file_after(length, false));
        let garbled = self.garbles(half, request).then(|| self.roll(Chance::Files, length));
        let body = std::mem::replace(&mut response.body, Box::new(io::empty()));
        let piece = half.swarm.piece;
        response.body = Box::new(Down { sim: self.me.clone(), site, body, piece, at: 0, cut, garbled });
        Ok(response)
    }

    /// Whether a byte comes as another one. Nobody could tell of a file without a hash.
    fn garbles(&self, half: &FilesHalf, request: &HttpRequest) -> bool {
        let is_foreign = || {
            let id = file_id(request);
            id.is_some_and(|id| lock(&half.book).files.get(&id).is_some_and(|file| file.is_foreign))
        };
        lock(&self.state).phase == Phase::Chaos && self.happens(Chance::Files, half.swarm.garbled) && !is_foreign()
    }

    /// Reads a body that is sent, until it ends, fails or the line breaks.
    fn send_body(
        &self,
        half: &FilesHalf,
        site: usize,
        body: StreamedBody<'_>,
        sent: &mut Vec<u8>,
    ) -> Result<(), TransportError> {
        let announced = usize::try_from(body.length).unwrap_or(usize::MAX);
        let cut = self.strikes(Fault::CutOff).then(|| self.roll(Chance::Files, announced));
        let cut = cut.or(self.breaks_file_after(announced, true));
        let mut piece = vec![0; half.swarm.piece];
        loop {
            if cut.is_some_and(|cut| sent.len() >= cut) {
                sent.truncate(cut.unwrap_or(0));
                return Err(self.broken_line());
            }
            let read = body.reader.read(&mut piece).map_err(|error| TransportError::Broken(error.into()))?;
            if read == 0 {
                break;
            }
            self.carry_piece(site, read, true)?;
            sent.extend_from_slice(&piece[..read]);
            self.meanwhile(Spot::Request, site);
        }
        if sent.len() != announced {
            let what = format!("site {site} announced {announced} bytes of an upload, and sent {}", sent.len());
            self.violate(Promise::ErrorsAreSaid, what);
        }
        Ok(())
    }

    /// Hands the request of a file to central; nothing if that is down, dies of it, or would wait for itself.
    pub(crate) fn deliver_file(
        &self,
        half: &FilesHalf,
        site: usize,
        request: &HttpRequest,
    ) -> Option<StreamedResponse> {
        let brings = is_upload(request);
        if self.ends[0].is_down() || (brings && half.keeping.load(Relaxed)) {
            return None;
        }
        let central = lock(&self.state).central.clone()?;
        let mut received = request.clone();
        received.url = request.url.strip_prefix(ADDRESS).unwrap_or(&request.url).to_owned();
        lock(&self.state).answering += 1;
        if brings {
            lock(&half.book).brought_at = Some(self.ends[0].clock.now());
        }
        let response = if brings {
            let mut body = Up { sim: self, half, site, rest: &request.body };
            let answered = central.upload_file(received.header("content-type"), &mut body, None);
            half.keeping.store(false, Relaxed);
            self.check_taken(half, request, &answered.response);
            answered.response.into()
        } else {
            let response = central.download_file(&received, None).response;
            self.check_given(half, site, request, response.status);
            response
        };
        lock(&self.state).answering -= 1;
        half.stamp(self, 0);
        self.note(|| {
            let (id, length) = (file_id(request), response.header("content-length").unwrap_or("no"));
            let range = request.header("range").unwrap_or("all");
            format!(
                "site {site} {request:?} ({id:?}, {range}, {} bytes) -> {} with {length} bytes",
                request.body.len(),
                response.status
            )
        });
        self.check_folder(half, 0);
        (!self.notice_crash(0)).then_some(response)
    }

    /// What central says that it took is there, in the very bytes.
    fn check_taken(&self, half: &FilesHalf, request: &HttpRequest, response: &HttpResponse) {
        let answer: Value = serde_json::from_slice(&response.body).unwrap_or_default();
        let (true, Some(id)) = (response.status == 200 && answer.get("error").is_none(), file_id(request)) else {
            return;
        };
        if !self.is_live_at(0, &id) {
            // Deleted: accepted and forgotten.
            return;
        }
        if half.is_whole_at(0, &id) {
            lock(&half.book).taken.insert(id);
        } else {
            self.violate(Promise::FilesAreKept, format!("central says that it took {id}, and does not have it whole"));
        }
    }

    /// Central gives a site no file of a record that never was for it.
    fn check_given(&self, half: &FilesHalf, site: usize, request: &HttpRequest, status: u16) {
        let Some(id) = file_id(request).filter(|_| matches!(status, 200 | 206)) else { return };
        let Some(record) = lock(&half.book).files.get(&id).map(|file| file.record.clone()) else { return };
        let storage = self.ends[0].process().raw;
        let is_known = storage
            .read()
            .and_then(|txn| txn.has_record(&record.0.as_str().into(), &record.1.as_str().into()))
            .unwrap_or(false);
        if is_known && !lock(&self.ledger).was_for(site, &record) {
            let what = format!("site {site} was given {id} of {}, which never was for it", shown(&record));
            self.violate(Promise::OnlyOnesOwnArrives, what);
        }
    }
}

fn is_upload(request: &HttpRequest) -> bool {
    request.url.ends_with(path::UPLOAD_FILE)
}

/// Which file a request is about.
fn file_id(request: &HttpRequest) -> Option<String> {
    let text = String::from_utf8_lossy(&request.body);
    let key = if is_upload(request) { "\"file_id\":\"" } else { "\"id\":\"" };
    let rest = text.split_once(key)?.1;
    rest.split_once('"').map(|(id, _)| id.to_owned())
}

/// A body as it comes to central.
struct Up<'a> {
    sim: &'a Sim,
    half: &'a FilesHalf,
    site: usize,
    rest: &'a [u8],
}

impl Read for Up<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let most = into.len().min(self.half.swarm.piece);
        let read = self.rest.read(&mut into[..most])?;
        if self.rest.is_empty() {
            // From here on central may hold what only one can hold.
            self.half.keeping.store(true, Relaxed);
        } else {
            // A stranger has no end of its own: what happens meanwhile happens at central.
            let end = if self.site < self.sim.ends.len() { self.site } else { 0 };
            self.sim.meanwhile(Spot::Request, end);
        }
        Ok(read)
    }
}

/// A body as it comes to a site.
struct Down {
    sim: Weak<Sim>,
    site: usize,
    body: Box<dyn Read + Send>,
    piece: usize,
    at: usize,
    cut: Option<usize>,
    garbled: Option<usize>,
}

impl Read for Down {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let most = into.len().min(self.piece).min(self.cut.map_or(usize::MAX, |cut| cut - self.at));
        if most == 0 && !into.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let read = self.body.read(&mut into[..most])?;
        if let Some(garbled) = self.garbled.filter(|garbled| (self.at..self.at + read).contains(garbled)) {
            into[garbled - self.at] ^= 1;
        }
        self.at += read;
        if let Some(sim) = self.sim.upgrade().filter(|_| read > 0) {
            if sim.carry_piece(self.site, read, false).is_err() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            sim.meanwhile(Spot::Request, self.site);
        }
        Ok(read)
    }
}
