//! The runs: which workflows, with what, and how each should end.
//!
//! Invariant: how a run should end depends on its plan only, not on when its worker dies.

use std::time::{Duration, Instant};

use minimal_host_app::workflows::cancellable_wait::Reservation;
use minimal_host_app::workflows::dependency_recovery::Outage;
use minimal_host_app::workflows::payment_recovery::UnpaidInvoice;
use minimal_host_app::workflows::retry_verification::Flaky;
use minimal_host_app::workflows::timeout_recovery::SlowReport;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use squid_mesh_core::id::RunId;
use squid_mesh_core::run::Status;
use squid_mesh_core::store::RunFilter;
use tokio::task::JoinSet;

use super::World;

/// The runs of one test.
pub(crate) struct Mix(Vec<Plan>);

/// One run that was started.
#[derive(Debug, Clone)]
pub(crate) struct Planned {
    /// The run.
    pub(crate) run: RunId,
    /// What it was started for.
    pub(crate) plan: Plan,
}

/// What a run is started for.
#[derive(Debug, Clone)]
pub(crate) enum Plan {
    /// Completes; the invoice is paid.
    Payment { invoice: String, cents: i64 },
    /// Completes; the total is the sum.
    Dependency {
        shop: String,
        products: i64,
        prices: i64,
    },
    /// Completes; the flaky step is executed at least once more than it fails.
    Retry { name: String, failures: u32 },
    /// Completes; the first execution never ends by itself.
    Timeout { name: String, pages: u32 },
    /// Is cancelled that long after its start.
    Cancel { name: String, after: Duration },
}

impl Mix {
    /// Chooses the runs.
    pub(crate) fn new(seed: u64, runs: u32) -> Mix {
        let mut choices = ChaCha8Rng::seed_from_u64(seed);
        choices.set_stream(1);
        let plans = (0..runs).map(|number| match number % 10 {
            0..=3 => Plan::Payment {
                invoice: format!("invoice-{number}"),
                cents: choices.random_range(1..100_000),
            },
            4..=6 => Plan::Dependency {
                shop: format!("shop-{number}"),
                products: choices.random_range(0..1_000),
                prices: choices.random_range(0..1_000),
            },
            7 | 8 => Plan::Retry {
                name: format!("flaky-{number}"),
                failures: choices.random_range(0..4),
            },
            _ if number % 20 == 9 => Plan::Timeout {
                name: format!("report-{number}"),
                pages: choices.random_range(1..50),
            },
            _ => Plan::Cancel {
                name: format!("reservation-{number}"),
                after: Duration::from_millis(choices.random_range(0..2_000)),
            },
        });
        Mix(plans.collect())
    }

    /// Starts all runs, spread over that time, and cancels those that are to be cancelled.
    pub(crate) async fn start(self, world: &World, span: Duration) -> Vec<Planned> {
        let began = Instant::now();
        let count = u32::try_from(self.0.len()).expect("few runs");
        let mut runs = Vec::new();
        let mut cancels = JoinSet::new();
        for (number, plan) in (0..).zip(self.0) {
            let due = span * number / count;
            tokio::time::sleep(due.saturating_sub(began.elapsed())).await;
            let run = plan.start(world).await;
            if let Plan::Cancel { after, .. } = plan {
                let client = world.scene.client.clone();
                cancels.spawn(async move {
                    tokio::time::sleep(after).await;
                    client
                        .cancel(run)
                        .actor("test")
                        .await
                        .expect("a waiting run can be cancelled");
                });
            }
            runs.push(Planned { run, plan });
        }
        while let Some(cancelled) = cancels.join_next().await {
            cancelled.expect("the cancel is accepted");
        }
        runs
    }
}

impl Plan {
    /// Starts the run, under a key that makes it safe to start again.
    async fn start(&self, world: &World) -> RunId {
        let (client, workflows) = (&world.scene.client, &world.scene.workflows);
        let key = self.key();
        let started = match self.clone() {
            Plan::Payment { invoice, cents } => {
                world
                    .scene
                    .app
                    .ledger
                    .add_invoice(&invoice, "Ada", cents)
                    .await
                    .expect("the invoice is written");
                let start = client.start(
                    &workflows.payment_recovery.reference(),
                    UnpaidInvoice { invoice },
                );
                start.key(key).await.map(|run| run.id())
            }
            Plan::Dependency {
                shop,
                products,
                prices,
            } => {
                let outage = Outage {
                    shop,
                    products,
                    prices,
                };
                let start = client.start(&workflows.dependency_recovery.reference(), outage);
                start.key(key).await.map(|run| run.id())
            }
            Plan::Retry { name, failures } => {
                let start = client.start(
                    &workflows.retry_verification.reference(),
                    Flaky { name, failures },
                );
                start.key(key).await.map(|run| run.id())
            }
            Plan::Timeout { name, pages } => {
                let start = client.start(
                    &workflows.timeout_recovery.reference(),
                    SlowReport { name, pages },
                );
                start.key(key).await.map(|run| run.id())
            }
            Plan::Cancel { name, .. } => {
                let start = client.start(
                    &workflows.cancellable_wait.reference(),
                    Reservation { name, seats: 1 },
                );
                start.key(key).await.map(|run| run.id())
            }
        };
        started.unwrap_or_else(|error| panic!("{self:?} was not started: {error:?}"))
    }

    fn key(&self) -> &str {
        match self {
            Plan::Payment { invoice, .. } => invoice,
            Plan::Dependency { shop, .. } => shop,
            Plan::Retry { name, .. } | Plan::Timeout { name, .. } | Plan::Cancel { name, .. } => {
                name
            }
        }
    }
}

/// Waits until no run is open; if that takes too long, says why.
pub(crate) async fn wait_until_all_ended(world: &World, patience: Duration) {
    let began = Instant::now();
    let mut open = RunFilter::default();
    open.statuses = Status::ALL
        .into_iter()
        .filter(|status| !status.is_terminal())
        .collect();
    loop {
        let page = world
            .scene
            .client
            .list(&open, None, 5)
            .await
            .expect("runs can be listed");
        if page.runs.is_empty() {
            return;
        }
        if began.elapsed() > patience {
            for run in &page.runs {
                let why = world
                    .scene
                    .client
                    .explain(run.run)
                    .await
                    .map(|explanation| explanation.summary);
                let history = world.scene.client.history(run.run).await;
                eprintln!(
                    "{} {} is {}: {why:?}\n{history:#?}",
                    run.workflow, run.run, run.status
                );
            }
            panic!("runs are still open after {patience:?}");
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
