//! Addresses of servers, from people and from servers.

use url::Url;

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

/// An address for messages.
pub(crate) fn shown(url: &Url) -> String {
    url.as_str().trim_end_matches('/').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

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
