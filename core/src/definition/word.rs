//! The words that drafts use for what there is a closed choice of.
//!
//! Invariant: each choice has one word, and no two choices of a kind share one.

use super::step::{LogLevel, OnLost, Operator, RouteMark, StepKind};

impl StepKind {
    /// The field of a draft's step that makes it one of this kind.
    pub const fn word(&self) -> &'static str {
        match self {
            StepKind::Handler { .. } => "handler",
            StepKind::Wait { .. } => "wait",
            StepKind::Until => "until",
            StepKind::Log { .. } => "log",
            StepKind::Pause { .. } => "pause",
            StepKind::Approval { .. } => "approval",
            StepKind::Signal { .. } => "signal",
            StepKind::Route { .. } => "route",
            StepKind::Child { .. } => "child",
            StepKind::Each { .. } => "each",
        }
    }
}

impl Operator {
    /// The field of a draft's condition that holds what it compares with.
    pub const fn word(&self) -> &'static str {
        match self {
            Operator::Equals(_) => "equals",
            Operator::NotEquals(_) => "not_equals",
            Operator::GreaterThan(_) => "greater_than",
            Operator::LessThan(_) => "less_than",
            Operator::In(_) => "in",
            Operator::Exists(_) => "exists",
        }
    }
}

impl LogLevel {
    /// Every level, the least loud first.
    pub const ALL: [LogLevel; 4] = [
        LogLevel::Debug,
        LogLevel::Info,
        LogLevel::Warn,
        LogLevel::Error,
    ];

    /// The word a draft uses for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            LogLevel::Debug => "debug",
            LogLevel::Info => "info",
            LogLevel::Warn => "warn",
            LogLevel::Error => "error",
        }
    }
}

impl OnLost {
    /// Every choice.
    pub const ALL: [OnLost; 2] = [OnLost::Retry, OnLost::Hold];

    /// The word a draft uses for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            OnLost::Retry => "retry",
            OnLost::Hold => "hold",
        }
    }

    /// What holds for a step that does not say.
    pub const fn usual(irreversible: bool) -> OnLost {
        if irreversible {
            OnLost::Hold
        } else {
            OnLost::Retry
        }
    }
}

impl RouteMark {
    /// Every mark.
    pub const ALL: [RouteMark; 2] = [RouteMark::Compensation, RouteMark::Undo];

    /// The word a draft uses for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            RouteMark::Compensation => "compensation",
            RouteMark::Undo => "undo",
        }
    }
}
