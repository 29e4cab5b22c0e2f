//! Every bound of the engine in one place.
//!
//! Invariant: whatever a caller can make grow has a constant here, and a test at the limit and one above it.

use std::time::Duration;

/// Longest name of a workflow, step, handler or queue, in bytes (names are ASCII).
pub const NAME_BYTES: usize = 64;
/// Longest cron expression, in bytes.
pub const EXPRESSION_BYTES: usize = 256;
/// Largest payload accepted by default, in bytes.
pub const PAYLOAD_BYTES_DEFAULT: usize = 1 << 20;
/// Largest payload limit a host may configure, in bytes.
pub const PAYLOAD_BYTES_MAX: usize = 64 << 20;
/// Most steps in one definition.
pub const STEPS: usize = 1_000;
/// Deepest nesting of arrays and objects in JSON that the engine looks into.
pub const JSON_DEPTH: usize = 127;
/// Most triggers of one definition beside the default one.
pub const TRIGGERS: usize = 64;
/// Most guards on one step.
pub const GUARDS: usize = 64;
/// Most labels that one step can return, and most conditions of one route.
pub const STEP_LABELS: usize = 256;
/// Most segments of a path into a value.
pub const PATH_SEGMENTS: usize = 32;
/// Most elements of the array that an `each` takes, and most children it may have active at once.
pub const EACH_ELEMENTS: usize = 10_000;
/// Children that an `each` has active at once by default.
pub const EACH_PARALLEL_DEFAULT: u32 = 100;
/// Most labels on one run.
pub const LABELS: usize = 32;
/// Longest label key or value, in bytes.
pub const LABEL_BYTES: usize = 128;
/// Longest failure message kept, in bytes; a longer one is cut at a character and marked.
pub const FAILURE_MESSAGE_BYTES: usize = 8 << 10;
/// Longest failure code kept, in bytes.
pub const FAILURE_CODE_BYTES: usize = 64;
/// Longest idempotency key of a start, in bytes.
pub const KEY_BYTES: usize = 256;
/// Longest actor, reason, comment, metadata, trace context or description, in bytes.
pub const COMMENT_BYTES: usize = 8 << 10;
/// Longest wait a definition may ask for: ten years of 365.25 days.
pub const WAIT_MAX: Duration = Duration::from_secs(315_576_000);
/// Longest timeout, deadline or delay: ten years of 365.25 days.
pub const SPAN_MAX: Duration = WAIT_MAX;
/// Most reports, lease entries or groups in one operation.
pub const BATCH: usize = 256;
/// Most starts in one atomic group.
pub const GROUP_STARTS: usize = 1_000;
/// Most bytes of input in one atomic group.
pub const GROUP_BYTES: usize = 64 << 20;
/// Most shards of one schema.
pub const SHARDS: u16 = 1_024;
/// Most rows one due scan returns per queue and operation.
pub const SCAN: usize = 512;
/// Conflicts that one step survives in its host transaction.
pub const CONFLICTS: u32 = 10;
/// Most signals that a run keeps before a step waits for them.
pub const SIGNALS_KEPT: usize = 64;
/// Most signals and decisions that one run takes.
pub const COMMANDS: usize = 10_000;
/// Most runs above a child.
pub const DEPTH: u16 = 32;
/// Most children that the handler of one step starts.
pub const CHILDREN_CALLED: u32 = 1_000;
/// Most children that one operation starts or cancels for one step.
pub const CHILDREN_AT_ONCE: u32 = 128;
/// Most journal rows that a worker reads at once to put the results of children together.
pub const COLLECT_PAGE: u32 = 1_000;
/// Bytes of payloads after which such rows are enough for once; a single row may have more.
pub const COLLECT_BYTES: u64 = 8 << 20;
/// Most children of one step that an explanation or a graph names.
pub const CHILDREN_NAMED: usize = 16;
/// Most forks that are offered: the first steps, in declaration order, from which one would be accepted.
pub const FORKS_OFFERED: usize = 16;
/// Longest name of a schedule that is created at run time, in bytes.
pub const SCHEDULE_NAME_BYTES: usize = 128;
/// Longest identity that a host's own scheduler gives a firing, in bytes.
pub const FIRING_SIGNAL_BYTES: usize = 256;
/// Most missed occurrences that a schedule catches up with.
pub const CATCH_UP: u32 = 1_000;
/// Longest jitter of a schedule.
pub const JITTER_MAX: Duration = Duration::from_secs(86_400);
/// An occurrence that is this much late, or less, is on time, if its schedule does not say otherwise.
pub const FIRING_GRACE_DEFAULT: Duration = Duration::from_secs(60);
/// Most occurrences that are previewed at once.
pub const PREVIEW: u32 = 1_000;
/// How long a schedule that cannot start a run waits before it tries again.
pub const FIRING_RETRY: Duration = Duration::from_secs(10);
/// Attempts and losses are counted up to here at most.
pub const ATTEMPTS: u32 = 1_000_000;
/// Most consecutive hand-offs within one run before its next step takes its turn in the queue.
pub const HAND_OFFS: u32 = 64;

/// How long a claim holds a task before somebody else may act on it.
pub const LEASE_DEFAULT: Duration = Duration::from_secs(30);
/// Shortest lease a worker may ask for.
pub const LEASE_MIN: Duration = Duration::from_millis(100);
/// Longest lease a worker may ask for.
pub const LEASE_MAX: Duration = Duration::from_secs(3_600);
/// How long an idle worker waits at most before it looks again.
pub const POLL_DEFAULT: Duration = Duration::from_secs(1);
/// How long a graceful shutdown lets running handlers finish.
pub const GRACE_DEFAULT: Duration = Duration::from_secs(30);
/// Concurrent attempts of one worker per queue by default.
pub const SLOTS_DEFAULT: u32 = 64;
/// Slots every worker keeps for engine items (timers, losses, deadlines).
pub const ENGINE_SLOTS: u32 = 64;
/// Lost attempts a step survives by default.
pub const MAX_LOST_DEFAULT: u32 = 3;
/// Added to a step's timeout before the store stops renewing its lease.
pub const RENEW_MARGIN: Duration = Duration::from_secs(5);
/// Bytes of payloads a worker keeps to spare itself a read.
pub const PAYLOAD_CACHE_BYTES: usize = 32 << 20;
/// Definitions a worker keeps to spare itself a read.
pub const DEFINITIONS_CACHED: usize = 256;
/// Bytes of payloads after which a batch is full; a single report or group may have more.
pub const BATCH_BYTES: usize = 8 << 20;
/// Most operations with groups that one worker has in flight per shard, apart from one that waits for a locked run. One: what
/// comes meanwhile leaves together, in a transaction that costs little more than one for each of two halves.
pub const SUBMITS_IN_FLIGHT: usize = 1;
/// Most groups that wait in a worker to be submitted.
pub const SUBMITS_WAITING: usize = 16_384;
/// Most bytes of payloads in groups that wait in a worker to be submitted.
pub const SUBMIT_BYTES_WAITING: usize = 64 << 20;
/// Most tasks a worker remembers to have held while older operations are in flight.
pub const TASKS_REMEMBERED: usize = 16_384;
/// How long a worker waits before it asks a store again that did not answer; doubled each time.
pub const BACKOFF_MIN: Duration = Duration::from_millis(20);
/// How long a worker waits at most before it asks a store again.
pub const BACKOFF_MAX: Duration = Duration::from_secs(5);
/// How long a worker waits before it asks again after a conflict, or for what is locked elsewhere; doubled each time.
pub const CONFLICT_BACKOFF_MIN: Duration = Duration::from_millis(1);
/// How long a worker waits at most before it asks again after a conflict, or for what is locked elsewhere.
pub const CONFLICT_BACKOFF_MAX: Duration = Duration::from_millis(100);
/// How long a worker waits before it asks a store again that refuses; doubled each time.
pub const REFUSED_BACKOFF_MIN: Duration = Duration::from_secs(1);
/// How long after its grace a drain waits at most for operations in flight.
pub const DRAIN_END: Duration = Duration::from_secs(2);
