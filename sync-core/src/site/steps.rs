//! The steps of a cycle in their two orders: what each does, and why one is skipped. A cycle pushes first; that of an app that
//! decides conflicts pulls first, so that its resolvers are asked about each edit before it replaces another version.
//!
//! `docs/protocol.md`, "A cycle", has the same table for readers.

use url::Url;

use super::cycle::{Cycle, aborts_cycle};
use super::observer::Step;
use super::progress::{BackupState, CycleProgress, LegacyProgress, PushState};
use super::report::SkipReason;
use crate::error::{Error, Result, Server};
use crate::role::Role;
use crate::text::sentences::cycle as says;

/// Whether a step runs.
enum StepVerdict {
    Run,
    Skip(SkipReason),
    /// The special case does not hold.
    Pass,
}

/// A line of the list.
enum CycleLine<'s, 'c> {
    /// A step, the condition under which it runs, and what it does.
    Step(Step, fn(&Cycle<'s, 'c>) -> Result<StepVerdict>, fn(&mut Cycle<'s, 'c>)),
    /// A step for a special case. Where the case does not hold, its absence is not reported.
    Special(Step, fn(&Cycle<'s, 'c>) -> Result<StepVerdict>, fn(&mut Cycle<'s, 'c>)),
    /// Work between two steps. If it fails, the cycle ends.
    Work(fn(&mut Cycle<'s, 'c>) -> Result<()>),
}

/// True if central may still be asked after this error of the legacy server: the server or the way to it is at fault,
/// not this site (weak point B4).
fn leaves_central(error: &Error) -> bool {
    matches!(
        error,
        Error::Unreachable { .. }
            | Error::TimedOut { .. }
            | Error::CutOff { .. }
            | Error::ServerTrouble { .. }
            | Error::IntegrationInProgress { .. }
            | Error::IntegrationTimeout { .. }
            | Error::PeerError { server: Server::Legacy, .. }
            | Error::SiteAuthTimeout
            | Error::InitialisationInProgress
            | Error::NotAServer { .. }
            | Error::CertificateRefused { .. }
            | Error::UnreadableAnswer { .. }
            | Error::Refused { .. }
            | Error::LegacyVersionMismatch { .. }
    )
}

/// True if a server said that it refused a push, or a part of it.
fn is_refusal(error: &Error) -> bool {
    matches!(error, Error::Refused { .. } | Error::PeerError { .. } | Error::PartlyAccepted { .. })
}

/// Runs unless one of the reasons holds; the first one is reported.
fn unless(reasons: &[(bool, SkipReason)]) -> StepVerdict {
    reasons.iter().find(|(holds, _)| *holds).map_or(StepVerdict::Run, |(_, reason)| StepVerdict::Skip(*reason))
}

impl<'s, 'c> Cycle<'s, 'c> {
    const BEGIN: [CycleLine<'s, 'c>; 5] = [
        CycleLine::Step(Step::Prepare, |_| Ok(StepVerdict::Run), Self::prepare),
        CycleLine::Work(Self::find_central),
        // A restored backup reads before it pushes, because its records may be out of date.
        CycleLine::Special(Step::PullV6, Self::may_recover, Self::recover_from_backup),
        CycleLine::Work(Self::finish_resending),
        CycleLine::Work(Self::push_too_large_again),
    ];
    const PUSH: [CycleLine<'s, 'c>; 2] = [
        CycleLine::Step(Step::PushV6, Self::may_push_v6, Self::push_to_central),
        CycleLine::Step(Step::Push, Self::may_push, Self::push_to_legacy),
    ];
    /// An earlier push is confirmed before a pull: otherwise an own edit cannot be distinguished from a newer remote one. The
    /// push of the same cycle does that where it comes first.
    const CONFIRM: [CycleLine<'s, 'c>; 1] =
        [CycleLine::Special(Step::PushV6, Self::may_finish_push, Self::finish_push)];
    const PULL: [CycleLine<'s, 'c>; 8] = [
        CycleLine::Work(Self::find_links),
        CycleLine::Special(Step::LinkPatient, Self::may_link, Self::link_patients),
        CycleLine::Step(Step::PullCentral, Self::may_pull_central, Self::pull_legacy_data),
        CycleLine::Step(Step::PullRemote, Self::may_pull_remote, Self::pull_legacy_queue),
        CycleLine::Work(Self::confirm_last_push),
        CycleLine::Step(Step::PullV6, Self::may_pull_v6, Self::pull_from_central),
        CycleLine::Special(Step::PullPatient, Self::may_pull_patients, Self::pull_linked_patients),
        CycleLine::Step(Step::Integrate, Self::may_integrate, Self::integrate_waiting),
    ];
    const END: [CycleLine<'s, 'c>; 1] = [CycleLine::Work(Self::complete_first_cycle)];

    /// The lines in the order of this cycle.
    fn lines(&self) -> Vec<CycleLine<'s, 'c>> {
        let begin = Self::BEGIN.into_iter();
        match self.pulls_first() {
            false => begin.chain(Self::PUSH).chain(Self::PULL).chain(Self::END).collect(),
            true => begin.chain(Self::CONFIRM).chain(Self::PULL).chain(Self::PUSH).chain(Self::END).collect(),
        }
    }

    /// Runs the steps in order.
    pub(super) fn run(&mut self) {
        for line in self.lines() {
            match line {
                CycleLine::Work(work) => {
                    if !self.progress.is_over && self.step_value(work).is_none() {
                        self.progress.is_over = true;
                    }
                }
                CycleLine::Special(..) if self.is_ending() => {}
                CycleLine::Step(step, may_run, run) | CycleLine::Special(step, may_run, run) => {
                    match self.verdict(may_run) {
                        StepVerdict::Run => run(self),
                        StepVerdict::Skip(reason) => self.report.note_skipped(step, reason),
                        StepVerdict::Pass => {}
                    }
                }
            }
        }
    }

    /// True for the cycle of an app that decides conflicts, and for one that only pulls.
    fn pulls_first(&self) -> bool {
        self.options.pull_only || (!self.site.resolvers.is_empty() && !self.options.push_only)
    }

    /// Whether the remaining steps are skipped.
    fn is_ending(&self) -> bool {
        self.progress.is_over || self.must_end()
    }

    fn verdict(&mut self, may_run: fn(&Self) -> Result<StepVerdict>) -> StepVerdict {
        if self.progress.is_over || self.is_aborted() {
            return StepVerdict::Skip(self.reason_of_end());
        }
        match self.step_value(|cycle| may_run(cycle)) {
            Some(StepVerdict::Run) if self.is_past_its_time() => StepVerdict::Skip(SkipReason::OutOfTime),
            // What it needs was not done, because the time was over by then.
            Some(StepVerdict::Skip(needs)) if self.client.is_out_of_time && needs.is_missing_result() => {
                StepVerdict::Skip(SkipReason::OutOfTime)
            }
            Some(verdict) => verdict,
            None => {
                self.progress.is_over = true;
                StepVerdict::Skip(self.reason_of_end())
            }
        }
    }

    /// Why no further step runs: an error, unless the time was over in the middle of what could not be finished.
    fn reason_of_end(&self) -> SkipReason {
        if self.ended_early() && !self.is_aborted() { SkipReason::OutOfTime } else { SkipReason::CycleEnded }
    }

    fn is_remote(&self) -> bool {
        self.identity.role == Some(Role::Remote)
    }

    /// The reason why central cannot be asked.
    fn central_missing(&self) -> [(bool, SkipReason); 2] {
        [(!self.is_remote(), SkipReason::IsCentral), (self.progress.central.is_none(), SkipReason::NoCentral)]
    }

    /// Runs a step that needs the address of central.
    fn step_at_central(&mut self, step: Step, run: impl FnOnce(&mut Self, &Url) -> Result<()>) -> bool {
        let Some(central) = self.progress.central.clone() else { return false };
        self.step(step, |cycle| run(cycle, &central)).is_none()
    }

    /// Asks the legacy server who this site is. If only that server is down, its stored answer is used, with a warning.
    fn prepare(&mut self) {
        let class = self.step(Step::Prepare, Self::ask_who_we_are);
        match class {
            None => self.progress.legacy = LegacyProgress::Answers,
            Some(_) if self.identity.role.is_some() && self.report.error.as_ref().is_some_and(leaves_central) => {
                self.progress.is_over = self
                    .step_value(|cycle| cycle.warn(says::not_identified(cycle.client.named(Server::Legacy))))
                    .is_none();
            }
            Some(_) => self.progress.is_over = true,
        }
    }

    fn find_central(&mut self) -> Result<()> {
        if !self.is_remote() {
            self.progress.is_central_read = true;
            return Ok(());
        }
        // Without a usable address of central, the cycle continues with the legacy server alone.
        self.progress.central = self.step_value(|cycle| cycle.identity.central_url());
        match self.must_recover()? {
            true => self.progress.backup = BackupState::Restored,
            false => self.progress.push = PushState::Sent,
        }
        Ok(())
    }

    fn may_recover(&self) -> Result<StepVerdict> {
        Ok(match self.progress.backup {
            BackupState::No => StepVerdict::Pass,
            BackupState::Restored => unless(&self.central_missing()),
        })
    }

    fn recover_from_backup(&mut self) {
        if self.step_at_central(Step::PullV6, Self::recover) && !self.ended_early() {
            self.progress.backup = BackupState::No;
            self.progress.push = PushState::Sent;
            self.progress.is_central_read = true;
        }
    }

    fn may_push_v6(&self) -> Result<StepVerdict> {
        if self.options.pull_only && self.progress.has_finished_push {
            return Ok(StepVerdict::Pass);
        }
        let further = [
            (self.options.pull_only, SkipReason::NotRequested),
            (
                self.waits_for_pull(self.progress.is_central_read, self.progress.pulled_from_central),
                SkipReason::NotPulled,
            ),
        ];
        Ok(unless(&[self.push_missing().as_slice(), &further].concat()))
    }

    /// True if edits wait until more is pulled, because a resolver of the app decides about them. They do not wait for a pull that
    /// gets no further: it may fail like this in each cycle, and the edits would stay here alone.
    fn waits_for_pull(&self, is_all_read: bool, pulled: u64) -> bool {
        self.pulls_first() && (self.ended_early() || (!is_all_read && pulled > 0))
    }

    /// The reason why nothing can be pushed to central.
    fn push_missing(&self) -> [(bool, SkipReason); 4] {
        let [is_central, no_central] = self.central_missing();
        [
            is_central,
            no_central,
            (!self.identity.initialised, SkipReason::NotInitialised),
            (self.progress.backup == BackupState::Restored, SkipReason::NotRecovered),
        ]
    }

    fn may_finish_push(&self) -> Result<StepVerdict> {
        Ok(if self.is_unconfirmed()? { unless(&self.push_missing()) } else { StepVerdict::Pass })
    }

    fn finish_push(&mut self) {
        self.progress.has_finished_push = true;
        self.push_to(Self::finish_push_v6);
    }

    fn push_to_central(&mut self) {
        self.push_to(Self::push_v6);
    }

    fn push_to(&mut self, push: fn(&mut Self, &Url) -> Result<()>) {
        let mut last_push = PushState::Open;
        self.step_at_central(Step::PushV6, |cycle, central| {
            let pushed = push(cycle, central);
            // A refused batch does not forbid the pull, because edits that are not pushed are never overwritten. A record
            // that breaks the line does not either, once central has integrated the others.
            let may_pull = match &pushed {
                Err(error) if !is_refusal(error) => !aborts_cycle(error) && !cycle.is_unconfirmed()?,
                _ => true,
            };
            if may_pull {
                last_push = PushState::Sent;
            }
            pushed
        });
        self.progress.push = last_push;
    }

    fn may_push(&self) -> Result<StepVerdict> {
        let is_all_read = self.progress.legacy == LegacyProgress::AllRead;
        Ok(unless(&[
            (self.progress.legacy == LegacyProgress::Unavailable, SkipReason::LegacyUnavailable),
            (!self.identity.initialised, SkipReason::NotInitialised),
            (self.options.pull_only, SkipReason::NotRequested),
            (self.must_recover_at_legacy()?, SkipReason::NotRecovered),
            (self.waits_for_pull(is_all_read, self.progress.pulled_from_legacy), SkipReason::NotPulled),
        ]))
    }

    fn push_to_legacy(&mut self) {
        let mut answers = true;
        self.step(Step::Push, |cycle| {
            let pushed = cycle.push_legacy();
            // Edits that it refused are never overwritten, so a refusal does not forbid the pull.
            answers = match &pushed {
                Err(error) if !is_refusal(error) => !aborts_cycle(error) && !cycle.is_unconfirmed_at_legacy()?,
                _ => true,
            };
            pushed
        });
        if !answers {
            self.progress.legacy = LegacyProgress::Unavailable;
        }
    }

    fn find_links(&mut self) -> Result<()> {
        let may_link = self.identity.initialised && self.progress.legacy != LegacyProgress::Unavailable;
        self.progress.has_links = may_link && self.links_are_open()?;
        Ok(())
    }

    /// Runs a step of a link unless there is none, central cannot be asked, or one of the reasons holds.
    fn for_links(&self, reasons: &[(bool, SkipReason)]) -> StepVerdict {
        if !self.progress.has_links {
            return StepVerdict::Pass;
        }
        let [is_central, no_central] = self.central_missing();
        let requested = (self.options.push_only, SkipReason::NotRequested);
        unless(&[&[requested, is_central, no_central], reasons].concat())
    }

    fn may_link(&self) -> Result<StepVerdict> {
        Ok(self.for_links(&[(self.progress.push == PushState::Open, SkipReason::PushUnconfirmed)]))
    }

    fn link_patients(&mut self) {
        self.step_at_central(Step::LinkPatient, Self::go_on_with_joins);
    }

    fn may_pull_central(&self) -> Result<StepVerdict> {
        Ok(unless(&[
            (self.options.push_only, SkipReason::NotRequested),
            (self.progress.legacy == LegacyProgress::Unavailable, SkipReason::LegacyUnavailable),
        ]))
    }

    fn pull_legacy_data(&mut self) {
        if self.pull_from_legacy(Step::PullCentral, Self::read_legacy_data) {
            self.progress.legacy = LegacyProgress::DataRead;
        }
    }

    fn may_pull_remote(&self) -> Result<StepVerdict> {
        Ok(unless(&[
            (self.options.push_only, SkipReason::NotRequested),
            (self.progress.legacy == LegacyProgress::Unavailable, SkipReason::LegacyUnavailable),
            (self.progress.legacy != LegacyProgress::DataRead, SkipReason::StepBeforeFailed),
        ]))
    }

    fn pull_legacy_queue(&mut self) {
        if self.pull_from_legacy(Step::PullRemote, Self::read_legacy_queue) {
            self.progress.legacy = LegacyProgress::AllRead;
        }
    }

    /// Runs a pull; true if it has read everything.
    fn pull_from_legacy(&mut self, step: Step, read: fn(&mut Self) -> Result<()>) -> bool {
        let before = self.report.pulled;
        let failed = self.step(step, read);
        self.progress.pulled_from_legacy += self.report.pulled.saturating_sub(before);
        failed.is_none()
    }

    fn confirm_last_push(&mut self) -> Result<()> {
        let is_needed = !self.options.push_only
            && !self.progress.is_central_read
            && self.progress.push == PushState::Sent
            && !self.must_end();
        if let Some(central) = self.progress.central.clone().filter(|_| is_needed)
            // If central does not confirm, the steps that need nothing from it still run.
            && self.step_value(|cycle| cycle.confirm_before_pull(&central)) == Some(true)
        {
            self.progress.push = PushState::Confirmed;
        }
        Ok(())
    }

    fn may_pull_v6(&self) -> Result<StepVerdict> {
        let [is_central, no_central] = self.central_missing();
        Ok(unless(&[
            (self.options.push_only, SkipReason::NotRequested),
            is_central,
            no_central,
            (self.progress.is_central_read, SkipReason::AlreadyRead),
            (self.progress.backup == BackupState::Restored, SkipReason::NotRecovered),
            (self.progress.push != PushState::Confirmed, SkipReason::PushUnconfirmed),
        ]))
    }

    fn pull_from_central(&mut self) {
        let before = self.report.pulled;
        self.progress.is_central_read = self.step_at_central(Step::PullV6, Self::pull_v6);
        self.progress.pulled_from_central = self.report.pulled.saturating_sub(before);
    }

    fn may_pull_patients(&self) -> Result<StepVerdict> {
        Ok(self.for_links(&[
            (self.progress.push != PushState::Confirmed, SkipReason::PushUnconfirmed),
            (!self.progress.is_central_read, SkipReason::StepBeforeFailed),
        ]))
    }

    fn pull_linked_patients(&mut self) {
        self.step_at_central(Step::PullPatient, Self::fetch_all_linked);
    }

    fn may_integrate(&self) -> Result<StepVerdict> {
        Ok(unless(&[(self.options.push_only, SkipReason::NotRequested)]))
    }

    fn integrate_waiting(&mut self) {
        self.progress.is_integrated = self.step(Step::Integrate, Self::integrate).is_none();
    }

    /// From the first complete cycle on, local edits are pushed.
    fn complete_first_cycle(&mut self) -> Result<()> {
        let CycleProgress { legacy, is_central_read, is_integrated, .. } = self.progress;
        let is_complete = legacy == LegacyProgress::AllRead && is_central_read && is_integrated && !self.ended_early();
        if is_complete && !self.identity.initialised { self.become_initialised() } else { Ok(()) }
    }
}
