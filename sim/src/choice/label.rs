//! What choices are about.
//!
//! Invariant: a label's position is its substream, so labels are appended, never moved.

use serde::{Deserialize, Serialize};

macro_rules! labels {
    ($($(#[$doc:meta])* $label:ident,)*) => {
        /// What a choice is about. Each label draws from a substream of its own, so that a draw added under one does not
        /// shift the others.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum Label {
            $($(#[$doc])* $label,)*
        }

        impl Label {
            /// Every label.
            pub const ALL: &[Label] = &[$(Label::$label,)*];
        }
    };
}

labels! {
    /// Which mix of faults a seed gets.
    Portfolio,
    /// How often each fault strikes.
    Intensity,
    /// Lease, poll, slots and the like.
    Knob,
    /// Which nodes there are and what they can execute.
    Topology,
    /// Which workflows are run.
    Shape,
    /// What clients ask for, and when.
    Command,
    /// How an attempt ends.
    Script,
    /// How long an attempt takes.
    Duration,
    /// How long a request or a reply is under way.
    Latency,
    /// The order of things that happen at the same instant.
    Tie,
    /// What happens to a request to the store.
    Network,
    /// What happens to a hint.
    Hint,
    /// Which due tasks a scan leaves out.
    Scan,
    /// When a process, a clock or the store is struck.
    Strike,
    /// Whether a strike is moved to a live deadline.
    Aim,
    /// Whether a process dies at one of its inputs or effects.
    Crash,
    /// Ids, incarnations and lives.
    Identity,
    /// Who stays when the faults stop.
    Core,
    /// When somebody looks at runs, and what he does about them.
    Operator,
    /// Which schedules there are, and what is done to them.
    Schedule,
    /// Who is called like somebody else.
    Namesake,
    /// Which nodes are lost for ever, and when.
    Loss,
    /// Which journal rows become unreadable, and when.
    Damage,
    /// When another server takes over, and what becomes of what is in flight.
    Failover,
    /// When the store goes back to what it held before, and to when.
    Restore,
}
