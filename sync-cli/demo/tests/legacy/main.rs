//! The demonstration with the legacy server: a stand-in for it over real HTTP, a central server that is one of its sites,
//! and two sites that know nothing but its address, a name and a password. All seven steps, edits at all ends, a patient
//! who was entered twice, a store that moves, lines that break, and the proof that all four ends agree.
//!
//! `--nocapture` prints the events.

mod changes;
mod ends;
mod report;
mod story;

use sync_core::site::Step;

use self::report::{Cycle, SEVEN};
use self::story::Story;

/// The steps that a cycle ran, in their order.
fn steps(cycle: &Cycle) -> Vec<Step> {
    SEVEN.into_iter().zip(cycle.steps).filter_map(|(step, done)| done.map(|_| step)).collect()
}

/// The records of one step of a cycle.
fn records(cycle: &Cycle, of: Step) -> Option<u64> {
    SEVEN.into_iter().zip(cycle.steps).find_map(|(step, done)| done.filter(|_| step == of))
}

#[test]
fn all_four_ends_agree_after_cycles_of_all_seven_steps() {
    let folder = tempfile::tempdir().unwrap();
    let (report, verdict) = Story::begin(folder.path()).unwrap().play().unwrap();
    report.print(&verdict);
    assert_eq!(verdict.differences, [""; 0], "the ends differ");
    let cycle = |end: &str, what: &str| {
        report.cycles.iter().find(|cycle| cycle.end == end && cycle.what == what).expect("the cycle ran")
    };
    for site in ["north", "south"] {
        let first = cycle(site, if site == "north" { "first cycle" } else { "goes on" });
        assert_eq!(steps(first).len(), 5, "nothing is pushed before a site is initialised: {first:?}");
        let all = cycle(site, "all seven steps");
        assert_eq!(steps(all), SEVEN);
        assert!(records(all, Step::PushV6) > Some(300) && records(all, Step::Push) > Some(2), "{all:?}");
    }
    let of_central = steps(cycle("central", "first cycle"));
    assert_eq!(of_central, [Step::Prepare, Step::PullCentral, Step::PullRemote, Step::Integrate], "no V6 steps");
    assert_eq!(cycle("south", "first cycle, cut").outcome, "failed");
    let at = |table: &str, end: &str| verdict.counts[table][end];
    assert_eq!(at("item", "legacy"), at("item", "south"));
    assert_eq!(at("trans_line", "north"), at("trans_line", "south"), "the store that moved is at both");
    assert!(at("vaccination", "south") == 1 && at("asset", "legacy") == 0, "{:?}", verdict.counts);
    let files = &report.files;
    assert!(files.len() == 2 && files.iter().all(|file| file["sha256"].is_string()), "{files:?}");
}
