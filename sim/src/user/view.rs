//! What the properties of a campaign look at.
//!
//! Invariant: reading changes nothing; what is shown is what really landed, not what anybody believes.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::Value;
use squid_mesh_core::definition::StepIndex;
use squid_mesh_core::id::RunId;
use squid_mesh_core::payload::Payload;
use squid_mesh_core::run::Status;

use super::Ledger;
use crate::clock::SimTime;
use crate::fault::Fault;
use crate::fault::sometimes::Sometimes;
use crate::ghost::{Ghost, GhostRun, GhostStep, Progress};
use crate::oracle;

/// What a property looks at, without the environment.
#[derive(Clone, Copy)]
pub(crate) struct Scene<'w> {
    pub(crate) ghost: &'w Ghost,
    pub(crate) ledgers: &'w BTreeMap<String, Ledger>,
    pub(crate) sometimes: &'w Sometimes,
    pub(crate) now: SimTime,
    pub(crate) over: bool,
}

/// A world as the properties of a campaign see it. `E` is the campaign's [environment](crate::user::Campaign::environment).
pub struct WorldView<'w, E = ()> {
    scene: Scene<'w>,
    env: &'w E,
}

impl<'w, E> WorldView<'w, E> {
    pub(crate) fn new(scene: Scene<'w>, env: &'w E) -> WorldView<'w, E> {
        WorldView { scene, env }
    }

    /// The same without its environment.
    pub(crate) fn without_env(&self) -> WorldView<'w, ()> {
        WorldView::new(self.scene, &())
    }

    /// The environment that this world's handlers have.
    pub fn env(&self) -> &'w E {
        self.env
    }

    /// Every run that was ever started, children and copies included, in the order of their ids.
    pub fn runs(&self) -> impl Iterator<Item = RunView<'w>> + use<'w, E> {
        let ghost = self.scene.ghost;
        ghost.runs.iter().map(move |(id, run)| RunView {
            ghost,
            id: *id,
            run,
        })
    }

    /// Every run of a workflow.
    pub fn runs_of(&self, workflow: &str) -> impl Iterator<Item = RunView<'w>> {
        self.runs().filter(move |run| run.workflow() == workflow)
    }

    /// One run.
    pub fn run(&self, id: RunId) -> Option<RunView<'w>> {
        let ghost = self.scene.ghost;
        ghost.runs.get(&id).map(|run| RunView { ghost, id, run })
    }

    /// The ledger that [scripted effects](crate::Scripted::effect) book in.
    ///
    /// # Panics
    /// If no scripted handler of the campaign books in a ledger of this name.
    #[track_caller]
    pub fn ledger(&self, name: &str) -> &'w Ledger {
        let ledger = self.scene.ledgers.get(name);
        ledger.unwrap_or_else(|| panic!("no scripted handler of the campaign books in {name:?}"))
    }

    /// True time since the world began, which no clock in it shows.
    pub fn now(&self) -> Duration {
        self.scene.now.since(SimTime(0))
    }

    /// How often a fault has struck so far.
    pub fn fired(&self, fault: Fault) -> u64 {
        self.scene.sometimes.total(fault)
    }

    /// Whether the world has come to its end.
    pub fn is_over(&self) -> bool {
        self.scene.over
    }

    /// Whether every run has ended whose snapshot no fault has damaged.
    pub fn all_ended(&self) -> bool {
        self.scene.ghost.all_ended()
    }
}

/// One run of a [`WorldView`].
#[derive(Clone, Copy)]
pub struct RunView<'w> {
    ghost: &'w Ghost,
    id: RunId,
    run: &'w GhostRun,
}

impl<'w> RunView<'w> {
    /// Its id.
    pub fn id(&self) -> RunId {
        self.id
    }

    /// The workflow's name.
    pub fn workflow(&self) -> &'w str {
        self.run.definition.name().as_str()
    }

    /// The workflow's version.
    pub fn version(&self) -> u32 {
        self.run.definition.version()
    }

    /// Its status.
    pub fn status(&self) -> Status {
        self.run.ended.unwrap_or_else(|| self.run.fold.status())
    }

    /// Whether it has ended.
    pub fn is_ended(&self) -> bool {
        self.run.ended.is_some()
    }

    /// Whether a fault has damaged its snapshot, or what one of its steps needs: only a person can go on with it.
    pub fn is_unreadable(&self) -> bool {
        self.run.unreadable || self.run.ended.is_none() && !self.run.halted.is_empty()
    }

    /// Its input, as JSON.
    pub fn input_json(&self) -> Value {
        value(&self.run.start.input)
    }

    /// Its input.
    ///
    /// # Panics
    /// If it is no `T`.
    #[track_caller]
    pub fn input<T: DeserializeOwned>(&self) -> T {
        typed("input of a run", &self.run.start.input)
    }

    /// Its result, as JSON, if it has completed.
    pub fn result_json(&self) -> Option<Value> {
        let completed = self.run.ended == Some(Status::Completed);
        completed.then(|| {
            let result = oracle::bound(self.ghost, self.id, self.run.definition.result());
            value(&result)
        })
    }

    /// Its result, if it has completed.
    ///
    /// # Panics
    /// If it is no `T`.
    #[track_caller]
    pub fn result<T: DeserializeOwned>(&self) -> Option<T> {
        let result = self.result_json()?;
        let read = serde_json::from_value(result);
        Some(read.unwrap_or_else(|error| panic!("the result of a run cannot be read: {error}")))
    }

    /// The failure that it has failed with or is failing with, if a step's: `{"code":..,"message":..,"details":..}`.
    pub fn failure(&self) -> Option<Value> {
        let step = self.run.failed_by?;
        self.run.steps[step.at()].failure.as_ref().map(value)
    }

    /// One step.
    ///
    /// # Panics
    /// If its workflow has no step of this name.
    #[track_caller]
    pub fn step(&self, name: &str) -> StepView<'w> {
        let found = self.run.definition.index_of(name);
        let index = found.unwrap_or_else(|| {
            panic!(
                "workflow {} has no step {name:?}",
                self.run.definition.key()
            )
        });
        self.view(index)
    }

    /// Every step, in declaration order.
    pub fn steps(&self) -> impl Iterator<Item = StepView<'w>> + use<'w> {
        let run = *self;
        run.run.definition.indexes().map(move |step| run.view(step))
    }

    /// The run that started it, if it is a child.
    pub fn parent(&self) -> Option<RunId> {
        self.run.start.parent.as_ref().map(|parent| parent.run)
    }

    /// The run that it is a copy of, if it is one.
    pub fn source(&self) -> Option<RunId> {
        self.run.start.copy.as_ref().map(|copy| copy.source)
    }

    fn view(&self, step: StepIndex) -> StepView<'w> {
        StepView {
            name: self.run.definition.step(step).name.as_str(),
            run: self.id,
            step: &self.run.steps[step.at()],
        }
    }
}

/// One step of a [`RunView`].
#[derive(Clone, Copy)]
pub struct StepView<'w> {
    name: &'w str,
    run: RunId,
    step: &'w GhostStep,
}

impl<'w> StepView<'w> {
    /// Its name.
    pub fn name(&self) -> &'w str {
        self.name
    }

    /// Where it stands.
    pub fn progress(&self) -> Progress {
        self.step.progress
    }

    /// Whether it has ended with an output.
    pub fn is_succeeded(&self) -> bool {
        self.step.progress == Progress::Succeeded
    }

    /// Its output, as JSON, once it has succeeded.
    pub fn output_json(&self) -> Option<Value> {
        self.step.output.as_ref().map(value)
    }

    /// Its output, once it has succeeded.
    ///
    /// # Panics
    /// If it is no `T`.
    #[track_caller]
    pub fn output<T: DeserializeOwned>(&self) -> Option<T> {
        let output = self.step.output.as_ref()?;
        Some(typed("output of a step", output))
    }

    /// Its failure, once it has failed for good: `{"code":..,"message":..,"details":..}`.
    pub fn failure(&self) -> Option<Value> {
        self.step.failure.as_ref().map(value)
    }

    /// How many attempts of it began, as they really did.
    pub fn attempts(&self) -> u32 {
        self.step.tries.begun
    }

    /// How far taking its effect back has come.
    pub fn undo(&self) -> UndoView {
        let Some(undo) = &self.step.undo else {
            return UndoView::None;
        };
        match undo.due {
            Some(_) => UndoView::Pending,
            None if undo.done => UndoView::Done,
            None => UndoView::GivenUp,
        }
    }

    /// The key that every attempt of it has, as handlers see it.
    pub fn idempotency_key(&self) -> String {
        format!("{}:{}", self.run, self.name)
    }

    /// The key that every attempt to take it back has.
    pub fn undo_key(&self) -> String {
        format!("{}:{}:undo", self.run, self.name)
    }
}

/// How far taking the effect of a step back has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UndoView {
    /// It was never begun.
    None,
    /// It goes on.
    Pending,
    /// It is done.
    Done,
    /// It has failed for good, or somebody has given it up.
    GivenUp,
}

fn value(payload: &Payload) -> Value {
    serde_json::from_slice(payload.bytes()).unwrap_or_default()
}

#[track_caller]
fn typed<T: DeserializeOwned>(what: &str, payload: &Payload) -> T {
    let read = serde_json::from_slice(payload.bytes());
    read.unwrap_or_else(|error| {
        let type_name = std::any::type_name::<T>();
        panic!("the {what} is no {type_name}: {error}")
    })
}
