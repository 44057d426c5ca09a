//! A host that hears what changes in its database, and goes on where it was after a restart.
//!
//! `cargo run -p sync-core --example watch -- clinic.sqlite clinic.position`

use std::time::Duration;

use sync_core::Replica;
use sync_core::record::Cursor;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [database, position] = arguments.as_slice() else {
        return Err("usage: watch DATABASE FILE_OF_THE_POSITION".into());
    };
    loop {
        for line in changes(database, position, Duration::from_secs(60))? {
            println!("{line}");
        }
    }
}

/// Waits for changes, and says what they are. The position is stored once they are dealt with.
pub(crate) fn changes(
    database: &str,
    position: &str,
    most: Duration,
) -> Result<Vec<String>, Box<dyn std::error::Error>> {
    let replica = Replica::open(database)?;
    let stored = std::fs::read_to_string(position).ok().and_then(|text| text.trim().parse().ok());
    let mut watch = replica.watch_from(Cursor(stored.unwrap_or(0))).only(["asset", "asset_class"]);
    let mut lines = Vec::new();
    if let Some(batch) = watch.wait(most)? {
        if batch.restored {
            lines.push("a backup was restored: everything has to be read again".to_owned());
        }
        let line = |record: sync_core::watch::ChangedRecord| {
            format!("{} {}: {:?} by {:?}", record.table, record.id, record.action, record.by)
        };
        lines.extend(batch.records.into_iter().map(line));
    }
    std::fs::write(position, watch.position().to_string())?;
    Ok(lines)
}
