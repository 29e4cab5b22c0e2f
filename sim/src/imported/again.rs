//! Deciding again what was decided in production.
//!
//! Invariant: the same engine decides the same. What it knew then and no journal says, who held what and that a clock had gone
//! back, is told from what was decided.

use std::collections::BTreeSet;

use squid_mesh_core::change::Change;
use squid_mesh_core::definition::StepIndex;
use squid_mesh_core::export::ExportedRun;
use squid_mesh_core::mutant::Mutation;
use squid_mesh_core::run::{Facts, Run, Verdict};
use squid_mesh_core::task::Lane;
use squid_mesh_core::time::Timestamp;
use squid_mesh_core::transition::Transition;

/// What the engine of this build decides.
pub(super) enum Today {
    /// The same.
    Same,
    /// Other changes.
    Changes(Vec<Change>),
    /// That the event does not fit.
    Refused(String),
}

/// What is decided because of a row's event in the state before it.
pub(super) fn today(exported: &ExportedRun, before: Option<&Run>, row: &Transition) -> Today {
    let Some(run) = before else {
        return compared(started(exported, row), row);
    };
    let mut first = None;
    for claimed in guesses(run, row) {
        let today = match decided(exported, run, row, facts(row.at, Some(&claimed))) {
            Today::Changes(changes) => match earlier(run, row, &changes) {
                Some(now) => match decided(exported, run, row, facts(now, Some(&claimed))) {
                    Today::Same => Today::Same,
                    Today::Changes(_) | Today::Refused(_) => Today::Changes(changes),
                },
                None => Today::Changes(changes),
            },
            today => today,
        };
        if matches!(today, Today::Same) {
            return today;
        }
        first.get_or_insert(today);
    }
    first.expect("there is a guess")
}

fn decided(exported: &ExportedRun, run: &Run, row: &Transition, facts: Facts<'_>) -> Today {
    match run.decide(exported.definition(), row.event.clone(), &facts) {
        Verdict::Decided(decided) => compared(decided.transition.changes, row),
        Verdict::Refused(rejection) => Today::Refused(rejection.to_string()),
        Verdict::Claims => unreachable!("the claims are known"),
    }
}

/// What the clock said, if it had gone back: a row is never earlier than the one before it, but delays count from the clock as it
/// was read. How far it had gone back is how much earlier the first thing is due than it would be.
fn earlier(run: &Run, row: &Transition, today: &[Change]) -> Option<Timestamp> {
    let pairs = today.iter().zip(&row.changes);
    let mut dues = pairs.filter_map(|(today, recorded)| Some((due(today)?, due(recorded)?)));
    let (today, recorded) = dues.find(|(today, recorded)| today != recorded)?;
    let back = today.since(recorded);
    (row.at == run.at() && !back.is_zero()).then(|| row.at.minus(back))
}

fn due(change: &Change) -> Option<Timestamp> {
    match change {
        Change::Schedule { due, .. }
        | Change::Engage { due, .. }
        | Change::Await { due, .. }
        | Change::ArmDeadline { due, .. }
        | Change::Deliver { due, .. } => Some(*due),
        Change::Open { deadline, .. } => deadline.map(|(_, due)| due),
        _ => None,
    }
}

fn compared(changes: Vec<Change>, row: &Transition) -> Today {
    if changes == row.changes {
        Today::Same
    } else {
        Today::Changes(changes)
    }
}

/// The changes of a start. What a copy takes over, and which occurrence it is of, comes from elsewhere, and first.
fn started(exported: &ExportedRun, row: &Transition) -> Vec<Change> {
    let given = |change: &&Change| matches!(change, Change::Inherit { .. } | Change::Belong { .. });
    let inherited: Vec<Change> = row.changes.iter().take_while(given).cloned().collect();
    let decided = Run::start(
        exported.id(),
        exported.run().life(),
        exported.definition(),
        exported.started().clone(),
        inherited,
        facts(row.at, None),
    );
    decided.transition.changes
}

/// What may have been claimed: leases are no history. Whatever was told to stop or is in doubt was claimed, most likely
/// nothing else; else nothing was, or everything.
fn guesses(run: &Run, row: &Transition) -> [BTreeSet<Lane>; 3] {
    let told = row.changes.iter().filter_map(|change| match change {
        Change::Stop { step } | Change::Hold { step, .. } => Some(*step),
        _ => None,
    });
    let held = |step: StepIndex| run.steps().get(step.at())?.stage.armed();
    let told = told.filter_map(held).map(|armed| armed.lane).collect();
    let all = run.lanes().map(|armed| armed.lane).collect();
    [told, BTreeSet::new(), all]
}

fn facts(now: Timestamp, claimed: Option<&BTreeSet<Lane>>) -> Facts<'_> {
    Facts {
        now,
        claimed,
        mutation: Mutation::NONE,
    }
}
