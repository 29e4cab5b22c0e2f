//! Task rows that were written: who really holds what.
//!
//! Invariant: a claim is new exactly when somebody came to hold a task under a fence that nobody held before.

use squid_mesh_core::event::Role;
use squid_mesh_core::limits;
use squid_mesh_core::name::ENGINE_QUEUE;
use squid_mesh_core::operation::Operation;
use squid_mesh_core::schedule::ScheduleId;
use squid_mesh_core::task::{Item, TaskKey, TaskKind, TaskRow, Token};

use super::Landing;
use crate::ghost::{GhostRun, Grant, GrantEnd, GrantId, ProcessId, Progress};
use crate::store::Edition;
use crate::violation::{Check, Promise, broken, ensure};

impl Landing<'_> {
    /// Compares one task row that was written with who held it before.
    pub(super) fn task(&mut self, key: &TaskKey) -> Check {
        match self.tables.task(key) {
            None => {
                self.ghost.go_on(key.run, key.lane);
                self.ghost.end_grant(key, GrantEnd::Dropped);
                Ok(())
            }
            Some(row) => {
                self.note_halted(row)?;
                match row.owner {
                    None => self.freed(row),
                    Some(_) => self.held(row),
                }
            }
        }
    }

    /// A row that nobody holds: whoever held it has reported, or gave it back himself.
    fn freed(&mut self, row: &TaskRow) -> Check {
        let Some(grant) = self.ghost.holder(&row.key) else {
            return Ok(());
        };
        // What the engine does by itself is no longer to be done once its run has moved on; who forces a run to its end
        // takes its attempts from whoever holds them.
        let moved_on = self.has_moved_on(row, grant);
        ensure!(
            moved_on || Some(grant.process) == self.process(),
            OldClaimsWriteNothing,
            "task {} was taken from {}, who held it until {}",
            row.key,
            grant.owner,
            grant.until
        );
        let end = if matches!(self.operation, Operation::Lease(_)) {
            GrantEnd::HandedBack
        } else {
            GrantEnd::Dropped
        };
        self.ghost.end_grant(&row.key, end);
        Ok(())
    }

    /// Whether a task was scheduled anew, so that the claim on it is of no account: that of an attempt, by force only.
    fn has_moved_on(&self, row: &TaskRow, grant: &Grant) -> bool {
        let forced = || self.ghost.run(row.key.run).forced;
        row.fence.seq > grant.fence.seq && (!is_attempt(grant.item) || forced())
    }

    fn held(&mut self, row: &TaskRow) -> Check {
        let same = |grant: &&Grant| Some(grant.owner) == row.owner && grant.fence == row.fence;
        match self.ghost.holder(&row.key).filter(same) {
            Some(grant) if grant.until == row.due_at && grant.marked == row.begun => Ok(()),
            Some(grant) => {
                let by_holder = Some(grant.process) == self.process()
                    && matches!(self.operation, Operation::Lease(_));
                ensure!(
                    by_holder,
                    OldClaimsWriteNothing,
                    "the lease of {} on task {} was moved by somebody else",
                    grant.owner,
                    row.key
                );
                let decided = self.decided;
                let GrantId(index) = self.ghost.tasks[&row.key]
                    .grant
                    .expect("the task has a holder");
                let grant = &mut self.ghost.grants[index];
                (grant.until, grant.cap, grant.since) = (row.due_at, row.renew_until, decided);
                grant.marked |= row.begun;
                Ok(())
            }
            None => self.granted(row),
        }
    }

    /// Somebody came to hold a task.
    fn granted(&mut self, row: &TaskRow) -> Check {
        let owner = row.owner.expect("a granted row has an owner");
        let Some(process) = self.process() else {
            return broken(
                Promise::ClaimIsAllowed,
                format!("task {} was given to {owner} by a client", row.key),
            );
        };
        ensure!(
            self.ghost.process(process).incarnation == owner,
            ClaimIsAllowed,
            "task {} was given to {owner}, who did not ask",
            row.key
        );
        let known = self.ghost.tasks.get(&row.key);
        // What was deleted and made anew has another life, which a token says too.
        let fence = known
            .filter(|task| task.life == row.life)
            .and_then(|task| task.fence);
        ensure!(
            fence.is_none_or(|fence| row.fence > fence),
            FenceGrows,
            "task {} was claimed with fence {}, after {}",
            row.key,
            row.fence,
            fence.map(|fence| fence.to_string()).unwrap_or_default()
        );
        self.does_not_overlap(row)?;
        if row.item() == Item::Attempt {
            self.attempt_may_be_claimed(row, process)?;
        } else {
            self.item_may_be_claimed(row)?;
        }
        let id = GrantId(self.ghost.grants.len());
        let token = Token {
            life: row.life,
            fence: row.fence,
            owner,
        };
        self.ghost.grants.push(Grant {
            key: row.key,
            step: row.step,
            item: row.item(),
            role: row.role(),
            marked: row.begun,
            process,
            owner,
            life: row.life,
            fence: row.fence,
            until: row.due_at,
            cap: row.renew_until,
            granted: self.decided,
            since: self.decided,
            abandoned: self.nobody_knows() || self.ghost.was_made_before(&row.key, &token),
            lost: false,
            body: None,
            end: None,
        });
        if row.item() == Item::Attempt {
            let tries = self
                .ghost
                .step_mut(row.key.run, row.step)
                .tries_mut(row.role());
            tries.expect("what is claimed was scheduled").claimed = Some(row.fence.seq);
        }
        let task = self.ghost.tasks.entry(row.key).or_default();
        (task.grant, task.fence, task.life) = (Some(id), Some(row.fence), row.life);
        Ok(())
    }

    /// Ends the claim before, whose lease must be over and whose attempt must be recorded as lost.
    fn does_not_overlap(&mut self, row: &TaskRow) -> Check {
        let clock = self.landed.at;
        let Some(before) = self.ghost.holder(&row.key).cloned() else {
            return Ok(());
        };
        let moved_on = self.has_moved_on(row, &before);
        ensure!(
            moved_on || clock >= before.until,
            LeasesDoNotOverlap,
            "task {} was claimed at {clock}, while {} holds it until {}",
            row.key,
            before.owner,
            before.until
        );
        let attempted = is_attempt(before.item) && !moved_on;
        ensure!(
            !attempted || row.item() == Item::Loss,
            AttemptsAreAccounted,
            "task {} was claimed for {:?}, before the attempt of {} was recorded as lost",
            row.key,
            row.item(),
            before.owner
        );
        if before.item == Item::Attempt {
            self.lease_ended(&before)?;
        }
        self.ghost.end_grant(&row.key, GrantEnd::Lapsed);
        Ok(())
    }

    fn attempt_may_be_claimed(&self, row: &TaskRow, process: ProcessId) -> Check {
        let Some(run) = self.ghost.runs.get(&row.key.run) else {
            return broken(
                Promise::ClaimIsAllowed,
                format!("task {} is of a run that was never started", row.key),
            );
        };
        let (id, clock) = (row.key.run, self.landed.at);
        let spec = run.definition.step(row.step);
        self.is_not_paused(row)?;
        let state = &run.steps[row.step.at()];
        let due = match row.role() {
            Role::Step => {
                ensure!(
                    run.cancel.is_none(),
                    CancelIsFinal,
                    "run {id} was cancelled, then step {} was claimed",
                    spec.name
                );
                ensure!(
                    run.is_open(),
                    ClaimIsAllowed,
                    "run {id} is ending, and step {} was claimed",
                    spec.name
                );
                match state.progress {
                    Progress::Scheduled(due) => Some(due),
                    _ => None,
                }
            }
            Role::Undo => state.undo.as_ref().and_then(|undo| undo.due),
        };
        let Some(due) = due else {
            return broken(
                Promise::ClaimIsAllowed,
                format!(
                    "run {id} step {} is {:?}, and was claimed ({:?})",
                    spec.name,
                    state.progress,
                    row.role()
                ),
            );
        };
        // What was due once and was given back stays due, even if the clock has been stepped back since.
        let claimed = state.tries(row.role()).and_then(|tries| tries.claimed);
        ensure!(
            claimed == Some(row.fence.seq) || clock >= due,
            NothingEarly,
            "run {id} step {} is due at {due}, and was claimed at {clock}",
            spec.name
        );
        self.attempt_is_allowed(row, run, process)
    }

    /// Whether the policy of a step allows this attempt, to this process.
    fn attempt_is_allowed(&self, row: &TaskRow, run: &GhostRun, process: ProcessId) -> Check {
        let id = row.key.run;
        let (spec, state) = (run.definition.step(row.step), &run.steps[row.step.at()]);
        let role = row.role();
        let tries = state.tries(role).cloned().unwrap_or_default();
        ensure!(
            row.attempt == tries.accounted() + 1,
            AttemptsAreAccounted,
            "run {id} step {}: attempt {} was claimed after {} reports, {} losses and {} conflicts",
            spec.name,
            row.attempt,
            tries.executed,
            tries.lost,
            tries.conflicts
        );
        // Whoever decides about a doubt may have it tried again beyond what the policy allows.
        let retry = run.retry(row.step, role);
        let more = tries.granted;
        ensure!(
            tries.executed < retry.max_attempts + more
                && tries.lost - tries.found <= retry.max_lost + more
                && tries.conflicts <= limits::CONFLICTS + more,
            RetryPolicy,
            "run {id} step {} was claimed after {} attempts and {} losses",
            spec.name,
            tries.executed,
            tries.lost
        );
        let handler = match (role, &spec.undo) {
            (Role::Undo, Some(undo)) => Some(&undo.handler),
            (Role::Step | Role::Undo, _) => spec.kind.handler(),
        };
        let Some(handler) = handler else {
            return broken(
                Promise::ClaimIsAllowed,
                format!("run {id} step {} has no handler", spec.name),
            );
        };
        ensure!(
            self.can_execute(process, handler.as_str(), row),
            ClaimIsAllowed,
            "run {id} step {} was claimed by a worker without handler {handler} or queue {}",
            spec.name,
            row.queue
        );
        Ok(())
    }

    fn can_execute(&self, process: ProcessId, handler: &str, row: &TaskRow) -> bool {
        let setup = &self.setups[process.0];
        let serves = row.queue.as_str() == ENGINE_QUEUE
            || setup.queues.iter().any(|queue| queue.name == row.queue);
        setup.handlers.contains(handler) && serves
    }

    /// A schedule's task is claimed when it is due.
    fn firing_may_be_claimed(&self, row: &TaskRow) -> Check {
        let id = ScheduleId::of_task(row.key);
        let Some(schedule) = self.ghost.schedules.all.get(&id) else {
            return broken(
                Promise::ClaimIsAllowed,
                format!("task {} is of a schedule that was never created", row.key),
            );
        };
        let held_before = |grant: &Grant| grant.key == row.key && grant.fence.seq == row.fence.seq;
        let claimed_before = self.ghost.grants.iter().any(held_before);
        // It was armed by a process of either edition, and may find nothing to do by the other.
        let due = Edition::BOTH.iter().any(|edition| {
            let next = edition.of(schedule.plan()).next_after(schedule.cursor);
            next.is_some_and(|next| next <= self.landed.at)
        });
        ensure!(
            due || schedule.waiting.is_some() || claimed_before,
            NothingEarly,
            "schedule {} has nothing due at {}, and was claimed",
            schedule.key,
            self.landed.at
        );
        Ok(())
    }

    fn item_may_be_claimed(&self, row: &TaskRow) -> Check {
        if row.kind == TaskKind::Firing {
            return self.firing_may_be_claimed(row);
        }
        let Some(run) = self.ghost.runs.get(&row.key.run) else {
            return broken(
                Promise::ClaimIsAllowed,
                format!("task {} is of a run that was never started", row.key),
            );
        };
        ensure!(
            run.ended.is_none() || row.kind == TaskKind::Delivery,
            TerminalIsFinal,
            "run {} has ended, and its {:?} was claimed",
            row.key.run,
            row.item()
        );
        let due = match row.kind {
            TaskKind::Wait => match run.steps[row.step.at()].progress {
                Progress::Waiting(due) => Some(due),
                Progress::Open(_, Some(due)) | Progress::Listening(_, Some(due)) => Some(due),
                _ => {
                    return broken(
                        Promise::ClaimIsAllowed,
                        format!("task {} waits for nothing", row.key),
                    );
                }
            },
            TaskKind::Deadline => run.deadline,
            TaskKind::Evaluate => match run.steps[row.step.at()].progress {
                Progress::Evaluating(due) => Some(due),
                _ => None,
            },
            TaskKind::Step
            | TaskKind::Stopping
            | TaskKind::Undo
            | TaskKind::Spawn
            | TaskKind::Collect
            | TaskKind::Recall
            | TaskKind::Delivery
            | TaskKind::Firing => None,
        };
        let clock = self.landed.at;
        // What was due once and was given back stays due, even if the clock has been stepped back since.
        let claimed_before = self
            .ghost
            .grants
            .iter()
            .any(|grant| grant.key == row.key && grant.fence.seq == row.fence.seq);
        let given_back = row.kind == TaskKind::Evaluate && claimed_before;
        ensure!(
            given_back || due.is_none_or(|due| clock >= due),
            NothingEarly,
            "task {} is due at {due:?}, and was claimed at {clock}",
            row.key
        );
        Ok(())
    }
}

fn is_attempt(item: Item) -> bool {
    matches!(item, Item::Attempt | Item::Loss)
}
