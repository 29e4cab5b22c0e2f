//! Every text that a command carries.

use std::collections::BTreeMap;

use squid_mesh_core::event::By;
use squid_mesh_core::id::CommandId;
use squid_mesh_core::limits;
use squid_mesh_core::name::Name;
use squid_mesh_core::operation::{
    Cancel, Declaration, Entry, Operation, QueueAction, QueueCommand, Resolve, Ruling,
    ScheduleAction, Signal, Start,
};

use super::scene::{Kind, Scene, payload, scheduled, submit};
use crate::common::*;

type Make = Box<dyn Fn(&Scene, String) -> Operation>;

/// A text of a command.
pub(crate) struct Field {
    command: &'static str,
    /// What a refusal calls it.
    pub(crate) what: &'static str,
    pub(crate) kind: Kind,
    make: Make,
}

impl Field {
    pub(crate) fn case(&self) -> String {
        format!("{} of {}", self.what, self.command)
    }

    /// The command with this as the text.
    pub(crate) fn with(&self, scene: &Scene, text: String) -> Operation {
        (self.make)(scene, text)
    }
}

fn field(
    command: &'static str,
    what: &'static str,
    kind: Kind,
    make: impl Fn(&Scene, String) -> Operation + 'static,
) -> Field {
    Field {
        command,
        what,
        kind,
        make: Box::new(make),
    }
}

const COMMENT: Kind = Kind::Text(limits::COMMENT_BYTES);
const LABEL: Kind = Kind::Text(limits::LABEL_BYTES);

pub(crate) fn fields() -> Vec<Field> {
    let mut fields = Vec::new();
    fields.extend(said("a start", |scene, by| {
        scene.begin(Start {
            by,
            ..scene.start()
        })
    }));
    fields.extend(carried("a start", Scene::begin));
    fields.extend(said("a call", |scene, by| {
        scene.call(Start {
            by,
            ..scene.start()
        })
    }));
    fields.extend(carried("a call", Scene::call));
    fields.extend(said("a cancel", |scene, by| {
        submit(Entry::Cancel(Cancel {
            by,
            ..plain_cancel(scene.run, 5)
        }))
    }));
    fields.extend(said("a decision", |scene, by| {
        let resolve = resolving(scene.run, 5, Some("first"), Ruling::Resume);
        submit(Entry::Resolve(Box::new(Resolve { by, ..resolve })))
    }));
    fields.extend(rulings());
    fields.extend(said("a signal", |scene, by| {
        let signal = signalling(scene.run, 5, "paid");
        submit(Entry::Signal(Box::new(Signal { by, ..signal })))
    }));
    fields.push(field(
        "a signal",
        "the payload",
        Kind::Json,
        |scene, text| {
            let payload = payload(text);
            let signal = signalling(scene.run, 5, "paid");
            submit(Entry::Signal(Box::new(Signal { payload, ..signal })))
        },
    ));
    fields.extend(said("a command on a schedule", |_, by| {
        scheduled(70, "nightly", ScheduleAction::Pause, by)
    }));
    fields.extend(schedules());
    fields.extend(queues());
    fields
}

/// What whoever asks says.
fn said(
    command: &'static str,
    make: impl Fn(&Scene, By) -> Operation + Clone + 'static,
) -> [Field; 3] {
    let ana = || Some("ana".to_owned());
    let [of_actor, of_comment, of_metadata] = [make.clone(), make.clone(), make];
    [
        field(command, "the actor", COMMENT, move |scene, actor| {
            let actor = Some(actor);
            let by = By::default();
            of_actor(scene, By { actor, ..by })
        }),
        field(command, "the comment", COMMENT, move |scene, comment| {
            let (actor, comment) = (ana(), Some(comment));
            let by = By::default();
            of_comment(
                scene,
                By {
                    actor,
                    comment,
                    ..by
                },
            )
        }),
        field(
            command,
            "the metadata",
            Kind::Object(limits::COMMENT_BYTES),
            move |scene, metadata| {
                let (actor, metadata) = (ana(), Some(metadata));
                let by = By::default();
                of_metadata(
                    scene,
                    By {
                        actor,
                        metadata,
                        ..by
                    },
                )
            },
        ),
    ]
}

/// What a start has beside.
fn carried(command: &'static str, make: fn(&Scene, Start) -> Operation) -> [Field; 5] {
    [
        field(command, "a label's key", LABEL, move |scene, key| {
            let labels = BTreeMap::from([(key, String::new())]);
            let start = scene.start();
            make(scene, Start { labels, ..start })
        }),
        field(command, "a label's value", LABEL, move |scene, value| {
            let labels = BTreeMap::from([("k".to_owned(), value)]);
            let start = scene.start();
            make(scene, Start { labels, ..start })
        }),
        field(
            command,
            "the idempotency key",
            Kind::Text(limits::KEY_BYTES),
            move |scene, key| {
                let key = Some(key);
                let start = scene.start();
                make(scene, Start { key, ..start })
            },
        ),
        field(
            command,
            "the trace context",
            COMMENT,
            move |scene, trace| {
                let trace = Some(trace);
                let start = scene.start();
                make(scene, Start { trace, ..start })
            },
        ),
        field(command, "the input", Kind::Json, move |scene, input| {
            let input = payload(input);
            let start = scene.start();
            make(scene, Start { input, ..start })
        }),
    ]
}

fn rulings() -> [Field; 3] {
    let ruled = |scene: &Scene, ruling| {
        let resolve = resolving(scene.run, 5, Some("ship"), ruling);
        submit(Entry::Resolve(Box::new(resolve)))
    };
    [
        field(
            "a decision",
            "the output",
            Kind::Json,
            move |scene, output| {
                let output = payload(output);
                let label = None;
                ruled(scene, Ruling::Succeeded { output, label })
            },
        ),
        field("a decision", "the code", Kind::Cut, move |scene, code| {
            let code = Some(code);
            let message = String::new();
            ruled(scene, Ruling::Fail { code, message })
        }),
        field(
            "a decision",
            "the message",
            Kind::Cut,
            move |scene, message| {
                let code = None;
                ruled(scene, Ruling::Fail { code, message })
            },
        ),
    ]
}

fn schedules() -> [Field; 5] {
    let name = Kind::Text(limits::SCHEDULE_NAME_BYTES);
    let signal = Kind::Text(limits::FIRING_SIGNAL_BYTES);
    [
        field(
            "a new schedule",
            "the schedule's name",
            name,
            |scene, it| {
                let declaration = Box::new(scene.declaration("{}".to_owned()));
                scheduled(70, &it, ScheduleAction::Create(declaration), By::default())
            },
        ),
        declared("a new schedule", "weekly", ScheduleAction::Create),
        declared("a changed schedule", "nightly", ScheduleAction::Change),
        declared("a declared schedule", "nightly", ScheduleAction::Declare),
        field("a firing", "the signal", signal, |scene, it| {
            let action = ScheduleAction::Fire {
                occurrence: scene.desk.now,
                signal: Some(it),
                definition: scene.workflow(),
            };
            scheduled(70, "nightly", action, By::default())
        }),
    ]
}

/// The input of a command that says what a schedule is.
fn declared(
    command: &'static str,
    schedule: &'static str,
    action: fn(Box<Declaration>) -> ScheduleAction,
) -> Field {
    field(command, "the input", Kind::Json, move |scene, input| {
        let declaration = Box::new(scene.declaration(input));
        scheduled(70, schedule, action(declaration), By::default())
    })
}

fn queues() -> [Field; 2] {
    let pause = |actor, comment| {
        Operation::Queue(QueueCommand {
            queue: Name::stored("mail"),
            action: QueueAction::Pause,
            command: CommandId::from_u128(70),
            actor,
            comment,
        })
    };
    [
        field("a queue's pause", "the actor", COMMENT, move |_, actor| {
            pause(Some(actor), None)
        }),
        field(
            "a queue's pause",
            "the comment",
            COMMENT,
            move |_, comment| pause(None, Some(comment)),
        ),
    ]
}
