//! Editions of the time zone database: in a rolling deploy, processes have different ones.
//!
//! Invariant: what a zone means is up to the process that decides; what is stored is the zone that was declared.

use std::borrow::Cow;

use squid_mesh_core::operation::{Operation, ScheduleAction, ScheduleCommand, Writes};
use squid_mesh_core::schedule::{Plan, PlanDraft, ScheduleRow};

/// Which edition a process has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Edition {
    /// The one that was compiled in.
    #[default]
    Current,
    /// One by which some zones have other rules.
    Next,
}

/// Zones, and the zones whose rules they have in the next edition. No zone is on both sides.
const OTHER_RULES: [(&str, &str); 3] = [
    ("Europe/Berlin", "Africa/Cairo"),
    ("Australia/Lord_Howe", "Asia/Magadan"),
    ("Asia/Kathmandu", "Asia/Kolkata"),
];

impl Edition {
    /// Both.
    pub const BOTH: [Edition; 2] = [Edition::Current, Edition::Next];

    /// A plan, by the rules of this edition.
    pub fn of(self, plan: &Plan) -> Cow<'_, Plan> {
        let zone = plan.zone().map(|zone| zone.name());
        let rules = OTHER_RULES.iter().find(|(own, _)| Some(*own) == zone);
        match (self, rules) {
            (Edition::Next, Some((_, rules))) => {
                let draft = PlanDraft {
                    zone: Some((*rules).to_owned()),
                    ..PlanDraft::from(plan)
                };
                Cow::Owned(draft.check().expect("the plan of another zone is valid"))
            }
            (Edition::Current | Edition::Next, _) => Cow::Borrowed(plan),
        }
    }

    /// An operation as this edition understands it.
    pub(super) fn understood(self, operation: &Operation) -> Cow<'_, Operation> {
        let (Edition::Next, Operation::Schedule(command)) = (self, operation) else {
            return Cow::Borrowed(operation);
        };
        let mut understood = ScheduleCommand::clone(command);
        if let ScheduleAction::Create(declared)
        | ScheduleAction::Change(declared)
        | ScheduleAction::Declare(declared) = &mut understood.action
        {
            declared.plan = self.of(&declared.plan).into_owned();
        }
        Cow::Owned(Operation::Schedule(Box::new(understood)))
    }

    /// A row as this edition understands it.
    pub(super) fn read(self, row: &ScheduleRow) -> ScheduleRow {
        let mut row = row.clone();
        if self == Edition::Next {
            for (own, rules) in OTHER_RULES {
                row.plan = row.plan.replace(&quoted(own), &quoted(rules));
            }
        }
        row
    }

    /// Gives zones back their names in what is to be written.
    pub(super) fn write(self, writes: &mut Writes) {
        if self == Edition::Current {
            return;
        }
        let updated = writes.schedules_updated.iter_mut();
        let rows = updated.map(|update| &mut update.row);
        for row in rows.chain(&mut writes.schedules_inserted) {
            for (own, rules) in OTHER_RULES {
                row.plan = row.plan.replace(&quoted(rules), &quoted(own));
            }
        }
    }
}

fn quoted(zone: &str) -> String {
    format!("\"{zone}\"")
}

#[cfg(test)]
mod tests {
    use squid_mesh_core::time::Timestamp;

    use super::*;

    /// In September 2026. Half a century before, Kathmandu had the time of Kolkata.
    const AUTUMN: Timestamp = Timestamp::from_micros(1_790_000_000_000_000);

    #[test]
    fn no_zone_is_on_both_sides() {
        for (own, rules) in OTHER_RULES {
            assert!(OTHER_RULES.iter().all(|(other, _)| *other != rules));
            assert_eq!(
                OTHER_RULES.iter().filter(|(_, of)| *of == rules).count(),
                1,
                "{own}"
            );
        }
    }

    #[test]
    fn each_zone_has_occurrences_by_the_next_edition_that_it_has_not_by_the_current_one() {
        for (own, _) in OTHER_RULES {
            let plan = PlanDraft::cron("0 12 * * *", own).check().unwrap();
            let next = |edition: Edition| edition.of(&plan).next_after(AUTUMN);
            assert_ne!(next(Edition::Current), next(Edition::Next), "{own}");
        }
    }
}
