//! Who waits for whom while an operation is in doubt, as tables.

#![cfg(feature = "conformance")]

#[cfg(feature = "mutants")]
mod mutants;
mod schedules;

use std::time::Duration;

use squid_mesh_core::definition::StepIndex;
use squid_mesh_core::event::By;
use squid_mesh_core::id::{CommandId, RunId, Shard, Shards};
use squid_mesh_core::operation::{
    Cancel, Entry, EntryReply, Group, GroupReply, Held, HeldReply, Leases, Operation, Rejection,
    Reply, SlotReply, Submit,
};
use squid_mesh_core::run::{Seq, Status};
use squid_mesh_core::store::StoreError;
use squid_mesh_core::task::TaskRow;
use squid_mesh_core::time::Timestamp;

use super::{Blocked, Conditions, InDoubt, Progress, Tables};
use crate::conformance::cast::{LEASE, Worker, json, report, start, submit, workflow};
use crate::conformance::script::Ending;

/// Tables with two workers, at a time that is set by hand.
struct Rig {
    tables: Tables,
    now: Timestamp,
    one: Worker,
    other: Worker,
}

impl Rig {
    fn new() -> Rig {
        let mut rig = Rig {
            tables: Tables::new(Shards::ONE),
            now: Timestamp::from_micros(1_000_000),
            one: Worker::able(1),
            other: Worker::able(2),
        };
        for worker in [rig.one.register(), rig.other.register()] {
            rig.perform(&worker);
        }
        rig
    }

    /// With a run of this workflow.
    fn with(workflow_name: &str) -> (Rig, RunId) {
        let mut rig = Rig::new();
        let operation = starting(1, workflow_name);
        rig.perform(&operation);
        let run = rig.tables.runs().next().unwrap().id;
        (rig, run)
    }

    fn pass(&mut self, seconds: u64) {
        self.now = self.now.plus(Duration::from_secs(seconds));
    }

    fn perform(&mut self, operation: &Operation) -> Reply {
        self.tables
            .perform(operation, Conditions::at(self.now))
            .unwrap()
            .done()
            .reply
    }

    fn blocked(&mut self, operation: &Operation) -> Blocked {
        match self
            .tables
            .perform(operation, Conditions::at(self.now))
            .unwrap()
        {
            Progress::Blocked(blocked) => blocked,
            Progress::Done(landed) => panic!("it did not wait: {landed:?}"),
        }
    }

    fn begin(&mut self, operation: &Operation) -> InDoubt {
        self.tables
            .begin(operation, Conditions::at(self.now))
            .unwrap()
            .done()
    }

    fn claim(&mut self, worker: &Worker, number: u64) -> Vec<TaskRow> {
        tasks(self.perform(&worker.claim(Shard::default(), number, 8)))
    }

    /// Every row but the workers', for comparison.
    fn rows(&self) -> String {
        let runs: Vec<_> = self.tables.runs().collect();
        let journal: Vec<_> = runs
            .iter()
            .flat_map(|row| self.tables.journal(row.id, Seq::FIRST))
            .collect();
        format!(
            "{runs:?} {journal:?} {:?}",
            self.tables.tasks().collect::<Vec<_>>()
        )
    }
}

fn starting(number: u32, workflow_name: &str) -> Operation {
    let start = start(number, &workflow(workflow_name), 0, None, json("1"));
    submit(Shards::ONE, vec![Entry::Start(Box::new(start))])
}

fn cancelling(run: RunId, wait: bool) -> Operation {
    let command = CommandId::from_u128(99);
    let cancel = Entry::Cancel(Cancel {
        run,
        command,
        by: By::default(),
        force: false,
        undo: false,
    });
    Operation::Submit(Submit {
        shard: Shard::default(),
        groups: vec![Group {
            entries: vec![cancel],
        }],
        offer: None,
        wait,
    })
}

fn settling(worker: &Worker, task: &TaskRow, wait: bool) -> Operation {
    worker.settle(
        Shard::default(),
        vec![report(task, Ending::Succeeded(true))],
        0,
        wait,
    )
}

fn renewing(task: &TaskRow) -> Operation {
    let renew = vec![Held {
        key: task.key,
        token: task.token().unwrap(),
    }];
    let none = Vec::new;
    Operation::Lease(Leases {
        shard: Shard::default(),
        lease: LEASE,
        renew,
        begun: none(),
        hand_back: none(),
    })
}

fn tasks(reply: Reply) -> Vec<TaskRow> {
    match reply {
        Reply::Claimed(claimed) => claimed.tasks,
        reply => panic!("no claim's reply: {reply:?}"),
    }
}

fn slots(reply: Reply) -> Vec<SlotReply> {
    match reply {
        Reply::Settled { slots, .. } => slots,
        reply => panic!("no settle's reply: {reply:?}"),
    }
}

fn groups(reply: Reply) -> Vec<GroupReply> {
    match reply {
        Reply::Submitted { groups, .. } => groups,
        reply => panic!("no submission's reply: {reply:?}"),
    }
}

#[test]
fn a_claim_in_doubt_is_skipped_by_scans_and_busy_for_renewals() {
    let (mut rig, _) = Rig::with("fork");
    let (one, other) = (rig.one.clone(), rig.other.clone());
    let held = rig.claim(&one, 1);
    let in_doubt = rig.begin(&renewing(&held[0]));
    rig.pass(3_700);
    let scanned = rig.claim(&other, 1);
    assert_eq!(
        scanned.iter().map(|task| task.key).collect::<Vec<_>>(),
        [held[1].key]
    );
    assert_eq!(
        rig.perform(&renewing(&held[0])),
        Reply::Leased(vec![HeldReply::Busy])
    );
    // It was decided by the clock of then: its lease is over as soon as it lands.
    let _ = rig.tables.commit(in_doubt);
    let overdue = rig.claim(&other, 2);
    assert_eq!(
        overdue
            .iter()
            .map(|task| (task.key, task.expired))
            .collect::<Vec<_>>(),
        [(held[0].key, true)]
    );
}

#[test]
fn a_claim_in_doubt_holds_its_worker_back_and_answers_it_once_it_landed() {
    for lands in [true, false] {
        let (mut rig, _) = Rig::with("chain");
        let (one, other) = (rig.one.clone(), rig.other.clone());
        let claim = one.claim(Shard::default(), 1, 1);
        let in_doubt = rig.begin(&claim);
        assert_eq!(rig.blocked(&claim).on, in_doubt.id());
        assert_eq!(rig.claim(&other, 1), []);
        let granted = if lands {
            tasks(rig.tables.commit(in_doubt).reply)
        } else {
            rig.tables.rollback(in_doubt);
            Vec::new()
        };
        let again = tasks(rig.perform(&claim));
        assert_eq!(again.len(), 1);
        assert!(!lands || again == granted);
    }
}

#[test]
fn a_run_in_doubt_is_busy_for_some_and_waited_for_by_others() {
    let (mut rig, run) = Rig::with("fork");
    let one = rig.one.clone();
    let held = rig.claim(&one, 1);
    let in_doubt = rig.begin(&settling(&one, &held[0], false));
    let before = rig.rows();

    assert_eq!(
        slots(rig.perform(&settling(&one, &held[1], false))),
        [SlotReply::Busy]
    );
    assert_eq!(
        groups(rig.perform(&cancelling(run, false))),
        [GroupReply::Busy]
    );
    for waiting in [
        settling(&one, &held[0], true),
        settling(&one, &held[1], true),
        cancelling(run, true),
    ] {
        assert_eq!(rig.blocked(&waiting).on, in_doubt.id());
    }
    assert_eq!(rig.rows(), before);

    let landed = rig.tables.commit(in_doubt);
    assert_eq!(landed.touched.runs, [run]);
    assert_eq!(
        slots(rig.perform(&settling(&one, &held[0], true))),
        [SlotReply::Accepted]
    );
    assert_eq!(
        slots(rig.perform(&settling(&one, &held[1], true))),
        [SlotReply::Accepted]
    );
    assert_eq!(rig.tables.journal(run, Seq::FIRST).count(), 3);
}

#[test]
fn who_holds_a_run_waits_for_its_tasks_even_if_it_would_not_wait_for_runs() {
    let (mut rig, run) = Rig::with("chain");
    let one = rig.one.clone();
    let claim = rig.begin(&one.claim(Shard::default(), 1, 1));
    assert_eq!(rig.blocked(&cancelling(run, false)).on, claim.id());
    let claimed = tasks(rig.tables.commit(claim).reply);
    let renewal = rig.begin(&renewing(&claimed[0]));
    assert_eq!(
        rig.blocked(&settling(&one, &claimed[0], false)).on,
        renewal.id()
    );
    rig.tables.rollback(renewal);
    let answer = groups(rig.perform(&cancelling(run, false)));
    let [GroupReply::Done(entries)] = answer.as_slice() else {
        panic!("{answer:?}")
    };
    let [EntryReply::Cancelled(cancelled)] = entries.as_slice() else {
        panic!("{entries:?}")
    };
    assert_eq!(cancelled.status, Status::Cancelling);
}

#[test]
fn a_start_in_doubt_is_seen_by_nobody_and_holds_back_its_rival() {
    for lands in [true, false] {
        let mut rig = Rig::new();
        let rival = |number| {
            let start = start(
                number,
                &workflow("chain"),
                0,
                Some("k".to_owned()),
                json("1"),
            );
            submit(Shards::ONE, vec![Entry::Start(Box::new(start))])
        };
        let in_doubt = rig.begin(&rival(1));
        let one = rig.one.clone();
        assert_eq!(rig.claim(&one, 1), []);
        assert_eq!(rig.tables.runs().count(), 0);
        assert_eq!(rig.blocked(&rival(2)).on, in_doubt.id());
        if lands {
            let _ = rig.tables.commit(in_doubt);
        } else {
            rig.tables.rollback(in_doubt);
        }
        let answer = groups(rig.perform(&rival(2)));
        let [GroupReply::Done(entries)] = answer.as_slice() else {
            panic!("{answer:?}")
        };
        let [EntryReply::Started(started)] = entries.as_slice() else {
            panic!("{entries:?}")
        };
        assert_eq!(started.existing, lands);
    }
}

#[test]
fn a_registration_in_doubt_declares_nothing_yet_and_holds_back_its_repetition() {
    let mut rig = Rig {
        tables: Tables::new(Shards::ONE),
        ..Rig::new()
    };
    let (first, second) = (rig.one.register(), rig.other.register());
    let in_doubt = rig.begin(&first);
    let unknown = groups(rig.perform(&starting(1, "chain")));
    assert!(matches!(
        unknown[..],
        [GroupReply::Refused {
            rejection: Rejection::UnknownWorkflow { .. },
            ..
        }]
    ));
    for waiting in [&first, &second] {
        assert_eq!(rig.blocked(waiting).on, in_doubt.id());
    }
    rig.tables.rollback(in_doubt);
    assert_eq!(rig.tables.definitions().count(), 0);
    rig.perform(&second);
    assert_eq!(rig.tables.definitions().count(), 4);
}

#[test]
fn what_was_rolled_back_left_nothing_behind() {
    let (mut rig, run) = Rig::with("fork");
    let one = rig.one.clone();
    let held = rig.claim(&one, 1);
    let before = rig.rows();
    for operation in [
        settling(&one, &held[0], true),
        cancelling(run, true),
        renewing(&held[0]),
        starting(2, "chain"),
    ] {
        rig.pass(1);
        let in_doubt = rig.begin(&operation);
        rig.tables.rollback(in_doubt);
        assert_eq!(rig.rows(), before, "{operation:?}");
    }
}

#[test]
fn a_backup_has_what_landed_and_nobody_in_doubt() {
    let (mut rig, run) = Rig::with("chain");
    let before = rig.rows();
    let in_doubt = rig.begin(&cancelling(run, true));
    let backup = rig.tables.backup();
    let _ = rig.tables.commit(in_doubt);
    assert_ne!(rig.rows(), before);
    rig.tables = backup;
    assert_eq!(rig.rows(), before);
    rig.perform(&cancelling(run, true));
}

#[test]
#[should_panic(expected = "only who still holds all its locks may land")]
fn what_a_failover_lost_cannot_land() {
    let (mut rig, run) = Rig::with("chain");
    let in_doubt = rig.begin(&cancelling(run, true));
    rig.tables = rig.tables.backup();
    let _ = rig.tables.commit(in_doubt);
}

#[test]
fn a_scan_shows_the_subset_it_is_told_to() {
    let (mut rig, _) = Rig::with("fork");
    let claim = rig.one.claim(Shard::default(), 1, 8);
    let mut left = |task: &TaskRow| task.step == StepIndex(0);
    let conditions = Conditions {
        show: Some(&mut left),
        ..Conditions::at(rig.now)
    };
    let shown = tasks(rig.tables.perform(&claim, conditions).unwrap().done().reply);
    assert_eq!(
        shown.iter().map(|task| task.step).collect::<Vec<_>>(),
        [StepIndex(0)]
    );
}

#[test]
fn a_run_is_not_found_in_another_shard_than_its_own() {
    let mut rig = Rig {
        tables: Tables::new(Shards::new(8).unwrap()),
        ..Rig::new()
    };
    let register = rig.one.register();
    rig.perform(&register);
    rig.perform(&starting(1, "chain"));
    let run = rig.tables.runs().next().unwrap().id;
    let Operation::Submit(cancel) = cancelling(run, true) else {
        unreachable!("a cancel is submitted")
    };
    let astray = Operation::Submit(Submit {
        shard: Shard::from_u16(3),
        ..cancel
    });
    let answer = groups(rig.perform(&astray));
    assert_eq!(
        answer,
        [GroupReply::Refused {
            index: 0,
            rejection: Rejection::UnknownRun { run }
        }]
    );
    let Operation::Submit(start) = starting(2, "chain") else {
        unreachable!("a start is submitted")
    };
    let astray = Operation::Submit(Submit {
        shard: Shard::from_u16(3),
        ..start
    });
    let refused = rig.tables.perform(&astray, Conditions::at(rig.now));
    assert!(
        matches!(refused, Err(StoreError::Refused(_))),
        "{refused:?}"
    );
}
