//! Bugs that can be planted into the engine, to test whether the simulator finds them (feature `planted-bugs`).
//!
//! Each bug is at one or a few places of the engine, as `planted!(Name)`, which is `false` without the feature. A thread plants one
//! bug at a time, for itself.

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

            /// True if the bug is in the legacy half: only a world with a legacy server shows it.
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

            /// True if the bug concerns files: only a world with files shows it.
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

            /// The effect of the bug.
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
    /// The push cursor jumps over records that were written during the push.
    PushWithoutBound,
    /// Central says that it took a push although nothing was committed.
    AnswerWithoutCommit,
    /// Central accepts the same push twice.
    RepeatedPushTaken,
    /// A push that arrives late replaces newer versions.
    LatePushTaken,
    /// Central accepts pushes from every copy of a site's database.
    CopiesNotTold,
    /// A restored site pushes under the id of a push that is in its backup.
    BackupPushIsKnown,
    /// The site treats a pushed record as integrated before central has confirmed it.
    UnconfirmedIsSafe,
    /// A pulled record replaces an edit that is not pushed yet.
    LocalEditOverwritten,
    /// A site forgets its own delete when a newer version of the record comes.
    LocalDeleteForgotten,
    /// Central checks no rule of ownership.
    OwnershipNotAsked,
    /// Central tells a restored site the newer version of any record whose id the site names.
    NewerToldToAnyone,
    /// Central tells a restored site the store of any record whose id it names, also a store that the site never had.
    StoreToldToAnyone,
    /// Every site may point the reference of any file to a record of its own.
    FileIsAnyones,
    /// A site may replace a record without a store that another site wrote.
    WrittenElsewhereTaken,
    /// If central has forgotten who wrote a record, it treats every site as a stranger and refuses even the writer.
    ForgottenIsAnothers,
    /// Every site may change and remove any patient.
    PatientIsAnyones,
    /// Central forgets which site a record came from.
    SourceForgotten,
    /// Central sends the records of all stores to each site.
    EveryStoreSelected,
    /// Central does not tell a site that one of its records moved to another store.
    FormerStoreNotTold,
    /// Two records of a batch with the same id in different tables are treated as one record.
    TableIgnored,
    /// A record that cannot be integrated is dropped.
    FailedIsDropped,
    /// Records that wait for another record are not tried again when it arrives.
    WaitingNotWoken,
    /// Central reports the integration of a site as finished although more of its records were staged meanwhile.
    IntegrationFinishedEarly,
    /// Central asks whether an integration waits before the transaction that stages a push.
    WaitAskedBefore,
    /// When a site gets a store, the site reads nothing again and central logs nothing again.
    GainedStoreIgnored,
    /// The children of a record that moves to another store stay behind.
    ChildrenStay,
    /// When a patient becomes visible on a site, central does not send the patient's earlier records.
    PatientHistoryIgnored,
    /// A site does not notice that its database was restored.
    SiteRestoreIgnored,
    /// Sites send nothing again to a restored central server.
    CentralRestoreIgnored,
    /// A site acknowledges records of the legacy server's queue before it has stored them.
    AcknowledgedBeforeStored,
    /// A site skips a newer version in the legacy server's queue if the batch before had the same entry.
    QueueKnownById,
    /// The push cursor of the legacy half moves before the legacy server has answered.
    LegacyCursorBeforeAnswer,
    /// Records that arrive after a merge keep the id of the merged record.
    MergeForgetsLateRecords,
    /// A merged record that arrives after the merge is stored again.
    MergedComesBack,
    /// A waiting, refused or earlier version replaces a newer one.
    OlderVersionWins,
    /// Central refuses a site's record because of a move that the site could not know of.
    RefusedUnknowing,
    /// What central sent counts as read, although the answer may have been lost.
    SentIsRead,
    /// A site that gets its own edit back logs it as an unpushed edit.
    OwnEditLoggedAgain,
    /// Central does not keep the last version of a record before it left a store: a site that reads again gets today's version.
    LeftAsToday,
    /// The hash of a file is not compared.
    FileHashIgnored,
    /// The received part of a broken download gets the name of the complete file.
    FileNamedTooSoon,
    /// A site requests the rest of a file without a check that it is the same version.
    ResumeWithoutMatch,
    /// A file counts as sent before central has answered.
    FileDoneBeforeAnswer,
    /// If one file fails, the files behind it in the queue are not tried.
    BadFileStopsQueue,
    /// Central accepts a record that a peer cannot read, and sends it to every site.
    DoorStandsOpen,
    /// A large record whose connection breaks at each try counts as too large, and is never sent.
    BrokenLineIsTooLarge,
    /// A site sends a broken batch again in the same size.
    BatchNeverShrinks,
    /// One record that breaks the connection stops all later records.
    LargeRecordHoldsUpAll,
    /// An answer that starts before the requested cursor counts as no progress.
    AnswerFromBeforeIsStuck,
    /// A site that was upgraded does not get the records that central withheld from its older release.
    WithheldForgotten,
    /// Several empty batches in a row, each with a later end, count as a fault of the peer.
    EmptyBatchesAreAFault,
    /// A site takes the loss of central's newest changelog row for a restore.
    NewestGoneIsRestore,
    /// After a restart of central, a late copy of a push replaces newer versions.
    LateForgottenAtRestart,
    /// After a site has pushed many rows, central accepts late copies of the earlier ones.
    ManyRowsForgetAll,
    /// If central's database fails at one record, central tries that record and all that are staged with it again without end.
    FailingSliceRepeats,
    /// Central accepts a push with an impossible cursor.
    ImpossibleCursorTaken,
    /// Central takes a negative cursor of 32 bits for a cursor beyond the end of its changelog.
    NegativeCursorsAreBeyond,
    /// Central does not ask the legacy server for a patient who is to be linked.
    PatientNotAskedFor,
    /// Each database gets a random machine id.
    MachineIdByChance,
    /// A site reads everything again after any change of one of its stores.
    AnyStoreNewsIsGain,
    /// A batch that breaks on the way to or from the legacy server is tried again in the same size.
    LegacyNeverShrinks,
    /// Central writes an uploaded file to the disk before it has checked the sender.
    FileBeforeCredentials,
    /// A central server lets people add sites and stores although a legacy server gives out their numbers.
    NumbersGivenTwice,
    /// Every site may link a patient to any store.
    LinkIsAnyones,
    /// A site that pushes a patient over V5 gets the patient back as central has it, whether or not it sees the patient.
    QueueTellsAnyPatient,
    /// A batch that takes minutes over a slow line is followed by another one of that size.
    SlowBatchNotHalved,
    /// Central sends a site records of tables that the site's release does not know.
    LaterTypesSent,
    /// A site that was upgraded gets everything that was logged while its release was older, whoever's it is.
    WithheldToAnyone,
    /// A site moves its pull cursor to the end of an empty last batch, which an upstream central server reads after the rows.
    EmptyEndTrusted,
    /// Central lets a site in from any machine.
    AnyMachineComesIn,
    /// Central remembers a correct password after another one was set.
    OldPasswordRemembered,
    /// Central reads the stores of a site before the transaction in which it reads the records.
    StoresReadBefore,
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
