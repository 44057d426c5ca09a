//! A cycle in which nothing is new, with one request: the answers to the requests that follow come with that to
//! `GET /sync/v5/site`, if one server is the legacy server and central (`docs/protocol.md`, "Our extensions").

use super::Client;
use super::legacy::legacy_get_request;
use crate::error::{Result, Server};
use crate::protocol::v5::{FOLLOWING, FollowingRequests, NothingNew, SiteInfo, path};
use crate::site::identity::Identity;
use crate::transport::{HttpRequest, HttpResponse};

/// A longer header is not sent: a proxy may refuse it.
const HEADER_MAX: usize = 4000;

/// The requests that follow if nothing is new, and the answers that came for them.
#[derive(Default)]
pub(super) struct AnswersAtHand {
    header: Option<String>,
    requests: Vec<HttpRequest>,
    answers: Vec<(HttpRequest, HttpResponse)>,
}

impl AnswersAtHand {
    /// The answer to a request, if it is at hand. Any other request may change what is new, so it drops all answers.
    pub(super) fn take(&mut self, request: &HttpRequest) -> Option<HttpResponse> {
        let place = self.answers.iter().position(|(asked, _)| asked == request);
        match place {
            Some(place) => Some(self.answers.swap_remove(place).1),
            None => {
                self.answers.clear();
                None
            }
        }
    }
}

impl Client<'_> {
    /// Asks with the next `GET /sync/v5/site` for the answers to these requests: for central data, for the queue, and the
    /// V6 pull.
    pub(crate) fn ask_with_site_info(&mut self, following: &FollowingRequests, requests: [HttpRequest; 3]) {
        let header = serde_json::to_string(following).ok();
        self.at_hand.header = header.filter(|header| header.is_ascii() && header.len() <= HEADER_MAX);
        self.at_hand.requests = requests.into();
    }

    /// Asks the legacy server who this site is.
    pub(crate) fn site_info(&mut self, identity: &Identity) -> Result<SiteInfo> {
        let mut request = legacy_get_request(identity, path::SITE);
        request.headers.extend(self.at_hand.header.clone().map(|header| (FOLLOWING.to_owned(), header)));
        let mut info: SiteInfo = self.with_retries(Server::Legacy, |client| client.legacy_once(identity, &request))?;
        if let Some(NothingNew { central_records, queued_records, pull }) = info.nothing_new.take() {
            let answers = [central_records, queued_records, pull];
            let answers = answers.map(|text| HttpResponse::json(200, text.into_bytes()));
            self.at_hand.answers = self.at_hand.requests.drain(..).zip(answers).collect();
        }
        Ok(info)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::Method;

    fn request(path: &str) -> HttpRequest {
        HttpRequest { method: Method::Get, url: path.to_owned(), headers: Vec::new(), body: Vec::new() }
    }

    #[test]
    fn an_answer_counts_for_its_request_once_and_for_none_after_another_request() {
        let answer = |text: &str| HttpResponse::json(200, text.as_bytes().to_vec());
        let answers = || vec![(request("/a"), answer("1")), (request("/b"), answer("2"))];
        let mut at_hand = AnswersAtHand { answers: answers(), ..AnswersAtHand::default() };
        assert_eq!(at_hand.take(&request("/b")).map(|answer| answer.body), Some(b"2".to_vec()));
        assert!(at_hand.take(&request("/b")).is_none(), "it is taken");
        let mut at_hand = AnswersAtHand { answers: answers(), ..AnswersAtHand::default() };
        assert!(at_hand.take(&request("/push")).is_none());
        assert!(at_hand.take(&request("/a")).is_none(), "a push may have made something new");
    }
}
