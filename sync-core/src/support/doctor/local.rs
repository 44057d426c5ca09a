//! The checks that need no server.

use std::time::Duration;

use super::{Check, CheckOutcome, Party};
use crate::alarm::CentralAlarm;
use crate::clock::Timestamp;
use crate::error::{Error, ErrorClass, Result};
use crate::record::Cursor;
use crate::role::Role;
use crate::site::files;
use crate::storage::state::role;
use crate::storage::{FileEntry, FileState, Storage};
use crate::support::Disagreement;
use crate::support::Support;
use crate::support::alarms::alarms;
use crate::support::refused_by_central::refused_by_central as refused_records;
use crate::support::{OtherCopy, other_copy};
use crate::text::sentences::doctor as say;
use crate::text::{Detail, Message};

/// Files that failed so often in a row are stuck.
const ATTEMPTS_MANY: u32 = 3;

/// Files that are not tried again for so long are stuck too.
const LONG: Duration = Duration::from_secs(2 * 3600);

/// With less free space than this the next sync may fail.
#[cfg(feature = "sqlite")]
const FREE_LITTLE: u64 = 200 * 1024 * 1024;
/// With less free space than this the next sync will fail.
#[cfg(feature = "sqlite")]
const FREE_NONE: u64 = 4 * 1024 * 1024;

/// Checks a database file: whether it belongs to this program, is sound and writable, and how much space is left on its
/// disk, which the host knows. Also returns the database, opened read-only, if possible.
#[cfg(feature = "sqlite")]
pub(crate) fn examine_file(
    path: &std::path::Path,
    key: Option<&crate::storage::DatabaseKey>,
    free_bytes: Option<u64>,
) -> (Vec<Check>, Option<crate::storage::SqliteStorage>) {
    use crate::storage::{SqliteStorage, damage, examine};
    let (mut checks, mut storage) = (Vec::new(), None);
    let examined = examine(path, key);
    let bytes = examined.as_ref().map_or(0, |examined| examined.bytes);
    checks.push(match examined {
        Err(error) => Check::fault("database", &error, Party::Device),
        Ok(examined) if examined.schema < examined.known => Check::found(
            "database",
            CheckOutcome::Warning,
            say::schema_older(examined.schema, examined.known),
            ("database_older", ErrorClass::Upgrade, Party::Device),
            Message::advice("database_older"),
        ),
        Ok(examined) => {
            let opened =
                SqliteStorage::open_to_read_keyed(path, key.cloned()).map(|opened| storage = Some(opened)).err();
            match (examined.missing, opened.or(examined.unwritable)) {
                // Nothing that is read from it can be relied on.
                (Some(missing), _) => {
                    storage = None;
                    let what = say::missing_in_schema(missing).to_string();
                    Check::fault("database", &Error::DamagedState { what }, Party::Device)
                }
                // Another program writes at this moment, as a cycle does.
                (None, Some(error @ Error::DatabaseBusy { .. })) => {
                    Check::fault("database", &error, Party::Device).into_warning()
                }
                (None, Some(error)) => Check::fault("database", &error, Party::Device),
                (None, None) => Check::ok("database", say::database_well(examined.schema)),
            }
        }
    });
    checks.push(if checks.iter().any(|check| check.outcome == CheckOutcome::Fault) && storage.is_none() {
        Check::not_checked("integrity", say::database_not_opened())
    } else {
        match damage(path, key) {
            Err(error) => Check::fault("integrity", &error, Party::Device),
            Ok(lines) if lines.is_empty() => Check::ok("integrity", say::no_damage()),
            Ok(lines) => {
                let count = lines.len();
                let error = Error::Database { source: lines.join("; ").into() };
                let mut check = Check::fault("integrity", &error, Party::Device);
                check.says = say::damage(count);
                check
            }
        }
    });
    let full = |free| Error::DiskFull { source: format!("{free} bytes are free for {}", path.display()).into() };
    checks.push(match free_bytes {
        None => Check::not_checked("disk space", say::free_not_told()),
        Some(free) if free < FREE_NONE => Check::fault("disk space", &full(free), Party::Device),
        // Copies of the database, as made by repairs, need its size again.
        Some(free) if free < FREE_LITTLE.max(bytes) => {
            let mut check = Check::fault("disk space", &full(free), Party::Device).into_warning();
            check.says = say::free_little(path.display().to_string(), free / 1_000_000, bytes / 1_000_000);
            check
        }
        Some(free) => Check::ok("disk space", say::free_well(free / 1_000_000)),
    });
    (checks, storage)
}

/// Checks the identity of this database, and that it is consistent.
pub(crate) fn settings(support: &Support) -> Result<Check> {
    const NAME: &str = "settings";
    let found = support.identity()?;
    // The central address has its own check.
    let ours = |found: &&Disagreement| found.code != "central_url_missing" && !found.is_of_central_url;
    Ok(match found.disagreements.iter().find(ours) {
        Some(Disagreement { code: "not_set_up", .. }) => Check::fault(NAME, &Error::NotSetUp, Party::Device),
        Some(Disagreement { code: code @ "site_has_no_store", what, advice, .. }) => Check::found(
            NAME,
            CheckOutcome::Warning,
            what.clone(),
            (code, ErrorClass::Configure, Party::LegacyServer),
            advice.clone(),
        ),
        Some(Disagreement { code: code @ "stores_lost", what, advice, .. }) => Check::found(
            NAME,
            CheckOutcome::Warning,
            what.clone(),
            (code, ErrorClass::LocalFault, Party::Device),
            advice.clone(),
        ),
        Some(Disagreement { code: code @ "program_older", what, advice, .. }) => Check::found(
            NAME,
            CheckOutcome::Warning,
            what.clone(),
            (code, ErrorClass::Upgrade, Party::Device),
            advice.clone(),
        ),
        Some(Disagreement { code, what, advice, .. }) => Check::found(
            NAME,
            CheckOutcome::Fault,
            what.clone(),
            (code, ErrorClass::Configure, Party::Device),
            advice.clone(),
        ),
        None => {
            let name = found.site_name.map_or_else(|| say::no_site_name().into(), Detail::Plain);
            let site = match found.site_id {
                Some(id) => say::site_with_number(name, id.0).into(),
                None => name,
            };
            let stores = match found.stores.len() {
                1 => say::one_store(),
                count => say::stores(count),
            };
            Check::ok(NAME, say::settings_well(found.role.unwrap_or_default(), site, stores))
        }
    })
}

/// Checks whether a central server's changelog is more than halfway to the limit of 2.x sites.
fn changelog_nears_its_end(storage: &dyn Storage, now: Timestamp) -> Result<Option<Check>> {
    let all = alarms(storage.read()?.as_ref(), now)?;
    let concern = all.into_iter().find(|concern| matches!(concern, CentralAlarm::ChangelogNearsItsEnd { .. }));
    Ok(concern.map(|concern| {
        let about = ("changelog_nears_its_end", ErrorClass::Configure, Party::Device);
        Check::found("cursors", CheckOutcome::Warning, concern.says(), about, Message::advice(about.0))
    }))
}

/// Checks whether another copy of this database runs, as far as central or the watermark has seen it, and which one
/// continues.
pub(crate) fn copies(storage: &dyn Storage, now: Timestamp) -> Result<Check> {
    const NAME: &str = "copies";
    let txn = storage.read()?;
    let other = other_copy(storage, txn.as_ref(), now)?;
    if let Some(OtherCopy::Continues { site, since }) = other {
        return Ok(Check::fault(NAME, &Error::DatabaseCopied { site, since }, Party::Device));
    }
    let known = ("database_copied", ErrorClass::Configure, Party::Device);
    let warned = |says, advice| Check::found(NAME, CheckOutcome::Warning, says, known, advice);
    #[cfg(feature = "central")]
    {
        let copies = crate::central::copied_databases::refused::refused_copies(txn.as_ref(), now)?;
        let says = match &copies[..] {
            [] => None,
            [copy] => Some(say::copies_of_site(&copy.name, copy.goes_on_since, copy.refused_at)),
            _ => {
                let names: Vec<&str> = copies.iter().map(|copy| copy.name.as_str()).collect();
                let newest = copies.iter().map(|copy| copy.refused_at).max();
                newest.map(|newest| say::copies_of_sites(names.join(", "), newest))
            }
        };
        if let Some(says) = says {
            return Ok(warned(says, say::stop_the_other_at_site()));
        }
    }
    Ok(match other {
        Some(other) => warned(other.says(), other.advice()),
        None => Check::ok(NAME, say::no_other_copy()),
    })
}

/// A cursor beyond the known end of what it reads.
pub(crate) fn cursors_here(support: &Support) -> Result<Option<Check>> {
    let beyond = support.cursors()?.into_iter().find(|shown| shown.end.is_some_and(|end| shown.position > end));
    if beyond.is_none() {
        return changelog_nears_its_end(support.storage.as_ref(), support.clock.now());
    }
    Ok(beyond.map(|shown| {
        let (at, end) = (shown.position, shown.end.unwrap_or(Cursor(0)));
        let error = Error::DamagedState { what: format!("{} stands at {at}, beyond the end at {end}", shown.name) };
        Check::fault("cursors", &error, Party::Device)
    }))
}

/// The name of the check of a central server's alarms.
pub(super) const ALARMS: &str = "alarms";

/// The alarms of a central server, as its status page shows them. The check is about those that have no check of their own.
pub(crate) fn central_alarms(storage: &dyn Storage, now: Timestamp) -> Result<(Check, Vec<CentralAlarm>)> {
    let txn = storage.read()?;
    if role(txn.as_ref())? != Some(Role::Central) {
        return Ok((Check::ok(ALARMS, say::alarms_not_central()), Vec::new()));
    }
    let all = alarms(txn.as_ref(), now)?;
    let others: Vec<&CentralAlarm> = all.iter().filter(|alarm| !alarm.has_own_check()).collect();
    let worst = others.iter().find(|alarm| alarm.stops_sites()).or(others.first());
    let check = match worst {
        None if all.is_empty() => Check::ok(ALARMS, say::no_alarms()),
        None => Check::ok(ALARMS, say::no_other_alarms()),
        Some(worst) => {
            let outcome = if worst.stops_sites() { CheckOutcome::Fault } else { CheckOutcome::Warning };
            let says = match others.len() {
                1 => worst.says(),
                count => say::alarms(worst.says(), count - 1),
            };
            let about = ("central_alarms", ErrorClass::Configure, Party::CentralServer);
            Check::found(ALARMS, outcome, says, about, Message::advice(about.0))
        }
    };
    Ok((check, all))
}

/// The quarantine, by cause.
pub(crate) fn quarantine(storage: &dyn Storage) -> Result<Check> {
    const NAME: &str = "quarantine";
    let counts = storage.read()?.quarantine_counts()?;
    let (ignored, counted): (Vec<_>, Vec<_>) = counts.into_iter().partition(|(cause, _)| cause.is_settled());
    let records: u64 = counted.iter().map(|(_, count)| count).sum();
    let ignored: u64 = ignored.iter().map(|(_, count)| count).sum();
    if records == 0 {
        let well = if ignored > 0 { say::only_ignored(ignored) } else { say::none_set_aside() };
        return Ok(Check::ok(NAME, well));
    }
    let causes: Vec<String> = counted.iter().map(|(cause, count)| format!("{count} {}", cause.as_str())).collect();
    let causes = causes.join(", ");
    Ok(Check::found(
        NAME,
        CheckOutcome::Warning,
        if records == 1 { say::one_set_aside(causes) } else { say::set_aside(records, causes) },
        ("records_set_aside", ErrorClass::Input, Party::Record),
        Message::advice("records_set_aside"),
    ))
}

/// Records of this site that central refused, as far as it told.
pub(crate) fn refused_by_central(storage: &dyn Storage) -> Result<Check> {
    const NAME: &str = "refused by central";
    let refused = refused_records(storage.read()?.as_ref())?;
    let count = refused.len();
    let Some(newest) = refused.into_iter().next_back() else { return Ok(Check::ok(NAME, say::none_refused())) };
    let (table, id) = (newest.table.to_string(), newest.id.to_string());
    Ok(Check::found(
        NAME,
        CheckOutcome::Warning,
        say::refused_by_central(count, table, id, newest.reason),
        ("records_refused", ErrorClass::Input, Party::Record),
        Message::advice("records_refused"),
    ))
}

/// Files that do not get through.
pub(crate) fn files(storage: &dyn Storage, now: Timestamp) -> Result<Check> {
    const NAME: &str = "files";
    const PAGE: usize = 500;
    let txn = storage.read()?;
    let (mut all, mut waiting, mut stuck, mut gone) = (0_u64, 0_u64, 0_u64, 0_u64);
    let mut first: Option<FileEntry> = None;
    let mut after = None;
    loop {
        let page = txn.files(after.as_ref(), PAGE)?;
        let Some(last) = page.last() else { break };
        after = Some(last.id.clone());
        for file in page {
            all += 1;
            waiting += u64::from(matches!(file.state, FileState::Waiting | FileState::Running | FileState::Failed));
            // A refused file is not tried again for a long time.
            let never = file.next_at.is_none_or(|at| at.since(now) > LONG);
            if file.state == FileState::Failed && (file.attempts >= ATTEMPTS_MANY || never) {
                stuck += 1;
                gone += u64::from(file.reason.as_deref().is_some_and(files::is_gone));
                if first.as_ref().is_none_or(|first| file.attempts > first.attempts) {
                    first = Some(file);
                }
            }
        }
    }
    let Some(worst) = first else {
        return Ok(Check::ok(NAME, say::files_well(all, waiting)));
    };
    let (direction, id) = (worst.direction.as_str(), worst.id.to_string());
    let (table, record) = (worst.table.to_string(), worst.record_id.to_string());
    // What this device has lost, no server can give.
    if worst.reason.as_deref().is_some_and(files::is_gone) {
        let advice = say::attach_again(&id);
        let says = say::files_gone(gone, all, id, table, record);
        let known = ("files_stuck", ErrorClass::LocalFault, Party::Device);
        return Ok(Check::found(NAME, CheckOutcome::Warning, says, known, advice));
    }
    let says = match worst.reason {
        Some(reason) => say::files_stuck_for(stuck, all, direction, id, table, record, reason),
        None => say::files_stuck(stuck, all, direction, id, table, record),
    };
    let known = ("files_stuck", ErrorClass::Input, Party::Record);
    Ok(Check::found(NAME, CheckOutcome::Warning, says, known, Message::advice("files_stuck")))
}
