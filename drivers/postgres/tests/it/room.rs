//! Stores on throw-away databases, and the operations that tests perform on them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use squid_mesh_core::event::By;
use squid_mesh_core::id::{CommandId, Incarnation, Life, RunId, Shard, Shards};
use squid_mesh_core::name::Name;
use squid_mesh_core::operation::{
    Cancel, Claim, Entry, Group, HandlerSet, Offer, Operation, Outcome, QueueDemand, Register,
    Report, Start, Submit,
};
use squid_mesh_core::payload::Payload;
use squid_mesh_core::task::TaskRow;
use squid_mesh_postgres::{Options, PostgresStore};
use squid_mesh_sim::conformance::workflows;
use squid_mesh_test_support::TestDatabase;

/// A database with room for many stores, each in a schema of its own.
pub(crate) struct Room {
    database: TestDatabase,
    stores: AtomicU32,
}

impl Room {
    pub(crate) fn fresh() -> Room {
        Room {
            database: TestDatabase::fresh(),
            stores: AtomicU32::new(0),
        }
    }

    pub(crate) fn url(&self) -> &str {
        self.database.url()
    }

    /// Options for a schema that no other store has: `mesh_0`, then `mesh_1`, and so on.
    pub(crate) fn options(&self) -> Options {
        let number = self.stores.fetch_add(1, Ordering::Relaxed);
        Options::default().schema(format!("mesh_{number}"))
    }

    /// A migrated, empty store.
    pub(crate) async fn store(&self, shards: Shards) -> PostgresStore {
        self.store_with(self.options().shards(shards).connections(4))
            .await
    }

    pub(crate) async fn store_with(&self, options: Options) -> PostgresStore {
        let store = PostgresStore::connect(self.url(), options).await.unwrap();
        store.migrate().await.unwrap();
        store
    }

    /// A connection of somebody else.
    pub(crate) async fn stranger(&self) -> PgConnection {
        PgConnection::connect(self.url()).await.unwrap()
    }
}

/// Executes something on a connection of somebody else.
pub(crate) async fn execute(connection: &mut PgConnection, statement: &str) {
    let result = sqlx::raw_sql(AssertSqlSafe(statement.to_owned()))
        .execute(connection)
        .await;
    result.unwrap_or_else(|error| panic!("{error}: {statement}"));
}

/// Declares the workflows of the conformance suite, without a worker.
pub(crate) fn register() -> Operation {
    Operation::Register(Register {
        worker: None,
        definitions: workflows(),
    })
}

/// Starts a run of `chain`, whose first step is due at once in the queue `default` for the handler `echo`.
pub(crate) fn start(number: u32, wait: bool) -> Operation {
    submit(Entry::Start(Box::new(entry(number))), wait)
}

pub(crate) fn run_id(number: u32) -> RunId {
    RunId::from_u128(u128::from(number) << 64)
}

fn entry(number: u32) -> Start {
    let command = CommandId::from_u128(number.into());
    let key = workflows()[0].key().clone();
    Start::new(run_id(number), Life(1), command, key, Payload::new(*b"1"))
}

pub(crate) fn cancel(number: u32, wait: bool) -> Operation {
    let command = CommandId::from_u128(1_000 + u128::from(number));
    let cancel = Cancel {
        run: run_id(number),
        command,
        by: By::default(),
        force: false,
        undo: false,
    };
    submit(Entry::Cancel(cancel), wait)
}

fn submit(entry: Entry, wait: bool) -> Operation {
    let groups = vec![Group {
        entries: vec![entry],
    }];
    Operation::Submit(Submit {
        shard: Shard::default(),
        groups,
        offer: None,
        wait,
    })
}

/// The report that a claimed task's handler has returned.
pub(crate) fn succeeded(task: &TaskRow) -> Report {
    Report {
        key: task.key,
        step: task.step,
        token: task.token().unwrap(),
        outcome: Outcome::Succeeded {
            output: Payload::new(*b"1"),
            label: None,
        },
    }
}

/// Claims what is due for the handler `echo` in the queue `default`.
pub(crate) fn claim(worker: u128, number: u64, slots: u32) -> Operation {
    let handlers: HandlerSet = [Name::new("echo").unwrap()].into();
    let queue = Name::new("default").unwrap();
    let offer = Offer {
        worker: Incarnation::from_u128(worker),
        handlers: Arc::new(handlers),
        queues: vec![QueueDemand {
            queue,
            slots,
            floor: None,
        }],
        engine: 0,
        lease: Duration::from_secs(3_600),
    };
    Operation::Claim(Claim {
        shard: Shard::default(),
        number,
        offer,
    })
}
