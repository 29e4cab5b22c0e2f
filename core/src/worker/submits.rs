//! Groups that clients of this process submit: group commit, as for reports.
//!
//! Invariant: every group is answered once, and no run is in two groups' operations in flight.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::slots::{Ending, Offered, Spare};
use super::{Action, SubmitError, Worker};
use crate::id::{RunId, Shard};
use crate::limits;
use crate::operation::{
    CancelReply, CommandReply, Ended, Entry, EntryReply, Group, GroupReply, Operation, Start,
    Submit,
};
use crate::run::Status;
use crate::store::StoreError;
use crate::time::Moment;

#[cfg(test)]
mod tests;

/// Steps that a run begins with, for which slots are offered.
const FIRST_STEPS: u32 = 8;

/// Groups by shard.
#[derive(Debug, Default)]
pub(super) struct Submits {
    shards: BTreeMap<Shard, Line>,
    /// Shards that may have something to send.
    ready: BTreeSet<Shard>,
    groups: usize,
    bytes: usize,
}

/// The groups of one shard.
#[derive(Debug, Default)]
struct Line {
    waiting: VecDeque<Waiting>,
    /// Groups that met a locked run: each goes by itself, and waits.
    locked: VecDeque<Waiting>,
    /// Runs of operations in flight.
    runs: BTreeSet<RunId>,
    out: usize,
    locked_out: bool,
}

/// A group, and whom to answer.
#[derive(Debug)]
struct Waiting {
    request: u64,
    group: Group,
}

impl Submits {
    pub(super) fn is_empty(&self) -> bool {
        self.groups == 0
    }

    /// Takes out everything that waits.
    pub(super) fn abandon(&mut self) -> Vec<u64> {
        let lines = std::mem::take(self).shards.into_values();
        let waiting = lines.flat_map(|line| line.locked.into_iter().chain(line.waiting));
        waiting.map(|waiting| waiting.request).collect()
    }

    fn push(&mut self, shard: Shard, waiting: Waiting, met_a_lock: bool) {
        self.groups += 1;
        self.bytes += bytes_of(&waiting.group);
        let line = self.shards.entry(shard).or_default();
        let queue = if met_a_lock {
            &mut line.locked
        } else {
            &mut line.waiting
        };
        queue.push_back(waiting);
        self.ready.insert(shard);
    }

    /// The next groups of a shard to leave, and whether they wait for locks.
    fn next(&mut self, shard: Shard) -> Option<(Vec<Waiting>, bool)> {
        let line = self.shards.entry(shard).or_default();
        let (taken, wait) = match line.next_locked() {
            Some(waiting) => (vec![waiting], true),
            None => (line.next_batch(), false),
        };
        for waiting in &taken {
            self.groups -= 1;
            self.bytes -= bytes_of(&waiting.group);
        }
        (!taken.is_empty()).then_some((taken, wait))
    }
}

impl Line {
    fn next_locked(&mut self) -> Option<Waiting> {
        if self.locked_out
            || !self
                .locked
                .front()
                .is_some_and(|first| self.is_clear(&first.group))
        {
            return None;
        }
        let first = self.locked.pop_front()?;
        self.locked_out = true;
        self.runs.extend(runs_of(&first.group));
        Some(first)
    }

    /// What is there, up to the bounds of a batch. A group that concerns a run in flight stays, and so does any after it
    /// that concerns one of its runs: the groups of a run leave in the order in which they came.
    fn next_batch(&mut self) -> Vec<Waiting> {
        let mut taken = Vec::new();
        if self.out == limits::SUBMITS_IN_FLIGHT {
            return taken;
        }
        let (mut kept, mut kept_runs) = (VecDeque::new(), BTreeSet::new());
        let (mut entries, mut bytes) = (0, 0);
        while kept.len() < limits::BATCH
            && let Some(next) = self.waiting.pop_front()
        {
            if !self.is_clear(&next.group)
                || runs_of(&next.group).any(|run| kept_runs.contains(&run))
            {
                kept_runs.extend(runs_of(&next.group));
                kept.push_back(next);
                continue;
            }
            entries += next.group.entries.len();
            bytes += bytes_of(&next.group);
            if !taken.is_empty() && (entries > limits::BATCH || bytes > limits::BATCH_BYTES) {
                self.waiting.push_front(next);
                break;
            }
            taken.push(next);
        }
        kept.append(&mut self.waiting);
        self.waiting = kept;
        self.out += usize::from(!taken.is_empty());
        self.runs
            .extend(taken.iter().flat_map(|next| runs_of(&next.group)));
        taken
    }

    fn is_clear(&self, group: &Group) -> bool {
        runs_of(group).all(|run| !self.runs.contains(&run))
    }
}

fn runs_of(group: &Group) -> impl Iterator<Item = RunId> {
    group.entries.iter().map(Entry::run)
}

/// The run that an entry ended, if it did.
fn ended(entry: &EntryReply) -> Option<Ended> {
    match entry {
        EntryReply::Cancelled(CancelReply { run, status, .. })
        | EntryReply::Obeyed(CommandReply { run, status, .. })
            if status.is_terminal() =>
        {
            Some(Ended {
                run: *run,
                status: *status,
            })
        }
        EntryReply::Started(_) | EntryReply::Cancelled(_) | EntryReply::Obeyed(_) => None,
    }
}

/// The run whose attempts an entry told to stop, if it did.
fn stopping(entry: &EntryReply) -> Option<RunId> {
    match entry {
        EntryReply::Cancelled(reply) if !reply.status.is_terminal() => Some(reply.run),
        EntryReply::Obeyed(reply) if reply.status == Status::Compensating => Some(reply.run),
        EntryReply::Started(_) | EntryReply::Cancelled(_) | EntryReply::Obeyed(_) => None,
    }
}

fn bytes_of(group: &Group) -> usize {
    group.entries.iter().map(Entry::payload_bytes).sum()
}

impl Worker {
    pub(super) fn submit(&mut self, request: u64, group: Group) {
        let Some(first) = group.entries.first() else {
            return self.answer(request, Ok(GroupReply::Done(Vec::new())));
        };
        let waiting = self.submits.groups;
        let bytes = self.submits.bytes + bytes_of(&group);
        if waiting >= limits::SUBMITS_WAITING || waiting > 0 && bytes > limits::SUBMIT_BYTES_WAITING
        {
            return self.answer(request, Err(SubmitError::Overloaded { waiting }));
        }
        let shard = first.run().shard(self.config.shards);
        self.submits.push(shard, Waiting { request, group }, false);
    }

    pub(super) fn next_submits(&mut self, now: Moment) {
        while let Some(shard) = self.submits.ready.pop_first() {
            while let Some((groups, wait)) = self.submits.next(shard) {
                self.send_submit(shard, groups, wait, now);
            }
        }
    }

    /// Offers some free slots to the first steps of what it starts.
    fn send_submit(&mut self, shard: Shard, waiting: Vec<Waiting>, wait: bool, now: Moment) {
        let entries = waiting.iter().flat_map(|next| &next.group.entries);
        let starts = entries.filter(|entry| matches!(entry, Entry::Start(_) | Entry::Call(_)));
        let starts = u32::try_from(starts.count()).unwrap_or(u32::MAX);
        let wanted = Spare {
            sure: starts,
            most: starts.saturating_mul(FIRST_STEPS),
        };
        let offered = if starts > 0 && self.phase.is_working() {
            self.slots.offer_some(&Ending::new(), wanted, |queue| {
                self.claims.floor(shard, queue)
            })
        } else {
            Offered::default()
        };
        let offer = (!offered.queues.is_empty()).then(|| self.offer(&offered));
        let (requests, groups) = waiting
            .into_iter()
            .map(|next| (next.request, next.group))
            .unzip();
        self.send(
            Operation::Submit(Submit {
                shard,
                groups,
                offer,
                wait,
            }),
            requests,
            offered.reserved,
            now,
        );
    }

    /// Answers the groups that were decided; those that met a lock are submitted again, each by itself, and wait.
    pub(super) fn submitted(
        &mut self,
        submit: Submit,
        requests: Vec<u64>,
        replies: Vec<GroupReply>,
        now: Moment,
    ) {
        assert_eq!(
            replies.len(),
            submit.groups.len(),
            "every group is answered"
        );
        self.submit_resolved(&submit);
        for ((request, group), reply) in requests.into_iter().zip(submit.groups).zip(replies) {
            match &reply {
                GroupReply::Busy => {
                    self.submits
                        .push(submit.shard, Waiting { request, group }, true)
                }
                GroupReply::Done(entries) => {
                    let ended: Vec<Ended> = entries.iter().filter_map(ended).collect();
                    for run in entries.iter().filter_map(stopping) {
                        self.watch_run(run, now);
                    }
                    self.keep_inputs(&group);
                    self.answer(request, Ok(reply));
                    self.actions.extend(ended.into_iter().map(Action::Ended));
                }
                GroupReply::Refused { .. } => self.answer(request, Ok(reply)),
            }
        }
    }

    pub(super) fn submit_refused(&mut self, submit: &Submit, requests: &[u64], error: &StoreError) {
        self.submit_resolved(submit);
        for request in requests {
            self.answer(*request, Err(SubmitError::Refused(error.to_string())));
        }
    }

    pub(super) fn answer(&mut self, request: u64, result: Result<GroupReply, SubmitError>) {
        self.actions.push_back(Action::Answer { request, result });
    }

    fn submit_resolved(&mut self, submit: &Submit) {
        let line = self.submits.shards.entry(submit.shard).or_default();
        for run in submit.groups.iter().flat_map(runs_of) {
            line.runs.remove(&run);
        }
        if submit.wait {
            line.locked_out = false;
        } else {
            line.out -= 1;
        }
        self.submits.ready.insert(submit.shard);
    }

    /// The first steps of runs started here will want their inputs. One that was stamped is stored as another payload,
    /// whose instant the reply does not tell: kept under the digest of what was submitted, it would never be found and
    /// only take the room of others.
    fn keep_inputs(&mut self, group: &Group) {
        for entry in &group.entries {
            let start = match entry {
                Entry::Start(start) => start,
                Entry::Call(call) => &call.start,
                Entry::Cancel(_) | Entry::Resolve(_) | Entry::Signal(_) => continue,
            };
            if !self.is_stamped(start) {
                self.cache
                    .keep_payload(start.run, start.input.digest(), start.input.clone());
            }
        }
    }

    /// Whether a start's input is stamped, as far as the definition is at hand.
    fn is_stamped(&mut self, start: &Start) -> bool {
        let declared = self.config.workflows.get(&start.definition.name);
        let declared = declared.filter(|declared| *declared.key() == start.definition);
        let definition = declared
            .cloned()
            .or_else(|| self.cache.definition(&start.definition));
        let trigger = definition
            .as_deref()
            .and_then(|definition| definition.trigger(start.trigger.as_str()));
        trigger.is_some_and(|trigger| !trigger.contract.stamps().is_empty())
    }
}
