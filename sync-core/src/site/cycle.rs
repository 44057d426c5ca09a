//! A running cycle: its lock, report and limits. [`steps`](super::steps) has its steps.

use std::collections::BTreeSet;
use std::time::Duration;

use super::Site;
use super::central::copied_database;
use super::central::position::PullStart;
use super::client::Client;
use super::identity::Identity;
use super::legacy::discover::or_of_release_3;
use super::observer::{Pace, Step, SyncEvent, SyncObserver};
use super::progress::CycleProgress;
use super::report::{StepReport, SyncOutcome, SyncReport};
use super::sizing::Sizes;
use crate::clock::Timestamp;
use crate::error::{Error, ErrorClass, Result, Server};
use crate::integrate::{Conflict, Integrated, Provenance, integrate, merge, requeue_after_upgrade};
use crate::protocol::v6::{Action, PushChain};
use crate::record::{Cursor, NameId, TableName};
use crate::storage::state::Checkpoint;
use crate::storage::{
    Incoming, LogEntry, Quarantine, QuarantineCause, ReadTxn, Selection, Source, WriteTxn, each_quarantined,
    lock_cycle, state,
};
use crate::text::Message;
use crate::text::sentences::{cycle as says, input};
use crate::trace::{self, CycleFigures};
use crate::write::{is_as_stored, moved_stores};

/// The work that a cycle is asked to do, and its limits. The default is a whole cycle without limits.
///
/// ```
/// use std::time::Duration;
/// use sync_core::SyncOptions;
///
/// // A phone gives an app thirty seconds in the background.
/// let in_the_background = SyncOptions::default().max_time(Duration::from_secs(25)).max_bytes(2_000_000);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SyncOptions {
    /// Leave out pulling and integrating.
    pub push_only: bool,
    /// Leave out pushing, except to finish a push whose answer did not come.
    pub pull_only: bool,
    /// Begin no further batch and no further step after this time. A running request is then cancelled within two
    /// seconds, if the transport can do that; the next cycle sends it again.
    pub max_time: Option<Duration>,
    /// Begin no second batch of any step after this many bytes of bodies in both directions. The first batch of each step is
    /// sent in any case, so that each cycle makes progress in both directions; an app with a
    /// [resolver](crate::ReplicaBuilder::resolver) pushes only after it has pulled everything. Sent bytes count as sent, received bytes as decoded, so gzip makes fewer of them on the line.
    pub max_bytes: Option<u64>,
}

impl SyncOptions {
    /// Leaves out pulling and integrating. A [resolver](crate::ReplicaBuilder::resolver) is not asked then: the edits replace what others
    /// wrote meanwhile. An app that has one leaves this out where it can. Together with [`pull_only`](Self::pull_only) it is refused.
    #[must_use]
    pub fn push_only(self) -> Self {
        Self { push_only: true, ..self }
    }

    /// Leaves out pushing, except to finish a push whose answer did not come. Together with [`push_only`](Self::push_only) it is refused.
    #[must_use]
    pub fn pull_only(self) -> Self {
        Self { pull_only: true, ..self }
    }

    /// Sets the limit of [time](Self#structfield.max_time).
    #[must_use]
    pub fn max_time(self, time: Duration) -> Self {
        Self { max_time: Some(time), ..self }
    }

    /// Sets the limit of [bytes](Self#structfield.max_bytes).
    #[must_use]
    pub fn max_bytes(self, bytes: u64) -> Self {
        Self { max_bytes: Some(bytes), ..self }
    }
}

/// A running cycle.
pub(crate) struct Cycle<'s, 'c> {
    pub site: &'s Site,
    pub identity: Identity,
    pub client: Client<'c>,
    pub report: SyncReport,
    pub(super) options: SyncOptions,
    /// The results of the steps so far.
    pub(super) progress: CycleProgress,
    began: Duration,
    /// Done and total of the running step.
    current: (u64, u64),
    /// When the running step began.
    step_began: Duration,
    ended_early: bool,
    /// Set while a restored database reads its lost records.
    pub recovering: bool,
    /// Identifies this database in pulls, among databases that were copied from one another.
    pub pull_chain: Option<PushChain>,
    /// Where the pull would begin, if the first request of the cycle asked for its answer too.
    pub first_pull: Option<PullStart>,
    /// True once central has answered as a server of this library: its status is right from the last batch on.
    pub knows_at_once: bool,
    /// The tables of which central accepts no record from a site; learnt in this cycle.
    pub refused_tables: BTreeSet<TableName>,
}

impl Site {
    /// Runs one cycle. Failures are in the report; finished work stays, and the next cycle continues from there.
    ///
    /// # Errors
    /// The cycle could not begin: [`Error::NotSetUp`], [`Error::CycleRunning`], [`Error::BadInput`] for options that leave out both
    /// directions, or the database failed. The error of the
    /// database is also returned if the sync log could not be written at the end; the work of the cycle is kept.
    pub fn sync(&self, options: &SyncOptions, observer: &mut dyn SyncObserver) -> Result<SyncReport> {
        if options.push_only && options.pull_only {
            return Err(Error::bad_input(input::no_direction()));
        }
        self.cycle(options, observer, |cycle| cycle.run())
    }

    /// Runs steps as a cycle: under the lock, with a report in the sync log.
    pub(crate) fn cycle(
        &self,
        options: &SyncOptions,
        observer: &mut dyn SyncObserver,
        run: impl FnOnce(&mut Cycle<'_, '_>),
    ) -> Result<SyncReport> {
        let _lock = lock_cycle(self.storage.as_ref())?;
        let _span = trace::cycle();
        requeue_after_upgrade(self.storage.as_ref())?;
        let started_at = self.clock.now();
        let (identity, changes_from, sizes) = {
            let txn = self.storage.read()?;
            (Identity::load(txn.as_ref(), &self.device)?, txn.last_cursor()?.next(), Sizes::load(txn.as_ref())?)
        };
        let began = self.clock.monotonic();
        let mut client = self.client(observer);
        client.is_one_server = identity.central_is_legacy();
        client.until = options.max_time.map(|max| began.saturating_add(max));
        let mut cycle = Cycle {
            site: self,
            identity,
            client,
            report: SyncReport { changes_from, ..SyncReport::default() },
            options: options.clone(),
            progress: CycleProgress::default(),
            began,
            current: (0, 0),
            step_began: began,
            ended_early: false,
            recovering: false,
            pull_chain: None,
            first_pull: None,
            knows_at_once: false,
            refused_tables: BTreeSet::new(),
        };
        cycle.client.sizes = sizes;
        for table in self.resolvers.unknown_tables() {
            // An observer that asks to stop is asked again at the first step.
            let _ = cycle.warn(says::resolver_of_no_table(table.as_str()));
        }
        let set_aside = Cycle::set_aside(self)?;
        run(&mut cycle);
        cycle.say_which_refused_are_newest()?;
        cycle.warn_of_clock();
        // A record may enter quarantine and leave it within a cycle: only what is left counts.
        let more = Cycle::set_aside(self)?.saturating_sub(set_aside);
        // A record that came again, and is in quarantine again, is left behind too.
        let came = if cycle.report.pulled > 0 { Cycle::set_aside_since(self, started_at)? } else { 0 };
        cycle.report.quarantined = more.max(came);
        // One patient was asked for; what else is in quarantine is told by whole cycles.
        if cycle.report.patient.is_none() {
            cycle.report.still_quarantined = Cycle::to_be_settled(self)?;
        }
        cycle.report.changes_below = self.storage.read()?.last_cursor()?.next();
        let sizes = std::mem::take(&mut cycle.client.sizes);
        let report = cycle.finish();
        trace::cycle_ended(&CycleFigures {
            outcome: report.outcome.as_str(),
            error: report.error.as_ref().map(Error::code),
            pushed: report.pushed,
            pulled: report.pulled,
            requests: report.requests,
        });
        self.log(started_at, &report, &sizes)?;
        Ok(report)
    }

    fn log(&self, started_at: Timestamp, report: &SyncReport, sizes: &Sizes) -> Result<()> {
        let txn = self.storage.write()?;
        sizes.store(txn.as_ref())?;
        if matches!(report.outcome, SyncOutcome::Done | SyncOutcome::LeftBehind) {
            note_central_answered(txn.as_ref())?;
        }
        txn.add_log(&LogEntry {
            started_at,
            finished_at: self.clock.now(),
            outcome: report.outcome.as_str().to_owned(),
            error: report.error.as_ref().map(Into::into),
            report: serde_json::to_value(report).unwrap_or_default(),
        })?;
        txn.commit()
    }
}

/// Notes the address at which central answered, so that `doctor` finds a change of it that a later cycle took over.
fn note_central_answered(txn: &dyn WriteTxn) -> Result<()> {
    let Some(used) = state::CENTRAL_URL.find(txn)? else { return Ok(()) };
    if state::CENTRAL_ANSWERED.find(txn)?.as_ref() == Some(&used) {
        return Ok(());
    }
    state::CENTRAL_ANSWERED.set(txn, used)
}

/// True for a record that somebody should look at; refused ones are counted apart.
fn is_left_behind(cause: QuarantineCause) -> bool {
    cause != QuarantineCause::Refused && !cause.is_settled()
}

/// True for a version of this site that a server refused, and that was written again since: the newer one goes out in its turn.
fn was_written_again(txn: &dyn ReadTxn, version: &Incoming, why: &Quarantine) -> Result<bool> {
    if version.source != Source::Local || why.cause != QuarantineCause::Refused {
        return Ok(false);
    }
    match version.action {
        Action::Delete => txn.has_record(&version.table, &version.id),
        _ => is_as_stored(txn, version).map(|is| !is),
    }
}

/// True for errors that end the cycle at once: cancellation and local faults.
pub(super) fn aborts_cycle(error: &Error) -> bool {
    matches!(error.class(), ErrorClass::Cancelled | ErrorClass::LocalFault)
}

impl Cycle<'_, '_> {
    /// Runs only the steps for one patient, and pushes nothing except to confirm an earlier push.
    pub(crate) fn run_for_patient(&mut self, patient: &NameId) {
        self.report.patient = Some(patient.clone());
        let Some(central) = self.step_value(|cycle| cycle.identity.central_url()) else { return };
        if self.step_value(|cycle| cycle.confirm_before_pull(&central)) != Some(true) {
            return;
        }
        self.step(Step::PullPatient, |cycle| cycle.pull_patient(&central, patient));
        if !self.must_end() {
            self.step(Step::Integrate, Self::integrate);
        }
    }

    /// Asks the legacy server who this site is, and for initialisation if that is not done.
    pub(super) fn ask_who_we_are(&mut self) -> Result<()> {
        copied_database::check_may_act(self.site.storage.read()?.as_ref(), &self.identity.site_name)?;
        self.ask_whether_idle()?;
        let discovered = self.site.discover_as(&self.identity, &mut self.client)?;
        for change in &discovered.changes {
            self.warn(says::something_new(self.client.named(Server::Legacy), change.clone()))?;
        }
        self.identity = self.site.identity()?;
        self.initialise(&discovered.status)
    }

    pub(crate) fn integrate(&mut self) -> Result<()> {
        let site = self.site;
        for (source, origin) in [(Source::Legacy, self.identity.legacy_site_id), (Source::Central, None)] {
            let provenance = Provenance::of_server(source, origin, &site.resolvers);
            let base = self.current;
            let mut result = Integrated::default();
            let storage = site.storage.as_ref();
            let ended = integrate(storage, site.clock.as_ref(), &provenance, &mut result, |done, total| {
                self.report_progress(Step::Integrate, base.0 + done, base.1 + total)?;
                // What is not integrated yet stays staged.
                if done < total && self.client.time_is_over() { Err(Error::Cancelled) } else { Ok(()) }
            });
            self.count(&result);
            ended?;
        }
        merge::rewrite(site.storage.as_ref(), site.clock.as_ref(), self.identity.legacy_site_id)?;
        moved_stores::relog_pending(site.storage.as_ref(), site.clock.as_ref())?;
        Ok(())
    }

    /// Adds the counts of an integration to the report.
    pub(crate) fn count(&mut self, done: &Integrated) {
        self.report.integrated += done.integrated;
        self.report.refused += done.refused;
        self.report.kept_local += done.kept_local;
        self.report.resolved += done.resolved;
        Conflict::add_to(&mut self.report.conflicts, &done.conflicts);
        for message in &done.failed_resolvers {
            // An observer that asks to stop is asked again at the next event.
            let _ = self.warn(message.clone());
        }
    }

    /// The number of records in quarantine, without those that a rule of ownership refused.
    fn set_aside(site: &Site) -> Result<u64> {
        let counts = site.storage.read()?.quarantine_counts()?;
        Ok(counts.iter().filter(|(cause, _)| is_left_behind(*cause)).map(|(_, count)| count).sum())
    }

    /// The number of records in quarantine that stay there until somebody acts.
    fn to_be_settled(site: &Site) -> Result<u64> {
        let txn = site.storage.read()?;
        let counts = txn.quarantine_counts()?;
        let mut left: u64 = counts.iter().filter(|(cause, _)| cause.needs_somebody()).map(|(_, count)| count).sum();
        let any_refused = counts.iter().any(|(cause, count)| *cause == QuarantineCause::Refused && *count > 0);
        if any_refused && txn.newest_quarantined(Source::Local)? > 0 {
            each_quarantined(txn.as_ref(), 0, |row, why| {
                left = left.saturating_sub(u64::from(was_written_again(txn.as_ref(), &row.incoming, &why)?));
                Ok(())
            })?;
        }
        Ok(left)
    }

    /// The records in quarantine that came from a server since then.
    fn set_aside_since(site: &Site, since: Timestamp) -> Result<u64> {
        let mut came = 0;
        each_quarantined(site.storage.read()?.as_ref(), 0, |row, why| {
            let is_received = row.received_at >= since && row.incoming.source != Source::Local;
            came += u64::from(is_received && is_left_behind(why.cause));
            Ok(())
        })?;
        Ok(came)
    }

    /// Marks the first cycle as complete: from now on local edits are pushed, including those made before.
    pub(super) fn become_initialised(&mut self) -> Result<()> {
        let txn = self.site.storage.write()?;
        let from = state::PUSH_CURSOR_V6.get(txn.as_ref())?;
        let first_local = txn.changes(&Selection::Local, from, 1)?.first().map(|change| change.cursor);
        let next = first_local.unwrap_or(txn.last_cursor()?.next());
        state::PUSH_CURSOR_V6.set(txn.as_ref(), next)?;
        if !state::PUSH_CURSOR_LEGACY.is_set(txn.as_ref())? {
            state::PUSH_CURSOR_LEGACY.set(txn.as_ref(), next)?;
        }
        let mut checkpoints = state::PUSH_MARKS.get(txn.as_ref())?;
        checkpoints.add(Checkpoint { central: Cursor(0), own: next });
        state::PUSH_MARKS.set(txn.as_ref(), checkpoints)?;
        state::INITIALISED_AT.set(txn.as_ref(), self.site.clock.now())?;
        txn.commit()
    }

    /// Runs a step, and returns the class of its error. The first error of the cycle is kept.
    pub(crate) fn step(&mut self, step: Step, run: impl FnOnce(&mut Self) -> Result<()>) -> Option<ErrorClass> {
        let began = self.site.clock.monotonic();
        (self.current, self.step_began) = ((0, 0), began);
        let _span = trace::step(step.label());
        let outcome = self.client.tell(&SyncEvent::StepStarted { step }).and_then(|()| run(self));
        let ended = outcome.err().map(|error| self.or_of_release_3(error));
        let class = ended.as_ref().map(Error::class);
        let has_failed = ended.is_some();
        let error = ended.filter(|error| !self.is_out_of_time(error));
        if let Some(Error::DatabaseCopied { since, .. }) = &error {
            // If it cannot be stored, the next cycle learns it again.
            let _ = copied_database::note_other_continues(self.site, since);
        }
        let code = error.as_ref().map(Error::code);
        // An observer that asks to stop here is ignored, because the step has ended.
        let _ =
            self.client.tell(&SyncEvent::StepFinished { step, error: code, ended_early: has_failed && code.is_none() });
        let (done, total) = self.current;
        trace::step_ended(code, done, total);
        let seconds = self.site.clock.monotonic().saturating_sub(began).as_secs_f64();
        self.report.steps.push(StepReport { name: step, done, total, seconds, error: code });
        self.keep(error);
        class
    }

    /// The error of central's address, or that central is of Open mSupply 3.x and speaks V6 no more.
    fn or_of_release_3(&mut self, error: Error) -> Error {
        match (&error, self.identity.central_url()) {
            (Error::NotAServer { server: Server::Central, .. }, Ok(central)) if !self.identity.central_is_legacy() => {
                or_of_release_3(error, Server::Central, &central, &mut self.client)
            }
            _ => error,
        }
    }

    /// True if the time of the cycle is over, which is no error.
    fn is_out_of_time(&mut self, error: &Error) -> bool {
        let is_over = self.client.is_out_of_time && matches!(error, Error::Cancelled);
        self.ended_early |= is_over;
        is_over
    }

    /// Runs work that is not a step.
    pub(crate) fn step_value<T>(&mut self, run: impl FnOnce(&mut Self) -> Result<T>) -> Option<T> {
        match run(self) {
            Ok(value) => Some(value),
            Err(error) => {
                let error = self.or_of_release_3(error);
                if !self.is_out_of_time(&error) {
                    self.keep(Some(error));
                }
                None
            }
        }
    }

    /// Keeps the error for the report: the first one, unless a later one aborts the cycle.
    fn keep(&mut self, error: Option<Error>) {
        if let Some(error) = error
            && (self.report.error.is_none() || aborts_cycle(&error))
        {
            self.report.error = Some(error);
        }
    }

    /// True if the cycle ends now, with an error or because its time is over.
    pub(super) fn must_end(&self) -> bool {
        self.client.is_out_of_time || self.is_aborted()
    }

    /// True if an error ended the cycle.
    pub(super) fn is_aborted(&self) -> bool {
        self.report.error.as_ref().is_some_and(aborts_cycle)
    }

    /// True if a step that is due may not begin any more. Its work is left to the next cycle.
    pub(super) fn is_past_its_time(&mut self) -> bool {
        let is_over = self.client.time_is_over();
        self.ended_early |= is_over;
        is_over
    }

    pub(crate) fn report_progress(&mut self, step: Step, done: u64, total: u64) -> Result<()> {
        self.report_about(step, done, total, false)
    }

    /// The same, where the total may be no number of records.
    pub(crate) fn report_about(&mut self, step: Step, done: u64, total: u64, is_estimate: bool) -> Result<()> {
        self.current = (done, total.max(done));
        trace::batch(done, total.max(done));
        let (total, took) = (total.max(done), self.site.clock.monotonic().saturating_sub(self.step_began));
        let pace = Pace::of(done, total - done, took).with_estimate(is_estimate);
        self.client.tell(&SyncEvent::Progress { step, done, total, pace })
    }

    pub(crate) fn warn(&mut self, message: Message) -> Result<()> {
        self.report.warnings.push(message.clone());
        self.client.tell(&SyncEvent::Warning { message })
    }

    /// Warns if the clock here is days away from that of the servers: every record written here has the wrong time then.
    fn warn_of_clock(&mut self) {
        const DAY: i64 = 24 * 3600 * 1000;
        let ahead = self.client.clock_ahead.unwrap_or_default();
        let days = u64::try_from(ahead.saturating_abs() / DAY).unwrap_or_default();
        if days > 0 {
            // The work is done; a stop comes too late to matter.
            let _ = self.warn(if ahead > 0 { says::clock_ahead(days) } else { says::clock_behind(days) });
        }
    }

    /// True if the limit of time or bytes is reached; the cycle then ends normally.
    pub(crate) fn over_budget(&mut self) -> bool {
        let time = self.site.clock.monotonic().saturating_sub(self.began);
        let bytes = self.client.traffic.bytes_sent + self.client.traffic.bytes_received;
        let over = self.options.max_time.is_some_and(|max| time >= max)
            || self.options.max_bytes.is_some_and(|max| bytes >= max);
        self.ended_early |= over;
        over
    }

    /// True if such a limit ended the cycle.
    pub(crate) fn ended_early(&self) -> bool {
        self.ended_early
    }

    fn finish(mut self) -> SyncReport {
        self.report.requests = self.client.traffic.requests;
        self.report.retries = self.client.traffic.retries;
        self.report.bytes_sent = self.client.traffic.bytes_sent;
        self.report.bytes_received = self.client.traffic.bytes_received;
        if self.identity.central_is_legacy() {
            self.report.error = self.report.error.map(|error| error.of(Server::Central));
        }
        self.report.outcome = match &self.report.error {
            Some(Error::Cancelled) => SyncOutcome::Cancelled,
            Some(_) => SyncOutcome::Failed,
            None if self.ended_early => SyncOutcome::Partial,
            None if self.report.quarantined + self.report.refused + self.report.still_quarantined > 0 => {
                SyncOutcome::LeftBehind
            }
            None => SyncOutcome::Done,
        };
        self.report
    }
}
