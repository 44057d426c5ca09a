//! Tells a site with the answer to its first request that nothing is new, so that it needs no other.

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::legacy_api::{credentials, limit};
use crate::central::{Central, RequestTrace};
use crate::protocol::v5::{IDLE_CHECK, IdleAnswers, IdleCheck, SiteHeaders};
use crate::protocol::v6::path;
use crate::record::SiteId;
use crate::transport::{HttpRequest, Method};

/// The part of an answer to a pull that says whether it brings anything.
#[derive(Deserialize)]
struct AnsweredPull {
    data: PulledBatch,
}

#[derive(Deserialize)]
struct PulledBatch {
    records: Vec<IgnoredAny>,
    is_last_batch: bool,
    #[serde(default)]
    lost_history: Vec<IgnoredAny>,
}

impl Central {
    /// The answers to the requests that the site would send next, made as if it had sent them, if none of them brings
    /// anything. Otherwise the site sends the requests.
    pub(crate) fn idle_answers(
        &self,
        site: SiteId,
        (request, headers): (&HttpRequest, &SiteHeaders),
        trace: &RequestTrace,
    ) -> Option<IdleAnswers> {
        let asked: IdleCheck = serde_json::from_str(request.header(IDLE_CHECK)?).ok()?;
        // A limit of no bytes: an answer with records is thrown away.
        let central_records = self.central_records(site, &asked.central_records, 0).ok()?;
        if !central_records.data.is_empty() {
            return None;
        }
        let queued_records = self.queue(site, limit(&asked.queued_records), 0).ok()?;
        if !queued_records.data.is_empty() || queued_records.queue_length > 0 {
            return None;
        }
        Some(IdleAnswers {
            central_records: serde_json::to_string(&central_records).ok()?,
            queued_records: serde_json::to_string(&queued_records).ok()?,
            pull: self.empty_pull(asked.pull, headers, trace)?,
        })
    }

    /// The answer to a pull, if it brings nothing.
    fn empty_pull(&self, mut pull: serde_json::Value, headers: &SiteHeaders, trace: &RequestTrace) -> Option<String> {
        let fields = pull.as_object_mut()?;
        fields.insert("syncV5Settings".to_owned(), serde_json::to_value(credentials(headers)).ok()?);
        fields.insert("batchSize".to_owned(), 1.into());
        let request = HttpRequest {
            method: Method::Post,
            url: format!("/{}", path::PULL),
            headers: vec![("content-type".to_owned(), "application/json".to_owned())],
            body: serde_json::to_vec(&pull).ok()?,
        };
        // With a trace of its own: it counts as a pull of the site.
        let traced = RequestTrace::of(trace.caller.clone());
        let response = self.route(&request, &traced);
        self.activity.note(&traced, self.clock.now());
        let text = String::from_utf8(response.body).ok()?;
        let AnsweredPull { data } = serde_json::from_str(&text).ok()?;
        (data.records.is_empty() && data.is_last_batch && data.lost_history.is_empty()).then_some(text)
    }
}
