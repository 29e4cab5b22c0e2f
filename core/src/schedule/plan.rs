//! What somebody declared of a schedule: when it fires, and what happens when it is late or the run before goes on.
//!
//! Invariant: a plan that was made keeps within every bound, and reads back from its JSON.

mod draft;
mod options;

use std::num::NonZeroU32;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

pub use draft::{DraftCatchUp, InvalidPlan, PlanDraft};

use super::ScheduleId;
use crate::cron::{Calendar, Zone};
use crate::limits;
use crate::time::Timestamp;

/// What somebody declared of a schedule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "PlanDraft", into = "PlanDraft")]
pub struct Plan {
    /// When it fires.
    pub timing: Timing,
    /// No occurrence before this instant counts.
    pub start: Option<Timestamp>,
    /// No occurrence at or after this instant counts.
    pub end: Option<Timestamp>,
    /// Each occurrence fires up to this much later, by a hash of schedule and occurrence, so that not all fire at once.
    pub jitter: Duration,
    /// What becomes of occurrences that were missed.
    pub catch_up: CatchUp,
    /// An occurrence that is this much late, or less, is on time.
    pub grace: Duration,
    /// What becomes of an occurrence when the run before has not ended.
    pub overlap: Overlap,
}

/// When a schedule fires.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Timing {
    /// By the calendar.
    Cron(Calendar),
    /// Never by itself: a scheduler of the host's own says when.
    External,
}

/// What becomes of occurrences that were missed: that are later than the grace allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CatchUp {
    /// Nothing: they start no run.
    #[default]
    Skip,
    /// The newest of them starts a run.
    Latest,
    /// The newest so many start a run each, in order; at most [`limits::CATCH_UP`].
    All(NonZeroU32),
}

impl CatchUp {
    /// How many of the missed occurrences start a run.
    pub const fn most(self) -> u32 {
        match self {
            CatchUp::Skip => 0,
            CatchUp::Latest => 1,
            CatchUp::All(most) => most.get(),
        }
    }
}

/// What becomes of an occurrence when the run before has not ended.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Overlap {
    /// It starts a run all the same.
    #[default]
    Allow,
    /// It starts none.
    Skip,
    /// It waits for the end of that run; further ones start none while one waits.
    QueueOne,
    /// That run is cancelled, and the occurrence waits for its end; a newer one takes its place.
    CancelRunning,
}

impl Overlap {
    /// Every policy.
    pub const ALL: [Overlap; 4] = [
        Overlap::Allow,
        Overlap::Skip,
        Overlap::QueueOne,
        Overlap::CancelRunning,
    ];

    /// The stable word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Overlap::Allow => "allow",
            Overlap::Skip => "skip",
            Overlap::QueueOne => "queue_one",
            Overlap::CancelRunning => "cancel_running",
        }
    }
}

impl Plan {
    /// A plan with everything else as it is by default.
    pub fn new(timing: Timing) -> Plan {
        Plan {
            timing,
            start: None,
            end: None,
            jitter: Duration::ZERO,
            catch_up: CatchUp::default(),
            grace: limits::FIRING_GRACE_DEFAULT,
            overlap: Overlap::default(),
        }
    }

    /// The zone of its expression, if it has one.
    pub fn zone(&self) -> Option<Zone> {
        match &self.timing {
            Timing::Cron(calendar) => Some(calendar.zone()),
            Timing::External => None,
        }
    }

    /// Whether another plan has the same occurrences, due at the same times.
    pub fn fires_like(&self, other: &Plan) -> bool {
        let times = |plan: &Plan| (plan.timing.clone(), plan.start, plan.end, plan.jitter);
        times(self) == times(other)
    }

    /// The first occurrence after `after`, if there is one before the plan ends.
    pub fn next_after(&self, after: Timestamp) -> Option<Timestamp> {
        let Timing::Cron(calendar) = &self.timing else {
            return None;
        };
        // An occurrence at the very start counts.
        let from = match self.start {
            Some(start) => after.max(start.minus(Duration::from_micros(1))),
            None => after,
        };
        let next = calendar.next_after(from)?.at;
        self.end.is_none_or(|end| next < end).then_some(next)
    }

    /// The last occurrence at or before `until`, if there is one.
    pub fn last_at_or_before(&self, until: Timestamp) -> Option<Timestamp> {
        let Timing::Cron(calendar) = &self.timing else {
            return None;
        };
        let last = calendar.last_at_or_before(self.until(until))?.at;
        self.start.is_none_or(|start| last >= start).then_some(last)
    }

    /// The newest `most` occurrences after `after` up to `until`, in order.
    pub(super) fn newest(&self, most: u32, after: Timestamp, until: Timestamp) -> Vec<Timestamp> {
        let mut newest = Vec::new();
        let mut until = Some(until);
        while let Some(last) = until.and_then(|until| self.last_at_or_before(until))
            && last > after
            && newest.len() < usize::try_from(most).unwrap_or(usize::MAX)
        {
            newest.push(last);
            until = Some(last.minus(Duration::from_micros(1)));
        }
        newest.reverse();
        newest
    }

    fn until(&self, until: Timestamp) -> Timestamp {
        match self.end {
            Some(end) => until.min(end.minus(Duration::from_micros(1))),
            None => until,
        }
    }

    /// What the clocks of the zone show at an occurrence, taken for an instant. Only a mutant asks for it.
    pub(super) fn wall_clock(&self, at: Timestamp) -> Timestamp {
        let firing = match &self.timing {
            Timing::Cron(calendar) => calendar.last_at_or_before(at),
            Timing::External => None,
        };
        let local = firing.map(|firing| firing.local.and_utc().timestamp_micros());
        local.map_or(at, Timestamp::from_micros)
    }

    /// When an occurrence is due.
    pub fn due(&self, schedule: ScheduleId, occurrence: Timestamp) -> Timestamp {
        let span = u64::try_from(self.jitter.as_micros()).unwrap_or(u64::MAX);
        if span == 0 {
            return occurrence;
        }
        let mut hash = Sha256::new();
        hash.update(b"squid-mesh jitter of a schedule\0");
        hash.update(schedule.as_u128().to_be_bytes());
        hash.update(occurrence.as_micros().to_be_bytes());
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&hash.finalize()[..8]);
        occurrence.plus(Duration::from_micros(
            u64::from_be_bytes(bytes) % span.saturating_add(1),
        ))
    }

    /// Whether this is one of the plan's occurrences. Of a schedule that others fire, every instant within its span is.
    pub fn has(&self, at: Timestamp) -> bool {
        match &self.timing {
            Timing::Cron(_) => self.last_at_or_before(at) == Some(at),
            Timing::External => {
                self.start.is_none_or(|start| at >= start) && self.end.is_none_or(|end| at < end)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::schedule::ScheduleKey;

    fn plan(draft: &PlanDraft) -> Plan {
        draft.check().unwrap()
    }

    fn daily() -> PlanDraft {
        PlanDraft::cron("0 9 * * *", "UTC")
    }

    fn hours(hours: i64) -> Timestamp {
        Timestamp::from_micros(hours * 3_600_000_000)
    }

    #[test]
    fn a_plan_reads_back_from_its_json_with_defaults_written_out() {
        let rich = PlanDraft {
            gap: Some(crate::cron::GapPolicy::Skip),
            start: Some(hours(1)),
            end: Some(hours(100)),
            jitter: Some("90s".parse().unwrap()),
            catch_up: Some(DraftCatchUp::All(3)),
            grace: Some("5m".parse().unwrap()),
            overlap: Some(Overlap::CancelRunning),
            ..daily()
        };
        for draft in [daily(), rich, PlanDraft::default()] {
            let plan = plan(&draft);
            assert_eq!(Plan::stored(&plan.to_json()).unwrap(), plan);
        }
        assert_eq!(
            plan(&daily()).to_json(),
            r#"{"cron":"0 9 * * *","zone":"UTC","gap":"fire_after","repeated_hour":"first","jitter":"0s","catch_up":"skip","grace":"1m","overlap":"allow"}"#
        );
    }

    #[test]
    fn everything_that_is_wrong_is_said_and_what_is_at_its_limit_is_taken() {
        let fields = |draft: &PlanDraft| -> Vec<&str> {
            let problems = draft.check().err().unwrap_or_default();
            problems.iter().map(|problem| problem.field).collect()
        };
        let spans = |jitter: &str, grace: &str| PlanDraft {
            jitter: Some(jitter.parse().unwrap()),
            grace: Some(grace.parse().unwrap()),
            ..daily()
        };
        let all = |most| PlanDraft {
            catch_up: Some(DraftCatchUp::All(most)),
            ..daily()
        };
        let within = |start, end| PlanDraft {
            start: Some(hours(start)),
            end: Some(hours(end)),
            ..daily()
        };
        let external = PlanDraft {
            overlap: Some(Overlap::Skip),
            ..PlanDraft::default()
        };
        let zone = PlanDraft {
            zone: Some("UTC".to_owned()),
            ..PlanDraft::default()
        };
        let table = [
            (daily(), vec![]),
            (spans("24h", "315576000s"), vec![]),
            (spans("24h1us", "315576000s1us"), vec!["jitter", "grace"]),
            (spans("-1s", "-1us"), vec!["jitter", "grace"]),
            (all(limits::CATCH_UP), vec![]),
            (all(limits::CATCH_UP + 1), vec!["catch_up"]),
            (all(0), vec!["catch_up"]),
            (within(1, 2), vec![]),
            (within(2, 2), vec!["end"]),
            (external, vec!["overlap"]),
            (zone, vec!["cron"]),
            (PlanDraft::cron("x", "y"), vec!["cron", "zone"]),
        ];
        for (draft, expected) in table {
            assert_eq!(fields(&draft), expected, "{draft:?}");
        }
    }

    #[test]
    fn occurrences_are_those_from_the_start_up_to_the_end() {
        let plan = plan(&PlanDraft {
            start: Some(hours(9)),
            end: Some(hours(57)),
            ..daily()
        });
        assert_eq!(
            plan.next_after(hours(-100)),
            Some(hours(9)),
            "the start counts"
        );
        assert_eq!(plan.next_after(hours(9)), Some(hours(33)));
        assert_eq!(plan.next_after(hours(33)), None, "the end does not");
        assert_eq!(plan.last_at_or_before(hours(1_000)), Some(hours(33)));
        assert_eq!(plan.last_at_or_before(hours(8)), None);
        assert_eq!(plan.newest(9, hours(9), hours(1_000)), [hours(33)]);
        assert_eq!(
            plan.newest(9, hours(-1), hours(1_000)),
            [hours(9), hours(33)]
        );
        assert_eq!(plan.newest(1, hours(-1), hours(1_000)), [hours(33)]);
        assert!(plan.has(hours(33)) && !plan.has(hours(57)) && !plan.has(hours(34)));
    }

    proptest! {
        #[test]
        fn jitter_is_the_same_each_time_and_within_its_bound(seconds in 0..86_400_u64, occurrence in any::<i32>()) {
            let mut plan = plan(&daily());
            plan.jitter = Duration::from_secs(seconds);
            let id = ScheduleKey::Named("nightly".to_owned()).id();
            let at = Timestamp::from_micros(i64::from(occurrence) * 1_000_000);
            let due = plan.due(id, at);
            prop_assert!(due >= at && due <= at.plus(plan.jitter));
            prop_assert_eq!(due, plan.due(id, at));
        }
    }
}
