//! Looking at runs.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::json;
use squid_mesh::core::graph::{EdgeState, NodeState};
use squid_mesh::core::name::Name;
use squid_mesh::core::run::Status;
use squid_mesh::core::store::RunFilter;
use squid_mesh::{
    InspectError, Retry, Routed, StepContext, StepError, StepStatus, Workflow, step, step_routed,
};

use crate::harness::{Place, on_every_store, until_status};

async fn hide(_: StepContext, text: String) -> Result<String, StepError> {
    Err(StepError::permanent("hidden", "no secret here").details(json!({"text": text})))
}

async fn keep(_: StepContext, text: String) -> Result<String, StepError> {
    Ok(text)
}

fn secrets() -> Workflow<String, String> {
    let (mut wf, text) = Workflow::builder::<String>("secrets", 1);
    let kept = wf.step("keep", text, step(keep));
    let hidden = wf.step("hide", kept, step(hide));
    wf.finish(hidden).unwrap()
}

async fn grade(cx: StepContext, text: String) -> Result<Routed<String>, StepError> {
    match cx.attempt() {
        1 => Err(StepError::retryable("flaky", "not yet")),
        _ => Ok(Routed::new("good", text)),
    }
}

/// A graded text, which goes to people if it is good and away if it is bad.
fn grading() -> Workflow<String, String> {
    let (mut wf, text) = Workflow::builder::<String>("grading", 3);
    let retry = Retry::constant(3, Duration::from_millis(1));
    let graded = wf.step(
        "grade",
        text,
        step_routed(grade, ["good", "bad"]).retry(retry),
    );
    let shown = wf.when(&graded, "good", |wf| {
        let look = wf.pause("look", graded);
        wf.step("show", graded, step(keep).after(&look))
    });
    let binned = wf.when(&graded, "bad", |wf| wf.step("bin", graded, step(keep)));
    let end = wf.either(shown, binned);
    wf.finish(end).unwrap()
}

async fn idle(place: &Place) -> squid_mesh::Client {
    let builder = place
        .runtime()
        .await
        .workflow(secrets())
        .queue("elsewhere", 1);
    builder.start().await.unwrap().shutdown().await;
    place.client().await
}

on_every_store! {
    async fn a18_1_a_run_half_way_is_shown_with_the_state_of_every_step(place) {
        let wf = grading();
        let runtime = place.runtime().await.workflow(&wf).start().await.unwrap();
        let run = runtime.client().start(&wf.reference(), "essay".to_owned()).await.unwrap();
        until_status(runtime.client(), run.id(), Status::Paused).await;
        let seen = run.inspect().await.unwrap();
        assert_eq!((seen.workflow.as_str(), seen.version, seen.status), ("grading", 3, Status::Paused));
        assert!(seen.created <= seen.updated && seen.updated <= seen.now);
        let statuses: Vec<_> = seen.steps.iter().map(|step| (step.name.as_str(), step.status)).collect();
        let expected = [
            ("grade", StepStatus::Succeeded),
            ("look", StepStatus::Paused),
            ("show", StepStatus::Blocked),
            ("bin", StepStatus::Skipped),
        ];
        assert_eq!(statuses, expected);
        let grade = seen.step("grade").unwrap();
        assert_eq!((grade.executed, grade.lost), (2, 0));
        assert_eq!(grade.label.as_ref().map(Name::as_str), Some("good"));
        assert_eq!(seen.waits.len(), 1);
        assert_eq!(seen.waits[0].step.as_str(), "look");
        let history = runtime.client().history(run.id()).await.unwrap();
        assert!(history.iter().any(|entry| entry.summary.contains("flaky")), "{history:?}");
        runtime.shutdown().await;
    }

    async fn a18_2_a_graph_says_of_every_way_whether_it_was_gone(place) {
        let wf = grading();
        let runtime = place.runtime().await.workflow(&wf).start().await.unwrap();
        let run = runtime.client().start(&wf.reference(), "SECRET-1".to_owned()).await.unwrap().id();
        until_status(runtime.client(), run, Status::Paused).await;
        let graph = runtime.client().graph(run).await.unwrap();
        let states: Vec<_> = graph.nodes.iter().map(|node| (node.id.as_str(), node.state)).collect();
        let expected = [
            ("grade", NodeState::Succeeded),
            ("look", NodeState::Waiting),
            ("show", NodeState::Blocked),
            ("bin", NodeState::Skipped),
        ];
        assert_eq!(states, expected);
        assert_eq!((graph.nodes[0].way.as_deref(), graph.nodes[0].attempts), (Some("good"), 2));
        let edge = |from: &str, to: &str| {
            let found = graph.edges.iter().filter(|edge| edge.from == from && edge.to == to);
            found.map(|edge| edge.state).collect::<BTreeSet<_>>()
        };
        assert_eq!(edge("grade", "look"), [EdgeState::Selected].into());
        assert_eq!(edge("grade", "bin"), [EdgeState::Skipped].into());
        assert_eq!(edge("look", "show"), [EdgeState::Pending].into());
        let json = serde_json::to_string(&graph).unwrap();
        for text in [&json, &graph.to_mermaid(), &graph.to_dot()] {
            assert!(text.contains("grade") && !text.contains("SECRET-1"), "{text}");
        }
        assert!(graph.to_mermaid().starts_with("flowchart") && graph.to_dot().starts_with("digraph"));
        // Whoever does not know the workflow is shown the same.
        assert_eq!(place.client().await.graph(run).await.unwrap(), graph);
        runtime.shutdown().await;
    }

    async fn a18_3_pages_show_each_run_once_while_others_start(place) {
        let client = idle(place).await;
        let mut expected = BTreeSet::new();
        for n in 0..25 {
            expected.insert(client.start(&secrets().reference(), n.to_string()).await.unwrap().id());
        }
        let (mut seen, mut cursor) = (Vec::new(), None);
        loop {
            let page = client.list(&RunFilter::default(), cursor.as_deref(), 10).await.unwrap();
            seen.extend(page.runs.into_iter().map(|run| run.run));
            client.start(&secrets().reference(), "meanwhile".to_owned()).await.unwrap();
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(seen.len(), 25);
        assert_eq!(seen.into_iter().collect::<BTreeSet<_>>(), expected);
    }

    async fn listing_goes_by_workflow_status_and_label(place) {
        let client = idle(place).await;
        let plain = client.start(&secrets().reference(), "a".to_owned()).await.unwrap().id();
        let labelled = client.start(&secrets().reference(), "b".to_owned()).label("tier", "gold").await.unwrap().id();
        client.cancel(plain).await.unwrap();
        let list = async |change: &dyn Fn(&mut RunFilter)| {
            let mut filter = RunFilter::default();
            change(&mut filter);
            let page = client.list(&filter, None, 0).await.unwrap();
            page.runs.into_iter().map(|run| run.run).collect::<Vec<_>>()
        };
        assert_eq!(list(&|filter| filter.workflow = Some(Name::new("secrets").unwrap())).await.len(), 2);
        assert_eq!(list(&|filter| filter.workflow = Some(Name::new("other").unwrap())).await, []);
        assert_eq!(list(&|filter| filter.statuses = [Status::Cancelled].into()).await, [plain]);
        assert_eq!(list(&|filter| filter.labels = vec![("tier".to_owned(), "gold".to_owned())]).await, [labelled]);
    }

    async fn a18_4_a_cursor_that_no_page_gave_is_a_typed_error(place) {
        let error = place.client().await.list(&RunFilter::default(), Some("page 2"), 10).await.unwrap_err();
        assert!(matches!(error, InspectError::MalformedCursor { .. }), "{error}");
    }

    async fn a18_8_payloads_are_shown_only_to_those_who_ask(place) {
        let runtime = place.runtime().await.workflow(secrets()).start().await.unwrap();
        let client = runtime.client();
        let run = client.start(&secrets().reference(), "SECRET-1".to_owned()).await.unwrap();
        run.wait_terminal().await.unwrap();
        let plain = serde_json::to_string(&run.inspect().await.unwrap()).unwrap();
        let list = serde_json::to_string(&client.list(&RunFilter::default(), None, 0).await.unwrap()).unwrap();
        let history = serde_json::to_string(&client.history(run.id()).await.unwrap()).unwrap();
        let explained = serde_json::to_string(&client.explain(run.id()).await.unwrap()).unwrap();
        let graph = serde_json::to_string(&client.graph(run.id()).await.unwrap()).unwrap();
        for text in [plain, list, history, explained, graph] {
            assert!(!text.contains("SECRET-1"), "{text}");
        }
        let full = run.inspect().with_payloads().await.unwrap();
        assert_eq!(full.input, Some(json!("SECRET-1")));
        assert_eq!(full.step("keep").unwrap().output, Some(json!("SECRET-1")));
        assert_eq!(full.failure.unwrap().details, Some(json!({"text": "SECRET-1"})));
        runtime.shutdown().await;
    }

    async fn a18_10_a_run_of_a_workflow_that_this_binary_does_not_know_can_be_looked_at(place) {
        let runtime = place.runtime().await.workflow(secrets()).start().await.unwrap();
        let run = runtime.client().start(&secrets().reference(), "x".to_owned()).await.unwrap().id();
        runtime.client().run::<String>(run).wait_terminal().await.unwrap();
        runtime.shutdown().await;
        let stranger = place.client().await;
        assert_eq!(stranger.inspect(run).await.unwrap().status, Status::Failed);
        assert!(stranger.explain(run).await.unwrap().summary.contains("hide"));
        assert_eq!(stranger.history(run).await.unwrap().len(), 3);
        assert_eq!(stranger.graph(run).await.unwrap().nodes.len(), 2);
    }

    async fn an_unknown_run_is_a_typed_error(place) {
        let client = place.client().await;
        let id = "0189d7a2-0000-7000-8000-000000000000".parse().unwrap();
        let looked = [
            client.inspect(id).await.map(drop),
            client.explain(id).await.map(drop),
            client.history(id).await.map(drop),
            client.graph(id).await.map(drop),
        ];
        for result in looked {
            assert!(matches!(result, Err(InspectError::UnknownRun { .. })), "{result:?}");
        }
    }
}
