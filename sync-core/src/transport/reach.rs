//! The steps before a request: name look-up and connection, done separately to find out which one fails.

use std::io::ErrorKind;
use std::time::Duration;

use url::Url;

use super::Reach;
use super::http::{NotConnected, connect, look_up};
use crate::clock::{Clock as _, SystemClock};

/// Looks up the host of an address and connects to it; then closes the connection.
pub(super) fn reach(url: &str, wait: Duration) -> Option<Reach> {
    let url = Url::parse(url).ok()?;
    let addresses = match look_up(url.host_str()?, url.port_or_known_default()?, wait) {
        Ok(addresses) => addresses,
        Err(error) => return Some(Reach::NoName(error.into())),
    };
    let clock = SystemClock::new();
    Some(match connect(&addresses, wait) {
        Ok(_) => Reach::Connected { addresses: addresses.len(), took: clock.monotonic() },
        Err(NotConnected::Failed(error)) => {
            Reach::NoConnection { refused: error.kind() == ErrorKind::ConnectionRefused, source: error.into() }
        }
        Err(error) => Reach::NoConnection { refused: false, source: error.into() },
    })
}
