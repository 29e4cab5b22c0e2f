//! One task at a time, on the host's call: for tests, serverless hosts and loops that the host owns.
//!
//! Each call runs the same worker in the same loop as a runtime does, over a store that lets it have one task: an errand.
//!
//! Invariant: a call performs one task at most, and holds none once it has returned.

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};

use squid_mesh_core::change::Chore;
use squid_mesh_core::definition::DefinitionKey;
use squid_mesh_core::event::{Failure, Role, code};
use squid_mesh_core::id::RunId;
use squid_mesh_core::name::Name;
use squid_mesh_core::operation::{Finding, Outcome, Rejection};
use squid_mesh_core::schedule::ScheduleId;
use squid_mesh_core::store::StoreError;
use squid_mesh_core::task::{Item, TaskRow};
use squid_mesh_core::worker::{Config, Worker};
use tokio::sync::mpsc;

use super::attempts::Attempts;
use super::builder::Launch;
use super::clock::Clock;
use super::driver::{Driver, MESSAGES};
use super::errand::{Errand, OneTask, OneTransaction, Source};
use super::transacting::Desk;
use super::{LaunchError, RuntimeBuilder};
use crate::client::Client;
use crate::handler::Registry;
use crate::stores::SharedStore;

/// Performs tasks one by one, when it is told to. Made by [`RuntimeBuilder::manual`].
///
/// ```
/// # tokio::runtime::Runtime::new()?.block_on(async {
/// use squid_mesh::{Performed, Runtime, StepContext, StepError, Workflow, step};
///
/// async fn double(_: StepContext, n: u64) -> Result<u64, StepError> { Ok(2 * n) }
///
/// let (mut wf, n) = Workflow::builder::<u64>("doubling", 1);
/// let doubled = wf.step("double", n, step(double));
/// let doubling = wf.finish(doubled)?;
///
/// let mut stepper = Runtime::builder("sqlite::memory:").workflow(&doubling).manual().await?;
/// let run = stepper.client().start(&doubling.reference(), 21).await?;
/// assert!(matches!(stepper.execute_next().await?, Some(Performed::Attempt { .. })));
/// assert_eq!(stepper.execute_next().await?, None);
/// assert_eq!(run.result().await?, 42);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Stepper {
    client: Client,
    store: SharedStore,
    config: Config,
    registry: Arc<Registry>,
    /// Counts claims, those of calls that were dropped too: a number that comes again is answered with what it got.
    claims: Arc<AtomicU64>,
    /// Which source of work is looked at first: each gets its turn.
    turn: usize,
}

/// What was performed.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Performed {
    /// A handler was executed.
    Attempt {
        /// The run.
        run: RunId,
        /// What it runs.
        definition: DefinitionKey,
        /// The step.
        step: Name,
        /// Whether the step was executed, or what takes its effect back.
        role: Role,
        /// Which attempt it was.
        attempt: u32,
        /// How it failed, if it did. What it could not begin with because what it needs cannot be read has failed as `unreadable`:
        /// its run does not hear of it, and halts there.
        failure: Option<Failure>,
        /// Why the store did not take its report, if it did not.
        rejection: Option<Rejection>,
    },
    /// The loss of somebody's attempt was recorded.
    Loss {
        /// The run.
        run: RunId,
    },
    /// A wait was ended, or a gate closed.
    Wait {
        /// The run.
        run: RunId,
    },
    /// A run's deadline passed.
    Deadline {
        /// The run.
        run: RunId,
    },
    /// The engine did something of its own about a step: it looked at its input, or dealt with its children.
    Chore {
        /// The run.
        run: RunId,
        /// The step.
        step: Name,
        /// What.
        chore: Chore,
        /// How the step failed, if it did.
        failure: Option<Failure>,
    },
    /// The end of a run was reported to its parent, or to the schedule that waits for it.
    Delivery {
        /// The run that ended.
        run: RunId,
    },
    /// A schedule that was due had its turn.
    Firing {
        /// The schedule.
        schedule: ScheduleId,
    },
}

impl RuntimeBuilder {
    /// Registers, but performs nothing by itself. The slots of queues do not matter.
    ///
    /// # Errors
    /// As [`RuntimeBuilder::start`].
    pub async fn manual(self) -> Result<Stepper, LaunchError> {
        let redaction = self.redaction.clone();
        let Launch {
            store,
            config,
            registry,
            definitions,
            payload_limit,
        } = self.launch().await?;
        let client = Client::new(store.clone(), definitions, None, payload_limit, config.poll);
        let client = client.redacted(redaction);
        Ok(Stepper {
            client,
            store,
            config,
            registry,
            claims: Arc::default(),
            turn: 0,
        })
    }
}

impl Stepper {
    /// A client of the same store.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Performs the next due task, if there is one, and says what it was. Retries, waits and deadlines that are not due yet
    /// are not waited for.
    ///
    /// Dropped while it executes, it leaves its lease to run out, as a crash would.
    ///
    /// # Errors
    /// If the store does not answer. What was begun may be begun again by a later call, here or elsewhere.
    pub async fn execute_next(&mut self) -> Result<Option<Performed>, StoreError> {
        let (messages, receiver) = mpsc::channel(MESSAGES);
        let errand = Arc::new(Errand {
            store: self.store.clone(),
            messages,
            sources: self.sources(),
            claims: self.claims.clone(),
            progress: Mutex::default(),
        });
        let clock = Clock::new();
        let worker = Worker::new(self.config.clone(), clock.now());
        let transactions = self.store.transactions().cloned();
        let desk = Desk {
            transactions: transactions.map(|store| OneTransaction::of(store, errand.clone())),
            config: self.config.clone(),
        };
        let attempts = Attempts::new(self.registry.clone(), desk, self.client.clone());
        Driver::new(worker, clock, OneTask(errand.clone()), attempts, receiver)
            .run()
            .await;
        let progress = std::mem::take(&mut *errand.progress());
        let Some(task) = progress.task else {
            return progress.error.map_or(Ok(None), Err);
        };
        self.turn += progress.source + 1;
        self.performed(task, progress.outcome, progress.rejection)
            .await
            .map(Some)
    }

    /// Where work may come from, that whose turn it is first.
    fn sources(&self) -> Vec<Source> {
        let mut all = Vec::new();
        for shard in self.config.shards.all() {
            all.extend(self.config.queues.iter().map(|queue| Source {
                shard,
                queue: queue.name.clone(),
            }));
        }
        let turn = self.turn % all.len();
        all.rotate_left(turn);
        all
    }

    async fn performed(
        &self,
        task: TaskRow,
        outcome: Option<Outcome>,
        rejection: Option<Rejection>,
    ) -> Result<Performed, StoreError> {
        let run = task.key.run;
        let failure = match outcome {
            Some(Outcome::Failed { failure, .. }) => Some(failure),
            Some(Outcome::Found(Finding::Failure(failure))) => Some(failure),
            Some(Outcome::Conflicted) => Some(conflict()),
            Some(Outcome::Unreadable { detail }) => Some(Failure::unreadable(&detail)),
            Some(
                Outcome::Succeeded { .. }
                | Outcome::Engine(_)
                | Outcome::Found(_)
                | Outcome::Spawn(_)
                | Outcome::Collected { .. }
                | Outcome::Recall { .. }
                | Outcome::ChildEnded { .. }
                | Outcome::Released { .. }
                | Outcome::Fired { .. },
            )
            | None => None,
        };
        Ok(match task.item() {
            Item::Attempt => {
                let definition = task.brief.definition.clone();
                let step = self.client.step_name(&definition, task.step).await?;
                Performed::Attempt {
                    run,
                    definition,
                    step,
                    role: task.role(),
                    attempt: task.attempt,
                    failure,
                    rejection,
                }
            }
            Item::Loss => Performed::Loss { run },
            Item::Wait => Performed::Wait { run },
            Item::Deadline => Performed::Deadline { run },
            Item::Chore(chore) => {
                let step = self.client.step_name(&task.brief.definition, task.step);
                let step = step.await?;
                Performed::Chore {
                    run,
                    step,
                    chore,
                    failure,
                }
            }
            Item::Delivery => Performed::Delivery { run },
            Item::Firing => Performed::Firing {
                schedule: ScheduleId::of_task(task.key),
            },
        })
    }
}

/// An attempt that is made again, or failed its step if that was once too often.
fn conflict() -> Failure {
    let message = "the database undid the attempt, because of others";
    Failure::new(code::CONFLICT, message, true)
}
