//! The bytes on the line: a connection that checks a few times a second whether its exchange has to end, and whose
//! limits count from the last byte that moved.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use ureq::Timeout;
use ureq::http::Uri;
use ureq::unversioned::resolver::{ArrayVec, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, Either, LazyBuffers, NextTimeout, Transport, time,
};

use super::apart::{self, LOOK, NotConnected};
use crate::clock::{Clock as _, SystemClock};
use crate::transport::Stop;
use crate::transport::other_scheme::AnswersInTls;

/// The slowest accepted line, in bytes a second: anything slower only holds the connection.
const SLOWEST_LINE: u64 = 50;

/// How a server that expects TLS begins its answer to anything else: the type of an alert, and the first half of the version.
const TLS_ALERT: [u8; 2] = [0x15, 0x03];

/// The longest time without progress.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub connect: Duration,
    pub send: Duration,
    pub receive: Duration,
}

impl From<NotConnected> for ureq::Error {
    fn from(error: NotConnected) -> Self {
        match error {
            NotConnected::TimedOut => Self::Timeout(Timeout::Connect),
            NotConnected::Failed(error) => Self::Io(error),
            other => Self::Other(other.into()),
        }
    }
}

/// Looks names up.
#[derive(Debug)]
pub(super) struct NameResolver {
    pub limits: Limits,
    /// The proxy to connect to in place of every host.
    pub proxy: Option<(String, u16)>,
}

impl Resolver for NameResolver {
    fn resolve(
        &self,
        uri: &Uri,
        _: &ureq::config::Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let default = if uri.scheme_str() == Some("https") { 443 } else { 80 };
        let (host, port) = match &self.proxy {
            Some((host, port)) => (host.as_str(), *port),
            None => (uri.host().ok_or(ureq::Error::HostNotFound)?, uri.port_u16().unwrap_or(default)),
        };
        let found = apart::look_up(host, port, left(timeout, self.limits.connect))?;
        let mut addresses = self.empty();
        // As many as there is room for.
        found.into_iter().take(16).for_each(|address| addresses.push(address));
        Ok(addresses)
    }

    fn empty(&self) -> ResolvedSocketAddrs {
        ArrayVec::from_fn(|_| ([0, 0, 0, 0], 0).into())
    }
}

fn left(timeout: NextTimeout, otherwise: Duration) -> Duration {
    match timeout.after {
        time::Duration::Exact(left) => left,
        time::Duration::NotHappening => otherwise,
    }
}

/// Makes connections.
#[derive(Debug)]
pub(super) struct Wire(pub Limits);

impl<In: Transport> Connector<In> for Wire {
    type Out = Either<In, Line>;

    fn connect(&self, details: &ConnectionDetails<'_>, chained: Option<In>) -> Result<Option<Self::Out>, ureq::Error> {
        if let Some(tunnel) = chained {
            return Ok(Some(Either::A(tunnel)));
        }
        let stream = apart::connect(&details.addrs, left(details.timeout, self.0.connect))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(LOOK))?;
        stream.set_write_timeout(Some(LOOK))?;
        let buffers = LazyBuffers::new(details.config.input_buffer_size(), details.config.output_buffer_size());
        let clock = SystemClock::new();
        let (pace, awaits_http) = (Throughput::default(), !details.needs_tls());
        Ok(Some(Either::B(Line { stream, buffers, limits: self.0, pace, clock, awaits_http })))
    }
}

/// The progress of one direction since it began.
#[derive(Debug, Default)]
struct Throughput {
    is_sending: bool,
    began: Duration,
    last: Duration,
    bytes: u64,
}

impl Throughput {
    /// Restarts when the direction changes.
    fn turn(&mut self, is_sending: bool, now: Duration) {
        if self.is_sending != is_sending || self.bytes == 0 {
            *self = Self { is_sending, began: now, last: now, bytes: 0 };
        }
        // The time between two calls is that of the caller.
        self.began += now.saturating_sub(self.last);
        self.last = now;
    }

    fn moved(&mut self, bytes: usize, now: Duration) {
        self.bytes += bytes as u64;
        self.last = now;
    }

    /// True if nothing, or nearly nothing, has moved for too long.
    fn is_over(&self, limit: Duration, now: Duration) -> bool {
        let earned = Duration::from_secs(self.bytes / SLOWEST_LINE);
        now.saturating_sub(self.last) >= limit || now.saturating_sub(self.began) >= limit.saturating_add(earned)
    }
}

/// A connection.
pub(super) struct Line {
    stream: TcpStream,
    buffers: LazyBuffers,
    limits: Limits,
    pace: Throughput,
    clock: SystemClock,
    /// True until the first bytes came over a connection without TLS.
    awaits_http: bool,
}

impl std::fmt::Debug for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Line").field("peer", &self.stream.peer_addr().ok()).finish_non_exhaustive()
    }
}

/// The limit of a call: a deadline for a part of the exchange, or the longest time without progress.
struct ProgressLimit {
    by: Option<Duration>,
    still: Duration,
    reason: Timeout,
}

impl Line {
    fn patience(&mut self, is_sending: bool, timeout: NextTimeout) -> ProgressLimit {
        let now = self.clock.monotonic();
        self.pace.turn(is_sending, now);
        let (still, reason) = match is_sending {
            true => (self.limits.send, Timeout::SendBody),
            false => (self.limits.receive, Timeout::RecvBody),
        };
        match timeout.after {
            time::Duration::Exact(left) => {
                ProgressLimit { by: Some(now.saturating_add(left)), still, reason: timeout.reason }
            }
            time::Duration::NotHappening => ProgressLimit { by: None, still, reason },
        }
    }

    /// Whether to continue after a call without progress.
    fn goes_on(&self, patience: &ProgressLimit, stop: &Stop, error: io::Error) -> Result<(), ureq::Error> {
        use io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
        if !matches!(error.kind(), Interrupted | TimedOut | WouldBlock) {
            return Err(error.into());
        }
        if stop.is_asked() {
            return Err(NotConnected::Stopped.into());
        }
        let now = self.clock.monotonic();
        let is_over = match patience.by {
            Some(by) => now >= by,
            None => self.pace.is_over(patience.still, now),
        };
        if is_over { Err(ureq::Error::Timeout(patience.reason)) } else { Ok(()) }
    }
}

impl Transport for Line {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        let stop = apart::current();
        let patience = self.patience(true, timeout);
        let mut sent = 0;
        while sent < amount {
            if stop.is_asked() {
                return Err(NotConnected::Stopped.into());
            }
            let written = (&self.stream).write(&self.buffers.output()[sent..amount]);
            match written {
                Ok(0) => return Err(io::Error::from(io::ErrorKind::WriteZero).into()),
                Ok(written) => {
                    sent += written;
                    self.pace.moved(written, self.clock.monotonic());
                }
                Err(error) => self.goes_on(&patience, &stop, error)?,
            }
        }
        Ok(())
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        let stop = apart::current();
        let patience = self.patience(false, timeout);
        loop {
            if stop.is_asked() {
                return Err(NotConnected::Stopped.into());
            }
            let read = (&self.stream).read(self.buffers.input_append_buf());
            match read {
                Ok(read) => {
                    self.buffers.input_appended(read);
                    if std::mem::take(&mut self.awaits_http) && self.buffers.input().starts_with(&TLS_ALERT) {
                        return Err(io::Error::new(io::ErrorKind::InvalidData, AnswersInTls).into());
                    }
                    self.pace.moved(read, self.clock.monotonic());
                    if patience.by.is_some() {
                        // The server's time to answer is not part of the time of its body.
                        self.pace.bytes = 0;
                    }
                    // A dripping line ends too, although bytes came.
                    let is_over = patience.by.is_none() && self.pace.is_over(patience.still, self.clock.monotonic());
                    return if is_over { Err(ureq::Error::Timeout(patience.reason)) } else { Ok(read > 0) };
                }
                Err(error) => self.goes_on(&patience, &stop, error)?,
            }
        }
    }

    fn is_open(&mut self) -> bool {
        // Between two exchanges there is nothing to read, except the end.
        let probe = |stream: &TcpStream| {
            stream.set_nonblocking(true)?;
            let peeked = stream.peek(&mut [0]);
            stream.set_nonblocking(false)?;
            peeked
        };
        matches!(probe(&self.stream), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_count_from_the_last_byte_and_drops_are_no_progress_for_ever() {
        let at = Duration::from_secs;
        let limit = at(60);
        let mut pace = Throughput::default();
        pace.turn(false, at(0));
        assert!(!pace.is_over(limit, at(59)) && pace.is_over(limit, at(60)));
        // Half an hour over a line of 8 kB/s is only slow.
        for second in 0..1800 {
            pace.turn(false, at(second));
            pace.moved(8000, at(second + 1));
            assert!(!pace.is_over(limit, at(second + 1)));
        }
        assert!(!pace.is_over(limit, at(1859)) && pace.is_over(limit, at(1860)), "then nothing comes");
        // A byte in ten seconds.
        let mut drips = Throughput::default();
        let over = (0..100).find(|n| {
            drips.turn(false, at(n * 10));
            drips.moved(1, at(n * 10 + 10));
            drips.is_over(limit, at(n * 10 + 10))
        });
        assert_eq!(over, Some(5));
    }
}
