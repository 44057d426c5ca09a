//! Bugs that are planted into the engine: for each, how many seeds it takes until the judge notices.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use sync_core::planted::{Bug, plant};

use crate::aim::Aim;
use crate::run::{Kind, Options, run};
use crate::threads;

/// How a bug was found.
#[derive(Debug, Clone)]
pub struct Found {
    /// The bug.
    pub bug: Bug,
    /// The kind of world that was played.
    pub kind: Kind,
    /// The number of seeds until one breaks a promise that holds without the bug, and what it says; none if no seed does.
    pub seeds: Option<(u64, String)>,
}

impl Found {
    /// The flags that play the worlds in which the bug was planted.
    pub fn flags(&self) -> String {
        if needs_threads(self.bug) { " --at-once".to_owned() } else { self.kind.flags() }
    }
}

/// True for a race between transactions, which only real threads show.
fn needs_threads(bug: Bug) -> bool {
    matches!(bug, Bug::WaitAskedBefore | Bug::OldPasswordRemembered | Bug::StoresReadBefore)
}

/// The kind of world that shows a bug.
pub fn kind_of(bug: Bug) -> Kind {
    if let Some(aim) = aim_at(bug) {
        return aim.kind();
    }
    Kind { legacy: bug.is_of_legacy(), files: bug.is_of_files(), harsh: !shows_in_kinder_worlds(bug), aim: None }
}

/// What a world has to aim at for a bug to be found soon, if it shows seldom elsewhere.
fn aim_at(bug: Bug) -> Option<Aim> {
    Some(match bug {
        Bug::CopiesNotTold => Aim::Copies,
        Bug::BackupPushIsKnown => Aim::Backups,
        Bug::AnswerFromBeforeIsStuck => Aim::FurtherBack,
        Bug::NewestGoneIsRestore => Aim::NewestGone,
        Bug::WithheldForgotten => Aim::Releases,
        Bug::OwnEditLoggedAgain => Aim::OwnEdits,
        Bug::LatePushTaken | Bug::UnconfirmedIsSafe | Bug::LateForgottenAtRestart | Bug::ManyRowsForgetAll => Aim::Late,
        Bug::NegativeCursorsAreBeyond => Aim::Cursors,
        Bug::PatientNotAskedFor => Aim::Patients,
        Bug::MachineIdByChance => Aim::Machines,
        Bug::NumbersGivenTwice => Aim::Reset,
        Bug::FileBeforeCredentials | Bug::ResumeWithoutMatch => Aim::NarrowFiles,
        Bug::MergedComesBack => Aim::Merges,
        Bug::LocalDeleteForgotten => Aim::Deletes,
        Bug::ForgottenIsAnothers => Aim::Forgotten,
        Bug::AnswerWithoutCommit => Aim::FullDisks,
        Bug::IntegrationFinishedEarly => Aim::AtOnce,
        Bug::SentIsRead => Aim::NarrowFiles,
        Bug::SlowBatchNotHalved => Aim::Rates,
        Bug::LaterTypesSent | Bug::WithheldToAnyone => Aim::OlderSites,
        Bug::EmptyEndTrusted => Aim::OlderCentral,
        Bug::AnyMachineComesIn => Aim::Hardware,
        _ => return None,
    })
}

/// Whether a world that is not harsh shows a bug.
fn shows_in_kinder_worlds(bug: Bug) -> bool {
    matches!(
        bug,
        Bug::PullCursorOffByOne
            | Bug::CursorBeforeRecords
            | Bug::EmptyBatchMovesCursor
            | Bug::PushCursorBeforeAnswer
            | Bug::PushWithoutBound
            | Bug::AnswerWithoutCommit
            | Bug::RepeatedPushTaken
            | Bug::LatePushTaken
            | Bug::UnconfirmedIsSafe
            | Bug::LocalEditOverwritten
            | Bug::LocalDeleteForgotten
            | Bug::OwnershipNotAsked
            | Bug::SourceForgotten
            | Bug::EveryStoreSelected
            | Bug::FormerStoreNotTold
            | Bug::TableIgnored
            | Bug::FailedIsDropped
            | Bug::WaitingNotWoken
            | Bug::IntegrationFinishedEarly
            | Bug::GainedStoreIgnored
            | Bug::ChildrenStay
            | Bug::PatientHistoryIgnored
            | Bug::SiteRestoreIgnored
            | Bug::CentralRestoreIgnored
            | Bug::AcknowledgedBeforeStored
            | Bug::LegacyCursorBeforeAnswer
            | Bug::MergeForgetsLateRecords
            | Bug::FileHashIgnored
            | Bug::FileNamedTooSoon
            | Bug::ResumeWithoutMatch
            | Bug::FileDoneBeforeAnswer
            | Bug::BadFileStopsQueue
    )
}

/// Plants each bug, or the one of this name, and runs seeds of its own in worlds of the bug's kind, or of this one, until a
/// promise is broken, at most so many. A seed that breaks a promise without the bug too says nothing.
pub fn hunt(
    threads: usize,
    seeds_max: u64,
    (kind, name): (Option<Kind>, Option<&str>),
    found: impl Fn(&Found) + Sync,
) -> Vec<Found> {
    let is_wanted = |bug: &Bug| match (name, kind) {
        (Some(name), _) => format!("{bug:?}") == name,
        (None, Some(kind)) => kind_of(*bug) == kind,
        (None, None) => true,
    };
    let next = AtomicUsize::new(0);
    let all = std::sync::Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                while let Some(bug) = Bug::ALL.get(next.fetch_add(1, Relaxed)).copied() {
                    if !is_wanted(&bug) {
                        continue;
                    }
                    let kind = kind.unwrap_or_else(|| kind_of(bug));
                    let result = Found { bug, kind, seeds: hunt_one(bug, seeds_max, kind) };
                    found(&result);
                    crate::lock(&all).push(result);
                }
            });
        }
    });
    all.into_inner().unwrap_or_default()
}

fn hunt_with_threads(bug: Bug, seeds_max: u64) -> Option<(u64, String)> {
    (1..=seeds_max).find_map(|seed| {
        let broken = threads::run(seed, false, &|| plant(Some(bug)));
        let what = broken.first()?;
        let says_something = threads::run(seed, false, &|| plant(None)).is_empty();
        says_something.then(|| (seed, format!("seed {seed}: {what}")))
    })
}

fn hunt_one(bug: Bug, seeds_max: u64, kind: Kind) -> Option<(u64, String)> {
    if needs_threads(bug) {
        return hunt_with_threads(bug, seeds_max);
    }
    let place = Bug::ALL.iter().filter(|other| kind_of(**other) == kind_of(bug)).position(|other| *other == bug)?;
    let first = (place as u64 + 1) * 1_000_000;
    (1..=seeds_max).find_map(|count| {
        let number = first + count;
        let run = || run(number, Options { kind, ..Options::default() });
        plant(Some(bug));
        let verdict = run();
        plant(None);
        let violation = verdict.violations.first()?;
        let says_something = run().violations.is_empty();
        says_something.then(|| (count, format!("seed {number}: {violation}")))
    })
}
