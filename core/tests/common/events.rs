//! Events as they come from outside.

use squid_mesh_core::definition::{LabelIndex, StepIndex};
use squid_mesh_core::event::{
    By, CancelRequested, ChildEnd, Event, Failure, Found, Resolution, Resolved, Role, Signalled,
    code,
};
use squid_mesh_core::id::CommandId;
use squid_mesh_core::name::Name;
use squid_mesh_core::payload::{Payload, PayloadDigest};
use squid_mesh_core::run::Seq;
use squid_mesh_core::task::Fence;
use squid_mesh_core::time::Timestamp;

/// The first claim of what that transition scheduled.
pub(crate) fn fence(seq: u32) -> Fence {
    Fence {
        seq: Seq(seq),
        claims: 1,
    }
}

/// The digest of every payload here.
pub(crate) fn null() -> PayloadDigest {
    Payload::null().digest()
}

pub(crate) fn succeeded(step: StepIndex, seq: u32) -> Event {
    labelled(step, seq, None)
}

/// A success with a label, by its position among those of its step.
pub(crate) fn labelled(step: StepIndex, seq: u32, label: Option<u16>) -> Event {
    Event::Succeeded {
        step,
        role: Role::Step,
        fence: fence(seq),
        output: null(),
        label: label.map(LabelIndex),
    }
}

pub(crate) fn failed(step: StepIndex, seq: u32, failure: Failure) -> Event {
    Event::Failed {
        step,
        role: Role::Step,
        fence: fence(seq),
        failure,
        payload: null(),
    }
}

/// A loss of which nothing says that the body had begun.
pub(crate) fn lost(step: StepIndex, seq: u32) -> Event {
    lost_after(step, seq, false)
}

pub(crate) fn lost_after(step: StepIndex, seq: u32, begun: bool) -> Event {
    Event::Lost {
        step,
        role: Role::Step,
        fence: fence(seq),
        begun,
        payload: null(),
    }
}

pub(crate) fn conflicted(step: StepIndex, seq: u32) -> Event {
    Event::Conflicted {
        step,
        fence: fence(seq),
        payload: null(),
    }
}

/// The same about the undo of its step.
pub(crate) fn of_undo(event: Event) -> Event {
    match event {
        Event::Succeeded {
            step,
            fence,
            output,
            label,
            ..
        } => Event::Succeeded {
            step,
            role: Role::Undo,
            fence,
            output,
            label,
        },
        Event::Failed {
            step,
            fence,
            failure,
            payload,
            ..
        } => Event::Failed {
            step,
            role: Role::Undo,
            fence,
            failure,
            payload,
        },
        Event::Lost {
            step,
            fence,
            begun,
            payload,
            ..
        } => Event::Lost {
            step,
            role: Role::Undo,
            fence,
            begun,
            payload,
        },
        other => panic!("{other:?} is of no attempt"),
    }
}

pub(crate) fn undone(step: StepIndex, seq: u32) -> Event {
    of_undo(succeeded(step, seq))
}

pub(crate) fn retryable(code: &str) -> Failure {
    Failure::new(code, "", true)
}

pub(crate) fn permanent(code: &str) -> Failure {
    Failure::new(code, "", false)
}

pub(crate) fn timeout() -> Failure {
    retryable(code::TIMEOUT)
}

pub(crate) fn panicked() -> Failure {
    retryable(code::PANIC)
}

/// The time of a wait has come.
pub(crate) fn over(step: StepIndex) -> Event {
    Event::Due {
        step,
        payload: None,
    }
}

/// The time until which a gate was open has come.
pub(crate) fn expired(step: StepIndex) -> Event {
    Event::Due {
        step,
        payload: Some(null()),
    }
}

pub(crate) fn deadline() -> Event {
    Event::DeadlineReached { payload: null() }
}

pub(crate) fn found(step: StepIndex, found: Found) -> Event {
    Event::Evaluated { step, found }
}

pub(crate) fn found_label(step: StepIndex, label: u16) -> Event {
    found(step, Found::Label(LabelIndex(label)))
}

pub(crate) fn found_instant(step: StepIndex, until: Timestamp) -> Event {
    let payload = null();
    found(step, Found::Instant { until, payload })
}

pub(crate) fn found_failure(step: StepIndex, code: &str) -> Event {
    let failure = permanent(code);
    let payload = null();
    found(step, Found::Failure { failure, payload })
}

pub(crate) fn command(number: u128) -> CommandId {
    CommandId::from_u128(number)
}

/// A decision that ends its step, or does not, as its kind says.
pub(crate) fn resolved(number: u128, step: StepIndex, verdict: Resolution) -> Event {
    let payload = match verdict {
        Resolution::Retry | Resolution::SkipUndo => None,
        Resolution::Resume
        | Resolution::Approve
        | Resolution::Reject
        | Resolution::Succeeded { .. }
        | Resolution::Fail { .. } => Some(null()),
    };
    Event::Resolved(Box::new(Resolved {
        command: command(number),
        step,
        verdict,
        by: By::default(),
        payload,
    }))
}

pub(crate) fn signalled(number: u128, signal: &str) -> Event {
    Event::Signalled(Box::new(Signalled {
        command: command(number),
        signal: Name::new(signal).unwrap(),
        by: By::default(),
        payload: null(),
    }))
}

pub(crate) fn spawned(step: StepIndex, from: u32, upto: u32) -> Event {
    let payload = None;
    Event::Spawned {
        step,
        from,
        upto,
        payload,
    }
}

pub(crate) fn recalled(step: StepIndex, upto: u32) -> Event {
    Event::Recalled { step, upto }
}

pub(crate) fn child_ended(step: StepIndex, child: u32, end: ChildEnd) -> Event {
    Event::ChildEnded {
        step,
        child,
        end,
        payload: null(),
    }
}

pub(crate) fn collected(step: StepIndex) -> Event {
    Event::Collected {
        step,
        output: null(),
    }
}

pub(crate) fn cancel(number: u128, force: bool) -> Event {
    cancel_with(number, force, false)
}

pub(crate) fn cancel_with(number: u128, force: bool, undo: bool) -> Event {
    Event::CancelRequested(Box::new(CancelRequested {
        command: command(number),
        by: By::default(),
        force,
        undo,
    }))
}
