//! Odd entries in the answers of the legacy server: each is set aside alone, whatever is wrong with it, and stops neither the
//! entries beside it nor the site.

use std::sync::{Arc, Mutex};

use serde_json::Value;
use sync_core::SyncOutcome;
use sync_core::transport::{HttpRequest, HttpResponse, Method, Transport, TransportError};
use sync_tests::world::{CentralEnd, Kind, SiteEnd};

use super::set_aside;

/// A legacy server with entries as bytes, with the ids that acknowledge them, or with their positions.
#[derive(Default)]
struct Odd {
    queue: Mutex<Vec<(String, Vec<u8>)>>,
    central: Mutex<Option<OddData>>,
}

/// Central data: the end that the server states, and the entries with the positions that they really have.
struct OddData {
    end: u64,
    entries: Vec<(u64, Vec<u8>)>,
}

struct OddLine {
    to_central: Arc<dyn Transport>,
    odd: Arc<Odd>,
}

fn batch(head: String, entries: &[Vec<u8>]) -> HttpResponse {
    let body = [format!(r#"{{{head},"data":["#).into_bytes(), entries.join(&b','), b"]}".to_vec()].concat();
    HttpResponse::json(200, body)
}

impl Transport for OddLine {
    fn send(&self, request: &HttpRequest) -> Result<HttpResponse, TransportError> {
        let is_get = request.method == Method::Get;
        if is_get && request.url.contains("/sync/v5/queued_records") {
            let queue = self.odd.queue.lock().unwrap();
            let entries: Vec<Vec<u8>> = queue.iter().map(|(_, entry)| entry.clone()).collect();
            return Ok(batch(format!(r#""queueLength":{}"#, entries.len()), &entries));
        }
        if request.url.contains("/sync/v5/acknowledged_records") {
            let told: Value = serde_json::from_slice(&request.body).unwrap();
            let told: Vec<&str> = told["syncIDs"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
            self.odd.queue.lock().unwrap().retain(|(id, _)| !told.contains(&id.as_str()));
            return Ok(HttpResponse { status: 204, headers: Vec::new(), body: Vec::new() });
        }
        let from = request.url.split("cursor=").nth(1).and_then(|rest| rest.split('&').next()?.parse::<u64>().ok());
        if request.url.contains("/sync/v5/central_records")
            && let Some(OddData { end, entries }) = self.odd.central.lock().unwrap().as_ref()
        {
            let after = entries.iter().filter(|(position, _)| Some(*position) > from);
            let entries: Vec<Vec<u8>> = after.map(|(_, entry)| entry.clone()).collect();
            return Ok(batch(format!(r#""maxCursor":{end}"#), &entries));
        }
        self.to_central.send(request)
    }
}

fn site(odd: &Arc<Odd>) -> (CentralEnd, SiteEnd) {
    let end = CentralEnd::over(Kind::Memory);
    end.add_site("a");
    let line = OddLine { to_central: end.step_by_step(), odd: odd.clone() };
    let site = end.set_up_in("a", "a", Arc::new(line));
    (end, site)
}

fn data(id: &str) -> String {
    format!(r#"{{"ID":"{id}","name":"n","code":"c","type":"facility"}}"#)
}

fn queued(sync_out_id: &str, id: &str, data: &[u8]) -> Vec<u8> {
    let head = format!(r#"{{"syncOutId":{sync_out_id},"tableName":"name","recordId":"{id}","action":"update""#);
    [head.as_bytes(), b",\"recordData\":", data, b"}"].concat()
}

fn positioned(position: &str, id: &str) -> Vec<u8> {
    let record = data(id);
    format!(r#"{{"ID":{position},"tableName":"name","recordId":"{id}","action":"update","recordData":{record}}}"#)
        .into()
}

/// The entry of a queue that cannot be read lets the others and the whole site go on, also in the first cycle of all.
#[test]
fn one_odd_entry_of_the_queue_stops_no_other_and_not_the_site() {
    let half = b"{\"ID\":\"b\",\"name\":\"\xed\xa0\x80\"}";
    let tab = b"{\"ID\":\"b\",\"name\":\"a\tb\"}";
    let cases: [(&str, Vec<u8>, &str); 7] = [
        ("a control character without an escape", queued(r#""qb""#, "b", tab), "without an escape"),
        ("bytes that are no UTF-8", queued(r#""qb""#, "b", half), "its text is not UTF-8"),
        (
            "no data",
            br#"{"syncOutId":"qb","tableName":"name","recordId":"b","action":"update"}"#.to_vec(),
            "$: expected",
        ),
        ("empty data", queued(r#""qb""#, "b", b"{}"), "$: expected"),
        (
            "no id",
            br#"{"tableName":"name","recordId":"b","action":"update","recordData":{}}"#.to_vec(),
            "missing field",
        ),
        ("a number as id", queued("5", "b", data("b").as_bytes()), "invalid type"),
        ("half a character as id", queued(r#""\ud800""#, "b", data("b").as_bytes()), "unexpected end of hex escape"),
    ];
    for (what, entry, reason) in cases {
        let odd = Arc::new(Odd::default());
        let good = |id: &str| (format!("q{id}"), queued(&format!("\"q{id}\""), id, data(id).as_bytes()));
        *odd.queue.lock().unwrap() = vec![good("g1"), ("qb".to_owned(), entry), good("g2")];
        let (_end, site) = site(&odd);
        site.sync();
        assert!(site.get("name", "g1").is_some() && site.get("name", "g2").is_some(), "{what}");
        assert_eq!(site.get("name", "b"), None, "{what}");
        let aside = set_aside(site.storage.as_ref());
        assert!(aside.len() == 1 && format!("{aside:?}").contains(reason), "{what} {aside:?}");
        let again = site.sync();
        // It does not come again, and somebody has to look at it until then.
        assert_eq!((again.outcome, again.pulled), (SyncOutcome::LeftBehind, 0), "{what} {again:?}");
        assert_eq!((again.quarantined, again.still_quarantined), (0, 1), "{what} {again:?}");
    }
}

/// An update without data does not replace what is here.
#[test]
fn an_update_without_data_replaces_nothing() {
    let odd = Arc::new(Odd::default());
    *odd.queue.lock().unwrap() = vec![("q".to_owned(), queued(r#""q""#, "b", data("b").as_bytes()))];
    let (_end, site) = site(&odd);
    site.sync();
    *odd.queue.lock().unwrap() = vec![("q2".to_owned(), queued(r#""q2""#, "b", b"{}"))];
    site.sync();
    assert_eq!(site.get("name", "b"), Some(data("b")));
}

/// A record whose position cannot be, or is beyond the end that the server states, skips no record after it.
#[test]
fn an_odd_position_skips_no_record_after_it() {
    for position in ["18446744073709551615", "4611686018427387904", "null", "\"4\"", "4.5", "-4"] {
        let odd = Arc::new(Odd::default());
        let (_end, site) = site(&odd);
        site.sync();
        for (round, id) in ["g1", "g2", "g3"].into_iter().enumerate() {
            let end = 1000 + 10 * round as u64;
            // The odd one also comes alone, as the last of all.
            let good = (end - 1, positioned(&(end - 1).to_string(), id));
            let entries = [Some((end, positioned(position, "b"))), Some(good).filter(|_| id != "g2")];
            let entries = entries.into_iter().flatten().collect();
            *odd.central.lock().unwrap() = Some(OddData { end, entries });
            let report = site.sync();
            assert!(report.error.is_none(), "{position} {id} {report:?}");
        }
        assert!(site.get("name", "g1").is_some() && site.get("name", "g3").is_some(), "{position}");
    }
}
