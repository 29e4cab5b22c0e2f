//! Attempts: what they reported, and those that never did.
//!
//! Invariant: a step is tried again only as often as its policy says, and one whose effect may have happened and must not
//! happen twice is not tried again without somebody's word.

use std::time::Duration;

use super::super::deciding::Deciding;
use super::super::{Phase, Run, Stage, Tries, UndoStage};
use super::Stop;
use crate::change::Change;
use crate::definition::{LabelIndex, OnLost, Retry, StepIndex};
use crate::event::{Failure, Role, code};
use crate::limits;
use crate::mutant::Mutant;
use crate::operation::Outcome;
use crate::payload::{OutputRef, PayloadDigest};
use crate::task::{Fence, Lane, Token};

impl Run {
    pub(super) fn success(
        &self,
        deciding: &mut Deciding<'_>,
        step: StepIndex,
        role: Role,
        (fence, digest): (Fence, PayloadDigest),
        label: Option<LabelIndex>,
    ) -> Result<(), Stop> {
        self.attempted(step, role)?;
        deciding.push(Change::Report {
            step,
            role,
            fence,
            digest,
        });
        if role == Role::Undo {
            return self.undone(deciding, step, true);
        }
        if let Some(label) = label.filter(|_| !deciding.is(Mutant::LabelLost)) {
            deciding.push(Change::Label { step, label });
        }
        if self.step(step).fan.is_some() {
            // It may be a while until it ends, and what it returned is not what it did last by then.
            let place = OutputRef::here(deciding.run.seq, digest);
            deciding.push(Change::Place { step, place });
        }
        deciding.return_from(step)
    }

    pub(super) fn failed(
        &self,
        deciding: &mut Deciding<'_>,
        (step, role): (StepIndex, Role),
        fence: Fence,
        failure: &Failure,
        payload: PayloadDigest,
    ) -> Result<(), Stop> {
        let lane = self.attempted(step, role)?;
        let digest = crate::operation::failure_digest(failure);
        deciding.push(Change::Report {
            step,
            role,
            fence,
            digest,
        });
        let unclear = matches!(failure.code.as_str(), code::TIMEOUT | code::PANIC);
        if role == Role::Step && unclear && self.holds(deciding, step) {
            return self.hold(deciding, step, fence);
        }
        if role == Role::Step && deciding.is_spoilt(step) {
            return deciding.let_go(step);
        }
        let retry = policy(deciding, step, role);
        let tries = deciding.run.step(step).tries(role);
        let executed = tries.map_or(0, |tries| deciding.executed(tries));
        let allowed = retry.max_attempts + u32::from(deciding.is(Mutant::OneAttemptTooMany));
        let again = failure.retryable && executed < allowed;
        if role == Role::Step && self.phase != Phase::Open {
            return self.ended_while_winding(deciding, step, again, &failure.code, payload);
        }
        if !again {
            return self.give_up(deciding, (step, role), &failure.code, payload);
        }
        let counted = executed + u32::from(deciding.is(Mutant::BackoffOffByOne));
        let computed = retry.delay(counted, self.salt(step));
        let delay = failure.retry_after.unwrap_or(computed);
        let delay = if deciding.is(Mutant::RetryNotDelayed) {
            Duration::ZERO
        } else {
            delay
        };
        deciding.again(step, role, lane, delay);
        Ok(())
    }

    pub(super) fn loss(
        &self,
        deciding: &mut Deciding<'_>,
        (step, role): (StepIndex, Role),
        fence: Fence,
        begun: bool,
        payload: PayloadDigest,
    ) -> Result<(), Stop> {
        let lane = self.attempted(step, role)?;
        if !deciding.is(Mutant::LossNotCounted) {
            deciding.push(Change::Lose { step, role });
        }
        if role == Role::Step && begun && self.holds(deciding, step) {
            return self.hold(deciding, step, fence);
        }
        if role == Role::Step && (self.phase != Phase::Open || deciding.is_spoilt(step)) {
            return deciding.let_go(step);
        }
        let lost = deciding
            .run
            .step(step)
            .tries(role)
            .map_or(0, |tries| tries.lost);
        if lost > policy(deciding, step, role).max_lost {
            return self.give_up(deciding, (step, role), code::LOST, payload);
        }
        deciding.again(step, role, lane, after_loss(lost));
        Ok(())
    }

    /// The database undid what an attempt had done in its transaction: it is tried again at once, within a bound of its own.
    pub(super) fn conflict(
        &self,
        deciding: &mut Deciding<'_>,
        step: StepIndex,
        fence: Fence,
        payload: PayloadDigest,
    ) -> Result<(), Stop> {
        let lane = self.attempted(step, Role::Step)?;
        let digest = Outcome::Conflicted.digest();
        deciding.push(Change::Conflict {
            step,
            fence,
            digest,
        });
        if deciding.is_spoilt(step) {
            return deciding.let_go(step);
        }
        let again = deciding.run.step(step).tries.conflicts <= limits::CONFLICTS
            || deciding.is(Mutant::ConflictsUnbounded);
        if self.phase != Phase::Open {
            return self.ended_while_winding(deciding, step, again, code::CONFLICT, payload);
        }
        if !again {
            return self.give_up(deciding, (step, Role::Step), code::CONFLICT, payload);
        }
        deciding.again(step, Role::Step, lane, Duration::ZERO);
        Ok(())
    }

    /// An attempt that would have been tried again ends with its run; one that would not have been has failed.
    fn ended_while_winding(
        &self,
        deciding: &mut Deciding<'_>,
        step: StepIndex,
        again: bool,
        code: &str,
        payload: PayloadDigest,
    ) -> Result<(), Stop> {
        if !again {
            let place = OutputRef::here(deciding.run.seq, payload);
            return deciding.spoil(step, code, place);
        }
        deciding.let_go(step)
    }

    fn give_up(
        &self,
        deciding: &mut Deciding<'_>,
        (step, role): (StepIndex, Role),
        code: &str,
        payload: PayloadDigest,
    ) -> Result<(), Stop> {
        match role {
            Role::Undo => self.undone(deciding, step, false),
            Role::Step => {
                let place = OutputRef::here(deciding.run.seq, payload);
                deciding.spoil(step, code, place)
            }
        }
    }

    fn holds(&self, deciding: &Deciding<'_>, step: StepIndex) -> bool {
        deciding.spec(step).on_lost == OnLost::Hold && !deciding.is(Mutant::HoldForgotten)
    }

    /// Nobody knows whether the attempt had its effect. An ending run does not wait for somebody to say.
    fn hold(&self, deciding: &mut Deciding<'_>, step: StepIndex, fence: Fence) -> Result<(), Stop> {
        deciding.push(Change::Hold { step, fence });
        if self.phase == Phase::Open {
            return Ok(());
        }
        deciding.let_go(step)
    }

    /// The lane of the step's current attempt in this role; none for one whose outcome is unknown.
    pub(super) fn attempted(&self, step: StepIndex, role: Role) -> Result<Option<Lane>, Stop> {
        let stage = self.stage(step)?;
        if role == Role::Undo {
            let undo = self.step(step).undo.as_ref().map(|undo| undo.stage);
            return match undo {
                Some(UndoStage::Scheduled(armed)) => Ok(Some(armed.lane)),
                Some(UndoStage::Done | UndoStage::Failed) | None => Err(self.stale(step)),
            };
        }
        match stage {
            Stage::Scheduled(armed) | Stage::Stopping(armed) => Ok(Some(armed.lane)),
            Stage::Held { .. } => Ok(None),
            Stage::Blocked
            | Stage::Evaluating(_)
            | Stage::Waiting(_)
            | Stage::Open { .. }
            | Stage::Listening { .. }
            | Stage::Spawning(_)
            | Stage::Resting
            | Stage::Collecting(_)
            | Stage::Recalling(_)
            | Stage::Succeeded
            | Stage::Failed
            | Stage::Cancelled
            | Stage::Skipped => Err(self.stale(step)),
        }
    }

    /// Makes jitter differ between runs and steps, and the same on every replay.
    fn salt(&self, step: StepIndex) -> u64 {
        let id = self.id.as_u128();
        let halves = (id >> 64) ^ (id & u128::from(u64::MAX));
        u64::try_from(halves & u128::from(u64::MAX)).expect("masked to 64 bits")
            ^ (u64::from(step.0) << 48)
    }
}

impl Deciding<'_> {
    /// Attempts that count against the policy.
    fn executed(&self, tries: &Tries) -> u32 {
        if self.is(Mutant::ConflictCountsAsAttempt) {
            tries.executed + tries.conflicts
        } else if self.is(Mutant::LossCountsAsAttempt) {
            tries.executed + tries.lost
        } else {
            tries.executed
        }
    }
}

/// Whether a report is that of an attempt whose outcome the run holds as unknown. Claims of the same scheduling before the
/// one that recorded the loss were of that attempt, or never began.
pub(crate) fn held_report(run: &Run, step: StepIndex, token: &Token) -> bool {
    let stage = run.steps().get(step.at()).map(|state| state.stage);
    match stage {
        Some(Stage::Held { fence, .. }) => {
            run.life() == token.life && token.fence.seq == fence.seq && token.fence < fence
        }
        Some(_) | None => false,
    }
}

fn policy<'a>(deciding: &Deciding<'a>, step: StepIndex, role: Role) -> &'a Retry {
    let spec = deciding.spec(step);
    match (role, &spec.undo) {
        (Role::Undo, Some(undo)) => &undo.retry,
        (Role::Step | Role::Undo, _) => &spec.retry,
    }
}

/// How long a step rests after its n-th loss: not at all after the first, which is most often a deploy; then 1 s, doubling
/// up to 32 s, so that a step which kills its host leaves the next one some air.
fn after_loss(lost: u32) -> Duration {
    match lost {
        0 | 1 => Duration::ZERO,
        n => Duration::from_secs(1 << (n - 2).min(5)),
    }
}
