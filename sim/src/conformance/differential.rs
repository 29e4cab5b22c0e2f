//! One script on a store and on the memory store, side by side.
//!
//! A store has a clock of its own, which nobody can ask to stand still. So each operation is performed by the store first, and
//! then by the memory store *at the time the store's clock said*: replies carry it, and where they do not, a row that was
//! written does. From then on nothing is approximate: replies and rows are equal to the microsecond. Two things are left that a
//! reply says of a time which no row keeps. How long until the next task falls due is relative to the scan, so it may differ by
//! less than half an hour; and whether something is due is never in doubt, because what a script arranges is due at
//! once, hours later, or after a lease that the script lets end before it goes on.
//!
//! Invariant: the memory store never guesses: an operation whose time left no trace did not depend on it.

use std::time::{Duration, Instant};

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use squid_mesh_core::operation::{Claimed, HeldReply, Leases, Operation, Reply};
use squid_mesh_core::store::{Inspect, Store};
use squid_mesh_core::task::TaskRow;
use squid_mesh_core::time::Timestamp;

use super::Suite;
use super::failure::{Failure, holds, perform, same, unanswered};
use super::observe::{compare_all, compare_queues, compare_run};
use super::script::{Action, Script, scripts};
use super::session::Session;
use crate::store::{Conditions, Tables};

/// By how much two stores may differ about how long it is until the next task falls due.
const TOLERANCE: Duration = Duration::from_secs(1_800);
/// How long a lease of the shortest kind may seem to last.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often a failing script is shrunk at most.
const SHRINKS: u32 = 500;

/// Generates scripts and runs each on a store of its own. A script that fails is shrunk.
pub(super) async fn generated<S: Store + Inspect>(
    suite: &Suite,
    create: &impl AsyncFn(squid_mesh_core::id::Shards) -> S,
) -> Result<(), Failure> {
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &suite.seed_bytes());
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    for _ in 0..suite.scripts {
        let tree = scripts(suite.actions)
            .new_tree(&mut runner)
            .expect("the strategy filters nothing out");
        let attempt = async |script: &Script| run(&create(suite.shards).await, script).await;
        if let Err(failure) = attempt(&tree.current()).await {
            return Err(shrunk(tree, failure, attempt).await);
        }
    }
    Ok(())
}

/// The simplest script that still fails, as proptest would find it if it could wait.
async fn shrunk(
    mut tree: impl ValueTree<Value = Script>,
    mut failure: Failure,
    attempt: impl AsyncFn(&Script) -> Result<(), Failure>,
) -> Failure {
    for _ in 0..SHRINKS {
        let simpler = match attempt(&tree.current()).await {
            Err(simplest) => {
                failure = simplest;
                tree.simplify()
            }
            Ok(()) => tree.complicate(),
        };
        if !simpler {
            break;
        }
    }
    failure
}

/// Runs one script on a fresh store and compares it with the memory store after every action.
///
/// # Errors
/// The first difference, with the script up to there.
pub async fn run<S: Store + Inspect>(store: &S, script: &Script) -> Result<(), Failure> {
    let mut pair = Pair {
        store,
        tables: Tables::new(store.shards()),
        now: Timestamp::default(),
    };
    let mut session = Session::new(store.shards());
    for operation in session.opening() {
        pair.perform(&operation).await?;
    }
    for (done, action) in script.actions.iter().enumerate() {
        pair.act(&mut session, action).await.map_err(|failure| {
            let script = Script {
                actions: script.actions[..=done].to_vec(),
            };
            Failure {
                script: Some(script),
                ..failure
            }
        })?;
    }
    compare_all(store, &pair.tables)
        .await
        .map_err(|failure| Failure {
            script: Some(script.clone()),
            ..failure
        })
}

/// The store under test and the one it is compared with.
struct Pair<'s, S> {
    store: &'s S,
    tables: Tables,
    now: Timestamp,
}

impl<S: Store + Inspect> Pair<'_, S> {
    async fn act(&mut self, session: &mut Session, action: &Action) -> Result<(), Failure> {
        let Some(operation) = session.operation(action) else {
            return Ok(());
        };
        let (reply, wrote) = self.perform(&operation).await?;
        if *action == Action::Repeat {
            let nothing = holds(
                "an operation performed again writes no journal",
                !wrote,
                &reply,
            );
            nothing.map_err(|failure| failure.after(&operation))?;
        }
        if let (Action::Lapse { .. }, Reply::Claimed(claimed)) = (action, &reply) {
            self.outwait(&claimed.tasks).await?;
        }
        session.learn(&operation, &reply);
        Ok(())
    }

    /// Performs an operation on both. Also says whether it moved a run on.
    async fn perform(&mut self, operation: &Operation) -> Result<(Reply, bool), Failure> {
        let found = perform(self.store, operation).await?;
        self.now = self.time_of(operation, &found).await?.unwrap_or(self.now);
        let landed = self
            .tables
            .perform(operation, Conditions::at(self.now))
            .map_err(unanswered)?
            .done();
        same_reply(&landed.reply, &found).map_err(|failure| failure.after(operation))?;
        let mut runs = landed.touched.runs.clone();
        runs.extend(landed.touched.tasks.iter().map(|key| key.run));
        runs.sort_unstable();
        runs.dedup();
        for run in runs {
            compare_run(self.store, &self.tables, run)
                .await
                .map_err(|failure| failure.after(operation))?;
        }
        if matches!(operation, Operation::Queue(_)) {
            compare_queues(self.store, &self.tables)
                .await
                .map_err(|failure| failure.after(operation))?;
        }
        Ok((found, !landed.touched.runs.is_empty()))
    }

    /// What the store's clock said when it performed an operation, as far as that has left a trace.
    async fn time_of(
        &self,
        operation: &Operation,
        reply: &Reply,
    ) -> Result<Option<Timestamp>, Failure> {
        match (operation, reply) {
            (
                _,
                Reply::Submitted { now, .. }
                | Reply::Settled { now, .. }
                | Reply::Claimed(Claimed { now, .. }),
            ) => Ok(Some(*now)),
            (Operation::Lease(leases), Reply::Leased(replies)) => {
                self.time_of_leases(leases, replies).await
            }
            (_, Reply::Queue(reply)) => Ok(reply.as_ref().ok().map(|reply| reply.at)),
            (Operation::Register(register), _) => {
                let Some(worker) = &register.worker else {
                    return Ok(None);
                };
                let workers = self.store.workers().await.map_err(unanswered)?;
                let row = workers
                    .iter()
                    .find(|row| row.incarnation == worker.incarnation);
                Ok(row.map(|row| row.started))
            }
            (operation, reply) => {
                Err(
                    Failure::new("the kind of the reply", "that of the operation", reply)
                        .after(operation),
                )
            }
        }
    }

    /// A lease was renewed until its length after the time; a task that was handed back is due from that time on.
    async fn time_of_leases(
        &self,
        leases: &Leases,
        replies: &[HeldReply],
    ) -> Result<Option<Timestamp>, Failure> {
        let wanted = leases
            .renew
            .iter()
            .chain(&leases.begun)
            .chain(&leases.hand_back);
        for (held, reply) in wanted.zip(replies) {
            let before = match reply {
                HeldReply::Held { lease, .. } if !lease.is_zero() => *lease,
                HeldReply::HandedBack => Duration::ZERO,
                HeldReply::Held { .. } | HeldReply::Lost | HeldReply::Busy => continue,
            };
            let record = self.store.run(held.key.run).await.map_err(unanswered)?;
            let task = record
                .and_then(|record| record.tasks.into_iter().find(|task| task.key == held.key));
            return Ok(task.map(|task| task.due_at.minus(before)));
        }
        Ok(None)
    }

    /// Asks for the time until the leases of these tasks are over by the store's clock.
    async fn outwait(&self, tasks: &[TaskRow]) -> Result<(), Failure> {
        let Some(last) = tasks.iter().max_by_key(|task| task.due_at) else {
            return Ok(());
        };
        let begun = Instant::now();
        loop {
            let record = self.store.run(last.key.run).await.map_err(unanswered)?;
            match record {
                Some(record) if record.now > last.due_at => return Ok(()),
                Some(record) => holds(
                    "the store's clock moves on",
                    begun.elapsed() < PATIENCE,
                    record.now,
                )?,
                None => return Err(Failure::new("a run with a task", "a row", "none")),
            }
        }
    }
}

fn same_reply(expected: &Reply, found: &Reply) -> Result<(), Failure> {
    if let (Reply::Claimed(expected), Reply::Claimed(found)) = (expected, found) {
        let alike = match (expected.next_due, found.next_due) {
            (Some(expected), Some(found)) => expected.abs_diff(found) < TOLERANCE,
            (expected, found) => expected.is_none() && found.is_none(),
        };
        let what = "how long until the next task falls due";
        if !alike {
            return Err(Failure::new(what, expected.next_due, found.next_due));
        }
        let found = Claimed {
            next_due: expected.next_due,
            ..found.clone()
        };
        return same("the reply", expected, &found);
    }
    same("the reply", expected, found)
}
