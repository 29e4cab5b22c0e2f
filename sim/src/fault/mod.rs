//! Faults by name, and what was in flight when they fired.
//!
//! Invariant: each fault here fires in every long campaign, in every situation that `sometimes` demands of it.

pub mod intensity;
pub mod sometimes;
mod state;

pub use state::State;

macro_rules! faults {
    ($($(#[$doc:meta])* $fault:ident = $name:literal,)*) => {
        /// One kind of fault.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Fault {
            $($(#[$doc])* $fault,)*
        }

        impl Fault {
            /// Every fault.
            pub const ALL: &[Fault] = &[$(Fault::$fault,)*];

            /// Its name in traces and summaries.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Fault::$fault => $name,)*
                }
            }
        }
    };
}

faults! {
    /// A request never reaches the store.
    LostRequest = "lost request",
    /// An operation commits, its acknowledgement is lost.
    LostReply = "lost acknowledgement",
    /// An operation is rolled back for certain.
    Conflict = "conflict",
    /// An operation is decided, holds its locks, and lands seconds later.
    InDoubtLands = "in-doubt commit that lands",
    /// An operation is decided, holds its locks, and is rolled back seconds later.
    InDoubtRollsBack = "in-doubt commit that is rolled back",
    /// The same operation is performed twice.
    Doubled = "operation performed twice",
    /// A request is under way for a long time.
    Stall = "stall",
    /// A reply is under way for a long time, and overtaken by others.
    SlowReply = "slow reply",
    /// A reply is delivered twice.
    ReplyTwice = "reply delivered twice",
    /// A due scan returns some of what it could.
    PartialScan = "partial due scan",
    /// The store answers nobody for a while.
    Outage = "store outage",
    /// The store refuses to write for a while.
    ReadOnly = "read-only store",
    /// A hint is lost.
    HintLost = "hint lost",
    /// A hint is delivered twice.
    HintTwice = "hint delivered twice",
    /// A hint is late.
    HintLate = "hint late",
    /// No hint is ever delivered.
    HintsOff = "all hints lost",
    /// A process dies and starts again.
    Crash = "crash",
    /// A process dies just before it takes in an input, or between two of its effects.
    CrashAtEffect = "crash at an input or effect",
    /// Every process dies at once.
    CrashAll = "crash of all workers",
    /// A handler takes its process with it.
    HandlerKillsHost = "handler kills its host",
    /// A process stands still for a while, then goes on.
    Freeze = "zombie",
    /// The process that has just claimed something stands still until after its lease.
    FreezeHolder = "zombie that just claimed",
    /// A process shuts down gracefully.
    Drain = "graceful drain",
    /// A graceful shutdown is cut short.
    DrainCut = "interrupted drain",
    /// The database's clock steps forward.
    ClockForward = "database clock forward",
    /// The database's clock steps back.
    ClockBack = "database clock back",
    /// A host's clock jumps ahead.
    HostJump = "host clock jump",
    /// A host's clock is far too fast or too slow.
    HostDrift = "host clock drift",
    /// A run's snapshot becomes unreadable.
    Unreadable = "unreadable snapshot",
    /// A node lacks some handler.
    MissingHandler = "node without a handler",
    /// A handler fails.
    HandlerFails = "handler fails",
    /// A handler never returns.
    HandlerHangs = "handler never returns",
    /// A handler ignores its stop signal and returns late.
    HandlerIgnoresStop = "handler ignores its stop",
    /// A handler returns about when its time is over.
    HandlerOverruns = "handler at its timeout",
    /// A handler returns more than a payload may hold.
    Oversized = "oversized output",
    /// The transaction of a handler meets another.
    HostConflict = "transaction of a handler in conflict",
    /// A strike was moved to a live deadline, or a microsecond beside it.
    Aimed = "strike at a live deadline",
    /// A process starts under the name of one that lives on another node.
    Namesake = "two workers of one name",
    /// A process that stands still is taken for dead, and another one starts under its name.
    Replaced = "successor beside a zombie",
    /// A node dies, and no process ever starts on it again.
    NodeLost = "node lost for ever",
    /// A journal row becomes unreadable, or its payload another.
    Spoilt = "unreadable journal row",
    /// Another server takes over that has everything: all connections are cut, and its clock shows something else.
    Failover = "failover without loss",
    /// The store goes back to what it held some time ago. Only where losses are declared.
    Restored = "failover that loses commits",
}

impl Fault {
    /// How many there are.
    pub const COUNT: usize = Fault::ALL.len();
}

macro_rules! situations {
    ($($(#[$doc:meta])* $situation:ident = $name:literal,)*) => {
        /// What was in flight when a fault fired.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Situation {
            $($(#[$doc])* $situation,)*
        }

        impl Situation {
            /// Every situation.
            pub const ALL: &[Situation] = &[$(Situation::$situation,)*];

            /// Its name in summaries.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Situation::$situation => $name,)*
                }
            }
        }
    };
}

situations! {
    /// Nothing in particular.
    Idle = "nothing",
    /// A handler was running.
    Attempt = "an attempt",
    /// A registration.
    Register = "a registration",
    /// Starts or commands.
    Submit = "a submit",
    /// A claim.
    Claim = "a claim",
    /// Renewals, hand-backs.
    Lease = "a renewal",
    /// Reports.
    Settle = "a settle",
    /// A read of payloads or definitions.
    Fetch = "a fetch",
    /// A task that was waiting for its time.
    Timer = "a timer",
}

impl Situation {
    /// How many there are.
    pub const COUNT: usize = Situation::ALL.len();
}
