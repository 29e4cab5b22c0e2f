//! Workers, a client and cancels at once, until every run has ended.
//!
//! Invariant: whatever the interleaving, what is left behind follows from the journals, and the journals say what everybody was told.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::{join, join_all};
use squid_mesh_core::definition::StepIndex;
use squid_mesh_core::event::By;
use squid_mesh_core::event::Event;
use squid_mesh_core::id::{CommandId, RunId, Shard};
use squid_mesh_core::operation::{
    Cancel, Ended, Entry, EntryReply, GroupReply, Operation, Outcome, Rejection, Reply, Report,
    SlotReply,
};
use squid_mesh_core::run::Status;
use squid_mesh_core::store::{Fetch, Inspect, Store};
use squid_mesh_core::task::{Item, TaskKey, TaskRow, Token};
use squid_mesh_core::verify;

use super::cast::{Worker, json, report, start, submit, workflow};
use super::concurrent::{ROUNDS, RUNS, WORKERS, claimed, groups, take_turns};
use super::failure::{Failure, holds, perform, same, unanswered};
use super::observe::{Seen, seen};
use super::script::Ending;

/// Four workers drive runs to their ends while a client starts some more and cancels others.
pub(super) async fn check<S: Store + Inspect>(store: &S) -> Result<(), Failure> {
    let race = Race {
        store,
        ledger: RefCell::default(),
    };
    let workers: Vec<Worker> = (1..WORKERS)
        .map(|number| Worker::able(number.into()))
        .chain([Worker::lacking(WORKERS.into())])
        .collect();
    for worker in &workers {
        perform(store, &worker.register()).await?;
    }
    race.start(1..=RUNS / 2).await?;
    let (worked, interfered) = join(
        join_all(workers.iter().map(|worker| race.work(worker))),
        race.interfere(),
    )
    .await;
    interfered?;
    worked.into_iter().collect::<Result<(), Failure>>()?;
    race.verify().await
}

/// Runs on their way, and what everybody was told about them.
struct Race<'s, S> {
    store: &'s S,
    ledger: RefCell<Ledger>,
}

#[derive(Debug, Default)]
struct Ledger {
    runs: Vec<RunId>,
    open: BTreeSet<RunId>,
    cancelled: BTreeSet<RunId>,
    forced: BTreeSet<RunId>,
    granted: BTreeSet<(TaskKey, Token)>,
    /// Reports accepted, by step.
    accepted: BTreeMap<(RunId, StepIndex), u32>,
}

impl<S: Store + Inspect> Race<'_, S> {
    async fn start(&self, numbers: impl Iterator<Item = u32>) -> Result<(), Failure> {
        let workflows = ["chain", "fork", "stubborn"].map(workflow);
        for number in numbers {
            let which = &workflows[number as usize % workflows.len()];
            let slot = u8::try_from(number % 3).unwrap_or_default();
            let entry = Entry::Start(Box::new(start(number, which, slot, None, json("1"))));
            let run = entry.run();
            // Known before it is there: a worker may see it end before its starter hears that it began.
            self.ledger.borrow_mut().runs.push(run);
            self.ledger.borrow_mut().open.insert(run);
            perform(self.store, &submit(self.store.shards(), vec![entry])).await?;
        }
        Ok(())
    }

    /// One worker: claims, reports, and goes on with what it is handed, until every run has ended.
    async fn work(&self, worker: &Worker) -> Result<(), Failure> {
        let shards: Vec<Shard> = self.store.shards().all().collect();
        for number in 1..=ROUNDS {
            if self.ledger.borrow().open.is_empty() {
                return Ok(());
            }
            let shard = shards[usize::try_from(number).unwrap_or_default() % shards.len()];
            let cancelled = self.ledger.borrow().cancelled.clone();
            take_turns().await;
            let reply = perform(self.store, &worker.claim(shard, number, 2)).await?;
            let mut held = self.grant(claimed(&reply), &cancelled)?;
            while !held.is_empty() {
                held = self.settle(worker, shard, &held).await?;
            }
        }
        Err(Failure::new(
            "the runs that workers cannot end",
            "none",
            &self.ledger.borrow().open,
        ))
    }

    /// Takes down that these tasks are now this worker's alone.
    fn grant(
        &self,
        tasks: &[TaskRow],
        cancelled: &BTreeSet<RunId>,
    ) -> Result<Vec<TaskRow>, Failure> {
        let mut ledger = self.ledger.borrow_mut();
        for task in tasks {
            let token = task
                .token()
                .ok_or_else(|| Failure::new("a task that was handed out", "an owner", task))?;
            holds(
                "a grant is given once",
                ledger.granted.insert((task.key, token)),
                task,
            )?;
            let late = task.item() == Item::Attempt && cancelled.contains(&task.key.run);
            holds(
                "no step is handed out once its run's cancel was acknowledged",
                !late,
                task,
            )?;
        }
        Ok(tasks.to_vec())
    }

    async fn settle(
        &self,
        worker: &Worker,
        shard: Shard,
        held: &[TaskRow],
    ) -> Result<Vec<TaskRow>, Failure> {
        let reports: Vec<Report> = held.iter().map(|task| report(task, ending(task))).collect();
        let cancelled = self.ledger.borrow().cancelled.clone();
        take_turns().await;
        let (mut handed, busy) = self.report(worker.settle(shard, reports, 2, false)).await?;
        if !busy.is_empty() {
            let (more, still_busy) = self.report(worker.settle(shard, busy, 0, true)).await?;
            holds(
                "a report that waits is not answered with busy",
                still_busy.is_empty(),
                &still_busy,
            )?;
            handed.extend(more);
        }
        self.grant(&handed, &cancelled)
    }

    /// Reports, and says what was handed out and which reports met a run that was locked.
    async fn report(&self, operation: Operation) -> Result<(Vec<TaskRow>, Vec<Report>), Failure> {
        let reply = perform(self.store, &operation).await?;
        let (
            Operation::Settle(settle),
            Reply::Settled {
                slots,
                handed,
                ended,
                ..
            },
        ) = (&operation, &reply)
        else {
            return Err(Failure::new("the kind of the reply", "settled", reply));
        };
        let mut ledger = self.ledger.borrow_mut();
        let mut busy = Vec::new();
        for (report, slot) in settle.reports.iter().zip(slots) {
            let run = report.key.run;
            match slot {
                SlotReply::Accepted if matches!(report.outcome, Outcome::Engine(_)) => {}
                SlotReply::Accepted => *ledger.accepted.entry((run, report.step)).or_default() += 1,
                SlotReply::Busy => busy.push(report.clone()),
                SlotReply::Rejected(_) => {
                    let what = "a report under a live lease is accepted, unless its run was ended by force";
                    holds(what, ledger.forced.contains(&run), slot)?;
                }
            }
        }
        for Ended { run, .. } in ended {
            ledger.open.remove(run);
        }
        Ok((handed.clone(), busy))
    }

    /// A client that cancels every third run, one of two by force, and starts a few between.
    async fn interfere(&self) -> Result<(), Failure> {
        let targets: Vec<RunId> = self
            .ledger
            .borrow()
            .runs
            .iter()
            .copied()
            .step_by(3)
            .collect();
        for (number, run) in (1_000_u32..).zip(targets) {
            let force = number.is_multiple_of(2);
            if force {
                self.ledger.borrow_mut().forced.insert(run);
            }
            let command = CommandId::from_u128(number.into());
            let cancel = Cancel {
                run,
                command,
                by: By::default(),
                force,
                undo: false,
            };
            take_turns().await;
            let reply = perform(
                self.store,
                &submit(self.store.shards(), vec![Entry::Cancel(cancel)]),
            )
            .await?;
            self.learn_cancel(run, &reply)?;
            self.start([number].into_iter()).await?;
        }
        Ok(())
    }

    fn learn_cancel(&self, run: RunId, reply: &Reply) -> Result<(), Failure> {
        let mut ledger = self.ledger.borrow_mut();
        match groups(reply).first() {
            Some(GroupReply::Done(entries)) => {
                ledger.cancelled.insert(run);
                if let [EntryReply::Cancelled(cancelled)] = entries.as_slice()
                    && cancelled.status.is_terminal()
                {
                    ledger.open.remove(&run);
                }
                Ok(())
            }
            Some(GroupReply::Refused {
                rejection: Rejection::Finished { .. } | Rejection::Winding { .. },
                ..
            }) => Ok(()),
            answer => Err(Failure::new(
                "the answer to a cancel",
                "done, or too late",
                answer,
            )),
        }
    }

    /// What is left behind follows from the journals, and says what everybody was told.
    async fn verify(&self) -> Result<(), Failure> {
        let ledger = self.ledger.take();
        for &run in &ledger.runs {
            let Some(seen) = seen(self.store, run).await? else {
                return Err(Failure::new(
                    format!("whether run {run} exists"),
                    true,
                    false,
                ));
            };
            self.verify_fold(&seen).await?;
            ledger.verify(run, &seen)?;
        }
        Ok(())
    }

    async fn verify_fold(&self, seen: &Seen) -> Result<(), Failure> {
        let Seen {
            row,
            tasks,
            journal,
        } = seen;
        let definitions = BTreeSet::from([row.definition.clone()]);
        let wanted = Fetch {
            definitions,
            ..Fetch::default()
        };
        let fetched = self.store.fetch(wanted).await.map_err(unanswered)?;
        let Some(definition) = fetched.definitions.first() else {
            let what = format!("the definition of run {}", row.id);
            return Err(Failure::new(what, &row.definition, "none"));
        };
        let transitions = journal.iter().map(|row| &row.transition);
        let found = verify::run(definition, row, transitions, tasks);
        let what = format!("what of run {} does not follow from its journal", row.id);
        same(what, &Vec::new(), &found)
    }
}

impl Ledger {
    /// Compares a run that should have ended with what everybody was told about it.
    fn verify(&self, run: RunId, seen: &Seen) -> Result<(), Failure> {
        let status = seen.row.status;
        holds("every run has ended", status.is_terminal(), status)?;
        if self.cancelled.contains(&run) {
            same(
                format!("the status of run {run}"),
                &Status::Cancelled,
                &status,
            )?;
        }
        let mut recorded: BTreeMap<(RunId, StepIndex), u32> = BTreeMap::new();
        for row in &seen.journal {
            let event = &row.transition.event;
            if let Event::Succeeded { step, .. } | Event::Failed { step, .. } = event {
                *recorded.entry((run, *step)).or_default() += 1;
            }
        }
        let steps = (run, StepIndex(0))..=(run, StepIndex(u16::MAX));
        let accepted = self
            .accepted
            .range(steps)
            .map(|(step, count)| (*step, *count));
        let what = format!("the reports of run {run} that are on record");
        same(what, &accepted.collect(), &recorded)
    }
}

/// The step that may be tried again at once fails twice; everything else succeeds.
fn ending(task: &TaskRow) -> Ending {
    let flaky = task.brief.handler.as_str() == "flaky" && task.step == StepIndex(0);
    if flaky && task.attempt < 3 {
        Ending::Failed
    } else {
        Ending::Succeeded(true)
    }
}
