use super::*;
use crate::definition::Definition;
use crate::id::CommandId;
use crate::operation::{CancelReply, Rejection, Reply};
use crate::payload::OutputRef;
use crate::run::{Seq, Status};
use crate::task::TaskRow;
use crate::time::Timestamp;
use crate::worker::rig::{Rig, cancel, config, first, name, second, start, text, unavailable};
use crate::worker::{Config, Input, Ticket};

fn done() -> GroupReply {
    GroupReply::Done(Vec::new())
}

fn submit(rig: &mut Rig, request: u64, group: Group) {
    rig.handle(Input::Submit { request, group });
}

fn submitted(rig: &mut Rig, ticket: Ticket, groups: Vec<GroupReply>, handed: Vec<TaskRow>) {
    let now = first(1).due_at.minus(crate::worker::rig::LEASE);
    rig.reply(
        ticket,
        Reply::Submitted {
            now,
            groups,
            handed,
            next_due: None,
        },
    );
}

fn answer(request: u64, result: Result<GroupReply, SubmitError>) -> Action {
    Action::Answer { request, result }
}

#[test]
fn a_group_leaves_at_once_while_none_is_in_flight_and_the_next_gather_meanwhile() {
    let mut rig = Rig::idle();
    submit(&mut rig, 0, start(0));
    let (ticket, sent) = rig.submits();
    assert_eq!(sent.groups, [start(0)]);
    for request in 1..4 {
        submit(&mut rig, request, start(request.into()));
        assert_eq!(rig.actions(), []);
    }
    submitted(&mut rig, ticket, vec![done()], vec![]);
    let actions = rig.actions();
    assert_eq!(actions[0], answer(0, Ok(done())));
    let Action::Perform {
        operation: Operation::Submit(submit),
        ..
    } = &actions[1]
    else {
        panic!("expected a submit, found {actions:?}");
    };
    assert_eq!(submit.groups, [start(1), start(2), start(3)]);
}

#[test]
fn the_input_of_a_start_is_kept_unless_another_one_is_stored() {
    let draft = serde_json::json!({"name": "order", "version": 1,
        "triggers": [{"name": "stamped", "input": {"fields": {"at": {"type": "string", "stamp": "now"}}}}],
        "steps": [{"name": "first", "handler": "work"}]});
    let order = std::sync::Arc::new(Definition::parse(&draft).unwrap());
    let declaring = Config {
        workflows: std::sync::Arc::new([(name("order"), order.clone())].into()),
        ..config()
    };
    let mut caching = Rig::of(config());
    caching.worker.cache.keep_definition(order);
    for mut worker in [Rig::of(declaring), caching].map(|rig| rig.worker) {
        for (run, trigger, kept) in [(1, "manual", true), (2, "stamped", false)] {
            let mut group = start(run);
            let Entry::Start(start) = &mut group.entries[0] else {
                panic!("a start is one");
            };
            start.trigger = name(trigger);
            let place = OutputRef::here(Seq(1), start.input.digest()).of(start.run);
            worker.keep_inputs(&group);
            assert_eq!(worker.cache.payload(&place).is_some(), kept, "{trigger}");
        }
    }
}

#[test]
fn the_first_step_of_a_started_run_is_handed_over_with_its_input_at_hand() {
    let mut rig = Rig::idle();
    submit(&mut rig, 1, start(5));
    let (ticket, submit) = rig.submits();
    assert_eq!(
        submit.offer.unwrap().queues[0].slots,
        2,
        "half of what is free: it may begin with more than one step"
    );
    let mut task = second(5, &text("{}"));
    task.fence.seq = Seq(1);
    submitted(&mut rig, ticket, vec![done()], vec![task]);
    let actions = rig.actions();
    assert_eq!(actions[0], answer(1, Ok(done())));
    assert!(
        matches!(&actions[..], [_, Action::Execute(e)] if e.input == text("{}")),
        "{actions:?}"
    );
}

#[test]
fn groups_of_one_run_are_never_in_flight_twice_and_leave_in_order() {
    let mut rig = Rig::idle();
    submit(&mut rig, 1, cancel(5));
    let (ticket, _) = rig.submits();
    submitted(&mut rig, ticket, vec![GroupReply::Busy], vec![]);
    let (waiting, _) = rig.submits();
    submit(&mut rig, 2, cancel(5));
    let both = Group {
        entries: [cancel(5), start(6)]
            .into_iter()
            .flat_map(|group| group.entries)
            .collect(),
    };
    submit(&mut rig, 3, both.clone());
    submit(&mut rig, 4, start(6));
    submit(&mut rig, 5, start(7));
    let (ticket, other) = rig.submits();
    assert_eq!(other.groups, [start(7)]);
    submitted(&mut rig, waiting, vec![done()], vec![]);
    assert_eq!(rig.actions(), [answer(1, Ok(done()))]);
    submitted(&mut rig, ticket, vec![done()], vec![]);
    let actions = rig.actions();
    let Action::Perform {
        operation: Operation::Submit(submit),
        ..
    } = &actions[1]
    else {
        panic!("expected a submit, found {actions:?}");
    };
    assert_eq!(submit.groups, [cancel(5), both, start(6)]);
    assert_eq!(
        submit.offer.as_ref().map(|offer| offer.queues.len()),
        Some(1)
    );
}

#[test]
fn a_group_that_met_a_locked_run_goes_alone_and_waits() {
    let mut rig = Rig::idle();
    submit(&mut rig, 1, cancel(5));
    submit(&mut rig, 2, cancel(6));
    let (ticket, sent) = rig.submits();
    assert_eq!((sent.groups.len(), sent.offer, sent.wait), (2, None, false));
    submitted(&mut rig, ticket, vec![GroupReply::Busy, done()], vec![]);
    let actions = rig.actions();
    let Action::Perform { ticket, operation } = &actions[1] else {
        panic!("expected a submit, found {actions:?}")
    };
    let alone = Submit {
        shard: Shard::default(),
        groups: vec![cancel(5)],
        offer: None,
        wait: true,
    };
    assert_eq!(
        (&actions[0], operation),
        (&answer(2, Ok(done())), &Operation::Submit(alone))
    );
    submitted(&mut rig, *ticket, vec![GroupReply::Busy], vec![]);
    assert_eq!(rig.actions(), []);
    assert_eq!(rig.at(1).operation(), (*ticket, operation.clone()));
    submitted(&mut rig, *ticket, vec![done()], vec![]);
    assert_eq!(rig.actions(), [answer(1, Ok(done()))]);
}

#[test]
fn a_refused_group_does_not_spoil_its_neighbours() {
    let mut rig = Rig::idle();
    submit(&mut rig, 1, start(1));
    submit(&mut rig, 2, start(2));
    let (ticket, sent) = rig.submits();
    let Entry::Start(entry) = &sent.groups[0].entries[0] else {
        panic!("it is a start")
    };
    let refused = GroupReply::Refused {
        index: 0,
        rejection: Rejection::KeyConflict { run: entry.run },
    };
    submitted(&mut rig, ticket, vec![refused.clone(), done()], vec![]);
    assert_eq!(
        rig.actions(),
        [answer(1, Ok(refused)), answer(2, Ok(done()))]
    );
}

#[test]
fn a_store_that_refuses_is_a_refusal_unless_an_earlier_try_may_have_committed() {
    let mut rig = Rig::idle();
    let refused = || StoreError::Refused("read-only".into());
    submit(&mut rig, 1, start(1));
    let (ticket, _) = rig.submits();
    rig.error(ticket, refused());
    assert_eq!(
        rig.actions(),
        [answer(1, Err(SubmitError::Refused(refused().to_string())))]
    );
    submit(&mut rig, 2, start(2));
    let (ticket, sent) = rig.submits();
    rig.error(ticket, unavailable());
    rig.at(20).submits();
    rig.error(ticket, refused());
    assert_eq!(rig.actions(), []);
    let (at, _) = rig.deadline().unwrap();
    assert_eq!(at, 1_000, "the poll comes first");
    let again = Action::Perform {
        ticket,
        operation: Operation::Submit(sent),
    };
    assert!(rig.at(3_000).actions().contains(&again));
}

#[test]
fn what_may_wait_is_bounded() {
    let mut rig = Rig::idle();
    let waiting = u64::try_from(limits::SUBMITS_WAITING).unwrap();
    for request in 0..waiting {
        submit(&mut rig, request, cancel(request.into()));
    }
    assert!(rig.worker.actions.is_empty());
    submit(&mut rig, waiting, cancel(0));
    let overloaded = SubmitError::Overloaded {
        waiting: limits::SUBMITS_WAITING,
    };
    assert_eq!(rig.worker.actions, [answer(waiting, Err(overloaded))]);
    assert_eq!(rig.actions().len(), 1 + limits::SUBMITS_IN_FLIGHT);
    submit(&mut rig, waiting, cancel(0));
    assert_eq!(rig.actions(), [], "it may wait");
}

#[test]
fn a_group_without_entries_is_done_at_once() {
    let mut rig = Rig::idle();
    submit(
        &mut rig,
        1,
        Group {
            entries: Vec::new(),
        },
    );
    assert_eq!(rig.actions(), [answer(1, Ok(done()))]);
}

#[test]
fn a_cancel_that_ends_its_run_tells_whoever_waits_for_it_here() {
    let mut rig = Rig::idle();
    submit(&mut rig, 1, cancel(5));
    let (ticket, sent) = rig.submits();
    let run = sent.groups[0].entries[0].run();
    let reply = |status| {
        GroupReply::Done(vec![EntryReply::Cancelled(CancelReply {
            run,
            seq: Seq(2),
            at: Timestamp::default(),
            command: CommandId::from_u128(2),
            status,
        })])
    };
    submitted(&mut rig, ticket, vec![reply(Status::Cancelled)], vec![]);
    let ended = Action::Ended(Ended {
        run,
        status: Status::Cancelled,
    });
    assert_eq!(
        rig.actions(),
        [answer(1, Ok(reply(Status::Cancelled))), ended]
    );
    submit(&mut rig, 2, cancel(5));
    let (ticket, _) = rig.submits();
    submitted(&mut rig, ticket, vec![reply(Status::Cancelling)], vec![]);
    assert_eq!(rig.actions(), [answer(2, Ok(reply(Status::Cancelling)))]);
}

#[test]
fn a13_2_a_cancel_from_this_process_has_its_attempts_asked_about_at_once() {
    let (mine, other) = (first(1), first(2));
    let mut rig = Rig::holding(vec![mine.clone(), other]);
    assert_eq!(rig.actions().len(), 2);
    submit(&mut rig, 9, cancel(1));
    let (ticket, _) = rig.submits();
    let reply = CancelReply {
        run: mine.key.run,
        seq: Seq(2),
        at: Timestamp::from_micros(1),
        command: CommandId::from_u128(1),
        status: Status::Cancelling,
    };
    let group = GroupReply::Done(vec![EntryReply::Cancelled(reply)]);
    submitted(&mut rig, ticket, vec![group.clone()], vec![]);
    let actions = rig.actions();
    assert_eq!(actions[0], answer(9, Ok(group)));
    let Action::Perform {
        operation: Operation::Lease(leases),
        ..
    } = &actions[1]
    else {
        panic!("expected a renewal, found {actions:?}");
    };
    let asked: Vec<_> = leases.renew.iter().map(|held| held.key).collect();
    assert_eq!(asked, [mine.key]);
}
