//! Files over HTTP: bodies pass in pieces in both directions, and are never whole in memory. A file has no time limit
//! while bytes move.

use std::io::{self, Read};
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::header;
use axum::http::request::Parts;
use sync_core::central::{Caller, Central, Checked, Handled, UploadHead};
use sync_core::protocol::v6::path;
use sync_core::transport::{HttpRequest, HttpResponse, StreamedResponse};
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use crate::app::App;
use crate::body::{BodyRefusal, Receiving};
use crate::budget::{Owner, Share, Trust};
use crate::connection::Peer;
use crate::file_body::{OutgoingFile, PIECES};
use crate::reply::{Reply, broken, not_taken};
use crate::visit::{RequestPurpose, Visit};
use crate::work::LARGE;

/// True if a request uploads a file.
pub(super) fn is_upload(head: &Parts) -> bool {
    head.method == "PUT" && head.uri.path().trim_start_matches('/') == path::UPLOAD_FILE
}

/// True if a request downloads a file.
pub(super) fn is_download(head: &Parts) -> bool {
    head.method == "POST" && head.uri.path().trim_start_matches('/') == path::DOWNLOAD_FILE
}

/// The most bytes before the sender of a file must be known.
const BEGINNING_MAX: usize = 3 * 1024 * 1024;
/// The most bytes of a refused file that are read anyway, so that its sender reads the answer.
const THROWN_AWAY: usize = 64 * 1024 * 1024;
/// How many times the patience a client has until its sender is known.
const INTRODUCTION: u32 = 4;

/// The received part of a file before its sender is known.
struct PartBeforeSignIn {
    bytes: Arc<Vec<u8>>,
    receiving: Receiving,
    /// The body is complete.
    is_all: bool,
}

/// Receives a file from a site. Until its sender is known, it has no thread, no place and nothing on the disk.
pub(super) async fn upload(app: &Arc<App>, peer: &Peer, head: &Parts, mut body: Body) -> Reply {
    let (from, patience) = (app.client(peer, &head.headers), app.options.patience);
    let content_type: Option<Arc<str>> =
        head.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).map(Into::into);
    let refused = |why: BodyRefusal| not_taken(&why, &head.headers, app.central.config().json_bytes_max);
    let visit = Visit::new(app, &peer.connection, from, RequestPurpose::File);
    let who = app.who(peer, from);
    let mut beginning = PartBeforeSignIn { bytes: Arc::default(), receiving: app.memory.begin(who), is_all: false };
    let caller = |checked| Caller { from: Some(from), checked, gate: Some(visit.clone()) };
    let introduced = introduce(app, (who, &content_type), &mut body, &mut beginning, &caller);
    let introduced = match timeout(patience * INTRODUCTION, introduced).await {
        Ok(introduced) => introduced,
        Err(_) => Err(BodyRefusal::TooSlow),
    };
    let bytes_in = beginning.bytes.len() as u64;
    let checked = match introduced {
        Ok(checked) => checked,
        Err(why) => return Reply { bytes_in, ..Reply::of("upload_file", refused(why)) },
    };
    let Some(site) = visit.site() else {
        // Central's answer is known already; the rest is only read.
        let turn = match turn_before_sign_in(app, who, &beginning).await {
            Ok(turn) => turn,
            Err(why) => return Reply { bytes_in, ..Reply::of("upload_file", refused(why)) },
        };
        let (central, bytes) = (app.central.clone(), std::mem::take(&mut beginning.bytes));
        let caller = caller(checked);
        let answer = spawn_blocking(move || {
            let _turn = turn;
            central.upload_for(content_type.as_deref(), &mut bytes.as_slice(), caller)
        });
        let answered = answer.await;
        throw_away(&mut body, &mut beginning, patience).await;
        return match answered {
            Ok(answered) => Reply { bytes_in, ..Reply::by(answered, |response| response) },
            Err(_) => Reply::of("upload_file", broken()),
        };
    };
    let share = app.places.enter((Owner::Site(site), Trust::SignedIn), beginning.receiving.leave());
    if share.grow(1, patience).await.is_err() {
        return Reply { bytes_in, ..Reply::of("upload_file", refused(BodyRefusal::Busy)) };
    }
    let (pieces, waiting) = channel::<io::Result<Bytes>>(PIECES);
    let (central, caller) = (app.central.clone(), caller(checked));
    let share = Arc::new(share);
    let place = share.clone();
    let taking = spawn_blocking(move || {
        // Returned with the thread.
        let _place = place;
        let mut incoming = Incoming { pieces: waiting, piece: Bytes::new(), broke: false };
        central.upload_for(content_type.as_deref(), &mut incoming, caller)
    });
    let (bytes_in, broke) = pass_on(&mut body, beginning, (pieces, &share), patience).await;
    let mut reply = match taking.await {
        Ok(answered) => Reply::by(answered, |response| response),
        Err(_) => Reply::of("upload_file", broken()),
    };
    reply.bytes_in = bytes_in;
    if let Some(why) = broke {
        reply.response = refused(why);
    }
    reply
}

/// Reads until the sender of a file is known, and has the credentials checked; `None` if the body does not contain
/// them.
async fn introduce(
    app: &App,
    (who, content_type): ((Owner, Trust), &Option<Arc<str>>),
    body: &mut Body,
    beginning: &mut PartBeforeSignIn,
    caller: &impl Fn(Option<Checked>) -> Caller,
) -> Result<Option<Checked>, BodyRefusal> {
    let patience = app.options.patience;
    let mut looks_at = 0;
    loop {
        match beginning.receiving.part(body, patience).await? {
            None => beginning.is_all = true,
            Some(part) => Arc::make_mut(&mut beginning.bytes).extend_from_slice(&part),
        }
        beginning.receiving.count(patience).await?;
        let length = beginning.bytes.len();
        // Searching again at each byte of a slow line would be expensive.
        if length < looks_at && !beginning.is_all {
            continue;
        }
        looks_at = length * 2;
        match read_beginning(app, (who, content_type), beginning, caller(None)).await? {
            UploadHead::Checked(checked) => return Ok(Some(checked)),
            UploadHead::Unchecked(check) => {
                let asking = app.checks.ask(check, patience);
                let checked = beginning.receiving.unless_needed(asking).await?;
                // The credentials with which the site signs in.
                let caller = caller(Some(checked.clone()));
                read_beginning(app, (who, content_type), beginning, caller).await?;
                return Ok(Some(checked));
            }
            UploadHead::More if !beginning.is_all && length < BEGINNING_MAX => {}
            UploadHead::More if beginning.is_all => return Err(BodyRefusal::Cut),
            UploadHead::More | UploadHead::Other => return Ok(None),
        }
    }
}

/// Waits until a beginning may be read: a large one is read in turn, like every large request of a sender that has not signed
/// in.
async fn turn_before_sign_in(
    app: &App,
    who: (Owner, Trust),
    beginning: &PartBeforeSignIn,
) -> Result<Option<OwnedSemaphorePermit>, BodyRefusal> {
    let turns = if beginning.bytes.len() > LARGE { app.turns_before_sign_in(who) } else { None };
    Ok(match turns {
        Some(turns) => beginning.receiving.unless_needed(turns.acquire_owned()).await?.ok(),
        None => None,
    })
}

/// Reads the beginning of a file on a thread that may block, in turn.
async fn read_beginning(
    app: &App,
    (who, content_type): ((Owner, Trust), &Option<Arc<str>>),
    beginning: &PartBeforeSignIn,
    caller: Caller,
) -> Result<UploadHead, BodyRefusal> {
    let turn = turn_before_sign_in(app, who, beginning).await?;
    let (central, content_type, bytes) = (app.central.clone(), content_type.clone(), beginning.bytes.clone());
    let reading = spawn_blocking(move || {
        // Returned with the thread, also if nobody waits for it any more.
        let _turn = turn;
        central.upload_head(content_type.as_deref(), &bytes, caller)
    });
    // Central meets a fault of its code again when it answers.
    Ok(reading.await.unwrap_or(UploadHead::Other))
}

/// Passes the body on as it comes; returns the number of bytes, and the fault.
async fn pass_on(
    body: &mut Body,
    beginning: PartBeforeSignIn,
    (pieces, share): (Sender<io::Result<Bytes>>, &Share),
    patience: Duration,
) -> (u64, Option<BodyRefusal>) {
    let PartBeforeSignIn { bytes, mut receiving, is_all } = beginning;
    let mut bytes_in = bytes.len() as u64;
    let is_taken = pieces.send(Ok(Arc::unwrap_or_clone(bytes).into())).await.is_ok();
    receiving.forget();
    if is_all || !is_taken {
        return (bytes_in, None);
    }
    loop {
        let (piece, broke) = match receiving.part(body, patience).await {
            Ok(None) => return (bytes_in, None),
            Ok(Some(piece)) => (Ok(piece), None),
            Err(why) => (Err(io::ErrorKind::UnexpectedEof.into()), Some(why)),
        };
        let length = piece.as_ref().map_or(0, Bytes::len);
        bytes_in += length as u64;
        share.moved(length);
        // Nobody reads it once the answer is known.
        if pieces.send(piece).await.is_err() || broke.is_some() {
            return (bytes_in, broke);
        }
    }
}

/// Reads the rest, within limits, and drops it: a client that is still sending reads an early answer as a broken line.
async fn throw_away(body: &mut Body, beginning: &mut PartBeforeSignIn, patience: Duration) {
    beginning.receiving.forget();
    let mut left = THROWN_AWAY;
    let reading = async {
        while left > 0 && !beginning.is_all {
            match beginning.receiving.part(body, patience).await {
                Ok(Some(part)) => left = left.saturating_sub(part.len()),
                _ => return,
            }
        }
    };
    let _ = timeout(patience * INTRODUCTION, reading).await;
}

/// A body for central, read on a thread that may block.
struct Incoming {
    pieces: Receiver<io::Result<Bytes>>,
    piece: Bytes,
    broke: bool,
}

impl Read for Incoming {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() && !self.broke {
            match self.pieces.blocking_recv() {
                None => return Ok(0),
                Some(Ok(piece)) => self.piece = piece,
                Some(Err(error)) => {
                    self.broke = true;
                    return Err(error);
                }
            }
        }
        if self.broke {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let some = self.piece.split_to(self.piece.len().min(into.len()));
        into[..some.len()].copy_from_slice(&some);
        Ok(some.len())
    }
}

/// Sends a file to a site.
pub(super) async fn download(app: &Arc<App>, peer: &Peer, head: &Parts, body: Body) -> Reply {
    let asked = match app.receive(peer, head, body).await {
        Ok(asked) => asked,
        Err(response) => return Reply::of("download_file", response),
    };
    let (from, bytes_in) = (app.client(peer, &head.headers), asked.request.body.len() as u64);
    let visit = Visit::new(app, &peer.connection, from, RequestPurpose::File);
    let give = |central: &Central, request: &HttpRequest, caller| match central.download_for(request, caller) {
        Handled::Answered(answered) => Handled::Answered(answered.map(|mut response| {
            let is_file = matches!(response.status, 200 | 206);
            // A response that is no file is short, and in memory already.
            let read = if is_file { Ok(Vec::new()) } else { rest(&mut response.body) };
            (response, is_file, read)
        })),
        Handled::Unchecked(check) => Handled::Unchecked(check),
        Handled::OutOfTurn(site) => Handled::OutOfTurn(site),
    };
    let answered = match app.work(peer, head, (asked, &visit), give).await {
        Ok(answered) => answered,
        Err(response) => return Reply { bytes_in, ..Reply::of("download_file", response) },
    };
    let (mut opened, mut is_read) = (None, true);
    let reply = Reply::by(answered, |(response, is_file, read): (StreamedResponse, bool, io::Result<Vec<u8>>)| {
        let length = response.header("content-length").and_then(|text| text.parse().ok());
        let StreamedResponse { status, headers, body } = response;
        opened = is_file.then_some((body, length));
        is_read = read.is_ok();
        HttpResponse { status, headers, body: read.unwrap_or_default() }
    });
    if !is_read {
        return Reply { bytes_in, ..Reply::of("download_file", broken()) };
    }
    let mut file = None;
    if let (Some((reader, length)), Some(site)) = (opened, visit.site()) {
        let place = app.places.enter((Owner::Site(site), Trust::SignedIn), peer.connection.close.clone());
        if place.grow(1, app.options.patience).await.is_err() {
            let limit = app.central.config().json_bytes_max;
            return Reply {
                bytes_in,
                ..Reply::of("download_file", not_taken(&BodyRefusal::Busy, &head.headers, limit))
            };
        }
        file = Some(OutgoingFile { reader, length, place });
    }
    Reply { bytes_in, file, ..reply }
}

fn rest(reader: &mut dyn Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.read_to_end(&mut bytes).map(|_| bytes)
}
