//! The states of waiting in which a worker process ends.
//!
//! Invariant: a run is in its case's state when its worker ends; a run that has gone past it is an error.

use std::time::Duration;

use squid_mesh::StepStatus;
use squid_mesh::core::id::RunId;
use squid_mesh::core::run::Status;

use super::Restart;
use crate::scene::{Ended, Scene};
use crate::smoke::Check;
use crate::workflows::dependency_recovery::{self, Outage};
use crate::workflows::manual_pause::{self, Import};
use crate::workflows::retry_verification::{self, Flaky};

/// A state of waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Case {
    /// In a queue that gives nothing out.
    Queued,
    /// For the time it was delayed to.
    Delayed,
    /// For the next attempt of a step that has failed.
    Retrying,
    /// For somebody, who resumes it while no worker is there.
    Paused,
}

/// How long a delayed run is delayed: longer than a worker takes to end.
const DELAY: Duration = Duration::from_millis(1_500);

/// How often the flaky step fails: it succeeds at its last attempt.
const FAILURES: u32 = 5;

/// After so many failures the pause before the next attempt is long enough to end a worker in.
const FAILED: u32 = 3;

impl Case {
    /// All of them.
    pub(super) const ALL: [Case; 4] = [Case::Queued, Case::Delayed, Case::Retrying, Case::Paused];

    /// Its name in reports.
    pub(super) fn name(self) -> &'static str {
        match self {
            Case::Queued => "queued",
            Case::Delayed => "delayed",
            Case::Retrying => "retrying",
            Case::Paused => "paused",
        }
    }

    /// Starts the run, and waits until it waits.
    pub(super) async fn begin(self, scene: &Scene, name: &str) -> anyhow::Result<RunId> {
        match self {
            Case::Queued => queued(scene, name).await,
            Case::Delayed => delayed(scene, name).await,
            Case::Retrying => retrying(scene, name).await,
            Case::Paused => paused(scene, name).await,
        }
    }

    /// What happens while no worker is there.
    pub(super) async fn between(self, scene: &Scene, run: RunId) -> anyhow::Result<()> {
        match self {
            Case::Queued => waits(scene, run, Status::Pending).await?,
            Case::Delayed => waits(scene, run, Status::Scheduled).await?,
            Case::Retrying => {
                let found = scene.client.status(run).await?;
                anyhow::ensure!(!found.is_terminal(), "run {run} is {found} already");
            }
            // What has gone past its pause cannot be resumed.
            Case::Paused => {
                scene.client.resume(run).actor("resilience").await?;
            }
        }
        Ok(())
    }

    /// What happens once another worker is there.
    pub(super) async fn release(self, scene: &Scene, name: &str) -> anyhow::Result<()> {
        match self {
            Case::Queued => {
                scene.client.resume_queue(queue(name)).await?;
            }
            Case::Delayed | Case::Retrying | Case::Paused => {}
        }
        Ok(())
    }

    /// Compares what the run came to.
    pub(super) async fn judge(
        self,
        scene: &Scene,
        name: &str,
        restart: Restart,
        ended: &Ended,
    ) -> anyhow::Result<Check> {
        let mut check = Check::new(self.name());
        match self {
            Case::Queued | Case::Delayed => {
                let attempts = [
                    ("rebuild_catalogue", 1),
                    ("rebuild_prices", 1),
                    ("reopen_shop", 1),
                ];
                check.ended(ended, Status::Completed, &attempts);
                let total = scene.app.ledger.figure(name, dependency_recovery::TOTAL);
                check.equal("total", total.await?, Some(15));
            }
            Case::Retrying => judge_retries(scene, name, restart, ended, &mut check).await?,
            Case::Paused => {
                let attempts = [("prepare_import", 1), ("import_rows", 1)];
                check.ended(ended, Status::Completed, &attempts);
                let imported = scene.app.ledger.figure(name, manual_pause::IMPORTED);
                check.equal("rows imported", imported.await?, Some(12));
            }
        }
        if self == Case::Delayed {
            judge_delay(ended, &mut check);
        }
        Ok(check)
    }
}

/// The queue of one queued run: no other run is held back with it.
pub(super) fn queue(name: &str) -> String {
    name.replace('-', "_")
}

fn outage(name: &str) -> Outage {
    Outage {
        shop: name.to_owned(),
        products: 4,
        prices: 11,
    }
}

async fn queued(scene: &Scene, name: &str) -> anyhow::Result<RunId> {
    scene.client.pause_queue(queue(name)).await?;
    let workflow = scene.workflows.dependency_recovery.reference();
    let run = scene.client.start(&workflow, outage(name));
    let run = run.queue(queue(name)).await?;
    waits(scene, run.id(), Status::Pending).await?;
    Ok(run.id())
}

async fn delayed(scene: &Scene, name: &str) -> anyhow::Result<RunId> {
    let workflow = scene.workflows.dependency_recovery.reference();
    let run = scene.client.start(&workflow, outage(name));
    let run = run.delay(DELAY).await?;
    waits(scene, run.id(), Status::Scheduled).await?;
    Ok(run.id())
}

async fn waits(scene: &Scene, run: RunId, status: Status) -> anyhow::Result<()> {
    let found = scene.client.status(run).await?;
    anyhow::ensure!(found == status, "run {run} is {found}, expected {status}");
    Ok(())
}

async fn retrying(scene: &Scene, name: &str) -> anyhow::Result<RunId> {
    let flaky = Flaky {
        name: name.to_owned(),
        failures: FAILURES,
    };
    let workflow = scene.workflows.retry_verification.reference();
    let run = scene.client.start(&workflow, flaky).await?;
    let between_attempts = |step: &squid_mesh::StepInspection| {
        step.executed >= FAILED && step.status == StepStatus::Retrying
    };
    scene
        .reached_where(&run, "flaky_step", between_attempts)
        .await?;
    Ok(run.id())
}

async fn paused(scene: &Scene, name: &str) -> anyhow::Result<RunId> {
    let import = Import {
        name: name.to_owned(),
        rows: 12,
    };
    let workflow = scene.workflows.manual_pause.reference();
    let run = scene.client.start(&workflow, import).await?;
    scene
        .reached(&run, manual_pause::PAUSE, StepStatus::Paused)
        .await?;
    Ok(run.id())
}

/// Failures from before the restart are still there, and count. Only SIGKILL can lose an attempt, and only one: the worker
/// ends between two attempts, unless the machine is slow.
async fn judge_retries(
    scene: &Scene,
    name: &str,
    restart: Restart,
    ended: &Ended,
    check: &mut Check,
) -> anyhow::Result<()> {
    check.look_at(ended);
    check.equal("status", ended.inspection.status, Status::Completed);
    let most = match restart {
        Restart::Sigkill => 1,
        Restart::Clean => 0,
    };
    if check.lost > most {
        check.deviate(format!("{} attempts were lost", check.lost));
    }
    let effects = ended.effects.iter();
    let executions = effects.filter(|effect| effect.step == "flaky_step").count();
    check.equal("executions", executions, FAILURES as usize + 1);
    let noted = scene
        .app
        .ledger
        .figure(name, retry_verification::EXECUTIONS);
    check.equal(
        "noted executions",
        noted.await?,
        Some(i64::from(FAILURES) + 1),
    );
    let lost = check.lost as usize;
    let failures = ended.history.iter().filter(|entry| entry.event == "failed");
    let failures = failures.count();
    if failures + lost < FAILURES as usize || failures > FAILURES as usize {
        check.deviate(format!(
            "{failures} failures are recorded, and {lost} losses"
        ));
    }
    Ok(())
}

/// Nothing was executed before the run was due.
fn judge_delay(ended: &Ended, check: &mut Check) {
    let due = ended.inspection.created.plus(DELAY);
    let mut early = ended.history.iter().skip(1);
    if early.any(|entry| entry.at.is_none_or(|at| at < due)) {
        check.deviate(format!(
            "a step was executed less than {DELAY:?} after the start"
        ));
    }
}
