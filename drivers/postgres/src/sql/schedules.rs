//! The statements about schedules. What a firing writes is apart from what is declared: it touches no index.

/// Columns of [`crate::rows::schedule`].
macro_rules! schedule_columns {
    () => {
        "life, seq, key, version, workflow, \"trigger\", plan, input, standing, state, created_at, updated_at"
    };
}

/// Schedules by id, locked; missing ones as with runs.
macro_rules! lock_schedules {
    ($wait:literal) => {
        concat!(
            "select clock_timestamp(), wanted.id, case when schedule.life is null then \
             (select true from schedules where shard = $1 and id = wanted.id) end, schedule.*",
            paused!("$3"),
            " from (select unnest($2::uuid[]) as id) wanted left join lateral (select ",
            schedule_columns!(),
            " from schedules where shard = $1 and id = wanted.id for no key update",
            $wait,
            ") schedule on true"
        )
    };
}

/// Index: `schedules_pkey`.
pub(crate) const LOCK_SCHEDULES: &str = lock_schedules!(" skip locked");
/// Index: `schedules_pkey`. Waits for up to `lock_timeout` for each.
pub(crate) const LOCK_SCHEDULES_WAITING: &str = lock_schedules!("");

/// Index: every one of the table.
pub(crate) const INSERT_SCHEDULES: &str = concat!(
    "insert into schedules (shard, id, ",
    schedule_columns!(),
    ") select $1::smallint, unnest($2::uuid[]), unnest($3::bigint[]), unnest($4::integer[]), unnest($5::text[]), \
     unnest($6::bigint[]), unnest($7::text[]), unnest($8::text[]), unnest($9::text[]), unnest($10::bytea[]), \
     unnest($11::smallint[]), unnest($12::bytea[]), unnest($13::bigint[]), unnest($14::bigint[])"
);

/// What became of schedules. Index: `schedules_pkey`.
pub(crate) const UPDATE_SCHEDULES: &str = "update schedules set seq = new.seq, standing = new.standing, state = new.state, \
     updated_at = new.updated_at from (select $1::smallint as shard, unnest($2::uuid[]) as id, unnest($3::integer[]) as was, \
     unnest($4::integer[]) as seq, unnest($5::smallint[]) as standing, unnest($6::bytea[]) as state, \
     unnest($7::bigint[]) as updated_at) new \
     where schedules.shard = any (array[new.shard]) and schedules.id = new.id and schedules.seq = new.was";

/// The same, and what was declared of them. Index: `schedules_pkey`.
pub(crate) const CHANGE_SCHEDULES: &str = "update schedules set seq = new.seq, standing = new.standing, state = new.state, \
     updated_at = new.updated_at, version = new.version, workflow = new.workflow, \"trigger\" = new.\"trigger\", \
     plan = new.plan, input = new.input from (select $1::smallint as shard, unnest($2::uuid[]) as id, \
     unnest($3::integer[]) as was, unnest($4::integer[]) as seq, unnest($5::smallint[]) as standing, \
     unnest($6::bytea[]) as state, unnest($7::bigint[]) as updated_at, unnest($8::bigint[]) as version, \
     unnest($9::text[]) as workflow, unnest($10::text[]) as \"trigger\", unnest($11::text[]) as plan, \
     unnest($12::bytea[]) as input) new \
     where schedules.shard = any (array[new.shard]) and schedules.id = new.id and schedules.seq = new.was";

/// Index: `schedules_pkey`.
pub(crate) const DELETE_SCHEDULES: &str = "delete from schedules using (select $1::smallint as shard, unnest($2::uuid[]) as id, \
     unnest($3::integer[]) as was) gone \
     where schedules.shard = any (array[gone.shard]) and schedules.id = gone.id and schedules.seq = gone.was";

/// A schedule and its task as they are at one time. Index: `schedules_pkey`, `tasks_pkey`.
pub(crate) const SCHEDULE: &str = concat!(
    "select clock_timestamp(), schedule.*, task.* from (select ",
    schedule_columns!(),
    " from schedules where shard = $1 and id = $2) schedule left join lateral (select ",
    task_columns!(),
    " from tasks where shard = $1 and run_id = $2 and lane = 0) task on true"
);

/// A page of the schedules in a range of an index, of some standings if any are given.
///
/// Parameters: the cursor; standings; limit.
macro_rules! list_schedules {
    ($range:literal) => {
        concat!(
            "select id, ",
            schedule_columns!(),
            " from schedules where ",
            $range,
            " and key > $1 and ($2::smallint[] is null or standing = any($2)) order by key limit $3"
        )
    };
}

/// Index: `schedules_by_key`.
pub(crate) const LIST_SCHEDULES: &str = list_schedules!("version >= 0");
/// Index: `schedules_by_workflow`. One more parameter: the workflow.
pub(crate) const LIST_SCHEDULES_OF_WORKFLOW: &str =
    list_schedules!("version > -1 and workflow = $4");
