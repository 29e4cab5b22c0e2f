//! Journal rows as sentences.
//!
//! Invariant: a sentence holds names, codes, messages and what people said, never a payload.

mod change;
mod state;

use crate::change::{Change, StepEnd};
use crate::definition::{Definition, LabelIndex, RouteMark, Step, StepIndex};
use crate::event::{By, ChildEnd, CopyKind, Event, Found, Resolution, Role, Started};
use crate::schedule::Occasion;

/// Reads the rows of one run.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a> {
    /// What the run is pinned to, if it is stored.
    pub definition: Option<&'a Definition>,
    /// What the row changed.
    pub changes: &'a [Change],
}

/// The name of a step; its number, if the definition is not stored or has no such step.
pub fn step_name(step: StepIndex, definition: Option<&Definition>) -> String {
    let known = definition.and_then(|definition| definition.steps().get(step.at()));
    known.map_or_else(|| format!("#{}", step.0), |step| step.name.to_string())
}

impl Reader<'_> {
    /// What a row says, with the routes that were taken because of it.
    pub fn sentence(&self, event: &Event) -> String {
        let mut sentence = self.event(event);
        for mark in self.marks(event) {
            sentence.push_str(&mark);
        }
        sentence
    }

    fn event(&self, event: &Event) -> String {
        match event {
            Event::Started(started) => self.started(started),
            Event::Succeeded {
                step, role, label, ..
            } => match role {
                Role::Step => format!(
                    "step {} succeeded{}",
                    self.name(*step),
                    self.with_label(*step, *label)
                ),
                Role::Undo => format!("step {} was undone", self.name(*step)),
            },
            Event::Failed {
                step,
                role,
                failure,
                ..
            } => {
                let (code, message) = (&failure.code, &failure.message);
                format!("{} failed with {code}: {message}", self.what(*role, *step))
            }
            Event::Lost { step, role, .. } => format!(
                "an attempt of {} was lost with the process that ran it",
                self.what(*role, *step)
            ),
            Event::Conflicted { step, .. } => format!(
                "an attempt of step {} was undone by the database, because of others",
                self.name(*step)
            ),
            Event::Evaluated { step, found } => self.found(*step, found),
            Event::Due { step, payload } => self.due(*step, payload.is_some()),
            Event::DeadlineReached { .. } => "the run's deadline came".to_owned(),
            Event::CancelRequested(request) => {
                let undo = match request.undo {
                    true => ", taking back what it did",
                    false => "",
                };
                let force = match request.force {
                    true => ", without waiting for running attempts",
                    false => "",
                };
                let what = format!("asked to cancel the run{undo}{force}");
                said(&request.by, &what)
            }
            Event::Resolved(resolved) => {
                let what = self.resolution(resolved.step, &resolved.verdict);
                said(&resolved.by, &what)
            }
            Event::Signalled(signalled) => {
                let kept = |change: &Change| matches!(change, Change::Keep { .. });
                let kept = match self.changes.iter().any(kept) {
                    true => ", which no step waits for yet",
                    false => "",
                };
                said(
                    &signalled.by,
                    &format!("sent signal {}{kept}", signalled.signal),
                )
            }
            Event::Spawned {
                step, from, upto, ..
            } => {
                let count = upto.saturating_sub(*from);
                format!("step {} started {}", self.name(*step), children(count))
            }
            Event::Recalled { step, upto } => format!(
                "the {} of step {} were told to cancel",
                children(*upto),
                self.name(*step)
            ),
            Event::ChildEnded {
                step, child, end, ..
            } => {
                let end = match end {
                    ChildEnd::Completed => "completed",
                    ChildEnd::Failed => "failed",
                    ChildEnd::Cancelled => "was cancelled",
                };
                format!("child {child} of step {} {end}", self.name(*step))
            }
            Event::Collected { step, .. } => {
                format!(
                    "the results of the children of step {} were gathered",
                    self.name(*step)
                )
            }
            Event::Called {
                step,
                run,
                detached,
                ..
            } => {
                let alone = match detached {
                    true => ", which goes its own way",
                    false => "",
                };
                let name = self.name(*step);
                format!("the handler of step {name} started run {run}{alone}")
            }
        }
    }

    fn started(&self, started: &Started) -> String {
        let mut text = match (&started.copy, &started.parent) {
            (Some(copy), _) => {
                let kind = match copy.kind {
                    CopyKind::Replay => "a replay",
                    CopyKind::Fork => "a fork",
                    CopyKind::Resume => "a resumption",
                };
                format!(
                    "{} was started as {kind} of run {}",
                    started.definition, copy.run
                )
            }
            (None, Some(parent)) => format!(
                "{} was started as child {} of run {}",
                started.definition, parent.child, parent.run
            ),
            (None, None) => format!("{} was started{}", started.definition, self.occasion()),
        };
        if let Some(actor) = &started.by.actor {
            text.push_str(&format!(" by {actor}"));
        }
        if let Some(due) = started.due {
            text.push_str(&format!(", to begin at {due}"));
        }
        if let Some(comment) = &started.by.comment {
            text.push_str(&format!(": {comment}"));
        }
        text
    }

    /// The schedule that started the run.
    fn occasion(&self) -> String {
        let belongs = self.changes.iter().find_map(|change| match change {
            Change::Belong { occurrence } => Some(occurrence),
            _ => None,
        });
        belongs.map_or_else(String::new, |occurrence| {
            let (name, at) = (&occurrence.name, occurrence.at);
            match occurrence.occasion {
                Occasion::Due => format!(" by schedule {name} for {at}"),
                Occasion::Fired => format!(" by schedule {name}, which was fired, for {at}"),
                Occasion::Triggered => format!(" by schedule {name}, which was triggered"),
            }
        })
    }

    fn found(&self, step: StepIndex, found: &Found) -> String {
        let name = self.name(step);
        match found {
            Found::Logged => format!("step {name} wrote a line to the log"),
            Found::Reached => format!("gate {name} was reached"),
            Found::Label(label) => {
                format!("route {name} took {}", self.label(step, *label))
            }
            Found::Instant { until, .. } => format!("wait {name} ends at {until}"),
            Found::Children { count } => format!("step {name} is to have {}", children(*count)),
            Found::Failure { failure, .. } => format!(
                "step {name} failed with {}: {}",
                failure.code, failure.message
            ),
        }
    }

    /// Only a gate's end has a payload.
    fn due(&self, step: StepIndex, gate: bool) -> String {
        let name = self.name(step);
        match gate {
            true => format!("gate {name} expired"),
            false => format!("wait {name} ended"),
        }
    }

    fn resolution(&self, step: StepIndex, verdict: &Resolution) -> String {
        let name = self.name(step);
        match verdict {
            Resolution::Resume => format!("resumed the run at {name}"),
            Resolution::Approve => format!("approved {name}"),
            Resolution::Reject => format!("rejected {name}"),
            Resolution::Succeeded { label } => format!(
                "said that step {name} succeeded{}",
                self.with_label(step, *label)
            ),
            Resolution::Retry => format!("said that step {name} is to be tried again"),
            Resolution::Fail { code } => format!("said that step {name} failed with {code}"),
            Resolution::SkipUndo => format!("gave up undoing step {name}"),
        }
    }

    /// The marks of the failure routes that lead to steps which began because of this row. A step that the row is about is
    /// only tried again.
    fn marks(&self, event: &Event) -> Vec<String> {
        let Some(definition) = self.definition else {
            return Vec::new();
        };
        let marked = |change: &Change| {
            let step = began(change).filter(|step| event.step() != Some(*step))?;
            let step: &Step = definition.steps().get(step.at())?;
            let mark = match step.mark? {
                RouteMark::Compensation => "compensation",
                RouteMark::Undo => "undo",
            };
            Some(format!("; its failure leads to {} as {mark}", step.name))
        };
        self.changes.iter().filter_map(marked).collect()
    }

    fn what(&self, role: Role, step: StepIndex) -> String {
        match role {
            Role::Step => format!("step {}", self.name(step)),
            Role::Undo => format!("the undo of step {}", self.name(step)),
        }
    }

    fn name(&self, step: StepIndex) -> String {
        step_name(step, self.definition)
    }

    fn label(&self, step: StepIndex, label: LabelIndex) -> String {
        let step = self.definition.and_then(|it| it.steps().get(step.at()));
        let way = step.and_then(|step| step.ways().into_iter().nth(usize::from(label.0)));
        way.map_or_else(|| format!("label #{}", label.0), |way| way.to_string())
    }

    fn with_label(&self, step: StepIndex, label: Option<LabelIndex>) -> String {
        label.map_or_else(String::new, |label| {
            format!(" with label {}", self.label(step, label))
        })
    }
}

/// The step that a change begins for the first time, as far as a change alone can tell.
fn began(change: &Change) -> Option<StepIndex> {
    match change {
        Change::Schedule {
            step,
            role: Role::Step,
            ..
        }
        | Change::Engage { step, .. }
        | Change::Await { step, .. }
        | Change::Open { step, .. } => Some(*step),
        Change::Schedule {
            role: Role::Undo, ..
        }
        | Change::ArmDeadline { .. }
        | Change::DisarmDeadline
        | Change::Report { .. }
        | Change::Lose { .. }
        | Change::Conflict { .. }
        | Change::Hold { .. }
        | Change::Stop { .. }
        | Change::Label { .. }
        | Change::Place { .. }
        | Change::Settle {
            end: StepEnd::Succeeded | StepEnd::Cancelled | StepEnd::Skipped,
            ..
        }
        | Change::Fail { .. }
        | Change::Fan { .. }
        | Change::Spawn { .. }
        | Change::Rest { .. }
        | Change::Recall { .. }
        | Change::Arrive { .. }
        | Change::Spoil { .. }
        | Change::Keep { .. }
        | Change::Take { .. }
        | Change::Obey { .. }
        | Change::Undone { .. }
        | Change::Inherit { .. }
        | Change::Wind { .. }
        | Change::Finish
        | Change::Deliver { .. }
        | Change::Adopt { .. }
        | Change::Belong { .. } => None,
    }
}

fn said(by: &By, what: &str) -> String {
    let actor = by.actor.as_deref().unwrap_or("somebody");
    let comment = by.comment.as_deref();
    let comment = comment.map_or_else(String::new, |comment| format!(": {comment}"));
    format!("{actor} {what}{comment}")
}

fn children(count: u32) -> String {
    match count {
        1 => "1 child".to_owned(),
        count => format!("{count} children"),
    }
}
