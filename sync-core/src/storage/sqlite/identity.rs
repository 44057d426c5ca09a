//! What tells a database file from that of another site. Read from the file alone, whatever the version of its schema, because a backup
//! is often older than the program.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension as _};

use super::examine::reading_connection;
use super::fault::{at_path, database_error};
use super::key::{DatabaseKey, is_of_key};
use super::place::real_path;
use crate::error::{Error, Result};
use crate::role::Role;
use crate::storage::state::{ROLE, SITE_NAME, SITE_UUID, SettingValue as _};

/// Whose a database is. Each part is `None` where it is not known yet.
struct DatabaseIdentity {
    role: Option<Role>,
    site_name: Option<String>,
    /// Chosen at the set-up of a site.
    site_uuid: Option<String>,
    /// Chosen when the file was made. Backups and copies have that of their original.
    file: Option<String>,
}

impl DatabaseIdentity {
    fn of(path: &Path, key: Option<&DatabaseKey>) -> Result<Self> {
        let path = &real_path(path)?;
        let connection = reading_connection(path, key)?;
        let text = |name: &str| state(&connection, name).map_err(|error| at_path(database_error(error), path));
        Ok(Self {
            role: text(ROLE.name())?.as_deref().and_then(Role::from_text),
            site_name: text(SITE_NAME.name())?,
            site_uuid: text(SITE_UUID.name())?,
            file: text("database_id")?,
        })
    }

    /// False for a database that was only made: a backup may take its place.
    fn is_set_up(&self) -> bool {
        self.role.is_some() || self.site_name.is_some()
    }

    /// False if the two are of different sites, or were set up independently.
    fn is_same(&self, other: &Self) -> bool {
        let (ours, theirs) = (self.parts(), other.parts());
        ours.iter().zip(&theirs).all(|(our, their)| our.is_none() || their.is_none() || our == their)
    }

    /// True only if the two are surely the same database: nothing tells them apart, and they share an id.
    fn is_surely_same(&self, other: &Self) -> bool {
        let is_shared = |our: &Option<String>, their: &Option<String>| our.is_some() && our == their;
        let shares_id = is_shared(&self.file, &other.file) || is_shared(&self.site_uuid, &other.site_uuid);
        shares_id && self.is_same(other)
    }

    fn parts(&self) -> [Option<&str>; 4] {
        let role = self.role.map(Role::as_str);
        [role, self.site_name.as_deref(), self.site_uuid.as_deref(), self.file.as_deref()]
    }

    /// For people, as an object of a sentence.
    fn shown(&self) -> String {
        let name = self.site_name.as_deref();
        match (self.role, name) {
            (Some(Role::Central), None) => "a central server".to_owned(),
            (Some(Role::Central), Some(name)) => format!("central server {name}"),
            (role, name) => {
                let role = role.map_or("not known yet", Role::as_str);
                format!("site {} (role {role})", name.unwrap_or("without a name"))
            }
        }
    }
}

/// A stored value; `None` too for a file without the table of settings, and for an empty value.
fn state(connection: &Connection, name: &str) -> rusqlite::Result<Option<String>> {
    let there = "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = 'sync_state'";
    if connection.query_row(there, (), |row| row.get::<_, i64>(0))? == 0 {
        return Ok(None);
    }
    let sql = "SELECT value FROM sync_state WHERE key = ?1";
    let found = connection.query_row(sql, [name], |row| row.get::<_, String>(0)).optional()?;
    Ok(found.filter(|text| !text.is_empty()))
}

/// Checks that a backup is of the database at `path`, if there is one that is not damaged and was set up.
///
/// # Errors
/// [`Error::BackupOfAnother`]; the backup cannot be read; the database has another key than the backup.
pub(crate) fn check_backup_is_of(backup: &Path, path: &Path, key: Option<&DatabaseKey>) -> Result<()> {
    if !path.exists() {
        return Ok(());
    }
    let then = DatabaseIdentity::of(backup, key)?;
    let now = match DatabaseIdentity::of(path, key) {
        Ok(now) => now,
        // It may be whole, and nobody can tell whose it is.
        Err(error) if is_of_key(&error, path) => return Err(error),
        // A backup is restored because the database is damaged, which therefore is no reason to refuse.
        Err(_) => return Ok(()),
    };
    if !now.is_set_up() || now.is_same(&then) {
        return Ok(());
    }
    let (mut of, mut here) = (then.shown(), now.shown());
    if of == here {
        // The names do not tell them apart.
        let [first, second] = match then.site_uuid == now.site_uuid {
            true => [&then, &now].map(|one| one.file.as_deref().unwrap_or_default()),
            false => [&then, &now].map(|one| one.site_uuid.as_deref().unwrap_or_default()),
        };
        of.push_str(&format!(" with the id {first}"));
        here.push_str(&format!(" with the id {second}, which was set up anew"));
    }
    Err(Error::BackupOfAnother { of, path: path.display().to_string(), here })
}

/// True only if a backup is surely of the database at `path`: then a newer one makes it superfluous.
///
/// # Errors
/// One of the two cannot be read.
pub(crate) fn is_backup_of(backup: &Path, path: &Path, key: Option<&DatabaseKey>) -> Result<bool> {
    Ok(DatabaseIdentity::of(path, key)?.is_surely_same(&DatabaseIdentity::of(backup, key)?))
}

#[cfg(test)]
mod tests {
    use sha2::{Digest as _, Sha256};

    use super::super::SqliteStorage;
    use super::*;
    use crate::storage::Storage as _;

    /// A database of this role, site and UUID.
    fn database(path: &Path, role: Option<Role>, name: &str, uuid: &str) {
        let storage = SqliteStorage::open(path).unwrap();
        let txn = storage.write().unwrap();
        if let Some(role) = role {
            ROLE.set(txn.as_ref(), role).unwrap();
        }
        SITE_NAME.set(txn.as_ref(), name).unwrap();
        SITE_UUID.set(txn.as_ref(), uuid).unwrap();
        txn.commit().unwrap();
    }

    #[test]
    fn a_backup_is_of_one_database_whatever_that_became_since() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        database(&at("site"), None, "clinic", "U1");
        SqliteStorage::open_existing(at("site")).unwrap().back_up(&at("backup")).unwrap();
        // It learns its role later.
        database(&at("site"), Some(Role::Remote), "clinic", "U1");
        check_backup_is_of(&at("backup"), &at("site"), None).unwrap();
        check_backup_is_of(&at("backup"), &at("nowhere"), None).unwrap();
        // The backup of an older version has an older schema.
        Connection::open(at("backup")).unwrap().pragma_update(None, "user_version", 1).unwrap();
        check_backup_is_of(&at("backup"), &at("site"), None).unwrap();
        drop(SqliteStorage::open(at("empty")).unwrap());
        check_backup_is_of(&at("backup"), &at("empty"), None).unwrap();
        database(&at("other"), Some(Role::Remote), "depot", "U2");
        database(&at("anew"), Some(Role::Remote), "clinic", "U3");
        database(&at("central"), Some(Role::Central), "", "");
        for (name, here) in [
            ("other", "is site depot (role remote)"),
            ("anew", "is site clinic (role remote)"),
            ("central", "is a central server"),
        ] {
            let refused = check_backup_is_of(&at("backup"), &at(name), None).unwrap_err();
            assert!(refused.code() == "backup_of_another" && refused.to_string().contains(here), "{refused}");
            assert!(!is_backup_of(&at("backup"), &at(name), None).unwrap(), "{name}");
        }
        assert!(is_backup_of(&at("backup"), &at("site"), None).unwrap());
        // Any backup may take the place of an empty database, but none is one of it.
        assert!(!is_backup_of(&at("backup"), &at("empty"), None).unwrap());
        check_backup_is_of(&at("site"), &at("anew"), None).unwrap_err();
    }

    #[test]
    fn a_database_that_may_be_encrypted_is_not_taken_for_a_damaged_one() {
        let folder = tempfile::tempdir().unwrap();
        let [site, backup, other] = ["site", "backup", "other"].map(|name| folder.path().join(name));
        database(&site, Some(Role::Remote), "clinic", "U1");
        SqliteStorage::open_existing(&site).unwrap().back_up(&backup).unwrap();
        let random = (0_u8..128).flat_map(|number| Sha256::digest([number])).collect::<Vec<u8>>();
        std::fs::write(&other, &random).unwrap();
        let refused = check_backup_is_of(&backup, &other, None).unwrap_err();
        assert!(refused.code() == "not_a_database" && refused.advice().contains("key"), "{refused}");
        // Nothing that SQLCipher wrote.
        for damaged in [vec![0; 4096], random[..100].to_vec(), b"text ".repeat(1000)] {
            std::fs::write(&other, damaged).unwrap();
            check_backup_is_of(&backup, &other, None).unwrap();
        }
    }

    #[test]
    fn two_databases_with_the_same_names_are_told_apart_by_their_ids() {
        let folder = tempfile::tempdir().unwrap();
        let [one, other] = ["one", "other"].map(|name| folder.path().join(name));
        database(&one, Some(Role::Central), "", "");
        database(&other, Some(Role::Central), "", "");
        let refused = check_backup_is_of(&one, &other, None).unwrap_err().to_string();
        assert!(refused.contains("a central server with the id ") && refused.contains("set up anew"), "{refused}");
    }
}
