//! What a run is started for, and the end it should come to.
//!
//! Invariant: a plan depends on the run's number only, so that two soaks of one length do the same.

use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use squid_mesh::core::run::Status;
use squid_mesh::{Inspection, RunHandle, StepStatus, WorkflowRef};

use super::judge;
use crate::scene::Scene;
use crate::workflows::cancellable_wait::{self, Reservation};
use crate::workflows::dependency_recovery::{self, Outage};
use crate::workflows::local_ledger_checkout::Sale;
use crate::workflows::manual_approval::{self, Purchase};
use crate::workflows::retry_verification::{self, Flaky};
use crate::workflows::saga_checkout::{self, Checkout};

/// What a run is started for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Plan {
    /// Completes at once.
    Success,
    /// Completes after failures.
    Retry,
    /// Completes, and so does its replay.
    Replay,
    /// Is cancelled while it waits.
    Cancellation,
    /// Is approved.
    Approval,
    /// Completes, with a row that was written in a transaction.
    Booking,
    /// Fails for good, after as many failures as it may have.
    Exhaustion,
    /// Is rejected.
    Rejection,
    /// Fails, and takes back what it did.
    Saga,
}

/// What a run came to.
#[derive(Debug)]
pub(super) struct Outcome {
    /// Its end, if that is the one it should come to; else why not.
    pub(super) end: Result<Status, String>,
    /// Whether a replay of it completed.
    pub(super) replayed: bool,
    /// Effects that happened more often than their attempts account for.
    pub(super) duplicates: Vec<String>,
    /// Whatever else is not as it should be.
    pub(super) violations: Vec<String>,
}

const MIX: [Plan; 9] = [
    Plan::Success,
    Plan::Retry,
    Plan::Replay,
    Plan::Cancellation,
    Plan::Approval,
    Plan::Exhaustion,
    Plan::Booking,
    Plan::Rejection,
    Plan::Saga,
];

/// How many failures the flaky step survives.
const SURVIVED: u32 = 2;

/// How many it does not.
const TOO_MANY: u32 = 100;

impl Plan {
    /// The plan of a run.
    pub(super) fn of(number: u32) -> Plan {
        MIX[number as usize % MIX.len()]
    }

    /// Starts the run, and brings it to its end.
    pub(super) async fn perform(self, scene: Arc<Scene>, number: u32) -> Outcome {
        let mut outcome = Outcome {
            end: Err(String::new()),
            replayed: false,
            duplicates: Vec::new(),
            violations: Vec::new(),
        };
        let name = format!("soak-{number}-{}", scene.mark);
        let performed = self.bring_to_end(&scene, &name, &mut outcome).await;
        outcome.end = performed.map_err(|error| format!("{error:#}"));
        outcome.named(&format!("{self:?} {number}"))
    }

    async fn bring_to_end(
        self,
        scene: &Scene,
        name: &str,
        outcome: &mut Outcome,
    ) -> anyhow::Result<Status> {
        match self {
            Plan::Success => success(scene, name, outcome).await,
            Plan::Replay => replay(scene, name, outcome).await,
            Plan::Retry => flaky(scene, name, SURVIVED, outcome).await,
            Plan::Exhaustion => flaky(scene, name, TOO_MANY, outcome).await,
            Plan::Cancellation => cancellation(scene, name, outcome).await,
            Plan::Approval => decision(scene, name, true, outcome).await,
            Plan::Rejection => decision(scene, name, false, outcome).await,
            Plan::Booking => booking(scene, name, outcome).await,
            Plan::Saga => saga(scene, name, outcome).await,
        }
    }
}

impl Outcome {
    /// Says which run whatever deviates is about.
    fn named(mut self, run: &str) -> Outcome {
        for told in self.duplicates.iter_mut().chain(&mut self.violations) {
            *told = format!("{run}: {told}");
        }
        self.end = self.end.map_err(|told| format!("{run}: {told}"));
        self
    }

    /// Notes what is there beyond what should be.
    fn at_most(&mut self, what: &str, found: usize, most: usize) {
        for number in most..found {
            let number = number + 1;
            self.duplicates
                .push(format!("{what} number {number}, expected {most}"));
        }
    }

    /// Notes a violation unless both are the same.
    pub(super) fn equal<T: PartialEq + std::fmt::Debug>(
        &mut self,
        what: &str,
        found: T,
        expected: T,
    ) {
        if found != expected {
            self.violations
                .push(format!("{what}: found {found:?}, expected {expected:?}"));
        }
    }
}

async fn start<I: Serialize, O: 'static>(
    scene: &Scene,
    workflow: WorkflowRef<I, O>,
    name: &str,
    input: I,
) -> anyhow::Result<RunHandle<O>> {
    Ok(scene.client.start(&workflow, input).key(name).await?)
}

/// Waits for the end, which has to be this one, and compares effects and journal.
async fn ends<O: DeserializeOwned>(
    scene: &Scene,
    run: &RunHandle<O>,
    expected: Status,
    outcome: &mut Outcome,
) -> anyhow::Result<Inspection> {
    let ended = scene.ended(run).await?;
    judge::effects(&ended, outcome);
    judge::journal(scene, run.id(), outcome).await?;
    let status = ended.inspection.status;
    anyhow::ensure!(status == expected, "run {} ended as {status}", run.id());
    Ok(ended.inspection)
}

fn code(run: &Inspection) -> Option<&str> {
    run.failure.as_ref().map(|failure| failure.code.as_str())
}

fn outage(name: &str) -> Outage {
    Outage {
        shop: name.to_owned(),
        products: 3,
        prices: 4,
    }
}

async fn success(scene: &Scene, name: &str, outcome: &mut Outcome) -> anyhow::Result<Status> {
    let workflow = scene.workflows.dependency_recovery.reference();
    let run = start(scene, workflow, name, outage(name)).await?;
    let seen = ends(scene, &run, Status::Completed, outcome).await?;
    let total = scene.app.ledger.figure(name, dependency_recovery::TOTAL);
    outcome.equal("total", total.await?, Some(7));
    Ok(seen.status)
}

async fn replay(scene: &Scene, name: &str, outcome: &mut Outcome) -> anyhow::Result<Status> {
    let workflow = scene.workflows.dependency_recovery.reference();
    let run = start(scene, workflow, name, outage(name)).await?;
    let seen = ends(scene, &run, Status::Completed, outcome).await?;
    let copy = run.replay().key(name).actor("soak").await?;
    ends(scene, &copy, Status::Completed, outcome).await?;
    let source = copy.inspect().await?.source.map(|source| source.run);
    outcome.equal("source of the replay", source, Some(run.id()));
    outcome.equal("result of the replay", copy.result().await.ok(), Some(7));
    outcome.replayed = true;
    Ok(seen.status)
}

async fn flaky(
    scene: &Scene,
    name: &str,
    failures: u32,
    outcome: &mut Outcome,
) -> anyhow::Result<Status> {
    let workflow = scene.workflows.retry_verification.reference();
    let input = Flaky {
        name: name.to_owned(),
        failures,
    };
    let run = start(scene, workflow, name, input).await?;
    let (expected, executions) = match failures {
        TOO_MANY => (Status::Failed, None),
        failures => (Status::Completed, Some(i64::from(failures) + 1)),
    };
    let seen = ends(scene, &run, expected, outcome).await?;
    let noted = scene
        .app
        .ledger
        .figure(name, retry_verification::EXECUTIONS);
    outcome.equal("noted executions", noted.await?, executions);
    if expected == Status::Failed {
        outcome.equal(
            "why it failed",
            code(&seen),
            Some(retry_verification::FLAKY),
        );
        let step = seen.step("flaky_step");
        let executed = step.map(|step| step.executed);
        outcome.equal("attempts", executed, Some(retry_verification::ATTEMPTS));
    }
    Ok(seen.status)
}

async fn cancellation(scene: &Scene, name: &str, outcome: &mut Outcome) -> anyhow::Result<Status> {
    let workflow = scene.workflows.cancellable_wait.reference();
    let input = Reservation {
        name: name.to_owned(),
        seats: 2,
    };
    let run = start(scene, workflow, name, input).await?;
    scene.reached(&run, "hold", StepStatus::Waiting).await?;
    run.cancel().actor("soak").await?;
    let seen = ends(scene, &run, Status::Cancelled, outcome).await?;
    let held = scene.app.ledger.figure(name, cancellable_wait::HELD);
    outcome.equal("seats held", held.await?, Some(2));
    Ok(seen.status)
}

async fn decision(
    scene: &Scene,
    name: &str,
    approve: bool,
    outcome: &mut Outcome,
) -> anyhow::Result<Status> {
    let workflow = scene.workflows.manual_approval.reference();
    let input = Purchase {
        name: name.to_owned(),
        cents: 800,
    };
    let run = start(scene, workflow, name, input).await?;
    let review = manual_approval::REVIEW;
    scene.reached(&run, review, StepStatus::Paused).await?;
    let (deciding, entry) = match approve {
        true => (scene.client.approve(run.id()), "granted by soak"),
        false => (scene.client.reject(run.id()), "refused by soak"),
    };
    deciding.actor("soak").await?;
    let seen = ends(scene, &run, Status::Completed, outcome).await?;
    let entries = scene.app.ledger.entries(name).await?;
    outcome.equal("entries", entries.len(), 2);
    let last = entries.last().map(String::as_str);
    outcome.equal("decision", last, Some(entry));
    Ok(seen.status)
}

async fn booking(scene: &Scene, name: &str, outcome: &mut Outcome) -> anyhow::Result<Status> {
    let workflow = scene.workflows.local_ledger_checkout.reference();
    let input = Sale {
        order: name.to_owned(),
        cents: 600,
    };
    let run = start(scene, workflow, name, input).await?;
    let seen = ends(scene, &run, Status::Completed, outcome).await?;
    let bookings = scene.app.ledger.bookings(name).await?;
    outcome.at_most("booking", bookings.len(), 1);
    outcome.equal("booked", bookings.first(), Some(&600));
    Ok(seen.status)
}

async fn saga(scene: &Scene, name: &str, outcome: &mut Outcome) -> anyhow::Result<Status> {
    let workflow = scene.workflows.saga_checkout.reference();
    let input = Checkout {
        order: name.to_owned(),
        cents: 500,
        carrier: false,
    };
    let run = start(scene, workflow, name, input).await?;
    let seen = ends(scene, &run, Status::Failed, outcome).await?;
    outcome.equal(
        "why it failed",
        code(&seen),
        Some(saga_checkout::NO_CARRIER),
    );
    let moved = scene.gateway.movements(name);
    outcome.at_most("movement", moved.len(), 2);
    outcome.equal("money moved", moved, vec![500, -500]);
    Ok(seen.status)
}
