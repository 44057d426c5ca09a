//! The steps before a request: name look-up and connection, each on its own, so that it can be said which of them fails.

use std::io::ErrorKind;
use std::net::{TcpStream, ToSocketAddrs as _};
use std::time::Duration;

use ureq::Agent;
use url::Url;

use super::Reach;
use crate::clock::{Clock as _, SystemClock};

/// Looks the host of an address up and connects to it; the connection is closed again.
pub(super) fn reach(agent: &Agent, url: &str, wait: Duration) -> Option<Reach> {
    if let Some(proxy) = agent.config().proxy()
        && !url.parse().is_ok_and(|uri| proxy.is_no_proxy(&uri))
    {
        // Without its user name and password.
        return Some(Reach::ThroughProxy(format!("{}:{}", proxy.host(), proxy.port())));
    }
    let url = Url::parse(url).ok()?;
    let host = url.host_str()?.trim_matches(['[', ']']).to_owned();
    let addresses: Vec<_> = match (host, url.port_or_known_default()?).to_socket_addrs() {
        Ok(found) => found.collect(),
        Err(error) => return Some(Reach::NoName(error.into())),
    };
    let clock = SystemClock::new();
    let mut failed = None;
    for address in &addresses {
        let began = clock.monotonic();
        match TcpStream::connect_timeout(address, wait) {
            Ok(_) => {
                let took = clock.monotonic().saturating_sub(began);
                return Some(Reach::Connected { addresses: addresses.len(), took });
            }
            Err(error) => failed = Some(error),
        }
    }
    Some(match failed {
        None => Reach::NoName("the name has no address".into()),
        Some(error) => {
            Reach::NoConnection { refused: error.kind() == ErrorKind::ConnectionRefused, source: error.into() }
        }
    })
}
