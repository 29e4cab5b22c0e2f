//! Every statement of this store.
//!
//! Parameters are plain `?`, in the order in which they appear: statements are sent several at a time, and numbered ones
//! would refer to each other's.
//!
//! Invariant: a statement is constant text. Each names the index it uses, and a test holds it to that.

mod schedules;

pub(crate) use schedules::{
    CHANGE_SCHEDULE, DELETE_SCHEDULE, INSERT_SCHEDULE, LIST_SCHEDULES, LIST_SCHEDULES_OF_WORKFLOW,
    SCHEDULES, UPDATE_SCHEDULE,
};

macro_rules! run_columns {
    () => {
        "run.run_id, run.life, run.workflow, run.version, run.seq, run.status, run.state, run.labels, \
         run.created, run.updated, run.parent, run.source, run.schedule"
    };
}

macro_rules! task_columns {
    () => {
        "task.run_id, task.lane, task.life, task.kind, task.step, task.queue, task.priority, task.handler, \
         task.due_at, task.attempt, task.fence_seq, task.fence_claims, task.owner, task.begun, task.expired, \
         task.hand_offs, task.format, task.renew_until, task.brief"
    };
}

macro_rules! worker_columns {
    () => {
        "incarnation, name, handlers, queues, started, seen, claim, claim_shard, claimed"
    };
}

macro_rules! entry_columns {
    () => {
        "entry.id, entry.actor, entry.action, entry.target, entry.comment, entry.changed, entry.at"
    };
}

/// Takes the write lock: whoever holds it is the only one who writes.
pub(crate) const BEGIN: &str = "BEGIN IMMEDIATE";
/// Undoes the transaction.
pub(crate) const ROLLBACK: &str = "ROLLBACK";
/// Makes what follows one operation, which can be undone alone.
pub(crate) const SAVEPOINT: &str = "SAVEPOINT operation";
/// Joins an operation to the transaction.
pub(crate) const RELEASE: &str = "RELEASE operation";
/// Undoes the operation that was begun last; its savepoint stays.
pub(crate) const UNDO: &str = "ROLLBACK TO operation";
/// Makes everything durable.
pub(crate) const COMMIT: &str = "COMMIT";

/// Marks a transaction that is lent to a handler: gone with the transaction.
pub(crate) const MARK: &str = "SAVEPOINT squid_mesh_host";
/// Takes the mark off. Fails if there is none.
pub(crate) const UNMARK: &str = "RELEASE squid_mesh_host";
/// Fails within a transaction, which is how one is told from none whoever began it.
pub(crate) const PROBE: &str = "BEGIN";

/// One worker, by its primary key.
pub(crate) const WORKER: &str = concat!(
    "SELECT ",
    worker_columns!(),
    " FROM squid_mesh_workers WHERE incarnation = ?"
);

/// Those of some queues that are paused, from a JSON array of names: the primary key, once for each.
pub(crate) const PAUSED: &str = "SELECT queue.name FROM json_each(?) AS wanted CROSS JOIN squid_mesh_queues AS queue \
     ON queue.name = wanted.value WHERE queue.paused";

/// One queue, by its primary key.
pub(crate) const QUEUE: &str = "SELECT name, paused, entry FROM squid_mesh_queues WHERE name = ?";

/// One row of the operator log, by its primary key.
pub(crate) const ENTRY: &str = concat!(
    "SELECT ",
    entry_columns!(),
    " FROM squid_mesh_operator_log AS entry WHERE entry.id = ?"
);

/// Runs by key, from a JSON array of ids in hexadecimal: the primary key, once for each.
pub(crate) const RUNS: &str = concat!(
    "SELECT ",
    run_columns!(),
    " FROM json_each(?) AS wanted \
     CROSS JOIN squid_mesh_runs AS run ON run.shard = 0 AND run.run_id = unhex(wanted.value)"
);

/// Tasks by key, from a JSON array of pairs of id and lane: the primary key, once for each.
pub(crate) const TASKS: &str = concat!(
    "SELECT ",
    task_columns!(),
    " FROM json_each(?) AS wanted CROSS JOIN squid_mesh_tasks AS task \
     ON task.shard = 0 AND task.run_id = unhex(wanted.value ->> 0) AND task.lane = wanted.value ->> 1"
);

/// Every task of some runs, from a JSON array of ids: a range of the primary key for each.
pub(crate) const TASKS_OF: &str = concat!(
    "SELECT ",
    task_columns!(),
    " FROM json_each(?) AS wanted CROSS JOIN squid_mesh_tasks AS task \
     ON task.shard = 0 AND task.run_id = unhex(wanted.value) ORDER BY task.run_id, task.lane"
);

/// Definitions by key, from a JSON array of pairs of name and version: the primary key, once for each.
pub(crate) const DEFINITIONS: &str = "SELECT definition.name, definition.version, definition.digest, definition.body \
     FROM json_each(?) AS wanted CROSS JOIN squid_mesh_definitions AS definition \
     ON definition.name = wanted.value ->> 0 AND definition.version = wanted.value ->> 1";

/// Definitions of the highest version, from a JSON array of names: the end of a range of the primary key, and the primary
/// key, once for each.
pub(crate) const NEWEST: &str = "SELECT definition.name, definition.version, definition.digest, definition.body \
     FROM json_each(?) AS wanted CROSS JOIN squid_mesh_definitions AS definition \
     ON definition.name = wanted.value AND definition.version = ( \
       SELECT max(version.version) FROM squid_mesh_definitions AS version WHERE version.name = wanted.value)";

/// The pairs of priority and handler that a queue has: one seek in `squid_mesh_tasks_by_due` for each priority, and one
/// for each pair.
pub(crate) const PAIRS: &str = "WITH RECURSIVE \
     wanted (queue) AS (SELECT ?), \
     urgency (priority) AS ( \
       SELECT (SELECT min(task.priority) FROM squid_mesh_tasks AS task \
                WHERE task.shard = 0 AND task.queue = wanted.queue) FROM wanted \
       UNION ALL \
       SELECT (SELECT min(task.priority) FROM squid_mesh_tasks AS task \
                WHERE task.shard = 0 AND task.queue = wanted.queue AND task.priority > urgency.priority) \
         FROM urgency, wanted WHERE urgency.priority IS NOT NULL), \
     pair (priority, handler) AS ( \
       SELECT urgency.priority, (SELECT min(task.handler) FROM squid_mesh_tasks AS task \
                WHERE task.shard = 0 AND task.queue = wanted.queue AND task.priority = urgency.priority) \
         FROM urgency, wanted WHERE urgency.priority IS NOT NULL \
       UNION ALL \
       SELECT pair.priority, (SELECT min(task.handler) FROM squid_mesh_tasks AS task \
                WHERE task.shard = 0 AND task.queue = wanted.queue AND task.priority = pair.priority \
                  AND task.handler > pair.handler) \
         FROM pair, wanted WHERE pair.handler IS NOT NULL) \
     SELECT pair.priority, pair.handler FROM pair WHERE pair.handler IS NOT NULL ORDER BY 1, 2";

/// What is due of one queue, priority and handler: a range of `squid_mesh_tasks_by_due`, in its order. A bare parameter
/// as the limit would have SQLite prepare the statement again at each execution, to plan for its value.
pub(crate) const DUE: &str = concat!(
    "SELECT ",
    task_columns!(),
    " FROM squid_mesh_tasks AS task \
     WHERE task.shard = 0 AND task.queue = ? AND task.priority = ? AND task.handler = ? \
       AND task.due_at <= ? AND task.format <= ? \
     ORDER BY task.due_at, task.run_id, task.lane LIMIT ? + 0"
);

/// What somebody owns of what is due of one queue, priority and handler, as far as it is among the first 512: with a long
/// backlog behind a pause, looking at all of it would cost more each time than finding a lost lease early is worth.
pub(crate) const DUE_OWNED: &str = concat!(
    "SELECT ",
    task_columns!(),
    " FROM (SELECT * FROM squid_mesh_tasks AS head \
     WHERE head.shard = 0 AND head.queue = ? AND head.priority = ? AND head.handler = ? \
       AND head.due_at <= ? AND head.format <= ? \
     ORDER BY head.due_at, head.run_id, head.lane LIMIT 512) AS task \
     WHERE task.owner IS NOT NULL LIMIT ? + 0"
);

/// When the next of one queue, priority and handler falls due: the head of a range of `squid_mesh_tasks_by_due`.
pub(crate) const NEXT_DUE: &str = "SELECT task.due_at FROM squid_mesh_tasks AS task \
     WHERE task.shard = 0 AND task.queue = ? AND task.priority = ? AND task.handler = ? \
       AND task.due_at > ? AND task.format <= ? \
     ORDER BY task.due_at LIMIT 1";

/// Adds a definition.
pub(crate) const INSERT_DEFINITION: &str =
    "INSERT INTO squid_mesh_definitions (name, version, digest, body) VALUES (?, ?, ?, ?)";

/// Adds a run.
pub(crate) const INSERT_RUN: &str = "INSERT INTO squid_mesh_runs \
     (run_id, life, workflow, version, seq, status, state, labels, created, updated, parent, source, schedule) \
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";

/// Moves a run on, unless somebody else has: its primary key.
pub(crate) const UPDATE_RUN: &str = "UPDATE squid_mesh_runs SET seq = ?, status = ?, state = ?, updated = ? \
     WHERE shard = 0 AND run_id = ? AND seq = ?";

/// Appends to a journal.
pub(crate) const INSERT_JOURNAL: &str =
    "INSERT INTO squid_mesh_journal (run_id, seq, at, transition, payload) VALUES (?, ?, ?, ?, ?)";

/// Removes a task whose fence is still this one: its primary key.
pub(crate) const DELETE_TASK: &str = "DELETE FROM squid_mesh_tasks \
     WHERE shard = 0 AND run_id = ? AND lane = ? AND fence_seq = ? AND fence_claims = ?";

/// Changes a task whose fence is still this one, and its place in `squid_mesh_tasks_by_due`: its primary key.
pub(crate) const MOVE_TASK: &str = "UPDATE squid_mesh_tasks SET life = ?, kind = ?, step = ?, attempt = ?, \
     fence_seq = ?, fence_claims = ?, owner = ?, begun = ?, expired = ?, hand_offs = ?, format = ?, renew_until = ?, \
     brief = ?, queue = ?, priority = ?, handler = ?, due_at = ? \
     WHERE shard = 0 AND run_id = ? AND lane = ? AND fence_seq = ? AND fence_claims = ?";

/// Changes a task whose fence is still this one, and no index: its primary key.
pub(crate) const UPDATE_TASK: &str = "UPDATE squid_mesh_tasks SET life = ?, kind = ?, step = ?, attempt = ?, \
     fence_seq = ?, fence_claims = ?, owner = ?, begun = ?, expired = ?, hand_offs = ?, format = ?, renew_until = ?, \
     brief = ? \
     WHERE shard = 0 AND run_id = ? AND lane = ? AND fence_seq = ? AND fence_claims = ?";

/// Adds a task.
pub(crate) const INSERT_TASK: &str = "INSERT INTO squid_mesh_tasks (life, kind, step, attempt, fence_seq, \
     fence_claims, owner, begun, expired, hand_offs, format, renew_until, brief, queue, priority, handler, due_at, \
     run_id, lane) \
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";

/// Adds a worker, or brings its row up to date: its primary key.
pub(crate) const PUT_WORKER: &str = "INSERT INTO squid_mesh_workers \
     (incarnation, name, handlers, queues, started, seen, claim, claim_shard, claimed) \
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) \
     ON CONFLICT (incarnation) DO UPDATE SET name = excluded.name, handlers = excluded.handlers, \
       queues = excluded.queues, started = excluded.started, seen = excluded.seen, claim = excluded.claim, \
       claim_shard = excluded.claim_shard, claimed = excluded.claimed";

/// Adds a queue.
pub(crate) const INSERT_QUEUE: &str =
    "INSERT INTO squid_mesh_queues (paused, entry, name) VALUES (?, ?, ?)";

/// Changes a queue: its primary key.
pub(crate) const UPDATE_QUEUE: &str =
    "UPDATE squid_mesh_queues SET paused = ?, entry = ? WHERE name = ?";

/// Appends to the operator log.
pub(crate) const INSERT_ENTRY: &str = "INSERT INTO squid_mesh_operator_log \
     (id, actor, action, target, comment, changed, at) VALUES (?, ?, ?, ?, ?, ?, ?)";

/// Every queue that has a row, with the row of the operator log that made it what it is: its primary key, once for each.
pub(crate) const QUEUES: &str = concat!(
    "SELECT queue.name, queue.paused, ",
    entry_columns!(),
    " FROM squid_mesh_queues AS queue CROSS JOIN squid_mesh_operator_log AS entry ON entry.id = queue.entry \
     ORDER BY queue.name"
);

/// Payloads, from a JSON array of pairs of id and seq: the primary key of the journal, once for each.
pub(crate) const PAYLOADS: &str = "SELECT row.run_id, row.seq, row.payload \
     FROM json_each(?) AS wanted CROSS JOIN squid_mesh_journal AS row \
     ON row.shard = 0 AND row.run_id = unhex(wanted.value ->> 0) AND row.seq = wanted.value ->> 1";

/// A stretch of one journal: a range of its primary key, twice: the lengths of payloads first, which need not be read for that.
pub(crate) const JOURNAL: &str = "SELECT row.seq, row.at, row.transition, row.payload \
     FROM squid_mesh_journal AS row WHERE row.shard = 0 AND row.run_id = ?1 AND row.seq > ?2 AND row.seq <= (SELECT max(seq) FROM (\
     SELECT seq, sum(coalesce(length(payload), 0)) OVER (ORDER BY seq ROWS UNBOUNDED PRECEDING) \
     - coalesce(length(payload), 0) AS before FROM squid_mesh_journal \
     WHERE shard = 0 AND run_id = ?1 AND seq > ?2 AND seq <= ?3 ORDER BY seq LIMIT ?4) WHERE before < ?5) ORDER BY row.seq";

macro_rules! list {
    ($of:literal) => {
        concat!(
            "SELECT ",
            run_columns!(),
            " FROM squid_mesh_runs AS run WHERE ",
            $of,
            " run.created >= ? AND run.created < ? AND (run.created, run.run_id) < (?, ?) \
              AND (? = '[]' OR run.status IN (SELECT value FROM json_each(?))) \
              AND NOT EXISTS (SELECT 1 FROM json_each(?) AS wanted WHERE NOT EXISTS ( \
                SELECT 1 FROM json_each(run.labels) AS label \
                 WHERE label.key = wanted.value ->> 0 AND label.value = wanted.value ->> 1)) \
              AND run.workflow = coalesce(?, run.workflow) AND run.source IS coalesce(?, run.source) \
              AND run.schedule IS coalesce(?, run.schedule) \
              ORDER BY run.created DESC, run.run_id DESC LIMIT ?"
        )
    };
}

/// A page of runs: `squid_mesh_runs_by_start`, backwards.
pub(crate) const LIST: &str = list!("");
/// A page of the runs of one workflow: `squid_mesh_runs_by_workflow`, backwards.
pub(crate) const LIST_OF_WORKFLOW: &str = list!("run.workflow = ? AND");
/// A page of the runs that one run's steps started: `squid_mesh_runs_by_parent`, backwards.
pub(crate) const LIST_OF_PARENT: &str = list!("run.shard = 0 AND run.parent = ? AND");
/// A page of the copies of one run: `squid_mesh_runs_by_source`, backwards.
pub(crate) const LIST_OF_SOURCE: &str = list!("run.shard = 0 AND run.source = ? AND");

/// A page of the runs that one schedule started: `squid_mesh_runs_by_schedule`, backwards.
pub(crate) const LIST_OF_SCHEDULE: &str = list!("run.shard = 0 AND run.schedule = ? AND");

/// Every worker, oldest first.
pub(crate) const WORKERS: &str = concat!(
    "SELECT ",
    worker_columns!(),
    " FROM squid_mesh_workers ORDER BY started, incarnation"
);

/// Every definition, by its primary key.
pub(crate) const ALL_DEFINITIONS: &str =
    "SELECT name, version, digest, body FROM squid_mesh_definitions ORDER BY name, version";

/// Whether there is a ledger.
pub(crate) const LEDGER_EXISTS: &str =
    "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'squid_mesh_ledger'";
/// The format of the schema.
pub(crate) const LEDGER_FORMAT: &str = "SELECT coalesce(max(format), 0) FROM squid_mesh_ledger";
/// Makes the ledger.
pub(crate) const LEDGER_CREATE: &str = "CREATE TABLE IF NOT EXISTS squid_mesh_ledger \
     (format INTEGER PRIMARY KEY, name TEXT NOT NULL, applied_at INTEGER NOT NULL) STRICT";
/// Notes a migration that was applied.
pub(crate) const LEDGER_INSERT: &str =
    "INSERT INTO squid_mesh_ledger (format, name, applied_at) VALUES (?, ?, ?)";

#[cfg(test)]
mod tests {
    use sqlx::{AssertSqlSafe, Connection as _, Row as _, SqliteConnection};

    use super::*;
    use crate::{ledger, options::WallClock};

    /// The plan of a statement, a line each.
    async fn plan(connection: &mut SqliteConnection, sql: &str) -> Vec<String> {
        let explained = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}"));
        let rows = sqlx::query(explained).fetch_all(connection).await.unwrap();
        rows.iter().map(|row| row.get("detail")).collect()
    }

    async fn migrated() -> SqliteConnection {
        let mut connection = SqliteConnection::connect("sqlite::memory:").await.unwrap();
        ledger::migrate(&mut connection, &WallClock).await.unwrap();
        connection
    }

    const BY_KEY: &str = "(shard=? AND run_id=?)";
    const BY_SCHEDULE: &str = "(shard=? AND schedule_id=?)";
    const BY_LANE: &str = "(shard=? AND run_id=? AND lane=?)";
    const BY_DUE: &str =
        "squid_mesh_tasks_by_due (shard=? AND queue=? AND priority=? AND handler=? AND due_at";

    #[tokio::test]
    async fn each_statement_uses_its_index_and_neither_sorts_nor_scans() {
        let mut connection = migrated().await;
        let table = [
            (
                WORKER,
                "squid_mesh_workers USING PRIMARY KEY (incarnation=?)",
            ),
            (PAUSED, "queue USING PRIMARY KEY (name=?)"),
            (QUEUE, "squid_mesh_queues USING PRIMARY KEY (name=?)"),
            (ENTRY, "entry USING PRIMARY KEY (id=?)"),
            (RUNS, BY_KEY),
            (SCHEDULES, BY_SCHEDULE),
            (TASKS, BY_LANE),
            (DEFINITIONS, "(name=? AND version=?)"),
            (
                NEWEST,
                "definition USING PRIMARY KEY (name=? AND version=?)",
            ),
            (NEWEST, "version USING PRIMARY KEY (name=?)"),
            (DUE, BY_DUE),
            (NEXT_DUE, BY_DUE),
            (UPDATE_QUEUE, "squid_mesh_queues USING PRIMARY KEY (name=?)"),
            (UPDATE_RUN, BY_KEY),
            (UPDATE_SCHEDULE, BY_SCHEDULE),
            (CHANGE_SCHEDULE, BY_SCHEDULE),
            (DELETE_SCHEDULE, BY_SCHEDULE),
            (DELETE_TASK, BY_LANE),
            (MOVE_TASK, BY_LANE),
            (UPDATE_TASK, BY_LANE),
            (PAYLOADS, "(shard=? AND run_id=? AND seq=?)"),
            (JOURNAL, "(shard=? AND run_id=? AND seq>? AND seq<?)"),
            (LIST, "squid_mesh_runs_by_start (created>? AND created<?)"),
            (
                LIST_OF_WORKFLOW,
                "squid_mesh_runs_by_workflow (workflow=? AND created>? AND created<?)",
            ),
            (
                LIST_OF_PARENT,
                "squid_mesh_runs_by_parent (shard=? AND parent=? AND created>? AND created<?)",
            ),
            (
                LIST_OF_SOURCE,
                "squid_mesh_runs_by_source (shard=? AND source=? AND created>? AND created<?)",
            ),
            (
                LIST_OF_SCHEDULE,
                "squid_mesh_runs_by_schedule (shard=? AND schedule=? AND created>? AND created<?)",
            ),
            (LIST_SCHEDULES, "squid_mesh_schedules_by_key (key>?)"),
            (
                LIST_SCHEDULES_OF_WORKFLOW,
                "squid_mesh_schedules_by_workflow (workflow=? AND key>?)",
            ),
        ];
        for (sql, index) in table {
            let plan = plan(&mut connection, sql).await;
            assert!(
                plan.iter()
                    .any(|line| line.contains("SEARCH") && line.contains(index)),
                "{sql}: {plan:#?}"
            );
            let table_scan =
                |line: &String| line.starts_with("SCAN") && line.contains("squid_mesh");
            assert!(
                !plan
                    .iter()
                    .any(|line| table_scan(line) || line.contains("TEMP B-TREE")),
                "{sql}: {plan:#?}"
            );
        }
    }

    #[tokio::test]
    async fn what_is_owned_of_a_paused_queue_is_found_by_the_same_range() {
        let mut connection = migrated().await;
        let plan = plan(&mut connection, DUE_OWNED).await;
        assert!(
            plan.iter()
                .any(|line| line.contains("SEARCH head") && line.contains(BY_DUE)),
            "{plan:#?}"
        );
        assert!(
            !plan.iter().any(|line| line.contains("TEMP B-TREE")),
            "{plan:#?}"
        );
    }

    #[tokio::test]
    async fn of_a_paused_queue_512_are_looked_at_even_if_all_fell_due_at_once() {
        let mut connection = migrated().await;
        let fill = "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 600) \
            INSERT INTO squid_mesh_tasks (life, kind, step, attempt, fence_seq, fence_claims, owner, begun, expired, \
              hand_offs, format, renew_until, brief, queue, priority, handler, due_at, run_id, lane) \
            SELECT n, 0, 0, 1, 1, 0, iif(n IN (511, 512, 513), randomblob(16), NULL), 0, 0, 0, 1, NULL, x'01', 'q', 0, \
              'h', 1, unhex(format('%032x', n)), 0 FROM n ORDER BY n DESC";
        sqlx::raw_sql(fill).execute(&mut connection).await.unwrap();
        let owned = sqlx::query(DUE_OWNED).bind("q").bind(0).bind("h");
        let owned = owned.bind(1).bind(1).bind(10);
        let owned = owned.fetch_all(&mut connection).await.unwrap();
        let lives: Vec<i64> = owned.iter().map(|row| row.get("life")).collect();
        assert_eq!(lives, [511, 512]);
    }

    #[tokio::test]
    async fn pairs_are_found_by_seeks_alone() {
        let mut connection = migrated().await;
        let plan = plan(&mut connection, PAIRS).await;
        let of_tasks: Vec<_> = plan.iter().filter(|line| line.contains("task")).collect();
        assert_eq!(of_tasks.len(), 4, "{plan:#?}");
        for line in of_tasks {
            assert!(
                line.contains("SEARCH task USING COVERING INDEX squid_mesh_tasks_by_due"),
                "{plan:#?}"
            );
        }
    }

    #[tokio::test]
    async fn every_statement_is_understood() {
        let mut connection = migrated().await;
        let rest = [
            TASKS_OF,
            QUEUES,
            INSERT_QUEUE,
            INSERT_ENTRY,
            INSERT_DEFINITION,
            INSERT_RUN,
            INSERT_SCHEDULE,
            INSERT_JOURNAL,
            INSERT_TASK,
            PUT_WORKER,
            WORKERS,
            ALL_DEFINITIONS,
            LEDGER_EXISTS,
            LEDGER_FORMAT,
            LEDGER_CREATE,
            LEDGER_INSERT,
        ];
        for sql in rest {
            plan(&mut connection, sql).await;
        }
    }
}
