//! Every statement, prepared and planned by a real server.
//!
//! Invariant: no statement of an operation reads a table but by an index, whatever the size of the table.

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection as _};
use squid_mesh_core::id::Shards;
use squid_mesh_test_support::TestDatabase;

use crate::options::Options;
use crate::{ledger, sql};

/// Finished runs, with a journal of three rows each, and waiting tasks.
const FILL: &str = "
    insert into runs (shard, id, life, workflow, version, seq, status, state, created_at, updated_at)
        select 0, md5(n::text)::uuid, n, 'order', 1, 3, 8, '\\x01', n, n from generate_series(1, 100000) n;
    insert into runs (shard, id, life, workflow, version, seq, status, state, created_at, updated_at, schedule, parent, source)
        select 0, md5('of ' || n)::uuid, n, 'order', 1, 3, 8, '\\x01', n, n,
            case when n % 3 = 0 then md5((n % 100)::text)::uuid end,
            case when n % 2 = 0 then md5((n % 100)::text)::uuid end, case when n % 2 = 1 then md5((n % 100)::text)::uuid end
        from generate_series(1, 20000) n;
    insert into journal (shard, run_id, seq, at, transition)
        select 0, md5(n::text)::uuid, seq, n, '\\x01' from generate_series(1, 40000) n, generate_series(1, 3) seq;
    insert into tasks (shard, run_id, lane, life, kind, step, queue, priority, handler, due_at, attempt, fence_seq,
            fence_claims, begun, expired, hand_offs, format, brief)
        select 0, md5(n::text)::uuid, 0, n, 0, 0, 'default', n % 3, 'handler_' || n % 7,
            case when n % 2 = 0 then n else 9000000000000000 + n end, 1, 1, 0, false, false, 0, 1, '\\x01'
        from generate_series(1, 100000) n;
    insert into definitions (name, version, digest, body)
        select 'order', n, '\\x00', '{}' from generate_series(1, 100) n;
    insert into workers (incarnation, name, handlers, queues, started_at, seen_at, claim, claim_shard, claimed)
        select md5(n::text)::uuid, 'w', '{}', '{}', n, n, 0, 0, '' from generate_series(1, 100) n;
    insert into schedules (shard, id, life, seq, key, version, workflow, \"trigger\", plan, input, standing, state,
            created_at, updated_at)
        select 0, md5(n::text)::uuid, n, 1, 'tenant ' || n, 0, 'order_' || n % 100, 'nightly', '{}', '\\x01', n % 3, '\\x01', n, n
        from generate_series(1, 20000) n;
    insert into queues (name, paused, entry)
        select 'queue_' || n, true, md5(n::text)::uuid from generate_series(1, 100) n;
    vacuum analyze;
";

/// Statements that find rows, the indexes they find them by, and the conditions that reach the index.
const PLANS: [(&str, &[&str], &[&str]); 30] = [
    (sql::CLOCK, &["queues_pkey"], &["(name = ANY ("]),
    (sql::LOCK_QUEUE, &["queues_pkey"], &["(name = $1)"]),
    (sql::LOCK_WORKER, &["workers_pkey"], &["incarnation = "]),
    (
        sql::LOCK_SCHEDULES,
        &["schedules_pkey"],
        &["(shard = $1) AND (id = "],
    ),
    (
        sql::LOCK_SCHEDULES_WAITING,
        &["schedules_pkey"],
        &["(shard = $1) AND (id = "],
    ),
    (sql::UPDATE_SCHEDULES, &["schedules_pkey"], &["AND (id = "]),
    (sql::CHANGE_SCHEDULES, &["schedules_pkey"], &["AND (id = "]),
    (sql::DELETE_SCHEDULES, &["schedules_pkey"], &["AND (id = "]),
    (
        sql::SCHEDULE,
        &["schedules_pkey", "tasks_pkey"],
        &["(shard = $1) AND (id = $2)", "AND (lane = 0)"],
    ),
    (sql::LIST_SCHEDULES, &["schedules_by_key"], &["(key > $1)"]),
    (
        sql::LIST_SCHEDULES_OF_WORKFLOW,
        &["schedules_by_workflow"],
        &["(workflow = $4) AND (key > $1)"],
    ),
    (sql::LOCK_RUNS, &["runs_pkey"], &["(shard = $1) AND (id = "]),
    (
        sql::LOCK_RUNS_WAITING,
        &["runs_pkey"],
        &["(shard = $1) AND (id = "],
    ),
    (sql::LOCK_TASKS, &["tasks_pkey"], &["AND (lane = "]),
    (sql::LOCK_TASKS_WAITING, &["tasks_pkey"], &["AND (lane = "]),
    (
        sql::LOCK_TASKS_OF,
        &["tasks_pkey"],
        &["(shard = $1) AND (run_id = "],
    ),
    (
        sql::SCAN,
        &["tasks_due", "queues_pkey"],
        &[
            "(shard = $1) AND (queue = ",
            "ROW(priority, handler) > ROW(",
            "AND (due_at > $",
            "AND (due_at <= $",
        ],
    ),
    (
        sql::DEFINITIONS,
        &["definitions_pkey"],
        &["(name = ANY (", "AND (version = "],
    ),
    (sql::NEWEST, &["definitions_pkey"], &["(name = "]),
    (
        sql::ADVANCE_RUNS,
        &["runs_pkey", "tasks_pkey"],
        &["ANY (ARRAY[new_1.shard])) AND (id = ", "AND (lane = "],
    ),
    (sql::UPDATE_TASKS, &["tasks_pkey"], &["AND (lane = "]),
    (sql::DELETE_TASKS, &["tasks_pkey"], &["AND (lane = "]),
    (sql::TAKE_TASKS, &["tasks_pkey"], &["AND (lane = "]),
    (sql::PAYLOADS, &["journal_pkey"], &["AND (seq = "]),
    (
        sql::RUN,
        &["runs_pkey", "tasks_pkey", "queues_pkey"],
        &[
            "(shard = $1) AND (id = $2)",
            "(shard = $1) AND (run_id = $2)",
        ],
    ),
    (
        sql::JOURNAL,
        &["journal_pkey"],
        &["(run_id = $2) AND (seq > $3) AND (seq <= $4)"],
    ),
    (
        sql::LIST,
        &["runs_by_start"],
        &["ROW(created_at, id) < ROW($1, $2)", "(created_at >= $3)"],
    ),
    (
        sql::LIST_OF_PARENT,
        &["runs_by_parent"],
        &[
            "(shard = $12) AND (parent = $8) AND (ROW(created_at, id) < ROW($1, $2))",
            "(created_at >= $3)",
        ],
    ),
    (
        sql::LIST_OF_SOURCE,
        &["runs_by_source"],
        &[
            "(shard = $12) AND (source = $9) AND (ROW(created_at, id) < ROW($1, $2))",
            "(created_at >= $3)",
        ],
    ),
    (
        sql::LIST_OF_SCHEDULE,
        &["runs_by_schedule"],
        &[
            "(shard = $12) AND (schedule = $10) AND (ROW(created_at, id) < ROW($1, $2))",
            "(created_at >= $3)",
        ],
    ),
];

async fn migrated(database: &TestDatabase) -> PgConnection {
    let options = Options::default().connect_options(database.url()).unwrap();
    let mut connection = PgConnection::connect_with(&options).await.unwrap();
    ledger::migrate(&mut connection, Shards::ONE).await.unwrap();
    connection
}

/// Prepares a statement under a name, and says how to execute it with nothing but nulls.
async fn prepare(connection: &mut PgConnection, statement: &str) -> String {
    let prepare = format!("prepare looked_at as {statement}");
    sqlx::raw_sql(AssertSqlSafe(prepare))
        .execute(&mut *connection)
        .await
        .unwrap_or_else(|error| {
            panic!("{error}: {statement}");
        });
    let parameters: i32 = sqlx::query_scalar(
        "select coalesce(cardinality(parameter_types), 0) from pg_prepared_statements where name = 'looked_at'",
    )
    .fetch_one(&mut *connection)
    .await
    .unwrap();
    match parameters {
        0 => "execute looked_at".to_owned(),
        some => format!(
            "execute looked_at({})",
            vec!["null"; usize::try_from(some).unwrap()].join(", ")
        ),
    }
}

async fn forget(connection: &mut PgConnection) {
    sqlx::raw_sql("deallocate looked_at")
        .execute(connection)
        .await
        .unwrap();
}

async fn lines(connection: &mut PgConnection, explain: String) -> String {
    let lines: Vec<String> = sqlx::query_scalar(AssertSqlSafe(explain))
        .fetch_all(connection)
        .await
        .unwrap();
    lines.join("\n")
}

#[tokio::test]
async fn every_statement_can_be_prepared() {
    let database = TestDatabase::fresh();
    let mut connection = migrated(&database).await;
    for statement in sql::PREPARED {
        prepare(&mut connection, statement).await;
        forget(&mut connection).await;
    }
}

#[tokio::test]
async fn every_hot_statement_finds_its_rows_by_its_index() {
    let database = TestDatabase::fresh();
    let mut connection = migrated(&database).await;
    let states = [
        ("before anything is there", ""),
        ("with 100,000 rows, analysed", FILL),
        (
            "vacuumed after all work was done",
            "delete from tasks; vacuum analyze",
        ),
        (
            "vacuumed when all was gone",
            "truncate tasks, runs, journal, definitions, workers, queues, schedules; vacuum analyze",
        ),
    ];
    for (round, change) in states {
        execute(&mut connection, change).await;
        for (statement, indexes, conditions) in PLANS {
            let execute = prepare(&mut connection, statement).await;
            let plan = lines(&mut connection, format!("explain {execute}")).await;
            forget(&mut connection).await;
            assert!(!plan.contains("Seq Scan"), "{round}: {statement}\n{plan}");
            assert!(!plan.contains("Bitmap"), "{round}: {statement}\n{plan}");
            assert!(!plan.contains("Sort"), "{round}: {statement}\n{plan}");
            for index in indexes {
                assert!(
                    plan.contains(index),
                    "{round}, {index}: {statement}\n{plan}"
                );
            }
            for condition in conditions {
                let met = plan
                    .lines()
                    .any(|line| line.contains("Index Cond") && line.contains(condition));
                assert!(met, "{round}, {condition}: {statement}\n{plan}");
            }
        }
    }
}

#[tokio::test]
async fn a_scan_touches_few_pages_however_long_the_agenda_is() {
    let database = TestDatabase::fresh();
    let mut connection = migrated(&database).await;
    execute(&mut connection, FILL).await;
    prepare(&mut connection, sql::SCAN).await;
    // 21 pairs of priority and handler, 3 of them served; 50,000 rows are due, 50,000 wait.
    let scan = "explain (analyze, buffers, costs off, timing off, summary off) \
        execute looked_at(0, '{default}', '{10}', '{default}', '{handler_3}', 1, '{default}')";
    let (plan, pages) = touched(&mut connection, scan).await;
    assert!(pages < 400, "{plan}");
    assert!(plan.contains("rows=30 "), "{plan}");

    // Of a paused queue nothing is returned, and no more than the head of each range is looked at.
    let pause = "insert into queues (name, paused, entry) values ('default', true, md5('1')::uuid)";
    execute(&mut connection, pause).await;
    let (plan, pages) = touched(&mut connection, scan).await;
    assert!(pages < 6_000, "{plan}");
    assert!(!plan.contains("rows=30 "), "{plan}");

    // Not even if all of it fell due at once, as what was started together does.
    execute(
        &mut connection,
        "update tasks set due_at = 1; vacuum analyze tasks",
    )
    .await;
    let (plan, pages) = touched(&mut connection, scan).await;
    assert!(pages < 6_000, "{plan}");
    // The last two that are looked at of one range, and the first that is not.
    let own = "with ranked as (select run_id, row_number() over (order by run_id, lane) as place from tasks \
        where queue = 'default' and priority = 1 and handler = 'handler_3') \
        update tasks set owner = md5('w')::uuid from ranked where tasks.run_id = ranked.run_id and place in (511, 512, 513)";
    execute(&mut connection, own).await;
    let (plan, _) = touched(&mut connection, scan).await;
    let top = plan.lines().next().unwrap();
    assert!(top.contains("rows=2 "), "{plan}");
}

/// How an explained statement was executed, and how many pages it touched. The first time warms the cache.
async fn touched(connection: &mut PgConnection, explain: &str) -> (String, u32) {
    lines(connection, explain.to_owned()).await;
    let plan = lines(connection, explain.to_owned()).await;
    let total = plan.lines().find(|line| line.contains("Buffers:")).unwrap();
    let pages = |word: &str| {
        let after = total.split(word).nth(1).unwrap_or("0");
        after.split(' ').next().unwrap().parse::<u32>().unwrap()
    };
    let sum = pages("shared hit=") + pages(" read=");
    (plan, sum)
}

/// One by one: VACUUM refuses to be part of the transaction that several statements sent together are.
async fn execute(connection: &mut PgConnection, statements: &str) {
    for statement in statements
        .split(';')
        .filter(|statement| !statement.trim().is_empty())
    {
        sqlx::raw_sql(AssertSqlSafe(statement.to_owned()))
            .execute(&mut *connection)
            .await
            .unwrap();
    }
}
