//! The local list of sites and stores, for a central server without a legacy server.

mod restored;

use std::sync::Arc;

use serde::Serialize;

use super::auth::local::stored_secret;
use super::store_records;
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::integrate::is_code_of_system;
use crate::protocol::PasswordHash;
use crate::record::{RecordData, RecordId, SiteId, StoreId, TableName};
use crate::role::Role;
use crate::storage::state::{RemovedSite, StoredJson};
use crate::storage::{SiteEntry, Storage, WriteTxn, note_act, state};
use crate::text::sentences::input;
use crate::text::{argument, quoted};
use crate::write;
use crate::write::Origin;
use crate::write::moved_stores;
use crate::write::restored_site::SiteRestore;

/// The number of the central server's own site in its local list.
const OWN_SITE: SiteId = SiteId(1);

/// The longest accepted names and codes.
const TEXT_MAX: usize = 255;

/// A store of the local list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Store {
    /// Its id.
    #[serde(rename = "store_id")]
    pub id: StoreId,
    /// Its code.
    #[serde(rename = "store_code")]
    pub code: String,
    /// The name of its name record.
    pub name: String,
    /// The site on which it is active.
    #[serde(rename = "site_id")]
    pub site: Option<i64>,
}

/// Who keeps the list of sites of a central server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SiteList {
    /// The database itself, because its first site was added there.
    Local,
    /// The legacy server at which the database was set up.
    Legacy,
}

impl SiteList {
    /// Who keeps the list for this database; `None` if it is not a central server's yet.
    ///
    /// # Errors
    /// The database failed.
    pub(crate) fn of(storage: &dyn Storage) -> Result<Option<Self>> {
        let txn = storage.read()?;
        if state::LEGACY_URL.is_set(txn.as_ref())? {
            return Ok(Some(Self::Legacy));
        }
        let is_central = state::role(txn.as_ref())? == Some(Role::Central);
        Ok(is_central.then_some(Self::Local))
    }
}

/// The local list of sites and stores. A database that has one is that of a central server without a legacy server.
pub struct SiteRegistry {
    storage: Arc<dyn Storage>,
    clock: Arc<dyn Clock>,
    /// True for a command that does several of these things, which are one entry of the log.
    is_noted: bool,
}

impl std::fmt::Debug for SiteRegistry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SiteRegistry")
    }
}

impl SiteRegistry {
    /// Opens the list, and turns a new database into that of a central server.
    ///
    /// # Errors
    /// [`Error::WrongRole`] if the database is a remote site's; [`Error::LegacyKeepsSites`] if a legacy server keeps
    /// the list, which may give out any number.
    pub(crate) fn open(storage: Arc<dyn Storage>, clock: Arc<dyn Clock>) -> Result<Self> {
        let role = state::role(storage.read()?.as_ref())?;
        match role {
            Some(Role::Central)
                if SiteList::of(storage.as_ref())? == Some(SiteList::Legacy) && !planted!(NumbersGivenTwice) =>
            {
                return Err(Error::LegacyKeepsSites);
            }
            Some(Role::Central) => {}
            Some(Role::Remote) => {
                return Err(Error::WrongRole { needed: "central server", found: "remote site" });
            }
            None => {
                let txn = storage.write()?;
                if state::LEGACY_URL.is_set(txn.as_ref())? {
                    return Err(Error::WrongRole { needed: "central server", found: "site that is being set up" });
                }
                state::ROLE.set(txn.as_ref(), Role::Central)?;
                state::SITE_ID.set(txn.as_ref(), OWN_SITE)?;
                state::SITE_UUID.set(txn.as_ref(), uuid::Uuid::new_v4().to_string())?;
                txn.commit()?;
            }
        }
        Ok(Self { storage, clock, is_noted: false })
    }

    /// The same list for a command that does several of these things, such as the import of a table: they are one entry of the log, which
    /// is added now and says what the command does. One for each of hundreds of rows would push the older entries out of the log.
    ///
    /// # Errors
    /// The database failed.
    pub fn by_command(self, command: impl Into<String>, does: impl Into<String>) -> Result<Self> {
        let txn = self.storage.write()?;
        note_act(txn.as_ref(), self.clock.now(), command.into(), does.into())?;
        txn.commit()?;
        Ok(Self { is_noted: true, ..self })
    }

    /// Adds a change to the log, with the command that made it.
    fn note(&self, txn: &dyn WriteTxn, command: String, changed: String) -> Result<()> {
        if self.is_noted { Ok(()) } else { note_act(txn, self.clock.now(), command, changed) }
    }

    /// Gives a site a new password. Its next sign-in needs it.
    ///
    /// # Errors
    /// There is no such site, or the password is too long.
    pub fn set_password(&self, name: &str, password: &PasswordHash) -> Result<SiteEntry> {
        let secret = stored_secret(password)?;
        let txn = self.storage.write()?;
        let entry = SiteEntry { secret, ..named(txn.as_ref(), name)? };
        txn.central()?.put_site(&entry)?;
        let changed = format!("site {} ({name}) has a new password", entry.id);
        self.note(txn.as_ref(), format!("site set-password {}", argument(name)), changed)?;
        txn.commit()?;
        Ok(entry)
    }

    /// Adds a site with a new number; an existing one gets the new password. A site that was [removed](Self::remove) comes back
    /// with the number and the UUID that it had, so that its database may send what it has not sent yet.
    ///
    /// # Errors
    /// The name or the password is empty or too long, or the name has a colon.
    pub fn add(&self, name: &str, password: &PasswordHash) -> Result<SiteEntry> {
        Self::check_name(name)?;
        let secret = stored_secret(password)?;
        let txn = self.storage.write()?;
        let known = txn.central()?.site_named(name)?;
        let removed = state::removed_site(name).get(txn.as_ref())?.map(|StoredJson(removed)| removed);
        let (entry, what) = match (known, removed) {
            (Some(known), _) => (SiteEntry { secret, ..known }, "has a new password"),
            (None, Some(RemovedSite { id, uuid, last_pull_at })) => {
                // As after a reset of its machine: whichever copy of its database comes first goes on.
                super::copied_databases::open_to_all(txn.as_ref(), id)?;
                state::removed_site(name).set(txn.as_ref(), None)?;
                (SiteEntry { id, uuid, name: name.to_owned(), secret, hardware_id: None, last_pull_at }, "is back")
            }
            (None, None) => {
                let id = SiteId(highest_site(txn.as_ref())?.0 + 1);
                state::HIGHEST_SITE.set(txn.as_ref(), id)?;
                let uuid = uuid::Uuid::new_v4().simple().to_string().to_uppercase();
                let name = name.to_owned();
                (SiteEntry { id, uuid, name, secret, hardware_id: None, last_pull_at: None }, "is new")
            }
        };
        txn.central()?.put_site(&entry)?;
        let changed = format!("site {} ({name}) {what}", entry.id);
        self.note(txn.as_ref(), format!("site add {}", argument(name)), changed)?;
        txn.commit()?;
        Ok(entry)
    }

    /// All sites, by number.
    ///
    /// # Errors
    /// The database failed.
    pub fn list(&self) -> Result<Vec<SiteEntry>> {
        self.storage.read()?.central()?.sites()
    }

    /// The number that a site had when it was [removed](Self::remove), and gets when it is [added](Self::add) again; `None` if no site of
    /// this name was removed, or it is back.
    ///
    /// # Errors
    /// The database failed.
    pub fn removed(&self, name: &str) -> Result<Option<SiteId>> {
        let removed = state::removed_site(name).get(self.storage.read()?.as_ref())?;
        Ok(removed.map(|StoredJson(removed)| removed.id))
    }

    /// The number of records withheld from a site because its release cannot read them.
    ///
    /// # Errors
    /// The database failed.
    pub fn withheld(&self, site: SiteId) -> Result<u64> {
        super::v6::withheld::count_withheld(self.storage.as_ref(), site)
    }

    /// Removes a site; its records stay. Its number and its UUID stay known under its name, for when it is [added](Self::add) again.
    ///
    /// # Errors
    /// There is no such site, or stores are still active on it.
    pub fn remove(&self, name: &str) -> Result<()> {
        let txn = self.storage.write()?;
        let site = named(txn.as_ref(), name)?;
        let stores = txn.stores_of_site(site.id)?;
        if !stores.is_empty() {
            let (name, named) = (quoted(name), write::named_stores(txn.as_ref(), &stores)?);
            return Err(Error::bad_input(match stores.len() {
                1 => input::store_still_active(name, named),
                count => input::stores_still_active(count, name, named),
            }));
        }
        let changed = format!("site {} ({name}) is removed", site.id);
        self.forget(txn.as_ref(), site)?;
        self.note(txn.as_ref(), format!("site remove {}", argument(name)), changed)?;
        txn.commit()
    }

    /// Moves all stores of a site to another one, in one transaction. Returns their number.
    ///
    /// # Errors
    /// There is no such site, or both are the same.
    pub fn move_stores(&self, from: &str, to: &str) -> Result<usize> {
        let now = self.clock.now();
        let txn = self.storage.write()?;
        let (from, to) = (named(txn.as_ref(), from)?, named(txn.as_ref(), to)?);
        if from.id == to.id {
            return Err(Error::bad_input(input::stores_to_same_site(quoted(&to.name))));
        }
        let table = TableName::from("store");
        let stores = txn.stores_of_site(from.id)?;
        if stores.is_empty() {
            return Ok(0);
        }
        for id in &stores {
            let id = RecordId::from(id.as_str());
            if let Some(data) = txn.record(&table, &id)? {
                let moved = with_keys(&data, [("sync_id_remote_site", to.id.0.into())]);
                write::upsert_with_fanout(txn.as_ref(), &table, &id, &moved, Origin::Local, now)?;
            }
        }
        let changed = format!("{} stores of site {} are active on site {}", stores.len(), from.id, to.id);
        let command = format!("site remove {} --move-stores-to {}", argument(&from.name), argument(&to.name));
        self.note(txn.as_ref(), command, changed)?;
        txn.commit()?;
        // The stores have moved in any case: if this fails, the next integration continues it.
        let _ = moved_stores::relog_pending(self.storage.as_ref(), self.clock.as_ref());
        Ok(stores.len())
    }

    /// Frees a site from its machine: the next sign-in binds a new hardware id.
    ///
    /// # Errors
    /// There is no such site.
    pub fn reset_hardware(&self, name: &str) -> Result<()> {
        let txn = self.storage.write()?;
        let site = named(txn.as_ref(), name)?;
        super::copied_databases::open_to_all(txn.as_ref(), site.id)?;
        SiteRestore::note_new_database(txn.as_ref(), site.id)?;
        let changed = format!("site {} ({name}) may come from another machine", site.id);
        self.note(txn.as_ref(), format!("site reset-hardware {}", argument(name)), changed)?;
        txn.central()?.put_site(&SiteEntry { hardware_id: None, ..site })?;
        txn.commit()
    }

    /// Checks the name of a site that is to be [added](Self::add).
    ///
    /// # Errors
    /// [`Error::BadInput`]: it is empty or too long, or has a colon or a control character.
    pub fn check_name(name: &str) -> Result<()> {
        if !is_name(name) {
            return Err(Error::bad_input(input::site_name(TEXT_MAX)));
        }
        if name.contains(':') {
            return Err(Error::bad_input(input::colon_in_site_name(quoted(name))));
        }
        Ok(())
    }

    /// Checks the name and the code of a store that is to be [added](Self::add_store).
    ///
    /// # Errors
    /// [`Error::BadInput`]: one of them is empty or too long, or has a control character; or [no site takes](Self::check_code) a store
    /// with that code.
    pub fn check_store(name: &str, code: &str) -> Result<()> {
        if !is_name(name) || !is_name(code) {
            return Err(Error::bad_input(input::store_names(TEXT_MAX)));
        }
        Self::check_code(code)
    }

    /// Checks the code of a store that is to be added.
    ///
    /// # Errors
    /// [`Error::BadInput`]: `HIS`, `SM` and `DRG` are the codes of stores of the legacy server itself. Every site of Open mSupply leaves a
    /// store with such a code out, so nobody could work in it.
    pub fn check_code(code: &str) -> Result<()> {
        if is_code_of_system(code) { Err(Error::bad_input(input::store_of_system(code))) } else { Ok(()) }
    }

    /// Adds a store that is active on a site, and its name record. An existing store moves to that site; where nothing differs, nothing is
    /// written.
    ///
    /// # Errors
    /// There is no such site, the name or code is empty or too long, or [no site takes](Self::check_code) a store with that code.
    pub fn add_store(&self, name: &str, code: &str, site: &str, id: Option<StoreId>) -> Result<StoreId> {
        Self::check_store(name, code)?;
        if id.as_ref().is_some_and(|id| !is_name(id.as_str())) {
            return Err(Error::bad_input(input::store_names(TEXT_MAX)));
        }
        let now = self.clock.now();
        let new_id = || uuid::Uuid::new_v4().simple().to_string().to_uppercase();
        let store_id = id.unwrap_or_else(|| StoreId::new(new_id()));
        let txn = self.storage.write()?;
        let site = named(txn.as_ref(), site)?;
        let (stores, names) = (TableName::from("store"), TableName::from("name"));
        let before = txn.record(&stores, &RecordId::from(store_id.as_str()))?;
        let kept_name =
            before.as_ref().and_then(|data| data.fields()?.text("name_ID").map(std::borrow::Cow::into_owned));
        let name_id = kept_name.unwrap_or_else(new_id);
        let today = now.to_string();
        let new_store = || {
            RecordData::of(&serde_json::json!({
                "ID": store_id, "name_ID": name_id, "logo": "", "store_mode": "dispensary",
                "created_date": today.get(..10), "disabled": false,
            }))
        };
        let store = with_keys(
            &before.clone().unwrap_or_else(new_store),
            [("code", code.into()), ("sync_id_remote_site", site.id.0.into())],
        );
        let known = txn.record(&names, &RecordId::from(name_id.as_str()))?;
        let named = with_keys(
            &known.clone().unwrap_or_else(|| name_record(&name_id, name, code)),
            [("name", name.into()), ("code", code.into())],
        );
        let is_as_before =
            |before: &Option<RecordData>, now| before.as_ref().is_some_and(|before| before.same_value(now));
        if is_as_before(&before, &store) && is_as_before(&known, &named) {
            return Ok(store_id);
        }
        let write = |table: &TableName, id: &str, data: &RecordData| {
            write::upsert_with_fanout(txn.as_ref(), table, &id.into(), data, Origin::Local, now)
        };
        write(&names, &name_id, &named)?;
        write(&stores, store_id.as_str(), &store)?;
        let changed = format!("store {store_id} is active on site {} ({})", site.id, site.name);
        let (name, code, to, id) = (argument(name), argument(code), argument(&site.name), argument(store_id.as_str()));
        self.note(txn.as_ref(), format!("store add {name} --code {code} --site {to} --id {id}"), changed)?;
        txn.commit()?;
        // The store has moved in any case: if this fails, the next integration continues it.
        let _ = moved_stores::relog_pending(self.storage.as_ref(), self.clock.as_ref());
        Ok(store_id)
    }

    /// Removes a store to which no record belongs, as one that was made by mistake; its name record stays, because records of
    /// other stores may name it. Sites hear of it with their next pull.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::BadInput`]: records belong to the store. The database failed.
    pub fn remove_store(&self, id: &StoreId) -> Result<()> {
        let now = self.clock.now();
        let (stores, record) = (TableName::from("store"), RecordId::from(id.as_str()));
        let txn = self.storage.write()?;
        let Some(store) = txn.record(&stores, &record)? else {
            return Err(Error::not_found("store", id.as_str()));
        };
        if store_records::any(txn.as_ref(), id, write::site_in(&store))? {
            return Err(Error::bad_input(input::store_has_records(quoted(id.as_str()))));
        }
        write::delete(txn.as_ref(), &stores, &record, Origin::Local, now)?;
        self.note(txn.as_ref(), format!("store remove {}", argument(id.as_str())), format!("store {id} is removed"))?;
        txn.commit()
    }
}

/// All stores that a central server knows, by id, from either list.
///
/// # Errors
/// The database failed.
pub(crate) fn stores(storage: &dyn Storage) -> Result<Vec<Store>> {
    let txn = storage.read()?;
    let mut stores = Vec::new();
    for (id, data) in txn.records(&TableName::from("store"), None, usize::MAX >> 1)? {
        let (name, code) = write::name_and_code(txn.as_ref(), &data)?;
        stores.push(Store { id: StoreId::from(id.as_str()), code, name, site: write::site_in(&data) });
    }
    Ok(stores)
}

/// True if a site or a store can have this name, code or id.
fn is_name(text: &str) -> bool {
    !text.is_empty() && text.len() <= TEXT_MAX && !text.chars().any(char::is_control)
}

/// The highest number that any site had: records of a removed site keep its number.
fn highest_site(txn: &dyn WriteTxn) -> Result<SiteId> {
    let known = state::HIGHEST_SITE.find(txn)?;
    Ok(txn.central()?.sites()?.iter().map(|site| site.id).chain(known).fold(OWN_SITE, SiteId::max))
}

fn named(txn: &dyn WriteTxn, name: &str) -> Result<SiteEntry> {
    if let Some(site) = txn.central()?.site_named(name)? {
        return Ok(site);
    }
    let all = txn.central()?.sites()?;
    Err(Error::not_found_among("site", name, all.iter().map(|site| site.name.as_str())))
}

/// A record with these keys changed; the others stay as they are.
fn with_keys<const N: usize>(data: &RecordData, keys: [(&str, serde_json::Value); N]) -> RecordData {
    let fields = data.fields();
    let kept = fields.iter().flat_map(|fields| fields.iter()).map(|(key, value)| (key, RecordData::of(&value)));
    let changed = keys.iter().map(|(key, value)| (*key, RecordData::of(value)));
    RecordData::of(&kept.chain(changed).collect::<std::collections::BTreeMap<_, _>>())
}

/// A name record of a store with all keys that readers need (quirk W8).
fn name_record(id: &str, name: &str, code: &str) -> RecordData {
    let mut keys = serde_json::json!({
        "ID": id, "name": name, "code": code, "type": "store", "customer": true, "supplier": true, "female": false,
        "manufacturer": false, "donor": false, "hold": false, "isDeceased": false, "date_of_birth": null,
        "created_date": null, "om_created_datetime": null, "om_gender": null,
    });
    let empty = [
        "supplying_store_id",
        "first",
        "last",
        "phone",
        "charge code",
        "comment",
        "country",
        "bill_address1",
        "bill_address2",
        "email",
        "url",
        "NEXT_OF_KIN_ID",
        "next_of_kin_relative",
        "national_health_number",
    ];
    if let Some(keys) = keys.as_object_mut() {
        keys.extend(empty.map(|key| (key.to_owned(), serde_json::Value::from(""))));
    }
    RecordData::of(&keys)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::record_type;

    #[test]
    fn the_name_of_a_store_is_a_valid_name() {
        let kind = record_type("name").unwrap();
        assert!(kind.check(&name_record("N", "Kamu", "KAMU")).is_ok());
    }

    #[test]
    fn other_keys_of_a_changed_record_stay_exactly() {
        let data = RecordData::parse(r#"{"a":1.50,"b":"x","logo":null}"#).unwrap();
        assert_eq!(
            with_keys(&data, [("b", 2.into()), ("c", "n".into())]).as_str(),
            r#"{"a":1.50,"b":2,"c":"n","logo":null}"#
        );
    }
}
