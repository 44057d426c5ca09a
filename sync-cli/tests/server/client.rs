//! Requests byte by byte, so that they can be wrong.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;
use sync_core::protocol::PasswordHash;

use crate::support::{HARDWARE_ID, PASSWORD};

/// Longer than any step on a slow day; a test that waits for it fails.
const FOREVER: Duration = Duration::from_secs(120);

pub(crate) const PULL: &str = "/central/sync/pull";
pub(crate) const PUSH: &str = "/central/sync/push";

/// The reply.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Reads a reply from a connection; `None` if it was closed without one.
    pub(crate) fn read(stream: &mut impl Read) -> Option<Self> {
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            match stream.read(&mut byte) {
                Ok(1..) => head.push(byte[0]),
                // Closed, or reset because it did not read all that was sent.
                _ => return None,
            }
        }
        let head = String::from_utf8(head).expect("ASCII");
        let mut lines = head.lines();
        let status = lines.next()?.split(' ').nth(1)?.parse().expect("a status");
        let headers = lines.filter_map(|line| line.split_once(':')).map(|(n, v)| (n.to_owned(), v.trim().to_owned()));
        let mut reply = Self { status, headers: headers.collect(), body: Vec::new() };
        match reply.header("content-length").map(|length| length.parse::<u64>().expect("a length")) {
            Some(length) => {
                stream.take(length).read_to_end(&mut reply.body).expect("a whole body");
            }
            None if reply.header("transfer-encoding").is_some() => reply.body = chunks(stream),
            None => {}
        }
        Some(reply)
    }
}

fn chunks(stream: &mut impl Read) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let mut line = Vec::new();
        let mut byte = [0];
        while !line.ends_with(b"\r\n") {
            stream.read_exact(&mut byte).expect("a whole body");
            line.push(byte[0]);
        }
        let text = String::from_utf8(line).expect("ASCII");
        let length = u64::from_str_radix(text.trim(), 16).expect("a length");
        let mut chunk = Vec::new();
        stream.take(length + 2).read_to_end(&mut chunk).expect("a chunk");
        chunk.truncate(chunk.len() - 2);
        if length == 0 {
            return body;
        }
        body.extend(chunk);
    }
}

/// A connection to an address such as `http://127.0.0.1:8000`.
pub(crate) fn connect(address: &str) -> TcpStream {
    let stream = TcpStream::connect(address.trim_start_matches("http://")).expect("it listens");
    stream.set_read_timeout(Some(FOREVER)).expect("a time limit");
    stream.set_write_timeout(Some(FOREVER)).expect("a time limit");
    stream
}

/// A request's head.
pub(crate) fn head(method: &str, path: &str, headers: &[(&str, &str)]) -> String {
    let mut head = format!("{method} {path} HTTP/1.1\r\n");
    if !headers.iter().any(|(name, _)| *name == "host") {
        head.push_str("host: localhost\r\n");
    }
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head + "\r\n"
}

/// Sends a request over a connection of its own and reads the reply.
#[track_caller]
pub(crate) fn ask(address: &str, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
    let length = body.len().to_string();
    let mut all = vec![("connection", "close")];
    if !body.is_empty() {
        all.extend([("content-type", "application/json"), ("content-length", length.as_str())]);
    }
    all.extend(headers);
    let mut stream = connect(address);
    stream.write_all(head(method, path, &all).as_bytes()).expect("it is sent");
    // A server that answers before it has read everything may close.
    let _ = stream.write_all(body);
    Reply::read(&mut stream).expect("an answer")
}

pub(crate) fn get(address: &str, path: &str) -> Reply {
    ask(address, "GET", path, &[], b"")
}

/// The credentials of the site `clinic` in each request.
pub(crate) fn credentials() -> String {
    let hash = PasswordHash::of_password(PASSWORD);
    format!(
        r#"{{"serverUrl":"","username":"clinic","passwordSha256":"{}","siteUuid":"{HARDWARE_ID}","appVersion":"2.19.0","appName":"Open mSupply Desktop","syncVersion":"14"}}"#,
        hash.expose()
    )
}

/// The body of a pull of the site `clinic`.
pub(crate) fn pull() -> String {
    let credentials = credentials();
    format!(r#"{{"cursor":0,"batchSize":500,"syncV5Settings":{credentials},"isInitialised":true,"syncV6Version":5}}"#)
}

/// The body of a push of an asset of the site `clinic`, with notes of this length.
pub(crate) fn push(id: &str, store: &str, notes: usize) -> String {
    let (at, notes, credentials) = ("2026-11-23T08:00:00", "n".repeat(notes), credentials());
    format!(
        r#"{{"batch":{{"end_cursor":1,"total_records":1,"records":[{{"cursor":1,"record":{{"tableName":"asset","recordId":"{id}","action":"Update","recordData":{{"id":"{id}","store_id":"{store}","notes":"{notes}","created_datetime":"{at}","modified_datetime":"{at}"}}}}}}],"is_last_batch":true}},"syncV5Settings":{credentials},"syncV6Version":5}}"#
    )
}
