//! What a schedule is made to be: given another content, retired, paused or resumed.
//!
//! Invariant: no change lets an occurrence before the cursor fire, and a plan with other times fires from the change on only.

use std::sync::Arc;

use super::{Declaration, ScheduleCommand, ScheduleReply};
use crate::mutant::Mutant;
use crate::operation::batch::Batch;
use crate::schedule::{Schedule, Standing};

impl ScheduleCommand {
    /// Gives a schedule another content. Its standing stays, but for one that had been retired.
    pub(super) fn change(
        &self,
        batch: &mut Batch<'_>,
        found: Schedule,
        declaration: &Declaration,
    ) -> ScheduleReply {
        let retired = found.standing == Standing::Retired;
        if declaration.is_of(&found) && declaration.version == found.version && !retired {
            return self.reply(batch, false, Some(&found));
        }
        let now = batch.view.now;
        let mut changed = found.written(now);
        changed.version = declaration.version;
        changed.workflow = declaration.workflow.clone();
        changed.trigger = declaration.trigger.clone();
        changed.plan = Arc::new(declaration.plan.clone());
        changed.input = declaration.input.clone();
        changed.state.trouble = None;
        if retired {
            changed.standing = Standing::Active;
        }
        // Never back: what was decided about stays so, even if the clock was set back since.
        let keeps = batch.view.mutation.is(Mutant::EditKeepsCursor);
        if retired || !declaration.plan.fires_like(&found.plan) && !keeps {
            changed.state.cursor = changed.state.cursor.max(now);
        }
        // Whoever holds its task, or it itself, was told of another target.
        changed.state.armed = None;
        let changed = changed.rearmed(now, found.state.previous.is_some());
        let reply = self.reply(batch, true, Some(&changed));
        batch.put_schedule(changed, true);
        reply
    }

    pub(super) fn retire(
        &self,
        batch: &mut Batch<'_>,
        found: Option<Schedule>,
        version: u32,
    ) -> ScheduleReply {
        let goes_on = batch.view.mutation.is(Mutant::RetiredGoesOn);
        match found {
            Some(found)
                if found.version < version && found.standing != Standing::Retired && !goes_on =>
            {
                let mut retired = found.written(batch.view.now);
                retired.version = version;
                retired.standing = Standing::Retired;
                retired.state.waiting = None;
                let retired = retired.rearmed(batch.view.now, true);
                let reply = self.reply(batch, true, Some(&retired));
                batch.put_schedule(retired, true);
                reply
            }
            found => self.reply(batch, false, found.as_ref()),
        }
    }

    pub(super) fn stand(
        &self,
        batch: &mut Batch<'_>,
        found: Schedule,
        standing: Standing,
    ) -> ScheduleReply {
        if found.standing == standing {
            return self.reply(batch, false, Some(&found));
        }
        let now = batch.view.now;
        let mut set = found.written(now);
        set.standing = standing;
        // Whether the run before goes on is found out by the turn: one that waits for it is to have one.
        let set = if batch.view.mutation.is(Mutant::PauseLeavesFiring) {
            set
        } else {
            set.rearmed(now, false)
        };
        let reply = self.reply(batch, true, Some(&set));
        batch.put_schedule(set, false);
        reply
    }
}
