//! Labels, failure routes, and taking back what was done.

use std::sync::{Arc, Mutex};

use serde_json::json;
use squid_mesh::core::graph::EdgeState;
use squid_mesh::core::run::Status;
use squid_mesh::{
    Handlers, ResultError, RouteMark, Routed, Runtime, StepContext, StepError, StepFailure,
    StepStatus, Undo, Workflow, step, step_routed,
};

use crate::harness::{Place, on_every_store, until_status};

async fn assess(_: StepContext, cents: u32) -> Result<Routed<u32>, StepError> {
    let label = match cents {
        0 => "nonsense",
        u32::MAX => "Not a \0 name",
        1..1_000 => "clean",
        _ => "fraud",
    };
    Ok(Routed::new(label, cents))
}

fn assessing() -> Workflow<u32, String> {
    let (mut wf, cents) = Workflow::builder::<u32>("assessing", 1);
    let assessed = wf.step("assess", cents, step_routed(assess, ["fraud", "clean"]));
    let review = wf.when(&assessed, "fraud", |wf| {
        wf.step(
            "review",
            assessed,
            step(async |_, n: u32| Ok(format!("review {n}"))),
        )
    });
    let check = wf.when(&assessed, "clean", |wf| {
        wf.step(
            "check",
            assessed,
            step(async |_, n: u32| Ok(format!("check {n}"))),
        )
    });
    let end = wf.either(review, check);
    let end = wf.step("end", end, step(async |_, text: String| Ok(text)));
    wf.finish(end).unwrap()
}

type Log = Arc<Mutex<Vec<String>>>;

/// Three steps that can be undone, and a fourth that fails unless the input is 0, with a pause before it.
fn undoing(log: &Log, broken: &'static str, pauses: bool) -> Workflow<u32, u32> {
    let (mut wf, input) = Workflow::builder::<u32>("undoing", 1);
    let mut value = input;
    for name in ["a", "b", "c"] {
        let log = log.clone();
        let undo = move |_: StepContext, undo: Undo<u32, u32>| {
            let code = undo
                .failure
                .map_or("none".to_owned(), |failure| failure.code);
            let entry = format!(
                "{name} {} {} {} {code}",
                undo.input, undo.output, undo.run_input
            );
            log.lock().unwrap().push(entry);
            async move {
                match name == broken {
                    true => Err(StepError::permanent("stuck", "cannot")),
                    false => Ok(()),
                }
            }
        };
        value = wf.step(
            name,
            value,
            step(async |_, n: u32| Ok(n + 1))
                .undo(undo)
                .named("add")
                .undo_named(format!("undo_{name}")),
        );
    }
    let last = step(async |_, n: u32| match n {
        3 => Ok(n),
        _ => Err(StepError::permanent("declined", "no funds")),
    });
    let last = if pauses {
        let pause = wf.pause("look", value);
        last.after(&pause)
    } else {
        last
    };
    let end = wf.step("d", value, last);
    wf.finish(end).unwrap()
}

async fn running<I, O>(place: &Place, wf: &Workflow<I, O>) -> Runtime {
    place.runtime().await.workflow(wf).start().await.unwrap()
}

on_every_store! {
    async fn a11_5_the_branch_of_the_returned_label_runs_and_the_other_is_skipped(place) {
        let wf = assessing();
        let runtime = running(place, &wf).await;
        for (cents, result, label, skipped) in [(5_000, "review 5000", "fraud", "check"), (5, "check 5", "clean", "review")] {
            let run = runtime.client().start(&wf.reference(), cents).await.unwrap();
            assert_eq!(run.result().await.unwrap(), result);
            let seen = run.inspect().await.unwrap();
            assert_eq!(seen.step("assess").unwrap().label.as_ref().unwrap().as_str(), label);
            assert_eq!(seen.step(skipped).unwrap().status, StepStatus::Skipped);
            let history = runtime.client().history(run.id()).await.unwrap();
            let expected = format!("step assess succeeded with label {label}");
            assert!(history.iter().any(|entry| entry.summary == expected), "{history:?}");
        }
        runtime.shutdown().await;
    }

    async fn a_handler_of_a_list_says_which_way_a_draft_goes_on(place) {
        let draft = json!({"name": "drafted", "version": 1, "result": "either(review, check)", "steps": [
            {"name": "assess", "handler": "assess", "input": "input", "labels": ["fraud", "clean"]},
            {"name": "review", "handler": "add", "input": "output(assess)", "when": {"step": "assess", "label": "fraud"}},
            {"name": "check", "handler": "say", "input": "output(assess)", "when": {"step": "assess", "label": "clean"}},
        ]});
        let handlers = Handlers::new().add_routed("assess", assess).add("add", async |_, n: u32| Ok(n + 1)).add("say", async |_, n: u32| Ok(n));
        let runtime = place.runtime().await.handlers(&handlers).draft(draft).start().await.unwrap();
        for (cents, result) in [(5_000, json!(5_001)), (5, json!(5))] {
            let run = runtime.client().start_json("drafted", None, json!(cents)).await.unwrap();
            assert_eq!(run.result().await.unwrap(), result);
        }
        runtime.shutdown().await;
    }

    async fn a_label_that_the_step_does_not_declare_fails_it_for_good(place) {
        let wf = assessing();
        let runtime = running(place, &wf).await;
        for cents in [0, u32::MAX] {
            let run = runtime.client().start(&wf.reference(), cents).await.unwrap();
            let error = run.result().await.unwrap_err();
            let ResultError::Failed { failure, .. } = error else { panic!("{error}") };
            assert_eq!((failure.code.as_str(), failure.step.unwrap().as_str()), ("unknown_label", "assess"));
        }
        runtime.shutdown().await;
    }

    async fn a11_6_and_a11_8_a_failure_that_is_consumed_feeds_its_step_and_the_run_goes_on(place) {
        let (mut wf, n) = Workflow::builder::<u32>("charging", 1);
        let paid = wf.step("charge", n, step(async |_, n: u32| match n {
            0 => Ok("paid".to_owned()),
            _ => Err(StepError::permanent("declined", "no funds").details(json!({"left": n}))),
        }));
        let told = wf.on_failure(&paid, |wf, failure| {
            wf.step("notify", failure, step(async |_, failure: StepFailure| {
                Ok(format!("{} {} {}", failure.code, failure.message, failure.details["left"]))
            }).mark(RouteMark::Compensation))
        });
        let end = wf.either(paid, told);
        let wf = wf.finish(end).unwrap();
        let runtime = running(place, &wf).await;
        let run = runtime.client().start(&wf.reference(), 7).await.unwrap();
        assert_eq!(run.result().await.unwrap(), "declined no funds 7");
        let history = runtime.client().history(run.id()).await.unwrap();
        assert!(history.iter().any(|entry| entry.summary.ends_with("its failure leads to notify as compensation")), "{history:?}");
        let graph = runtime.client().graph(run.id()).await.unwrap();
        let edge = graph.edges.iter().find(|edge| edge.from == "charge" && edge.to == "notify").unwrap();
        assert_eq!((edge.state, edge.mark), (EdgeState::Selected, Some("compensation")));
        let fine = runtime.client().start(&wf.reference(), 0).await.unwrap();
        assert_eq!(fine.result().await.unwrap(), "paid");
        assert_eq!(fine.inspect().await.unwrap().step("notify").unwrap().status, StepStatus::Skipped);
        runtime.shutdown().await;
    }

    async fn a11_9_a_failure_that_nothing_consumes_is_that_of_the_run(place) {
        let log = Log::default();
        let wf = undoing(&log, "", false);
        let runtime = running(place, &wf).await;
        let run = runtime.client().start(&wf.reference(), 5).await.unwrap();
        let error = run.result().await.unwrap_err();
        let ResultError::Failed { failure, .. } = error else { panic!("{error}") };
        assert_eq!((failure.code.as_str(), failure.message.as_str(), failure.step.unwrap().as_str()), ("declined", "no funds", "d"));
        runtime.shutdown().await;
    }

    async fn a12_1_what_succeeded_is_undone_in_reverse_order_with_all_that_is_to_know(place) {
        let log = Log::default();
        let wf = undoing(&log, "", false);
        let runtime = running(place, &wf).await;
        let run = runtime.client().start(&wf.reference(), 5).await.unwrap();
        let seen = until_status(runtime.client(), run.id(), Status::Failed).await;
        assert_eq!(*log.lock().unwrap(), ["c 7 8 5 declined", "b 6 7 5 declined", "a 5 6 5 declined"]);
        assert!(["a", "b", "c"].iter().all(|name| seen.step(name).unwrap().status == StepStatus::Undone), "{seen:?}");
        assert_eq!(seen.failure.unwrap().code, "declined");
        runtime.shutdown().await;
    }

    async fn a12_3_an_undo_that_fails_is_recorded_and_does_not_stop_the_others(place) {
        let log = Log::default();
        let wf = undoing(&log, "b", false);
        let runtime = running(place, &wf).await;
        let run = runtime.client().start(&wf.reference(), 5).await.unwrap();
        let seen = until_status(runtime.client(), run.id(), Status::Failed).await;
        let status = |name: &str| seen.step(name).unwrap().status;
        assert_eq!((status("c"), status("b"), status("a")), (StepStatus::Undone, StepStatus::UndoFailed, StepStatus::Undone));
        let undo = seen.step("b").unwrap().undo.clone().unwrap();
        assert_eq!(undo.failure.unwrap().code, "stuck");
        assert_eq!(seen.failure.unwrap().code, "declined");
        runtime.shutdown().await;
    }

    async fn a12_6_nothing_is_undone_when_a_recovery_step_succeeds(place) {
        let (mut wf, n) = Workflow::builder::<u32>("recovering", 1);
        let stock = wf.step("reserve", n, step(async |_, n: u32| Ok(n)).undo(async |_, _: Undo<u32, u32>| Ok(())));
        let paid = wf.step("charge", stock, step(async |_, _: u32| Err::<u32, _>(StepError::permanent("declined", "no"))));
        let free = wf.on_failure(&paid, |wf, failure| wf.step("give", failure, step(async |_, _: StepFailure| Ok(0))));
        let end = wf.either(paid, free);
        let wf = wf.finish(end).unwrap();
        let runtime = running(place, &wf).await;
        let run = runtime.client().start(&wf.reference(), 5).await.unwrap();
        assert_eq!(run.result().await.unwrap(), 0);
        let seen = run.inspect().await.unwrap();
        assert_eq!(seen.step("reserve").unwrap().undo, None);
        runtime.shutdown().await;
    }

    async fn a13_7_a_cancel_undoes_what_was_done_only_if_it_says_so(place) {
        let log = Log::default();
        let wf = undoing(&log, "", true);
        let runtime = running(place, &wf).await;
        for undo in [false, true] {
            let run = runtime.client().start(&wf.reference(), 0).await.unwrap();
            until_status(runtime.client(), run.id(), Status::Paused).await;
            run.cancel().undo(undo).actor("ana").metadata(json!({"api_key": "x", "ticket": 7})).await.unwrap();
            let seen = until_status(runtime.client(), run.id(), Status::Cancelled).await;
            let cancel = seen.cancel.clone().unwrap();
            assert_eq!((cancel.undo, cancel.metadata), (undo, Some(json!({"api_key": "[redacted]", "ticket": 7}))));
            let expected: &[&str] = match undo {
                false => &[],
                true => &["c 2 3 0 none", "b 1 2 0 none", "a 0 1 0 none"],
            };
            assert_eq!(*log.lock().unwrap(), expected);
        }
        runtime.shutdown().await;
    }
}
