//! The settings by which copied databases of one site are told apart: each knows its own last push.

use super::Setting;
use crate::clock::Timestamp;
use crate::record::Cursor;

/// The id of the last push that central accepted, see [`PushChain`](crate::protocol::v6::PushChain); empty before the
/// first.
pub const PUSH_TAKEN: Setting<String> = Setting::new("push_taken");
/// The id of this database since it was set up. An older version stored the id of its first push, and nothing before
/// central had accepted that.
pub const PUSH_FIRST: Setting<String> = Setting::lenient("push_first");
/// The number that central gave to that push; see [`CopyReport`](crate::protocol::v6::CopyReport). Missing with an
/// older version, and with a central server that gives none.
pub const PUSH_TAKEN_NUMBER: Setting<Option<u64>> = Setting::lenient("push_taken_number");
/// Where the newest loss of central ends that was handled after that push; 0 if there was none since.
pub const LOSS_HANDLED_SINCE_PUSH: Setting<Cursor> = Setting::lenient("loss_handled_since_push");
/// The newest restore of this database that an accepted push has reported to central, or that was before its set-up.
pub const PUSH_TAKEN_AFTER: Setting<Cursor> = Setting::lenient("push_taken_after");
/// The id of the push that is on its way; empty if none is.
pub const PUSH_UNDER_WAY: Setting<String> = Setting::new("push_under_way");
/// The newest restore of this database when that id was chosen. Missing with an older version.
pub const PUSH_CHOSEN_AFTER: Setting<Cursor> = Setting::lenient("push_chosen_after");
/// Since when another copy of this database continues as its site, as reported by central; missing once this one was
/// set up again.
pub const COPY_GOES_ON: Setting<Option<String>> = Setting::new("copy_goes_on");
/// When central last refused another copy of this database.
pub const COPY_REFUSED_AT: Setting<Option<Timestamp>> = Setting::lenient("copy_refused_at");
/// Set if this file was moved or copied here with its watermark, until central reports no other copy.
pub const FILE_CAME_HERE: Setting<Option<String>> = Setting::new("file_came_here");
