//! Answers of another end, V6 and V5: a site runs a whole cycle on a transport that gives them.
//!
//! An input is a list of answers with a line `%%` between them. The first line of each says to which question it is
//! given (`site`, `records`, `pull`, `push` or `status`), its status or how it fails (`broken`, `cut`, `timeout`,
//! `unreachable`, `large`), its content type, and `once` if it is not given again; all else is the body. Answers to a
//! question are given in their order, the last of them again and again. A question without one gets a good answer. Where
//! the first line of all is `restored`, the site's database is a backup that was put back.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use sync_core::changelog::ChangelogGap;
use sync_core::protocol::{v5, v6};
use sync_core::record::Cursor;
use sync_core::storage::state;
use sync_core::transport::{HttpRequest, HttpResponse, Transport, TransportError};

use super::accounted::{Claim, assert_accounted, central_records, pulled_records};
use super::losses::{asked_from, assert_read_again, assert_whole_again, first_loss};
use super::promises::assert_fault_of_the_other_end;
use super::small_world::{B, SmallWorld, class, cycle, good_cycle};
use crate::world::{SiteEnd, asset, get};

/// The requests of a cycle: the word for each, and its path without the slash before it.
const QUESTIONS: [(&str, &str); 5] = [
    ("site", "sync/v5/site"),
    ("records", "sync/v5/central_records"),
    ("pull", v6::path::PULL),
    ("push", v6::path::PUSH),
    ("status", v6::path::SITE_STATUS),
];

/// One answer of an input.
#[derive(Debug, Clone)]
struct Answer {
    path: &'static str,
    outcome: Result<HttpResponse, &'static str>,
    once: bool,
}

/// Parts of an input with a line `%%` between them.
pub(super) fn parts(input: &[u8]) -> Vec<&[u8]> {
    let mut parts = Vec::new();
    let mut rest = input;
    while let Some(at) = rest.windows(4).position(|bytes| bytes == b"\n%%\n") {
        parts.push(&rest[..at]);
        rest = &rest[at + 4..];
    }
    parts.push(rest);
    parts
}

/// The first line as text, and what follows it.
pub(super) fn first_line(part: &[u8]) -> (String, &[u8]) {
    let end = part.iter().position(|byte| *byte == b'\n').unwrap_or(part.len());
    (String::from_utf8_lossy(&part[..end]).into_owned(), part.get(end + 1..).unwrap_or_default())
}

/// Reads an answer; any bytes are one.
fn read_answer(part: &[u8], otherwise: usize) -> Answer {
    const FAILURES: [&str; 5] = ["broken", "cut", "timeout", "unreachable", "large"];
    let (head, body) = first_line(part);
    let words: Vec<&str> = head.split(' ').collect();
    let path = QUESTIONS.iter().find(|(word, _)| words.contains(word)).map_or(QUESTIONS[otherwise].1, |(_, path)| path);
    let failure = FAILURES.into_iter().find(|word| words.contains(word));
    let status = words.iter().find_map(|word| word.parse().ok()).unwrap_or(200);
    let headers = words.iter().filter(|word| word.contains('/')).map(|kind| ("content-type", *kind));
    let headers = headers.chain(words.iter().filter_map(|word| word.split_once('=')));
    let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let response = HttpResponse { status, headers, body: body.to_vec() };
    Answer { path, outcome: failure.map_or(Ok(response), Err), once: words.contains(&"once") }
}

/// More questions than any cycle asks here.
const QUESTIONS_MAX: usize = 1000;

/// A question of the cycle that got a response.
pub(super) struct Served {
    pub path: &'static str,
    pub request: HttpRequest,
    pub response: HttpResponse,
    /// True if the good central gave it, and not the input.
    pub is_good: bool,
}

/// Answers from the input, and from a good central if the input has none.
struct Scripted {
    good: Arc<dyn Transport>,
    answers: Mutex<VecDeque<Answer>>,
    served: Mutex<Vec<Served>>,
    asked: AtomicUsize,
}

impl Scripted {
    fn next(&self, url: &str) -> Option<Answer> {
        let path = url.split('?').next().unwrap_or_default();
        let mut answers = self.answers.lock().expect("nobody panicked");
        let fits = |answer: &Answer| path.ends_with(answer.path);
        let at = answers.iter().position(fits)?;
        let is_last = answers.iter().filter(|answer| fits(answer)).count() == 1;
        if is_last && !answers[at].once { answers.get(at).cloned() } else { answers.remove(at) }
    }

    fn note(&self, path: &'static str, request: &HttpRequest, response: &HttpResponse, is_good: bool) {
        let served = Served { path, request: request.clone(), response: response.clone(), is_good };
        self.served.lock().expect("nobody panicked").push(served);
    }
}

impl Transport for Scripted {
    fn send(&self, request: &HttpRequest) -> Result<HttpResponse, TransportError> {
        assert!(self.asked.fetch_add(1, Ordering::Relaxed) < QUESTIONS_MAX, "the cycle does not end");
        let Some(answer) = self.next(&request.url) else {
            let response = self.good.send(request)?;
            let route = request.url.split('?').next().unwrap_or_default();
            if let Some((_, path)) = QUESTIONS.iter().find(|(_, path)| route.ends_with(path)) {
                self.note(path, request, &response, true);
            }
            return Ok(response);
        };
        let response = answer.outcome.map_err(|failure| match failure {
            "broken" => TransportError::Broken("planned".into()),
            "cut" => TransportError::CutOff("planned".into()),
            "timeout" => TransportError::TimedOut("planned".into()),
            "large" => TransportError::TooLarge(1),
            _ => TransportError::Unreachable("planned".into()),
        })?;
        self.note(answer.path, request, &response, false);
        Ok(response)
    }
}

/// Answers of central.
pub(super) fn v6(input: &[u8]) {
    run(input, 2);
}

/// Answers of the legacy server.
pub(super) fn v5(input: &[u8]) {
    run(input, 0);
}

fn run(input: &[u8], otherwise: usize) {
    let world = SmallWorld::new();
    world.put_class("before");
    let settled = world.set_up(B);
    good_cycle(&settled, "the first cycle");
    settled.records.put("asset", [asset("edit", B.2, "made at the site")]).expect("an edit");
    world.put_class("planted");

    let mut parts = parts(input);
    let restored = parts[0] == b"restored";
    if restored {
        parts.remove(0);
        put_back(&settled);
    }
    let answers: VecDeque<Answer> = parts.into_iter().take(16).map(|part| read_answer(part, otherwise)).collect();
    let scripted = Arc::new(Scripted {
        good: world.transport(),
        answers: Mutex::new(answers),
        served: Mutex::default(),
        asked: AtomicUsize::new(0),
    });
    let fuzzed = world.site(settled.storage.clone(), scripted.clone());
    let report = cycle(&fuzzed).unwrap_or_else(|error| panic!("the cycle did not begin: {error}"));
    assert_fault_of_the_other_end(&report);

    let served = std::mem::take(&mut *scripted.served.lock().expect("nobody panicked"));
    let all = |path: &str| served.iter().filter(|served| served.path == path).collect::<Vec<_>>();
    let of = |path: &str| all(path).into_iter().filter(|served| !served.is_good).collect::<Vec<_>>();
    let pulls = all(v6::path::PULL);
    // If everything is read again, the positions of another history count.
    let again = pulls.iter().rposition(|served| asked_from(served) == 0).unwrap_or(0);
    let pulled: Vec<Claim> = pulled_records(&pulls);
    let legacy: Vec<Claim> = central_records(&of(&v5::path::CENTRAL_RECORDS[1..]));
    assert_accounted(settled.storage.as_ref(), state::PULL_CURSOR_V6.name(), &pulled_records(&pulls[again..]), &legacy);
    assert_accounted(settled.storage.as_ref(), state::PULL_CURSOR_CENTRAL.name(), &legacy, &pulled);
    let loss = first_loss(&served);
    if let Some(loss) = loss.filter(|_| report.error.is_none()) {
        assert_read_again(&settled, &served[loss.at..], &loss);
    }
    if of(v6::path::PULL).is_empty() && report.error.is_none() {
        assert!(settled.get("asset_class", "planted").is_some(), "central answered, and its record is not here");
    }
    // An edit stays, whatever central says, unless central itself sends the record; it counts as pushed only if central
    // said so, or that it is too large.
    assert!(settled.get("asset", "edit").is_some(), "the edit of the site is gone");
    let told_pushed = of(v6::path::PUSH)
        .iter()
        .any(|served| served.response.status == 413 || may_hold(&served.response.body, b"records_pushed"));
    let stores_changed = legacy.iter().any(|claim| claim.table == "store");
    let dealt_with = loss.filter(|loss| state_number(&settled, state::CENTRAL_LOST_KNOWN.name()) == loss.before);
    let of_edit = of(v6::path::PULL).iter().any(|served| may_hold(&served.response.body, b"edit"));
    // Edits from a backup yield to versions that central received since.
    let gave_way = restored && of_edit;
    assert_converges(&world, &settled, told_pushed || stores_changed || gave_way);
    // What a central that lost everything is believed to have lost is whole again, at both ends, if it told no lie after.
    let told_last = served.iter().rposition(|served| !served.is_good && is_v6(served));
    if let Some(loss) = dealt_with.filter(|loss| told_last == Some(loss.at) && loss.after == 0)
        && !of_edit
        && legacy.is_empty()
        && of(v6::path::PULL).len() == 1
    {
        assert_whole_again(&world, &settled, &loss);
    }
}

/// As if everything here were a backup, and no lost edit had been pushed.
fn put_back(end: &SiteEnd) {
    let txn = end.storage.write().expect("a transaction");
    let newest = txn.last_cursor().expect("a cursor");
    state::LOST.set(txn.as_ref(), vec![ChangelogGap { after: newest, before: newest.next() }]).expect("a state");
    txn.commit().expect("a state");
}

fn is_v6(served: &Served) -> bool {
    served.path.starts_with("central/")
}

pub(super) fn state_number(end: &SiteEnd, name: &str) -> u64 {
    let text = end.storage.read().and_then(|txn| txn.state(name)).expect("a state");
    text.map_or(0, |text| text.parse().expect("a number"))
}

/// True if a body may hold this word, plain or escaped.
fn may_hold(body: &[u8], word: &[u8]) -> bool {
    body.windows(word.len()).any(|bytes| bytes == word) || body.windows(2).any(|bytes| bytes == b"\\u")
}

/// With a good central again, later edits arrive, and so do those that were not pushed yet.
fn assert_converges(world: &SmallWorld, settled: &SiteEnd, lied_to: bool) {
    let cursor = || state_number(settled, state::PULL_CURSOR_V6.name());
    // A lie may have moved the cursor to the exact end of central's changelog: then it cannot be noticed.
    let newest = || world.storage.read().and_then(|txn| txn.last_cursor()).expect("a cursor");
    let mut id = "later".to_owned();
    world.put_class(&id);
    while newest() < Cursor(cursor()) && newest().0 + 2 >= cursor() {
        id.push('r');
        world.put_class(&id);
    }
    good_cycle(settled, "the cycle after");
    let here = settled.get("asset_class", &id);
    assert_eq!(
        here.as_deref(),
        Some(class(&id).as_str()),
        "central's new record is not here; the cursor is {}",
        cursor()
    );
    if !lied_to {
        assert!(get(&world.records, "asset", "edit").is_some(), "the site's edit is not at central");
    }
    // A record that yielded to an edit goes out with the next push, and so do the records that a restored central lost.
    let is_quiet = |_| {
        let report = good_cycle(settled, "a cycle more");
        (report.pushed, report.integrated) == (0, 0)
    };
    assert!((0..4).any(is_quiet), "the ends do not come to rest");
}
