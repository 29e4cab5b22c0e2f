//! Losing and keeping leases.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use squid_mesh::core::event::code;
use squid_mesh::core::id::{Incarnation, Shard};
use squid_mesh::core::name::{DEFAULT_QUEUE, Name};
use squid_mesh::core::operation::{
    Claim, Offer, Operation, Outcome, QueueDemand, Rejection, Reply, Report, Settle, SlotReply,
};
use squid_mesh::core::payload::Payload;
use squid_mesh::core::store::Store as _;
use squid_mesh::core::task::TaskRow;
use squid_mesh::core::worker::StopReason;
use squid_mesh::{
    ResultError, Retry, Runtime, SharedStore, StepContext, StepError, StepStatus, Workflow, step,
};

use crate::faulty::Faulty;
use crate::harness::{Place, journal_rows, on_every_store, until};

/// A worker process that does only what a test says, and may die at any time.
pub(crate) struct Puppet {
    store: SharedStore,
    offer: Offer,
}

impl Puppet {
    pub(crate) async fn new(place: &Place, handler: &str) -> Puppet {
        let queue = QueueDemand {
            queue: Name::stored(DEFAULT_QUEUE),
            slots: 1,
            floor: None,
        };
        let offer = Offer {
            worker: Incarnation::from_u128(7),
            handlers: Arc::new([Name::stored(handler)].into()),
            queues: vec![queue],
            engine: 0,
            lease: Duration::ZERO,
        };
        Puppet {
            store: place.store().await,
            offer,
        }
    }

    /// Takes one task.
    pub(crate) async fn claim(&self, lease: Duration) -> TaskRow {
        let offer = Offer {
            lease,
            ..self.offer.clone()
        };
        let claim = Operation::Claim(Claim {
            shard: Shard::default(),
            number: 1,
            offer,
        });
        match self.store.perform(claim).await.unwrap() {
            Reply::Claimed(mut claimed) => claimed.tasks.pop().expect("there is a task"),
            other => panic!("{other:?}"),
        }
    }

    async fn settle(&self, task: &TaskRow, output: &str) -> SlotReply {
        let report = Report {
            key: task.key,
            step: task.step,
            token: task.token().unwrap(),
            outcome: Outcome::Succeeded {
                output: Payload::new(output.as_bytes()),
                label: None,
            },
        };
        let offer = Offer {
            queues: Vec::new(),
            ..self.offer.clone()
        };
        let settle = Settle {
            shard: Shard::default(),
            reports: vec![report],
            offer,
            wait: true,
        };
        match self.store.perform(Operation::Settle(settle)).await.unwrap() {
            Reply::Settled { mut slots, .. } => slots.pop().expect("there is an answer"),
            other => panic!("{other:?}"),
        }
    }
}

fn echoing(max_lost: u32) -> Workflow<u32, u32> {
    let (mut wf, input) = Workflow::builder::<u32>("echoing", 1);
    let retry = Retry::immediate(1).max_lost(max_lost);
    let output = wf.step("echo", input, step(async |_, n: u32| Ok(n)).retry(retry));
    wf.finish(output).unwrap()
}

const SHORT: Duration = Duration::from_millis(100);

on_every_store! {
    async fn a5_12_the_same_settle_again_gets_the_same_answer_and_another_outcome_is_refused(place) {
        let wf = echoing(3);
        let runtime = place.runtime().await.workflow(&wf).queue("elsewhere", 1).start().await.unwrap();
        let run = runtime.client().start(&wf.reference(), 1).await.unwrap();
        let puppet = Puppet::new(place, "echoing_echo").await;
        let task = puppet.claim(Duration::from_secs(30)).await;
        assert_eq!(puppet.settle(&task, "1").await, SlotReply::Accepted);
        let rows = journal_rows(runtime.client(), run.id()).await;
        assert_eq!(puppet.settle(&task, "1").await, SlotReply::Accepted);
        let other = puppet.settle(&task, "2").await;
        assert!(matches!(other, SlotReply::Rejected(Rejection::OtherOutcome { .. })), "{other:?}");
        assert_eq!(journal_rows(runtime.client(), run.id()).await, rows);
        assert_eq!(run.result().await.unwrap(), 1);
        runtime.shutdown().await;
    }

    async fn a6_5_a_step_whose_worker_died_is_executed_again_and_the_loss_is_seen(place) {
        let wf = echoing(3);
        let idle = place.runtime().await.workflow(&wf).queue("elsewhere", 1).start().await.unwrap();
        let run = idle.client().start(&wf.reference(), 6).await.unwrap();
        let dead = Puppet::new(place, "echoing_echo").await;
        let task = dead.claim(SHORT).await;
        assert_eq!(run.inspect().await.unwrap().steps[0].worker, Some(Incarnation::from_u128(7)));
        let runtime = place.runtime().await.workflow(&wf).start().await.unwrap();
        assert_eq!(run.result().await.unwrap(), 6);
        let seen = run.inspect().await.unwrap();
        assert_eq!((seen.steps[0].executed, seen.steps[0].lost), (1, 1));
        let late = dead.settle(&task, "7").await;
        assert!(matches!(late, SlotReply::Rejected(Rejection::OtherOutcome { .. } | Rejection::Finished { .. })), "{late:?}");
        runtime.shutdown().await;
        idle.shutdown().await;
    }

    async fn a6_6_a_step_that_is_lost_too_often_fails_with_lost(place) {
        let wf = echoing(0);
        let idle = place.runtime().await.workflow(&wf).queue("elsewhere", 1).start().await.unwrap();
        let run = idle.client().start(&wf.reference(), 6).await.unwrap();
        Puppet::new(place, "echoing_echo").await.claim(SHORT).await;
        let runtime = place.runtime().await.workflow(&wf).start().await.unwrap();
        let Err(ResultError::Failed { failure, .. }) = run.result().await else { panic!("it fails") };
        assert_eq!((failure.code.as_str(), failure.step.unwrap().as_str()), (code::LOST, "echo"));
        let seen = run.inspect().await.unwrap();
        assert_eq!((seen.steps[0].executed, seen.steps[0].lost, seen.steps[0].status), (0, 1, StepStatus::Failed));
        runtime.shutdown().await;
        idle.shutdown().await;
    }

    async fn a6_9_a_handler_that_takes_many_leases_is_executed_once(place) {
        let begun = Arc::new(AtomicU32::new(0));
        let count = begun.clone();
        let (mut wf, input) = Workflow::builder::<u64>("long", 1);
        let lease = Duration::from_millis(300);
        let output = wf.step("work", input, step(move |_, leases: u64| {
            count.fetch_add(1, Ordering::SeqCst);
            async move {
                // The one thing here that has to take its time: it outlives its lease several times.
                tokio::time::sleep(lease * u32::try_from(leases)?).await;
                Ok(leases)
            }
        }));
        let wf = wf.finish(output).unwrap();
        let runtime = place.runtime().await.workflow(&wf).lease(lease).start().await.unwrap();
        let run = runtime.client().start(&wf.reference(), 4).await.unwrap();
        run.result().await.unwrap();
        let seen = run.inspect().await.unwrap();
        assert_eq!((seen.steps[0].executed, seen.steps[0].lost, begun.load(Ordering::SeqCst)), (1, 0, 1));
        runtime.shutdown().await;
    }

    async fn a6_10_a_handler_whose_lease_cannot_be_renewed_is_told_before_it_ends(place) {
        let told = Arc::new(tokio::sync::Mutex::new(Vec::new()));
        let notes = told.clone();
        let (mut wf, input) = Workflow::builder::<u32>("renewing", 1);
        let output = wf.step("work", input, step(move |cx: StepContext, n: u32| {
            let notes = notes.clone();
            let begun = Instant::now();
            async move {
                if cx.attempt() == 1 {
                    notes.lock().await.push((cx.cancelled().await, begun.elapsed()));
                    // It goes on all the same, and reports too late.
                    std::future::pending::<()>().await;
                }
                Ok::<_, StepError>(n)
            }
        }));
        let wf = wf.finish(output).unwrap();
        let lease = Duration::from_millis(400);
        let faulty = Faulty::new(place).await;
        let runtime = Runtime::builder(faulty.shared()).workflow(&wf).lease(lease).start().await.unwrap();
        faulty.faults.renewals.store(true, Ordering::SeqCst);
        let run = runtime.client().start(&wf.reference(), 1).await.unwrap();
        until(async || !told.lock().await.is_empty()).await;
        let (reason, after) = told.lock().await[0];
        assert_eq!(reason, StopReason::LeaseEnding);
        assert!(after < lease, "{after:?}");
        let other = place.runtime().await.workflow(&wf).start().await.unwrap();
        assert_eq!(run.result().await.unwrap(), 1);
        assert_eq!(run.inspect().await.unwrap().steps[0].lost, 1);
        drop(runtime);
        other.shutdown().await;
    }

    async fn a_runtime_that_is_dropped_leaves_its_steps_to_others(place) {
        let calls = Arc::new(AtomicU32::new(0));
        let count = calls.clone();
        let (mut wf, input) = Workflow::builder::<u32>("crashing", 1);
        let output = wf.step("work", input, step(move |_: StepContext, n: u32| {
            let first = count.fetch_add(1, Ordering::SeqCst) == 0;
            async move {
                if first {
                    std::future::pending::<()>().await;
                }
                Ok::<_, StepError>(n)
            }
        }));
        let wf = wf.finish(output).unwrap();
        let runtime = place.runtime().await.workflow(&wf).lease(SHORT).start().await.unwrap();
        let run = runtime.client().start(&wf.reference(), 3).await.unwrap();
        until(async || calls.load(Ordering::SeqCst) == 1).await;
        drop(runtime);
        let other = place.runtime().await.workflow(&wf).lease(SHORT).start().await.unwrap();
        assert_eq!(run.result().await.unwrap(), 3);
        assert_eq!(run.inspect().await.unwrap().steps[0].lost, 1);
        other.shutdown().await;
    }
}
