//! What an oracle found.
//!
//! Invariant: a violation says which promise was broken and by what, in words that need no source code beside them.

use std::cell::Cell;
use std::fmt;

use crate::clock::SimTime;

macro_rules! promises {
    ($($(#[$doc:meta])* $promise:ident = $text:literal,)*) => {
        /// A promise of the engine that oracles check.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Promise {
            $($(#[$doc])* $promise,)*
        }

        impl Promise {
            /// The promise in words.
            pub const fn text(self) -> &'static str {
                match self {
                    $(Promise::$promise => $text,)*
                }
            }
        }
    };
}

promises! {
    /// Invariant 1.
    JournalIsTruth = "the fold of the journal is the snapshot, and implies the agenda",
    /// Invariant 1.
    JournalGrows = "a journal is dense, only grows, and its time never goes back",
    /// Invariant 2.
    SettlesOnce = "each step settles at most once",
    /// Invariant 2.
    ResultIsReal = "a recorded result is what a handler returned under the claim that was current",
    /// Invariant 3.
    LeasesDoNotOverlap = "two claims on one task never overlap in database time",
    /// Invariant 3.
    FenceGrows = "a fence strictly grows",
    /// Invariant 3.
    OldClaimsWriteNothing = "a write under an old claim never lands",
    /// Invariant 4.
    AttemptsAreAccounted = "every attempt that began is reported or recorded as lost before the next one",
    /// Invariant 4.
    RetryPolicy = "retries follow the policy of their step",
    /// Invariant 4.
    ClaimIsAllowed = "a claim is granted only for an open step of an open run, to who can execute it",
    /// Invariant 5.
    NothingEarly = "nothing fires early by the database's clock",
    /// Invariant 5.
    TimersAreExact = "a due time is the clock of its transition plus its span",
    /// Invariant 6.
    CancelIsFinal = "after a cancel was acknowledged no step of the run is claimed",
    /// Invariant 6.
    TerminalIsFinal = "a terminal run never changes again, and nothing dangles from it",
    /// Invariant 6.
    EndsWithItsAttempts = "a run does not end while an attempt is out, unless forced",
    /// Invariant 9.
    FollowsTheGraph = "a step is scheduled when, and only when, everything it needs is there",
    /// Invariant 6.
    Compensation = "what is taken back is exactly what succeeded, one at a time, in reverse order, once",
    /// Invariant 7.
    GateResolvesOnce = "a gate or doubt is resolved once, by what it waits for",
    /// Invariant 7.
    SignalsArrive = "an accepted signal reaches one step, in order, or is kept",
    /// Invariant 8.
    ChildrenExist = "a child exists when its parent has recorded it, and its end is heard of once",
    /// S8.
    CopiesAreSafe = "a copy takes over what its source did, and repeats nothing that it must not",
    /// Invariant 10.
    Acknowledged = "an acknowledged call is reflected in every later read",
    /// Invariant 10.
    TruthfulReply = "a reply says what is the case",
    /// Operations may be repeated.
    Repeatable = "an operation performed again gives the same reply and writes nothing twice",
    /// Invariant 12.
    EffectsAreCounted = "effects under one idempotency key repeat only where a retry or a loss was recorded",
    /// S4.5.
    ToldBeforeLeaseEnds = "a handler is told to stop before its lease ends",
    /// S4.5.
    HealthyKeepsLeases = "a healthy worker with a healthy store loses no lease",
    /// S11.3.
    DrainIsClean = "a drained worker leaves nothing running and hands back only what has not begun",
    /// Worker.
    ReportsArrive = "a result handed to a worker that lives on is reported",
    /// Worker.
    ClaimsInTurn = "a worker claims under another number only when it knows what the last one took",
    /// S1.5.
    InputIsBound = "an attempt gets the input that its binding says",
    /// P6.
    PoisonIsContained = "one unreadable run spoils no other",
    /// S14.6.
    OneRunPerOccurrence = "an occurrence of a schedule starts at most one run, which knows which it is of",
    /// S9.1.
    NoneVanishes = "no occurrence is missed beyond its schedule's policy, and none that waits is forgotten",
    /// S9.1.
    CatchUpPolicy = "of what was missed, no more starts runs than the schedule says, and the newest of it",
    /// S9.1.
    NewestVersionStands = "a schedule is what the highest version of its workflow has said of it",
    /// S9.1.
    OverlapPolicy = "an occurrence that comes while the run before goes on is treated as its schedule says",
    /// S11.2.
    PauseHolds = "after a pause was acknowledged nothing of its queue is claimed or handed off",
    /// S14.9.
    EveryRunFinishes = "with faults stopped and a capable worker every run finishes",
    /// S12.2.
    Explained = "an explanation gives the true reason, evidence that exists, and actions that are accepted",
    /// All of S1 to S8.
    AsModelled = "a run comes to something that the reference model allows",
    /// The simulator itself.
    ModelDiscerns = "the reference model refuses what cannot be",
    /// A property of a campaign of somebody's own.
    Always = "what must always hold, holds after every operation",
    /// A property of a campaign of somebody's own.
    Eventually = "what must hold in the end, holds at the end of every world",
    /// Idle cost.
    IdleIsCheap = "an idle system polls and does nothing else",
    /// Whatever else.
    NoPanic = "no code panics",
    /// Whatever a failover loses.
    LossIsHarmless = "what comes from a span that was lost is refused, or is what is to be done now",
    /// The simulator itself.
    Deterministic = "the same seed gives the same trace",
    /// Whatever else.
    Bounded = "a simulation of bounded work has a bounded number of events",
}

thread_local! {
    /// The only promise that is asked about on this thread, if it is one.
    static ALONE: Cell<Option<Promise>> = const { Cell::new(None) };
}

/// While it lives, no other promise is asked about on its thread.
pub(crate) struct Alone(());

impl Promise {
    /// Asks about no other on this thread for a while. It is for measuring what one promise finds by itself.
    pub(crate) fn alone(self) -> Alone {
        ALONE.set(Some(self));
        Alone(())
    }

    /// Whether nobody asks about it.
    pub(crate) fn is_muted(self) -> bool {
        ALONE.get().is_some_and(|alone| alone != self)
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        ALONE.set(None);
    }
}

/// A broken promise.
#[derive(Debug, Clone)]
pub struct Violation {
    /// Which.
    pub promise: Promise,
    /// By what.
    pub detail: String,
    /// When, in true time.
    pub at: SimTime,
    /// After how many events.
    pub event: u64,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Violation {
            promise,
            detail,
            at,
            event,
        } = self;
        write!(
            f,
            "broken at event {event}, {at}: {}\n  {detail}",
            promise.text()
        )
    }
}

/// A violation whose place is not known yet.
#[derive(Debug)]
pub struct Broken {
    /// Which promise.
    pub promise: Promise,
    /// By what.
    pub detail: String,
}

/// The outcome of a check.
pub type Check = Result<(), Box<Broken>>;

/// A check that failed, unless nobody asks about its promise.
pub fn broken(promise: Promise, detail: impl Into<String>) -> Check {
    if promise.is_muted() {
        return Ok(());
    }
    Err(Box::new(Broken {
        promise,
        detail: detail.into(),
    }))
}

/// Fails with a promise and a message unless the condition holds; the message is made only then.
macro_rules! ensure {
    ($holds:expr, $promise:ident, $($message:tt)+) => {
        if !$holds && !$crate::violation::Promise::$promise.is_muted() {
            return $crate::violation::broken($crate::violation::Promise::$promise, format!($($message)+));
        }
    };
}

pub(crate) use ensure;
