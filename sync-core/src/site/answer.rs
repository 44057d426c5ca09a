//! Reads the answer of a server: its data, or the error that it holds in one of many shapes.

use serde::de::DeserializeOwned;
use url::Url;

use super::identity::Identity;
use crate::address::shown;
use crate::error::{Cause, Error, Result, Server};
use crate::protocol::v5::{MadeJoin, V5_VERSION, V5Error, V5ErrorBody};
use crate::protocol::v6::{Answer, EnvelopeFault, WireError, decode_answer, marked_text};
use crate::redaction::{excerpt, whole_words};
use crate::text::sentences::error_detail as words;
use crate::text::{Detail, Message};
use crate::transport::{
    ANSWERED_BY_PROXY, CertificateFault, HttpResponse, ThroughProxy, TransportError, certificate_fault,
    own_certificate_fault,
};
#[cfg(feature = "http")]
use crate::transport::{OtherScheme, other_scheme};

pub(crate) fn transport_error(error: TransportError, server: Server, url: &str) -> Error {
    let at = |cause: &Cause| match cause.downcast_ref::<ThroughProxy>() {
        Some(through) => words::through_proxy(url, &through.proxy).to_string(),
        None => url.to_owned(),
    };
    match error {
        TransportError::Unreachable(source) => Error::Unreachable { server, url: at(&source), source },
        TransportError::Certificate(source) => {
            if let Some(fault) = own_certificate_fault(source.as_ref()) {
                return Error::ClientCertificateRefused { server, url: url.to_owned(), why: fault.says(), source };
            }
            let fault = certificate_fault(source.as_ref()).unwrap_or(CertificateFault::Other);
            let why = fault.says(source.as_ref());
            Error::CertificateRefused { server, url: url.to_owned(), why, source }
        }
        TransportError::TimedOut(source) => Error::TimedOut { server, url: at(&source), source: Some(source) },
        TransportError::Broken(source) | TransportError::CutOff(source) => {
            Error::CutOff { server, url: at(&source), source }
        }
        TransportError::NotHttp(source) => {
            let cause = source.downcast_ref::<ThroughProxy>().map_or(&source, |through| &through.source);
            Error::NotAServer { server, url: at(&source), found: found_by(cause).into() }
        }
        TransportError::TooLarge(bytes) => Error::AnswerTooLarge { server, url: url.to_owned(), bytes },
        TransportError::Undecodable(source) => {
            let detail = words::not_unpacked(excerpt(source.to_string().as_bytes())).into();
            Error::UnreadableAnswer { server, url: url.to_owned(), detail }
        }
        TransportError::ProxyRefused { proxy, status: 407 } => {
            Error::NotAServer { server, url: url.to_owned(), found: words::this_proxy_wants_password(proxy).into() }
        }
        TransportError::ProxyRefused { proxy, status } => {
            Error::NotAServer { server, url: url.to_owned(), found: words::proxy_refuses(status, proxy).into() }
        }
        TransportError::ProxyUnusable { variable, url, reason } => Error::ProxyUnusable { variable, url, reason },
        TransportError::Stopped => Error::Cancelled,
    }
}

/// What came in place of HTTP.
#[cfg(feature = "http")]
fn found_by(cause: &Cause) -> Message {
    match other_scheme(cause.as_ref()) {
        Some(OtherScheme::Https) => words::in_tls(),
        Some(OtherScheme::Http) => words::without_tls(),
        None => words::not_http(cause.to_string()),
    }
}

/// Without HTTP no error tells more.
#[cfg(not(feature = "http"))]
fn found_by(cause: &Cause) -> Message {
    words::not_http(cause.to_string())
}

pub(crate) fn unreadable(server: Server, url: &Url, detail: &str) -> Error {
    Error::UnreadableAnswer { server, url: shown(url), detail: peers_words(detail) }
}

/// The beginning of a body.
fn peers_words(text: &str) -> Detail {
    excerpt(text.as_bytes()).into()
}

/// An error that the other end states, in full.
pub(crate) fn stated(text: &str, of: &Identity) -> Detail {
    // A server that repeats the request in its error would show the site's credentials.
    let headers = of.headers().to_headers();
    let basic = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("authorization"));
    let basic = basic.map_or("", |(_, value)| value.trim_start_matches("Basic ").trim());
    whole_words(text, &[of.hardware_id(), basic]).into()
}

/// Describes a body that is no protocol message.
fn looks_like(response: &HttpResponse) -> Detail {
    match first_byte(response) {
        _ if is_page(response) => words::web_page().into(),
        None => words::empty_answer().into(),
        _ => excerpt(&response.body).into(),
    }
}

fn is_page(response: &HttpResponse) -> bool {
    let is_html = response.header("content-type").is_some_and(|kind| kind.contains("html"));
    is_html || first_byte(response) == Some(b'<')
}

fn first_byte(response: &HttpResponse) -> Option<u8> {
    response.body.iter().copied().find(|byte| !byte.is_ascii_whitespace())
}

/// The text of an answer whose status says only that something is wrong. A web page is only named. Other text is shown
/// at greater length, because it may name the record. A body that holds records is not shown at all, because their
/// content is confidential.
fn said_with(response: &HttpResponse, of: &Identity) -> Detail {
    const SHOWN: usize = 1000;
    let text = String::from_utf8_lossy(&response.body);
    match looks_like(response) {
        Detail::Plain(_) if !text.contains("recordData") && !text.trim_start().starts_with('[') => {
            let said = stated(&text, of).to_string();
            let shown = said.char_indices().take_while(|(at, _)| *at < SHOWN).map(|(_, letter)| letter);
            shown.collect::<String>().into()
        }
        said => said,
    }
}

/// Describes an answer whose status says only that something is wrong.
fn came_with(response: &HttpResponse, of: &Identity) -> Option<Cause> {
    let by = response.header("server").map(|by| format!(" by {}", excerpt(by.as_bytes()))).unwrap_or_default();
    (!response.body.is_empty() || !by.is_empty()).then(|| format!("{} was sent{by}", said_with(response, of)).into())
}

/// Describes an answer that is not of the protocol: its status, its kind, and the program that sent it.
pub(crate) fn foreign_answer(response: &HttpResponse) -> String {
    let by = response.header("server").map(|by| format!(" from {}", excerpt(by.as_bytes()))).unwrap_or_default();
    format!("status {}{by}: {}", response.status, looks_like(response))
}

/// True if a machine on the way made the answer: central sends no pages, and does not name its software.
pub(crate) fn is_of_proxy(response: &HttpResponse) -> bool {
    first_byte(response) == Some(b'<') || ["server", "via"].iter().any(|name| response.header(name).is_some())
}

/// Statuses that mean the same from either server.
pub(crate) fn common_status(response: &HttpResponse, server: Server, url: &str, of: &Identity) -> Result<()> {
    match (response.status, response.header(ANSWERED_BY_PROXY)) {
        (403, Some(proxy)) if !is_json(response) => {
            let found = words::proxy_refuses(403, proxy.to_owned()).into();
            Err(Error::NotAServer { server, url: url.to_owned(), found })
        }
        // The answer does not show which of the two has trouble, so both are named.
        (_, Some(proxy)) => own_status(response, server, words::through_proxy(url, proxy).to_string(), of),
        _ => own_status(response, server, url.to_owned(), of),
    }
}

/// True if a body may be a protocol message: the servers refuse in JSON, machines on the way do not.
fn is_json(response: &HttpResponse) -> bool {
    serde_json::from_slice::<serde::de::IgnoredAny>(&response.body).is_ok()
}

fn own_status(response: &HttpResponse, server: Server, url: String, of: &Identity) -> Result<()> {
    match response.status {
        200..=299 => Ok(()),
        300..=399 => {
            let to = excerpt(response.header("location").unwrap_or("nowhere").as_bytes());
            Err(Error::NotAServer { server, url, found: words::redirection(to).into() })
        }
        408 => Err(Error::TimedOut { server, url, source: None }),
        404 => Err(Error::NotAServer { server, url, found: words::no_page().into() }),
        407 => Err(Error::NotAServer { server, url, found: words::proxy_wants_password().into() }),
        511 => Err(Error::NotAServer { server, url, found: words::network_wants_login().into() }),
        status @ (429 | 500..=598) => {
            Err(Error::ServerTrouble { server, url, status, source: came_with(response, of) })
        }
        // As nginx, Apache and others say it in words of their own.
        400 if url.starts_with("http://") && names_https(response) => {
            Err(Error::NotAServer { server, url, found: words::in_tls().into() })
        }
        status => Err(Error::Refused { server, status, detail: said_with(response, of) }),
    }
}

/// True for an answer that is no message of the protocol, and speaks of https.
fn names_https(response: &HttpResponse) -> bool {
    !is_json(response) && String::from_utf8_lossy(&response.body).to_ascii_lowercase().contains("https")
}

/// An answer that is not the central server's.
pub(crate) fn not_central(response: &HttpResponse, url: &str) -> Error {
    let found = looks_like(response);
    Error::NotAServer { server: Server::Central, url: url.to_owned(), found }
}

/// The error that central states in a body, with its envelope or bare.
pub(crate) fn stated_by_central(response: &HttpResponse) -> Option<WireError> {
    match decode_answer(&response.body) {
        Ok(Answer::Error(error)) => Some(error),
        _ => serde_json::from_slice(&response.body).ok(),
    }
}

/// Central's answer to a join: empty, or status 500 with the reason as text. Where something else answers with success, such
/// as the log-in page of a network, central has not joined anybody.
pub(crate) fn joined(response: &HttpResponse, url: &str, of: &Identity) -> Result<()> {
    let is_success = (200..=299).contains(&response.status);
    if let Some(error) = stated_by_central(response).filter(|_| !is_success) {
        return Err(wire_error(error, url, of));
    }
    match response.status {
        200..=299 if response.body.iter().all(u8::is_ascii_whitespace) => Ok(()),
        200..=299 => match decode_answer(&response.body) {
            Ok(Answer::Error(error)) => Err(wire_error(error, url, of)),
            Ok(Answer::UnknownError(text)) => {
                Err(Error::PeerError { server: Server::Central, detail: stated(&text, of) })
            }
            _ if is_json(response) => Ok(()),
            _ => Err(not_central(response, url)),
        },
        405 => Err(Error::NotCentral { url: url.to_owned() }),
        500 => {
            let text = String::from_utf8_lossy(&response.body).into_owned();
            Err(wire_error(WireError::OtherServerError(text), url, of))
        }
        _ => common_status(response, Server::Central, url, of),
    }
}

/// The legacy server's answer to a join. Status 404 is about the patient or the store, unless a web page comes with it.
pub(crate) fn made_join(response: &HttpResponse, url: &str, of: &Identity) -> Result<MadeJoin> {
    match legacy_answer(response, url, of) {
        Err(Error::NotAServer { server, .. }) if response.status == 404 && !is_page(response) => {
            Err(Error::Refused { server, status: 404, detail: said_with(response, of) })
        }
        made => made,
    }
}

pub(crate) fn legacy_answer<T: DeserializeOwned>(response: &HttpResponse, url: &str, of: &Identity) -> Result<T> {
    let is_success = (200..=299).contains(&response.status);
    let text = marked_text(&response.body);
    let stated_error = || V5Error::read(&text).map(|answer| answer.error);
    if !is_success && let Some(error) = stated_error() {
        return Err(match (response.status, error.code.as_str()) {
            // The wording of this library's central server; the protocol has no code for it.
            (429, "site_auth_timeout") => Error::TooManyAttempts { server: Server::Legacy },
            _ => legacy_error(&error, response.status, of),
        });
    }
    common_status(response, Server::Legacy, url, of)?;
    serde_json::from_str(&text).map_err(|error| {
        // A stated error is kept, whatever the status.
        if let Some(stated) = stated_error() {
            return legacy_error(&stated, response.status, of);
        }
        let url = url.to_owned();
        match error.classify() {
            serde_json::error::Category::Eof if !response.body.is_empty() => {
                Error::CutOff { server: Server::Legacy, url, source: error.into() }
            }
            serde_json::error::Category::Data | serde_json::error::Category::Syntax
                if response.body.first() == Some(&b'{') =>
            {
                Error::UnreadableAnswer { server: Server::Legacy, url, detail: peers_words(&error.to_string()) }
            }
            _ => Error::NotAServer { server: Server::Legacy, url, found: looks_like(response) },
        }
    })
}

/// The legacy server's own error codes (`protocol-v5` §9). A stated reason is not retried, whatever the status: the
/// same request meets the same reason.
fn legacy_error(error: &V5ErrorBody, status: u16, of: &Identity) -> Error {
    let server = Server::Legacy;
    legacy_code(&error.code, &of.site_name).unwrap_or_else(|| match error.code.as_str() {
        "sync_api_paused" => Error::SyncPaused { server },
        "sync_is_running" | "initialisation_in_progress" | "integration_in_progress" => {
            Error::IntegrationInProgress { server }
        }
        _ => Error::Refused { server, status, detail: stated(&error.summary(), of) },
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
        "api_version_incompatible" => Error::LegacyVersionMismatch { server: Server::Legacy, sent: V5_VERSION },
        _ => return None,
    })
}

pub(crate) fn central_answer(
    response: &HttpResponse,
    url: &str,
    of: &Identity,
) -> Result<Box<serde_json::value::RawValue>> {
    if response.status == 405 {
        return Err(Error::NotCentral { url: url.to_owned() });
    }
    if !(200..=299).contains(&response.status)
        && let Ok(Answer::Error(error)) = decode_answer(&response.body)
    {
        return Err(wire_error(error, url, of));
    }
    common_status(response, Server::Central, url, of)?;
    let owned = url.to_owned();
    let server = Server::Central;
    match decode_answer(&response.body) {
        Ok(Answer::Data(data)) => Ok(data),
        Ok(Answer::Error(error)) => Err(wire_error(error, url, of)),
        Ok(Answer::UnknownError(text)) => Err(Error::PeerError { server, detail: stated(&text, of) }),
        Err(EnvelopeFault::Empty) => Err(Error::UnreadableAnswer { server, url: owned, detail: words::empty().into() }),
        Err(cut @ EnvelopeFault::CutOff(_)) => Err(Error::CutOff { server, url: owned, source: cut.into() }),
        Err(EnvelopeFault::Other(detail)) => Err(match first_byte(response) {
            Some(b'{') => Error::UnreadableAnswer { server, url: owned, detail: peers_words(&detail) },
            _ => Error::NotAServer { server, url: owned, found: looks_like(response) },
        }),
    }
}

pub(crate) fn wire_error(error: WireError, url: &str, of: &Identity) -> Error {
    let server = Server::Central;
    match error {
        error if error.is_pause() => Error::SyncPaused { server },
        WireError::SyncApiPaused => Error::SyncPaused { server },
        WireError::TableNotAuthoredBySite(table) => {
            Error::TableNotForSites { server, table: excerpt(table.as_bytes()).into() }
        }
        WireError::NotACentralServer => Error::NotCentral { url: url.to_owned() },
        WireError::IntegrationInProgress => Error::IntegrationInProgress { server },
        WireError::SyncVersionMismatch(min, max, sent) => Error::VersionMismatch { server, min, max, sent },
        WireError::LegacyServerError(body) => legacy_error(&body, 200, of),
        WireError::CannotConnectToLegacyServer(_) => Error::CentralCannotReachLegacy,
        WireError::OtherServerError(text) if text.contains("429 Too Many Requests") => {
            Error::TooManyAttempts { server }
        }
        WireError::OtherServerError(text) if WireError::copy_goes_on_since(&text).is_some() => {
            let since = WireError::copy_goes_on_since(&text).map(|since| excerpt(since.as_bytes())).unwrap_or_default();
            Error::DatabaseCopied { site: of.site_name.clone(), since }
        }
        WireError::OtherServerError(text) if WireError::copy_undecided_since(&text).is_some() => {
            let since = WireError::copy_undecided_since(&text).unwrap_or_default();
            Error::CopyUndecided { site: of.site_name.clone(), since: excerpt(since.as_bytes()) }
        }
        WireError::OtherServerError(text) => match WireError::flattened_legacy_error(&text) {
            Some(error) => legacy_code(&error.code, &of.site_name).unwrap_or_else(|| Error::PeerError {
                server,
                detail: words::legacy_says(stated(&error.summary(), of)).into(),
            }),
            // Central could not get an answer from the legacy server: the fault is between the two.
            None if text.contains("Connection problem") || text.contains("route: '/sync/v5/site'") => {
                Error::CentralCannotReachLegacy
            }
            None => Error::PeerError { server, detail: stated(&text, of) },
        },
        WireError::ParsingSyncRecordError(text)
        | WireError::SyncFileNotFound(text)
        | WireError::OtherLegacyServerError(text) => Error::PeerError { server, detail: stated(&text, of) },
    }
}
