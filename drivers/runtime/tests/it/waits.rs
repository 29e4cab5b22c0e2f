//! Waits, by a clock that is set.

use std::time::Duration;

use squid_mesh::core::run::Status;
use squid_mesh::{StepContext, StepError, StepStatus, Workflow, step};

use crate::harness::journal_rows;
use crate::schedules::Bench;

async fn echo(_: StepContext, n: u32) -> Result<u32, StepError> {
    Ok(n)
}

/// Rests for an hour, and ends.
fn resting() -> Workflow<u32, u32> {
    let (mut wf, n) = Workflow::builder::<u32>("resting", 1);
    let rested = wf.wait("rest", Duration::from_secs(3_600), n);
    let end = wf.step("end", n, step(echo).after(&rested));
    wf.finish(end).unwrap()
}

#[tokio::test]
async fn a8_1_what_waits_for_a_wait_is_ready_at_its_time_and_not_before() {
    let wf = resting();
    let mut bench = Bench::new("2026-01-01T12:00:00Z", &[&wf]).await;
    let run = bench.client.start(&wf.reference(), 5).await.unwrap();
    bench.at("2026-01-01T12:59:59Z").await;
    let seen = run.inspect().await.unwrap();
    assert_eq!(seen.status, Status::Waiting);
    assert_eq!(seen.step("end").unwrap().status, StepStatus::Blocked);
    bench.at("2026-01-01T13:00:00Z").await;
    assert_eq!(run.result().await.unwrap(), 5);
}

#[tokio::test]
async fn a8_2_a_wait_ends_at_its_time_although_every_worker_was_restarted() {
    let wf = resting();
    let mut bench = Bench::new("2026-01-01T12:00:00Z", &[&wf]).await;
    let run = bench.client.start(&wf.reference(), 5).await.unwrap();
    bench.settle().await;
    let rows = journal_rows(&bench.client, run.id()).await;
    bench.at("2026-01-01T12:30:00Z").await;
    bench.restart(&[&wf]).await;
    bench.at("2026-01-01T12:59:59Z").await;
    assert_eq!(run.status().await.unwrap(), Status::Waiting);
    assert_eq!(journal_rows(&bench.client, run.id()).await, rows);
    bench.at("2026-01-01T13:00:00Z").await;
    assert_eq!(run.result().await.unwrap(), 5);
    let seen = run.inspect().await.unwrap();
    assert_eq!(seen.step("rest").unwrap().lost, 0);
}

/// Waits until the instant that an earlier step gave.
fn reminding() -> Workflow<String, u32> {
    let (mut wf, at) = Workflow::builder::<String>("reminding", 1);
    let asked = wf.step(
        "ask",
        at,
        step(async |_: StepContext, at: String| Ok::<_, StepError>(at)),
    );
    let due = wf.wait_until("due", asked);
    let end = wf.step("end", squid_mesh::constant(1_u32), step(echo).after(&due));
    wf.finish(end).unwrap()
}

#[tokio::test]
async fn a8_4_a_wait_until_an_instant_of_an_output_ends_then_and_one_that_is_past_at_once() {
    let wf = reminding();
    let mut bench = Bench::new("2026-01-01T12:00:00Z", &[&wf]).await;
    let start = async |bench: &Bench, at: &str| {
        let start = bench.client.start(&wf.reference(), at.to_owned());
        start.await.unwrap()
    };
    let ahead = start(&bench, "2026-01-03T09:30:00+02:00").await;
    let past = start(&bench, "2025-12-31T00:00:00Z").await;
    bench.settle().await;
    assert_eq!(past.result().await.unwrap(), 1);
    let seen = ahead.inspect().await.unwrap();
    let due = "2026-01-03T07:30:00.000000Z";
    assert_eq!(seen.step("due").unwrap().due.unwrap().to_string(), due);
    bench.at("2026-01-03T07:29:59Z").await;
    assert_eq!(ahead.status().await.unwrap(), Status::Waiting);
    bench.at("2026-01-03T07:30:00Z").await;
    assert_eq!(ahead.result().await.unwrap(), 1);
}
