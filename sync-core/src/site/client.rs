//! One exchange with a server, with the one retry loop around request, response, body and parsing.

mod ahead;
mod at_hand;
mod early_answer;
pub(crate) mod legacy;
mod push;

use std::io::Write as _;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use url::Url;

use self::at_hand::AnswersAtHand;
pub(crate) use self::early_answer::BatchAnswer;
use self::early_answer::{EarlyAnswer, ReadAhead};
pub(crate) use self::push::OpenPush;
use super::answer::{central_answer, joined, transport_error, unreadable};
use super::config::SyncConfig;
use super::identity::Identity;
use super::observer::{SyncEvent, SyncObserver};
use super::sizing::{Sizes, TransferKind, is_surely_no_outage, may_be_the_size};
use super::watch::watched;
use crate::address::shown;
use crate::clock::{Clock, Timestamp};
use crate::error::{Error, ErrorClass, Result, Server};
use crate::protocol::v6::{self, NameStoreJoinRequest};
use crate::text::Message;
use crate::text::sentences::input;
use crate::text_input::into_utf8;
use crate::trace::{self, RequestFigures};
use crate::transport::{HttpRequest, HttpResponse, Method, Transport, TransportError};

/// Counts of what was sent and received.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Traffic {
    pub requests: u64,
    pub retries: u64,
    pub bytes_sent: u64,
    pub bytes_received: u64,
}

/// Sends the requests of one cycle to both servers.
pub(crate) struct Client<'a> {
    pub transport: &'a dyn Transport,
    pub clock: &'a dyn Clock,
    pub config: &'a SyncConfig,
    pub observer: &'a mut dyn SyncObserver,
    pub traffic: Traffic,
    /// The sizes that each line carries.
    pub sizes: Sizes,
    /// A request that was sent ahead, with its answer.
    ahead: Option<EarlyAnswer>,
    /// The batch of the answer that came last, if it was read when it came ahead.
    read_ahead: Option<ReadAhead>,
    /// The answers that come with that to `GET /sync/v5/site`, if nothing is new.
    at_hand: AnswersAtHand,
    /// Set once a server could not read a gzipped request.
    plain_only: bool,
    /// True if the last exchange broke before any response.
    broke: bool,
    /// True if a server could not be reached by any try, and nobody answered since: the line is down, and further tries in this cycle
    /// only make people wait.
    nobody_answers: bool,
    /// The end of the cycle's time, by the monotonic clock.
    pub until: Option<Duration>,
    /// True if one server is both the legacy server and central: people know it as central.
    pub is_one_server: bool,
    /// True if an exchange was broken off at that time.
    pub is_out_of_time: bool,
    /// How many milliseconds the clock here is ahead of that of the server that answered last.
    pub clock_ahead: Option<i64>,
}

/// Why a push failed.
pub(crate) enum PushFault {
    /// The server says that the batch is too large: split it.
    TooLarge,
    /// The line broke, and may carry less: split the batch, or postpone the one record.
    Broke(Error),
    /// Any other error.
    Error(Error),
}

/// How often an exchange is retried.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RetryLimits {
    /// True if it can be made smaller. Then it is not retried unchanged after it broke.
    pub is_divisible: bool,
    /// The number of tries.
    pub attempts: u32,
    /// True if a larger one just failed.
    pub is_shrunk: bool,
}

impl RetryLimits {
    /// True if a smaller exchange should be tried after this error.
    fn shrinks(self, error: &Error, attempt: u32) -> bool {
        let is_the_size = is_surely_no_outage(error) || self.is_shrunk || attempt > 1;
        self.is_divisible && is_the_size && may_be_the_size(error) && !planted!(BatchNeverShrinks)
    }
}

impl From<Error> for PushFault {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

impl<'a> Client<'a> {
    pub(crate) fn new(
        transport: &'a dyn Transport,
        clock: &'a dyn Clock,
        config: &'a SyncConfig,
        observer: &'a mut dyn SyncObserver,
    ) -> Self {
        Self {
            transport,
            clock,
            config,
            observer,
            traffic: Traffic::default(),
            sizes: Sizes::default(),
            ahead: None,
            read_ahead: None,
            at_hand: AnswersAtHand::default(),
            is_one_server: false,
            plain_only: false,
            broke: false,
            nobody_answers: false,
            until: None,
            is_out_of_time: false,
            clock_ahead: None,
        }
    }

    /// Tells the observer, which may end the cycle.
    pub(crate) fn tell(&mut self, event: &SyncEvent) -> Result<()> {
        if self.observer.on_event(event).is_break() { Err(Error::Cancelled) } else { Ok(()) }
    }

    /// Tells the observer why it waits, and waits in short pieces, so that the observer or the time limit can end it.
    pub(crate) fn wait(&mut self, wait: Duration, why: &SyncEvent) -> Result<()> {
        const PIECE: Duration = Duration::from_millis(250);
        self.tell(why)?;
        let mut left = wait;
        loop {
            self.tell(&SyncEvent::Waiting { left })?;
            if self.time_is_over() {
                return Err(Error::Cancelled);
            }
            let piece = left.min(PIECE);
            self.clock.sleep(piece);
            left = left.saturating_sub(piece);
            if left.is_zero() {
                return Ok(());
            }
        }
    }

    /// Sends a request to central.
    pub(crate) fn central<T: DeserializeOwned>(
        &mut self,
        identity: &Identity,
        central: &Url,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T> {
        let json = to_json(body)?;
        self.with_retries(Server::Central, |client| {
            let raw = client.central_once(identity, central, path, &json)?;
            serde_json::from_str(raw.get()).map_err(|error| unreadable(Server::Central, central, &error.to_string()))
        })
    }

    /// Sends a request to central whose answer is read leniently.
    pub(crate) fn central_raw(
        &mut self,
        identity: &Identity,
        central: &Url,
        path: &str,
        body: &impl Serialize,
    ) -> Result<Box<RawValue>> {
        let json = to_json(body)?;
        self.with_retries(Server::Central, |client| client.central_once(identity, central, path, &json))
    }

    /// Asks central to make a patient visible in a store. Only this answer has no envelope. Status 500 gives the reason
    /// of a refusal, and is no fault of the server.
    pub(crate) fn central_join(
        &mut self,
        identity: &Identity,
        central: &Url,
        join: &NameStoreJoinRequest,
    ) -> Result<()> {
        let json = to_json(join)?;
        self.with_retries(Server::Central, |client| {
            let shown = shown(central);
            let (request, _) = client.central_request(central, v6::path::NAME_STORE_JOIN, &json)?;
            let response = client.send(Server::Central, &shown, &request)?;
            joined(&response, &shown, identity)
        })
    }

    /// Asks central for a batch of at most so many records, and for fewer while the line breaks.
    pub(crate) fn central_batch<Q: Serialize>(
        &mut self,
        identity: &Identity,
        central: &Url,
        path: &str,
        most: u32,
        request: &dyn Fn(u32) -> Q,
    ) -> Result<BatchAnswer> {
        self.sized(TransferKind::CentralPull, most.into(), |client, size| {
            let size = u32::try_from(size).unwrap_or(u32::MAX);
            let json = to_json(&request(size))?;
            let response = client.central_response(central, path, &json)?;
            match client.read_ahead.take() {
                Some(ReadAhead { batch, .. }) => Ok(BatchAnswer::Read(batch)),
                None => central_answer(&response, &shown(central), identity).map(BatchAnswer::Raw),
            }
        })
    }

    /// The size from which a body is compressed; `None` if central cannot read compressed ones.
    pub(crate) fn gzip_from(&self) -> Option<usize> {
        (!self.plain_only).then_some(self.config.gzip_from)
    }

    fn central_once(&mut self, identity: &Identity, central: &Url, path: &str, json: &[u8]) -> Result<Box<RawValue>> {
        let response = self.central_response(central, path, json)?;
        central_answer(&response, &shown(central), identity)
    }

    fn central_response(&mut self, central: &Url, path: &str, json: &[u8]) -> Result<HttpResponse> {
        let (request, gzipped) = self.central_request(central, path, json)?;
        let response = self.send(Server::Central, &shown(central), &request)?;
        if gzipped && matches!(response.status, 400 | 415) {
            self.plain_only = true;
            return self.central_response(central, path, json);
        }
        Ok(response)
    }

    /// A request to central, and whether its body is gzipped.
    pub(crate) fn central_request(&self, central: &Url, path: &str, json: &[u8]) -> Result<(HttpRequest, bool)> {
        let gzipped = self.gzip_from().is_some_and(|from| json.len() >= from);
        let body = if gzipped { gzip(json)? } else { json.to_vec() };
        Ok((json_request(central, path, body, gzipped), gzipped))
    }

    /// True while a running exchange should continue.
    fn goes_on(&mut self, began: Duration) -> bool {
        let waited = self.clock.monotonic().saturating_sub(began);
        let is_over = self.time_is_over();
        self.tell(&SyncEvent::RequestUnderWay { waited }).is_ok() && !is_over
    }

    /// True if the time of the cycle is over.
    pub(crate) fn time_is_over(&mut self) -> bool {
        let now = self.clock.monotonic();
        self.is_out_of_time |= self.until.is_some_and(|until| now >= until);
        self.is_out_of_time
    }

    fn exchange(&mut self, request: &HttpRequest) -> std::result::Result<HttpResponse, TransportError> {
        let (transport, began) = (self.transport, self.clock.monotonic());
        watched(transport, &mut |_| self.goes_on(began), |transport, _| transport.send(request))
    }

    fn send(&mut self, server: Server, url: &str, request: &HttpRequest) -> Result<HttpResponse> {
        if let Some(response) = self.at_hand.take(request) {
            return Ok(response);
        }
        self.traffic.requests += 1;
        self.traffic.bytes_sent += request.body.len() as u64;
        let began = self.clock.monotonic();
        self.read_ahead = None;
        let response = match self.ahead.take() {
            Some(EarlyAnswer { request: asked, response, batch }) if asked == *request => {
                self.read_ahead = batch;
                response
            }
            _ => self.exchange(request),
        };
        let body_bytes = |response: &HttpResponse| {
            self.read_ahead.as_ref().map_or(response.body.len() as u64, |read| read.body_bytes)
        };
        trace::request(&RequestFigures {
            server: server.as_str(),
            bytes_sent: request.body.len() as u64,
            bytes_received: response.as_ref().map_or(0, body_bytes),
            status: response.as_ref().ok().map(|response| response.status),
            took: self.clock.monotonic().saturating_sub(began),
        });
        self.broke = matches!(response, Err(TransportError::Broken(_)));
        let mut response = response.map_err(|error| transport_error(error, server, url))?;
        self.nobody_answers = false;
        if let Some(theirs) = response.header("date").and_then(Timestamp::of_http_date) {
            self.clock_ahead = Some(self.clock.now().unix_millis() - theirs.unix_millis());
        }
        self.traffic.bytes_received += body_bytes(&response);
        response.body = into_utf8(response.body);
        Ok(response)
    }

    fn with_retries<T>(&mut self, server: Server, call: impl FnMut(&mut Self) -> Result<T>) -> Result<T> {
        self.with_retries_of(server, self.indivisible(), call)
    }

    /// A body that cannot be made smaller, with the usual number of tries.
    pub(crate) fn indivisible(&self) -> RetryLimits {
        RetryLimits { is_divisible: false, attempts: self.config.attempts, is_shrunk: false }
    }

    fn with_retries_of<T>(
        &mut self,
        server: Server,
        retry: RetryLimits,
        mut call: impl FnMut(&mut Self) -> Result<T>,
    ) -> Result<T> {
        let mut attempt = 0;
        loop {
            attempt += 1;
            let error = match call(self) {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let shrinks = retry.shrinks(&error, attempt);
            let is_unreachable = matches!(error, Error::Unreachable { .. });
            let is_last = attempt >= retry.attempts || (is_unreachable && self.nobody_answers);
            if !is_worth_trying_again(&error) || shrinks || is_last {
                self.nobody_answers |= is_unreachable && is_last;
                return Err(error);
            }
            self.wait_again(server, error, attempt)?;
        }
    }

    /// True if the time of the cycle would be over after a wait.
    fn is_over_after(&self, pause: Duration) -> bool {
        let next = self.clock.monotonic().saturating_add(pause);
        self.until.is_some_and(|until| next >= until)
    }

    /// Waits after a failed try, each time twice as long.
    ///
    /// # Errors
    /// The time of the cycle would be over. The failure itself says more than that, so it is returned.
    pub(crate) fn wait_again(&mut self, server: Server, error: Error, attempt: u32) -> Result<()> {
        let wait = self.config.retry_wait.saturating_mul(1 << (attempt - 1).min(16));
        let pause = self.shortened(wait, attempt);
        if self.is_over_after(pause) {
            return Err(error);
        }
        self.traffic.retries += 1;
        trace::retry(error.code(), pause);
        self.wait(pause, &self.retrying(server, error, pause))
    }

    /// Says that a request failed and will be sent again.
    fn retrying(&self, server: Server, error: Error, wait: Duration) -> SyncEvent {
        let (server, error) = (self.named(server), self.in_network(error));
        SyncEvent::Retrying { server, error: Message::of(&error), wait }
    }

    /// An error that names the server by the part that people know it by.
    pub(crate) fn in_network(&self, error: Error) -> Error {
        if self.is_one_server { error.of(Server::Central) } else { error }
    }

    /// The server by the part that people know it by.
    pub(crate) fn named(&self, server: Server) -> Server {
        if self.is_one_server { Server::Central } else { server }
    }

    /// An exchange of a certain size, which shrinks while the line breaks, until it passes or cannot shrink.
    fn sized<T>(
        &mut self,
        kind: TransferKind,
        most: u64,
        mut call: impl FnMut(&mut Self, u64) -> Result<T>,
    ) -> Result<T> {
        let mut size = most.max(1);
        loop {
            let is_shrunk = self.sizes.is_shrinking(kind);
            let retry = RetryLimits { is_divisible: size > 1, is_shrunk, ..self.indivisible() };
            let error = match self.with_retries_of(kind.server(), retry, |client| call(client, size)) {
                Err(error) if may_be_the_size(&error) => error,
                outcome => return outcome,
            };
            if !self.shrink(kind, size, &error)? {
                if size <= 1 {
                    self.sizes.gave_up(kind);
                }
                return Err(error);
            }
            size = self.sizes.size(kind, self.config).clamp(1, size.max(2) - 1);
        }
    }

    /// Records that a body of this size broke, and waits a little. Returns whether a smaller one may be tried.
    pub(crate) fn shrink(&mut self, kind: TransferKind, size: u64, error: &Error) -> Result<bool> {
        // A timeout is expensive, so not every half is tried.
        let size = if matches!(error, Error::TimedOut { .. }) && size > 3 { size / 2 } else { size };
        let of_legacy = planted!(LegacyNeverShrinks);
        let stays = planted!(BatchNeverShrinks) || (of_legacy && kind.server() == Server::Legacy);
        if stays || !self.sizes.broke(kind, size, self.config) {
            return Ok(false);
        }
        // This is a different request, so it does not need the wait of a retry.
        let pause = self.shortened(self.config.retry_wait / 8, 1);
        if self.is_over_after(pause) {
            return Ok(false);
        }
        self.traffic.retries += 1;
        self.wait(pause, &self.retrying(kind.server(), error.clone(), pause))?;
        Ok(true)
    }

    /// A wait shortened by up to half, so that sites that failed together do not return together.
    fn shortened(&self, wait: Duration, attempt: u32) -> Duration {
        // splitmix64 of the time: spreads enough, and is reproducible under a test clock.
        let mut seed = u64::try_from(self.clock.monotonic().as_nanos()).unwrap_or(0) ^ u64::from(attempt);
        seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        seed = (seed ^ (seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        seed = (seed ^ (seed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let share = (seed ^ (seed >> 31)) % 512;
        wait - wait.mul_f64(share as f64 / 1024.0)
    }
}

/// True if the same request may succeed later. A retry at once would lengthen the wait that a server asks for, and a pause lasts
/// longer than any retry.
pub(crate) fn is_worth_trying_again(error: &Error) -> bool {
    error.class() == ErrorClass::Retry && !matches!(error, Error::TooManyAttempts { .. } | Error::SyncPaused { .. })
}

/// Joins an address and a path. An absolute path replaces the address's own; a relative one replaces its last segment
/// (`protocol-v6` §1).
pub(crate) fn join(base: &Url, path: &str) -> String {
    base.join(path).map_or_else(|_| base.to_string(), String::from)
}

pub(crate) fn to_json(body: &impl Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec(body).map_err(|error| Error::bad_input(input::request_unwritable(error.to_string())))
}

fn gzip(json: &[u8]) -> Result<Vec<u8>> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(json).map_err(packing_failed)?;
    encoder.finish().map_err(packing_failed)
}

fn packing_failed(error: std::io::Error) -> Error {
    Error::Io { what: "compressing a request".to_owned(), source: error.into() }
}

fn json_request(server: &Url, path: &str, body: Vec<u8>, gzipped: bool) -> HttpRequest {
    let mut headers = vec![("content-type".to_owned(), "application/json".to_owned())];
    if gzipped {
        headers.push(("content-encoding".to_owned(), "gzip".to_owned()));
    }
    HttpRequest { method: Method::Post, url: join(server, path), headers, body }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table of the spec (`protocol-v6` §1).
    #[test]
    fn paths_are_joined_as_upstream_does() {
        for (base, joined) in [
            ("https://oms.example.org", "https://oms.example.org/central/sync/pull"),
            ("https://oms.example.org/", "https://oms.example.org/central/sync/pull"),
            ("https://oms.example.org/oms", "https://oms.example.org/central/sync/pull"),
            ("https://oms.example.org/oms/", "https://oms.example.org/oms/central/sync/pull"),
        ] {
            assert_eq!(join(&Url::parse(base).unwrap(), "central/sync/pull"), joined);
        }
        let legacy = Url::parse("https://legacy.example.org:2048/x/").unwrap();
        assert_eq!(join(&legacy, "/sync/v5/site"), "https://legacy.example.org:2048/sync/v5/site");
    }
}
