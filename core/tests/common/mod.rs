//! Small definitions, and a fold that takes events one after the other.
#![allow(dead_code, reason = "each test file uses its part")]
#![allow(unused_imports, reason = "each test file uses its part")]
#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod changes;
mod children;
mod desk;
mod events;
mod workflows;

use std::collections::BTreeSet;
use std::time::Duration;

use squid_mesh_core::change::Change;
use squid_mesh_core::definition::{Definition, StepIndex};
use squid_mesh_core::event::{By, Event, Started};
use squid_mesh_core::id::{CommandId, Life, RunId};
use squid_mesh_core::mutant::Mutation;
use squid_mesh_core::name::{DEFAULT_TRIGGER, Name};
use squid_mesh_core::operation::Rejection;
use squid_mesh_core::payload::Payload;
use squid_mesh_core::run::{Facts, Run, Stage, Status, Verdict};
use squid_mesh_core::task::Lane;
use squid_mesh_core::time::Timestamp;
use squid_mesh_core::transition::Transition;

pub(crate) use changes::*;
pub(crate) use children::*;
pub(crate) use desk::*;
pub(crate) use events::*;
pub(crate) use workflows::*;

pub(crate) const A: StepIndex = StepIndex(0);
pub(crate) const B: StepIndex = StepIndex(1);
pub(crate) const C: StepIndex = StepIndex(2);
pub(crate) const D: StepIndex = StepIndex(3);
pub(crate) const E: StepIndex = StepIndex(4);

/// That many seconds after the start of time here.
pub(crate) fn due(seconds: u64) -> Timestamp {
    Timestamp::from_micros(1_700_000_000_000_000).plus(secs(seconds))
}

pub(crate) fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(crate) fn claimed(lanes: impl IntoIterator<Item = u16>) -> BTreeSet<Lane> {
    lanes.into_iter().map(Lane).collect()
}

/// A run with its journal; every transition is folded in the long way too.
#[derive(Clone)]
pub(crate) struct Fold {
    definition: Definition,
    journal: Vec<Transition>,
    run: Run,
    now: Timestamp,
}

impl Fold {
    pub(crate) fn start(definition: Definition) -> Fold {
        let started = Fold::started(&definition);
        Fold::start_as(definition, started, Vec::new())
    }

    /// What a plain start is written down as.
    pub(crate) fn started(definition: &Definition) -> Started {
        Started {
            command: CommandId::from_u128(7),
            definition: definition.key().clone(),
            digest: definition.digest(),
            input: Payload::null().digest(),
            raw_input: Payload::null().digest(),
            key: None,
            labels: Default::default(),
            queue: None,
            priority: None,
            due: None,
            deadline: definition.deadline().map(|span| due(0).plus(span)),
            trace: None,
            trigger: Name::stored(DEFAULT_TRIGGER),
            parent: None,
            copy: None,
            by: By::default(),
        }
    }

    /// Starts a run as `started` says, which takes over what `inherited` says.
    pub(crate) fn start_as(
        definition: Definition,
        started: Started,
        inherited: Vec<Change>,
    ) -> Fold {
        let facts = Facts {
            now: due(0),
            claimed: None,
            mutation: Mutation::NONE,
        };
        let id = RunId::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0000);
        let decided = Run::start(id, Life(1), &definition, started, inherited, facts);
        let fold = Fold {
            definition,
            journal: vec![decided.transition],
            run: decided.run,
            now: due(0),
        };
        fold.check();
        fold
    }

    /// Sets the clock.
    pub(crate) fn at(&mut self, seconds: u64) -> &mut Fold {
        self.now = due(seconds);
        self
    }

    /// Sets the clock.
    pub(crate) fn at_millis(&mut self, millis: u64) -> &mut Fold {
        self.now = due(0).plus(Duration::from_millis(millis));
        self
    }

    pub(crate) fn run(&self) -> &Run {
        &self.run
    }

    pub(crate) fn definition(&self) -> &Definition {
        &self.definition
    }

    /// The changes of the last transition.
    pub(crate) fn last(&self) -> &[Change] {
        &self.journal.last().unwrap().changes
    }

    /// Takes an event that fits, with nothing known of the claims.
    pub(crate) fn take(&mut self, event: Event) -> &mut Fold {
        self.decide(event, None).unwrap();
        self
    }

    /// Takes an event that fits, with these lanes claimed.
    pub(crate) fn take_knowing(&mut self, event: Event, claimed: &BTreeSet<Lane>) -> &mut Fold {
        self.decide(event, Some(claimed)).unwrap();
        self
    }

    /// Takes an event that may not fit.
    pub(crate) fn try_take(&mut self, event: Event) -> Result<(), Rejection> {
        self.decide(event, Some(&BTreeSet::new()))
    }

    /// Takes an event that does not fit, with these lanes claimed.
    pub(crate) fn refused_knowing(&mut self, event: Event, claimed: &BTreeSet<Lane>) -> Rejection {
        self.decide(event, Some(claimed)).unwrap_err()
    }

    pub(crate) fn needs_claims(&self, event: Event) -> bool {
        let facts = Facts {
            now: self.now,
            claimed: None,
            mutation: Mutation::NONE,
        };
        self.run.decide(&self.definition, event, &facts) == Verdict::Claims
    }

    fn decide(&mut self, event: Event, claimed: Option<&BTreeSet<Lane>>) -> Result<(), Rejection> {
        let facts = Facts {
            now: self.now,
            claimed,
            mutation: Mutation::NONE,
        };
        match self.run.decide(&self.definition, event, &facts) {
            Verdict::Decided(decided) => {
                self.journal.push(decided.transition);
                self.run = decided.run;
                self.check();
                Ok(())
            }
            Verdict::Claims => panic!("the decision asks for claims"),
            Verdict::Refused(rejection) => Err(rejection),
        }
    }

    /// The journal folds to the run, and both read back from their bytes.
    fn check(&self) {
        let bytes: Vec<Vec<u8>> = self.journal.iter().map(Transition::encode).collect();
        let read: Vec<Transition> = bytes
            .iter()
            .map(|row| Transition::decode(row).unwrap())
            .collect();
        let steps = self.definition.steps().len();
        let folded = Run::fold(self.run.id(), self.run.life(), steps, &read).unwrap();
        assert_eq!(folded, self.run);
        assert_eq!(Run::decode(&self.run.encode()).unwrap(), self.run);
        let rows = self.run.agenda(&self.definition);
        let lanes: BTreeSet<Lane> = rows.iter().map(|row| row.key.lane).collect();
        assert_eq!(lanes.len(), rows.len(), "each task has its own lane");
        assert_eq!(
            lanes,
            self.run.lanes().map(|armed| armed.lane).collect(),
            "each lane that is taken has a task"
        );
    }
}
