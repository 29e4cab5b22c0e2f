//! Handlers that a definition may name.
//!
//! Invariant: the list is the host's; nothing in a definition adds to it.

use std::collections::BTreeSet;

use super::super::Definition;
use super::super::problem::{Problem, ProblemCode, Problems};
use crate::name::Name;

impl Definition {
    /// Whether the host has every handler; a handler that is `disabled` counts as such whether it is `known` or not.
    ///
    /// # Errors
    /// Says which steps name a handler that the host never registered, and which one that it switched off.
    pub fn check_handlers(
        &self,
        known: &BTreeSet<Name>,
        disabled: &BTreeSet<Name>,
    ) -> Result<(), Problems> {
        let mut problems = Vec::new();
        for (i, step) in self.steps.iter().enumerate() {
            let own = step.kind.handler().map(|handler| (handler, "handler"));
            let undo = step.undo.as_ref();
            let undo = undo.map(|undo| (&undo.handler, "undo.handler"));
            for (handler, key) in own.into_iter().chain(undo) {
                let (code, what) = match (disabled.contains(handler), known.contains(handler)) {
                    (true, _) => (ProblemCode::DisabledHandler, "which the host has disabled"),
                    (false, false) => (
                        ProblemCode::UnknownHandler,
                        "which the host has not registered",
                    ),
                    (false, true) => continue,
                };
                let message = format!("step {:?} names handler {handler:?}, {what}", step.name);
                problems.push(Problem::new(format!("steps[{i}].{key}"), code, message));
            }
        }
        Problems::none_of(problems)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::definition::samples;

    #[test]
    fn a2_4_and_a2_5_handlers_must_be_registered_and_not_disabled() {
        let definition = samples::changed(|draft| {
            draft["steps"][0]["handler"] = json!("rm_rf");
            draft["steps"][0]["undo"]["handler"] = json!("format_c");
        });
        let names = |list: &[&str]| {
            list.iter()
                .map(|name| Name::new(name).unwrap())
                .collect::<BTreeSet<Name>>()
        };
        let known = names(&[
            "charge_card",
            "ship",
            "other",
            "refund",
            "apologise",
            "close",
        ]);
        let found = definition
            .check_handlers(&known, &names(&["ship"]))
            .unwrap_err();
        let shown: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert_eq!(
            shown,
            [
                "steps[0].handler: step \"reserve\" names handler \"rm_rf\", which the host has not registered [unknown_handler]",
                "steps[0].undo.handler: step \"reserve\" names handler \"format_c\", which the host has not registered [unknown_handler]",
                "steps[3].handler: step \"ship\" names handler \"ship\", which the host has disabled [disabled_handler]",
            ]
        );
        let known = definition.handlers().into_iter().cloned().collect();
        assert!(
            definition
                .check_handlers(&known, &names(&["other"]))
                .is_ok()
        );
    }
}
