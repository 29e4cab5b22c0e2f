//! Starting a runtime, or not.

use std::time::Duration;

use serde_json::json;
use squid_mesh::core::definition::ProblemCode;
use squid_mesh::core::limits;
use squid_mesh::{
    AnyStore, Client, Handlers, LaunchError, Runtime, StepContext, StepError, Workflow, step,
};
use squid_mesh_test_support::sqlite_url;

use crate::harness::on_every_store;

async fn echo(_: StepContext, n: u32) -> Result<u32, StepError> {
    Ok(n)
}

on_every_store! {
    async fn a2_4_a_draft_that_names_an_unregistered_handler_is_refused(place) {
        let draft = json!({
            "name": "evil", "version": 1, "steps": [{"name": "clean_up", "handler": "rm_rf"}],
        });
        let error = place.runtime().await.handler("echo", echo).draft(draft).start().await.unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, LaunchError::Draft(_)) && text.contains("clean_up") && text.contains("rm_rf"), "{text}");
    }

    async fn a2_5_a_draft_that_names_a_disabled_handler_is_refused_as_such(place) {
        let draft = json!({
            "name": "echoing", "version": 1, "result": "output(echo)",
            "steps": [{"name": "echo", "handler": "echo", "input": "input"}],
        });
        let handlers = Handlers::new().add("echo", echo);
        let off = handlers.clone().disable("echo");
        let error = place.runtime().await.handlers(&off).draft(draft.clone()).start().await.unwrap_err();
        let LaunchError::Draft(problems) = &error else { panic!("{error}") };
        assert_eq!(problems.as_slice()[0].code, ProblemCode::DisabledHandler, "{error}");

        let workflow = Workflow::<u32, u32>::from_draft(&draft, &handlers).unwrap();
        let runtime = place.runtime().await.handlers(&handlers).draft(draft).start().await.unwrap();
        let run = runtime.client().start(&workflow.reference(), 7).await.unwrap();
        assert_eq!(run.result().await.unwrap(), 7);
        runtime.shutdown().await;
    }

    async fn two_functions_under_one_name_of_a_list_are_refused(place) {
        let handlers = Handlers::new().add("echo", echo).add("echo", async |_: StepContext, n: u32| Ok(n));
        let error = place.runtime().await.handlers(&handlers).start().await.unwrap_err();
        assert!(matches!(&error, LaunchError::Handlers(_)), "{error}");
        let error = place.runtime().await.handlers(&Handlers::new().add("Echo", echo)).start().await.unwrap_err();
        assert!(matches!(&error, LaunchError::Name(_)), "{error}");
    }

    async fn settings_out_of_range_are_named(place) {
        let tick = Duration::from_nanos(1);
        for (builder, setting) in [
            (place.runtime().await.lease(Duration::ZERO), "lease"),
            (place.runtime().await.lease(limits::LEASE_MIN - tick), "lease"),
            (place.runtime().await.lease(limits::LEASE_MAX + tick), "lease"),
            (place.runtime().await.poll(Duration::ZERO), "poll"),
            (place.runtime().await.payload_limit((64 << 20) + 1), "payload_limit"),
            (place.runtime().await.payload_limit(0), "payload_limit"),
        ] {
            let error = builder.start().await.unwrap_err();
            assert!(matches!(&error, LaunchError::Setting { setting: found, .. } if *found == setting), "{error}");
        }
        for lease in [limits::LEASE_MIN, limits::LEASE_MAX] {
            let builder = place.runtime().await.lease(lease).payload_limit(limits::PAYLOAD_BYTES_MAX);
            builder.start().await.unwrap().shutdown().await;
        }
        let error = place.runtime().await.queue("Mail", 1).start().await.unwrap_err();
        assert!(matches!(error, LaunchError::Name(_)), "{error}");
    }

    async fn without_queues_of_its_own_a_runtime_serves_those_that_its_workflows_name(place) {
        let (mut wf, input) = Workflow::builder::<u32>("queued", 1);
        wf.queue("orders");
        let first = wf.step("first", input, step(echo).named("echo"));
        let second = wf.step("second", first, step(echo).named("echo").queue("mail"));
        let wf = wf.finish(second).unwrap();
        let runtime = place.runtime().await.workflow(&wf).start().await.unwrap();
        let run = runtime.client().start(&wf.reference(), 1).await.unwrap();
        assert_eq!(run.result().await.unwrap(), 1);
        runtime.shutdown().await;
    }
}

#[tokio::test]
async fn a_store_is_made_by_its_url_unless_it_must_not_be_migrated() {
    let file = sqlite_url().unwrap();
    let error = Runtime::builder(file.url())
        .migrate(false)
        .start()
        .await
        .unwrap_err();
    assert!(matches!(error, LaunchError::Connect(_)), "{error}");
    assert!(Client::connect(file.url()).await.is_err());
    assert!(!file.path().exists(), "looking makes no file");
    Runtime::builder(file.url())
        .start()
        .await
        .unwrap()
        .shutdown()
        .await;
    Runtime::builder(file.url())
        .migrate(false)
        .start()
        .await
        .unwrap()
        .shutdown()
        .await;
}

#[tokio::test]
async fn a_store_that_was_never_migrated_says_so() {
    let file = sqlite_url().unwrap();
    drop(AnyStore::connect(file.url()).await.unwrap());
    let error = Runtime::builder(file.url())
        .migrate(false)
        .start()
        .await
        .unwrap_err();
    assert!(matches!(error, LaunchError::Store(_)), "{error:?}");
}
