//! Starts in transactions of the host.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use squid_mesh::core::store::StoreError;
use squid_mesh::postgres::sqlx::{self, Connection as _, PgConnection};
use squid_mesh::sqlite::sqlx::SqliteConnection;
use squid_mesh::{
    InspectError, StartError, StartManyError, StepContext, StepError, Tx, Workflow, step, step_tx,
};

use crate::batches::noting;
use crate::harness::{on_every_store, on_postgres, until};
use crate::host::{Seen, TIMEOUT, execute, insert, look, make_table, of};

/// A workflow that counts how often it was executed.
fn counting(begun: &Arc<AtomicU32>) -> Workflow<i64, i64> {
    let begun = begun.clone();
    of(
        "counting",
        step(move |_, n: i64| {
            begun.fetch_add(1, Ordering::SeqCst);
            async move { Ok(n) }
        }),
    )
}

/// Starts another run in the transaction of its own step.
async fn starts_another(
    client: Arc<std::sync::OnceLock<squid_mesh::Client>>,
    cx: StepContext,
    tx: &mut Tx,
    value: i64,
) -> Result<String, StepError> {
    insert(tx, value).await?;
    let client = client.get().unwrap();
    let start = client.start_json("noting", None, serde_json::json!({"text": "more"}));
    let run = start.key(cx.idempotency_key()).in_tx(tx).await?;
    if cx.attempt() == 1 {
        return Err(StepError::retryable(
            "once_more",
            "to see the start rolled back",
        ));
    }
    Ok(run.id().to_string())
}

on_every_store! {
    async fn a4_4_a_start_in_a_transaction_is_there_with_the_hosts_row_or_not_at_all(place) {
        let begun = Arc::default();
        let wf = counting(&begun);
        let runtime = place.runtime().await.workflow(&wf).start().await.unwrap();
        let client = runtime.client();
        make_table(client).await;
        for commits in [false, true] {
            let mut tx = client.begin().await.unwrap();
            insert(&mut tx, 1).await.unwrap();
            let run = client.start(&wf.reference(), 1).key("k").in_tx(&mut tx).await.unwrap();
            assert!(!run.existing());
            // In memory, SQLite lets nobody read meanwhile.
            if place.url().is_some() {
                assert!(matches!(run.status().await, Err(InspectError::UnknownRun { .. })));
            }
            assert_eq!(begun.load(Ordering::SeqCst), 0);
            if !commits {
                tx.rollback().await;
                assert!(matches!(run.status().await, Err(InspectError::UnknownRun { .. })));
                assert_eq!(look(client).await, Seen { rows: 0, successes: 0 });
                continue;
            }
            tx.commit().await.unwrap();
            assert_eq!(run.result().await.unwrap(), 1);
            assert_eq!((look(client).await.rows, begun.load(Ordering::SeqCst)), (1, 1));
            let mut tx = client.begin().await.unwrap();
            let again = client.start(&wf.reference(), 1).key("k").in_tx(&mut tx).await.unwrap();
            assert_eq!((again.id(), again.existing()), (run.id(), true));
            let other = client.start(&wf.reference(), 2).key("k").in_tx(&mut tx).await;
            assert!(matches!(other, Err(StartError::KeyConflict { .. })), "{other:?}");
            tx.commit().await.unwrap();
        }
        runtime.shutdown().await;
    }

    async fn a4_4_a_hosts_own_connection_will_do(place) {
        let Some(url) = place.url() else { return };
        let begun = Arc::default();
        let wf = counting(&begun);
        let runtime = place.runtime().await.workflow(&wf).start().await.unwrap();
        let client = runtime.client();
        make_table(client).await;
        let row = "insert into host_rows (value) values (1)";
        for (commits, rows) in [(false, 0), (true, 1)] {
            let start = client.start(&wf.reference(), 1);
            let run = if place.is_sqlite() {
                let mut connection = SqliteConnection::connect(url).await.unwrap();
                let mut tx = connection.begin_with("BEGIN IMMEDIATE").await.unwrap();
                sqlx::query(row).execute(&mut *tx).await.unwrap();
                let run = start.in_tx(&mut tx).await.unwrap();
                if commits { tx.commit().await.unwrap() } else { tx.rollback().await.unwrap() }
                run
            } else {
                let mut connection = PgConnection::connect(url).await.unwrap();
                let mut tx = connection.begin().await.unwrap();
                sqlx::query(row).execute(&mut *tx).await.unwrap();
                let run = start.in_tx(&mut tx).await.unwrap();
                if commits { tx.commit().await.unwrap() } else { tx.rollback().await.unwrap() }
                run
            };
            if commits {
                assert_eq!(run.result().await.unwrap(), 1);
            } else {
                assert!(matches!(run.status().await, Err(InspectError::UnknownRun { .. })));
            }
            assert_eq!(look(client).await.rows, rows);
        }
        assert_eq!(begun.load(Ordering::SeqCst), 1);
        runtime.shutdown().await;
    }

    async fn a_connection_without_a_transaction_is_refused_and_left_alone(place) {
        let Some(url) = place.url() else { return };
        let runtime = place.runtime().await.workflow(counting(&Arc::default())).start().await.unwrap();
        let start = || runtime.client().start_json("counting", None, serde_json::json!(1));
        let refused = if place.is_sqlite() {
            let mut connection = SqliteConnection::connect(url).await.unwrap();
            let refused = start().in_tx(&mut connection).await;
            sqlx::query("BEGIN IMMEDIATE").execute(&mut connection).await.unwrap();
            start().in_tx(&mut connection).await.unwrap();
            sqlx::query("ROLLBACK").execute(&mut connection).await.unwrap();
            refused
        } else {
            let mut connection = PgConnection::connect(url).await.unwrap();
            start().in_tx(&mut connection).await
        };
        assert!(matches!(&refused, Err(StartError::Refused(why)) if why.contains("transaction")), "{refused:?}");
        assert_eq!(runtime.client().list(&Default::default(), None, 0).await.unwrap().runs.len(), 0);
        runtime.shutdown().await;
    }

    async fn a_start_of_a_workflow_that_is_not_registered_here_is_answered_while_a_transaction_is_open(place) {
        let declared = place.runtime().await.workflow(counting(&Arc::default())).queue("elsewhere", 1).start().await.unwrap();
        let client = place.client().await;
        let mut tx = client.begin().await.unwrap();
        let start = client.start_json("counting", None, serde_json::json!(1)).in_tx(&mut tx).await;
        let batch = client.start_many(&counting(&Arc::default()).reference(), [1]).in_tx(&mut tx).await;
        if place.url().is_some() {
            start.unwrap();
            batch.unwrap();
        } else {
            assert!(matches!(&start, Err(StartError::Lookup(StoreError::Refused(why))) if why.contains("counting")), "{start:?}");
            let refused = matches!(&batch, Err(StartManyError::At { index: 0, error: StartError::Lookup(_) }));
            assert!(refused, "{batch:?}");
        }
        tx.rollback().await;
        declared.shutdown().await;
    }

    async fn a_step_starts_runs_in_its_own_transaction(place) {
        let known = Arc::<std::sync::OnceLock<squid_mesh::Client>>::default();
        let (mut wf, value) = Workflow::builder::<i64>("starting", 1);
        let spec = squid_mesh::step_tx_with(known.clone(), starts_another);
        let spec = spec.timeout(TIMEOUT).retry(squid_mesh::Retry::immediate(2));
        let started = wf.step("start", value, spec);
        let wf = wf.finish(started).unwrap();
        let runtime = place.runtime().await.workflow(&wf).workflow(noting()).start().await.unwrap();
        make_table(runtime.client()).await;
        known.set(runtime.client().clone()).unwrap();
        let run = runtime.client().start(&wf.reference(), 1).await.unwrap();
        let other: squid_mesh::core::id::RunId = run.result().await.unwrap().parse().unwrap();
        let other = runtime.client().run::<String>(other);
        assert_eq!(other.result().await.unwrap(), "more");
        assert_eq!(look(runtime.client()).await, Seen { rows: 1, successes: 2 });
        runtime.shutdown().await;
    }
}

#[test]
fn a_postgres_transaction_of_another_isolation_is_refused_and_settings_stay_as_they_were() {
    on_postgres(async |place| {
        let runtime = place
            .runtime()
            .await
            .workflow(noting())
            .start()
            .await
            .unwrap();
        let start = || {
            runtime
                .client()
                .start_json("noting", None, serde_json::json!({"text": "n"}))
        };
        let mut host = PgConnection::connect(place.url().unwrap()).await.unwrap();
        let mut tx = host
            .begin_with("begin isolation level repeatable read")
            .await
            .unwrap();
        let refused = start().in_tx(&mut tx).await;
        assert!(
            matches!(&refused, Err(StartError::Refused(why)) if why.contains("repeatable read")),
            "{refused:?}"
        );
        tx.rollback().await.unwrap();

        let mut tx = host.begin().await.unwrap();
        let shadow = "set local search_path = public; set local lock_timeout = '7s'; \
                      create temp table runs (id int); create temp table tasks (id int)";
        sqlx::raw_sql(shadow).execute(&mut *tx).await.unwrap();
        let settings =
            "select string_agg(name || '=' || setting, ',' order by name) from pg_settings";
        let before: String = sqlx::query_scalar(settings)
            .fetch_one(&mut *tx)
            .await
            .unwrap();
        let run = start().in_tx(&mut tx).await.unwrap();
        let after: String = sqlx::query_scalar(settings)
            .fetch_one(&mut *tx)
            .await
            .unwrap();
        assert_eq!(before, after);
        tx.commit().await.unwrap();
        run.result().await.unwrap();
        runtime.shutdown().await;
    });
}

#[test]
fn of_two_transactions_that_start_under_one_key_the_second_conflicts_and_may_go_on() {
    on_postgres(async |place| {
        let runtime = place
            .runtime()
            .await
            .workflow(noting())
            .start()
            .await
            .unwrap();
        let start = || {
            let input = serde_json::json!({"text": "n"});
            runtime
                .client()
                .start_json("noting", None, input)
                .key("one")
        };
        let mut first = PgConnection::connect(place.url().unwrap()).await.unwrap();
        let mut second = PgConnection::connect(place.url().unwrap()).await.unwrap();
        let (mut first, mut second) = (first.begin().await.unwrap(), second.begin().await.unwrap());
        let run = start().in_tx(&mut first).await.unwrap();
        let mut watching = PgConnection::connect(place.url().unwrap()).await.unwrap();
        let (late, ()) = tokio::join!(start().in_tx(&mut second), async {
            until(async || waits_for_a_lock(&mut watching).await).await;
            first.commit().await.unwrap();
        });
        assert!(matches!(late, Err(StartError::Conflict)), "{late:?}");
        let again = start().in_tx(&mut second).await.unwrap();
        assert_eq!((again.id(), again.existing()), (run.id(), true));
        second.commit().await.unwrap();
        runtime.shutdown().await;
    });
}

/// Whether anybody in this database waits for a lock.
async fn waits_for_a_lock(connection: &mut PgConnection) -> bool {
    let waiting = "select exists (select from pg_stat_activity \
                   where wait_event_type = 'Lock' and datname = current_database())";
    let waiting = sqlx::query_scalar(waiting).fetch_one(connection);
    waiting.await.unwrap()
}

async fn fails_silently(_: StepContext, tx: &mut Tx, value: i64) -> Result<i64, StepError> {
    let failed = execute(tx, "select 1 / 0").await;
    assert!(failed.is_err());
    Ok(value)
}

#[test]
fn a_handler_that_goes_on_after_a_statement_failed_has_not_succeeded() {
    on_postgres(async |place| {
        let wf = of("silent", step_tx(fails_silently));
        let runtime = place.runtime().await.workflow(&wf).start().await.unwrap();
        let run = runtime.client().start(&wf.reference(), 1).await.unwrap();
        let failed = run.result().await.unwrap_err().to_string();
        assert!(failed.contains("transaction_aborted"), "{failed}");
        runtime.shutdown().await;
    });
}
