use super::*;
use crate::operation::{Claimed, QueueDemand, Reply};
use crate::task::{TaskKey, TaskRow};
use crate::worker::rig::{LEASE, Rig, config, first, id_of, name, second, text, unavailable};
use crate::worker::{Action, Config, Input, QueueConfig, Reason};

fn rig(slots: u32, tasks: &[TaskRow]) -> Rig {
    let queues = vec![QueueConfig {
        name: name("default"),
        slots,
    }];
    let mut rig = Rig::holding_of(
        Config {
            queues,
            poll: LEASE * 100,
            ..config()
        },
        tasks.to_vec(),
    );
    assert_eq!(rig.actions().len(), tasks.len());
    rig
}

fn tasks<const N: usize>() -> [TaskRow; N] {
    std::array::from_fn(|n| first(n as u128))
}

fn keys(settle: &Settle) -> Vec<TaskKey> {
    settle.reports.iter().map(|report| report.key).collect()
}

#[test]
fn the_first_report_leaves_at_once_and_the_next_gather_meanwhile() {
    let tasks = tasks::<4>();
    let mut rig = rig(4, &tasks);
    rig.finish(&tasks[2]);
    let (ticket, settle) = rig.settle();
    assert_eq!(keys(&settle), [tasks[2].key]);
    for task in [&tasks[3], &tasks[0], &tasks[1]] {
        rig.finish(task);
        assert_eq!(rig.actions(), []);
    }
    rig.settled(ticket, vec![SlotReply::Accepted], vec![]);
    assert_eq!(
        keys(&rig.settle().1),
        [tasks[3].key, tasks[0].key, tasks[1].key],
        "in the order in which they ended"
    );
}

#[test]
fn reports_that_come_in_before_one_poll_leave_together() {
    let tasks = tasks::<3>();
    let mut rig = rig(4, &tasks);
    for task in &tasks {
        rig.finish(task);
    }
    let (_, settle) = rig.settle();
    assert_eq!(settle.reports.len(), 3);
    let offered = [QueueDemand {
        queue: name("default"),
        slots: 3,
        floor: None,
    }];
    assert_eq!(
        settle.offer.queues, offered,
        "its three own slots: each leads to one step at most"
    );
}

#[test]
fn a_step_that_became_ready_is_handed_over_and_executed() {
    let task = first(1);
    let mut rig = rig(1, std::slice::from_ref(&task));
    rig.finish(&task);
    let (ticket, _) = rig.settle();
    let next = second(1, &text("1"));
    rig.settled(ticket, vec![SlotReply::Accepted], vec![next.clone()]);
    let actions = rig.actions();
    assert!(
        matches!(&actions[..], [Action::Execute(e)] if e.attempt == id_of(&next)),
        "{actions:?}"
    );
}

#[test]
fn a_batch_takes_no_more_than_its_bounds() {
    let count = u32::try_from(limits::BATCH).unwrap() + 1;
    let tasks: Vec<TaskRow> = (0..count.into()).map(first).collect();
    let mut rig = rig(count, &tasks);
    for task in &tasks {
        rig.finish(task);
    }
    let (ticket, settle) = rig.settle();
    assert_eq!(settle.reports.len(), limits::BATCH);
    rig.settled(ticket, vec![SlotReply::Accepted; limits::BATCH], vec![]);
    assert_eq!(rig.settle().1.reports.len(), 1);

    let big = crate::payload::Payload::new(vec![b'1'; limits::BATCH_BYTES / 2 + 1]);
    let outcome = Outcome::Succeeded {
        output: big,
        label: None,
    };
    let report = |task: &TaskRow| Report {
        key: task.key,
        step: task.step,
        token: task.token().unwrap(),
        outcome: outcome.clone(),
    };
    let mut queue: VecDeque<Report> = tasks.iter().take(3).map(report).collect();
    assert_eq!((take_batch(&mut queue).len(), queue.len()), (1, 2));
}

#[test]
fn a_report_whose_run_is_locked_elsewhere_goes_alone_and_waits_and_holds_nobody_up() {
    let tasks = tasks::<4>();
    let mut rig = rig(4, &tasks);
    rig.finish(&tasks[0]);
    rig.finish(&tasks[1]);
    let (ticket, _) = rig.settle();
    rig.settled(ticket, vec![SlotReply::Busy, SlotReply::Accepted], vec![]);
    let (waiting, settle) = rig.settle();
    assert_eq!((keys(&settle), settle.wait), (vec![tasks[0].key], true));
    rig.finish(&tasks[2]);
    let (ticket, settle) = rig.settle();
    assert_eq!((keys(&settle), settle.wait), (vec![tasks[2].key], false));
    rig.settled(ticket, vec![SlotReply::Accepted], vec![]);
    rig.settled(waiting, vec![SlotReply::Accepted], vec![]);
    assert_eq!(rig.actions(), []);
    assert_eq!(rig.worker.stats().accepted, 3);
}

#[test]
fn reports_of_a_run_whose_lock_is_waited_for_wait_with_it() {
    let (a, mut b) = (first(1), first(1));
    b.key.lane = crate::task::Lane(1);
    let mut rig = rig(4, &[a.clone(), b.clone()]);
    rig.finish(&a);
    let (ticket, _) = rig.settle();
    rig.settled(ticket, vec![SlotReply::Busy], vec![]);
    let (waiting, _) = rig.settle();
    rig.finish(&b);
    assert_eq!(rig.actions(), []);
    rig.settled(waiting, vec![SlotReply::Accepted], vec![]);
    let (_, settle) = rig.settle();
    assert_eq!((keys(&settle), settle.wait), (vec![b.key], true));
}

#[test]
fn reports_that_gathered_while_their_run_turned_out_locked_wait_with_it() {
    let (a, mut b, c) = (first(1), first(1), first(2));
    b.key.lane = crate::task::Lane(1);
    let mut rig = rig(4, &[a.clone(), b.clone(), c.clone()]);
    rig.finish(&a);
    let (ticket, _) = rig.settle();
    rig.finish(&b);
    rig.finish(&c);
    rig.settled(ticket, vec![SlotReply::Busy], vec![]);
    let settles: Vec<(Vec<TaskKey>, bool)> = rig
        .actions()
        .iter()
        .map(|action| match action {
            Action::Perform {
                operation: Operation::Settle(settle),
                ..
            } => (keys(settle), settle.wait),
            other => panic!("expected settles, found {other:?}"),
        })
        .collect();
    assert_eq!(settles, [(vec![c.key], false), (vec![a.key, b.key], true)]);
}

#[test]
fn an_operation_that_waited_in_vain_is_performed_again_after_a_pause() {
    let task = first(1);
    let mut rig = rig(1, std::slice::from_ref(&task));
    rig.finish(&task);
    let (ticket, _) = rig.settle();
    rig.settled(ticket, vec![SlotReply::Busy], vec![]);
    let (waiting, settle) = rig.settle();
    rig.settled(waiting, vec![SlotReply::Busy], vec![]);
    assert_eq!(rig.actions(), []);
    assert_eq!(rig.at(1).operation(), (waiting, Operation::Settle(settle)));
}

#[test]
fn a_settle_whose_commit_is_unknown_is_repeated_before_anything_else_of_its_lane() {
    let tasks = tasks::<2>();
    let mut rig = rig(2, &tasks);
    rig.finish(&tasks[0]);
    let (ticket, settle) = rig.settle();
    rig.error(ticket, unavailable());
    rig.finish(&tasks[1]);
    assert_eq!(rig.actions(), []);
    assert_eq!(rig.at(20).operation(), (ticket, Operation::Settle(settle)));
    rig.settled(ticket, vec![SlotReply::Accepted], vec![]);
    assert_eq!(keys(&rig.settle().1), [tasks[1].key]);
}

#[test]
fn lanes_settle_at_once_and_never_share_a_run() {
    let queues = vec![QueueConfig {
        name: name("default"),
        slots: 64,
    }];
    let tasks: Vec<TaskRow> = (0..64).map(first).collect();
    let config = Config {
        settles: 2,
        queues,
        ..config()
    };
    let mut rig = Rig::holding_of(config, tasks.clone());
    assert_eq!(rig.actions().len(), 64);
    for task in &tasks {
        rig.finish(task);
    }
    let counts: Vec<usize> = rig
        .actions()
        .iter()
        .map(|action| match action {
            Action::Perform {
                operation: Operation::Settle(settle),
                ..
            } => settle.reports.len(),
            other => panic!("expected settles, found {other:?}"),
        })
        .collect();
    assert_eq!((counts.len(), counts.iter().sum::<usize>()), (2, 64));
    assert!(counts.iter().all(|count| *count > 16), "{counts:?}");
}

#[test]
fn a17_11_a_store_that_stalls_stops_the_claiming_and_nothing_grows() {
    let tasks = tasks::<4>();
    let mut rig = rig(4, &tasks);
    for task in &tasks {
        rig.finish(task);
    }
    let (ticket, settle) = rig.settle();
    for second in 1..=60 {
        rig.at(second * 1_000)
            .handle(Input::Hint(crate::store::Hint {
                queue: Some(name("default")),
            }));
        rig.error(ticket, unavailable());
        let renewals = rig.actions();
        assert!(renewals.iter().all(|action| !matches!(
            action,
            Action::Perform {
                operation: Operation::Claim(_),
                ..
            }
        )));
        assert_eq!(rig.worker.attempts.held.len(), 4);
        assert!(rig.worker.actions.is_empty());
    }
    let again = Action::Perform {
        ticket,
        operation: Operation::Settle(settle),
    };
    rig.error(ticket, unavailable());
    assert_eq!(rig.deadline().unwrap().1, Reason::Backoff);
    assert!(rig.at(66_000).actions().contains(&again));
    rig.settled(ticket, vec![SlotReply::Accepted; 4], vec![]);
    let (ticket, claim) = rig.claim();
    assert_eq!(claim.offer.queues[0].slots, 4);
    rig.claimed(ticket, Claimed::default());
    assert!(rig.worker.attempts.held.is_empty());
}

#[test]
fn a_retry_that_a_settle_scheduled_wakes_the_worker_when_it_falls_due() {
    let task = first(1);
    let mut rig = rig(1, std::slice::from_ref(&task));
    rig.finish(&task);
    let (ticket, _) = rig.settle();
    rig.reply(
        ticket,
        Reply::Settled {
            now: crate::time::Timestamp::from_micros(1),
            slots: vec![SlotReply::Accepted],
            handed: Vec::new(),
            ended: Vec::new(),
            next_due: Some(std::time::Duration::from_millis(50)),
        },
    );
    assert_eq!(rig.actions(), []);
    let (at, reason) = rig.deadline().unwrap();
    assert_eq!(reason, Reason::TaskDue);
    assert!((50..53).contains(&at), "{at}");
    rig.at(at + 1).claim();
}
