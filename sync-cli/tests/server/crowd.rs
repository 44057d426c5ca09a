//! A crowd that takes all it can get, from the address of a site that is known: the site is served all the same. The times are
//! printed and judged by nobody, since a machine may be slow; how they are measured on a quiet one stands in docs/central.md.

use std::io::Write as _;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::administrator::figure;
use crate::central;
use crate::client::{PULL, PUSH, Reply, ask, connect, credentials, get, head, pull, push};
use crate::files::{UPLOAD, sent};

const JSON: (&str, &str) = ("content-type", "application/json");

/// Lets the site send so many requests, and demands an answer each time.
#[track_caller]
fn is_served(address: &str, what: &str) {
    is_served_as(address, what, &pull());
}

/// The same for the site that this pull is of.
#[track_caller]
fn is_served_as(address: &str, what: &str, pull: &str) {
    let mut times = Vec::new();
    for _ in 0..20 {
        let began = Instant::now();
        let answer = ask(address, "POST", PULL, &[], pull.as_bytes());
        times.push(began.elapsed());
        let is_answered =
            answer.json()["data"]["records"].is_array() || answer.json()["error"] == "integrationInProgress";
        assert!(is_answered, "{what}: {answer:?}");
    }
    times.sort_unstable();
    println!("{what}: the site waited {:?} at the median and {:?} at the most", times[10], times[19]);
}

/// Sends this much of a request and no more.
fn begin(address: &str, start: &[u8]) -> TcpStream {
    let mut stream = connect(address);
    // The server may close it at once.
    let _ = stream.write_all(start);
    stream
}

fn is_open(stream: &mut TcpStream) -> bool {
    stream.set_read_timeout(Some(Duration::from_millis(1))).expect("a time limit");
    match stream.peek(&mut [0; 1]) {
        Ok(_) => false,
        Err(error) => matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut),
    }
}

#[test]
fn half_sent_bodies_fill_no_memory_that_a_push_needs() {
    let (_desk, server) = central(&[]);
    let length = 9_900_000.to_string();
    let mut start = head("POST", PUSH, &[JSON, ("content-length", &length)]).into_bytes();
    start.extend(vec![b' '; 9_500_000]);
    let mut halves: Vec<TcpStream> = (0..12).map(|_| begin(&server.address, &start)).collect();
    // Longer than a client counts as quick without any progress.
    std::thread::sleep(Duration::from_millis(1500));
    for n in 0..6 {
        let began = Instant::now();
        let large = push(&format!("x{n}"), "STORE", 9_000_000);
        let taken = loop {
            let answer = ask(&server.address, "POST", PUSH, &[], large.as_bytes());
            assert_eq!(answer.status, 200, "{answer:?}");
            if answer.json()["error"] != "integrationInProgress" {
                break answer;
            }
            std::thread::sleep(Duration::from_millis(20));
        };
        assert_eq!(taken.json()["data"]["records_pushed"], 1);
        println!("half-sent bodies: a push of 9 MB took {:?}", began.elapsed());
    }
    is_served(&server.address, "half-sent bodies");
    let still_open = halves.iter_mut().filter_map(|half| is_open(half).then_some(())).count();
    assert!(still_open < 12, "some had to give way");
    server.stop().ends(0);
}

#[test]
fn uploads_of_nobody_take_no_place_from_a_file() {
    // A site that has already sent a file, so that everything is set up.
    let (desk, server, _id) = sent(1000, &[]);
    let kind = ("content-type", "multipart/form-data; boundary=b");
    let mut start = head("PUT", UPLOAD, &[kind, ("content-length", "1000000")]).into_bytes();
    start.extend(b"--b\r\nContent-Disposition: form-data; name=\"json_part\"\r\n");
    let mut uploads: Vec<TcpStream> = (0..160).map(|_| begin(&server.address, &start)).collect();
    let began = Instant::now();
    std::fs::write(desk.path("more.txt"), vec![b'm'; 100_000]).expect("a file");
    desk.run(&["files", "attach", "asset", "a", "more.txt"]).ends(0);
    let synced = desk.run(&["sync", "--with-files", "--json"]).ends(0);
    println!("dripping uploads: a file went through in {:?}", began.elapsed());
    assert!(synced.out.contains("\"uploaded\""), "{synced:?}");
    for upload in &mut uploads {
        let _ = upload.write_all(b"C");
    }
    is_served(&server.address, "dripping uploads");
    // One with wrong credentials gets its answer, and nothing of it is kept.
    let wrong = format!(
        "--b\r\nContent-Disposition: form-data; name=\"json_part\"\r\nContent-Type: application/json\r\n\r\n{{\"file_id\":\"x\",\"sync_v5_settings\":{},\"sync_v6_version\":5}}\r\n--b\r\nContent-Disposition: form-data; name=\"file_part\"; filename=\"x\"\r\n\r\nbytes\r\n--b--\r\n",
        credentials().replace("clinic", "nobody")
    );
    let length = wrong.len().to_string();
    let mut stream =
        begin(&server.address, (head("PUT", UPLOAD, &[kind, ("content-length", &length)]) + &wrong).as_bytes());
    let refused = Reply::read(&mut stream).expect("an answer");
    assert!(refused.status == 200 && refused.text().contains("SiteNameNotFound"), "{refused:?}");
    server.stop().ends(0);
}

#[test]
fn connections_that_drip_give_way_to_those_that_come() {
    let (_desk, server) = central(&["--max-connections", "16"]);
    let mut dripping: Vec<TcpStream> =
        (0..60).map(|_| begin(&server.address, b"POST /central/sync/pull HTTP/1.1\r\nhost: l")).collect();
    std::thread::sleep(Duration::from_millis(1100));
    is_served(&server.address, "dripping connections");
    let open = dripping.iter_mut().filter_map(|stream| is_open(stream).then_some(())).count();
    assert!(open <= 16, "{open} of 60 are still open");
    // A connection of a signed-in site is not closed for silent ones.
    let mut signed_in = connect(&server.address);
    let body = pull();
    let length = body.len().to_string();
    let request = head("POST", PULL, &[JSON, ("content-length", &length)]) + &body;
    signed_in.write_all(request.as_bytes()).expect("sent");
    let first = Reply::read(&mut signed_in).expect("an answer");
    let more: Vec<TcpStream> = (0..60).map(|_| begin(&server.address, b"GET / HTTP/1.1\r\nhost: l")).collect();
    std::thread::sleep(Duration::from_millis(300));
    if first.header("connection") != Some("close") {
        signed_in.write_all(request.as_bytes()).expect("sent");
        assert_eq!(Reply::read(&mut signed_in).expect("it was kept").status, 200);
    }
    drop(more);
    server.stop().ends(0);
}

#[test]
fn answers_that_nobody_takes_are_bounded_in_memory() {
    let (desk, server) = central(&[]);
    desk.run(&["--db", "central.sqlite", "site", "add", "other", "--password-file", "pw"]).ends(0);
    for n in 0..4 {
        let large = push(&format!("x{n}"), "STORE", 7_500_000);
        while ask(&server.address, "POST", PUSH, &[], large.as_bytes()).json()["error"] == "integrationInProgress" {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    // Everything is requested, including its own records.
    let all = pull().replace(r#""isInitialised":true"#, r#""isInitialised":false"#);
    while ask(&server.address, "POST", PULL, &[], all.as_bytes()).json()["error"] == "integrationInProgress" {
        std::thread::sleep(Duration::from_millis(20));
    }
    let length = all.len().to_string();
    let request = head("POST", PULL, &[JSON, ("content-length", &length)]) + &all;
    let readers: Vec<TcpStream> = (0..200).map(|_| begin(&server.address, request.as_bytes())).collect();
    std::thread::sleep(Duration::from_secs(4));
    // The readers belong to one site, whose requests wait for each other; another site does not wait for them.
    is_served_as(&server.address, "slow readers", &pull().replace("clinic", "other"));
    std::thread::sleep(Duration::from_millis(2100));
    let memory = figure(&get(&server.address, "/metrics").text(), "process_resident_memory_bytes") / 1e6;
    println!("slow readers: {memory:.0} MB");
    assert!(memory < 700.0, "{memory} MB: two hundred answers of 7.5 MB each would be more");
    drop(readers);
    server.stop().ends(0);
}

#[test]
fn wrong_passwords_wait_where_they_keep_nobody_waiting() {
    let (_desk, server) = central(&[]);
    is_served(&server.address, "quiet");
    let guesses: Vec<TcpStream> = (0..300)
        .map(|n| {
            let wrong = pull().replace("machine-f3c1a7-of-the-clinic", &format!("machine-{n}"));
            let at = wrong.find(r#""passwordSha256":""#).expect("a hash") + 18;
            let wrong = format!("{}{n:04}{}", &wrong[..at], &wrong[at + 4..]);
            let length = wrong.len().to_string();
            begin(&server.address, (head("POST", PULL, &[JSON, ("content-length", &length)]) + &wrong).as_bytes())
        })
        .collect();
    is_served(&server.address, "wrong passwords");
    let mut refused = 0;
    for mut guess in guesses {
        let reply = Reply::read(&mut guess).expect("an answer");
        assert!(
            reply.text().contains("SiteIncorrectPassword") || reply.text().contains("SiteAuthTimeout"),
            "{reply:?}"
        );
        refused += 1;
    }
    assert_eq!(refused, 300);
    server.stop().ends(0);
}
