//! Waiting for runs.
//!
//! Invariant: a run that does not end is a deviation in bounded time, not a program that hangs.

use std::time::Duration;

use squid_mesh::RunHandle;

use super::Scene;
use super::check::Ended;

/// How long a run may take: all of them are made to end within a few seconds.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long to wait between two looks at a run that is to reach some point.
const LOOK: Duration = Duration::from_millis(20);

impl Scene {
    /// Waits until a run has ended, and gathers what there is to see of it.
    pub(super) async fn ended<O>(&self, run: &RunHandle<O>) -> anyhow::Result<Ended> {
        let ended = tokio::time::timeout(PATIENCE, run.wait_terminal()).await;
        if ended.is_err() {
            let why = self.client.explain(run.id()).await?.summary;
            anyhow::bail!("run {} has not ended within {PATIENCE:?}: {why}", run.id());
        }
        Ok(Ended {
            inspection: run.inspect().with_payloads().await?,
            history: self.client.history(run.id()).await?,
            effects: self.app.ledger.effects(run.id()).await?,
        })
    }

    /// Waits until a step of a run has this status.
    pub(super) async fn reached<O>(
        &self,
        run: &RunHandle<O>,
        step: &str,
        status: squid_mesh::StepStatus,
    ) -> anyhow::Result<()> {
        let reaching = async {
            loop {
                let inspection = run.inspect().await?;
                if inspection
                    .step(step)
                    .is_some_and(|step| step.status == status)
                {
                    return anyhow::Ok(());
                }
                anyhow::ensure!(
                    !inspection.status.is_terminal(),
                    "run {} ended as {}",
                    run.id(),
                    inspection.status
                );
                tokio::time::sleep(LOOK).await;
            }
        };
        let reached = tokio::time::timeout(PATIENCE, reaching).await;
        reached.map_err(|_| {
            anyhow::anyhow!(
                "step {step} of run {} is not {status:?} within {PATIENCE:?}",
                run.id()
            )
        })?
    }
}
