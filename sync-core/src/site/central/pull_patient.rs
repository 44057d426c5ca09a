//! Pull of one patient (`protocol-v6` §8.2, §9.4): all V6 records of the patient, with a cursor of its own that begins
//! at 0 each time and is not stored. The site's own cursor does not move.

use url::Url;

use super::position::{Advance, Position};
use super::pull::{receive_from_central, request_batch};
use super::recovery::must_read_first;
use crate::error::{Error, Result, Server};
use crate::integrate::staging_what_fails;
use crate::protocol::v6::{PatientPullRequest, V6_VERSION, path};
use crate::record::{Cursor, NameId};
use crate::role::Role;
use crate::site::Site;
use crate::site::cycle::{Cycle, SyncOptions};
use crate::site::identity::Identity;
use crate::site::observer::{Step, SyncObserver};
use crate::site::report::SyncReport;
use crate::site::sizing::PullBatchSize;
use crate::storage::Source;
use crate::text::sentences::input;

/// The first release of Open mSupply whose central server has this request.
const SINCE: &str = "2.7.0";

impl Site {
    /// Pulls the records of one patient now, and integrates them like any pull: edits made here stay, and go out with
    /// the next push. Central sends them only if the patient is visible on the site, by a join to one of its stores.
    /// Failures are in the report.
    ///
    /// # Errors
    /// It could not begin: [`Error::NotSetUp`], [`Error::WrongRole`], [`Error::CycleRunning`]; [`Error::BadInput`] if
    /// this site has to synchronise first; or the database failed.
    pub fn pull_patient(&self, patient: &NameId, observer: &mut dyn SyncObserver) -> Result<SyncReport> {
        self.may_ask_for_patient()?;
        self.cycle(&SyncOptions::default(), observer, |cycle| cycle.run_for_patient(patient))
    }

    /// Checks that this database is that of a site which has read everything it needs before it may ask for one
    /// patient.
    pub(crate) fn may_ask_for_patient(&self) -> Result<()> {
        let txn = self.storage.read()?;
        let identity = Identity::load(txn.as_ref(), &self.device)?;
        match identity.role {
            Some(Role::Remote) => {}
            Some(Role::Central) => return Err(Error::WrongRole { needed: "remote site", found: "central server" }),
            None => return Err(Error::NotSetUp),
        }
        if !identity.initialised {
            return Err(Error::bad_input(input::first_sync_first()));
        }
        must_read_first(txn.as_ref())?.map_or(Ok(()), |why| Err(Error::bad_input(why)))
    }
}

impl Cycle<'_, '_> {
    /// Pulls the patient's records from the beginning.
    pub(crate) fn pull_patient(&mut self, central: &Url, patient: &NameId) -> Result<()> {
        self.check_central_not_restored(central)?;
        let (mut start, mut done) = (Cursor(0), 0);
        let mut size = PullBatchSize::default();
        loop {
            let identity = &self.identity;
            let request = |batch_size| PatientPullRequest {
                cursor: start,
                batch_size,
                sync_v5_settings: identity.credentials(),
                sync_v6_version: V6_VERSION,
                fetch_patient_id: patient.clone(),
            };
            let began = self.site.clock.monotonic();
            let most = size.next(&mut self.client.sizes, &self.site.config);
            let answer = request_batch(&mut self.client, identity, central, path::PATIENT_PULL, most, &request);
            let answer = answer.map_err(|error| match error {
                // It has just answered another request.
                Error::NotAServer { .. } | Error::NotCentral { .. } => Error::CentralTooOld { needs: SINCE },
                other => other,
            })?;
            let took = self.site.clock.monotonic().saturating_sub(began);
            size.note(&answer, took, &mut self.client.sizes, &self.site.config);
            let batch = answer.batch;
            let (records, total, is_last) = (batch.records.len() as u64, batch.total_records, batch.is_last_batch);
            let next = batch.last_record_cursor().unwrap_or_default().max(batch.end_cursor).next();
            // Each pull of a patient begins at 0: a record that fails would always stop it at the same place.
            let integrated = staging_what_fails(self.site.storage.as_ref(), Source::Central, || {
                let txn = self.site.storage.write()?;
                let integrated = receive_from_central(self.site, txn.as_ref(), batch.clone())?;
                txn.commit()?;
                Ok(integrated)
            })?;
            self.count(&integrated);
            done += records;
            self.report.pulled += records;
            self.report_progress(Step::PullPatient, done, done + total.saturating_sub(records))?;
            if is_last {
                return Ok(());
            }
            // Any movement is progress, with or without records.
            if next <= start {
                return Err(Error::NoProgress { server: Server::Central, cursor: start.0 });
            }
            start = next;
        }
    }

    /// Checks that central has not gone back. If it has, its versions of pushed records are older, and a whole cycle has to
    /// handle that first.
    fn check_central_not_restored(&mut self, central: &Url) -> Result<()> {
        let position = Position::in_central(self.site.storage.read()?.as_ref())?;
        let identity = &self.identity;
        let request = |batch_size| identity.dry_run_pull(position.next, batch_size);
        let batch = request_batch(&mut self.client, identity, central, path::PULL, 1, &request)?.batch;
        let theirs = match position.after(&batch) {
            Advance::WentBack => batch.end_cursor,
            _ => match self.unknown_loss(&batch.lost_history)? {
                Some(lost) => lost.after,
                None => return Ok(()),
            },
        };
        let ours = position.end.0;
        Err(Error::CursorWentBack { server: Server::Central, ours, theirs: theirs.0 })
    }
}
