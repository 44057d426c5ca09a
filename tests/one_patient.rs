//! The pull of one patient: at once, and without moving the cursors of whole cycles.

use std::sync::Arc;

use sync_core::record::{Cursor, NameId};
use sync_core::site::Step;
use sync_core::storage::{QuarantineCause, SqliteStorage, state};
use sync_core::support::is_of_patient;
use sync_core::transport::{HttpRequest, HttpResponse, Transport, TransportError};
use sync_core::{Error, NoopObserver, Replica, SyncOutcome};
use sync_tests::world::{CentralEnd, Kind, SeenReport, SiteEnd, data, document};

use crate::narrow_lines::{Narrow, noise};

/// A central server with a dose, and sites `a`, which writes, and `b`, which reads.
struct World {
    a: SiteEnd,
    b: SiteEnd,
    _central: CentralEnd,
}

impl World {
    /// Where `b` speaks over this line.
    fn new(line: impl FnOnce(Arc<dyn Transport>) -> Arc<dyn Transport>) -> Self {
        let end = CentralEnd::over(Kind::Memory);
        let course = document("vaccine_course", &[("id", "course")]);
        end.records.put("vaccine_course", [course]).unwrap();
        let dose = document("vaccine_course_dose", &[("id", "dose"), ("vaccine_course_id", "course")]);
        end.records.put("vaccine_course_dose", [dose]).unwrap();
        end.add_site("b");
        let (a, b) = (end.new_site("a"), end.set_up_in("b", "b", line(end.transport())));
        a.sync();
        Self { a, b, _central: end }
    }

    /// The same with the database of `b` in this file.
    fn with_file(path: &std::path::Path) -> Self {
        let mut world = Self::new(|line| line);
        let storage = Arc::new(SqliteStorage::open(path).unwrap());
        world._central.add_site("c");
        world.b = world._central.set_up_over(storage, "c", world._central.transport());
        world
    }

    /// The site `b`, where these patients are visible.
    fn reader(&self, patients: &[&str]) -> &SiteEnd {
        self.reader_in("STORE_b", patients)
    }

    fn reader_in(&self, store: &str, patients: &[&str]) -> &SiteEnd {
        self.b.sync();
        for patient in patients {
            self.b.records.put("name", [document("name", &[("ID", patient), ("type", "patient")])]).unwrap();
            let join = format!(r#"{{"ID":"j{patient}","store_ID":"{store}","name_ID":"{patient}","inactive":false}}"#);
            self.b.records.put("name_store_join", [data(&join)]).unwrap();
        }
        self.b.sync();
        &self.b
    }

    /// Site `a` writes a vaccination, and sends it.
    fn vaccinate(&self, id: &str, patient: &str, comment: &str) {
        let fields = [("id", id), ("store_id", "STORE_a"), ("patient_id", patient), ("comment", comment)];
        let given = document("vaccination", &[&fields[..], &[("vaccine_course_dose_id", "dose")]].concat());
        self.a.records.put("vaccination", [given]).unwrap();
        self.a.sync();
    }
}

fn pull(site: &SiteEnd, patient: &str) -> SeenReport {
    site.site.pull_patient(&NameId::new(patient), &mut NoopObserver).unwrap().into()
}

/// All cursors of a site.
fn cursors(site: &SiteEnd) -> Vec<Option<String>> {
    let txn = site.storage.read().unwrap();
    let names =
        [state::PULL_CURSOR_V6.name(), state::PUSH_CURSOR_V6.name(), "push_marks", state::PUSH_UNCONFIRMED.name()];
    names.map(|name| txn.state(name).unwrap()).into()
}

#[test]
fn only_the_patient_comes_and_no_cursor_moves() {
    let world = World::new(|line| line);
    let b = world.reader(&["p", "q"]);
    world.vaccinate("vp", "p", "");
    world.vaccinate("vq", "q", "");
    let (before, last) =
        (cursors(b), Replica::with_storage(b.storage.clone()).status().unwrap().last_sync.map(|last| last.started_at));
    let report = pull(b, "p");
    assert!(report.error.is_none(), "{report:?}");
    assert_eq!((report.outcome, report.pulled, report.integrated), (SyncOutcome::Done, 1, 1), "{report:?}");
    assert!(b.get("vaccination", "vp").is_some() && b.get("vaccination", "vq").is_none());
    assert_eq!(cursors(b), before);
    // It is in the log, but does not count as a whole cycle.
    let newest = b.storage.read().unwrap().log(1).unwrap().remove(0);
    assert!(is_of_patient(&newest) && newest.report["patient"] == "p", "{newest:?}");
    assert!(newest.report["steps"].to_string().contains("pull_patient"), "{newest:?}");
    assert_eq!(Replica::with_storage(b.storage.clone()).status().unwrap().last_sync.map(|last| last.started_at), last);
    // The next cycle brings the rest, and this patient again without harm.
    b.sync();
    assert!(b.get("vaccination", "vq").is_some());
}

#[test]
fn a_patient_who_is_visible_nowhere_here_brings_nothing() {
    let world = World::new(|line| line);
    let b = world.reader(&[]);
    world.vaccinate("vp", "p", "");
    let report = pull(b, "p");
    assert_eq!((report.outcome, report.pulled), (SyncOutcome::Done, 0), "{report:?}");
    assert_eq!(pull(b, "nobody").pulled, 0);
}

#[test]
fn edits_made_here_stay() {
    let world = World::new(|line| line);
    let b = world.reader(&["p"]);
    world.vaccinate("vp", "p", "of site a");
    b.sync();
    let ours = b.get("vaccination", "vp").unwrap().replace("of site a", "of the clinic");
    b.records.put("vaccination", [data(&ours)]).unwrap();
    world.vaccinate("vp", "p", "of site a, later");
    let report = pull(b, "p");
    assert_eq!(report.kept_local, 1, "{report:?}");
    assert!(b.get("vaccination", "vp").unwrap().contains("of the clinic"));
    assert_eq!(Replica::with_storage(b.storage.clone()).status().unwrap().waiting.records, 1, "the edit still waits");
}

/// It begins at 0 each time, so a failing record must not always stop it at the same place.
#[test]
fn a_record_at_which_the_database_fails_stops_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("site.sqlite");
    let world = World::with_file(&path);
    let b = world.reader_in("STORE_c", &["p"]);
    for id in ["before", "bad", "after"] {
        world.vaccinate(id, "p", "first");
    }
    assert_eq!(pull(b, "p").integrated, 3);
    let refuses = "CREATE TRIGGER refuses BEFORE UPDATE ON sync_record WHEN new.record_id = 'bad' \
                   BEGIN SELECT RAISE(ABORT, 'planned'); END";
    rusqlite::Connection::open(&path).unwrap().execute_batch(refuses).unwrap();
    for id in ["before", "bad", "after"] {
        world.vaccinate(id, "p", "second");
    }
    for _ in 0..2 {
        let report = pull(b, "p");
        assert!(report.error.is_none(), "{:?}", report.error);
        for id in ["before", "after"] {
            assert!(b.get("vaccination", id).unwrap().contains("second"), "{id}");
        }
        let (row, why) = b.storage.read().unwrap().quarantined(0, 9).unwrap().remove(0);
        assert_eq!((row.incoming.id.as_str(), why.cause), ("bad", QuarantineCause::Failed), "{}", why.reason);
    }
}

/// A patient of many records comes over a line that breaks each larger answer, or gives more than is read.
#[test]
fn a_patient_comes_over_a_narrow_line() {
    let mut narrow = None;
    let world = World::new(|line| narrow.insert(Narrow::over(line)).clone());
    let line = narrow.expect("a line");
    let b = world.reader(&["p"]);
    for n in 0..60 {
        world.vaccinate(&format!("v{n}"), "p", &noise(n, 900));
    }
    line.carries(8 * 1024);
    let report = pull(b, "p");
    assert!(report.error.is_none(), "{:?}", report.error);
    assert!((0..60).all(|n| b.get("vaccination", &format!("v{n}")).is_some()));
    let (kept, thrown_away, broken) = line.seen();
    assert!(broken > 0 && thrown_away < kept, "{thrown_away} thrown away in {broken} parts, {kept} kept");
}

/// A central server of a release that does not know the request.
struct Old(Arc<dyn Transport>, u16);

impl Transport for Old {
    fn send(&self, request: &HttpRequest) -> Result<HttpResponse, TransportError> {
        match request.url.contains("patient-pull") {
            true => Ok(HttpResponse::text(self.1, "")),
            false => self.0.send(request),
        }
    }
}

#[test]
fn a_central_server_that_does_not_know_the_question_is_too_old() {
    for status in [404, 405] {
        let world = World::new(|line| Arc::new(Old(line, status)));
        let b = world.reader(&["p"]);
        let report = pull(b, "p");
        assert_eq!(report.outcome, SyncOutcome::Failed);
        assert_eq!(report.error.clone().unwrap().code(), "central_too_old", "{status}");
        assert_eq!((report.steps[0].name, report.steps[0].error), (Step::PullPatient, Some("central_too_old")));
        b.sync();
    }
}

#[test]
fn who_must_synchronise_first_is_told() {
    let world = World::new(|line| line);
    let b = &world.b;
    let error = b.site.pull_patient(&NameId::new("p"), &mut NoopObserver).unwrap_err();
    assert!(matches!(&error, Error::BadInput { detail } if detail.to_string().contains("first sync")), "{error}");
    b.sync();
    // Central went back to before the end that this site has seen.
    let txn = b.storage.write().unwrap();
    state::PULL_CURSOR_V6.set(txn.as_ref(), Cursor(1_000_000)).unwrap();
    txn.commit().unwrap();
    let report = pull(b, "p");
    assert_eq!(
        report.error.clone().unwrap().code(),
        Error::CursorWentBack { server: sync_core::error::Server::Central, ours: 0, theirs: 0 }.code()
    );
    let _lock = b.storage.lock_cycle().unwrap();
    let busy = b.site.pull_patient(&NameId::new("p"), &mut NoopObserver).unwrap_err();
    assert!(matches!(busy, Error::CycleRunning { .. }), "{busy}");
}
