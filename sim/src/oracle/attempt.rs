//! Attempts: what begins, and what is recorded of it.
//!
//! Invariant: a recorded outcome is matched with the body that really ran under the claim that was really current.

use squid_mesh_core::definition::{OnLost, StepIndex};
use squid_mesh_core::event::{Failure, Role, code};
use squid_mesh_core::id::RunId;
use squid_mesh_core::operation::{Operation, Outcome, Report};
use squid_mesh_core::task::{Fence, Item};

use super::{Landing, begin};
use crate::fault::sometimes::Milestone;
use crate::ghost::{Body, BodyEnd, BodyId, GrantEnd, ProcessId, Progress};
use crate::violation::{Check, Promise, broken, ensure};

/// How an attempt ended by its report.
#[derive(Debug, Clone, Copy)]
pub(super) enum Said<'f> {
    /// With an output.
    Output,
    /// With this failure.
    Failure(&'f Failure),
    /// In a conflict of its transaction, or without knowing whether that was committed.
    Conflict,
}

impl Landing<'_> {
    /// An attempt's report was recorded.
    pub(super) fn reported(
        &mut self,
        id: RunId,
        (step, role, fence): (StepIndex, Role, Fence),
        said: Said<'_>,
    ) -> Check {
        let run = self.ghost.run(id);
        let name = run.definition.step(step).name.clone();
        let Some(process) = self.process() else {
            return broken(
                Promise::OldClaimsWriteNothing,
                format!("run {id} step {name} is reported by nobody's worker"),
            );
        };
        let Some(report) = self.report_on(id, (step, fence), said).cloned() else {
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
        if let (Said::Failure(failure), None) = (said, body)
            && failure.code == code::UNREADABLE
        {
            let ending = !run.is_open() && role == Role::Step;
            ensure!(
                ending && self.ghost.is_marred(id) && !failure.retryable,
                PoisonIsContained,
                "run {id} step {name} fails by what cannot be read, and should be put aside: {}",
                failure.message
            );
            self.count_report(id, step, role, &report);
            self.ghost.end_grant(&key, GrantEnd::Recorded);
            return Ok(());
        }
        let ran = self.ghost.body_of(process, &report.key, &report.token);
        if body.is_none()
            && let Some(ran) = ran.filter(|ran| self.ghost.bodies[ran.0].lost)
        {
            self.loss_is_made_good(id, step, role, ran)?;
        } else if ran.is_none() || ran != body {
            return broken(
                Promise::ResultIsReal,
                format!(
                    "run {id} step {name}: what was reported is not from the body under the current claim"
                ),
            );
        }
        let ran = ran.expect("it ran, or nothing of this holds");
        if let Some(wrong) = self.mismatch(&self.ghost.bodies[ran.0], &report.outcome) {
            return broken(
                Promise::ResultIsReal,
                format!("run {id} step {name}: {wrong}"),
            );
        }
        if let Said::Failure(failure) = said
            && failure.code == code::TIMEOUT
        {
            self.sometimes.reached(Milestone::TimedOut);
        }
        self.count_report(id, step, role, &report);
        self.ghost.end_grant(&key, GrantEnd::Recorded);
        Ok(())
    }

    /// The body of a claim that was lost reports, and the same claim has been made again: as its worker knows it, nothing else
    /// will run under that. What it did must be what is to be done now.
    fn loss_is_made_good(&mut self, id: RunId, step: StepIndex, role: Role, ran: BodyId) -> Check {
        let body = &self.ghost.bodies[ran.0];
        let grant = &self.ghost.grants[body.grant.0];
        ensure!(
            grant.step == step && grant.role == role,
            LossIsHarmless,
            "run {id} step {}: the report of a lost attempt at another step was recorded",
            step.0
        );
        let same = begin::input_is_bound(self.ghost, id, step, (role, &body.input));
        if let Err(other) = same {
            return broken(
                Promise::LossIsHarmless,
                format!(
                    "the report of a lost attempt was recorded, which was given something else: {}",
                    other.detail
                ),
            );
        }
        self.sometimes.reached(Milestone::LossMadeGood);
        Ok(())
    }

    fn count_report(&mut self, id: RunId, step: StepIndex, role: Role, report: &Report) {
        let tries = self.ghost.step_mut(id, step).tries_mut(role);
        let tries = tries.expect("a report is of a step or an undo that has begun");
        match report.outcome {
            Outcome::Conflicted => {
                tries.conflicts += 1;
                self.sometimes.reached(Milestone::Conflicted);
            }
            _ => tries.executed += 1,
        }
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
        let body = body.map(|body| &self.ghost.bodies[body.0]);
        let claimed = self.ghost.run(id).steps[step.at()].tries.claimed;
        let own = |body: &&Body| claimed == Some(self.ghost.grants[body.grant.0].fence.seq);
        let Some(body) = body.filter(own) else {
            return broken(
                Promise::ResultIsReal,
                format!(
                    "run {id} step {}: what is unknown is reported by no body that ran then",
                    step.0
                ),
            );
        };
        if let Some(wrong) = self.mismatch(body, &report.outcome) {
            return broken(Promise::ResultIsReal, format!("run {id}: {wrong}"));
        }
        self.sometimes.reached(Milestone::DoubtResolved);
        // One that timed out or panicked was never lost.
        let tries = &mut self.ghost.step_mut(id, step).tries;
        tries.found = (tries.found + 1).min(tries.lost);
        self.count_report(id, step, Role::Step, report);
        Ok(())
    }

    /// Whether a report is of the body whose attempt is in doubt: the one that ran under the last claim of the scheduling
    /// which is.
    pub(super) fn says_what_came(&self, report: &Report) -> bool {
        let run = self.ghost.runs.get(&report.key.run);
        let run = run.filter(|run| run.is_open() && !run.unreadable);
        let state = run.and_then(|run| run.steps.get(report.step.at()));
        let Some(state) = state.filter(|state| state.progress == Progress::Held) else {
            return false;
        };
        let own = self.process();
        let Some(body) = own.and_then(|own| self.ghost.body_of(own, &report.key, &report.token))
        else {
            return false;
        };
        let body = &self.ghost.bodies[body.0];
        let grant = &self.ghost.grants[body.grant.0];
        grant.step == report.step
            && grant.role == Role::Step
            && !body.lost
            && state.tries.claimed == Some(grant.fence.seq)
            && state
                .tries
                .reported
                .is_none_or(|(fence, _)| fence.seq != grant.fence.seq)
            && self.mismatch(body, &report.outcome).is_none()
    }

    /// The report of this operation that a journal row records: the one under its fence for this step, ended in this way.
    pub(super) fn report_on(
        &self,
        id: RunId,
        (step, fence): (StepIndex, Fence),
        said: Said<'_>,
    ) -> Option<&Report> {
        let Operation::Settle(settle) = self.operation else {
            return None;
        };
        settle.reports.iter().find(|report| {
            let ended = matches!(
                (&report.outcome, said),
                (Outcome::Succeeded { .. }, Said::Output)
                    | (
                        Outcome::Failed { .. } | Outcome::Unreadable { .. },
                        Said::Failure(_)
                    )
                    | (Outcome::Conflicted, Said::Conflict)
            );
            let concerns = report.key.run == id && report.step == step;
            concerns && ended && report.token.fence == fence
        })
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
        let unreported = !body.lost
            && lapsed
            && self.ghost.run(id).steps[step.at()].tries.claimed == Some(grant.fence.seq);
        ensure!(
            begun || !unreported,
            AttemptsAreAccounted,
            "run {id} step {} is recorded as lost before it began, and its body had begun",
            spec.name
        );
        Ok(())
    }

    /// Why a reported outcome is not what its body did.
    fn mismatch(&self, body: &Body, outcome: &Outcome) -> Option<String> {
        let grant = &self.ghost.grants[body.grant.0];
        let spec = self.ghost.run(grant.key.run).definition.step(grant.step);
        let real = match outcome {
            Outcome::Succeeded { output, .. } => body.returned(output.digest()),
            Outcome::Failed { failure, .. } => match (failure.code.as_str(), &body.end) {
                (code::TIMEOUT, end) => *end == Some(BodyEnd::Aborted),
                (code::PAYLOAD_TOO_LARGE, Some(BodyEnd::Returned(Ok(returned)))) => {
                    returned.output.bytes().len() > self.payload_limit
                }
                (code::UNKNOWN_LABEL, Some(BodyEnd::Returned(Ok(returned)))) => {
                    let label = returned.label.as_deref();
                    label.is_some_and(|label| spec.way(label).is_none())
                }
                _ => body
                    .failure()
                    .is_some_and(|returned| returned.failure == *failure),
            },
            Outcome::Conflicted => body.settles || body.end == Some(BodyEnd::RolledBack),
            _ => false,
        };
        let said = match outcome {
            Outcome::Succeeded { .. } => "a success".to_owned(),
            Outcome::Failed { failure, .. } => format!("the failure {}", failure.code),
            other => format!("{other:?}"),
        };
        (!real).then(|| format!("{said} was reported, the body ended as {:?}", body.end))
    }
}
