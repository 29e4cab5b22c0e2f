//! Every statement that the store executes.
//!
//! Invariant: a statement is a constant. Names of tables are unqualified: each connection's `search_path` places them.
//!
//! Batches come as one array a column. How they are taken apart matters:
//!
//! - `select unnest($1), unnest($2)` walks the arrays in lockstep. `from unnest($1, $2)` puts every column into a table of
//!   its own first, which takes four times as long for 256 rows of 21 columns;
//! - joins say `shard = any (array[new.shard])`. Of a table that was empty when it was last looked at, the
//!   planner believes that it still is, and would rather read it as a whole once than probe it for each key. Written so,
//!   there is no other way than to probe;
//! - a lateral subquery that locks is executed once for each key, in the order of the keys, whatever the planner thinks of
//!   the size of the table. The order of locks is the order of the array.
//!
//! Statements that lock also return the clock, in the outer select list: it is evaluated when the row's lock has been
//! taken, so the last row's is the time after the last lock (P1.2).

/// Columns of [`crate::rows::run`].
macro_rules! run_columns {
    () => {
        "life, workflow, version, seq, status, state, labels, created_at, updated_at, parent, source, schedule"
    };
}

/// Columns of [`crate::rows::task`].
macro_rules! task_columns {
    () => {
        "life, kind, step, queue, priority, handler, due_at, attempt, fence_seq, fence_claims, owner, begun, expired, \
         hand_offs, format, renew_until, brief"
    };
}

/// The columns by which a statement that locks tells which of the queues in its parameter are paused, and when it began: what
/// it sees of other tables is of that time, however long it has waited for a lock since. Index: `queues_pkey`.
macro_rules! paused {
    ($queues:literal) => {
        concat!(
            ", statement_timestamp() as began, \
             (select array_agg(queues.name) from (select unnest(", $queues, "::text[]) as name) asked \
             join queues on queues.name = any (array[asked.name]) where queues.paused) as paused"
        )
    };
}

/// Columns of [`crate::rows::entry`].
macro_rules! entry_columns {
    () => {
        "operator_log.id, actor, action, target, comment, changed, at"
    };
}

/// Runs by id, locked: with nulls where there is none, or where it is locked elsewhere, which is told by a look without a
/// lock. (`exists` would be planned as a hash of the whole shard.)
macro_rules! lock_runs {
    ($wait:literal) => {
        concat!(
            "select clock_timestamp(), wanted.id, \
             case when run.life is null then (select true from runs where shard = $1 and id = wanted.id) end, \
             run.*",
            paused!("$3"),
            " from (select unnest($2::uuid[]) as id) wanted left join lateral (select ",
            run_columns!(),
            " from runs where shard = $1 and id = wanted.id for no key update",
            $wait,
            ") run on true"
        )
    };
}

/// Tasks by key, locked; missing ones as with runs.
macro_rules! lock_tasks {
    ($wait:literal) => {
        concat!(
            "select clock_timestamp(), wanted.run_id, wanted.lane, case when task.life is null then \
             (select true from tasks where shard = $1 and run_id = wanted.run_id and lane = wanted.lane) end, task.*",
            paused!("$4"),
            " from (select unnest($2::uuid[]) as run_id, unnest($3::smallint[]) as lane) wanted left join lateral (select ",
            task_columns!(),
            " from tasks where shard = $1 and run_id = wanted.run_id and lane = wanted.lane for no key update",
            $wait,
            ") task on true"
        )
    };
}

/// Journal rows from the parameters after the given ones.
macro_rules! insert_journal {
    ($run:literal, $seq:literal, $at:literal, $transition:literal, $payload:literal) => {
        concat!(
            "insert into journal (shard, run_id, seq, at, transition, payload) select $1::smallint, unnest(", $run,
            "::uuid[]), unnest(", $seq, "::integer[]), unnest(", $at, "::bigint[]), unnest(", $transition,
            "::bytea[]), unnest(", $payload, "::bytea[])"
        )
    };
}

/// Task rows from the parameters 1 to 20.
macro_rules! insert_tasks {
    () => {
        concat!(
            "insert into tasks (shard, run_id, lane, ",
            task_columns!(),
            ") select $1::smallint, unnest($2::uuid[]), unnest($3::smallint[]), unnest($4::bigint[]), \
             unnest($5::smallint[]), unnest($6::smallint[]), unnest($7::text[]), unnest($8::smallint[]), unnest($9::text[]), \
             unnest($10::bigint[]), unnest($11::integer[]), unnest($12::integer[]), unnest($13::integer[]), \
             unnest($14::uuid[]), unnest($15::boolean[]), unnest($16::boolean[]), unnest($17::integer[]), \
             unnest($18::smallint[]), unnest($19::bigint[]), unnest($20::bytea[])"
        )
    };
}

/// Tasks from the parameters 1 to 20, guarded by the fences in 21 and 22. Where no indexed column differs, no index is
/// touched, whatever this statement mentions.
macro_rules! update_tasks {
    () => {
        update_tasks!("", "")
    };
    ($column:literal, $guard:literal) => {
        concat!("update tasks set life = new.life, kind = new.kind, step = new.step, queue = new.queue, priority = new.priority, \
         handler = new.handler, due_at = new.due_at, attempt = new.attempt, fence_seq = new.fence_seq, \
         fence_claims = new.fence_claims, owner = new.owner, begun = new.begun, expired = new.expired, \
         hand_offs = new.hand_offs, format = new.format, renew_until = new.renew_until, brief = new.brief \
         from (select $1::smallint as shard, unnest($2::uuid[]) as run_id, unnest($3::smallint[]) as lane, unnest($4::bigint[]) as life, \
         unnest($5::smallint[]) as kind, unnest($6::smallint[]) as step, unnest($7::text[]) as queue, \
         unnest($8::smallint[]) as priority, unnest($9::text[]) as handler, unnest($10::bigint[]) as due_at, \
         unnest($11::integer[]) as attempt, unnest($12::integer[]) as fence_seq, unnest($13::integer[]) as fence_claims, \
         unnest($14::uuid[]) as owner, unnest($15::boolean[]) as begun, unnest($16::boolean[]) as expired, \
         unnest($17::integer[]) as hand_offs, unnest($18::smallint[]) as format, unnest($19::bigint[]) as renew_until, \
         unnest($20::bytea[]) as brief, unnest($21::integer[]) as was_seq, unnest($22::integer[]) as was_claims", $column, ") new \
         where tasks.shard = any (array[new.shard]) and tasks.run_id = new.run_id and tasks.lane = new.lane \
         and tasks.fence_seq = new.was_seq and tasks.fence_claims = new.was_claims", $guard)
    };
}

/// The transaction, as `xmin` of the rows that it writes has it.
macro_rules! version {
    () => {
        "pg_current_xact_id()::text::bigint"
    };
}

/// The worker row from nine parameters.
macro_rules! put_worker {
    ($($parameter:literal),*) => {
        concat!(
            "insert into workers (incarnation, name, handlers, queues, started_at, seen_at, claim, claim_shard, claimed) \
             values (", put_worker!(@list $($parameter),*), ") on conflict (incarnation) do update set \
             name = excluded.name, handlers = excluded.handlers, queues = excluded.queues, \
             started_at = excluded.started_at, seen_at = excluded.seen_at, claim = excluded.claim, \
             claim_shard = excluded.claim_shard, claimed = excluded.claimed"
        )
    };
    (@list $first:literal $(, $rest:literal)*) => { concat!($first $(, ", ", $rest)*) };
}

mod listing;
mod schedules;
mod schema;

pub(crate) use listing::{LIST, LIST_OF_PARENT, LIST_OF_SCHEDULE, LIST_OF_SOURCE};
pub(crate) use schedules::{
    CHANGE_SCHEDULES, DELETE_SCHEDULES, INSERT_SCHEDULES, LIST_SCHEDULES,
    LIST_SCHEDULES_OF_WORKFLOW, LOCK_SCHEDULES, LOCK_SCHEDULES_WAITING, SCHEDULE, UPDATE_SCHEDULES,
};
pub(crate) use schema::{
    APPLIED, CREATE_SCHEMA, INSERT_APPLIED, INSERT_META, IS_MIGRATED, LOCK_SCHEMA, META,
};

// ---------------------------------------------------------------------------------------------------- transactions

/// The isolation that the protocol is made for, whatever the server's default is. Whether writes are allowed is left to
/// the server.
pub(crate) const BEGIN: &str = "begin isolation level read committed";
/// The clock and the pauses, where nothing was locked that could have told them.
pub(crate) const CLOCK: &str = concat!("select clock_timestamp()", paused!("$1"));
/// The same, and nobody waits for a lock for longer than so many milliseconds until the transaction ends.
pub(crate) const CLOCK_IN_HASTE: &str = concat!(
    "select clock_timestamp()",
    paused!("$1"),
    ", set_config('lock_timeout', $2, true)"
);

/// Where an operation in a transaction of the host begins.
pub(crate) const SAVEPOINT: &str = "savepoint squid_mesh";
/// Joins it to the transaction.
pub(crate) const RELEASE: &str = "release savepoint squid_mesh";
/// Undoes it, its settings, and the failure of any of its statements.
pub(crate) const UNDO: &str = "rollback to savepoint squid_mesh; release savepoint squid_mesh";

/// Puts a transaction's own mark on it, gone when it ends however that comes about, and bounds how long it may stand idle.
pub(crate) const MARK: &str = "select set_config('squid_mesh.transaction', $1, true), \
     set_config('idle_in_transaction_session_timeout', $2, true)";
/// What a transaction's mark and isolation are and its settings were, and others in their place, until it ends. The settings
/// that were come before the new ones are set: a materialized query is evaluated first, and what depends on it after it.
///
/// Parameters: names and values of the settings.
pub(crate) const ENTER: &str = "with was as materialized (select current_setting('squid_mesh.transaction', true) as mark, \
     current_setting('transaction_isolation') as isolation, \
     array(select current_setting(name) from (select unnest($1::text[]) as name) asked) as settings) \
     select was.*, array(select set_config(name, value, true) \
     from (select unnest($1::text[]) as name, unnest($2::text[]) as value) wanted where was.isolation is not null) from was";
/// Puts the settings back that [`ENTER`] found.
pub(crate) const LEAVE: &str = "select set_config(name, value, true) \
     from (select unnest($1::text[]) as name, unnest($2::text[]) as value) found";
/// Takes back whatever a handler may have left in its session.
pub(crate) const CLEAN: &str = "close all; set session authorization default; reset all; unlisten *; \
     select pg_advisory_unlock_all(); discard temp; discard sequences";

// ------------------------------------------------------------------------------------------------- reads under locks

/// Index: `workers_pkey`.
pub(crate) const LOCK_WORKER: &str = "select incarnation, name, handlers, queues, started_at, seen_at, claim, claim_shard, claimed \
     from workers where incarnation = $1 for no key update";

/// Index: `runs_pkey`.
pub(crate) const LOCK_RUNS: &str = lock_runs!(" skip locked");
/// Index: `runs_pkey`. Waits for up to `lock_timeout` for each.
pub(crate) const LOCK_RUNS_WAITING: &str = lock_runs!("");

/// Index: `tasks_pkey`.
pub(crate) const LOCK_TASKS: &str = lock_tasks!(" skip locked");
/// Index: `tasks_pkey`. Waits for up to `lock_timeout` for each.
pub(crate) const LOCK_TASKS_WAITING: &str = lock_tasks!("");

/// Index: `tasks_pkey`, the range of a run. Waits for up to `lock_timeout` for each.
pub(crate) const LOCK_TASKS_OF: &str = concat!(
    "select clock_timestamp(), wanted.run_id, task.*",
    paused!("$3"),
    " from (select unnest($2::uuid[]) as run_id) wanted left join lateral (select lane, ",
    task_columns!(),
    " from tasks where shard = $1 and run_id = wanted.run_id order by lane for no key update) task on true"
);

/// Index: `tasks_due`, in ranges of (shard, queue, priority, handler). The distinct pairs of priority and handler that a
/// queue has are found by one probe each, however many rows they have. In every range, the due rows come in the index's
/// order, and the least due time after now costs one more probe.
///
/// The bound is the time at which the statement began, since only a time that stands still can bound an index range: what
/// falls due meanwhile is found by the next scan.
///
/// Of a paused queue only rows that have an owner are locked and returned, if they are among the first 512 of their range, by
/// the whole key of the index: with a long backlog, looking at all of it would cost more each time than finding a lost lease
/// early is worth.
///
/// Parameters: shard; queue and limit of each queue; queue and handler of each handler of each queue; format; queues of which
/// to tell whether they are paused.
pub(crate) const SCAN: &str = concat!(
    "with recursive pair as ( \
     select wanted.queue, wanted.most, first.priority, first.handler \
     from (select unnest($2::text[]) as queue, unnest($3::integer[]) as most) wanted cross join lateral \
     (select priority, handler from tasks where shard = $1 and queue = wanted.queue and format > 0 \
     order by priority, handler limit 1) first \
     union all \
     select pair.queue, pair.most, further.priority, further.handler \
     from pair cross join lateral \
     (select priority, handler from tasks where shard = $1 and queue = pair.queue and format > 0 \
     and (priority, handler) > (pair.priority, pair.handler) order by priority, handler limit 1) further), \
     held as materialized (select queues.name from (select unnest($7::text[]) as name) asked \
     join queues on queues.name = any (array[asked.name]) where queues.paused), \
     served as materialized (select pair.*, pair.queue in (select name from held) as paused from pair \
     where (pair.queue, pair.handler) in (select unnest($4::text[]), unnest($5::text[]))), \
     bound as materialized (select served.*, coalesce(last.due_at, 9223372036854775807) as until, \
     coalesce(last.run_id, 'ffffffff-ffff-ffff-ffff-ffffffffffff') as until_run, coalesce(last.lane, 32767) as until_lane \
     from served left join lateral (select due_at, run_id, lane from tasks where served.paused and shard = $1 \
     and queue = served.queue and priority = served.priority and handler = served.handler and format > 0 \
     order by due_at, run_id, lane offset 511 limit 1) last on true), \
     started as materialized (select (extract(epoch from statement_timestamp()) * 1000000)::bigint as now) \
     select clock_timestamp(), next.due_at, task.*, statement_timestamp() as began, \
     (select array_agg(name) from held) as paused \
     from (select min(first.due_at) as due_at from served cross join lateral \
     (select due_at from tasks where shard = $1 and queue = served.queue and priority = served.priority \
     and handler = served.handler and due_at > (select now from started) and format > 0 and format <= $6 \
     order by due_at limit 1) first where not served.paused) next \
     left join ( \
     select due.* from bound cross join lateral (select run_id, lane, ",
    task_columns!(),
    " from tasks where shard = $1 and queue = bound.queue and priority = bound.priority \
     and handler = bound.handler and due_at <= (select now from started) and format > 0 and format <= $6 \
     and (due_at, run_id, lane) <= (bound.until, bound.until_run, bound.until_lane) \
     and (owner is not null or not bound.paused) \
     order by due_at, run_id, lane limit bound.most for no key update skip locked) due) task on true"
);

/// Index: `definitions_pkey`.
pub(crate) const DEFINITIONS: &str = "select name, version, digest, body \
     from (select unnest($1::text[]) as wanted_name, unnest($2::bigint[]) as wanted_version) wanted \
     join definitions on name = any (array[wanted_name]) and version = wanted_version";

/// Index: `queues_pkey`.
pub(crate) const LOCK_QUEUE: &str =
    "select name, paused, entry from queues where name = $1 for no key update";

/// Index: `operator_log_pkey`.
pub(crate) const ENTRY: &str = concat!(
    "select ",
    entry_columns!(),
    " from operator_log where id = $1"
);

/// Index: `definitions_pkey`, the end of the range of each name.
pub(crate) const NEWEST: &str = "select newest.* from (select unnest($1::text[]) as name) wanted cross join lateral \
     (select name, version, digest, body from definitions where name = wanted.name order by version desc limit 1) newest";

// ------------------------------------------------------------------------------------------------------------ writes

/// Index: `definitions_pkey`.
pub(crate) const INSERT_DEFINITIONS: &str = "insert into definitions (name, version, digest, body) \
     select unnest($1::text[]), unnest($2::bigint[]), unnest($3::bytea[]), unnest($4::text[])";

/// Index: `workers_pkey`.
pub(crate) const PUT_WORKER: &str =
    put_worker!("$1", "$2", "$3", "$4", "$5", "$6", "$7", "$8", "$9");

/// Index: `queues_pkey`.
pub(crate) const INSERT_QUEUE: &str =
    "insert into queues (name, paused, entry) values ($1, $2, $3)";
/// Index: `queues_pkey`.
pub(crate) const UPDATE_QUEUE: &str = "update queues set paused = $2, entry = $3 where name = $1";
/// Index: `operator_log_pkey`.
pub(crate) const INSERT_ENTRY: &str = "insert into operator_log (id, actor, action, target, comment, changed, at) \
     values ($1, $2, $3, $4, $5, $6, $7)";

/// Runs that start, with their journal rows and tasks: the version that these are. Index: every one of these tables.
pub(crate) const START_RUNS: &str = concat!(
    "with task as (",
    insert_tasks!(),
    "), journalled as (",
    insert_journal!("$21", "$22", "$23", "$24", "$25"),
    "), started as (insert into runs (shard, id, life, workflow, version, seq, status, state, labels, created_at, updated_at, \
     parent, source, schedule) select $1::smallint, unnest($26::uuid[]), unnest($27::bigint[]), unnest($28::text[]), unnest($29::bigint[]), \
     unnest($30::integer[]), unnest($31::smallint[]), unnest($32::bytea[]), unnest($33::jsonb[]), \
     unnest($34::bigint[]), unnest($35::bigint[]), unnest($36::uuid[]), unnest($37::uuid[]), \
     unnest($38::uuid[])) select ",
    version!()
);

/// Runs that move on, with their journal rows and the tasks they had: how many rows of each the guards let through, the runs
/// first, and the version that they are. Index: `runs_pkey`, `tasks_pkey`.
///
/// A version is the transaction that wrote a row, `xmin`. It is asked for where a row was not read but remembered, and null
/// where it was locked. (As an integer it is the same 32 bits.)
pub(crate) const ADVANCE_RUNS: &str = concat!(
    "with updated as (",
    update_tasks!(
        ", unnest($38::integer[]) as was_version",
        " and (new.was_version is null or tasks.xmin = new.was_version)"
    ),
    " returning 1), deleted as (delete from tasks using (select $1::smallint as shard, unnest($23::uuid[]) as run_id, \
     unnest($24::smallint[]) as lane, unnest($25::integer[]) as was_seq, unnest($26::integer[]) as was_claims, unnest($39::integer[]) as was_version) gone \
     where tasks.shard = any (array[gone.shard]) and tasks.run_id = gone.run_id and tasks.lane = gone.lane \
     and tasks.fence_seq = gone.was_seq and tasks.fence_claims = gone.was_claims \
     and (gone.was_version is null or tasks.xmin = gone.was_version) returning 1), journalled as (",
    insert_journal!("$27", "$28", "$29", "$30", "$31"),
    "), moved as (update runs set seq = new.seq, status = new.status, state = new.state, updated_at = new.updated_at \
     from (select $1::smallint as shard, unnest($32::uuid[]) as id, unnest($33::integer[]) as was, unnest($34::integer[]) as seq, \
     unnest($35::smallint[]) as status, unnest($36::bytea[]) as state, unnest($37::bigint[]) as updated_at, unnest($40::integer[]) as was_version) new \
     where runs.shard = any (array[new.shard]) and runs.id = new.id and runs.seq = new.was \
     and (new.was_version is null or runs.xmin = new.was_version) returning 1) \
     select (select count(*) from moved), (select count(*) from updated), (select count(*) from deleted), ",
    version!()
);

/// Index: `tasks_pkey`, `tasks_due`.
pub(crate) const INSERT_TASKS: &str = insert_tasks!();

/// Index: `tasks_pkey`.
pub(crate) const UPDATE_TASKS: &str = update_tasks!();

/// Index: `tasks_pkey`.
pub(crate) const DELETE_TASKS: &str = "delete from tasks using (select $1::smallint as shard, unnest($2::uuid[]) as run_id, \
     unnest($3::smallint[]) as lane, unnest($4::integer[]) as was_seq, unnest($5::integer[]) as was_claims) gone \
     where tasks.shard = any (array[gone.shard]) and tasks.run_id = gone.run_id and tasks.lane = gone.lane \
     and tasks.fence_seq = gone.was_seq and tasks.fence_claims = gone.was_claims";

/// What a claim took, and its worker row: how many tasks the guards let through, and the version that they are.
/// Index: `tasks_pkey`, `workers_pkey`.
pub(crate) const TAKE_TASKS: &str = concat!(
    "with updated as (",
    update_tasks!(),
    " returning 1), seen as (",
    put_worker!(
        "$23", "$24", "$25", "$26", "$27", "$28", "$29", "$30", "$31"
    ),
    ") select (select count(*) from updated), ",
    version!()
);

// ---------------------------------------------------------------------------------------------- outside of operations

/// Index: `journal_pkey`.
pub(crate) const PAYLOADS: &str = "select journal.run_id, journal.seq, journal.payload \
     from (select unnest($1::smallint[]) as shard, unnest($2::uuid[]) as run_id, unnest($3::integer[]) as seq) wanted \
     join journal on journal.shard = any (array[wanted.shard]) and journal.run_id = wanted.run_id and journal.seq = wanted.seq";

/// One notification for each queue.
pub(crate) const NOTIFY: &str = "select pg_notify($1, queue) from unnest($2::text[]) as queue";

/// A run and its tasks as they are at one time: first the run, then a row for each task, and whether its queue is paused.
/// Index: `runs_pkey`, `tasks_pkey`, the range of a run, `queues_pkey`.
pub(crate) const RUN: &str = concat!(
    "select clock_timestamp(), ",
    run_columns!(),
    ", null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null \
     from runs where shard = $1 and id = $2 \
     union all select null, null, null, null, null, null, null, null, null, null, null, null, null, task.* from (select lane, \
     (select paused from queues where queues.name = tasks.queue), ",
    task_columns!(),
    " from tasks where shard = $1 and run_id = $2 order by lane) task"
);

/// Index: `journal_pkey`, the range of a run, twice: the lengths of payloads first, which need not be read for that.
pub(crate) const JOURNAL: &str = "select seq, at, transition, payload from journal \
     where shard = $1 and run_id = $2 and seq > $3 and seq <= (select max(seq) from (\
     select seq, sum(coalesce(octet_length(payload), 0)) over (order by seq rows unbounded preceding) \
     - coalesce(octet_length(payload), 0) as before from journal \
     where shard = $1 and run_id = $2 and seq > $3 and seq <= $4 order by seq limit $5) page where before < $6) order by seq";

/// A small table.
pub(crate) const WORKERS: &str = "select incarnation, name, handlers, queues, started_at, seen_at, claim, claim_shard, claimed \
     from workers order by started_at, incarnation";

/// A small table. Index: `operator_log_pkey`.
pub(crate) const QUEUES: &str = concat!(
    "select queues.name, queues.paused, ",
    entry_columns!(),
    " from queues join operator_log on operator_log.id = any (array[queues.entry]) order by queues.name"
);

/// Index: `definitions_pkey`.
pub(crate) const ALL_DEFINITIONS: &str =
    "select name, version, digest, body from definitions order by name, version";

/// Every statement that is prepared before it is executed.
#[cfg(test)]
pub(crate) const PREPARED: [&str; 52] = [
    CLOCK,
    MARK,
    ENTER,
    LEAVE,
    LOCK_WORKER,
    LOCK_SCHEDULES,
    LOCK_SCHEDULES_WAITING,
    LOCK_RUNS,
    LOCK_RUNS_WAITING,
    LOCK_TASKS,
    LOCK_TASKS_WAITING,
    LOCK_TASKS_OF,
    SCAN,
    LOCK_QUEUE,
    ENTRY,
    INSERT_QUEUE,
    UPDATE_QUEUE,
    INSERT_ENTRY,
    QUEUES,
    DEFINITIONS,
    NEWEST,
    INSERT_DEFINITIONS,
    PUT_WORKER,
    START_RUNS,
    ADVANCE_RUNS,
    INSERT_TASKS,
    UPDATE_TASKS,
    DELETE_TASKS,
    TAKE_TASKS,
    INSERT_SCHEDULES,
    UPDATE_SCHEDULES,
    CHANGE_SCHEDULES,
    DELETE_SCHEDULES,
    PAYLOADS,
    NOTIFY,
    RUN,
    JOURNAL,
    LIST,
    LIST_OF_PARENT,
    LIST_OF_SOURCE,
    LIST_OF_SCHEDULE,
    SCHEDULE,
    LIST_SCHEDULES,
    LIST_SCHEDULES_OF_WORKFLOW,
    WORKERS,
    ALL_DEFINITIONS,
    IS_MIGRATED,
    META,
    APPLIED,
    LOCK_SCHEMA,
    INSERT_META,
    INSERT_APPLIED,
];
