//! Runs each test on every store.
//!
//! Invariant: a test waits for conditions, never for time to pass.

use std::time::Duration;

use squid_mesh::core::id::RunId;
use squid_mesh::core::run::Status;
use squid_mesh::{AnyStore, Client, Inspection, Runtime, RuntimeBuilder, SharedStore};
use squid_mesh_test_support::{SqliteFile, TestCluster, TestDatabase, sqlite_url};

/// Declares tests that run on every store: `name::on_sqlite_memory`, `name::on_sqlite_file`, `name::on_postgres`.
macro_rules! on_every_store {
    ($(async fn $name:ident($place:ident) $body:block)+) => {$(
        mod $name {
            #[allow(unused_imports, reason = "not every test needs all that its module imports")]
            use super::*;

            async fn check($place: &crate::harness::Place) $body

            #[test]
            fn on_sqlite_memory() {
                crate::harness::run(crate::harness::Place::sqlite_memory, check);
            }

            #[test]
            fn on_sqlite_file() {
                crate::harness::run(crate::harness::Place::sqlite_file, check);
            }

            #[test]
            fn on_postgres() {
                crate::harness::run(crate::harness::Place::postgres, check);
            }
        }
    )+};
}
pub(crate) use on_every_store;

/// A database of one test.
pub(crate) struct Place {
    url: String,
    /// An in-memory database lives in its one store.
    memory: Option<SharedStore>,
    _guard: Guard,
}

enum Guard {
    Nothing,
    Sqlite(#[expect(dead_code, reason = "held for its drop")] SqliteFile),
    Postgres(#[expect(dead_code, reason = "held for its drop")] TestDatabase),
}

impl Place {
    pub(crate) async fn sqlite_memory() -> Place {
        let url = "sqlite::memory:".to_owned();
        let store = migrated(&url).await;
        Place {
            url,
            memory: Some(store),
            _guard: Guard::Nothing,
        }
    }

    pub(crate) async fn sqlite_file() -> Place {
        let file = sqlite_url().unwrap();
        let url = file.url().to_owned();
        migrated(&url).await;
        Place {
            url,
            memory: None,
            _guard: Guard::Sqlite(file),
        }
    }

    pub(crate) async fn postgres() -> Place {
        let cluster = TestCluster::shared().unwrap();
        let database = cluster.database_from("squid_mesh_runtime_1", async |url| {
            migrated(&url).await;
            Ok(())
        });
        let database = database.unwrap();
        Place {
            url: database.url().to_owned(),
            memory: None,
            _guard: Guard::Postgres(database),
        }
    }

    /// Where a host connects with a pool of its own; nowhere for a database in memory.
    pub(crate) fn url(&self) -> Option<&str> {
        self.memory.is_none().then_some(self.url.as_str())
    }

    /// Whether the store is in SQLite.
    pub(crate) fn is_sqlite(&self) -> bool {
        self.url.starts_with("sqlite:")
    }

    /// A store with connections of its own, where the database allows another.
    pub(crate) async fn store(&self) -> SharedStore {
        match &self.memory {
            Some(store) => store.clone(),
            None => SharedStore::new(AnyStore::connect(&self.url).await.unwrap()),
        }
    }

    /// A client that executes nothing.
    pub(crate) async fn client(&self) -> Client {
        Client::connect(self.store().await).await.unwrap()
    }

    /// A runtime with short times, to be completed.
    pub(crate) async fn runtime(&self) -> RuntimeBuilder {
        Runtime::builder(self.store().await).poll(Duration::from_millis(50))
    }
}

async fn migrated(url: &str) -> SharedStore {
    let store = AnyStore::connect(url).await.unwrap();
    store.migrate().await.unwrap();
    SharedStore::new(store)
}

/// Runs a test on one store, with a bound on its time.
pub(crate) fn run<P, Q>(place: impl FnOnce() -> P, check: impl AsyncFnOnce(&Place) -> Q)
where
    P: Future<Output = Place>,
{
    let tokio = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    tokio.block_on(async {
        let place = place().await;
        let patience = Duration::from_secs(60);
        tokio::time::timeout(patience, check(&place))
            .await
            .expect("the test ends in time");
    });
}

/// Waits for a condition.
pub(crate) async fn until(mut holds: impl AsyncFnMut() -> bool) {
    while !holds().await {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Waits for a run to have a status, and shows it.
pub(crate) async fn until_status(client: &Client, run: RunId, status: Status) -> Inspection {
    until(async || client.status(run).await.unwrap() == status).await;
    client.inspect(run).with_payloads().await.unwrap()
}

/// How many rows a run's journal has.
pub(crate) async fn journal_rows(client: &Client, run: RunId) -> usize {
    client.history(run).await.unwrap().len()
}

/// Runs a test on Postgres alone, with a bound on its time.
pub(crate) fn on_postgres(check: impl AsyncFnOnce(&Place)) {
    run(Place::postgres, check);
}
