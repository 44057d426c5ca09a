//! Typed access to a stored value.

use std::fmt;
use std::marker::PhantomData;

use super::SettingValue;
use crate::error::{Error, Result};
use crate::record::SiteId;
use crate::storage::{ReadTxn, WriteTxn};

/// A value that a database stores under a name.
pub struct Setting<T> {
    name: &'static str,
    /// The suffix of the name, if there is one for each site or each record.
    of: String,
    is_lenient: bool,
    value: PhantomData<fn() -> T>,
}

impl<T> Setting<T> {
    /// A setting whose text must be valid: a damaged one is an error.
    pub(super) const fn new(name: &'static str) -> Self {
        Self { name, of: String::new(), is_lenient: false, value: PhantomData }
    }

    /// A setting whose damaged text counts as missing: it is a hint, or is learnt again.
    pub(super) const fn lenient(name: &'static str) -> Self {
        Self { name, of: String::new(), is_lenient: true, value: PhantomData }
    }

    /// One of many under a name, with its own suffix.
    pub(super) fn of(self, of: impl fmt::Display) -> Self {
        Self { of: of.to_string(), ..self }
    }

    /// Its name in the database; without the number of the site, if there is one for each.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The setting as stored text: to show it, to compare it, or to damage it in a test.
    pub fn as_text(&self) -> Setting<String> {
        Setting { name: self.name, of: self.of.clone(), is_lenient: false, value: PhantomData }
    }

    /// True if it was ever set, to any text.
    ///
    /// # Errors
    /// The database failed.
    pub fn is_set<R: ReadTxn + ?Sized>(&self, txn: &R) -> Result<bool> {
        Ok(txn.state(&self.key())?.is_some())
    }

    fn key(&self) -> String {
        format!("{}{}", self.name, self.of)
    }
}

impl<T: SettingValue> Setting<T> {
    /// The value; `None` if it was never set.
    ///
    /// # Errors
    /// [`Error::DamagedState`] with the name; the database failed.
    pub fn find<R: ReadTxn + ?Sized>(&self, txn: &R) -> Result<Option<T>> {
        let key = self.key();
        let Some(text) = txn.state(&key)? else { return Ok(None) };
        match T::from_text(&text) {
            None if !self.is_lenient => Err(Error::DamagedState { what: key }),
            value => Ok(value),
        }
    }

    /// Sets the value.
    ///
    /// # Errors
    /// The database failed.
    pub fn set<W: WriteTxn + ?Sized>(&self, txn: &W, value: impl Into<T>) -> Result<()> {
        txn.set_state(&self.key(), &value.into().to_text())
    }
}

impl<T: SettingValue + Default> Setting<T> {
    /// The value, or the default before it is first set.
    ///
    /// # Errors
    /// As [`find`](Self::find).
    pub fn get<R: ReadTxn + ?Sized>(&self, txn: &R) -> Result<T> {
        Ok(self.find(txn)?.unwrap_or_default())
    }
}

impl<T> fmt::Debug for Setting<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Setting({})", self.key())
    }
}

/// A [`Setting`] of a central server for each site.
pub struct SiteSetting<T> {
    name: &'static str,
    is_lenient: bool,
    value: PhantomData<fn() -> T>,
}

impl<T> SiteSetting<T> {
    pub(super) const fn new(name: &'static str) -> Self {
        Self { name, is_lenient: false, value: PhantomData }
    }

    /// Like [`Setting::lenient`].
    pub(super) const fn lenient(name: &'static str) -> Self {
        Self { name, is_lenient: true, value: PhantomData }
    }

    /// The setting of a site.
    pub fn of(&self, site: SiteId) -> Setting<T> {
        Setting { name: self.name, of: site.to_string(), is_lenient: self.is_lenient, value: PhantomData }
    }
}

impl<T> fmt::Debug for SiteSetting<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SiteSetting({})", self.name)
    }
}

/// The text of a setting by its whole name, [`Setting::name`] with the suffix: for tests and tools that check formats.
/// Hosts should not depend on it.
pub fn named(name: impl fmt::Display) -> Setting<String> {
    Setting::new("").of(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Cursor;
    use crate::storage::{MemoryStorage, Storage as _};

    #[test]
    fn a_damaged_text_is_an_error_or_counts_as_never_set() {
        let storage = MemoryStorage::new();
        let txn = storage.write().unwrap();
        let (strict, lenient) = (Setting::<Cursor>::new("strict"), Setting::<Cursor>::lenient("lenient"));
        for setting in [&strict, &lenient] {
            assert_eq!(setting.get(txn.as_ref()).unwrap(), Cursor(0));
            assert!(!setting.is_set(txn.as_ref()).unwrap());
            setting.set(txn.as_ref(), Cursor(7)).unwrap();
            assert_eq!(setting.find(txn.as_ref()).unwrap(), Some(Cursor(7)));
            setting.as_text().set(txn.as_ref(), "-1").unwrap();
        }
        assert_eq!(lenient.find(txn.as_ref()).unwrap(), None);
        assert!(lenient.is_set(txn.as_ref()).unwrap());
        match strict.find(txn.as_ref()).unwrap_err() {
            Error::DamagedState { what } => assert_eq!(what, "strict"),
            other => panic!("{other}"),
        }
    }

    #[test]
    fn each_site_has_its_own() {
        let storage = MemoryStorage::new();
        let txn = storage.write().unwrap();
        let setting = SiteSetting::<bool>::new("of_site_");
        setting.of(SiteId(2)).set(txn.as_ref(), true).unwrap();
        assert!(setting.of(SiteId(2)).get(txn.as_ref()).unwrap());
        assert!(!setting.of(SiteId(3)).get(txn.as_ref()).unwrap());
        assert_eq!(txn.state("of_site_2").unwrap().as_deref(), Some("1"));
    }

    /// Writing a text by hand requires knowing its format.
    #[test]
    fn nothing_outside_the_storage_reads_or_writes_the_text_of_a_setting() {
        fn look(folder: &std::path::Path, raw: &mut Vec<String>) {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() && !path.ends_with("src/storage") {
                    look(&path, raw);
                } else if path.extension().is_some_and(|ending| ending == "rs") {
                    let text = std::fs::read_to_string(&path).unwrap();
                    let lines = text.lines().filter(|line| line.contains(".state(") || line.contains(".set_state("));
                    raw.extend(lines.map(|line| format!("{}: {}", path.display(), line.trim())));
                }
            }
        }
        let mut raw = Vec::new();
        look(&std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut raw);
        assert!(raw.is_empty(), "a Setting is the way to these:\n{}", raw.join("\n"));
    }
}
