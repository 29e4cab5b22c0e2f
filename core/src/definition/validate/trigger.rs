//! The triggers of a draft.
//!
//! Invariant: checked triggers have distinct names; the first is the default one.

use std::collections::BTreeSet;

use super::super::Trigger;
use super::super::draft::Draft;
use super::super::problem::ProblemCode;
use super::super::reader;
use super::{Checker, shown, too_many};
use crate::limits;
use crate::name::{DEFAULT_TRIGGER, Name};

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
            triggers.push(name.map(|name| Trigger { name, contract }));
        }
        let mut triggers: Vec<Trigger> = triggers.into_iter().collect::<Option<_>>()?;
        triggers.sort_by(|one, other| one.name.cmp(&other.name));
        let default = Trigger {
            name: Name::stored(DEFAULT_TRIGGER),
            contract: draft.input.clone().canonical(),
        };
        triggers.insert(0, default);
        Some(triggers)
    }
}
