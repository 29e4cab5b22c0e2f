//! Why a run is where it is, in each situation that there is.

use serde_json::{Value, json};
use squid_mesh_core::definition::{Draft, DraftRetry, DraftStep};
use squid_mesh_core::event::By;
use squid_mesh_core::explain::{Asked, Evidence, Explanation, NextAction, Reason, explain};
use squid_mesh_core::id::{CommandId, RunId};
use squid_mesh_core::name::{DEFAULT_QUEUE, Name};
use squid_mesh_core::operation::{
    Cancel, Entry, GroupReply, Leases, Operation, Outcome, QueueAction, QueueCommand, Report,
    Resolve, Ruling, SlotReply, Spawn, Start, StartDelay, WorkerRow,
};
use squid_mesh_core::payload::Payload;
use squid_mesh_core::run::{Seq, Status};
use squid_mesh_core::task::{TaskKey, TaskRow};
use squid_mesh_sim::oracle::refused_offer;

use crate::desk::{Desk, LEASE, chain, engine, failure, held, no_leases, secs, success};

fn draft(steps: Value) -> Draft {
    let draft = json!({"name": "order", "version": 1, "steps": steps});
    Draft::parse(&draft).unwrap()
}

fn one_step(step: Value) -> Desk {
    Desk::new(draft(json!([step])))
}

/// A run, and the workers that were seen.
struct Case {
    desk: Desk,
    run: RunId,
    workers: Vec<WorkerRow>,
}

impl Case {
    fn new(mut desk: Desk) -> Case {
        let run = desk.start();
        Case::of(desk, run)
    }

    fn of(desk: Desk, run: RunId) -> Case {
        let workers = desk.tables.workers().into_iter().cloned().collect();
        Case { desk, run, workers }
    }

    fn explain(&self) -> Explanation {
        let record = self.desk.tables.record(self.run, self.desk.now).unwrap();
        explain(&record, &self.desk.definition, &self.workers)
    }

    fn claim(&mut self) -> TaskRow {
        self.desk.claim_one(1)
    }

    fn settle(&mut self, report: Report) {
        assert_eq!(self.desk.settle(1, report), SlotReply::Accepted);
    }

    /// Each row that is named as evidence.
    fn evidence_exists(&self, explanation: &Explanation) {
        assert!(!explanation.evidence.is_empty());
        for evidence in &explanation.evidence {
            let tables = &self.desk.tables;
            let exists = match *evidence {
                Evidence::Journal { seq } => {
                    let row = tables.journal(self.run, seq).next();
                    row.is_some_and(|row| row.seq == seq)
                }
                Evidence::Task { lane, due_at } => {
                    let key = TaskKey {
                        run: self.run,
                        lane,
                    };
                    tables.task(&key).is_some_and(|row| row.due_at == due_at)
                }
            };
            assert!(exists, "{evidence:?} of {explanation:?}");
        }
    }
}

/// A run in a situation; none of one that cannot be.
fn case(reason: Reason) -> Option<Case> {
    let mut case = match reason {
        Reason::Scheduled => delayed(),
        Reason::Timer => Case::new(one_step(json!({"name": "a", "wait": "1h"}))),
        Reason::Approval => Case::new(approval()),
        Reason::Pause => Case::new(one_step(json!({"name": "a", "pause": {"deadline": "1h"}}))),
        Reason::Signal => Case::new(one_step(json!({"name": "a", "signal": {"name": "paid"}}))),
        Reason::Child => parent(),
        Reason::UnknownOutcome => lost_hold(),
        Reason::Compensating | Reason::Failed => Case::new(undoable()),
        Reason::RetryBackoff => Case::new(Desk::new(retried())),
        Reason::LimitReached => return None,
        Reason::ReadyUnclaimed
        | Reason::NoWorkerForHandler
        | Reason::QueuePaused
        | Reason::Running
        | Reason::LeaseExpired
        | Reason::Cancelling
        | Reason::Unreadable
        | Reason::Completed
        | Reason::Cancelled => Case::new(Desk::new(chain(1))),
        other => panic!("{other:?} is a reason without a case"),
    };
    match reason {
        Reason::NoWorkerForHandler => case.workers.clear(),
        Reason::QueuePaused => pause(&mut case.desk),
        Reason::Unreadable => case.desk.tables.damage(case.run, vec![0xff, 1, 2]),
        Reason::Cancelled => drop(case.desk.try_cancel(case.run, false).unwrap()),
        Reason::Running | Reason::LeaseExpired | Reason::Cancelling => drop(case.claim()),
        Reason::Completed => {
            let task = case.claim();
            case.settle(success(&task));
        }
        Reason::RetryBackoff => {
            let task = case.claim();
            case.settle(failure(&task, true));
        }
        Reason::Compensating | Reason::Failed => {
            let task = case.claim();
            case.settle(success(&task));
            let task = case.claim();
            case.settle(failure(&task, false));
        }
        _ => {}
    }
    match reason {
        Reason::LeaseExpired => case.desk.pass(LEASE + secs(1)),
        Reason::Cancelling => drop(case.desk.try_cancel(case.run, false).unwrap()),
        Reason::Failed => {
            let undo = case.claim();
            case.settle(success(&undo));
        }
        _ => {}
    }
    Some(case)
}

fn delayed() -> Case {
    let mut desk = Desk::new(chain(1));
    let start = Start {
        delay: Some(StartDelay::In(secs(600))),
        ..desk.a_start()
    };
    let run = desk.try_start(start).unwrap().run;
    Case::of(desk, run)
}

fn approval() -> Desk {
    Desk::new(draft(json!([
        {"name": "a", "approval": {}},
        {"name": "yes", "handler": "h", "when": {"step": "a", "label": "approved"}},
        {"name": "no", "handler": "h", "when": {"step": "a", "label": "rejected"}},
    ])))
}

fn retried() -> Draft {
    Draft {
        steps: vec![DraftStep {
            retry: Some(DraftRetry::constant(2, secs(60))),
            ..DraftStep::handler("a", "work")
        }],
        ..Draft::new("order", 1)
    }
}

fn undoable() -> Desk {
    Desk::new(draft(json!([
        {"name": "a", "handler": "h", "undo": {"handler": "u"}},
        {"name": "b", "handler": "h", "input": "output(a)"},
    ])))
}

/// A run with one child out, of its own workflow.
fn parent() -> Case {
    let mut case = Case::new(one_step(
        json!({"name": "a", "child": {"workflow": "order"}}),
    ));
    let task = case.claim();
    let spawn = Spawn {
        definition: case.desk.definition.key().clone(),
        from: 0,
        inputs: vec![(Payload::null(), Payload::null().digest())],
    };
    let report = Report {
        outcome: Outcome::Spawn(Box::new(spawn)),
        ..success(&task)
    };
    case.settle(report);
    case
}

/// A run whose irreversible step began and was lost.
fn lost_hold() -> Case {
    let mut case = Case::new(one_step(
        json!({"name": "a", "handler": "h", "irreversible": true}),
    ));
    let task = case.claim();
    case.desk.leases(Leases {
        begun: vec![held(&task)],
        ..no_leases()
    });
    case.desk.pass(LEASE + secs(1));
    let loss = case.claim();
    case.settle(engine(&loss));
    case
}

fn pause(desk: &mut Desk) {
    let command = QueueCommand {
        queue: Name::stored(DEFAULT_QUEUE),
        action: QueueAction::Pause,
        command: CommandId::from_u128(99),
        actor: None,
        comment: None,
    };
    desk.perform(&Operation::Queue(command));
}

#[test]
fn a18_5_each_situation_has_its_reason_and_evidence_that_exists() {
    for reason in Reason::ALL {
        let Some(case) = case(reason) else {
            assert_eq!(reason, Reason::LimitReached, "it is reserved");
            continue;
        };
        let explanation = case.explain();
        assert_eq!(explanation.reason, reason, "{explanation:?}");
        assert_eq!(
            explanation.status,
            case.desk.tables.run(case.run).unwrap().status
        );
        case.evidence_exists(&explanation);
    }
}

#[test]
fn a18_6_what_is_offered_is_accepted_in_each_situation() {
    let step = || Name::stored("a");
    let cancels = [NextAction::Cancel, NextAction::CancelForce];
    for reason in Reason::ALL {
        let Some(case) = case(reason) else { continue };
        let explanation = case.explain();
        let now = case.desk.now;
        let refused = refused_offer(&case.desk.tables, case.run, now, &explanation, |_| true);
        assert_eq!(refused, None, "{reason}");
        let mut own = explanation.next_actions;
        own.retain(|action| !cancels.contains(action));
        let expected = match reason {
            Reason::NoWorkerForHandler => vec![NextAction::StartWorker],
            Reason::QueuePaused => vec![NextAction::ResumeQueue],
            Reason::Approval => vec![
                NextAction::Approve { step: step() },
                NextAction::Reject { step: step() },
            ],
            Reason::Pause => vec![NextAction::Resume { step: step() }],
            Reason::Signal => vec![NextAction::Signal {
                step: step(),
                signal: Name::stored("paid"),
            }],
            Reason::UnknownOutcome => vec![
                NextAction::ResolveSucceeded { step: step() },
                NextAction::ResolveRetry { step: step() },
                NextAction::ResolveFail { step: step() },
            ],
            Reason::Compensating => vec![NextAction::SkipUndo { step: step() }],
            Reason::Unreadable => vec![NextAction::Upgrade],
            Reason::Completed => vec![
                NextAction::Replay,
                NextAction::Fork {
                    step: Name::stored("s0"),
                },
            ],
            Reason::Failed => vec![
                NextAction::ResumeFailed,
                NextAction::Replay,
                NextAction::Fork { step: step() },
                NextAction::Fork {
                    step: Name::stored("b"),
                },
            ],
            Reason::Cancelled => vec![NextAction::Replay],
            _ => Vec::new(),
        };
        assert_eq!(own, expected, "{reason}");
    }
}

#[test]
fn a18_6_what_would_be_refused_is_not_offered() {
    // A step that is being undone is not skipped under its worker's hands, and a failing run is not cancelled.
    let mut failing = case(Reason::Compensating).unwrap();
    failing.claim();
    assert_eq!(failing.explain().next_actions, []);
    // What cannot be repeated unasked is not replayed unasked, and no fork repeats it.
    let mut done = Case::new(one_step(
        json!({"name": "a", "handler": "h", "irreversible": true}),
    ));
    let task = done.claim();
    done.settle(success(&task));
    assert_eq!(
        done.explain().next_actions,
        [NextAction::ReplayAllowIrreversible]
    );
    // Nothing is offered for a snapshot that nobody wrote.
    let corrupt = case(Reason::Unreadable).unwrap();
    let mut tables = corrupt.desk.tables.clone();
    tables.damage(corrupt.run, vec![1, 0xff]);
    let record = tables.record(corrupt.run, corrupt.desk.now).unwrap();
    let explanation = explain(&record, &corrupt.desk.definition, &corrupt.workers);
    assert_eq!(
        (explanation.reason, explanation.next_actions.len()),
        (Reason::Unreadable, 0)
    );
}

#[test]
fn the_more_active_of_two_situations_is_the_reason_and_the_other_is_evidence() {
    let mut case = Case::new(Desk::new(draft(json!([
        {"name": "ask", "pause": {}},
        {"name": "rest", "wait": "1h"},
        {"name": "work", "handler": "h", "retry": {"max_attempts": 2, "backoff": {"kind": "constant", "min": "10s", "max": "10s"}}},
    ]))));
    assert_eq!(case.explain().reason, Reason::ReadyUnclaimed);
    let task = case.claim();
    assert_eq!(case.explain().reason, Reason::Running);
    case.settle(failure(&task, true));
    let explanation = case.explain();
    assert_eq!(explanation.reason, Reason::RetryBackoff);
    assert_eq!(explanation.evidence.len(), 3, "the wait and the pause too");
    case.desk.pass(secs(10));
    let task = case.claim();
    case.settle(success(&task));
    assert_eq!(case.explain().reason, Reason::Timer);
    case.desk.pass(secs(3_600));
    case.desk.run_engine(1);
    let explanation = case.explain();
    assert_eq!(
        (explanation.reason, explanation.evidence.len()),
        (Reason::Pause, 1)
    );
}

#[test]
fn a_parent_names_the_children_it_waits_for() {
    let explanation = case(Reason::Child).unwrap().explain();
    let step = squid_mesh_core::definition::StepIndex(0);
    assert_eq!(
        explanation.children,
        [RunId::child(explanation.run, step, 0)]
    );
    assert_eq!(explanation.summary, "step a waits for 1 of its children");
}

/// What is explained of the end of a run, with the row that it names.
fn told(case: &Case) -> Explanation {
    let explanation = case.explain();
    case.evidence_exists(&explanation);
    let seq = explanation.cause.unwrap();
    let row = case.desk.tables.journal(case.run, seq).next().unwrap();
    explanation.told(&row.transition)
}

#[test]
fn a18_7_a_failed_run_names_the_step_and_code_that_failed_it() {
    let explanation = told(&case(Reason::Failed).unwrap());
    assert_eq!(explanation.summary, "step b failed with down");
    assert_eq!(explanation.asked, None);
}

#[test]
fn a18_7_a_cancelled_run_names_who_cancelled_it_and_why() {
    for claimed in [false, true] {
        let mut case = Case::new(Desk::new(chain(1)));
        if claimed {
            case.claim();
        }
        let cancel = Cancel {
            run: case.run,
            command: CommandId::from_u128(50),
            by: ada("the customer left"),
            force: false,
            undo: false,
        };
        let reply = case.desk.submit(vec![Entry::Cancel(cancel)]);
        assert!(matches!(reply, GroupReply::Done(_)), "{reply:?}");
        let explanation = told(&case);
        let asked = Asked {
            actor: Some("ada".to_owned()),
            comment: Some("the customer left".to_owned()),
        };
        assert_eq!(explanation.asked, Some(asked));
        assert!(
            explanation
                .summary
                .ends_with("; ada asked: the customer left"),
            "{}",
            explanation.summary
        );
        let status = case.desk.status(case.run);
        let expected = if claimed {
            (Status::Cancelling, Reason::Cancelling)
        } else {
            (Status::Cancelled, Reason::Cancelled)
        };
        assert_eq!((status, explanation.reason), expected);
    }
}

#[test]
fn a18_7_a_run_without_a_result_names_the_end_of_its_last_step_whatever_was_taken_back() {
    let steps = json!([
        {"name": "a", "handler": "h", "labels": ["x", "y", "z"], "undo": {"handler": "u"}},
        {"name": "b", "handler": "h", "when": {"step": "a", "label": "x"}},
        {"name": "c", "handler": "h", "when": {"step": "a", "label": "y"}},
    ]);
    let order = json!({"name": "order", "version": 1, "steps": steps, "result": "either(b,c)"});
    let mut case = Case::new(Desk::new(Draft::parse(&order).unwrap()));
    let task = case.claim();
    let mut other_way = success(&task);
    if let Outcome::Succeeded { label, .. } = &mut other_way.outcome {
        *label = Some(squid_mesh_core::definition::LabelIndex(2));
    }
    case.settle(other_way);
    let undo = case.claim();
    let compensating = case.explain();
    case.settle(success(&undo));
    assert_eq!(case.desk.status(case.run), Status::Failed);
    let ended = case.explain();
    assert_eq!(ended.cause, Some(Seq(2)));
    assert_eq!(compensating.cause, ended.cause);
}

#[test]
fn a18_7_a_run_that_an_operator_failed_names_the_operator() {
    let mut case = case(Reason::UnknownOutcome).unwrap();
    let resolve = Resolve {
        run: case.run,
        command: CommandId::from_u128(51),
        step: None,
        ruling: Ruling::Fail {
            code: None,
            message: "the bank knows nothing of it".to_owned(),
        },
        by: ada("looked it up"),
    };
    let reply = case.desk.submit(vec![Entry::Resolve(Box::new(resolve))]);
    assert!(matches!(reply, GroupReply::Done(_)), "{reply:?}");
    assert_eq!(
        told(&case).summary,
        "step a failed with failed_by_operator; ada said that it had failed: looked it up"
    );
}

fn ada(comment: &str) -> By {
    By {
        actor: Some("ada".to_owned()),
        comment: Some(comment.to_owned()),
        metadata: None,
    }
}
