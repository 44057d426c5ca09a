//! Times, ids, errors and tables of Open mSupply in the format of this program.

use sync_core::Result;
use sync_core::clock::{Clock as _, SystemClock, Timestamp};
use sync_core::protocol::masked_text;

use super::open::{Database, failed};

/// A time of Open mSupply in the format of this program; unchanged if it is invalid.
pub(super) fn time(text: &str) -> String {
    let with_t = text.replacen(' ', "T", 1);
    Timestamp::parse(&format!("{with_t}Z")).map_or_else(|| text.to_owned(), |time| time.to_string())
}

/// Later times are impossible: now, or the newest time of the database if the clock here is behind.
pub(super) fn latest(database: &Database) -> Result<Timestamp> {
    let times = "SELECT MAX(started_datetime), MAX(finished_datetime), (SELECT MAX(received_datetime) FROM sync_buffer) \
                 FROM sync_log";
    let read = |row: &rusqlite::Row<'_>| Ok([row.get(0)?, row.get(1)?, row.get(2)?]);
    let found: [Option<String>; 3] = database.connection.query_row(times, (), read).map_err(failed)?;
    let of_database = found.into_iter().flatten().filter_map(|text| Timestamp::parse(&time(&text)));
    Ok(of_database.fold(SystemClock::new().now(), Ord::max))
}

/// The time when a record was made, from its id: newer ids begin with the time. An id that somebody made up may look
/// like one, even with a time in the future.
pub(super) fn made_at(id: &str, latest: Timestamp) -> Option<String> {
    let digits: String = id.chars().filter(|c| *c != '-').collect();
    let is_v7 = digits.len() == 32 && id.len() == 36 && digits.as_bytes().get(12) == Some(&b'7');
    let millis = i64::from_str_radix(digits.get(..12)?, 16).ok()?;
    let made = Timestamp::from_unix_millis(millis);
    (is_v7 && made <= latest).then(|| made.to_string())
}

/// The first line of an error, shortened and without secrets: the rest is a trace without names.
pub(super) fn first_line(text: &str) -> String {
    const SHOWN: usize = 160;
    masked_text(text.lines().next().unwrap_or_default().trim()).chars().take(SHOWN).collect()
}

/// The table of Open mSupply for a table of the wire.
pub(super) fn table_of(wire: &str) -> String {
    const NAMES: &[(&str, &str)] = &[
        ("item_line", "stock_line"),
        ("list_master", "master_list"),
        ("list_master_line", "master_list_line"),
        ("list_master_name_join", "master_list_name_join"),
        ("om_activity_log", "activity_log"),
        ("om_document", "document"),
        ("om_document_registry", "document_registry"),
        ("om_user_permission", "user_permission"),
        ("Stock_take", "stocktake"),
        ("Stock_take_lines", "stocktake_line"),
        ("trans_line", "invoice_line"),
        ("transact", "invoice"),
        ("user", "user_account"),
    ];
    match sync_core::record::record_type(wire) {
        Some(kind) => kind.changelog_name.to_owned(),
        None => {
            NAMES.iter().find(|(name, _)| *name == wire).map_or_else(|| wire.to_lowercase(), |(_, own)| (*own).into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_the_database_and_of_ids() {
        assert_eq!(time("2026-11-23 09:37:21.963446070"), "2026-11-23T09:37:21.963Z");
        assert_eq!(time("2025-11-23 10:06:19"), "2025-11-23T10:06:19.000Z");
        assert_eq!(time("yesterday"), "yesterday");
        let at = |text: &str| Timestamp::parse(text).unwrap();
        let made_by = |id: &str, latest: &str| made_at(id, at(latest));
        let v7 = "01a207c2-3dff-7660-8ac3-96bfaf296fb0";
        let made = Some("2026-11-23T09:35:00.095Z");
        assert_eq!(made_by(v7, "2026-11-23T09:35:00.095Z").as_deref(), made);
        assert_eq!(made_by(v7, "2026-11-23T09:35:00.094Z"), None, "it has not come yet");
        // Version 4, an id of the legacy server, no id at all.
        for id in ["fad280b6-8384-41af-84cf-c7b6b4526ef0", "7A1C4E2B9D034F7C8E5A61B2C3D4E5F6", "", "é", "x3"] {
            assert_eq!(made_by(id, "9999-01-01T00:00:00Z"), None, "{id}");
        }
    }
}
