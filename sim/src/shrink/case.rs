//! A world by its choices alone.
//!
//! Invariant: the same case under the same setting is the same world, event by event.

use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;
use squid_mesh_core::mutant::Mutation;

use crate::choice::{Choices, Placed, mix};
use crate::settings::Profile;
use crate::trace::Trace;
use crate::world::{Outcome, World};

/// What choices are made under.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setting {
    /// How big the worlds are.
    pub profile: Profile,
    /// The seeded bug.
    pub mutation: Mutation,
}

/// The choices of a world that are not zero, and what it does without.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// Choices by place.
    pub choices: Vec<Placed>,
    /// Starts that were planned and are left out.
    pub dropped: BTreeSet<u64>,
}

/// How big a failure is: what has to be read of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Size {
    /// Operations that landed and wrote something to runs, tasks, queues or schedules.
    pub operations: u32,
    /// Faults that fired.
    pub faults: u32,
    /// Events until the promise was broken.
    pub events: u64,
    /// Choices that are not zero.
    pub choices: u64,
}

impl Size {
    pub(super) fn of(outcome: &Outcome) -> Size {
        let events = outcome.violation.as_ref().map(|violation| violation.event);
        let choices = outcome.taken.iter().filter(|choice| choice.value > 0);
        Size {
            operations: outcome.operations,
            faults: outcome.faults,
            events: events.unwrap_or(outcome.events),
            choices: choices.count() as u64,
        }
    }

    /// Operations and faults.
    pub fn total(&self) -> u32 {
        self.operations + self.faults
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let some = |count: u32, one: &str| match count {
            1 => format!("1 {one}"),
            count => format!("{count} {one}s"),
        };
        let operations = some(self.operations, "operation");
        write!(f, "{operations} and {}", some(self.faults, "fault"))
    }
}

impl Case {
    /// Runs it, for so many events at most.
    pub fn run(&self, setting: Setting, trace: Trace, events: u64) -> Outcome {
        World::new(self.choices(), setting.profile, setting.mutation, trace).run_for(events)
    }

    /// Tells it from others.
    pub(super) fn digest(&self) -> u64 {
        let kept = self.choices.iter().filter(|choice| choice.value > 0);
        let kept = kept.fold(0, |digest, choice| {
            mix(mix(digest, choice.place.word()), choice.value)
        });
        self.dropped
            .iter()
            .fold(kept, |digest, scope| mix(digest, *scope))
    }

    /// What it chooses.
    pub fn choices(&self) -> Choices {
        Choices::placed(&self.choices, &self.dropped)
    }

    /// Without what says nothing.
    #[must_use]
    pub fn tidy(mut self) -> Case {
        self.choices.retain(|choice| choice.value > 0);
        self
    }
}
