//! Small definitions, and a fold that takes events one after the other.
#![allow(dead_code, reason = "each test file uses its part")]
#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::collections::BTreeSet;
use std::time::Duration;

use squid_mesh_core::change::Change;
use squid_mesh_core::definition::{
    BackoffKind, Definition, Draft, DraftBackoff, DraftBinding, DraftRetry, DraftSource, DraftSpan,
    DraftStep, StepIndex,
};
use squid_mesh_core::event::{CancelRequested, Event, Failure, Started};
use squid_mesh_core::id::{CommandId, Life, RunId};
use squid_mesh_core::mutant::Mutation;
use squid_mesh_core::operation::Rejection;
use squid_mesh_core::payload::Payload;
use squid_mesh_core::run::{Facts, Run, Seq, Verdict};
use squid_mesh_core::task::{Fence, Lane};
use squid_mesh_core::time::Timestamp;
use squid_mesh_core::transition::Transition;

/// That many seconds after the start of time here.
pub(crate) fn due(seconds: u64) -> Timestamp {
    Timestamp::from_micros(1_700_000_000_000_000).plus(secs(seconds))
}

pub(crate) fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn valid(draft: Draft) -> Definition {
    Definition::validate(draft).unwrap()
}

fn step(name: &str, needs: &[&str]) -> DraftStep {
    let sources = needs
        .iter()
        .map(|need| DraftSource::Output((*need).to_owned()))
        .collect();
    DraftStep {
        input: DraftBinding::Tuple(sources),
        ..DraftStep::handler(name, format!("do_{name}"))
    }
}

fn draft(steps: Vec<DraftStep>) -> Draft {
    Draft {
        steps,
        ..Draft::new("order", 1)
    }
}

/// s0 -> s1 -> ...
pub(crate) fn chain(length: usize) -> Definition {
    let names: Vec<String> = (0..length).map(|i| format!("s{i}")).collect();
    let steps = names
        .iter()
        .enumerate()
        .map(|(i, name)| match i.checked_sub(1) {
            Some(before) => step(name, &[&names[before]]),
            None => step(name, &[]),
        });
    valid(draft(steps.collect()))
}

/// a, b -> c
pub(crate) fn join() -> Definition {
    valid(draft(vec![
        step("a", &[]),
        step("b", &[]),
        step("c", &["a", "b"]),
    ]))
}

/// slow beside x -> y -> z
pub(crate) fn chain_beside_root() -> Definition {
    valid(draft(vec![
        step("slow", &[]),
        step("x", &[]),
        step("y", &["x"]),
        step("z", &["y"]),
    ]))
}

pub(crate) fn retrying(retry: DraftRetry) -> Definition {
    valid(draft(vec![DraftStep {
        retry: Some(retry),
        ..step("a", &[])
    }]))
}

pub(crate) fn exponential(max_attempts: u32) -> DraftRetry {
    let span = |millis| Some(DraftSpan::from(Duration::from_millis(millis)));
    let backoff = DraftBackoff {
        min: span(100),
        max: span(1_000),
        ..DraftBackoff::of(BackoffKind::Exponential)
    };
    DraftRetry {
        backoff: Some(backoff),
        ..DraftRetry::attempts(max_attempts)
    }
}

/// wait -> b
pub(crate) fn waiting(span: Duration) -> Definition {
    valid(draft(vec![
        DraftStep::wait("wait", span),
        step("b", &["wait"]),
    ]))
}

/// wait of an hour, b -> c
pub(crate) fn wait_join() -> Definition {
    valid(draft(vec![
        DraftStep::wait("wait", secs(3_600)),
        step("b", &[]),
        step("c", &["wait", "b"]),
    ]))
}

pub(crate) fn with_deadline(span: Duration) -> Definition {
    valid(Draft {
        deadline: Some(span.into()),
        ..draft(vec![step("a", &[])])
    })
}

fn fence(seq: u32) -> Fence {
    Fence {
        seq: Seq(seq),
        claims: 1,
    }
}

pub(crate) fn succeeded(step: StepIndex, seq: u32) -> Event {
    Event::Succeeded {
        step,
        fence: fence(seq),
        output: Payload::null().digest(),
    }
}

pub(crate) fn failed(step: StepIndex, seq: u32, failure: Failure) -> Event {
    Event::Failed {
        step,
        fence: fence(seq),
        failure,
    }
}

pub(crate) fn lost(step: StepIndex, seq: u32) -> Event {
    Event::Lost {
        step,
        fence: fence(seq),
    }
}

pub(crate) fn retryable(code: &str) -> Failure {
    Failure::new(code, "", true)
}

pub(crate) fn cancel(command: u128, force: bool) -> Event {
    let command = CommandId::from_u128(command);
    Event::CancelRequested(Box::new(CancelRequested {
        command,
        actor: None,
        reason: None,
        force,
    }))
}

pub(crate) fn claimed(lanes: impl IntoIterator<Item = Lane>) -> BTreeSet<Lane> {
    lanes.into_iter().collect()
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
        let started = Started {
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
        };
        let id = RunId::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0000);
        let decided = Run::start(id, Life(1), &definition, started, due(0), Mutation::NONE);
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
    }
}
