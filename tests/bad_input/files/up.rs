//! Uploads from a site.

use std::ops::ControlFlow;

use sync_core::SyncEvent;
use sync_core::files::FilesConfig;
use sync_core::protocol::v5::V5ErrorBody;
use sync_core::protocol::v6::{WireError, encode_error};
use sync_core::record::RecordId;
use sync_core::site::Step;
use sync_core::storage::FileState;
use sync_core::transport::HttpResponse;
use sync_tests::raw_server::Reply;

use super::{DOWNLOAD, FileBench, UPLOAD, at_once, content};

/// Makes all that waits due, as when the wait is over.
fn wait_over(bench: &FileBench, id: &RecordId) {
    bench.files.fetch(id).expect("a file");
}

/// What central passes on of the legacy server, with the transfer of a file in either direction.
#[test]
fn the_legacy_servers_reason_is_shown_with_any_status() {
    let reason = V5ErrorBody {
        code: "integration_error".to_owned(),
        message: "without FK".to_owned(),
        data: serde_json::json!({"table_name": "item_line", "record_ID": "8D1A"}),
    };
    let error = WireError::LegacyServerError(reason);
    for status in [400, 409, 500, 503] {
        let bench = FileBench::new();
        let bare = serde_json::to_vec(&error).unwrap();
        for (path, body) in [(UPLOAD, encode_error(&error)), (DOWNLOAD, encode_error(&error)), (DOWNLOAD, bare)] {
            let id = match path {
                UPLOAD => bench.attach(&content(30)),
                _ => bench.attach_at_central(&content(30)),
            };
            bench.bench.sync_well();
            bench.bench.server.always(path, Reply::Whole(HttpResponse::json(status, body)));
            let ends = bench.turn().error.as_ref().map(ToString::to_string);
            let said = ends.or_else(|| bench.entry(&id).reason).unwrap_or_default();
            for word in ["integration_error", "without FK", "item_line", "8D1A"] {
                assert!(said.contains(word), "{path} {status}: {said}");
            }
            bench.bench.server.heal();
            wait_over(&bench, &id);
            bench.turn_well();
        }
    }
}

#[test]
fn cut_at_any_byte_it_is_sent_again() {
    let bench = FileBench::new();
    let id = bench.attach(&content(30));
    bench.bench.sync_well();
    bench.bench.server.seen();
    // The whole body is some 900 bytes.
    for cut in (0..800).step_by(23) {
        bench.bench.server.once(UPLOAD, Reply::Early(cut, None));
        let report = bench.turn();
        assert!(report.failed == 1 && report.error.is_none(), "{cut}: {report:?}");
        bench.assert_failed(&id, "cut off");
        assert_eq!(bench.at_central(&id), None);
    }
    assert_eq!(bench.turn_well().uploaded, 1);
    assert_eq!(bench.at_central(&id), Some(content(30)));
    assert_eq!(bench.turn_well().uploaded, 0, "once is enough");
}

/// The answer is lost: the same is sent again and counts once.
#[test]
fn a_lost_answer_is_no_loss() {
    let bench = FileBench::new();
    let id = bench.attach(&content(1000));
    bench.bench.sync_well();
    bench.bench.server.once(UPLOAD, Reply::Short(3));
    assert_eq!(bench.turn().failed, 1);
    assert_eq!(bench.at_central(&id), Some(content(1000)), "it had come");
    assert_eq!(bench.turn_well().uploaded, 1);
}

/// Its answer was lost, and then the file itself: central has it, and it comes back.
#[test]
fn what_is_spoilt_after_it_arrived_comes_back() {
    for spoilt in [None, Some(content(999)), Some(vec![9; 1000])] {
        let bench = FileBench::new();
        let id = bench.attach(&content(1000));
        bench.bench.sync_well();
        bench.bench.server.once(UPLOAD, Reply::Short(3));
        assert_eq!(bench.turn().failed, 1);
        let path = bench.files.store().path(&id);
        match &spoilt {
            None => std::fs::remove_file(path).unwrap(),
            Some(bytes) => std::fs::write(path, bytes).unwrap(),
        }
        assert_eq!(bench.turn_well().downloaded, 1, "{spoilt:?}");
        assert_eq!((bench.here(&id), bench.entry(&id).state), (Some(content(1000)), FileState::Done));
    }
}

#[test]
fn a_local_file_that_vanished_or_changed_delays_no_other() {
    let bench = FileBench::new();
    let [gone, shorter, longer, other, good] = [11, 12, 13, 14, 15].map(|length| bench.attach(&content(length)));
    bench.bench.sync_well();
    let path = |id: &RecordId| bench.files.store().path(id);
    std::fs::remove_file(path(&gone)).unwrap();
    std::fs::write(path(&shorter), content(5)).unwrap();
    std::fs::write(path(&longer), content(50)).unwrap();
    std::fs::write(path(&other), [9; 14]).unwrap();
    let report = bench.turn();
    assert_eq!((report.uploaded, report.failed), (1, 4), "{report:?}");
    assert!(report.error.is_none(), "{report:?}");
    bench.assert_failed(&gone, "no longer there");
    bench.assert_failed(&shorter, "another length");
    bench.assert_failed(&longer, "another length");
    bench.assert_failed(&other, "changed after it was attached");
    for id in [&gone, &shorter, &longer, &other] {
        assert_eq!(bench.at_central(id), None);
        let waits = bench.entry(id).next_at.unwrap().since(bench.entry(id).changed_at);
        assert!(waits > FilesConfig::default().refused_wait / 2, "trying alone does not help");
    }
    assert_eq!(bench.at_central(&good), Some(content(15)));
    // Somebody puts it back.
    std::fs::write(path(&gone), content(11)).unwrap();
    wait_over(&bench, &gone);
    assert_eq!(bench.turn_well().uploaded, 1);
}

/// It changes while it is being sent: central never gets to the end of the upload.
#[test]
fn a_file_that_changes_while_it_is_sent() {
    let bytes = content(2_000_000);
    let changes: [fn(&std::path::Path); 3] = [
        |path| {
            use std::io::{Seek as _, Write as _};
            let mut file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
            file.seek(std::io::SeekFrom::Start(1_999_999)).unwrap();
            file.write_all(&[0x55]).unwrap();
        },
        |path| std::fs::OpenOptions::new().write(true).open(path).unwrap().set_len(1_999_999).unwrap(),
        |path| std::fs::OpenOptions::new().write(true).open(path).unwrap().set_len(2_000_001).unwrap(),
    ];
    assert_ne!(bytes[1_999_999], 0x55);
    for change in changes {
        let bench = FileBench::new();
        let id = bench.attach(&bytes);
        bench.bench.sync_well();
        let mut changed = false;
        let mut watch = |event: &SyncEvent| {
            if matches!(event, SyncEvent::Progress { step: Step::Files, .. }) && !changed {
                changed = true;
                change(&bench.files.store().path(&id));
            }
            ControlFlow::Continue(())
        };
        let report = bench.turn_watched(&mut watch);
        assert_eq!((report.failed, report.uploaded), (1, 0), "{report:?}");
        bench.assert_failed(&id, "changed after it was attached");
        assert_eq!(bench.at_central(&id), None);
    }
}

/// Too large for central: other files go on, and it is not tried all day long.
#[test]
fn sixty_megabytes() {
    let bytes = content(60_000_000);
    let mut bench = FileBench::new();
    let mut generous = at_once();
    generous.file_bytes_max = 100_000_000;
    bench.files = bench.files.with_config(generous);
    let (large, small) = (bench.attach(&bytes), bench.attach(b"small"));
    bench.bench.sync_well();
    let report = bench.turn();
    assert_eq!((report.uploaded, report.failed), (1, 1), "{report:?}");
    bench.assert_failed(&large, "too large for the central server");
    assert_eq!((bench.at_central(&large), bench.at_central(&small)), (None, Some(b"small".to_vec())));
    assert_eq!(bench.turn_well().uploaded, 0, "not again today");
    bench.bench.server.once(UPLOAD, Reply::text(413, "larger than allowed"));
    wait_over(&bench, &large);
    bench.turn();
    bench.assert_failed(&large, "too large for the central server");
    let mut page = HttpResponse::text(413, "<html>413 Request Entity Too Large</html>");
    page.headers.push(("server".to_owned(), "nginx/1.24".to_owned()));
    bench.bench.server.once(UPLOAD, Reply::Whole(page));
    wait_over(&bench, &large);
    bench.turn();
    bench.assert_failed(
        &large,
        "a proxy before the central server refuses its size: status 413 from nginx/1.24: a web page",
    );
}

/// What central says of one file is no fault of the others, however many there are; its own faults are.
#[test]
fn refusals_of_single_files_end_no_run() {
    let bench = FileBench::new();
    let ids: Vec<_> = (0..6).map(|n| bench.attach(&content(n))).collect();
    bench.bench.sync_well();
    let says = |text: &str| Reply::json(200, format!(r#"{{"error":{{"otherServerError":"{text}"}}}}"#));
    for _ in 0..5 {
        bench.bench.server.once(UPLOAD, says("The file was not taken"));
    }
    let report = bench.turn();
    assert_eq!((report.uploaded, report.failed, report.error.is_none()), (1, 5, true), "{report:?}");
    let refused = ids.iter().filter(|id| bench.entry(id).state == FileState::Failed).inspect(|id| {
        bench.assert_failed(id, "central says: The file was not taken");
    });
    assert_eq!(refused.count(), 5);
    bench.bench.server.always(UPLOAD, says("Internal error: disk_full"));
    let report = bench.turn();
    assert_eq!((report.failed, report.error.as_ref().map(|error| error.code())), (3, Some("peer_error")));
}

/// The reference goes first: bytes wait until it is pushed and integrated.
#[test]
fn the_reference_goes_first() {
    let bench = FileBench::new();
    let id = bench.attach(&content(10));
    let report = bench.turn_well();
    assert_eq!((report.uploaded, bench.entry(&id).state), (0, FileState::Waiting), "nothing was pushed yet");
    assert!(bench.bench.server.seen().iter().all(|seen| seen.path != UPLOAD), "central is not even asked");
    bench.bench.sync_well();
    wait_over(&bench, &id);
    bench.bench.server.once(UPLOAD, Reply::json(200, r#"{"error":{"syncFileNotFound":"x"}}"#));
    assert_eq!(bench.turn().failed, 1);
    bench.assert_failed(&id, "does not know the file's reference yet");
    assert_eq!(bench.turn_well().uploaded, 1);
}

/// No line: nobody's fault, and nothing is counted.
#[test]
fn without_a_line_no_file_is_at_fault() {
    let FileBench { bench, files, .. } = FileBench::new();
    let ids = [super::attach(&files, &content(10)), super::attach(&files, &content(11))];
    bench.sync_well();
    let super::Bench { central, server, storage, site, records, folder } = bench;
    drop(server);
    let report = site.sync_files(&files, &Default::default(), &mut sync_core::NoopObserver).unwrap();
    assert_eq!((report.failed, report.error.as_ref().map(|error| error.code())), (0, Some("unreachable")));
    let txn = sync_core::storage::Storage::read(storage.as_ref()).unwrap();
    for id in ids {
        let entry = txn.file(&id).unwrap().unwrap();
        assert_eq!((entry.state, entry.attempts), (FileState::Waiting, 0));
    }
    drop((central, records, folder));
}

/// Deleted before it was sent: it is not sent.
#[test]
fn a_reference_that_is_deleted_before_its_bytes_went() {
    let bench = FileBench::new();
    let id = bench.attach(&content(10));
    bench.bench.sync_well();
    bench.bench.records.delete("sync_file_reference", &id).unwrap();
    bench.bench.sync_well();
    assert_eq!(bench.turn_well().uploaded, 0);
    assert_eq!((bench.entry(&id).state, bench.at_central(&id)), (FileState::Gone, None));
    assert!(bench.here(&id).is_some(), "the only copy stays");
}
