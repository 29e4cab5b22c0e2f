//! Schedules that are due within seconds, once.
//!
//! Invariant: which occurrences a schedule has follows from when the store says that it was created.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use squid_mesh_core::id::{RunId, Shard};
use squid_mesh_core::operation::ScheduleAction;
use squid_mesh_core::schedule::{Overlap, PlanDraft, ScheduleId, ScheduleKey};
use squid_mesh_core::store::{Inspect, RunFilter, Store};
use squid_mesh_core::time::Timestamp;

use crate::conformance::deed::seconds;
use crate::conformance::failure::{Failure, holds, unanswered};
use crate::conformance::observe::EVERYTHING;
use crate::conformance::schedules::{command, declaration, external, obeyed, plan};
use crate::conformance::workflows::HOUR;

/// Whole seconds at which a schedule is due.
const TIMES: u8 = 2;
/// How long a few seconds may seem to last.
const PATIENCE: Duration = Duration::from_secs(60);

/// A schedule, and the occurrences that it has within seconds of its creation.
pub(super) struct Due {
    pub(super) key: ScheduleKey,
    pub(super) id: ScheduleId,
    pub(super) shard: Shard,
    /// In order. None if it was created too late.
    pub(super) occurrences: Vec<Timestamp>,
    end: Timestamp,
}

impl Due {
    /// Creates it, at about that time of the store's clock.
    pub(super) async fn create(
        store: &impl Store,
        number: u32,
        now: Timestamp,
        overlap: Overlap,
    ) -> Result<Due, Failure> {
        let end = seconds(now, TIMES);
        let draft = PlanDraft {
            end: Some(end),
            overlap: Some(overlap),
            // However slow the store is, nothing is missed.
            grace: Some(HOUR.into()),
            ..PlanDraft::cron("* * * * * *", "UTC")
        };
        let plan = plan(draft);
        let key = ScheduleKey::Named(format!("schedule {number}"));
        let create = ScheduleAction::Create(declaration(plan.clone(), 0));
        let create = command(store.shards(), 100 + number, &key, create);
        let reply = obeyed(store, &create).await?;
        let first = plan.next_after(reply.at);
        let all = std::iter::successors(first, |last| plan.next_after(*last));
        Ok(Due {
            id: key.id(),
            shard: key.id().shard(store.shards()),
            occurrences: all.collect(),
            key,
            end,
        })
    }

    /// Asks for the time until every occurrence has passed by the store's clock.
    pub(super) async fn outwait(&self, store: &impl Inspect) -> Result<(), Failure> {
        let begun = Instant::now();
        loop {
            let record = store.schedule(self.id).await.map_err(unanswered)?;
            let Some(record) = record else {
                return Err(Failure::new("a schedule that was created", "a row", "none"));
            };
            if record.now > self.end {
                return Ok(());
            }
            let patient = begun.elapsed() < PATIENCE;
            holds("the store's clock moves on", patient, record.now)?;
        }
    }

    /// The runs that it has started.
    pub(super) async fn runs(&self, store: &impl Inspect) -> Result<BTreeSet<RunId>, Failure> {
        let mut filter = RunFilter::default();
        filter.schedule = Some(self.id);
        let rows = store.list(&filter, None, EVERYTHING).await;
        Ok(rows
            .map_err(unanswered)?
            .into_iter()
            .map(|row| row.id)
            .collect())
    }
}

/// What the store's clock says.
pub(super) async fn told(store: &impl Store) -> Result<Timestamp, Failure> {
    let key = ScheduleKey::Named("clock".to_owned());
    let create = ScheduleAction::Create(declaration(external(), 0));
    let create = command(store.shards(), 1, &key, create);
    let reply = obeyed(store, &create).await?;
    Ok(reply.at)
}
