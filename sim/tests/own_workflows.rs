//! Campaigns over definitions of one's own, with scripted handlers.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use squid_mesh_core::definition::{Definition, StepKind};
use squid_mesh_core::run::Status;
use squid_mesh_sim::fault::Fault;
use squid_mesh_sim::library;
use squid_mesh_sim::user::{Campaign, CampaignError, UndoView};
use squid_mesh_sim::{self as sim, Commands, Faults, Scripted};

fn definition(draft: &Value) -> Definition {
    Definition::parse(draft).expect("the draft is valid")
}

fn charge() -> Definition {
    definition(&json!({
        "name": "order", "version": 1, "result": "output(charge)",
        "steps": [{
            "name": "charge", "handler": "charge_card", "input": "input",
            "retry": {"max_attempts": 10, "max_lost": 20},
        }],
    }))
}

/// One step that charges, tried again for long.
fn charging(name: &str) -> Campaign {
    sim::campaign(name)
        .workflow(charge())
        .start(|id| json!({"id": id, "cents": 5}))
        .handler(
            "charge_card",
            Scripted::effect("payments")
                .amount(|order| order["cents"].as_i64().expect("cents are a number")),
        )
        .without_regressions()
}

#[test]
fn a_scripted_effect_is_booked_once_under_its_key_however_often_it_is_tried() {
    let passed = charging("payments")
        .always("nobody pays twice", |world| {
            let entries = world.ledger("payments").entries();
            entries.len() <= world.runs().count()
        })
        .sometimes("a charge is repeated", |world| {
            let entries = world.ledger("payments").entries();
            entries.iter().any(|entry| entry.posted > 1)
        })
        .eventually("whoever has completed has paid", |world| {
            world
                .runs()
                .filter(|run| run.status() == Status::Completed)
                .all(|run| {
                    let key = run.step("charge").idempotency_key();
                    world.ledger("payments").sum_of(&key) == 5
                })
        })
        .eventually("all ended", |world| world.all_ended())
        .run(60)
        .unwrap();
    assert!(passed.seeds == 60 && passed.faults > 60, "{passed:?}");
}

#[test]
fn a_ledger_that_ignores_keys_is_found_to_book_twice() {
    let error = charging("payments")
        .ledger_ignoring_keys("payments")
        .always("nobody pays twice", |world| {
            let pays = |key: &str| world.ledger("payments").sum_of(key);
            let mut runs = world.runs();
            match runs.find(|run| pays(&run.step("charge").idempotency_key()) > 5) {
                Some(run) => Err(format!("run {} has paid twice", run.id())),
                None => Ok(()),
            }
        })
        .run(500)
        .unwrap_err();
    let CampaignError::Broken(broken) = &error else {
        panic!("{error}")
    };
    assert!(
        broken.violation.detail.contains("has paid twice"),
        "{error}"
    );
    let small = broken
        .small
        .as_ref()
        .expect("there is time to make it smaller");
    assert!(small.after.total() <= 15, "{error}");
    assert!(small.after.total() < small.before.total(), "{error}");
    let told = error.to_string();
    for part in [
        "campaign \"payments\"",
        "\"nobody pays twice\" does not hold",
        "made smaller, from ",
        "BROKEN  \"nobody pays twice\" does not hold",
        &format!("SQUID_MESH_SIM_SEED={} cargo test", broken.seed),
        "a_ledger_that_ignores_keys_is_found_to_book_twice",
    ] {
        assert!(told.contains(part), "{part:?} is not in {told}");
    }
}

#[test]
fn which_seed_is_reported_does_not_depend_on_the_number_of_threads() {
    let found = |threads| {
        let campaign = charging("payments").ledger_ignoring_keys("payments");
        let campaign = campaign.threads(threads);
        let error = campaign
            .always("nobody pays twice", |world| {
                world.ledger("payments").entries().len() <= world.runs().count()
            })
            .run(500);
        match error.unwrap_err() {
            CampaignError::Broken(broken) => (broken.seed, broken.violation.detail.clone()),
            error => panic!("{error}"),
        }
    };
    assert_eq!(found(1), found(3));
}

#[test]
fn what_came_out_does_not_depend_on_the_number_of_threads() {
    let run = |threads| charging("payments").threads(threads).run(24).unwrap();
    assert_eq!(run(1), run(3));
}

#[test]
fn what_must_hold_sometimes_and_never_does_is_named() {
    let error = charging("payments")
        .sometimes("a pig flies", |_| false)
        .sometimes("somebody pays", |world| world.ledger("payments").sum() > 0)
        .run(5)
        .unwrap_err();
    assert!(
        matches!(&error, CampaignError::Never { properties, .. } if properties == &["a pig flies"]),
        "{error}"
    );
}

#[test]
fn a_property_that_panics_does_not_hold_and_says_so() {
    let error = charging("payments")
        .always("counted", |world| {
            assert!(world.runs().count() < 2, "too many runs");
        })
        .run(5)
        .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("\"counted\" does not hold: too many runs"),
        "{error}"
    );
}

#[test]
fn without_faults_nothing_goes_wrong_and_with_one_nothing_else_does() {
    let calm = charging("payments")
        .faults(Faults::none())
        .commands(Commands::starts_only())
        .eventually("everybody pays once", |world| {
            let entries = world.ledger("payments").entries();
            entries.len() == world.runs().count() && entries.iter().all(|one| one.posted == 1)
        })
        .run(20)
        .unwrap();
    assert_eq!(calm.faults, 0);
    charging("payments")
        .faults(Faults::only([Fault::Crash]))
        .sometimes("a process crashes", |world| world.fired(Fault::Crash) > 0)
        .always("nothing else", |world| {
            let others = Fault::ALL.iter().filter(|fault| **fault != Fault::Crash);
            others.map(|fault| world.fired(*fault)).sum::<u64>() == 0
        })
        .run(60)
        .unwrap();
}

#[test]
fn a_world_that_failed_is_recorded_and_run_first_from_then_on() {
    let file = scratch("recorded.json");
    let campaign = |fixed: bool| {
        let campaign = charging("recorded").regressions(&file);
        let campaign = if fixed {
            campaign
        } else {
            campaign.ledger_ignoring_keys("payments")
        };
        campaign.always("nobody pays twice", |world| {
            world.ledger("payments").entries().len() <= world.runs().count()
        })
    };
    let broken = |error: CampaignError| match error {
        CampaignError::Broken(broken) => *broken,
        error => panic!("{error}"),
    };
    let first = broken(campaign(false).run(500).unwrap_err());
    assert!(!first.recorded && first.file.as_ref() == Some(&file));
    let again = broken(campaign(false).run(0).unwrap_err());
    assert!(again.recorded);
    assert_eq!(
        (again.seed, again.violation.event, &again.violation.detail),
        (first.seed, first.violation.event, &first.violation.detail)
    );
    let passed = campaign(true).run(1).unwrap();
    assert_eq!((passed.recorded, passed.seeds), (1, 1));
    std::fs::write(&file, "no json").unwrap();
    let error = campaign(true).run(1).unwrap_err();
    assert!(
        matches!(error, CampaignError::Regressions { .. }),
        "{error}"
    );
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "no json");
}

#[test]
fn a_campaign_that_makes_no_sense_is_refused_with_what_is_wrong() {
    let refused = |campaign: Campaign, says: &str| {
        let error = campaign.without_regressions().run(1).unwrap_err();
        let told = matches!(&error, CampaignError::SetUp(why) if why.contains(says));
        assert!(told, "{error}, and not {says}");
    };
    let with = |draft: Value| sim::campaign("refused").workflow(definition(&draft));
    refused(sim::campaign("refused"), "has no workflow");
    refused(sim::campaign("refused").workflow(charge()), "is started");
    refused(
        sim::campaign("refused").start(|n| n),
        "comes after the workflow",
    );
    let charges = sim::campaign("refused").workflow(charge()).start(|n| n);
    let twice = sim::campaign("refused").workflow(charge()).start(|n| n);
    refused(twice.deploy(charge()), "has workflow order@1 twice");
    let named = charges.handler("charge", Scripted::echoes());
    refused(
        named,
        "no step names a handler \"charge\"; those that are named are charge_card",
    );
    let typed = with(json!({
        "name": "typed", "version": 1, "input": "string",
        "steps": [{"name": "a", "handler": "a", "input": "input"}],
    }));
    refused(
        typed.start(|n| n),
        "the input of run 0 does not fit workflow typed@1",
    );
    let parent = with(json!({
        "name": "parent", "version": 1,
        "steps": [{"name": "a", "child": {"workflow": "lost"}, "input": "input"}],
    }));
    refused(parent.start(|n| n), "parent@1 has children of lost");
    let waiting = json!({
        "name": "waiting", "version": 1,
        "steps": [{"name": "a", "signal": {"name": "paid", "payload": "integer"}}],
    });
    refused(with(waiting.clone()).start(|n| n), "waits for signal paid");
    let wrong = with(waiting).start(|n| n).signal("paid", |_| "text");
    refused(wrong, "what signal paid carries does not fit step \"a\"");
}

#[test]
fn children_signals_gates_and_waits_of_a_day_are_served() {
    let item = definition(&json!({
        "name": "item", "version": 1, "result": "output(pack)",
        "steps": [{"name": "pack", "handler": "pack", "input": "input", "queue": "packing"}],
    }));
    let order = definition(&json!({
        "name": "order", "version": 1, "result": "either(items,refused)",
        "steps": [
            {"name": "paid", "signal": {"name": "paid", "payload": "integer"}},
            {"name": "review", "approval": {"deadline": "2d"}, "needs": ["paid"]},
            {"name": "rest", "wait": "1d", "when": [{"step": "review", "label": "approved"}]},
            {"name": "items", "each": {"workflow": "item", "parallel": 2}, "input": "input.items", "needs": ["rest"],
             "when": [{"step": "review", "label": "approved"}]},
            {"name": "refused", "handler": "refuse", "when": [{"step": "review", "label": "rejected"}]},
        ],
    }));
    sim::campaign("items")
        .workflow(order)
        .start(|n| json!({"items": (0..n % 4).collect::<Vec<u64>>()}))
        .workflow(item)
        .signal("paid", |n| n)
        .handler("pack", Scripted::returns(|item| json!({"packed": item})))
        .handler("refuse", Scripted::fails("refused", "not today"))
        .runs(1..=4)
        .without_regressions()
        .sometimes("three were packed", |world| {
            world.runs_of("order").any(|run| {
                let result = run.result::<Option<Vec<Value>>>().flatten();
                result.is_some_and(|packed| packed.len() == 3 && packed[1] == json!({"packed": 1}))
            })
        })
        .sometimes("one was refused", |world| {
            let mut runs = world.runs_of("order");
            runs.any(|run| {
                run.failure()
                    .is_some_and(|failure| failure["code"] == "refused")
            })
        })
        .eventually("days passed, where somebody waited", |world| {
            let waited = world
                .runs_of("order")
                .any(|run| run.step("rest").is_succeeded());
            !waited || world.now() > Duration::from_secs(86_400)
        })
        .run(40)
        .unwrap();
}

#[test]
fn what_a_scripted_handler_did_is_taken_back_when_its_run_fails() {
    let saga = definition(&json!({
        "name": "saga", "version": 1,
        "steps": [
            {"name": "charge", "handler": "charge", "input": "input.cents",
             "retry": {"max_attempts": 20, "max_lost": 50},
             "undo": {"handler": "refund", "retry": {"max_attempts": 20, "max_lost": 50}}},
            {"name": "ship", "handler": "ship", "needs": ["charge"]},
        ],
    }));
    sim::campaign("taken back")
        .workflow(saga)
        .start(|n| json!({"cents": n + 1}))
        .handler(
            "charge",
            Scripted::effect("bank").amount(|cents| cents.as_i64().unwrap()),
        )
        .handler(
            "refund",
            Scripted::effect("bank").amount(|undo| -undo["output"].as_i64().unwrap()),
        )
        .handler("ship", Scripted::fails("lost", "no carrier"))
        .commands(Commands::starts_only())
        .without_regressions()
        .eventually("nothing is kept", |world| {
            let settled = world
                .runs()
                .all(|run| run.is_ended() && run.step("charge").undo() != UndoView::GivenUp);
            !settled || world.ledger("bank").sum() == 0
        })
        .sometimes("something was taken back", |world| {
            let mut runs = world.runs();
            runs.any(|run| run.step("charge").undo() == UndoView::Done)
        })
        .run(60)
        .unwrap();
}

#[test]
fn runs_of_both_versions_end_while_a_deploy_is_rolled_out() {
    let version = |version: u32, steps: Value| {
        definition(&json!({"name": "order", "version": version, "steps": steps}))
    };
    let first = version(
        1,
        json!([{"name": "a", "handler": "one", "input": "input"}]),
    );
    let second = version(
        2,
        json!([
            {"name": "a", "handler": "one", "input": "input"},
            {"name": "b", "handler": "two", "input": "output(a)"},
        ]),
    );
    let took = Duration::from_millis(10)..=Duration::from_secs(15);
    sim::campaign("deploy")
        .workflow(first)
        .start(|n| n)
        .deploy(second)
        .start(|n| n)
        .handler("one", Scripted::echoes().takes(took))
        .workers(2..=4)
        .without_regressions()
        .sometimes("both versions are under way at once", |world| {
            let under_way = |version| {
                let mut runs = world.runs();
                runs.any(|run| run.version() == version && !run.is_ended())
            };
            under_way(1) && under_way(2)
        })
        .sometimes("a run of the second completes", |world| {
            let mut runs = world.runs();
            runs.any(|run| run.version() == 2 && run.status() == Status::Completed)
        })
        .eventually("all ended", |world| world.all_ended())
        .run(80)
        .unwrap();
}

/// A file of this test, that is not there.
fn scratch(name: &str) -> PathBuf {
    let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("own-workflows");
    let file = directory.join(name);
    let _ = std::fs::remove_file(&file);
    file
}

/// A workflow of the library as somebody's own, with its children, and with what it waits for.
fn of_the_library(index: usize) -> Campaign {
    let picked = library::with_children(vec![Arc::clone(&library::workflows()[index])]);
    let mut campaign = sim::campaign(format!("library {index}"));
    let signals: Vec<String> = picked
        .iter()
        .flat_map(|definition| definition.steps())
        .filter_map(|step| match &step.kind {
            StepKind::Signal { signal, .. } => Some(signal.to_string()),
            _ => None,
        })
        .collect();
    for (position, definition) in picked.into_iter().enumerate() {
        campaign = campaign.workflow(definition);
        if position == 0 {
            campaign = campaign.start(|n| json!({"number": n, "at": 1_774_745_900_000_u64}));
        }
    }
    for signal in signals {
        campaign = campaign.signal(signal, |n| n);
    }
    campaign
        .commands(Commands::all())
        .without_regressions()
        .eventually("all ended", |world| world.all_ended())
}

#[test]
fn every_shape_of_the_library_can_be_somebodys_own() {
    for index in 0..library::fixed_shapes() {
        if let Err(error) = of_the_library(index).run(3) {
            panic!("workflow {index}: {error}");
        }
    }
}
