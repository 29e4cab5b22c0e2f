//! Operators: people who look at runs now and then, and decide, signal, or copy what has ended.
//!
//! Invariant: once faults have stopped, whoever waits for a person or a signal is served, so that every run can finish.

use squid_mesh_core::definition::StepKind;
use squid_mesh_core::event::{By, CopyKind, Role};
use squid_mesh_core::id::{CommandId, Life, RunId};
use squid_mesh_core::name::{DEFAULT_TRIGGER, Name};
use squid_mesh_core::operation::{Copy, Entry, Group, Resolve, Ruling, Signal, Start, Wants};
use squid_mesh_core::payload::Payload;

use super::client::CommandState;
use super::liveness::Phase;
use super::scope::{command_scope, run_word};
use super::{Event, World};
use crate::choice::{Label, Topic};
use crate::clock::micros;
use crate::ghost::{GhostRun, Progress};
use crate::plan::{Command, Wish};

impl World {
    /// Somebody looks at every run.
    pub(super) fn operate(&mut self) {
        let finishing = matches!(self.phase, Phase::Finishing { .. });
        let asked = self.settings.cast.commands;
        let patience = micros(self.settings.cast.patience);
        if finishing || self.phase == Phase::Faults {
            let span = if finishing {
                let latest = 5_000_000 + patience;
                self.choices.between(Label::Operator, 500_000, latest)
            } else {
                let latest = 6_000_000 + patience;
                self.choices.magnitude(Label::Operator, 100_000, latest)
            };
            self.push_in(span, Event::Operate);
        } else {
            return;
        }
        let runs: Vec<RunId> = self.ghost.runs.keys().copied().collect();
        for run in runs {
            let state = self.ghost.run(run);
            if state.unreadable {
                continue;
            }
            let outer = self.choices.enter(Topic::Operator, &[run_word(run)]);
            if state.ended.is_some() {
                if asked.copies {
                    self.maybe_copy(run, finishing);
                }
            } else {
                self.serve(run, finishing);
                if asked.mistakes {
                    self.signal_early(run, finishing);
                }
                if asked.copies && self.choices.happens(Label::Operator, 100) {
                    // Too early, and refused.
                    self.maybe_copy(run, finishing);
                }
            }
            self.choices.leave(outer);
        }
    }

    /// Gives a run what it waits for, and sometimes something else.
    fn serve(&mut self, run: RunId, finishing: bool) {
        let state = self.ghost.run(run);
        let waits: Vec<(Name, Wants, Option<Name>)> = state
            .fold
            .waits(&state.definition)
            .into_iter()
            .map(|(step, wants)| {
                let spec = state.definition.step(step);
                (spec.name.clone(), wants, signal_of(&spec.kind))
            })
            .collect();
        for (step, wants, signal) in waits {
            // Who finds out what became of an attempt takes his time.
            let soon = if wants == Wants::Outcome { 150 } else { 350 };
            if !finishing && !self.choices.happens(Label::Operator, soon) {
                continue;
            }
            let entry = match (wants, signal) {
                (Wants::Signal, Some(signal)) => self.signal(run, signal),
                (Wants::Undo, _) if !self.gives_up(run, &step) => continue,
                _ => self.decide(run, step, wants, finishing),
            };
            self.command_now(entry);
        }
    }

    fn decide(&mut self, run: RunId, step: Name, wants: Wants, finishing: bool) -> Entry {
        let asked = self.settings.cast.commands;
        let wrong = asked.mistakes && !finishing && self.choices.happens(Label::Operator, 100);
        let wants = if wrong {
            self.choices.pick(
                Label::Operator,
                &[Wants::Resume, Wants::Approval, Wants::Outcome],
            )
        } else {
            wants
        };
        let ruling = match wants {
            Wants::Resume | Wants::Signal => Ruling::Resume,
            Wants::Approval if self.choices.happens(Label::Operator, 500) => Ruling::Reject,
            Wants::Approval => Ruling::Approve,
            Wants::Undo => Ruling::SkipUndo,
            // Who does not know has it tried again, which the key of the attempt makes safe.
            Wants::Outcome if !self.settings.cast.library => Ruling::Retry,
            Wants::Outcome => match self.choices.choose(Label::Operator, 4) {
                0 if !finishing => Ruling::Retry,
                1 => Ruling::Fail {
                    code: None,
                    message: "it did not work".into(),
                },
                _ => Ruling::Succeeded {
                    output: self.number(),
                    label: self.label_of(run, &step),
                },
            },
        };
        let named = finishing || self.choices.happens(Label::Operator, 700);
        Entry::Resolve(Box::new(Resolve {
            run,
            command: CommandId::from_u128(self.choices.bits()),
            step: named.then_some(step),
            ruling,
            by: ana(),
        }))
    }

    /// Whether somebody gives the undo of a step up: more often one that is being attempted, which is refused.
    fn gives_up(&mut self, run: RunId, step: &Name) -> bool {
        if !self.settings.cast.commands.skipped_undos {
            return false;
        }
        let index = self.ghost.run(run).definition.index_of(step.as_str());
        let held = index.and_then(|step| self.ghost.attempt_on(run, step, Role::Undo));
        let rate = if held.is_some() { 400 } else { 250 };
        self.choices.happens(Label::Operator, rate)
    }

    /// Mostly one that the step can return, where it can return some.
    fn label_of(&mut self, run: RunId, step: &Name) -> Option<Name> {
        let definition = &self.ghost.run(run).definition;
        let index = definition.index_of(step.as_str())?;
        let labels = definition.step(index).labels.clone();
        if labels.is_empty() || self.choices.happens(Label::Operator, 200) {
            return None;
        }
        let at = self.choices.index(Label::Operator, labels.len());
        Some(labels[at].clone())
    }

    fn signal(&mut self, run: RunId, signal: Name) -> Entry {
        let number = self.commands.len() as u64;
        let given = self.settings.cast.signal(&signal, number);
        Entry::Signal(Box::new(Signal {
            run,
            command: CommandId::from_u128(self.choices.bits()),
            signal,
            payload: given.unwrap_or_else(|| self.number()),
            by: ana(),
        }))
    }

    /// A signal for a step that is not reached yet.
    fn signal_early(&mut self, run: RunId, finishing: bool) {
        let state = self.ghost.run(run);
        let early = |state: &GhostRun| -> Option<Name> {
            let steps = state.definition.steps().iter().zip(&state.steps);
            let mut blocked = steps.filter(|(_, step)| step.progress == Progress::Blocked);
            blocked.find_map(|(step, _)| signal_of(&step.kind))
        };
        let Some(signal) = early(state).filter(|_| !finishing) else {
            return;
        };
        if self.choices.happens(Label::Operator, 80) {
            let entry = self.signal(run, signal);
            self.command_now(entry);
        }
    }

    /// Sometimes starts a copy of a run that has none, while faults strike.
    fn maybe_copy(&mut self, source: RunId, finishing: bool) {
        let copied = self.ghost.runs.values().any(|run| {
            run.start
                .copy
                .as_ref()
                .is_some_and(|copy| copy.source == source)
        });
        let state = self.ghost.run(source);
        let is_copy = state.start.copy.is_some();
        if finishing || copied || is_copy || !self.choices.happens(Label::Operator, 40) {
            return;
        }
        let state = self.ghost.run(source);
        let (definition, start) = (state.definition.clone(), state.start.clone());
        let kind = self.choices.pick(
            Label::Operator,
            &[CopyKind::Replay, CopyKind::Fork, CopyKind::Resume],
        );
        let at = self
            .choices
            .index(Label::Operator, definition.steps().len());
        let command = CommandId::from_u128(self.choices.bits());
        let entry = Entry::Start(Box::new(Start {
            run: RunId::copied(source, command),
            life: Life(self.choices.choose(Label::Identity, u64::MAX)),
            command,
            trigger: Name::new(DEFAULT_TRIGGER).expect("a proper name"),
            key: None,
            queue: None,
            priority: None,
            delay: None,
            deadline: None,
            parent: None,
            copy: Some(Copy {
                source,
                kind,
                from: vec![definition.steps()[at].name.clone()],
                allow_irreversible: self.choices.happens(Label::Operator, 300),
            }),
            by: ana(),
            ..*start
        }));
        self.command_now(entry);
    }

    /// Sends a command at once, and sometimes once more a while later.
    fn command_now(&mut self, entry: Entry) {
        let direct = self.choices.happens(Label::Operator, 500);
        let via = (!direct).then(|| self.choices.index(Label::Operator, self.nodes.len()));
        let again = self.choices.happens(Label::Operator, 120);
        for nth in 0..=u64::from(again) {
            let command = self.commands.len();
            let later = nth * self.choices.magnitude(Label::Operator, 1, 8_000_000);
            let wish = Wish::Group(Group {
                entries: vec![entry.clone()],
            });
            let name = self.choices.name(command_scope(&wish));
            let at = self.now;
            self.commands
                .push(CommandState::new(Command { at, wish, via }, name));
            let sending = 0;
            self.push_in(later, Event::Send { command, sending });
        }
    }

    /// A payload that is like no other.
    fn number(&mut self) -> Payload {
        let number = 1_000_000 + self.commands.len();
        Payload::new(number.to_string().into_bytes())
    }
}

fn signal_of(kind: &StepKind) -> Option<Name> {
    match kind {
        StepKind::Signal { signal, .. } => Some(signal.clone()),
        _ => None,
    }
}

fn ana() -> By {
    By {
        actor: Some("ana".into()),
        ..By::default()
    }
}
