//! What the engine does by itself: steps of its own kinds, and times that have come.
//!
//! Invariant: a wait or gate ends by its time only once that has come by the database's clock.

use super::super::deciding::Deciding;
use super::super::{Run, Stage};
use super::Stop;
use crate::change::{Change, Chore, StepEnd};
use crate::definition::{StepIndex, StepKind, label};
use crate::event::{Found, code};
use crate::limits;
use crate::mutant::Mutant;
use crate::payload::{OutputRef, PayloadDigest};
use crate::time::Timestamp;

impl Run {
    /// The engine has looked at a step, or could not do what it was to do about it.
    pub(super) fn evaluated(
        &self,
        deciding: &mut Deciding<'_>,
        step: StepIndex,
        found: &Found,
    ) -> Result<(), Stop> {
        let stage = self.stage(step)?;
        if let Found::Failure { failure, payload } = found {
            let place = OutputRef::here(deciding.run.seq, *payload);
            return match stage {
                Stage::Evaluating(_) | Stage::Collecting(_) => {
                    deciding.fail(step, &failure.code, place)
                }
                Stage::Spawning(_) => deciding.spoil(step, &failure.code, place),
                _ => Err(self.stale(step)),
            };
        }
        let Stage::Evaluating(armed) = stage else {
            return Err(self.stale(step));
        };
        if !fits(&deciding.spec(step).kind, found) {
            return Err(self.stale(step));
        }
        match found {
            Found::Logged if deciding.is(Mutant::LogNotSettled) => return Ok(()),
            Found::Logged => {}
            Found::Reached => {
                if deciding.facts.now < armed.due {
                    return Err(self.not_due(armed.due));
                }
                deciding.open(step);
                if !deciding.run.step(step).stage.is_settled() {
                    return Ok(());
                }
                return deciding.after(step);
            }
            Found::Label(label) => {
                let label = *label;
                deciding.push(Change::Label { step, label });
            }
            Found::Instant { until, payload } => {
                return self.until(deciding, step, *until, *payload);
            }
            Found::Children { count } => {
                let count = *count;
                deciding.push(Change::Fan { step, count });
                let chore = if count == 0 {
                    Chore::Collect
                } else {
                    Chore::Spawn
                };
                deciding.engage(step, chore);
                return Ok(());
            }
            Found::Failure { .. } => unreachable!("failures were dealt with"),
        }
        deciding.settle(step, StepEnd::Succeeded);
        deciding.after(step)
    }

    fn until(
        &self,
        deciding: &mut Deciding<'_>,
        step: StepIndex,
        due: Timestamp,
        payload: PayloadDigest,
    ) -> Result<(), Stop> {
        let past = deciding.is(Mutant::PastInstantFails) && due < deciding.base();
        if past || due > deciding.base().plus(limits::WAIT_MAX) {
            let place = OutputRef::here(deciding.run.seq, payload);
            return deciding.fail(step, code::INVALID_WAIT, place);
        }
        let armed = deciding.run.step(step).stage.armed();
        let lane = armed.map_or_else(|| deciding.free_lane(), |armed| armed.lane);
        let due = if deciding.is(Mutant::InstantForgotten) {
            deciding.base()
        } else {
            due
        };
        deciding.push(Change::Await { step, lane, due });
        Ok(())
    }

    /// The time of a wait has come, or a gate closes.
    pub(super) fn due(
        &self,
        deciding: &mut Deciding<'_>,
        step: StepIndex,
        payload: Option<PayloadDigest>,
    ) -> Result<(), Stop> {
        let (armed, gate) = match self.stage(step)? {
            Stage::Waiting(armed) => (armed, false),
            Stage::Open {
                deadline: Some(armed),
                ..
            }
            | Stage::Listening {
                deadline: Some(armed),
                ..
            } => (armed, true),
            _ => return Err(self.stale(step)),
        };
        if deciding.facts.now < armed.due && !deciding.is(Mutant::WaitNotRechecked) {
            return Err(self.not_due(armed.due));
        }
        if !gate {
            deciding.settle(step, StepEnd::Succeeded);
            return deciding.after(step);
        }
        let digest = payload.ok_or_else(|| self.stale(step))?;
        let place = OutputRef::here(deciding.run.seq, digest);
        if deciding.definition().wires_expiry(step) && !deciding.is(Mutant::ExpiryNotRouted) {
            deciding.give(step, label::EXPIRED, place);
            deciding.after(step)
        } else {
            deciding.fail(step, code::EXPIRED, place)
        }
    }
}

/// Whether that can be found of a step of this kind.
fn fits(kind: &StepKind, found: &Found) -> bool {
    match found {
        Found::Logged => matches!(kind, StepKind::Log { .. }),
        Found::Reached => kind.is_gate(),
        Found::Label(_) => matches!(kind, StepKind::Route { .. }),
        Found::Instant { .. } => matches!(kind, StepKind::Until),
        Found::Children { .. } => matches!(kind, StepKind::Each { .. }),
        Found::Failure { .. } => true,
    }
}
