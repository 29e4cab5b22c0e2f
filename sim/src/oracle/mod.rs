//! Oracles: after every operation that lands, what it wrote and answered is compared with the ghost state.
//!
//! Invariant: an oracle is right for every engine that keeps the semantics, not fitted to this one's code.

mod agenda;
mod attempt;
mod begin;
mod bound;
mod called;
mod change;
mod children;
mod consequence;
mod copied;
mod ending;
mod engine;
mod explained;
mod gate;
mod halted;
mod history;
mod labelled;
mod lease;
mod modelled;
mod offered;
mod queue;
mod recalled;
mod reply;
mod reported;
mod schedule;
mod scheduling;
mod settled;
mod stamped;
mod submitted;
mod undo;

use std::collections::BTreeSet;
use std::ops::Range;

use squid_mesh_core::definition::StepIndex;
use squid_mesh_core::event::Role;
use squid_mesh_core::id::RunId;
use squid_mesh_core::name::Name;
use squid_mesh_core::operation::Operation;
use squid_mesh_core::payload::Payload;
use squid_mesh_core::run::Seq;
use squid_mesh_core::store::StoredRow;
use squid_mesh_core::task::{Item, TaskKind, TaskRow};
use squid_mesh_core::time::Timestamp;
use squid_mesh_core::verify::{self, Discrepancy};

use crate::clock::SimTime;
use crate::fault::sometimes::Sometimes;
use crate::ghost::{Ghost, GhostRun, Grant, ProcessId};
use crate::settings::NodeSetup;
use crate::store::{Landed, Tables};
use crate::violation::{Broken, Check, Promise, broken, ensure};

pub(crate) use bound::bound;

pub use begin::{Beginning, begin};
pub use explained::all as all_explained;
pub use modelled::all as all_modelled;
pub use offered::refused as refused_offer;
pub use reply::{delivered, same_reply};

/// Children that an operation told to cancel, by their parent's record.
#[derive(Debug, Clone)]
pub struct Told {
    parent: RunId,
    step: StepIndex,
    children: Range<u32>,
    /// Whether they are to take back what they did.
    undo: bool,
}

/// Who asked for an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asker {
    /// A process: its worker, or its registration.
    Process(ProcessId),
    /// A client that executes nothing.
    Client,
}

/// One operation at the instant at which it lands.
pub struct Landing<'a> {
    /// What really happened before.
    pub ghost: &'a mut Ghost,
    /// The store, with the operation's writes in it.
    pub tables: &'a Tables,
    /// Who asked.
    pub asker: Asker,
    /// What for.
    pub operation: &'a Operation,
    /// What came of it.
    pub landed: &'a Landed,
    /// True time.
    pub now: SimTime,
    /// When the operation was decided, in true time: before `now` if it was in doubt since.
    pub decided: SimTime,
    /// What the database's clock showed then.
    pub clock: Timestamp,
    /// When the world was last in trouble: an outage, a step of the database's clock.
    pub trouble: SimTime,
    /// When the database's clock was last stepped.
    pub stepped: SimTime,
    /// Whether its sender had given it up before.
    pub late: bool,
    /// Whether it is performed once more after it was answered: nobody hears of what comes of that.
    pub echo: bool,
    /// Whether some other operation is in doubt, or has been while this one waited.
    pub contended: bool,
    /// What each process was set up with.
    pub setups: &'a [NodeSetup],
    /// Counters.
    pub sometimes: &'a mut Sometimes,
    /// Of each report of a settle: whether it was recorded before.
    pub repeats: Vec<bool>,
    /// Of each report of a settle: whether it came from the true holder.
    pub holders: Vec<bool>,
    /// Of each report of a settle: whether it says what came of an attempt whose outcome is unknown.
    pub in_doubt: Vec<bool>,
    /// Slots checked so far.
    pub slots_seen: usize,
    /// A signal that came and has not found its place yet.
    pub incoming: Option<(Name, Payload)>,
    /// A kept signal that was taken and has not found its step yet.
    pub taken: Option<(Name, Payload)>,
    /// Children that it told to cancel.
    pub told: Vec<Told>,
    /// Largest payload, in bytes.
    pub payload_limit: usize,
}

impl Landing<'_> {
    /// Checks everything about it, and brings the ghost state up to date.
    ///
    /// # Errors
    /// The first promise that it breaks.
    pub fn check(&mut self) -> Check {
        ensure!(
            self.landed.at == self.clock,
            TimersAreExact,
            "an operation was decided with the clock at {}, when the database's clock showed {}",
            self.landed.at,
            self.clock
        );
        self.before()?;
        self.schedule_commanded()?;
        let touched = self.landed.touched.runs.iter();
        let started: Vec<RunId> = touched
            .filter(|run| !self.ghost.runs.contains_key(run))
            .copied()
            .collect();
        // A run that is started may be a copy of one that the same operation has ended.
        for starts in [false, true] {
            for run in &self.landed.touched.runs {
                if starts == started.contains(run) {
                    self.history(*run)?;
                }
            }
        }
        self.children_were_told()?;
        for index in 0..self.landed.touched.tasks.len() {
            self.task(&self.landed.touched.tasks[index])?;
        }
        for index in 0..self.landed.touched.runs.len() {
            let run = self.landed.touched.runs[index];
            self.caches(run)?;
            self.delivery_is_done(run)?;
            schedule::release_is_done(self.ghost, self.tables, run)?;
        }
        for index in 0..self.landed.touched.tasks.len() {
            let run = self.landed.touched.tasks[index].run;
            if self.ghost.runs.contains_key(&run) {
                self.delivery_is_done(run)?;
                schedule::release_is_done(self.ghost, self.tables, run)?;
            }
        }
        self.schedules()?;
        self.answers()?;
        self.count_pauses();
        self.explained()
    }

    /// The payload of a journal row.
    fn row_payload(&self, id: RunId, seq: Seq) -> Option<Payload> {
        let row = self.tables.journal(id, seq).next();
        row.filter(|row| row.seq == seq)?.payload.clone()
    }

    /// Whether it was decided a while ago, and in doubt since.
    fn was_in_doubt(&self) -> bool {
        self.decided < self.now
    }

    /// The process that asked.
    fn process(&self) -> Option<ProcessId> {
        match self.asker {
            Asker::Process(id) => Some(id),
            Asker::Client => None,
        }
    }

    /// Snapshot and agenda against the fold of the journal.
    fn caches(&self, id: RunId) -> Check {
        let run = self.ghost.run(id);
        let row = self.tables.run(id).expect("a run that was written exists");
        ensure!(
            row.seq == run.seq && row.status == run.fold.status() && row.updated == run.at,
            JournalIsTruth,
            "run {id}: its row says {} at {}, its journal {} at {}",
            row.status,
            row.seq.0,
            run.fold.status(),
            run.seq.0
        );
        ensure!(
            row.state == run.fold.encode(),
            JournalIsTruth,
            "run {id}: the snapshot is not the fold at {}",
            row.seq.0
        );
        ensure!(
            run.ended.is_some() == row.status.is_terminal()
                && run.ended.is_none_or(|ended| ended == row.status),
            JournalIsTruth,
            "run {id} is {}, but should be {:?}",
            row.status,
            run.ended
        );
        agenda_matches(self.ghost, self.tables, id)
    }
}

/// Compares the agenda of a run with what its fold implies.
fn agenda_matches(ghost: &Ghost, tables: &Tables, id: RunId) -> Check {
    let run = ghost.run(id);
    let tasks: Vec<TaskRow> = tables.tasks_of(id).cloned().collect();
    match verify::agenda(&run.fold, &run.definition, &tasks).first() {
        Some(found) => broken(Promise::JournalIsTruth, format!("run {id}: {found}")),
        None if run.ended.is_some() && tasks.iter().any(dangles) => broken(
            Promise::TerminalIsFinal,
            format!(
                "run {id} has ended, and {} tasks of it are left",
                tasks.len()
            ),
        ),
        None => Ok(()),
    }
}

/// Of a run that has ended, only the report to its parent may be left to do.
fn dangles(task: &TaskRow) -> bool {
    task.kind != TaskKind::Delivery
}

/// Checks every run of the store from the beginning, with nothing but the store's own rows.
///
/// # Errors
/// The first discrepancy.
pub fn full_check(ghost: &Ghost, tables: &Tables) -> Check {
    ensure!(
        tables.runs().count() == ghost.runs.len(),
        Acknowledged,
        "{} runs were started, the store has {}",
        ghost.runs.len(),
        tables.runs().count()
    );
    for (id, run) in ghost.runs.iter().filter(|(_, run)| !run.unreadable) {
        let Some(row) = tables.run(*id) else {
            return broken(Promise::Acknowledged, format!("run {id} is gone"));
        };
        let tasks: Vec<TaskRow> = tables.tasks_of(*id).cloned().collect();
        let found = if run.spoilt.is_empty() {
            let journal = tables.journal(*id, Seq::FIRST).map(|row| &row.transition);
            verify::run(&run.definition, row, journal, &tasks)
        } else {
            let journal: Vec<StoredRow> = tables.stored(*id, Seq::FIRST).collect();
            let found = verify::stored(&run.definition, row, &journal, &tasks);
            spoilt_is_named(*id, run, found)?
        };
        if let Some(found) = found.first() {
            return broken(Promise::JournalIsTruth, format!("run {id}: {found}"));
        }
    }
    queue::queues_match(ghost, tables)?;
    schedule::schedules_match(ghost, tables)?;
    effects(ghost)
}

/// Whoever verifies a run names the journal rows that cannot be read, and no others. Gives what else was found.
fn spoilt_is_named(
    id: RunId,
    run: &GhostRun,
    mut found: Vec<Discrepancy>,
) -> Result<Vec<Discrepancy>, Box<Broken>> {
    let mut named = BTreeSet::new();
    found.retain(|found| match found {
        Discrepancy::Unreadable { seq, .. } => !named.insert(*seq),
        _ => true,
    });
    if named != run.spoilt {
        broken(
            Promise::JournalIsTruth,
            format!(
                "rows {:?} of run {id} cannot be read, and {named:?} are said to be",
                run.spoilt
            ),
        )?;
    }
    Ok(found)
}

/// Bodies that began against what the journal accounts for.
fn effects(ghost: &Ghost) -> Check {
    for (id, run) in &ghost.runs {
        for (index, step) in run.steps.iter().enumerate() {
            let name = &run.definition.steps()[index].name;
            for role in [Role::Step, Role::Undo] {
                let Some(tries) = step.tries(role) else {
                    continue;
                };
                // A claim that is there to record a loss stands for the attempt that was lost.
                let stands = |grant: &&Grant| match grant.item {
                    Item::Attempt => grant.body.is_some(),
                    Item::Loss => true,
                    Item::Wait
                    | Item::Deadline
                    | Item::Chore(_)
                    | Item::Delivery
                    | Item::Firing => false,
                };
                let out = ghost
                    .held_of(*id)
                    .filter(stands)
                    .filter(|grant| grant.step.at() == index && grant.role == role)
                    .count();
                let accounted = u64::from(tries.accounted()) + out as u64;
                // Whoever forces a cancel takes it upon himself that running attempts go unrecorded; so does nobody's run
                // that cannot be read.
                let excused = run.forced || run.unreadable;
                ensure!(
                    excused || u64::from(tries.begun) <= accounted,
                    EffectsAreCounted,
                    "run {id} step {name} ({role:?}) began {} times, the journal accounts for {accounted}",
                    tries.begun
                );
            }
        }
    }
    Ok(())
}
