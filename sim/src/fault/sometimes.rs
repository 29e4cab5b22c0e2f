//! Counters of what a campaign has reached, and what it must reach.
//!
//! Invariant: counts only ever grow, and adding those of several seeds does not depend on their order.

use super::{Fault, Situation, State};

macro_rules! milestones {
    ($($(#[$doc:meta])* $milestone:ident = $name:literal,)*) => {
        /// Something an engine does only when it is pushed there.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Milestone {
            $($(#[$doc])* $milestone,)*
        }

        impl Milestone {
            /// Every milestone.
            pub const ALL: &[Milestone] = &[$(Milestone::$milestone,)*];

            /// Its name in summaries.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Milestone::$milestone => $name,)*
                }
            }
        }
    };
}

milestones! {
    /// A run completed.
    Completed = "a run completed",
    /// A run failed because of a step.
    FailedByStep = "a run failed by a step",
    /// A run failed because of its deadline.
    FailedByDeadline = "a run failed by its deadline",
    /// A run was cancelled.
    Cancelled = "a run was cancelled",
    /// A cancel found attempts out.
    Cancelling = "a cancel found attempts out",
    /// A cancel did not wait for them.
    Forced = "a forced cancel",
    /// A failure was followed by another attempt.
    Retried = "an attempt was retried",
    /// A step used up its attempts.
    Exhausted = "a step used up its attempts",
    /// A loss was recorded.
    Lost = "a loss was recorded",
    /// A step was lost more often than it survives.
    LostTooOften = "a step was lost too often",
    /// A step was handed to its settler.
    HandedOff = "a step was handed off",
    /// A first step was handed to the submitter.
    HandedAtStart = "a first step was handed to its submitter",
    /// A claim was repeated and answered what it got.
    ClaimRepeated = "a claim was repeated",
    /// A settle was repeated and accepted.
    SettleRepeated = "a report was repeated and accepted",
    /// A late report was rejected as stale.
    Stale = "a late report was stale",
    /// A late report met a finished run.
    LateForRun = "a late report met a finished run",
    /// An item turned out not to be due.
    NotDue = "an item was not due",
    /// A slot was answered busy.
    Busy = "a slot was busy",
    /// An operation waited for a lock.
    Waited = "an operation waited for a lock",
    /// A lease was lost to its holder.
    LeaseLost = "a renewal found its lease lost",
    /// A lease was handed back.
    HandedBack = "a lease was handed back",
    /// A second start under a key found the first one's run.
    Existing = "a start found an existing run",
    /// A second start under a key had another input.
    KeyConflict = "a start met a key conflict",
    /// A run was unreadable, and a report or command on it was refused.
    Unreadable = "an unreadable run was refused",
    /// What a step needs could not be read.
    UnreadableInput = "a task was put aside because what it needs cannot be read",
    /// A delayed start was due.
    Delayed = "a delayed start was due",
    /// An input was stamped.
    Stamped = "an input was stamped",
    /// A wait ended.
    WaitEnded = "a wait ended",
    /// A handler was told to stop.
    Stopped = "a handler was told to stop",
    /// A handler was aborted.
    Aborted = "a handler was aborted",
    /// An attempt exceeded its timeout.
    TimedOut = "an attempt timed out",
    /// An attempt was settled in the transaction of its host's writes.
    SettledInPlace = "an attempt was settled in its transaction",
    /// The transaction of an attempt met another.
    Conflicted = "a conflict was recorded",
    /// A step met more conflicts than it survives.
    ConflictedTooOften = "a step met too many conflicts",
    /// A process went on under a name that somebody had taken over meanwhile.
    OvertakenByName = "a zombie went on beside its successor",
    /// A node was lost with an operation in doubt, and leases that nobody gives back.
    LostInDoubt = "a node was lost for ever with an operation in doubt",
    /// Of all nodes one was left.
    OneNodeLeft = "one node was left of several",
    /// An operation landed, and the connection that it was asked for on was cut.
    CutLanded = "an operation landed as its connection was cut by a failover",
    /// An operation was rolled back because its connection was cut.
    CutRolledBack = "an operation was rolled back by a failover",
    /// An answer was under way on a connection that was cut.
    CutAnswer = "an answer was cut off by a failover",
    /// A run whose start was lost.
    StartLost = "a loss took a run with it",
    /// A body that began in a span that was lost ran on.
    RanOnBeyondLoss = "a body of a lost span ran on",
    /// What it reported was recorded, because it is what was to be done again.
    LossMadeGood = "the report of a lost span's body was what was to be done again",
    /// A drain was completed.
    Drained = "a drain was completed",
    /// A join waited for more than one step.
    Joined = "a join became ready",
    /// Several reports were settled at once.
    Batched = "several reports were settled at once",
    /// A step was skipped.
    Skipped = "a step was skipped",
    /// A route took a label.
    Routed = "a route took a label",
    /// A gate was opened.
    GateOpened = "a gate was opened",
    /// A gate's deadline came first.
    GateExpired = "a gate expired",
    /// Somebody decided about a step.
    Resolved = "somebody decided about a step",
    /// A decision came when nothing waited for it.
    NotWaiting = "a decision came when nothing waited for it",
    /// A signal reached a step that waited for it.
    SignalArrived = "a signal reached its step",
    /// A signal came before its step was reached.
    SignalKept = "a signal came early and was kept",
    /// Whether an attempt had its effect was unknown.
    HeldBack = "an attempt of unknown outcome was held back",
    /// Its own late report said.
    DoubtResolved = "a late report resolved a doubt",
    /// A step was to be taken back.
    Compensating = "a step was to be taken back",
    /// A step was taken back.
    Compensated = "a step was taken back",
    /// A step could not be taken back.
    UndoFailed = "a step could not be taken back",
    /// A child was started.
    ChildStarted = "a child was started",
    /// A parent heard of a result.
    ChildCompleted = "a parent heard of a result",
    /// A parent heard of a failure.
    ChildFailed = "a parent heard of a failed child",
    /// A parent heard of a cancelled child.
    ChildCancelled = "a parent heard of a cancelled child",
    /// A handler started a run.
    Called = "a handler started a run",
    /// A handler found a run that it, or the attempt before, had started.
    CalledBefore = "a handler found a run that was started before",
    /// A handler that had lost its step started nothing.
    CallStale = "a handler that had lost its step started nothing",
    /// A handler that was told to stop started nothing.
    CallTooLate = "a handler of an ending run started nothing",
    /// A handler returned before the runs that it had started ended.
    CallAwaited = "a step waited for runs that its handler had started",
    /// A run was copied.
    Copied = "a run was copied",
    /// A run was to be copied before it had ended.
    CopiedTooEarly = "a run that goes on was not copied",
    /// A copy would have repeated what must not be.
    UnsafeReplay = "an unsafe copy was refused",
    /// An occurrence of a schedule started a run.
    ScheduleFired = "an occurrence started a run",
    /// One was too late, and started none.
    ScheduleMissed = "an occurrence was missed",
    /// One was late, and started a run by its policy.
    ScheduleCaughtUp = "a late occurrence was caught up with",
    /// One started none because the run before went on.
    ScheduleSkipped = "an occurrence overlapped and was skipped",
    /// One waits for the run before.
    ScheduleWaits = "an occurrence waits for the run before",
    /// A host fired one.
    FiredByHost = "a host fired an occurrence",
    /// A schedule was triggered.
    ScheduleTriggered = "a schedule was triggered",
    /// A schedule was changed.
    ScheduleChanged = "a schedule was changed",
    /// A newer version of its workflow does not declare a schedule.
    ScheduleRetired = "a newer version retired a schedule",
    /// One that had been retired is declared again.
    ScheduleReturned = "a retired schedule was declared again",
    /// A process of an older version said something of a schedule.
    OlderVersionIgnored = "an older version changed nothing of a schedule",
    /// A process decided about a schedule by another edition of the time zone database, which makes a difference.
    OtherEdition = "an occurrence was decided about by another edition of the zones",
    /// A queue was paused.
    QueuePaused = "a queue was paused",
    /// A queue was resumed.
    QueueResumed = "a queue was resumed",
    /// Somebody tried to pause the engine's queue.
    QueueReserved = "the engine's queue was not paused",
    /// A claim left attempts of a paused queue that it had slots for.
    ClaimHeldBack = "a pause held a claim back",
    /// A settle made a step ready, and did not hand it off because its queue was paused.
    HandOffHeldBack = "a pause held a hand-off back",
    /// A lease ended in a paused queue, and its loss was claimed.
    LossWhilePaused = "a loss was claimed of a paused queue",
}

impl Milestone {
    const COUNT: usize = Milestone::ALL.len();

    /// Whether it is reached only where the store loses what was committed.
    fn is_of_losses(self) -> bool {
        matches!(
            self,
            Milestone::StartLost | Milestone::RanOnBeyondLoss | Milestone::LossMadeGood
        )
    }
}

/// What was reached, how often.
#[derive(Debug, Clone)]
pub struct Sometimes {
    fired: Box<[[u64; Situation::COUNT]; Fault::COUNT]>,
    met: Box<[[u64; State::COUNT]; Fault::COUNT]>,
    reached: [u64; Milestone::COUNT],
}

impl Default for Sometimes {
    fn default() -> Sometimes {
        Sometimes {
            fired: Box::new([[0; Situation::COUNT]; Fault::COUNT]),
            met: Box::new([[0; State::COUNT]; Fault::COUNT]),
            reached: [0; Milestone::COUNT],
        }
    }
}

impl Sometimes {
    /// A fault fired.
    #[inline]
    pub fn fired(&mut self, fault: Fault, during: Situation) {
        self.fired[fault as usize][during as usize] += 1;
    }

    /// A fault that fired met something in this state.
    #[inline]
    pub fn met(&mut self, fault: Fault, state: State) {
        self.met[fault as usize][state as usize] += 1;
    }

    /// How often a fault fired while something was in a state.
    pub fn meetings(&self, fault: Fault, state: State) -> u64 {
        self.met[fault as usize][state as usize]
    }

    /// Of the feasible pairs of a fault and a state, how many have met, and how many there are.
    pub fn coverage(&self) -> (usize, usize) {
        let states = |fault: &'static Fault| State::ALL.iter().map(move |state| (*fault, *state));
        let pairs = Fault::ALL.iter().flat_map(states);
        let feasible = pairs.filter(|(fault, state)| state.is_feasible(*fault));
        feasible.fold((0, 0), |(met, all), (fault, state)| {
            (met + usize::from(self.meetings(fault, state) > 0), all + 1)
        })
    }

    /// Something was reached.
    #[inline]
    pub fn reached(&mut self, milestone: Milestone) {
        self.reached[milestone as usize] += 1;
    }

    /// How often it was reached.
    pub fn count(&self, milestone: Milestone) -> u64 {
        self.reached[milestone as usize]
    }

    /// How often a fault fired, whatever was in flight.
    pub fn total(&self, fault: Fault) -> u64 {
        self.fired[fault as usize].iter().sum()
    }

    /// How many faults fired in all. Strikes that were merely aimed, and handlers that merely fail, are not counted.
    pub fn faults(&self) -> u64 {
        let plain = |fault: &&Fault| {
            !matches!(
                fault,
                Fault::Aimed | Fault::HandlerFails | Fault::MissingHandler
            )
        };
        Fault::ALL
            .iter()
            .filter(plain)
            .map(|fault| self.total(*fault))
            .sum()
    }

    /// Adds another seed's counts.
    pub fn add(&mut self, other: &Sometimes) {
        for (mine, theirs) in self
            .fired
            .iter_mut()
            .flatten()
            .zip(other.fired.iter().flatten())
        {
            *mine += theirs;
        }
        let met = self.met.iter_mut().flatten();
        for (mine, theirs) in met.zip(other.met.iter().flatten()) {
            *mine += theirs;
        }
        for (mine, theirs) in self.reached.iter_mut().zip(&other.reached) {
            *mine += theirs;
        }
    }

    /// What a long campaign has to reach and this one did not; with or without losses of what was committed.
    pub fn missing(&self, losses: bool) -> Vec<String> {
        let unfired = demanded()
            .filter(|(fault, _)| losses || *fault != Fault::Restored)
            .filter(|(fault, during)| self.fired[*fault as usize][*during as usize] == 0);
        let mut missing: Vec<String> = unfired
            .map(|(fault, during)| format!("{} during {}", fault.name(), during.name()))
            .collect();
        let unreached = Milestone::ALL
            .iter()
            .filter(|milestone| self.count(**milestone) == 0)
            .filter(|milestone| losses || !milestone.is_of_losses());
        missing.extend(unreached.map(|milestone| milestone.name().to_owned()));
        missing
    }

    /// Every count that is not zero, by name.
    pub fn counts(&self) -> Vec<(String, u64)> {
        let mut counts = Vec::new();
        for fault in Fault::ALL {
            for during in Situation::ALL {
                let count = self.fired[*fault as usize][*during as usize];
                counts.push((format!("{} during {}", fault.name(), during.name()), count));
            }
        }
        counts.extend(
            Milestone::ALL
                .iter()
                .map(|milestone| (milestone.name().to_owned(), self.count(*milestone))),
        );
        counts.retain(|(_, count)| *count > 0);
        counts
    }
}

/// Which fault has to fire during what.
fn demanded() -> impl Iterator<Item = (Fault, Situation)> {
    use Situation::{Attempt, Claim, Fetch, Idle, Lease, Register, Settle, Submit, Timer};
    Fault::ALL.iter().flat_map(|fault| {
        let during: &[Situation] = match fault {
            Fault::LostRequest
            | Fault::LostReply
            | Fault::Conflict
            | Fault::InDoubtLands
            | Fault::InDoubtRollsBack
            | Fault::Doubled => &[Register, Submit, Claim, Lease, Settle],
            Fault::Stall | Fault::SlowReply | Fault::ReplyTwice => {
                &[Submit, Claim, Lease, Settle, Fetch]
            }
            Fault::Crash | Fault::Freeze | Fault::CrashAtEffect => {
                &[Idle, Attempt, Claim, Lease, Settle]
            }
            Fault::FreezeHolder => &[Claim],
            Fault::CrashAll | Fault::Drain | Fault::DrainCut => &[Idle, Attempt],
            Fault::Outage | Fault::ReadOnly | Fault::HostJump => &[Attempt],
            Fault::Failover | Fault::Restored => &[Attempt, Timer],
            Fault::ClockForward | Fault::ClockBack => &[Attempt, Timer],
            Fault::HandlerKillsHost
            | Fault::HandlerFails
            | Fault::HandlerHangs
            | Fault::HandlerIgnoresStop
            | Fault::HandlerOverruns
            | Fault::Oversized
            | Fault::HostConflict => &[Attempt],
            Fault::PartialScan => &[Claim],
            Fault::HintLost
            | Fault::HintTwice
            | Fault::HintLate
            | Fault::HintsOff
            | Fault::HostDrift
            | Fault::Unreadable
            | Fault::Spoilt
            | Fault::MissingHandler => &[Idle],
            Fault::Aimed => &[Timer],
            Fault::Namesake => &[Idle, Attempt],
            Fault::Replaced | Fault::NodeLost => &[Idle, Attempt, Claim, Lease, Settle],
        };
        during.iter().map(move |during| (*fault, *during))
    })
}
