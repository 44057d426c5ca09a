//! The central server's own site at the legacy server: has a patient shown here whom a site links to one of its stores, as
//! Open mSupply's central server does (`protocol-v6` §8.7).

use std::time::Duration;

use crate::error::{Error, Result};
use crate::protocol::v5::{MadeJoin, NewJoin, path};
use crate::record::{NameId, RecordId, StoreId, TableName};
use crate::site::Site;
use crate::site::client::Client;
use crate::site::cycle::SyncOptions;
use crate::site::identity::Identity;
use crate::site::observer::NoopObserver;
use crate::text::sentences::input;

/// How long it is waited for the patient to arrive.
const WAIT: Duration = Duration::from_secs(30);

/// How long between two looks whether the patient has arrived.
const PAUSE: Duration = Duration::from_secs(1);

impl Site {
    /// Has the legacy server show a patient to a store of this central server, and synchronises until the patient is here, or
    /// for half a minute; says whether the patient is.
    ///
    /// # Errors
    /// [`Error::BadInput`] where no store is active on the central server itself; every way in which the legacy server may not
    /// be reached or may refuse; the database failed.
    pub fn bring_patient(&self, patient: &NameId) -> Result<bool> {
        let identity = Identity::load(self.storage.read()?.as_ref(), &self.machine)?;
        let store_id = self.store_for_patients(&identity)?;
        let began = self.clock.monotonic();
        let mut silent = NoopObserver;
        let mut client = Client::new(self.transport.as_ref(), self.clock.as_ref(), &self.config, &mut silent);
        let join = NewJoin { name_id: patient.clone(), store_id };
        client.legacy_post::<MadeJoin>(&identity, path::NAME_STORE_JOIN, &join)?;
        loop {
            match self.sync(&SyncOptions::default(), &mut NoopObserver) {
                // The cycle that runs may bring the patient.
                Ok(_) | Err(Error::CycleRunning { .. }) => {}
                Err(error) => return Err(error),
            }
            if self.storage.read()?.has_record(&TableName::from("name"), &RecordId::from(patient.as_str()))? {
                return Ok(true);
            }
            if self.clock.monotonic().saturating_sub(began) >= WAIT {
                return Ok(false);
            }
            self.clock.sleep(PAUSE);
        }
    }

    /// The store of the central server itself to which patients are shown: always the same one.
    fn store_for_patients(&self, identity: &Identity) -> Result<StoreId> {
        let txn = self.storage.read()?;
        let stores = identity.site_id.map_or_else(|| Ok(Vec::new()), |site| txn.stores_of_site(site))?;
        stores.into_iter().next().ok_or_else(|| Error::bad_input(input::no_store_of_central()))
    }
}
