//! The list after a restore: sites and stores that the backup does not know.

use std::collections::{HashMap, HashSet};

use super::{OWN_SITE, SiteRegistry, highest_site, is_name};
use crate::central::auth::local::stored_secret;
use crate::central::copied_databases::open_to_all;
use crate::central::store_records;
use crate::central::v6::push::close_open_push;
use crate::error::{Error, Result};
use crate::protocol::PasswordHash;
use crate::record::{RecordData, RecordId, SiteId, StoreId, TableName};
use crate::storage::state::{RemovedSite, StoredJson};
use crate::storage::{ReadTxn, SiteEntry, WriteTxn, state};
use crate::text::sentences::input;
use crate::text::{argument, quoted};
use crate::write::{self, Origin, moved_stores};

/// The list of a copy.
struct ListOfCopy {
    sites: Vec<SiteEntry>,
    highest: Option<SiteId>,
    stores: Vec<StoreOfCopy>,
}

struct StoreOfCopy {
    id: RecordId,
    data: RecordData,
    /// Its name record.
    name: Option<(RecordId, RecordData)>,
}

impl ListOfCopy {
    fn read(txn: &dyn ReadTxn) -> Result<Self> {
        let mut stores = Vec::new();
        for (id, data) in txn.records(&TableName::from("store"), None, usize::MAX >> 1)? {
            let name_id = data.fields().and_then(|fields| Some(RecordId::from(&*fields.text("name_ID")?)));
            let name = match name_id {
                Some(name_id) => txn.record(&TableName::from("name"), &name_id)?.map(|name| (name_id, name)),
                None => None,
            };
            stores.push(StoreOfCopy { id, data, name });
        }
        Ok(Self { sites: txn.central()?.sites()?, highest: state::HIGHEST_SITE.find(txn)?, stores })
    }
}

/// Takes a site of a copy, in place of what is known of it; returns whether anything differs.
fn take_site(txn: &dyn WriteTxn, known: Option<SiteEntry>, site: &SiteEntry) -> Result<bool> {
    let last_pull_at = known.as_ref().and_then(|known| known.last_pull_at).or(site.last_pull_at);
    let taken = SiteEntry { last_pull_at, ..site.clone() };
    if known.as_ref() == Some(&taken) {
        return Ok(false);
    }
    txn.central()?.put_site(&taken)?;
    state::removed_site(&site.name).set(txn, None)?;
    Ok(true)
}

impl SiteRegistry {
    /// Makes the list as another copy of this database has it: the sites with their numbers, UUIDs, passwords and machines, and the stores with
    /// their names. It is for a restore, because only the replaced database knows the identity of a site that was added since the backup.
    /// What the copy lacks is removed here, except a store with records and a site with active stores.
    /// Returns the number of changes.
    ///
    /// # Errors
    /// One of the databases failed; nothing was changed.
    pub fn take_from(&self, copy: &SiteRegistry) -> Result<usize> {
        let list = ListOfCopy::read(copy.storage.read()?.as_ref())?;
        let txn = self.storage.write()?;
        let mut changes = 0;
        let sites = txn.central()?.sites()?;
        let mut known: HashMap<_, _> = sites.into_iter().map(|site| (site.id, site)).collect();
        for site in &list.sites {
            changes += usize::from(take_site(txn.as_ref(), known.remove(&site.id), site)?);
        }
        changes += self.take_stores(txn.as_ref(), &list)?;
        for gone in known.into_values() {
            if txn.stores_of_site(gone.id)?.is_empty() {
                self.forget(txn.as_ref(), gone)?;
                changes += 1;
            }
        }
        let highest = highest_site(txn.as_ref())?.max(list.highest.unwrap_or(OWN_SITE));
        state::HIGHEST_SITE.set(txn.as_ref(), highest)?;
        let changed = format!("the list of sites and stores is that of the former database: {changes} changes");
        self.note(txn.as_ref(), "restore --keep-sites".to_owned(), changed)?;
        txn.commit()?;
        // The stores have moved in any case: if this fails, the next integration continues it.
        let _ = moved_stores::relog_pending(self.storage.as_ref(), self.clock.as_ref());
        Ok(changes)
    }

    /// Takes the stores of a copy, and removes those that it lacks; returns the number of changes.
    fn take_stores(&self, txn: &dyn WriteTxn, list: &ListOfCopy) -> Result<usize> {
        let now = self.clock.now();
        let (stores, names) = (TableName::from("store"), TableName::from("name"));
        let put = |table: &TableName, id: &RecordId, data: &RecordData| -> Result<bool> {
            let is_same = txn.record(table, id)?.is_some_and(|known| known.same_value(data));
            if !is_same {
                write::upsert_with_fanout(txn, table, id, data, Origin::Local, now)?;
            }
            Ok(!is_same)
        };
        let mut changes = 0;
        for StoreOfCopy { id, data, name } in &list.stores {
            let is_renamed = name.as_ref().map_or(Ok(false), |(name_id, name)| put(&names, name_id, name))?;
            changes += usize::from(put(&stores, id, data)? || is_renamed);
        }
        let listed: HashSet<&RecordId> = list.stores.iter().map(|store| &store.id).collect();
        for (id, store) in txn.records(&stores, None, usize::MAX >> 1)? {
            if !listed.contains(&id) && !store_records::any(txn, &StoreId::from(id.as_str()), write::site_in(&store))? {
                write::delete(txn, &stores, &id, Origin::Local, now)?;
                changes += 1;
            }
        }
        Ok(changes)
    }

    /// Removes a site on which no store is active.
    pub(super) fn forget(&self, txn: &dyn WriteTxn, site: SiteEntry) -> Result<()> {
        state::HIGHEST_SITE.set(txn, highest_site(txn)?)?;
        txn.central()?.remove_site(site.id)?;
        let removed = RemovedSite { id: site.id, uuid: site.uuid, last_pull_at: site.last_pull_at };
        state::removed_site(&site.name).set(txn, Some(StoredJson(removed)))?;
        // Central accepted these records. Nobody sends the last batch of their push any more.
        close_open_push(txn, site.id, self.clock.now()).map(|_| ())
    }

    /// Adds a site with the number and the UUID that its database has, or gives them to the site of this name that has that number. For a
    /// site that was added after a backup, where the database that knew it is lost: a new UUID would make it another site, whose
    /// database is refused ([`Error::OtherSite`]).
    ///
    /// # Errors
    /// As [`add`](Self::add); [`Error::BadInput`]: the number is another site's or not a site's, the site of this name has another number,
    /// or the UUID is empty or another site's.
    pub fn add_known(&self, name: &str, password: &PasswordHash, (id, uuid): (SiteId, &str)) -> Result<SiteEntry> {
        Self::check_name(name)?;
        if id <= OWN_SITE || !is_name(uuid) {
            return Err(Error::bad_input(input::site_identity(OWN_SITE.0 + 1)));
        }
        let secret = stored_secret(password)?;
        let txn = self.storage.write()?;
        for site in txn.central()?.sites()? {
            let is_this = site.name == name;
            if (site.id == id || site.uuid == uuid) && !is_this {
                return Err(Error::bad_input(input::identity_taken(quoted(&site.name), site.id.to_string())));
            }
            if is_this && site.id != id {
                return Err(Error::bad_input(input::other_number(quoted(name), site.id.to_string())));
            }
        }
        let (name, uuid) = (name.to_owned(), uuid.to_owned());
        let site = SiteEntry { id, uuid, name, secret, hardware_id: None, last_pull_at: None };
        // As after a reset of its machine: whichever copy of its database comes first goes on.
        open_to_all(txn.as_ref(), id)?;
        txn.central()?.put_site(&site)?;
        state::removed_site(&site.name).set(txn.as_ref(), None)?;
        state::HIGHEST_SITE.set(txn.as_ref(), highest_site(txn.as_ref())?)?;
        let changed = format!("site {id} ({}) has the identity of its database", site.name);
        let command = format!("site add {} --number {id} --uuid {}", argument(&site.name), argument(&site.uuid));
        self.note(txn.as_ref(), command, changed)?;
        txn.commit()?;
        Ok(site)
    }
}
