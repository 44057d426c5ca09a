//! Takes a backup, and removes the oldest ones.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::Serialize;
use sync_core::{Error, Replica, Result, Role};

use super::{
    FileInFolder, MANIFEST, Manifest, Owner, StoredBackup, UNFINISHED, check, copy_private, failed, files_in, hash,
};
use super::{is_unfinished, make_private, private_file};
use crate::output::bytes as shown_bytes;

/// Space that stays free on the disk of the backups.
const SPARE_BYTES: u64 = 64 * 1024 * 1024;

/// How long to wait for the end of a running cycle.
const CYCLE_WAIT: Duration = Duration::from_secs(60);

/// What to back up, and where.
pub(crate) struct Plan<'a> {
    /// The folder of the backups.
    pub to: &'a Path,
    /// The folder of the database's files.
    pub files: &'a Path,
    /// Whose backups the oldest ones are that go.
    pub owner: &'a Owner,
    /// How many backups to keep; all if it is `None`.
    pub keep: Option<usize>,
}

/// A backup that was taken.
#[derive(Debug, Serialize)]
pub(crate) struct Taken {
    /// Its folder.
    pub backup: PathBuf,
    /// What it holds.
    #[serde(flatten)]
    pub manifest: Manifest,
    /// Files that it shares with the backup before it, so that they take no space.
    pub files_shared: u64,
    /// The older backups that were removed.
    pub removed: Vec<PathBuf>,
}

/// Takes a backup of an open database, which may be in use. It gets its name once it is whole and was checked.
///
/// # Errors
/// The disk has too little space, the database cannot be copied, or the copy is damaged. No backup is left behind then,
/// and none is removed.
pub(crate) fn take(replica: &Replica, plan: &Plan<'_>) -> Result<Taken> {
    make_private(plan.to)?;
    // Two at once would take each other's folders for left over ones.
    let _lock = lock(plan.to)?;
    for path in super::entries(plan.to)?.iter().filter(|path| is_unfinished(path)) {
        std::fs::remove_dir_all(path).map_err(|error| failed("removing", path, error))?;
    }
    let before = plan.owner.backups_in(plan.to)?.pop().map(|path| StoredBackup::at(&path)).transpose()?;
    let database =
        replica.path().ok_or_else(|| Error::Io { what: "finding the database".into(), source: "".into() })?;
    refuse_small_disk(database, plan, before.as_ref())?;

    let made_at = replica.clock().now().to_string();
    let name: String = made_at.chars().filter(char::is_ascii_alphanumeric).collect();
    let unfinished = plan.to.join(format!("{UNFINISHED}{name}"));
    let whole = plan.to.join(name);
    let filled = fill(replica, database, plan, before.as_ref(), &unfinished, made_at);
    let named = filled.and_then(|filled| {
        std::fs::rename(&unfinished, &whole).map_err(|error| failed("naming", &whole, error))?;
        Ok(filled)
    });
    let (manifest, files_shared) = named.inspect_err(|_| {
        let _ = std::fs::remove_dir_all(&unfinished);
    })?;
    sync_folder(plan.to);
    Ok(Taken { backup: whole, manifest, files_shared, removed: rotate(plan)? })
}

fn lock(folder: &Path) -> Result<File> {
    let path = folder.join(".lock");
    let file = private_file().truncate(false).open(&path).map_err(|error| failed("locking", &path, error))?;
    file.try_lock().map_err(|_| Error::DatabaseBusy { source: "another backup into this folder is running".into() })?;
    Ok(file)
}

/// Refuses if the disk of the backups lacks the space.
fn refuse_small_disk(database: &Path, plan: &Plan<'_>, before: Option<&StoredBackup>) -> Result<()> {
    let Ok(free) = fs4::available_space(plan.to) else { return Ok(()) };
    let size = |path: &Path| path.metadata().map_or(0, |found| found.len());
    let mut log = database.as_os_str().to_owned();
    log.push("-wal");
    let new = files_in(plan.files)?.into_iter().filter(|file| shared_with(before, file).is_none());
    let needed: u64 = size(database) + size(Path::new(&log)) + new.map(|(_, bytes)| bytes).sum::<u64>();
    if free < needed.saturating_add(SPARE_BYTES) {
        return Err(Error::DiskFull { source: too_small(plan.to, needed, free).into() });
    }
    Ok(())
}

/// Why a disk is too small. docs/storage.md shows it.
fn too_small(folder: &Path, needed: u64, free: u64) -> String {
    let (needed, spare, free) = (shown_bytes(needed), shown_bytes(SPARE_BYTES), shown_bytes(free));
    let folder = folder.display();
    format!("a backup in {folder} needs {needed} and leaves {spare} free, but only {free} are free")
}

/// The same file in the backup before. Files never change, so the size shows whether that one is whole.
fn shared_with(before: Option<&StoredBackup>, (within, bytes): &FileInFolder) -> Option<PathBuf> {
    let path = before?.files.join(within);
    path.metadata().is_ok_and(|found| found.is_file() && found.len() == *bytes).then_some(path)
}

/// Fills the folder of a backup, the database first: files that come later do no harm, files that are missing would.
fn fill(
    replica: &Replica,
    database: &Path,
    plan: &Plan<'_>,
    before: Option<&StoredBackup>,
    into: &Path,
    made_at: String,
) -> Result<(Manifest, u64)> {
    make_private(into)?;
    let name = database.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let copy = into.join(&name);
    copy_database(replica, &copy)?;
    let folder = sync_core::files::Files::folder_of(&copy);
    let (mut files, mut files_bytes, mut files_shared) = (0, 0, 0);
    for file in files_in(plan.files)? {
        let to = folder.join(&file.0);
        let shared = shared_with(before, &file);
        if let Some(folder) = to.parent() {
            make_private(folder)?;
        }
        if shared.is_some_and(|shared| std::fs::hard_link(shared, &to).is_ok()) {
            files_shared += 1;
        } else {
            match copy_private(&plan.files.join(&file.0), &to) {
                // Nobody needs it any more: it was removed in the meantime.
                Err(_) if !plan.files.join(&file.0).exists() => continue,
                copied => copied?,
            }
        }
        files += 1;
        files_bytes += file.1;
    }
    let (database_sha256, database_bytes) = hash(&copy)?;
    let status = replica.status()?;
    let manifest = Manifest {
        made_at,
        program: env!("CARGO_PKG_VERSION").to_owned(),
        role: replica.role()?.map(|role| if role == Role::Central { "central" } else { "remote" }.to_owned()),
        site_name: status.site_name,
        database: name,
        database_bytes,
        database_sha256,
        files,
        files_bytes,
    };
    let says = into.join(MANIFEST);
    let text = serde_json::to_string_pretty(&manifest).map_err(|error| failed("writing", &says, error.into()))?;
    let written = private_file()
        .truncate(true)
        .open(&says)
        .and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()));
    written.map_err(|error| failed("writing", &says, error))?;
    check(&StoredBackup::at(into)?, |database| replica.check_copy(database))?;
    Ok((manifest, files_shared))
}

/// Waits for the end of a running cycle.
fn copy_database(replica: &Replica, to: &Path) -> Result<()> {
    let began = Instant::now();
    loop {
        match replica.back_up(to) {
            Err(Error::CycleRunning { .. }) if began.elapsed() < CYCLE_WAIT => {
                std::thread::sleep(Duration::from_secs(1));
            }
            copied => return copied,
        }
    }
}

/// Removes the oldest backups of this database. Those of another one in the same folder are not counted.
fn rotate(plan: &Plan<'_>) -> Result<Vec<PathBuf>> {
    let Some(keep) = plan.keep else { return Ok(Vec::new()) };
    let all = plan.owner.backups_in(plan.to)?;
    let surplus = all.len().saturating_sub(keep);
    for path in &all[..surplus] {
        // First its name as a backup, so that an interruption leaves no half one.
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let unfinished = plan.to.join(format!("{UNFINISHED}{name}"));
        let removed = std::fs::rename(path, &unfinished).and_then(|()| std::fs::remove_dir_all(&unfinished));
        removed.map_err(|error| failed("removing", path, error))?;
    }
    Ok(all[..surplus].to_vec())
}

/// Some systems cannot sync a folder; there a new name is as safe as it can be.
fn sync_folder(folder: &Path) {
    if let Ok(folder) = File::open(folder) {
        let _ = folder.sync_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_about_backups_has_the_refusal() {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/storage.md");
        let page = std::fs::read_to_string(page).expect("the page").split_whitespace().collect::<Vec<_>>().join(" ");
        let text = too_small(Path::new("/backup"), 1_250_000_000, 800_000_000);
        assert!(page.contains(&text), "without: {text}");
        let spare = format!("{} MiB", SPARE_BYTES / 1024 / 1024);
        assert!(page.contains(&spare), "without: {spare}");
    }
}
