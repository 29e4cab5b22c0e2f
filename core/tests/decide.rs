//! What a run decides: tables of the exact changes.

mod common;

use std::time::Duration;

use common::*;
use squid_mesh_core::change::{Cause, Change, Heading};
use squid_mesh_core::definition::{DraftRetry, StepIndex};
use squid_mesh_core::event::Failure;
use squid_mesh_core::operation::Rejection;
use squid_mesh_core::run::{Stage, Status};

#[test]
fn a5_1_roots_are_ready_at_once_and_a_join_after_both() {
    let mut run = Fold::start(join());
    assert_eq!(
        run.last(),
        [schedule(A, 0, due(0)), schedule(B, 1, due(0)),]
    );
    run.at(5).take(succeeded(A, 1));
    assert_eq!(run.last(), [report(A, 1), succeed(A)]);
    run.at(7).take(succeeded(B, 1));
    assert_eq!(
        run.last(),
        [report(B, 1), succeed(B), schedule(C, 0, due(7)),]
    );
}

#[test]
fn a5_2_a_chain_beside_a_long_root_runs_through() {
    let mut run = Fold::start(chain_beside_root());
    for (step, seq) in [(1, 1), (2, 2), (3, 3)] {
        run.take(succeeded(StepIndex(step), seq));
    }
    assert_eq!(run.run().step(StepIndex(3)).stage, Stage::Succeeded);
    assert!(matches!(run.run().step(A).stage, Stage::Scheduled(_)));
    assert_eq!(run.run().status(), Status::Running);
}

#[test]
fn a_chain_keeps_its_lane_and_completes_with_its_last_step() {
    let mut run = Fold::start(chain(2));
    run.at(1).take(succeeded(A, 1));
    assert_eq!(run.last()[2], schedule(B, 0, due(1)));
    run.at(2).take(succeeded(B, 2));
    assert_eq!(
        run.last(),
        [
            report(B, 2),
            succeed(B),
            wind(Heading::Completed),
            Change::Finish,
        ]
    );
    assert_eq!(run.run().status(), Status::Completed);
}

#[test]
fn a5_10_a_side_step_outside_the_result_is_awaited() {
    let mut run = Fold::start(join());
    run.take(succeeded(A, 1));
    assert!(!run.run().is_ended());
    run.take(succeeded(B, 1)).take(succeeded(C, 3));
    assert_eq!(run.run().status(), Status::Completed);
}

#[test]
fn a6_1_a_failure_without_a_retry_option_ends_the_run_after_one_attempt() {
    let mut run = Fold::start(chain(2));
    run.take_knowing(failed(A, 1, retryable("down")), &claimed([0]));
    assert_eq!(
        run.last()[1..],
        [fail(A, "down", 2), fails(A, "down"), end(B), Change::Finish,]
    );
    assert_eq!(run.run().status(), Status::Failed);
}

#[test]
fn a6_1_the_last_allowed_attempt_is_not_followed_by_another() {
    let mut run = Fold::start(retrying(DraftRetry::attempts(3)));
    run.take(failed(A, 1, retryable("x")));
    assert_eq!(run.run().step(A).tries.attempt(), 2);
    run.take(failed(A, 2, retryable("x")));
    assert_eq!(run.run().step(A).tries.attempt(), 3);
    run.take_knowing(failed(A, 3, retryable("x")), &claimed([0]));
    assert_eq!(run.run().status(), Status::Failed);
    assert_eq!(run.run().step(A).tries.executed, 3);
}

#[test]
fn a6_2_retries_are_due_after_the_backoff() {
    let mut run = Fold::start(retrying(exponential(7)));
    let mut at = 0;
    for (n, delay) in [100, 200, 400, 800, 1_000, 1_000].into_iter().enumerate() {
        let seq = u32::try_from(n).unwrap() + 1;
        run.at_millis(at).take(failed(A, seq, retryable("x")));
        let expected = due(0).plus(Duration::from_millis(at + delay));
        assert_eq!(run.last()[1], schedule(A, 0, expected));
        assert_eq!(run.run().status(), Status::Retrying);
        at += delay;
    }
}

#[test]
fn a6_3_retry_after_replaces_the_computed_delay() {
    let mut run = Fold::start(retrying(DraftRetry::constant(5, secs(1))));
    let failure = Failure {
        retry_after: Some(secs(90)),
        ..retryable("busy")
    };
    run.at(10).take(failed(A, 1, failure));
    assert_eq!(run.last()[1], schedule(A, 0, due(100)));
}

#[test]
fn a6_4_a_permanent_failure_is_not_retried() {
    let mut run = Fold::start(retrying(DraftRetry::attempts(5)));
    run.take_knowing(failed(A, 1, permanent("no")), &claimed([0]));
    assert_eq!(
        (run.run().status(), run.run().step(A).tries.executed),
        (Status::Failed, 1)
    );
}

#[test]
fn a6_5_a_lost_attempt_does_not_consume_the_attempts() {
    let mut run = Fold::start(chain(1));
    run.at(40).take(lost(A, 1));
    assert_eq!(run.last(), [lose(A), schedule(A, 0, due(40))]);
    run.take(succeeded(A, 2));
    let step = run.run().step(A);
    assert_eq!(
        (step.tries.lost, step.tries.executed, run.run().status()),
        (1, 1, Status::Completed)
    );
}

#[test]
fn a6_6_more_losses_than_allowed_fail_the_step_as_lost() {
    let mut run = Fold::start(chain(1));
    for seq in 1..=3 {
        run.at(40 * u64::from(seq)).take(lost(A, seq));
    }
    run.at(200).take_knowing(lost(A, 4), &claimed([0]));
    assert_eq!(run.run().step(A).tries.lost, 4);
    assert_eq!(
        run.run().cause(),
        Some(&Cause::Step {
            step: A,
            code: "lost".into()
        })
    );
}

#[test]
fn a8_1_a_wait_is_not_over_before_its_time() {
    let mut run = Fold::start(waiting(secs(3_600)));
    assert_eq!(run.last(), [awaits(A, 0, due(3_600))]);
    let early = run.at(3_599).try_take(over(A));
    assert_eq!(
        early.unwrap_err(),
        Rejection::NotDue {
            run: run.run().id(),
            due: due(3_600)
        }
    );
    run.at(3_600).take(over(A));
    assert_eq!(run.last()[1], schedule(B, 0, due(3_600)));
}

#[test]
fn a8_5_a_join_of_a_wait_and_a_step_is_ready_when_the_wait_ends() {
    let mut run = Fold::start(wait_join());
    run.at(300).take(succeeded(B, 1));
    assert_eq!(run.run().step(C).stage, Stage::Blocked);
    assert_eq!(run.run().status(), Status::Waiting);
    run.at(3_600).take(over(A));
    assert_eq!(run.last()[1], schedule(C, 0, due(3_600)));
}

#[test]
fn due_times_come_from_the_clock_and_not_from_the_runs_monotone_time() {
    let mut run = Fold::start(chain(2));
    run.at(86_400 * 365).take(lost(A, 1));
    run.at(10).take(succeeded(A, 2));
    assert_eq!(run.last()[2], schedule(B, 0, due(10)));
    assert_eq!(
        run.run().at(),
        due(86_400 * 365),
        "the journal's own time never goes back"
    );
}
