//! Downloads to a site.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use sync_core::SyncEvent;
use sync_core::site::Step;
use sync_core::storage::FileState;
use sync_core::transport::{HttpRequest, HttpResponse};
use sync_tests::raw_server::Reply;

use super::{DOWNLOAD, FileBench, content, reference};

fn made(make: impl Fn(&HttpRequest) -> HttpResponse + Send + Sync + 'static) -> Reply {
    Reply::Made(Arc::new(make))
}

fn whole(bytes: &[u8]) -> HttpResponse {
    let headers = vec![("etag".to_owned(), "\"1\"".to_owned()), ("accept-ranges".to_owned(), "bytes".to_owned())];
    HttpResponse { status: 200, headers, body: bytes.to_vec() }
}

/// Cut at any byte: what came is kept, and the rest is asked for. Nothing that is not whole has the file's name.
#[test]
fn cut_at_any_byte_it_goes_on_there() {
    let bench = FileBench::new();
    let bytes = content(40);
    for cut in 0..bytes.len() {
        let id = bench.attach_at_central(&bytes);
        bench.bench.server.once(DOWNLOAD, Reply::Short(cut));
        let report = bench.turn();
        assert_eq!((report.failed, report.downloaded, bench.here(&id)), (1, 0, None), "{cut}: {report:?}");
        bench.assert_failed(&id, "cut off");
        let report = bench.turn_well();
        assert_eq!(report.bytes_received, (bytes.len() - cut) as u64, "only the rest comes");
        assert_eq!(bench.here(&id).as_ref(), Some(&bytes), "{cut}");
    }
}

/// A line that gives a few bytes each time brings a file in the end.
#[test]
fn cut_again_and_again_it_gets_there() {
    let bench = FileBench::new();
    let bytes = content(1000);
    let id = bench.attach_at_central(&bytes);
    bench.bench.server.always(DOWNLOAD, Reply::Short(99));
    let mut received = 0;
    for turn in 0..11 {
        let report = bench.turn();
        received += report.bytes_received;
        assert_eq!(report.downloaded, u64::from(turn == 10), "{turn}: {report:?}");
    }
    assert_eq!((bench.here(&id), received), (Some(bytes), 1000));
}

/// Once the line has broken, a file comes in ranges of what it carries: many in a turn.
#[test]
fn over_a_narrow_line_a_file_comes_in_ranges() {
    let bench = FileBench::new();
    let bytes = content(200_000);
    let id = bench.attach_at_central(&bytes);
    bench.bench.server.always(DOWNLOAD, Reply::Short(9000));
    let mut turns = 0;
    while bench.here(&id).is_none() {
        turns += 1;
        assert!(turns < 7, "{:?}", bench.entry(&id));
        bench.turn();
    }
    assert_eq!(bench.here(&id), Some(bytes));
    let asked = bench.bench.server.seen().iter().filter(|seen| seen.path == DOWNLOAD).count();
    assert!((20..40).contains(&asked), "{asked} ranges");
}

/// A proxy that answers with a status of its own for what is too long for it lets smaller ranges through.
#[test]
fn a_file_comes_in_ranges_where_a_proxy_answers_for_all_of_it() {
    for status in [502, 503, 500] {
        let bench = FileBench::new();
        let bytes = content(200_000);
        let id = bench.attach_at_central(&bytes);
        for _ in 0..5 {
            bench.bench.server.once(DOWNLOAD, Reply::text(status, "<html>too long</html>"));
        }
        let report = bench.turn_well();
        assert_eq!((report.downloaded, bench.here(&id)), (1, Some(bytes)), "{status}: {report:?}");
        let ranges = bench.bench.server.seen().iter().filter(|seen| seen.path == DOWNLOAD).count();
        assert!((10..60).contains(&ranges), "{status}: {ranges} ranges");
    }
}

/// A server that is away is asked a few times, and the next turn asks for all of it at once again.
#[test]
fn a_server_that_is_away_makes_no_range_smaller() {
    let bench = FileBench::new();
    let bytes = content(200_000);
    let id = bench.attach_at_central(&bytes);
    bench.bench.server.always(DOWNLOAD, Reply::text(502, "<html>away</html>"));
    let report = bench.turn();
    assert_eq!(report.failed, 1);
    bench.assert_failed(&id, "502");
    let asked = || bench.bench.server.seen().iter().filter(|seen| seen.path == DOWNLOAD).count();
    let times = asked();
    assert!(times < 12, "{times}");
    bench.bench.server.heal();
    bench.turn_well();
    assert_eq!((asked(), bench.here(&id)), (1, Some(bytes)));
}

/// Each answer is cut, and each brings a part.
#[test]
fn a_line_that_carries_eight_kilobytes_at_a_time_brings_a_file_in_one_turn() {
    let bench = FileBench::new();
    let bytes = content(100_000);
    let id = bench.attach_at_central(&bytes);
    bench.bench.server.always(DOWNLOAD, Reply::Short(8192));
    let report = bench.turn_well();
    assert_eq!((report.failed, bench.here(&id)), (0, Some(bytes)), "{report:?}");
    let asked = bench.bench.server.seen().iter().filter(|seen| seen.path == DOWNLOAD).count();
    assert!((13..40).contains(&asked), "{asked} ranges");
}

/// What gets on is no failure that makes it wait longer and longer.
#[test]
fn a_file_that_comes_in_parts_does_not_wait_longer_each_time() {
    let bench = FileBench::new();
    let bytes = content(500_000);
    let id = bench.attach_at_central(&bytes);
    // After a cut it comes in ranges: so many of them come whole before the next cut.
    for (whole, attempts) in [(0, 1), (0, 2), (12, 1), (0, 2), (12, 1)] {
        for _ in 0..whole {
            bench.bench.server.once(DOWNLOAD, Reply::Short(usize::MAX));
        }
        bench.bench.server.once(DOWNLOAD, Reply::Short(10));
        let report = bench.turn();
        assert_eq!(report.failed, 1);
        assert_eq!(bench.entry(&id).attempts, attempts, "{whole} ranges, {} bytes", report.bytes_received);
    }
    bench.turn_well();
    assert_eq!(bench.here(&id), Some(bytes));
}

#[test]
fn longer_shorter_or_other_bytes_than_announced_are_not_taken() {
    let bench = FileBench::new();
    let bytes = content(500);
    let id = bench.attach_at_central(&bytes);
    let mut other = bytes.clone();
    other[250] ^= 1;
    let chunked = [
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\netag: \"1\"\r\n\r\n3e8\r\n",
        &content(1000)[..],
        b"\r\n0\r\n\r\n",
    ];
    for (reply, words) in [
        (Reply::Whole(whole(&content(501))), "longer than announced"),
        (Reply::Bytes(chunked.concat()), "longer than announced"),
        (Reply::Whole(whole(&content(499))), "shorter than announced"),
        (Reply::Whole(whole(b"")), "shorter than announced"),
        (Reply::Whole(whole(&other)), "hash differs"),
    ] {
        bench.bench.server.once(DOWNLOAD, reply);
        assert_eq!(bench.turn().failed, 1, "{words}");
        bench.assert_failed(&id, words);
        assert_eq!(bench.here(&id), None, "{words}");
    }
    assert_eq!(bench.turn_well().bytes_received, 500, "nothing of the wrong bytes was gone on with");
    assert_eq!(bench.here(&id), Some(bytes));
    let entry = bench.entry(&id);
    assert_eq!((entry.state, entry.attempts, entry.reason), (FileState::Done, 0, None));
}

/// The log-in page of a network answers every question, with status 200. Of a file without a length and a hash nothing else
/// tells that this is none.
#[test]
fn a_log_in_page_is_no_file() {
    let bench = FileBench::new();
    reference(&bench.bench.central.records, "f", "photo.jpg", "");
    bench.bench.sync_well();
    let headers = vec![("content-type".to_owned(), "text/html".to_owned())];
    let page = HttpResponse { status: 200, headers, body: b"<html>Please log in</html>".to_vec() };
    bench.bench.server.once(DOWNLOAD, Reply::Whole(page));
    let report = bench.turn();
    let error = report.error.clone().expect("no file can come over this line");
    assert_eq!((error.code(), bench.here(&"f".into())), ("not_an_msupply_server", None), "{error}");
    assert_eq!(bench.entry(&"f".into()).state, FileState::Waiting);
}

/// Servers that do not give what was asked for: the file comes whole all the same, within the turn.
#[test]
fn a_server_that_ignores_or_refuses_ranges() {
    let bench = FileBench::new();
    let bytes = content(300);
    let (entire, asked) = (bytes.clone(), Arc::new(AtomicUsize::new(0)));
    let count = asked.clone();
    let instead = move |status: u16, range: Option<&str>| {
        let (entire, count, range) = (entire.clone(), count.clone(), range.map(str::to_owned));
        made(move |request| {
            if request.header("range").is_none() {
                return whole(&entire);
            }
            assert_eq!((request.header("range"), request.header("if-match")), (Some("bytes=100-"), Some("\"1\"")));
            count.fetch_add(1, Ordering::SeqCst);
            let range = range.iter().map(|range| ("content-range".to_owned(), range.clone()));
            let body = if status < 300 { entire.clone() } else { Vec::new() };
            HttpResponse { status, headers: range.chain([("etag".to_owned(), "\"1\"".to_owned())]).collect(), body }
        })
    };
    let refusals = [
        (200, None),
        (412, None),
        (416, Some("bytes */300")),
        (206, Some("bytes 0-299/300")),
        (206, Some("nonsense")),
        (206, None),
    ];
    for (turn, (status, range)) in refusals.into_iter().enumerate() {
        let id = bench.attach_at_central(&bytes);
        bench.bench.server.once(DOWNLOAD, Reply::Cut(whole(&bytes), 100));
        assert_eq!(bench.turn().failed, 1, "{status}");
        bench.bench.server.always(DOWNLOAD, instead(status, range));
        bench.turn_well();
        assert_eq!((bench.here(&id).as_ref(), asked.load(Ordering::SeqCst)), (Some(&bytes), turn + 1), "{status}");
        bench.bench.server.heal();
    }
}

/// The file changed at central between two parts: halves of two files are never put together.
#[test]
fn a_part_of_another_version_is_not_gone_on_with() {
    let bench = FileBench::new();
    let id = bench.attach_at_central(&content(300));
    bench.bench.server.once(DOWNLOAD, Reply::Cut(whole(&[7; 300]), 100));
    bench.turn();
    // Central's own tag is another than that of the part, so it refuses to go on.
    assert_eq!(bench.turn_well().bytes_received, 300);
    assert_eq!(bench.here(&id), Some(content(300)));
}

/// Not at central yet: tried again, until it is.
#[test]
fn a_file_that_is_not_there_yet_is_tried_later() {
    let bench = FileBench::new();
    reference(&bench.bench.central.records, "early", "n.txt", r#","total_bytes":5"#);
    bench.bench.sync_well();
    let id = "early".into();
    let answers = [
        None,
        Some(Reply::text(404, "")),
        Some(Reply::json(500, r#"{"otherServerError":"File not found"}"#)),
        Some(Reply::json(500, r#"{"syncFileNotFound":"early"}"#)),
    ];
    for answer in answers {
        if let Some(answer) = answer {
            bench.bench.server.once(DOWNLOAD, answer);
        }
        let report = bench.turn();
        assert!(report.failed == 1 && report.error.is_none(), "{report:?}");
        bench.assert_failed(&id, "does not have it yet");
    }
    let path = bench.of_central.store().path(&id);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, b"12345").unwrap();
    bench.turn_well();
    assert_eq!(bench.here(&id).as_deref(), Some(b"12345".as_slice()));
}

/// A reference that is deleted while its bytes come: nothing of them stays.
#[test]
fn a_reference_that_is_deleted_meanwhile() {
    let bench = FileBench::new();
    let id = bench.attach_at_central(&content(400_000));
    let mut deleted = false;
    let mut delete = |event: &SyncEvent| {
        if matches!(event, SyncEvent::Progress { step: Step::Files, .. }) && !deleted {
            deleted = true;
            bench.bench.records.delete("sync_file_reference", &id).unwrap();
        }
        ControlFlow::Continue(())
    };
    let report = bench.turn_watched(&mut delete);
    assert_eq!((report.gone, report.failed, report.downloaded), (1, 0, 0), "{report:?}");
    assert_eq!((bench.here(&id), bench.entry(&id).state), (None, FileState::Gone));
    let unfinished = bench.files.store().folder().join("unfinished");
    assert_eq!(std::fs::read_dir(unfinished).unwrap().count(), 0);
    bench.turn_well();
}

/// Faults of one file leave the others alone; faults of the line or of the site are no file's.
#[test]
fn one_bad_file_delays_no_other() {
    let bench = FileBench::new();
    let bad = bench.attach_at_central(&content(100));
    let good = [bench.attach_at_central(&content(200)), bench.attach_at_central(&content(300))];
    bench.bench.server.once(DOWNLOAD, Reply::Whole(whole(&[1; 100])));
    let report = bench.turn();
    assert_eq!((report.downloaded, report.failed), (2, 1), "{report:?}");
    bench.assert_failed(&bad, "hash");
    assert!(good.iter().all(|id| bench.here(id).is_some()));
    // A server in trouble three times in a row is not asked a fourth time.
    let more: Vec<_> = (0..5).map(|n| bench.attach_at_central(&content(n))).collect();
    bench.bench.server.always(DOWNLOAD, Reply::text(503, "busy"));
    let report = bench.turn();
    assert_eq!((report.failed, report.error.as_ref().map(|error| error.code())), (3, Some("server_trouble")));
    // Wrong credentials say nothing of any file.
    bench.bench.server.heal();
    let refusal = r#"{"otherServerError":"Internal error: [\n \"code: 'SiteIncorrectPassword' message: 'no' data: 'null'\",\n]"}"#;
    bench.bench.server.once(DOWNLOAD, Reply::json(500, refusal));
    let attempts = || more.iter().map(|id| bench.entry(id).attempts).sum::<u32>();
    let before = attempts();
    let report = bench.turn();
    assert_eq!((report.failed, report.error.as_ref().map(|error| error.code())), (0, Some("incorrect_password")));
    assert_eq!(attempts(), before);
    assert_eq!(bench.turn_well().downloaded, 6);
}

/// An interrupt in the middle of a file: what came stays, and nothing counts as a failure.
#[test]
fn stopped_in_the_middle_it_goes_on_there() {
    let bench = FileBench::new();
    let bytes = content(1_000_000);
    let id = bench.attach_at_central(&bytes);
    let mut stop = |event: &SyncEvent| match event {
        SyncEvent::Progress { step: Step::Files, done, .. } if *done >= 300_000 => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    };
    let report = bench.turn_watched(&mut stop);
    assert_eq!((report.failed, report.error.as_ref().map(|error| error.code())), (0, Some("cancelled")));
    assert_eq!((bench.entry(&id).attempts, bench.entry(&id).state), (0, FileState::Waiting));
    let report = bench.turn_well();
    assert!((1..=700_000).contains(&report.bytes_received), "{report:?}");
    assert_eq!(bench.here(&id), Some(bytes));
}

/// A database that was made anew or restored beside its folder: what lies there is not fetched again.
#[test]
fn bytes_that_are_here_already_are_not_fetched_again() {
    let bench = FileBench::new();
    let bytes = content(100_000);
    let id = bench.attach_at_central(&bytes);
    let path = bench.files.store().path(&id);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, &bytes).unwrap();
    assert_eq!(bench.turn_well().bytes_received, 0);
    assert_eq!(bench.entry(&id).state, FileState::Done);
    // Central has the reference but lost the bytes: the site brings them.
    let id = bench.attach_at_central(&content(10));
    std::fs::rename(bench.of_central.store().path(&id), {
        let path = bench.files.store().path(&id);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    })
    .unwrap();
    assert_eq!(bench.turn_well().uploaded, 1);
    assert_eq!(bench.at_central(&id), Some(content(10)));
    assert_eq!(bench.turn_well().uploaded, 0, "once is enough");
}

/// Empty files have bytes too: none.
#[test]
fn a_file_of_no_bytes() {
    let bench = FileBench::new();
    let (down, up) = (bench.attach_at_central(b""), bench.attach(b""));
    bench.bench.sync_well();
    let report = bench.turn_well();
    assert_eq!((report.downloaded, report.uploaded), (1, 1));
    assert_eq!((bench.here(&down), bench.at_central(&up)), (Some(Vec::new()), Some(Vec::new())));
}
