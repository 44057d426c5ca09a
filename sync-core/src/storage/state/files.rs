//! How far the files of a database are.

use super::Setting;
use crate::clock::Timestamp;
use crate::record::Cursor;

/// Up to which cursor references to files were taken note of.
pub const FILES_CURSOR: Setting<Cursor> = Setting::new("files_cursor");
/// When the folder of files was last swept.
pub const FILES_SWEPT_AT: Setting<Timestamp> = Setting::lenient("files_swept_at");
/// Whether central went back, until each file that it had is asked for again.
pub const FILES_ASK_AGAIN: Setting<bool> = Setting::new("files_ask_again");
