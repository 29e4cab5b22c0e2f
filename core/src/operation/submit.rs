//! Starts and commands.
//!
//! Invariant: a group is atomic, groups are independent; a command carries its id, so a repeated one is told what it did.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::batch::{Batch, Lookup};
use super::poison::guarded;
use super::{
    CancelReply, Decision, EntryReply, Found, GroupReply, Offer, ReadSet, Rejection, Reply, RunRow,
    StartReply, View,
};
use crate::definition::DefinitionKey;
use crate::event::{CancelRequested, Event, Started};
use crate::id::{CommandId, Life, RunId, Shard};
use crate::limits;
use crate::mutant::Mutant;
use crate::name::Name;
use crate::payload::{Payload, PayloadDigest};
use crate::run::{Facts, Phase, Run, Verdict};
use crate::transition::DecodeError;

/// Starts and commands, in groups.
#[derive(Debug, Clone, PartialEq)]
pub struct Submit {
    /// The shard of every run below.
    pub shard: Shard,
    /// Independent of each other; each atomic inside.
    pub groups: Vec<Group>,
    /// Slots of the submitting process that first steps may be handed to.
    pub offer: Option<Offer>,
    /// Whether to wait for runs that are locked elsewhere, rather than answering `Busy`.
    pub wait: bool,
}

/// Entries that are done together or not at all.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// In the order in which they take effect.
    pub entries: Vec<Entry>,
}

/// One start or command.
#[derive(Debug, Clone, PartialEq)]
pub enum Entry {
    /// Start a run.
    Start(Box<Start>),
    /// Cancel a run.
    Cancel(Cancel),
}

/// Start a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Start {
    /// The run to be: made by the caller, or derived from workflow and key.
    pub run: RunId,
    /// Its life, drawn by the caller.
    pub life: Life,
    /// Identifies this start, however often it is submitted.
    pub command: CommandId,
    /// What to run.
    pub definition: DefinitionKey,
    /// The input, checked against the contract, defaults filled in.
    pub input: Payload,
    /// Digest of the caller's input as canonical JSON, before defaults.
    pub raw_input: PayloadDigest,
    /// The idempotency key that `run` was derived from.
    pub key: Option<String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Queue of steps that name none, instead of the definition's.
    pub queue: Option<Name>,
    /// Priority of steps that name none, instead of the definition's.
    pub priority: Option<i16>,
    /// How long after the start the first steps are due.
    pub delay: Option<StartDelay>,
    /// How long the run may take from its first due time on, instead of the definition's deadline.
    pub deadline: Option<Duration>,
    /// W3C trace context of the caller.
    pub trace: Option<String>,
}

/// When the first steps of a delayed start are due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartDelay {
    /// That long after the database's clock at the start.
    In(Duration),
    /// At that instant by the database's clock; at once if it is past.
    At(crate::time::Timestamp),
}

/// Cancel a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cancel {
    /// The run.
    pub run: RunId,
    /// Identifies this cancel, however often it is submitted.
    pub command: CommandId,
    /// Who asks.
    pub actor: Option<String>,
    /// Why.
    pub reason: Option<String>,
    /// End at once; later reports of running attempts are rejected.
    pub force: bool,
}

impl Entry {
    /// The run it concerns.
    pub fn run(&self) -> RunId {
        match self {
            Entry::Start(start) => start.run,
            Entry::Cancel(cancel) => cancel.run,
        }
    }

    /// The definition it needs, for a start.
    fn definition(&self) -> Option<&DefinitionKey> {
        match self {
            Entry::Start(start) => Some(&start.definition),
            Entry::Cancel(_) => None,
        }
    }
}

impl Submit {
    pub(super) fn reads(&self) -> ReadSet {
        let entries = || self.groups.iter().flat_map(|group| &group.entries);
        ReadSet {
            shard: self.shard,
            definitions: entries().filter_map(Entry::definition).cloned().collect(),
            runs: entries().map(Entry::run).collect(),
            wait: self.wait,
            ..ReadSet::default()
        }
    }

    pub(super) fn decide(&self, view: &View) -> Decision {
        let (batch, slots) = guarded(
            || Batch::new(view, self.offer.as_ref()),
            self.groups.len(),
            view.mutation,
            |batch, index| self.group(batch, &self.groups[index]),
            |index| Ok(poisoned(&self.groups[index])),
        );
        let Ok(groups) = slots
            .into_iter()
            .collect::<Result<Vec<GroupReply>, RunId>>()
        else {
            return Decision::Need(ReadSet {
                shard: self.shard,
                tasks_of: self.runs_here(view),
                ..ReadSet::default()
            });
        };
        let reply = Reply::Submitted {
            now: view.now,
            groups,
            handed: batch.handed(),
            next_due: batch.next_due(),
        };
        Decision::Done {
            writes: batch.finish(),
            reply,
        }
    }

    /// Every run that exists already: an entry that is reached only once the tasks of another run are known may need its own
    /// too, and there is one further read.
    fn runs_here(&self, view: &View) -> BTreeSet<RunId> {
        let runs = self
            .groups
            .iter()
            .flat_map(|group| &group.entries)
            .map(Entry::run);
        runs.filter(|run| matches!(view.runs.get(run), Some(Found::Row(_))))
            .collect()
    }

    /// Does a group, or nothing of it. `Err` names a run whose tasks must all be read first.
    fn group(&self, batch: &mut Batch<'_>, group: &Group) -> Result<GroupReply, RunId> {
        let before = (group.entries.len() > 1).then(|| batch.clone());
        let mut done = Vec::with_capacity(group.entries.len());
        for (index, entry) in group.entries.iter().enumerate() {
            let refused = match self.entry(batch, entry) {
                Ok(reply) => {
                    done.push(reply);
                    continue;
                }
                Err(Refusal::NeedTasksOf(run)) => return Err(run),
                Err(Refusal::Busy) => GroupReply::Busy,
                Err(Refusal::Rejected(rejection)) => GroupReply::Refused { index, rejection },
            };
            if let Some(before) = before {
                *batch = before;
            }
            return Ok(refused);
        }
        Ok(GroupReply::Done(done))
    }

    fn entry(&self, batch: &mut Batch<'_>, entry: &Entry) -> Result<EntryReply, Refusal> {
        match entry {
            Entry::Start(start) => self.start(batch, start).map(EntryReply::Started),
            Entry::Cancel(cancel) => self.cancel(batch, cancel).map(EntryReply::Cancelled),
        }
    }

    fn start(&self, batch: &mut Batch<'_>, start: &Start) -> Result<StartReply, Refusal> {
        match batch.find(start.run) {
            Lookup::Absent => self.begin(batch, start),
            Lookup::Busy => Err(Refusal::Busy),
            Lookup::Unreadable(error) => Err(unreadable(start.run, error)),
            Lookup::Here => self.again(batch, start),
        }
    }

    fn begin(&self, batch: &mut Batch<'_>, start: &Start) -> Result<StartReply, Refusal> {
        let (view, run) = (batch.view, start.run);
        let Some(definition) = view.definitions.get(&start.definition) else {
            return Err(Refusal::Rejected(Rejection::UnknownWorkflow {
                definition: start.definition.clone(),
            }));
        };
        let now = view.now;
        let due = start.delay.map(|delay| match delay {
            StartDelay::In(span) => now.plus(span.min(limits::SPAN_MAX)),
            StartDelay::At(at) => at.min(now.plus(limits::SPAN_MAX)),
        });
        let due = due.filter(|due| *due > now);
        let span = start.deadline.or(definition.deadline());
        let started = Started {
            command: start.command,
            definition: start.definition.clone(),
            digest: definition.digest(),
            input: start.input.digest(),
            raw_input: start.raw_input,
            key: start.key.clone(),
            labels: start.labels.clone(),
            queue: start.queue.clone(),
            priority: start.priority,
            due,
            deadline: span.map(|span| due.unwrap_or(now).plus(span)),
            trace: start.trace.clone(),
        };
        let decided = Run::start(run, start.life, definition, started, now, view.mutation);
        let row = RunRow {
            id: run,
            life: start.life,
            definition: start.definition.clone(),
            seq: decided.run.seq(),
            status: decided.run.status(),
            state: Vec::new(),
            labels: start.labels.clone(),
            created: now,
            updated: now,
        };
        batch.insert(row, Arc::clone(definition), decided, start.input.clone());
        Ok(StartReply {
            run,
            existing: false,
        })
    }

    /// A start whose run exists: the same command again, or the same key.
    fn again(&self, batch: &mut Batch<'_>, start: &Start) -> Result<StartReply, Refusal> {
        let run = start.run;
        let (existing, _) = batch.run(run);
        let origin = existing.origin();
        if existing.life() == start.life && origin.command == start.command {
            if let Some(offer) = &self.offer
                && batch
                    .hand_again(run, offer.worker, crate::run::Seq(0))
                    .is_none()
            {
                return Err(Refusal::NeedTasksOf(run));
            }
            return Ok(StartReply {
                run,
                existing: false,
            });
        }
        let same =
            origin.raw_input == start.raw_input || batch.view.mutation.is(Mutant::KeyNotCompared);
        let workflow = existing.definition().name == start.definition.name;
        if start.key.is_some() && workflow && same {
            return Ok(StartReply {
                run,
                existing: true,
            });
        }
        Err(Refusal::Rejected(Rejection::KeyConflict { run }))
    }

    fn cancel(&self, batch: &mut Batch<'_>, cancel: &Cancel) -> Result<CancelReply, Refusal> {
        let id = cancel.run;
        match batch.find(id) {
            Lookup::Absent => return Err(Refusal::Rejected(Rejection::UnknownRun { run: id })),
            Lookup::Busy => return Err(Refusal::Busy),
            Lookup::Unreadable(error) => return Err(unreadable(id, error)),
            Lookup::Here => {}
        }
        let view = batch.view;
        let (run, definition) = batch.run(id);
        let winding = matches!(run.phase(), Phase::Winding(_));
        if run.cancel().is_some() && !(cancel.force && winding) {
            return Ok(first_answer(run));
        }
        // A cancel frees lanes that only a read of all tasks shows, so it reads them before it decides.
        let Some(claimed) = batch.claimed(id) else {
            return Err(Refusal::NeedTasksOf(id));
        };
        let event = Event::CancelRequested(Box::new(CancelRequested {
            command: cancel.command,
            actor: cancel.actor.clone(),
            reason: cancel.reason.clone(),
            force: cancel.force,
        }));
        let facts = Facts {
            now: view.now,
            claimed: Some(&claimed),
            mutation: view.mutation,
        };
        match run.decide(definition, event, &facts) {
            Verdict::Claims => Err(Refusal::NeedTasksOf(id)),
            Verdict::Refused(rejection) => Err(Refusal::Rejected(rejection)),
            Verdict::Decided(decided) => {
                batch.advance(id, *decided, None);
                Ok(first_answer(batch.run(id).0))
            }
        }
    }
}

/// What every cancel of this run is told.
fn first_answer(run: &Run) -> CancelReply {
    let first = run
        .cancel()
        .expect("a run that was cancelled keeps the cancel that came first");
    CancelReply {
        run: run.id(),
        seq: first.seq,
        at: first.at,
        command: first.command,
        status: run.status(),
    }
}

/// Why an entry was not done.
enum Refusal {
    NeedTasksOf(RunId),
    Busy,
    Rejected(Rejection),
}

fn unreadable(run: RunId, error: DecodeError) -> Refusal {
    Refusal::Rejected(Rejection::Unreadable {
        run,
        detail: error.to_string(),
    })
}

fn poisoned(group: &Group) -> GroupReply {
    let run = group
        .entries
        .first()
        .map_or(RunId::from_u128(0), Entry::run);
    GroupReply::Refused {
        index: 0,
        rejection: Rejection::Unreadable {
            run,
            detail: "deciding on it failed".into(),
        },
    }
}
