//! Work that may block for ever, on threads that can be abandoned: the standard library can stop neither the look-up of
//! a name nor a connection attempt.

use std::cell::RefCell;
use std::io;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs as _};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

use crate::clock::{Clock as _, SystemClock};
use crate::transport::Stop;

/// The interval of checks whether an exchange has to end.
pub(super) const LOOK: Duration = Duration::from_millis(100);

thread_local! {
    /// The stop signal for the exchange of this thread. The parts of ureq that need it live longer than any exchange.
    static STOP: RefCell<Stop> = RefCell::new(Stop::new());
}

/// Does a part of an exchange that ends once `stop` is requested.
pub(super) fn during<T>(stop: &Stop, work: impl FnOnce() -> T) -> T {
    /// Restores the previous signal, also after a panic.
    struct Before(Stop);
    impl Drop for Before {
        fn drop(&mut self) {
            STOP.set(self.0.clone());
        }
    }
    let _before = Before(STOP.replace(stop.clone()));
    work()
}

/// The stop signal for the exchange of this thread.
pub(super) fn current() -> Stop {
    STOP.with_borrow(Stop::clone)
}

/// Why no connection was made.
#[derive(Debug, thiserror::Error)]
pub(in crate::transport) enum NotConnected {
    /// The name is unknown, or no name server answers.
    #[error("the name {name} is not known")]
    NoName { name: String, source: io::Error },
    #[error("it took too long")]
    TimedOut,
    #[error("{0}")]
    Failed(#[source] io::Error),
    #[error("it was stopped")]
    Stopped,
}

/// The addresses of a host; at least one.
pub(in crate::transport) fn look_up(host: &str, port: u16, limit: Duration) -> Result<Vec<SocketAddr>, NotConnected> {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    if let Ok(address) = bare.parse() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let name = bare.to_owned();
    let of_thread = name.clone();
    let found = apart(limit, move || (of_thread.as_str(), port).to_socket_addrs().map(Iterator::collect::<Vec<_>>))?;
    found_addresses(name, found)
}

/// What the system found of a name. Its errors are not told apart: their texts are in its language.
fn found_addresses(name: String, found: io::Result<Vec<SocketAddr>>) -> Result<Vec<SocketAddr>, NotConnected> {
    match found {
        Ok(addresses) if !addresses.is_empty() => Ok(addresses),
        Ok(_) => Err(NotConnected::NoName { name, source: io::Error::other("it has no address") }),
        Err(source) => Err(NotConnected::NoName { name, source }),
    }
}

/// Connects to the first of these addresses that accepts it. The remaining time is divided among the remaining
/// addresses.
pub(in crate::transport) fn connect(addresses: &[SocketAddr], limit: Duration) -> Result<TcpStream, NotConnected> {
    let clock = SystemClock::new();
    let mut failed = NotConnected::TimedOut;
    for (tried, &address) in addresses.iter().enumerate() {
        let left = limit.saturating_sub(clock.monotonic());
        if left.is_zero() {
            return Err(NotConnected::TimedOut);
        }
        let share = left / u32::try_from(addresses.len() - tried).unwrap_or(1);
        let share = share.max(LOOK).min(left);
        failed = match apart(share + LOOK, move || TcpStream::connect_timeout(&address, share)) {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) if matches!(error.kind(), io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock) => {
                NotConnected::TimedOut
            }
            Ok(Err(error)) => NotConnected::Failed(error),
            Err(NotConnected::Stopped) => return Err(NotConnected::Stopped),
            Err(error) => error,
        };
    }
    Err(failed)
}

/// Does work on its own thread. If the time is over or the exchange has to end, the thread is abandoned: it ends when
/// the system lets it, and its result is dropped.
fn apart<T: Send + 'static>(limit: Duration, work: impl FnOnce() -> T + Send + 'static) -> Result<T, NotConnected> {
    let stop = current();
    let (done, outcome) = sync_channel(1);
    let thread = std::thread::Builder::new().name("oms-sync connects".to_owned());
    thread.spawn(move || done.send(work())).map_err(NotConnected::Failed)?;
    let clock = SystemClock::new();
    loop {
        if stop.is_asked() {
            return Err(NotConnected::Stopped);
        }
        let left = limit.saturating_sub(clock.monotonic());
        match outcome.recv_timeout(left.min(LOOK)) {
            Ok(outcome) => return Ok(outcome),
            Err(RecvTimeoutError::Timeout) if left.is_zero() => return Err(NotConnected::TimedOut),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                return Err(NotConnected::Failed(io::Error::other("the thread that connects has ended")));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_blocks_is_given_up_when_the_time_is_over_or_when_it_is_asked() {
        let clock = SystemClock::new();
        let forever = || std::thread::sleep(Duration::from_secs(30));
        assert!(matches!(apart(Duration::from_millis(150), forever), Err(NotConnected::TimedOut)));
        let stop = Stop::new();
        stop.ask();
        let stopped = during(&stop, || apart(Duration::from_secs(20), forever));
        assert!(matches!(stopped, Err(NotConnected::Stopped)));
        assert!(clock.monotonic() < Duration::from_secs(10));
        assert!(!current().is_asked(), "only for that exchange");
    }

    #[test]
    fn addresses_need_no_look_up() {
        for host in ["127.0.0.1", "::1", "[::1]"] {
            assert_eq!(look_up(host, 80, Duration::ZERO).unwrap().len(), 1, "{host}");
        }
    }

    #[test]
    fn a_name_that_nobody_knows_says_so_in_any_language() {
        for says in ["Échec temporaire dans la résolution du nom", "Name oder Dienst nicht bekannt", ""] {
            let found = found_addresses("central".to_owned(), Err(io::Error::other(says)));
            assert!(matches!(&found, Err(NotConnected::NoName { name, .. }) if name == "central"), "{found:?}");
        }
        let none = found_addresses("central".to_owned(), Ok(Vec::new()));
        assert!(matches!(none, Err(NotConnected::NoName { .. })), "{none:?}");
        // A system without a network may need long for that.
        let found = look_up("no-such-host.invalid", 80, Duration::from_secs(20));
        assert!(matches!(found, Err(NotConnected::NoName { .. } | NotConnected::TimedOut)), "{found:?}");
    }
}
