//! Codes of failures that the engine itself records.
//!
//! Invariant: a released code never changes, and each has its line in `docs/ERRORS.md`.

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        $($(#[$doc])* pub const $name: &str = $text;)*

        /// Every code.
        pub const ALL: &[&str] = &[$($name,)*];
    };
}

codes! {
    /// The handler panicked; retryable.
    PANIC = "panic",
    /// The attempt exceeded its step's timeout; retryable.
    TIMEOUT = "timeout",
    /// The input does not decode into the handler's type; not retryable.
    INVALID_INPUT = "invalid_input",
    /// The output cannot be stored; not retryable.
    INVALID_OUTPUT = "invalid_output",
    /// The output is above the payload limit; not retryable.
    PAYLOAD_TOO_LARGE = "payload_too_large",
    /// More attempts were lost than the step allows.
    LOST = "lost",
    /// What the attempt needs (its definition, a payload) is missing from the store or cannot be read; not retryable.
    UNREADABLE = "unreadable",
    /// The database undid the attempt too often, because of others; or its handler started a run under a key that another
    /// workflow or input has; not retryable.
    CONFLICT = "conflict",
    /// A path of an input binding leads nowhere; not retryable.
    MISSING_INPUT_PATH = "missing_input_path",
    /// No condition of a route matches, and it has no fallback; not retryable.
    NO_MATCHING_ROUTE = "no_matching_route",
    /// The input of a wait is no instant, or one too far away; not retryable.
    INVALID_WAIT = "invalid_wait",
    /// A bound of the engine was exceeded; not retryable.
    LIMIT_EXCEEDED = "limit_exceeded",
    /// A child failed; not retryable.
    CHILD_FAILED = "child_failed",
    /// A child was cancelled; not retryable.
    CHILD_CANCELLED = "child_cancelled",
    /// A gate's deadline came before anybody ended it; not retryable.
    EXPIRED = "expired",
    /// The handler returned a label that its step does not declare; not retryable.
    UNKNOWN_LABEL = "unknown_label",
    /// No definition of the child's workflow is known; not retryable.
    UNKNOWN_WORKFLOW = "unknown_workflow",
    /// The handler asked for something that handlers of its kind do not do; not retryable.
    UNSUPPORTED = "unsupported",
    /// Somebody said that an attempt of unknown outcome failed; not retryable.
    FAILED_BY_OPERATOR = "failed_by_operator",
    /// A transactional handler ended its transaction itself, so its writes and its outcome cannot be made one; not
    /// retryable.
    TRANSACTION_ENDED = "transaction_ended",
    /// The database rolled a transactional attempt back, for something that its handler had done; retryable.
    TRANSACTION_ABORTED = "transaction_aborted",
    /// The run's deadline came before its end.
    DEADLINE_EXCEEDED = "deadline_exceeded",
    /// Every step of the run has ended, and none of those that its result could be taken from succeeded.
    NO_RESULT = "no_result",
}
