-- The tables of Squid Mesh in an SQLite database, beside whatever tables a host has there itself.
--
-- Ids are blobs of 16 bytes, most significant first. Instants are microseconds since 1970-01-01T00:00:00Z. A shard is
-- always 0 here: it is the column that the same tables have in stores of several shards.

-- Workflows, as immutable as their digest.
CREATE TABLE squid_mesh_definitions (
    name    TEXT    NOT NULL,
    version INTEGER NOT NULL,
    digest  BLOB    NOT NULL,
    body    TEXT    NOT NULL,
    PRIMARY KEY (name, version)
) STRICT, WITHOUT ROWID;

-- One row for each run: a snapshot of its journal.
CREATE TABLE squid_mesh_runs (
    shard    INTEGER NOT NULL DEFAULT 0 CHECK (shard = 0),
    run_id   BLOB    NOT NULL,
    life     INTEGER NOT NULL,
    workflow TEXT    NOT NULL,
    version  INTEGER NOT NULL,
    seq      INTEGER NOT NULL,
    status   INTEGER NOT NULL,
    state    BLOB    NOT NULL,
    parent   BLOB,
    source   BLOB,
    schedule BLOB,
    labels   TEXT    NOT NULL,
    created  INTEGER NOT NULL,
    updated  INTEGER NOT NULL,
    PRIMARY KEY (shard, run_id)
) STRICT, WITHOUT ROWID;

-- Listings, newest start first; no column that changes with a step is indexed.
CREATE INDEX squid_mesh_runs_by_start ON squid_mesh_runs (created, run_id);
CREATE INDEX squid_mesh_runs_by_workflow ON squid_mesh_runs (workflow, created, run_id);
CREATE INDEX squid_mesh_runs_by_parent ON squid_mesh_runs (shard, parent, created, run_id) WHERE parent IS NOT NULL;
CREATE INDEX squid_mesh_runs_by_source ON squid_mesh_runs (shard, source, created, run_id) WHERE source IS NOT NULL;
CREATE INDEX squid_mesh_runs_by_schedule ON squid_mesh_runs (shard, schedule, created, run_id) WHERE schedule IS NOT NULL;

-- What happened, append only. Kept in the order of writing, not of its key: the rows of one transaction share pages.
CREATE TABLE squid_mesh_journal (
    shard      INTEGER NOT NULL DEFAULT 0 CHECK (shard = 0),
    run_id     BLOB    NOT NULL,
    seq        INTEGER NOT NULL,
    at         INTEGER NOT NULL,
    transition BLOB    NOT NULL,
    payload    BLOB,
    PRIMARY KEY (shard, run_id, seq)
) STRICT;

-- The agenda: what somebody must do, and when.
CREATE TABLE squid_mesh_tasks (
    shard        INTEGER NOT NULL DEFAULT 0 CHECK (shard = 0),
    run_id       BLOB    NOT NULL,
    lane         INTEGER NOT NULL,
    life         INTEGER NOT NULL,
    kind         INTEGER NOT NULL,
    step         INTEGER NOT NULL,
    queue        TEXT    NOT NULL,
    priority     INTEGER NOT NULL,
    handler      TEXT    NOT NULL,
    due_at       INTEGER NOT NULL,
    attempt      INTEGER NOT NULL,
    fence_seq    INTEGER NOT NULL,
    fence_claims INTEGER NOT NULL,
    owner        BLOB,
    begun        INTEGER NOT NULL,
    expired      INTEGER NOT NULL,
    hand_offs    INTEGER NOT NULL,
    format       INTEGER NOT NULL,
    renew_until  INTEGER,
    brief        BLOB    NOT NULL,
    PRIMARY KEY (shard, run_id, lane)
) STRICT, WITHOUT ROWID;

-- Due scans. The primary key follows by itself, so a range is in (due_at, run_id, lane) order.
CREATE INDEX squid_mesh_tasks_by_due ON squid_mesh_tasks (shard, queue, priority, handler, due_at);

-- Processes, and what each claimed last.
CREATE TABLE squid_mesh_workers (
    incarnation BLOB    NOT NULL PRIMARY KEY,
    name        TEXT    NOT NULL,
    handlers    TEXT    NOT NULL,
    queues      TEXT    NOT NULL,
    started     INTEGER NOT NULL,
    seen        INTEGER NOT NULL,
    claim       INTEGER NOT NULL,
    claim_shard INTEGER NOT NULL,
    claimed     BLOB    NOT NULL
) STRICT, WITHOUT ROWID;

-- Queues that were paused at some time. A queue needs no row to be used.
CREATE TABLE squid_mesh_queues (
    name   TEXT    NOT NULL PRIMARY KEY,
    paused INTEGER NOT NULL,
    entry  BLOB    NOT NULL
) STRICT, WITHOUT ROWID;

-- What operators did to things that are no runs, append only, by command: one that is repeated is answered as its row says.
CREATE TABLE squid_mesh_operator_log (
    id      BLOB    NOT NULL PRIMARY KEY,
    actor   TEXT,
    action  TEXT    NOT NULL,
    target  TEXT    NOT NULL,
    comment TEXT,
    changed INTEGER NOT NULL,
    at      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Schedules: what was declared of each, and what became of it so far. Its next firing is a row of tasks under its own id.
CREATE TABLE squid_mesh_schedules (
    shard       INTEGER NOT NULL DEFAULT 0 CHECK (shard = 0),
    schedule_id BLOB    NOT NULL,
    life        INTEGER NOT NULL,
    seq         INTEGER NOT NULL,
    key         TEXT    NOT NULL,
    version     INTEGER NOT NULL,
    workflow    TEXT    NOT NULL,
    "trigger"   TEXT    NOT NULL,
    "plan"      TEXT    NOT NULL,
    input       BLOB    NOT NULL,
    standing    INTEGER NOT NULL,
    state       BLOB    NOT NULL,
    created     INTEGER NOT NULL,
    updated     INTEGER NOT NULL,
    PRIMARY KEY (shard, schedule_id)
) STRICT;

-- Listings, by what people call them; no column that changes with a firing is indexed.
CREATE INDEX squid_mesh_schedules_by_key ON squid_mesh_schedules (key);
CREATE INDEX squid_mesh_schedules_by_workflow ON squid_mesh_schedules (workflow, key);
