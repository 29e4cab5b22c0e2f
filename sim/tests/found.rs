//! Bugs that the simulator found, each as the shortest sequence of operations that shows it.

use std::sync::Arc;
use std::time::Duration;

use squid_mesh_core::definition::{Definition, Draft, DraftKind, DraftSpan, DraftStep};
use squid_mesh_core::event::By;
use squid_mesh_core::id::{CommandId, Incarnation, Life, RunId, Shard, Shards};
use squid_mesh_core::name::Name;
use squid_mesh_core::operation::{
    Cancel, Claim, Claimed, Entry, Group, HandlerSet, Held, Leases, Offer, Operation, Outcome,
    QueueDemand, Register, Registration, Reply, Report, Resolve, Ruling, Settle, SlotReply, Start,
    Submit,
};
use squid_mesh_core::payload::Payload;
use squid_mesh_core::run::Status;
use squid_mesh_core::schedule::ScheduleId;
use squid_mesh_core::task::TaskRow;
use squid_mesh_core::time::Timestamp;
use squid_mesh_sim::store::{Conditions, Tables};

const WORKER: Incarnation = Incarnation::from_u128(9);
const RUN: RunId = RunId::from_u128(77);
const SECOND: Duration = Duration::from_secs(1);

fn name(text: &str) -> Name {
    Name::new(text).expect("a proper name")
}

fn offer() -> Offer {
    let handlers: HandlerSet = [name("work")].into();
    Offer {
        worker: WORKER,
        handlers: Arc::new(handlers),
        queues: vec![QueueDemand {
            queue: name("default"),
            slots: 4,
            floor: None,
        }],
        engine: 4,
        lease: Duration::from_secs(30),
    }
}

/// Tables with this workflow and the worker, and the time.
struct Shop {
    tables: Tables,
    now: Timestamp,
}

impl Shop {
    fn open(draft: Draft) -> Shop {
        let definition = Arc::new(Definition::validate(draft).expect("a valid draft"));
        let worker = Registration {
            incarnation: WORKER,
            name: "worker".into(),
            handlers: offer().handlers,
            queues: vec![name("default")],
        };
        let mut shop = Shop {
            tables: Tables::new(Shards::ONE),
            now: Timestamp::from_micros(1_000_000),
        };
        shop.perform(&Operation::Register(Register {
            worker: Some(worker),
            definitions: vec![definition],
        }));
        shop
    }

    fn perform(&mut self, operation: &Operation) -> Reply {
        let landed = self.tables.perform(operation, Conditions::at(self.now));
        landed.expect("nothing is in the way").done().reply
    }

    fn claim(&mut self, number: u64) -> Claimed {
        let claim = Claim {
            shard: Shard::default(),
            number,
            offer: offer(),
        };
        match self.perform(&Operation::Claim(claim)) {
            Reply::Claimed(claimed) => claimed,
            other => panic!("{other:?}"),
        }
    }

    fn status(&self) -> Status {
        self.tables.run(RUN).expect("the run was started").status
    }
}

fn start(definition: &str) -> Entry {
    let key = squid_mesh_core::definition::DefinitionKey {
        name: name(definition),
        version: 1,
    };
    let command = CommandId::from_u128(1);
    let start = Start::new(RUN, Life(1), command, key, Payload::null());
    Entry::Start(Box::new(start))
}

fn submit(entries: Vec<Entry>, offer: Option<Offer>) -> Operation {
    let groups = entries.into_iter().map(|entry| Group {
        entries: vec![entry],
    });
    Operation::Submit(Submit {
        shard: Shard::default(),
        groups: groups.collect(),
        offer,
        wait: false,
    })
}

fn engine_report(row: &TaskRow) -> Report {
    Report {
        key: row.key,
        step: row.step,
        token: row.token().expect("a claimed task has a token"),
        outcome: Outcome::Engine(row.item()),
    }
}

#[test]
fn a_step_handed_off_in_the_settle_that_ends_its_run_is_taken_back() {
    let rest = DraftStep::wait("rest", SECOND);
    let work = DraftStep {
        needs: vec!["rest".into()],
        ..DraftStep::handler("work", "work")
    };
    let mut shop = Shop::open(Draft {
        steps: vec![rest, work],
        deadline: Some(DraftSpan::from(SECOND)),
        ..Draft::new("timed", 1)
    });
    shop.perform(&submit(vec![start("timed")], None));
    shop.now = shop.now.plus(SECOND);
    let mut due = shop.claim(1).tasks;
    due.sort_by_key(|row| row.kind);
    let reports: Vec<Report> = due.iter().map(engine_report).collect();
    assert_eq!(
        reports.len(),
        2,
        "the wait and the deadline are due at once"
    );
    let settle = Settle {
        shard: Shard::default(),
        reports,
        offer: offer(),
        wait: false,
    };
    let Reply::Settled { handed, .. } = shop.perform(&Operation::Settle(settle)) else {
        panic!("a settle is answered as a settle");
    };
    assert_eq!(handed, []);
    assert_eq!(shop.status(), Status::Failed);
    assert_eq!(shop.tables.tasks_of(RUN).count(), 0);
}

#[test]
fn a_step_is_not_taken_for_the_news_that_its_run_has_ended() {
    let mut shop = Shop::open(Draft {
        steps: vec![DraftStep::handler("work", "work")],
        ..Draft::new("plain", 1)
    });
    shop.perform(&submit(vec![start("plain")], None));
    let row = shop.claim(1).tasks.remove(0);
    // The token that its worker had for the news, before the store lost all of that.
    let mistaken = Report {
        outcome: Outcome::Released {
            schedule: ScheduleId::from_u128(5),
        },
        ..engine_report(&row)
    };
    shop.perform(&Operation::Settle(Settle {
        shard: Shard::default(),
        reports: vec![mistaken],
        offer: offer(),
        wait: false,
    }));
    let left: Vec<&TaskRow> = shop.tables.tasks_of(RUN).collect();
    assert_eq!(left, [&row]);
}

#[test]
fn a_repeated_submit_hands_out_again_what_was_told_to_stop_since() {
    let mut shop = Shop::open(Draft {
        steps: vec![DraftStep::handler("work", "work")],
        ..Draft::new("plain", 1)
    });
    let cancel = Entry::Cancel(Cancel {
        run: RUN,
        command: CommandId::from_u128(2),
        by: By::default(),
        force: false,
        undo: false,
    });
    shop.perform(&submit(vec![start("plain")], Some(offer())));
    let both = submit(vec![start("plain"), cancel], Some(offer()));
    let mut handed = Vec::new();
    for _ in 0..2 {
        let Reply::Submitted { handed: rows, .. } = shop.perform(&both) else {
            panic!("a submit is answered as a submit");
        };
        handed.push(rows);
    }
    assert_eq!(handed[0].len(), 1);
    assert_eq!(handed[0], handed[1]);
    assert_eq!(shop.status(), Status::Cancelling);
}

#[test]
fn a_claim_that_was_overtaken_by_a_later_one_takes_nothing_and_hides_nothing() {
    let mut shop = Shop::open(Draft {
        steps: ["a", "b"]
            .map(|step| DraftStep::handler(step, "work"))
            .into(),
        ..Draft::new("wide", 1)
    });
    assert_eq!(shop.claim(1).tasks.len(), 0);
    shop.perform(&submit(vec![start("wide")], None));
    let second = shop.claim(2).tasks;
    assert_eq!(second.len(), 2);
    let another = Entry::Start(Box::new(match start("wide") {
        Entry::Start(start) => Start {
            run: RunId::from_u128(78),
            ..*start
        },
        other => unreachable!("{other:?} is no start"),
    }));
    shop.perform(&submit(vec![another], None));
    assert_eq!(
        shop.claim(1).tasks.len(),
        0,
        "sent long before, landing late"
    );
    assert_eq!(
        shop.claim(2).tasks,
        second,
        "and the last one is still known"
    );
}

#[test]
fn a_command_beside_a_start_hands_nothing_over_that_it_could_not_hand_over_again() {
    let look = DraftStep::of("look".into(), DraftKind::Pause { deadline: None });
    let work = DraftStep {
        needs: vec!["look".into()],
        ..DraftStep::handler("work", "work")
    };
    let mut shop = Shop::open(Draft {
        steps: vec![look, work],
        ..Draft::new("looked_at", 1)
    });
    shop.perform(&submit(vec![start("looked_at")], None));
    let resume = Entry::Resolve(Box::new(Resolve {
        run: RUN,
        command: CommandId::from_u128(2),
        step: None,
        ruling: Ruling::Resume,
        by: By::default(),
    }));
    let another = match start("looked_at") {
        Entry::Start(start) => Start {
            run: RunId::from_u128(78),
            ..*start
        },
        other => unreachable!("{other:?} is no start"),
    };
    let both = submit(vec![Entry::Start(Box::new(another)), resume], Some(offer()));
    let first = shop.perform(&both);
    assert_eq!(shop.perform(&both), first);
    let Reply::Submitted { handed, .. } = first else {
        panic!("a submit is answered as a submit");
    };
    assert_eq!(handed, []);
    assert_eq!(shop.claim(1).tasks.len(), 1, "it is there for everybody");
}

#[test]
fn a_late_report_beside_the_loss_of_its_attempt_is_told_the_same_when_performed_again() {
    let step = DraftStep {
        irreversible: Some(true),
        ..DraftStep::handler("work", "work")
    };
    let mut shop = Shop::open(Draft {
        steps: vec![step],
        ..Draft::new("once", 1)
    });
    shop.perform(&submit(vec![start("once")], None));
    let lost = shop.claim(1).tasks.remove(0);
    let begun = Held {
        key: lost.key,
        token: lost.token().expect("a claimed task has a token"),
    };
    shop.perform(&Operation::Lease(Leases {
        shard: Shard::default(),
        lease: offer().lease,
        renew: Vec::new(),
        begun: vec![begun],
        hand_back: Vec::new(),
    }));
    shop.now = shop.now.plus(Duration::from_secs(31));
    let loss = shop.claim(2).tasks.remove(0);
    let late = Report {
        outcome: Outcome::Succeeded {
            output: Payload::null(),
            label: None,
        },
        ..engine_report(&lost)
    };
    let settle = Operation::Settle(Settle {
        shard: Shard::default(),
        reports: vec![late, engine_report(&loss)],
        offer: offer(),
        wait: false,
    });
    let first = shop.perform(&settle);
    let Reply::Settled { slots, .. } = &first else {
        panic!("a settle is answered as a settle");
    };
    assert_eq!(*slots, vec![SlotReply::Accepted; 2]);
    assert_eq!(shop.status(), Status::Completed);
    let Reply::Settled { slots: again, .. } = shop.perform(&settle) else {
        panic!("a settle is answered as a settle");
    };
    assert_eq!(again, *slots);
}

/// The deadline's task names the first step, for want of a better one; while that is in doubt, a late report on the deadline
/// was taken for one on the step.
#[test]
fn a_late_report_on_a_deadline_says_nothing_about_a_step_in_doubt() {
    let step = DraftStep {
        irreversible: Some(true),
        ..DraftStep::handler("work", "work")
    };
    let mut shop = Shop::open(Draft {
        steps: vec![step],
        deadline: Some(DraftSpan::from(Duration::from_secs(40))),
        ..Draft::new("once", 1)
    });
    shop.perform(&submit(vec![start("once")], None));
    let lost = shop.claim(1).tasks.remove(0);
    shop.perform(&Operation::Lease(Leases {
        shard: Shard::default(),
        lease: offer().lease,
        renew: Vec::new(),
        begun: vec![Held {
            key: lost.key,
            token: lost.token().expect("a claimed task has a token"),
        }],
        hand_back: Vec::new(),
    }));
    shop.now = shop.now.plus(Duration::from_secs(31));
    let loss = shop.claim(2).tasks.remove(0);
    let settle = |row: &TaskRow| {
        Operation::Settle(Settle {
            shard: Shard::default(),
            reports: vec![engine_report(row)],
            offer: offer(),
            wait: false,
        })
    };
    shop.perform(&settle(&loss));
    assert_eq!(shop.status(), Status::Paused);
    shop.now = shop.now.plus(Duration::from_secs(10));
    let deadline = shop.claim(3).tasks.remove(0);
    shop.now = shop.now.plus(Duration::from_secs(31));
    let again = shop.claim(4).tasks.remove(0);
    assert!(again.fence > deadline.fence);
    shop.perform(&settle(&deadline));
    assert_eq!(
        shop.status(),
        Status::Paused,
        "the old claim writes nothing"
    );
    shop.perform(&settle(&again));
    assert_eq!(shop.status(), Status::Failed);
}
