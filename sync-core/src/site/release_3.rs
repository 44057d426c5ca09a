//! Recognises a server of Open mSupply 3.x: it answers V7, with or without V6. The two questions carry no name and no password, because the
//! server may be anybody's.

use serde::Deserialize;
use serde::de::IgnoredAny;
use url::Url;

use super::client::join;
use crate::address::shown;
use crate::error::{Error, Server};
use crate::protocol::v6::{self, Credentials, SiteStatusRequest, decode_answer};
use crate::transport::{HttpRequest, HttpResponse, Method, Transport};

/// The beginning of what this project's central answers in V7, which it does not speak.
pub(crate) const SPEAKS_V6: &str = "This central server speaks the sync protocol V6";

/// Where V7 says the state of a site.
const V7_SITE_STATUS: &str = "central/sync_v7/site_status";

/// A version of V6 that no server takes: it is checked before the credentials, which are empty.
const NO_VERSION: u32 = 9999;

/// The protocols of a server of Open mSupply 3.x.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Release3 {
    /// V7 alone.
    V7,
    /// V7, and V6 for sites of 2.x.
    V7AndV6,
}

impl Release3 {
    /// Asks a server; `None` if it does not answer V7.
    pub(crate) fn at(transport: &dyn Transport, url: &Url) -> Option<Self> {
        let answered = transport.send(&post(url, V7_SITE_STATUS, b"null".to_vec())).ok()?;
        if !is_v7(&answered) {
            return None;
        }
        let nobody = Credentials {
            server_url: String::new(),
            username: String::new(),
            password_sha256: String::new(),
            site_uuid: String::new(),
            app_version: String::new(),
            app_name: String::new(),
            sync_version: String::new(),
        };
        let request = SiteStatusRequest { sync_v5_settings: nobody, sync_v6_version: NO_VERSION };
        let body = serde_json::to_vec(&request).ok()?;
        let answered = transport.send(&post(url, v6::path::SITE_STATUS, body));
        let speaks_v6 = answered.is_ok_and(|answer| decode_answer(&answer.body).is_ok());
        Some(if speaks_v6 { Self::V7AndV6 } else { Self::V7 })
    }

    /// The error of a site whose server of this part, at this address, is one of 3.x and does not do what was asked.
    pub(crate) fn error(self, server: Server, url: &Url) -> Option<Error> {
        let url = shown(url);
        match (self, server) {
            (Self::V7, _) => Some(Error::SpeaksV7Only { url }),
            (Self::V7AndV6, Server::Legacy) => Some(Error::CentralOfRelease3 { url }),
            (Self::V7AndV6, Server::Central) => None,
        }
    }
}

/// True for an answer of V7: one key, `Ok` or `Err`.
fn is_v7(response: &HttpResponse) -> bool {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    enum Envelope {
        Ok(IgnoredAny),
        Err(serde_json::Value),
    }
    match serde_json::from_slice(&response.body) {
        _ if response.status != 200 => false,
        Ok(Envelope::Ok(_)) => true,
        Ok(Envelope::Err(error)) => !error["Other"].as_str().is_some_and(|said| said.starts_with(SPEAKS_V6)),
        Err(_) => false,
    }
}

fn post(base: &Url, path: &str, body: Vec<u8>) -> HttpRequest {
    let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
    HttpRequest { method: Method::Post, url: join(base, path), headers, body }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_envelope_of_v7_is_one() {
        let is = |status, body: &str| is_v7(&HttpResponse::json(status, body.as_bytes().to_vec()));
        assert!(is(200, r#"{"Err":{"MissingAuthHeader":"missing or incorrect Authorization header"}}"#));
        assert!(is(200, r#"{"Err":"NotACentralServer"}"#) && is(200, r#"{"Ok":{"siteId":5}}"#));
        for (status, body) in [
            (200, r#"{"error":"notACentralServer"}"#),
            (200, "<html></html>"),
            (404, r#"{"Err":"x"}"#),
            (200, r#"{"Ok":1,"more":2}"#),
            (200, &format!(r#"{{"Err":{{"Other":"{SPEAKS_V6} (versions 0 to 5)"}}}}"#)),
        ] {
            assert!(!is(status, body), "{status} {body}");
        }
    }
}
