//! One exchange: a site comes over a connection of its own, pushes what it has, waits until that is integrated, and pulls.

use std::collections::HashMap;
use std::io::Read as _;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use flate2::read::GzDecoder;
use serde_json::{Value, json};
use sync_core::protocol::PasswordHash;
use sync_core::transport::{HttpRequest, HttpTransport, Method, Transport as _};

use crate::figures::Figures;
use crate::seed::{PASSWORD, asset, hardware_id, site_name};

/// Every third exchange pushes something.
const PUSHES_EVERY: u64 = 3;
/// How many records a push holds: with a third of 133 exchanges a second that is 500 a second.
const PUSHED: u64 = 11;
/// Every hundredth push holds a record for every site.
const FOR_EVERYONE_EVERY: u64 = 100;
/// How often a site asks whether its push is integrated.
const POLL: Duration = Duration::from_millis(100);
const POLLS_MAX: u32 = 300;
const BATCHES_MAX: u32 = 1000;

pub(crate) struct Exchanges {
    url: String,
    sites: u64,
    password: String,
    /// Where central's changelog ended before the run: how far all sites have read.
    newest: u64,
    /// The cursor of each site that came.
    cursors: Mutex<HashMap<u64, u64>>,
}

impl Exchanges {
    pub(crate) fn new(url: &str, newest: u64, sites: u64) -> Self {
        let password = PasswordHash::of_password(PASSWORD).expose().to_owned();
        Self { url: url.to_owned(), sites, password, newest, cursors: Mutex::default() }
    }

    /// Plays the exchange of this number.
    pub(crate) fn play(&self, n: u64, figures: &mut Figures) {
        let began = Instant::now();
        let mut visit = Visit { of: self, site: n % self.sites, http: HttpTransport::default(), figures };
        match visit.play(n) {
            Ok(()) => figures.note_exchange(began.elapsed()),
            Err(error) => figures.note_error(error),
        }
    }
}

struct Visit<'e> {
    of: &'e Exchanges,
    site: u64,
    http: HttpTransport,
    figures: &'e mut Figures,
}

impl Visit<'_> {
    fn play(&mut self, n: u64) -> Result<(), String> {
        if n.is_multiple_of(PUSHES_EVERY) {
            self.push(n)?;
        }
        self.pull()
    }

    fn push(&mut self, n: u64) -> Result<(), String> {
        let mut records: Vec<Value> = Vec::new();
        let mut ids = Vec::new();
        for part in 0..PUSHED {
            let id = format!("{n:08x}-{part:04x}-7000-9000-{:012x}", self.site);
            let (table, data) = match part == 0 && n.is_multiple_of(PUSHES_EVERY * FOR_EVERYONE_EVERY) {
                true => (
                    "sync_file_reference",
                    format!(
                        r#"{{"id":"{id}","table_name":"asset","record_id":"x","file_name":"photo.jpg","mime_type":"image/jpeg","total_bytes":1,"created_datetime":"2025-03-01T08:00:00","deleted_datetime":null}}"#
                    ),
                ),
                false => ("asset", asset(&id, self.site, "pushed")),
            };
            let data: Value = serde_json::from_str(&data).map_err(|error| error.to_string())?;
            records.push(json!({
                "cursor": n * PUSHED + part + 1,
                "record": { "tableName": table, "recordId": id, "action": "Update", "recordData": data },
            }));
            ids.push((table, id));
        }
        let batch = json!({
            "end_cursor": (n + 1) * PUSHED, "total_records": PUSHED, "records": records, "is_last_batch": true,
        });
        self.ask("push", json!({ "batch": batch }))?;
        self.figures.note_pushed(ids);
        for _ in 0..POLLS_MAX {
            thread::sleep(POLL);
            if self.ask("site_status", json!({}))?["is_integrating"] == false {
                return Ok(());
            }
        }
        Err("what was pushed is still not integrated".to_owned())
    }

    fn pull(&mut self) -> Result<(), String> {
        let lock = || self.of.cursors.lock().unwrap_or_else(PoisonError::into_inner);
        let mut from = lock().get(&self.site).copied().unwrap_or(self.of.newest + 1);
        for _ in 0..BATCHES_MAX {
            let batch = self.ask("pull", json!({ "cursor": from, "batchSize": 500, "isInitialised": true }))?;
            let records = batch["records"].as_array().map_or(0, Vec::len);
            self.figures.pulled += records as u64;
            if records > 0 {
                from = batch["end_cursor"].as_u64().ok_or("a batch without an end")? + 1;
            }
            if batch["is_last_batch"] == true {
                self.of.cursors.lock().unwrap_or_else(PoisonError::into_inner).insert(self.site, from);
                return Ok(());
            }
        }
        Err("a pull that does not end".to_owned())
    }

    /// Asks central one thing; gives the data of the answer.
    fn ask(&mut self, what: &'static str, mut body: Value) -> Result<Value, String> {
        body["syncV6Version"] = 5.into();
        body["syncV5Settings"] = json!({
            "serverUrl": self.of.url, "username": site_name(self.site), "passwordSha256": self.of.password,
            "siteUuid": hardware_id(self.site), "appVersion": "2.19.0", "appName": "load", "syncVersion": "14",
        });
        let request = HttpRequest {
            method: Method::Post,
            url: format!("{}/central/sync/{what}", self.of.url),
            headers: vec![("content-type".to_owned(), "application/json".to_owned())],
            body: body.to_string().into_bytes(),
        };
        let began = Instant::now();
        let response = self.http.send(&request).map_err(|error| format!("{what}: {error}"))?;
        self.figures.note_request(what, began.elapsed());
        if response.status != 200 {
            return Err(format!("{what}: status {}", response.status));
        }
        let is_gzip = response.headers.iter().any(|(name, value)| name == "content-encoding" && value == "gzip");
        let mut plain = response.body;
        if is_gzip {
            let mut decoded = Vec::new();
            GzDecoder::new(plain.as_slice()).read_to_end(&mut decoded).map_err(|error| format!("{what}: {error}"))?;
            plain = decoded;
        }
        let mut answer: Value = serde_json::from_slice(&plain).map_err(|error| format!("{what}: {error}"))?;
        match answer.get_mut("data") {
            Some(data) => Ok(data.take()),
            None => Err(format!("{what}: {}", answer["error"])),
        }
    }
}
