//! What a definition is stored as.
//!
//! Invariant: a definition restored from its body is the same one, with the same digest.
//!
//! A body is a draft in canonical JSON and passes the validation again when it is read, so a rule that is made stricter must
//! go on accepting what earlier releases stored.

use std::sync::Arc;

use super::canonical::canonical_json;
use super::draft::{
    Draft, DraftBinding, DraftCondition, DraftGuard, DraftKind, DraftOrigin, DraftRetry,
    DraftSchedule, DraftSource, DraftStep, DraftTrigger, DraftUndo,
};
use super::problem::Problems;
use super::step::{Condition, Guard, Undo, Way, label};
use super::{Binding, Definition, OnLost, Origin, Source, Step, StepIndex, StepKind};
use crate::schedule::PlanDraft;

impl Definition {
    /// What a store keeps: the canonical JSON, labels and descriptions included. It is a draft too.
    pub fn body(&self) -> &Arc<str> {
        &self.body
    }

    /// Writes the body.
    pub(super) fn write_body(&self) -> Arc<str> {
        canonical_json(&self.to_draft().to_json()).into()
    }

    /// Takes a body back: the same definition with the same digest.
    ///
    /// # Errors
    /// If the text is no draft that passes the validation; a body passes it.
    pub fn from_body(body: &str) -> Result<Definition, Problems> {
        Definition::parse_text(body)
    }

    /// The draft that says everything this definition does, defaults written out and needs resolved.
    pub fn to_draft(&self) -> Draft {
        Draft {
            name: self.name().to_string(),
            version: self.version(),
            label: self.label.clone(),
            description: self.description.clone(),
            input: self.contract().clone(),
            triggers: self.triggers[1..]
                .iter()
                .map(|trigger| DraftTrigger {
                    name: trigger.name.to_string(),
                    input: trigger.contract.clone(),
                    schedule: trigger.schedule.as_ref().map(|schedule| DraftSchedule {
                        plan: PlanDraft::from(&schedule.plan),
                        payload: Some(schedule.payload.clone()),
                    }),
                })
                .collect(),
            steps: self
                .steps
                .iter()
                .map(|step| self.draft_step(step))
                .collect(),
            result: self.draft_binding(&self.result),
            queue: Some(self.queue.to_string()),
            priority: Some(self.priority),
            deadline: self.deadline.map(Into::into),
        }
    }

    /// Numbers that have a default are written out, so that another default leaves the definition as it was; what is on or off
    /// is written only where it is not as usual.
    fn draft_step(&self, step: &Step) -> DraftStep {
        let names = |indexes: &[StepIndex]| self.names(indexes);
        let attempts = step.kind.handler().is_some();
        let usual = OnLost::usual(step.irreversible && attempts);
        DraftStep {
            name: step.name.to_string(),
            label: step.label.clone(),
            description: step.description.clone(),
            kind: draft_kind(&step.kind),
            needs: names(&step.needs),
            either: step.either.iter().map(|group| names(group)).collect(),
            after: names(&step.after),
            when: step.guards.iter().map(|g| self.draft_guard(g)).collect(),
            input: self.draft_binding(&step.input),
            retry: attempts.then(|| DraftRetry::from(step.retry)),
            timeout: step.timeout.map(Into::into),
            queue: step.queue.as_ref().map(ToString::to_string),
            priority: step.priority,
            labels: step.labels.iter().map(ToString::to_string).collect(),
            undo: step.undo.as_ref().map(draft_undo),
            irreversible: step.irreversible.then_some(true),
            compensatable: (!step.compensatable && !step.irreversible).then_some(false),
            on_lost: (step.on_lost != usual).then_some(step.on_lost),
            transactional: step.transactional,
            mark: step.mark,
        }
    }

    fn names(&self, indexes: &[StepIndex]) -> Vec<String> {
        let steps = indexes.iter().map(|index| self.step(*index));
        steps.map(|step| step.name.to_string()).collect()
    }

    fn draft_guard(&self, guard: &Guard) -> DraftGuard {
        let step = self.step(guard.step);
        let label = match guard.way {
            Way::Failed => label::FAILED.to_owned(),
            Way::Label(index) => step.ways()[usize::from(index.0)].to_string(),
        };
        DraftGuard {
            step: step.name.to_string(),
            label,
        }
    }

    fn draft_binding(&self, binding: &Binding) -> DraftBinding {
        match binding {
            Binding::Nothing => DraftBinding::Nothing,
            Binding::Whole(source) => DraftBinding::Whole(self.draft_source(source)),
            Binding::Tuple(sources) => {
                DraftBinding::Tuple(sources.iter().map(|s| self.draft_source(s)).collect())
            }
            Binding::Object(sources) => {
                let sources = sources
                    .iter()
                    .map(|(name, source)| (name.clone(), self.draft_source(source)));
                DraftBinding::Object(sources.collect())
            }
        }
    }

    fn draft_source(&self, source: &Source) -> DraftSource {
        let name = |step: &StepIndex| self.step(*step).name.to_string();
        let origin = match &source.origin {
            Origin::Input => DraftOrigin::Input,
            Origin::Output(step) => DraftOrigin::Output(name(step)),
            Origin::Failure(step) => DraftOrigin::Failure(name(step)),
            Origin::Either(steps) => DraftOrigin::Either(self.names(steps)),
            Origin::Constant(value) => DraftOrigin::Constant(value.clone()),
        };
        let path = source.path.clone();
        DraftSource { origin, path }
    }
}

fn draft_kind(kind: &StepKind) -> DraftKind {
    let span = |span: &Option<std::time::Duration>| span.map(Into::into);
    match kind {
        StepKind::Handler { handler } => DraftKind::Handler(handler.to_string()),
        StepKind::Wait { duration } => DraftKind::Wait((*duration).into()),
        StepKind::Until => DraftKind::Until,
        StepKind::Log { level, message } => DraftKind::Log {
            level: Some(*level),
            message: message.clone(),
        },
        StepKind::Pause { deadline } => DraftKind::Pause {
            deadline: span(deadline),
        },
        StepKind::Approval { deadline } => DraftKind::Approval {
            deadline: span(deadline),
        },
        StepKind::Signal {
            signal,
            contract,
            deadline,
        } => DraftKind::Signal {
            signal: signal.to_string(),
            contract: contract.clone(),
            deadline: span(deadline),
        },
        StepKind::Route {
            conditions,
            fallback,
        } => DraftKind::Route {
            conditions: conditions.iter().map(draft_condition).collect(),
            fallback: fallback.as_ref().map(ToString::to_string),
        },
        StepKind::Child { workflow, detach } => DraftKind::Child {
            workflow: workflow.to_string(),
            detach: *detach,
        },
        StepKind::Each {
            workflow,
            parallel,
            collect,
        } => DraftKind::Each {
            workflow: workflow.to_string(),
            parallel: Some(*parallel),
            collect: *collect,
        },
    }
}

fn draft_condition(condition: &Condition) -> DraftCondition {
    DraftCondition {
        label: condition.label.to_string(),
        path: condition.path.clone(),
        operator: condition.operator.clone(),
    }
}

fn draft_undo(undo: &Undo) -> DraftUndo {
    DraftUndo {
        handler: undo.handler.to_string(),
        retry: Some(undo.retry.into()),
        timeout: undo.timeout.map(Into::into),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::definition::{Contract, Field, FieldType, Operator, RouteMark, Stamp, samples};

    #[test]
    fn the_canonical_form_is_what_stores_have_kept() {
        let definition = samples::changed(|_| {});
        // Both are durable: a change of either makes every stored definition another one.
        assert_eq!(
            &**definition.body(),
            concat!(
                r#"{"deadline":"7d","description":"From basket to parcel","input":{"fields":{"amount":{"required":true,"typ"#,
                r#"e":"integer"},"currency":{"default":"EUR","type":"string"},"note":{"type":"string?"}}},"label":"Order",""#,
                r#"name":"order","priority":1,"queue":"orders","result":["output(ship)","output(charge)"],"steps":[{"handle"#,
                r#"r":"reserve_stock","input":"input","name":"reserve","retry":{"max_attempts":1,"max_lost":3},"undo":{"han"#,
                r#"dler":"release_stock","retry":{"max_attempts":3,"max_lost":3},"timeout":"10s"}},{"handler":"charge_card""#,
                r#","input":"input","label":"Charge","labels":["fraud","clean"],"name":"charge","on_lost":"hold","priority""#,
                r#":-5,"queue":"payments","retry":{"backoff":{"factor":2,"jitter":0.1,"kind":"exponential","max":"1s","min""#,
                r#":"100ms"},"max_attempts":5,"max_lost":2},"timeout":"30s","transactional":true},{"name":"settle","needs":"#,
                r#"["charge"],"wait":"1h"},{"after":["reserve"],"handler":"ship","input":{"object":{"paid":"output(charge)""#,
                r#","region":{"constant":"eu"}}},"irreversible":true,"name":"ship","needs":["charge","settle"],"on_lost":"r"#,
                r#"etry","retry":{"max_attempts":1,"max_lost":3}},{"name":"due","needs":["charge"],"until":"output(charge)."#,
                r#"lines[0].due"},{"log":{"level":"warn","message":"suspicious"},"name":"record","when":{"label":"fraud","s"#,
                r#"tep":"charge"}},{"approval":{"deadline":"2d"},"input":"output(charge)[\"odd key\"]","name":"review","nee"#,
                r#"ds":["charge"]},{"name":"park","pause":{"deadline":"1h"},"when":{"label":"expired","step":"review"}},{"n"#,
                r#"ame":"paid","signal":{"deadline":"7d","name":"paid","payload":{"fields":{"amount":{"type":"integer"}}}},"#,
                r#""when":{"label":"approved","step":"review"}},{"input":"input","name":"size","route":[{"greater_than":100"#,
                r#","label":"big","path":"amount"},{"exists":false,"label":"none","path":"amount"},{"equals":"EUR","label":"#,
                r#""euro","path":"currency"},{"in":[0,null],"label":"free","path":"amount"},{"label":"debt","less_than":0,""#,
                r#"path":"amount"},{"label":"odd","not_equals":{}},{"label":"small","otherwise":true}]},{"child":{"detach":"#,
                r#"true,"workflow":"invoice"},"compensatable":false,"input":"output(charge)","name":"invoice","needs":["cha"#,
                r#"rge"],"priority":3,"queue":"letters","when":[{"label":"approved","step":"review"},{"label":"big","step":"#,
                r#""size"}]},{"each":{"collect":true,"parallel":10,"workflow":"parcel"},"input":"input.lines","name":"parce"#,
                r#"ls"},{"handler":"refund","name":"refund","retry":{"max_attempts":1,"max_lost":3},"when":{"label":"reject"#,
                r#"ed","step":"review"}},{"either":[["paid","refund"]],"handler":"apologise","input":{"object":{"code":"fai"#,
                r#"lure(parcels).code","what":"either(refund,paid).note"}},"mark":"compensation","name":"apologise","retry""#,
                r#":{"max_attempts":1,"max_lost":3}},{"either":[["park","paid","refund"]],"handler":"close","mark":"undo",""#,
                r#"name":"close","retry":{"max_attempts":1,"max_lost":3},"when":{"label":"failed","step":"parcels"}}],"trig"#,
                r#"gers":[{"name":"by_hand"},{"input":{"fields":{"day":{"required":true,"type":"string"}}},"name":"nightly_"#,
                r#"import"}],"version":1}"#,
            )
        );
        assert_eq!(
            definition.digest().to_string(),
            "bfdebf0bad13339aeb2c8288a500dc73ad1961b54e0b2a186f125dc5c0f946c4"
        );
    }

    #[test]
    fn a2_1_a_draft_written_in_rust_and_one_in_json_have_one_digest() {
        let json = json!({"name": "order", "version": 1, "result": "output(b)", "steps": [
            {"name": "a", "handler": "h", "input": "input", "timeout": "1m30s"},
            {"name": "b", "handler": "h", "input": "output(a)", "retry":
                {"max_attempts": 3, "backoff": {"kind": "exponential", "factor": 2.0}}},
        ]});
        let mut draft = Draft::new("order", 1);
        let mut a = DraftStep::handler("a", "h");
        a.input = DraftBinding::Whole(DraftSource::input());
        a.timeout = Some(std::time::Duration::from_secs(90).into());
        let mut b = DraftStep::handler("b", "h");
        b.needs = vec!["a".to_owned()];
        b.input = DraftBinding::Whole(DraftSource::output("a"));
        b.retry = Some(DraftRetry::exponential(3));
        draft.result = DraftBinding::Whole(DraftSource::output("b"));
        draft.steps = vec![a, b];
        let (built, parsed) = (
            Definition::validate(draft).unwrap(),
            Definition::parse(&json).unwrap(),
        );
        assert_eq!(built.digest(), parsed.digest());
        assert_eq!(built, parsed);
    }

    #[test]
    fn a2_1_guards_routes_and_undo_written_in_rust_have_the_digest_of_their_json() {
        let json = json!({"name": "order", "version": 1, "triggers": [{"name": "import", "input": "string"}],
            "result": "either(refund,ship).id", "steps": [
            {"name": "size", "input": "input", "route":
                [{"label": "big", "path": "lines[0].amount", "greater_than": 10}, {"label": "small", "otherwise": true}]},
            {"name": "ship", "handler": "ship", "undo": {"handler": "recall"}, "when": {"step": "size", "label": "big"}},
            {"name": "refund", "handler": "refund", "input": "failure(ship).code", "mark": "compensation"},
        ]});
        let mut draft = Draft::new("order", 1);
        let contract = Contract::parse(&json!("string")).unwrap();
        draft.triggers = vec![DraftTrigger::manual("import", contract)];
        let condition = DraftCondition {
            label: "big".to_owned(),
            path: ".lines[0].amount".parse().unwrap(),
            operator: Operator::GreaterThan(json!(10)),
        };
        let route = DraftKind::Route {
            conditions: vec![condition],
            fallback: Some("small".to_owned()),
        };
        let mut size = DraftStep::of("size".to_owned(), route);
        size.input = DraftBinding::Whole(DraftSource::input());
        let mut ship = DraftStep::handler("ship", "ship");
        ship.undo = Some(DraftUndo {
            handler: "recall".to_owned(),
            retry: Some(DraftRetry::attempts(1)),
            timeout: None,
        });
        ship.when = vec![DraftGuard {
            step: "size".to_owned(),
            label: "big".to_owned(),
        }];
        let mut refund = DraftStep::handler("refund", "refund");
        refund.input =
            DraftBinding::Whole(DraftSource::failure("ship").at("code".parse().unwrap()));
        refund.mark = Some(RouteMark::Compensation);
        let result = DraftSource::either(["refund", "ship"]).at("id".parse().unwrap());
        draft.result = DraftBinding::Whole(result);
        draft.steps = vec![size, ship, refund];
        let (built, parsed) = (
            Definition::validate(draft).unwrap(),
            Definition::parse(&json).unwrap(),
        );
        assert_eq!(built.digest(), parsed.digest());
        assert_eq!(built, parsed);
    }

    #[test]
    fn a2_1_stamps_written_in_rust_have_the_digest_of_their_json() {
        let json = json!({"name": "order", "version": 1, "steps": [{"name": "a", "handler": "h"}],
        "input": {"fields": {
            "at": {"type": "string", "required": true, "stamp": "now"},
            "day": {"type": "any", "stamp": "today"},
        }}});
        let mut draft = Draft::new("order", 1);
        draft.input = Contract::declared([
            ("at", Field::stamped(FieldType::String, Stamp::Now)),
            ("day", Field::stamped(FieldType::Any, Stamp::Today)),
        ]);
        draft.steps = vec![DraftStep::handler("a", "h")];
        let (built, parsed) = (
            Definition::validate(draft).unwrap(),
            Definition::parse(&json).unwrap(),
        );
        assert_eq!(built.digest(), parsed.digest());
        assert_eq!(built, parsed);
        // It is durable: another form makes every stored definition with stamps another one.
        let input = r#""input":{"fields":{"at":{"stamp":"now","type":"string"},"day":{"stamp":"today","type":"any"}}}"#;
        assert!(built.body().contains(input), "{}", built.body());
    }

    proptest! {
        #[test]
        fn a_definition_comes_back_from_its_body_with_the_same_digest(draft in samples::any_draft()) {
            let definition = Definition::validate(draft).unwrap();
            let restored = Definition::from_body(definition.body()).unwrap();
            prop_assert_eq!(restored.digest(), definition.digest());
            prop_assert_eq!(restored.body(), definition.body());
            prop_assert_eq!(restored, definition);
        }
    }
}
