//! Starts, keys, groups, delays.

use squid_mesh_core::definition::DefinitionKey;
use squid_mesh_core::id::RunId;
use squid_mesh_core::operation::{
    Entry, Group, GroupReply, Operation, Rejection, Reply, Start, StartDelay, Submit,
};
use squid_mesh_core::payload::Payload;
use squid_mesh_core::run::Status;

use crate::desk::{Desk, chain, engine, name, secs, success};

fn keyed(desk: &mut Desk, input: &str) -> Start {
    let input = Payload::new(input.as_bytes());
    let (key, raw_input) = (Some("k1".to_owned()), input.digest());
    Start {
        run: RunId::derived(&name("order"), "k1"),
        key,
        raw_input,
        input,
        ..desk.a_start()
    }
}

#[test]
fn a3_1_an_accepted_start_is_there_with_its_first_task() {
    let mut desk = Desk::new(chain(2));
    let run = desk.start();
    assert_eq!(desk.status(run), Status::Pending);
    assert_eq!(desk.tables.tasks_of(run).count(), 1);
}

#[test]
fn a3_5_a_delayed_start_is_claimable_at_its_time_and_not_before() {
    let mut desk = Desk::new(chain(1));
    let start = Start {
        delay: Some(StartDelay::In(secs(600))),
        ..desk.a_start()
    };
    let run = desk.try_start(start).unwrap().run;
    assert_eq!(desk.status(run), Status::Scheduled);
    desk.pass(secs(599));
    let claimed = desk.claim_up_to(1, 8);
    assert_eq!((claimed.tasks.len(), claimed.next_due), (0, Some(secs(1))));
    desk.pass(secs(1));
    assert_eq!(desk.claim(1).len(), 1);
}

#[test]
fn a3_6_a_group_with_one_bad_entry_starts_nothing() {
    let mut desk = Desk::new(chain(1));
    let mut entries: Vec<Entry> = (0..500)
        .map(|_| Entry::Start(Box::new(desk.a_start())))
        .collect();
    let unknown = DefinitionKey {
        name: name("ghost"),
        version: 3,
    };
    entries[317] = Entry::Start(Box::new(Start {
        definition: unknown.clone(),
        ..desk.a_start()
    }));
    let refused = GroupReply::Refused {
        index: 317,
        rejection: Rejection::UnknownWorkflow {
            definition: unknown,
        },
    };
    assert_eq!(desk.submit(entries), refused);
    assert_eq!(
        (desk.tables.runs().count(), desk.tables.tasks().count()),
        (0, 0)
    );
}

#[test]
fn a4_1_the_same_key_and_input_is_the_same_run_also_after_its_end() {
    let mut desk = Desk::new(chain(1));
    let start = keyed(&mut desk, "{\"x\":1}");
    let run = desk.try_start(start).unwrap().run;
    let task = desk.claim_one(1);
    desk.settle(1, success(&task));
    let length = desk.journal_length(run);
    let start = keyed(&mut desk, "{\"x\":1}");
    let again = desk.try_start(start).unwrap();
    assert_eq!((again.run, again.existing), (run, true));
    assert_eq!(desk.journal_length(run), length);
}

#[test]
fn a4_2_the_same_key_with_another_input_is_a_conflict_naming_the_run() {
    let mut desk = Desk::new(chain(1));
    let start = keyed(&mut desk, "1");
    let run = desk.try_start(start).unwrap().run;
    let start = keyed(&mut desk, "2");
    assert_eq!(desk.try_start(start), Err(Rejection::KeyConflict { run }));
}

#[test]
fn a4_5_a_start_whose_acknowledgement_was_lost_is_answered_alike() {
    let mut desk = Desk::new(chain(1));
    let start = desk.a_start();
    let first = desk.try_start(start.clone()).unwrap();
    let length = desk.journal_length(first.run);
    assert_eq!(desk.try_start(start).unwrap(), first);
    assert_eq!(
        (desk.journal_length(first.run), desk.tables.runs().count()),
        (length, 1)
    );
}

#[test]
fn a_repeated_submit_hands_the_first_step_over_again() {
    let mut desk = Desk::new(chain(2));
    let groups = vec![Group {
        entries: vec![Entry::Start(Box::new(desk.a_start()))],
    }];
    let offer = Some(desk.offer(1, 4));
    let submit = Operation::Submit(Submit {
        shard: Default::default(),
        groups,
        offer,
        wait: true,
    });
    let first = desk.perform(&submit);
    let Reply::Submitted { handed, .. } = &first else {
        panic!("{first:?}")
    };
    assert_eq!(handed.len(), 1);
    assert_eq!(desk.perform(&submit), first);
    assert_eq!(desk.claim(2), []);
}

#[test]
fn a_run_deadline_ends_the_run_and_leaves_no_task() {
    let mut desk = Desk::new(chain(1));
    let start = Start {
        deadline: Some(secs(60)),
        ..desk.a_start()
    };
    let run = desk.try_start(start).unwrap().run;
    desk.pass(secs(60));
    let item = desk.claim_up_to(1, 0).tasks.remove(0);
    desk.settle(1, engine(&item));
    assert_eq!(desk.status(run), Status::Failed);
    assert_eq!(desk.tables.tasks_of(run).count(), 0);
}

#[test]
fn a_run_that_completes_before_its_deadline_leaves_no_task() {
    let mut desk = Desk::new(chain(1));
    let start = Start {
        deadline: Some(secs(60)),
        ..desk.a_start()
    };
    let run = desk.try_start(start).unwrap().run;
    let task = desk.claim_one(1);
    desk.settle(1, success(&task));
    assert_eq!(desk.status(run), Status::Completed);
    assert_eq!(desk.tables.tasks_of(run).count(), 0);
}
