//! Children: that they exist when, and only when, their parent has recorded them, and what they gave.
//!
//! Invariant: what a parent records of a child is compared with the child's own journal.

use serde_json::{Value, json};
use squid_mesh_core::definition::{StepIndex, StepKind};
use squid_mesh_core::event::{ChildEnd, Event, Parent, Started};
use squid_mesh_core::id::RunId;
use squid_mesh_core::limits;
use squid_mesh_core::operation::JournalRow;
use squid_mesh_core::payload::Payload;
use squid_mesh_core::run::Status;

use super::{Landing, bound, stamped};
use crate::fault::sometimes::Milestone;
use crate::violation::{Check, Promise, broken, ensure};

impl Landing<'_> {
    pub(super) fn fanned(&mut self, id: RunId, step: StepIndex, count: u32) -> Check {
        let run = self.ghost.run(id);
        let spec = run.definition.step(step);
        let expected = match &spec.kind {
            StepKind::Child { .. } => 1,
            StepKind::Each { .. } => elements(&bound(self.ghost, id, &spec.input)).len(),
            _ => {
                return broken(
                    Promise::FollowsTheGraph,
                    format!("run {id} step {} has no children", spec.name),
                );
            }
        };
        ensure!(
            count as usize == expected,
            FollowsTheGraph,
            "run {id} step {} is to have {count} children instead of {expected}",
            spec.name
        );
        self.ghost.step_mut(id, step).children.count = count;
        Ok(())
    }

    /// Children are recorded: they exist, with the input they should have, and within their bound.
    pub(super) fn spawned(&mut self, id: RunId, step: StepIndex, upto: u32) -> Check {
        let run = self.ghost.run(id);
        let spec = run.definition.step(step).clone();
        let from = run.steps[step.at()].children.started;
        let whole = bound(self.ghost, id, &spec.input);
        let (inputs, parallel) = match &spec.kind {
            StepKind::Each { parallel, .. } => (elements(&whole), *parallel),
            _ => (vec![whole], 1),
        };
        ensure!(
            run.is_open() && from < upto && upto as usize <= inputs.len(),
            FollowsTheGraph,
            "run {id} step {} starts children {from} to {upto}",
            spec.name
        );
        for child in from..upto {
            let child_id = RunId::child(id, step, child);
            let row = self
                .tables
                .journal(child_id, squid_mesh_core::run::Seq::FIRST)
                .next();
            let expected = self.child_input(row, &inputs[child as usize]);
            let given = row.and_then(|row| row.payload.as_ref());
            let same = given.is_some_and(|given| value(given) == expected);
            ensure!(
                same,
                ChildrenExist,
                "run {id} has recorded child {child} of step {}, which is not there with its input",
                spec.name
            );
        }
        let children = &mut self.ghost.step_mut(id, step).children;
        children.started = upto;
        let active = children.active();
        ensure!(
            active <= parallel.max(1),
            Bounded,
            "run {id} step {} has {active} children at once, and may have {parallel}",
            spec.name
        );
        self.sometimes.reached(Milestone::ChildStarted);
        Ok(())
    }

    /// The input that a child has which was given this one.
    fn child_input(&self, row: Option<&JournalRow>, given: &Payload) -> Option<Value> {
        let stamped = row.and_then(|row| {
            let Event::Started(started) = &row.transition.event else {
                return None;
            };
            let definition = self.tables.definition(&started.definition)?;
            stamped::stored(definition, &started.trigger, given, self.landed.at)
        });
        stamped.or_else(|| value(given))
    }

    /// A run that begins as a child: its parent has recorded it in the same operation, or will in a later row of it.
    pub(super) fn child_is_recorded(&self, id: RunId, started: &Started, parent: &Parent) -> Check {
        if let Some(key) = &started.key {
            return self.call_is_recorded(id, parent, key);
        }
        ensure!(
            id == RunId::child(parent.run, parent.step, parent.child),
            ChildrenExist,
            "run {id} says that it is child {} of run {}",
            parent.child,
            parent.run
        );
        let recorded = self.tables.run(parent.run).is_some_and(|row| {
            let fold = squid_mesh_core::run::Run::decode(&row.state).ok();
            fold.is_some_and(|fold| {
                let state = fold.steps().get(parent.step.at());
                let fan = state.and_then(|state| state.fan.as_ref());
                fan.is_some_and(|fan| parent.child < fan.started)
            })
        });
        ensure!(
            recorded && self.is_below(parent),
            ChildrenExist,
            "run {id} is a child that run {} has not recorded",
            parent.run
        );
        Ok(())
    }

    /// Whether a child is one run deeper than its parent, and not too deep.
    pub(super) fn is_below(&self, parent: &Parent) -> bool {
        let above = self.ghost.runs.get(&parent.run);
        let above = above.and_then(|run| run.start.parent.as_ref());
        let depth = above.map_or(0, |grand| grand.depth);
        parent.depth == depth + 1 && parent.depth <= limits::DEPTH
    }

    /// A parent hears of the end of a child: it really ended so, with that, and it is news.
    pub(super) fn child_ended(
        &mut self,
        id: RunId,
        step: StepIndex,
        child: u32,
        end: ChildEnd,
        payload: &Payload,
    ) -> Check {
        let siblings = &self.ghost.run(id).steps[step.at()].children;
        let child_id = siblings.run(id, step, child);
        let Some(run) = self.ghost.runs.get(&child_id) else {
            return broken(
                Promise::ChildrenExist,
                format!("run {id} hears of the end of child {child_id}, which never was"),
            );
        };
        let real = match run.ended {
            Some(Status::Completed) => Some(ChildEnd::Completed),
            Some(Status::Failed) => Some(ChildEnd::Failed),
            Some(Status::Cancelled) => Some(ChildEnd::Cancelled),
            _ => None,
        };
        ensure!(
            real == Some(end),
            ChildrenExist,
            "run {id} hears that child {child_id} has ended as {end:?}, it is {real:?}"
        );
        if end == ChildEnd::Completed {
            let result = bound(self.ghost, child_id, run.definition.result());
            ensure!(
                value(payload) == value(&result),
                ResultIsReal,
                "run {id} hears another result of child {child_id} than it has"
            );
        }
        if end == ChildEnd::Failed
            && let Some(step) = run.failed_by
        {
            let own = run.steps[step.at()].failure.as_ref().and_then(value);
            let told = value(payload).and_then(|told| told.get("details").cloned());
            ensure!(
                told == own,
                ResultIsReal,
                "run {id} hears of another failure of child {child_id} than it has"
            );
        }
        self.ghost.run_mut(child_id).reported = true;
        let children = &mut self.ghost.step_mut(id, step).children;
        let news = children
            .ends
            .insert(child, (end, payload.clone()))
            .is_none();
        ensure!(
            news,
            ChildrenExist,
            "run {id} hears of the end of child {child_id} twice"
        );
        let milestone = match end {
            ChildEnd::Completed => Milestone::ChildCompleted,
            ChildEnd::Failed => Milestone::ChildFailed,
            ChildEnd::Cancelled => Milestone::ChildCancelled,
        };
        self.sometimes.reached(milestone);
        Ok(())
    }

    /// The results of children are put together: all of them, in order.
    pub(super) fn collected(&self, id: RunId, step: StepIndex, output: &Payload) -> Check {
        let run = self.ghost.run(id);
        let spec = run.definition.step(step);
        let StepKind::Each { collect, .. } = &spec.kind else {
            return broken(
                Promise::ResultIsReal,
                format!("run {id} step {} collects nothing", spec.name),
            );
        };
        let children = &run.steps[step.at()].children;
        let given: Vec<Value> = elements(output).iter().filter_map(value).collect();
        ensure!(
            given.len() == children.count as usize && children.ends.len() == given.len(),
            ResultIsReal,
            "run {id} step {} collects {} results of {} children",
            spec.name,
            given.len(),
            children.count
        );
        for (given, (end, payload)) in given.iter().zip(children.ends.values()) {
            let real = value(payload);
            let real = match (collect, end) {
                (false, _) => real,
                (true, ChildEnd::Completed) => Some(json!({"status": "completed", "result": real})),
                (true, ChildEnd::Failed) => Some(json!({"status": "failed", "failure": real})),
                (true, ChildEnd::Cancelled) => Some(json!({"status": "cancelled"})),
            };
            ensure!(
                Some(given) == real.as_ref(),
                ResultIsReal,
                "run {id} step {} collects something that no child gave",
                spec.name
            );
        }
        Ok(())
    }

    /// A run with a parent that waits for it has ended, and is to report that.
    pub(super) fn delivers(&self, id: RunId) -> Check {
        let start = &self.ghost.run(id).start;
        let parent = start.parent.as_ref();
        let occurrence = start.occurrence.as_ref();
        ensure!(
            parent.is_some_and(|parent| !parent.detached)
                || occurrence.is_some_and(|of| of.reports),
            ChildrenExist,
            "run {id} is to report its end to nobody"
        );
        Ok(())
    }

    /// A child's report of its end is done only when its parent has heard, or need not hear.
    pub(super) fn delivery_is_done(&self, id: RunId) -> Check {
        let run = self.ghost.run(id);
        let Some(parent) = run.start.parent.as_ref().filter(|parent| !parent.detached) else {
            return Ok(());
        };
        if run.ended.is_none() || self.tables.tasks_of(id).next().is_some() || run.reported {
            return Ok(());
        }
        let over = self.ghost.runs.get(&parent.run).is_none_or(|above| {
            above.ended.is_some()
                || above.unreadable
                || above.steps[parent.step.at()].progress.is_settled()
        });
        ensure!(
            over,
            ChildrenExist,
            "child {id} has ended, and its parent will never hear of it"
        );
        Ok(())
    }
}

fn elements(payload: &Payload) -> Vec<Payload> {
    match value(payload) {
        Some(Value::Array(items)) => items
            .into_iter()
            .map(|item| Payload::new(item.to_string().into_bytes()))
            .collect(),
        _ => Vec::new(),
    }
}

fn value(payload: &Payload) -> Option<Value> {
    serde_json::from_slice(payload.bytes()).ok()
}
