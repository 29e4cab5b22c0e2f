//! Attempts: what begins, and what is recorded of it.
//!
//! Invariant: a recorded outcome is matched with the body that really ran under the claim that was really current.

use squid_mesh_core::definition::{Binding, Source, StepIndex};
use squid_mesh_core::event::{Failure, code};
use squid_mesh_core::id::RunId;
use squid_mesh_core::operation::{Operation, Outcome, Report};
use squid_mesh_core::task::Item;
use squid_mesh_core::time::Timestamp;
use squid_mesh_core::worker::Execution;

use super::Landing;
use crate::clock::SimTime;
use crate::fault::sometimes::{Milestone, Sometimes};
use crate::ghost::{Body, BodyEnd, BodyId, Ghost, Grant, GrantEnd, GrantId, ProcessId, Progress};
use crate::script::Script;
use crate::violation::{Broken, Check, Promise, broken, ensure};

impl Landing<'_> {
    /// An attempt's report was recorded.
    pub(super) fn reported(
        &mut self,
        id: RunId,
        step: StepIndex,
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
        let Some(report) = self.report_on(id, step, failure.is_some()).cloned() else {
            return broken(
                Promise::ResultIsReal,
                format!("run {id} step {name}: nobody reported this"),
            );
        };
        let Some(grant) = self.ghost.attempt_on(id, step) else {
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
        let state = self.ghost.step_mut(id, step);
        state.executed += 1;
        state.reported = Some((report.token.fence, report.outcome.digest()));
        self.ghost.end_grant(&key, GrantEnd::Recorded);
        Ok(())
    }

    /// The report of this operation that a journal row records: the one for this step, ended in this way, that matches the
    /// body of the current claim if several do.
    fn report_on(&self, id: RunId, step: StepIndex, failed: bool) -> Option<&Report> {
        let Operation::Settle(settle) = self.operation else {
            return None;
        };
        let holder = self.ghost.attempt_on(id, step);
        let concerns = |report: &&Report| {
            let ended = match report.outcome {
                Outcome::Succeeded { .. } => !failed,
                Outcome::Failed { .. } => failed,
                Outcome::Engine(_) => false,
            };
            report.key.run == id && report.step == step && ended
        };
        let current =
            |report: &&Report| holder.is_some_and(|grant| grant.fence == report.token.fence);
        let mut reports = settle.reports.iter().filter(concerns);
        reports.clone().find(current).or_else(|| reports.next())
    }

    /// A loss was recorded.
    pub(super) fn lost(&mut self, id: RunId, step: StepIndex) -> Check {
        let name = self.ghost.run(id).definition.step(step).name.clone();
        let by = self.process();
        let Some(grant) = self.ghost.attempt_on(id, step) else {
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
        self.ghost.end_grant(&key, GrantEnd::Recorded);
        self.ghost.step_mut(id, step).lost += 1;
        self.sometimes.reached(Milestone::Lost);
        Ok(())
    }

    /// A wait ended.
    pub(super) fn wait_ended(&mut self, id: RunId, step: StepIndex) -> Check {
        let clock = self.landed.at;
        let run = self.ghost.run(id);
        let name = &run.definition.step(step).name;
        let Progress::Waiting(due) = run.steps[step.at()].progress else {
            return broken(
                Promise::SettlesOnce,
                format!("run {id} wait {name} ends, and was not waiting"),
            );
        };
        ensure!(
            clock >= due,
            NothingEarly,
            "run {id} wait {name} ends at {clock}, and is due at {due}"
        );
        self.engine_item_by_holder(id, Item::Wait, Some(step))?;
        self.sometimes.reached(Milestone::WaitEnded);
        Ok(())
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
        Outcome::Succeeded { output } => body.returned(output.digest()),
        Outcome::Failed { failure, .. } if failure.code == code::TIMEOUT => {
            body.end == Some(BodyEnd::Aborted)
        }
        Outcome::Failed { failure, .. } if failure.code == code::PAYLOAD_TOO_LARGE => {
            matches!(body.end, Some(BodyEnd::Returned(Ok(_))))
        }
        Outcome::Failed { failure, .. } => body
            .failure()
            .is_some_and(|returned| returned.failure == *failure),
        Outcome::Engine(_) => false,
    };
    let said = match outcome {
        Outcome::Succeeded { .. } => "a success".to_owned(),
        Outcome::Failed { failure, .. } => format!("the failure {}", failure.code),
        Outcome::Engine(item) => format!("the item {item:?}"),
    };
    (!real).then(|| format!("{said} was reported, the body ended as {:?}", body.end))
}

/// A body that is about to begin.
pub struct Beginning<'a> {
    /// What really happened before.
    pub ghost: &'a mut Ghost,
    /// In which process.
    pub process: ProcessId,
    /// What its worker wants executed.
    pub execution: &'a Execution,
    /// What it will do.
    pub script: Script,
    /// True time.
    pub now: SimTime,
    /// What the database's clock shows.
    pub clock: Timestamp,
    /// When that was last stepped.
    pub stepped: SimTime,
}

/// Checks that the body may begin, and remembers it.
///
/// # Errors
/// The first promise that its beginning breaks.
pub fn begin(beginning: Beginning<'_>, sometimes: &mut Sometimes) -> Result<BodyId, Box<Broken>> {
    let Beginning {
        ghost,
        process,
        execution,
        script,
        now,
        ..
    } = beginning;
    let (run, step) = (execution.run(), execution.index());
    let what = format_args!("run {run} step {}", execution.step).to_string();
    let Some(id) = ghost.grant_of(&execution.attempt.key, &execution.attempt.token) else {
        broken(
            Promise::ClaimIsAllowed,
            format!("{what} is executed, and was never claimed"),
        )?;
        unreachable!("a broken promise has returned");
    };
    may_begin(ghost, process, id, execution, &what)?;
    let GrantId(index) = id;
    let grant = &ghost.grants[index];
    let process_state = ghost.process(process);
    let quiet = beginning.stepped <= grant.granted
        && !process_state.drifts
        && process_state.thawed <= grant.since;
    if quiet && grant.end.is_none() && beginning.clock > grant.until {
        broken(
            Promise::ToldBeforeLeaseEnds,
            format!(
                "{what} begins at {}, after its lease ended at {}",
                beginning.clock, grant.until
            ),
        )?;
    }
    input_is_bound(ghost, run, step, execution)?;
    let body = BodyId(ghost.bodies.len());
    ghost.bodies.push(Body {
        process,
        attempt: execution.attempt,
        grant: id,
        item: Item::Attempt,
        script,
        began: now,
        told: None,
        end: None,
        ended: now,
        answered: false,
    });
    ghost.grants[index].body = Some(body);
    if let Some(state) = ghost
        .runs
        .get_mut(&run)
        .and_then(|run| run.steps.get_mut(step.at()))
    {
        state.begun += 1;
        if execution.task.hand_offs > 0 {
            sometimes.reached(Milestone::HandedOff);
        }
    }
    Ok(body)
}

fn may_begin(
    ghost: &Ghost,
    process: ProcessId,
    id: GrantId,
    execution: &Execution,
    what: &str,
) -> Check {
    let grant = &ghost.grants[id.0];
    ensure!(
        grant.process == process,
        OldClaimsWriteNothing,
        "{what} is executed by another process than the one that claimed it, under the same incarnation"
    );
    ensure!(
        grant.body.is_none(),
        AttemptsAreAccounted,
        "{what} begins twice under one claim"
    );
    ensure!(
        grant.item == Item::Attempt && grant.step == execution.index(),
        ClaimIsAllowed,
        "{what} is executed under a claim for {:?} of step {}",
        grant.item,
        grant.step.0
    );
    ensure!(
        !ghost.process(process).stopped,
        DrainIsClean,
        "{what} begins in a worker that has stopped"
    );
    Ok(())
}

/// Puts the expected input together from what was really recorded.
fn input_is_bound(ghost: &Ghost, run: RunId, step: StepIndex, execution: &Execution) -> Check {
    let Some(state) = ghost.runs.get(&run) else {
        return Ok(());
    };
    let part = |source: &Source| -> Vec<u8> {
        match source {
            Source::Input => state.start.input.bytes().to_vec(),
            Source::Output(step) => state.steps[step.at()]
                .output
                .as_ref()
                .map_or_else(|| b"null".to_vec(), |output| output.bytes().to_vec()),
            Source::Constant(value) => value.to_string().into_bytes(),
            _ => Vec::new(),
        }
    };
    let expected = match &state.definition.step(step).input {
        Binding::Nothing => b"null".to_vec(),
        Binding::Whole(source) => part(source),
        Binding::Tuple(sources) => {
            let parts: Vec<Vec<u8>> = sources.iter().map(part).collect();
            [b"[".as_slice(), &parts.join(&b','), b"]"].concat()
        }
        Binding::Object(fields) => {
            let field = |(name, source): (&String, &Source)| {
                [format!("\"{name}\":").as_bytes(), &part(source)].concat()
            };
            let parts: Vec<Vec<u8>> = fields.iter().map(field).collect();
            [b"{".as_slice(), &parts.join(&b','), b"}"].concat()
        }
        _ => return Ok(()),
    };
    let given = execution.input.bytes();
    let value = |bytes: &[u8]| serde_json::from_slice::<serde_json::Value>(bytes).ok();
    ensure!(
        given == expected || value(given) == value(&expected),
        InputIsBound,
        "run {run} step {} got {}, and should have got {}",
        step.0,
        String::from_utf8_lossy(given),
        String::from_utf8_lossy(&expected)
    );
    Ok(())
}
