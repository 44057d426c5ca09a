//! Patients who are linked to stores, and asked for, as staff of a store do whose patient comes from elsewhere.

use serde_json::json;
use sync_core::SyncReport;
use sync_core::record::NameId;
use sync_core::storage::state;
use sync_testkit::legacy_server::rows;

use super::Aim;
use crate::lock;
use crate::promises::Promise;
use crate::run::{Chance, Sim};

impl Sim {
    /// Somebody at a site asks for a patient, or links one to a store of the site.
    pub(super) fn care_for_a_patient(&self) {
        let Some(legacy) = &self.legacy else { return };
        let site = 1 + self.roll(Chance::Aim, self.ends.len() - 1);
        let patient = format!("patient-{}", self.roll(Chance::Aim, 6));
        if legacy.server.row("name", &patient).is_none() || !self.has_begun(site) {
            return;
        }
        if self.happens(Chance::Aim, 400) {
            self.note(|| format!("site {site} asks for {patient}"));
            self.cycle_by(site, &|site, observer| site.pull_patient(&NameId::from(patient.as_str()), observer));
            return;
        }
        let stores = self.own_stores(site);
        if !stores.is_empty() {
            self.link(site, &patient, &stores[self.roll(Chance::Aim, stores.len())]);
        }
    }

    /// Whether a site has read what it needs before it asks for a patient.
    fn has_begun(&self, site: usize) -> bool {
        let storage = self.ends[site].process().raw;
        storage.read().and_then(|txn| state::INITIALISED_AT.is_set(txn.as_ref())).unwrap_or(false)
    }

    fn link(&self, site: usize, patient: &str, store: &str) -> Option<SyncReport> {
        self.note(|| format!("site {site} links {patient} to {store}"));
        // Told first: the site may see the patient while this is under way.
        lock(&self.ledger).joins_of_staff.push((patient.to_owned(), store.to_owned()));
        let report = self.cycle_by(site, &|site, observer| site.link_patient(&patient.into(), &store.into(), observer));
        if let Some(legacy) = &self.legacy {
            lock(&legacy.book).was_linked(patient, store);
        }
        report
    }

    /// Tells the judge of joins that the legacy server made because a site asked for them.
    pub(super) fn book_joins(&self) {
        let Some(legacy) = self.legacy.as_ref().filter(|_| self.aims_at(Aim::Patients)) else { return };
        let joins = legacy.server.rows().into_iter().filter(|row| row.table == "name_store_join");
        for row in joins {
            let key = ("name_store_join".to_owned(), row.id.clone());
            let is_new = lock(&legacy.book).versions.of(&key).next().is_none();
            if let Some(data) = legacy.server.row(&key.0, &key.1).filter(|_| is_new) {
                lock(&legacy.book).wrote(crate::legacy::STAFF, key, None, Some(data.to_string()));
            }
        }
    }

    /// Once nothing fails any more, each site links a patient whom nobody but the legacy server knows, and has the patient
    /// then. Says whether all was well.
    pub(crate) fn link_in_quiet(&self) -> bool {
        let Some(legacy) = self.legacy.as_ref().filter(|_| self.aims_at(Aim::Patients)) else { return true };
        for site in 1..self.ends.len() {
            let stores = self.own_stores(site);
            let Some(store) = stores.first() else { continue };
            let patient = format!("patient-linked-{site}");
            let row = rows::patient(&patient, &patient, "Late", "Patient", "1990-01-01");
            legacy.put_row(("name".to_owned(), patient.clone()), json!(row));
            let linked = self.link(site, &patient, store);
            let asked =
                self.cycle_by(site, &|site, observer| site.pull_patient(&NameId::from(patient.as_str()), observer));
            for report in [linked, asked] {
                let Some(report) = report else { return false };
                if let Some(error) = report.error {
                    let what = format!("site {site} cannot link {patient} where nothing fails: {error}");
                    self.violate(Promise::ErrorsAreSaid, what);
                }
            }
            let storage = self.ends[site].process().raw;
            let is_here = storage
                .read()
                .and_then(|txn| txn.has_record(&"name".into(), &patient.as_str().into()))
                .unwrap_or(false);
            if !is_here {
                self.violate(Promise::QuietMeansEqual, format!("site {site} linked {patient}, and does not have them"));
            }
        }
        !self.is_broken() && self.converge()
    }
}
