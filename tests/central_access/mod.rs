//! Access to a central server, the records that it accepts, and its answers to sites of older releases.

mod crowd;
mod dialects;
mod legacy;
mod local;
mod looks;
mod neighbours;
mod patients;
mod release_3;
mod roles;
mod several_servers;
mod stand_alone;

use std::sync::Mutex;
use std::time::Duration;

use sync_core::clock::{Clock, Timestamp};
use sync_core::protocol::PasswordHash;
use sync_core::transport::{HttpRequest, HttpResponse, Method};
use sync_tests::world::PASSWORD;

const PULL: &str = "/central/sync/pull";
const PUSH: &str = "/central/sync/push";
const STATUS: &str = "/central/sync/site_status";
const JOIN: &str = "/central/name-store-join";

/// A clock that tests turn.
#[derive(Default)]
struct TestClock(Mutex<Duration>);

impl TestClock {
    fn pass(&self, time: Duration) {
        *self.0.lock().unwrap() += time;
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_millis(1_750_000_000_000 + i64::try_from(self.monotonic().as_millis()).unwrap())
    }

    fn monotonic(&self) -> Duration {
        *self.0.lock().unwrap()
    }

    fn sleep(&self, duration: Duration) {
        self.pass(duration);
    }
}

/// The credentials object of a site of this release.
fn credentials_of(name: &str, password: &str, machine: &str, release: &str) -> String {
    let hash = PasswordHash::of_password(password);
    format!(
        r#"{{"serverUrl":"http://evil.example.org","username":"{name}","passwordSha256":"{}","siteUuid":"{machine}","appVersion":"{release}","appName":"Open mSupply Desktop","syncVersion":"14"}}"#,
        hash.expose()
    )
}

/// Those of a site of the newest release, on its own machine.
fn credentials(name: &str) -> String {
    credentials_of(name, PASSWORD, &format!("machine-{name}"), "2.19.0")
}

fn post(path: &str, body: impl Into<Vec<u8>>) -> HttpRequest {
    let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
    HttpRequest { method: Method::Post, url: path.to_owned(), headers, body: body.into() }
}

fn status_request(credentials: &str) -> HttpRequest {
    post(STATUS, format!(r#"{{"syncV5Settings":{credentials},"syncV6Version":5}}"#))
}

fn pull_request(credentials: &str, cursor: u64, batch_size: u64) -> HttpRequest {
    let body = format!(
        r#"{{"cursor":{cursor},"batchSize":{batch_size},"syncV5Settings":{credentials},"isInitialised":true,"syncV6Version":5}}"#
    );
    post(PULL, body)
}

fn push_request(credentials: &str, records: &[(&str, &str, &str)]) -> HttpRequest {
    let records: Vec<String> = records
        .iter()
        .map(|(table, id, data)| {
            format!(r#"{{"cursor":0,"record":{{"tableName":"{table}","recordId":"{id}","action":"Update","recordData":{data}}}}}"#)
        })
        .collect();
    let body = format!(
        r#"{{"batch":{{"end_cursor":1,"total_records":{},"records":[{}],"is_last_batch":true}},"syncV5Settings":{credentials},"syncV6Version":5}}"#,
        records.len(),
        records.join(",")
    );
    post(PUSH, body)
}

fn text(response: &HttpResponse) -> String {
    String::from_utf8(response.body.clone()).expect("UTF-8")
}

#[track_caller]
fn json(response: &HttpResponse) -> serde_json::Value {
    assert_eq!(response.status, 200, "{}", text(response));
    serde_json::from_slice(&response.body).expect("JSON")
}

/// The text of a refusal, which holds no secret.
#[track_caller]
fn refusal(response: &HttpResponse) -> String {
    let answer = json(response);
    let said = answer["error"]["otherServerError"].as_str().unwrap_or_else(|| panic!("let in: {answer}")).to_owned();
    for secret in [PasswordHash::of_password(PASSWORD).expose(), "machine-"] {
        assert!(!said.contains(secret), "{said}");
    }
    said
}
