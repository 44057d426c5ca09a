//! How long to wait for the answer of a server that took the connection.

use std::cell::Cell;
use std::ops::ControlFlow;
use std::time::Duration;

use url::Url;

use crate::address::shown;
use crate::error::{Error, Result, Server};
use crate::site::client::Client;
use crate::site::observer::{SyncEvent, SyncObserver};
use crate::site::watch::{ExchangeProgress, watched};
use crate::transport::Reach;

/// A request over TLS takes four round trips, a connection one; the rest is for the server.
const CONNECTIONS: u32 = 20;

/// A person waits for the diagnosis, but a slow line is no silent server.
#[derive(Debug)]
pub(in crate::support) struct Patience {
    least: Duration,
    /// How long the last connection took.
    connection: Cell<Duration>,
}

impl Patience {
    pub(in crate::support) fn of(least: Duration) -> Self {
        Self { least, connection: Cell::new(Duration::ZERO) }
    }

    /// Records how long a connection to the server took that is asked next.
    pub(in crate::support) fn note_connection(&self, took: Duration) {
        self.connection.set(took);
    }

    /// The longest wait for its answer.
    pub(in crate::support) fn limit(&self) -> Duration {
        self.least.max(self.connection.get().saturating_mul(CONNECTIONS))
    }
}

/// Breaks off the first question to a server that is silent. What is asked after it may take long, because it is large.
#[derive(Debug)]
pub(in crate::support) struct FirstAnswer {
    patience: Option<Patience>,
    /// True while the first question is under way.
    is_asked: Cell<bool>,
    is_silent: Cell<bool>,
}

impl FirstAnswer {
    /// Waits so long over a fast line; `None` leaves that to the transport.
    pub(in crate::support) fn within(silence: Option<Duration>) -> Self {
        Self { patience: silence.map(Patience::of), is_asked: Cell::new(false), is_silent: Cell::new(false) }
    }

    /// The observer of a client that asks the question.
    pub(in crate::support) fn observer<'a>(
        &'a self,
        observer: &'a mut dyn SyncObserver,
    ) -> impl FnMut(&SyncEvent) -> ControlFlow<()> + 'a {
        |event| {
            if let (SyncEvent::RequestUnderWay { waited }, Some(patience)) = (event, &self.patience)
                && self.is_asked.get()
                && *waited > patience.limit()
            {
                self.is_silent.set(true);
                return ControlFlow::Break(());
            }
            observer.on_event(event)
        }
    }

    /// Connects to a server and asks it something small.
    ///
    /// # Errors
    /// [`Error::Unreachable`], [`Error::TimedOut`]; those of the question.
    pub(in crate::support) fn of<T>(
        &self,
        client: &mut Client<'_>,
        (server, url): (Server, &Url),
        ask: impl FnOnce(&mut Client<'_>) -> Result<T>,
    ) -> Result<T> {
        let Some(patience) = &self.patience else { return ask(client) };
        match reach(client, url)? {
            Some(Reach::NoName(source) | Reach::NoConnection { source, .. }) => {
                return Err(Error::Unreachable { server, url: shown(url), source });
            }
            Some(Reach::Connected { took, .. }) => patience.note_connection(took),
            _ => {}
        }
        self.is_asked.set(true);
        let answer = ask(client);
        self.is_asked.set(false);
        match answer {
            Err(Error::Cancelled) if self.is_silent.take() => {
                Err(Error::TimedOut { server, url: shown(url), source: None })
            }
            answer => answer,
        }
    }
}

/// Looks the name up and connects, unless the observer breaks it off.
fn reach(client: &mut Client<'_>, url: &Url) -> Result<Option<Reach>> {
    let (clock, observer) = (client.clock, &mut *client.observer);
    let (began, mut goes_on) = (clock.monotonic(), true);
    let mut watch = |_: ExchangeProgress| {
        let waited = clock.monotonic().saturating_sub(began);
        goes_on = observer.on_event(&SyncEvent::RequestUnderWay { waited }).is_continue();
        goes_on
    };
    let done = watched(client.transport, &mut watch, |transport, _| transport.reach(url.as_str()));
    if goes_on { Ok(done) } else { Err(Error::Cancelled) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_line_has_more_time() {
        let (ms, patience) = (Duration::from_millis, Patience::of(Duration::from_secs(2)));
        for (connection, limit) in [(0, 2000), (3, 2000), (100, 2000), (800, 16_000)] {
            patience.note_connection(ms(connection));
            assert_eq!(patience.limit(), ms(limit), "{connection} ms");
        }
    }
}
