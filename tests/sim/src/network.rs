//! The line of a site to the servers, on which everything may happen to a request and to its answer.

use std::io::Read as _;
use std::sync::Weak;
use std::time::Duration;

use serde_json::Value;
use sync_core::protocol::v5::IDLE_CHECK;
use sync_core::protocol::v5::path::{CENTRAL_RECORDS, INITIALISE};
use sync_core::protocol::v6::{Action, PushRequest, WireRecord, path};
use sync_core::transport::{
    HttpRequest, HttpResponse, Method, StreamedBody, StreamedResponse, Transport, TransportError,
};

use crate::files::is_of_a_file;
use crate::harsh::Harsh;
use crate::ledger::Key;
use crate::legacy::LEGACY;
use crate::lock;
use crate::promises::{Promise, short};
use crate::rules::{Release, release_of};
use crate::run::{Chance, Late, Phase, Sim, Spot};
use crate::swarm::Fault;
use crate::wire;
use crate::world::ADDRESS;

/// How central says that a push has to come again.
const WAIT: &str = "integrationInProgress";

/// How long a copy of a request may be under way.
const LATE: Duration = Duration::from_secs(600);

/// The line of a site.
pub struct Network {
    sim: Weak<Sim>,
    site: usize,
    /// Whether other things happen while a request is under way.
    nests: bool,
}

impl Network {
    pub(crate) fn of(sim: Weak<Sim>, site: usize) -> Self {
        Self { sim, site, nests: true }
    }

    /// The line by which central asks the legacy server who a site is. Who asks the same meanwhile would wait for the
    /// answer, and there is one thread only: so nothing else happens while that is under way.
    pub(crate) fn of_authenticator(sim: Weak<Sim>) -> Self {
        Self { sim, site: 0, nests: false }
    }
}

impl Transport for Network {
    fn send(&self, request: &HttpRequest) -> Result<HttpResponse, TransportError> {
        let Some(sim) = self.sim.upgrade() else {
            return Err(TransportError::Unreachable("the world has ended".into()));
        };
        sim.send_as_its_release(self.site, || sim.send(self.site, request, self.nests))
    }

    fn stream(
        &self,
        request: &HttpRequest,
        body: Option<StreamedBody<'_>>,
    ) -> Result<StreamedResponse, TransportError> {
        let sim = self.sim.upgrade();
        match sim.as_ref().and_then(|sim| Some((sim, sim.files.as_ref()?))) {
            Some((sim, files)) => sim.stream(files, self.site, request, body),
            None => Err(TransportError::Unreachable("there are no files in this world".into())),
        }
    }

    fn is_concurrent(&self) -> bool {
        false
    }
}

impl Sim {
    /// A request without its question whether anything is new, which a proxy may drop and an older release does not ask: then each
    /// request of a cycle is sent.
    fn without_idle_check(&self, site: usize, request: &HttpRequest) -> Option<HttpRequest> {
        request.header(IDLE_CHECK)?;
        let is_old = self.harsh.as_ref().is_some_and(|harsh| harsh.is_old(site)) || self.has_older_central();
        if self.swarm.checks_idle && !is_old {
            return None;
        }
        let mut plain = request.clone();
        plain.headers.retain(|(name, _)| name != IDLE_CHECK);
        Some(plain)
    }

    fn send(&self, site: usize, request: &HttpRequest, nests: bool) -> Result<HttpResponse, TransportError> {
        let plain = self.without_idle_check(site, request);
        let request = plain.as_ref().unwrap_or(request);
        let older = self.in_its_release(site, request);
        let request = older.as_ref().unwrap_or(request);
        let millis = 1 + self.roll(Chance::Faults, usize::try_from(self.swarm.latency).unwrap_or(1));
        self.time.pass(Duration::from_millis(millis as u64));
        if request.url.ends_with("/push") {
            self.was_sent(site, request);
        }
        let meanwhile = || {
            if nests {
                self.meanwhile(Spot::Request, site)
            }
        };
        meanwhile();
        let is_late = |sim: &Self| sim.legacy.is_none() || !is_to_legacy(request);
        if let Some(error) = self.unreachable(site, request) {
            self.note(|| format!("site {site} cannot send {request:?}: {error}"));
            return Err(error);
        }
        // A legacy server takes what comes for the newest: it would take back a later edit.
        if self.strikes(Fault::DeliveredLate) && is_late(self) {
            self.keep_late(site, request);
        }
        if self.strikes(Fault::RequestLost) {
            self.note(|| format!("site {site}: lost on its way: {request:?}"));
            return Err(self.broken_line());
        }
        if let Some(response) = self.proxy_answer(site, request) {
            self.note(|| format!("site {site}: status {} from a proxy to {request:?}", response.status));
            return Ok(response);
        }
        let began = self.time.now();
        self.check_slow_pull(site, request);
        self.carry_up(site, request, nests)?;
        let has_all = self.time.now();
        let mut response = self.deliver_somewhere(site, request)?;
        if self.strikes(Fault::DeliveredTwice) {
            self.note(|| format!("site {site}: delivered twice: {request:?}"));
            let _ = self.deliver_somewhere(site, request);
        }
        meanwhile();
        self.answers_in_time(site, has_all)?;
        if self.loses_answer(site, request) {
            return Err(self.broken_line());
        }
        if self.strikes(Fault::ResponseLost) {
            self.note(|| format!("site {site}: its answer was lost: {request:?}"));
            return Err(self.broken_line());
        }
        if self.strikes(Fault::CutOff) {
            return Err(TransportError::CutOff("the line broke".into()));
        }
        if self.strikes(Fault::CutJson) {
            let kept = self.roll(Chance::Faults, response.body.len());
            response.body.truncate(kept);
            self.note(|| format!("site {site}: the answer was cut after {kept} bytes"));
        }
        self.as_its_release_reads(site, &mut response);
        self.carry_down(site, (request, &response), nests)?;
        self.note_slow_pull(site, (request, began), &response);
        self.was_given(site, request, &response);
        Ok(response)
    }

    /// Keeps a copy of a request, which is still on its way.
    pub(crate) fn keep_late(&self, site: usize, request: &HttpRequest) {
        let until = self.time.now() + LATE;
        lock(&self.state).late.push(Late { site, request: request.clone(), until });
    }

    /// Why no request gets through now.
    pub(crate) fn unreachable(&self, site: usize, request: &HttpRequest) -> Option<TransportError> {
        let state = lock(&self.state);
        let is_legacy = is_to_legacy(request);
        if state.partitioned[site] || (is_legacy && state.legacy_down) || (!is_legacy && state.v6_down) {
            return Some(TransportError::Unreachable("no way there".into()));
        }
        let is_up = !self.ends[0].is_down() || (is_legacy && self.legacy.is_some());
        (!is_up).then(|| TransportError::Broken("nobody listens".into()))
    }

    pub(crate) fn broken_line(&self) -> TransportError {
        match self.roll(Chance::Faults, 4) {
            0 => TransportError::Unreachable("the line is gone".into()),
            1 => TransportError::TimedOut("no answer".into()),
            2 => TransportError::Broken("reset".into()),
            _ => TransportError::CutOff("the line broke".into()),
        }
    }

    /// An answer that did not come from central.
    pub(crate) fn proxy_answer(&self, site: usize, request: &HttpRequest) -> Option<HttpResponse> {
        if self.strikes(Fault::WebPage) {
            let mut page = HttpResponse::text(200, "<html><body>Please log in to the network</body></html>");
            page.headers = vec![("content-type".to_owned(), "text/html".to_owned())];
            return Some(page);
        }
        if !self.strikes(Fault::BadStatus) {
            return None;
        }
        let status = [408, 413, 429, 500, 502, 503][self.roll(Chance::Faults, 6)];
        if status == 413 {
            self.was_too_large(site, request);
            lock(&self.state).late.retain(|late| late.site != site || late.request != *request);
        }
        Some(HttpResponse::text(status, "a proxy"))
    }

    /// Hands a request to the server that it is for.
    fn deliver_somewhere(&self, site: usize, request: &HttpRequest) -> Result<HttpResponse, TransportError> {
        match &self.legacy {
            Some(legacy) if is_to_legacy(request) => self.deliver_to_legacy(legacy, site, request),
            _ => self.deliver(site, request).ok_or_else(|| TransportError::Broken("central died".into())),
        }
    }

    /// Hands a request to central; nothing if that is down, or dies of it.
    pub(crate) fn deliver(&self, site: usize, request: &HttpRequest) -> Option<HttpResponse> {
        if let Some(files) = self.files.as_ref().filter(|_| is_of_a_file(request)) {
            let StreamedResponse { status, headers, .. } = self.deliver_file(files, site, request)?;
            return Some(HttpResponse { status, headers, body: Vec::new() });
        }
        if self.ends[0].is_down() {
            return None;
        }
        let central = lock(&self.state).central.clone()?;
        let mut received = request.clone();
        received.url = request.url.strip_prefix(ADDRESS).unwrap_or(&request.url).to_owned();
        self.as_it_is_read(site, &mut received);
        let release = release_in(&unzipped(request));
        self.as_older_central_reads(&mut received);
        received.headers.push(("host".to_owned(), ADDRESS.trim_start_matches("http://").to_owned()));
        let resets = self.resets(site);
        lock(&self.state).answering += 1;
        let further_back = self.answer_from_further_back(site, &received, |request| central.handle(request));
        let mut response = further_back.unwrap_or_else(|| central.handle(&received));
        lock(&self.state).answering -= 1;
        self.check_machine(site, (request, resets), &response);
        if received.url.ends_with("/sync/v5/site") {
            self.without_newest(&mut response);
        }
        if received.url.ends_with("/pull") || received.url.ends_with(path::PATIENT_PULL) {
            self.looked_through(&received, &mut response);
            self.without_newest(&mut response);
            let asked = unzipped(request);
            let leaves_out_own = wire::leaves_out_own(&asked);
            let is_old = self.harsh.as_ref().is_some_and(|harsh| harsh.is_old(site));
            let has_upstream = self.harsh.as_ref().is_some_and(Harsh::has_upstream);
            let mut found = wire::pulled(&lock(&self.ledger), site, leaves_out_own, &response.body);
            found.extend(release.and_then(|release| wire::readable(release, site, has_upstream, &response.body)));
            if is_old && !has_upstream {
                // What an older release reads is spelled otherwise.
                found.retain(|violation| {
                    violation.promise != Promise::OnlyWhoMayChanges && violation.promise != Promise::NoEcho
                });
            }
            // What an older release asks for and cannot read, its own records too, comes once it is a newer one.
            if wire::begins_anew(&asked) || (is_old && !leaves_out_own) {
                lock(&self.ledger).begins_anew(site);
            }
            wire::note_given(&mut lock(&self.ledger), site, &response.body);
            lock(&self.ledger).was_answered(site);
            for violation in found {
                self.violate(violation.promise, violation.what);
            }
        }
        lock(&self.state).answering += 1;
        self.as_older_central_answers(&received, &mut response);
        lock(&self.state).answering -= 1;
        if received.url.ends_with(INITIALISE) {
            lock(&self.ledger).is_initialised(site);
        }
        if received.method == Method::Get && received.url.contains(CENTRAL_RECORDS) {
            // It may tell of a store that moved.
            lock(&self.ledger).was_answered(site);
        }
        if received.url.ends_with(path::PUSH) {
            self.was_pushed(site, request, &response);
        }
        self.note(|| {
            format!(
                "site {site} {request:?}{} -> {} {}",
                told(&unzipped(request)),
                response.status,
                told(&response.body)
            )
        });
        (!self.notice_crash(0)).then_some(response)
    }

    /// Hands a copy of an old request to central.
    pub(crate) fn deliver_late(&self) {
        let now = self.time.now();
        let late = {
            let mut state = lock(&self.state);
            state.late.retain(|late| late.until > now);
            state.late.len()
        };
        if late == 0 || (lock(&self.state).phase == Phase::SetUp) {
            return;
        }
        let chosen = self.roll(Chance::Events, late);
        let late = lock(&self.state).late.swap_remove(chosen);
        self.note(|| format!("site {}: arrives late: {:?}", late.site, late.request));
        self.deliver(late.site, &late.request);
    }
}

/// The release that a request says its site has.
fn release_in(request: &[u8]) -> Option<Release> {
    let asked: Value = serde_json::from_slice(request).ok()?;
    release_of(asked["syncV5Settings"]["appVersion"].as_str()?)
}

fn is_to_legacy(request: &HttpRequest) -> bool {
    request.url.contains("/sync/v5/") || request.url.starts_with(LEGACY)
}

/// The body of a request as it was before it was compressed.
pub(crate) fn unzipped(request: &HttpRequest) -> Vec<u8> {
    let mut json = request.body.clone();
    if request.header("content-encoding") == Some("gzip") {
        json.clear();
        let _ = flate2::read::MultiGzDecoder::new(request.body.as_slice()).read_to_end(&mut json);
    }
    json
}

/// A message in a few words.
pub(crate) fn told(body: &[u8]) -> String {
    let message: Value = serde_json::from_slice(body).unwrap_or_default();
    let batch = if message["batch"].is_object() { &message["batch"] } else { &message["data"] };
    let Some(records) = batch["records"].as_array() else {
        let text = String::from_utf8_lossy(body);
        return if text.contains("passwordSha256") {
            format!(" from {}", message["cursor"])
        } else {
            text.into_owned()
        };
    };
    let mut told = format!(" (up to {}, last {})", batch["end_cursor"], batch["is_last_batch"]);
    for element in records {
        let record = &element["record"];
        let content = (record["action"] != "Delete").then(|| record["recordData"].to_string());
        let (table, id) =
            (record["tableName"].as_str().unwrap_or_default(), record["recordId"].as_str().unwrap_or_default());
        told.push_str(&format!("\n        {} {table} {id}: {}", element["cursor"], short(content.as_deref())));
    }
    told
}

impl Sim {
    /// Tells the judge what a push holds.
    fn was_sent(&self, site: usize, request: &HttpRequest) {
        let Ok(push) = serde_json::from_slice::<PushRequest>(&unzipped(request)) else { return };
        for element in &push.batch.records {
            let (key, content) = written(&element.record);
            self.check_pushed_again(site, &key, content.as_deref());
            lock(&self.ledger).was_sent(site, key, content.as_deref());
        }
    }

    /// Tells the judge what came to central.
    fn was_pushed(&self, site: usize, request: &HttpRequest, response: &HttpResponse) {
        let Ok(push) = serde_json::from_slice::<PushRequest>(&unzipped(request)) else { return };
        let answer: Value = serde_json::from_slice(&response.body).unwrap_or_default();
        let (is_taken, is_refused) = (answer["data"]["records_pushed"].is_u64(), answer["error"] == WAIT);
        if is_refused {
            return;
        }
        let mut ledger = lock(&self.ledger);
        ledger.push_comes();
        for element in &push.batch.records {
            let (key, content) = written(&element.record);
            let of_site: Vec<(usize, bool)> = ledger
                .of(&key)
                .filter(|(_, version)| version.by == site)
                .map(|(number, version)| {
                    (number, ledger.is_same(&key.0, version.content.as_deref(), content.as_deref()))
                })
                .collect();
            if let Some((number, _)) = of_site.into_iter().rev().find(|(_, is_it)| *is_it) {
                ledger.came(number, is_taken);
            }
        }
    }

    /// Tells the judge that a record was called too large, if it stood alone in its request.
    fn was_too_large(&self, site: usize, request: &HttpRequest) {
        if self.legacy.is_some() && is_to_legacy(request) {
            return self.was_too_large_for_legacy(site, &unzipped(request));
        }
        let Ok(push) = serde_json::from_slice::<PushRequest>(&unzipped(request)) else { return };
        if let [element] = push.batch.records.as_slice() {
            let (key, content) = written(&element.record);
            lock(&self.ledger).was_too_large(site, key, content);
        }
    }
}

/// A record that is pushed: which, and its content; none for a deletion.
fn written(record: &WireRecord) -> (Key, Option<String>) {
    let key = (record.table_name.to_string(), record.record_id.to_string());
    (key, (record.action != Action::Delete).then(|| record.record_data.as_str().to_owned()))
}
