//! One scenario for each reference workflow, two for the one that is started in two ways.
//!
//! Invariant: each asserts the whole of what its run should leave behind, in the journal and in the application's tables.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use squid_mesh::StepStatus;
use squid_mesh::core::event::code;
use squid_mesh::core::run::Status;

use super::{Check, Scenario, Scene, children, money, people, schedules};
use crate::workflows::cancellable_wait::{self, Reservation};
use crate::workflows::dependency_recovery::{self, Outage};
use crate::workflows::retry_verification::{self, Flaky};
use crate::workflows::run_deadline::{self, Overdue};
use crate::workflows::timeout_recovery::{self, SlowReport};
use crate::workflows::{
    daily_digest, local_ledger_checkout, manual_approval, manual_pause, nested_invite_delivery,
    payment_recovery, saga_checkout,
};

/// Every scenario.
pub(super) fn all(scene: &Arc<Scene>) -> Vec<Scenario> {
    vec![
        scenario(scene, payment_recovery::NAME, money::payment_recovery),
        scenario(scene, dependency_recovery::NAME, dependency_recovery),
        scenario(scene, cancellable_wait::NAME, cancellable_wait),
        scenario(scene, retry_verification::NAME, retry_verification),
        scenario(scene, timeout_recovery::NAME, timeout_recovery),
        scenario(scene, run_deadline::NAME, run_deadline),
        scenario(scene, manual_approval::NAME, people::manual_approval),
        scenario(scene, manual_pause::NAME, people::manual_pause),
        scenario(scene, saga_checkout::NAME, money::saga_checkout),
        scenario(
            scene,
            local_ledger_checkout::NAME,
            money::local_ledger_checkout,
        ),
        scenario(
            scene,
            nested_invite_delivery::NAME,
            children::nested_invite_delivery,
        ),
        scenario(scene, daily_digest::NAME, people::daily_digest),
        scenario(scene, schedules::NAME, schedules::daily_digest),
    ]
}

/// A scenario of a function. An error on the way is a deviation like any other.
fn scenario<F, Fut>(scene: &Arc<Scene>, name: &'static str, body: F) -> Scenario
where
    F: Fn(Arc<Scene>, Check) -> Fut,
    Fut: Future<Output = anyhow::Result<Check>> + Send + 'static,
{
    let performing = body(scene.clone(), Check::new(name));
    Box::pin(async move {
        performing
            .await
            .unwrap_or_else(|error| Check::broken(name, error.as_ref()))
    })
}

async fn dependency_recovery(scene: Arc<Scene>, mut check: Check) -> anyhow::Result<Check> {
    let shop = format!("shop-{}", scene.mark);
    let outage = Outage {
        shop: shop.clone(),
        products: 120,
        prices: 340,
    };
    let run = scene
        .client
        .start(&scene.workflows.dependency_recovery.reference(), outage)
        .await?;
    let ended = scene.ended(&run).await?;
    let attempts = [
        ("rebuild_catalogue", 1),
        ("rebuild_prices", 1),
        ("reopen_shop", 1),
    ];
    check.ended(&ended, Status::Completed, &attempts);
    let last = ended.history.last().and_then(|entry| entry.step.as_deref());
    check.equal("the last step to succeed", last, Some("reopen_shop"));
    check.equal("result", run.result().await.ok(), Some(460));
    let total = scene
        .app
        .ledger
        .figure(&shop, dependency_recovery::TOTAL)
        .await?;
    check.equal("total", total, Some(460));
    Ok(check)
}

async fn cancellable_wait(scene: Arc<Scene>, mut check: Check) -> anyhow::Result<Check> {
    let name = format!("reservation-{}", scene.mark);
    let reservation = Reservation {
        name: name.clone(),
        seats: 2,
    };
    let run = scene
        .client
        .start(&scene.workflows.cancellable_wait.reference(), reservation)
        .await?;
    scene.reached(&run, "hold", StepStatus::Waiting).await?;
    let cancelled = run
        .cancel()
        .actor("smoke")
        .reason("the guests do not come")
        .await?;
    check.equal("answer to the cancel", cancelled.status, Status::Cancelled);

    let ended = scene.ended(&run).await?;
    check.ended(&ended, Status::Cancelled, &[("hold_seats", 1)]);
    let cancel = ended
        .inspection
        .cancel
        .as_ref()
        .and_then(|cancel| cancel.actor.as_deref());
    check.equal("who cancelled", cancel, Some("smoke"));
    let statuses: Vec<StepStatus> = ended
        .inspection
        .steps
        .iter()
        .map(|step| step.status)
        .collect();
    check.equal(
        "steps",
        statuses,
        vec![
            StepStatus::Succeeded,
            StepStatus::Cancelled,
            StepStatus::Cancelled,
        ],
    );
    let held = scene
        .app
        .ledger
        .figure(&name, cancellable_wait::HELD)
        .await?;
    check.equal("seats held", held, Some(2));
    Ok(check)
}

async fn retry_verification(scene: Arc<Scene>, mut check: Check) -> anyhow::Result<Check> {
    let name = format!("flaky-{}", scene.mark);
    let flaky = Flaky {
        name: name.clone(),
        failures: 3,
    };
    let run = scene
        .client
        .start(&scene.workflows.retry_verification.reference(), flaky)
        .await?;
    let ended = scene.ended(&run).await?;
    check.ended(
        &ended,
        Status::Completed,
        &[("flaky_step", 4), ("note_executions", 1)],
    );
    check.failures(&ended.history, "flaky_step", retry_verification::FLAKY, 3);
    check.equal("result", run.result().await.ok(), Some(4));
    let noted = scene
        .app
        .ledger
        .figure(&name, retry_verification::EXECUTIONS)
        .await?;
    check.equal("noted executions", noted, Some(4));
    Ok(check)
}

async fn timeout_recovery(scene: Arc<Scene>, mut check: Check) -> anyhow::Result<Check> {
    let name = format!("report-{}", scene.mark);
    let report = SlowReport {
        name: name.clone(),
        pages: 7,
    };
    let run = scene
        .client
        .start(&scene.workflows.timeout_recovery.reference(), report)
        .await?;
    let ended = scene.ended(&run).await?;
    check.ended(&ended, Status::Completed, &[("render_report", 2)]);
    check.failures(&ended.history, "render_report", code::TIMEOUT, 1);
    check.equal("result", run.result().await.ok(), Some(7));
    check.equal(
        "pages",
        scene
            .app
            .ledger
            .figure(&name, timeout_recovery::PAGES)
            .await?,
        Some(7),
    );
    Ok(check)
}

async fn run_deadline(scene: Arc<Scene>, mut check: Check) -> anyhow::Result<Check> {
    let offer = format!("offer-{}", scene.mark);
    let run = scene
        .client
        .start(&scene.workflows.run_deadline.reference(), Overdue { offer })
        .await?;
    let ended = scene.ended(&run).await?;
    check.ended(&ended, Status::Failed, &[]);
    let failure = ended
        .inspection
        .failure
        .as_ref()
        .map(|failure| failure.code.as_str());
    check.equal("failure", failure, Some(code::DEADLINE_EXCEEDED));
    if check.duration < run_deadline::DEADLINE || check.duration > run_deadline::DEADLINE + LATE {
        check.deviate(format!(
            "the run failed after {:?}, its deadline is {:?}",
            check.duration,
            run_deadline::DEADLINE
        ));
    }
    Ok(check)
}

/// How late a deadline may be noticed on a busy machine.
const LATE: Duration = Duration::from_secs(20);
