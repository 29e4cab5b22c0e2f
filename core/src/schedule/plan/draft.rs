//! Plans as they are written down, and as JSON.
//!
//! Invariant: what is read keeps within every bound, and what is written reads back as the same plan.

use std::num::NonZeroU32;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{CatchUp, Overlap, Plan, Timing};
use crate::cron::{Calendar, Expression, GapPolicy, RepeatedHourPolicy, Zone};
use crate::definition::DraftSpan;
use crate::limits;
use crate::time::Timestamp;
use crate::transition::DecodeError;

/// What is wrong with a plan: the field, and what it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct InvalidPlan {
    /// The field.
    pub field: &'static str,
    /// What is wrong with it. Of an expression, it says at which position.
    pub problem: String,
}

/// A plan as somebody writes it down: it can hold what [`PlanDraft::check`] then refuses. Its fields are those of its JSON form.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PlanDraft {
    /// The expression. Without one, a scheduler of the host's own fires the schedule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cron: Option<String>,
    /// The IANA time zone of the expression; UTC if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// What becomes of times that the clocks jump over; by the expression if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gap: Option<GapPolicy>,
    /// What becomes of times that the clocks pass twice; by the expression if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repeated_hour: Option<RepeatedHourPolicy>,
    /// No occurrence before this instant counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start: Option<Timestamp>,
    /// No occurrence at or after this instant counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end: Option<Timestamp>,
    /// Each occurrence fires up to this much later; at its time if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jitter: Option<DraftSpan>,
    /// What becomes of occurrences that were missed; nothing if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub catch_up: Option<DraftCatchUp>,
    /// An occurrence that is this much late, or less, is on time; a minute if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grace: Option<DraftSpan>,
    /// What becomes of an occurrence when the run before has not ended; it starts a run all the same if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overlap: Option<Overlap>,
}

/// What becomes of occurrences that were missed, as somebody writes it down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DraftCatchUp {
    /// They start no run.
    Skip,
    /// The newest of them starts a run.
    Latest,
    /// The newest so many start a run each.
    All(u32),
}

impl From<&Plan> for PlanDraft {
    /// Everything is written out, defaults included.
    fn from(plan: &Plan) -> PlanDraft {
        let calendar = match &plan.timing {
            Timing::Cron(calendar) => Some(calendar),
            Timing::External => None,
        };
        PlanDraft {
            cron: calendar.map(|calendar| calendar.expression().to_string()),
            zone: calendar.map(|calendar| calendar.zone().to_string()),
            gap: calendar.map(Calendar::gap),
            repeated_hour: calendar.map(Calendar::repeated_hour),
            start: plan.start,
            end: plan.end,
            jitter: Some(DraftSpan::from(plan.jitter)),
            catch_up: Some(match plan.catch_up {
                CatchUp::Skip => DraftCatchUp::Skip,
                CatchUp::Latest => DraftCatchUp::Latest,
                CatchUp::All(most) => DraftCatchUp::All(most.get()),
            }),
            grace: Some(DraftSpan::from(plan.grace)),
            overlap: Some(plan.overlap),
        }
    }
}

impl PlanDraft {
    /// By an expression in a zone, everything else as it is by default.
    pub fn cron(expression: impl Into<String>, zone: impl Into<String>) -> PlanDraft {
        PlanDraft {
            cron: Some(expression.into()),
            zone: Some(zone.into()),
            ..PlanDraft::default()
        }
    }

    /// The plan that it says.
    ///
    /// # Errors
    /// Everything that is wrong with it, in the order of the fields.
    pub fn check(&self) -> Result<Plan, Vec<InvalidPlan>> {
        let mut problems = Vec::new();
        let timing = self.timing(&mut problems);
        if let (Some(start), Some(end)) = (self.start, self.end)
            && end <= start
        {
            problems.push(invalid(
                "end",
                format!("{end} is not after the start, {start}"),
            ));
        }
        let jitter = bounded("jitter", self.jitter, Duration::ZERO, limits::JITTER_MAX);
        let grace = self.grace;
        let grace = bounded(
            "grace",
            grace,
            limits::FIRING_GRACE_DEFAULT,
            limits::SPAN_MAX,
        );
        let catch_up = self.bounded_catch_up();
        let overlap = self.overlap.unwrap_or_default();
        if timing == Some(Timing::External) && overlap != Overlap::Allow {
            let problem = "whoever fires a schedule without an expression sees to overlaps";
            problems.push(invalid("overlap", problem.to_owned()));
        }
        let mut taken = |part: Result<Duration, InvalidPlan>| match part {
            Ok(span) => span,
            Err(problem) => {
                problems.push(problem);
                Duration::ZERO
            }
        };
        let (jitter, grace) = (taken(jitter), taken(grace));
        let catch_up = catch_up.unwrap_or_else(|problem| {
            problems.push(problem);
            CatchUp::Skip
        });
        match timing {
            Some(timing) if problems.is_empty() => Ok(Plan {
                timing,
                start: self.start,
                end: self.end,
                jitter,
                catch_up,
                grace,
                overlap,
            }),
            _ => Err(problems),
        }
    }

    fn timing(&self, problems: &mut Vec<InvalidPlan>) -> Option<Timing> {
        let Some(cron) = &self.cron else {
            if self.zone.is_some() || self.gap.is_some() || self.repeated_hour.is_some() {
                let problem = "zone, gap and repeated_hour need an expression in cron";
                problems.push(invalid("cron", problem.to_owned()));
                return None;
            }
            return Some(Timing::External);
        };
        let expression = Expression::parse(cron)
            .map_err(|error| problems.push(invalid("cron", error.to_string())));
        let zone = match &self.zone {
            Some(zone) => {
                Zone::parse(zone).map_err(|error| problems.push(invalid("zone", error.to_string())))
            }
            None => Ok(Zone::UTC),
        };
        let mut calendar = Calendar::new(expression.ok()?, zone.ok()?);
        if let Some(gap) = self.gap {
            calendar = calendar.with_gap(gap);
        }
        if let Some(repeated_hour) = self.repeated_hour {
            calendar = calendar.with_repeated_hour(repeated_hour);
        }
        Some(Timing::Cron(calendar))
    }

    fn bounded_catch_up(&self) -> Result<CatchUp, InvalidPlan> {
        let most = match self.catch_up {
            None | Some(DraftCatchUp::Skip) => return Ok(CatchUp::Skip),
            Some(DraftCatchUp::Latest) => return Ok(CatchUp::Latest),
            Some(DraftCatchUp::All(most)) => most,
        };
        let bound = NonZeroU32::new(most).filter(|_| most <= limits::CATCH_UP);
        bound.map(CatchUp::All).ok_or_else(|| {
            let limit = limits::CATCH_UP;
            invalid(
                "catch_up",
                format!("all needs a bound of 1 to {limit}, found {most}"),
            )
        })
    }
}

fn bounded(
    field: &'static str,
    given: Option<DraftSpan>,
    default: Duration,
    limit: Duration,
) -> Result<Duration, InvalidPlan> {
    let Some(given) = given else {
        return Ok(default);
    };
    let span = given.to_duration().filter(|span| *span <= limit);
    span.ok_or_else(|| {
        let limit = DraftSpan::from(limit);
        invalid(field, format!("{given} is not within 0s and {limit}"))
    })
}

fn invalid(field: &'static str, problem: String) -> InvalidPlan {
    InvalidPlan { field, problem }
}

impl From<Plan> for PlanDraft {
    fn from(plan: Plan) -> PlanDraft {
        PlanDraft::from(&plan)
    }
}

impl TryFrom<PlanDraft> for Plan {
    type Error = InvalidPlan;

    fn try_from(draft: PlanDraft) -> Result<Plan, InvalidPlan> {
        draft.check().map_err(|mut problems| problems.remove(0))
    }
}

impl Plan {
    /// The plan as JSON, defaults written out.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("a plan is plain data, which JSON can always hold")
    }

    /// Takes a plan back from a store. One that this engine cannot read was written by a newer one, or by none.
    pub(in crate::schedule) fn stored(json: &str) -> Result<Plan, DecodeError> {
        serde_json::from_str(json).map_err(|_| DecodeError::Corrupt)
    }
}
