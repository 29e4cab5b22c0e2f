//! S6: what is taken back, in which order, and how that ends.
//!
//! Invariant: exactly the steps that succeeded in this run and can be taken back, the last first.

use std::cmp::Reverse;

use squid_mesh_core::definition::StepIndex;
use squid_mesh_core::run::Status;

use super::Model;
use crate::witness::{End, Order};

impl Model<'_> {
    pub(super) fn undo_refused(&self) -> Option<String> {
        // What the first cancel says stands.
        let asked = self.facts.said(|order| match order {
            Order::Cancel { undo, .. } => Some(*undo),
            _ => None,
        });
        let takes_back = match self.seen.status {
            Status::Failed => true,
            Status::Cancelled => asked == Some(true) && !self.facts.forced(),
            _ => false,
        };
        let due = |step: &StepIndex| {
            let own = self.step(*step).end == End::Succeeded && self.taken_over(*step).is_none();
            takes_back && own && self.facts.definition.step(*step).undo.is_some()
        };
        let steps = self.facts.definition.indexes();
        let (mut last_first, others): (Vec<_>, Vec<_>) = steps.partition(due);
        last_first.sort_by_key(|step| Reverse((self.step(*step).at, *step)));
        let mut before = 0;
        let in_turn = last_first.into_iter().find_map(|step| {
            let first = self.facts.steps[step.at()].undos.first();
            let first = first.map_or(before, |body| body.nth);
            let late = std::mem::replace(&mut before, first) > first;
            let late = late.then(|| format!("step {} is taken back too early", step.0));
            late.or_else(|| self.undo_end_refused(step))
        });
        in_turn.or_else(|| {
            let began = |step: StepIndex| !self.facts.steps[step.at()].undos.is_empty();
            let mut others = others.into_iter();
            let wrong = others.find(|step| self.step(*step).undo.is_some() || began(*step))?;
            Some(format!("step {} was not to be taken back", wrong.0))
        })
    }

    fn undo_end_refused(&self, step: StepIndex) -> Option<String> {
        let spec = self.facts.definition.step(step);
        let (retry, timed) = spec
            .undo
            .as_ref()
            .map(|undo| (&undo.retry, undo.timeout.is_some()))?;
        let (done, tries) = self.step(step).undo.unwrap_or_default();
        let bodies = &self.facts.steps[step.at()].undos;
        let ways = self.by_attempts(spec, bodies, tries, (retry, timed));
        let may = |end| ways.iter().any(|way| way.end == end);
        let skipped = |order: &Order<'_>| (*order == Order::SkipUndo(step)).then_some(());
        let given_up = self.facts.said(skipped).is_some();
        let allowed = match done {
            Some(true) => may(End::Succeeded) && !given_up,
            Some(false) => may(End::Failed) || given_up,
            None => false,
        };
        let often = tries.executed > retry.max_attempts || tries.lost > retry.max_lost + 1;
        let refused = !allowed || often || self.unaccounted(bodies, tries);
        refused.then(|| {
            format!(
                "the undo of {} is {done:?} ({tries:?}), and may {ways:?}",
                spec.name
            )
        })
    }
}
