//! A record that a server refuses, or fails at, whenever it comes: it waits, and holds up no other, whatever their size.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use sync_core::transport::{HttpRequest, HttpResponse, Transport, TransportError};
use sync_core::{NoopObserver, SyncConfig, SyncOptions, SyncReport};
use sync_tests::world::{CentralEnd, Kind, SiteEnd, asset, data, get};

/// A line to a central server that answers some pushes itself, with a status and a body: those with the record `bad`.
struct Refusing {
    to_central: Arc<dyn Transport>,
    answer: Mutex<Option<(u16, &'static str)>>,
    /// The pushes of legacy records that came through.
    legacy: Mutex<String>,
}

impl Transport for Refusing {
    fn send(&self, request: &HttpRequest) -> Result<HttpResponse, TransportError> {
        let is_legacy = request.url.ends_with("/queued_records");
        let body = String::from_utf8_lossy(&request.body).into_owned();
        if (is_legacy || request.url.ends_with("/push"))
            && body.contains("\"bad\"")
            && let Some((status, body)) = *self.answer.lock().unwrap()
        {
            return Ok(HttpResponse { status, headers: Vec::new(), body: body.into() });
        }
        if is_legacy {
            self.legacy.lock().unwrap().push_str(&body);
        }
        self.to_central.send(request)
    }
}

fn cycle(site: &SiteEnd) -> SyncReport {
    site.site.sync(&SyncOptions::default(), &mut NoopObserver).unwrap()
}

/// Lines of one document that are refused for the same reason, so many that no record behind them was tried in one cycle.
#[test]
fn neighbours_that_are_refused_hold_up_no_other_for_ever() {
    let end = CentralEnd::over(Kind::Memory);
    end.add_site("a");
    let line = Arc::new(Refusing { to_central: end.transport(), answer: Mutex::new(None), legacy: Mutex::default() });
    let mut a = end.set_up_in("a", "a", line.clone());
    let mut config = SyncConfig::default();
    // The line here reads the bodies.
    (config.attempts, config.integration_poll, config.gzip_from) = (1, Duration::from_millis(1), usize::MAX);
    a.site = a.site.clone().with_config(config);
    a.sync();
    *line.answer.lock().unwrap() = Some((500, r#"{"error":{"code":"record_error","message":"no","data":null}}"#));
    let ids: Vec<String> = (0..40).map(|n| format!("{n}")).collect();
    for id in &ids {
        // Twenty neighbours, and some before and behind.
        let note = if (5..25).contains(&id.parse().unwrap()) { "bad" } else { "good" };
        let made = format!(
            r#"{{"id":"{id}","store_id":"STORE_a","notes":"{note}","created_datetime":"2026-01-01T00:00:00","modified_datetime":"2026-01-01T00:00:00"}}"#
        );
        a.records.put("asset", [data(&made)]).unwrap();
        a.records
            .put("item_line", [data(&format!(r#"{{"ID":"{id}","store_ID":"STORE_a","note":"{note}"}}"#))])
            .unwrap();
    }
    for _ in 0..12 {
        assert!(cycle(&a).error.is_some());
    }
    let is_bad = |id: &String| (5..25).contains(&id.parse().unwrap());
    for id in &ids {
        assert_eq!(get(&end.records, "asset", id).is_some(), !is_bad(id), "{id}");
        let is_at_legacy = line.legacy.lock().unwrap().contains(&format!("\"recordId\":\"{id}\""));
        assert_eq!(is_at_legacy, !is_bad(id), "{id}");
    }
    *line.answer.lock().unwrap() = None;
    assert!(cycle(&a).error.is_none());
    assert!(ids.iter().all(|id| get(&end.records, "asset", id).is_some()));
    assert_eq!(a.sync().pushed, 0);
}

const IDS: [&str; 5] = ["one", "two", "bad", "six", "ten"];

#[test]
fn a_record_that_is_refused_each_time_holds_up_no_other() {
    let stated = r#"{"error":{"code":"record_error","message":"cannot save it","data":null}}"#;
    for answer in [
        (200, r#"{"error":{"parsingSyncRecordError":"cannot save it"}}"#),
        (403, "<html>Your request looks like an attack</html>"),
        (400, stated),
        (500, stated),
        (500, "Internal Server Error"),
    ] {
        let end = CentralEnd::over(Kind::Memory);
        end.add_site("a");
        let (to_central, legacy) = (end.transport(), Mutex::default());
        let line = Arc::new(Refusing { to_central, answer: Mutex::new(None), legacy });
        let mut a = end.set_up_in("a", "a", line.clone());
        let mut config = SyncConfig::default();
        (config.attempts, config.integration_poll) = (1, Duration::from_millis(1));
        a.site = a.site.clone().with_config(config);
        a.sync();
        *line.answer.lock().unwrap() = Some(answer);
        for id in IDS {
            a.records.put("asset", [asset(id, "STORE_a", "same size")]).unwrap();
            a.records.put("item_line", [data(&format!(r#"{{"ID":"{id}","store_ID":"STORE_a"}}"#))]).unwrap();
        }
        for _ in 0..2 {
            assert!(cycle(&a).error.is_some(), "{answer:?}");
        }
        let is_at_central = |id: &str| get(&end.records, "asset", id).is_some();
        let is_at_legacy = |id: &str| line.legacy.lock().unwrap().contains(&format!("\"recordId\":\"{id}\""));
        for id in IDS {
            assert_eq!(is_at_central(id), id != "bad", "{id} {answer:?}");
            // The legacy server refuses with a status.
            assert_eq!(is_at_legacy(id), id != "bad" && answer.0 != 200, "{id} {answer:?}");
        }
        *line.answer.lock().unwrap() = None;
        assert!(cycle(&a).error.is_none(), "{answer:?}");
        assert!(is_at_central("bad") && is_at_legacy("bad"), "{answer:?}");
        assert_eq!(a.sync().pushed, 0);
        assert!(super::set_aside(a.storage.as_ref()).is_empty());
    }
}
