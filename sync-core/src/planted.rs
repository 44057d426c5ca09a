//! Bugs that can be planted into the engine, to test whether the simulator finds them (feature `planted-bugs`).
//!
//! Each is at one place of the engine, as `planted!(Name)`, which is `false` without the feature. One bug at a time is
//! planted, in the thread that plants it.

use std::cell::Cell;

macro_rules! bugs {
    ($($(#[doc = $what:literal])+ $name:ident,)*) => {
        /// A bug that can be planted.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Bug {
            $($(#[doc = $what])+ $name,)*
        }

        impl Bug {
            /// All bugs.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// True if it is in the legacy part, where only a world with a legacy server shows it.
            pub fn is_of_legacy(self) -> bool {
                matches!(
                    self,
                    Self::AcknowledgedBeforeStored
                        | Self::QueueKnownById
                        | Self::LegacyCursorBeforeAnswer
                        | Self::MergeForgetsLateRecords
                        | Self::MergedComesBack
                        | Self::PatientNotAskedFor
                        | Self::AnyStoreNewsIsGain
                        | Self::LegacyNeverShrinks
                        | Self::NumbersGivenTwice
                )
            }

            /// True if it concerns files, which only a world with files shows.
            pub fn is_of_files(self) -> bool {
                matches!(
                    self,
                    Self::FileHashIgnored
                        | Self::FileIsAnyones
                        | Self::FileNamedTooSoon
                        | Self::ResumeWithoutMatch
                        | Self::FileDoneBeforeAnswer
                        | Self::BadFileStopsQueue
                        | Self::FileBeforeCredentials
                )
            }

            /// Its effect.
            pub fn what(self) -> &'static str {
                match self {
                    $(Self::$name => concat!($($what),+).trim_ascii(),)*
                }
            }
        }
    };
}

bugs! {
    /// The pull cursor moves one too far.
    PullCursorOffByOne,
    /// The pull cursor is moved in a transaction of its own, before the records.
    CursorBeforeRecords,
    /// An empty last batch moves the pull cursor to an end that central read after the rows.
    EmptyBatchMovesCursor,
    /// The push cursor moves before central has answered.
    PushCursorBeforeAnswer,
    /// The push cursor jumps over what was written during the push.
    PushWithoutBound,
    /// Central says that it took a push although nothing was committed.
    AnswerWithoutCommit,
    /// A push that comes twice is taken twice.
    RepeatedPushTaken,
    /// A push that was held up on its way replaces what came since.
    LatePushTaken,
    /// Central takes what each copy of a site's database pushes.
    CopiesNotTold,
    /// What a restored site pushes bears the id of a push that its backup holds.
    BackupPushIsKnown,
    /// What was sent counts as integrated at once.
    UnconfirmedIsSafe,
    /// A pulled record replaces an edit that is not pushed yet.
    LocalEditOverwritten,
    /// A delete made here is forgotten when a newer version comes.
    LocalDeleteForgotten,
    /// Central asks no rule of ownership.
    OwnershipNotAsked,
    /// A site that tells central of a backup is told of any record whose id it names.
    NewerToldToAnyone,
    /// Every site may point the reference of any file to a record of its own.
    FileIsAnyones,
    /// A site replaces what another wrote, if it is of no store.
    WrittenElsewhereTaken,
    /// Where it is forgotten who wrote a record, it is another's, and its own writer is refused.
    ForgottenIsAnothers,
    /// Every site may change and remove any patient.
    PatientIsAnyones,
    /// Central forgets which site a record came from.
    SourceForgotten,
    /// Central sends the records of all stores to each site.
    EveryStoreSelected,
    /// The site that loses a record to another store is not told.
    FormerStoreNotTold,
    /// Records of two tables with one id are taken for the same in a batch.
    TableIgnored,
    /// What cannot be integrated is dropped.
    FailedIsDropped,
    /// What waits for a record is not woken when it arrives.
    WaitingNotWoken,
    /// A site's integration counts as finished although more was staged meanwhile.
    IntegrationFinishedEarly,
    /// Central asks whether an integration waits before the transaction that stages a push.
    WaitAskedBefore,
    /// Nothing is read again when a store comes to a site, and central logs nothing anew.
    GainedStoreIgnored,
    /// The children of a record that moves to another store stay behind.
    ChildrenStay,
    /// A patient who becomes visible brings nothing.
    PatientHistoryIgnored,
    /// A restored site goes on as if nothing had happened.
    SiteRestoreIgnored,
    /// Nothing is sent again to a restored central server.
    CentralRestoreIgnored,
    /// What the legacy server has queued is acknowledged before it is stored.
    AcknowledgedBeforeStored,
    /// A newer version from the legacy server's queue counts as known where its entry was in the batch before.
    QueueKnownById,
    /// The push cursor of the legacy half moves before the legacy server has answered.
    LegacyCursorBeforeAnswer,
    /// What comes after a merge still names the record that was merged.
    MergeForgetsLateRecords,
    /// A record that was merged into another one is stored where it arrives after the merge.
    MergedComesBack,
    /// What waited, was refused or came before takes the place of what was written since.
    OlderVersionWins,
    /// A site is refused for what it could not know.
    RefusedUnknowing,
    /// What central sent counts as read, although the answer may have been lost.
    SentIsRead,
    /// An edit of a site that comes back to it is logged again as one that is not pushed.
    OwnEditLoggedAgain,
    /// What a record was when it left a store is not kept: whoever reads again gets it as it is today.
    LeftAsToday,
    /// The hash of a file is not compared.
    FileHashIgnored,
    /// What came of a file that was cut gets the name of the file.
    FileNamedTooSoon,
    /// The rest of a file is asked for whatever version it is of.
    ResumeWithoutMatch,
    /// A file counts as sent before central has answered.
    FileDoneBeforeAnswer,
    /// A file that fails by itself ends the turn of all behind it.
    BadFileStopsQueue,
    /// A record that a peer cannot read is taken, and sent to every site.
    DoorStandsOpen,
    /// A large record whose connection breaks at each try counts as too large, and is never sent.
    BrokenLineIsTooLarge,
    /// What broke on its way is tried again as it is, never smaller.
    BatchNeverShrinks,
    /// A record that breaks the line holds up all that were written after it.
    LargeRecordHoldsUpAll,
    /// An answer of central from further back than was asked is taken for no progress.
    AnswerFromBeforeIsStuck,
    /// What central withheld from an older release of a site does not come with the newer one.
    WithheldForgotten,
    /// Some batches without records, each further on, are taken for a fault of the peer.
    EmptyBatchesAreAFault,
    /// The newest row that is gone from a changelog is taken for a restore.
    NewestGoneIsRestore,
    /// After central was started anew, a late copy of a push undoes what came since.
    LateForgottenAtRestart,
    /// Once a site has pushed many rows, late copies of all that were before them are taken.
    ManyRowsForgetAll,
    /// A record at which central's database fails is tried again and again, with all that is staged beside it.
    FailingSliceRepeats,
    /// A push with a cursor beyond all numbers is taken.
    ImpossibleCursorTaken,
    /// A negative cursor of 32 bits is taken for one beyond the end.
    NegativeCursorsAreBeyond,
    /// Central does not ask the legacy server for a patient that is to be linked.
    PatientNotAskedFor,
    /// The id of a machine is drawn anew for each database.
    MachineIdByChance,
    /// Any news of a store of its own lets a site read everything again.
    AnyStoreNewsIsGain,
    /// What breaks on its way to or from the legacy server is tried again as it is, never smaller.
    LegacyNeverShrinks,
    /// A part with a file is written to the disk before it is known who brings it.
    FileBeforeCredentials,
    /// Sites and stores may be added by hand where a legacy server gives out the numbers.
    NumbersGivenTwice,
    /// Every site may link a patient to any store.
    LinkIsAnyones,
    /// A site that pushes a patient over V5 gets the patient back as central has it, whether or not it sees the patient.
    QueueTellsAnyPatient,
}

thread_local! {
    static PLANTED: Cell<Option<Bug>> = const { Cell::new(None) };
}

/// Plants a bug for this thread, in place of the one before; none with `None`.
pub fn plant(bug: Option<Bug>) {
    PLANTED.set(bug);
}

pub(crate) fn is_planted(bug: Bug) -> bool {
    PLANTED.get() == Some(bug)
}
