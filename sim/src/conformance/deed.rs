//! What is done to schedules, as data that can be generated and shrunk.
//!
//! Invariant: what a schedule of a script does by itself is years away, or is within seconds, of which a script lets the last
//! one pass before it does anything that depends on it. So nobody can doubt whether something is due.

use std::time::Duration;

use proptest::option;
use proptest::prelude::*;
use squid_mesh_core::schedule::{DraftCatchUp, Overlap, Plan, PlanDraft};
use squid_mesh_core::time::Timestamp;

use super::schedules::plan;
use super::script::{Pick, pick};

/// What is done to a schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deed {
    /// One is created at run time.
    Create(Planned),
    /// It gets another content.
    Change(Planned),
    /// A version of a definition declares it.
    Declare {
        /// The version.
        version: u8,
        /// Its content.
        planned: Planned,
    },
    /// A version of a definition does not declare it any more.
    Retire {
        /// The version.
        version: u8,
    },
    /// It fires no more.
    Pause,
    /// It fires again.
    Resume,
    /// It is gone.
    Delete,
    /// It starts a run.
    Trigger,
    /// A scheduler of the host's own says that an occurrence's time has come.
    Fire {
        /// Which: a few of long ago, one to come, and the one that the schedule was last said to fire next.
        occurrence: Pick,
        /// Under an identity of its own.
        signal: Option<u8>,
    },
}

/// The content of a schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// What it starts.
    pub workflow: Pick,
    /// When.
    pub rhythm: Rhythm,
    /// What if the run before goes on.
    pub overlap: Pick,
    /// How many missed occurrences start a run.
    pub catch_up: u8,
    /// Whether an occurrence is missed at once.
    pub strict: bool,
}

/// When a schedule fires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rhythm {
    /// When it is told to.
    External,
    /// When the year turns.
    Yearly,
    /// At each of the next whole seconds.
    Soon {
        /// At how many.
        times: u8,
    },
}

/// The occurrences by which hosts fire: two turns of the year, an hour that is none, and one to come.
pub(super) const OCCURRENCES: [i64; 4] = [
    1_577_833_200_000_000,
    1_609_455_600_000_000,
    1_577_840_400_000_000,
    4_102_444_800_000_000,
];

const SECOND: i64 = 1_000_000;

impl Planned {
    /// The plan that it amounts to at a time of the store's clock.
    pub(super) fn plan(&self, now: Timestamp) -> Plan {
        let draft = match self.rhythm {
            Rhythm::External => PlanDraft::default(),
            Rhythm::Yearly => PlanDraft::cron("0 0 1 1 *", "Europe/Berlin"),
            Rhythm::Soon { times } => PlanDraft {
                end: Some(seconds(now, times)),
                ..PlanDraft::cron("* * * * * *", "UTC")
            },
        };
        let catch_up = match self.catch_up {
            0 => DraftCatchUp::Skip,
            1 => DraftCatchUp::Latest,
            most => DraftCatchUp::All(most.into()),
        };
        let overlap = self.overlap.of(&Overlap::ALL).copied();
        let draft = PlanDraft {
            catch_up: Some(catch_up),
            overlap: overlap.filter(|_| self.rhythm != Rhythm::External),
            grace: self.strict.then(|| Duration::ZERO.into()),
            ..draft
        };
        plan(draft)
    }
}

/// Right after the last of so many whole seconds to come.
pub(super) fn seconds(now: Timestamp, times: u8) -> Timestamp {
    let whole = now.as_micros().div_euclid(SECOND) + i64::from(times);
    Timestamp::from_micros(whole * SECOND + 1)
}

/// Any deed, of schedules that do nothing by themselves for years.
pub(super) fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        3 => planned(rhythm()).prop_map(Deed::Create),
        1 => planned(rhythm()).prop_map(Deed::Change),
        2 => declare(rhythm()),
        1 => (1..4_u8).prop_map(|version| Deed::Retire { version }),
        1 => Just(Deed::Pause),
        1 => Just(Deed::Resume),
        1 => Just(Deed::Delete),
        2 => Just(Deed::Trigger),
        6 => (pick(), option::weighted(0.3, 0..2_u8))
            .prop_map(|(occurrence, signal)| Deed::Fire { occurrence, signal }),
    ]
}

/// What makes schedules that are due within seconds.
pub(super) fn season() -> impl Strategy<Value = Deed> {
    prop_oneof![
        2 => planned(soon()).prop_map(Deed::Create),
        1 => declare(soon()),
    ]
}

fn declare(rhythm: impl Strategy<Value = Rhythm>) -> impl Strategy<Value = Deed> {
    (1..4_u8, planned(rhythm)).prop_map(|(version, planned)| Deed::Declare { version, planned })
}

fn planned(rhythm: impl Strategy<Value = Rhythm>) -> impl Strategy<Value = Planned> {
    (pick(), rhythm, pick(), 0..3_u8, prop::bool::weighted(0.2)).prop_map(
        |(workflow, rhythm, overlap, catch_up, strict)| Planned {
            workflow,
            rhythm,
            overlap,
            catch_up,
            strict,
        },
    )
}

fn rhythm() -> impl Strategy<Value = Rhythm> {
    prop_oneof![Just(Rhythm::External), Just(Rhythm::Yearly)]
}

fn soon() -> impl Strategy<Value = Rhythm> {
    (1..3_u8).prop_map(|times| Rhythm::Soon { times })
}
