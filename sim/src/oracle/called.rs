//! Runs that handlers start: under whose lease, and that their steps end with them.
//!
//! Invariant: who really held the step is known from the claims; what the engine says of its lease is not asked.

use squid_mesh_core::change::Change;
use squid_mesh_core::definition::{StepIndex, StepKind};
use squid_mesh_core::event::{ChildEnd, Event, Parent, Role};
use squid_mesh_core::id::RunId;
use squid_mesh_core::operation::{Call, Entry, Rejection};
use squid_mesh_core::run::Seq;
use squid_mesh_core::task::{Item, Token};
use squid_mesh_core::transition::Transition;

use super::Landing;
use super::change::Cause;
use crate::fault::sometimes::Milestone;
use crate::ghost::GhostRun;
use crate::violation::{Check, Promise, broken, ensure};

impl Landing<'_> {
    /// A handler has started a run: its attempt really holds the step, the run goes on, and what it started is there.
    pub(super) fn called(&mut self, id: RunId, row: &Transition) -> Check {
        let Event::Called {
            step,
            run: child,
            detached,
            ..
        } = row.event
        else {
            unreachable!("it was matched before");
        };
        let Some(call) = self.call_of(id, step, child).cloned() else {
            return broken(
                Promise::ResultIsReal,
                format!("run {id}: no handler of step {} started {child}", step.0),
            );
        };
        ensure!(
            self.ghost.run(id).is_open() && self.holds(id, step, &call.token),
            OldClaimsWriteNothing,
            "run {id} step {}: an attempt that does not hold it started {child}",
            step.0
        );
        let first = self.tables.journal(child, Seq::FIRST).next();
        let there = first.is_some_and(|first| {
            let parent = match &first.transition.event {
                Event::Started(started) => started.parent.as_ref(),
                _ => None,
            };
            let own = parent.is_some_and(|parent| parent.run == id && parent.step == step);
            own && first.payload.as_ref() == Some(&call.start.input)
        });
        ensure!(
            there,
            ChildrenExist,
            "run {id} has recorded {child}, which its handler started and which is not there"
        );
        let adopt = Change::Adopt { step, run: child };
        let expected = if detached { Vec::new() } else { vec![adopt] };
        ensure!(
            row.changes == expected && detached == call.detached,
            FollowsTheGraph,
            "run {id}: a handler started {child}, and what follows is {:?}",
            row.changes
        );
        if !detached {
            let children = &mut self.ghost.step_mut(id, step).children;
            children.called.push(child);
            children.count += 1;
            children.started += 1;
        }
        self.sometimes.reached(Milestone::Called);
        Ok(())
    }

    /// The entry of this operation by which a handler started a run.
    fn call_of(&self, id: RunId, step: StepIndex, child: RunId) -> Option<&Call> {
        self.entries().find_map(|entry| match entry {
            Entry::Call(call)
                if call.task.run == id && call.step == step && call.start.run == child =>
            {
                Some(&**call)
            }
            _ => None,
        })
    }

    /// Whether this attempt is really the current one of a step.
    pub(super) fn holds(&self, id: RunId, step: StepIndex, token: &Token) -> bool {
        let grant = self.ghost.attempt_on(id, step, Role::Step);
        grant.is_some_and(|grant| {
            grant.is_of(&grant.key, token) && grant.item == Item::Attempt && grant.end.is_none()
        })
    }

    /// A run that says that a handler started it: its parent says so too.
    pub(super) fn call_is_recorded(&self, id: RunId, parent: &Parent, key: &str) -> Check {
        let recorded =
            self.tables
                .journal(parent.run, Seq::FIRST)
                .any(|row| match row.transition.event {
                    Event::Called { run, step, .. } => run == id && step == parent.step,
                    _ => false,
                });
        ensure!(
            recorded
                && id == RunId::child_by_key(parent.run, parent.step, key)
                && self.is_below(parent),
            ChildrenExist,
            "run {id} was started by a handler of run {}, which has not recorded that",
            parent.run
        );
        Ok(())
    }

    /// Keeps what a handler returned: its step may end later.
    pub(super) fn returned(&mut self, id: RunId, cause: &Cause<'_>) {
        let Cause::Success(step, output) = cause else {
            return;
        };
        let step = *step;
        let handler = matches!(
            self.ghost.run(id).definition.step(step).kind,
            StepKind::Handler { .. }
        );
        if handler {
            let state = self.ghost.step_mut(id, step);
            state.returned = output.clone();
            if state.children.active() > 0 {
                self.sometimes.reached(Milestone::CallAwaited);
            }
        }
    }

    /// A handler's step succeeds with what that returned, once all that it started has ended well.
    pub(super) fn succeeds_with_its_children(&mut self, id: RunId, step: StepIndex) -> Check {
        let run = self.ghost.run(id);
        let (name, state) = (&run.definition.step(step).name, &run.steps[step.at()]);
        let Some(output) = state.returned.clone() else {
            return broken(
                Promise::ResultIsReal,
                format!("run {id} step {name} succeeds without having reported so"),
            );
        };
        let children = &state.children;
        ensure!(
            children.active() == 0 || run.forced && children.told >= children.started,
            EndsWithItsAttempts,
            "run {id} step {name} succeeds with {} children out",
            children.active()
        );
        let well = children
            .ends
            .values()
            .all(|(end, _)| *end == ChildEnd::Completed);
        ensure!(
            well || !run.is_open(),
            ChildrenExist,
            "run {id} step {name} succeeds although a child of it did not"
        );
        self.ghost.step_mut(id, step).output = Some(output);
        Ok(())
    }

    /// A handler may not start a run: it has lost its step, its run is ending, or the run is there with another input.
    pub(super) fn call_refused(&mut self, call: &Call, rejection: &Rejection) -> Check {
        let id = call.task.run;
        let parent = self.ghost.runs.get(&id);
        let child = self.ghost.runs.get(&call.start.run);
        let busy = self.was_in_doubt() || self.mentions(id) > 1;
        let justified = match rejection {
            Rejection::KeyConflict { .. } => child.is_some_and(|child| {
                let other = child.start.raw_input != call.start.raw_input;
                other && child.start.command != call.start.command
            }),
            Rejection::UnknownRun { run } => *run == id && parent.is_none(),
            Rejection::Stale { .. } => busy || !self.holds(id, call.step, &call.token),
            Rejection::Winding { .. } => busy || parent.is_some_and(|parent| !parent.is_open()),
            Rejection::Finished { status, .. } => {
                parent.is_some_and(|parent| parent.ended == Some(*status))
            }
            Rejection::Unreadable { .. } => {
                let unreadable = |run: Option<&GhostRun>| run.is_some_and(|run| run.unreadable);
                unreadable(parent) || unreadable(child)
            }
            _ => false,
        };
        ensure!(
            justified,
            TruthfulReply,
            "a handler of run {id} may not start {}, without a reason: {rejection}",
            call.start.run
        );
        match rejection {
            Rejection::Stale { .. } => self.sometimes.reached(Milestone::CallStale),
            Rejection::Winding { .. } | Rejection::Finished { .. } => {
                self.sometimes.reached(Milestone::CallTooLate);
            }
            _ => {}
        }
        let written = self.landed.touched.runs.contains(&call.start.run);
        ensure!(
            !written || busy,
            TruthfulReply,
            "run {} was not started, and written all the same",
            call.start.run
        );
        Ok(())
    }
}
