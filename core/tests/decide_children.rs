//! Steps with children: tables of the exact changes.

mod common;

use std::collections::BTreeSet;

use common::*;
use serde_json::json;
use squid_mesh_core::change::{Change, Chore, Heading};
use squid_mesh_core::event::{ChildEnd, Event, Found, Parent, Started, code};
use squid_mesh_core::id::{Life, RunId};
use squid_mesh_core::run::{Seq, Stage, Status};
use squid_mesh_core::task::{Lane, TaskKind, Work};

#[test]
fn a16_1_a_child_is_started_awaited_and_its_result_is_the_steps_output() {
    let mut run = Fold::start(child());
    assert_eq!(run.last(), [fan(1), engage(A, Chore::Spawn, 0, due(0))]);
    assert_eq!(work(&run), Work::Spawn { from: 0, depth: 1 });
    run.take(spawned(A, 0, 1));
    assert_eq!(run.last(), [spawn(1), REST]);
    assert_eq!(run.run().status(), Status::Waiting);
    assert!(run.run().agenda(run.definition()).is_empty());
    run.at(9).take(child_ended(A, 0, ChildEnd::Completed));
    assert_eq!(
        run.last(),
        [arrive(0), place(A, 3), succeed(A), schedule(B, 0, due(9))]
    );
    assert_eq!(run.run().step(A).output(), Some(at(3)));
}

#[test]
fn a16_4_a_failed_child_fails_the_step_and_a_cancelled_one_likewise() {
    for (end_of_child, code) in [
        (ChildEnd::Failed, code::CHILD_FAILED),
        (ChildEnd::Cancelled, code::CHILD_CANCELLED),
    ] {
        let mut run = Fold::start(child());
        run.take(spawned(A, 0, 1));
        assert!(run.needs_claims(child_ended(A, 0, end_of_child)));
        run.take_knowing(child_ended(A, 0, end_of_child), &BTreeSet::new());
        assert_eq!(
            run.last(),
            [
                arrive(0),
                fail(A, code, 3),
                fails(A, code),
                end(B),
                Change::Finish
            ]
        );
    }
}

#[test]
fn a_detached_child_succeeds_at_once_with_its_id_and_is_left_alone() {
    let mut run = Fold::start(workflow(json!([
        {"name": "invoice", "child": {"workflow": "invoice", "detach": true}, "input": "input"},
        {"name": "next", "handler": "h", "needs": ["invoice"]},
    ])));
    assert_eq!(run.try_take(spawned(A, 0, 1)).unwrap_err().code(), "stale");
    run.take(Event::Spawned {
        step: A,
        from: 0,
        upto: 1,
        payload: Some(null()),
    });
    assert_eq!(
        run.last(),
        [spawn(1), place(A, 2), succeed(A), schedule(B, 0, due(0))]
    );
    let stale = run.try_take(child_ended(A, 0, ChildEnd::Failed));
    assert_eq!(stale.unwrap_err().code(), "stale");
    run.take_knowing(cancel(5, false), &BTreeSet::new());
    assert_eq!(
        run.last(),
        [wind(Heading::Cancelled), end(B), Change::Finish],
        "nobody is recalled"
    );
}

#[test]
fn a16_5_no_more_children_are_out_than_the_bound_and_each_end_makes_room() {
    let mut run = counted(4, false);
    assert_eq!(run.last(), [fan(4), engage(A, Chore::Spawn, 0, due(0))]);
    run.take(spawned(A, 0, 2));
    assert_eq!(run.last(), [spawn(2), REST]);
    run.at(3).take(child_ended(A, 1, ChildEnd::Completed));
    assert_eq!(run.last(), [arrive(1), engage(A, Chore::Spawn, 0, due(3))]);
    assert_eq!(work(&run), Work::Spawn { from: 2, depth: 1 });
    run.take(child_ended(A, 0, ChildEnd::Completed));
    assert_eq!(run.last(), [arrive(0)], "it is about to spawn already");
    run.at(4).take(spawned(A, 2, 3));
    assert_eq!(
        run.last(),
        [spawn(3), engage(A, Chore::Spawn, 0, due(4))],
        "there is room for one more"
    );
    run.take(spawned(A, 3, 4));
    assert_eq!((run.last(), active(&run)), (&[spawn(4), REST][..], 2));
    run.take(child_ended(A, 3, ChildEnd::Completed));
    assert_eq!(run.last(), [arrive(3)], "all were started");
    run.at(6).take(child_ended(A, 2, ChildEnd::Completed));
    assert_eq!(
        run.last(),
        [arrive(2), engage(A, Chore::Collect, 0, due(6))]
    );
    let all = Work::Collect {
        count: 4,
        after: Seq(2),
        upto: run.run().seq(),
    };
    assert_eq!(work(&run), all);
    run.take(collected(A));
    assert_eq!(
        run.last(),
        [place(A, 10), succeed(A), schedule(B, 0, due(6))]
    );
}

#[test]
fn a16_6_no_elements_are_collected_at_once_and_too_many_fail_the_step() {
    let mut run = counted(0, false);
    assert_eq!(run.last(), [fan(0), engage(A, Chore::Collect, 0, due(0))]);
    run.take(collected(A));
    assert_eq!(
        run.last(),
        [place(A, 3), succeed(A), schedule(B, 0, due(0))]
    );
    let mut run = Fold::start(each(json!({})));
    let many = found_failure(A, code::LIMIT_EXCEEDED);
    run.take_knowing(many, &BTreeSet::new());
    assert_eq!(run.last()[..1], [fail(A, code::LIMIT_EXCEEDED, 2)]);
}

#[test]
fn a_routed_failure_of_children_goes_where_it_is_wired_to() {
    let definition = workflow(json!([
        {"name": "parcels", "each": {"workflow": "parcel"}, "input": "input"},
        {"name": "tell", "handler": "h", "input": "failure(parcels)"},
    ]));
    let mut run = Fold::start(definition);
    run.take(found(A, Found::Children { count: 1 }));
    run.take(spawned(A, 0, 1));
    run.take(child_ended(A, 0, ChildEnd::Failed));
    assert_eq!(
        run.last(),
        [
            arrive(0),
            fail(A, code::CHILD_FAILED, 4),
            schedule(B, 0, due(0))
        ]
    );
}

#[test]
fn a_collecting_each_goes_on_whatever_its_elements_end_with() {
    let mut run = counted(3, true);
    run.take(spawned(A, 0, 2));
    run.take(child_ended(A, 0, ChildEnd::Failed));
    assert_eq!(run.last(), [arrive(0), engage(A, Chore::Spawn, 0, due(0))]);
    run.take(spawned(A, 2, 3));
    run.take(child_ended(A, 1, ChildEnd::Cancelled));
    run.take(child_ended(A, 2, ChildEnd::Completed));
    assert_eq!(
        run.last(),
        [arrive(2), engage(A, Chore::Collect, 0, due(0))]
    );
}

#[test]
fn what_cannot_be_put_together_fails_the_step() {
    for chore in [Chore::Spawn, Chore::Collect] {
        let mut run = counted(u32::from(chore == Chore::Spawn), false);
        assert!(run.last().contains(&engage(A, chore, 0, due(0))));
        let failure = found_failure(A, code::PAYLOAD_TOO_LARGE);
        run.take_knowing(failure, &BTreeSet::new());
        assert_eq!(run.last()[0], fail(A, code::PAYLOAD_TOO_LARGE, 3));
    }
    let mut run = counted(4, false);
    run.take(spawned(A, 0, 1));
    run.take(found_failure(A, code::INVALID_INPUT));
    assert_eq!(
        run.last(),
        [
            spoil(code::INVALID_INPUT, 4),
            engage(A, Chore::Recall, 0, due(0))
        ],
        "while others are out"
    );
}

#[test]
fn children_arrive_once_and_are_started_in_turn() {
    let mut run = counted(4, false);
    run.take(spawned(A, 0, 2));
    run.take(child_ended(A, 1, ChildEnd::Completed));
    for wrong in [
        child_ended(A, 1, ChildEnd::Completed),
        child_ended(A, 2, ChildEnd::Completed),
        child_ended(B, 0, ChildEnd::Completed),
        spawned(A, 0, 2),
        spawned(A, 3, 4),
        spawned(A, 2, 2),
        spawned(A, 2, 1),
        spawned(A, 2, 5),
        recalled(A, 1),
        collected(A),
    ] {
        let refused = run.try_take(wrong.clone()).unwrap_err();
        assert_eq!(refused.code(), "stale", "{wrong:?}");
    }
}

#[test]
fn the_end_of_a_child_is_delivered_to_its_parent_unless_it_goes_its_own_way() {
    let parent = |detached| Parent {
        run: RunId::from_u128(5 << 64),
        life: Life(4),
        step: C,
        child: 7,
        depth: 31,
        detached,
    };
    let start = |detached| {
        let definition = parsed(json!({"name": "order", "version": 1, "result": "output(a)",
            "steps": [{"name": "a", "handler": "h"}]}));
        let started = Started {
            parent: Some(parent(detached)),
            ..Fold::started(&definition)
        };
        Fold::start_as(definition, started, vec![])
    };
    let deliver = Change::Deliver {
        lane: Lane(0),
        due: due(3),
    };
    let mut run = start(false);
    run.at(3).take(succeeded(A, 1));
    assert_eq!(run.last()[3..], [Change::Finish, deliver.clone()]);
    let row = run.run().task_at(run.definition(), Lane(0)).unwrap();
    let expected = |end, code: Option<&str>| Work::Deliver {
        parent: parent(false),
        end,
        code: code.map(str::to_owned),
    };
    assert_eq!(row.kind, TaskKind::Delivery);
    assert_eq!(row.brief.work, expected(ChildEnd::Completed, None));
    assert_eq!(row.brief.sources, [Some(at(2))], "the result");
    let mut run = start(false);
    run.take_knowing(failed(A, 1, permanent("down")), &BTreeSet::new());
    assert_eq!(work(&run), expected(ChildEnd::Failed, Some("down")));
    let mut run = start(false);
    run.take_knowing(cancel(5, false), &BTreeSet::new());
    assert_eq!(work(&run), expected(ChildEnd::Cancelled, None));
    let mut run = start(true);
    run.at(3).take(succeeded(A, 1));
    assert_eq!(run.last()[3..], [Change::Finish]);
    assert!(matches!(run.run().step(A).stage, Stage::Succeeded));
}
