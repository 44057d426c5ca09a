//! Requests that arrive twice, or late.

use std::sync::atomic::{AtomicBool, Ordering};
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
}

impl Transport for Line {
    fn send(&self, request: &HttpRequest) -> Result<HttpResponse, TransportError> {
        let broken = || Err(TransportError::Broken("the line broke".into()));
        if !request.url.ends_with("/push") {
            return self.to_central.send(request);
        }
        self.pushes.lock().unwrap().push(request.clone());
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
