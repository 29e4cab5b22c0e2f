//! Where steps stand, as phrases.
//!
//! Invariant: depends on the fold alone.

use super::Reader;
use crate::definition::StepIndex;
use crate::run::{Run, Stage, StepState, UndoStage};

impl Reader<'_> {
    /// Where a step of a run stands.
    ///
    /// # Panics
    /// If the run has no such step.
    pub fn state(&self, run: &Run, step: StepIndex) -> String {
        let state = run.step(step);
        let mut text = stage(state);
        let count = |many: u32, one: &str| match many {
            0 => String::new(),
            1 => format!(", 1 {one}"),
            many => format!(", {many} {one}s"),
        };
        text.push_str(&count(state.tries.executed, "attempt"));
        text.push_str(&count(state.tries.lost, "lost attempt"));
        text.push_str(&count(state.tries.conflicts, "conflict"));
        if let Some(label) = state.label {
            text.push_str(&format!(", label {}", self.label(step, label)));
        }
        if let Some(fan) = &state.fan {
            text.push_str(&format!(", {} children out", fan.active()));
        }
        if let Some(undo) = &state.undo {
            text.push_str(match undo.stage {
                UndoStage::Scheduled(_) => ", to be undone",
                UndoStage::Done => ", undone",
                UndoStage::Failed => ", not undone",
            });
        }
        text
    }
}

fn stage(state: &StepState) -> String {
    match state.stage {
        Stage::Blocked => "blocked".to_owned(),
        Stage::Scheduled(armed) => format!("scheduled for {}", armed.due),
        Stage::Evaluating(armed) => format!("to be evaluated at {}", armed.due),
        Stage::Waiting(armed) => format!("waiting until {}", armed.due),
        Stage::Open { .. } => "waiting for a person".to_owned(),
        Stage::Listening { .. } => "waiting for its signal".to_owned(),
        Stage::Held { .. } => "held: its outcome is unknown".to_owned(),
        Stage::Spawning(_) => "starting children".to_owned(),
        Stage::Resting => "waiting for its children".to_owned(),
        Stage::Collecting(_) => "gathering results".to_owned(),
        Stage::Recalling(_) => "telling its children to cancel".to_owned(),
        Stage::Stopping(_) => "told to stop".to_owned(),
        Stage::Succeeded => "succeeded".to_owned(),
        Stage::Failed => {
            let code = state.code.as_deref().unwrap_or("no code");
            format!("failed with {code}")
        }
        Stage::Cancelled => "cancelled".to_owned(),
        Stage::Skipped => "skipped".to_owned(),
    }
}
