//! A store, two workers and a clock that moves when told to.

use std::sync::Arc;
use std::time::Duration;

use squid_mesh_core::definition::{Definition, Draft, DraftBinding, DraftSource, DraftStep};
use squid_mesh_core::event::By;
use squid_mesh_core::event::Failure;
use squid_mesh_core::explain::{Explanation, explain};
use squid_mesh_core::id::{CommandId, Incarnation, Life, RunId, Shard, Shards};
use squid_mesh_core::name::Name;
use squid_mesh_core::operation::{
    Cancel, CancelReply, Claim, Claimed, Entry, EntryReply, Group, GroupReply, HandlerSet, Held,
    HeldReply, Leases, Offer, Operation, Outcome, QueueDemand, Register, Registration, Rejection,
    Reply, Report, Settle, SlotReply, Start, StartReply, Submit, WorkerRow,
};
use squid_mesh_core::payload::Payload;
use squid_mesh_core::run::{Run, Seq, Status};
use squid_mesh_core::task::{Item, TaskRow};
use squid_mesh_core::time::Timestamp;
use squid_mesh_core::verify;
use squid_mesh_sim::store::{Conditions, Tables};

pub(crate) const LEASE: Duration = Duration::from_secs(30);

pub(crate) const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(crate) fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

/// Steps that each take the output of the one before.
pub(crate) fn chain(length: usize) -> Draft {
    let names: Vec<String> = (0..length).map(|index| format!("s{index}")).collect();
    let step = |(index, own): (usize, &String)| {
        let source = match index.checked_sub(1) {
            Some(before) => DraftSource::output(names[before].clone()),
            None => DraftSource::input(),
        };
        DraftStep {
            input: DraftBinding::Whole(source),
            ..DraftStep::handler(own, "work")
        }
    };
    Draft {
        steps: names.iter().enumerate().map(step).collect(),
        ..Draft::new("order", 1)
    }
}

pub(crate) struct Desk {
    pub(crate) tables: Tables,
    pub(crate) now: Timestamp,
    pub(crate) definition: Arc<Definition>,
    claims: u64,
    commands: u128,
}

impl Desk {
    /// A store with this workflow and two workers, 1 and 2, that have its handlers.
    pub(crate) fn new(draft: Draft) -> Desk {
        let definition = Arc::new(Definition::validate(draft).unwrap());
        let now = Timestamp::from_micros(1_700_000_000_000_000);
        let tables = Tables::new(Shards::ONE);
        let mut desk = Desk {
            tables,
            now,
            definition,
            claims: 0,
            commands: 0,
        };
        for worker in [1, 2] {
            desk.register(worker);
        }
        desk
    }

    pub(crate) fn register(&mut self, worker: u128) {
        let registration = Registration {
            incarnation: Incarnation::from_u128(worker),
            name: format!("worker {worker}"),
            handlers: Arc::new(self.handlers()),
            queues: self.queues(),
        };
        let register = Register {
            worker: Some(registration),
            definitions: vec![Arc::clone(&self.definition)],
        };
        assert_eq!(
            self.perform(&Operation::Register(register)),
            Reply::Registered(Vec::new())
        );
    }

    fn handlers(&self) -> HandlerSet {
        self.definition.handlers().into_iter().cloned().collect()
    }

    fn queues(&self) -> Vec<Name> {
        let own = self
            .definition
            .steps()
            .iter()
            .filter_map(|step| step.queue.clone());
        let mut queues: Vec<Name> = own.chain([self.definition.queue().clone()]).collect();
        queues.sort();
        queues.dedup();
        queues
    }

    /// Moves the clock.
    pub(crate) fn pass(&mut self, span: Duration) {
        self.now = self.now.plus(span);
    }

    pub(crate) fn perform(&mut self, operation: &Operation) -> Reply {
        let conditions = Conditions::at(self.now);
        let landed = self.tables.perform(operation, conditions).unwrap().done();
        for run in landed.touched.runs {
            self.check(run);
        }
        landed.reply
    }

    /// The run's row and tasks are what its journal says.
    fn check(&self, run: RunId) {
        let row = self.tables.run(run).unwrap();
        let journal = self
            .tables
            .journal(run, Seq::FIRST)
            .map(|row| &row.transition);
        let tasks: Vec<TaskRow> = self.tables.tasks_of(run).cloned().collect();
        assert_eq!(verify::run(&self.definition, row, journal, &tasks), []);
    }

    pub(crate) fn offer(&self, worker: u128, slots: u32) -> Offer {
        let demand = |queue| QueueDemand {
            queue,
            slots,
            floor: None,
        };
        Offer {
            worker: Incarnation::from_u128(worker),
            handlers: Arc::new(self.handlers()),
            queues: self.queues().into_iter().map(demand).collect(),
            engine: 8,
            lease: LEASE,
        }
    }

    pub(crate) fn a_start(&mut self) -> Start {
        self.commands += 1;
        let run = RunId::from_u128(self.commands << 64);
        let command = CommandId::from_u128(self.commands);
        let key = self.definition.key().clone();
        Start::new(run, Life(1), command, key, Payload::null())
    }

    pub(crate) fn submit(&mut self, entries: Vec<Entry>) -> GroupReply {
        let submit = Submit {
            shard: Shard::default(),
            groups: vec![Group { entries }],
            offer: None,
            wait: true,
        };
        let Reply::Submitted { mut groups, .. } = self.perform(&Operation::Submit(submit)) else {
            panic!("a submit is answered as one");
        };
        groups.remove(0)
    }

    pub(crate) fn try_start(&mut self, start: Start) -> Result<StartReply, Rejection> {
        match self.submit(vec![Entry::Start(Box::new(start))]) {
            GroupReply::Done(done) => match done[..] {
                [EntryReply::Started(reply)] => Ok(reply),
                ref other => panic!("{other:?}"),
            },
            GroupReply::Refused { rejection, .. } => Err(rejection),
            GroupReply::Busy => panic!("nobody else is there"),
        }
    }

    pub(crate) fn start(&mut self) -> RunId {
        let start = self.a_start();
        self.try_start(start).unwrap().run
    }

    pub(crate) fn try_cancel(&mut self, run: RunId, force: bool) -> Result<CancelReply, Rejection> {
        self.commands += 1;
        let command = CommandId::from_u128(self.commands);
        let cancel = Cancel {
            run,
            command,
            by: By::default(),
            force,
            undo: false,
        };
        match self.submit(vec![Entry::Cancel(cancel)]) {
            GroupReply::Done(done) => match done[..] {
                [EntryReply::Cancelled(reply)] => Ok(reply),
                ref other => panic!("{other:?}"),
            },
            GroupReply::Refused { rejection, .. } => Err(rejection),
            GroupReply::Busy => panic!("nobody else is there"),
        }
    }

    pub(crate) fn claim_operation(&mut self, worker: u128, slots: u32) -> Operation {
        self.claims += 1;
        let offer = self.offer(worker, slots);
        Operation::Claim(Claim {
            shard: Shard::default(),
            number: self.claims,
            offer,
        })
    }

    pub(crate) fn claim_up_to(&mut self, worker: u128, slots: u32) -> Claimed {
        let operation = self.claim_operation(worker, slots);
        let Reply::Claimed(claimed) = self.perform(&operation) else {
            panic!("a claim is answered as one")
        };
        claimed
    }

    pub(crate) fn claim(&mut self, worker: u128) -> Vec<TaskRow> {
        self.claim_up_to(worker, 8).tasks
    }

    /// Claims the one task that is due.
    pub(crate) fn claim_one(&mut self, worker: u128) -> TaskRow {
        let mut tasks = self.claim(worker);
        assert_eq!(tasks.len(), 1, "{tasks:?}");
        tasks.remove(0)
    }

    pub(crate) fn settle_operation(
        &self,
        worker: u128,
        reports: Vec<Report>,
        slots: u32,
    ) -> Operation {
        let offer = self.offer(worker, slots);
        Operation::Settle(Settle {
            shard: Shard::default(),
            reports,
            offer,
            wait: true,
        })
    }

    /// Reports without offering slots.
    pub(crate) fn settle(&mut self, worker: u128, report: Report) -> SlotReply {
        let operation = self.settle_operation(worker, vec![report], 0);
        let Reply::Settled { mut slots, .. } = self.perform(&operation) else {
            panic!("a settle is answered as one");
        };
        slots.remove(0)
    }

    /// Claims whatever engine items are due, and settles them.
    pub(crate) fn run_engine(&mut self, worker: u128) -> usize {
        let items = self.claim(worker);
        for item in &items {
            assert_eq!(self.settle(worker, engine(item)), SlotReply::Accepted);
        }
        items.len()
    }

    pub(crate) fn leases(&mut self, leases: Leases) -> Vec<HeldReply> {
        let Reply::Leased(replies) = self.perform(&Operation::Lease(leases)) else {
            panic!("leases are answered as such");
        };
        replies
    }

    pub(crate) fn run(&self, id: RunId) -> Run {
        Run::decode(&self.tables.run(id).unwrap().state).unwrap()
    }

    /// What the run's journal folds to, with nothing but the definition to go by.
    pub(crate) fn folded(&self, id: RunId) -> Run {
        let journal = self
            .tables
            .journal(id, Seq::FIRST)
            .map(|row| &row.transition);
        let row = self.tables.run(id).unwrap();
        Run::fold(id, row.life, self.definition.steps().len(), journal).unwrap()
    }

    pub(crate) fn explain(&self, id: RunId) -> Explanation {
        let record = self.tables.record(id, self.now).unwrap();
        let workers: Vec<WorkerRow> = self.tables.workers().into_iter().cloned().collect();
        explain(&record, &self.definition, &workers)
    }

    pub(crate) fn status(&self, id: RunId) -> Status {
        self.run(id).status()
    }

    pub(crate) fn journal_length(&self, id: RunId) -> usize {
        self.tables.journal(id, Seq::FIRST).count()
    }
}

fn report(task: &TaskRow, outcome: Outcome) -> Report {
    Report {
        key: task.key,
        step: task.step,
        token: task.token().unwrap(),
        outcome,
    }
}

pub(crate) fn success(task: &TaskRow) -> Report {
    report(
        task,
        Outcome::Succeeded {
            output: Payload::new(*b"{\"ok\":true}"),
            label: None,
        },
    )
}

pub(crate) fn failure(task: &TaskRow, retryable: bool) -> Report {
    report(
        task,
        Outcome::Failed {
            failure: Failure::new("down", "no answer", retryable),
            details: None,
        },
    )
}

pub(crate) fn engine(task: &TaskRow) -> Report {
    assert_ne!(task.item(), Item::Attempt);
    report(task, Outcome::Engine(task.item()))
}

pub(crate) fn held(task: &TaskRow) -> Held {
    Held {
        key: task.key,
        token: task.token().unwrap(),
    }
}

pub(crate) fn no_leases() -> Leases {
    Leases {
        shard: Shard::default(),
        lease: LEASE,
        renew: Vec::new(),
        begun: Vec::new(),
        hand_back: Vec::new(),
    }
}
