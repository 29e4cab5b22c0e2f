//! Random workflows that use every construct, alone and nested.
//!
//! Invariant: a workflow is grown again, from other draws, until it is valid; the same index gives the same one.

use squid_mesh_core::definition::{
    Contract, Definition, Draft, DraftBinding, DraftCondition, DraftKind, DraftOrigin, DraftSource,
    DraftStep, OnLost, Operator, Path, Segment,
};

use super::language::{child, each, undo, when};
use super::random::{random, random_step, span, wire};
use super::shapes::{fed, workflow};
use super::{HANDLERS, QUEUES};
use crate::choice::{Choices, Label};

/// How often a workflow is grown before a plain one stands in.
const TRIES: u32 = 60;

pub(super) fn grown(index: u64, choices: &mut Choices) -> Definition {
    for _ in 0..TRIES {
        let draft = draft(index, choices);
        let last = draft.steps.last().map(|step| step.name.clone());
        let with_result = Draft {
            result: last.map_or(DraftBinding::Nothing, |last| {
                DraftBinding::Whole(DraftSource::output(last))
            }),
            ..draft.clone()
        };
        let valid = Definition::validate(with_result).or_else(|_| Definition::validate(draft));
        if let Ok(definition) = valid {
            return definition;
        }
    }
    let plain = Draft {
        name: format!("grown_{index}"),
        ..random(index, choices)
    };
    Definition::validate(plain).expect("random graphs are valid")
}

fn draft(index: u64, choices: &mut Choices) -> Draft {
    let mut grower = Grower {
        steps: Vec::new(),
        labels: Vec::new(),
        choices,
    };
    for _ in 0..grower.choices.between(Label::Shape, 1, 5) {
        grower.grow();
    }
    let Grower { steps, choices, .. } = grower;
    Draft {
        queue: choices.happens(Label::Shape, 200).then(|| QUEUES[1].into()),
        deadline: choices
            .happens(Label::Shape, 100)
            .then(|| span(choices, 2_000_000, 90_000_000)),
        ..workflow(&format!("grown_{index}"), steps)
    }
}

/// A workflow in the making.
struct Grower<'c> {
    steps: Vec<DraftStep>,
    /// Steps with a label that they can return.
    labels: Vec<(String, String)>,
    choices: &'c mut Choices,
}

impl Grower<'_> {
    fn grow(&mut self) {
        let name = format!("s{}", self.steps.len());
        match self.choices.choose(Label::Shape, 12) {
            0..=4 => self.handler(&name),
            5 => self.route(&name),
            6 => self.approval(&name),
            7 => self.gate(&name),
            8 => self.signal(&name),
            9 => self.child(&name),
            10 => self.each(&name),
            _ => self.until_or_log(&name),
        }
    }

    fn names(&self) -> Vec<String> {
        self.steps.iter().map(|step| step.name.clone()).collect()
    }

    fn some(&mut self) -> Option<String> {
        let names = self.names();
        (!names.is_empty()).then(|| names[self.choices.index(Label::Shape, names.len())].clone())
    }

    fn push(&mut self, step: DraftStep) {
        let step = self.guarded(step);
        self.steps.push(step);
    }

    /// Some steps are reached only if an earlier one went a certain way.
    fn guarded(&mut self, step: DraftStep) -> DraftStep {
        if !self.labels.is_empty() && self.choices.happens(Label::Shape, 350) {
            let at = self.choices.index(Label::Shape, self.labels.len());
            let (of, label) = self.labels[at].clone();
            return when(step, &of, &label);
        }
        match self.some() {
            Some(of) if self.choices.happens(Label::Shape, 120) => when(step, &of, "failed"),
            _ => step,
        }
    }

    fn handler(&mut self, name: &str) {
        let before = self.names();
        let mut step = random_step(name, self.choices);
        wire(&mut step, &before, self.choices);
        if !matches!(step.kind, DraftKind::Handler(_)) {
            return self.push(step);
        }
        if before.len() > 1 && self.choices.happens(Label::Shape, 250) {
            let pair = vec![before[0].clone(), before[before.len() - 1].clone()];
            step.input = DraftBinding::Whole(DraftOrigin::Either(pair).into());
            (step.needs, step.after) = (Vec::new(), Vec::new());
        } else if !before.is_empty() && self.choices.happens(Label::Shape, 150) {
            let of = before[self.choices.index(Label::Shape, before.len())].clone();
            step.input = DraftBinding::Whole(DraftOrigin::Failure(of).into());
        }
        match self.choices.choose(Label::Shape, 10) {
            0..=3 => {
                let handler = self.choices.pick(Label::Shape, &HANDLERS);
                step.undo = Some(undo(handler));
            }
            4 => step.irreversible = Some(true),
            5 => step.on_lost = Some(OnLost::Hold),
            6 | 7 => {
                step.labels = vec!["left".into(), "right".into()];
                let way = self.choices.pick(Label::Shape, &["left", "right"]);
                self.labels.push((name.to_owned(), way.to_owned()));
            }
            8 => step.compensatable = Some(false),
            _ => {}
        }
        step.transactional = step.labels.is_empty() && self.choices.happens(Label::Shape, 150);
        self.push(step);
    }

    fn route(&mut self, name: &str) {
        let least = i64::try_from(self.choices.between(Label::Shape, 0, 30)).expect("small");
        let condition = DraftCondition {
            label: "high".into(),
            path: Path::default(),
            operator: Operator::GreaterThan(least.into()),
        };
        let fallback = !self.choices.happens(Label::Shape, 200);
        let kind = DraftKind::Route {
            conditions: vec![condition],
            fallback: fallback.then(|| "low".into()),
        };
        let step = DraftStep::of(name.to_owned(), kind);
        let step = match self.some() {
            Some(of) => fed(step, &of),
            None => DraftStep {
                input: DraftBinding::Whole(DraftSource::input()),
                ..step
            },
        };
        self.labels.push((name.to_owned(), "high".to_owned()));
        self.push(step);
    }

    /// An approval needs both its ways wired.
    fn approval(&mut self, name: &str) {
        let deadline = self
            .choices
            .happens(Label::Shape, 400)
            .then(|| span(self.choices, 500_000, 20_000_000));
        let kind = DraftKind::Approval { deadline };
        let step = DraftStep {
            needs: self.some().into_iter().collect(),
            ..DraftStep::of(name.to_owned(), kind)
        };
        self.push(step);
        let guards = self
            .steps
            .last()
            .map(|step| step.when.clone())
            .unwrap_or_default();
        for way in ["approved", "rejected"] {
            let branch = DraftStep {
                when: guards.clone(),
                ..DraftStep::handler(format!("{name}_{way}"), "alpha")
            };
            self.steps.push(when(branch, name, way));
        }
    }

    fn gate(&mut self, name: &str) {
        let deadline = self
            .choices
            .happens(Label::Shape, 300)
            .then(|| span(self.choices, 500_000, 20_000_000));
        let step = DraftStep {
            needs: self.some().into_iter().collect(),
            ..DraftStep::of(name.to_owned(), DraftKind::Pause { deadline })
        };
        if deadline.is_some() {
            self.labels.push((name.to_owned(), "expired".to_owned()));
        }
        self.push(step);
    }

    fn signal(&mut self, name: &str) {
        let kind = DraftKind::Signal {
            signal: self.choices.pick(Label::Shape, &["paid", "seen"]).into(),
            contract: Contract::Any,
            deadline: None,
        };
        let step = DraftStep {
            needs: self.some().into_iter().collect(),
            ..DraftStep::of(name.to_owned(), kind)
        };
        self.push(step);
    }

    fn child(&mut self, name: &str) {
        let workflow = self
            .choices
            .pick(Label::Shape, &["leaf", "chain", "saga", "fan"]);
        let detach = self.choices.happens(Label::Shape, 200);
        let step = child(name, workflow, detach);
        let step = match self.some() {
            Some(of) => fed(step, &of),
            None => step,
        };
        self.push(step);
    }

    fn each(&mut self, name: &str) {
        let workflow = self.choices.pick(Label::Shape, &["leaf", "chain", "held"]);
        let count = u32::try_from(self.choices.between(Label::Shape, 0, 4)).expect("small");
        let parallel = self.choices.pick(Label::Shape, &[1, 2, 100]);
        let collect = self.choices.happens(Label::Shape, 400);
        let step = DraftStep {
            needs: self.some().into_iter().collect(),
            ..each(name, workflow, count, parallel, collect)
        };
        self.push(step);
    }

    fn until_or_log(&mut self, name: &str) {
        let needs: Vec<String> = self.some().into_iter().collect();
        let kind = DraftKind::Log {
            level: None,
            message: "so far".into(),
        };
        let log = self.choices.happens(Label::Shape, 500);
        let step = if log {
            DraftStep::of(name.to_owned(), kind)
        } else {
            let at = DraftSource {
                origin: DraftOrigin::Input,
                path: Path::new(vec![Segment::Field("at".into())]),
            };
            DraftStep {
                input: DraftBinding::Whole(at),
                ..DraftStep::of(name.to_owned(), DraftKind::Until)
            }
        };
        self.push(DraftStep { needs, ..step });
    }
}
