//! What an explanation offers, tried on a copy.
//!
//! Invariant: trying changes nothing but the copy, and leaves none of what is offered out but what only a deployment can do.

use std::collections::BTreeSet;
use std::sync::Arc;

use squid_mesh_core::event::{By, CopyKind};
use squid_mesh_core::explain::{Explanation, NextAction};
use squid_mesh_core::id::{CommandId, Incarnation, Life, RunId};
use squid_mesh_core::name::Name;
use squid_mesh_core::operation::{
    Cancel, Copy, Entry, Group, GroupReply, Operation, QueueAction, QueueCommand, Register,
    Registration, Reply, Resolve, Ruling, Signal, Start, Submit,
};
use squid_mesh_core::payload::Payload;
use squid_mesh_core::run::{Run, Seq};
use squid_mesh_core::time::Timestamp;

use crate::choice::mix;
use crate::store::{Conditions, Tables};

/// Of so many offers one is tried: trying each would be most of the work of a simulation.
const SAMPLE: u64 = 16;

/// Whether the n-th offer of an explanation is one of those that are tried. No choice is made for it: ids and times differ from
/// world to world.
pub(super) fn is_sampled(run: RunId, now: Timestamp, index: usize) -> bool {
    #[expect(clippy::cast_possible_truncation, reason = "some of its bits do")]
    let run = run.as_u128() as u64;
    let offer = mix(mix(run, now.as_micros().unsigned_abs()), index as u64);
    offer.is_multiple_of(SAMPLE)
}

/// What an explanation of a run offers that is refused, and how; none if each action is accepted that is tried.
pub fn refused(
    tables: &Tables,
    run: RunId,
    now: Timestamp,
    explanation: &Explanation,
    is_tried: impl Fn(usize) -> bool,
) -> Option<String> {
    let offered = explanation.next_actions.iter().enumerate();
    let tried = offered.filter(|(index, _)| is_tried(*index));
    let tried: Vec<&NextAction> = tried.map(|(_, action)| action).collect();
    if tried.is_empty() {
        return None;
    }
    let input = tables.journal(run, Seq::FIRST).next();
    let input = input.and_then(|row| row.payload.clone());
    let desk = Desk {
        tables: tables.excerpt(run),
        run,
        now,
        input,
    };
    tried.into_iter().find_map(|action| {
        let refusal = desk.tried(action)?;
        Some(format!("{action:?}: {refusal}"))
    })
}

/// A copy to try things on.
struct Desk {
    tables: Tables,
    run: RunId,
    now: Timestamp,
    input: Option<Payload>,
}

impl Desk {
    /// Why an action is refused.
    fn tried(&self, action: &NextAction) -> Option<String> {
        let entry = match action {
            NextAction::Cancel => self.cancel(false, false),
            NextAction::CancelForce => self.cancel(true, false),
            NextAction::CancelUndo => self.cancel(false, true),
            NextAction::Approve { step } => self.resolve(step, Ruling::Approve),
            NextAction::Reject { step } => self.resolve(step, Ruling::Reject),
            NextAction::Resume { step } => self.resolve(step, Ruling::Resume),
            NextAction::ResolveRetry { step } => self.resolve(step, Ruling::Retry),
            NextAction::SkipUndo { step } => self.resolve(step, Ruling::SkipUndo),
            NextAction::ResolveSucceeded { step } => {
                let (output, label) = (Payload::null(), None);
                self.resolve(step, Ruling::Succeeded { output, label })
            }
            NextAction::ResolveFail { step } => {
                let (code, message) = (None, "somebody looked".to_owned());
                self.resolve(step, Ruling::Fail { code, message })
            }
            NextAction::Signal { signal, .. } => Entry::Signal(Box::new(Signal {
                run: self.run,
                command: self.command(),
                signal: signal.clone(),
                payload: Payload::null(),
                by: by(),
            })),
            NextAction::Replay => self.copy(CopyKind::Replay, Vec::new(), false),
            NextAction::ReplayAllowIrreversible => self.copy(CopyKind::Replay, Vec::new(), true),
            NextAction::ResumeFailed => self.copy(CopyKind::Resume, Vec::new(), false),
            NextAction::Fork { step } => self.copy(CopyKind::Fork, vec![step.clone()], false),
            NextAction::ResumeQueue => return self.resume_queues(),
            NextAction::StartWorker => return self.start_worker(),
            NextAction::Upgrade => return None,
            other => return Some(format!("{other:?} is an action that nobody knows")),
        };
        self.submit(entry)
    }

    fn command(&self) -> CommandId {
        CommandId::keyed(self.run, "an action that was offered")
    }

    fn cancel(&self, force: bool, undo: bool) -> Entry {
        Entry::Cancel(Cancel {
            run: self.run,
            command: self.command(),
            by: by(),
            force,
            undo,
        })
    }

    fn resolve(&self, step: &Name, ruling: Ruling) -> Entry {
        Entry::Resolve(Box::new(Resolve {
            run: self.run,
            command: self.command(),
            step: Some(step.clone()),
            ruling,
            by: by(),
        }))
    }

    fn copy(&self, kind: CopyKind, from: Vec<Name>, allow_irreversible: bool) -> Entry {
        let row = self.tables.run(self.run);
        let state = &row.expect("only a run that exists is explained").state;
        let run = Run::decode(state).expect("only of a run that can be read a copy is offered");
        let copy = Copy {
            source: self.run,
            kind,
            from,
            allow_irreversible,
        };
        Entry::Start(Box::new(Start {
            run: RunId::copied(self.run, self.command()),
            life: Life(1),
            command: self.command(),
            definition: run.definition().clone(),
            trigger: run.origin().trigger.clone(),
            input: self.input.clone().unwrap_or_else(Payload::null),
            raw_input: run.origin().raw_input,
            key: None,
            labels: Default::default(),
            queue: None,
            priority: None,
            delay: None,
            deadline: None,
            trace: None,
            parent: None,
            copy: Some(copy),
            occurrence: None,
            zone: None,
            by: by(),
        }))
    }

    /// Performs an entry on a copy of its own.
    fn submit(&self, entry: Entry) -> Option<String> {
        let submit = Submit {
            shard: self.run.shard(self.tables.shards()),
            groups: vec![Group {
                entries: vec![entry],
            }],
            offer: None,
            wait: true,
        };
        match self.perform(&Operation::Submit(submit)) {
            Reply::Submitted { groups, .. } => groups.iter().find_map(|group| match group {
                GroupReply::Done(_) => None,
                GroupReply::Refused { rejection, .. } => Some(rejection.to_string()),
                GroupReply::Busy => Some("busy".to_owned()),
            }),
            other => Some(format!("{other:?} is no answer to it")),
        }
    }

    fn resume_queues(&self) -> Option<String> {
        let tasks = self.tables.tasks_of(self.run);
        let queues: BTreeSet<&Name> = tasks.map(|task| &task.queue).collect();
        let mut paused = queues
            .into_iter()
            .filter(|queue| self.tables.is_paused(queue));
        let first = paused.next();
        let Some(queue) = first else {
            return Some("no queue is paused".to_owned());
        };
        let command = QueueCommand {
            queue: queue.clone(),
            action: QueueAction::Resume,
            command: self.command(),
            actor: None,
            comment: None,
        };
        match self.perform(&Operation::Queue(command)) {
            Reply::Queue(Ok(reply)) if reply.changed => None,
            other => Some(format!("{other:?}")),
        }
    }

    /// Registers a process that can do all that the run has to be done.
    fn start_worker(&self) -> Option<String> {
        let tasks = || self.tables.tasks_of(self.run);
        let registration = Registration {
            incarnation: Incarnation::from_u128(u128::MAX),
            name: "a worker that was called for".to_owned(),
            handlers: Arc::new(tasks().map(|task| task.handler.clone()).collect()),
            queues: tasks().map(|task| task.queue.clone()).collect(),
        };
        let register = Register {
            worker: Some(registration),
            definitions: Vec::new(),
        };
        match self.perform(&Operation::Register(register)) {
            Reply::Registered(conflicts) if conflicts.is_empty() => None,
            other => Some(format!("{other:?}")),
        }
    }

    fn perform(&self, operation: &Operation) -> Reply {
        let mut copy = self.tables.clone();
        let landed = copy.perform(operation, Conditions::at(self.now));
        let landed = landed.expect("nobody else is at work on a copy");
        landed.done().reply
    }
}

fn by() -> By {
    By {
        actor: Some("the simulator".to_owned()),
        ..By::default()
    }
}
