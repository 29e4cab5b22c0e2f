//! What the handlers of an exported run gave in production.
//!
//! Invariant: made of the journal alone; what was given for an input is found again by the input's value, however its text was
//! written.

use std::collections::BTreeMap;

use serde_json::Value;
use squid_mesh_core::definition::{Source, Step, StepIndex};
use squid_mesh_core::eval::{self, Names};
use squid_mesh_core::event::{Event, Failure, Resolution, Role, code};
use squid_mesh_core::export::ExportedRun;
use squid_mesh_core::name::Name;
use squid_mesh_core::operation::JournalRow;
use squid_mesh_core::payload::{OutputRef, Payload};
use squid_mesh_core::run::Run;

use crate::Scripted;

/// What each handler gave.
#[derive(Default)]
pub(super) struct Recorded {
    handlers: BTreeMap<Name, Given>,
    signals: BTreeMap<Name, Value>,
}

/// What one handler gave.
#[derive(Debug, Clone, Default)]
struct Given {
    outputs: Vec<(Value, Value)>,
    last: Option<Value>,
    failure: Option<Failure>,
}

impl Recorded {
    /// Of a run that was exported with its payloads.
    pub(super) fn of(exported: &ExportedRun) -> Recorded {
        let mut recorded = Recorded::default();
        let mut before: Option<Run> = None;
        for row in exported.rows() {
            if let Some(run) = &before {
                recorded.take(exported, run, row);
            }
            before = Some(super::after(exported, before, row));
        }
        recorded
    }

    fn take(&mut self, exported: &ExportedRun, run: &Run, row: &JournalRow) {
        match &row.transition.event {
            Event::Succeeded { step, role, .. } => {
                self.returned(exported, run, (*step, *role), row.payload.as_ref());
            }
            Event::Resolved(resolved) => {
                if let Resolution::Succeeded { .. } = resolved.verdict {
                    let of = (resolved.step, Role::Step);
                    self.returned(exported, run, of, row.payload.as_ref());
                }
            }
            Event::Failed {
                step,
                role,
                failure,
                ..
            } => {
                let handler = exported.definition().steps().get(step.at());
                if let Some(handler) = handler.and_then(|step| handler_of(step, *role)) {
                    let given = self.handlers.entry(handler.clone()).or_default();
                    given.failure = Some(failure.clone());
                }
            }
            Event::Signalled(signalled) => {
                let carried = row.payload.as_ref().and_then(value);
                let first = self.signals.entry(signalled.signal.clone());
                first.or_insert_with(|| carried.unwrap_or_default());
            }
            _ => {}
        }
    }

    fn returned(
        &mut self,
        exported: &ExportedRun,
        run: &Run,
        (index, role): (StepIndex, Role),
        output: Option<&Payload>,
    ) {
        let step = exported.definition().steps().get(index.at());
        let handler = step.and_then(|step| Some((step, handler_of(step, role)?)));
        let (Some((step, handler)), Some(output)) = (handler, output.and_then(value)) else {
            return;
        };
        let given = self.handlers.entry(handler.clone()).or_default();
        given.last = Some(output.clone());
        // What an undo is given depends on why the run ends: under faults it may be something else each time.
        let input = Some(role).filter(|role| *role == Role::Step);
        if let Some(input) = input.and_then(|_| input_of(exported, run, step)) {
            given.outputs.push((input, output));
        }
    }

    /// How a handler is played: it returns what it returned for this input; else what it returned last, for whatever input; if
    /// it only ever failed, it fails like that; and if it was never called, it returns its input.
    pub(super) fn scripted(&self, handler: &Name) -> Scripted {
        let Some(given) = self.handlers.get(handler).cloned() else {
            return Scripted::echoes();
        };
        // Failures that the engine records itself come of the faults.
        let own = |failure: &&Failure| !code::ALL.contains(&failure.code.as_str());
        let failure = given.failure.as_ref().filter(own);
        if let (None, Some(failure)) = (&given.last, failure) {
            let fails = Scripted::fails(&failure.code, &failure.message);
            return if failure.retryable {
                fails.retryable()
            } else {
                fails
            };
        }
        Scripted::returns(move |input| {
            let mut outputs = given.outputs.iter();
            let same = outputs.find(|(known, _)| known == input);
            let output = same.map(|(_, output)| output).or(given.last.as_ref());
            output.unwrap_or(input).clone()
        })
    }

    /// What the first signal of this name carried.
    pub(super) fn signal(&self, signal: &Name) -> Option<&Value> {
        self.signals.get(signal)
    }
}

fn handler_of(step: &Step, role: Role) -> Option<&Name> {
    match role {
        Role::Step => step.kind.handler(),
        Role::Undo => step.undo.as_ref().map(|undo| &undo.handler),
    }
}

/// The input of a step, if all of it is in the run's own journal.
fn input_of(exported: &ExportedRun, run: &Run, step: &Step) -> Option<Value> {
    let part = |source: &&Source| -> Result<Option<Payload>, OutputRef> {
        match run.place(&source.origin) {
            None => Ok(None),
            Some(place) if place.run.is_none() => {
                exported.payload(place.seq).cloned().map(Some).ok_or(place)
            }
            Some(place) => Err(place),
        }
    };
    let sources = step.input.sources();
    let parts = sources.iter().map(part).collect::<Result<Vec<_>, _>>();
    let named = |step: StepIndex| exported.definition().step(step).name.to_string();
    let names = Names {
        target: "input",
        step: &named,
    };
    let input = eval::bind(&step.input, &parts.ok()?, names).ok()?;
    value(&input)
}

pub(super) fn value(payload: &Payload) -> Option<Value> {
    serde_json::from_slice(payload.bytes()).ok()
}
