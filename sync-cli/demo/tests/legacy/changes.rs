//! The changes after both sites are initialised: edits at all ends, a merge, a store that moves, broken lines, files.

use oms_sync_demo::cast::{ASSETS, CENTRAL, NAMES, NORTH, ROUNDS_MAX, SOUTH};
use oms_sync_demo::files::{CUT_AFTER, attached, compared};
use oms_sync_demo::seed::{Seed, broken, bulk_asset, edited};
use sync_core::record::{RecordData, RecordId};
use sync_core::{Error, Result, SyncOutcome};
use sync_testkit::legacy_server::{MergeBy, legacy_id, rows};

use super::ends::{LEGACY, SITE_IDS};
use super::story::{CLINIC, Story, again, at, failed, patient_of, with_value};

impl Story {
    pub(super) fn everybody_changes_something(&mut self, documents: &[Seed]) -> Result<()> {
        for seed in documents {
            let change = match seed.table.as_str() {
                "asset_class" | "demographic" | "campaign" | "vaccine_course" => Some((CENTRAL, "name")),
                "asset" => Some((CENTRAL, "notes")),
                "name_oms_fields" => Some((SOUTH, "properties")),
                "rnr_form" => Some((NORTH, "comment")),
                _ => None,
            };
            if let Some((end, key)) = change {
                self.write(end, &edited(seed, key)?)?;
            }
        }
        let gone = RecordData::of(&rows::transact("never-sent", &self.store(NORTH), &self.ends.world.supplier, 901));
        self.ends.records(NORTH).put("transact", [gone])?;
        for gone in ["never-sent", "invoice-of-north"] {
            self.ends.records(NORTH).delete("transact", gone)?;
            self.ledger.expect_gone("transact", gone);
        }
        let (legacy, world) = (&self.ends.legacy, &self.ends.world);
        let item = with_value(&legacy.central("item", &world.items[1]).ok_or_else(broken)?, "item_name", "Paracetamol");
        legacy.put_central("item", &world.items[1], item.clone());
        let invoice = rows::transact("invoice-of-legacy", &self.store(SOUTH), &world.supplier, 902);
        legacy.put_row("transact", "invoice-of-legacy", invoice.clone());
        self.ledger.expect("item", &world.items[1], &RecordData::of(&item), [true; 4]);
        self.ledger.expect("transact", "invoice-of-legacy", &RecordData::of(&invoice), at(&[SOUTH, LEGACY]));
        println!("Central, both sites and the legacy server have changed records, and deleted some");
        self.sync(NORTH, "edits at all ends")?;
        self.sync(SOUTH, "edits at all ends")?;
        Ok(())
    }

    /// The legacy server's operator merges the patient that both sites entered, and saves the one that is kept.
    pub(super) fn a_patient_was_entered_twice(&mut self, documents: &[Seed]) -> Result<()> {
        let delete = patient_of(documents)?;
        let keep = again(&delete);
        let legacy = &self.ends.legacy;
        legacy.merge(MergeBy::CentralLog, "name", &keep, &delete);
        let saved = with_value(&legacy.row("name", &keep).ok_or_else(broken)?, "comment", "was entered twice");
        legacy.put_row("name", &keep, saved.clone());
        self.ledger.expect_gone("name", &delete);
        for data in self.ledger.all_mut().filter(|data| data.as_str().contains(&format!("\"{delete}\""))) {
            *data = RecordData::parse(data.as_str().replace(&format!("\"{delete}\""), &format!("\"{keep}\"")))
                .map_err(|_| broken())?;
        }
        // The legacy server sends patients to the sites that see them only.
        self.ledger.expect_only("name", &keep, &RecordData::of(&saved), at(&[NORTH, SOUTH, LEGACY]));
        // South sees the patient, so it gets what north has of the same one.
        let vaccination = documents.iter().find(|seed| seed.table == "vaccination").ok_or_else(broken)?;
        let vaccination = vaccination.with(&delete, &keep)?;
        self.ledger.expect("vaccination", vaccination.id.as_str(), &vaccination.data, at(&[CENTRAL, NORTH, SOUTH]));
        for end in [CENTRAL, NORTH, SOUTH] {
            self.sync(end, "a merge")?;
        }
        let edited = RecordData::of(&with_value(&saved, "comment", "was entered twice; moved to the village"));
        self.ends.records(SOUTH).put("name", [edited.clone()])?;
        self.ledger.expect("name", &keep, &edited, [true; 4]);
        self.sync(SOUTH, "edits the patient")?;
        println!("Two records were one patient: the legacy server merged them, and everybody points to the one kept");
        Ok(())
    }

    /// A store of north's moves to south, with its legacy rows and its V6 records; south goes on with it.
    pub(super) fn a_store_moves(&mut self) -> Result<()> {
        let store = legacy_id("store", CLINIC);
        self.ends.legacy.move_store(&store, SITE_IDS[SOUTH]);
        self.ends.legacy.queue_store(&store);
        let moved = RecordData::of(&self.ends.legacy.central("store", &store).ok_or_else(broken)?);
        self.ledger.expect("store", &store, &moved, [true; 4]);
        self.rows_reach(SOUTH)?;
        let asset = bulk_asset("clinic", &store, 0)?;
        self.ledger.expect(&asset.table, asset.id.as_str(), &asset.data, at(&[SOUTH]));
        // Central first: it decides who may read and write the store's records.
        for end in [CENTRAL, NORTH, SOUTH] {
            let report = self.sync(end, "a store moves")?;
            report.warnings.iter().for_each(|warning| println!("{} says: {warning}", NAMES[end]));
        }
        let refused = self.ends.records(NORTH).put("asset", [asset.data.clone()]);
        if !matches!(refused, Err(Error::NotAllowed { .. })) {
            return Err(failed("north wrote to a store that has moved away"));
        }
        let edited = edited(&asset, "notes")?;
        self.ends.records(SOUTH).put("asset", [edited.data.clone()])?;
        self.ledger.expect_only("asset", edited.id.as_str(), &edited.data, at(&[CENTRAL, SOUTH]));
        let invoice = legacy_id("transact", &format!("{store} 0"));
        let row =
            with_value(&self.ends.legacy.row("transact", &invoice).ok_or_else(broken)?, "comment", "at south now");
        let row = RecordData::of(&row);
        self.ends.records(SOUTH).put("transact", [row.clone()])?;
        self.ledger.expect_only("transact", &invoice, &row, at(&[SOUTH, LEGACY]));
        self.sync(SOUTH, "goes on with it")?;
        Ok(())
    }

    /// South's line to central breaks in the middle of an answer, then both lines are down, then they are up again.
    pub(super) fn lines_break(&mut self) -> Result<()> {
        let store = self.store(SOUTH);
        self.write_assets(CENTRAL, &store, at(&[CENTRAL, SOUTH]))?;
        self.ends.line.cut_next_answer_after(4000);
        let report = self.ends.sync(SOUTH)?;
        self.report.cycle(SOUTH, "line to central cut", &report);
        if self.ends.line.cuts() == 0 {
            return Err(failed("the line to central was not cut"));
        }
        self.set_down(true);
        self.write(SOUTH, &bulk_asset("south", &store, ASSETS)?)?;
        let report = self.ends.sync(SOUTH)?;
        self.report.cycle(SOUTH, "no line", &report);
        self.set_down(false);
        if report.outcome != SyncOutcome::Failed {
            return Err(failed("a cycle without a line did not fail"));
        }
        let said = report.error.as_ref().map_or_else(String::new, ToString::to_string);
        println!("South's line to central broke, then it had none and worked on offline: {said}");
        Ok(())
    }

    fn set_down(&self, down: bool) {
        self.ends.line.set_down(down);
        self.ends.legacy_line.set_down(down);
    }

    /// A photo from north to central, and one from central to south, whose line breaks in the middle of it.
    pub(super) fn files_travel(&mut self) -> Result<()> {
        let [sent, fetched] = [self.attach(NORTH)?, self.attach(CENTRAL)?];
        for site in [NORTH, SOUTH] {
            self.sync(site, "references of files")?;
        }
        self.ends.sync_files(NORTH)?.into_result()?;
        let cuts = self.ends.line.cuts();
        self.ends.line.cut_next_answer_after(CUT_AFTER);
        self.ends.sync_files(SOUTH)?.into_result()?;
        if self.ends.line.cuts() == cuts {
            return Err(failed("the line was not cut"));
        }
        for _ in 0..ROUNDS_MAX {
            if self.ends.files(SOUTH).path(&fetched)?.is_some() {
                break;
            }
            self.ends.sync_files(SOUTH)?.into_result()?;
        }
        for (id, ends) in [(sent, [NORTH, CENTRAL]), (fetched, [CENTRAL, SOUTH])] {
            let ends = ends.map(|end| (NAMES[end], self.ends.files(end)));
            let moved = compared(&id, ends, &mut self.report.differences)?;
            self.report.files.push(moved);
        }
        println!(
            "North sent a photo to central; central's came to south over a line that broke after {CUT_AFTER} bytes of it"
        );
        Ok(())
    }

    fn attach(&mut self, by: usize) -> Result<RecordId> {
        let (id, reference) = attached(&self.ends.files(by), &self.ends.records(by), NAMES[by])?;
        self.ledger.expect("sync_file_reference", id.as_str(), &reference, at(&[CENTRAL, NORTH, SOUTH]));
        Ok(id)
    }
}
