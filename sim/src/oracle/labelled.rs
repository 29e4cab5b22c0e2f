//! Labels: what steps are remembered to have returned, for others to be guarded by.
//!
//! Invariant: a label follows from what a body returned, an operator said, a route found or a gate met, and from nothing else.

use squid_mesh_core::change::Change;
use squid_mesh_core::definition::{LabelIndex, StepIndex, StepKind, label};
use squid_mesh_core::event::{Event, Found, Resolution, Resolved, Role};
use squid_mesh_core::id::RunId;
use squid_mesh_core::name::Name;
use squid_mesh_core::operation::Ruling;
use squid_mesh_core::task::Fence;
use squid_mesh_core::transition::Transition;

use super::Landing;
use super::attempt::Said;
use super::change::Cause;
use crate::ghost::BodyEnd;
use crate::violation::{Check, ensure};

impl Landing<'_> {
    /// The step of an event has the label that the event gives it, and no other step has one but by a signal that was kept.
    pub(super) fn labels_follow(&self, id: RunId, row: &Transition, cause: &Cause<'_>) -> Check {
        let definition = &self.ghost.run(id).definition;
        let expected = self.label_of(id, &row.event, cause);
        let mut given = None;
        for change in &row.changes {
            let Change::Label { step, label } = change else {
                continue;
            };
            if expected.is_some_and(|(own, _)| own == *step) {
                given = Some(*label);
                continue;
            }
            let spec = definition.step(*step);
            let received = spec.way(label::RECEIVED) == Some(*label);
            ensure!(
                received && matches!(spec.kind, StepKind::Signal { .. }),
                ResultIsReal,
                "run {id} step {} is said to have returned {label:?}, and nobody did",
                spec.name
            );
        }
        ensure!(
            expected.is_none_or(|(_, label)| label == given),
            ResultIsReal,
            "run {id} step {:?} has the label {given:?} after {cause:?}",
            expected
        );
        Ok(())
    }

    /// The label that an event gives its step, if it ends it with success.
    fn label_of(
        &self,
        id: RunId,
        event: &Event,
        cause: &Cause<'_>,
    ) -> Option<(StepIndex, Option<LabelIndex>)> {
        let Cause::Success(step, _) = cause else {
            return None;
        };
        let spec = self.ghost.run(id).definition.step(*step);
        let way = |name: &str| spec.way(name);
        let label = match event {
            Event::Succeeded { fence, .. } => self.returned_label(id, (*step, *fence)),
            Event::Evaluated {
                found: Found::Label(label),
                ..
            } => return Some((*step, Some(*label))),
            Event::Due { .. } if spec.kind.is_gate() => Some(label::EXPIRED.to_owned()),
            Event::Signalled(_) => Some(label::RECEIVED.to_owned()),
            Event::Resolved(resolved) => self.decided_label(id, resolved),
            _ => None,
        };
        Some((*step, label.and_then(|label| way(&label))))
    }

    /// What the body of an attempt really returned.
    fn returned_label(&self, id: RunId, attempt: (StepIndex, Fence)) -> Option<String> {
        let report = self.report_on(id, attempt, Said::Output)?;
        let body = self
            .ghost
            .body_of(self.process()?, &report.key, &report.token)?;
        match &self.ghost.bodies[body.0].end {
            Some(BodyEnd::Returned(Ok(returned))) => returned.label.clone(),
            _ => None,
        }
    }

    /// What an operator really decided.
    fn decided_label(&self, id: RunId, resolved: &Resolved) -> Option<String> {
        let own = match &self.resolve_of(id, resolved)?.ruling {
            Ruling::Resume => label::RESUMED,
            Ruling::Approve => label::APPROVED,
            Ruling::Reject => label::REJECTED,
            Ruling::Succeeded { label, .. } => return label.as_ref().map(Name::to_string),
            Ruling::Retry | Ruling::Fail { .. } | Ruling::SkipUndo => return None,
        };
        Some(own.to_owned())
    }

    /// The label of an event is the one that its step was given.
    pub(super) fn label_is_recorded(
        &self,
        id: RunId,
        (step, role, fence): (StepIndex, Role, Fence),
        label: Option<LabelIndex>,
    ) -> Check {
        let said = match role {
            Role::Step => self.returned_label(id, (step, fence)),
            Role::Undo => None,
        };
        let spec = self.ghost.run(id).definition.step(step);
        let own = said.as_deref().and_then(|said| spec.way(said));
        ensure!(
            own == label,
            ResultIsReal,
            "run {id} step {}: its handler returned the label {said:?}, recorded is {label:?}",
            spec.name
        );
        Ok(())
    }

    /// What is recorded of a decision is what was decided.
    pub(super) fn verdict_is_real(&self, id: RunId, resolved: &Resolved, ruling: &Ruling) -> Check {
        let same = match (&resolved.verdict, ruling) {
            (Resolution::Resume, Ruling::Resume)
            | (Resolution::Approve, Ruling::Approve)
            | (Resolution::Reject, Ruling::Reject)
            | (Resolution::Retry, Ruling::Retry)
            | (Resolution::SkipUndo, Ruling::SkipUndo)
            | (Resolution::Succeeded { .. }, Ruling::Succeeded { .. }) => true,
            (Resolution::Fail { code }, Ruling::Fail { code: said, .. }) => {
                said.as_ref().is_none_or(|said| said == code)
            }
            _ => false,
        };
        ensure!(
            same,
            ResultIsReal,
            "run {id}: {ruling:?} was decided, and {:?} is recorded",
            resolved.verdict
        );
        Ok(())
    }
}
