//! What can be done about a run.
//!
//! Invariant: what is offered would be accepted if it came before anything else happens.

use std::collections::BTreeSet;

use serde::Serialize;

use super::Reason;
use super::situation::Situation;
use crate::change::Heading;
use crate::definition::{Definition, StepIndex, StepKind};
use crate::limits;
use crate::name::Name;
use crate::operation::Wants;
use crate::run::{Phase, Run, Stage, Status};
use crate::store::RunRecord;
use crate::task::TASK_FORMAT;

/// Something that would be accepted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(tag = "action", rename_all = "snake_case")]
#[non_exhaustive]
pub enum NextAction {
    /// Cancel the run.
    Cancel,
    /// End the run without waiting for its attempts.
    CancelForce,
    /// Cancel the run and take back what it did.
    CancelUndo,
    /// Give an approval.
    Approve {
        /// The step.
        step: Name,
    },
    /// Refuse an approval.
    Reject {
        /// The step.
        step: Name,
    },
    /// End a pause.
    Resume {
        /// The step.
        step: Name,
    },
    /// Send a signal.
    Signal {
        /// The step that gets it.
        step: Name,
        /// The signal's name.
        signal: Name,
    },
    /// Say that an attempt of unknown outcome succeeded, and with what.
    ResolveSucceeded {
        /// The step.
        step: Name,
    },
    /// Have a step whose attempt has an unknown outcome tried again.
    ResolveRetry {
        /// The step.
        step: Name,
    },
    /// Say that an attempt of unknown outcome failed.
    ResolveFail {
        /// The step.
        step: Name,
    },
    /// Give up taking a step's effect back.
    SkipUndo {
        /// The step.
        step: Name,
    },
    /// Start another run with the same input.
    Replay,
    /// The same, saying that what must not be repeated unasked may be.
    ReplayAllowIrreversible,
    /// Start another run that takes over what did not fail.
    ResumeFailed,
    /// Start another run that takes over what does not depend on a step.
    Fork {
        /// The step that is done again.
        step: Name,
    },
    /// Resume the queues in which its steps are ready.
    ResumeQueue,
    /// Start a worker that has the handlers and serves the queues.
    StartWorker,
    /// Deploy a binary that can read the run.
    Upgrade,
}

/// What would be accepted by a run that has not ended, whose situations are these.
pub(super) fn of_open(
    record: &RunRecord,
    run: &Run,
    definition: &Definition,
    situations: &[Situation],
) -> Vec<NextAction> {
    let mut actions = Vec::new();
    decisions(record, run, definition, &mut actions);
    let any = |reason| situations.iter().any(|one| one.reason == reason);
    if any(Reason::QueuePaused) {
        actions.push(NextAction::ResumeQueue);
    }
    if any(Reason::NoWorkerForHandler) {
        actions.push(NextAction::StartWorker);
    }
    if record.tasks.iter().any(|row| row.format > TASK_FORMAT) {
        actions.push(NextAction::Upgrade);
    }
    cancels(run, definition, &mut actions);
    actions
}

/// What people can decide about steps.
fn decisions(
    record: &RunRecord,
    run: &Run,
    definition: &Definition,
    actions: &mut Vec<NextAction>,
) {
    let open = *run.phase() == Phase::Open;
    for (index, wants) in run.waits(definition) {
        let step = definition.step(index).name.clone();
        match wants {
            Wants::Resume if open => actions.push(NextAction::Resume { step }),
            Wants::Approval if open => {
                actions.push(NextAction::Approve { step: step.clone() });
                actions.push(NextAction::Reject { step });
            }
            Wants::Signal if open => {
                if let Some(signal) = gets_next(run, definition, index) {
                    actions.push(NextAction::Signal { step, signal });
                }
            }
            Wants::Outcome if open => {
                actions.push(NextAction::ResolveSucceeded { step: step.clone() });
                actions.push(NextAction::ResolveRetry { step: step.clone() });
                actions.push(NextAction::ResolveFail { step });
            }
            Wants::Undo if !is_undo_held(record, run, index) => {
                actions.push(NextAction::SkipUndo { step });
            }
            Wants::Resume | Wants::Approval | Wants::Signal | Wants::Outcome | Wants::Undo => {}
        }
    }
}

/// The signal that a step waits for, if it is the one that gets the next of that name.
fn gets_next(run: &Run, definition: &Definition, step: StepIndex) -> Option<Name> {
    let StepKind::Signal { signal, .. } = &definition.step(step).kind else {
        return None;
    };
    (run.listener(definition, signal) == Some(step)).then(|| signal.clone())
}

fn is_undo_held(record: &RunRecord, run: &Run, step: StepIndex) -> bool {
    let lane = run.step(step).undoing().map(|armed| armed.lane);
    let mut rows = record.tasks.iter();
    rows.any(|row| Some(row.key.lane) == lane && row.owner.is_some())
}

fn cancels(run: &Run, definition: &Definition, actions: &mut Vec<NextAction>) {
    match run.phase() {
        Phase::Open => {
            actions.push(NextAction::Cancel);
            if definition.steps().iter().any(|step| step.undo.is_some()) {
                actions.push(NextAction::CancelUndo);
            }
            actions.push(NextAction::CancelForce);
        }
        Phase::Winding(Heading::Cancelled) => {
            let forced = run.cancel().is_some_and(|cancel| cancel.force);
            if !forced && !run.is_undoing() {
                actions.push(NextAction::CancelForce);
            }
        }
        Phase::Winding(Heading::Completed | Heading::Failed(_)) | Phase::Ended(_) => {}
    }
}

/// What would be accepted by a run that has ended: copies of it.
pub(super) fn of_ended(run: &Run, definition: &Definition) -> Vec<NextAction> {
    let every: BTreeSet<StepIndex> = definition.indexes().collect();
    let is_safe = |steps: &BTreeSet<StepIndex>| {
        let mut steps = steps.iter();
        !steps.any(|step| run.is_unsafe_to_repeat(definition, *step))
    };
    let mut actions = Vec::new();
    if run.status() == Status::Failed && is_safe(&run.repeated(definition, BTreeSet::new())) {
        actions.push(NextAction::ResumeFailed);
    }
    actions.push(if is_safe(&every) {
        NextAction::Replay
    } else {
        NextAction::ReplayAllowIrreversible
    });
    let ended = definition.indexes().filter(|step| {
        let stage = run.step(*step).stage;
        matches!(stage, Stage::Succeeded | Stage::Failed)
    });
    let safe = ended.filter(|step| is_safe(&run.repeated(definition, BTreeSet::from([*step]))));
    actions.extend(
        safe.take(limits::FORKS_OFFERED)
            .map(|step| NextAction::Fork {
                step: definition.step(step).name.clone(),
            }),
    );
    actions
}
