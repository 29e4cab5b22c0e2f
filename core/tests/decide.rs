//! What a run decides: tables of the exact changes.

mod common;

use std::collections::BTreeSet;
use std::time::Duration;

use common::{Fold, claimed, due, failed, lost, retryable, secs, succeeded};
use squid_mesh_core::change::{Cause, Change, Heading, StepEnd};
use squid_mesh_core::definition::{DraftRetry, StepIndex};
use squid_mesh_core::event::{Event, Failure};
use squid_mesh_core::operation::Rejection;
use squid_mesh_core::payload::Payload;
use squid_mesh_core::run::{Seq, Stage, Status};
use squid_mesh_core::task::{Fence, Lane};

const A: StepIndex = StepIndex(0);
const B: StepIndex = StepIndex(1);
const C: StepIndex = StepIndex(2);
const LANE0: Lane = Lane(0);
const LANE1: Lane = Lane(1);

fn settle(step: StepIndex, end: StepEnd) -> Change {
    Change::Settle { step, end }
}

fn report(step: StepIndex, seq: u32) -> Change {
    let fence = Fence {
        seq: Seq(seq),
        claims: 1,
    };
    Change::Report {
        step,
        fence,
        digest: Payload::null().digest(),
    }
}

#[test]
fn a5_1_roots_are_ready_at_once_and_a_join_after_both() {
    let mut run = Fold::start(common::join());
    assert_eq!(
        run.last(),
        [
            Change::Schedule {
                step: A,
                lane: LANE0,
                due: due(0)
            },
            Change::Schedule {
                step: B,
                lane: LANE1,
                due: due(0)
            },
        ]
    );
    run.at(5).take(succeeded(A, 1));
    assert_eq!(run.last(), [report(A, 1), settle(A, StepEnd::Succeeded)]);
    run.at(7).take(succeeded(B, 1));
    assert_eq!(
        run.last(),
        [
            report(B, 1),
            settle(B, StepEnd::Succeeded),
            Change::Schedule {
                step: C,
                lane: LANE0,
                due: due(7)
            },
        ]
    );
}

#[test]
fn a5_2_a_chain_beside_a_long_root_runs_through() {
    let mut run = Fold::start(common::chain_beside_root());
    for (step, seq) in [(1, 1), (2, 2), (3, 3)] {
        run.take(succeeded(StepIndex(step), seq));
    }
    assert_eq!(run.run().step(StepIndex(3)).stage, Stage::Succeeded);
    assert!(matches!(run.run().step(A).stage, Stage::Scheduled(_)));
    assert_eq!(run.run().status(), Status::Running);
}

#[test]
fn a_chain_keeps_its_lane_and_completes_with_its_last_step() {
    let mut run = Fold::start(common::chain(2));
    run.at(1).take(succeeded(A, 1));
    assert_eq!(
        run.last()[2],
        Change::Schedule {
            step: B,
            lane: LANE0,
            due: due(1)
        }
    );
    run.at(2).take(succeeded(B, 2));
    assert_eq!(
        run.last(),
        [
            report(B, 2),
            settle(B, StepEnd::Succeeded),
            Change::Wind {
                heading: Heading::Completed
            },
            Change::Finish,
        ]
    );
    assert_eq!(run.run().status(), Status::Completed);
}

#[test]
fn a5_10_a_side_step_outside_the_result_is_awaited() {
    let mut run = Fold::start(common::join());
    run.take(succeeded(A, 1));
    assert!(!run.run().is_ended());
    run.take(succeeded(B, 1)).take(succeeded(C, 3));
    assert_eq!(run.run().status(), Status::Completed);
}

#[test]
fn a6_1_a_failure_without_a_retry_option_ends_the_run_after_one_attempt() {
    let mut run = Fold::start(common::chain(2));
    run.take_knowing(failed(A, 1, retryable("down")), &claimed([LANE0]));
    assert_eq!(
        run.last()[1..],
        [
            settle(A, StepEnd::Failed),
            Change::Wind {
                heading: Heading::Failed(Cause::Step {
                    step: A,
                    code: "down".into()
                })
            },
            settle(B, StepEnd::Cancelled),
            Change::Finish,
        ]
    );
    assert_eq!(run.run().status(), Status::Failed);
}

#[test]
fn a6_1_the_last_allowed_attempt_is_not_followed_by_another() {
    let mut run = Fold::start(common::retrying(DraftRetry::attempts(3)));
    run.take(failed(A, 1, retryable("x")));
    assert_eq!(run.run().step(A).attempt(), 2);
    run.take(failed(A, 2, retryable("x")));
    assert_eq!(run.run().step(A).attempt(), 3);
    run.take_knowing(failed(A, 3, retryable("x")), &claimed([LANE0]));
    assert_eq!(run.run().status(), Status::Failed);
    assert_eq!(run.run().step(A).executed, 3);
}

#[test]
fn a6_2_retries_are_due_after_the_backoff() {
    let mut run = Fold::start(common::retrying(common::exponential(7)));
    let mut at = 0;
    for (n, delay) in [100, 200, 400, 800, 1_000, 1_000].into_iter().enumerate() {
        let seq = u32::try_from(n).unwrap() + 1;
        run.at_millis(at).take(failed(A, seq, retryable("x")));
        let expected = due(0).plus(Duration::from_millis(at + delay));
        assert_eq!(
            run.last()[1],
            Change::Schedule {
                step: A,
                lane: LANE0,
                due: expected
            }
        );
        assert_eq!(run.run().status(), Status::Retrying);
        at += delay;
    }
}

#[test]
fn a6_3_retry_after_replaces_the_computed_delay() {
    let mut run = Fold::start(common::retrying(DraftRetry::constant(5, secs(1))));
    let failure = Failure {
        retry_after: Some(secs(90)),
        ..retryable("busy")
    };
    run.at(10).take(failed(A, 1, failure));
    assert_eq!(
        run.last()[1],
        Change::Schedule {
            step: A,
            lane: LANE0,
            due: due(100)
        }
    );
}

#[test]
fn a6_4_a_permanent_failure_is_not_retried() {
    let mut run = Fold::start(common::retrying(DraftRetry::attempts(5)));
    run.take_knowing(
        failed(A, 1, Failure::new("no", "no", false)),
        &claimed([LANE0]),
    );
    assert_eq!(
        (run.run().status(), run.run().step(A).executed),
        (Status::Failed, 1)
    );
}

#[test]
fn a6_5_a_lost_attempt_does_not_consume_the_attempts() {
    let mut run = Fold::start(common::chain(1));
    run.at(40).take(lost(A, 1));
    assert_eq!(
        run.last(),
        [
            Change::Lose { step: A },
            Change::Schedule {
                step: A,
                lane: LANE0,
                due: due(40)
            }
        ]
    );
    run.take(succeeded(A, 2));
    let step = run.run().step(A);
    assert_eq!(
        (step.lost, step.executed, run.run().status()),
        (1, 1, Status::Completed)
    );
}

#[test]
fn a6_6_more_losses_than_allowed_fail_the_step_as_lost() {
    let mut run = Fold::start(common::chain(1));
    for seq in 1..=3 {
        run.at(40 * u64::from(seq)).take(lost(A, seq));
    }
    run.at(200).take_knowing(lost(A, 4), &claimed([LANE0]));
    assert_eq!(run.run().step(A).lost, 4);
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
    let mut run = Fold::start(common::waiting(secs(3_600)));
    assert_eq!(
        run.last(),
        [Change::Await {
            step: A,
            lane: LANE0,
            due: due(3_600)
        }]
    );
    let early = run.at(3_599).try_take(Event::Due { step: A });
    assert_eq!(
        early.unwrap_err(),
        Rejection::NotDue {
            run: run.run().id(),
            due: due(3_600)
        }
    );
    run.at(3_600).take(Event::Due { step: A });
    assert_eq!(
        run.last()[1],
        Change::Schedule {
            step: B,
            lane: LANE0,
            due: due(3_600)
        }
    );
}

#[test]
fn a8_5_a_join_of_a_wait_and_a_step_is_ready_when_the_wait_ends() {
    let mut run = Fold::start(common::wait_join());
    run.at(300).take(succeeded(B, 1));
    assert_eq!(run.run().step(C).stage, Stage::Blocked);
    assert_eq!(run.run().status(), Status::Waiting);
    run.at(3_600).take(Event::Due { step: A });
    assert_eq!(
        run.last()[1],
        Change::Schedule {
            step: C,
            lane: LANE0,
            due: due(3_600)
        }
    );
}

#[test]
fn due_times_come_from_the_clock_and_not_from_the_runs_monotone_time() {
    let mut run = Fold::start(common::chain(2));
    run.at(86_400 * 365).take(lost(A, 1));
    run.at(10).take(succeeded(A, 2));
    assert_eq!(
        run.last()[2],
        Change::Schedule {
            step: B,
            lane: LANE0,
            due: due(10)
        }
    );
    assert_eq!(
        run.run().at(),
        due(86_400 * 365),
        "the journal's own time never goes back"
    );
}

#[test]
fn a_failing_run_stops_what_is_claimed_and_ends_what_is_not() {
    let mut run = Fold::start(common::join());
    run.take_knowing(
        failed(A, 1, Failure::new("no", "", false)),
        &claimed([LANE0, LANE1]),
    );
    assert_eq!(
        run.last()[2..],
        [
            Change::Wind {
                heading: Heading::Failed(Cause::Step {
                    step: A,
                    code: "no".into()
                })
            },
            Change::Stop { step: B },
            settle(C, StepEnd::Cancelled),
        ]
    );
    assert_eq!(run.run().status(), Status::Compensating);
    run.take(succeeded(B, 1));
    assert_eq!(
        run.last()[1..],
        [settle(B, StepEnd::Succeeded), Change::Finish]
    );
    assert_eq!(run.run().status(), Status::Failed);
}

#[test]
fn a13_1_a_run_of_which_nothing_is_claimed_is_cancelled_at_once() {
    let mut run = Fold::start(common::chain(2));
    run.take_knowing(common::cancel(1, false), &BTreeSet::new());
    assert_eq!(
        run.last(),
        [
            Change::Wind {
                heading: Heading::Cancelled
            },
            settle(A, StepEnd::Cancelled),
            settle(B, StepEnd::Cancelled),
            Change::Finish,
        ]
    );
}

#[test]
fn a13_2_a_claimed_step_is_awaited_and_routes_nowhere() {
    let mut run = Fold::start(common::chain(2));
    run.take_knowing(common::cancel(1, false), &claimed([LANE0]));
    assert_eq!(run.run().status(), Status::Cancelling);
    run.take(succeeded(A, 1));
    assert_eq!(
        run.last()[1..],
        [settle(A, StepEnd::Succeeded), Change::Finish]
    );
    assert!(
        run.run().step(A).output().is_some(),
        "the effect happened, so its output is kept"
    );
    assert_eq!(
        (run.run().status(), run.run().step(B).stage),
        (Status::Cancelled, Stage::Cancelled)
    );
}

#[test]
fn a13_4_a_dead_workers_step_ends_with_its_lease() {
    let mut run = Fold::start(common::chain(2));
    run.take_knowing(common::cancel(1, false), &claimed([LANE0]));
    run.at(30).take(lost(A, 1));
    assert_eq!(
        run.last()[1..],
        [settle(A, StepEnd::Cancelled), Change::Finish]
    );
}

#[test]
fn a13_6_an_ended_run_refuses_every_event() {
    let mut run = Fold::start(common::chain(1));
    run.take(succeeded(A, 1));
    let finished = Rejection::Finished {
        run: run.run().id(),
        status: Status::Completed,
    };
    for event in [
        common::cancel(1, false),
        succeeded(A, 1),
        lost(A, 1),
        Event::DeadlineReached,
    ] {
        assert_eq!(run.try_take(event).unwrap_err(), finished);
    }
}

#[test]
fn a_forced_cancel_does_not_wait_for_claimed_steps() {
    let mut run = Fold::start(common::chain(2));
    run.take_knowing(common::cancel(1, false), &claimed([LANE0]));
    run.take_knowing(common::cancel(2, true), &claimed([LANE0]));
    assert_eq!(run.last(), [settle(A, StepEnd::Cancelled), Change::Finish]);
    assert_eq!(
        run.run().cancel().map(|first| first.seq),
        Some(Seq(2)),
        "the first cancel stays the first"
    );
}

#[test]
fn a_run_deadline_fails_the_run_and_is_disarmed_when_it_no_longer_matters() {
    let mut run = Fold::start(common::with_deadline(secs(60)));
    assert_eq!(
        run.last()[1],
        Change::ArmDeadline {
            lane: LANE1,
            due: due(60)
        }
    );
    assert!(matches!(
        run.at(59).try_take(Event::DeadlineReached),
        Err(Rejection::NotDue { .. })
    ));
    let mut ended = run.clone();
    ended.take(succeeded(A, 1));
    assert!(ended.last().contains(&Change::DisarmDeadline));
    assert!(ended.run().agenda(ended.definition()).is_empty());
    run.at(60)
        .take_knowing(Event::DeadlineReached, &BTreeSet::new());
    assert_eq!(run.run().cause(), Some(&Cause::DeadlineExceeded));
    assert_eq!(run.run().status(), Status::Failed);
}

#[test]
fn a_final_failure_asks_for_the_claims_before_it_decides() {
    let run = Fold::start(common::join());
    assert!(run.needs_claims(failed(A, 1, Failure::new("no", "", false))));
    assert!(run.needs_claims(common::cancel(1, false)));
    assert!(!run.needs_claims(succeeded(A, 1)));
}

#[test]
fn a_report_on_a_step_that_is_not_out_is_stale() {
    let mut run = Fold::start(common::chain(2));
    let stale = Rejection::Stale {
        run: run.run().id(),
        step: 1,
    };
    assert_eq!(run.try_take(succeeded(B, 1)).unwrap_err(), stale);
    assert_eq!(run.try_take(Event::Due { step: B }).unwrap_err(), stale);
}
