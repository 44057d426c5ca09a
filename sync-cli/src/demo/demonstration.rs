//! The story of the demonstration, told as it happens.

use std::path::PathBuf;

use oms_sync_demo::cast::{ASSETS, CENTRAL, NAMES, NORTH, ROUNDS_MAX, SOUTH, STORES};
use oms_sync_demo::judge::{self, Holder, Ledger};
use oms_sync_demo::seed::{self, Seed, Writer, asset_id, bulk_asset, edited, seeds};
use serde_json::json;
use sync_core::record::RecordId;
use sync_core::{Error, Records, SyncOutcome, SyncReport};

use super::ends::Ends;
use crate::failure::{CommandOutcome, Failure};
use crate::output::Output;

/// The running demonstration.
pub(super) struct Demonstration<'o> {
    pub out: &'o Output,
    pub ends: Ends,
    pub ledger: Ledger,
    pushed: u64,
    pulled: u64,
    /// Files that were moved.
    pub files: Vec<serde_json::Value>,
    /// What is wrong with them.
    pub differences: Vec<String>,
}

impl<'o> Demonstration<'o> {
    pub(super) fn new(folder: PathBuf, out: &'o Output) -> Result<Self, Failure> {
        out.hint(&format!("Databases in {}", folder.display()));
        let ends = Ends::new(&folder)?;
        out.hint(&format!("A central server listens on http://{}", ends.address()));
        let (files, differences) = (Vec::new(), Vec::new());
        Ok(Self { out, ends, ledger: Ledger::default(), pushed: 0, pulled: 0, files, differences })
    }

    pub(super) fn run(mut self) -> Result<CommandOutcome, Failure> {
        self.set_up()?;
        let documents = seeds()?;
        self.central_configures(&documents)?;
        self.sites_work(&documents)?;
        self.everybody_changes_something(&documents)?;
        self.the_line_breaks()?;
        self.files_travel()?;
        let rounds = self.until_quiet()?;
        self.judge(rounds)
    }

    /// Two sites with a store each; the legacy side's central data are the stores and their names.
    fn set_up(&mut self) -> Result<(), Failure> {
        for (table, id, data) in self.ends.add_sites()? {
            self.ledger.expect(&table, &id, &data, judge::EVERYWHERE);
        }
        for site in [NORTH, SOUTH] {
            let discovered = self.ends.set_up(site)?;
            let (role, number, url) = (discovered.role.as_str(), discovered.site_id, discovered.central_url);
            self.out.hint(&format!(
                "{} discovers that it is a {role} site with number {number}, central at {url}",
                NAMES[site]
            ));
        }
        Ok(())
    }

    fn central_configures(&mut self, documents: &[Seed]) -> Result<(), Failure> {
        for seed in documents.iter().filter(|seed| seed.by == Writer::Central) {
            self.write(CENTRAL, seed)?;
        }
        self.out.hint("Central has written what only central configures; both sites sync for the first time");
        self.sync(NORTH)?;
        self.sync(SOUTH)?;
        let class = documents.iter().find(|seed| seed.table == "asset_class").ok_or_else(seed::broken)?;
        match self.ends.records(NORTH).put(&class.table, [class.data.clone()]) {
            Err(error @ Error::NotAllowed { .. }) => {
                self.out.hint(&format!("north may not write that itself: {error}"))
            }
            _ => return Err(Error::bad_input("a site wrote what only central may").into()),
        }
        Ok(())
    }

    fn sites_work(&mut self, documents: &[Seed]) -> Result<(), Failure> {
        for seed in documents.iter().filter(|seed| seed.by == Writer::Site && seed.table != "vaccination") {
            self.write(NORTH, seed)?;
        }
        self.write(NORTH, &seed::second_location(documents)?)?;
        // The patient is seen at both sites, so that vaccinations are shared.
        for seed in documents.iter().filter(|seed| matches!(seed.table.as_str(), "name" | "name_store_join")) {
            self.write(SOUTH, &seed.at_south()?)?;
        }
        for site in [NORTH, SOUTH] {
            self.write_assets(site, site)?;
        }
        self.out
            .hint(&format!("Both sites have worked offline: {ASSETS} assets each, logs, forms, a patient; they sync"));
        self.sync(NORTH)?;
        self.sync(SOUTH)
    }

    fn everybody_changes_something(&mut self, documents: &[Seed]) -> Result<(), Failure> {
        for seed in documents.iter().filter(|seed| seed.table == "vaccination") {
            self.write(NORTH, seed)?;
        }
        for seed in documents {
            let change = match (seed.table.as_str(), seed.by) {
                ("asset_class" | "demographic" | "campaign", Writer::Central) => Some((CENTRAL, "name")),
                ("vaccine_course", _) => Some((CENTRAL, "name")),
                ("asset", _) => Some((CENTRAL, "notes")),
                ("name_oms_fields", _) => Some((SOUTH, "properties")),
                ("rnr_form", _) => Some((NORTH, "comment")),
                _ => None,
            };
            if let Some((end, key)) = change {
                self.write(end, &edited(seed, key)?)?;
            }
        }
        let gone = RecordId::new(asset_id("south", 0));
        self.ends.records(SOUTH).delete("asset", &gone)?;
        let marked = self.ends.records(SOUTH).get("asset", &gone)?.ok_or_else(seed::broken)?;
        self.ledger.expect("asset", gone.as_str(), &marked, judge::at(&[CENTRAL, SOUTH]));
        let gone = seed::second_location(documents)?;
        self.ends.records(NORTH).delete(&gone.table, &gone.id)?;
        self.ledger.expect_gone(&gone.table, gone.id.as_str());
        self.out.hint("Central and both sites have changed records, and deleted some");
        Ok(())
    }

    /// South's line breaks in the middle of an answer, then is gone altogether, then is back.
    fn the_line_breaks(&mut self) -> Result<(), Failure> {
        self.write_assets(CENTRAL, SOUTH)?;
        self.ends.line.cut_next_answer_after(4000);
        let report = self.ends.sync(SOUTH)?;
        let cuts = self.ends.line.cuts();
        self.count(&report);
        if cuts == 0 {
            return Err(Error::bad_input("the line was not cut").into());
        }
        self.out.hint(&format!(
            "South's line broke in the middle of an answer; the cycle ended {}",
            report.outcome.as_str()
        ));
        self.ends.line.set_down(true);
        let seed = bulk_asset("south", STORES[SOUTH], ASSETS)?;
        self.write(SOUTH, &seed)?;
        let report = self.ends.sync(SOUTH)?;
        self.ends.line.set_down(false);
        let said = report.error.as_ref().map_or_else(String::new, ToString::to_string);
        if report.outcome != SyncOutcome::Failed {
            return Err(Error::bad_input("a cycle without a line did not fail").into());
        }
        self.out.hint(&format!("South has no line and works on offline: {said}"));
        Ok(())
    }

    /// Cycles until nobody has anything to say.
    fn until_quiet(&mut self) -> Result<usize, Failure> {
        for round in 1..=ROUNDS_MAX {
            let before = (self.pushed, self.pulled);
            self.sync(NORTH)?;
            self.sync(SOUTH)?;
            if before == (self.pushed, self.pulled) {
                self.out.hint(&format!("Quiet after {round} rounds"));
                return Ok(round);
            }
        }
        self.out.hint("The ends are not quiet");
        Ok(ROUNDS_MAX)
    }

    fn judge(self, rounds: usize) -> Result<CommandOutcome, Failure> {
        let records: [Records; 3] = std::array::from_fn(|end| self.ends.records(end));
        let mut verdict = self.ledger.compare(std::array::from_fn(|end| (NAMES[end], &records[end] as &dyn Holder)))?;
        verdict.differences.extend(self.differences);
        let converged = verdict.differences.is_empty();
        let cuts = self.ends.line.cuts();
        if self.out.json {
            self.out.document(&json!({
                "converged": converged, "records_by_table": verdict.counts, "differences": verdict.differences,
                "pushed": self.pushed, "pulled": self.pulled, "cut_connections": cuts, "rounds": rounds,
                "file_checks": self.files,
            }))?;
        } else {
            let mut rows = vec![["RECORD TYPE", "CENTRAL", "NORTH", "SOUTH"].map(str::to_owned).to_vec()];
            for (table, counts) in &verdict.counts {
                let cells = NAMES.iter().map(|name| counts.get(name).copied().unwrap_or(0).to_string());
                rows.push(std::iter::once(table.clone()).chain(cells).collect());
            }
            self.out.table(&rows)?;
            for difference in &verdict.differences {
                self.out.line(&format!("DIFFERENT: {difference}"))?;
            }
            self.out.line(&match converged {
                true => format!(
                    "All ends agree: {} pushed, {} pulled, {} files, {cuts} connections cut, {rounds} rounds",
                    self.pushed,
                    self.pulled,
                    self.files.len()
                ),
                false => "The ends differ".to_owned(),
            })?;
        }
        self.ends.stop();
        Ok(if converged { CommandOutcome::Done } else { CommandOutcome::LeftBehind })
    }

    fn write(&mut self, end: usize, seed: &Seed) -> Result<(), Failure> {
        self.ends.records(end).put(&seed.table, [seed.data.clone()])?;
        self.ledger.expect(&seed.table, seed.id.as_str(), &seed.data, seed.reach(end));
        Ok(())
    }

    /// Assets in numbers, by one end for the store of a site.
    fn write_assets(&mut self, by: usize, site: usize) -> Result<(), Failure> {
        let make = |n| bulk_asset(NAMES[by], STORES[site], n);
        let seeds = (0..ASSETS).map(make).collect::<Result<Vec<_>, _>>()?;
        self.ends.records(by).put("asset", seeds.iter().map(|seed| seed.data.clone()))?;
        for seed in &seeds {
            self.ledger.expect(&seed.table, seed.id.as_str(), &seed.data, seed.reach(by));
        }
        Ok(())
    }

    /// A cycle that must go well.
    pub(super) fn sync(&mut self, site: usize) -> Result<(), Failure> {
        let report = self.ends.sync(site)?;
        self.count(&report);
        match report.error {
            Some(error) => Err(error.into()),
            None => Ok(()),
        }
    }

    fn count(&mut self, report: &SyncReport) {
        self.pushed += report.pushed;
        self.pulled += report.pulled;
    }
}
