//! Statements that list runs, newest start first.
//!
//! Invariant: what bounds a page is a range of an index; everything else filters it.

/// A page of the runs in a range of an index; everything that does not bound the range is a filter.
///
/// Parameters: the cursor; from; until; workflow; statuses; labels; parent; source; schedule; limit.
macro_rules! list {
    ($range:literal) => {
        concat!(
            "select id, ",
            run_columns!(),
            " from runs where ",
            $range,
            " and (created_at, id) < ($1, $2) and created_at >= $3 and created_at < $4 \
             and ($5::text is null or workflow = $5) and ($6::smallint[] is null or status = any($6)) \
             and ($7::jsonb is null or labels @> $7) and ($8::uuid is null or parent = $8) \
             and ($9::uuid is null or source = $9) and ($10::uuid is null or schedule = $10) \
             order by created_at desc, id desc limit $11"
        )
    };
}

/// Index: `runs_by_start`, backwards from the cursor or from the end of the time span.
pub(crate) const LIST: &str = list!("version >= 0");
/// Index: `runs_by_parent`, likewise. One more parameter: the shard.
pub(crate) const LIST_OF_PARENT: &str = list!("shard = $12 and parent = $8");
/// Index: `runs_by_source`, likewise. One more parameter: the shard.
pub(crate) const LIST_OF_SOURCE: &str = list!("shard = $12 and source = $9");
/// Index: `runs_by_schedule`, likewise. One more parameter: the shard.
pub(crate) const LIST_OF_SCHEDULE: &str = list!("shard = $12 and schedule = $10");
