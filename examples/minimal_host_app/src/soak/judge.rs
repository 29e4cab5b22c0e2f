//! What a run did, compared with what its journal says.
//!
//! Invariant: an effect without an attempt that accounts for it is a duplicate, a success without its effect a violation.

use std::collections::{BTreeMap, BTreeSet};

use squid_mesh::core::id::RunId;
use squid_mesh::{StepInspection, StepStatus};

use super::plan::Outcome;
use crate::ledger::Effect;
use crate::scene::{Ended, Scene};
use crate::stored::Stored;

/// A step whose effect is a row of its transaction.
const BOOKING: &str = "book_order";

/// Compares the effects of a run, by idempotency key, with the attempts of its steps.
pub(super) fn effects(ended: &Ended, outcome: &mut Outcome) {
    let mut by_key: BTreeMap<&str, Vec<&Effect>> = BTreeMap::new();
    for effect in &ended.effects {
        by_key.entry(&effect.key).or_default().push(effect);
    }
    for (key, effects) in by_key {
        let accounted = attempts_of(ended, &effects[0].step);
        for _ in 0..unaccounted(&effects, accounted) {
            let (found, run) = (effects.len(), ended.inspection.run);
            outcome.duplicates.push(format!(
                "{key} of run {run} had its effect {found} times in {accounted} attempts"
            ));
        }
    }
    for step in &ended.inspection.steps {
        let name = step.name.as_str();
        let mut effects = ended.effects.iter();
        if is_done(step) && name != BOOKING && !effects.any(|effect| effect.step == name) {
            let violation = format!("step {name} of run {} had no effect", ended.inspection.run);
            outcome.violations.push(violation);
        }
    }
}

/// How many of the effects under one key no attempt accounts for: an attempt has its effect once.
fn unaccounted(effects: &[&Effect], attempts: usize) -> usize {
    let numbers: BTreeSet<u32> = effects.iter().map(|effect| effect.attempt).collect();
    effects.len().saturating_sub(numbers.len().min(attempts))
}

/// Attempts of a step, or of its undo, which `step` then names.
fn attempts_of(ended: &Ended, step: &str) -> usize {
    let attempts = match step.strip_prefix("undo ") {
        Some(step) => {
            let step = ended.inspection.step(step);
            let undo = step.and_then(|step| step.undo.as_ref());
            undo.map(|undo| undo.executed + undo.lost)
        }
        None => {
            let step = ended.inspection.step(step);
            step.map(|step| step.executed + step.lost)
        }
    };
    attempts.unwrap_or(0) as usize
}

/// Whether a handler of the step succeeded.
fn is_done(step: &StepInspection) -> bool {
    let succeeded = matches!(
        step.status,
        StepStatus::Succeeded | StepStatus::Undone | StepStatus::UndoFailed
    );
    succeeded && step.executed > 0
}

/// Refolds the journal of a run, and compares it with its snapshot and its agenda.
///
/// # Errors
/// As [`Stored::read`].
pub(super) async fn journal(
    scene: &Scene,
    run: RunId,
    outcome: &mut Outcome,
) -> anyhow::Result<()> {
    let stored = Stored::read(scene.client.store(), run).await?;
    outcome.violations.extend(stored.discrepancies);
    let tasks = stored.record.tasks.len();
    outcome.equal("tasks of a run that has ended", tasks, 0);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_effect_is_accounted_for_by_an_attempt_of_its_own() {
        let effect = |attempt: u32| Effect {
            key: "run:cook".to_owned(),
            step: "cook".to_owned(),
            attempt,
            token: attempt.to_string(),
        };
        let (first, second) = (effect(1), effect(2));
        assert_eq!(unaccounted(&[&first, &second], 2), 0);
        assert_eq!(unaccounted(&[&first], 2), 0);
        assert_eq!(unaccounted(&[&first, &second], 1), 1);
        assert_eq!(unaccounted(&[&first, &first], 2), 1);
        assert_eq!(unaccounted(&[&first], 0), 1);
    }
}
