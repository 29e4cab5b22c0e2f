//! What a definition is stored as.
//!
//! Invariant: a definition restored from its body is the same one, with the same digest.
//!
//! A body is a draft in canonical JSON and passes the validation again when it is read, so a rule that is made stricter must
//! go on accepting what earlier releases stored.

use super::canonical::canonical_json;
use super::draft::{Draft, DraftBinding, DraftKind, DraftRetry, DraftSource, DraftStep};
use super::problem::Problems;
use super::{Binding, Definition, Source, Step, StepIndex, StepKind};

impl Definition {
    /// What a store keeps: the canonical JSON, labels and descriptions included. It is a draft too.
    pub fn body(&self) -> String {
        canonical_json(&self.to_draft().to_json())
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
            input: self.contract.clone(),
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

    fn draft_step(&self, step: &Step) -> DraftStep {
        let names = |indexes: &[StepIndex]| {
            indexes
                .iter()
                .map(|i| self.step(*i).name.to_string())
                .collect()
        };
        let (kind, retry) = match &step.kind {
            StepKind::Handler { handler } => (
                DraftKind::Handler(handler.to_string()),
                Some(DraftRetry::from(step.retry)),
            ),
            StepKind::Wait { duration } => (DraftKind::Wait((*duration).into()), None),
        };
        DraftStep {
            name: step.name.to_string(),
            label: step.label.clone(),
            description: step.description.clone(),
            kind,
            needs: names(&step.needs),
            after: names(&step.after),
            input: self.draft_binding(&step.input),
            retry,
            timeout: step.timeout.map(Into::into),
            queue: step.queue.as_ref().map(ToString::to_string),
            priority: step.priority,
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
        match source {
            Source::Input => DraftSource::Input,
            Source::Output(step) => DraftSource::Output(self.step(*step).name.to_string()),
            Source::Constant(value) => DraftSource::Constant(value.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::definition::samples;

    #[test]
    fn the_canonical_form_is_what_stores_have_kept() {
        let definition = samples::changed(|_| {});
        // Both are durable: a change of either makes every stored definition another one.
        assert_eq!(
            definition.body(),
            concat!(
                r#"{"deadline":"7d","description":"From basket to parcel","input":{"fields":{"amount":{"required":true,"#,
                r#""type":"integer"},"currency":{"default":"EUR","type":"string"},"note":{"type":"string?"}}},"#,
                r#""label":"Order","name":"order","priority":1,"queue":"orders","result":["output(ship)","output(charge)"],"#,
                r#""steps":[{"handler":"reserve_stock","input":"input","name":"reserve","retry":{"max_attempts":1,"#,
                r#""max_lost":3}},{"handler":"charge_card","input":"input","label":"Charge","name":"charge","priority":-5,"#,
                r#""queue":"payments","retry":{"backoff":{"factor":2,"jitter":0.1,"kind":"exponential","max":"1s","#,
                r#""min":"100ms"},"max_attempts":5,"max_lost":2},"timeout":"30s"},{"name":"settle","needs":["charge"],"#,
                r#""wait":"1h"},{"after":["reserve"],"handler":"ship","input":{"object":{"paid":"output(charge)","#,
                r#""region":{"constant":"eu"}}},"name":"ship","needs":["charge","settle"],"retry":{"max_attempts":1,"#,
                r#""max_lost":3}}],"version":1}"#,
            )
        );
        assert_eq!(
            definition.digest().to_string(),
            "8cf97222ca81ceadc90b9b577b7abb78882826947cd136042536c892643d3ace"
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
        a.input = DraftBinding::Whole(DraftSource::Input);
        a.timeout = Some(std::time::Duration::from_secs(90).into());
        let mut b = DraftStep::handler("b", "h");
        b.needs = vec!["a".to_owned()];
        b.input = DraftBinding::Whole(DraftSource::Output("a".to_owned()));
        b.retry = Some(DraftRetry::exponential(3));
        draft.result = DraftBinding::Whole(DraftSource::Output("b".to_owned()));
        draft.steps = vec![a, b];
        let (built, parsed) = (
            Definition::validate(draft).unwrap(),
            Definition::parse(&json).unwrap(),
        );
        assert_eq!(built.digest(), parsed.digest());
        assert_eq!(built, parsed);
    }

    proptest! {
        #[test]
        fn a_definition_comes_back_from_its_body_with_the_same_digest(draft in samples::any_draft()) {
            let definition = Definition::validate(draft).unwrap();
            let restored = Definition::from_body(&definition.body()).unwrap();
            prop_assert_eq!(restored.digest(), definition.digest());
            prop_assert_eq!(restored.body(), definition.body());
            prop_assert_eq!(restored, definition);
        }
    }
}
