//! Files of the demonstration: attached at one end, compared by hash at the other.

use serde_json::{Value, json};
use sync_core::files::{Attach, FileFault, Files};
use sync_core::record::{RecordData, RecordId};
use sync_core::{Records, Result};

use crate::seed::{asset_id, broken};

/// The length of each file.
const BYTES: u64 = 1_500_000;
/// The line breaks after so many bytes of it.
pub const CUT_AFTER: i64 = 700_000;

/// Attaches a file to an asset of an end; returns its id and the reference.
///
/// # Errors
/// The end cannot write it.
pub fn attached(files: &Files, records: &Records, by: &str) -> Result<(RecordId, RecordData)> {
    let record_id = asset_id(by, 1);
    let attach = Attach::new("asset", &record_id, "fridge door.jpg");
    let mut bytes = Noise { seed: by.bytes().map(u64::from).sum(), left: BYTES };
    let id = files.attach_bytes(&attach, &mut bytes)?;
    let reference = records.get("sync_file_reference", &id)?.ok_or_else(broken)?;
    Ok((id, reference))
}

/// Checks that both ends have the file as it was attached; returns what was moved.
///
/// # Errors
/// An end cannot be read.
pub fn compared(id: &RecordId, ends: [(&str, Files); 2], differences: &mut Vec<String>) -> Result<Value> {
    let mut hashes = Vec::new();
    for (name, files) in &ends {
        let verified = files.verify(|| Ok(()))?;
        let wrong = |finding: &FileFault| !matches!(finding, FileFault::Surplus { .. });
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

/// The files of an end of the demonstration, with immediate retries.
pub fn impatient(files: Files) -> Files {
    let mut config = sync_core::files::FilesConfig::default();
    config.retry_wait = std::time::Duration::ZERO;
    files.with_config(config)
}
