//! The progress of files.

use super::{JsonList, Setting};
use crate::clock::Timestamp;
use crate::record::{Cursor, RecordId};

/// The cursor up to which references to files were read.
pub const FILES_CURSOR: Setting<Cursor> = Setting::new("files_cursor");
/// The time of the last sweep of the folder of files.
pub const FILES_SWEPT_AT: Setting<Timestamp> = Setting::lenient("files_swept_at");
/// Set when central went back, until each file that it had is checked again.
pub const FILES_ASK_AGAIN: Setting<bool> = Setting::new("files_ask_again");
/// On a central server: the files that it had, and whose bytes were found to be missing or damaged.
pub(crate) const FILES_LOST: Setting<JsonList<RecordId>> = Setting::lenient("files_lost");
