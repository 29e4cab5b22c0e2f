//! The same command for many runs.

use serde_json::{Value, json};
use squid_mesh::core::id::RunId;
use squid_mesh::core::name::Name;
use squid_mesh::core::run::Status;
use squid_mesh::core::store::RunFilter;
use squid_mesh::{
    BulkDone, BulkEntry, BulkError, Client, CopyError, Runtime, StepContext, StepError, StepStatus,
    Workflow, step,
};

use crate::harness::{Place, on_every_store, until};

/// Every run of it fails, and what `a` did is taken back. Of one number in ten something was shipped that cannot be taken back,
/// and that a resumption, which does `a` again, would repeat.
async fn failing(place: &Place) -> Runtime {
    let risky: Vec<u32> = (0..10).map(|tens| tens * 10 + 7).collect();
    let draft = json!({"name": "failing", "version": 1, "steps": [
        {"name": "a", "handler": "fine", "input": "input", "undo": {"handler": "fine"}},
        {"name": "size", "input": "input", "route": [
            {"label": "risky", "in": risky},
            {"label": "plain", "otherwise": true}]},
        {"name": "ship", "handler": "fine", "needs": ["a"], "irreversible": true, "when": {"step": "size", "label": "risky"}},
        {"name": "b", "handler": "broken", "after": ["ship"]},
    ]});
    let fine = async |_: StepContext, _: Value| Ok::<_, StepError>(());
    let broken =
        async |_: StepContext, _: Value| Err::<(), _>(StepError::permanent("broken", "no"));
    let builder = place.runtime().await.draft(draft);
    let builder = builder.handler("fine", fine).handler("broken", broken);
    builder.start().await.unwrap()
}

/// A hundred runs that have failed, the oldest first.
async fn a_hundred(client: &Client) -> Vec<RunId> {
    let mut runs = Vec::new();
    for n in 0..100 {
        let run = client
            .start_json("failing", None, json!(n))
            .label("batch", "first")
            .await
            .unwrap();
        runs.push(run.id());
    }
    let mut failed = first_batch();
    failed.statuses.insert(Status::Failed);
    until(async || client.list(&failed, None, 100).await.unwrap().runs.len() == 100).await;
    runs
}

/// Copies have no labels, so they are not among these.
fn first_batch() -> RunFilter {
    let mut filter = RunFilter::default();
    filter.labels = vec![("batch".to_owned(), "first".to_owned())];
    filter
}

/// The number that a run was started with.
async fn number(client: &Client, run: RunId) -> u64 {
    let seen = client.inspect(run).with_payloads().await.unwrap();
    seen.input.as_ref().and_then(Value::as_u64).unwrap()
}

fn is_refused(entry: &BulkEntry) -> bool {
    matches!(
        &entry.result,
        Err(BulkError::Copy(CopyError::UnsafeReplay { .. }))
    )
}

async fn count(client: &Client) -> usize {
    client
        .list(&RunFilter::default(), None, 1_000)
        .await
        .unwrap()
        .runs
        .len()
}

on_every_store! {
    async fn a14_9_of_a_hundred_failed_runs_thirty_are_resumed_and_reported_one_by_one(place) {
        let runtime = failing(place).await;
        let client = runtime.client();
        let runs = a_hundred(client).await;
        let newest: Vec<RunId> = runs.iter().rev().copied().collect();

        let report = client.resume_failed_all(first_batch()).limit(30).actor("ana").await.unwrap();
        let treated: Vec<RunId> = report.runs.iter().map(|entry| entry.run).collect();
        assert_eq!(treated, newest[..30], "the newest first");
        for entry in &report.runs {
            let n = number(client, entry.run).await;
            assert_eq!(is_refused(entry), n % 10 == 7, "{n}: {entry:?}");
            match entry.result {
                Ok(BulkDone::Copied { run, existing: false }) => {
                    let source = client.inspect(run).await.unwrap().source.unwrap();
                    assert_eq!(source.run, entry.run);
                }
                Err(_) => {}
                ref other => panic!("{other:?}"),
            }
        }
        assert_eq!(report.runs.iter().filter(|entry| entry.result.is_err()).count(), 3, "and the rest went on");
        assert_eq!(count(client).await, 127);

        let mut next = report.next;
        let mut pages = vec![report.runs.len()];
        let mut seen = treated;
        while let Some(cursor) = next {
            let report = client.resume_failed_all(first_batch()).limit(30).after(cursor).await.unwrap();
            pages.push(report.runs.len());
            seen.extend(report.runs.iter().map(|entry| entry.run));
            next = report.next;
        }
        assert_eq!((pages, seen), (vec![30, 30, 30, 10], newest));
        assert_eq!(count(client).await, 190);
        runtime.shutdown().await;
    }

    async fn a14_9_a_rejection_stops_the_rest_if_that_is_asked_for(place) {
        let runtime = failing(place).await;
        let client = runtime.client();
        let runs = a_hundred(client).await;
        let resume = || client.resume_failed_all(first_batch()).limit(30).stop_at_rejection(true);
        // The newest is number 99.
        let report = resume().await.unwrap();
        let treated: Vec<(RunId, bool)> = report.runs.iter().map(|entry| (entry.run, is_refused(entry))).collect();
        assert_eq!(treated, [(runs[99], false), (runs[98], false), (runs[97], true)]);
        assert_eq!(count(client).await, 102);
        let report = resume().after(report.next.unwrap()).await.unwrap();
        let refused: Vec<bool> = report.runs.iter().map(is_refused).collect();
        assert_eq!((refused.len(), refused[9], report.runs[0].run), (10, true, runs[96]));
        runtime.shutdown().await;
    }

    async fn s8_4_many_are_replayed_up_to_the_limit_and_the_same_command_treats_none_twice(place) {
        let (mut wf, n) = Workflow::builder::<u32>("shipping", 1);
        let shipped = wf.step("ship", n, step(async |_, n: u32| match n {
            3 => Ok(n),
            _ => Err(StepError::permanent("broken", "no")),
        }).irreversible());
        let wf = wf.finish(shipped).unwrap();
        let runtime = place.runtime().await.workflow(&wf).start().await.unwrap();
        let client = runtime.client();
        let mut runs = Vec::new();
        for n in 0..8 {
            let run = client.start(&wf.reference(), n).await.unwrap();
            run.wait_terminal().await.unwrap();
            runs.push(run.id());
        }
        let mut all = RunFilter::default();
        all.workflow = Some(Name::new("shipping").unwrap());
        // Newest first: 7, 6, 5, 4 can be copied, 3 must not.
        let report = client.replay_all(all.clone()).limit(6).key("bulk").await.unwrap();
        let refused = |entry: &BulkEntry| is_refused(entry);
        let seen: Vec<_> = report.runs.iter().map(|entry| (entry.run, refused(entry))).collect();
        let expected: Vec<_> = runs.iter().rev().take(6).map(|run| (*run, *run == runs[3])).collect();
        assert_eq!(seen, expected);
        assert!(report.next.is_some());
        let again = client.replay_all(all.clone()).limit(20).key("bulk").await.unwrap();
        let old = again.runs.iter().filter(|entry| matches!(entry.result, Ok(BulkDone::Copied { existing: true, .. })));
        assert_eq!(old.count(), 5, "the same command treats none twice");
        let mut failed = all.clone();
        failed.statuses.insert(Status::Completed);
        let none = client.resume_failed_all(failed).await.unwrap();
        assert!(none.runs.is_empty(), "what completed is not resumed");
        let stopped = client.replay_all(all).limit(100).stop_at_rejection(true).await.unwrap();
        assert!(refused(stopped.runs.last().unwrap()));
        assert_eq!(stopped.runs.iter().filter(|entry| entry.result.is_err()).count(), 1);
        runtime.shutdown().await;
    }

    async fn many_runs_are_cancelled_by_one_command(place) {
        let (mut wf, n) = Workflow::builder::<u32>("pausing", 1);
        wf.pause("look", n);
        let wf = wf.finish(n).unwrap();
        let runtime = place.runtime().await.workflow(&wf).start().await.unwrap();
        let client = runtime.client();
        for n in 0..5 {
            client.start(&wf.reference(), n).await.unwrap();
        }
        let report = client.cancel_all(RunFilter::default()).actor("ana").await.unwrap();
        assert_eq!(report.runs.len(), 5);
        for entry in report.runs {
            assert!(matches!(entry.result, Ok(BulkDone::Cancelled { .. })), "{entry:?}");
            let seen = client.inspect(entry.run).await.unwrap();
            assert_eq!(seen.step("look").unwrap().status, StepStatus::Cancelled);
        }
        runtime.shutdown().await;
    }
}
