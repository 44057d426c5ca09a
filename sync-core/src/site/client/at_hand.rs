//! A cycle in which nothing is new, with one request: the answers to the requests that follow come with that to
//! `GET /sync/v5/site`, if one server is the legacy server and central (`docs/protocol.md`, the keys of this project).

use crate::protocol::v5::{IDLE_CHECK, IdleAnswers, IdleCheck};
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
    /// Prepares to ask for the answers to these requests: for central data, for the queue, and the V6 pull.
    pub(super) fn prepare(&mut self, check: &IdleCheck, requests: [HttpRequest; 3]) {
        let header = serde_json::to_string(check).ok();
        self.header = header.filter(|header| header.is_ascii() && header.len() <= HEADER_MAX);
        self.requests = requests.into();
    }

    /// The header that asks for them.
    pub(super) fn header(&self) -> Option<(String, String)> {
        self.header.clone().map(|header| (IDLE_CHECK.to_owned(), header))
    }

    /// Takes the answers that came, in the order in which they were asked for.
    pub(super) fn came(&mut self, IdleAnswers { central_records, queued_records, pull }: IdleAnswers) {
        let answers = [central_records, queued_records, pull];
        let answers = answers.map(|text| HttpResponse::json(200, text.into_bytes()));
        self.answers = self.requests.drain(..).zip(answers).collect();
    }

    /// True while no other request has been sent since they came, and one of them is left.
    pub(super) fn are_left(&self) -> bool {
        !self.answers.is_empty()
    }

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
