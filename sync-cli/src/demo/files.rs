//! Files in the demonstration: one from a site to central, one from central to a site whose line breaks in the middle,
//! compared by hash at the other end.

use serde_json::{Value, json};
use sync_core::files::{Attach, Files, Finding};
use sync_core::record::{RecordData, RecordId};
use sync_core::{Error, Records};

use super::ends::{CENTRAL, NAMES, NORTH, SOUTH};
use super::seed::{asset_id, broken};
use super::{Demonstration, ROUNDS_MAX, judge};
use crate::failure::Failure;

/// The length of each file.
const BYTES: u64 = 1_500_000;
/// After how many bytes of it the line breaks.
pub(super) const CUT_AFTER: i64 = 700_000;

impl Demonstration<'_> {
    /// Gives the files that were moved: which, and between which ends.
    pub(super) fn files_travel(&mut self) -> Result<(), Failure> {
        let sent = self.attach(NORTH)?;
        let fetched = self.attach(CENTRAL)?;
        for site in [NORTH, SOUTH] {
            self.sync(site)?;
        }
        self.ends.sync_files(NORTH)?;
        self.ends.line.cut_next_answer_after(CUT_AFTER);
        let report = self.ends.sync_files(SOUTH)?;
        if report.downloaded > 0 {
            return Err(Error::bad_input("the line was not cut").into());
        }
        let first = report.bytes_received;
        let mut rounds = 0;
        while self.ends.files(SOUTH).path(&fetched)?.is_none() && rounds < ROUNDS_MAX {
            self.ends.sync_files(SOUTH)?;
            rounds += 1;
        }
        self.out.hint(&format!(
            "North sent a photo to central; central's came to south in two parts, {first} bytes before the line broke"
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

/// Attaches a file to an asset that an end made; gives its id and the reference.
pub(super) fn attached(files: &Files, records: &Records, by: &str) -> Result<(RecordId, RecordData), Failure> {
    let record_id = asset_id(by, 1);
    let attach = Attach { table: "asset", record_id: &record_id, file_name: "fridge door.jpg", mime_type: None };
    let mut bytes = Noise { seed: by.bytes().map(u64::from).sum(), left: BYTES };
    let id = files.attach_bytes(&attach, &mut bytes)?;
    let reference = records.get(&"sync_file_reference".into(), &id)?.ok_or_else(broken)?;
    Ok((id, reference))
}

/// Both ends have the file, and at both it is what was attached; gives what was moved.
pub(super) fn compared(
    id: &RecordId,
    ends: [(&str, Files); 2],
    differences: &mut Vec<String>,
) -> Result<Value, Failure> {
    let mut hashes = Vec::new();
    for (name, files) in &ends {
        let verified = files.verify(|| Ok(()))?;
        let wrong = |finding: &Finding| !matches!(finding, Finding::Surplus { .. });
        let info = files.list(None, usize::MAX)?.into_iter().find(|info| info.entry.id == *id);
        match info {
            Some(info) if info.path.is_some() && !verified.findings.iter().any(wrong) => {
                hashes.push(info.entry.sha256);
            }
            _ => differences.push(format!("file {id} at {name} is not whole")),
        }
    }
    if let [one, other] = hashes.as_slice()
        && (one.is_none() || one != other)
    {
        differences.push(format!("file {id} is not the same at both ends"));
    }
    let [(from, _), (to, _)] = ends;
    Ok(json!({ "id": id, "from": from, "to": to, "sha256": hashes.first() }))
}

/// Bytes that nothing compresses.
struct Noise {
    seed: u64,
    left: u64,
}

impl std::io::Read for Noise {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let length = into.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        for byte in &mut into[..length] {
            self.seed = self.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            *byte = (self.seed >> 56) as u8;
        }
        self.left -= length as u64;
        Ok(length)
    }
}

/// The files of an end of the demonstration, which tries again at once.
pub(super) fn impatient(files: Files) -> Files {
    let mut config = sync_core::files::FilesConfig::default();
    config.retry_wait = std::time::Duration::ZERO;
    files.with_config(config)
}
