//! `status --watch`: the state, again whenever it changes.

use std::io::{BufRead as _, BufReader, Lines};
use std::process::{Child, ChildStdout};

use serde_json::Value;

use super::Clinic;
use super::support::{Said, signal};

/// A running `status --watch`, and its output.
struct Watch {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Watch {
    fn of(clinic: &Clinic, how: &[&str]) -> Self {
        let mut child = clinic.desk.spawn(&[&["status", "--watch", "--every", "1s"], how].concat());
        let lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        Self { child, lines }
    }

    fn line(&mut self) -> String {
        self.lines.next().expect("a line").expect("text")
    }

    fn document(&mut self) -> Value {
        serde_json::from_str(&self.line()).expect("JSON")
    }

    /// One output for people, to its last line: the time, and the text under each name.
    fn showing(&mut self) -> Vec<(String, String)> {
        let mut all = Vec::new();
        loop {
            let line = self.line();
            assert!(line.chars().count() <= 80, "too long for 80 columns: {line:?}");
            let (name, said) = line.split_once("  ").unwrap_or((&line, ""));
            all.push((name.to_owned(), said.trim().to_owned()));
            if name == "records" {
                return all;
            }
        }
    }

    fn interrupted(self) {
        signal(&self.child, "-INT");
        Said::by(self.child).ends(0);
    }
}

fn said<'s>(showing: &'s [(String, String)], name: &str) -> &'s str {
    &showing.iter().find(|(known, _)| known == name).unwrap_or_else(|| panic!("no {name}: {showing:?}")).1
}

#[test]
fn status_is_watched_until_an_interrupt() {
    let clinic = Clinic::new();
    let mut watch = Watch::of(&clinic, &["--json"]);
    assert_eq!(watch.document()["waiting"]["records"], 0);
    clinic.put_asset("fridge", "x");
    assert_eq!(watch.document()["waiting"]["records"], 1);
    clinic.sync(0);
    // A cycle changes the output more than once; the last one counts.
    while watch.document()["waiting"]["records"] != 0 {}
    watch.interrupted();
    clinic.desk.run(&["status", "--every", "1s"]).ends(2);
}

#[test]
fn people_see_the_time_and_the_whole_status_again_once_it_has_changed() {
    let clinic = Clinic::new();
    let mut watch = Watch::of(&clinic, &[]);
    let before = watch.showing();
    let is_time = |line: &str| line.strip_prefix("-- 20").is_some_and(|rest| rest.len() == "26-11-23 08:00:00Z".len());
    assert!(is_time(&before[0].0), "{before:?}");
    let names: Vec<&str> = before[1..].iter().map(|(name, _)| name.as_str()).collect();
    let expected =
        ["role", "site", "site id", "legacy URL", "central URL", "initialised", "pull cursor", "push cursor"];
    assert_eq!(names, [&expected[..], &["to be pushed", "last sync", "quarantined", "files", "records"]].concat());
    assert_eq!((said(&before, "role"), said(&before, "site")), ("remote", "clinic"));
    assert_eq!((said(&before, "to be pushed"), said(&before, "quarantined")), ("nothing", "nothing"));

    clinic.put_asset("fridge", "x");
    assert_eq!(watch.line(), "", "an empty line between two showings");
    let after = watch.showing();
    assert!(is_time(&after[0].0), "{after:?}");
    assert!(said(&after, "to be pushed").starts_with("1 record, "), "{after:?}");
    let count = |showing: &[(String, String)]| said(showing, "records").parse::<u64>().expect("a number");
    assert_eq!(count(&after), count(&before) + 1);
    // Unchanged parts are shown as before.
    for name in expected {
        assert_eq!(said(&after, name), said(&before, name));
    }

    clinic.sync(0);
    loop {
        assert_eq!(watch.line(), "");
        let last = watch.showing();
        if said(&last, "to be pushed") == "nothing" && said(&last, "last sync").starts_with("done") {
            break;
        }
    }
    watch.interrupted();
}

#[test]
fn a_cycle_that_is_too_long_ago_alarms() {
    let clinic = Clinic::new();
    assert_eq!(clinic.desk.run(&["status", "--max-age", "1d", "-q"]).ends(0).err, "");
    std::thread::sleep(std::time::Duration::from_millis(1100));
    let late = clinic.desk.run(&["status", "--max-age", "1s"]).ends(1);
    assert!(late.err.contains("the last complete cycle is too long ago: 2"), "{}", late.err);
    assert!(late.out.contains("last sync"), "{}", late.out);
    let quiet = clinic.desk.run(&["status", "--max-age", "1s", "-q"]).ends(1).err;
    assert!(quiet.lines().count() == 1 && quiet.contains("; the limit of 1 s is exceeded since 2"), "{quiet}");
    let at_central = clinic.desk.run(&["--db", "central.sqlite", "status", "--max-age", "1d"]).ends(2);
    assert!(at_central.err.contains("site list --max-age"), "{}", at_central.err);
}
