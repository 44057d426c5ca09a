//! The report of the demonstration with the legacy server: each cycle with the counts of its steps, and the verdict.

use oms_sync_demo::cast::NAMES;
use oms_sync_demo::judge::Verdict;
use serde_json::Value;
use sync_core::SyncReport;
use sync_core::site::Step;

/// The steps in their order.
pub(super) const SEVEN: [Step; 7] =
    [Step::Prepare, Step::PushV6, Step::Push, Step::PullCentral, Step::PullRemote, Step::PullV6, Step::Integrate];

/// The results of the cycles.
#[derive(Debug, Default)]
pub(super) struct Report {
    pub pushed: u64,
    pub pulled: u64,
    /// Files that were moved.
    pub files: Vec<Value>,
    /// The faults in them.
    pub differences: Vec<String>,
    /// How often a line was cut.
    pub cuts: u64,
    /// The round after which nothing moved any more.
    pub rounds: usize,
    pub cycles: Vec<Cycle>,
}

/// A cycle of one end.
#[derive(Debug)]
pub(super) struct Cycle {
    pub end: &'static str,
    pub what: String,
    pub outcome: &'static str,
    /// The records of each step; `None` for one that was skipped.
    pub steps: [Option<u64>; 7],
}

impl Report {
    pub(super) fn cycle(&mut self, end: usize, what: &str, report: &SyncReport) {
        self.pushed += report.pushed;
        self.pulled += report.pulled;
        let steps = SEVEN.map(|name| {
            let of_step = report.steps.iter().filter(|step| step.name == name);
            of_step.map(|step| step.done).reduce(|one, other| one + other)
        });
        let outcome = report.outcome.as_str();
        self.cycles.push(Cycle { end: NAMES[end], what: what.to_owned(), outcome, steps });
    }

    fn table(&self) -> Vec<Vec<String>> {
        let mut rows = vec![["SITE".to_owned(), "CYCLE".to_owned(), "OUTCOME".to_owned()].to_vec()];
        rows[0].extend(SEVEN.map(|step| step.label().to_uppercase()));
        for cycle in &self.cycles {
            let mut row = vec![cycle.end.to_owned(), cycle.what.clone(), cycle.outcome.to_owned()];
            row.extend(cycle.steps.map(|done| done.map_or_else(|| "-".to_owned(), |done| done.to_string())));
            rows.push(row);
        }
        rows
    }

    /// Prints the events and the verdict.
    pub(super) fn print(&self, verdict: &Verdict) {
        println!("What each cycle did, by step (- where a step is left out):");
        print_table(&self.table());
        println!();
        let mut rows = vec![["RECORD TYPE", "CENTRAL", "NORTH", "SOUTH", "LEGACY"].map(str::to_owned).to_vec()];
        for (table, counts) in &verdict.counts {
            let ends = NAMES.iter().copied().chain(["legacy"]);
            let cells = ends.map(|name| counts.get(name).copied().unwrap_or(0).to_string());
            rows.push(std::iter::once(table.clone()).chain(cells).collect());
        }
        print_table(&rows);
        let Self { pushed, pulled, cuts, rounds, files, .. } = self;
        let files = files.len();
        println!("{pushed} pushed, {pulled} pulled, {files} files, {cuts} connections cut, {rounds} rounds");
    }
}

fn print_table(rows: &[Vec<String>]) {
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    for row in rows {
        let cells = row.iter().enumerate().map(|(column, cell)| format!("{cell:<0$}", width(column)));
        println!("{}", cells.collect::<Vec<_>>().join("  ").trim_end());
    }
}
