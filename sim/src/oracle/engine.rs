//! What the engine does by itself: items whose time has come, and steps of its own that it looks at.
//!
//! Invariant: only who really holds an item settles it, and what was found is what is there to be found.

use serde_json::Value;
use squid_mesh_core::change::Chore;
use squid_mesh_core::definition::{StepIndex, StepKind, label};
use squid_mesh_core::event::{Found, code};
use squid_mesh_core::id::RunId;
use squid_mesh_core::limits;
use squid_mesh_core::operation::JournalRow;
use squid_mesh_core::payload::Payload;
use squid_mesh_core::task::Item;
use squid_mesh_core::time::Timestamp;

use super::bound::routed;
use super::change::Cause;
use super::{Landing, bound};
use crate::fault::sometimes::Milestone;
use crate::ghost::{Grant, GrantEnd, Progress};
use crate::violation::{Broken, Check, Promise, broken, ensure};

impl Landing<'_> {
    /// A wait ended, or a gate closed.
    pub(super) fn time_came<'e>(
        &mut self,
        id: RunId,
        step: StepIndex,
        row: &JournalRow,
    ) -> Result<Cause<'e>, Box<Broken>> {
        let clock = self.landed.at;
        let run = self.ghost.run(id);
        let name = &run.definition.step(step).name;
        let (due, gate) = match run.steps[step.at()].progress {
            Progress::Waiting(due) => (Some(due), false),
            Progress::Open(_, closes) | Progress::Listening(_, closes) => (closes, true),
            _ => (None, false),
        };
        if due.is_none_or(|due| clock < due) {
            broken(
                Promise::NothingEarly,
                format!("run {id} step {name} ends at {clock}, and is due at {due:?}"),
            )?;
        }
        let wired = run.definition.indexes().any(|other| {
            let expired = run.definition.step(step).way(label::EXPIRED);
            run.definition.step(other).guards.iter().any(|guard| {
                guard.step == step
                    && expired.is_some_and(|expired| {
                        guard.way == squid_mesh_core::definition::Way::Label(expired)
                    })
            })
        });
        self.engine_item_by_holder(id, Item::Wait, Some(step))?;
        let milestone = if gate {
            Milestone::GateExpired
        } else {
            Milestone::WaitEnded
        };
        self.sometimes.reached(milestone);
        Ok(match (gate, wired) {
            (false, _) => Cause::Success(step, None),
            (true, true) => Cause::Success(step, row.payload.clone()),
            (true, false) => Cause::Fails(step, code::EXPIRED.to_owned()),
        })
    }

    /// The engine has looked at a step of its own: what it found is what is there to be found.
    pub(super) fn evaluated<'e>(
        &mut self,
        id: RunId,
        step: StepIndex,
        found: &Found,
        row: &JournalRow,
    ) -> Result<Cause<'e>, Box<Broken>> {
        let run = self.ghost.run(id);
        let spec = run.definition.step(step).clone();
        let chore = match run.steps[step.at()].progress {
            Progress::Evaluating(_) => Chore::Evaluate,
            Progress::Spawning => Chore::Spawn,
            _ => Chore::Collect,
        };
        let input = bound(self.ghost, id, &spec.input);
        let expected = match (&spec.kind, found) {
            (_, Found::Failure { failure, .. }) => {
                if !self.is_to_fail(id, step, chore, &failure.code) {
                    broken(
                        Promise::ResultIsReal,
                        format!(
                            "run {id} step {} fails with {} over {input:?}",
                            spec.name, failure.code
                        ),
                    )?;
                }
                self.chore_by_holder(id, step, chore)?;
                return Ok(Cause::Fails(step, failure.code.clone()));
            }
            (StepKind::Log { .. }, Found::Logged) => {
                let by = self.process();
                by.is_some_and(|by| self.ghost.lines.contains(&(by, id, step)))
            }
            (kind, Found::Reached) => kind.is_gate(),
            (
                StepKind::Route {
                    conditions,
                    fallback,
                },
                Found::Label(label),
            ) => {
                self.sometimes.reached(Milestone::Routed);
                let taken = routed(conditions, fallback.as_ref(), &input);
                taken.and_then(|taken| spec.way(taken.as_str())) == Some(*label)
            }
            (StepKind::Until, Found::Instant { until, .. }) => instant(&input) == Some(*until),
            // How many is compared when they are counted.
            (StepKind::Each { .. }, Found::Children { .. }) => true,
            _ => false,
        };
        if !expected {
            broken(
                Promise::ResultIsReal,
                format!(
                    "run {id} step {}: {found:?} was found in {input:?}",
                    spec.name
                ),
            )?;
        }
        self.chore_by_holder(id, step, chore)?;
        Ok(match found {
            Found::Instant { until, .. } if *until > self.clock.plus(limits::WAIT_MAX) => {
                Cause::Fails(step, code::INVALID_WAIT.to_owned())
            }
            Found::Instant { until, .. } => Cause::Until(step, *until),
            Found::Logged | Found::Label(_) => Cause::Success(step, row.payload.clone()),
            Found::Reached | Found::Children { .. } | Found::Failure { .. } => {
                Cause::Children(step)
            }
        })
    }

    /// Whether the engine cannot do what it is to do about a step, and the step fails with this.
    fn is_to_fail(&self, id: RunId, step: StepIndex, chore: Chore, reason: &str) -> bool {
        let run = self.ghost.run(id);
        let spec = run.definition.step(step);
        let input = bound(self.ghost, id, &spec.input);
        match (chore, &spec.kind, reason) {
            (
                Chore::Evaluate,
                StepKind::Route {
                    conditions,
                    fallback,
                },
                code::NO_MATCHING_ROUTE,
            ) => routed(conditions, fallback.as_ref(), &input).is_none(),
            (Chore::Evaluate, StepKind::Until, code::INVALID_WAIT) => instant(&input).is_none(),
            (Chore::Evaluate, StepKind::Until, code::MISSING_INPUT_PATH) => {
                input == Payload::null()
            }
            (Chore::Evaluate, StepKind::Each { .. }, code::INVALID_INPUT) => {
                !input.bytes().starts_with(b"[")
            }
            (Chore::Spawn, kind, code::UNKNOWN_WORKFLOW) => {
                let stored = |name| self.tables.newest(name).is_some();
                !kind.workflow().is_some_and(stored)
            }
            (Chore::Spawn, _, code::PAYLOAD_TOO_LARGE) => input.bytes().len() > self.payload_limit,
            (Chore::Collect, _, code::PAYLOAD_TOO_LARGE) => {
                let ends = run.steps[step.at()].children.ends.values();
                let wrapped = |payload: &Payload| payload.bytes().len() + 64;
                ends.map(|(_, payload)| wrapped(payload)).sum::<usize>() > self.payload_limit
            }
            _ => false,
        }
    }

    /// A chore is settled by who holds it.
    pub(super) fn chore_by_holder(&mut self, id: RunId, step: StepIndex, chore: Chore) -> Check {
        self.engine_item_by_holder(id, Item::Chore(chore), Some(step))
    }

    /// The run's deadline came.
    pub(super) fn deadline_came(&mut self, id: RunId) -> Check {
        let clock = self.landed.at;
        let deadline = self.ghost.run(id).deadline;
        ensure!(
            deadline.is_some_and(|deadline| clock >= deadline),
            NothingEarly,
            "run {id} has the deadline {deadline:?}, which comes at {clock}"
        );
        self.engine_item_by_holder(id, Item::Deadline, None)
    }

    fn engine_item_by_holder(&mut self, id: RunId, item: Item, step: Option<StepIndex>) -> Check {
        let by = self.process();
        let fits =
            |grant: &&Grant| grant.item == item && step.is_none_or(|step| grant.step == step);
        let held = self.ghost.held_of(id).find(fits);
        let key = held
            .filter(|grant| Some(grant.process) == by)
            .map(|grant| grant.key);
        let Some(key) = key else {
            return broken(
                Promise::OldClaimsWriteNothing,
                format!("run {id}: {item:?} is settled by who does not hold it"),
            );
        };
        self.ghost.end_grant(&key, GrantEnd::Recorded);
        Ok(())
    }
}

/// The instant that a wait is given: milliseconds, or text.
fn instant(input: &Payload) -> Option<Timestamp> {
    let value: Value = serde_json::from_slice(input.bytes()).ok()?;
    match value.as_i64() {
        Some(millis) => Some(Timestamp::from_micros(millis.saturating_mul(1_000))),
        // The form that the engine's own instants have in JSON.
        None if value.is_string() => serde_json::from_value(value).ok(),
        None => None,
    }
}
