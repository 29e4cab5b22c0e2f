//! Starts and commands.
//!
//! Invariant: a command that is submitted again has no further effect, and is told what the first one did.

mod call;
mod command;
mod copy;
mod start;

use std::collections::BTreeSet;

use super::advance::Undecided;
use super::batch::Batch;
use super::poison::guarded;
use super::queue::offered;
use super::{Decision, EntryReply, Found, GroupReply, Offer, ReadSet, Rejection, Reply, View};
use crate::definition::DefinitionKey;
use crate::id::{RunId, Shard};
use crate::task::TaskKey;
use crate::transition::DecodeError;

pub use call::Call;
pub use command::{Cancel, Resolve, Ruling, Signal};
pub use copy::Copy;
pub use start::{Start, StartDelay};

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
    /// Decide about a step.
    Resolve(Box<Resolve>),
    /// Send a signal.
    Signal(Box<Signal>),
    /// Start a run for a handler.
    Call(Box<Call>),
}

impl Entry {
    /// The run it concerns; of one that a handler starts, its parent.
    pub fn run(&self) -> RunId {
        match self {
            Entry::Start(start) => start.run,
            Entry::Cancel(cancel) => cancel.run,
            Entry::Resolve(resolve) => resolve.run,
            Entry::Signal(signal) => signal.run,
            Entry::Call(call) => call.task.run,
        }
    }

    /// The run that it starts, if it does.
    fn started(&self) -> Option<RunId> {
        match self {
            Entry::Start(start) => Some(start.run),
            Entry::Call(call) => Some(call.start.run),
            Entry::Cancel(_) | Entry::Resolve(_) | Entry::Signal(_) => None,
        }
    }

    /// The run that it copies, if it does.
    fn source(&self) -> Option<RunId> {
        match self {
            Entry::Start(start) => start.copy.as_ref().map(|copy| copy.source),
            Entry::Cancel(_) | Entry::Resolve(_) | Entry::Signal(_) | Entry::Call(_) => None,
        }
    }

    /// The task whose lease it is done under, if it is.
    fn task(&self) -> Option<TaskKey> {
        match self {
            Entry::Call(call) => Some(call.task),
            Entry::Start(_) | Entry::Cancel(_) | Entry::Resolve(_) | Entry::Signal(_) => None,
        }
    }

    /// The definition it needs, for a start.
    fn definition(&self) -> Option<&DefinitionKey> {
        match self {
            Entry::Start(start) => Some(&start.definition),
            Entry::Call(call) => Some(&call.start.definition),
            Entry::Cancel(_) | Entry::Resolve(_) | Entry::Signal(_) => None,
        }
    }

    /// Bytes of the payloads that it carries.
    pub fn payload_bytes(&self) -> usize {
        match self {
            Entry::Start(start) => start.input.bytes().len(),
            Entry::Cancel(_) => 0,
            Entry::Resolve(resolve) => resolve.payload_bytes(),
            Entry::Signal(signal) => signal.payload.bytes().len(),
            Entry::Call(call) => call.start.input.bytes().len(),
        }
    }
}

impl Submit {
    pub(super) fn reads(&self) -> ReadSet {
        let entries = || self.groups.iter().flat_map(|group| &group.entries);
        ReadSet {
            shard: self.shard,
            definitions: entries().filter_map(Entry::definition).cloned().collect(),
            runs: entries()
                .map(Entry::run)
                .chain(entries().filter_map(Entry::started))
                .chain(entries().filter_map(Entry::source))
                .collect(),
            tasks: entries().filter_map(Entry::task).collect(),
            wait: self.wait,
            queues: self.offer.as_ref().map(offered).unwrap_or_default(),
            ..ReadSet::default()
        }
    }

    pub(super) fn decide(&self, view: &View) -> Decision {
        let (batch, slots) = guarded(
            || Batch::of_starts(view, self.offer.as_ref()),
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
                queues: self.offer.as_ref().map(offered).unwrap_or_default(),
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
        let entries = self.groups.iter().flat_map(|group| &group.entries);
        let runs = entries.flat_map(|entry| [Some(entry.run()), entry.started()]);
        let runs = runs.flatten();
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
        let offerer = self.offer.as_ref().map(|offer| offer.worker);
        match entry {
            Entry::Start(start) => start.begin(batch, offerer).map(EntryReply::Started),
            Entry::Call(call) => call.obey(batch, offerer).map(EntryReply::Started),
            Entry::Cancel(cancel) => cancel.obey(batch).map(EntryReply::Cancelled),
            Entry::Resolve(resolve) => resolve.obey(batch).map(EntryReply::Obeyed),
            Entry::Signal(signal) => signal.obey(batch).map(EntryReply::Obeyed),
        }
    }
}

/// Why an entry was not done.
pub(super) enum Refusal {
    NeedTasksOf(RunId),
    Busy,
    Rejected(Rejection),
}

impl From<Rejection> for Refusal {
    fn from(rejection: Rejection) -> Refusal {
        Refusal::Rejected(rejection)
    }
}

impl From<Undecided> for Refusal {
    fn from(undecided: Undecided) -> Refusal {
        match undecided {
            Undecided::NeedTasksOf(run) => Refusal::NeedTasksOf(run),
            Undecided::Refused(rejection) => Refusal::Rejected(rejection),
        }
    }
}

pub(super) fn unreadable(run: RunId, error: DecodeError) -> Refusal {
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
