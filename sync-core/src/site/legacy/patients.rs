//! For the central server's own site at the legacy server: when a site links a patient, the legacy server is asked to
//! show the patient here too, as Open mSupply's central server does (`protocol-v6` §8.7).

use std::time::Duration;

use crate::error::{Error, Result};
use crate::protocol::v5::NewJoin;
use crate::record::{NameId, RecordId, StoreId, TableName};
use crate::site::Site;
use crate::site::cycle::SyncOptions;
use crate::site::identity::Identity;
use crate::site::observer::NoopObserver;
use crate::text::sentences::input;

/// How long to wait for the patient to arrive.
const WAIT: Duration = Duration::from_secs(30);

/// The interval of checks whether the patient has arrived.
const PAUSE: Duration = Duration::from_secs(1);

impl Site {
    /// Asks the legacy server to join a patient to a store of this central server, and synchronises for up to half a
    /// minute until the patient is here; returns whether that succeeded.
    ///
    /// # Errors
    /// [`Error::BadInput`] if no store is active on the central server itself; every error of the connection to the
    /// legacy server or of its answer; the database failed.
    pub fn bring_patient(&self, patient: &NameId) -> Result<bool> {
        let identity = Identity::load(self.storage.read()?.as_ref(), &self.device)?;
        let store_id = self.store_for_patients(&identity)?;
        let began = self.clock.monotonic();
        let mut silent = NoopObserver;
        let mut client = self.client(&mut silent);
        let join = NewJoin { name_id: patient.clone(), store_id };
        client.legacy_join(&identity, &join)?;
        loop {
            match self.sync(&SyncOptions::default(), &mut NoopObserver) {
                // The running cycle may bring the patient.
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

    /// The store of the central server itself to which patients are joined: always the same one.
    fn store_for_patients(&self, identity: &Identity) -> Result<StoreId> {
        let txn = self.storage.read()?;
        let stores = identity.site_id.map_or_else(|| Ok(Vec::new()), |site| txn.stores_of_site(site))?;
        stores.into_iter().next().ok_or_else(|| Error::bad_input(input::no_store_of_central()))
    }
}
