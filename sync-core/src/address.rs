//! Addresses of servers, from people and from servers.

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
        error => wrong(error.to_string().into()),
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
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// True if a server's new address needs somebody to confirm it: it is under another host, or gives up https. All names of this machine
/// itself are one host.
pub(crate) fn is_elsewhere(known: &Url, new: &Url) -> bool {
    let is_one_host = known.host() == new.host() || (is_loopback(known) && is_loopback(new));
    !is_one_host || (known.scheme() == "https" && is_readable_on_the_way(new))
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
    }
}
