//! Journal rows, snapshots and briefs of every format this engine ever wrote: they decode to the same values for ever.
//!
//! A line here is never edited once released; a new variant gets a new line.
#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod common;

use std::collections::BTreeMap;
use std::time::Duration;

use common::{Fold, claimed};
use squid_mesh_core::change::{Cause, Change, Heading, StepEnd};
use squid_mesh_core::definition::{DefinitionDigest, DefinitionKey, StepIndex};
use squid_mesh_core::event::{CancelRequested, Event, Failure, Started};
use squid_mesh_core::id::CommandId;
use squid_mesh_core::name::Name;
use squid_mesh_core::payload::{OutputRef, PayloadDigest};
use squid_mesh_core::run::{Run, Seq};
use squid_mesh_core::task::{Brief, Fence, Lane};
use squid_mesh_core::time::Timestamp;
use squid_mesh_core::transition::{DecodeError, Transition};

const AT: Timestamp = Timestamp::from_micros(1_774_749_600_000_001);
const STEP: StepIndex = StepIndex(2);
const FENCE: Fence = Fence {
    seq: Seq(4),
    claims: 2,
};
const DIGEST: PayloadDigest = PayloadDigest(*b"payload!");

fn key() -> DefinitionKey {
    DefinitionKey {
        name: Name::stored("order"),
        version: 3,
    }
}

fn events() -> Vec<(&'static str, Event)> {
    let started = Started {
        command: CommandId::from_u128(0x0102_0304_0506_0708_090a_0b0c_0d0e_0f10),
        definition: key(),
        digest: DefinitionDigest::from_bytes([7; 32]),
        input: DIGEST,
        raw_input: PayloadDigest(*b"rawinput"),
        key: Some("k1".into()),
        labels: BTreeMap::from([("team".into(), "billing".into())]),
        queue: Some(Name::stored("mail")),
        priority: Some(-5),
        due: Some(AT),
        deadline: Some(AT),
        trace: Some("00-1-2-01".into()),
    };
    let failure = Failure {
        retry_after: Some(Duration::from_millis(1_500)),
        details: Some(DIGEST),
        ..Failure::new("down", "no answer", true)
    };
    let cancel = CancelRequested {
        command: CommandId::from_u128(9),
        actor: Some("ana".into()),
        reason: Some("duplicate".into()),
        force: true,
    };
    vec![
        ("started", Event::Started(Box::new(started))),
        (
            "succeeded",
            Event::Succeeded {
                step: STEP,
                fence: FENCE,
                output: DIGEST,
            },
        ),
        (
            "failed",
            Event::Failed {
                step: STEP,
                fence: FENCE,
                failure,
            },
        ),
        (
            "lost",
            Event::Lost {
                step: STEP,
                fence: FENCE,
            },
        ),
        ("due", Event::Due { step: STEP }),
        ("deadline", Event::DeadlineReached),
        ("cancel", Event::CancelRequested(Box::new(cancel))),
    ]
}

fn changes() -> Vec<(&'static str, Change)> {
    let lane = Lane(300);
    let failed = Heading::Failed(Cause::Step {
        step: STEP,
        code: "down".into(),
    });
    vec![
        (
            "schedule",
            Change::Schedule {
                step: STEP,
                lane,
                due: AT,
            },
        ),
        (
            "await",
            Change::Await {
                step: STEP,
                lane,
                due: AT,
            },
        ),
        ("arm", Change::ArmDeadline { lane, due: AT }),
        ("disarm", Change::DisarmDeadline),
        (
            "report",
            Change::Report {
                step: STEP,
                fence: FENCE,
                digest: DIGEST,
            },
        ),
        ("lose", Change::Lose { step: STEP }),
        ("stop", Change::Stop { step: STEP }),
        (
            "settle-succeeded",
            Change::Settle {
                step: STEP,
                end: StepEnd::Succeeded,
            },
        ),
        (
            "settle-failed",
            Change::Settle {
                step: STEP,
                end: StepEnd::Failed,
            },
        ),
        (
            "settle-cancelled",
            Change::Settle {
                step: STEP,
                end: StepEnd::Cancelled,
            },
        ),
        (
            "wind-completed",
            Change::Wind {
                heading: Heading::Completed,
            },
        ),
        ("wind-failed", Change::Wind { heading: failed }),
        (
            "wind-deadline",
            Change::Wind {
                heading: Heading::Failed(Cause::DeadlineExceeded),
            },
        ),
        (
            "wind-cancelled",
            Change::Wind {
                heading: Heading::Cancelled,
            },
        ),
        ("finish", Change::Finish),
    ]
}

fn transitions() -> Vec<(&'static str, Transition)> {
    let of = |event, changes| Transition {
        seq: Seq(5),
        at: AT,
        event,
        changes,
    };
    let events = events()
        .into_iter()
        .map(|(name, event)| (name, of(event, Vec::new())));
    let due = || Event::Due { step: StepIndex(0) };
    events
        .chain(
            changes()
                .into_iter()
                .map(|(name, change)| (name, of(due(), vec![change]))),
        )
        .collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}

fn lines(text: &str) -> BTreeMap<&str, &str> {
    text.lines()
        .filter_map(|line| line.split_once(' '))
        .collect()
}

#[test]
fn every_journal_row_of_format_1_decodes_to_what_it_meant() {
    let golden = lines(include_str!("golden/journal-1.txt"));
    let known = transitions();
    assert_eq!(
        golden.len(),
        known.len(),
        "every event and change has its line"
    );
    for (name, transition) in known {
        assert_eq!(
            Transition::decode(&unhex(golden[name])).unwrap(),
            transition,
            "{name}"
        );
        assert_eq!(hex(&transition.encode()), golden[name], "{name}");
    }
}

#[test]
fn a_snapshot_and_a_brief_of_format_1_decode_to_what_they_meant() {
    let golden = lines(include_str!("golden/rows-1.txt"));
    let mut run = Fold::start(common::join());
    run.at(3).take(common::succeeded(StepIndex(0), 1));
    run.take_knowing(common::cancel(5, false), &claimed([Lane(1)]));
    assert_eq!(hex(&run.run().encode()), golden["snapshot"]);
    assert_eq!(&Run::decode(&unhex(golden["snapshot"])).unwrap(), run.run());
    let brief = Brief {
        definition: key(),
        handler: Name::stored("charge"),
        timeout: Some(Duration::from_secs(30)),
        sources: vec![
            Some(OutputRef {
                seq: Seq(1),
                digest: DIGEST,
            }),
            None,
        ],
        trace: None,
    };
    assert_eq!(hex(&brief.encode()), golden["brief"]);
    assert_eq!(Brief::decode(&unhex(golden["brief"])).unwrap(), brief);
}

#[test]
fn a_newer_row_is_refused_and_a_damaged_one_is_corrupt() {
    let row = Transition {
        seq: Seq(1),
        at: AT,
        event: Event::DeadlineReached,
        changes: vec![Change::Finish],
    };
    let mut bytes = row.encode();
    bytes[0] = 2;
    assert_eq!(
        Transition::decode(&bytes),
        Err(DecodeError::Newer {
            format: 2,
            known: 1
        })
    );
    bytes[0] = 0;
    assert_eq!(Transition::decode(&bytes), Err(DecodeError::Corrupt));
    bytes[0] = 1;
    bytes.push(0);
    assert_eq!(
        Transition::decode(&bytes),
        Err(DecodeError::Corrupt),
        "trailing bytes"
    );
    assert_eq!(Transition::decode(&[]), Err(DecodeError::Corrupt));
}
