//! What one decision costs, without any store: decide and apply, snapshots, a claim, a settle; and a calendar's next firing.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use squid_mesh_core::cron::{Calendar, Expression, Zone};
use squid_mesh_core::definition::{
    Definition, Draft, DraftBinding, DraftSource, DraftStep, StepIndex,
};
use squid_mesh_core::event::{By, Event, Role, Started};
use squid_mesh_core::id::{CommandId, Incarnation, Life, RunId, Shard, Shards};
use squid_mesh_core::mutant::Mutation;
use squid_mesh_core::name::Name;
use squid_mesh_core::operation::{
    Claim, Entry, Group, HandlerSet, Offer, Operation, Outcome, QueueDemand, Register, Report,
    Settle, Start, Submit,
};
use squid_mesh_core::payload::Payload;
use squid_mesh_core::run::{Facts, Run, Seq, Verdict};
use squid_mesh_core::task::{Fence, TaskRow};
use squid_mesh_core::time::Timestamp;
use squid_mesh_sim::store::{Conditions, Tables};

const NOW: Timestamp = Timestamp::from_micros(1_700_000_000_000_000);
const RUNS: u32 = 256;

fn chain(length: usize) -> Definition {
    let step = |index: usize| {
        let source = match index {
            0 => DraftSource::input(),
            _ => DraftSource::output(format!("s{}", index - 1)),
        };
        DraftStep {
            input: DraftBinding::Whole(source),
            ..DraftStep::handler(format!("s{index}"), "work")
        }
    };
    let draft = Draft {
        steps: (0..length).map(step).collect(),
        ..Draft::new("bench", 1)
    };
    Definition::validate(draft).expect("the bench's definition is valid")
}

/// A run of 20 steps with the first 10 done.
fn half_way(definition: &Definition) -> Run {
    let started = Started {
        command: CommandId::from_u128(1),
        definition: definition.key().clone(),
        digest: definition.digest(),
        trigger: definition.triggers()[0].name.clone(),
        input: Payload::null().digest(),
        raw_input: Payload::null().digest(),
        key: None,
        labels: BTreeMap::new(),
        queue: None,
        priority: None,
        due: None,
        deadline: None,
        trace: None,
        parent: None,
        copy: None,
        by: By::default(),
    };
    let id = RunId::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0001);
    let mut run = Run::start(id, Life(1), definition, started, Vec::new(), facts()).run;
    for step in 0..10 {
        let Verdict::Decided(decided) = run.decide(definition, success(&run, step), &facts())
        else {
            panic!("a success of a scheduled step is accepted");
        };
        run = decided.run;
    }
    run
}

fn success(run: &Run, step: u16) -> Event {
    let fence = Fence {
        seq: run.seq(),
        claims: 1,
    };
    Event::Succeeded {
        step: StepIndex(step),
        role: Role::Step,
        fence,
        output: Payload::null().digest(),
        label: None,
    }
}

fn facts() -> Facts<'static> {
    Facts {
        now: NOW,
        claimed: None,
        mutation: Mutation::NONE,
    }
}

fn decisions(criterion: &mut Criterion) {
    let definition = chain(20);
    let run = half_way(&definition);
    let event = success(&run, 10);
    criterion.bench_function("decide and apply one event of a 20-step run", |bencher| {
        bencher.iter(|| run.decide(black_box(&definition), event.clone(), &facts()));
    });
    criterion.bench_function("encode the snapshot of a 20-step run", |bencher| {
        bencher.iter(|| black_box(&run).encode());
    });
    let bytes = run.encode();
    criterion.bench_function("decode the snapshot of a 20-step run", |bencher| {
        bencher.iter(|| Run::decode(black_box(&bytes)));
    });
}

fn offer(slots: u32) -> Offer {
    let handlers: HandlerSet = [Name::stored("work")].into();
    let queue = Name::stored("default");
    Offer {
        worker: Incarnation::from_u128(1),
        handlers: Arc::new(handlers),
        queues: vec![QueueDemand {
            queue,
            slots,
            floor: None,
        }],
        engine: 8,
        lease: Duration::from_secs(30),
    }
}

fn perform(tables: &mut Tables, operation: &Operation) -> squid_mesh_core::operation::Reply {
    tables
        .perform(operation, Conditions::at(NOW))
        .expect("nobody else is there")
        .done()
        .reply
}

fn started(definition: &Arc<Definition>) -> Tables {
    let mut tables = Tables::new(Shards::ONE);
    let register = Register {
        worker: None,
        definitions: vec![Arc::clone(definition)],
    };
    perform(&mut tables, &Operation::Register(register));
    let start = |number: u32| {
        let run = RunId::from_u128(u128::from(number) << 64);
        let command = CommandId::from_u128(u128::from(number));
        let key = definition.key().clone();
        Start::new(run, Life(1), command, key, Payload::null())
    };
    let group = |number| Group {
        entries: vec![Entry::Start(Box::new(start(number)))],
    };
    let groups = (1..=RUNS).map(group).collect();
    perform(
        &mut tables,
        &Operation::Submit(Submit {
            shard: Shard::default(),
            groups,
            offer: None,
            wait: true,
        }),
    );
    tables
}

fn report(task: &TaskRow) -> Report {
    let token = task.token().expect("a claimed task has a token");
    Report {
        key: task.key,
        step: task.step,
        token,
        outcome: Outcome::Succeeded {
            output: Payload::null(),
            label: None,
        },
    }
}

fn operations(criterion: &mut Criterion) {
    let definition = Arc::new(chain(3));
    let claim = Operation::Claim(Claim {
        shard: Shard::default(),
        number: 1,
        offer: offer(RUNS),
    });
    let before = started(&definition);
    criterion.bench_function("claim 256 tasks (memory store)", |bencher| {
        bencher.iter_batched_ref(
            || before.clone(),
            |tables| perform(tables, &claim),
            BatchSize::LargeInput,
        );
    });
    let mut claimed = started(&definition);
    perform(&mut claimed, &claim);
    let reports = claimed.tasks().map(report).collect();
    let settle = Operation::Settle(Settle {
        shard: Shard::default(),
        reports,
        offer: offer(RUNS),
        wait: true,
    });
    criterion.bench_function(
        "settle 256 reports with hand-off (memory store)",
        |bencher| {
            bencher.iter_batched_ref(
                || claimed.clone(),
                |tables| perform(tables, &settle),
                BatchSize::LargeInput,
            );
        },
    );
    assert_eq!(
        claimed
            .journal(RunId::from_u128(1 << 64), Seq::FIRST)
            .count(),
        1,
        "a bench changes copies only"
    );
}

fn calendars(criterion: &mut Criterion) {
    let zone = Zone::parse("Europe/Berlin").expect("the database has it");
    for text in ["0 9 * * *", "* * * * *", "0 9 13 * 5"] {
        let expression = Expression::parse(text).expect("the bench's expression is valid");
        let calendar = Calendar::new(expression, zone);
        let mut after = NOW;
        criterion.bench_function(&format!("next firing of `{text}` in {zone}"), |bencher| {
            bencher.iter(|| {
                let firing = calendar.next_after(black_box(after));
                after = firing.map_or(NOW, |firing| firing.at);
            });
        });
    }
    criterion.bench_function("parse `*/5 9-17 * * MON-FRI`", |bencher| {
        bencher.iter(|| Expression::parse(black_box("*/5 9-17 * * MON-FRI")));
    });
}

criterion_group!(benches, decisions, operations, calendars);
criterion_main!(benches);
