//! The workflows that the suite runs: few, and between them every kind of step, need, pace and queue.
//!
//! Invariant: every span is nothing or whole hours, so that within a test nobody can doubt whether something is due.

use std::sync::Arc;
use std::time::Duration;

use squid_mesh_core::definition::{
    Contract, Definition, Draft, DraftBinding, DraftRetry, DraftSource, DraftStep, Field,
    FieldType, Stamp,
};
use squid_mesh_core::name::{DEFAULT_QUEUE, Name};

/// The queue of everything but `bulk`'s steps.
pub(super) const QUEUES: [&str; 2] = [DEFAULT_QUEUE, "slow"];
/// Every handler but `rare`, which only some workers have.
pub(super) const COMMON_HANDLERS: [&str; 4] = ["echo", "flaky", "join", "note"];
/// The handler that only some workers have.
pub(super) const RARE_HANDLER: &str = "rare";

/// An hour, the unit of every span of these workflows.
pub(super) const HOUR: Duration = Duration::from_secs(3_600);

/// Every workflow of the suite, in name order.
pub fn workflows() -> Vec<Arc<Definition>> {
    [chain(), fork(), stubborn(), timed()].map(valid).into()
}

/// Another content under the name and version of the first workflow: registering it is refused.
pub fn contradiction() -> Arc<Definition> {
    let mut draft = chain();
    draft.steps[1] = DraftStep::handler("second", "note");
    draft.steps[2].input = output("first");
    valid(draft)
}

/// The first workflow again, under other versions: the newest is not the last as a text, nor the last to be registered.
pub(super) fn versions() -> Vec<Arc<Definition>> {
    let version = |version| Draft { version, ..chain() };
    [10, 9].map(version).map(valid).into()
}

/// Three steps, each fed by the one before.
fn chain() -> Draft {
    let step = |name: &str, input| DraftStep {
        input,
        ..DraftStep::handler(name, "echo")
    };
    Draft {
        steps: vec![
            step("first", DraftBinding::Whole(DraftSource::input())),
            step("second", output("first")),
            step("third", output("second")),
        ],
        result: output("third"),
        ..Draft::new("chain", 1)
    }
}

/// Two steps at once, on two queues and for two sets of workers, and a third that needs both; with a deadline.
fn fork() -> Draft {
    let left = DraftStep {
        queue: Some("slow".to_owned()),
        ..DraftStep::handler("left", "note")
    };
    let right = DraftStep {
        priority: Some(-5),
        ..DraftStep::handler("right", RARE_HANDLER)
    };
    let both = ["left", "right"].map(|step| DraftSource::output(step.to_owned()));
    let join = DraftStep {
        input: DraftBinding::Tuple(both.into()),
        ..DraftStep::handler("join", "join")
    };
    Draft {
        steps: vec![left, right, join],
        deadline: Some((HOUR * 7).into()),
        ..Draft::new("fork", 1)
    }
}

/// Steps that are tried again: at once, and after three hours. The input says when the run was started, so that a store is
/// held to its clock: what it stores is compared with what the memory store stores at the same instant.
fn stubborn() -> Draft {
    let eager = DraftStep {
        input: DraftBinding::Whole(DraftSource::input()),
        retry: Some(DraftRetry::attempts(3)),
        ..DraftStep::handler("eager", "flaky")
    };
    let patient = DraftStep {
        retry: Some(DraftRetry::constant(2, HOUR * 3)),
        needs: vec!["eager".to_owned()],
        ..DraftStep::handler("patient", "flaky")
    };
    let stamped = [
        ("at", Field::stamped(FieldType::String, Stamp::Now)),
        ("day", Field::stamped(FieldType::String, Stamp::Today)),
    ];
    Draft {
        input: Contract::Fields {
            fields: stamped.map(|(name, field)| (name.to_owned(), field)).into(),
            open: true,
        },
        steps: vec![eager, patient],
        priority: Some(7),
        ..Draft::new("stubborn", 1)
    }
}

/// A wait that is over when it begins, a wait that no test sees the end of, and steps after each.
fn timed() -> Draft {
    let after = |name: &str, wait: &str| DraftStep {
        needs: vec![wait.to_owned()],
        ..DraftStep::handler(name, "note")
    };
    Draft {
        steps: vec![
            DraftStep::wait("moment", Duration::ZERO),
            after("soon", "moment"),
            DraftStep {
                after: vec!["soon".to_owned()],
                ..DraftStep::wait("long", HOUR * 5)
            },
            after("late", "long"),
        ],
        ..Draft::new("timed", 1)
    }
}

fn output(step: &str) -> DraftBinding {
    DraftBinding::Whole(DraftSource::output(step.to_owned()))
}

fn valid(draft: Draft) -> Arc<Definition> {
    Arc::new(Definition::validate(draft).expect("the suite's workflows are valid"))
}

pub(super) fn name(text: &str) -> Name {
    Name::new(text).expect("the suite's names are valid")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_contradiction_has_the_name_and_version_of_a_workflow_and_another_digest() {
        let (first, other) = (&workflows()[0], contradiction());
        assert_eq!(first.key(), other.key());
        assert_ne!(first.digest(), other.digest());
    }
}
