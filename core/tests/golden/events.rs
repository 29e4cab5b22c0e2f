//! One of each event, and of whatever an event can hold.

use std::collections::BTreeMap;
use std::time::Duration;

use squid_mesh_core::definition::{DefinitionDigest, LabelIndex};
use squid_mesh_core::event::{
    By, CancelRequested, ChildEnd, Copied, CopyKind, Event, Failure, Found, Parent, Resolution,
    Resolved, Role, Signalled, Started,
};
use squid_mesh_core::id::{CommandId, Life, RunId};
use squid_mesh_core::name::Name;
use squid_mesh_core::payload::PayloadDigest;

use crate::{AT, DIGEST, FENCE, STEP, key};

const COMMAND: CommandId = CommandId::from_u128(9);

pub(crate) fn all() -> Vec<(&'static str, Event)> {
    let mut all = starts();
    all.extend(attempts());
    all.extend(evaluated());
    all.extend(commands());
    all.extend(children());
    let payload = DIGEST;
    all.extend([
        (
            "due",
            Event::Due {
                step: STEP,
                payload: None,
            },
        ),
        (
            "due-gate",
            Event::Due {
                step: STEP,
                payload: Some(DIGEST),
            },
        ),
        ("deadline", Event::DeadlineReached { payload }),
    ]);
    all
}

pub(crate) fn by() -> By {
    By {
        actor: Some("ana".into()),
        comment: Some("duplicate".into()),
        metadata: Some("{}".into()),
    }
}

pub(crate) fn parent() -> Parent {
    Parent {
        run: RunId::from_u128(0x0190 << 112),
        life: Life(77),
        step: STEP,
        child: 300,
        depth: 4,
        detached: false,
    }
}

fn plain() -> Started {
    Started {
        command: CommandId::from_u128(0x0102_0304_0506_0708_090a_0b0c_0d0e_0f10),
        definition: key(),
        digest: DefinitionDigest::from_bytes([7; 32]),
        trigger: Name::stored("manual"),
        input: DIGEST,
        raw_input: PayloadDigest(*b"rawinput"),
        key: None,
        labels: BTreeMap::new(),
        queue: None,
        priority: None,
        due: None,
        deadline: None,
        trace: None,
        parent: None,
        copy: None,
        by: By::default(),
    }
}

fn starts() -> Vec<(&'static str, Event)> {
    let rich = Started {
        key: Some("k1".into()),
        labels: BTreeMap::from([("team".into(), "billing".into())]),
        queue: Some(Name::stored("mail")),
        priority: Some(-5),
        due: Some(AT),
        deadline: Some(AT),
        trace: Some("00-1-2-01".into()),
        by: by(),
        ..plain()
    };
    let child = Started {
        parent: Some(parent()),
        ..plain()
    };
    let detached = Started {
        parent: Some(Parent {
            detached: true,
            ..parent()
        }),
        ..plain()
    };
    let copy = |kind| Started {
        copy: Some(Copied {
            run: RunId::from_u128(5),
            kind,
        }),
        ..plain()
    };
    let starts = [
        ("started", plain()),
        ("started-rich", rich),
        ("started-child", child),
        ("started-detached", detached),
        ("started-replay", copy(CopyKind::Replay)),
        ("started-fork", copy(CopyKind::Fork)),
        ("started-resume", copy(CopyKind::Resume)),
    ];
    let event = |(name, started)| (name, Event::Started(Box::new(started)));
    starts.into_iter().map(event).collect()
}

fn failure() -> Failure {
    Failure {
        retry_after: Some(Duration::from_millis(1_500)),
        details: Some(DIGEST),
        ..Failure::new("down", "no answer", true)
    }
}

fn attempts() -> Vec<(&'static str, Event)> {
    let (step, fence, payload) = (STEP, FENCE, DIGEST);
    let success = |role, label| Event::Succeeded {
        step,
        role,
        fence,
        output: DIGEST,
        label,
    };
    let failed = |role| Event::Failed {
        step,
        role,
        fence,
        failure: failure(),
        payload,
    };
    let lost = |role, begun| Event::Lost {
        step,
        role,
        fence,
        begun,
        payload,
    };
    vec![
        ("succeeded", success(Role::Step, None)),
        (
            "succeeded-label",
            success(Role::Step, Some(LabelIndex(300))),
        ),
        ("succeeded-undo", success(Role::Undo, None)),
        ("failed", failed(Role::Step)),
        ("failed-undo", failed(Role::Undo)),
        ("lost", lost(Role::Step, false)),
        ("lost-begun", lost(Role::Step, true)),
        ("lost-undo", lost(Role::Undo, false)),
        (
            "conflicted",
            Event::Conflicted {
                step,
                fence,
                payload,
            },
        ),
    ]
}

fn evaluated() -> Vec<(&'static str, Event)> {
    let payload = DIGEST;
    let found = [
        ("found-logged", Found::Logged),
        ("found-reached", Found::Reached),
        ("found-label", Found::Label(LabelIndex(1))),
        ("found-instant", Found::Instant { until: AT, payload }),
        ("found-children", Found::Children { count: 10_000 }),
        (
            "found-failure",
            Found::Failure {
                failure: failure(),
                payload,
            },
        ),
    ];
    let event = |(name, found)| (name, Event::Evaluated { step: STEP, found });
    found.into_iter().map(event).collect()
}

fn commands() -> Vec<(&'static str, Event)> {
    let cancel = |force, undo| {
        Event::CancelRequested(Box::new(CancelRequested {
            command: COMMAND,
            by: by(),
            force,
            undo,
        }))
    };
    let resolved = |verdict, payload| {
        Event::Resolved(Box::new(Resolved {
            command: COMMAND,
            step: STEP,
            verdict,
            by: by(),
            payload,
        }))
    };
    let signalled = Signalled {
        command: COMMAND,
        signal: Name::stored("paid"),
        by: by(),
        payload: DIGEST,
    };
    let success = |label| Resolution::Succeeded { label };
    let fail = Resolution::Fail {
        code: "failed_by_operator".into(),
    };
    vec![
        ("cancel", cancel(false, false)),
        ("cancel-force", cancel(true, false)),
        ("cancel-undo", cancel(false, true)),
        ("resume", resolved(Resolution::Resume, Some(DIGEST))),
        ("approve", resolved(Resolution::Approve, Some(DIGEST))),
        ("reject", resolved(Resolution::Reject, Some(DIGEST))),
        ("settle", resolved(success(None), Some(DIGEST))),
        (
            "settle-label",
            resolved(success(Some(LabelIndex(1))), Some(DIGEST)),
        ),
        ("retry", resolved(Resolution::Retry, None)),
        ("fail", resolved(fail, Some(DIGEST))),
        ("skip-undo", resolved(Resolution::SkipUndo, None)),
        ("signalled", Event::Signalled(Box::new(signalled))),
    ]
}

fn children() -> Vec<(&'static str, Event)> {
    let called = |detached| Event::Called {
        step: STEP,
        fence: FENCE,
        run: RunId::from_u128(7),
        detached,
    };
    let spawned = |payload| Event::Spawned {
        step: STEP,
        from: 128,
        upto: 256,
        payload,
    };
    let ended = |end| Event::ChildEnded {
        step: STEP,
        child: 300,
        end,
        payload: DIGEST,
    };
    vec![
        ("spawned", spawned(None)),
        ("spawned-detached", spawned(Some(DIGEST))),
        (
            "recalled",
            Event::Recalled {
                step: STEP,
                upto: 256,
            },
        ),
        ("child-completed", ended(ChildEnd::Completed)),
        ("child-failed", ended(ChildEnd::Failed)),
        ("child-cancelled", ended(ChildEnd::Cancelled)),
        (
            "collected",
            Event::Collected {
                step: STEP,
                output: DIGEST,
            },
        ),
        ("called", called(false)),
        ("called-detached", called(true)),
    ]
}
