//! The story of the demonstration: four ends, from their first contact to their agreement.

use std::path::Path;

use oms_sync_demo::cast::{ASSETS, CENTRAL, NAMES, NORTH, ROUNDS_MAX, SOUTH, STORES};
use oms_sync_demo::judge::{Holder, Ledger, Verdict};
use oms_sync_demo::seed::{Seed, Writer, broken, bulk_asset, seeds};
use serde_json::Value;
use sync_core::record::RecordData;
use sync_core::site::{Finished, Step};
use sync_core::{Error, Result, SyncOutcome, SyncReport};
use sync_testkit::legacy_server::{LegacyRecord, Takes, add_invoices, legacy_id, rows};

use super::ends::{Ends, LEGACY, LegacyHolds, SITE_IDS};
use super::report::{Report, SEVEN};

/// Invoices of each store at the legacy server, each with a line.
const INVOICES: u32 = 150;
/// The store that moves from north to south.
pub(super) const CLINIC: &str = "CLINIC";

/// A choice of the four ends.
pub(super) fn at(ends: &[usize]) -> [bool; 4] {
    std::array::from_fn(|end| ends.contains(&end))
}

/// A document with another value under one of its keys.
pub(super) fn with_value(data: &Value, key: &str, value: &str) -> Value {
    let mut changed = data.clone();
    changed[key] = Value::from(value);
    changed
}

pub(super) fn failed(detail: &str) -> Error {
    Error::bad_input(detail)
}

/// The running demonstration.
pub(super) struct Story {
    pub ends: Ends,
    pub ledger: Ledger<4>,
    pub report: Report,
}

impl Story {
    pub(super) fn begin(folder: &Path) -> Result<Self> {
        let ends = Ends::new(folder)?;
        let [legacy, central] = ends.addresses();
        println!(
            "A stand-in for the legacy server listens on http://{legacy}, a central server that is a site of it on \
             http://{central}"
        );
        Ok(Self { ends, ledger: Ledger::default(), report: Report::default() })
    }

    /// Plays it to its end; returns the events, with the judge's verdict on all four ends.
    pub(super) fn play(mut self) -> Result<(Report, Verdict)> {
        let documents = self.documents()?;
        self.legacy_has_a_country()?;
        self.set_up(&documents)?;
        self.all_seven_steps(&documents)?;
        self.everybody_changes_something(&documents)?;
        self.a_patient_was_entered_twice(&documents)?;
        self.a_store_moves()?;
        self.lines_break()?;
        self.files_travel()?;
        let rounds = self.until_quiet()?;
        self.judge(rounds)
    }

    /// The documents of the demonstration, for north's store of this one.
    fn documents(&self) -> Result<Vec<Seed>> {
        let store = self.store(NORTH);
        seeds()?.iter().map(|seed| seed.with(STORES[NORTH], &store)).collect()
    }

    pub(super) fn store(&self, site: usize) -> String {
        self.ends.world.sites[site - 1].store_id.clone()
    }

    /// The initial content of the legacy server: the judge takes it from there.
    fn legacy_has_a_country(&mut self) -> Result<()> {
        let (legacy, world) = (&self.ends.legacy, &self.ends.world);
        legacy.add_store(&legacy_id("store", CLINIC), &legacy_id("name", CLINIC), CLINIC, SITE_IDS[NORTH]);
        let stores = [self.store(NORTH), self.store(SOUTH), legacy_id("store", CLINIC)];
        for store in &stores {
            add_invoices(legacy, store, &world.supplier, &world.items[0], INVOICES);
        }
        for (_, LegacyRecord { table, id, data, .. }) in legacy.central_log() {
            self.ledger.expect(&table, &id, &data.ok_or_else(broken)?, [true; 4]);
        }
        for LegacyRecord { table, id, data, .. } in legacy.rows() {
            self.ledger.expect(&table, &id, &data.ok_or_else(broken)?, at(&[LEGACY]));
        }
        for end in [CENTRAL, NORTH, SOUTH] {
            self.rows_reach(end)?;
        }
        Ok(())
    }

    /// The rows that the legacy server has for a site now are expected there.
    pub(super) fn rows_reach(&mut self, end: usize) -> Result<()> {
        for LegacyRecord { table, id, data, .. } in self.ends.legacy.rows_of_site(SITE_IDS[end]) {
            self.ledger.expect_only(&table, &id, &data.ok_or_else(broken)?, at(&[end]));
        }
        Ok(())
    }

    /// The central server first, then the sites; south's line breaks while it is initialised.
    fn set_up(&mut self, documents: &[Seed]) -> Result<()> {
        self.discover(CENTRAL)?;
        let report = self.sync(CENTRAL, "first cycle")?;
        if report.steps.iter().any(|step| matches!(step.name, Step::PushV6 | Step::PullV6)) {
            return Err(failed("the central server's cycle had a V6 step"));
        }
        for seed in documents.iter().filter(|seed| seed.by == Writer::Central) {
            self.write(CENTRAL, seed)?;
        }
        println!("Central is in step with the legacy server and has written what only central configures");
        self.ends.legacy.set_initialise_takes(Takes::Polls(3));
        self.discover(NORTH)?;
        self.sync(NORTH, "first cycle")?;
        self.discover(SOUTH)?;
        self.ends.legacy_line.break_after(60_000);
        let report = self.ends.sync(SOUTH)?;
        self.report.cycle(SOUTH, "first cycle, cut", &report);
        if self.ends.legacy_line.cuts() == 0 || report.outcome != SyncOutcome::Failed {
            return Err(failed("the line to the legacy server was not cut"));
        }
        self.ends.legacy_line.set_down(false);
        self.sync(SOUTH, "goes on")?;
        println!("Both sites are initialised; south's line broke in the middle of it, and it went on there");
        Ok(())
    }

    fn discover(&mut self, end: usize) -> Result<()> {
        let discovered = self.ends.set_up(end)?;
        let (role, number, url) = (discovered.role.as_str(), discovered.site_id, discovered.central_url);
        let name = NAMES[end];
        println!("{name} learns from the legacy server that it is the {role} site {number}, central at {url}");
        Ok(())
    }

    /// Both sites have written records of both servers: a cycle of all seven steps.
    fn all_seven_steps(&mut self, documents: &[Seed]) -> Result<()> {
        for seed in documents.iter().filter(|seed| seed.by == Writer::Site) {
            self.write(NORTH, seed)?;
        }
        for seed in documents.iter().filter(|seed| matches!(seed.table.as_str(), "name" | "name_store_join")) {
            self.write(SOUTH, &self.entered_again(seed, documents)?)?;
        }
        let clinic = legacy_id("store", CLINIC);
        for (site, store) in [(NORTH, self.store(NORTH)), (SOUTH, self.store(SOUTH))] {
            self.write_assets(site, &store, at(&[CENTRAL, site]))?;
            let world = &self.ends.world.sites[site - 1];
            let new = rows::transact(&format!("invoice-of-{}", NAMES[site]), &store, &self.ends.world.supplier, 900);
            let row = self.ends.legacy.row("transact", &world.transact_id).ok_or_else(broken)?;
            let edited = with_value(&row, "comment", &format!("checked at {}", NAMES[site]));
            self.write_legacy(site, "transact", &[new, edited])?;
        }
        let asset = bulk_asset("clinic", &clinic, 0)?;
        self.write(NORTH, &asset)?;
        println!(
            "Both sites have worked offline: {ASSETS} assets each, a patient, forms, invoices; they sync in seven steps"
        );
        for site in [NORTH, SOUTH] {
            let report = self.sync(site, "all seven steps")?;
            let steps: Vec<Step> = report.steps.iter().map(|step| step.name).collect();
            if steps != SEVEN {
                return Err(failed("a cycle did not have the seven steps in their order"));
            }
        }
        Ok(())
    }

    /// The same patient, entered at south too, under another id.
    fn entered_again(&self, seed: &Seed, documents: &[Seed]) -> Result<Seed> {
        let patient = patient_of(documents)?;
        let seed = seed.with(&patient, &again(&patient))?.with(&self.store(NORTH), &self.store(SOUTH))?;
        let own = seed.id.as_str().to_owned();
        Ok(if seed.table == "name" { seed } else { seed.with(&own, "join-of-south")? })
    }

    /// Runs cycles until nothing moves any more.
    fn until_quiet(&mut self) -> Result<usize> {
        for round in 1..=ROUNDS_MAX {
            let before = (self.report.pushed, self.report.pulled);
            for end in [CENTRAL, NORTH, SOUTH] {
                self.sync(end, &format!("round {round}"))?;
            }
            if before == (self.report.pushed, self.report.pulled) {
                return Ok(round);
            }
        }
        println!("The ends are not quiet");
        Ok(ROUNDS_MAX)
    }

    fn judge(mut self, rounds: usize) -> Result<(Report, Verdict)> {
        let mut verdict = self.verdict()?;
        verdict.differences.append(&mut self.report.differences);
        self.report.cuts = self.ends.line.cuts() + self.ends.legacy_line.cuts();
        self.report.rounds = rounds;
        self.ends.stop();
        Ok((self.report, verdict))
    }

    fn verdict(&self) -> Result<Verdict> {
        let records = [CENTRAL, NORTH, SOUTH].map(|end| self.ends.records(end));
        let legacy = LegacyHolds::of(&self.ends.legacy);
        let [central, north, south] = records.each_ref().map(|records| records as &dyn Holder);
        let [c, n, s] = NAMES;
        self.ledger.compare([(c, central), (n, north), (s, south), ("legacy", &legacy)])
    }

    pub(super) fn write(&mut self, end: usize, seed: &Seed) -> Result<()> {
        self.ends.records(end).put(&seed.table, [seed.data.clone()])?;
        let id = seed.id.as_str();
        let reach = match seed.table.as_str() {
            // Patients and their joins go to both servers, and from there only to ends that ask for them.
            "name" | "name_store_join" => at(&[CENTRAL, end, LEGACY]),
            "vaccination" => at(&[CENTRAL, end]),
            _ => {
                let [central, north, south] = seed.reach(end);
                [central, north, south, false]
            }
        };
        self.ledger.expect(&seed.table, id, &seed.data, reach);
        Ok(())
    }

    /// Assets in numbers, by one end for a store.
    pub(super) fn write_assets(&mut self, by: usize, store: &str, reach: [bool; 4]) -> Result<()> {
        let seeds = (0..ASSETS).map(|n| bulk_asset(NAMES[by], store, n)).collect::<Result<Vec<_>>>()?;
        self.ends.records(by).put("asset", seeds.iter().map(|seed| seed.data.clone()))?;
        for seed in &seeds {
            self.ledger.expect(&seed.table, seed.id.as_str(), &seed.data, reach);
        }
        Ok(())
    }

    /// A host writes documents of the legacy server's tables.
    fn write_legacy(&mut self, end: usize, table: &str, documents: &[Value]) -> Result<()> {
        for document in documents {
            let data = RecordData::of(document);
            let id = document["ID"].as_str().ok_or_else(broken)?;
            self.ends.records(end).put(table, [data.clone()])?;
            self.ledger.expect(table, id, &data, at(&[end, LEGACY]));
        }
        Ok(())
    }

    /// A cycle that must succeed.
    pub(super) fn sync(&mut self, end: usize, what: &str) -> Result<Finished<SyncReport>> {
        let report = self.ends.sync(end)?;
        self.report.cycle(end, what, &report);
        report.into_result()
    }
}

/// The patient of the documents.
pub(super) fn patient_of(documents: &[Seed]) -> Result<String> {
    let patient = documents.iter().find(|seed| seed.table == "name").ok_or_else(broken)?;
    Ok(patient.id.as_str().to_owned())
}

/// The id under which south enters the same patient.
pub(super) fn again(patient: &str) -> String {
    format!("{patient}-again")
}
