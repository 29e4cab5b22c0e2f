//! What a step does, and the options that it honours.
//!
//! Invariant: a checked step has no option that its kind would ignore.

use std::time::Duration;

use super::super::draft::{DraftBinding, DraftCondition, DraftKind, DraftStep};
use super::super::problem::ProblemCode;
use super::super::reader;
use super::super::span::DraftSpan;
use super::super::step::{Condition, LogLevel, Operator, StepKind, label};
use super::{Checker, shown, too_many};
use crate::limits;
use crate::name::Name;

impl Checker<'_> {
    pub(super) fn kind(&mut self, i: usize, draft: &DraftStep) -> Option<StepKind> {
        let path = format!("steps[{i}].{}", draft.kind.word());
        let at = |key: &str| reader::field(&path, key);
        Some(match &draft.kind {
            DraftKind::Handler(handler) => StepKind::Handler {
                handler: self.name(&path, handler)?,
            },
            DraftKind::Wait(span) => StepKind::Wait {
                duration: self.wait(&path, *span)?,
            },
            DraftKind::Until => StepKind::Until,
            DraftKind::Log { level, message } => self.log(&at("message"), *level, message),
            DraftKind::Pause { deadline } => StepKind::Pause {
                deadline: self.gate_deadline(&path, *deadline),
            },
            DraftKind::Approval { deadline } => StepKind::Approval {
                deadline: self.gate_deadline(&path, *deadline),
            },
            DraftKind::Signal {
                signal,
                contract,
                deadline,
            } => {
                let signal = self.name(&at("name"), signal);
                self.contract(&at("payload"), contract);
                self.without_stamps(&at("payload"), contract);
                StepKind::Signal {
                    deadline: self.gate_deadline(&path, *deadline),
                    signal: signal?,
                    contract: contract.clone().canonical(),
                }
            }
            DraftKind::Route {
                conditions,
                fallback,
            } => self.route(&path, conditions, fallback.as_deref())?,
            DraftKind::Child { workflow, detach } => StepKind::Child {
                workflow: self.name(&at("workflow"), workflow)?,
                detach: *detach,
            },
            DraftKind::Each {
                workflow,
                parallel,
                collect,
            } => {
                let workflow = self.name(&at("workflow"), workflow);
                StepKind::Each {
                    parallel: self.parallel(&at("parallel"), *parallel),
                    workflow: workflow?,
                    collect: *collect,
                }
            }
        })
    }

    fn wait(&mut self, path: &str, span: DraftSpan) -> Option<Duration> {
        if span < DraftSpan::ZERO || span > DraftSpan::from(limits::WAIT_MAX) {
            let message = format!("{span} is not between zero and ten years");
            self.report(path, ProblemCode::InvalidWait, message);
        }
        span.to_duration()
    }

    fn log(&mut self, path: &str, level: Option<LogLevel>, message: &str) -> StepKind {
        let most = limits::FAILURE_MESSAGE_BYTES;
        self.problems
            .extend(too_many(path, "bytes of a message", message.len(), most));
        self.nul(path, &message.into());
        StepKind::Log {
            level: level.unwrap_or(LogLevel::Info),
            message: message.to_owned(),
        }
    }

    fn gate_deadline(&mut self, path: &str, deadline: Option<DraftSpan>) -> Option<Duration> {
        let path = reader::field(path, "deadline");
        self.positive(&path, ProblemCode::InvalidDeadline, deadline)
    }

    fn parallel(&mut self, path: &str, parallel: Option<u32>) -> u32 {
        let parallel = parallel.unwrap_or(limits::EACH_PARALLEL_DEFAULT);
        let most = limits::EACH_ELEMENTS;
        if parallel == 0 || usize::try_from(parallel).is_ok_and(|parallel| parallel > most) {
            let message = format!("{parallel} is not between 1 and {most}");
            self.report(path, ProblemCode::OutOfRange, message);
        }
        parallel
    }

    fn route(
        &mut self,
        path: &str,
        conditions: &[DraftCondition],
        fallback: Option<&str>,
    ) -> Option<StepKind> {
        if conditions.is_empty() {
            let message = "a route has at least one condition";
            self.report(path, ProblemCode::NoConditions, message);
        }
        let count = conditions.len();
        self.problems
            .extend(too_many(path, "conditions", count, limits::STEP_LABELS));
        let checked: Vec<Option<Condition>> = conditions
            .iter()
            .enumerate()
            .map(|(n, condition)| self.condition(&reader::item(path, n), condition))
            .collect();
        let fallback = match fallback {
            Some(label) => {
                let path = reader::field(&reader::item(path, count), "label");
                Some(self.step_label(&path, label)?)
            }
            None => None,
        };
        Some(StepKind::Route {
            conditions: checked.into_iter().collect::<Option<_>>()?,
            fallback,
        })
    }

    fn condition(&mut self, path: &str, draft: &DraftCondition) -> Option<Condition> {
        let label = self.step_label(&reader::field(path, "label"), &draft.label);
        self.json_path(&reader::field(path, "path"), &draft.path);
        let at = reader::field(path, draft.operator.word());
        match &draft.operator {
            Operator::Equals(value) | Operator::NotEquals(value) => self.json(&at, value),
            Operator::GreaterThan(value) | Operator::LessThan(value) => {
                self.json(&at, value);
                if !value.is_number() && !value.is_string() {
                    let found = reader::type_name(value);
                    let message = format!("only numbers and texts have an order, {found} has none");
                    self.report(&at, ProblemCode::WrongType, message);
                }
            }
            Operator::In(values) => {
                for (n, value) in values.iter().enumerate() {
                    self.json(&reader::item(&at, n), value);
                }
            }
            Operator::Exists(_) => {}
        }
        Some(Condition {
            label: label?,
            path: draft.path.clone(),
            operator: draft.operator.clone(),
        })
    }

    /// A label that a step may return.
    fn step_label(&mut self, path: &str, text: &str) -> Option<Name> {
        if text == label::FAILED {
            let message = format!("label {text:?} stands for a failure, no step returns it");
            self.report(path, ProblemCode::ReservedLabel, message);
        }
        self.name(path, text)
    }

    /// The labels that a handler may return.
    pub(super) fn labels(&mut self, path: &str, labels: &[String]) -> Option<Vec<Name>> {
        self.problems
            .extend(too_many(path, "labels", labels.len(), limits::STEP_LABELS));
        let mut checked = Vec::new();
        for (n, text) in labels.iter().enumerate() {
            let path = reader::item(path, n);
            if labels[..n].contains(text) {
                let message = format!("label {:?} is declared more than once", shown(text));
                self.report(&path, ProblemCode::DuplicateLabel, message);
            }
            checked.push(self.step_label(&path, text));
        }
        checked.into_iter().collect()
    }

    /// Reports what is given and ignored, and what is asked for and not given.
    pub(super) fn options(&mut self, i: usize, draft: &DraftStep) {
        let kind = draft.kind.word();
        for (option, given, honoured) in options(draft) {
            if given && !honoured {
                let message = format!(
                    "step {:?} is of kind {kind}, on which {option} has no effect",
                    shown(&draft.name)
                );
                let path = format!("steps[{i}].{option}");
                self.report(&path, ProblemCode::OptionWithoutEffect, message);
            }
        }
        let (expected, fits) = match &draft.kind {
            DraftKind::Until => (
                "one source with the instant",
                matches!(draft.input, DraftBinding::Whole(_)),
            ),
            DraftKind::Route { .. } => (
                "what the conditions look at",
                draft.input != DraftBinding::Nothing,
            ),
            DraftKind::Each { .. } => (
                "the array whose elements it runs",
                draft.input != DraftBinding::Nothing,
            ),
            DraftKind::Handler(_)
            | DraftKind::Wait(_)
            | DraftKind::Log { .. }
            | DraftKind::Pause { .. }
            | DraftKind::Approval { .. }
            | DraftKind::Signal { .. }
            | DraftKind::Child { .. } => return,
        };
        if !fits {
            let key = draft.input_key();
            let message = format!("field {key:?} is missing: expected {expected}");
            let path = format!("steps[{i}].{key}");
            self.report(&path, ProblemCode::MissingField, message);
        }
    }
}

/// Each option with whether it is given and whether the step's kind honours it.
fn options(draft: &DraftStep) -> [(&'static str, bool, bool); 11] {
    let (attempts, effects, work, input) = match &draft.kind {
        DraftKind::Handler(_) => (true, true, true, true),
        DraftKind::Child { .. } => (false, true, true, true),
        DraftKind::Each { .. } => (false, false, true, true),
        DraftKind::Until
        | DraftKind::Route { .. }
        | DraftKind::Pause { .. }
        | DraftKind::Approval { .. } => (false, false, false, true),
        DraftKind::Wait(_) | DraftKind::Log { .. } | DraftKind::Signal { .. } => {
            (false, false, false, false)
        }
    };
    let input_given = draft.input != DraftBinding::Nothing;
    [
        ("input", input_given, input),
        ("retry", draft.retry.is_some(), attempts),
        ("timeout", draft.timeout.is_some(), attempts),
        ("queue", draft.queue.is_some(), work),
        ("priority", draft.priority.is_some(), work),
        ("labels", !draft.labels.is_empty(), attempts),
        ("undo", draft.undo.is_some(), attempts),
        ("irreversible", draft.irreversible.is_some(), effects),
        ("compensatable", draft.compensatable.is_some(), effects),
        ("on_lost", draft.on_lost.is_some(), attempts),
        ("transactional", draft.transactional, attempts),
    ]
}
