//! How a handler says that its attempt failed.
//!
//! Invariant: a text never holds a NUL character once it is a failure; the worker cuts what is too long.

use std::any::Any;
use std::error::Error;
use std::fmt;
use std::time::Duration;

use serde::Serialize;
use squid_mesh_core::event::Failure;
use squid_mesh_core::payload::Payload;
use squid_mesh_core::worker::AttemptFailure;

use crate::client::StartChildError;

/// Why an attempt failed, and whether another may be made.
///
/// The `?` operator makes one of any standard error: retryable, with the code `error` and the messages of the error and its
/// sources, joined by `: `. Of a [`StartChildError`](crate::StartChildError) it makes the failure that that describes. (Like `anyhow::Error` it is no `std::error::Error` itself, which is what makes that possible.)
///
/// ```
/// use std::time::Duration;
/// use squid_mesh::{StepContext, StepError};
///
/// async fn charge(_: StepContext, amount: String) -> Result<u64, StepError> {
///     let cents: u64 = amount.parse()?; // retryable, code "error"
///     match cents {
///         0 => Err(StepError::permanent("empty_amount", "nothing to charge")),
///         1..100 => Err(StepError::retryable("busy", "ask again later").retry_after(Duration::from_secs(90))),
///         _ => Ok(cents),
///     }
/// }
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct StepError {
    code: String,
    message: String,
    retryable: bool,
    retry_after: Option<Duration>,
    details: Option<Vec<u8>>,
}

impl StepError {
    /// The code of errors made by `?`.
    pub const CODE: &'static str = "error";

    /// Another attempt may be made, if the step's retry allows one.
    ///
    /// Codes are for programs: short (at most 64 bytes are kept) and stable. Messages are for people; at most 8 KiB are
    /// kept.
    pub fn retryable(code: impl Into<String>, message: impl Into<String>) -> StepError {
        StepError {
            code: code.into(),
            message: message.into(),
            retryable: true,
            retry_after: None,
            details: None,
        }
    }

    /// No other attempt is made, whatever the step's retry says.
    pub fn permanent(code: impl Into<String>, message: impl Into<String>) -> StepError {
        StepError {
            retryable: false,
            ..StepError::retryable(code, message)
        }
    }

    /// When to try again, instead of when the step's backoff says.
    #[must_use]
    pub fn retry_after(mut self, pause: Duration) -> StepError {
        self.retry_after = Some(pause);
        self
    }

    /// Something to record with the failure. Details that cannot be written as JSON, hold a NUL character or exceed the
    /// payload limit are left out: the failure itself matters more.
    #[must_use]
    pub fn details(mut self, details: impl Serialize) -> StepError {
        self.details = serde_json::to_vec(&details).ok();
        self
    }

    /// The code.
    pub fn code(&self) -> &str {
        &self.code
    }

    /// The message.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Whether another attempt may be made.
    pub fn is_retryable(&self) -> bool {
        self.retryable
    }

    /// How long to wait before trying again, if it says so.
    pub fn pause(&self) -> Option<Duration> {
        self.retry_after
    }

    /// What is recorded with the failure, as JSON.
    pub fn details_json(&self) -> Option<serde_json::Value> {
        serde_json::from_slice(self.details.as_deref()?).ok()
    }

    /// As the worker takes it.
    pub(crate) fn into_failure(self) -> AttemptFailure {
        let mut failure = Failure::new(
            &without_nul(&self.code),
            &without_nul(&self.message),
            self.retryable,
        );
        failure.retry_after = self.retry_after;
        let details = self.details.map(Payload::new);
        failure.details = details.as_ref().map(Payload::digest);
        AttemptFailure { failure, details }
    }
}

impl fmt::Display for StepError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl<E: Error + 'static> From<E> for StepError {
    fn from(error: E) -> StepError {
        let any: &dyn Any = &error;
        if let Some(error) = any.downcast_ref::<StartChildError>() {
            return error.failure();
        }
        let mut message = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            let text = cause.to_string();
            // Many errors repeat their source in their own message.
            if !message.ends_with(&text) {
                message.push_str(": ");
                message.push_str(&text);
            }
            source = cause.source();
        }
        StepError::retryable(StepError::CODE, message)
    }
}

fn without_nul(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot read the order")]
    struct Outer(#[source] std::num::ParseIntError);

    fn outer() -> Outer {
        Outer("x".parse::<u8>().expect_err("x is no number"))
    }

    #[test]
    fn a_standard_error_is_retryable_and_tells_its_sources() {
        let read = || -> Result<(), StepError> { Err(outer())? };
        let error = read().expect_err("it fails");
        assert_eq!((error.code(), error.is_retryable()), ("error", true));
        assert_eq!(
            error.message(),
            "cannot read the order: invalid digit found in string"
        );
    }

    #[test]
    fn details_come_with_their_digest_and_texts_without_nul() {
        let made = StepError::permanent("a\0", "b\0")
            .details("c")
            .into_failure();
        assert_eq!(
            (made.failure.code.as_str(), made.failure.message.as_str()),
            ("a\u{fffd}", "b\u{fffd}")
        );
        assert_eq!(
            made.failure.details,
            made.details.as_ref().map(Payload::digest)
        );
        assert!(made.details.is_some() && !made.failure.retryable);
    }
}
