//! What is shown of the demonstration with the legacy server: each cycle with the counts of its steps, and the verdict.

use serde_json::{Map, Value, json};
use sync_core::SyncReport;

use super::SEVEN;
use crate::demo::ends::NAMES;
use crate::demo::judge::Verdict;
use crate::failure::Failure;
use crate::output::Output;

/// What the cycles did.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub pushed: u64,
    pub pulled: u64,
    /// Files that were moved.
    pub files: Vec<Value>,
    /// What is wrong with them.
    pub differences: Vec<String>,
    cycles: Vec<Cycle>,
}

#[derive(Debug)]
struct Cycle {
    end: &'static str,
    what: String,
    outcome: &'static str,
    /// The records of each step; nothing for one that was left out.
    steps: [Option<u64>; 7],
}

impl Told {
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

    fn document(&self) -> Vec<Value> {
        let of_cycle = |cycle: &Cycle| {
            let ran = SEVEN.iter().zip(cycle.steps).filter_map(|(step, done)| done.map(|done| (step, done)));
            let steps: Map<String, Value> =
                ran.map(|(step, done)| (step.label().to_lowercase().replace(' ', "_"), Value::from(done))).collect();
            json!({ "end": cycle.end, "what": cycle.what, "outcome": cycle.outcome, "steps": steps })
        };
        self.cycles.iter().map(of_cycle).collect()
    }
}

/// Prints what happened and what came of it.
pub(super) fn told(out: &Output, told: &Told, verdict: &Verdict, cuts: u64, rounds: usize) -> Result<(), Failure> {
    let converged = verdict.differences.is_empty();
    if out.json {
        return out.document(&json!({
            "converged": converged, "records": verdict.counts, "differences": verdict.differences,
            "pushed": told.pushed, "pulled": told.pulled, "cut_connections": cuts, "rounds": rounds,
            "cycles": told.document(), "files": told.files,
        }));
    }
    out.line("What each cycle did, by step (- where a step is left out):")?;
    out.table(&told.table())?;
    out.line("")?;
    let mut rows = vec![["RECORD TYPE", "CENTRAL", "NORTH", "SOUTH", "LEGACY"].map(str::to_owned).to_vec()];
    for (table, counts) in &verdict.counts {
        let ends = NAMES.iter().copied().chain(["legacy"]);
        let cells = ends.map(|name| counts.get(name).copied().unwrap_or(0).to_string());
        rows.push(std::iter::once(table.clone()).chain(cells).collect());
    }
    out.table(&rows)?;
    for difference in &verdict.differences {
        out.line(&format!("DIFFERENT: {difference}"))?;
    }
    out.line(&match converged {
        true => format!(
            "All four ends agree: converged after {} pushed, {} pulled, {} files, {cuts} connections cut, {rounds} rounds",
            told.pushed,
            told.pulled,
            told.files.len()
        ),
        false => "The ends differ".to_owned(),
    })
}
