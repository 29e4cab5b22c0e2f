//! Starts and commands: what clients were told.
//!
//! Invariant: a group was done wholly or not at all, and each entry's answer is the first one, however often it is asked.

use squid_mesh_core::definition::{StepIndex, StepKind};
use squid_mesh_core::id::{CommandId, RunId};
use squid_mesh_core::operation::{
    Cancel, CancelReply, CommandReply, Entry, EntryReply, GroupReply, Rejection, Resolve, Ruling,
    Start, StartReply, Submit,
};

use super::Landing;
use crate::fault::sometimes::Milestone;
use crate::ghost::{GhostRun, Progress, Winding};
use crate::violation::{Check, Promise, broken, ensure};

impl Landing<'_> {
    /// Checks the answers to a submit, after its writes were.
    pub(super) fn submitted(&mut self, submit: &Submit, groups: &[GroupReply]) -> Check {
        ensure!(
            groups.len() == submit.groups.len(),
            TruthfulReply,
            "a submit has {} answers",
            groups.len()
        );
        for (group, reply) in submit.groups.iter().zip(groups) {
            match reply {
                GroupReply::Done(replies) => {
                    ensure!(
                        replies.len() == group.entries.len(),
                        TruthfulReply,
                        "a group has {} answers",
                        replies.len()
                    );
                    for (entry, reply) in group.entries.iter().zip(replies) {
                        self.done(entry, reply)?;
                    }
                }
                GroupReply::Refused { index, rejection } => {
                    self.count(rejection);
                    if let Entry::Call(call) = &group.entries[*index] {
                        self.call_refused(call, rejection)?;
                        continue;
                    }
                    self.refused(&group.entries[*index], rejection)?;
                    self.nothing_was_done(group.entries.iter())?;
                }
                GroupReply::Busy => {
                    self.busy("a group")?;
                    self.nothing_was_done(group.entries.iter())?;
                }
            }
        }
        Ok(())
    }

    fn done(&mut self, entry: &Entry, reply: &EntryReply) -> Check {
        match (entry, reply) {
            (Entry::Start(start), EntryReply::Started(reply)) => self.start_done(start, *reply),
            (Entry::Call(call), EntryReply::Started(reply)) => {
                if reply.existing {
                    self.sometimes.reached(Milestone::CalledBefore);
                }
                self.start_done(&call.start, *reply)
            }
            (Entry::Cancel(cancel), EntryReply::Cancelled(reply)) => {
                self.cancel_done(cancel, *reply)
            }
            (Entry::Resolve(resolve), EntryReply::Obeyed(reply)) => {
                self.obeyed(resolve.run, resolve.command, *reply)
            }
            (Entry::Signal(signal), EntryReply::Obeyed(reply)) => {
                self.obeyed(signal.run, signal.command, *reply)
            }
            (_, reply) => broken(
                Promise::TruthfulReply,
                format!("an entry is answered by {reply:?}"),
            ),
        }
    }

    /// A decision or signal is answered with what it did when it came first.
    fn obeyed(&self, id: RunId, command: CommandId, reply: CommandReply) -> Check {
        let recorded = self
            .ghost
            .runs
            .get(&id)
            .and_then(|run| run.commands.get(&command));
        ensure!(
            recorded == Some(&reply.seq) && reply.run == id,
            Acknowledged,
            "command {command} on run {id} is told {}, it had its effect at {recorded:?}",
            reply.seq.0
        );
        Ok(())
    }

    fn start_done(&mut self, start: &Start, reply: StartReply) -> Check {
        let Some(run) = self.ghost.runs.get(&start.run) else {
            return broken(
                Promise::Acknowledged,
                format!("the start of run {} is acknowledged, and lost", start.run),
            );
        };
        let own = run.start.command == start.command;
        ensure!(
            reply.run == start.run && reply.existing != own,
            TruthfulReply,
            "a start of run {} is told existing: {}",
            start.run,
            reply.existing
        );
        ensure!(
            run.start.raw_input == start.raw_input,
            TruthfulReply,
            "a start of run {} with another input than the first is told that it was started",
            start.run
        );
        if reply.existing {
            self.sometimes.reached(Milestone::Existing);
        }
        Ok(())
    }

    fn cancel_done(&mut self, cancel: &Cancel, reply: CancelReply) -> Check {
        let Some(run) = self.ghost.runs.get(&cancel.run) else {
            return broken(
                Promise::TruthfulReply,
                format!("run {} is cancelled, and was never started", cancel.run),
            );
        };
        ensure!(
            run.cancel == Some((reply.command, reply.seq)),
            Acknowledged,
            "a cancel of run {} is told {} at {}, the first was {:?}",
            cancel.run,
            reply.command,
            reply.seq.0,
            run.cancel
        );
        ensure!(
            !cancel.force || run.ended.is_some() || waits_for_children(run),
            TruthfulReply,
            "a forced cancel of run {} is acknowledged, and the run goes on",
            cancel.run
        );
        // A later entry of the same operation may have moved it on since this one was answered.
        let status = run.fold.status();
        let last = self.mentions(cancel.run) == 1;
        ensure!(
            !last || reply.status == status,
            TruthfulReply,
            "run {} is {status}, and said to be {}",
            cancel.run,
            reply.status
        );
        Ok(())
    }

    fn refused(&self, entry: &Entry, rejection: &Rejection) -> Check {
        let run = self.ghost.runs.get(&entry.run());
        let justified = match (rejection, entry) {
            // What was absent when an operation was decided may have come while that was in doubt.
            (
                Rejection::UnknownRun { .. },
                Entry::Cancel(_) | Entry::Resolve(_) | Entry::Signal(_),
            ) => self.was_in_doubt() || run.is_none() || self.mentions(entry.run()) > 1,
            // What somebody wants to copy may be lost.
            (Rejection::UnknownRun { run: source }, Entry::Start(start)) => {
                let named = start.copy.as_ref().map(|copy| copy.source);
                named == Some(*source) && !self.ghost.runs.contains_key(source)
            }
            (Rejection::UnknownWorkflow { definition }, Entry::Start(_)) => {
                self.was_in_doubt() || self.tables.definition(definition).is_none()
            }
            (Rejection::KeyConflict { .. }, Entry::Start(start)) => run.is_some_and(|run| {
                run.start.raw_input != start.raw_input && run.start.command != start.command
            }),
            (Rejection::Finished { status, .. }, Entry::Resolve(_) | Entry::Signal(_)) => {
                run.is_some_and(|run| run.ended == Some(*status))
            }
            (Rejection::Winding { .. }, Entry::Resolve(_) | Entry::Signal(_)) => {
                run.is_some_and(|run| !run.is_open())
            }
            (
                Rejection::NotWaiting { .. }
                | Rejection::AmbiguousGate { .. }
                | Rejection::Held { .. }
                | Rejection::InvalidCommand { .. },
                Entry::Resolve(resolve),
            ) => self.mentions(resolve.run) > 1 || run.is_some_and(|run| refusable(run, resolve)),
            (Rejection::UnknownSignal { .. }, Entry::Signal(signal)) => {
                let listens = |kind: &StepKind| matches!(kind, StepKind::Signal { signal: own, .. } if *own == signal.signal);
                run.is_some_and(|run| {
                    !run.definition
                        .steps()
                        .iter()
                        .any(|step| listens(&step.kind))
                })
            }
            (Rejection::SignalBufferFull { limit, .. }, Entry::Signal(_)) => {
                run.is_some_and(|run| run.signals.len() >= *limit as usize)
            }
            (Rejection::OtherCancel { undo, .. }, Entry::Cancel(cancel)) => {
                run.is_some_and(|run| run.cancel.is_some()) && cancel.undo != *undo
            }
            (Rejection::Winding { .. }, Entry::Cancel(_))
                if run.is_some_and(|run| run.winding == Some(Winding::Cancelled)) =>
            {
                run.is_some_and(|run| run.steps.iter().any(|step| step.undo.is_some()))
            }
            (Rejection::UnsafeReplay { steps, .. }, Entry::Start(start)) => {
                !steps.is_empty() && (self.was_in_doubt() || self.copy_is_unsafe(start))
            }
            (Rejection::NotFinished { .. }, Entry::Start(start)) => {
                // A later entry of the same operation may have ended the source.
                let source = start.copy.as_ref().map(|copy| copy.source);
                let goes_on = |source: &RunId| {
                    let run = self.ghost.runs.get(source);
                    run.is_some_and(|run| run.ended.is_none()) || self.mentions(*source) > 0
                };
                self.was_in_doubt() || source.as_ref().is_some_and(goes_on)
            }
            (Rejection::Finished { status, .. }, Entry::Cancel(_)) => {
                run.is_some_and(|run| run.ended == Some(*status) && run.cancel.is_none())
            }
            (Rejection::Winding { .. }, Entry::Cancel(_)) => {
                run.is_some_and(|run| run.winding == Some(Winding::Failed) && run.ended.is_none())
            }
            (Rejection::Unreadable { .. }, _) => {
                let source = match entry {
                    Entry::Start(start) => start.copy.as_ref().map(|copy| copy.source),
                    _ => None,
                };
                let source = source.and_then(|source| self.ghost.runs.get(&source));
                let unreadable = run.into_iter().chain(source).any(|run| run.unreadable);
                ensure!(
                    unreadable,
                    PoisonIsContained,
                    "a command on run {} is refused: {rejection}",
                    entry.run()
                );
                true
            }
            _ => false,
        };
        ensure!(
            justified,
            TruthfulReply,
            "an entry on run {} is refused without a reason: {rejection}",
            entry.run()
        );
        Ok(())
    }

    /// A group that was not done has left no trace of its own commands, unless an earlier sending of it had.
    fn nothing_was_done<'e>(&self, entries: impl Iterator<Item = &'e Entry>) -> Check {
        for entry in entries {
            let touched = self.landed.touched.runs.contains(&entry.run());
            let elsewhere = self.mentions(entry.run()) > 1;
            ensure!(
                !touched || elsewhere,
                TruthfulReply,
                "a group was not done, and run {} was written all the same",
                entry.run()
            );
        }
        Ok(())
    }

    /// How many entries of this operation concern a run.
    pub(super) fn mentions(&self, run: RunId) -> usize {
        let squid_mesh_core::operation::Operation::Submit(submit) = self.operation else {
            return 0;
        };
        submit
            .groups
            .iter()
            .flat_map(|group| &group.entries)
            .filter(|entry| entry.run() == run)
            .count()
    }
}

/// Whether a run that was cancelled at once still has to tell its children.
fn waits_for_children(run: &GhostRun) -> bool {
    run.steps
        .iter()
        .any(|step| step.progress == Progress::Recalling)
}

/// Whether a decision may be refused: its step, or any, does not wait for exactly that, or several do.
fn refusable(run: &GhostRun, resolve: &Resolve) -> bool {
    let answers = |step: StepIndex| {
        let state = &run.steps[step.at()];
        let kind = &run.definition.step(step).kind;
        match &resolve.ruling {
            Ruling::Resume => {
                matches!(
                    (state.progress, kind),
                    (Progress::Open(..), StepKind::Pause { .. })
                )
            }
            Ruling::Approve | Ruling::Reject => {
                matches!(
                    (state.progress, kind),
                    (Progress::Open(..), StepKind::Approval { .. })
                )
            }
            Ruling::Succeeded { .. } | Ruling::Retry | Ruling::Fail { .. } => {
                state.progress == Progress::Held
            }
            Ruling::SkipUndo => state.undo.as_ref().is_some_and(|undo| undo.due.is_some()),
        }
    };
    let fitting = run
        .definition
        .indexes()
        .filter(|step| answers(*step))
        .count();
    let named = resolve
        .step
        .as_ref()
        .and_then(|name| run.definition.index_of(name.as_str()));
    match named {
        Some(step) => !answers(step) || resolve.ruling == Ruling::SkipUndo,
        None => fitting != 1 || resolve.ruling == Ruling::SkipUndo,
    }
}
