//! What an attempt returned, made fit to be stored.
//!
//! Invariant: a report made from here is accepted by every store: payloads are within their limit and free of NUL, codes
//! and messages are cut.

use super::{AttemptFailure, Returned};
use crate::definition::LabelIndex;
use crate::event::{Failure, code};
use crate::limits;
use crate::operation::Outcome;
use crate::payload::{Payload, has_nul};

/// The outcome of an attempt that returned `result`. An output that cannot be stored is a failure of the step; details of
/// a failure that cannot be stored are dropped, since the failure itself matters more.
pub(super) fn outcome(
    result: Result<Returned, AttemptFailure>,
    way: impl Fn(&str) -> Option<LabelIndex>,
    limit: usize,
) -> Outcome {
    match result {
        Ok(Returned { output, label }) => {
            match check(&output, limit).and_then(|()| known(label.as_deref(), way)) {
                Ok(label) => Outcome::Succeeded { output, label },
                Err(failure) => Outcome::Failed {
                    failure,
                    details: None,
                },
            }
        }
        Err(AttemptFailure { failure, details }) => {
            let details = details.filter(|details| check(details, limit).is_ok());
            Outcome::Failed {
                failure: bounded(failure, details.as_ref()),
                details,
            }
        }
    }
}

fn known(
    label: Option<&str>,
    way: impl Fn(&str) -> Option<LabelIndex>,
) -> Result<Option<LabelIndex>, Failure> {
    let Some(label) = label else {
        return Ok(None);
    };
    way(label).map(Some).ok_or_else(|| {
        let shown: String = label.chars().take(80).collect();
        let message =
            format!("the handler returned the label {shown:?}, which its step does not declare");
        Failure::new(code::UNKNOWN_LABEL, &message, false)
    })
}

pub(super) fn check(payload: &Payload, limit: usize) -> Result<(), Failure> {
    check_size(payload.bytes().len(), limit)?;
    if has_nul(payload.bytes()) {
        let message = "the output has a NUL character in a string, which not every store can hold";
        return Err(Failure::new(code::INVALID_OUTPUT, message, false));
    }
    Ok(())
}

pub(super) fn check_size(size: usize, limit: usize) -> Result<(), Failure> {
    if size > limit {
        let message = format!("the output has {size} bytes, the limit is {limit}");
        return Err(Failure::new(code::PAYLOAD_TOO_LARGE, &message, false));
    }
    Ok(())
}

fn bounded(failure: Failure, details: Option<&Payload>) -> Failure {
    let fits = failure.code.len() <= limits::FAILURE_CODE_BYTES
        && failure.message.len() <= limits::FAILURE_MESSAGE_BYTES;
    let kept = if fits {
        failure
    } else {
        let cut = Failure::new(&failure.code, &failure.message, failure.retryable);
        Failure {
            retry_after: failure.retry_after,
            ..cut
        }
    };
    Failure {
        details: details.map(Payload::digest),
        ..kept
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn payload(text: &str) -> Payload {
        Payload::new(text.as_bytes())
    }

    fn stored(result: Result<Payload, AttemptFailure>, limit: usize) -> Outcome {
        outcome(result.map(Returned::from), |_| None, limit)
    }

    fn succeeded(output: Payload) -> Outcome {
        let label = None;
        Outcome::Succeeded { output, label }
    }

    fn failure_code(outcome: &Outcome) -> Option<(&str, bool)> {
        match outcome {
            Outcome::Failed { failure, .. } => Some((&failure.code, failure.retryable)),
            Outcome::Succeeded { .. }
            | Outcome::Conflicted
            | Outcome::Unreadable { .. }
            | Outcome::Engine(_)
            | Outcome::Found(_)
            | Outcome::Spawn(_)
            | Outcome::Collected { .. }
            | Outcome::Recall { .. }
            | Outcome::ChildEnded { .. }
            | Outcome::Released { .. }
            | Outcome::Fired { .. } => None,
        }
    }

    #[test]
    fn a5_8_an_output_at_the_payload_limit_is_accepted_and_one_byte_more_fails_without_a_retry() {
        let limit = limits::PAYLOAD_BYTES_DEFAULT;
        let at = Payload::new(vec![b'1'; limit]);
        assert_eq!(stored(Ok(at.clone()), limit), succeeded(at));
        let above = stored(Ok(Payload::new(vec![b'1'; limit + 1])), limit);
        assert_eq!(failure_code(&above), Some(("payload_too_large", false)));
    }

    #[test]
    fn an_output_with_a_nul_character_fails_without_a_retry() {
        for text in [r#""\u0000""#, r#"{"a":"b\\\u0000"}"#, "\"\0\""] {
            let outcome = stored(Ok(payload(text)), 100);
            assert_eq!(
                failure_code(&outcome),
                Some(("invalid_output", false)),
                "{text}"
            );
        }
        for text in [
            r#""\\u0000""#,
            r#""\u0001""#,
            r#""u0000""#,
            r#""\\\\u0000""#,
            "\"a\\",
            "",
        ] {
            assert_eq!(
                stored(Ok(payload(text)), 100),
                succeeded(payload(text)),
                "{text}"
            );
        }
    }

    #[test]
    fn a_failure_keeps_the_details_that_can_be_stored_and_carries_their_digest() {
        let failure = Failure {
            retry_after: Some(Duration::from_secs(3)),
            ..Failure::new("declined", "no", true)
        };
        let of = |details: &str| {
            stored(
                Err(AttemptFailure {
                    failure: failure.clone(),
                    details: Some(payload(details)),
                }),
                10,
            )
        };
        let kept = Failure {
            details: Some(payload("{}").digest()),
            ..failure.clone()
        };
        assert_eq!(
            of("{}"),
            Outcome::Failed {
                failure: kept,
                details: Some(payload("{}"))
            }
        );
        let bare = Outcome::Failed {
            failure: failure.clone(),
            details: None,
        };
        assert_eq!(of("[1,2,3,4,5]"), bare, "above the limit");
        assert_eq!(of(r#""\u0000""#), bare, "not to be stored");
    }

    #[test]
    fn codes_and_messages_of_hosts_are_cut_to_their_limits() {
        let long = Failure {
            code: "c".repeat(100),
            message: "m".repeat(10_000),
            ..Failure::new("", "", true)
        };
        let failure = Failure {
            retry_after: Some(Duration::ZERO),
            ..long
        };
        let Outcome::Failed { failure, .. } = stored(
            Err(AttemptFailure {
                failure,
                details: None,
            }),
            10,
        ) else {
            panic!("a failure stays a failure");
        };
        assert_eq!(
            (failure.code.len(), failure.message.len()),
            (64, limits::FAILURE_MESSAGE_BYTES)
        );
        assert_eq!(
            (failure.retryable, failure.retry_after),
            (true, Some(Duration::ZERO))
        );
    }
}
