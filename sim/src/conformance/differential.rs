//! One script on a store and on the memory store, side by side.
//!
//! A store has a clock of its own, which nobody can ask to stand still. So each operation is performed by the store first, and
//! then by the memory store *at the time the store's clock said*: replies carry it, and where they do not, a row that was
//! written does. From then on nothing is approximate: replies and rows are equal to the microsecond. Two things are left that a
//! reply says of a time which no row keeps. How long until the next task falls due is relative to the scan, so it may differ by
//! less than half an hour; and whether something is due is never in doubt, because what a script arranges is due at
//! once, hours later, or after a lease or within seconds of a schedule that the script lets end before it goes on.
//!
//! Invariant: the memory store never guesses: an operation whose time left no trace did not depend on it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use squid_mesh_core::operation::{
    Claimed, HeldReply, Leases, Operation, Rejection, Reply, ScheduleAction,
};
use squid_mesh_core::schedule::ScheduleId;
use squid_mesh_core::store::{Inspect, Store};
use squid_mesh_core::task::{TaskKey, TaskRow};
use squid_mesh_core::time::Timestamp;

use super::Suite;
use super::failure::{Failure, holds, perform, same, unanswered};
use super::observe::{compare_all, compare_queues, compare_run, compare_schedule};
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
        close: BTreeMap::new(),
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
    /// About what the store's clock says.
    now: Timestamp,
    /// Schedules with occurrences that are close, and until when.
    close: BTreeMap<ScheduleId, Timestamp>,
}

impl<S: Store + Inspect> Pair<'_, S> {
    async fn act(&mut self, session: &mut Session, action: &Action) -> Result<(), Failure> {
        if !matches!(action, Action::Schedule { .. }) {
            self.let_pass().await?;
        }
        let Some(operation) = session.operation(action, self.now) else {
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
        self.note_close(&operation);
        session.learn(&operation, &reply);
        Ok(())
    }

    /// Performs an operation on both. Also says whether it moved a run on.
    async fn perform(&mut self, operation: &Operation) -> Result<(Reply, bool), Failure> {
        let found = perform(self.store, operation).await?;
        let at = self.time_of(operation, &found).await?.unwrap_or(self.now);
        self.now = self.now.max(at);
        let landed = self
            .tables
            .perform(operation, Conditions::at(at))
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
        let mut schedules = landed.touched.schedules.clone();
        let tasks = landed.touched.tasks.iter();
        schedules.extend(tasks.map(|key| ScheduleId::of_task(*key)));
        schedules.sort_unstable();
        schedules.dedup();
        for schedule in schedules {
            compare_schedule(self.store, &self.tables, schedule)
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
            (_, Reply::Schedule(Ok(reply))) => Ok(Some(reply.at)),
            (_, Reply::Schedule(Err(Rejection::OccurrenceNotDue { now, .. }))) => Ok(Some(*now)),
            (_, Reply::Schedule(Err(_))) => Ok(None),
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
            let (_, task) = self.look(held.key).await?;
            return Ok(task.map(|task| task.due_at.minus(before)));
        }
        Ok(None)
    }

    /// The clock, if there is a run or a schedule with this task, and the task.
    async fn look(&self, key: TaskKey) -> Result<(Option<Timestamp>, Option<TaskRow>), Failure> {
        if let Some(record) = self.store.run(key.run).await.map_err(unanswered)? {
            let task = record.tasks.into_iter().find(|task| task.key == key);
            return Ok((Some(record.now), task));
        }
        let id = ScheduleId::of_task(key);
        let record = self.store.schedule(id).await.map_err(unanswered)?;
        Ok(record.map_or((None, None), |record| (Some(record.now), record.task)))
    }

    /// Asks for the time until the leases of these tasks are over by the store's clock.
    async fn outwait(&mut self, tasks: &[TaskRow]) -> Result<(), Failure> {
        let Some(last) = tasks.iter().max_by_key(|task| task.due_at) else {
            return Ok(());
        };
        match self.pass(last.key, last.due_at).await? {
            true => Ok(()),
            false => Err(Failure::new("a run with a task", "a row", "none")),
        }
    }

    /// Notes a schedule that has, or may have, occurrences within seconds.
    fn note_close(&mut self, operation: &Operation) {
        let Operation::Schedule(command) = operation else {
            return;
        };
        if let ScheduleAction::Create(declaration)
        | ScheduleAction::Change(declaration)
        | ScheduleAction::Declare(declaration) = &command.action
            && let Some(end) = declaration.plan.end
        {
            let until = self.close.entry(command.schedule.id()).or_insert(end);
            *until = end.max(*until);
        }
    }

    /// Lets all occurrences pass that are close. Of a schedule that is gone there are none.
    async fn let_pass(&mut self) -> Result<(), Failure> {
        while let Some((id, until)) = self.close.pop_first() {
            self.pass(id.task(), until).await?;
        }
        Ok(())
    }

    /// Asks for the time until it is past `until` by the store's clock. Also says whether there is anything to ask.
    async fn pass(&mut self, key: TaskKey, until: Timestamp) -> Result<bool, Failure> {
        let begun = Instant::now();
        while let (Some(now), _) = self.look(key).await? {
            self.now = self.now.max(now);
            if now > until {
                return Ok(true);
            }
            let patient = begun.elapsed() < PATIENCE;
            holds("the store's clock moves on", patient, now)?;
        }
        Ok(false)
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
