//! A cycle in which nothing is new, at a server that is the legacy server and central in one: one request.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use sync_core::protocol::v5::IDLE_CHECK;
use sync_core::transport::{HttpRequest, HttpResponse, Transport, TransportError};
use sync_tests::world::{CentralEnd, Kind, SiteEnd, asset, document, get};

/// Passes requests on, counts them, and can drop the header by which a site asks for more than who it is, as a proxy might.
struct Line {
    inner: Arc<dyn Transport>,
    requests: AtomicUsize,
    drops_header: AtomicBool,
    /// What happens at central before the next request after the first one.
    meanwhile: Mutex<Option<Box<dyn FnOnce() + Send>>>,
}

impl Transport for Line {
    fn send(&self, request: &HttpRequest) -> Result<HttpResponse, TransportError> {
        if self.requests.fetch_add(1, Relaxed) == 1
            && let Some(happens) = self.meanwhile.lock().unwrap().take()
        {
            happens();
        }
        let mut passed = request.clone();
        if self.drops_header.load(Relaxed) {
            passed.headers.retain(|(name, _)| name != IDLE_CHECK);
        }
        self.inner.send(&passed)
    }
}

struct End {
    central: CentralEnd,
    line: Arc<Line>,
    a: SiteEnd,
    b: SiteEnd,
}

/// Sites a and b that have read everything; a asks over the line.
fn quiet(kind: Kind) -> End {
    let central = CentralEnd::over(kind);
    let line = Arc::new(Line {
        inner: central.transport(),
        requests: AtomicUsize::new(0),
        drops_header: AtomicBool::new(false),
        meanwhile: Mutex::new(None),
    });
    central.add_site("a");
    let a = central.set_up_in("a", "a", line.clone());
    let b = central.new_site("b");
    for site in [&a, &b, &a, &b] {
        site.sync();
    }
    End { central, line, a, b }
}

impl End {
    /// A cycle of a, and how many requests it took.
    fn cycle(&self) -> usize {
        self.line.requests.store(0, Relaxed);
        let report = self.a.sync();
        let sent = self.line.requests.load(Relaxed);
        assert_eq!(report.requests, sent as u64, "the report counts what was sent");
        sent
    }
}

fn with_both(test: impl Fn(End)) {
    for kind in [Kind::Sqlite, Kind::Memory] {
        test(quiet(kind));
    }
}

#[test]
fn a_cycle_in_which_nothing_is_new_is_one_request() {
    with_both(|end| {
        assert_eq!([end.cycle(), end.cycle()], [1, 1]);
        end.line.drops_header.store(true, Relaxed);
        assert_eq!(end.cycle(), 4, "a server that does not read the header is asked as ever");
    });
}

#[test]
fn whatever_is_new_comes_with_the_next_cycle() {
    with_both(|end| {
        end.b.records.put("name_oms_fields", [document("name_oms_fields", &[("id", "NAME_b")])]).unwrap();
        end.b.sync();
        assert!(end.cycle() > 1, "a record of another site");
        assert!(end.a.get("name_oms_fields", "NAME_b").is_some());
        assert_eq!(end.cycle(), 1);

        end.central.move_store("a");
        assert!(end.cycle() > 1, "a store, which is central data");
        assert!(end.a.get("store", "S").is_some());
        end.cycle();

        end.a.records.put("asset", [asset("x", "STORE_a", "1")]).unwrap();
        assert!(end.cycle() > 1, "an edit of its own");
        assert!(get(&end.central.records, "asset", "x").is_some());
        assert_eq!(end.cycle(), 1);
    });
}

#[test]
fn what_is_new_after_the_first_request_is_read_in_this_cycle_if_it_pushes_and_in_the_next_otherwise() {
    with_both(|end| {
        let central = end.central.records.clone();
        let moves = move || {
            central.put("asset", [asset("y", "STORE_a", "of central")]).unwrap();
        };
        end.a.records.put("asset", [asset("x", "STORE_a", "1")]).unwrap();
        *end.line.meanwhile.lock().unwrap() = Some(Box::new(moves));
        end.cycle();
        assert!(end.a.get("asset", "y").is_some(), "the answers that came first do not count after a push");
    });
}

#[test]
fn such_a_cycle_counts_as_a_pull_of_the_site() {
    with_both(|end| {
        let pulled_at =
            || end.central.central.view().unwrap().sites.iter().find(|site| site.name == "a").unwrap().pulled_at;
        let before = pulled_at();
        std::thread::sleep(std::time::Duration::from_millis(5));
        assert_eq!(end.cycle(), 1);
        assert!(pulled_at() > before);
    });
}
