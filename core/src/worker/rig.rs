//! A worker under test: inputs at moments go in, exact lists of actions come out.

use std::sync::Arc;
use std::time::Duration;

use super::{Action, AttemptId, Config, Input, QueueConfig, Reason, Ticket, Worker};
use crate::definition::{
    Definition, DefinitionKey, Draft, DraftBinding, DraftSource, DraftStep, StepIndex,
};
use crate::event::By;
use crate::id::{CommandId, Incarnation, Life, RunId, Shards};
use crate::limits;
use crate::mutant::Mutation;
use crate::name::{ENGINE_QUEUE, Name};
use crate::operation::{
    Cancel, Claim, Claimed, Entry, Group, Leases, Operation, Reply, Settle, SlotReply, Start,
    Submit,
};
use crate::payload::{OutputRef, Payload};
use crate::run::Seq;
use crate::store::{Fetch, Fetched, StoreError};
use crate::task::sample::first_step;
use crate::task::{TaskKind, TaskRow, engine};
use crate::time::{Moment, Timestamp};

pub(super) const LEASE: Duration = Duration::from_secs(30);
pub(super) const ME: Incarnation = Incarnation::from_u128(7);

/// The database's clock at the worker's moment zero.
const CLOCK: Timestamp = Timestamp::from_micros(1_000_000_000);

pub(super) struct Rig {
    pub(super) worker: Worker,
    pub(super) now: Moment,
}

pub(super) fn config() -> Config {
    Config {
        incarnation: ME,
        name: "rig".into(),
        handlers: Arc::new([name("work")].into()),
        workflows: Arc::default(),
        queues: vec![QueueConfig {
            name: name("default"),
            slots: 4,
        }],
        shards: Shards::ONE,
        lease: LEASE,
        poll: Duration::from_secs(1),
        grace: Duration::from_secs(30),
        payload_limit: limits::PAYLOAD_BYTES_DEFAULT,
        settles: 1,
        mutation: Mutation::NONE,
    }
}

impl Rig {
    /// A worker that has not been polled.
    pub(super) fn of(config: Config) -> Rig {
        let now = Moment::from_micros(0);
        Rig {
            worker: Worker::new(config, now),
            now,
        }
    }

    /// A worker whose first claim found nothing, and that has the definition cached.
    pub(super) fn idle() -> Rig {
        Rig::idle_of(config())
    }

    pub(super) fn idle_of(config: Config) -> Rig {
        let mut rig = Rig::of(config);
        let (ticket, _) = rig.claim();
        rig.worker.cache.keep_definition(definition());
        rig.claimed(ticket, Claimed::default());
        assert_eq!(rig.actions(), []);
        rig
    }

    /// An idle worker that claimed these tasks at moment zero.
    pub(super) fn holding(tasks: Vec<TaskRow>) -> Rig {
        Rig::holding_of(config(), tasks)
    }

    pub(super) fn holding_of(config: Config, tasks: Vec<TaskRow>) -> Rig {
        let mut rig = Rig::of(config);
        rig.worker.cache.keep_definition(definition());
        let (ticket, _) = rig.claim();
        rig.claimed(
            ticket,
            Claimed {
                tasks,
                ..Claimed::default()
            },
        );
        rig
    }

    /// Moves the clock to so many milliseconds after its start.
    pub(super) fn at(&mut self, millis: u64) -> &mut Rig {
        self.now = Moment::from_micros(millis * 1_000);
        self
    }

    pub(super) fn handle(&mut self, input: Input) {
        self.worker.handle(input, self.now);
    }

    /// Every action there is.
    pub(super) fn actions(&mut self) -> Vec<Action> {
        std::iter::from_fn(|| self.worker.poll(self.now)).collect()
    }

    /// The only action there is, which performs an operation.
    pub(super) fn operation(&mut self) -> (Ticket, Operation) {
        match <[Action; 1]>::try_from(self.actions()) {
            Ok([Action::Perform { ticket, operation }]) => (ticket, operation),
            other => panic!("expected one operation, found {other:?}"),
        }
    }

    pub(super) fn claim(&mut self) -> (Ticket, Claim) {
        match self.operation() {
            (ticket, Operation::Claim(claim)) => (ticket, claim),
            (_, other) => panic!("expected a claim, found {other:?}"),
        }
    }

    pub(super) fn settle(&mut self) -> (Ticket, Settle) {
        match self.operation() {
            (ticket, Operation::Settle(settle)) => (ticket, settle),
            (_, other) => panic!("expected a settle, found {other:?}"),
        }
    }

    pub(super) fn leases(&mut self) -> (Ticket, Leases) {
        match self.operation() {
            (ticket, Operation::Lease(leases)) => (ticket, leases),
            (_, other) => panic!("expected an operation on leases, found {other:?}"),
        }
    }

    pub(super) fn submits(&mut self) -> (Ticket, Submit) {
        match self.operation() {
            (ticket, Operation::Submit(submit)) => (ticket, submit),
            (_, other) => panic!("expected a submit, found {other:?}"),
        }
    }

    pub(super) fn fetch(&mut self) -> (Ticket, Fetch) {
        match <[Action; 1]>::try_from(self.actions()) {
            Ok([Action::Fetch { ticket, wanted }]) => (ticket, wanted),
            other => panic!("expected one fetch, found {other:?}"),
        }
    }

    pub(super) fn reply(&mut self, ticket: Ticket, reply: Reply) {
        self.handle(Input::Performed {
            ticket,
            result: Ok(reply),
        });
    }

    pub(super) fn error(&mut self, ticket: Ticket, error: StoreError) {
        self.handle(Input::Performed {
            ticket,
            result: Err(error),
        });
    }

    pub(super) fn claimed(&mut self, ticket: Ticket, claimed: Claimed) {
        self.reply(
            ticket,
            Reply::Claimed(Claimed {
                now: CLOCK,
                ..claimed
            }),
        );
    }

    pub(super) fn settled(&mut self, ticket: Ticket, slots: Vec<SlotReply>, handed: Vec<TaskRow>) {
        self.reply(
            ticket,
            Reply::Settled {
                now: CLOCK,
                slots,
                handed,
                ended: Vec::new(),
                next_due: None,
            },
        );
    }

    pub(super) fn fetched(&mut self, ticket: Ticket, fetched: Fetched) {
        self.handle(Input::Fetched {
            ticket,
            result: Ok(fetched),
        });
    }

    pub(super) fn finish(&mut self, task: &TaskRow) {
        self.handle(Input::Finished {
            attempt: id_of(task),
            result: Ok(text("1").into()),
        });
    }

    /// Milliseconds until the next deadline, and what it is for.
    pub(super) fn deadline(&self) -> Option<(u64, Reason)> {
        self.worker
            .deadline()
            .map(|(at, reason)| (at.as_micros() / 1_000, reason))
    }
}

pub(super) fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

pub(super) fn text(text: &str) -> Payload {
    Payload::new(text.as_bytes())
}

pub(super) fn unavailable() -> StoreError {
    StoreError::Unavailable("gone".into())
}

/// A workflow of one step without input, one that takes the output of the first, and one that must not be repeated blindly
/// and returns a label.
pub(super) fn definition() -> Arc<Definition> {
    let mut draft = Draft::new("order", 1);
    let mut second = DraftStep::handler("second", "work");
    second.input = DraftBinding::Whole(DraftSource::output("first"));
    let third = DraftStep {
        irreversible: Some(true),
        labels: vec!["air".into(), "sea".into()],
        ..DraftStep::handler("third", "work")
    };
    draft.steps = vec![DraftStep::handler("first", "work"), second, third];
    Arc::new(Definition::validate(draft).unwrap())
}

pub(super) fn attempt_id(run: u128) -> AttemptId {
    id_of(&first(run))
}

pub(super) fn id_of(task: &TaskRow) -> AttemptId {
    AttemptId {
        key: task.key,
        token: task.token().unwrap(),
    }
}

/// The first step of a run, leased to the worker for a whole lease.
pub(super) fn first(run: u128) -> TaskRow {
    let mut row = first_step(RunId::from_u128(run << 16), "default");
    row.owner = Some(ME);
    row.due_at = CLOCK.plus(LEASE);
    row.fence.claims = 1;
    row
}

/// The second step of a run whose first one returned `output`.
pub(super) fn second(run: u128, output: &Payload) -> TaskRow {
    let mut task = first(run);
    task.step = StepIndex(1);
    task.fence.seq = Seq(2);
    task.brief.sources = vec![Some(OutputRef::here(Seq(2), output.digest()))];
    task
}

/// A step that is held when it is lost.
pub(super) fn third(run: u128) -> TaskRow {
    let mut task = first(run);
    task.step = StepIndex(2);
    task
}

/// The end of a wait.
pub(super) fn wait(run: u128) -> TaskRow {
    let mut task = first(run);
    task.kind = TaskKind::Wait;
    task.queue = Name::stored(ENGINE_QUEUE);
    task.handler = Name::stored(engine::WAIT);
    task
}

pub(super) fn start(run: u128) -> Group {
    let run = RunId::from_u128(run << 16);
    let key = DefinitionKey {
        name: name("order"),
        version: 1,
    };
    let start = Start::new(run, Life(1), CommandId::from_u128(1), key, text("{}"));
    Group {
        entries: vec![Entry::Start(Box::new(start))],
    }
}

pub(super) fn cancel(run: u128) -> Group {
    let run = RunId::from_u128(run << 16);
    let command = CommandId::from_u128(2);
    Group {
        entries: vec![Entry::Cancel(Cancel {
            run,
            command,
            by: By::default(),
            force: false,
            undo: false,
        })],
    }
}
