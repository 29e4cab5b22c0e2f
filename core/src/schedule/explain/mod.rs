//! Why a schedule fires when it does, or does not fire, and what can be done about it.
//!
//! Invariant: every schedule has exactly one reason, each piece of evidence is a row or a field that is there, and each next
//! action would be accepted.

mod reason;

use serde::Serialize;

pub use reason::ScheduleReason;

use super::{Plan, Schedule, ScheduleKey, Standing, Timing};
use crate::definition::Definition;
use crate::id::{Incarnation, RunId};
use crate::store::ScheduleRecord;
use crate::task::{TASK_FORMAT, TaskRow};
use crate::time::Timestamp;
use crate::transition::DecodeError;

/// Why a schedule fires when it does, or does not fire.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ScheduleExplanation {
    /// What it is called.
    pub schedule: String,
    /// Whether it fires by itself.
    pub standing: Standing,
    /// The one reason.
    pub reason: ScheduleReason,
    /// A sentence for people.
    pub summary: String,
    /// When it acts next by itself, if it does.
    pub next: Option<Timestamp>,
    /// What shows it: first what the reason follows from, then what became of it so far.
    pub evidence: Vec<ScheduleEvidence>,
    /// What would be accepted.
    pub next_actions: Vec<ScheduleNextAction>,
}

/// Something that shows why a schedule is where it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ScheduleEvidence {
    /// Its row of the agenda.
    Task {
        /// When it is due; of one that is held, when the lease ends.
        due_at: Timestamp,
        /// Who holds it.
        owner: Option<Incarnation>,
    },
    /// A field of its own row.
    Field {
        /// Which.
        field: &'static str,
        /// What it says.
        value: String,
    },
}

/// Something that would be accepted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(tag = "action", rename_all = "snake_case")]
#[non_exhaustive]
pub enum ScheduleNextAction {
    /// Have it fire no more by itself.
    Pause,
    /// Have it fire again.
    Resume,
    /// Have it start a run at once.
    Trigger,
    /// Say that an occurrence's time has come.
    Fire,
    /// Give it another plan, target or input.
    Change,
    /// Delete it.
    Delete,
    /// Cancel the run that it waits for.
    CancelPrevious {
        /// The run.
        run: RunId,
    },
    /// Start a process that declares its workflow, in a version that has the trigger and takes the input.
    RegisterWorkflow,
    /// Start a worker: whichever it is, it fires schedules.
    StartWorker,
    /// Deploy a binary that can read it.
    Upgrade,
}

/// Explains a schedule. `definition` is the one of its workflow that would be started.
pub fn explain(record: &ScheduleRecord, definition: Option<&Definition>) -> ScheduleExplanation {
    match record.row.read() {
        Ok(schedule) => Scene {
            record,
            schedule: &schedule,
            definition,
        }
        .explanation(),
        Err(error) => unreadable(record, error),
    }
}

/// All there is to look at.
struct Scene<'a> {
    record: &'a ScheduleRecord,
    schedule: &'a Schedule,
    definition: Option<&'a Definition>,
}

impl Scene<'_> {
    fn explanation(&self) -> ScheduleExplanation {
        let (reason, mut summary) = self.reason();
        summary.push_str(&self.passed_over());
        ScheduleExplanation {
            schedule: self.record.row.key.clone(),
            standing: self.schedule.standing,
            reason,
            summary,
            next: self.schedule.next_firing(),
            evidence: self.evidence(reason),
            next_actions: self.actions(reason),
        }
    }

    /// The one reason. Who said that it is not to fire comes before what keeps it from firing, then what it is about to do.
    fn reason(&self) -> (ScheduleReason, String) {
        let (schedule, state) = (self.schedule, &self.schedule.state);
        match schedule.standing {
            Standing::Retired => {
                let (workflow, version) = (&schedule.workflow, schedule.version);
                let summary =
                    format!("version {version} of workflow {workflow} does not declare it");
                return (ScheduleReason::Retired, summary);
            }
            Standing::Paused => return (ScheduleReason::Paused, "it is paused".to_owned()),
            Standing::Active => {}
        }
        if schedule.plan.timing == Timing::External {
            let summary = "it has no expression: somebody else says when".to_owned();
            return (ScheduleReason::External, summary);
        }
        if let Some(trouble) = &state.trouble {
            // A code that is not known here is of a newer engine.
            let reason = ScheduleReason::named(&trouble.code);
            let summary = format!("{}, since {}", trouble.message, trouble.since);
            return (reason.unwrap_or(ScheduleReason::Unreadable), summary);
        }
        if let (Some(waiting), Some(previous)) = (state.waiting, state.previous) {
            let summary = format!("occurrence {waiting} waits for the end of run {previous}");
            return (ScheduleReason::WaitingForPrevious, summary);
        }
        match (state.armed, &self.record.task) {
            (None, _) => self.over(),
            (Some(_), Some(task)) => self.task(task),
            (Some((due, _)), None) => {
                let summary = format!("it is due at {due}, and its row of the agenda is missing");
                (ScheduleReason::Unreadable, summary)
            }
        }
    }

    fn over(&self) -> (ScheduleReason, String) {
        let plan = &self.schedule.plan;
        if plan.next_after(Timestamp::MIN).is_none() {
            let summary = match plan.start.is_none() && plan.end.is_none() {
                true => "its expression names no instant",
                false => "its expression names no instant between its start and its end",
            };
            return (ScheduleReason::NeverFires, summary.to_owned());
        }
        let summary = match plan.end {
            Some(end) => format!("no further occurrence comes before its end, {end}"),
            None => "no further occurrence comes".to_owned(),
        };
        (ScheduleReason::Ended, summary)
    }

    fn task(&self, task: &TaskRow) -> (ScheduleReason, String) {
        let (now, due) = (self.record.now, task.due_at);
        if task.owner.is_none() && (task.format > TASK_FORMAT || due == Timestamp::MAX) {
            let summary = "a worker that could not read it has put it aside".to_owned();
            return (ScheduleReason::Unreadable, summary);
        }
        match (task.owner.is_some(), due <= now) {
            (true, false) => {
                let summary = format!("a worker has its firing in hand until {due}");
                (ScheduleReason::Firing, summary)
            }
            (true, true) => {
                let summary = format!("the worker that had its firing in hand is gone since {due}");
                (ScheduleReason::FiringLate, summary)
            }
            (false, true) => {
                let summary = format!("it is due since {due}, and no worker has taken it");
                (ScheduleReason::FiringLate, summary)
            }
            (false, false) => match self.schedule.plan.start.filter(|start| *start > now) {
                Some(start) => {
                    let summary = format!("it starts at {start}, and fires at {due} first");
                    (ScheduleReason::NotStarted, summary)
                }
                None => (ScheduleReason::Scheduled, format!("it fires at {due}")),
            },
        }
    }

    /// What started no run since one was started last.
    fn passed_over(&self) -> String {
        let state = &self.schedule.state;
        let last = state.fired.map(|fired| fired.occurrence);
        let mut text = String::new();
        if let Some(skipped) = state.skipped.filter(|skipped| Some(*skipped) > last) {
            text.push_str(&format!(
                "; occurrence {skipped} started nothing, as the run before was going on"
            ));
        }
        if let Some(missed) = state.missed.filter(|missed| Some(missed.last) > last) {
            let (first, last) = (missed.first, missed.last);
            text.push_str(&match first == last {
                true => format!("; occurrence {first} was missed"),
                false => format!("; occurrences from {first} to {last} were missed"),
            });
        }
        text
    }

    fn evidence(&self, reason: ScheduleReason) -> Vec<ScheduleEvidence> {
        let (plan, state): (&Plan, _) = (&self.schedule.plan, &self.schedule.state);
        let task = self.record.task.as_ref();
        let mut evidence: Vec<_> = task.map(ScheduleEvidence::of).into_iter().collect();
        let mut field = |name, value: Option<String>| {
            evidence.extend(value.map(|value| ScheduleEvidence::Field { field: name, value }));
        };
        let standing = self.schedule.standing;
        field(
            "standing",
            (standing != Standing::Active).then(|| word(standing)),
        );
        let version = self.schedule.version.to_string();
        field(
            "version",
            (standing == Standing::Retired).then_some(version),
        );
        let begins = reason == ScheduleReason::NotStarted;
        field("plan.start", shown(plan.start.filter(|_| begins)));
        let over = [ScheduleReason::Ended, ScheduleReason::NeverFires].contains(&reason);
        field("plan.end", shown(plan.end.filter(|_| over)));
        let code = state.trouble.as_ref().map(|trouble| trouble.code.clone());
        field("state.trouble", code);
        field("state.waiting", shown(state.waiting));
        field("state.previous", shown(state.previous));
        field(
            "state.fired",
            shown(state.fired.map(|fired| fired.occurrence)),
        );
        field("state.skipped", shown(state.skipped));
        field(
            "state.missed",
            shown(state.missed.map(|missed| missed.last)),
        );
        field("state.cursor", shown(Some(state.cursor)));
        evidence
    }

    fn actions(&self, reason: ScheduleReason) -> Vec<ScheduleNextAction> {
        let schedule = self.schedule;
        let external = schedule.plan.timing == Timing::External;
        let named = matches!(schedule.key, ScheduleKey::Named(_));
        let retired = schedule.standing == Standing::Retired;
        let fit = self.fits() && !retired;
        let waits = reason == ScheduleReason::WaitingForPrevious;
        let previous = schedule.state.previous.filter(|_| waits);
        let all = [
            (
                schedule.standing == Standing::Active && !external,
                ScheduleNextAction::Pause,
            ),
            (
                schedule.standing == Standing::Paused,
                ScheduleNextAction::Resume,
            ),
            (fit, ScheduleNextAction::Trigger),
            (
                fit && external && schedule.plan.has(self.record.now),
                ScheduleNextAction::Fire,
            ),
            (named, ScheduleNextAction::Change),
            (named, ScheduleNextAction::Delete),
            (
                !self.fits() && !retired,
                ScheduleNextAction::RegisterWorkflow,
            ),
            (
                reason == ScheduleReason::FiringLate,
                ScheduleNextAction::StartWorker,
            ),
            (
                reason == ScheduleReason::Unreadable,
                ScheduleNextAction::Upgrade,
            ),
        ];
        let cancel = previous.map(|run| ScheduleNextAction::CancelPrevious { run });
        let rest = all.into_iter().filter(|(offered, _)| *offered);
        cancel
            .into_iter()
            .chain(rest.map(|(_, action)| action))
            .collect()
    }

    /// Whether the definition would start a run of it.
    fn fits(&self) -> bool {
        let trigger = self.schedule.trigger.as_str();
        let trigger = self.definition.and_then(|known| known.trigger(trigger));
        trigger.is_some_and(|trigger| trigger.contract.fill(&self.schedule.input).is_ok())
    }
}

impl ScheduleEvidence {
    fn of(task: &TaskRow) -> ScheduleEvidence {
        ScheduleEvidence::Task {
            due_at: task.due_at,
            owner: task.owner,
        }
    }
}

fn shown<T: ToString>(value: Option<T>) -> Option<String> {
    value.map(|value| value.to_string())
}

fn word(standing: Standing) -> String {
    standing.as_str().to_owned()
}

fn unreadable(record: &ScheduleRecord, error: DecodeError) -> ScheduleExplanation {
    let next_actions = match error {
        DecodeError::Newer { .. } => vec![ScheduleNextAction::Upgrade],
        DecodeError::Corrupt => Vec::new(),
    };
    ScheduleExplanation {
        schedule: record.row.key.clone(),
        standing: record.row.standing,
        reason: ScheduleReason::Unreadable,
        summary: format!("its row cannot be read: {error}"),
        next: None,
        evidence: record.task.iter().map(ScheduleEvidence::of).collect(),
        next_actions,
    }
}
