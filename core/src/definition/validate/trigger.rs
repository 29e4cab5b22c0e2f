//! The triggers of a draft.
//!
//! Invariant: checked triggers have distinct names; the first is the default one.

use std::collections::BTreeSet;

use serde_json::Value;

use super::super::contract::Contract;
use super::super::draft::{Draft, DraftSchedule};
use super::super::problem::ProblemCode;
use super::super::reader;
use super::super::{Trigger, TriggerSchedule};
use super::{Checker, shown, too_many};
use crate::limits;
use crate::name::{DEFAULT_TRIGGER, Name};
use crate::schedule::Timing;

impl Checker<'_> {
    /// The default trigger and the others in the order of their names.
    pub(super) fn triggers(&mut self, draft: &Draft) -> Option<Vec<Trigger>> {
        let count = draft.triggers.len();
        self.problems
            .extend(too_many("triggers", "triggers", count, limits::TRIGGERS));
        let mut names = BTreeSet::from([DEFAULT_TRIGGER]);
        let mut triggers = Vec::new();
        for (n, trigger) in draft.triggers.iter().enumerate() {
            let path = reader::item("triggers", n);
            let name_path = reader::field(&path, "name");
            let name = self.name(&name_path, &trigger.name);
            if !names.insert(&trigger.name) {
                let message = format!("there is another trigger {:?}", shown(&trigger.name));
                self.report(&name_path, ProblemCode::DuplicateTrigger, message);
            }
            self.contract(&reader::field(&path, "input"), &trigger.input);
            let contract = trigger.input.clone().canonical();
            let schedule = match &trigger.schedule {
                Some(schedule) => {
                    let path = reader::field(&path, "schedule");
                    self.schedule(&path, schedule, &contract).map(Some)
                }
                None => Some(None),
            };
            let trigger = name.zip(schedule).map(|(name, schedule)| Trigger {
                name,
                contract,
                schedule,
            });
            triggers.push(trigger);
        }
        let mut triggers: Vec<Trigger> = triggers.into_iter().collect::<Option<_>>()?;
        triggers.sort_by(|one, other| one.name.cmp(&other.name));
        let default = Trigger {
            name: Name::fixed(DEFAULT_TRIGGER),
            contract: draft.input.clone().canonical(),
            schedule: None,
        };
        triggers.insert(0, default);
        Some(triggers)
    }

    fn schedule(
        &mut self,
        path: &str,
        draft: &DraftSchedule,
        contract: &Contract,
    ) -> Option<TriggerSchedule> {
        let at = |key: &str| reader::field(path, key);
        let plan = draft.plan.check();
        for problem in plan.as_ref().err().into_iter().flatten() {
            let code = match problem.field {
                "cron" => ProblemCode::MalformedCron,
                "zone" => ProblemCode::UnknownZone,
                _ => ProblemCode::InvalidSchedule,
            };
            self.report(&at(problem.field), code, problem.problem.clone());
        }
        if plan
            .as_ref()
            .is_ok_and(|plan| plan.timing == Timing::External)
        {
            let message = "a trigger's schedule has an expression";
            self.report(&at("cron"), ProblemCode::MissingField, message);
        }
        let payload = draft.payload.clone().unwrap_or_else(|| match contract {
            Contract::Any | Contract::Value { .. } => Value::Null,
            Contract::Fields { .. } => Value::Object(serde_json::Map::new()),
        });
        self.json(&at("payload"), &payload);
        if let Err(violations) = contract.check(&payload) {
            let message = format!("the trigger does not take it: {violations}");
            self.report(&at("payload"), ProblemCode::InvalidPayload, message);
        }
        Some(TriggerSchedule {
            plan: plan.ok()?,
            payload,
        })
    }
}
