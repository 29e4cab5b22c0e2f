//! Running a campaign: recorded worlds first, then seeds over several threads.
//!
//! Invariant: which seed is reported does not depend on the number of threads: it is the lowest that fails.

use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use squid_mesh_core::id::RunId;

use super::CampaignError;
use super::builder::{Campaign, Kept};
use super::prepared::Prepared;
use super::regression::{Recorded, Regressions, default_path};
use super::report::{Broken, Small};
use crate::choice::{Choices, mix};
use crate::shrink::{Budget, Worlds, shrink_among};
use crate::story::{self, Cast, Scene};
use crate::trace::Trace;
use crate::violation::{Promise, Violation};
use crate::world::Outcome;

/// Only this seed is run.
pub(super) const SEED: &str = "SQUID_MESH_SIM_SEED";
/// So many seeds are run.
const SEEDS: &str = "SQUID_MESH_SIM_SEEDS";

/// What a campaign that passed came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Passed {
    /// Seeds run.
    pub seeds: u64,
    /// Recorded worlds run before.
    pub recorded: u64,
    /// Events of all seeds.
    pub events: u64,
    /// Runs of all seeds.
    pub runs: u64,
    /// Faults that struck.
    pub faults: u64,
    /// Simulated time while a run was open.
    pub simulated: Duration,
    /// Tells what happened from anything else that could have.
    pub hash: u64,
}

impl Passed {
    fn add(&mut self, seed: u64, outcome: &Outcome) {
        self.seeds += 1;
        self.events += outcome.events;
        self.runs += outcome.runs as u64;
        self.faults += outcome.sometimes.faults();
        self.simulated += Duration::from_micros(outcome.simulated.0);
        self.hash = self.hash.wrapping_add(mix(mix(0, seed), outcome.hash));
    }

    fn merge(&mut self, other: Passed) {
        self.seeds += other.seeds;
        self.events += other.events;
        self.runs += other.runs;
        self.faults += other.faults;
        self.simulated += other.simulated;
        self.hash = self.hash.wrapping_add(other.hash);
    }
}

/// Runs a campaign.
pub(super) fn run<E: 'static>(campaign: Campaign<E>, seeds: u64) -> Result<Passed, CampaignError> {
    let file = match &campaign.options.regressions {
        Kept::BesideTheCrate => Some(default_path(&campaign.name)),
        Kept::In(path) => Some(path.clone()),
        Kept::Nowhere => None,
    };
    let name = std::thread::current().name().map(str::to_owned);
    let runner = Runner {
        prepared: Prepared::of(campaign)?,
        file,
        test: name.filter(|name| name != "main"),
    };
    // On a thread of its own: the caller may be a task of a runtime, in which no other can be driven.
    std::thread::scope(|scope| {
        let running = scope.spawn(|| runner.run(seeds));
        running
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn number(variable: &str) -> Result<Option<u64>, CampaignError> {
    let Ok(text) = std::env::var(variable) else {
        return Ok(None);
    };
    let read = text.trim().parse();
    let wrong = |_| CampaignError::SetUp(format!("{variable} is {text:?}, and should be a number"));
    read.map(Some).map_err(wrong)
}

/// A story in plain language.
fn plain(scenes: &[Scene], cast: &Cast) -> Vec<String> {
    let lines = story::lines(scenes, cast).into_iter();
    lines
        .map(|line| {
            format!(
                "{:>13}  {}",
                format!("+{}", story::span(line.at.0)),
                line.text
            )
        })
        .collect()
}

/// What the story calls the runs that a violation names.
fn concerned(cast: &Cast, detail: &str) -> Vec<String> {
    let named = |run: &&RunId| detail.contains(&run.to_string());
    cast.runs()
        .iter()
        .filter(named)
        .map(|run| cast.run(*run))
        .collect()
}

struct Runner<E> {
    prepared: Prepared<E>,
    file: Option<PathBuf>,
    /// The test that runs the campaign.
    test: Option<String>,
}

/// What the threads of a campaign share.
struct Shared {
    next: AtomicU64,
    end: u64,
    /// The lowest seed that failed.
    failed: AtomicU64,
    total: Mutex<(Passed, Vec<bool>, Option<Violation>)>,
}

impl<E: 'static> Runner<E> {
    fn run(&self, seeds: u64) -> Result<Passed, CampaignError> {
        if let Some(seed) = number(SEED)? {
            return self.only(seed);
        }
        let recorded = self.recorded()?;
        let mut passed = self.seeds(number(SEEDS)?.unwrap_or(seeds))?;
        passed.recorded = recorded;
        Ok(passed)
    }

    /// One seed.
    fn only(&self, seed: u64) -> Result<Passed, CampaignError> {
        let mut passed = Passed::default();
        let (outcome, _) = self.prepared.world(Choices::seeded(seed), Trace::default());
        passed.add(seed, &outcome);
        match outcome.violation {
            None => Ok(passed),
            Some(violation) => Err(self.broken(seed, || Choices::seeded(seed), violation, false)),
        }
    }

    /// The worlds that failed before.
    fn recorded(&self) -> Result<u64, CampaignError> {
        let Some(file) = &self.file else { return Ok(0) };
        let regressions = Regressions::read(file)?;
        for world in &regressions.worlds {
            let choices = || Choices::replayed(&world.log());
            let (outcome, _) = self.prepared.world(choices(), Trace::default());
            if let Some(violation) = outcome.violation {
                return Err(self.broken(world.seed, choices, violation, true));
            }
        }
        Ok(regressions.worlds.len() as u64)
    }

    fn seeds(&self, seeds: u64) -> Result<Passed, CampaignError> {
        let from = self.prepared.from;
        let shared = Shared {
            next: AtomicU64::new(from),
            end: from.saturating_add(seeds),
            failed: AtomicU64::new(u64::MAX),
            total: Mutex::new((Passed::default(), self.prepared.unreached(), None)),
        };
        std::thread::scope(|scope| {
            for _ in 0..self.prepared.threads {
                scope.spawn(|| self.work(&shared));
            }
        });
        let failed = shared.failed.load(Ordering::Relaxed);
        let total = shared.total.into_inner();
        let (passed, reached, violation) = total.unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(violation) = violation {
            return Err(self.broken(failed, || Choices::seeded(failed), violation, false));
        }
        let properties = self.prepared.never(&reached);
        if !properties.is_empty() && seeds > 0 {
            return Err(CampaignError::Never {
                campaign: self.prepared.name.clone(),
                properties,
                seeds,
            });
        }
        Ok(passed)
    }

    fn work(&self, shared: &Shared) {
        let mut passed = Passed::default();
        loop {
            let seed = shared.next.fetch_add(1, Ordering::Relaxed);
            if seed >= shared.end || seed > shared.failed.load(Ordering::Relaxed) {
                break;
            }
            let (outcome, reached) = self.seed(seed);
            passed.add(seed, &outcome);
            let mut total = shared
                .total
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner);
            let (_, all, first) = &mut *total;
            all.iter_mut()
                .zip(reached)
                .for_each(|(all, one)| *all |= one);
            if let Some(violation) = outcome.violation
                && seed < shared.failed.load(Ordering::Relaxed)
            {
                shared.failed.store(seed, Ordering::Relaxed);
                *first = Some(violation);
            }
        }
        let mut total = shared
            .total
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        total.0.merge(passed);
    }

    /// One seed, some of them twice.
    fn seed(&self, seed: u64) -> (Outcome, Vec<bool>) {
        let prepared = &self.prepared;
        let (mut outcome, reached) = prepared.world(Choices::seeded(seed), Trace::default());
        let every = prepared.twice_one_in;
        if every > 0 && seed.is_multiple_of(every) && outcome.violation.is_none() {
            let (again, _) = prepared.world(Choices::seeded(seed), Trace::default());
            if again.hash != outcome.hash {
                outcome.violation = Some(Violation {
                    promise: Promise::Deterministic,
                    detail: self.first_difference(seed),
                    at: outcome.simulated,
                    event: outcome.events,
                });
            }
        }
        (outcome, reached)
    }

    /// What two worlds of one seed first do differently.
    fn first_difference(&self, seed: u64) -> String {
        let tell = || {
            self.prepared
                .world(Choices::seeded(seed).logged(), Trace::told())
                .0
        };
        let (first, second) = (tell(), tell());
        let lines =
            |story: &[Scene]| -> Vec<String> { story.iter().map(Scene::to_string).collect() };
        let stories = lines(&first.story).into_iter().zip(lines(&second.story));
        let told = stories.into_iter().find(|(one, other)| one != other);
        let logs = first.log.iter().zip(&second.log).enumerate();
        let chosen = logs.into_iter().find(|(_, (one, other))| one != other);
        let why = match (told, chosen) {
            (Some((one, other)), _) => format!("first it was\n  {one}\nand then\n  {other}"),
            (None, Some((at, (one, other)))) => {
                format!("choice {at} was {one:?}, and then {other:?}")
            }
            (None, None) => "it does not show in the story, nor every time".to_owned(),
        };
        format!(
            "the handlers are not deterministic: of two worlds of one seed, {why}\n  (do they read a clock, draw random numbers, \
             iterate over a hash map, share state between worlds, or `select!` without `biased`?)"
        )
    }

    /// The world once more, with everything that can be told of it; recorded, unless it is already.
    fn broken(
        &self,
        seed: u64,
        choices: impl Fn() -> Choices,
        violation: Violation,
        recorded: bool,
    ) -> CampaignError {
        let small = self.made_small(choices());
        let (told, _) = self.prepared.world(choices().logged(), Trace::told());
        let mut broken = Broken {
            small,
            campaign: self.prepared.name.clone(),
            seed,
            recorded,
            concerned: concerned(&told.cast, &violation.detail),
            violation,
            story: plain(&told.story, &told.cast),
            choices: told.log,
            test: self.test.clone(),
            file: self.file.clone(),
        };
        if let Some(file) = self.file.as_ref().filter(|_| !recorded) {
            let what = format!(
                "{}: {}",
                broken.violation.promise.text(),
                broken.violation.detail
            );
            let world = Recorded::new(seed, what, &broken.choices);
            let written = Regressions::record(file, &broken.campaign, world);
            if let Err(error) = written {
                broken.file = None;
                broken.story.push(format!("{error}"));
            }
        }
        CampaignError::Broken(Box::new(broken))
    }

    /// A smaller world in which the same does not hold, with its story.
    fn made_small(&self, choices: Choices) -> Option<Small> {
        let budget = Budget {
            time: self.prepared.shrinks_for,
            ..Budget::default()
        };
        if budget.time.is_zero() {
            return None;
        }
        let worlds: &dyn Worlds = &self.prepared;
        let shrunk = shrink_among(worlds, choices.with_places(), budget, &mut |_, _| {})?;
        let (told, _) = self.prepared.world(shrunk.case.choices(), Trace::told());
        let violation = told.violation.as_ref()?;
        Some(Small {
            before: shrunk.before,
            after: shrunk.after,
            attempts: shrunk.attempts,
            took: shrunk.took,
            story: plain(&told.story, &told.cast),
            detail: told.cast.rename(&violation.detail),
        })
    }
}
