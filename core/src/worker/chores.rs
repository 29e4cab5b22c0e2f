//! What the engine does by itself about steps: looking at their input, starting children, putting results together,
//! reporting ends.
//!
//! Invariant: a chore has no effect but its report (a log line aside), so it may be done again by anybody.

use std::sync::Arc;

use super::inputs::Gathering;
use super::{Action, AttemptId, Config, LogLine, Worker, returned};
use crate::definition::{Condition, Contract, Definition, LabelIndex, Step, StepIndex, StepKind};
use crate::eval::{self, Names};
use crate::event::{ChildEnd, Failure, Parent, code};
use crate::id::RunId;
use crate::limits;
use crate::mutant::{Mutant, Mutation};
use crate::name::Name;
use crate::operation::{Finding, Outcome, Spawn};
use crate::payload::{Payload, PayloadDigest};
use crate::task::{TaskKind, Work};

#[cfg(test)]
mod tests;

/// Why a chore could not be done.
enum Undone {
    /// The step fails.
    Fails(Failure),
    /// It needs what is not what any engine wrote.
    Halts(String),
}

impl From<Failure> for Undone {
    fn from(failure: Failure) -> Undone {
        Undone::Fails(failure)
    }
}

impl Worker {
    /// Does a chore whose parts are there, and reports what came of it.
    pub(super) fn do_chore(
        &mut self,
        id: AttemptId,
        gathering: Gathering,
        definition: &Definition,
    ) {
        let step = &definition.steps()[gathering.task.step.at()];
        let done = match gathering.task.kind {
            TaskKind::Evaluate => self.evaluate(id, &gathering, definition, step),
            TaskKind::Spawn => self.prepare(&gathering, definition, step),
            TaskKind::Collect => collect(&gathering, step, &self.config),
            TaskKind::Delivery => deliver(&gathering, definition, self.config.payload_limit),
            TaskKind::Step
            | TaskKind::Undo
            | TaskKind::Stopping
            | TaskKind::Wait
            | TaskKind::Deadline
            | TaskKind::Recall
            | TaskKind::Firing => unreachable!("{:?} is no chore with parts", gathering.task.kind),
        };
        let undone = |undone| match undone {
            Undone::Fails(failure) => Outcome::Found(Finding::Failure(failure)),
            Undone::Halts(detail) => Outcome::Unreadable { detail },
        };
        self.report(id, done.unwrap_or_else(undone));
    }

    fn evaluate(
        &mut self,
        id: AttemptId,
        gathering: &Gathering,
        definition: &Definition,
        step: &Step,
    ) -> Result<Outcome, Undone> {
        let input = || bound(gathering, definition, step);
        let finding = match &step.kind {
            StepKind::Route {
                conditions,
                fallback,
            } => {
                let by = (conditions.as_slice(), fallback.as_ref());
                Finding::Label(route(&step.ways(), by, &input()?, self.config.mutation)?)
            }
            StepKind::Until => Finding::Instant(eval::instant(&input()?)?),
            StepKind::Each { .. } => {
                let mut count = eval::elements(&input()?)?.len();
                if self.config.mutation.is(Mutant::LastElementForgotten) {
                    count = count.saturating_sub(1);
                }
                Finding::Children(u32::try_from(count).unwrap_or(u32::MAX))
            }
            StepKind::Log { .. } if self.config.mutation.is(Mutant::LogUnwritten) => {
                Finding::Logged
            }
            StepKind::Log { level, message } => {
                self.actions.push_back(Action::Log(Box::new(LogLine {
                    run: id.key.run,
                    definition: definition.key().clone(),
                    step: step.name.clone(),
                    level: *level,
                    message: message.clone(),
                })));
                Finding::Logged
            }
            StepKind::Pause { .. } | StepKind::Approval { .. } | StepKind::Signal { .. } => {
                Finding::Reached
            }
            StepKind::Handler { .. } | StepKind::Wait { .. } | StepKind::Child { .. } => {
                return Err(misfit(step));
            }
        };
        Ok(Outcome::Found(finding))
    }

    /// The inputs of the next children.
    fn prepare(
        &self,
        gathering: &Gathering,
        definition: &Definition,
        step: &Step,
    ) -> Result<Outcome, Undone> {
        let Work::Spawn { from, depth } = gathering.task.brief.work else {
            return Err(misfit(step));
        };
        if depth > limits::DEPTH {
            let message = format!(
                "the child would be {depth} runs below its root, the limit is {}",
                limits::DEPTH
            );
            return Err(Failure::new(code::LIMIT_EXCEEDED, &message, false).into());
        }
        let child = gathering.child.clone().flatten();
        let child: Arc<Definition> = child.ok_or_else(|| {
            let message = format!(
                "no definition of the workflow that step {:?} starts is stored",
                step.name
            );
            Failure::new(code::UNKNOWN_WORKFLOW, &message, false)
        })?;
        let input = bound(gathering, definition, step)?;
        let parts = match &step.kind {
            StepKind::Each { parallel, .. } => {
                let mut parts = eval::elements(&input)?;
                let from = usize::try_from(from).unwrap_or(usize::MAX).min(parts.len());
                parts.drain(..from);
                // There is never room for more.
                let most = limits::CHILDREN_AT_ONCE.min(*parallel);
                parts.truncate(usize::try_from(most).unwrap_or(usize::MAX));
                parts
            }
            _ => vec![input],
        };
        let inputs = parts
            .iter()
            .map(|part| child_input(child.contract(), part, self.config.payload_limit));
        Ok(Outcome::Spawn(Box::new(Spawn {
            definition: child.key().clone(),
            from,
            inputs: inputs.collect::<Result<_, _>>()?,
        })))
    }
}

/// The label that a route takes.
fn route(
    ways: &[Name],
    (conditions, fallback): (&[Condition], Option<&Name>),
    input: &Payload,
    mutation: Mutation,
) -> Result<LabelIndex, Failure> {
    if mutation.is(Mutant::LastMatchTaken) {
        let turned: Vec<Condition> = conditions.iter().rev().cloned().collect();
        return eval::route(ways, &turned, fallback, input);
    }
    if mutation.is(Mutant::FallbackFirst) && fallback.is_some() {
        return eval::route(ways, &[], fallback, input);
    }
    let fallback = fallback.filter(|_| !mutation.is(Mutant::FallbackIgnored));
    let label = eval::route(ways, conditions, fallback, input)?;
    if mutation.is(Mutant::RouteIgnoresConditions) {
        let last = ways.len().saturating_sub(1);
        return Ok(LabelIndex(u16::try_from(last).unwrap_or(label.0)));
    }
    Ok(label)
}

/// A child's input, checked against its contract, literal defaults filled in, with the digest of what it was before. It
/// will be stamped when the child is started; the limit is that of what will be stored.
fn child_input(
    contract: &Contract,
    part: &Payload,
    limit: usize,
) -> Result<(Payload, PayloadDigest), Failure> {
    let (payload, raw) = contract.fill(part).map_err(|problem| {
        let message = format!("the child does not take its input: {problem}");
        Failure::new(code::INVALID_INPUT, &message, false)
    })?;
    returned::check_size(eval::stamped_bytes(&payload, &contract.stamps()), limit)?;
    returned::check(&payload, limit)?;
    Ok((payload, raw))
}

/// The array of what the children of a step gave.
fn collect(gathering: &Gathering, step: &Step, config: &Config) -> Result<Outcome, Undone> {
    let limit = config.payload_limit;
    let StepKind::Each { collect, .. } = &step.kind else {
        return Err(misfit(step));
    };
    let results = &gathering.results;
    // No further row was read once this was clear.
    if results.bytes > limit {
        let message = format!(
            "the results of the children of step {:?} have more than {limit} bytes, which is the limit",
            step.name
        );
        return Err(Failure::new(code::PAYLOAD_TOO_LARGE, &message, false).into());
    }
    let ends: Option<Vec<eval::ElementOutcome>> = results.ends.iter().cloned().collect();
    let ends = ends.ok_or_else(|| {
        Undone::Halts(format!(
            "the journal lacks the end of a child of step {:?}",
            step.name
        ))
    })?;
    let output = if *collect && config.mutation.is(Mutant::FailuresNotCollected) {
        eval::outcomes(&without_failures(ends))
    } else if *collect {
        eval::outcomes(&ends)
    } else {
        let parts: Vec<Payload> = ends
            .into_iter()
            .map(|end| match end {
                eval::ElementOutcome::Completed(result) => result,
                eval::ElementOutcome::Failed(failure) => failure,
                eval::ElementOutcome::Cancelled => Payload::null(),
            })
            .collect();
        eval::array(&parts)
    };
    returned::check(&output, limit)?;
    Ok(Outcome::Collected { output })
}

/// Only a mutant asks for it.
fn without_failures(mut ends: Vec<eval::ElementOutcome>) -> Vec<eval::ElementOutcome> {
    let failed = |end: &&mut eval::ElementOutcome| matches!(end, eval::ElementOutcome::Failed(_));
    for end in ends.iter_mut().filter(failed) {
        *end = eval::ElementOutcome::Cancelled;
    }
    ends
}

/// What a parent is told of a run's end. A result that cannot be put together is a failure of the child.
fn deliver(
    gathering: &Gathering,
    definition: &Definition,
    limit: usize,
) -> Result<Outcome, Undone> {
    let Work::Deliver { parent, end, code } = &gathering.task.brief.work else {
        return Err(Undone::Halts("a delivery without a parent".to_owned()));
    };
    let child = gathering.task.key.run;
    let ended = |end, payload| Outcome::ChildEnded {
        parent: parent.clone(),
        end,
        payload,
    };
    Ok(match end {
        ChildEnd::Completed => match result(gathering, definition, limit) {
            Ok(result) => ended(ChildEnd::Completed, result),
            Err(failure) => undelivered(child, parent.clone(), &failure),
        },
        ChildEnd::Failed => {
            let code = code.as_deref().unwrap_or_default();
            let own = gathering.parts.first().cloned().flatten();
            let own = own.unwrap_or_else(|| {
                eval::failure_payload(&Failure::new(code, "the child failed", false), None)
            });
            ended(ChildEnd::Failed, child_failed(child, parent, code, &own))
        }
        ChildEnd::Cancelled => {
            let message = format!("child {child} (number {}) was cancelled", parent.child);
            let failure = Failure::new(code::CHILD_CANCELLED, &message, false);
            ended(ChildEnd::Cancelled, eval::failure_payload(&failure, None))
        }
    })
}

/// What a parent is told whose child's end cannot be put together: that it failed.
pub(super) fn undelivered(child: RunId, parent: Parent, failure: &Failure) -> Outcome {
    let own = eval::failure_payload(failure, None);
    let payload = child_failed(child, &parent, &failure.code, &own);
    Outcome::ChildEnded {
        parent,
        end: ChildEnd::Failed,
        payload,
    }
}

/// What the parent's step fails with; its details are the child's own failure.
fn child_failed(child: RunId, parent: &Parent, code: &str, own: &Payload) -> Payload {
    let message = format!(
        "child {child} (number {}) failed with {code:?}",
        parent.child
    );
    let failure = Failure::new(code::CHILD_FAILED, &message, false);
    eval::failure_payload(&failure, Some(own))
}

fn result(
    gathering: &Gathering,
    definition: &Definition,
    limit: usize,
) -> Result<Payload, Failure> {
    let names = Names {
        target: "result",
        step: &|step| step_name(definition, step),
    };
    let result = eval::bind(definition.result(), &gathering.parts, names)?;
    returned::check(&result, limit)?;
    Ok(result)
}

/// The step's input, put together.
pub(super) fn bound(
    gathering: &Gathering,
    definition: &Definition,
    step: &Step,
) -> Result<Payload, Failure> {
    let names = Names {
        target: "input",
        step: &|step| step_name(definition, step),
    };
    let sources = step.input.sources().len().min(gathering.parts.len());
    eval::bind(&step.input, &gathering.parts[..sources], names)
}

fn step_name(definition: &Definition, step: StepIndex) -> String {
    let known = definition.steps().get(step.at());
    known.map_or_else(|| format!("#{}", step.0), |step| step.name.to_string())
}

fn misfit(step: &Step) -> Undone {
    Undone::Halts(format!("the task does not fit step {:?}", step.name))
}
