//! Versions of workflows, side by side and one after the other.

use std::time::Duration;

use squid_mesh::core::explain::Reason;
use squid_mesh::core::run::Status;
use squid_mesh::{LaunchError, Retry, StepContext, StepError, Workflow, step};

use crate::harness::{journal_rows, on_every_store, until, until_status};

async fn begin(_: StepContext, n: u32) -> Result<u32, StepError> {
    Ok(n)
}

async fn end(cx: StepContext, n: u32) -> Result<String, StepError> {
    Ok(format!("{n} by version {}", cx.version()))
}

async fn end_otherwise(cx: StepContext, n: u32) -> Result<String, StepError> {
    end(cx, n).await
}

/// `begin`, a wait in version 1 only, then `end`, under another handler if told so.
fn order(version: u32, attempts: u32, end_handler: &str) -> Workflow<u32, String> {
    let (mut wf, input) = Workflow::builder::<u32>("order", version);
    let begun = wf.step(
        "begin",
        input,
        step(begin).retry(Retry::immediate(attempts)),
    );
    let spec = if end_handler == "order_end" {
        step(end)
    } else {
        step(end_otherwise).named(end_handler)
    };
    let spec = if version == 1 {
        spec.after(&wf.wait("rest", Duration::from_millis(200), begun))
    } else {
        spec
    };
    let ended = wf.step("end", begun, spec);
    wf.finish(ended).unwrap()
}

on_every_store! {
    async fn a1_14_another_content_under_a_stored_version_stops_the_start_and_says_what_differs(place) {
        let stored = order(1, 1, "order_end");
        let runtime = place.runtime().await.workflow(&stored).queue("elsewhere", 1).start().await.unwrap();
        let run = runtime.client().start(&stored.reference(), 1).await.unwrap();
        runtime.shutdown().await;
        let started = place.runtime().await.workflow(order(1, 2, "order_end")).start().await;
        let error = started.unwrap_err();
        assert!(matches!(&error, LaunchError::Definitions(conflicts) if conflicts.len() == 1));
        let text = error.to_string();
        for part in ["order@1", "begin", "retry"] {
            assert!(text.contains(part), "{part} is not in {text}");
        }
        let client = place.client().await;
        assert_eq!(journal_rows(&client, run.id()).await, 1, "the run is as it was");
        let seen = client.inspect(run.id()).await.unwrap();
        assert_eq!((seen.status, seen.steps[0].worker), (Status::Pending, None));
    }

    async fn one_binary_with_two_contents_for_one_version_does_not_start(place) {
        let builder = place.runtime().await.workflow(order(1, 1, "order_end")).workflow(order(1, 2, "order_end"));
        let error = builder.start().await.unwrap_err();
        assert!(matches!(&error, LaunchError::Definitions(_)), "{error}");
        assert_eq!(place.client().await.list(&Default::default(), None, 0).await.unwrap().runs, []);
    }

    async fn one_binary_with_two_functions_for_one_handler_does_not_start(place) {
        let builder = place.runtime().await.workflow(order(1, 1, "order_end")).handler("order_end", end_otherwise);
        let error = builder.start().await.unwrap_err();
        assert!(matches!(&error, LaunchError::Handlers(_)), "{error}");
    }

    async fn a22_1_a_run_in_a_wait_ends_on_its_version_in_a_binary_that_declares_only_the_next(place) {
        let old = order(1, 1, "order_end");
        let runtime = place.runtime().await.workflow(&old).start().await.unwrap();
        let run = runtime.client().start(&old.reference(), 1).await.unwrap();
        until_status(runtime.client(), run.id(), Status::Waiting).await;
        runtime.shutdown().await;
        let next = order(2, 1, "order_end");
        let runtime = place.runtime().await.workflow(&next).start().await.unwrap();
        assert_eq!(run.result().await.unwrap(), "1 by version 1");
        let later = runtime.client().start(&next.reference(), 2).await.unwrap();
        assert_eq!(later.result().await.unwrap(), "2 by version 2");
        runtime.shutdown().await;
    }

    async fn a22_2_a_run_whose_handler_is_gone_stays_says_so_and_ends_when_it_is_back(place) {
        let old = order(1, 1, "order_end");
        let runtime = place.runtime().await.workflow(&old).queue("elsewhere", 1).start().await.unwrap();
        let run = runtime.client().start(&old.reference(), 1).await.unwrap();
        runtime.shutdown().await;
        let client = place.client().await;
        let runtime = place.runtime().await.workflow(order(2, 1, "order_end_otherwise")).start().await.unwrap();
        until(async || {
            let explanation = client.explain(run.id()).await.unwrap();
            explanation.reason == Reason::NoWorkerForHandler && explanation.summary.contains("order_end")
        }).await;
        assert!(!run.status().await.unwrap().is_terminal());
        runtime.shutdown().await;
        let builder = place.runtime().await.workflow(order(2, 1, "order_end_otherwise"));
        let runtime = builder.handler("order_end", end).start().await.unwrap();
        assert_eq!(run.result().await.unwrap(), "1 by version 1");
        runtime.shutdown().await;
    }
}
