//! Requests that arrive twice, or late.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use sync_core::record::RecordData;
use sync_core::transport::{HttpRequest, HttpResponse, Transport, TransportError};
use sync_core::{NoopObserver, SyncConfig, SyncOptions};
use sync_tests::world::{CentralEnd, Kind, SiteEnd, data, get};

/// A line that records the pushes on it, and may lose their answers or the pushes themselves.
struct Line {
    to_central: Arc<dyn Transport>,
    pushes: Mutex<Vec<HttpRequest>>,
    loses_answers: AtomicBool,
    loses_pushes: AtomicBool,
    /// Pushes of fewer bytes come through all the same.
    spares_below: AtomicUsize,
}

impl Transport for Line {
    fn send(&self, request: &HttpRequest) -> Result<HttpResponse, TransportError> {
        let broken = || Err(TransportError::Broken("the line broke".into()));
        if !request.url.ends_with("/push") {
            return self.to_central.send(request);
        }
        self.pushes.lock().unwrap().push(request.clone());
        if request.body.len() < self.spares_below.load(Ordering::SeqCst) {
            return self.to_central.send(request);
        }
        if self.loses_pushes.load(Ordering::SeqCst) {
            return broken();
        }
        let response = self.to_central.send(request);
        if self.loses_answers.load(Ordering::SeqCst) { broken() } else { response }
    }
}

struct World {
    central: CentralEnd,
    line: Arc<Line>,
    a: SiteEnd,
    b: SiteEnd,
}

fn fields(text: &str) -> RecordData {
    data(&format!(r#"{{"id":"n","properties":"{text}"}}"#))
}

fn write(site: &SiteEnd, text: &str) {
    site.records.put("name_oms_fields", [fields(text)]).unwrap();
}

/// Two sites that both write the properties of one name.
fn world() -> World {
    let central = CentralEnd::over(Kind::Memory);
    central.add_site("a");
    let line = Arc::new(Line {
        to_central: central.transport(),
        pushes: Mutex::default(),
        loses_answers: AtomicBool::new(false),
        loses_pushes: AtomicBool::new(false),
        spares_below: AtomicUsize::new(0),
    });
    let mut a = central.set_up_in("a", "a", line.clone());
    let mut config = SyncConfig::default();
    config.attempts = 1;
    config.integration_poll = std::time::Duration::from_millis(1);
    a.site = a.site.clone().with_config(config);
    let b = central.new_site("b");
    a.sync();
    b.sync();
    World { central, line, a, b }
}

impl World {
    fn everywhere(&self) -> Vec<Option<String>> {
        let central = get(&self.central.records, "name_oms_fields", "n");
        vec![central, self.a.get("name_oms_fields", "n"), self.b.get("name_oms_fields", "n")]
    }

    /// A cycle of site a that fails.
    fn failing_cycle(&self) {
        let report = self.a.site.sync(&SyncOptions::default(), &mut NoopObserver).unwrap();
        assert_eq!(report.error.map(|error| error.code()), Some("cut_off"));
    }

    /// What central says to a push that arrives now.
    fn arrives(&self, n: usize) -> String {
        let request = self.line.pushes.lock().unwrap()[n].clone();
        String::from_utf8(self.line.to_central.send(&request).unwrap().body).unwrap()
    }
}

#[test]
fn a_push_whose_answer_was_lost_does_not_undo_what_others_wrote_since() {
    let world = world();
    write(&world.a, "a");
    world.line.loses_answers.store(true, Ordering::SeqCst);
    world.failing_cycle();
    world.line.loses_answers.store(false, Ordering::SeqCst);
    world.b.sync();
    write(&world.b, "b, who had read a");
    world.b.sync();
    let report = world.a.sync();
    assert_eq!(report.pushed, 1, "it cannot know that central has it");
    world.a.sync();
    world.b.sync();
    assert_eq!(world.everywhere(), vec![Some(fields("b, who had read a").as_str().to_owned()); 3]);
}

#[test]
fn a_copy_that_comes_late_changes_nothing() {
    let world = world();
    for text in ["1", "2"] {
        write(&world.a, text);
        world.a.sync();
    }
    let pushes = world.line.pushes.lock().unwrap().len();
    world.b.sync();
    write(&world.b, "b");
    world.b.sync();
    for n in 0..pushes {
        let answer = world.arrives(n);
        assert!(answer.contains("records_pushed") || answer.contains("ntegrationInProgress"), "{answer}");
    }
    world.a.sync();
    world.b.sync();
    assert_eq!(world.everywhere(), vec![Some(fields("b").as_str().to_owned()); 3]);
}

#[test]
fn a_push_that_was_held_up_on_its_way_changes_nothing() {
    let world = world();
    write(&world.a, "1");
    world.line.loses_pushes.store(true, Ordering::SeqCst);
    world.failing_cycle();
    world.line.loses_pushes.store(false, Ordering::SeqCst);
    write(&world.a, "2");
    world.a.sync();
    assert!(world.arrives(0).contains("ntegrationInProgress"), "it is older than what came already");
    world.a.sync();
    world.b.sync();
    assert_eq!(world.everywhere(), vec![Some(fields("2").as_str().to_owned()); 3]);
}

/// A text that no compression makes small.
fn long_text() -> String {
    let step =
        |number: &u64| Some(number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407));
    std::iter::successors(Some(7), step).take(4_000).map(|number| format!("{number:016x}")).collect()
}

/// The push arrives and its answer is lost; a smaller record passes it, so that it gets a new position. What another site
/// wrote over it, and what this site has read of that, makes no new edit of it.
#[test]
fn an_edit_that_a_smaller_one_passed_is_not_a_new_one() {
    let world = world();
    world.line.spares_below.store(8_000, Ordering::SeqCst);
    world.line.loses_answers.store(true, Ordering::SeqCst);
    write(&world.a, &long_text());
    world.a.records.put("name_oms_fields", [data(r#"{"id":"m","properties":"small"}"#)]).unwrap();
    world.failing_cycle();
    assert_eq!(get(&world.central.records, "name_oms_fields", "m"), world.a.get("name_oms_fields", "m"), "it passed");
    assert_eq!(get(&world.central.records, "name_oms_fields", "n"), world.a.get("name_oms_fields", "n"), "it arrived");
    world.b.sync();
    write(&world.b, "b, who had read a");
    world.b.sync();
    // From here on the long one does not arrive, but the site may read.
    world.line.loses_pushes.store(true, Ordering::SeqCst);
    world.failing_cycle();
    world.failing_cycle();
    world.line.loses_pushes.store(false, Ordering::SeqCst);
    world.line.loses_answers.store(false, Ordering::SeqCst);
    world.a.sync();
    world.a.sync();
    world.b.sync();
    assert_eq!(world.everywhere(), vec![Some(fields("b, who had read a").as_str().to_owned()); 3]);
}

/// Keeps the pushes of legacy records on their way to central.
struct KeepsLegacyPushes {
    to_central: Arc<dyn Transport>,
    kept: Mutex<Vec<HttpRequest>>,
}

impl Transport for KeepsLegacyPushes {
    fn send(&self, request: &HttpRequest) -> Result<HttpResponse, TransportError> {
        if request.url.ends_with("/queued_records") {
            self.kept.lock().unwrap().push(request.clone());
        }
        self.to_central.send(request)
    }
}

/// What central keeps of the legacy tables is the only copy of it, for a site that begins anew.
#[test]
fn a_late_copy_of_a_legacy_push_undoes_nothing_that_central_keeps() {
    let stock = |quantity: u32| data(&format!(r#"{{"ID":"s","store_ID":"STORE_a","quantity":{quantity}}}"#));
    for kind in [Kind::Memory, Kind::Sqlite] {
        let central = CentralEnd::over(kind);
        central.add_site("a");
        let line = Arc::new(KeepsLegacyPushes { to_central: central.transport(), kept: Mutex::default() });
        let a = central.set_up_in("a", "a", line.clone());
        a.sync();
        let push = |change: &dyn Fn()| {
            line.kept.lock().unwrap().clear();
            change();
            a.sync();
            line.kept.lock().unwrap()[0].clone()
        };
        let first = push(&|| assert!(a.records.put("item_line", [stock(1)]).is_ok()));
        let second = push(&|| assert!(a.records.put("item_line", [stock(2)]).is_ok()));
        let gone = push(&|| assert!(a.records.put("item_line", [data(r#"{"ID":"t","store_ID":"STORE_a"}"#)]).is_ok()));
        push(&|| assert!(a.records.delete("item_line", "t").is_ok()));
        let restarted = sync_core::central::InProcess::new(central.restarted());
        for (copy, status) in [(&first, 503), (&second, 200), (&gone, 503)] {
            assert_eq!(restarted.send(copy).unwrap().status, status);
        }
        central.sites.reset_hardware("a").unwrap();
        let anew = central.set_up_in("a anew", "a", central.transport());
        anew.sync();
        assert_eq!(anew.get("item_line", "s").as_deref(), Some(stock(2).as_str()));
        assert_eq!(anew.get("item_line", "t"), None);
        // Somebody else's numbers begin anew.
        anew.records.put("item_line", [data(r#"{"ID":"u","store_ID":"STORE_a"}"#)]).unwrap();
        assert!(anew.sync().error.is_none());
    }
}
