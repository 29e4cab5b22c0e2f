//! A store of few rows, one operation at a time: enough to see what operations do to each other.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use squid_mesh_core::definition::{Definition, DefinitionKey};
use squid_mesh_core::event::By;
use squid_mesh_core::id::{CommandId, Incarnation, Life, RunId, Shard};
use squid_mesh_core::mutant::Mutation;
use squid_mesh_core::name::{DEFAULT_TRIGGER, Name};
use squid_mesh_core::operation::{
    Cancel, CancelReply, CommandReply, Decision, Entry, EntryReply, Found, Group, GroupReply,
    JournalRow, Offer, Operation, OperatorEntry, Outcome, ReadSet, Rejection, Reply, Report,
    Resolve, Ruling, RunRow, Settle, Signal, SlotReply, Start, StartReply, Submit, View, Writes,
};
use squid_mesh_core::payload::Payload;
use squid_mesh_core::run::Run;
use squid_mesh_core::schedule::{Schedule, ScheduleId, ScheduleRow};
use squid_mesh_core::task::{Lane, TaskKey, TaskRow};
use squid_mesh_core::time::Timestamp;
use squid_mesh_core::verify;

use super::{command, due};

#[derive(Clone, Debug)]
pub(crate) struct Desk {
    pub(crate) now: Timestamp,
    definitions: BTreeMap<DefinitionKey, Arc<Definition>>,
    runs: BTreeMap<RunId, RunRow>,
    tasks: BTreeMap<TaskKey, TaskRow>,
    journal: Vec<JournalRow>,
    schedules: BTreeMap<ScheduleId, ScheduleRow>,
    pub(crate) log: BTreeMap<CommandId, OperatorEntry>,
}

pub(crate) fn run_id(number: u128) -> RunId {
    RunId::from_u128(number << 64)
}

impl Desk {
    pub(crate) fn new(definitions: impl IntoIterator<Item = Definition>) -> Desk {
        let keyed = |definition: Definition| (definition.key().clone(), Arc::new(definition));
        Desk {
            now: due(0),
            definitions: definitions.into_iter().map(keyed).collect(),
            runs: BTreeMap::new(),
            tasks: BTreeMap::new(),
            journal: Vec::new(),
            schedules: BTreeMap::new(),
            log: BTreeMap::new(),
        }
    }

    pub(crate) fn perform(&mut self, operation: &Operation) -> Reply {
        let mut view = View {
            now: self.now,
            mutation: Mutation::NONE,
            ..View::default()
        };
        self.read(&mut view, operation.reads());
        let mut decision = operation.decide(&view);
        if let Decision::Need(further) = decision {
            self.read(&mut view, further);
            decision = operation.decide(&view);
        }
        let Decision::Done { writes, reply } = decision else {
            panic!("it reads twice at most");
        };
        self.write(writes);
        reply
    }

    fn read(&self, view: &mut View, set: ReadSet) {
        let keys = set.runs.iter().filter_map(|run| self.runs.get(run));
        let keys = keys.map(|row| &row.definition).chain(&set.definitions);
        for key in keys {
            let found = self.definitions.get(key);
            view.definitions
                .extend(found.map(|found| (key.clone(), Arc::clone(found))));
        }
        for id in set.schedules {
            let found = self.schedules.get(&id).cloned();
            view.schedules
                .insert(id, found.map_or(Found::Absent, Found::Row));
        }
        if let Some(entry) = set.entry {
            view.entry = self.log.get(&entry).cloned();
        }
        for run in set.runs {
            let found = self.runs.get(&run).cloned();
            view.runs
                .insert(run, found.map_or(Found::Absent, Found::Row));
        }
        for key in set.tasks {
            let found = self.tasks.get(&key).cloned();
            view.tasks
                .insert(key, found.map_or(Found::Absent, Found::Row));
        }
        for run in set.tasks_of {
            let rows = self.tasks_of(run);
            view.tasks
                .extend(rows.into_iter().map(|row| (row.key, Found::Row(row))));
            view.tasks_of.insert(run);
        }
    }

    fn write(&mut self, writes: Writes) {
        let updated = writes.runs_updated.into_iter().map(|update| update.row);
        let touched: Vec<RunRow> = writes.runs_inserted.into_iter().chain(updated).collect();
        for (key, fence) in writes.tasks_deleted {
            let gone = self
                .tasks
                .remove(&key)
                .expect("a task that is deleted was there");
            assert_eq!(gone.fence, fence);
        }
        let updated = writes.tasks_updated.into_iter().map(|update| update.row);
        for row in writes.tasks_inserted.into_iter().chain(updated) {
            self.tasks.insert(row.key, row);
        }
        self.journal.extend(writes.journal);
        for (id, seq) in writes.schedules_deleted {
            let gone = self.schedules.remove(&id).expect("it was there");
            assert_eq!(gone.seq, seq);
        }
        for update in writes.schedules_updated {
            let before = self.schedules.insert(update.row.id, update.row.clone());
            let before = before.expect("a schedule that is updated was there");
            assert_eq!((before.seq, before.life), (update.was, update.row.life));
            assert_eq!(update.row.seq, update.was.next());
            let declared = |row: &ScheduleRow| (row.version, row.plan.clone(), row.input.clone());
            assert!(update.declared || declared(&before) == declared(&update.row));
        }
        for row in writes.schedules_inserted {
            assert!(self.schedules.insert(row.id, row).is_none(), "it is new");
        }
        if let Some(entry) = writes.entry {
            assert!(self.log.insert(entry.id, entry).is_none(), "it is new");
        }
        self.check_schedules();
        for row in touched {
            let id = row.id;
            self.runs.insert(id, row);
            self.check(id);
        }
    }

    /// The task of a schedule follows from its row, leases aside.
    fn check_schedules(&self) {
        for row in self.schedules.values() {
            let schedule = row.read().expect("a schedule reads back");
            let task = self.tasks.get(&schedule.id.task());
            let plain = task.map(|task| (task.fence.seq, task.life, task.brief.clone()));
            let implied = schedule.task();
            assert_eq!(
                plain,
                implied.map(|task| (task.fence.seq, task.life, task.brief))
            );
        }
    }

    pub(crate) fn schedule(&self, id: ScheduleId) -> Option<Schedule> {
        let row = self.schedules.get(&id)?;
        Some(row.read().expect("a schedule reads back"))
    }

    /// Every run that a schedule has started, in the order of their occurrences.
    pub(crate) fn runs_of(&self, id: ScheduleId) -> Vec<(Timestamp, RunId)> {
        let of = |row: &&RunRow| row.schedule == Some(id);
        let occurrence = |row: &RunRow| self.run(row.id).origin().occurrence.clone();
        let mut runs: Vec<(Timestamp, RunId)> = self
            .runs
            .values()
            .filter(of)
            .map(|row| (occurrence(row).expect("it has one").at, row.id))
            .collect();
        runs.sort_unstable();
        runs
    }

    fn check(&self, id: RunId) {
        let row = &self.runs[&id];
        let journal = self.journal(id).map(|row| &row.transition);
        let definition = &self.definitions[&row.definition];
        assert_eq!(
            verify::run(definition, row, journal, &self.tasks_of(id)),
            []
        );
    }

    pub(crate) fn journal(&self, id: RunId) -> impl Iterator<Item = &JournalRow> {
        self.journal.iter().filter(move |row| row.run == id)
    }

    /// The payload that came with that row.
    pub(crate) fn payload(&self, id: RunId, seq: u32) -> String {
        let row = self.journal(id).find(|row| row.seq.0 == seq);
        let payload = row.and_then(|row| row.payload.clone());
        let bytes = payload.expect("the row has a payload").bytes().to_vec();
        String::from_utf8(bytes).expect("payloads are text")
    }

    pub(crate) fn tasks_of(&self, id: RunId) -> Vec<TaskRow> {
        let rows = self.tasks.values().filter(|row| row.key.run == id);
        rows.cloned().collect()
    }

    pub(crate) fn run(&self, id: RunId) -> Run {
        Run::decode(&self.runs[&id].state).expect("a snapshot reads back")
    }

    /// Loses a run, as retention does once it has ended.
    pub(crate) fn forget(&mut self, id: RunId) {
        self.runs.remove(&id);
        self.tasks.retain(|key, _| key.run != id);
    }

    pub(crate) fn row(&self, id: RunId) -> Option<&RunRow> {
        self.runs.get(&id)
    }

    pub(crate) fn start_of(&self, number: u128, key: &DefinitionKey) -> Start {
        let life = Life(u64::try_from(number).expect("few runs are started"));
        let command = CommandId::from_u128(number);
        Start::new(run_id(number), life, command, key.clone(), Payload::null())
    }

    pub(crate) fn submit(&mut self, entries: Vec<Entry>) -> GroupReply {
        let submit = Submit {
            shard: Shard::default(),
            groups: vec![Group { entries }],
            offer: None,
            wait: true,
        };
        match self.perform(&Operation::Submit(submit)) {
            Reply::Submitted { mut groups, .. } => groups.remove(0),
            other => panic!("{other:?}"),
        }
    }

    fn entry(&mut self, entry: Entry) -> Result<EntryReply, Rejection> {
        match self.submit(vec![entry]) {
            GroupReply::Done(mut done) => Ok(done.remove(0)),
            GroupReply::Refused { rejection, .. } => Err(rejection),
            GroupReply::Busy => panic!("nobody else is there"),
        }
    }

    pub(crate) fn start(&mut self, start: Start) -> Result<StartReply, Rejection> {
        match self.entry(Entry::Start(Box::new(start)))? {
            EntryReply::Started(reply) => Ok(reply),
            other => panic!("{other:?}"),
        }
    }

    /// Starts a run of the first definition.
    pub(crate) fn started(&mut self, number: u128) -> RunId {
        let key = self
            .definitions
            .keys()
            .next()
            .expect("there is one")
            .clone();
        let start = self.start_of(number, &key);
        self.start(start).expect("it fits").run
    }

    pub(crate) fn cancel(&mut self, cancel: Cancel) -> Result<CancelReply, Rejection> {
        match self.entry(Entry::Cancel(cancel))? {
            EntryReply::Cancelled(reply) => Ok(reply),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn resolve(&mut self, resolve: Resolve) -> Result<CommandReply, Rejection> {
        match self.entry(Entry::Resolve(Box::new(resolve)))? {
            EntryReply::Obeyed(reply) => Ok(reply),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn signal(&mut self, signal: Signal) -> Result<CommandReply, Rejection> {
        match self.entry(Entry::Signal(Box::new(signal)))? {
            EntryReply::Obeyed(reply) => Ok(reply),
            other => panic!("{other:?}"),
        }
    }

    /// Leases the task of that lane to a worker.
    pub(crate) fn claim(&mut self, run: RunId, lane: u16) -> TaskRow {
        let lane = Lane(lane);
        let row = self.tasks.get_mut(&TaskKey { run, lane });
        let row = row.expect("the lane has a task");
        row.expired = row.owner.is_some();
        row.owner = Some(Incarnation::from_u128(1));
        row.fence.claims += 1;
        row.clone()
    }

    /// Marks the task of that lane as begun, as its worker does before the body of a step that is held when lost.
    pub(crate) fn mark_begun(&mut self, run: RunId, lane: u16) {
        let lane = Lane(lane);
        let row = self.tasks.get_mut(&TaskKey { run, lane });
        row.expect("the lane has a task").begun = true;
    }

    pub(crate) fn settle(&mut self, row: &TaskRow, outcome: Outcome) -> SlotReply {
        let report = Report {
            key: row.key,
            step: row.step,
            token: row.token().expect("it was claimed"),
            outcome,
        };
        let settle = Settle {
            shard: Shard::default(),
            reports: vec![report],
            offer: Offer {
                worker: Incarnation::from_u128(1),
                handlers: Arc::new(BTreeSet::new()),
                queues: Vec::new(),
                engine: 0,
                lease: super::secs(30),
            },
            wait: true,
        };
        match self.perform(&Operation::Settle(settle)) {
            Reply::Settled { mut slots, .. } => slots.remove(0),
            other => panic!("{other:?}"),
        }
    }

    /// Claims the task of that lane and has it end so.
    pub(crate) fn finish(&mut self, run: RunId, lane: u16, outcome: Outcome) {
        let row = self.claim(run, lane);
        self.finish_claimed(&row, outcome);
    }

    pub(crate) fn finish_claimed(&mut self, row: &TaskRow, outcome: Outcome) {
        assert_eq!(self.settle(row, outcome), SlotReply::Accepted);
    }
}

pub(crate) fn output(text: &str) -> Outcome {
    Outcome::Succeeded {
        output: Payload::new(text.as_bytes()),
        label: None,
    }
}

pub(crate) fn failing(failure: squid_mesh_core::event::Failure) -> Outcome {
    let details = None;
    Outcome::Failed { failure, details }
}

pub(crate) fn plain_cancel(run: RunId, number: u128) -> Cancel {
    Cancel {
        run,
        command: command(number),
        by: By::default(),
        force: false,
        undo: false,
    }
}

/// A decision by Ana.
pub(crate) fn resolving(run: RunId, number: u128, step: Option<&str>, ruling: Ruling) -> Resolve {
    Resolve {
        run,
        command: command(number),
        step: step.map(Name::stored),
        ruling,
        by: By {
            actor: Some("ana".into()),
            ..By::default()
        },
    }
}

pub(crate) fn signalling(run: RunId, number: u128, signal: &str) -> Signal {
    Signal {
        run,
        command: command(number),
        signal: Name::stored(signal),
        payload: Payload::null(),
        by: By::default(),
    }
}
