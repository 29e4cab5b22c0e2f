//! Makes a failure small: of the choices that lead to a broken promise, those are kept that it takes.
//!
//! A run is cut down by its choices' places: zeroing or dropping some leaves all others what they were. A candidate is accepted
//! if it breaks the same promise and is smaller; what a smaller one does not choose any more is forgotten.
//!
//! Invariant: whatever is accepted breaks the promise that the first run broke, and costs less than what it replaces.

mod artefact;
mod case;
mod passes;
mod restart;

use std::collections::HashSet;
use std::time::{Duration, Instant};

pub use artefact::{Artefact, ArtefactError, Content, mutant_name, mutation};
pub use case::{Case, Setting, Size};

use crate::choice::{Choices, Placed};
use crate::trace::Trace;
use crate::user::play::DOES_NOT_HOLD;
use crate::violation::{Promise, Violation};
use crate::world::{Outcome, World};

/// How hard to try.
#[derive(Debug, Clone, Copy)]
pub struct Budget {
    /// For how long.
    pub time: Duration,
    /// How many candidates at most.
    pub attempts: u64,
}

impl Default for Budget {
    fn default() -> Budget {
        Budget {
            time: Duration::from_secs(10),
            attempts: u64::MAX,
        }
    }
}

/// A failure that was made small.
#[derive(Debug, Clone)]
pub struct Shrunk {
    /// The world that is left.
    pub case: Case,
    /// What breaks in it.
    pub violation: Violation,
    /// How big the failure was.
    pub before: Size,
    /// How big it is.
    pub after: Size,
    /// How many candidates were tried.
    pub attempts: u64,
    /// Whether nothing was left to try.
    pub complete: bool,
    /// How long it took.
    pub took: Duration,
}

/// Makes the failure of a seed small. `progress` is called after every candidate with how many there were, and the size so far.
/// Answers nothing if the seed does not fail.
///
/// The result depends on the budget's time only where that runs out before everything was tried.
pub fn shrink(
    seed: u64,
    setting: Setting,
    budget: Budget,
    progress: &mut dyn FnMut(u64, Size),
) -> Option<Shrunk> {
    shrink_choices(
        Choices::seeded(seed).with_places(),
        setting,
        budget,
        progress,
    )
}

/// Makes the failure of choices small that are told apart by place.
///
/// # Panics
/// If they are not told apart.
pub fn shrink_choices(
    choices: Choices,
    setting: Setting,
    budget: Budget,
    progress: &mut dyn FnMut(u64, Size),
) -> Option<Shrunk> {
    shrink_among(&setting, choices, budget, progress)
}

/// Worlds of one kind, each made by its choices.
pub(crate) trait Worlds {
    /// Runs one, for so many events at most.
    fn run(&self, choices: Choices, events: u64) -> Outcome;

    /// Whether their workflows are drawn from the library.
    fn are_of_the_library(&self) -> bool;
}

impl Worlds for Setting {
    fn run(&self, choices: Choices, events: u64) -> Outcome {
        World::new(choices, self.profile, self.mutation, Trace::default()).run_for(events)
    }

    fn are_of_the_library(&self) -> bool {
        true
    }
}

/// Makes a failure small among worlds of one kind.
pub(crate) fn shrink_among(
    worlds: &dyn Worlds,
    choices: Choices,
    budget: Budget,
    progress: &mut dyn FnMut(u64, Size),
) -> Option<Shrunk> {
    assert!(choices.has_places(), "choices are told apart by place");
    let first = worlds.run(choices, u64::MAX);
    let violation = first.violation.clone()?;
    let before = Size::of(&first);
    let mut search = Search {
        worlds,
        budget,
        begun: Instant::now(),
        attempts: 0,
        wanted: Wanted::of(&violation),
        best: Failure::of(first, violation),
        tried: HashSet::new(),
        progress,
    };
    let complete = search.run();
    Some(Shrunk {
        attempts: search.attempts,
        took: search.begun.elapsed(),
        before,
        after: search.best.size,
        violation: search.best.violation,
        case: search.best.case.tidy(),
        complete,
    })
}

/// What has to break.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Wanted {
    promise: Promise,
    /// Where a panic was, or the property that does not hold.
    which: Option<String>,
}

impl Wanted {
    fn of(violation: &Violation) -> Wanted {
        let detail = &violation.detail;
        let which = match violation.promise {
            Promise::NoPanic => detail.lines().next(),
            Promise::Always | Promise::Eventually => detail.split_inclusive(DOES_NOT_HOLD).next(),
            _ => None,
        };
        Wanted {
            promise: violation.promise,
            which: which.map(str::to_owned),
        }
    }
}

/// What a failure costs whoever has to read it, the most important first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Cost {
    size: u32,
    choices: usize,
    events: u64,
    /// Of all values together.
    bits: u32,
}

impl Cost {
    fn of(outcome: &Outcome, events: u64) -> Cost {
        let values = || outcome.taken.iter().filter(|choice| choice.value > 0);
        Cost {
            size: outcome.operations + outcome.faults,
            choices: values().count(),
            events,
            bits: values()
                .map(|choice| 64 - choice.value.leading_zeros())
                .sum(),
        }
    }
}

/// A failure that was found.
#[derive(Debug, Clone)]
struct Failure {
    case: Case,
    /// What of it could be left out.
    droppable: Vec<u64>,
    violation: Violation,
    cost: Cost,
    size: Size,
}

impl Failure {
    fn of(outcome: Outcome, violation: Violation) -> Failure {
        Failure {
            cost: Cost::of(&outcome, violation.event),
            size: Size::of(&outcome),
            case: Case {
                choices: outcome.taken,
                dropped: outcome.left_out,
            },
            droppable: outcome.droppable,
            violation,
        }
    }
}

/// The search for something smaller.
struct Search<'a> {
    worlds: &'a dyn Worlds,
    budget: Budget,
    begun: Instant,
    attempts: u64,
    wanted: Wanted,
    best: Failure,
    /// Candidates that were tried since there was something bigger, as digests.
    tried: HashSet<u64>,
    progress: &'a mut dyn FnMut(u64, Size),
}

impl Search<'_> {
    fn is_over(&self) -> bool {
        self.attempts >= self.budget.attempts || self.begun.elapsed() >= self.budget.time
    }

    /// Tries a candidate; takes it, if it breaks the same promise and is smaller.
    fn attempt(&mut self, candidate: &Case) -> bool {
        if !self.tried.insert(candidate.digest()) {
            return false;
        }
        // What takes far longer is not what is looked for.
        let most = self.best.cost.events * 3 / 2 + 60;
        let found = self.failure(candidate.choices(), most);
        let smaller = found.filter(|failure| failure.cost < self.best.cost);
        let taken = smaller.is_some();
        if let Some(failure) = smaller {
            self.best = failure;
        }
        (self.progress)(self.attempts, self.best.size);
        taken
    }

    /// Runs a candidate. Answers how it fails, if it does as it should within so many events.
    fn failure(&mut self, choices: Choices, most: u64) -> Option<Failure> {
        self.attempts += 1;
        let outcome = self.worlds.run(choices, most);
        let violation = outcome.violation.clone()?;
        let wanted = Wanted::of(&violation) == self.wanted;
        wanted.then(|| Failure::of(outcome, violation))
    }

    /// Tries the case without some of its choices.
    fn without(&mut self, left_out: impl Fn(&Placed) -> bool) -> bool {
        let kept = self.best.case.choices.iter().filter(|one| !left_out(one));
        let candidate = Case {
            choices: kept.copied().collect(),
            dropped: self.best.case.dropped.clone(),
        };
        candidate.choices.len() < self.best.case.choices.len() && self.attempt(&candidate)
    }
}
