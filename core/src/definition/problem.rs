//! What is wrong with a draft.
//!
//! Invariant: `Problems` is never empty, and the same draft gives the same problems in the same order.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One thing that is wrong with a draft, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Problem {
    /// Where in the draft's JSON form, like `steps[2].retry.max_attempts`; empty for the draft as a whole.
    pub path: String,
    /// What kind of problem it is.
    pub code: ProblemCode,
    /// For people: what was found and what would have been right.
    pub message: String,
}

impl Problem {
    /// A problem at a place of the draft.
    pub fn new(path: impl Into<String>, code: ProblemCode, message: impl Into<String>) -> Problem {
        Problem {
            path: path.into(),
            code,
            message: message.into(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        write!(f, "{} [{}]", self.message, self.code)
    }
}

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $text:literal,)*) => {
        /// The closed list of kinds of problems. The texts are stable.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[non_exhaustive]
        pub enum ProblemCode {
            $($(#[$doc])* #[serde(rename = $text)] $variant,)*
        }

        impl ProblemCode {
            /// Every code.
            pub const ALL: &[ProblemCode] = &[$(ProblemCode::$variant,)*];

            /// The stable text.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(ProblemCode::$variant => $text,)*
                }
            }
        }
    };
}

codes! {
    /// The text is no JSON.
    MalformedJson = "malformed_json",
    /// A value has another JSON type than its place asks for.
    WrongType = "wrong_type",
    /// A field that has no default is missing.
    MissingField = "missing_field",
    /// A field that nothing reads.
    UnknownField = "unknown_field",
    /// A field that only the engine writes: run ids, states, digests and the like.
    OwnedByRuntime = "owned_by_runtime",
    /// A text that is not one of the words allowed there.
    UnknownWord = "unknown_word",
    /// A number beyond what its field can hold.
    OutOfRange = "out_of_range",
    /// A number with more than three decimals.
    TooPrecise = "too_precise",
    /// A text that is no span of time like `1h30m`.
    MalformedSpan = "malformed_span",
    /// A text that is no source like `input` or `output(charge)`.
    MalformedSource = "malformed_source",
    /// A path into a value that cannot be read as one.
    MalformedPath = "malformed_path",
    /// A name that does not match `[a-z][a-z0-9_]*` or is not 1 to 64 characters long.
    MalformedName = "malformed_name",
    /// Two options of which only one may be given.
    ConflictingOptions = "conflicting_options",
    /// An option that its step, backoff or signal cannot honour.
    OptionWithoutEffect = "option_without_effect",
    /// A definition without steps.
    NoSteps = "no_steps",
    /// Two steps of one name.
    DuplicateStep = "duplicate_step",
    /// A step that the definition does not have.
    UnknownStep = "unknown_step",
    /// A step that waits for itself.
    SelfNeed = "self_need",
    /// Steps that wait for each other.
    Cycle = "cycle",
    /// Two triggers of one name; `manual` is that of the default trigger.
    DuplicateTrigger = "duplicate_trigger",
    /// A label that is given twice.
    DuplicateLabel = "duplicate_label",
    /// A label that means something to the engine.
    ReservedLabel = "reserved_label",
    /// A guard on a label that its step can never return.
    LabelNeverReturned = "label_never_returned",
    /// The failure of a step that cannot fail.
    NeverFails = "never_fails",
    /// A step that waits for what excludes each other.
    NeverRuns = "never_runs",
    /// A group of alternatives without any.
    NoAlternatives = "no_alternatives",
    /// An approval of which an outcome leads nowhere.
    UnwiredOutcome = "unwired_outcome",
    /// A need on a step that a guard can exclude, by a step that would not be excluded with it.
    SkippableNeed = "skippable_need",
    /// A result that takes what a run may end without.
    SkippableResult = "skippable_result",
    /// A result that takes a failure.
    FailureInResult = "failure_in_result",
    /// A route without conditions.
    NoConditions = "no_conditions",
    /// Signals of one name with payloads of different shapes.
    ConflictingContracts = "conflicting_contracts",
    /// Attempts or a backoff that no retry can follow.
    InvalidRetry = "invalid_retry",
    /// A wait that is negative or longer than ten years.
    InvalidWait = "invalid_wait",
    /// A schedule's expression that cannot be read; the message says at which position.
    MalformedCron = "malformed_cron",
    /// A time zone that the database of time zones does not have.
    UnknownZone = "unknown_zone",
    /// A part of a schedule that is beyond its bounds, or no instant.
    InvalidSchedule = "invalid_schedule",
    /// A schedule's payload that does not fit the contract of its trigger.
    InvalidPayload = "invalid_payload",
    /// A timeout that is not positive or longer than ten years.
    InvalidTimeout = "invalid_timeout",
    /// A deadline that is not positive or longer than ten years.
    InvalidDeadline = "invalid_deadline",
    /// A default or stamp of another type than its field.
    DefaultMismatch = "default_mismatch",
    /// A NUL character, which not every store can hold.
    NulCharacter = "nul_character",
    /// More of something than the engine takes.
    LimitExceeded = "limit_exceeded",
    /// A handler that the host never registered.
    UnknownHandler = "unknown_handler",
    /// A handler that the host registered and switched off.
    DisabledHandler = "disabled_handler",
}

impl fmt::Display for ProblemCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Everything that is wrong with a draft, in a stable order; at least one problem.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(transparent)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// Nothing wrong is `Ok`.
    ///
    /// # Errors
    /// If there is at least one problem.
    pub fn none_of(problems: Vec<Problem>) -> Result<(), Problems> {
        if problems.is_empty() {
            Ok(())
        } else {
            Err(Problems(problems))
        }
    }

    /// The problems, in their stable order.
    pub fn as_slice(&self) -> &[Problem] {
        &self.0
    }

    /// The problems, one by one.
    pub fn iter(&self) -> std::slice::Iter<'_, Problem> {
        self.0.iter()
    }
}

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Problems {
        Problems(vec![problem])
    }
}

impl IntoIterator for Problems {
    type Item = Problem;
    type IntoIter = std::vec::IntoIter<Problem>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a> IntoIterator for &'a Problems {
    type Item = &'a Problem;
    type IntoIter = std::slice::Iter<'a, Problem>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str("; ")?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_distinct_snake_case_words_and_read_back() {
        let mut seen = std::collections::BTreeSet::new();
        for code in ProblemCode::ALL {
            let text = code.as_str();
            assert!(
                text.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'),
                "{text}"
            );
            assert!(seen.insert(text), "{text}");
            let json = serde_json::to_string(code).unwrap();
            assert_eq!(json, format!("\"{text}\""));
            assert_eq!(serde_json::from_str::<ProblemCode>(&json).unwrap(), *code);
        }
    }

    #[test]
    fn all_problems_are_shown_in_one_line_with_path_and_code() {
        let problems = Problems::none_of(vec![
            Problem::new("", ProblemCode::MalformedJson, "no JSON"),
            Problem::new("steps", ProblemCode::NoSteps, "no steps"),
        ])
        .unwrap_err();
        assert_eq!(
            problems.to_string(),
            "no JSON [malformed_json]; steps: no steps [no_steps]"
        );
        assert!(Problems::none_of(Vec::new()).is_ok());
    }
}
