//! The addresses from which sites signed in: a client that comes from one stands better than a stranger.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::budget::{Owner, Trust};

/// How long the address of a signed-in site stays known.
const KNOWN: Duration = Duration::from_secs(24 * 60 * 60);
/// The most known addresses.
const ADDRESSES_MAX: usize = 50_000;

/// The addresses from which sites signed in.
#[derive(Default)]
pub(super) struct Addresses(Mutex<HashMap<IpAddr, Instant>>);

impl Addresses {
    /// The rank of a client that has not signed in.
    pub(super) fn trust(&self, address: IpAddr) -> (Owner, Trust) {
        let address = network(address);
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&address).copied();
        let is_known = known.is_some_and(|at| at.elapsed() < KNOWN);
        (Owner::Address(address), if is_known { Trust::KnownAddress } else { Trust::Unknown })
    }

    /// Records that a site signed in from there.
    pub(super) fn note(&self, address: IpAddr) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= ADDRESSES_MAX {
            let mut times: Vec<Instant> = known.values().copied().collect();
            let (_, quarter, _) = times.select_nth_unstable(ADDRESSES_MAX / 4);
            let quarter = *quarter;
            known.retain(|_, at| *at > quarter);
        }
        known.insert(network(address), Instant::now());
    }
}

/// The addresses of one subscriber: with IPv6 that is a whole network.
pub(super) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6((address.to_bits() & !u128::from(u64::MAX)).into()),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_known_once_a_site_came_from_it() {
        let addresses = Addresses::default();
        let [one, same, other] = ["2001:db8::1", "2001:db8::2", "192.0.2.1"].map(|text| text.parse().unwrap());
        assert_eq!(addresses.trust(one).1, Trust::Unknown);
        addresses.note(one);
        assert_eq!(addresses.trust(same).1, Trust::KnownAddress);
        assert_eq!(addresses.trust(other).1, Trust::Unknown);
    }
}
