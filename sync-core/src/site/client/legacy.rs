//! Requests to the legacy server.

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Client, PushFault, RetryLimits, gzip, join, shown, to_json};
use crate::error::{Error, Result, Server};
use crate::protocol::v5::{IdleCheck, MadeJoin, NewJoin, SiteInfo, path};
use crate::site::answer::{legacy_answer, made_join};
use crate::site::identity::Identity;
use crate::site::sizing::{TransferKind, may_be_the_size};
use crate::transport::{HttpRequest, HttpResponse, Method};

impl Client<'_> {
    /// Sends a GET to the legacy server. `path` is absolute: a prefix in the configured address is dropped, as upstream
    /// does.
    pub(crate) fn legacy_get<T: DeserializeOwned>(&mut self, identity: &Identity, path: &str) -> Result<T> {
        let request = legacy_get_request(identity, path);
        self.with_retries(Server::Legacy, |client| client.legacy_once(identity, &request))
    }

    /// Requests a batch from the legacy server, in the size that the line carries, and in smaller sizes while the connection
    /// breaks. Returns the batch, the number of records in the last request, and its duration.
    pub(crate) fn legacy_batch<T: DeserializeOwned>(
        &mut self,
        identity: &Identity,
        kind: TransferKind,
        path: impl Fn(u64) -> String,
    ) -> Result<(T, u64, Duration)> {
        let most = self.sizes.size(kind, self.config);
        self.sized(kind, most, |client, size| {
            let began = client.clock.monotonic();
            let answer = client.legacy_once(identity, &legacy_get_request(identity, &path(size)))?;
            Ok((answer, size, client.clock.monotonic().saturating_sub(began)))
        })
    }

    /// Sends a POST to the legacy server, as upstream does: JSON text without a content type.
    pub(crate) fn legacy_post<T: DeserializeOwned>(
        &mut self,
        identity: &Identity,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T> {
        let request = legacy_request(identity, path, body)?;
        self.with_retries(Server::Legacy, |client| client.legacy_once(identity, &request))
    }

    /// Asks the legacy server to join a patient to a store.
    pub(crate) fn legacy_join(&mut self, identity: &Identity, join: &NewJoin) -> Result<MadeJoin> {
        let request = legacy_request(identity, path::NAME_STORE_JOIN, join)?;
        self.with_retries(Server::Legacy, |client| {
            let shown = shown(&identity.legacy_url);
            let response = client.send(Server::Legacy, &shown, &request)?;
            made_join(&response, &shown, identity)
        })
    }

    /// Pushes a batch to the legacy server.
    pub(crate) fn legacy_push<T: DeserializeOwned>(
        &mut self,
        identity: &Identity,
        path: &str,
        body: &impl Serialize,
        retry: RetryLimits,
    ) -> Result<T, PushFault> {
        let request = legacy_request(identity, path, body)?;
        let outcome = self.with_retries_of(Server::Legacy, retry, |client| {
            let shown = shown(&identity.legacy_url);
            let response = client.legacy_send(identity, &request)?;
            legacy_answer(&response, &shown, identity)
        });
        outcome.map_err(|error| match error {
            Error::Refused { status: 413, .. } => PushFault::TooLarge,
            error if may_be_the_size(&error) => PushFault::Broke(error),
            error => PushFault::Error(error),
        })
    }

    /// Sends a POST whose answer only has to be successful: its body is ignored.
    pub(crate) fn legacy_notify(
        &mut self,
        identity: &Identity,
        path: &str,
        body: &impl Serialize,
        retry: RetryLimits,
    ) -> Result<()> {
        let request = legacy_request(identity, path, body)?;
        self.with_retries_of(Server::Legacy, retry, |client| {
            let response = client.legacy_send(identity, &request)?;
            check_accepted(&response, identity)
        })
    }

    /// Sends such a POST gzipped, and only once, because it is not known whether the server reads gzip. Returns `None` if the
    /// server refuses. Whether it understood the request shows only later, in what it sends.
    pub(crate) fn legacy_notify_gzipped(
        &mut self,
        identity: &Identity,
        path: &str,
        body: &impl Serialize,
    ) -> Result<Option<()>> {
        let request = gzipped(&legacy_request(identity, path, body)?)?;
        let response = self.send(Server::Legacy, &shown(&identity.legacy_url), &request)?;
        Ok((200..=299).contains(&response.status).then_some(()))
    }

    /// Sends a request to the legacy server; gzipped if that server has shown that it reads gzip.
    fn legacy_send(&mut self, identity: &Identity, request: &HttpRequest) -> Result<HttpResponse> {
        let url = shown(&identity.legacy_url);
        let reads_gzip =
            request.body.len() >= self.config.gzip_from && self.sizes.legacy_reads_gzip(&url) == Some(true);
        if !reads_gzip {
            return self.send(Server::Legacy, &url, request);
        }
        let response = self.send(Server::Legacy, &url, &gzipped(request)?)?;
        if matches!(response.status, 400 | 415) {
            // The address now leads to another server, or to a proxy in front of it, which does not read gzip.
            self.sizes.note_legacy_gzip(&url, false);
            return self.send(Server::Legacy, &url, request);
        }
        Ok(response)
    }

    /// Like [`legacy_post`](Self::legacy_post), but tried only once, because the server starts the work again at each request.
    pub(crate) fn legacy_post_once<T: DeserializeOwned>(
        &mut self,
        identity: &Identity,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T> {
        let request = legacy_request(identity, path, body)?;
        self.legacy_once(identity, &request)
    }

    /// Asks with the next `GET /sync/v5/site` for the answers to these requests: for central data, for the queue, and the
    /// V6 pull.
    pub(crate) fn ask_with_site_info(&mut self, check: &IdleCheck, requests: [HttpRequest; 3]) {
        self.at_hand.prepare(check, requests);
    }

    /// True while the answers that came with that to `GET /sync/v5/site` count.
    pub(crate) fn has_answers_at_hand(&self) -> bool {
        self.at_hand.are_left()
    }

    /// Asks the legacy server who this site is.
    pub(crate) fn site_info(&mut self, identity: &Identity) -> Result<SiteInfo> {
        let mut request = legacy_get_request(identity, path::SITE);
        request.headers.extend(self.at_hand.header());
        let mut info: SiteInfo = self.with_retries(Server::Legacy, |client| client.legacy_once(identity, &request))?;
        if let Some(idle_answers) = info.idle_answers.take() {
            self.at_hand.came(idle_answers);
        }
        Ok(info)
    }

    fn legacy_once<T: DeserializeOwned>(&mut self, identity: &Identity, request: &HttpRequest) -> Result<T> {
        let shown = shown(&identity.legacy_url);
        let response = self.send(Server::Legacy, &shown, request)?;
        legacy_answer(&response, &shown, identity)
    }
}

/// A GET request to the legacy server.
pub(crate) fn legacy_get_request(identity: &Identity, path: &str) -> HttpRequest {
    HttpRequest {
        method: Method::Get,
        url: join(&identity.legacy_url, path),
        headers: identity.headers().to_headers(),
        body: Vec::new(),
    }
}

fn legacy_request(identity: &Identity, path: &str, body: &impl Serialize) -> Result<HttpRequest> {
    Ok(HttpRequest {
        method: Method::Post,
        url: join(&identity.legacy_url, path),
        headers: identity.headers().to_headers(),
        body: to_json(body)?,
    })
}

/// Checks that the legacy server accepted a request.
fn check_accepted(response: &HttpResponse, identity: &Identity) -> Result<()> {
    match response.status {
        200..=299 => Ok(()),
        _ => {
            let url = shown(&identity.legacy_url);
            legacy_answer::<serde::de::IgnoredAny>(response, &url, identity).map(|_| ())
        }
    }
}

/// The request with its body gzipped.
fn gzipped(request: &HttpRequest) -> Result<HttpRequest> {
    let mut request = HttpRequest { body: gzip(&request.body)?, ..request.clone() };
    request.headers.push(("content-encoding".to_owned(), "gzip".to_owned()));
    Ok(request)
}
