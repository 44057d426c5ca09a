//! What an answer of a server means: its data, or the error that it is, whatever shape that has.

use serde::de::DeserializeOwned;
use url::Url;

use super::client::shown;
use crate::error::{Error, Result, Server};
use crate::masked::excerpt;
use crate::protocol::v5::{V5_VERSION, V5Error, V5ErrorBody};
use crate::protocol::v6::{Answer, NotAnAnswer, WireError, decode_answer};
use crate::texts::Detail;
use crate::texts::sentences::error_detail as words;
use crate::transport::{HttpResponse, TransportError};

pub(super) fn transport_error(error: TransportError, server: Server, url: &str) -> Error {
    let url = url.to_owned();
    match error {
        TransportError::Unreachable(source) => Error::Unreachable { server, url, source },
        TransportError::Certificate(source) => Error::CertificateRefused { server, url, source },
        TransportError::TimedOut(source) => Error::TimedOut { server, url, source: Some(source) },
        TransportError::Broken(source) | TransportError::CutOff(source) => Error::CutOff { server, url, source },
        TransportError::NotHttp(source) => {
            Error::NotAServer { server, url, found: words::not_http(source.to_string()).into() }
        }
        TransportError::TooLarge(bytes) => {
            Error::UnreadableAnswer { server, url, detail: words::too_large(bytes).into() }
        }
    }
}

pub(super) fn unreadable(server: Server, url: &Url, detail: &str) -> Error {
    Error::UnreadableAnswer { server, url: shown(url), detail: peers_words(detail) }
}

/// What the other end says, as messages show it.
fn peers_words(text: &str) -> Detail {
    excerpt(text.as_bytes()).into()
}

/// What a body looks like to somebody who expected a protocol message.
fn looks_like(response: &HttpResponse) -> Detail {
    let start = response.body.iter().copied().filter(|b| !b.is_ascii_whitespace()).take(1).next();
    let html = response.header("content-type").is_some_and(|kind| kind.contains("html"));
    match start {
        _ if html || start == Some(b'<') => words::web_page().into(),
        None => words::empty_answer().into(),
        _ => excerpt(&response.body).into(),
    }
}

/// Statuses that mean the same from either server.
pub(super) fn common_status(response: &HttpResponse, server: Server, url: &str) -> Result<()> {
    let url = url.to_owned();
    match response.status {
        200..=299 => Ok(()),
        300..=399 => {
            let to = excerpt(response.header("location").unwrap_or("nowhere").as_bytes());
            Err(Error::NotAServer { server, url, found: words::redirection(to).into() })
        }
        408 => Err(Error::TimedOut { server, url, source: None }),
        404 => Err(Error::NotAServer { server, url, found: words::no_page().into() }),
        429 | 500..=598 => Err(Error::ServerTrouble { server, url, status: response.status }),
        status => Err(Error::Refused { server, status, detail: looks_like(response) }),
    }
}

/// An answer that is none of the central server's.
pub(super) fn not_central(response: &HttpResponse, url: &str) -> Error {
    let found = looks_like(response);
    Error::NotAServer { server: Server::Central, url: url.to_owned(), found }
}

pub(super) fn legacy_answer<T: DeserializeOwned>(response: &HttpResponse, url: &str, site: &str) -> Result<T> {
    if !(200..=299).contains(&response.status)
        && let Ok(V5Error { error }) = serde_json::from_slice::<V5Error>(&response.body)
    {
        return Err(match (response.status, error.code.as_str()) {
            // As this library's central server says it, for which the protocol has no code.
            (429, "site_auth_timeout") => Error::TooManyAttempts { server: Server::Legacy },
            _ => legacy_error(&error, Server::Legacy, url, response.status, site),
        });
    }
    common_status(response, Server::Legacy, url)?;
    serde_json::from_slice(&response.body).map_err(|error| {
        let url = url.to_owned();
        match error.classify() {
            serde_json::error::Category::Eof if !response.body.is_empty() => {
                Error::CutOff { server: Server::Legacy, url, source: error.into() }
            }
            serde_json::error::Category::Data if response.body.first() == Some(&b'{') => {
                Error::UnreadableAnswer { server: Server::Legacy, url, detail: peers_words(&error.to_string()) }
            }
            _ => Error::NotAServer { server: Server::Legacy, url, found: looks_like(response) },
        }
    })
}

/// The legacy server's own error codes (`protocol-v5` §9).
fn legacy_error(error: &V5ErrorBody, server: Server, url: &str, status: u16, site: &str) -> Error {
    legacy_code(&error.code, site).unwrap_or_else(|| match error.code.as_str() {
        "sync_is_running" | "initialisation_in_progress" | "integration_in_progress" => {
            Error::IntegrationInProgress { server: Server::Legacy }
        }
        _ if status >= 500 => Error::ServerTrouble { server, url: url.to_owned(), status },
        code => Error::Refused { server, status, detail: peers_words(&format!("{code}: {}", error.message)) },
    })
}

fn legacy_code(code: &str, site: &str) -> Option<Error> {
    let site = site.to_owned();
    Some(match code {
        "site_name_not_found" => Error::UnknownSite { server: Server::Legacy, site },
        "site_incorrect_password" => Error::WrongPassword { site },
        "site_incorrect_hardware_id" => Error::HardwareIdMismatch { site },
        "site_has_no_store" => Error::SiteHasNoStore { site },
        "site_auth_timeout" => Error::SiteAuthTimeout,
        "api_version_incompatible" => Error::LegacyVersionMismatch { sent: V5_VERSION },
        _ => return None,
    })
}

pub(super) fn central_answer(
    response: &HttpResponse,
    url: &str,
    site: &str,
) -> Result<Box<serde_json::value::RawValue>> {
    if response.status == 405 {
        return Err(Error::NotCentral { url: url.to_owned() });
    }
    common_status(response, Server::Central, url)?;
    let owned = url.to_owned();
    let server = Server::Central;
    match decode_answer(&response.body) {
        Ok(Answer::Data(data)) => Ok(data),
        Ok(Answer::Error(error)) => Err(wire_error(error, url, site)),
        Ok(Answer::UnknownError(text)) => Err(Error::PeerError { server, detail: peers_words(&text) }),
        Err(NotAnAnswer::Empty) => Err(Error::UnreadableAnswer { server, url: owned, detail: words::empty().into() }),
        Err(cut @ NotAnAnswer::CutOff(_)) => Err(Error::CutOff { server, url: owned, source: cut.into() }),
        Err(NotAnAnswer::Other(detail)) => Err(match response.body.iter().find(|b| !b.is_ascii_whitespace()) {
            Some(b'{') => Error::UnreadableAnswer { server, url: owned, detail: peers_words(&detail) },
            _ => Error::NotAServer { server, url: owned, found: looks_like(response) },
        }),
    }
}

pub(super) fn wire_error(error: WireError, url: &str, site: &str) -> Error {
    let server = Server::Central;
    match error {
        WireError::NotACentralServer => Error::NotCentral { url: url.to_owned() },
        WireError::IntegrationInProgress => Error::IntegrationInProgress { server },
        WireError::SyncVersionMismatch(min, max, sent) => Error::VersionMismatch { server, min, max, sent },
        WireError::LegacyServerError(body) => legacy_error(&body, server, url, 200, site),
        WireError::CannotConnectToLegacyServer(_) => Error::CentralCannotReachLegacy,
        WireError::OtherServerError(text) if text.contains("429 Too Many Requests") => {
            Error::TooManyAttempts { server }
        }
        WireError::OtherServerError(text) => match WireError::flattened_legacy_code(&text) {
            Some(code) => legacy_code(&code, site)
                .unwrap_or_else(|| Error::PeerError { server, detail: words::legacy_says(peers_words(&code)).into() }),
            // Whatever central could not be told by the legacy server: the fault is between the two.
            None if text.contains("Connection problem") || text.contains("route: '/sync/v5/site'") => {
                Error::CentralCannotReachLegacy
            }
            None => Error::PeerError { server, detail: peers_words(&text) },
        },
        WireError::ParsingSyncRecordError(text)
        | WireError::SyncFileNotFound(text)
        | WireError::OtherLegacyServerError(text) => Error::PeerError { server, detail: peers_words(&text) },
    }
}
