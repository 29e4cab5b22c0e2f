//! Attempts: what begins, and what is recorded of it.
//!
//! Invariant: a recorded outcome is matched with the body that really ran under the claim that was really current.

use squid_mesh_core::change::{Change, Chore};
use squid_mesh_core::definition::{LabelIndex, OnLost, StepIndex, StepKind, label};
use squid_mesh_core::event::{Failure, Found, Role, code};
use squid_mesh_core::id::RunId;
use squid_mesh_core::name::Name;
use squid_mesh_core::operation::{JournalRow, Operation, Outcome, Report};
use squid_mesh_core::task::Item;

use super::bound::routed;
use super::change::Cause;
use super::{Landing, bound};
use crate::fault::sometimes::Milestone;
use crate::ghost::{Body, BodyEnd, Grant, GrantEnd, ProcessId, Progress};
use crate::violation::{Broken, Check, Promise, broken, ensure};

impl Landing<'_> {
    /// An attempt's report was recorded.
    pub(super) fn reported(
        &mut self,
        id: RunId,
        (step, role): (StepIndex, Role),
        failure: Option<&Failure>,
    ) -> Check {
        let run = self.ghost.run(id);
        let name = run.definition.step(step).name.clone();
        let Some(process) = self.process() else {
            return broken(
                Promise::OldClaimsWriteNothing,
                format!("run {id} step {name} is reported by nobody's worker"),
            );
        };
        let Some(report) = self.report_on(id, step, role, failure.is_some()).cloned() else {
            return broken(
                Promise::ResultIsReal,
                format!("run {id} step {name}: nobody reported this"),
            );
        };
        if run.steps[step.at()].progress == Progress::Held && role == Role::Step {
            return self.doubt_resolved(id, step, process, &report);
        }
        let Some(grant) = self.ghost.attempt_on(id, step, role) else {
            return broken(
                Promise::OldClaimsWriteNothing,
                format!("run {id} step {name} is reported, and nobody holds it"),
            );
        };
        ensure!(
            grant.process == process && grant.item == Item::Attempt && grant.end.is_none(),
            OldClaimsWriteNothing,
            "run {id} step {name}: the report of {} landed while {} holds it for {:?}",
            report.token.owner,
            grant.owner,
            grant.item
        );
        let (key, body) = (grant.key, grant.body);
        let ran = self.ghost.body_of(process, &report.key, &report.token);
        let Some(ran) = ran.filter(|ran| Some(*ran) == body) else {
            return broken(
                Promise::ResultIsReal,
                format!(
                    "run {id} step {name}: what was reported is not from the body under the current claim"
                ),
            );
        };
        if let Some(wrong) = mismatch(&self.ghost.bodies[ran.0], &report.outcome) {
            return broken(
                Promise::ResultIsReal,
                format!("run {id} step {name}: {wrong}"),
            );
        }
        if failure.is_some_and(|failure| failure.code == code::TIMEOUT) {
            self.sometimes.reached(Milestone::TimedOut);
        }
        self.count_report(id, step, role, &report);
        self.ghost.end_grant(&key, GrantEnd::Recorded);
        Ok(())
    }

    /// The label that a body returned is the one in its journal row, and what its step is remembered to have returned.
    pub(super) fn label_is_recorded(
        &self,
        id: RunId,
        step: StepIndex,
        role: Role,
        label: Option<LabelIndex>,
        changes: &[Change],
    ) -> Check {
        let said = match self.report_on(id, step, role, false) {
            Some(report) => self
                .process()
                .and_then(|process| self.ghost.body_of(process, &report.key, &report.token)),
            None => None,
        };
        let said = said.and_then(|body| match &self.ghost.bodies[body.0].end {
            Some(BodyEnd::Returned(Ok(returned))) => returned.label.clone(),
            _ => None,
        });
        let spec = self.ghost.run(id).definition.step(step);
        let own = label.and_then(|label| spec.labels.get(usize::from(label.0)));
        let kept = changes.iter().find_map(|change| match change {
            Change::Label { step: of, label } if *of == step => Some(*label),
            _ => None,
        });
        ensure!(
            own.map(Name::as_str) == said.as_deref() && kept == label,
            ResultIsReal,
            "run {id} step {}: its handler returned the label {said:?}, recorded are {own:?} and {kept:?}",
            spec.name
        );
        Ok(())
    }

    fn count_report(&mut self, id: RunId, step: StepIndex, role: Role, report: &Report) {
        let tries = self.ghost.step_mut(id, step).tries_mut(role);
        let tries = tries.expect("a report is of a step or an undo that has begun");
        tries.executed += 1;
        tries.reported = Some((report.token.fence, report.outcome.digest()));
    }

    /// The report of an attempt whose outcome was unknown: of a body that really ran, and whose loss was recorded.
    fn doubt_resolved(
        &mut self,
        id: RunId,
        step: StepIndex,
        process: ProcessId,
        report: &Report,
    ) -> Check {
        let body = self.ghost.body_of(process, &report.key, &report.token);
        let Some(body) = body.map(|body| &self.ghost.bodies[body.0]) else {
            return broken(
                Promise::ResultIsReal,
                format!(
                    "run {id} step {}: what is unknown is reported by no body",
                    step.0
                ),
            );
        };
        if let Some(wrong) = mismatch(body, &report.outcome) {
            return broken(Promise::ResultIsReal, format!("run {id}: {wrong}"));
        }
        self.sometimes.reached(Milestone::DoubtResolved);
        // One that timed out or panicked was never lost.
        let tries = &mut self.ghost.step_mut(id, step).tries;
        tries.found = (tries.found + 1).min(tries.lost);
        self.count_report(id, step, Role::Step, report);
        Ok(())
    }

    /// The report of this operation that a journal row records: the one for this step, ended in this way, that matches the
    /// body of the current claim if several do.
    fn report_on(&self, id: RunId, step: StepIndex, role: Role, failed: bool) -> Option<&Report> {
        let Operation::Settle(settle) = self.operation else {
            return None;
        };
        let holder = self.ghost.attempt_on(id, step, role);
        let concerns = |report: &&Report| {
            let ended = match report.outcome {
                Outcome::Succeeded { .. } => !failed,
                Outcome::Failed { .. } => failed,
                _ => false,
            };
            report.key.run == id && report.step == step && ended
        };
        let current =
            |report: &&Report| holder.is_some_and(|grant| grant.fence == report.token.fence);
        let mut reports = settle.reports.iter().filter(concerns);
        reports.clone().find(current).or_else(|| reports.next())
    }

    /// A loss was recorded.
    pub(super) fn lost(&mut self, id: RunId, step: StepIndex, role: Role, begun: bool) -> Check {
        let name = self.ghost.run(id).definition.step(step).name.clone();
        let by = self.process();
        let Some(grant) = self.ghost.attempt_on(id, step, role) else {
            return broken(
                Promise::OldClaimsWriteNothing,
                format!("run {id} step {name} is lost, and nobody holds it"),
            );
        };
        ensure!(
            Some(grant.process) == by && grant.item == Item::Loss,
            OldClaimsWriteNothing,
            "run {id} step {name}: its loss is recorded by who did not claim it for that"
        );
        let key = grant.key;
        self.begun_is_recorded(id, step, role, begun)?;
        self.ghost.end_grant(&key, GrantEnd::Recorded);
        let tries = self.ghost.step_mut(id, step).tries_mut(role);
        tries.expect("only what was begun can be lost").lost += 1;
        self.sometimes.reached(Milestone::Lost);
        Ok(())
    }

    /// Of a step that must not be repeated blindly it is known whether the body may have begun.
    fn begun_is_recorded(&self, id: RunId, step: StepIndex, role: Role, begun: bool) -> Check {
        let spec = self.ghost.run(id).definition.step(step);
        let last = self.ghost.bodies.iter().rev().find(|body| {
            let grant = &self.ghost.grants[body.grant.0];
            grant.key.run == id && grant.step == step && grant.role == role
        });
        let Some(body) = last.filter(|_| spec.on_lost == OnLost::Hold && role == Role::Step) else {
            return Ok(());
        };
        let grant = &self.ghost.grants[body.grant.0];
        let lapsed = grant.end.is_none() || grant.end == Some(GrantEnd::Lapsed);
        let unreported =
            lapsed && self.ghost.run(id).steps[step.at()].tries.claimed == Some(grant.fence.seq);
        ensure!(
            begun || !unreported,
            AttemptsAreAccounted,
            "run {id} step {} is recorded as lost before it began, and its body had begun",
            spec.name
        );
        Ok(())
    }

    /// A wait ended, or a gate closed.
    pub(super) fn time_came<'e>(
        &mut self,
        id: RunId,
        step: StepIndex,
        row: &JournalRow,
    ) -> Result<Cause<'e>, Box<Broken>> {
        let clock = self.landed.at;
        let run = self.ghost.run(id);
        let name = &run.definition.step(step).name;
        let (due, gate) = match run.steps[step.at()].progress {
            Progress::Waiting(due) => (Some(due), false),
            Progress::Open(_, closes) | Progress::Listening(_, closes) => (closes, true),
            _ => (None, false),
        };
        if due.is_none_or(|due| clock < due) {
            broken(
                Promise::NothingEarly,
                format!("run {id} step {name} ends at {clock}, and is due at {due:?}"),
            )?;
        }
        let wired = run.definition.indexes().any(|other| {
            let expired = run.definition.step(step).way(label::EXPIRED);
            run.definition.step(other).guards.iter().any(|guard| {
                guard.step == step
                    && expired.is_some_and(|expired| {
                        guard.way == squid_mesh_core::definition::Way::Label(expired)
                    })
            })
        });
        self.engine_item_by_holder(id, Item::Wait, Some(step))?;
        let milestone = if gate {
            Milestone::GateExpired
        } else {
            Milestone::WaitEnded
        };
        self.sometimes.reached(milestone);
        Ok(match (gate, wired) {
            (false, _) => Cause::Success(step, None),
            (true, true) => Cause::Success(step, row.payload.clone()),
            (true, false) => Cause::Fails(step, code::EXPIRED.to_owned()),
        })
    }

    /// The engine has looked at a step of its own: what it found is what is there to be found.
    pub(super) fn evaluated<'e>(
        &mut self,
        id: RunId,
        step: StepIndex,
        found: &Found,
        row: &JournalRow,
    ) -> Result<Cause<'e>, Box<Broken>> {
        let run = self.ghost.run(id);
        let spec = run.definition.step(step).clone();
        let chore = match run.steps[step.at()].progress {
            Progress::Evaluating(_) => Chore::Evaluate,
            Progress::Spawning => Chore::Spawn,
            _ => Chore::Collect,
        };
        let input = bound(self.ghost, id, &spec.input);
        let expected = match (&spec.kind, found) {
            (_, Found::Failure { failure, .. }) => {
                self.chore_by_holder(id, step, chore)?;
                return Ok(Cause::Fails(step, failure.code.clone()));
            }
            (StepKind::Log { .. }, Found::Logged) => true,
            (kind, Found::Reached) => kind.is_gate(),
            (
                StepKind::Route {
                    conditions,
                    fallback,
                },
                Found::Label(label),
            ) => {
                self.sometimes.reached(Milestone::Routed);
                let taken = routed(conditions, fallback.as_ref(), &input);
                taken.and_then(|taken| spec.way(taken.as_str())) == Some(*label)
            }
            (StepKind::Until, Found::Instant { until, .. }) => {
                let millis = serde_json::from_slice::<i64>(input.bytes()).unwrap_or(i64::MIN);
                until.as_micros() == millis.saturating_mul(1_000)
            }
            (StepKind::Each { .. }, Found::Children { .. }) => true,
            _ => false,
        };
        if !expected {
            broken(
                Promise::ResultIsReal,
                format!(
                    "run {id} step {}: {found:?} was found in {input:?}",
                    spec.name
                ),
            )?;
        }
        self.chore_by_holder(id, step, chore)?;
        Ok(match found {
            Found::Instant { until, .. } => Cause::Until(step, *until),
            Found::Logged | Found::Label(_) => Cause::Success(step, row.payload.clone()),
            Found::Reached | Found::Children { .. } | Found::Failure { .. } => {
                Cause::Children(step)
            }
        })
    }

    /// A chore is settled by who holds it.
    pub(super) fn chore_by_holder(&mut self, id: RunId, step: StepIndex, chore: Chore) -> Check {
        self.engine_item_by_holder(id, Item::Chore(chore), Some(step))
    }

    /// The run's deadline came.
    pub(super) fn deadline_came(&mut self, id: RunId) -> Check {
        let clock = self.landed.at;
        let deadline = self.ghost.run(id).deadline;
        ensure!(
            deadline.is_some_and(|deadline| clock >= deadline),
            NothingEarly,
            "run {id} has the deadline {deadline:?}, which comes at {clock}"
        );
        self.engine_item_by_holder(id, Item::Deadline, None)
    }

    fn engine_item_by_holder(&mut self, id: RunId, item: Item, step: Option<StepIndex>) -> Check {
        let by = self.process();
        let fits =
            |grant: &&Grant| grant.item == item && step.is_none_or(|step| grant.step == step);
        let held = self.ghost.held_of(id).find(fits);
        let key = held
            .filter(|grant| Some(grant.process) == by)
            .map(|grant| grant.key);
        let Some(key) = key else {
            return broken(
                Promise::OldClaimsWriteNothing,
                format!("run {id}: {item:?} is settled by who does not hold it"),
            );
        };
        self.ghost.end_grant(&key, GrantEnd::Recorded);
        Ok(())
    }
}

/// Why a reported outcome is not what its body did.
fn mismatch(body: &Body, outcome: &Outcome) -> Option<String> {
    let real = match outcome {
        Outcome::Succeeded { output, .. } => body.returned(output.digest()),
        Outcome::Failed { failure, .. } if failure.code == code::TIMEOUT => {
            body.end == Some(BodyEnd::Aborted)
        }
        Outcome::Failed { failure, .. }
            if matches!(
                failure.code.as_str(),
                code::PAYLOAD_TOO_LARGE | code::UNKNOWN_LABEL
            ) =>
        {
            matches!(body.end, Some(BodyEnd::Returned(Ok(_))))
        }
        Outcome::Failed { failure, .. } => body
            .failure()
            .is_some_and(|returned| returned.failure == *failure),
        _ => false,
    };
    let said = match outcome {
        Outcome::Succeeded { .. } => "a success".to_owned(),
        Outcome::Failed { failure, .. } => format!("the failure {}", failure.code),
        other => format!("{other:?}"),
    };
    (!real).then(|| format!("{said} was reported, the body ended as {:?}", body.end))
}
