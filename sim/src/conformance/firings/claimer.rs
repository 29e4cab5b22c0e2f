//! A worker that fires schedules, and executes nothing.
//!
//! Invariant: it claims engine items only, so runs that schedules start stay at their first step.

use squid_mesh_core::id::Shard;
use squid_mesh_core::operation::{Claim, Held, Leases, Operation};
use squid_mesh_core::store::Store;
use squid_mesh_core::task::TaskRow;

use crate::conformance::cast::{LEASE, Worker, report};
use crate::conformance::concurrent::{claimed, take_turns};
use crate::conformance::failure::{Failure, perform};
use crate::conformance::script::Ending;

/// Claims in a row after which nothing is due any more.
const IDLE: u32 = 3;

/// A worker that claims nothing but engine items.
pub(super) struct Claimer {
    pub(super) worker: Worker,
    claims: u64,
}

impl Claimer {
    pub(super) fn new(number: u128) -> Claimer {
        Claimer {
            worker: Worker::able(number),
            claims: 0,
        }
    }

    pub(super) async fn claim(
        &mut self,
        store: &impl Store,
        shard: Shard,
    ) -> Result<Vec<TaskRow>, Failure> {
        self.claims += 1;
        let offer = self.worker.offer(0, u8::MAX, LEASE);
        let claim = Operation::Claim(Claim {
            shard,
            number: self.claims,
            offer,
        });
        Ok(claimed(&perform(store, &claim).await?).to_vec())
    }

    pub(super) fn settle(&self, shard: Shard, tasks: &[TaskRow], wait: bool) -> Operation {
        let reports = tasks.iter().map(|task| report(task, Ending::Failed));
        self.worker.settle(shard, reports.collect(), 0, wait)
    }

    pub(super) async fn hand_back(
        &self,
        store: &impl Store,
        shard: Shard,
        tasks: &[TaskRow],
    ) -> Result<(), Failure> {
        let held = tasks.iter().filter_map(|task| {
            let (key, token) = (task.key, task.token()?);
            Some(Held { key, token })
        });
        let leases = Leases {
            shard,
            lease: LEASE,
            renew: Vec::new(),
            begun: Vec::new(),
            hand_back: held.collect(),
        };
        perform(store, &Operation::Lease(leases)).await.map(|_| ())
    }

    /// Settles what is due until nothing is.
    pub(super) async fn drain(
        &mut self,
        store: &impl Store,
        shards: &[Shard],
    ) -> Result<(), Failure> {
        let mut idle = 0;
        while idle < IDLE {
            idle += 1;
            for &shard in shards {
                take_turns().await;
                let tasks = self.claim(store, shard).await?;
                for task in &tasks {
                    idle = 0;
                    let settle = self.settle(shard, std::slice::from_ref(task), true);
                    perform(store, &settle).await?;
                }
            }
        }
        Ok(())
    }
}
