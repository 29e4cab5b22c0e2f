//! Writing a plan down in Rust, option by option.
//!
//! Invariant: holds what was written; [`PlanDraft::check`] judges it as a whole.

use std::time::Duration;

use super::{DraftCatchUp, Overlap, PlanDraft};
use crate::cron::{GapPolicy, RepeatedHourPolicy};
use crate::time::Timestamp;

impl PlanDraft {
    /// Without an expression: a scheduler of the host's own says when.
    pub fn external() -> PlanDraft {
        PlanDraft::default()
    }

    /// What becomes of occurrences that were missed, as nobody was there when they were due: nothing, without it.
    #[must_use]
    pub fn catch_up(mut self, catch_up: DraftCatchUp) -> PlanDraft {
        self.catch_up = Some(catch_up);
        self
    }

    /// What becomes of an occurrence when the run before has not ended: it starts a run all the same, without it.
    #[must_use]
    pub fn overlap(mut self, overlap: Overlap) -> PlanDraft {
        self.overlap = Some(overlap);
        self
    }

    /// How late an occurrence may be without having been missed; a minute, without it.
    #[must_use]
    pub fn grace(mut self, grace: Duration) -> PlanDraft {
        self.grace = Some(grace.into());
        self
    }

    /// By how much each occurrence may be put off, so that not all schedules fire at once; not at all, without it.
    #[must_use]
    pub fn jitter(mut self, jitter: Duration) -> PlanDraft {
        self.jitter = Some(jitter.into());
        self
    }

    /// No occurrence before this instant counts.
    #[must_use]
    pub fn start(mut self, start: Timestamp) -> PlanDraft {
        self.start = Some(start);
        self
    }

    /// No occurrence at or after this instant counts.
    #[must_use]
    pub fn end(mut self, end: Timestamp) -> PlanDraft {
        self.end = Some(end);
        self
    }

    /// What becomes of times that the clocks jump over; by the expression, without it.
    #[must_use]
    pub fn gap(mut self, gap: GapPolicy) -> PlanDraft {
        self.gap = Some(gap);
        self
    }

    /// What becomes of times that the clocks pass twice; by the expression, without it.
    #[must_use]
    pub fn repeated_hour(mut self, repeated_hour: RepeatedHourPolicy) -> PlanDraft {
        self.repeated_hour = Some(repeated_hour);
        self
    }
}
