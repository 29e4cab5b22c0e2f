//! Seeded protocol bugs, which measure whether the simulator finds what it should.
//!
//! Invariant: without the feature `mutants` a [`Mutation`] has no size and is never any mutant, so nothing of this is
//! compiled into production code.

macro_rules! mutants {
    ($($(#[$doc:meta])* $mutant:ident,)*) => {
        /// A protocol bug that can be switched on.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Mutant {
            $($(#[$doc])* $mutant,)*
        }

        impl Mutant {
            /// Every mutant.
            pub const ALL: &[Mutant] = &[$(Mutant::$mutant,)*];
        }
    };
}

mutants! {
    /// A settle does not compare its token with the row's.
    SettleIgnoresFence,
    /// A renewal does not compare its token with the row's.
    RenewalIgnoresFence,
    /// A loss is recorded without counting it.
    LossNotCounted,
    /// A success reported to a winding run still makes its dependents ready.
    CancelNotRechecked,
    /// A cancel leaves waits on the agenda.
    CancelLeavesTimer,
    /// A cancel ends claimed steps as if nobody held them.
    CancelForgetsClaims,
    /// Due times come from the run's monotone time instead of the clock that was read.
    DueFromMonotoneTime,
    /// An expired lease is handed out for execution without looking at the run.
    ExpiredReexecuted,
    /// A claim does not raise the fence.
    ClaimKeepsFence,
    /// A claim takes tasks whose handler the worker does not have.
    ClaimIgnoresHandlers,
    /// A repeated claim claims again instead of answering what it got.
    ClaimNotRepeatable,
    /// A lease that is not yet over is treated as over.
    LeaseEndsEarly,
    /// The first retry waits as long as the second should.
    BackoffOffByOne,
    /// A retry may be claimed at once, whatever its backoff.
    RetryNotDelayed,
    /// One more attempt than the policy allows.
    OneAttemptTooMany,
    /// A wait may end before its time.
    WaitNotRechecked,
    /// A report that is repeated word for word is treated as stale.
    RepeatTreatedAsStale,
    /// The run's last step does not finish it.
    JoinForgotten,
    /// One unreadable run fails its whole batch.
    PoisonSpreads,
    /// A start under a key that is taken replaces nothing and still says it started.
    KeyNotCompared,
    /// Starts under one key are compared by what they would store, stamps included.
    KeyComparesStamped,
    /// Inputs are stamped with the instant in the run's id, which is of the caller's clock.
    StampOfTheCaller,
    /// The worker sleeps until a hint comes, however long.
    WakesByHintOnly,
    /// The worker takes an unknown commit of a settle for a failure, and forgets the report.
    UnknownCommitForgotten,
    /// The worker takes an unknown commit of a claim for a failure, and claims under another number.
    UnknownClaimRenumbered,
    /// A drain hands back the leases of running handlers.
    DrainHandsBackRunning,
    /// The worker does not renew leases any more after a store outage.
    RenewalForgottenAfterOutage,
    /// The worker takes its lease to last from the reply on instead of from the request on.
    LeaseFromReply,
    /// The worker executes what it is handed even if it knows it already.
    HandOutNotDeduplicated,
    /// A process takes its predecessor's incarnation.
    IncarnationReused,
    /// An attempt of a step that must not be repeated blindly is repeated blindly.
    HoldForgotten,
    /// A body that must not be repeated blindly begins without that being recorded.
    BegunNotMarked,
    /// A run that ends leaves the children of its steps alone.
    CancelForgetsChildren,
    /// A child that ends does not report to its parent.
    DeliveryForgotten,
    /// Effects are taken back in the order in which they were made.
    UndoInOrder,
    /// Effects of steps that did not succeed are taken back too.
    UndoOfStarted,
    /// A signal that no step waits for yet is accepted and dropped.
    EarlySignalDropped,
    /// A decision or signal that is repeated has its effect again.
    CommandForgotten,
    /// A copy repeats what must not be repeated unasked.
    UnsafeReplay,
    /// A parent records a child that is not started in the same operation.
    ChildForgotten,
    /// A run that a handler starts is not recorded by its parent.
    CallUnrecorded,
    /// A handler starts a run under a lease that it has lost.
    CallIgnoresLease,
    /// A step ends when its handler has returned, whatever runs that started.
    CallNotAwaited,
    /// A step that is guarded by a label runs whatever label came.
    GuardIgnored,
    /// A group of alternatives is there as soon as one of them has succeeded.
    EitherTakesFirst,
    /// A step that can never run is left to wait.
    SkipNotPropagated,
    /// A failure that somebody takes fails the run all the same.
    FailureNotRouted,
    /// A label that a handler returns is not recorded.
    LabelLost,
    /// A route takes its last label, whatever its input is.
    RouteIgnoresConditions,
    /// A signal goes to the step that has waited for it for the shortest time.
    SignalToLatest,
    /// A step takes the newest of the signals that came early.
    NewestSignalTaken,
    /// A run is copied before it has ended.
    CopyOfRunning,
    /// A copy takes over what its source has taken back.
    CopyKeepsUndone,
    /// A copy takes over what depends on steps that it does again.
    CopyKeepsWhatFollows,
    /// An `each` starts all of its children at once.
    EachOverParallel,
    /// A step fails while children of it are out.
    SpoiltNotAwaited,
    /// A run ends while a step of it is being taken back.
    UndoNotAwaited,
    /// A claim takes attempts of a paused queue.
    ClaimIgnoresPause,
    /// A hand-off gives attempts of a paused queue.
    HandOffIgnoresPause,
    /// The run of an occurrence is known by what the clocks show, which comes twice when they go back.
    OccurrenceByWallClock,
    /// A schedule forgets how far it has come.
    CursorForgotten,
    /// A schedule does not look whether the run before goes on.
    OverlapForgotten,
    /// A schedule does not look whether what it fires is due.
    FiresEarly,
    /// A schedule catches up with the oldest of what it missed.
    CatchesUpWithOldest,
    /// What waits for the run before is not woken by its end.
    WaitingNotWoken,
    /// A schedule that gets other times fires what they would have been.
    EditKeepsCursor,
    /// A schedule that is paused leaves its task where it is.
    PauseLeavesFiring,
    /// A process of an older version declares a schedule as it used to be.
    OlderVersionDeclares,
    /// A schedule that a newer version does not declare goes on.
    RetiredGoesOn,
    /// The memory store reads tasks before it has locked their runs.
    TasksReadBeforeRunLock,
    /// The memory store reads whether a command was carried out before it has the locks of what that is about.
    EntryReadBeforeLocks,
    /// The memory store reads its clock before it has its locks.
    ClockReadBeforeLocks,
    /// The memory store writes a run's state without its journal row when both are in one operation with another run.
    TornWrite,
    /// A step whose transaction met another has one attempt less.
    ConflictCountsAsAttempt,
    /// A step is tried again however many conflicts its transaction has met.
    ConflictsUnbounded,
    /// A lost attempt counts as one that was executed.
    LossCountsAsAttempt,
    /// The first steps of a delayed start are due at once.
    DelayIgnored,
    /// A gate's deadline is counted from the start of its run.
    GateDeadlineFromStart,
    /// A decision about a gate is recorded, and leaves it open until its deadline, if it has one.
    DecisionYieldsToExpiry,
    /// A decision about a gate is refused once its deadline has passed, even if nobody has closed it.
    ExpiryBeforeItsCommit,
    /// An approval that is refused goes the way of one that is given.
    RejectionApproves,
    /// The task that closes a gate outlives the decision about it.
    GateDeadlineKept,
    /// A gate that expires fails its step, whatever is wired.
    ExpiryNotRouted,
    /// A gate or signal gives its step no output.
    GivenOutputLost,
    /// A log step writes no line.
    LogUnwritten,
    /// A log step that has written its line does not end.
    LogNotSettled,
    /// A wait until an instant that is past fails.
    PastInstantFails,
    /// A wait until an instant ends when it begins.
    InstantForgotten,
    /// A route takes its fallback first.
    FallbackFirst,
    /// A route has no fallback.
    FallbackIgnored,
    /// A route takes the last condition that matches.
    LastMatchTaken,
    /// The results of an `each` are put together in the order in which they came.
    ResultsAsTheyCame,
    /// Failures that an `each` gathers are gathered as cancels.
    FailuresNotCollected,
    /// An `each` has one child less than elements.
    LastElementForgotten,
    /// The result of a child is not its step's output.
    ChildResultLost,
    /// The failure of a child is taken for its result.
    ChildFailureTakenAsResult,
    /// A step fails with the failure of the child that failed last.
    SpoiltByLast,
    /// Of children that are told to cancel only the first is.
    RecallOfFirstOnly,
    /// A step ends when its children have been told to cancel.
    RecallNotAwaited,
    /// Children are cancelled without taking back what they did.
    RecallKeepsEffects,
    /// Runs that go their own way report their ends.
    DetachedReports,
    /// A signal that was kept is given to a step and kept.
    KeptSignalTwice,
    /// A command that is repeated is answered as if it had its effect now.
    RepeatAnsweredAnew,
    /// The label that somebody says an attempt returned is not recorded.
    ResolvedLabelLost,
    /// An attempt that somebody has tried again is not.
    ResolvedRetryForgotten,
    /// An attempt that somebody says failed is tried again.
    ResolvedFailRetried,
    /// What is in doubt can only be resolved by somebody.
    DoubtReportRefused,
    /// An undo is given up while somebody holds it.
    SkipIgnoresHolder,
    /// An undo that is given up counts as done.
    SkipCountsAsDone,
    /// An undo that fails is the last one.
    FailedUndoStops,
    /// A run's deadline may come before its time.
    DeadlineNotRechecked,
    /// A run's deadline is counted from its start, however long that was put off.
    DeadlineIgnoresDelay,
    /// A run that fails by its deadline ends claimed steps as if nobody held them.
    DeadlineForgetsClaims,
    /// A run's deadline stays armed while it ends.
    DeadlineKept,
    /// A run's deadline is disarmed when its first step ends.
    DeadlineForgotten,
    /// A copy does not know the labels of what it takes over.
    CopyLosesLabels,
    /// A copy takes nothing over.
    CopyInheritsNothing,
    /// What is fetched together with something unreadable counts as unreadable.
    UnreadableSpreads,
    /// A step that needs what cannot be read fails, and its run is compensated.
    UnreadableFailsStep,
    /// A step that needs what cannot be read is tried again, for ever.
    UnreadableRetried,
    /// A settle compares a claim's fence, and not whose claim it is.
    SettleIgnoresOwner,
    /// Workers that are called alike share what tells one process from another.
    NameIsIdentity,
    /// Nothing of the engine: the simulator's reference model believes what a run says of itself.
    ModelBelieves,
}

/// Which mutant is switched on, if any. A value in views and configurations, never a global.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Mutation {
    #[cfg(feature = "mutants")]
    mutant: Option<Mutant>,
}

impl Mutation {
    /// No mutant.
    pub const NONE: Mutation = Mutation {
        #[cfg(feature = "mutants")]
        mutant: None,
    };

    /// This mutant.
    #[cfg(feature = "mutants")]
    pub const fn of(mutant: Mutant) -> Mutation {
        Mutation {
            mutant: Some(mutant),
        }
    }

    /// Whether this mutant is switched on; always `false` without the feature.
    #[inline]
    pub fn is(self, mutant: Mutant) -> bool {
        #[cfg(feature = "mutants")]
        return self.mutant == Some(mutant);
        #[cfg(not(feature = "mutants"))]
        {
            let _ = mutant;
            false
        }
    }
}
