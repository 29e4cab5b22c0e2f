-- The schema of the first slice: definitions, runs with their journals, the agenda, workers.
--
-- Names are unqualified: the connection's search_path says which schema they are made in.
--
-- Conventions
--   Instants are microseconds since 1970-01-01T00:00:00Z, the unit and range of the engine itself.
--   Unsigned numbers are stored bit for bit in a signed column of their width.
--   Names are compared as bytes, as the engine orders them.
--   Columns are in an order that loses no space to alignment.
--   Indexes other than primary keys have a condition that every row they are for meets and that lookups by key do not
--   imply. A plan is made once, maybe while the table is empty, when any index that has some of the columns looks as good
--   as the right one; such an index would then be read as a whole for each key.

create table meta (
    singleton boolean primary key default true check (singleton),
    format integer not null,
    shards smallint not null check (shards between 1 and 1024)
);

comment on table meta is 'One row. format: engines that know only older ones must not write here. shards: fixed for ever.';

create table migrations (
    number integer primary key,
    name text not null,
    applied_at timestamptz not null default clock_timestamp()
);

create table definitions (
    name text collate "C" not null,
    version bigint not null,
    digest bytea not null,
    body text not null,
    primary key (name, version)
);

-- Status, seq, updated_at and state change with each step, and none of them is indexed. With half of a page left for the next
-- versions of its rows, an update touches no index. Of an update within a page, the log leaves out what the row has in common
-- with the one before it at its beginning and at its end: what stays the same is in front, and at the end of state.
create table runs (
    life bigint not null,
    version bigint not null,
    created_at bigint not null,
    id uuid not null,
    parent uuid,
    source uuid,
    schedule uuid,
    shard smallint not null,
    workflow text collate "C" not null,
    labels jsonb,
    updated_at bigint not null,
    seq integer not null,
    status smallint not null,
    state bytea not null,
    primary key (shard, id)
) with (fillfactor = 50);

create index runs_by_start on runs (created_at, id) where version >= 0;
create index runs_by_parent on runs (shard, parent, created_at, id) where parent is not null;
create index runs_by_source on runs (shard, source, created_at, id) where source is not null;
create index runs_by_schedule on runs (shard, schedule, created_at, id) where schedule is not null;

comment on column runs.parent is 'The run whose step started it, of the same shard.';
comment on column runs.source is 'The run it is a copy of, of the same shard.';
comment on column runs.schedule is 'The schedule that started it, of the same shard.';
comment on column runs.labels is 'Null where there are none.';

create table journal (
    at bigint not null,
    seq integer not null,
    shard smallint not null,
    run_id uuid not null,
    transition bytea not null,
    payload bytea,
    primary key (shard, run_id, seq)
);

-- Payloads are written once and read rarely: compressing them would cost more than the space.
alter table journal alter column payload set storage external;

-- The agenda: a small table in which every row changes many times. Half of each page is left for the next versions, and
-- what they leave behind is cleaned up at once. What a chain keeps from step to step is in front, as in runs.
create table tasks (
    life bigint not null,
    due_at bigint not null,
    renew_until bigint,
    run_id uuid not null,
    owner uuid,
    shard smallint not null,
    lane smallint not null,
    priority smallint not null,
    format smallint not null,
    kind smallint not null,
    begun boolean not null,
    expired boolean not null,
    queue text collate "C" not null,
    handler text collate "C" not null,
    attempt integer not null,
    fence_claims integer not null,
    fence_seq integer not null,
    hand_offs integer not null,
    step smallint not null,
    brief bytea not null,
    primary key (shard, run_id, lane)
) with (
    fillfactor = 50,
    autovacuum_vacuum_threshold = 1000,
    autovacuum_vacuum_scale_factor = 0.05,
    autovacuum_vacuum_cost_delay = 0
);

create index tasks_due on tasks (shard, queue, priority, handler, due_at, run_id, lane) where format > 0;

create table workers (
    started_at bigint not null,
    seen_at bigint not null,
    claim bigint not null,
    claim_shard smallint not null,
    incarnation uuid primary key,
    name text not null,
    handlers text[] collate "C" not null,
    queues text[] collate "C" not null,
    claimed bytea not null
) with (
    fillfactor = 50,
    autovacuum_vacuum_threshold = 1000,
    autovacuum_vacuum_scale_factor = 0.05,
    autovacuum_vacuum_cost_delay = 0
);

comment on column workers.claimed is 'What the last claim took, 26 bytes each: run, lane, fence.';

-- Queues that were paused at some time. A queue needs no row to be used.
create table queues (
    paused boolean not null,
    entry uuid not null,
    name text collate "C" primary key
);

comment on column queues.entry is 'The row of operator_log that made it so.';

-- What operators did to things that are no runs, append only.
create table operator_log (
    at bigint not null,
    id uuid primary key,
    changed boolean not null,
    action text not null,
    target text collate "C" not null,
    actor text,
    comment text
);

comment on column operator_log.id is 'The command: one that is repeated is answered as its row says.';

-- Schedules: what was declared of each, and what became of it so far. The next firing of one is a row of tasks under its own
-- id. A firing changes what is behind input, and none of that is indexed; as in runs, what stays the same is in front.
create table schedules (
    life bigint not null,
    version bigint not null,
    created_at bigint not null,
    id uuid not null,
    shard smallint not null,
    workflow text collate "C" not null,
    key text collate "C" not null,
    "trigger" text collate "C" not null,
    plan text not null,
    input bytea not null,
    updated_at bigint not null,
    seq integer not null,
    standing smallint not null,
    state bytea not null,
    primary key (shard, id)
) with (
    fillfactor = 50,
    autovacuum_vacuum_threshold = 1000,
    autovacuum_vacuum_scale_factor = 0.05,
    autovacuum_vacuum_cost_delay = 0
);

-- As payloads in the journal.
alter table schedules alter column input set storage external;

create index schedules_by_key on schedules (key) where version >= 0;
-- A condition that does not imply the one above, so that the index above is not taken for this one.
create index schedules_by_workflow on schedules (workflow, key) where version > -1;

comment on column schedules.key is 'What people call it; id is a hash of it.';
comment on column schedules.version is 'Of the definition that declared it; 0 of one that was created at run time.';
