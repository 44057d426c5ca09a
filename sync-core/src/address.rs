//! Addresses of servers, from people and from servers.

use std::net::Ipv6Addr;

use url::{Host, Url};

use crate::error::{Error, Result};
use crate::text::Detail;
use crate::text::sentences::error_detail;

/// Reads an address that a person typed or a server sent.
pub(crate) fn parse_url(what: &'static str, text: &str) -> Result<Url> {
    // Messages must not show a password that somebody put into the address.
    let shown = text.rsplit('@').next().unwrap_or_default().to_owned();
    let wrong = |reason: Detail| Error::InvalidUrl { what, url: shown.clone(), reason };
    let url = Url::parse(text).map_err(|error| match error {
        url::ParseError::RelativeUrlWithoutBase => wrong(error_detail::wrong_start().into()),
        url::ParseError::EmptyHost => wrong(error_detail::no_host().into()),
        url::ParseError::InvalidPort => wrong(error_detail::no_port().into()),
        // Those of a host that is no name and no number.
        _ => wrong(error_detail::no_host_name().into()),
    })?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(wrong(error_detail::wrong_start().into()));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong(error_detail::holds_password().into()));
    }
    Ok(url)
}

/// True if anybody on the way can read what is sent to this address: http to another machine.
pub(crate) fn is_readable_on_the_way(url: &Url) -> bool {
    url.scheme() != "https" && !is_loopback(url)
}

/// True for an address of this machine itself.
pub(crate) fn is_loopback(url: &Url) -> bool {
    url.host().is_some_and(|host| is_this_machine(&host))
}

/// The same for a host as it is written in a setting: a name, or an address with brackets or without.
#[cfg_attr(
    not(any(feature = "http", feature = "postgres")),
    allow(dead_code, reason = "only proxies and databases are named so")
)]
pub(crate) fn is_loopback_host(host: &str) -> bool {
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    match bare.parse::<Ipv6Addr>() {
        Ok(address) => is_this_machine::<&str>(&Host::Ipv6(address)),
        Err(_) => Host::parse(host).is_ok_and(|host| is_this_machine(&host)),
    }
}

fn is_this_machine<S: AsRef<str>>(host: &Host<S>) -> bool {
    match host {
        Host::Domain(name) => name.as_ref() == "localhost" || name.as_ref().ends_with(".localhost"),
        Host::Ipv4(address) => address.is_loopback(),
        // Also the form of an IPv4 address that a socket for both shows.
        Host::Ipv6(address) => address.to_canonical().is_loopback(),
    }
}

/// True if a server's new address needs somebody to confirm it: it is under another host, or gives up https. All names of this machine
/// itself are one host.
pub(crate) fn is_elsewhere(known: &Url, new: &Url) -> bool {
    let is_one_host = known.host() == new.host() || (is_loopback(known) && is_loopback(new));
    !is_one_host || (known.scheme() == "https" && is_readable_on_the_way(new))
}

/// What an address has beyond scheme, host and port, where requests to a server never go.
pub(crate) fn beyond_origin(url: &Url) -> Option<String> {
    let beyond = &url[url::Position::BeforePath..];
    (!matches!(beyond, "" | "/")).then(|| beyond.to_owned())
}

/// Scheme, host and port of an address.
pub(crate) fn origin_of(url: &Url) -> Url {
    let mut origin = url.clone();
    origin.set_path("/");
    origin.set_query(None);
    origin.set_fragment(None);
    origin
}

/// An address for messages.
pub(crate) fn shown(url: &Url) -> String {
    url.as_str().trim_end_matches('/').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_http_to_another_machine_is_readable_on_the_way() {
        for (address, expected) in [
            ("http://central.example.org", true),
            ("http://localhost.example.org", true),
            ("http://192.168.0.7:2048", true),
            ("http://[::2]", true),
            ("https://central.example.org", false),
            ("http://localhost:2048", false),
            ("http://127.8.0.1", false),
            ("http://[::1]:8000/oms/", false),
        ] {
            assert_eq!(is_readable_on_the_way(&Url::parse(address).unwrap()), expected, "{address}");
        }
    }

    #[test]
    fn hosts_of_settings_are_judged_as_those_of_addresses() {
        for here in
            ["localhost", "LOCALHOST", "oms.localhost", "127.0.0.1", "127.8.0.1", "::1", "[::1]", "::ffff:127.0.0.1"]
        {
            assert!(is_loopback_host(here), "{here}");
        }
        for elsewhere in ["", "central.example.org", "localhost.example.org", "10.0.0.7", "::2", "[fd00::1]", "a b"] {
            assert!(!is_loopback_host(elsewhere), "{elsewhere}");
        }
    }

    #[test]
    fn an_address_under_another_host_or_without_its_https_is_elsewhere() {
        for (known, new, expected) in [
            ("https://central.example.org", "https://central.example.org:8443/oms", false),
            ("http://central.example.org", "https://CENTRAL.example.org", false),
            ("http://localhost:1", "http://localhost:2", false),
            ("https://127.0.0.1", "http://localhost:2", false),
            ("http://localhost", "https://central.example.org", true),
            ("https://central.example.org", "http://central.example.org", true),
            ("https://central.example.org", "https://central.example.com", true),
            ("http://192.168.0.7", "http://192.168.0.8", true),
        ] {
            let [known, new] = [known, new].map(|text| Url::parse(text).unwrap());
            assert_eq!(is_elsewhere(&known, &new), expected, "{known} {new}");
        }
    }

    #[test]
    fn addresses() {
        for good in ["http://127.0.0.1:2048", "https://legacy.example.org", "https://oms.example.org/oms/"] {
            assert!(parse_url("x", good).is_ok(), "{good}");
        }
        for bad in ["", "legacy.example.org", "ftp://x", "http://", "https://me:secret@x", "localhost:2048"] {
            let error = parse_url("x", bad).unwrap_err();
            assert_eq!(error.code(), "invalid_url", "{bad}");
            assert!(!error.to_string().contains("secret"), "{error}");
        }
        for (bad, says) in [
            ("https://", "names no server"),
            ("http://a:99999", "is no port"),
            ("http://[::1", "no name and no address"),
            ("http://a b", "no name and no address"),
            ("http://1.2.3.4.5.6", "no name and no address"),
        ] {
            let said = parse_url("x", bad).unwrap_err().to_string();
            assert!(said.contains(says), "{bad}: {said}");
        }
    }
}
