//! Names of settings and cursors, each a row of text.

/// The legacy server's address.
pub const LEGACY_URL: &str = "legacy_url";
/// The site's name on the legacy server.
pub const SITE_NAME: &str = "site_name";
/// The hash of the site's password; never shown.
pub const PASSWORD_HASH: &str = "password_sha256";
/// The id of this machine; never shown.
pub const HARDWARE_ID: &str = "hardware_id";
/// Whose id that is: `machine` if it is this machine's own, which is asked for anew each time, so that a copy of the database on
/// another machine has another one; `given` if somebody chose it. Absent where a version before made one by chance.
pub const HARDWARE_ID_FROM: &str = "hardware_id_from";
/// Where somebody chose that id, a digest of the machine's own: on another machine the chosen id does not count. Empty where the
/// machine had none, or where a version before kept the id.
pub const HARDWARE_ID_BOUND: &str = "hardware_id_bound";
/// The site's own UUID; never changes once set.
pub const SITE_UUID: &str = "site_uuid";
/// The site's number.
pub const SITE_ID: &str = "site_id";
/// `central` or `remote`.
pub const ROLE: &str = "role";
/// The address of the Open mSupply central server.
pub const CENTRAL_URL: &str = "central_url";
/// The number of the legacy server's own site.
pub const LEGACY_SITE_ID: &str = "legacy_site_id";
/// When the legacy server last said who this site is.
pub const DISCOVERED_AT: &str = "discovered_at";
/// When the first cycle completed.
pub const INITIALISED_AT: &str = "initialised_at";
/// The next position to read of central's changelog.
pub const PULL_CURSOR_V6: &str = "pull_cursor_v6";
/// The next position to push of our own changelog.
pub const PUSH_CURSOR_V6: &str = "push_cursor_v6";
/// Where the push cursor was when central last confirmed that it integrated what was pushed; counts only while
/// [`PUSH_UNCONFIRMED`] is `1`.
pub const PUSH_CONFIRMED_V6: &str = "push_confirmed_v6";
/// `1` while central has not confirmed that it integrated what was pushed last.
pub const PUSH_UNCONFIRMED: &str = "push_unconfirmed";
/// The next position to push of our own changelog to the legacy server.
pub const PUSH_CURSOR_LEGACY: &str = "push_cursor_legacy";
/// Where that cursor was when the legacy server last confirmed that it integrated what was pushed; counts only while
/// [`PUSH_UNCONFIRMED_LEGACY`] is `1`.
pub const PUSH_CONFIRMED_LEGACY: &str = "push_confirmed_legacy";
/// `1` while the legacy server has not confirmed that it integrated what was pushed last.
pub const PUSH_UNCONFIRMED_LEGACY: &str = "push_unconfirmed_legacy";
/// How far the legacy server is with filling this site's queue: `wanted`, `under` or `done`, and since which restore.
pub const QUEUE_PREPARED: &str = "queue_prepared";
/// Digests of the records of the last batch of the legacy server's queue, a line each: what they are acknowledged by and what
/// they say. They are here; where the acknowledgement was lost, they come again, or newer versions of them.
pub const QUEUE_TAKEN: &str = "queue_taken";
/// Up to which cursor a restored site has read again what the legacy server has of it.
pub const RECOVERED_LEGACY: &str = "recovered_legacy";
/// The last position read of the legacy server's central data; exclusive, as V5 has it.
pub const PULL_CURSOR_CENTRAL: &str = "pull_cursor_central";
/// The highest position that the legacy server said it had.
pub const LEGACY_POSITION_SEEN: &str = "legacy_position_seen";
/// The parts of the changelog that were lost when this storage was restored from a backup; see
/// [`Lost`](super::ChangelogGap).
pub const LOST: &str = "lost";
/// `1` while what came from this site is to be sent back to it, because it reads everything again.
pub const PULL_OWN: &str = "pull_own";
/// The version of this library that used the database last.
pub const LIBRARY_VERSION: &str = "library_version";
/// Up to which cursor a restored site has dealt with what it lost.
pub const RECOVERED: &str = "recovered";
/// Of the newest restore of a site: how far it had seen central's changelog at the time of the backup, and from which
/// cursor on its own edits were made since.
pub const RECOVERING_FROM: &str = "recovering_from";
/// Up to which cursor a site has dealt with what central says that it lost.
pub const CENTRAL_LOST_KNOWN: &str = "central_lost_known";
/// The number of the newest row of central's changelog, which was seen and is gone; 0 where none is. If it is given out
/// again, central was restored from a backup.
pub const NEWEST_GONE: &str = "newest_gone";
/// Points of central's changelog by which it had integrated what was pushed up to a cursor.
pub const PUSH_MARKS: &str = "push_marks";
/// On central, followed by a site's number: fingerprints of the rows of the last batch that it pushed.
pub const LAST_PUSH_OF_SITE: &str = "last_push_of_site_";
/// On central, followed by a site's number: the highest cursor of a row that it pushed.
pub const HIGHEST_PUSH_OF_SITE: &str = "highest_push_of_site_";
/// On central, followed by a site's number: `1` while the site has pushed batches but not its last one.
pub const OPEN_PUSH_OF_SITE: &str = "open_push_of_site_";
/// On central: how long it has run over this database, in milliseconds, counted on from the clock of its first push.
pub const STEADY_TIME: &str = "steady_time";
/// On central, followed by a site's number: what the site told of its newest restore.
pub const RESTORED_SITE: &str = "restored_site_";
/// On central, followed by a table and the id of a record of no store: the site that wrote it, where the row of its change does
/// not name the site, so that the site is sent it back.
pub const WRITTEN_BY: &str = "written_by ";
/// Followed by a table and the id of a record that was merged: the id of the one that was kept.
pub const MERGED: &str = "merged ";
/// Followed by a table and the id of a record into which others were merged: `1`.
pub const MERGE_TARGET: &str = "merge_target ";
/// On central, followed by a site's number and a store: where the changelog says that the store is no more on the site.
pub const STORE_LEFT_SITE: &str = "store_left_site_";
/// On central, the stores that moved to another site and whose records are still to be logged anew.
pub const MOVED_STORES: &str = "moved_stores";
/// Merges after which what points to the merged record is still to be rewritten, one a line: table, id that was kept; or
/// `joins-of` and the id of a name whose joins are to be looked through.
/// Empty once it is done, absent where nothing was ever merged.
pub const MERGES_PENDING: &str = "merges_pending";
/// The cursors between which edits were pushed that central may have lost.
pub const RESEND: &str = "resend";
/// While everything is read again because central went back: to where, and how far it had been read.
pub const REREADING: &str = "rereading";
/// On central, followed by a site's number: what is held back from it because its release cannot read it.
pub const HELD_BACK_OF_SITE: &str = "held_back_of_site_";
/// On central without a legacy server, followed by a site's number: what is left to give back to the site of what is kept
/// for it: the numbers after which and through which, where it asked for that.
pub const QUEUE_OF_SITE: &str = "queue_of_site_";
/// On central, the highest number that a site of the local list ever had: none is given out twice.
pub const HIGHEST_SITE: &str = "highest_site";
/// Followed by a source: `1` once a batch of it failed, until the next is staged instead, to be integrated record by record.
pub const BATCH_FAILED: &str = "batch_failed_";
/// Up to which cursor references to files were taken note of.
pub const FILES_CURSOR: &str = "files_cursor";
/// When the folder of files was last swept.
pub const FILES_SWEPT_AT: &str = "files_swept_at";
/// `1` once central went back, until each file that it had is asked for again.
pub const FILES_ASK_AGAIN: &str = "files_ask_again";
/// What a site knows of the lines to both servers: how much each carries at once, and whether the legacy server reads gzip.
pub const LINES: &str = "lines";
/// The same of the line on which files come.
pub const FILE_LINES: &str = "file_lines";
/// Patients who are being linked to stores of this site.
pub const LINKS: &str = "links";
/// What is given to a site beside its queue; a name for each site.
pub const LINKED_OF_SITE: &str = "linked_of_site_";
/// On central, followed by a site's number: which of the copies of the site's database goes on.
pub const COPIES_OF_SITE: &str = "copies_of_site_";
/// The id of the last push that central took; see [`PushChain`](crate::protocol::v6::PushChain).
pub const PUSH_TAKEN: &str = "push_taken";
/// The number that central gave to that push; see [`CopiesTold`](crate::protocol::v6::CopiesTold).
pub const PUSH_TAKEN_NUMBER: &str = "push_taken_number";
/// The newest restore of this database that a push has told central of that was taken.
pub const PUSH_TAKEN_AFTER: &str = "push_taken_after";
/// The id of the push that is under way; empty if none is.
pub const PUSH_UNDER_WAY: &str = "push_under_way";
/// Since when another copy of this database goes on as its site, as central said it; empty once this one was set up again.
pub const COPY_GOES_ON: &str = "copy_goes_on";
/// When central refused another copy of this database last.
pub const COPY_REFUSED_AT: &str = "copy_refused_at";
/// `1` where this file was moved or copied here, with all that lies beside it, until this is told of no other copy.
pub const FILE_CAME_HERE: &str = "file_came_here";
