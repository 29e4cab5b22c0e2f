//! Runs as a reader of the journal who knows the semantics would expect them to be.
//!
//! Invariant: progress here follows from events and definitions alone; the engine's changes are compared with it.

use std::sync::Arc;
use std::time::Duration;

use squid_mesh_core::definition::{Definition, StepIndex};
use squid_mesh_core::id::CommandId;
use squid_mesh_core::operation::Start;
use squid_mesh_core::payload::{Payload, PayloadDigest};
use squid_mesh_core::run::{Run, Seq, Status};
use squid_mesh_core::task::Fence;
use squid_mesh_core::time::Timestamp;

/// One run.
#[derive(Debug, Clone)]
pub struct GhostRun {
    /// What it runs.
    pub definition: Arc<Definition>,
    /// The start that made it.
    pub start: Box<Start>,
    /// The fold of its journal so far.
    pub fold: Run,
    /// Its last transition.
    pub seq: Seq,
    /// When that was.
    pub at: Timestamp,
    /// When its first steps were due.
    pub base: Timestamp,
    /// When it must have ended.
    pub deadline: Option<Timestamp>,
    /// Its steps.
    pub steps: Vec<GhostStep>,
    /// The cancel that came first.
    pub cancel: Option<(CommandId, Seq)>,
    /// Whether a forced cancel came.
    pub forced: bool,
    /// What it is heading for, once it is ending.
    pub winding: Option<Winding>,
    /// How it ended.
    pub ended: Option<Status>,
    /// Whether its snapshot was damaged.
    pub unreadable: bool,
}

/// What a run is heading for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Winding {
    /// All steps have succeeded.
    Completed,
    /// A step has failed for good, or the deadline has come.
    Failed,
    /// Somebody cancelled it.
    Cancelled,
}

/// One step.
#[derive(Debug, Clone, Default)]
pub struct GhostStep {
    /// Where it stands.
    pub progress: Progress,
    /// Attempts that reported.
    pub executed: u32,
    /// Attempts that were lost.
    pub lost: u32,
    /// The last report: under which claim, and what.
    pub reported: Option<(Fence, PayloadDigest)>,
    /// Its output.
    pub output: Option<Payload>,
    /// Bodies that began.
    pub begun: u32,
    /// The scheduling of it that was claimed last.
    pub claimed: Option<Seq>,
}

/// Where a step stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Progress {
    /// Something it needs is missing.
    #[default]
    Blocked,
    /// May be claimed from then on.
    Scheduled(Timestamp),
    /// A wait that ends then.
    Waiting(Timestamp),
    /// Ended with a result.
    Succeeded,
    /// Failed for good.
    Failed,
    /// Ended with the run.
    Cancelled,
}

impl Progress {
    /// Whether it has ended.
    pub fn is_settled(self) -> bool {
        matches!(
            self,
            Progress::Succeeded | Progress::Failed | Progress::Cancelled
        )
    }
}

impl GhostRun {
    /// Whether steps may still become ready.
    pub fn is_open(&self) -> bool {
        self.winding.is_none() && self.ended.is_none()
    }

    /// Whether everything that a step needs is there.
    pub fn is_ready(&self, step: StepIndex) -> bool {
        let spec = self.definition.step(step);
        let progress = |index: &StepIndex| self.steps[index.at()].progress;
        spec.needs
            .iter()
            .all(|need| progress(need) == Progress::Succeeded)
            && spec
                .after
                .iter()
                .all(|before| progress(before).is_settled())
    }

    /// The shortest and the longest time that may pass before the next attempt, after `executed` of them have failed:
    /// the semantics once more, independent of the engine's arithmetic.
    pub fn retry_delay(&self, step: StepIndex, executed: u32) -> (Duration, Duration) {
        use squid_mesh_core::definition::BackoffKind;
        let backoff = &self.definition.step(step).retry.backoff;
        let (min, max) = (backoff.min.as_micros(), backoff.max.as_micros());
        let whole = match backoff.kind {
            BackoffKind::None => 0,
            BackoffKind::Constant => min,
            BackoffKind::Linear => (min * u128::from(executed)).min(max),
            BackoffKind::Exponential => {
                let factor = u128::from(backoff.factor_thousandths);
                let grown = (1..executed).fold(min * 1_000, |delay, _| {
                    (delay * factor / 1_000).min(max * 1_000)
                });
                (grown / 1_000).min(max)
            }
        };
        let least = whole * u128::from(1_000 - backoff.jitter_thousandths.min(1_000)) / 1_000;
        let micros = |span: u128| Duration::from_micros(u64::try_from(span).unwrap_or(u64::MAX));
        // The engine rounds once at the end, this rounds at every step.
        let slack = Duration::from_micros(10);
        (micros(least).saturating_sub(slack), micros(whole) + slack)
    }
}
