//! `backup`, `check` and `restore`.

use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::json;
use sync_core::central::SiteList;
use sync_core::clock::{Clock as _, SystemClock};
use sync_core::files::Files;
use sync_core::support::CentralAlarm;
use sync_core::{Error, Message, Replica, Result, Role};

use super::layout::{facts, moment_of, say};
use super::list_changes::{ListChanges, ListedSites};
use super::repair::put_aside_as;
use crate::args::{self, Args};
use crate::backup::{Owner, Plan, StoredBackup, check as check_backup, copy_private, files_in, take as take_backup};
use crate::failure::{CommandOutcome, Failure};
use crate::output::{Output, bytes};
use crate::sentences::{backup_shown as shown, common, records};
use crate::workspace::Workspace;

pub(super) fn take(args: &Args, options: &args::Backup, out: &Output) -> Result<CommandOutcome, Failure> {
    let workspace = Workspace::open(args, out)?;
    let keep = options.keep.map(|keep| keep as usize);
    let owner = owner(args, &workspace.replica)?;
    let plan = Plan { to: &options.folder, files: &workspace.folder, owner: &owner, keep };
    let taken = take_backup(&workspace.replica, &plan)?;
    if out.json {
        out.document(&taken)?;
        return Ok(CommandOutcome::Done);
    }
    say(out, "", &shown::taken())?;
    out.line(&format!("  {}", taken.backup.display()))?;
    show(&StoredBackup::at(&taken.backup)?, out)?;
    if !taken.removed.is_empty() {
        say(out, "", &shown::removed(taken.removed.len()))?;
    }
    let lost = workspace.replica.status()?.alarms.into_iter().find_map(|alarm| match alarm {
        CentralAlarm::FilesLost { files, first } => Some((files, first)),
        _ => None,
    });
    if let Some((files, first)) = lost {
        out.hint_said(&common::warning(shown::files_lost(files, first.as_str())));
    }
    Ok(CommandOutcome::Done)
}

/// Whose backups those of an open database are.
pub(super) fn owner(args: &Args, replica: &Replica) -> Result<Owner> {
    Ok(Owner::new(args.builder()?, replica.path().unwrap_or(&args.db).to_owned()))
}

pub(super) fn check(args: &Args, path: &Path, out: &Output) -> Result<CommandOutcome, Failure> {
    let backup = StoredBackup::at(path)?;
    let builder = args.builder()?;
    check_backup(&backup, |database| builder.check_backup(database))?;
    if out.json {
        out.document(&json!({ "backup": path, "is_sound": true, "holds": backup.manifest }))?;
    } else {
        show(&backup, out)?;
        say(out, "", &shown::sound())?;
    }
    Ok(CommandOutcome::Done)
}

/// What a backup holds.
fn show(backup: &StoredBackup, out: &Output) -> Result<(), Failure> {
    let Some(manifest) = &backup.manifest else { return Ok(()) };
    let files = shown::files(manifest.files, bytes(manifest.files_bytes));
    facts(
        out,
        &[
            ("role", manifest.role.as_ref().map(|role| out.word(role).to_owned())),
            ("site", manifest.site_name.clone()),
            ("made", Some(moment_of(&manifest.made_at))),
            ("database", Some(bytes(manifest.database_bytes))),
            ("files", Some(out.texts.say(&files))),
        ],
    )
}

pub(super) fn restore(args: &Args, options: &args::Restore, out: &Output) -> Result<CommandOutcome, Failure> {
    let backup = StoredBackup::at(&options.backup)?;
    let builder = args.builder()?;
    check_backup(&backup, |database| builder.check_backup(database))?;
    let another = match builder.check_backup_is_of(&backup.database, &args.db) {
        Err(Error::BackupOfAnother { here, .. }) if options.replace_another => Some(here),
        // The backup was read, so this is of the database: nobody can tell whose it is.
        Err(
            error
            @ (Error::DatabaseKeyRefused { .. } | Error::DatabaseNotEncrypted { .. } | Error::NotADatabase { .. }),
        ) => {
            if !options.replace_another {
                out.hint_said(&shown::or_replace_another());
                return Err(error.into());
            }
            Some(shown::not_opened_by_key().to_string())
        }
        checked => checked.map(|()| None)?,
    };
    // The database that is there may be damaged, which is why a backup is restored. One of another site has nothing in common with it.
    let since = match another {
        None => Since::of(args, &backup.database),
        Some(_) => Ok(None),
    };
    if options.keep_sites && !matches!(&since, Ok(Some(Since { list: Some(_), .. }))) {
        return Err(Error::bad_input(shown::no_sites_to_keep()).into());
    }
    let folder = args.files.clone().unwrap_or_else(|| Files::folder_of(&args.db));
    let missing = missing_files(&backup, &folder)?;
    // Before it is done: then the backup is there.
    let uncompared = match (&another, &since) {
        (Some(here), _) => Some(shown::replaces_another(args.db.display().to_string(), here)),
        (None, Ok(None)) => Some(shown::nothing_to_compare(args.db.display().to_string())),
        (None, Err(error)) => Some(shown::not_comparable(args.db.display().to_string(), Message::of(error))),
        (None, Ok(Some(_))) => None,
    };
    let put_back = || {
        let done = put_back(args, options, &backup, &folder, &missing);
        done.inspect_err(|error| {
            if matches!(error, Error::DatabaseBusy { .. } | Error::CycleRunning { .. }) {
                out.hint_said(&shown::stop_what_uses_it());
            }
        })
    };
    let aside = if options.yes { Some(put_back()?) } else { None };
    let since = since.ok().flatten();
    if out.json {
        out.document(&json!({
            "backup": options.backup, "holds": backup.manifest, "since_backup": since, "files_missing": missing.len(),
            "is_done": options.yes, "aside": aside.flatten(),
        }))?;
        return Ok(CommandOutcome::Done);
    }
    show(&backup, out)?;
    since.iter().try_for_each(|since| since.show(options.keep_sites, out))?;
    uncompared.iter().try_for_each(|said| say(out, "", said))?;
    match aside {
        None => out.hint_said(&shown::to_do_it()),
        Some(aside) => {
            say(out, "", &shown::restored(missing.len()))?;
            if let Some(aside) = aside {
                say(out, "", &shown::kept_in())?;
                out.line(&format!("  {}", aside.display()))?;
                if let Some(since) = since.as_ref().filter(|since| since.not_sent > 0) {
                    out.hint_said(&shown::lists_what_is_only_there(aside.display().to_string(), since.backup_end + 1));
                }
            }
            if args.builder()?.open_to_read(&args.db)?.role()? == Some(Role::Central) {
                let list = since.as_ref().and_then(|since| since.list.as_ref());
                let has_changes = !options.keep_sites && list.is_some_and(|list| !list.0.is_empty());
                out.hint_said(&if has_changes { shown::next_changes() } else { shown::next_serve() });
            } else {
                out.hint_said(&common::next_sync());
            }
        }
    }
    Ok(CommandOutcome::Done)
}

/// Puts the database and the files of a backup in place. Returns where the former database is now.
fn put_back(
    args: &Args,
    options: &args::Restore,
    backup: &StoredBackup,
    folder: &Path,
    missing: &[PathBuf],
) -> Result<Option<PathBuf>> {
    // Files first: a database that came back without them would send its sites to look for them in vain.
    for within in missing {
        copy_private(&backup.files.join(within), &folder.join(within))?;
    }
    let aside = put_aside_as(&args.db, &SystemClock::default().now().to_string());
    let was_there = args.db.exists();
    let builder = args.builder()?;
    let builder = if options.replace_another { builder.replace_another() } else { builder };
    builder.restore(&backup.database, &args.db, &aside)?;
    // Opened once, so that it knows that it was restored even if the file beside it is lost.
    let replica = args.builder()?.open_existing(&args.db)?;
    replica.support().log_restore(backup.manifest.as_ref().map(|manifest| manifest.made_at.as_str()))?;
    if options.keep_sites {
        let former = args.builder()?.open_to_read(&aside)?;
        replica.site_registry()?.take_from(&former.site_registry()?)?;
    }
    Ok(was_there.then_some(aside))
}

/// The files of a backup that the folder lacks.
fn missing_files(backup: &StoredBackup, folder: &Path) -> Result<Vec<PathBuf>> {
    let all = files_in(&backup.files)?.into_iter().map(|(within, _)| within);
    Ok(all.filter(|within| !folder.join(within).exists()).collect())
}

/// What happened to a database since a backup of it.
#[derive(Debug, Serialize)]
struct Since {
    /// True for a central server's.
    is_central: bool,
    /// Records that sites sent, which they send again.
    from_sites: u64,
    /// Records that came from a server, which they are read from again.
    from_servers: u64,
    /// Records written with this database.
    written_here: u64,
    /// At most so many of those were not sent yet.
    not_sent: u64,
    /// The last position of the backup's changelog.
    backup_end: i64,
    /// What was changed in the list of sites and stores that this database keeps itself; `None` if it keeps none.
    list: Option<ListChanges>,
}

impl Since {
    /// Compares a database with a backup of it; `None` if there is no database.
    fn of(args: &Args, backup: &Path) -> Result<Option<Self>> {
        if !args.db.exists() {
            return Ok(None);
        }
        let now = args.builder()?.open_to_read(&args.db)?;
        let then = args.builder()?.open_to_read(backup)?;
        let end: Option<i64> = then.read_sql(|connection| {
            connection.query_row("SELECT max(cursor) FROM sync_changelog", (), |row| row.get(0))
        })?;
        let end = end.unwrap_or(0);
        // The list has its own lines for sites and stores.
        let is_listed = now.site_list()? == Some(SiteList::Local);
        let (from_sites, from_servers, written_here) = now.read_sql(|connection| {
            let sql = "SELECT count(*) FILTER (WHERE is_sync_update = 1 AND source_site_id IS NOT NULL), \
                       count(*) FILTER (WHERE is_sync_update = 1 AND source_site_id IS NULL), \
                       count(*) FILTER (WHERE is_sync_update = 0 AND NOT (?2 AND table_name IN ('store', 'name'))) \
                       FROM sync_changelog WHERE cursor > ?1";
            connection.query_row(sql, (end, is_listed), |row| {
                let count = |column| row.get::<_, i64>(column).map(i64::unsigned_abs);
                Ok((count(0)?, count(1)?, count(2)?))
            })
        })?;
        let is_central = now.role()? == Some(Role::Central);
        let list = match is_listed {
            true => Some(ListChanges::between(&ListedSites::of(&now)?, &ListedSites::of(&then)?)),
            false => None,
        };
        // What a server without a legacy server wrote again for stores that moved.
        let from_servers = if list.is_some() { 0 } else { from_servers };
        let not_sent = if is_central { written_here } else { now.status()?.waiting.records.min(written_here) };
        Ok(Some(Self { is_central, from_sites, from_servers, written_here, not_sent, backup_end: end, list }))
    }

    fn show(&self, keeps_sites: bool, out: &Output) -> Result<(), Failure> {
        let said = match (self.is_central, &self.list) {
            (true, Some(_)) => shown::since_alone(records(self.from_sites)),
            (true, None) => shown::since_at_central(records(self.from_sites), records(self.from_servers)),
            (false, _) => {
                shown::since_at_site(records(self.from_servers + self.from_sites), records(self.written_here))
            }
        };
        say(out, "", &said)?;
        let changes = self.list.as_ref().map(|list| &list.0[..]).unwrap_or_default();
        if keeps_sites {
            say(out, "", &shown::list_kept(changes.len()))?;
        } else if !changes.is_empty() {
            say(out, "", &shown::list_changed())?;
            changes.iter().try_for_each(|change| say(out, "  ", &change.says()))?;
            out.hint_said(&shown::keeps_the_list());
        }
        match self.not_sent {
            0 if changes.is_empty() => say(out, "", &shown::nothing_is_only_here()),
            0 => Ok(()),
            count => say(out, "", &shown::only_here(records(count))),
        }
    }
}
