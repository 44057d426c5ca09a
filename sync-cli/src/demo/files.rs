//! Files in the demonstration: one from a site to central, one from central to a site whose line breaks in the middle,
//! compared by hash at the other end.

use oms_sync_demo::cast::{CENTRAL, NAMES, NORTH, ROUNDS_MAX, SOUTH};
use oms_sync_demo::files::{CUT_AFTER, attached, compared};
use oms_sync_demo::judge;
use sync_core::Error;
use sync_core::record::RecordId;

use super::demonstration::Demonstration;
use crate::failure::Failure;

impl Demonstration<'_> {
    /// Gives the files that were moved: which, and between which ends.
    pub(super) fn files_travel(&mut self) -> Result<(), Failure> {
        let sent = self.attach(NORTH)?;
        let fetched = self.attach(CENTRAL)?;
        for site in [NORTH, SOUTH] {
            self.sync(site)?;
        }
        self.ends.sync_files(NORTH)?.into_result()?;
        let cuts = self.ends.line.cuts();
        self.ends.line.cut_next_answer_after(CUT_AFTER);
        self.ends.sync_files(SOUTH)?.into_result()?;
        if self.ends.line.cuts() == cuts {
            return Err(Error::bad_input("the line was not cut").into());
        }
        let mut rounds = 0;
        while self.ends.files(SOUTH).path(&fetched)?.is_none() && rounds < ROUNDS_MAX {
            self.ends.sync_files(SOUTH)?.into_result()?;
            rounds += 1;
        }
        self.out.hint(&format!(
            "North sent a photo to central; central's came to south over a line that broke after {CUT_AFTER} bytes of it"
        ));
        for (id, ends) in [(sent, [NORTH, CENTRAL]), (fetched, [CENTRAL, SOUTH])] {
            self.compare(&id, ends)?;
        }
        Ok(())
    }

    /// An end attaches a file to an asset that it wrote.
    fn attach(&mut self, by: usize) -> Result<RecordId, Failure> {
        let (id, reference) = attached(&self.ends.files(by), &self.ends.records(by), NAMES[by])?;
        self.ledger.expect("sync_file_reference", id.as_str(), &reference, judge::EVERYWHERE);
        Ok(id)
    }

    fn compare(&mut self, id: &RecordId, ends: [usize; 2]) -> Result<(), Failure> {
        let moved = compared(id, ends.map(|end| (NAMES[end], self.ends.files(end))), &mut self.differences)?;
        self.files.push(moved);
        Ok(())
    }
}
