//! Gates and signals: who may end them, and what they end with.
//!
//! Invariant: a gate is opened when it is reached, resolved once, and a signal reaches one step, in the order of arrival.

use squid_mesh_core::definition::{StepIndex, StepKind};
use squid_mesh_core::event::{Resolution, Resolved, Role, Signalled};
use squid_mesh_core::id::RunId;
use squid_mesh_core::name::Name;
use squid_mesh_core::operation::{Entry, Operation, Resolve, Ruling, Signal};
use squid_mesh_core::payload::Payload;
use squid_mesh_core::run::Seq;
use squid_mesh_core::time::Timestamp;

use super::Landing;
use super::change::Cause;
use crate::fault::sometimes::Milestone;
use crate::ghost::Progress;
use crate::violation::{Check, Promise, broken, ensure};

impl Landing<'_> {
    pub(super) fn opened(
        &mut self,
        id: RunId,
        step: StepIndex,
        closes: Option<Timestamp>,
        cause: &Cause<'_>,
    ) -> Check {
        self.goes_on_or_evaluated(id, step)?;
        let clock = self.landed.at;
        let run = self.ghost.run(id);
        let (spec, seq) = (run.definition.step(step), run.seq);
        let (span, signal) = match &spec.kind {
            StepKind::Pause { deadline } | StepKind::Approval { deadline } => (*deadline, None),
            StepKind::Signal {
                deadline, signal, ..
            } => (*deadline, Some(signal)),
            _ => {
                return broken(
                    Promise::FollowsTheGraph,
                    format!("run {id} opens step {}, which is no gate", spec.name),
                );
            }
        };
        ensure!(
            !(matches!(cause, Cause::Start) && run.base > clock),
            NothingEarly,
            "run {id} opens gate {} before its delayed start",
            spec.name
        );
        let expected = span.map(|span| clock.plus(span));
        ensure!(
            closes == expected,
            TimersAreExact,
            "run {id} gate {} closes at {closes:?}, and should at {expected:?}",
            spec.name
        );
        if let Some(signal) = signal {
            let came = run.signals.iter().any(|(name, _)| name == signal);
            ensure!(
                !came,
                SignalsArrive,
                "run {id} step {} waits for a signal that has come",
                spec.name
            );
        }
        let progress = if signal.is_some() {
            Progress::Listening(seq, closes)
        } else {
            Progress::Open(seq, closes)
        };
        self.sometimes.reached(Milestone::GateOpened);
        self.ghost.step_mut(id, step).progress = progress;
        Ok(())
    }

    /// A gate goes on when it is ready, or when the time of a delayed start has come.
    pub(super) fn goes_on_or_evaluated(&self, id: RunId, step: StepIndex) -> Check {
        let run = self.ghost.run(id);
        let put_off = matches!(run.steps[step.at()].progress, Progress::Evaluating(due) if due <= self.landed.at);
        let reached = run.steps[step.at()].progress == Progress::Blocked
            && run.way(step) == crate::ghost::Way::On;
        ensure!(
            run.is_open() && (put_off || reached),
            FollowsTheGraph,
            "run {id} step {} goes on before it is ready",
            run.definition.step(step).name
        );
        Ok(())
    }

    /// Somebody decided about a step: he really did, and it was there to be decided.
    pub(super) fn resolved(
        &mut self,
        id: RunId,
        resolved: &Resolved,
        payload: Option<Payload>,
    ) -> Result<Cause<'static>, Box<crate::violation::Broken>> {
        let Some(command) = self.resolve_of(id, resolved) else {
            broken(
                Promise::ResultIsReal,
                format!("run {id}: nobody decided {:?}", resolved.verdict),
            )?;
            unreachable!("a broken promise has returned");
        };
        let command = command.clone();
        self.verdict_is_real(id, resolved, &command.ruling)?;
        self.obeyed_once(id, command.command)?;
        let step = resolved.step;
        let run = self.ghost.run(id);
        let (kind, state) = (&run.definition.step(step).kind, &run.steps[step.at()]);
        let undoing = state.undo.as_ref().is_some_and(|undo| undo.due.is_some());
        let fits = match (&command.ruling, state.progress) {
            (Ruling::Resume, Progress::Open(..)) => matches!(kind, StepKind::Pause { .. }),
            (Ruling::Approve | Ruling::Reject, Progress::Open(..)) => {
                matches!(kind, StepKind::Approval { .. })
            }
            (Ruling::Succeeded { .. } | Ruling::Retry | Ruling::Fail { .. }, Progress::Held) => {
                true
            }
            (Ruling::SkipUndo, _) => {
                undoing && self.ghost.attempt_on(id, step, Role::Undo).is_none()
            }
            _ => false,
        };
        if !fits {
            broken(
                Promise::GateResolvesOnce,
                format!(
                    "run {id} step {} is {:?}, and {:?} was accepted",
                    step.0, state.progress, resolved.verdict
                ),
            )?;
        }
        self.sometimes.reached(Milestone::Resolved);
        Ok(match &resolved.verdict {
            Resolution::Retry => Cause::Again(step),
            Resolution::Fail { code } => Cause::Fails(step, code.clone()),
            Resolution::SkipUndo => Cause::GivenUp(step),
            Resolution::Resume
            | Resolution::Approve
            | Resolution::Reject
            | Resolution::Succeeded { .. } => Cause::Success(step, payload),
        })
    }

    pub(super) fn resolve_of(&self, id: RunId, resolved: &Resolved) -> Option<&Resolve> {
        self.entries().find_map(|entry| match entry {
            Entry::Resolve(resolve) if resolve.run == id && resolve.command == resolved.command => {
                Some(&**resolve)
            }
            _ => None,
        })
    }

    /// A signal came: somebody really sent it, and it reaches the step that has waited for longest, or is kept.
    pub(super) fn signalled(
        &mut self,
        id: RunId,
        signalled: &Signalled,
        payload: Option<Payload>,
    ) -> Result<Cause<'static>, Box<crate::violation::Broken>> {
        let Some(signal) = self.signal_of(id, signalled).cloned() else {
            broken(
                Promise::ResultIsReal,
                format!("run {id}: nobody sent signal {}", signalled.signal),
            )?;
            unreachable!("a broken promise has returned");
        };
        self.obeyed_once(id, signal.command)?;
        if payload.as_ref() != Some(&signal.payload) {
            broken(
                Promise::ResultIsReal,
                format!("run {id}: signal {} carries something else", signal.signal),
            )?;
        }
        let run = self.ghost.run(id);
        let waiting = run.definition.indexes().filter_map(|step| {
            let listens = matches!(
                &run.definition.step(step).kind,
                StepKind::Signal { signal: own, .. } if *own == signal.signal
            );
            match run.steps[step.at()].progress {
                Progress::Listening(since, _) if listens => Some((since, step)),
                _ => None,
            }
        });
        let first = waiting.min();
        match first {
            Some((_, step)) => {
                self.sometimes.reached(Milestone::SignalArrived);
                Ok(Cause::Success(step, payload))
            }
            None => {
                self.sometimes.reached(Milestone::SignalKept);
                self.incoming = Some((signal.signal.clone(), signal.payload.clone()));
                Ok(Cause::Other)
            }
        }
    }

    fn signal_of(&self, id: RunId, signalled: &Signalled) -> Option<&Signal> {
        self.entries().find_map(|entry| match entry {
            Entry::Signal(signal) if signal.run == id && signal.command == signalled.command => {
                Some(&**signal)
            }
            _ => None,
        })
    }

    /// A command has its effect once.
    fn obeyed_once(&mut self, id: RunId, command: squid_mesh_core::id::CommandId) -> Check {
        let run = self.ghost.run_mut(id);
        let seq = run.seq;
        ensure!(
            run.commands.insert(command, seq).is_none(),
            Repeatable,
            "run {id} obeys command {command} twice"
        );
        Ok(())
    }

    pub(super) fn kept(&mut self, id: RunId, signal: &Name) -> Check {
        let Some((name, payload)) = self.incoming.take().filter(|(name, _)| name == signal) else {
            return broken(
                Promise::SignalsArrive,
                format!("run {id} keeps a signal {signal} that did not come"),
            );
        };
        self.ghost.run_mut(id).signals.push_back((name, payload));
        Ok(())
    }

    /// A signal that was kept finds its step: the oldest of its name.
    pub(super) fn taken(&mut self, id: RunId, seq: Seq) -> Check {
        let payload = self.row_payload(id, seq);
        let run = self.ghost.run_mut(id);
        let found = run
            .signals
            .iter()
            .position(|(_, kept)| Some(kept) == payload.as_ref());
        let Some(position) = found else {
            return broken(
                Promise::SignalsArrive,
                format!("run {id} takes a signal at {} that it did not keep", seq.0),
            );
        };
        let name = run.signals[position].0.clone();
        let first = run.signals.iter().position(|(kept, _)| *kept == name);
        ensure!(
            first == Some(position),
            SignalsArrive,
            "run {id} takes a later signal {name} before an earlier one"
        );
        self.taken = run.signals.remove(position);
        Ok(())
    }

    /// After a signal came: it was given to a step or kept, not dropped.
    pub(super) fn nothing_dropped(&self, id: RunId) -> Check {
        ensure!(
            self.incoming.is_none(),
            SignalsArrive,
            "run {id} accepted a signal and dropped it"
        );
        Ok(())
    }

    /// Every entry of a submit.
    pub(super) fn entries(&self) -> impl Iterator<Item = &Entry> {
        let groups = match self.operation {
            Operation::Submit(submit) => submit.groups.as_slice(),
            _ => &[],
        };
        groups.iter().flat_map(|group| &group.entries)
    }
}
