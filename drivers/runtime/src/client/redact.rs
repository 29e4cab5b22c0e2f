//! What nobody is to see.
//!
//! Invariant: every payload that a client shows to people has passed the host's hook; what programs ask for, a run's result,
//! has not.

use std::fmt;
use std::sync::Arc;

use serde_json::Value;
use squid_mesh_core::id::RunId;
use squid_mesh_core::name::Name;

use super::inspection::{Inspection, failures};

/// What is about to be shown.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct RedactionContext<'a> {
    /// The run; none if it is the input of a schedule.
    pub run: Option<RunId>,
    /// The schedule, of its input.
    pub schedule: Option<&'a str>,
    /// Its workflow, if it is known here.
    pub workflow: Option<&'a Name>,
    /// Which payload.
    pub part: RedactedPart<'a>,
}

/// Which payload is about to be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RedactedPart<'a> {
    /// The input of the run, or of the runs of the schedule.
    Input,
    /// What a step gave.
    Output {
        /// The step.
        step: &'a Name,
    },
    /// The details of a failure.
    Failure {
        /// The step that failed, unless the run itself did.
        step: Option<&'a Name>,
    },
    /// What a signal carries.
    Signal {
        /// The signal.
        signal: &'a Name,
    },
    /// What somebody said beside a command, secrets aside.
    Metadata,
}

type Hook = dyn Fn(&RedactionContext<'_>, &mut Value) + Send + Sync;

/// The host's hook, if it has one.
#[derive(Clone, Default)]
pub(crate) struct Redaction(Option<Arc<Hook>>);

/// What stands where something is not shown.
const MASK: &str = "[redacted]";

/// Parts of the names of what is not shown of metadata, without case and separators.
const SECRETS: [&str; 8] = [
    "password",
    "passwd",
    "token",
    "secret",
    "apikey",
    "authorization",
    "credential",
    "privatekey",
];

impl Redaction {
    pub(crate) fn of(
        hook: impl Fn(&RedactionContext<'_>, &mut Value) + Send + Sync + 'static,
    ) -> Redaction {
        Redaction(Some(Arc::new(hook)))
    }

    /// Everything that an inspection with payloads shows.
    pub(super) fn inspection(&self, inspection: &mut Inspection) {
        let Some(hook) = &self.0 else { return };
        let (run, workflow) = (inspection.run, inspection.workflow.clone());
        let show = |part: RedactedPart<'_>, value: &mut Value| {
            let context = RedactionContext {
                run: Some(run),
                schedule: None,
                workflow: Some(&workflow),
                part,
            };
            hook(&context, value);
        };
        if let Some(input) = &mut inspection.input {
            show(RedactedPart::Input, input);
        }
        for step in &mut inspection.steps {
            if let Some(output) = &mut step.output {
                show(RedactedPart::Output { step: &step.name }, output);
            }
        }
        for signal in &mut inspection.signals {
            if let Some(payload) = &mut signal.payload {
                let signal = &signal.signal;
                show(RedactedPart::Signal { signal }, payload);
            }
        }
        for failure in failures(inspection) {
            let step = failure.step.as_ref();
            if let Some(details) = &mut failure.details {
                show(RedactedPart::Failure { step }, details);
            }
        }
    }

    /// The input of a schedule.
    pub(super) fn schedule(&self, schedule: &str, workflow: &Name, input: &mut Value) {
        let Some(hook) = &self.0 else { return };
        let context = RedactionContext {
            run: None,
            schedule: Some(schedule),
            workflow: Some(workflow),
            part: RedactedPart::Input,
        };
        hook(&context, input);
    }

    /// Metadata as it is shown: secrets are never.
    pub(super) fn metadata(&self, run: RunId, workflow: Option<&Name>, text: &str) -> Value {
        let mut value = serde_json::from_str(text).unwrap_or(Value::Null);
        mask_secrets(&mut value);
        if let Some(hook) = &self.0 {
            let context = RedactionContext {
                run: Some(run),
                schedule: None,
                workflow,
                part: RedactedPart::Metadata,
            };
            hook(&context, &mut value);
        }
        value
    }
}

/// Puts the mask in place of every value whose key looks like that of a secret.
fn mask_secrets(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                if is_secret(key) {
                    *value = Value::String(MASK.to_owned());
                } else {
                    mask_secrets(value);
                }
            }
        }
        Value::Array(elements) => elements.iter_mut().for_each(mask_secrets),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn is_secret(key: &str) -> bool {
    let letters = key.chars().filter(|c| c.is_alphanumeric());
    let plain: String = letters.flat_map(char::to_lowercase).collect();
    SECRETS.iter().any(|secret| plain.contains(secret))
}

impl fmt::Debug for Redaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Redaction").field(&self.0.is_some()).finish()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_under_keys_that_look_like_secrets_are_masked_at_any_depth() {
        let text = json!({
            "ticket": 7, "Api-Key": "a", "nested": [{"db_password": 1, "authorization": {"x": 1}}], "tokens": ["a"],
        })
        .to_string();
        let shown = Redaction::default().metadata(RunId::from_u128(1), None, &text);
        assert_eq!(
            shown,
            json!({
                "ticket": 7, "Api-Key": MASK, "nested": [{"db_password": MASK, "authorization": MASK}], "tokens": MASK,
            })
        );
    }
}
