//! Requests of senders who are not known yet hold no thread that others need.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use oms_sync_server::{Server, ServerOptions, listen};
use sync_core::Replica;
use sync_core::central::{AuthenticationError, CredentialRefusal, SiteAuthenticator};
use sync_core::clock::SystemClock;
use sync_core::protocol::v6::Credentials;
use sync_core::record::SiteId;
use sync_core::storage::MemoryStorage;

/// A server of credentials that answers only when allowed. One site is known.
#[derive(Default)]
struct Hangs {
    asked: AtomicUsize,
    may_answer: Mutex<bool>,
    answers: Condvar,
}

impl SiteAuthenticator for Hangs {
    fn authenticate(&self, _: &Credentials) -> Result<SiteId, AuthenticationError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let waits = self.may_answer.lock().unwrap();
        let _answered = self.answers.wait_while(waits, |may_answer| !*may_answer).unwrap();
        let refusal = CredentialRefusal::UnknownSite;
        Err(AuthenticationError::Refused { refusal, checked_at: "there".to_owned() })
    }

    fn known(&self, credentials: &Credentials) -> Option<Result<SiteId, AuthenticationError>> {
        (credentials.username == "known").then_some(Ok(SiteId(2)))
    }

    fn checks_at_once(&self) -> usize {
        8
    }
}

fn send(address: SocketAddr, name: &str) -> TcpStream {
    let body = format!(
        r#"{{"syncV5Settings":{{"serverUrl":"","username":"{name}","passwordSha256":"x","siteUuid":"m","appVersion":"2.19.0","appName":"t","syncVersion":"14"}},"syncV6Version":5}}"#
    );
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(120))).unwrap();
    let head = "POST /central/sync/site_status HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n";
    let kind = "content-type: application/json\r\ncontent-length";
    stream.write_all(format!("{head}{kind}: {}\r\n\r\n{body}", body.len()).as_bytes()).unwrap();
    stream
}

fn read(mut stream: TcpStream) -> String {
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

#[test]
fn who_asks_a_server_that_hangs_holds_no_thread_and_equal_questions_are_one() {
    let (storage, clock) = (Arc::new(MemoryStorage::new()), Arc::new(SystemClock::new()));
    let replica = Replica::builder().clock(clock.clone()).with_storage(storage.clone());
    replica.site_registry().unwrap();
    let hangs = Arc::new(Hangs::default());
    let central = Arc::new(replica.central(hangs.clone()));
    let listener = listen(([127, 0, 0, 1], 0).into()).unwrap();
    let server = Server::start(central, listener, ServerOptions::default()).unwrap();
    let address = server.address();
    // More than there are threads to answer.
    let equal: Vec<TcpStream> = (0..160).map(|_| send(address, "stranger")).collect();
    let others: Vec<TcpStream> = (0..140).map(|n| send(address, &format!("stranger {n}"))).collect();
    let until = Instant::now() + Duration::from_secs(60);
    while hangs.asked.load(Ordering::SeqCst) < 4 && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(5));
    }
    let began = Instant::now();
    for _ in 0..20 {
        let text = read(send(address, "known"));
        assert!(text.contains(r#""is_integrating":false"#), "{text}");
    }
    println!("twenty questions of a known site took {:?}", began.elapsed());
    assert_eq!(hangs.asked.load(Ordering::SeqCst), 4, "half of the places, since all come from one address");
    *hangs.may_answer.lock().unwrap() = true;
    hangs.answers.notify_all();
    for stream in equal.into_iter().chain(others) {
        let text = read(stream);
        assert!(text.contains("SiteNameNotFound") || text.contains("SiteAuthTimeout"), "{text}");
    }
    let asked = hangs.asked.load(Ordering::SeqCst);
    assert!(asked <= 10 + 141, "{asked}: equal questions ask once, but for those that came late");
    server.stop();
}

/// A server of credentials that is asked in the midst of reading a request, and lets strangers wait there.
#[derive(Default)]
struct HoldsReaders {
    inside: Mutex<Readers>,
    may_leave: Condvar,
}

#[derive(Default)]
struct Readers {
    now: usize,
    most: usize,
    came: usize,
    may_leave: bool,
}

impl SiteAuthenticator for HoldsReaders {
    fn authenticate(&self, _: &Credentials) -> Result<SiteId, AuthenticationError> {
        let refusal = CredentialRefusal::UnknownSite;
        Err(AuthenticationError::Refused { refusal, checked_at: "there".to_owned() })
    }

    fn known(&self, credentials: &Credentials) -> Option<Result<SiteId, AuthenticationError>> {
        if credentials.username == "known" {
            return Some(Ok(SiteId(2)));
        }
        let mut readers = self.inside.lock().unwrap();
        readers.now += 1;
        readers.came += 1;
        readers.most = readers.most.max(readers.now);
        let mut readers = self.may_leave.wait_while(readers, |readers| !readers.may_leave).unwrap();
        readers.now -= 1;
        None
    }
}

/// The whole body of an upload with much in the part that names its sender.
fn send_file(address: SocketAddr, name: &str) -> TcpStream {
    let much = "x".repeat(500_000);
    let json = format!(
        r#"{{"much":"{much}","file_id":"f","sync_v5_settings":{{"serverUrl":"","username":"{name}","passwordSha256":"x","siteUuid":"m","appVersion":"2.19.0","appName":"t","syncVersion":"14"}},"sync_v6_version":5}}"#
    );
    let part = "--b\r\ncontent-disposition: form-data; name=\"json_part\"\r\ncontent-type: application/json\r\n\r\n";
    let body = format!("{part}{json}\r\n--b--\r\n");
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(120))).unwrap();
    let head = "PUT /central/sync/upload_file HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n";
    let kind = "content-type: multipart/form-data; boundary=b\r\ncontent-length";
    stream.write_all(format!("{head}{kind}: {}\r\n\r\n{body}", body.len()).as_bytes()).unwrap();
    stream
}

#[test]
fn what_strangers_bring_with_a_file_is_read_in_turn_beside_the_threads_of_the_others() {
    let (storage, clock) = (Arc::new(MemoryStorage::new()), Arc::new(SystemClock::new()));
    let replica = Replica::builder().clock(clock).with_storage(storage);
    replica.site_registry().unwrap();
    let readers = Arc::new(HoldsReaders::default());
    let central = Arc::new(replica.central(readers.clone()));
    let server = Server::start(central, listen(([127, 0, 0, 1], 0).into()).unwrap(), ServerOptions::default()).unwrap();
    let address = server.address();
    let strangers: Vec<TcpStream> = (0..16).map(|n| send_file(address, &format!("stranger {n}"))).collect();
    while readers.inside.lock().unwrap().came == 0 {
        std::thread::yield_now();
    }
    for _ in 0..20 {
        let text = read(send(address, "known"));
        assert!(text.contains(r#""is_integrating":false"#), "{text}");
    }
    {
        let mut inside = readers.inside.lock().unwrap();
        inside.may_leave = true;
        readers.may_leave.notify_all();
    }
    for stream in strangers {
        let text = read(stream);
        assert!(text.contains("SiteNameNotFound") || text.contains("SiteAuthTimeout"), "{text}");
    }
    let cores = std::thread::available_parallelism().unwrap().get();
    let most = readers.inside.lock().unwrap().most;
    // Once of clients at unknown addresses, and once of clients at this one, from which a site has signed in meanwhile.
    assert!(most <= 2 * (cores / 2).max(1), "{most} were read at once on {cores} cores");
    server.stop();
}
