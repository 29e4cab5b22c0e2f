//! One task at a time, on the host's call: for tests, serverless hosts and loops that the host owns.
//!
//! Each call runs the same worker in the same loop as a runtime does, over a store that lets it have one task.
//!
//! Invariant: a call performs one task at most, and holds none once it has returned.

use std::sync::{Arc, Mutex, PoisonError};

use squid_mesh_core::definition::DefinitionKey;
use squid_mesh_core::event::Failure;
use squid_mesh_core::id::{RunId, Shard, Shards};
use squid_mesh_core::name::Name;
use squid_mesh_core::operation::{
    Claim, Claimed, Held, HeldReply, Leases, Offer, Operation, Outcome, QueueDemand, Rejection,
    Reply, Settle, SlotReply,
};
use squid_mesh_core::store::{Fetch, Fetched, Hint, Store, StoreError};
use squid_mesh_core::task::{Item, TaskRow};
use squid_mesh_core::worker::{Config, Worker};
use tokio::sync::mpsc;

use super::attempts::Attempts;
use super::builder::Launch;
use super::clock::Clock;
use super::driver::{Driver, MESSAGES, Message};
use super::{LaunchError, RuntimeBuilder};
use crate::client::{Client, Patience};
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
    /// Counts claims.
    claims: u64,
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
        /// Which attempt it was.
        attempt: u32,
        /// How it failed, if it did.
        failure: Option<Failure>,
        /// Why the store did not take its report, if it did not.
        rejection: Option<Rejection>,
    },
    /// The loss of somebody's attempt was recorded.
    Loss {
        /// The run.
        run: RunId,
    },
    /// A wait was ended.
    Wait {
        /// The run.
        run: RunId,
    },
    /// A run's deadline passed.
    Deadline {
        /// The run.
        run: RunId,
    },
}

impl RuntimeBuilder {
    /// Registers, but performs nothing by itself. The slots of queues do not matter.
    ///
    /// # Errors
    /// As [`RuntimeBuilder::start`].
    pub async fn manual(self) -> Result<Stepper, LaunchError> {
        let Launch {
            store,
            config,
            registry,
            definitions,
            payload_limit,
        } = self.launch().await?;
        let client = Client::new(store.clone(), definitions, None, payload_limit, config.poll);
        Ok(Stepper {
            client,
            store,
            config,
            registry,
            claims: 0,
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
            progress: Mutex::new(Progress {
                claims: self.claims,
                ..Progress::default()
            }),
        });
        let clock = Clock::new();
        let worker = Worker::new(self.config.clone(), clock.now());
        let attempts = Attempts::new(self.registry.clone());
        Driver::new(worker, clock, OneTask(errand.clone()), attempts, receiver)
            .run()
            .await;
        let progress = std::mem::take(&mut *errand.progress());
        self.claims = progress.claims;
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
            Some(Outcome::Succeeded { .. } | Outcome::Engine(_)) | None => None,
        };
        Ok(match task.item() {
            Item::Attempt => {
                let definition = task.brief.definition.clone();
                let step = self.client.step_name(&definition, task.step).await?;
                Performed::Attempt {
                    run,
                    definition,
                    step,
                    attempt: task.attempt,
                    failure,
                    rejection,
                }
            }
            Item::Loss => Performed::Loss { run },
            Item::Wait => Performed::Wait { run },
            Item::Deadline => Performed::Deadline { run },
        })
    }
}

/// One place that work may come from.
#[derive(Debug, Clone)]
struct Source {
    shard: Shard,
    queue: Name,
}

/// The store of one call: the first claim takes one task at most, later ones nothing, and nothing is handed off.
#[derive(Clone)]
struct OneTask(Arc<Errand>);

struct Errand {
    store: SharedStore,
    messages: mpsc::Sender<Message>,
    sources: Vec<Source>,
    progress: Mutex<Progress>,
}

#[derive(Default)]
struct Progress {
    claims: u64,
    claimed: bool,
    task: Option<TaskRow>,
    /// How far the source of the task was from the first.
    source: usize,
    outcome: Option<Outcome>,
    rejection: Option<Rejection>,
    error: Option<StoreError>,
}

impl Errand {
    fn progress(&self) -> std::sync::MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// There is nothing further to do for the worker: it ends as soon as nothing is in flight.
    fn end(&self) {
        // A full channel holds such a message already, for there is no other kind here; a closed one has no worker.
        let _ = self.messages.try_send(Message::Drain);
    }

    async fn claim(&self, wanted: Claim) -> Result<Reply, StoreError> {
        if std::mem::replace(&mut self.progress().claimed, true) {
            return Ok(Reply::Claimed(Claimed::default()));
        }
        for (at, source) in self.sources.iter().enumerate() {
            match self.claim_from(source, &wanted.offer).await {
                Ok(claimed) if claimed.tasks.is_empty() => {}
                Ok(claimed) => {
                    let mut progress = self.progress();
                    (progress.task, progress.source) = (claimed.tasks.first().cloned(), at);
                    return Ok(Reply::Claimed(claimed));
                }
                Err(error) => {
                    self.progress().error = Some(error);
                    break;
                }
            }
        }
        self.end();
        Ok(Reply::Claimed(Claimed::default()))
    }

    /// Takes one task at most. A claim has a slot for an attempt and one for an engine item, since a lost attempt is found
    /// in its queue too; of two tasks the second is handed back before anything is done with the first.
    async fn claim_from(&self, source: &Source, all: &Offer) -> Result<Claimed, StoreError> {
        let number = {
            let mut progress = self.progress();
            progress.claims += 1;
            progress.claims
        };
        let demand = QueueDemand {
            queue: source.queue.clone(),
            slots: 1,
            floor: None,
        };
        let offer = Offer {
            queues: vec![demand],
            engine: 1,
            ..all.clone()
        };
        let shard = source.shard;
        let claim = Operation::Claim(Claim {
            shard,
            number,
            offer,
        });
        let reply = Patience::default().perform(&self.store, claim).await?;
        let Reply::Claimed(mut claimed) = reply else {
            unreachable!("a claim is answered by {reply:?}")
        };
        if claimed.tasks.len() > 1 {
            let held = |task: TaskRow| {
                task.token().map(|token| Held {
                    key: task.key,
                    token,
                })
            };
            let hand_back: Vec<Held> = claimed.tasks.drain(1..).filter_map(held).collect();
            let lease = all.lease;
            let leases = Leases {
                shard,
                lease,
                renew: Vec::new(),
                begun: Vec::new(),
                hand_back,
            };
            Patience::default()
                .perform(&self.store, Operation::Lease(leases))
                .await?;
        }
        Ok(claimed)
    }

    /// A lease that is handed back or lost is never settled: nothing else would end the call.
    async fn lease(&self, leases: Leases) -> Result<Reply, StoreError> {
        let back = !leases.hand_back.is_empty();
        let reply = self.store.perform(Operation::Lease(leases)).await?;
        let lost = matches!(&reply, Reply::Leased(replies) if replies.contains(&HeldReply::Lost));
        if back {
            self.progress().task = None;
        }
        if back || lost {
            self.end();
        }
        Ok(reply)
    }

    async fn settle(&self, settle: Settle) -> Result<Reply, StoreError> {
        let outcome = settle.reports.first().map(|report| report.outcome.clone());
        let offer = Offer {
            queues: Vec::new(),
            engine: 0,
            ..settle.offer
        };
        let reply = self
            .store
            .perform(Operation::Settle(Settle { offer, ..settle }))
            .await?;
        if let Reply::Settled { slots, .. } = &reply {
            let rejection = match slots.first() {
                Some(SlotReply::Busy) => return Ok(reply),
                Some(SlotReply::Rejected(rejection)) => Some(rejection.clone()),
                Some(SlotReply::Accepted) | None => None,
            };
            let mut progress = self.progress();
            (progress.outcome, progress.rejection) = (outcome, rejection);
        }
        self.end();
        Ok(reply)
    }
}

impl Store for OneTask {
    fn shards(&self) -> Shards {
        self.0.store.shards()
    }

    async fn perform(&self, operation: Operation) -> Result<Reply, StoreError> {
        match operation {
            Operation::Claim(claim) => self.0.claim(claim).await,
            Operation::Settle(settle) => self.0.settle(settle).await,
            Operation::Lease(leases) => self.0.lease(leases).await,
            Operation::Submit(_) | Operation::Register(_) => self.0.store.perform(operation).await,
        }
    }

    async fn fetch(&self, wanted: Fetch) -> Result<Fetched, StoreError> {
        self.0.store.fetch(wanted).await
    }

    async fn hint(&self) -> Hint {
        std::future::pending().await
    }
}
