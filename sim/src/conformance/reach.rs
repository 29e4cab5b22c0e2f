//! How far the generated scripts get.
//!
//! Invariant: what no script reaches is compared by no check, so each kind of answer is asked for by name.

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use squid_mesh_core::id::Shards;
use squid_mesh_core::operation::{EntryReply, GroupReply, HeldReply, Reply, SlotReply};
use squid_mesh_core::time::Timestamp;

use super::script::scripts;
use super::session::Session;
use crate::store::{Conditions, Tables};

/// When scripts begin: after the occurrences that hosts fire, but for the one that is to come.
const BEGIN: i64 = 1_750_000_000_000_000;

/// What a reply says, a few words each.
fn words(reply: &Reply) -> Vec<String> {
    let handed = |tasks: &[_]| {
        if tasks.is_empty() {
            Vec::new()
        } else {
            vec!["handed".to_owned()]
        }
    };
    match reply {
        Reply::Registered(conflicts) => conflicts
            .iter()
            .map(|_| "contradicted".to_owned())
            .collect(),
        Reply::Queue(Ok(reply)) => vec![format!(
            "paused {}, changed {}",
            reply.paused, reply.changed
        )],
        Reply::Queue(Err(rejection)) | Reply::Schedule(Err(rejection)) => {
            vec![rejection.code().to_owned()]
        }
        Reply::Schedule(Ok(reply)) => {
            let started = reply
                .started
                .map(|start| format!("fired, existing {}", start.existing));
            let standing = reply.standing.map(|standing| format!("{standing:?}"));
            let said = format!("schedule: changed {}", reply.changed);
            [Some(said), started, standing]
                .into_iter()
                .flatten()
                .collect()
        }
        Reply::Claimed(claimed) => claimed
            .tasks
            .iter()
            .map(|task| format!("{:?}", task.item()))
            .collect(),
        Reply::Leased(replies) => replies.iter().map(held_word).collect(),
        Reply::Settled {
            slots,
            handed: tasks,
            ended,
            ..
        } => {
            let ended = ended.iter().map(|ended| ended.status.to_string());
            slots
                .iter()
                .map(slot_word)
                .chain(ended)
                .chain(handed(tasks))
                .collect()
        }
        Reply::Submitted {
            groups,
            handed: tasks,
            ..
        } => groups
            .iter()
            .flat_map(group_words)
            .chain(handed(tasks))
            .collect(),
    }
}

fn held_word(reply: &HeldReply) -> String {
    match reply {
        HeldReply::Held { stop, .. } => format!("held, stop {stop}"),
        HeldReply::HandedBack | HeldReply::Lost | HeldReply::Busy => format!("{reply:?}"),
    }
}

fn slot_word(slot: &SlotReply) -> String {
    match slot {
        SlotReply::Rejected(rejection) => rejection.code().to_owned(),
        SlotReply::Accepted | SlotReply::Busy => format!("{slot:?}"),
    }
}

fn group_words(group: &GroupReply) -> Vec<String> {
    match group {
        GroupReply::Refused { rejection, .. } => vec![rejection.code().to_owned()],
        GroupReply::Busy => vec!["Busy".to_owned()],
        GroupReply::Done(entries) => entries
            .iter()
            .map(|entry| match entry {
                EntryReply::Started(start) => format!("started, existing {}", start.existing),
                EntryReply::Cancelled(cancel) => format!("cancel: {}", cancel.status),
                EntryReply::Obeyed(obeyed) => format!("obeyed: {}", obeyed.status),
            })
            .collect(),
    }
}

#[test]
fn generated_scripts_reach_every_kind_of_answer() {
    let mut runner = TestRunner::deterministic();
    let mut heard = BTreeSet::new();
    for _ in 0..300 {
        let script = scripts(40).new_tree(&mut runner).unwrap().current();
        let mut session = Session::new(Shards::ONE);
        let mut tables = Tables::new(Shards::ONE);
        let mut now = Timestamp::from_micros(BEGIN);
        let opening = session.opening();
        for operation in &opening {
            let _ = tables.perform(operation, Conditions::at(now)).unwrap();
        }
        for action in &script.actions {
            now = now.plus(Duration::from_secs(1));
            let Some(operation) = session.operation(action, now) else {
                continue;
            };
            let reply = tables
                .perform(&operation, Conditions::at(now))
                .unwrap()
                .done()
                .reply;
            heard.extend(words(&reply));
            session.learn(&operation, &reply);
        }
    }
    let expected = [
        "Accepted",
        "Active",
        "Attempt",
        "Delivery",
        "Firing",
        "HandedBack",
        "Loss",
        "Lost",
        "Paused",
        "Retired",
        "Wait",
        "cancel: cancelled",
        "cancel: cancelling",
        "cancelled",
        "completed",
        "contradicted",
        "declared_schedule",
        "failed",
        "finished",
        "fired, existing false",
        "fired, existing true",
        "handed",
        "held, stop false",
        "held, stop true",
        "key_conflict",
        "no_occurrence",
        "occurrence_not_due",
        "other_outcome",
        "paused false, changed false",
        "paused false, changed true",
        "paused true, changed false",
        "paused true, changed true",
        "schedule: changed false",
        "schedule: changed true",
        "schedule_exists",
        "stale",
        "started, existing false",
        "started, existing true",
        "unknown_schedule",
        "winding",
    ];
    let missing: Vec<&str> = expected
        .into_iter()
        .filter(|word| !heard.contains(*word))
        .collect();
    assert_eq!(missing, [""; 0], "heard {heard:?}");
}
