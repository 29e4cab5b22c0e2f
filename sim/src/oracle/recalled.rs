//! Children that are told to cancel: that they really are, and how.
//!
//! Invariant: what a parent says of telling its children is compared with what became of them in the same operation.

use squid_mesh_core::definition::StepIndex;
use squid_mesh_core::id::{CommandId, RunId};

use super::{Landing, Told};
use crate::ghost::Winding;
use crate::violation::{Check, ensure};

impl Landing<'_> {
    /// A parent says that it has told its children up to this one.
    pub(super) fn tells(&mut self, parent: RunId, step: StepIndex, upto: u32) {
        let run = self.ghost.run(parent);
        let undo = run.winding == Some(Winding::Failed) || run.takes_back;
        let children = &mut self.ghost.step_mut(parent, step).children;
        let children = std::mem::replace(&mut children.told, upto)..upto;
        self.told.push(Told {
            parent,
            step,
            children,
            undo,
        });
    }

    /// Whoever was told is ending, in the manner in which his parent does; those aside that had ended, or were ending by
    /// themselves.
    pub(super) fn children_were_told(&self) -> Check {
        for told in &self.told {
            let own = &self.ghost.run(told.parent).steps[told.step.at()].children;
            for child in told.children.clone() {
                let id = own.run(told.parent, told.step, child);
                let heard = own.ends.contains_key(&child);
                let run = self.ghost.runs.get(&id);
                let Some(run) = run.filter(|run| !heard && !run.unreadable) else {
                    continue;
                };
                let by_parent = run
                    .cancel
                    .is_some_and(|(command, _)| command == CommandId::from_u128(id.as_u128()));
                ensure!(
                    !run.is_open() && (!by_parent || run.takes_back == told.undo),
                    CancelIsFinal,
                    "run {} says that it told child {id} to cancel (taking back: {}), which heard {:?}",
                    told.parent,
                    told.undo,
                    run.cancel
                );
            }
        }
        Ok(())
    }
}
