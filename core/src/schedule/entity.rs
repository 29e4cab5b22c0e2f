//! A schedule as its row says.
//!
//! Invariant: its task follows from it, leases aside.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Occasion, Occurrence, Overlap, Plan, ScheduleId, ScheduleKey, State};
use crate::definition::{DefinitionKey, StepIndex};
use crate::id::Life;
use crate::name::{ENGINE_QUEUE, Name};
use crate::payload::Payload;
use crate::run::Seq;
use crate::task::{Brief, Fence, TASK_FORMAT, TaskKind, TaskRow, Work, engine};
use crate::time::Timestamp;

/// A schedule as its row says.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    /// The schedule.
    pub id: ScheduleId,
    /// Its life, drawn by whoever created it: one that is created after it was deleted has another.
    pub life: Life,
    /// Counts the writes of this row, from 1.
    pub seq: Seq,
    /// What it is called.
    pub key: ScheduleKey,
    /// The version of the definition that declared it; 0 of one that was created at run time.
    pub version: u32,
    /// The workflow that it starts.
    pub workflow: Name,
    /// The trigger that it starts it by.
    pub trigger: Name,
    /// What was declared.
    pub plan: Arc<Plan>,
    /// The input of its runs, as it was declared: defaults are filled in when a run is started.
    pub input: Payload,
    /// Whether it fires.
    pub standing: Standing,
    /// What became of it so far.
    pub state: State,
    /// When it was created.
    pub created: Timestamp,
    /// When it was last written.
    pub updated: Timestamp,
}

/// Whether a schedule fires by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// It does.
    Active,
    /// Somebody paused it.
    Paused,
    /// A newer version of its workflow does not declare it any more. The row keeps older binaries from declaring it again.
    Retired,
}

impl Standing {
    /// Every standing.
    pub const ALL: [Standing; 3] = [Standing::Active, Standing::Paused, Standing::Retired];

    /// The number stores keep.
    pub const fn as_i16(self) -> i16 {
        self as i16
    }

    /// The stable word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Standing::Active => "active",
            Standing::Paused => "paused",
            Standing::Retired => "retired",
        }
    }

    /// Takes a stored number back.
    pub fn from_i16(number: i16) -> Option<Standing> {
        Standing::ALL
            .into_iter()
            .find(|standing| standing.as_i16() == number)
    }
}

impl Schedule {
    /// The task that it implies, unclaimed: due at the next occurrence, or when what waits may start.
    pub fn task(&self) -> Option<TaskRow> {
        let (due_at, seq) = self.state.armed?;
        Some(TaskRow {
            key: self.id.task(),
            life: self.life,
            kind: TaskKind::Firing,
            step: StepIndex(0),
            queue: Name::fixed(ENGINE_QUEUE),
            priority: 0,
            handler: Name::fixed(engine::FIRING),
            due_at,
            attempt: 1,
            fence: Fence { seq, claims: 0 },
            owner: None,
            begun: false,
            expired: false,
            hand_offs: 0,
            format: TASK_FORMAT,
            renew_until: None,
            brief: Brief {
                sources: Vec::new(),
                work: Work::Fire {
                    trigger: self.trigger.clone(),
                },
                timeout: None,
                handler: Name::fixed(engine::FIRING),
                definition: DefinitionKey {
                    name: self.workflow.clone(),
                    version: self.version,
                },
                trace: None,
                occurrence: None,
            },
        })
    }

    /// The next occurrence to come, whether or not it will start a run: of one that is paused, too.
    pub fn next_occurrence(&self, now: Timestamp) -> Option<Timestamp> {
        self.plan.next_after(self.state.cursor.max(now))
    }

    /// When it acts next by itself, if it does.
    pub fn next_firing(&self) -> Option<Timestamp> {
        self.state.armed.map(|(due, _)| due)
    }

    /// Where the window of an occurrence begins.
    fn window_start(&self, at: Timestamp) -> Timestamp {
        let before = at.minus(Duration::from_micros(1));
        let first = self.plan.start.unwrap_or(self.created).min(at);
        self.plan.last_at_or_before(before).unwrap_or(first)
    }

    /// What a run of an occurrence is told of it.
    pub(crate) fn occurrence(
        &self,
        at: Timestamp,
        now: Timestamp,
        occasion: Occasion,
    ) -> Occurrence {
        let counts = self.plan.overlap != Overlap::Allow && occasion != Occasion::Triggered;
        Occurrence {
            schedule: self.id,
            name: self.key.to_string(),
            at,
            window_start: self.window_start(at),
            received_at: now,
            occasion,
            reports: counts,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_standing_comes_back_from_its_number_and_no_other_number_is_one() {
        for standing in Standing::ALL {
            assert_eq!(Standing::from_i16(standing.as_i16()), Some(standing));
        }
        assert_eq!(Standing::from_i16(-1), None);
        assert_eq!(Standing::from_i16(3), None);
    }
}
