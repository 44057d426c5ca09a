//! Sites that the legacy server checks.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use sync_core::Replica;
use sync_core::central::Central;
use sync_core::protocol::PasswordHash;
use sync_core::storage::{MemoryStorage, Storage, state};
use sync_core::transport::{HttpRequest, HttpResponse, Transport, TransportError};
use sync_tests::world::PASSWORD;

use super::{TestClock, credentials, credentials_of, json, pull_request, refusal, status_request};

type Answer = Result<HttpResponse, TransportError>;
type Answers = dyn Fn(&HttpRequest) -> Answer + Send + Sync;

/// A legacy server with given answers.
struct Legacy {
    asked: Mutex<Vec<HttpRequest>>,
    answer: Mutex<Arc<Answers>>,
}

impl Transport for Legacy {
    fn send(&self, request: &HttpRequest) -> Answer {
        self.asked.lock().unwrap().push(request.clone());
        let answer = self.answer.lock().unwrap().clone();
        answer(request)
    }
}

impl Legacy {
    fn answers(&self, answer: impl Fn(&HttpRequest) -> Answer + Send + Sync + 'static) {
        *self.answer.lock().unwrap() = Arc::new(answer);
    }

    fn questions(&self) -> usize {
        self.asked.lock().unwrap().len()
    }
}

fn site(id: i32) -> Answer {
    let info = format!(
        r#"{{"id":"UUID{id}","siteId":{id},"code":"c","name":"n","initialisationStatus":"completed","isOmSupplyCentralServer":false,"omSupplyCentralServerUrl":"http://oms.example.org","mSupplyCentralSiteId":1}}"#
    );
    Ok(HttpResponse::json(200, info.into_bytes()))
}

fn no(status: u16, code: &str, message: &str) -> Answer {
    let body = format!(r#"{{"error":{{"code":"{code}","message":"{message}","data":null}}}}"#);
    Ok(HttpResponse::json(status, body.into_bytes()))
}

/// A central server that was set up with a legacy server, which knows site `a` as number 2.
struct Bench {
    central: Arc<Central>,
    legacy: Arc<Legacy>,
    clock: Arc<TestClock>,
    storage: Arc<MemoryStorage>,
}

fn bench() -> Bench {
    let storage = Arc::new(MemoryStorage::new());
    let txn = storage.write().unwrap();
    for (name, value) in [
        (state::ROLE.name(), "central"),
        (state::SITE_ID.name(), "9"),
        (state::LEGACY_URL.name(), "https://legacy.example.org:2048/x/"),
    ] {
        txn.set_state(name, value).unwrap();
    }
    txn.commit().unwrap();
    let clock = Arc::new(TestClock::default());
    let legacy = Arc::new(Legacy { asked: Mutex::default(), answer: Mutex::new(Arc::new(|_| site(2))) });
    let replica = Replica::builder().clock(clock.clone()).with_storage(storage.clone());
    let authenticator = Arc::new(replica.legacy_authenticator(legacy.clone()));
    let central = Arc::new(replica.central(authenticator));
    Bench { central, legacy, clock, storage }
}

impl Bench {
    fn ask(&self, credentials: &str) -> HttpResponse {
        self.central.handle(&status_request(credentials))
    }

    #[track_caller]
    fn lets_in(&self, credentials: &str) {
        assert_eq!(json(&self.ask(credentials))["data"]["is_integrating"], false);
    }
}

#[test]
fn the_question_goes_to_the_configured_server_with_the_sites_own_credentials() {
    let bench = bench();
    bench.lets_in(&credentials("a"));
    let asked = bench.legacy.asked.lock().unwrap();
    let [question] = asked.as_slice() else { panic!("{asked:?}") };
    assert_eq!(question.url, "https://legacy.example.org:2048/sync/v5/site", "never the address in the request");
    let hash = PasswordHash::of_password(PASSWORD);
    // Basic `a:<hash>`, as a site itself would send it.
    let headers = sync_core::protocol::v5::SiteHeaders::from_headers(|name| question.header(name)).expect("headers");
    assert_eq!((headers.site_name.as_str(), headers.password.expose()), ("a", hash.expose()));
    assert_eq!(
        (headers.hardware_id.as_str(), headers.app.version.as_str(), headers.version),
        ("machine-a", "2.19.0", 14)
    );
}

#[test]
fn a_yes_counts_for_a_minute_and_a_no_for_five_seconds() {
    let bench = bench();
    bench.lets_in(&credentials("a"));
    bench.clock.pass(Duration::from_secs(59));
    bench.legacy.answers(|_| no(401, "site_incorrect_password", "Incorrect password"));
    bench.lets_in(&credentials("a"));
    assert_eq!(bench.legacy.questions(), 1);
    bench.clock.pass(Duration::from_secs(2));
    assert!(refusal(&bench.ask(&credentials("a"))).contains("code: 'SiteIncorrectPassword'"));
    bench.clock.pass(Duration::from_secs(4));
    bench.legacy.answers(|_| site(2));
    refusal(&bench.ask(&credentials("a")));
    assert_eq!(bench.legacy.questions(), 2);
    bench.clock.pass(Duration::from_secs(2));
    bench.lets_in(&credentials("a"));
    assert_eq!(bench.legacy.questions(), 3);
}

#[test]
fn what_is_known_of_one_is_not_known_of_another() {
    let bench = bench();
    bench.lets_in(&credentials("a"));
    bench.legacy.answers(|_| no(401, "site_incorrect_hardware_id", "no"));
    for other in [
        credentials_of("a", "wrong", "machine-a", "2.19.0"),
        credentials_of("a", PASSWORD, "machine-b", "2.19.0"),
        credentials_of("b", PASSWORD, "machine-a", "2.19.0"),
    ] {
        assert!(refusal(&bench.ask(&other)).contains("code: 'SiteIncorrectHardwareId'"), "{other}");
    }
    assert_eq!(bench.legacy.questions(), 4);
    bench.lets_in(&credentials("a"));
}

#[test]
fn the_answer_says_which_server_is_at_fault_and_nothing_of_it_is_remembered() {
    let line = |error: fn(sync_core::error::Cause) -> TransportError| move |_: &HttpRequest| Err(error("x".into()));
    let page = |status: u16| move |_: &HttpRequest| Ok(HttpResponse::text(status, "<html>Log in</html>"));
    let bench = bench();
    let hash = PasswordHash::of_password(PASSWORD);
    let faults: Vec<(&str, Box<Answers>, bool)> = vec![
        ("no legacy server", Box::new(line(TransportError::Unreachable)), true),
        ("a slow one", Box::new(line(TransportError::TimedOut)), true),
        ("one that hangs up", Box::new(line(TransportError::CutOff)), true),
        ("a proxy without a server", Box::new(page(502)), true),
        ("something else", Box::new(line(TransportError::NotHttp)), false),
        ("a log-in page", Box::new(page(200)), false),
        ("a redirection", Box::new(page(302)), false),
        ("no such page", Box::new(page(404)), false),
        ("a fault of its own", Box::new(page(500)), false),
        ("a busy one", Box::new(|_| no(503, "sync_is_running", "later")), false),
        ("a refusal that is a fault", Box::new(|_| no(500, "site_incorrect_password", "x")), false),
        ("site 0", Box::new(|_| site(0)), false),
        ("half an answer", Box::new(|_| Ok(HttpResponse::json(200, br#"{"id":"x","#.to_vec()))), false),
        ("one that tells secrets", Box::new(move |_| no(418, hash.expose(), hash.expose())), false),
    ];
    for (what, fault, is_line) in faults {
        bench.legacy.answers(fault);
        let said = refusal(&bench.ask(&credentials("a")));
        assert!(said.contains("url: 'https://legacy.example.org:2048/x/', route: '/sync/v5/site'"), "{what}: {said}");
        assert_eq!(said.contains("Connection problem"), is_line, "{what}: {said}");
        assert_eq!(said.contains("The legacy server is at fault"), !is_line, "{what}: {said}");
        assert!(!said.contains("code: '"), "{what}: no refusal: {said}");
        let before = bench.legacy.questions();
        refusal(&bench.ask(&credentials("a")));
        assert!(bench.legacy.questions() > before, "{what}: asked again");
    }
    // However often: no attempt was refused.
    bench.legacy.answers(|_| site(2));
    bench.lets_in(&credentials("a"));
}

#[test]
fn a_server_that_says_of_two_sites_that_they_are_one_is_not_believed() {
    let bench = bench();
    bench.lets_in(&credentials("a"));
    assert!(refusal(&bench.ask(&credentials("b"))).contains("two sites"));
    bench.legacy.answers(|_| site(3));
    bench.lets_in(&credentials("b"));
    // A site may be given another name.
    bench.clock.pass(Duration::from_secs(61));
    bench.lets_in(&credentials("c"));
}

#[test]
fn what_cannot_be_sent_on_is_no_site() {
    let bench = bench();
    for (name, machine) in [("", "m"), ("a:b", "m"), ("a", "m\\r\\nevil: 1"), ("a\\u0000", "m"), ("a", "mäh")] {
        refusal(&bench.ask(&credentials_of(name, PASSWORD, machine, "2.19.0")));
    }
    refusal(&bench.ask(&credentials_of(&"a".repeat(300), PASSWORD, "m", "2.19.0")));
    assert_eq!(bench.legacy.questions(), 0);
}

/// A gate at which answers wait.
#[derive(Default)]
struct Gate {
    open: Mutex<bool>,
    opened: Condvar,
}

impl Gate {
    fn wait(&self) {
        let _open = self.opened.wait_while(self.open.lock().unwrap(), |open| !*open).unwrap();
    }

    fn open(&self) {
        *self.open.lock().unwrap() = true;
        self.opened.notify_all();
    }
}

fn until(condition: impl Fn() -> bool) {
    while !condition() {
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn those_who_ask_the_same_at_once_ask_once() {
    let bench = bench();
    let gate = Arc::new(Gate::default());
    let held = gate.clone();
    // A fault, which is not remembered: whoever comes too late to join would ask again.
    bench.legacy.answers(move |_| {
        held.wait();
        Ok(HttpResponse::text(500, "x"))
    });
    let started = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                started.fetch_add(1, Ordering::SeqCst);
                refusal(&bench.ask(&credentials("a")));
            });
        }
        until(|| started.load(Ordering::SeqCst) == 8 && bench.legacy.questions() > 0);
        // Long enough to get from the count to the question; if it is not, fewer join and the test says less.
        std::thread::sleep(Duration::from_millis(200));
        let asked = bench.legacy.questions();
        gate.open();
        assert_eq!(asked, 1);
    });
}

#[test]
fn a_legacy_server_that_hangs_keeps_nobody_waiting_whose_answer_is_known() {
    let bench = bench();
    bench.lets_in(&credentials("a"));
    let gate = Arc::new(Gate::default());
    let held = gate.clone();
    bench.legacy.answers(move |_| {
        held.wait();
        no(401, "site_name_not_found", "x")
    });
    std::thread::scope(|scope| {
        for number in 0..128 {
            let bench = &bench;
            scope.spawn(move || bench.ask(&credentials(&format!("stranger {number}"))));
        }
        until(|| bench.legacy.questions() == 129);
        let known = bench.ask(&credentials("a"));
        let one_more = scope.spawn(|| bench.ask(&credentials("one more")));
        until(|| one_more.is_finished() || bench.legacy.questions() > 129);
        let asked = bench.legacy.questions();
        gate.open();
        let too_many = one_more.join().unwrap();
        assert_eq!(json(&known)["data"]["is_integrating"], false);
        assert!(refusal(&too_many).contains("Connection problem"));
        assert_eq!(asked, 129, "nobody else was asked");
    });
}

/// A gate that makes the requested checks on demand.
#[derive(Default)]
struct Renews(Mutex<Vec<sync_core::central::CredentialCheck>>);

impl sync_core::central::Gate for Renews {
    fn may_work(&self, _: sync_core::record::SiteId) -> bool {
        true
    }

    fn renew(&self, check: sync_core::central::CredentialCheck) {
        self.0.lock().unwrap().push(check);
    }
}

#[test]
fn a_yes_is_renewed_before_it_ends_so_that_a_site_that_comes_again_does_not_wait() {
    use sync_core::central::{Caller, Handled};
    let bench = bench();
    bench.lets_in(&credentials("a"));
    let gate = Arc::new(Renews::default());
    let ask = || {
        let caller = Caller { gate: Some(gate.clone()), ..Caller::default() };
        matches!(bench.central.handle_for(&status_request(&credentials("a")), caller), Handled::Answered(_))
    };
    assert!(ask() && gate.0.lock().unwrap().is_empty(), "it is fresh");
    bench.clock.pass(Duration::from_secs(40));
    assert!(ask());
    let check = gate.0.lock().unwrap().pop().expect("it is aging");
    bench.central.check_credentials(&check);
    assert_eq!(bench.legacy.questions(), 2);
    bench.clock.pass(Duration::from_secs(40));
    assert!(ask(), "the new yes counts");
    bench.legacy.answers(|_| no(401, "site_incorrect_password", "no"));
    let check = gate.0.lock().unwrap().pop().expect("it is aging again");
    bench.central.check_credentials(&check);
    bench.clock.pass(Duration::from_secs(6));
    assert!(!ask(), "a no ends it at once");
}

#[test]
fn a_site_with_another_release_is_the_same_to_the_brake_on_guessing() {
    let bench = bench();
    bench.lets_in(&credentials("a"));
    bench.legacy.answers(|_| no(401, "site_incorrect_password", "no"));
    for n in 0..30 {
        let guess = credentials_of("a", &format!("guess {n}"), "elsewhere", "2.19.0");
        refusal(&bench.ask(&guess));
    }
    bench.legacy.answers(|_| site(2));
    let waits = refusal(&bench.ask(&credentials_of("a", "one more", "elsewhere", "2.19.0")));
    assert!(waits.contains("SiteAuthTimeout"), "{waits}");
    bench.lets_in(&credentials_of("a", PASSWORD, "machine-a", "2.19.1"));
}

#[test]
fn a_database_that_is_not_a_central_servers_any_more_says_so() {
    let bench = bench();
    let txn = bench.storage.write().unwrap();
    state::ROLE.as_text().set(txn.as_ref(), "remote").unwrap();
    txn.commit().unwrap();
    let response = bench.central.handle(&pull_request(&credentials("a"), 0, 10));
    assert_eq!((response.status, response.header("connection")), (405, Some("close")));
    assert_eq!(response.body, b"Method only allowed on central server.");
    assert_eq!(bench.legacy.questions(), 0);
}
