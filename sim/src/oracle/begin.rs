//! What must be true before a body begins.
//!
//! Invariant: a body begins once under a claim, in time, with the input that its binding says.

use squid_mesh_core::definition::{OnLost, StepIndex};
use squid_mesh_core::event::Role;
use squid_mesh_core::id::RunId;
use squid_mesh_core::payload::Payload;
use squid_mesh_core::task::Item;
use squid_mesh_core::time::Timestamp;
use squid_mesh_core::worker::Execution;

use super::bound;
use crate::clock::SimTime;
use crate::fault::sometimes::{Milestone, Sometimes};
use crate::ghost::{Body, BodyId, Ghost, GrantId, ProcessId, Winding};
use crate::script::Script;
use crate::violation::{Broken, Check, Promise, broken, ensure};

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
    // A clock that is stepped at the very instant of the grant may be after it.
    let quiet = beginning.stepped < grant.granted
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
    let lost = grant.lost;
    if !lost {
        let given = (execution.role(), &execution.input);
        input_is_bound(ghost, run, step, given)?;
    }
    let body = BodyId(ghost.bodies.len());
    ghost.bodies.push(Body {
        process,
        attempt: execution.attempt,
        grant: id,
        item: Item::Attempt,
        input: execution.input.clone(),
        lost,
        script,
        began: now,
        told: None,
        end: None,
        ended: now,
        settles: false,
        answered: false,
    });
    ghost.grants[index].body = Some(body);
    if let Some(state) = ghost
        .runs
        .get_mut(&run)
        .filter(|_| !lost)
        .and_then(|run| run.steps.get_mut(step.at()))
    {
        let role = execution.role();
        if let Some(tries) = state.tries_mut(role) {
            tries.begun += 1;
        }
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
    // What was done, or recorded, in a span that was lost is not recorded any more, and may be done again.
    let before = grant.body.map(|body| &ghost.bodies[body.0]);
    ensure!(
        before.is_none_or(|before| before.lost),
        AttemptsAreAccounted,
        "{what} begins twice under one claim"
    );
    let spec = ghost
        .runs
        .get(&execution.run())
        .map(|run| run.definition.step(grant.step));
    let marked = spec.is_none_or(|spec| spec.on_lost != OnLost::Hold) || grant.role == Role::Undo;
    ensure!(
        marked || grant.marked,
        AttemptsAreAccounted,
        "{what} begins without its beginning being recorded"
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

/// Compares an input with what was really recorded.
pub(super) fn input_is_bound(
    ghost: &Ghost,
    run: RunId,
    step: StepIndex,
    (role, given): (Role, &Payload),
) -> Check {
    let Some(state) = ghost.runs.get(&run) else {
        return Ok(());
    };
    let value = |bytes: &[u8]| serde_json::from_slice::<serde_json::Value>(bytes).ok();
    let input = bound(ghost, run, &state.definition.step(step).input);
    let expected = match role {
        Role::Step => value(input.bytes()),
        Role::Undo => {
            let of = |payload: Option<&Payload>| payload.and_then(|payload| value(payload.bytes()));
            let failure = state
                .failed_by
                .and_then(|step| state.steps[step.at()].failure.as_ref());
            let said = value(given.bytes()).unwrap_or_default();
            // A deadline's failure is no step's; what it says is not looked at.
            let overdue = state.winding == Some(Winding::Failed) && state.failed_by.is_none();
            let failure = of(failure).or_else(|| said.get("failure").filter(|_| overdue).cloned());
            Some(serde_json::json!({
                "input": of(Some(&input)),
                "output": of(state.steps[step.at()].output.as_ref()),
                "run_input": of(Some(&state.start.input)),
                "failure": failure,
            }))
        }
    };
    let given = given.bytes();
    ensure!(
        value(given) == expected,
        InputIsBound,
        "run {run} step {} got {}, and should have got {expected:?}",
        step.0,
        String::from_utf8_lossy(given)
    );
    Ok(())
}
