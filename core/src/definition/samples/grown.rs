//! Steps made of raw material so that they fit the steps before them.

use std::collections::BTreeSet;

use proptest::sample::Index;

use super::draft::{BindingPicks, KindPicks, OptionPicks, Picks, SourcePicks};
use super::*;

/// Adds a step that waits for earlier ones only, and those that wire both outcomes of an approval.
pub(super) fn grow(steps: &mut Vec<DraftStep>, picks: Picks) {
    let i = steps.len();
    let name = format!("s{i}");
    let mut step = DraftStep::of(name.clone(), kind(picks.kind, i));
    (step.label, step.description) = picks.people;
    let all: Vec<String> = steps.iter().map(|step| step.name.clone()).collect();
    step.when = guards(steps, &picks.waits.guards);
    let failing: Vec<String> = steps
        .iter()
        .filter(|other| can_fail(other) && !guarded_otherwise(&step, &other.name))
        .map(|other| other.name.clone())
        .collect();
    let failure = picks.waits.failure.and_then(|index| pick(index, &failing));
    let needable: Vec<String> = steps
        .iter()
        .filter(|other| other.when.iter().all(|guard| step.when.contains(guard)))
        .map(|other| other.name.clone())
        .filter(|other| failure.as_ref() != Some(other) && !guarded_by_failure(&step, other))
        .collect();
    step.needs = several(&picks.waits.needs, &needable);
    step.after = several(&picks.waits.after, &all);
    let groups = picks.waits.either.iter();
    step.either = groups.map(|group| several(group, &all)).collect();
    step.either.retain(|group| !group.is_empty());
    let takes_failure = failure.is_some();
    step.input = input(&step.kind, picks.input, &needable, &all, failure);
    let failed = step.when.iter().any(|guard| guard.label == label::FAILED);
    let sources = step.input.sources("");
    let consumes = failed || (takes_failure && sources.iter().any(|(_, s)| s.is_failure()));
    step.mark = picks.waits.mark.filter(|_| consumes);
    options(&mut step, picks.options);
    let approval = matches!(step.kind, DraftKind::Approval { .. });
    steps.push(step);
    if approval {
        for outcome in [label::APPROVED, label::REJECTED] {
            let mut wired = DraftStep::handler(format!("s{}", steps.len()), "h");
            wired.when = vec![guard(&name, outcome)];
            steps.push(wired);
        }
    }
}

fn kind(picks: KindPicks, i: usize) -> DraftKind {
    let (deadline, workflow) = (picks.deadline, format!("w{}", i % 3));
    match picks.which {
        0 => DraftKind::Wait(picks.span),
        1 => DraftKind::Until,
        2 => DraftKind::Log {
            level: picks.level,
            message: picks.text,
        },
        3 => DraftKind::Pause { deadline },
        4 => DraftKind::Approval { deadline },
        5 => DraftKind::Signal {
            signal: format!("sig{i}"),
            contract: picks.contract,
            deadline,
        },
        6 => DraftKind::Route {
            conditions: picks.conditions,
            fallback: picks.fallback,
        },
        7 => DraftKind::Child {
            workflow,
            detach: picks.flag,
        },
        8 => DraftKind::Each {
            workflow,
            parallel: picks.parallel,
            collect: picks.flag,
        },
        _ => DraftKind::Handler(format!("h{}", i % 3)),
    }
}

/// Guards on different steps.
fn guards(steps: &[DraftStep], picks: &[Index]) -> Vec<DraftGuard> {
    let mut ways: Vec<DraftGuard> = Vec::new();
    for step in steps {
        ways.extend(labels(step).iter().map(|label| guard(&step.name, label)));
        ways.extend(can_fail(step).then(|| guard(&step.name, label::FAILED)));
    }
    let mut seen = BTreeSet::new();
    let picked = picks.iter().filter_map(|index| pick(*index, &ways));
    picked
        .filter(|guard| seen.insert(guard.step.clone()))
        .collect()
}

fn guard(step: &str, label: &str) -> DraftGuard {
    DraftGuard {
        step: step.to_owned(),
        label: label.to_owned(),
    }
}

/// What a step can return.
fn labels(step: &DraftStep) -> Vec<String> {
    let (word, deadline) = match &step.kind {
        DraftKind::Handler(_) => return step.labels.clone(),
        DraftKind::Route {
            conditions,
            fallback,
        } => {
            let labels = conditions.iter().map(|condition| condition.label.clone());
            return labels.chain(fallback.clone()).collect();
        }
        DraftKind::Pause { deadline } => (label::RESUMED, deadline),
        DraftKind::Approval { deadline } => (label::APPROVED, deadline),
        DraftKind::Signal { deadline, .. } => (label::RECEIVED, deadline),
        DraftKind::Wait(_)
        | DraftKind::Until
        | DraftKind::Log { .. }
        | DraftKind::Child { .. }
        | DraftKind::Each { .. } => return Vec::new(),
    };
    let expired = deadline.map(|_| label::EXPIRED);
    [word]
        .into_iter()
        .chain(expired)
        .map(str::to_owned)
        .collect()
}

/// Gates are left out: whether they fail depends on later steps.
fn can_fail(step: &DraftStep) -> bool {
    ["handler", "until", "route", "child", "each"].contains(&step.kind.word())
}

fn guarded_otherwise(step: &DraftStep, other: &str) -> bool {
    let mut guards = step.when.iter();
    guards.any(|guard| guard.step == other && guard.label != label::FAILED)
}

fn guarded_by_failure(step: &DraftStep, other: &str) -> bool {
    let mut guards = step.when.iter();
    guards.any(|guard| guard.step == other && guard.label == label::FAILED)
}

fn pick<T: Clone>(index: Index, items: &[T]) -> Option<T> {
    (!items.is_empty()).then(|| index.get(items).clone())
}

fn several(picks: &[Index], items: &[String]) -> Vec<String> {
    picks
        .iter()
        .filter_map(|index| pick(*index, items))
        .collect()
}

/// An input that the kind can have and must have.
fn input(
    kind: &DraftKind,
    picks: BindingPicks,
    outputs: &[String],
    all: &[String],
    failure: Option<String>,
) -> DraftBinding {
    let taken = binding(picks, outputs, all, failure);
    match (kind, &taken) {
        (DraftKind::Wait(_) | DraftKind::Log { .. } | DraftKind::Signal { .. }, _) => {
            DraftBinding::Nothing
        }
        (DraftKind::Until, DraftBinding::Whole(_)) => taken,
        (DraftKind::Until, _)
        | (DraftKind::Route { .. } | DraftKind::Each { .. }, DraftBinding::Nothing) => {
            DraftBinding::Whole(DraftSource::input())
        }
        _ => taken,
    }
}

/// A binding to outputs of the one list, alternatives of the other, and at most one step's failure.
pub(super) fn binding(
    picks: BindingPicks,
    outputs: &[String],
    all: &[String],
    failure: Option<String>,
) -> DraftBinding {
    let names = picks.names.into_iter();
    let sources = picks.sources.into_iter();
    let mut sources = sources.map(|source| origin(source, outputs, all, failure.as_ref()));
    match picks.shape {
        0 => DraftBinding::Nothing,
        1 | 2 => sources
            .next()
            .map_or(DraftBinding::Nothing, DraftBinding::Whole),
        3 => DraftBinding::Tuple(sources.collect()),
        _ => DraftBinding::Object(names.zip(sources).collect()),
    }
}

fn origin(
    picks: SourcePicks,
    outputs: &[String],
    all: &[String],
    failure: Option<&String>,
) -> DraftSource {
    let input = DraftSource::input().at(picks.path.clone());
    match picks.which {
        0 => input,
        1 => DraftSource::constant(picks.constant),
        2 if !all.is_empty() => DraftSource::either(several(&picks.group, all)).at(picks.path),
        3 => failure.map_or(input, |step| DraftSource::failure(step).at(picks.path)),
        _ => {
            pick(picks.step, outputs).map_or(input, |step| DraftSource::output(step).at(picks.path))
        }
    }
}

/// What the step's kind honours of it.
fn options(step: &mut DraftStep, picks: OptionPicks) {
    let word = step.kind.word();
    if ["handler", "child", "each"].contains(&word) {
        (step.queue, step.priority) = (picks.queue, picks.priority);
    }
    if ["handler", "child"].contains(&word) {
        step.irreversible = picks.irreversible;
        let clash = picks.irreversible == Some(true) && picks.compensatable == Some(true);
        step.compensatable = picks.compensatable.filter(|_| !clash);
    }
    if word == "handler" {
        let fixed = step.irreversible == Some(true) || step.compensatable == Some(false);
        step.undo = picks.undo.filter(|_| !fixed);
        (step.retry, step.timeout, step.labels) = (picks.retry, picks.timeout, picks.labels);
        (step.on_lost, step.transactional) = (picks.on_lost, picks.transactional);
    }
}

/// The steps that every run completes with: neither skipped nor failed with the failure consumed.
pub(super) fn firm(steps: &[DraftStep]) -> Vec<String> {
    let mut shaky: BTreeSet<&str> = BTreeSet::new();
    for step in steps {
        let sources = step.input.sources("");
        for (_, source) in sources
            .into_iter()
            .filter(|(_, source)| source.is_failure())
        {
            shaky.extend(source.steps());
            shaky.insert(&step.name);
        }
        for guard in &step.when {
            shaky.extend((guard.label == label::FAILED).then_some(guard.step.as_str()));
            shaky.insert(&step.name);
        }
    }
    // One round for each link of the longest chain.
    for _ in steps {
        for step in steps {
            let sources = step.input.sources("").into_iter();
            let outputs = sources.filter_map(|(_, source)| match &source.origin {
                DraftOrigin::Output(step) => Some(step.as_str()),
                _ => None,
            });
            let mut needs = step.needs.iter().map(String::as_str).chain(outputs);
            if needs.any(|need| shaky.contains(need)) {
                shaky.insert(&step.name);
            }
        }
    }
    let names = steps.iter().map(|step| &step.name);
    names
        .filter(|name| !shaky.contains(name.as_str()))
        .cloned()
        .collect()
}
