//! The rows of one operation while slot after slot changes them.
//!
//! Invariant: later slots see what earlier ones decided, and each row is written at most once, whatever happened to it.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use super::hand_over::{HandOver, kept};
pub(super) use super::schedules::ScheduleLookup;
use super::schedules::Schedules;
use super::{Found, JournalRow, Offer, RunRow, RunUpdate, TaskUpdate, View, Writes};
use crate::change::Change;
use crate::definition::Definition;
use crate::id::{Incarnation, RunId};
use crate::mutant::Mutant;
use crate::operation::Ended;
use crate::payload::Payload;
use crate::run::{Decided, Run, Seq};
use crate::schedule::{Schedule, ScheduleId};
use crate::sorted::SortedMap;
use crate::task::{Item, Lane, TaskKey, TaskKind, TaskRow};
use crate::transition::{DecodeError, Transition};

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

/// A batch in the making.
#[derive(Clone)]
pub(super) struct Batch<'v> {
    pub(super) view: &'v View,
    schedules: Schedules<'v>,
    runs: SortedMap<RunId, Work>,
    tasks: SortedMap<TaskKey, Option<TaskRow>>,
    journal: Vec<JournalRow>,
    handed: BTreeSet<TaskKey>,
    hand_over: HandOver<'v>,
    /// Only runs that this very operation starts are handed over.
    first_steps: bool,
    ended: Vec<Ended>,
}

#[derive(Clone)]
struct Work {
    row: RunRow,
    run: Run,
    definition: Arc<Definition>,
    inserted: bool,
    changed: bool,
    /// Its steps may be handed over in this operation.
    offered: bool,
}

/// A run as a slot finds it.
pub(super) enum Lookup {
    Absent,
    Busy,
    Unreadable(DecodeError),
    Here,
}

impl<'v> Batch<'v> {
    pub(super) fn new(view: &'v View, offer: Option<&'v Offer>) -> Batch<'v> {
        Batch {
            view,
            schedules: Schedules::new(view),
            runs: SortedMap::default(),
            tasks: SortedMap::default(),
            journal: Vec::new(),
            hand_over: HandOver::new(offer, view),
            handed: BTreeSet::new(),
            first_steps: false,
            ended: Vec::new(),
        }
    }

    /// The same, handing over nothing but steps of runs that it starts: an operation that is performed again knows what it
    /// started, but not what its commands made ready.
    pub(super) fn of_starts(view: &'v View, offer: Option<&'v Offer>) -> Batch<'v> {
        Batch {
            first_steps: true,
            ..Batch::new(view, offer)
        }
    }

    /// Looks a run up, decoding it on first sight.
    pub(super) fn find(&mut self, id: RunId) -> Lookup {
        if self.runs.contains_key(&id) {
            return Lookup::Here;
        }
        let row = match self
            .view
            .runs
            .get(&id)
            .expect("every run of an operation is in its read set")
        {
            Found::Absent => return Lookup::Absent,
            Found::Busy => return Lookup::Busy,
            Found::Row(row) => row,
        };
        let Some(definition) = self.view.definitions.get(&row.definition) else {
            return Lookup::Unreadable(DecodeError::Corrupt);
        };
        match Run::decode(&row.state) {
            Ok(run) if run.steps().len() == definition.steps().len() && run.seq() == row.seq => {
                let (row, definition) = (row.without_state(), Arc::clone(definition));
                self.runs.insert(
                    id,
                    Work {
                        row,
                        run,
                        definition,
                        inserted: false,
                        changed: false,
                        offered: !self.first_steps,
                    },
                );
                Lookup::Here
            }
            Ok(_) => Lookup::Unreadable(DecodeError::Corrupt),
            Err(error) => {
                let spreads = self.view.mutation.is(Mutant::PoisonSpreads);
                assert!(!spreads, "run {id} cannot be read: {error}");
                Lookup::Unreadable(error)
            }
        }
    }

    /// Whether a run was looked for, so that [`Batch::find`] can tell of it.
    pub(super) fn knows(&self, id: RunId) -> bool {
        self.runs.contains_key(&id) || self.view.runs.contains_key(&id)
    }

    /// A run that [`Batch::find`] found.
    pub(super) fn run(&self, id: RunId) -> (&Run, &Arc<Definition>) {
        let work = self.work(id);
        (&work.run, &work.definition)
    }

    /// A task as the batch has it so far.
    pub(super) fn task(&self, key: TaskKey) -> Option<&TaskRow> {
        match self.tasks.get(&key) {
            Some(current) => current.as_ref(),
            None => self.original(key),
        }
    }

    /// The same, for as long as it takes: nothing is copied of a task that the batch has not touched.
    pub(super) fn kept_task(&self, key: TaskKey) -> Option<Cow<'v, TaskRow>> {
        match self.tasks.get(&key) {
            Some(current) => current.clone().map(Cow::Owned),
            None => self.original(key).map(Cow::Borrowed),
        }
    }

    /// Every task of a run; only once the view holds them all.
    pub(super) fn tasks_of(&self, id: RunId) -> Option<Vec<&TaskRow>> {
        let inserted = self.runs.get(&id).is_some_and(|work| work.inserted);
        if !inserted && !self.view.tasks_of.contains(&id) {
            return None;
        }
        let all = lanes_of(id);
        let mut keys: BTreeSet<TaskKey> = self
            .view
            .tasks
            .range(all.clone())
            .map(|(key, _)| *key)
            .collect();
        keys.extend(self.tasks.range(all).map(|(key, _)| *key));
        Some(keys.into_iter().filter_map(|key| self.task(key)).collect())
    }

    /// Lanes of attempts that somebody holds; only once the view holds all tasks of the run. What this very operation
    /// handed off is not among them: nobody has been told yet, so a run that ends in a later slot takes it back.
    pub(super) fn claimed(&self, id: RunId) -> Option<BTreeSet<Lane>> {
        let held = |row: &&TaskRow| {
            row.owner.is_some()
                && matches!(row.kind, TaskKind::Step | TaskKind::Undo)
                && !self.is_handed_here(row)
        };
        Some(
            self.tasks_of(id)?
                .into_iter()
                .filter(held)
                .map(|row| row.key.lane)
                .collect(),
        )
    }

    fn is_handed_here(&self, row: &TaskRow) -> bool {
        self.handed.contains(&row.key)
            && self
                .original(row.key)
                .is_none_or(|before| before.fence != row.fence)
    }

    /// Whether the rows are known that a decision changes or deletes. What a command frees is often known only with all
    /// tasks of its run.
    pub(super) fn knows_rows_of(&self, id: RunId, decided: &Decided) -> bool {
        if self.tasks_of(id).is_some() {
            return true;
        }
        let after: BTreeMap<Lane, Seq> = by_lane(&decided.run);
        let mut before = by_lane(&self.work(id).run).into_iter();
        before.all(|(lane, seq)| {
            let key = TaskKey { run: id, lane };
            after.get(&lane) == Some(&seq) || self.task(key).is_some()
        })
    }

    /// Adds a run that was just started.
    pub(super) fn insert(
        &mut self,
        row: RunRow,
        definition: Arc<Definition>,
        decided: Decided,
        payload: Payload,
        offered: bool,
    ) {
        let id = row.id;
        self.runs.insert(
            id,
            Work {
                row,
                run: decided.run,
                definition,
                inserted: true,
                changed: true,
                offered,
            },
        );
        self.record(id, decided.transition, Some(payload));
    }

    /// Moves a run on by a transition.
    pub(super) fn advance(&mut self, id: RunId, decided: Decided, payload: Option<Payload>) {
        let work = self
            .runs
            .get_mut(&id)
            .expect("a run is found before it is decided on");
        work.run = decided.run;
        work.changed = true;
        if work.run.is_ended() {
            self.ended.push(Ended {
                run: id,
                status: work.run.status(),
            });
        }
        self.record(id, decided.transition, payload);
    }

    fn record(&mut self, id: RunId, transition: Transition, payload: Option<Payload>) {
        for lane in self.touched(id, &transition) {
            self.put_lane(TaskKey { run: id, lane });
        }
        let (seq, at) = (transition.seq, transition.at);
        self.journal.push(JournalRow {
            run: id,
            seq,
            at,
            transition,
            payload,
        });
    }

    /// The lanes whose rows a transition may change: those it takes, and those whose occupant is gone.
    fn touched(&self, id: RunId, transition: &Transition) -> BTreeSet<Lane> {
        let run = &self.work(id).run;
        let mut lanes: BTreeSet<Lane> = run
            .lanes()
            .filter(|armed| armed.seq == transition.seq)
            .map(|armed| armed.lane)
            .collect();
        for change in &transition.changes {
            if let Change::Stop { step } = change {
                let stopping = run.step(*step).stage.armed();
                lanes.extend(stopping.map(|armed| armed.lane));
            }
        }
        lanes.extend(self.vacated(id));
        lanes
    }

    /// Lanes with a row that the fold no longer implies.
    fn vacated(&self, id: RunId) -> Vec<Lane> {
        let held = by_lane(&self.work(id).run);
        let all = lanes_of(id);
        let known = self.view.tasks.range(all.clone()).map(|(key, _)| *key);
        let touched = self.tasks.range(all).map(|(key, _)| *key);
        let mut lanes: Vec<Lane> = known.chain(touched).map(|key| key.lane).collect();
        lanes.retain(|lane| !held.contains_key(lane));
        lanes
    }

    /// Makes one row what the fold implies, handing it off if that is possible.
    fn put_lane(&mut self, key: TaskKey) {
        let work = self.work(key.run);
        let Some(mut row) = work.run.task_at(&work.definition, key.lane) else {
            if !self.outlives(key) {
                self.tasks.insert(key, None);
            }
            return;
        };
        let may_go = work.offered;
        let before = self.kept_task(key);
        if let Some(before) = before.as_deref()
            && before.fence.seq == row.fence.seq
        {
            row = kept(before, row);
        } else if may_go
            && self
                .hand_over
                .take(&mut row, before.as_deref(), self.view.now)
        {
            self.handed.insert(key);
        }
        self.tasks.insert(key, Some(row));
    }

    /// Whether a task stays that is to go. Only a mutant lets one.
    fn outlives(&self, key: TaskKey) -> bool {
        let kept = self.view.mutation.is(Mutant::GateDeadlineKept);
        let definition = &self.work(key.run).definition;
        let closes = |row: &TaskRow| {
            let gate = definition.step(row.step).kind.is_gate();
            gate && row.kind == TaskKind::Wait && row.owner.is_none()
        };
        kept && self.task(key).is_some_and(closes)
    }

    /// Deletes a task that is done, of a run that does not change by it.
    pub(super) fn remove(&mut self, key: TaskKey) {
        self.tasks.insert(key, None);
    }

    /// Replaces a task outright: putting an item back, or parking one.
    pub(super) fn put(&mut self, row: TaskRow) {
        self.tasks.insert(row.key, Some(row));
    }

    /// Marks tasks that the requester holds already as handed to it: the answer to a repeated operation.
    pub(super) fn hand_again(&mut self, id: RunId, worker: Incarnation, after: Seq) -> Option<()> {
        let rows = self.tasks_of(id)?;
        let mine = |row: &&TaskRow| {
            row.owner == Some(worker) && row.fence.seq > after && row.item() == Item::Attempt
        };
        let keys: Vec<TaskKey> = rows.into_iter().filter(mine).map(|row| row.key).collect();
        self.handed.extend(keys);
        Some(())
    }

    /// The tasks handed over, in key order.
    pub(super) fn handed(&self) -> Vec<TaskRow> {
        self.handed
            .iter()
            .filter_map(|key| self.task(*key).cloned())
            .filter(|row| row.owner.is_some())
            .collect()
    }

    /// How long until the next of the rows that were changed falls due, of those the requester could claim: so that its
    /// retries and timers are on time without anybody polling for them.
    pub(super) fn next_due(&self) -> Option<Duration> {
        let now = self.view.now;
        let rows = self.tasks.values().flatten();
        let free = rows.filter(|row| {
            row.owner.is_none() && row.due_at > now && self.hand_over.could_take(row)
        });
        free.map(|row| row.due_at.since(now)).min()
    }

    /// The runs that ended.
    pub(super) fn ended(&self) -> Vec<Ended> {
        self.ended.clone()
    }

    /// Looks a schedule up, reading it on first sight.
    pub(super) fn find_schedule(&mut self, id: ScheduleId) -> ScheduleLookup {
        self.schedules.find(id)
    }

    /// A schedule that [`Batch::find_schedule`] found.
    pub(super) fn schedule(&self, id: ScheduleId) -> &Schedule {
        self.schedules.get(id)
    }

    /// Adds a schedule that does not exist.
    pub(super) fn insert_schedule(&mut self, schedule: Schedule) {
        self.arm(&schedule);
        self.schedules.put(schedule, true);
    }

    /// Replaces a schedule that was found. `declared` says that its plan, target or input may differ. Its task stays as it is,
    /// with whatever lease there is on it, unless it is armed anew.
    pub(super) fn put_schedule(&mut self, schedule: Schedule, declared: bool) {
        if schedule.state.armed != self.schedules.get(schedule.id).state.armed {
            self.arm(&schedule);
        }
        self.schedules.put(schedule, declared);
    }

    /// Deletes a schedule that was found, and its task.
    pub(super) fn remove_schedule(&mut self, id: ScheduleId) {
        self.remove(id.task());
        self.schedules.remove(id);
    }

    fn arm(&mut self, schedule: &Schedule) {
        self.tasks.insert(schedule.id.task(), schedule.task());
    }

    /// Everything to write, each list in key order.
    pub(super) fn finish(mut self) -> Writes {
        let mut writes = Writes::default();
        let noticed = self.hand_over.notice_until(self.view.now);
        for (key, current) in std::mem::take(&mut self.tasks) {
            if let Some(row) = &current
                && row.owner.is_none()
                && row.due_at <= noticed
            {
                writes.hints.insert(row.queue.clone());
            }
            let original = self.original(key);
            match (original, current) {
                (None, None) => {}
                (None, Some(row)) => writes.tasks_inserted.push(row),
                (Some(before), None) => writes.tasks_deleted.push((key, before.fence)),
                (Some(before), Some(row)) if *before == row => {}
                (Some(before), Some(row)) => {
                    let indexed = (
                        &before.queue,
                        before.priority,
                        &before.handler,
                        before.due_at,
                    ) != (&row.queue, row.priority, &row.handler, row.due_at);
                    writes.tasks_updated.push(TaskUpdate {
                        row,
                        was: before.fence,
                        indexed,
                    });
                }
            }
        }
        for work in self.runs.into_values().filter(|work| work.changed) {
            let (was, mut row) = (work.row.seq, work.row);
            row.seq = work.run.seq();
            row.status = work.run.status();
            row.updated = work.run.at();
            row.state = work.run.encode();
            if work.inserted {
                writes.runs_inserted.push(row);
            } else {
                writes.runs_updated.push(RunUpdate { row, was });
            }
        }
        self.schedules.finish(&mut writes);
        writes.journal = self.journal;
        writes.journal.sort_by_key(|row| (row.run, row.seq));
        writes
    }

    fn work(&self, id: RunId) -> &Work {
        self.runs
            .get(&id)
            .expect("a run is found before it is looked at")
    }

    fn original(&self, key: TaskKey) -> Option<&'v TaskRow> {
        match self.view.tasks.get(&key) {
            Some(Found::Row(row)) => Some(row),
            Some(Found::Absent | Found::Busy) | None => None,
        }
    }
}

/// Every lane that a run holds, with the transition that took it.
fn by_lane(run: &Run) -> BTreeMap<Lane, Seq> {
    run.lanes().map(|armed| (armed.lane, armed.seq)).collect()
}

/// The keys of every task that a run can have.
fn lanes_of(run: RunId) -> RangeInclusive<TaskKey> {
    let key = |lane| TaskKey {
        run,
        lane: Lane(lane),
    };
    key(0)..=key(u16::MAX)
}
