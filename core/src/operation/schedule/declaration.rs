//! What is declared of a schedule, and the schedule that is made of it.

use std::sync::Arc;

use super::Declaration;
use crate::run::Seq;
use crate::schedule::{Schedule, ScheduleKey, Standing, State};
use crate::time::Timestamp;

impl Declaration {
    /// A schedule that is made of it.
    pub(super) fn schedule(&self, key: &ScheduleKey, now: Timestamp) -> Schedule {
        let schedule = Schedule {
            id: key.id(),
            life: self.life,
            seq: Seq(1),
            key: key.clone(),
            version: self.version,
            workflow: self.workflow.clone(),
            trigger: self.trigger.clone(),
            plan: Arc::new(self.plan.clone()),
            input: self.input.clone(),
            standing: Standing::Active,
            state: State::from(now),
            created: now,
            updated: now,
        };
        schedule.rearmed(now, false)
    }

    /// Whether a schedule has this content already.
    pub(super) fn is_of(&self, schedule: &Schedule) -> bool {
        self.workflow == schedule.workflow
            && self.trigger == schedule.trigger
            && self.plan == *schedule.plan
            && self.input == schedule.input
    }
}
