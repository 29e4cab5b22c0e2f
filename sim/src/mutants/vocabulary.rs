//! Which seeded bugs concern which event, and which change.
//!
//! Invariant: every word that a journal is written in has at least two bugs of its own that the simulator is measured with.

use std::collections::BTreeSet;

use squid_mesh_core::change::Change;
use squid_mesh_core::event::Event;
use squid_mesh_core::mutant::Mutant;

/// A table of an enum's variants, which does not compile while one is missing.
macro_rules! table {
    ($table:ident: $words:ident { $($word:ident: $($mutant:ident),+;)* }) => {
        const $table: &[(&str, &[Mutant])] = &[
            $((stringify!($word), &[$(Mutant::$mutant),+]),)*
        ];

        const _: fn(&$words) = |word| match word {
            $($words::$word { .. } => {})*
        };
    };
}

table! { EVENTS: Event {
    Started: DelayIgnored, DeadlineIgnoresDelay, KeyNotCompared, KeyComparesStamped, StampOfTheCaller, CopyOfRunning, UnsafeReplay;
    Succeeded: LabelLost, CancelNotRechecked, SettleIgnoresFence, RepeatTreatedAsStale;
    Failed: OneAttemptTooMany, RetryNotDelayed, BackoffOffByOne, FailureNotRouted;
    Lost: LossNotCounted, LossCountsAsAttempt, HoldForgotten, ExpiredReexecuted;
    Conflicted: ConflictCountsAsAttempt, ConflictsUnbounded;
    Evaluated: RouteIgnoresConditions, FallbackFirst, FallbackIgnored, LastMatchTaken, LogUnwritten, LogNotSettled, PastInstantFails;
    Due: WaitNotRechecked, ExpiryNotRouted;
    DeadlineReached: DeadlineNotRechecked, DeadlineForgetsClaims;
    CancelRequested: CancelForgetsClaims, CancelLeavesTimer, CancelForgetsChildren;
    Resolved: RejectionApproves, DecisionYieldsToExpiry, ExpiryBeforeItsCommit, ResolvedRetryForgotten, ResolvedFailRetried, SkipIgnoresHolder;
    Signalled: EarlySignalDropped, SignalToLatest;
    Spawned: ChildForgotten, EachOverParallel;
    Recalled: RecallOfFirstOnly, RecallNotAwaited, RecallKeepsEffects;
    ChildEnded: ChildFailureTakenAsResult, DeliveryForgotten, SpoiltNotAwaited;
    Collected: ResultsAsTheyCame, FailuresNotCollected;
    Called: CallUnrecorded, CallIgnoresLease, CallNotAwaited;
}}

table! { CHANGES: Change {
    Schedule: RetryNotDelayed, BackoffOffByOne, UndoInOrder, EitherTakesFirst, GuardIgnored;
    Engage: DelayIgnored, EachOverParallel;
    Await: InstantForgotten, DueFromMonotoneTime;
    Open: GateDeadlineFromStart, GateDeadlineKept;
    ArmDeadline: DeadlineIgnoresDelay, DeadlineKept;
    DisarmDeadline: DeadlineKept, DeadlineForgotten;
    Report: RepeatTreatedAsStale, OneAttemptTooMany;
    Lose: LossNotCounted, LossCountsAsAttempt;
    Conflict: ConflictCountsAsAttempt, ConflictsUnbounded;
    Hold: HoldForgotten, BegunNotMarked, DoubtReportRefused;
    Stop: CancelForgetsClaims, DeadlineForgetsClaims;
    Label: LabelLost, ResolvedLabelLost;
    Place: GivenOutputLost, ChildResultLost;
    Settle: SkipNotPropagated, LogNotSettled, ExpiryNotRouted;
    Fail: FailureNotRouted, PastInstantFails;
    Fan: LastElementForgotten, EachOverParallel;
    Spawn: ChildForgotten, EachOverParallel;
    Rest: SpoiltNotAwaited, CallNotAwaited;
    Recall: RecallOfFirstOnly, RecallNotAwaited;
    Arrive: DeliveryForgotten, ChildFailureTakenAsResult;
    Spoil: SpoiltNotAwaited, SpoiltByLast;
    Keep: EarlySignalDropped, KeptSignalTwice;
    Take: NewestSignalTaken, KeptSignalTwice;
    Obey: CommandForgotten, RepeatAnsweredAnew;
    Undone: SkipCountsAsDone, UndoNotAwaited, FailedUndoStops;
    Inherit: CopyKeepsUndone, CopyKeepsWhatFollows, CopyLosesLabels, CopyInheritsNothing;
    Wind: FailureNotRouted, DeadlineNotRechecked;
    Finish: JoinForgotten, UndoNotAwaited;
    Deliver: DeliveryForgotten, DetachedReports;
    Adopt: CallUnrecorded, CallNotAwaited;
    Belong: OccurrenceByWallClock, OverlapForgotten;
}}

#[test]
fn every_event_and_every_change_has_two_seeded_bugs() {
    for (word, mutants) in EVENTS.iter().chain(CHANGES) {
        let distinct: BTreeSet<&Mutant> = mutants.iter().collect();
        assert!(distinct.len() >= 2, "{word}");
    }
}
