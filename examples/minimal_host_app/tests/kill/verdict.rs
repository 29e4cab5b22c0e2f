//! What a run left behind, compared with what it should have left.
//!
//! Invariant: no effect is without an attempt that the journal counts, and no recorded success without its effect.

use std::collections::{BTreeMap, BTreeSet};

use minimal_host_app::ledger::{Effect, PAID};
use minimal_host_app::stored::Stored;
use minimal_host_app::workflows::{
    cancellable_wait, dependency_recovery, retry_verification, timeout_recovery,
};
use squid_mesh_core::change::Change;
use squid_mesh_core::definition::{Definition, StepIndex};
use squid_mesh_core::event::Event;
use squid_mesh_core::run::Status;
use squid_mesh_core::transition::Transition;

use super::World;
use super::mix::{Plan, Planned};

/// What all runs came to.
#[derive(Debug, Default)]
pub(crate) struct Totals {
    /// Attempts that succeeded.
    pub(crate) succeeded: usize,
    /// Attempts that failed.
    pub(crate) failed: usize,
    /// Attempts that were lost.
    pub(crate) lost: usize,
    /// Executions of handlers.
    pub(crate) effects: usize,
    /// Executions beyond the first of their step.
    pub(crate) repeated: usize,
}

/// What the journal says of one step.
#[derive(Debug, Clone, Copy, Default)]
struct Tally {
    succeeded: usize,
    failed: usize,
    lost: usize,
    settled: usize,
}

/// Compares every run.
pub(crate) async fn judge_all(world: &World, runs: &[Planned]) -> Totals {
    let mut totals = Totals::default();
    for planned in runs {
        let Stored {
            record,
            definition,
            journal,
            discrepancies,
        } = Stored::read(world.scene.client.store(), planned.run)
            .await
            .expect("the run is stored");
        assert!(
            discrepancies.is_empty(),
            "{planned:?}: {discrepancies:?}\n{journal:#?}"
        );
        assert_eq!(record.tasks, [], "{planned:?} has ended, and has tasks");

        let effects = world
            .scene
            .app
            .ledger
            .effects(planned.run)
            .await
            .expect("the ledger answers");
        judge_steps(planned, &definition, &journal, &effects, &mut totals);
        let status = record.row.status;
        judge_end(world, planned, status, &effects).await;
    }
    totals
}

/// No step settles twice; every recorded success had an effect; a repeated effect is an attempt that the journal counts.
fn judge_steps(
    planned: &Planned,
    definition: &Definition,
    journal: &[Transition],
    effects: &[Effect],
    totals: &mut Totals,
) {
    let tallies = tally(journal);
    let tokens: BTreeSet<&str> = effects.iter().map(|effect| effect.token.as_str()).collect();
    assert_eq!(tokens.len(), effects.len(), "{planned:?}");
    totals.effects += effects.len();
    for index in definition.indexes() {
        let step = &definition.step(index).name;
        let Tally {
            succeeded,
            failed,
            lost,
            settled,
        } = tallies.get(&index).copied().unwrap_or_default();
        let told = || {
            format!(
                "step {step} of {planned:?}: {:?}\n{effects:?}\n{journal:#?}",
                tallies.get(&index)
            )
        };
        assert_eq!(settled, 1, "a step settles once: {}", told());
        assert!(succeeded <= 1, "a step succeeds at most once: {}", told());

        let executed: Vec<u32> = effects
            .iter()
            .filter(|effect| effect.step == step.as_str())
            .map(|effect| effect.attempt)
            .collect();
        let attempts: BTreeSet<u32> = executed.iter().copied().collect();
        assert_eq!(
            attempts.len(),
            executed.len(),
            "an attempt is executed once: {}",
            told()
        );
        assert!(
            executed.len() >= succeeded,
            "a success had an effect: {}",
            told()
        );
        assert!(
            executed.len() <= succeeded + failed + lost,
            "an effect has its attempt: {}",
            told()
        );
        totals.succeeded += succeeded;
        totals.failed += failed;
        totals.lost += lost;
        totals.repeated += executed.len().saturating_sub(1);
    }
}

/// Counts what happened to each step. The end of a wait is no attempt.
fn tally(journal: &[Transition]) -> BTreeMap<StepIndex, Tally> {
    let mut tallies: BTreeMap<StepIndex, Tally> = BTreeMap::new();
    for transition in journal {
        match &transition.event {
            Event::Succeeded { step, .. } => tallies.entry(*step).or_default().succeeded += 1,
            Event::Failed { step, .. } => tallies.entry(*step).or_default().failed += 1,
            Event::Lost { step, .. } => tallies.entry(*step).or_default().lost += 1,
            Event::Started(_)
            | Event::Conflicted { .. }
            | Event::Evaluated { .. }
            | Event::Due { .. }
            | Event::DeadlineReached { .. }
            | Event::CancelRequested(_)
            | Event::Resolved(_)
            | Event::Signalled(_)
            | Event::Spawned { .. }
            | Event::Recalled { .. }
            | Event::Called { .. }
            | Event::ChildEnded { .. }
            | Event::Collected { .. } => {}
        }
        for change in &transition.changes {
            if let Change::Settle { step, .. } | Change::Fail { step, .. } = change {
                tallies.entry(*step).or_default().settled += 1;
            }
        }
    }
    tallies
}

/// The run ended as planned, and the application's tables hold what it was for.
async fn judge_end(world: &World, planned: &Planned, status: Status, effects: &[Effect]) {
    let ledger = &world.scene.app.ledger;
    let figure = async |subject: &str, name: &str| {
        ledger
            .figure(subject, name)
            .await
            .expect("the ledger answers")
    };
    let expected = match &planned.plan {
        Plan::Cancel { .. } => Status::Cancelled,
        _ => Status::Completed,
    };
    assert_eq!(
        status,
        expected,
        "{planned:?}: {:#?}",
        world.scene.client.history(planned.run).await
    );
    match &planned.plan {
        Plan::Payment { invoice, cents } => {
            let row = ledger
                .invoice(invoice)
                .await
                .expect("the ledger answers")
                .expect("the invoice exists");
            let payment = Some(format!("pay_{invoice}"));
            assert_eq!(
                (row.status.as_str(), row.payment, row.cents),
                (PAID, payment, *cents),
                "{planned:?}"
            );
            let messages = ledger
                .notifications(invoice)
                .await
                .expect("the ledger answers");
            assert_eq!(
                messages.len(),
                1,
                "a customer gets one message: {planned:?}"
            );
        }
        Plan::Dependency {
            shop,
            products,
            prices,
        } => {
            let total = figure(shop, dependency_recovery::TOTAL).await;
            assert_eq!(total, Some(products + prices), "{planned:?}");
        }
        Plan::Retry { name, failures } => {
            let executions = figure(name, retry_verification::EXECUTIONS).await;
            assert!(
                executions > Some(i64::from(*failures)),
                "{planned:?}: {executions:?}"
            );
        }
        Plan::Timeout { name, pages } => {
            assert_eq!(
                figure(name, timeout_recovery::PAGES).await,
                Some(i64::from(*pages)),
                "{planned:?}"
            );
        }
        Plan::Cancel { name, .. } => {
            let released = effects
                .iter()
                .filter(|effect| effect.step == "release_seats")
                .count();
            assert_eq!(released, 0, "nothing runs after a cancel: {planned:?}");
            assert_ne!(
                figure(name, cancellable_wait::HELD).await,
                Some(0),
                "{planned:?}"
            );
        }
    }
}
