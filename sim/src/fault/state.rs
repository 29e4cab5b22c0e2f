//! What runs were in when a fault fired: the other half of what a campaign has to cover.
//!
//! Invariant: a cell of the table is feasible unless it is said here why it is not.

use super::Fault;

macro_rules! states {
    ($($(#[$doc:meta])* $state:ident = $name:literal,)*) => {
        /// Something that a run, a queue, a schedule or the store is in the middle of.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum State {
            $($(#[$doc])* $state,)*
        }

        impl State {
            /// Every state.
            pub const ALL: &[State] = &[$(State::$state,)*];

            /// Its name in summaries.
            pub const fn name(self) -> &'static str {
                match self {
                    $(State::$state => $name,)*
                }
            }
        }
    };
}

states! {
    /// A handler runs.
    Attempt = "attempt",
    /// A step is to be tried again.
    Retry = "retry",
    /// A wait.
    Wait = "wait",
    /// A pause or an approval is open.
    Gate = "gate",
    /// A step waits for a signal.
    Signal = "signal",
    /// An attempt of unknown outcome is held.
    Doubt = "doubt",
    /// The children of a step are out.
    Children = "children",
    /// The engine has something to do about a step by itself.
    Chore = "chore",
    /// A run is being cancelled.
    Cancelling = "cancelling",
    /// What a run did is being taken back.
    Undo = "undo",
    /// A queue is paused.
    Pause = "pause",
    /// A schedule is to fire.
    Schedule = "schedule",
    /// An operation is in doubt.
    InDoubt = "in doubt",
}

impl State {
    /// How many there are.
    pub const COUNT: usize = State::ALL.len();

    /// Whether a fault can fire in it.
    pub fn is_feasible(self, fault: Fault) -> bool {
        match fault {
            // Drawn once, before anything runs.
            Fault::HintsOff => false,
            // Only in worlds of declared losses.
            Fault::Restored => false,
            // Nobody's snapshot is written over while some operation is in doubt.
            Fault::Unreadable => self != State::InDoubt,
            _ => true,
        }
    }
}
