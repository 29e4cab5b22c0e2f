//! The reference model, asked at the end of a world: has each run come to something that it allows?
//!
//! Invariant: what the model is told of the world is what bodies really did and what was really accepted; what it is shown of
//! a run is what a reader of the store sees.

use std::borrow::Cow;
use std::collections::BTreeMap;

use squid_mesh_core::definition::{StepIndex, StepKind, label};
use squid_mesh_core::eval::{self, Names};
use squid_mesh_core::event::{Event, Resolution, Role};
use squid_mesh_core::id::{CommandId, RunId};
use squid_mesh_core::mutant::{Mutant, Mutation};
use squid_mesh_core::operation::JournalRow;
use squid_mesh_core::payload::{OutputRef, Payload};
use squid_mesh_core::run::{self, Run, Seq, Stage, Status, UndoStage};

use crate::ghost::{Body, BodyEnd, Ghost, GhostRun};
use crate::model;
use crate::store::Tables;
use crate::violation::{Check, Promise, broken, ensure};
use crate::witness::{Attempt, Came, Child, Did, End, Facts, Order, Seen, SeenStep, Tries, Worked};

/// Asks about every run that can be read with all that it needs, and whether the model knows a wrong one when it sees it.
///
/// # Errors
/// The first run that has come to something that the model does not allow; or that it allows something which cannot be.
pub fn all(ghost: &Ghost, tables: &Tables, largest: usize, mutation: Mutation) -> Check {
    let seen: BTreeMap<RunId, Seen> = ghost
        .runs
        .iter()
        .filter(|(id, run)| !run.unreadable && !ghost.is_marred(**id))
        .filter_map(|(id, run)| Some((*id, seen(tables, *id, run)?)))
        .collect();
    let world = World {
        ghost,
        tables,
        largest,
        seen,
        // A bug of the simulator's own: the model takes a run's word for it.
        credulous: mutation.is(Mutant::ModelBelieves),
        bodies: bodies(ghost),
        children: children(ghost),
    };
    world.allowed()?;
    world.discerns()
}

struct World<'w> {
    ghost: &'w Ghost,
    tables: &'w Tables,
    largest: usize,
    credulous: bool,
    seen: BTreeMap<RunId, Seen>,
    /// Bodies by the run, step and role that they were of, in the order in which they began.
    bodies: Vec<(RunId, StepIndex, Role, usize)>,
    /// Children by parent and step.
    children: Vec<(RunId, StepIndex, RunId)>,
}

fn bodies(ghost: &Ghost) -> Vec<(RunId, StepIndex, Role, usize)> {
    let of = |(nth, body): (usize, &Body)| {
        let grant = &ghost.grants[body.grant.0];
        (grant.key.run, grant.step, grant.role, nth)
    };
    let mut bodies: Vec<_> = ghost.bodies.iter().enumerate().map(of).collect();
    bodies.sort_unstable();
    bodies
}

fn children(ghost: &Ghost) -> Vec<(RunId, StepIndex, RunId)> {
    let of = |(id, run): (&RunId, &GhostRun)| {
        let parent = run.start.parent.as_ref()?;
        Some((parent.run, parent.step, *id))
    };
    let mut children: Vec<_> = ghost.runs.iter().filter_map(of).collect();
    children.sort_unstable();
    children
}

impl World<'_> {
    fn allowed(&self) -> Check {
        for (id, seen) in &self.seen {
            let Some(why) = self.refused(*id, seen) else {
                continue;
            };
            let name = self.ghost.run(*id).definition.key();
            return broken(Promise::AsModelled, format!("run {id} of {name}: {why}"));
        }
        Ok(())
    }

    fn refused(&self, id: RunId, seen: &Seen) -> Option<String> {
        let facts = self.facts(id)?;
        model::refused(&facts, seen).filter(|_| !self.credulous)
    }

    /// The model is shown what cannot be: the first run that has ended, with something of it changed.
    fn discerns(&self) -> Check {
        let mut ended = self.seen.iter();
        let Some((id, seen)) = ended.find(|(_, seen)| seen.status.is_terminal()) else {
            return Ok(());
        };
        let forged = forged(seen);
        ensure!(
            self.facts(*id).is_none() || self.refused(*id, &forged).is_some(),
            ModelDiscerns,
            "the model allows that run {id}, which is {seen:?}, is {forged:?}"
        );
        Ok(())
    }

    /// What the world asked for and did. Nothing of a copy whose source cannot be read.
    fn facts(&self, id: RunId) -> Option<Facts<'_>> {
        let run = self.ghost.run(id);
        let source = match &run.start.copy {
            None => None,
            Some(copy) => {
                let definition = &*self.ghost.run(copy.source).definition;
                Some((copy, definition, self.seen.get(&copy.source)?))
            }
        };
        let first = self.tables.journal(id, Seq::FIRST).next()?;
        Some(Facts {
            definition: &run.definition,
            input: &run.start.input,
            started: first.transition.at,
            delayed: run.base > first.transition.at,
            largest: self.largest,
            steps: self.worked(id, run),
            orders: self.orders(id, run),
            source,
        })
    }

    fn worked(&self, id: RunId, run: &GhostRun) -> Vec<Worked<'_>> {
        let mut steps = vec![Worked::default(); run.steps.len()];
        let from = self.bodies.partition_point(|body| body.0 < id);
        for (of, step, role, nth) in &self.bodies[from..] {
            if *of != id {
                break;
            }
            let attempt = attempt(*nth, &self.ghost.bodies[*nth]);
            match role {
                Role::Step => steps[step.at()].attempts.push(attempt),
                Role::Undo => steps[step.at()].undos.push(attempt),
            }
        }
        let from = self.children.partition_point(|child| child.0 < id);
        for (of, step, child) in &self.children[from..] {
            if *of != id {
                break;
            }
            steps[step.at()].children.extend(self.child(*child));
        }
        for (spec, worked) in run.definition.steps().iter().zip(&mut steps) {
            worked.children.sort_by_key(|child| child.number);
            let step = run.definition.index_of(spec.name.as_str());
            let own = |line: &&(_, RunId, StepIndex)| line.1 == id && Some(line.2) == step;
            worked.logged = matches!(spec.kind, StepKind::Log { .. })
                && self.ghost.lines.iter().any(|line| own(&line));
        }
        steps
    }

    /// A child; nothing of one that goes its own way because its handler said so.
    fn child(&self, id: RunId) -> Option<Child<'_>> {
        let run = self.ghost.run(id);
        let parent = run.start.parent.as_ref()?;
        let called = run.start.key.is_some();
        if called && parent.detached {
            return None;
        }
        let came = match self.seen.get(&id) {
            Some(seen) => match seen.status {
                Status::Completed => {
                    let (input, result) = (&run.start.input, run.definition.result());
                    Came::Result(model::bound(input, seen, result))
                }
                Status::Failed => {
                    let step = seen.cause.as_ref().and_then(|(step, _)| *step);
                    let own = step.and_then(|step| seen.steps[step.at()].gave.as_ref());
                    let own = own.map(|own| serde_json::from_slice(own.bytes()));
                    Came::Failure(own.and_then(Result::ok))
                }
                Status::Cancelled => Came::Cancel,
                _ => Came::Unknown,
            },
            None => Came::Unknown,
        };
        Some(Child {
            number: (!called).then_some(parent.child),
            input: &run.start.input,
            came,
        })
    }

    /// What was accepted, each command once.
    fn orders(&self, id: RunId, run: &GhostRun) -> Vec<(u32, Order<'_>)> {
        let mut obeyed: Vec<CommandId> = Vec::new();
        let mut news = |command: CommandId| {
            let new = !obeyed.contains(&command);
            obeyed.push(command);
            new
        };
        let mut orders = Vec::new();
        for row in self.tables.journal(id, Seq::FIRST) {
            let order = match &row.transition.event {
                Event::CancelRequested(asked) => Some(Order::Cancel {
                    undo: asked.undo,
                    force: asked.force,
                }),
                Event::DeadlineReached { .. } => {
                    // One that comes early is none.
                    let due = run.deadline.is_some_and(|due| due <= row.transition.at);
                    due.then_some(Order::Deadline)
                }
                Event::Resolved(resolved) if news(resolved.command) => {
                    said(resolved.step, &resolved.verdict, row)
                }
                Event::Signalled(signalled) if news(signalled.command) => {
                    let payload = row.payload.as_ref();
                    payload.map(|payload| Order::Signal(&signalled.signal, payload))
                }
                _ => None,
            };
            orders.extend(order.map(|order| (row.transition.seq.0, order)));
        }
        orders
    }
}

fn said<'r>(step: StepIndex, verdict: &'r Resolution, row: &'r JournalRow) -> Option<Order<'r>> {
    Some(match verdict {
        Resolution::Resume => Order::Decided(step, label::RESUMED),
        Resolution::Approve => Order::Decided(step, label::APPROVED),
        Resolution::Reject => Order::Decided(step, label::REJECTED),
        Resolution::Succeeded { label } => Order::Succeeded(step, row.payload.as_ref()?, *label),
        Resolution::Fail { code } => Order::Failed(step, code),
        Resolution::Retry => Order::Retry(step),
        Resolution::SkipUndo => Order::SkipUndo(step),
    })
}

fn attempt(nth: usize, body: &Body) -> Attempt<'_> {
    let did = match &body.end {
        Some(BodyEnd::Returned(Ok(returned))) => {
            Did::Returned(&returned.output, returned.label.as_deref())
        }
        Some(BodyEnd::Returned(Err(failed))) => {
            Did::Failed(&failed.failure.code, failed.failure.retryable)
        }
        Some(BodyEnd::RolledBack) => Did::Conflicted,
        Some(BodyEnd::Aborted) => Did::Dropped,
        Some(BodyEnd::Died) | None => Did::Vanished,
    };
    let input = &body.input;
    Attempt { nth, input, did }
}

/// How a run stands, to a reader of the store.
fn seen(tables: &Tables, id: RunId, known: &GhostRun) -> Option<Seen> {
    let row = tables.run(id)?;
    let run = if known.seq == row.seq {
        Cow::Borrowed(&known.fold)
    } else {
        Cow::Owned(Run::decode(&row.state).ok()?)
    };
    let payload = |place: OutputRef| {
        let row = tables.journal(place.run.unwrap_or(id), place.seq).next();
        row.and_then(|row| row.payload.clone())
    };
    let tries = |tries: &run::Tries| Tries {
        executed: tries.executed,
        lost: tries.lost,
        conflicts: tries.conflicts,
    };
    let step = |state: &run::StepState| SeenStep {
        end: match state.stage {
            Stage::Succeeded => End::Succeeded,
            Stage::Failed => End::Failed,
            Stage::Skipped => End::Skipped,
            Stage::Cancelled => End::Cancelled,
            _ => End::Open,
        },
        at: state.settled.0,
        label: state.label,
        gave: state.output().or(state.failure()).and_then(payload),
        tries: tries(&state.tries),
        undo: state.undo.as_ref().map(|undo| {
            let done = match undo.stage {
                UndoStage::Done => Some(true),
                UndoStage::Failed => Some(false),
                UndoStage::Scheduled(_) => None,
            };
            (done, tries(&undo.tries))
        }),
    };
    let cause = run.cause().map(|cause| match cause {
        squid_mesh_core::change::Cause::Step { step, code } => (Some(*step), code.clone()),
        other => (None, other.code().to_owned()),
    });
    let definition = &known.definition;
    let result = || {
        let sources = definition.result().sources();
        let parts = sources
            .iter()
            .map(|source| run.place(&source.origin).and_then(payload));
        let parts: Vec<Option<Payload>> = parts.collect();
        let step = |step: StepIndex| definition.step(step).name.to_string();
        let names = Names {
            target: "result",
            step: &step,
        };
        eval::bind(definition.result(), &parts, names).ok()
    };
    Some(Seen {
        status: row.status,
        cause,
        result: (row.status == Status::Completed).then(result).flatten(),
        steps: run.steps().iter().map(step).collect(),
    })
}

/// Something that cannot be, made of something that can.
fn forged(seen: &Seen) -> Seen {
    let mut forged = seen.clone();
    let succeeded = |step: &&mut SeenStep| step.end == End::Succeeded && step.undo.is_none();
    match forged.steps.iter_mut().find(succeeded) {
        Some(step) => step.end = End::Skipped,
        None if seen.status == Status::Completed => forged.status = Status::Failed,
        None => forged.status = Status::Completed,
    }
    forged
}
