//! The retry of a step.
//!
//! Invariant: a checked backoff has a positive minimum, a maximum not below it and a factor of at least one; fields that its kind
//! does not use hold their neutral value, so that equal behaviour is equal data.

use std::time::Duration;

use super::super::draft::{DraftBackoff, DraftRetry};
use super::super::problem::ProblemCode;
use super::super::reader;
use super::super::retry::{Backoff, BackoffKind, Retry};
use super::super::span::DraftSpan;
use super::{Checker, too_many};
use crate::limits;

const MIN_DEFAULT: DraftSpan = DraftSpan::from_micros(1_000_000);
const MAX_DEFAULT: DraftSpan = DraftSpan::from_micros(3_600_000_000);
const FACTOR_DEFAULT: u32 = 2_000;

impl Checker<'_> {
    pub(super) fn retry(&mut self, path: &str, draft: &DraftRetry) -> Option<Retry> {
        let max_lost = draft.max_lost.unwrap_or(limits::MAX_LOST_DEFAULT);
        let at = reader::field(path, "max_attempts");
        if draft.max_attempts == 0 {
            let message = "max_attempts is 0: a step is executed at least once";
            self.report(&at, ProblemCode::InvalidRetry, message);
        }
        self.count(&at, "attempts", draft.max_attempts);
        self.count(&reader::field(path, "max_lost"), "lost attempts", max_lost);
        let backoff = match &draft.backoff {
            Some(backoff) => self.backoff(&reader::field(path, "backoff"), backoff),
            None => Some(Backoff::NONE),
        };
        Some(Retry {
            max_attempts: draft.max_attempts,
            max_lost,
            backoff: backoff?,
        })
    }

    fn count(&mut self, path: &str, what: &str, found: u32) {
        let count = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
        self.problems
            .extend(too_many(path, what, count(found), count(limits::ATTEMPTS)));
    }

    fn backoff(&mut self, path: &str, draft: &DraftBackoff) -> Option<Backoff> {
        let at = |key: &str| reader::field(path, key);
        let kind = draft.kind;
        if kind == BackoffKind::None {
            for (key, given) in [("min", draft.min.is_some()), ("max", draft.max.is_some())] {
                self.without_effect(&at(key), kind, given);
            }
            self.without_effect(&at("factor"), kind, draft.factor_thousandths.is_some());
            self.without_effect(&at("jitter"), kind, draft.jitter_thousandths.is_some());
            return Some(Backoff::NONE);
        }
        let min = draft.min.unwrap_or(MIN_DEFAULT);
        if min <= DraftSpan::ZERO {
            self.report(
                &at("min"),
                ProblemCode::InvalidRetry,
                format!("min is {min}: it must be above zero"),
            );
        }
        let max = self.backoff_max(&at("max"), draft, min);
        let factor = self.backoff_factor(&at("factor"), draft);
        let jitter = draft.jitter_thousandths.unwrap_or(0);
        if jitter > 1_000 {
            let message = "jitter is above 1: a delay cannot be shortened by more than itself";
            self.report(&at("jitter"), ProblemCode::InvalidRetry, message);
        }
        Some(Backoff {
            kind,
            min: self.pause(&at("min"), min)?,
            max: self.pause(&at("max"), max)?,
            factor_thousandths: factor,
            jitter_thousandths: jitter,
        })
    }

    fn backoff_max(&mut self, path: &str, draft: &DraftBackoff, min: DraftSpan) -> DraftSpan {
        let constant = draft.kind == BackoffKind::Constant;
        let usual = if constant { min } else { min.max(MAX_DEFAULT) };
        let max = draft.max.unwrap_or(usual);
        if max < min {
            let message = format!("max is {max}: it must not be below min, which is {min}");
            self.report(path, ProblemCode::InvalidRetry, message);
        } else {
            self.without_effect(path, draft.kind, constant && max != min);
        }
        max
    }

    fn backoff_factor(&mut self, path: &str, draft: &DraftBackoff) -> u32 {
        let grows = draft.kind == BackoffKind::Exponential;
        let usual = if grows { FACTOR_DEFAULT } else { 1_000 };
        let factor = draft.factor_thousandths.unwrap_or(usual);
        if factor < 1_000 {
            self.report(
                path,
                ProblemCode::InvalidRetry,
                "factor is below 1: delays must not shrink",
            );
        } else {
            self.without_effect(path, draft.kind, !grows && factor != 1_000);
        }
        factor
    }

    fn pause(&mut self, path: &str, span: DraftSpan) -> Option<Duration> {
        if span > DraftSpan::from(limits::SPAN_MAX) {
            self.report(
                path,
                ProblemCode::InvalidRetry,
                format!("{span} is more than ten years"),
            );
        }
        span.to_duration()
    }

    fn without_effect(&mut self, path: &str, kind: BackoffKind, given: bool) {
        if given {
            let message = format!("it has no effect on a backoff of kind {:?}", kind.as_str());
            self.report(path, ProblemCode::OptionWithoutEffect, message);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::tests::{changed, one_step, problem};
    use super::*;
    use crate::definition::Definition;

    #[test]
    fn a1_6_a_backoff_that_no_retry_can_follow_has_one_problem_for_each_fault() {
        let backoff = |form: Value| changed(|draft| draft["steps"][1]["retry"]["backoff"] = form);
        let at = |key: &str| {
            vec![problem(
                &format!("steps[1].retry.backoff.{key}"),
                "invalid_retry",
            )]
        };
        for kind in ["exponential", "linear", "constant"] {
            assert_eq!(backoff(json!({"kind": kind, "min": "0s"})), at("min"));
            assert_eq!(backoff(json!({"kind": kind, "min": "-1s"})), at("min"));
            assert_eq!(
                backoff(json!({"kind": kind, "min": "2s", "max": "1s"})),
                at("max")
            );
            assert_eq!(backoff(json!({"kind": kind, "factor": 0.5})), at("factor"));
            assert_eq!(
                backoff(json!({"kind": kind, "min": "1s", "max": "1s", "factor": 1})),
                []
            );
            assert_eq!(
                backoff(json!({"kind": kind, "jitter": 1.001})),
                at("jitter")
            );
            assert_eq!(backoff(json!({"kind": kind})), []);
        }
        assert_eq!(backoff(json!({"kind": "none"})), []);
    }

    #[test]
    fn a_backoff_option_that_its_kind_does_not_use_is_a_problem() {
        let backoff = |form: Value| changed(|draft| draft["steps"][1]["retry"]["backoff"] = form);
        let at = |key: &str| {
            problem(
                &format!("steps[1].retry.backoff.{key}"),
                "option_without_effect",
            )
        };
        assert_eq!(
            backoff(json!({"kind": "linear", "factor": 2})),
            [at("factor")]
        );
        assert_eq!(
            backoff(json!({"kind": "constant", "min": "1s", "max": "2s"})),
            [at("max")]
        );
        assert_eq!(
            backoff(json!({"kind": "none", "min": "1s", "max": "1s", "factor": 1, "jitter": 0})),
            [at("min"), at("max"), at("factor"), at("jitter")]
        );
    }

    #[test]
    fn a_backoff_without_options_grows_from_a_second_to_an_hour_by_two() {
        let mut draft = one_step();
        draft.steps[0].retry = Some(DraftRetry::exponential(5));
        let retry = Definition::validate(draft).unwrap().steps()[0].retry;
        let backoff = Backoff {
            kind: BackoffKind::Exponential,
            min: Duration::from_secs(1),
            max: Duration::from_secs(3_600),
            factor_thousandths: 2_000,
            jitter_thousandths: 0,
        };
        assert_eq!(
            retry,
            Retry {
                max_attempts: 5,
                backoff,
                ..Retry::once()
            }
        );
    }
}
