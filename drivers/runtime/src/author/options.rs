//! Options that steps of several kinds have.
//!
//! Invariant: holds what was written; validation judges it together with everything else.

use squid_mesh_core::definition::{DraftStep, RouteMark};

use super::WorkflowBuilder;
use super::value::{Place, Wired};
use super::wire::{AnyWire, Needs};

/// What a step of any kind may have.
#[derive(Debug, Clone, Default)]
pub struct Common {
    pub(crate) label: Option<String>,
    pub(crate) queue: Option<String>,
    pub(crate) priority: Option<i16>,
    pub(crate) after: Vec<Wired>,
    pub(crate) mark: Option<RouteMark>,
}

impl<I> WorkflowBuilder<I> {
    /// Wires the input of the step that will be declared next.
    pub(crate) fn set_input(&mut self, step: &mut DraftStep, input: impl AnyWire) {
        let path = format!("{}.input", self.next_path());
        step.input = self.draft_binding(&path, input.binding());
    }

    /// Makes the step that will be declared next wait for values without taking them. The run's input is always there, so
    /// it needs no waiting for.
    pub(crate) fn set_needs(&mut self, step: &mut DraftStep, needs: impl Needs) {
        let path = format!("{}.needs", self.next_path());
        for wired in needs.wired() {
            if !self.is_owner(&path, wired) {
                continue;
            }
            match wired.place {
                Place::Input => {}
                Place::Step(at) => step.needs.push(self.declared.name(at)),
                Place::Failure(at) => step.when.push(self.declared.failed(at)),
                Place::Either(at) => step.either.push(self.declared.group(at)),
            }
        }
    }

    /// Sets what the step that will be declared next has in common with others.
    pub(crate) fn set_common(&mut self, step: &mut DraftStep, common: Common) {
        let path = format!("{}.after", self.next_path());
        for wired in common.after {
            if !self.is_owner(&path, wired) {
                continue;
            }
            match wired.place {
                Place::Input => {}
                Place::Step(at) | Place::Failure(at) => step.after.push(self.declared.name(at)),
                Place::Either(at) => step.after.extend(self.declared.group(at)),
            }
        }
        step.label = common.label;
        step.queue = common.queue;
        step.priority = common.priority;
        step.mark = common.mark;
    }
}
