//! Journal rows, snapshots and briefs of every format this engine ever wrote: they decode to the same values for ever.
//!
//! A line here is never edited once released; a new variant gets a new line.
#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod changes;
#[path = "../common/mod.rs"]
mod common;
mod events;
mod rows;

use std::collections::BTreeMap;

use common::deadline;
use squid_mesh_core::change::Change;
use squid_mesh_core::definition::{DefinitionKey, StepIndex};
use squid_mesh_core::event::Event;
use squid_mesh_core::name::Name;
use squid_mesh_core::payload::{OutputRef, PayloadDigest};
use squid_mesh_core::run::{Run, Seq};
use squid_mesh_core::schedule::State;
use squid_mesh_core::task::{Brief, Fence};
use squid_mesh_core::time::Timestamp;
use squid_mesh_core::transition::{DecodeError, Transition};

const AT: Timestamp = Timestamp::from_micros(1_774_749_600_000_001);
const STEP: StepIndex = StepIndex(2);
const FENCE: Fence = Fence {
    seq: Seq(4),
    claims: 2,
};
const DIGEST: PayloadDigest = PayloadDigest(*b"payload!");
const PLACE: OutputRef = OutputRef::here(Seq(3), DIGEST);

fn key() -> DefinitionKey {
    DefinitionKey {
        name: Name::stored("order"),
        version: 3,
    }
}

fn transition(event: Event, changes: Vec<Change>) -> Transition {
    Transition {
        seq: Seq(5),
        at: AT,
        event,
        changes,
    }
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

/// The lines are those of `known`, and each reads as its value and is what that is written as.
fn check<T: PartialEq + std::fmt::Debug>(
    golden: &str,
    known: Vec<(&str, T)>,
    encode: fn(&T) -> Vec<u8>,
    decode: fn(&[u8]) -> Result<T, DecodeError>,
) {
    let written: Vec<String> = known
        .iter()
        .map(|(name, value)| format!("{name} {}", hex(&encode(value))))
        .collect();
    let lines: Vec<&str> = golden.lines().collect();
    assert_eq!(lines, written);
    let by_name: BTreeMap<&str, &str> = lines
        .into_iter()
        .filter_map(|line| line.split_once(' '))
        .collect();
    assert_eq!(by_name.len(), known.len(), "each has a name of its own");
    for (name, value) in known {
        assert_eq!(decode(&unhex(by_name[name])).unwrap(), value, "{name}");
    }
}

#[test]
fn every_event_of_format_1_decodes_to_what_it_meant() {
    let known = events::all()
        .into_iter()
        .map(|(name, event)| (name, transition(event, Vec::new())));
    check(
        include_str!("events-1.txt"),
        known.collect(),
        Transition::encode,
        Transition::decode,
    );
}

#[test]
fn every_change_of_format_1_decodes_to_what_it_meant() {
    let of = |change| transition(deadline(), vec![change]);
    let known = changes::all()
        .into_iter()
        .map(|(name, change)| (name, of(change)));
    check(
        include_str!("changes-1.txt"),
        known.collect(),
        Transition::encode,
        Transition::decode,
    );
}

#[test]
fn every_snapshot_of_format_1_decodes_to_what_it_meant() {
    check(
        include_str!("snapshots-1.txt"),
        rows::snapshots(),
        Run::encode,
        Run::decode,
    );
}

#[test]
fn the_snapshots_here_have_every_stage() {
    let mut stages: Vec<String> = Vec::new();
    for (_, run) in rows::snapshots() {
        for state in run.steps() {
            let stage = format!("{:?}", state.stage);
            let word = stage.split([' ', '(']).next().unwrap();
            stages.push(word.to_owned());
            if let Some(undo) = &state.undo {
                let stage = format!("Undo{:?}", undo.stage);
                stages.push(stage.split('(').next().unwrap().to_owned());
            }
        }
    }
    stages.sort();
    stages.dedup();
    let all = "Blocked Cancelled Collecting Evaluating Failed Held Listening Open Recalling Resting Scheduled Skipped Spawning Stopping Succeeded UndoDone UndoFailed UndoScheduled Waiting";
    assert_eq!(stages.join(" "), all);
}

#[test]
fn every_brief_of_format_1_decodes_to_what_it_meant() {
    check(
        include_str!("briefs-1.txt"),
        rows::briefs(),
        Brief::encode,
        Brief::decode,
    );
}

#[test]
fn every_state_of_a_schedule_of_format_1_decodes_to_what_it_meant() {
    check(
        include_str!("schedules-1.txt"),
        rows::schedules(),
        State::encode,
        State::decode,
    );
}

#[test]
fn a_newer_row_is_refused_and_a_damaged_one_is_corrupt() {
    let row = Transition {
        seq: Seq(1),
        ..transition(deadline(), vec![Change::Finish])
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
