//! What must not make a difference: faults, how many workers there are, and what clocks show.
//!
//! Handlers here give back their input, so that what a run comes to depends on its definition and its input alone.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use squid_mesh_core::definition::{Definition, StepKind};
use squid_mesh_core::run::Status;
use squid_mesh_sim::fault::Fault;
use squid_mesh_sim::library;
use squid_mesh_sim::user::{Campaign, RunView};
use squid_mesh_sim::{self as sim, Commands, Faults};

/// What became of runs, by their workflow and input.
type Results = BTreeMap<(String, String), (Status, Option<Value>)>;

/// Faults that make a step fail, or somebody not read a run any more.
const OUTCOMES: [Fault; 9] = [
    Fault::HandlerFails,
    Fault::HandlerHangs,
    Fault::HandlerOverruns,
    Fault::HandlerIgnoresStop,
    Fault::HandlerKillsHost,
    Fault::Oversized,
    Fault::HostConflict,
    Fault::Unreadable,
    Fault::Spoilt,
];

/// A workflow with those that it starts, if nobody but itself has a say in what becomes of its runs.
fn determined(index: usize) -> Option<Vec<Arc<Definition>>> {
    let picked = library::with_children(vec![Arc::clone(&library::workflows()[index])]);
    let free = |definition: &Arc<Definition>| {
        let mut steps = definition.steps().iter();
        definition.deadline().is_none()
            && definition.contract().stamps().is_empty()
            && steps.all(|step| {
                let routed =
                    matches!(step.kind, StepKind::Handler { .. }) && !step.labels.is_empty();
                !step.kind.is_gate() && !routed && step.timeout.is_none()
            })
    };
    picked.iter().all(free).then_some(picked)
}

fn campaign(workflows: &[Arc<Definition>], faults: Faults) -> Campaign {
    let mut campaign = sim::campaign(workflows[0].name().to_string());
    for (position, definition) in workflows.iter().enumerate() {
        campaign = campaign.workflow(Arc::clone(definition));
        if position == 0 {
            campaign = campaign.start(|n| json!({"number": n % 3, "at": 1_774_745_900_000_u64}));
        }
    }
    campaign
        .faults(faults)
        .commands(Commands::starts_only())
        .without_regressions()
        .twice_one_in(0)
}

fn key<'v>(run: &RunView<'v>) -> (String, String) {
    (run.workflow().to_owned(), run.input_json().to_string())
}

/// What runs come to in calm worlds of one worker.
fn calm(workflows: &[Arc<Definition>]) -> Results {
    let results = Arc::new(Mutex::new(Results::new()));
    let kept = Arc::clone(&results);
    let passed = campaign(workflows, Faults::none())
        .workers(1..=1)
        .eventually(
            "what becomes of a run follows from its input",
            move |world| {
                let mut kept = kept.lock().expect("nobody has panicked");
                world.runs().all(|run| {
                    let result = (run.status(), run.result_json());
                    *kept.entry(key(&run)).or_insert_with(|| result.clone()) == result
                })
            },
        )
        .run(3);
    if let Err(error) = passed {
        panic!("{error}");
    }
    let results = results.lock().expect("nobody has panicked");
    results.clone()
}

/// Whether a step failed because it was lost too often, or because its handler gave up when it was told to stop.
fn was_interrupted(run: &RunView<'_>) -> bool {
    let codes = ["lost", "flaky", "child_failed"].map(Value::from);
    let mut failures = run.steps().filter_map(|step| step.failure());
    failures.any(|failure| codes.contains(&failure["code"]))
}

#[test]
fn faults_workers_and_clocks_change_nothing_about_what_runs_come_to() {
    let compared = Arc::new(AtomicU64::new(0));
    let chosen = (0..library::workflows().len()).filter(|index| *index < 200 || index % 7 == 0);
    for workflows in chosen.filter_map(determined).take(60) {
        let expected = calm(&workflows);
        let name = workflows[0].name().to_string();
        let count = Arc::clone(&compared);
        let passed = campaign(&workflows, Faults::all().except(OUTCOMES))
            .workers(1..=4)
            .eventually(
                "faults change nothing about what a run comes to",
                move |world| {
                    for run in world.runs().filter(|run| !was_interrupted(run)) {
                        let result = (run.status(), run.result_json());
                        let Some(expected) = expected.get(&key(&run)) else {
                            continue;
                        };
                        count.fetch_add(1, Ordering::Relaxed);
                        if *expected != result {
                            let (id, failure) = (run.id(), run.failure());
                            return Err(format!(
                                "run {id}: {result:?} ({failure:?}), without faults {expected:?}"
                            ));
                        }
                    }
                    Ok(())
                },
            )
            .run(5);
        if let Err(error) = passed {
            panic!("workflow {name}: {error}");
        }
    }
    let compared = compared.load(Ordering::Relaxed);
    assert!(compared > 1_000, "{compared} runs were compared");
}
