//! Finding a patient at the legacy server, and linking the patient to a store of this site (`protocol-v5` §11,
//! `protocol-v6` §8.7). A link takes a step at each server, then the patient's records are fetched. Each finished step
//! is stored, so that the next cycle continues after an interruption (weak point A18).

use serde::{Deserialize, Serialize};
use url::Url;

use crate::address::shown;
use crate::error::{Error, ErrorClass, Result, Server};
use crate::ownership::Refusal;
use crate::protocol::v5::{self, FoundPatient, MadeJoin, NewJoin, PatientQuery};
use crate::protocol::v6::NameStoreJoinRequest;
use crate::record::{NameId, RecordData, RecordId, StoreId, is_written_date, portable};
use crate::site::Site;
use crate::site::cycle::{Cycle, SyncOptions};
use crate::site::identity::Identity;
use crate::site::observer::{Step, SyncObserver};
use crate::site::report::SyncReport;
use crate::storage::state::{JsonList, Setting};
use crate::storage::{ReadTxn, WriteTxn, state};
use crate::text::sentences::{cycle as says, error_detail, input};
use crate::text::{Message, quoted};

/// A patient who is being linked to a store, and the state of the link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Link {
    patient: NameId,
    store: StoreId,
    /// The join, once the legacy server made it.
    #[serde(default)]
    join: Option<RecordId>,
    /// True once central has it too; then only the patient's records are missing.
    #[serde(default)]
    is_at_central: bool,
}

impl Link {
    fn is_of(&self, other: &Self) -> bool {
        self.patient == other.patient && self.store == other.store
    }
}

const LINKS: Setting<JsonList<Link>> = state::links();

fn load(txn: &dyn ReadTxn) -> Result<Vec<Link>> {
    Ok(LINKS.get(txn)?.0)
}

fn store(txn: &dyn WriteTxn, links: &[Link]) -> Result<()> {
    LINKS.set(txn, links.to_vec())
}

impl Site {
    /// Finds patients at the legacy server, whether this site sees them or not. Stores nothing.
    ///
    /// # Errors
    /// [`Error::BadInput`] if the search is empty or the date of birth is invalid; [`Error::NotSetUp`]; every error of
    /// the connection to the legacy server or of its answer.
    pub fn find_patients(&self, query: &PatientQuery, observer: &mut dyn SyncObserver) -> Result<Vec<FoundPatient>> {
        if query.is_empty() {
            return Err(Error::bad_input(input::nobody_searched_for()));
        }
        // A server compares it as text.
        if let Some(born) = query.date_of_birth.as_ref().filter(|born| !is_written_date(born)) {
            return Err(Error::bad_input(input::no_date(quoted(born))));
        }
        let identity = Identity::load(self.storage.read()?.as_ref(), &self.device)?;
        let mut client = self.client(observer);
        let path = format!("{}?{}", v5::path::PATIENT, query.to_query());
        let found: Vec<RecordData> = client.legacy_get(&identity, &path)?;
        Ok(found.iter().filter_map(FoundPatient::read).collect())
    }

    /// Links a patient to a store of this site, at the legacy server and at central, and fetches the patient's records.
    /// Failures are in the report; this call or the next cycle continues unfinished links, unless the legacy server
    /// refused them. Linking twice is the same as once.
    ///
    /// # Errors
    /// It could not begin: as [`pull_patient`](Self::pull_patient), and [`Error::NotAllowed`] for a store that is not
    /// active here.
    pub fn link_patient(&self, patient: &NameId, to: &StoreId, observer: &mut dyn SyncObserver) -> Result<SyncReport> {
        self.may_ask_for_patient()?;
        let link = Link { patient: patient.clone(), store: to.clone(), join: None, is_at_central: false };
        let txn = self.storage.write()?;
        let own = match crate::storage::state::site_id(txn.as_ref())? {
            Some(site) => txn.stores_of_site(site)?,
            None => Vec::new(),
        };
        if !own.contains(to) {
            return Err(Refusal::StoreNotActiveHere { table: "name_store_join".to_owned() }.into());
        }
        let mut links = load(txn.as_ref())?;
        if !links.iter().any(|known| known.is_of(&link)) {
            links.push(link.clone());
            store(txn.as_ref(), &links)?;
        }
        txn.commit()?;
        self.cycle(&SyncOptions::default(), observer, |cycle| cycle.run_to_link(&link))
    }

    /// Gives up a link that is not finished, for one that a server refuses for ever: no cycle continues it any more. What
    /// was done of it stays. Returns false if there is no such link.
    ///
    /// # Errors
    /// The database failed.
    pub fn give_up_link(&self, patient: &NameId, to: &StoreId) -> Result<bool> {
        let txn = self.storage.write()?;
        let mut links = load(txn.as_ref())?;
        let before = links.len();
        links.retain(|link| link.patient != *patient || link.store != *to);
        let is_given_up = links.len() < before;
        if is_given_up {
            store(txn.as_ref(), &links)?;
        }
        txn.commit()?;
        Ok(is_given_up)
    }
}

impl Cycle<'_, '_> {
    /// Runs only the steps that link one patient and fetch the patient's records.
    fn run_to_link(&mut self, link: &Link) {
        self.report.patient = Some(link.patient.clone());
        let Some(central) = self.step_value(|cycle| cycle.identity.central_url()) else { return };
        if self.step_value(|cycle| cycle.confirm_before_pull(&central)) != Some(true) {
            return;
        }
        if self.step(Step::LinkPatient, |cycle| cycle.make_joins(&central, link)).is_some() {
            return;
        }
        // The legacy server has queued the patient's name and its other records of the patient.
        if self.step(Step::PullRemote, Self::read_legacy_queue).is_some() {
            return;
        }
        if self.step(Step::PullPatient, |cycle| cycle.fetch_linked(&central, link)).is_none() {
            self.step(Step::Integrate, Self::integrate);
        }
    }

    /// True if links of patients are pending.
    pub(crate) fn links_are_open(&self) -> Result<bool> {
        Ok(!load(self.site.storage.read()?.as_ref())?.is_empty())
    }

    /// Continues interrupted links. One that fails again delays no other. One to a store that is no longer active here
    /// ends: both servers would refuse it for ever.
    pub(crate) fn go_on_with_joins(&mut self, central: &Url) -> Result<()> {
        let (links, own) = {
            let txn = self.site.storage.read()?;
            let own = self.identity.site_id.map_or_else(|| Ok(Vec::new()), |site| txn.stores_of_site(site))?;
            (load(txn.as_ref())?, own)
        };
        for link in links {
            if !own.contains(&link.store) {
                self.drop_link(&link)?;
                self.warn(says::link_ended(link.patient.to_string(), link.store.to_string()))?;
                continue;
            }
            let made = self.make_joins(central, &link);
            self.or_later(&link, made)?;
        }
        Ok(())
    }

    /// Fetches the records of patients whose links are made.
    pub(crate) fn fetch_all_linked(&mut self, central: &Url) -> Result<()> {
        let links = load(self.site.storage.read()?.as_ref())?;
        for link in links.into_iter().filter(|link| link.is_at_central) {
            let fetched = self.fetch_linked(central, &link);
            self.or_later(&link, fetched)?;
        }
        Ok(())
    }

    /// Reports a failure, unless it ends the cycle.
    fn or_later(&mut self, link: &Link, done: Result<()>) -> Result<()> {
        match done {
            Err(error) if !matches!(error.class(), ErrorClass::Cancelled | ErrorClass::LocalFault) => {
                let is_left = load(self.site.storage.read()?.as_ref())?.iter().any(|known| known.is_of(link));
                let (patient, store, reason) = (link.patient.to_string(), link.store.to_string(), Message::of(&error));
                self.warn(match is_left {
                    true => says::link_waits(patient, store, reason),
                    false => says::link_refused(patient, store, reason),
                })
            }
            done => done,
        }
    }

    /// Joins the patient to the store at the legacy server, then at central under the same id.
    fn make_joins(&mut self, central: &Url, link: &Link) -> Result<()> {
        let Some(mut link) = load(self.site.storage.read()?.as_ref())?.into_iter().find(|known| known.is_of(link))
        else {
            return Ok(());
        };
        let join = match link.join.clone() {
            Some(join) => join,
            None => {
                let join = self.join_at_legacy(&link)?;
                link.join = Some(join.clone());
                self.keep_link(&link)?;
                join
            }
        };
        if !link.is_at_central {
            let question = NameStoreJoinRequest {
                id: join,
                name_id: link.patient.clone(),
                store_id: link.store.clone(),
                sync_v5_settings: self.identity.credentials(),
            };
            self.client.central_join(&self.identity, central, &question)?;
            link.is_at_central = true;
            self.keep_link(&link)?;
        }
        Ok(())
    }

    fn join_at_legacy(&mut self, link: &Link) -> Result<RecordId> {
        let join = NewJoin { name_id: link.patient.clone(), store_id: link.store.clone() };
        let made = self.client.legacy_join(&self.identity, &join);
        let made = made.and_then(|made| self.checked_join(&join, made));
        // It will refuse again, so this link ends here. What answers in its place, such as the log-in page of a network, does not.
        if let Err(Error::Refused { .. } | Error::PeerError { server: Server::Legacy, .. }) = made {
            self.drop_link(link)?;
        }
        made.map(|made| made.id)
    }

    /// The join, if central can be asked for it, and if it is of this patient and this store where the answer names them.
    fn checked_join(&self, asked: &NewJoin, made: MadeJoin) -> Result<MadeJoin> {
        if made.name_id.as_ref().is_some_and(|name| *name != asked.name_id)
            || made.store_id.as_ref().is_some_and(|store| *store != asked.store_id)
        {
            return Err(Error::PeerError { server: Server::Legacy, detail: error_detail::another_join().into() });
        }
        let is_usable = (1..=RecordId::BYTES_MAX).contains(&made.id.as_str().len())
            && portable::admit(&"name_store_join".into(), &made.id, None).is_ok();
        if !is_usable {
            let (server, url) = (Server::Legacy, shown(&self.identity.legacy_url));
            return Err(Error::UnreadableAnswer { server, url, detail: error_detail::unusable_join().into() });
        }
        Ok(made)
    }

    fn fetch_linked(&mut self, central: &Url, link: &Link) -> Result<()> {
        self.pull_patient(central, &link.patient)?;
        let (table, id) = ("name".into(), RecordId::from(link.patient.as_str()));
        let is_here = {
            let txn = self.site.storage.read()?;
            txn.has_record(&table, &id)? || !txn.buffered_versions(&table, &id)?.is_empty()
        };
        match is_here {
            true => self.drop_link(link),
            false => self.warn(says::patient_not_sent(
                link.patient.to_string(),
                link.store.to_string(),
                self.client.named(Server::Legacy),
            )),
        }
    }

    fn keep_link(&self, link: &Link) -> Result<()> {
        let txn = self.site.storage.write()?;
        let mut links = load(txn.as_ref())?;
        if let Some(known) = links.iter_mut().find(|known| known.is_of(link)) {
            *known = link.clone();
        }
        store(txn.as_ref(), &links)?;
        txn.commit()
    }

    fn drop_link(&self, link: &Link) -> Result<()> {
        let txn = self.site.storage.write()?;
        let mut links = load(txn.as_ref())?;
        links.retain(|known| !known.is_of(link));
        store(txn.as_ref(), &links)?;
        txn.commit()
    }
}
