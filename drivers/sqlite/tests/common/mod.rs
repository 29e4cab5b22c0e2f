//! A client and worker in one, without slots, threads or payloads worth speaking of.

#![allow(dead_code, reason = "each test file uses a part of it")]

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use squid_mesh_core::definition::{Definition, Draft, DraftBinding, DraftSource, DraftStep};
use squid_mesh_core::event::By;
use squid_mesh_core::id::{CommandId, Incarnation, Life, RunId, Shard};
use squid_mesh_core::name::{DEFAULT_QUEUE, Name};
use squid_mesh_core::operation::{
    Cancel, Claim, Entry, Group, HandlerSet, Offer, Operation, Outcome, QueueDemand, Register,
    Registration, Reply, Report, Settle, SlotReply, Start, Submit,
};
use squid_mesh_core::payload::Payload;
use squid_mesh_core::run::{Seq, Status};
use squid_mesh_core::store::{Inspect as _, RunFilter, Store as _, StoreError};
use squid_mesh_core::task::TaskRow;
use squid_mesh_sqlite::SqliteStore;

/// Three steps, each fed by the one before.
static CHAIN: LazyLock<Arc<Definition>> = LazyLock::new(|| {
    let step = |name: &str, source| DraftStep {
        input: DraftBinding::Whole(source),
        ..DraftStep::handler(name, "echo")
    };
    let steps = vec![
        step("first", DraftSource::input()),
        step("second", DraftSource::output("first")),
        step("third", DraftSource::output("second")),
    ];
    Arc::new(
        Definition::validate(Draft {
            steps,
            ..Draft::new("chain", 1)
        })
        .unwrap(),
    )
});

/// One process, as far as a store can tell.
#[derive(Clone)]
pub(crate) struct Process {
    pub(crate) incarnation: Incarnation,
    claims: u64,
    slots: u32,
}

impl Process {
    pub(crate) fn new(number: u128, slots: u32) -> Process {
        Process {
            incarnation: Incarnation::from_u128(number),
            claims: 0,
            slots,
        }
    }

    pub(crate) async fn register(&self, store: &SqliteStore) -> Result<Reply, StoreError> {
        let worker = Registration {
            incarnation: self.incarnation,
            name: "test".to_owned(),
            handlers: handlers(),
            queues: vec![Name::new(DEFAULT_QUEUE).unwrap()],
        };
        store
            .perform(Operation::Register(Register {
                worker: Some(worker),
                definitions: vec![Arc::clone(&CHAIN)],
            }))
            .await
    }

    /// Starts runs, each in a group of its own.
    pub(crate) async fn start(
        &self,
        store: &SqliteStore,
        runs: impl IntoIterator<Item = u128>,
    ) -> Result<Reply, StoreError> {
        let groups = runs
            .into_iter()
            .map(|run| Group {
                entries: vec![Entry::Start(Box::new(start(run)))],
            })
            .collect();
        let submit = Submit {
            shard: Shard::default(),
            groups,
            offer: None,
            wait: true,
        };
        store.perform(Operation::Submit(submit)).await
    }

    /// Cancels a run.
    pub(crate) async fn cancel(&self, store: &SqliteStore, run: u128) -> Result<Reply, StoreError> {
        let cancel = Cancel {
            run: RunId::from_u128(run),
            command: CommandId::from_u128(run + 1),
            by: By::default(),
            force: false,
            undo: false,
        };
        let groups = vec![Group {
            entries: vec![Entry::Cancel(cancel)],
        }];
        let submit = Submit {
            shard: Shard::default(),
            groups,
            offer: None,
            wait: true,
        };
        store.perform(Operation::Submit(submit)).await
    }

    pub(crate) async fn claim(&mut self, store: &SqliteStore) -> Result<Vec<TaskRow>, StoreError> {
        self.claims += 1;
        let claim = Claim {
            shard: Shard::default(),
            number: self.claims,
            offer: self.offer(),
        };
        match store.perform(Operation::Claim(claim)).await? {
            Reply::Claimed(claimed) => Ok(claimed.tasks),
            other => panic!("{other:?}"),
        }
    }

    /// Reports success for each task, and returns what was handed on. Everything must be accepted.
    pub(crate) async fn settle(
        &self,
        store: &SqliteStore,
        tasks: &[TaskRow],
    ) -> Result<Vec<TaskRow>, StoreError> {
        let report = |task: &TaskRow| Report {
            key: task.key,
            step: task.step,
            token: task.token().unwrap(),
            outcome: Outcome::Succeeded {
                output: Payload::new(*b"{\"total\":12,\"currency\":\"EUR\"}"),
                label: None,
            },
        };
        let reports = tasks.iter().map(report).collect();
        let settle = Settle {
            shard: Shard::default(),
            reports,
            offer: self.offer(),
            wait: true,
        };
        match store.perform(Operation::Settle(settle)).await? {
            Reply::Settled { slots, handed, .. } => {
                assert!(
                    slots.iter().all(|slot| *slot == SlotReply::Accepted),
                    "{slots:?}"
                );
                Ok(handed)
            }
            other => panic!("{other:?}"),
        }
    }

    fn offer(&self) -> Offer {
        let queue = Name::new(DEFAULT_QUEUE).unwrap();
        Offer {
            worker: self.incarnation,
            handlers: handlers(),
            queues: vec![QueueDemand {
                queue,
                slots: self.slots,
                floor: None,
            }],
            engine: 8,
            lease: Duration::from_secs(30),
        }
    }
}

fn handlers() -> Arc<HandlerSet> {
    Arc::new([Name::new("echo").unwrap()].into())
}

fn start(run: u128) -> Start {
    let input = Payload::new(*b"{\"order\":\"o-4711\",\"amount\":12}");
    let life = Life(u64::try_from(run).unwrap());
    let (run, command) = (RunId::from_u128(run), CommandId::from_u128(run));
    Start::new(run, life, command, CHAIN.key().clone(), input)
}

/// Checks that rows, journals and agenda of every run tell the same story, and returns how many runs have which status.
pub(crate) async fn tally(store: &SqliteStore) -> BTreeMap<Status, usize> {
    let mut tally = BTreeMap::new();
    for row in store
        .list(&RunFilter::default(), None, 1_000_000)
        .await
        .unwrap()
    {
        let journal = store.journal(row.id, Seq::FIRST, 1_000).await.unwrap();
        let seqs: Vec<u32> = journal.iter().map(|row| row.seq.0).collect();
        assert_eq!(
            seqs,
            (1..=row.seq.0).collect::<Vec<_>>(),
            "the journal of {}",
            row.id
        );
        let record = store.run(row.id).await.unwrap().unwrap();
        assert_eq!(
            record.tasks.is_empty(),
            row.status.is_terminal(),
            "the agenda of {}",
            row.id
        );
        *tally.entry(row.status).or_default() += 1;
    }
    tally
}
