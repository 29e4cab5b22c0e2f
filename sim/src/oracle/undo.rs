//! Effects that are taken back: in which order, when, and how that ends.
//!
//! Invariant: one at a time, the last first, and only in a run that has a reason to.

use squid_mesh_core::definition::StepIndex;
use squid_mesh_core::event::Role;
use squid_mesh_core::id::RunId;
use squid_mesh_core::time::Timestamp;

use super::Landing;
use super::change::{Cause, LOSS_REST};
use crate::fault::sometimes::Milestone;
use crate::ghost::GhostUndo;
use crate::violation::{Check, Promise, broken, ensure};

impl Landing<'_> {
    pub(super) fn undo_scheduled(
        &mut self,
        id: RunId,
        step: StepIndex,
        due: Timestamp,
        cause: &Cause<'_>,
    ) -> Check {
        let clock = self.landed.at;
        let run = self.ghost.run(id);
        let name = run.definition.step(step).name.clone();
        ensure!(
            run.compensates(),
            Compensation,
            "run {id} takes step {name} back without a reason"
        );
        let (least, most) = match (&run.steps[step.at()].undo, cause) {
            (None, _) => {
                ensure!(
                    run.next_undo() == Some(step),
                    Compensation,
                    "run {id} takes step {name} back, before {:?}",
                    run.next_undo().map(|next| &run.definition.step(next).name)
                );
                self.nothing_else_is_out(id)?;
                self.sometimes.reached(Milestone::Compensating);
                (clock, clock)
            }
            (Some(_), Cause::Failure(failed, Role::Undo, failure)) if *failed == step => {
                let (least, most) = self.delay(id, step, Role::Undo, failure);
                (clock.plus(least), clock.plus(most))
            }
            (Some(_), Cause::Loss(lost, Role::Undo, _)) if *lost == step => {
                (clock, clock.plus(LOSS_REST))
            }
            (Some(undo), _) => {
                return broken(
                    Promise::Compensation,
                    format!("run {id} takes step {name} back again ({:?})", undo.due),
                );
            }
        };
        ensure!(
            (least..=most).contains(&due),
            TimersAreExact,
            "run {id} takes step {name} back at {due}, and should between {least} and {most}"
        );
        let state = self.ghost.step_mut(id, step);
        let tries = state.undo.take().map(|undo| undo.tries).unwrap_or_default();
        state.undo = Some(GhostUndo {
            due: Some(due),
            done: false,
            tries,
        });
        Ok(())
    }

    /// One at a time, and only when no attempt and no child is out.
    fn nothing_else_is_out(&self, id: RunId) -> Check {
        let run = self.ghost.run(id);
        let out = run.steps.iter().any(|state| {
            let undoing = state.undo.as_ref().is_some_and(|undo| undo.due.is_some());
            undoing || state.children.active() > 0 && !state.progress.is_settled()
        });
        let body = self
            .ghost
            .held_of(id)
            .any(|grant| grant.body.is_some() && grant.end.is_none());
        ensure!(
            !out && !body,
            Compensation,
            "run {id} takes a step back while something else is out"
        );
        Ok(())
    }

    pub(super) fn undone(
        &mut self,
        id: RunId,
        step: StepIndex,
        done: bool,
        cause: &Cause<'_>,
    ) -> Check {
        let own = match cause {
            Cause::Undone(own) => *own == step && done,
            Cause::Failure(own, Role::Undo, _) | Cause::Loss(own, Role::Undo, _) => {
                *own == step && !done
            }
            Cause::GivenUp(own) => *own == step && !done,
            _ => false,
        };
        ensure!(
            own,
            Compensation,
            "run {id}: that step {} was taken back ({done}) follows from {cause:?}",
            step.0
        );
        let undo = self.ghost.step_mut(id, step).undo.as_mut();
        let Some(undo) = undo.filter(|undo| undo.due.is_some()) else {
            return broken(
                Promise::Compensation,
                format!("run {id} step {} is taken back twice", step.0),
            );
        };
        (undo.due, undo.done) = (None, done);
        let milestone = if done {
            Milestone::Compensated
        } else {
            Milestone::UndoFailed
        };
        self.sometimes.reached(milestone);
        Ok(())
    }
}
