//! A journal that is written one event after the other.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use squid_mesh_core::change::Change;
use squid_mesh_core::definition::{Definition, StepIndex};
use squid_mesh_core::eval;
use squid_mesh_core::event::{
    By, CancelRequested, ChildEnd, Event, Failure, Found, Resolution, Resolved, Role, Signalled,
    Started,
};
use squid_mesh_core::export::ExportedRun;
use squid_mesh_core::id::{CommandId, Life, RunId};
use squid_mesh_core::mutant::Mutation;
use squid_mesh_core::name::{DEFAULT_TRIGGER, Name};
use squid_mesh_core::operation::{JournalRow, RunRow};
use squid_mesh_core::payload::Payload;
use squid_mesh_core::run::{Facts, Run, Seq, Verdict};
use squid_mesh_core::store::StoredRow;
use squid_mesh_core::task::{Fence, Lane};
use squid_mesh_core::time::Timestamp;

const ID: RunId = RunId::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0000);
const START: Timestamp = Timestamp::from_micros(1_700_000_000_000_000);

/// A run with its journal.
pub(crate) struct Book {
    definition: Arc<Definition>,
    rows: Vec<JournalRow>,
    run: Run,
    now: Timestamp,
    claimed: BTreeSet<Lane>,
}

impl Book {
    /// Starts a run.
    pub(crate) fn start(draft: Value, input: &str) -> Book {
        let definition = Definition::parse(&draft).unwrap();
        let input = Payload::new(input.as_bytes());
        let started = Started {
            command: CommandId::from_u128(1),
            definition: definition.key().clone(),
            digest: definition.digest(),
            trigger: Name::stored(DEFAULT_TRIGGER),
            input: input.digest(),
            raw_input: input.digest(),
            key: None,
            labels: BTreeMap::new(),
            queue: None,
            priority: None,
            due: None,
            deadline: definition.deadline().map(|span| START.plus(span)),
            trace: None,
            parent: None,
            copy: None,
            by: By::default(),
        };
        let facts = Facts {
            now: START,
            claimed: None,
            mutation: Mutation::NONE,
        };
        let decided = Run::start(ID, Life(7), &definition, started, Vec::new(), facts);
        Book {
            definition: Arc::new(definition),
            rows: vec![JournalRow {
                run: ID,
                seq: Seq::FIRST,
                at: START,
                transition: decided.transition,
                payload: Some(input),
            }],
            run: decided.run,
            now: START,
            claimed: BTreeSet::new(),
        }
    }

    /// Sets the clock to so many seconds after the start.
    pub(crate) fn at(&mut self, seconds: u64) -> &mut Book {
        self.now = START.plus(Duration::from_secs(seconds));
        self
    }

    /// Somebody holds the step.
    pub(crate) fn claim(&mut self, step: &str) -> &mut Book {
        let armed = self.run.step(self.index(step)).stage.armed().unwrap();
        self.claimed.insert(armed.lane);
        self
    }

    /// Takes an event that fits, with its payload.
    pub(crate) fn take(&mut self, event: Event, payload: Option<Payload>) -> &mut Book {
        let facts = Facts {
            now: self.now,
            claimed: Some(&self.claimed),
            mutation: Mutation::NONE,
        };
        let decided = match self.run.decide(&self.definition, event, &facts) {
            Verdict::Decided(decided) => decided,
            other => panic!("{other:?}"),
        };
        self.rows.push(JournalRow {
            run: ID,
            seq: decided.transition.seq,
            at: decided.transition.at,
            transition: decided.transition,
            payload,
        });
        self.run = decided.run;
        self
    }

    pub(crate) fn succeeded(&mut self, step: &str, output: &str) -> &mut Book {
        self.returned(step, Role::Step, output)
    }

    pub(crate) fn returned(&mut self, step: &str, role: Role, output: &str) -> &mut Book {
        let output = Payload::new(output.as_bytes());
        let step = self.index(step);
        let event = Event::Succeeded {
            step,
            role,
            fence: self.fence(step, role),
            output: output.digest(),
            label: None,
        };
        self.take(event, Some(output))
    }

    pub(crate) fn failed(&mut self, step: &str, code: &str, retryable: bool) -> &mut Book {
        let failure = Failure::new(code, "it did not work", retryable);
        let payload = eval::failure_payload(&failure, None);
        let step = self.index(step);
        let event = Event::Failed {
            step,
            role: Role::Step,
            fence: self.fence(step, Role::Step),
            failure,
            payload: payload.digest(),
        };
        self.take(event, Some(payload))
    }

    pub(crate) fn lost(&mut self, step: &str, begun: bool) -> &mut Book {
        let payload = Payload::new(*b"{\"code\":\"lost\"}");
        let step = self.index(step);
        let event = Event::Lost {
            step,
            role: Role::Step,
            fence: self.fence(step, Role::Step),
            begun,
            payload: payload.digest(),
        };
        self.take(event, Some(payload))
    }

    pub(crate) fn evaluated(&mut self, step: &str, found: Found) -> &mut Book {
        let step = self.index(step);
        self.take(Event::Evaluated { step, found }, None)
    }

    pub(crate) fn resolved(&mut self, step: &str, verdict: Resolution, payload: &str) -> &mut Book {
        let payload = Payload::new(payload.as_bytes());
        let resolved = Resolved {
            command: self.command(),
            step: self.index(step),
            verdict,
            by: By::default(),
            payload: Some(payload.digest()),
        };
        self.take(Event::Resolved(Box::new(resolved)), Some(payload))
    }

    pub(crate) fn cancelled(&mut self, force: bool, undo: bool) -> &mut Book {
        let request = CancelRequested {
            command: self.command(),
            by: By::default(),
            force,
            undo,
        };
        self.take(Event::CancelRequested(Box::new(request)), None)
    }

    pub(crate) fn signalled(&mut self, signal: &str, payload: &str) -> &mut Book {
        let payload = Payload::new(payload.as_bytes());
        let signalled = Signalled {
            command: self.command(),
            signal: Name::stored(signal),
            by: By::default(),
            payload: payload.digest(),
        };
        self.take(Event::Signalled(Box::new(signalled)), Some(payload))
    }

    /// That many children of a step were started.
    pub(crate) fn spawned(&mut self, step: &str, upto: u32) -> &mut Book {
        let event = Event::Spawned {
            step: self.index(step),
            from: 0,
            upto,
            payload: None,
        };
        self.take(event, None)
    }

    pub(crate) fn child_ended(&mut self, step: &str, child: u32, end: ChildEnd) -> &mut Book {
        let payload = Payload::new(*b"[3,4]");
        let event = Event::ChildEnded {
            step: self.index(step),
            child,
            end,
            payload: payload.digest(),
        };
        self.take(event, Some(payload))
    }

    /// The time of a wait has come.
    pub(crate) fn due(&mut self, step: &str) -> &mut Book {
        let step = self.index(step);
        self.take(
            Event::Due {
                step,
                payload: None,
            },
            None,
        )
    }

    /// Changes what a row says that was decided, as another version might have.
    pub(crate) fn rewrite(&mut self, at: usize, change: impl FnOnce(&mut Vec<Change>)) {
        change(&mut self.rows[at].transition.changes);
    }

    pub(crate) fn exported(&self, payloads: bool) -> ExportedRun {
        let row = RunRow {
            id: ID,
            life: self.run.life(),
            definition: self.definition.key().clone(),
            seq: self.run.seq(),
            status: self.run.status(),
            state: self.run.encode(),
            parent: None,
            source: None,
            schedule: None,
            labels: BTreeMap::new(),
            created: START,
            updated: self.run.at(),
        };
        let rows = self.rows.iter().cloned().map(|row| StoredRow {
            seq: row.seq,
            row: Ok(row),
        });
        ExportedRun::of(&row, Arc::clone(&self.definition), rows.collect(), payloads).unwrap()
    }

    fn index(&self, step: &str) -> StepIndex {
        self.definition.index_of(step).unwrap()
    }

    fn fence(&self, step: StepIndex, role: Role) -> Fence {
        let state = self.run.step(step);
        let armed = match role {
            Role::Step => state.stage.armed(),
            Role::Undo => state.undoing(),
        };
        Fence {
            seq: armed.unwrap().seq,
            claims: 1,
        }
    }

    fn command(&self) -> CommandId {
        CommandId::from_u128(100 + u128::from(self.run.seq().0))
    }
}

/// A run that completed by way of every kind of event that a run without children has on its way there.
pub(crate) fn every_event() -> Book {
    let mut book = Book::start(
        json!({
            "name": "order", "version": 2,
            "steps": [
                {"name": "charge", "handler": "charge", "input": "input", "retry": {"max_attempts": 50, "max_lost": 50}},
                {"name": "note", "log": "charged", "needs": ["charge"]},
                {"name": "rest", "wait": "5s", "needs": ["note"]},
                {"name": "review", "approval": {}, "needs": ["rest"]},
                {"name": "paid", "signal": {"name": "paid"}, "when": {"step": "review", "label": "approved"}},
                {"name": "no", "handler": "apologise", "when": {"step": "review", "label": "rejected"}},
                {"name": "ship", "handler": "ship", "needs": ["paid"], "when": {"step": "review", "label": "approved"}, "on_lost": "hold", "retry": {"max_attempts": 50}},
            ],
        }),
        "{\"cents\":500}",
    );
    book.at(1).failed("charge", "busy", true);
    book.at(30).lost("charge", false);
    let step = book.index("charge");
    let conflict = Payload::new(*b"{\"code\":\"conflict\"}");
    let event = Event::Conflicted {
        step,
        fence: book.fence(step, Role::Step),
        payload: conflict.digest(),
    };
    book.at(60).take(event, Some(conflict));
    book.at(61).signalled("paid", "{\"by\":\"card\"}");
    book.at(62).succeeded("charge", "{\"receipt\": 1}");
    book.evaluated("note", Found::Logged);
    book.at(90).due("rest");
    book.at(91)
        .resolved("review", Resolution::Approve, "{\"decision\":\"approved\"}");
    book.at(120).lost("ship", true);
    book.at(130)
        .resolved("ship", Resolution::Succeeded { label: None }, "\"sent\"");
    assert!(book.run.is_ended(), "{:?}", book.run);
    book
}

/// A run that was cancelled while one step was held and another was not, and took back what it had done.
pub(crate) fn wound_up() -> Book {
    let mut book = Book::start(
        json!({
            "name": "pair", "version": 1,
            "steps": [
                {"name": "charge", "handler": "charge", "undo": {"handler": "refund"}},
                {"name": "ship", "handler": "ship", "needs": ["charge"]},
                {"name": "thank", "handler": "thank", "needs": ["charge"]},
            ],
        }),
        "null",
    );
    book.at(1).succeeded("charge", "1");
    book.at(2).claim("ship").cancelled(false, true);
    book.at(3).failed("ship", "stopped", true);
    book.at(4).returned("charge", Role::Undo, "null");
    assert!(book.run.is_ended(), "{:?}", book.run);
    book
}

/// A run with a child that it starts, one that a handler calls, and several that are gathered; one of those fails, and the rest
/// are told to cancel.
pub(crate) fn with_children() -> Book {
    let mut book = Book::start(
        json!({
            "name": "parent", "version": 1,
            "steps": [
                {"name": "sub", "child": {"workflow": "other"}, "input": "input"},
                {"name": "calls", "handler": "calls", "needs": ["sub"]},
                {"name": "all", "each": {"workflow": "other", "collect": true}, "input": "output(sub)"},
                {"name": "some", "each": {"workflow": "other"}, "input": "output(sub)", "needs": ["all", "calls"]},
            ],
        }),
        "[1,2]",
    );
    book.at(1).spawned("sub", 1);
    book.at(2).child_ended("sub", 0, ChildEnd::Completed);
    let step = book.index("calls");
    let fence = book.fence(step, Role::Step);
    let run = RunId::child(ID, step, 0);
    let detached = false;
    book.claim("calls").take(
        Event::Called {
            step,
            fence,
            run,
            detached,
        },
        None,
    );
    book.at(3).child_ended("calls", 0, ChildEnd::Completed);
    book.succeeded("calls", "null");
    book.evaluated("all", Found::Children { count: 2 });
    book.spawned("all", 2);
    book.at(4).child_ended("all", 0, ChildEnd::Completed);
    book.child_ended("all", 1, ChildEnd::Cancelled);
    let (step, output) = (book.index("all"), Payload::new(*b"[1,2]"));
    let event = Event::Collected {
        step,
        output: output.digest(),
    };
    book.at(5).take(event, Some(output));
    book.evaluated("some", Found::Children { count: 2 });
    book.spawned("some", 2);
    book.at(6).child_ended("some", 0, ChildEnd::Failed);
    let step = book.index("some");
    book.take(Event::Recalled { step, upto: 2 }, None);
    book.at(7).child_ended("some", 1, ChildEnd::Cancelled);
    assert!(book.run.is_ended(), "{:?}", book.run);
    book
}

/// A run whose deadline came while a step was held, and a gate expired before.
pub(crate) fn too_late() -> Book {
    let mut book = Book::start(
        json!({
            "name": "slow", "version": 1, "deadline": "1h",
            "steps": [
                {"name": "gate", "pause": {"deadline": "1m"}},
                {"name": "expired", "handler": "work", "when": {"step": "gate", "label": "expired"}},
                {"name": "resumed", "handler": "work", "when": {"step": "gate", "label": "resumed"}},
            ],
        }),
        "null",
    );
    let output = Payload::new(*b"{\"decision\":\"expired\"}");
    let event = Event::Due {
        step: book.index("gate"),
        payload: Some(output.digest()),
    };
    book.at(60).take(event, Some(output));
    let failure = Payload::new(*b"{\"code\":\"deadline_exceeded\"}");
    let event = Event::DeadlineReached {
        payload: failure.digest(),
    };
    book.claim("expired").at(3_600).take(event, Some(failure));
    book.at(3_601).succeeded("expired", "1");
    assert!(book.run.is_ended(), "{:?}", book.run);
    book
}
