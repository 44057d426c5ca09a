//! Requests that wait for a check of credentials hold no thread.

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
