//! Compares a table of two databases row by row, in the order of its key, without holding more than a few rows.

use std::cmp::Ordering;
use std::iter::Peekable;
use std::sync::mpsc::{IntoIter, sync_channel};

use sha2::{Digest as _, Sha256};

use super::stopped;
use crate::error::Result;
use crate::protocol::hex;
use crate::storage::copied::End;
use crate::storage::copied::tables::{CopiedTable, Row, Value};

/// The most rows that one database is ahead of the other.
const AHEAD: usize = 256;

/// What a comparison found.
pub(super) struct ComparedTable {
    /// The rows of the copy.
    pub rows: u64,
    /// A digest of these rows, in the order of the key.
    pub sha256: String,
    /// The rows that only one of the two has, or that differ.
    pub differences: u64,
    /// The key of the first of them.
    pub first: Option<String>,
}

/// Compares a table. `watch` is called with the number of rows now and then, and may stop it.
pub(super) fn compare(
    from: &mut dyn End,
    to: &mut dyn End,
    table: &'static CopiedTable,
    watch: &mut dyn FnMut(u64) -> Result<()>,
) -> Result<ComparedTable> {
    let (sender, receiver) = sync_channel(AHEAD);
    std::thread::scope(|threads| {
        let original = threads.spawn(move || {
            // The receiver is gone if the comparison stopped early, whose error counts then.
            from.each_row(table, None, &mut |row| sender.send(row).map_err(|_| stopped()))
        });
        let original_rows = receiver.into_iter().peekable();
        let mut beside =
            RowsBeside { original: original_rows, table, digest: Sha256::new(), found: Differences::default() };
        let read = to.each_row(table, None, &mut |row| {
            beside.copied(&row);
            if beside.found.rows.is_multiple_of(1000) { watch(beside.found.rows) } else { Ok(()) }
        });
        // Without a receiver the other thread ends.
        let compared = match read {
            Ok(()) => Ok(beside.end()),
            Err(error) => {
                drop(beside);
                Err(error)
            }
        };
        let original = original.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        let compared = compared?;
        original?;
        Ok(compared)
    })
}

#[derive(Default)]
struct Differences {
    rows: u64,
    differences: u64,
    first: Option<String>,
}

/// The rows of the original, beside which those of the copy are laid.
struct RowsBeside {
    original: Peekable<IntoIter<Row>>,
    table: &'static CopiedTable,
    digest: Sha256,
    found: Differences,
}

impl RowsBeside {
    /// Lays the next row of the copy beside those of the original.
    fn copied(&mut self, row: &Row) {
        self.found.rows += 1;
        add_to(&mut self.digest, row);
        let key = self.table.key;
        while let Some(original) = self.original.peek() {
            match original[..key].cmp(&row[..key]) {
                Ordering::Less => {
                    let missing = shown(&original[..key]);
                    self.differs(missing);
                    self.original.next();
                }
                Ordering::Equal => {
                    if original != row {
                        self.differs(shown(&row[..key]));
                    }
                    self.original.next();
                    return;
                }
                Ordering::Greater => break,
            }
        }
        self.differs(shown(&row[..key]));
    }

    fn differs(&mut self, key: String) {
        self.found.differences += 1;
        self.found.first.get_or_insert(key);
    }

    fn end(mut self) -> ComparedTable {
        while let Some(original) = self.original.next() {
            self.differs(shown(&original[..self.table.key]));
        }
        let Differences { rows, differences, first } = self.found;
        ComparedTable { rows, sha256: hex(&self.digest.finalize()), differences, first }
    }
}

fn shown(key: &[Value]) -> String {
    key.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

/// Adds a row to a digest, so that no two rows give the same bytes.
fn add_to(digest: &mut Sha256, row: &[Value]) {
    for value in row {
        match value {
            Value::None => digest.update([0]),
            Value::Number(number) => {
                digest.update([1]);
                digest.update(number.to_be_bytes());
            }
            Value::Text(text) => {
                digest.update([2]);
                digest.update((text.len() as u64).to_be_bytes());
                digest.update(text);
            }
        }
    }
}
