//! Changes as tables of tests write them.

use squid_mesh_core::change::{Cause, Change, Chore, Gate, Heading, StepEnd};
use squid_mesh_core::definition::{LabelIndex, StepIndex};
use squid_mesh_core::event::Role;
use squid_mesh_core::payload::OutputRef;
use squid_mesh_core::run::Seq;
use squid_mesh_core::task::Lane;
use squid_mesh_core::time::Timestamp;

use super::events::{command, fence, null};

pub(crate) fn schedule(step: StepIndex, lane: u16, due: Timestamp) -> Change {
    schedule_as(step, Role::Step, lane, due)
}

pub(crate) fn schedule_undo(step: StepIndex, lane: u16, due: Timestamp) -> Change {
    schedule_as(step, Role::Undo, lane, due)
}

fn schedule_as(step: StepIndex, role: Role, lane: u16, due: Timestamp) -> Change {
    let lane = Lane(lane);
    Change::Schedule {
        step,
        role,
        lane,
        due,
    }
}

pub(crate) fn engage(step: StepIndex, chore: Chore, lane: u16, due: Timestamp) -> Change {
    let lane = Lane(lane);
    Change::Engage {
        step,
        chore,
        lane,
        due,
    }
}

pub(crate) fn awaits(step: StepIndex, lane: u16, due: Timestamp) -> Change {
    let lane = Lane(lane);
    Change::Await { step, lane, due }
}

pub(crate) fn open(step: StepIndex, gate: Gate, deadline: Option<(u16, Timestamp)>) -> Change {
    let deadline = deadline.map(|(lane, due)| (Lane(lane), due));
    Change::Open {
        step,
        gate,
        deadline,
    }
}

pub(crate) fn report(step: StepIndex, seq: u32) -> Change {
    Change::Report {
        step,
        role: Role::Step,
        fence: fence(seq),
        digest: null(),
    }
}

pub(crate) fn report_undo(step: StepIndex, seq: u32) -> Change {
    Change::Report {
        step,
        role: Role::Undo,
        fence: fence(seq),
        digest: null(),
    }
}

pub(crate) fn lose(step: StepIndex) -> Change {
    let role = Role::Step;
    Change::Lose { step, role }
}

pub(crate) fn lose_undo(step: StepIndex) -> Change {
    let role = Role::Undo;
    Change::Lose { step, role }
}

pub(crate) fn hold(step: StepIndex, seq: u32) -> Change {
    let fence = fence(seq);
    Change::Hold { step, fence }
}

pub(crate) fn label(step: StepIndex, label: u16) -> Change {
    let label = LabelIndex(label);
    Change::Label { step, label }
}

/// The payload of that journal row.
pub(crate) fn at(seq: u32) -> OutputRef {
    OutputRef::here(Seq(seq), null())
}

pub(crate) fn place(step: StepIndex, seq: u32) -> Change {
    let place = at(seq);
    Change::Place { step, place }
}

pub(crate) fn settle(step: StepIndex, end: StepEnd) -> Change {
    Change::Settle { step, end }
}

pub(crate) fn succeed(step: StepIndex) -> Change {
    settle(step, StepEnd::Succeeded)
}

pub(crate) fn skip(step: StepIndex) -> Change {
    settle(step, StepEnd::Skipped)
}

pub(crate) fn end(step: StepIndex) -> Change {
    settle(step, StepEnd::Cancelled)
}

pub(crate) fn fail(step: StepIndex, code: &str, seq: u32) -> Change {
    let (code, place) = (code.to_owned(), at(seq));
    Change::Fail { step, code, place }
}

pub(crate) fn obey(number: u128) -> Change {
    let command = command(number);
    Change::Obey { command }
}

pub(crate) fn undo_done(step: StepIndex, done: bool) -> Change {
    Change::Undone { step, done }
}

pub(crate) fn wind(heading: Heading) -> Change {
    Change::Wind { heading }
}

pub(crate) fn fails(step: StepIndex, code: &str) -> Change {
    let code = code.to_owned();
    wind(Heading::Failed(Cause::Step { step, code }))
}
