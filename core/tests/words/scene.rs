//! A desk at which each command has something that it fits, and texts at the edge of what is taken.

use serde_json::json;
use squid_mesh_core::definition::DefinitionKey;
use squid_mesh_core::event::By;
use squid_mesh_core::id::{CommandId, Life, RunId, Shard};
use squid_mesh_core::name::{DEFAULT_TRIGGER, Name};
use squid_mesh_core::operation::{
    Call, Declaration, Entry, Group, GroupReply, Operation, Rejection, Reply, ScheduleAction,
    ScheduleCommand, Start, Submit,
};
use squid_mesh_core::payload::Payload;
use squid_mesh_core::schedule::{PlanDraft, ScheduleKey};
use squid_mesh_core::task::TaskRow;

use crate::common::*;

pub(crate) struct Scene {
    pub(crate) desk: Desk,
    /// A run that waits at `first` and for signal `paid`, and of which nobody knows what came of `ship`.
    pub(crate) run: RunId,
    /// A step of it under lease, whose handler may start runs.
    held: TaskRow,
    workflow: DefinitionKey,
}

impl Scene {
    pub(crate) fn set() -> Scene {
        let definition = workflow(json!([
            {"name": "pay", "handler": "h"},
            {"name": "ship", "handler": "h", "irreversible": true},
            {"name": "first", "pause": {}},
            {"name": "paid", "signal": {"name": "paid"}},
        ]));
        let workflow = definition.key().clone();
        let mut desk = Desk::new([definition]);
        let run = desk.started(1);
        desk.finish(run, 1, failing(timeout()));
        let held = desk.claim(run, 0);
        let mut scene = Scene {
            desk,
            run,
            held,
            workflow,
        };
        let create = ScheduleAction::Create(Box::new(scene.declaration("{}".to_owned())));
        let create = scheduled(60, "nightly", create, By::default());
        assert_eq!(scene.perform(&create), Ok(()));
        scene
    }

    pub(crate) fn perform(&mut self, operation: &Operation) -> Result<(), Rejection> {
        match self.desk.perform(operation) {
            Reply::Submitted { mut groups, .. } => match groups.remove(0) {
                GroupReply::Done(_) => Ok(()),
                GroupReply::Refused { rejection, .. } => Err(rejection),
                GroupReply::Busy => panic!("nobody else is there"),
            },
            Reply::Queue(reply) => reply.map(|_| ()),
            Reply::Schedule(reply) => reply.map(|_| ()),
            other => panic!("{other:?}"),
        }
    }

    /// Performs what is refused; nothing is written.
    pub(crate) fn refused(&mut self, operation: &Operation) -> Rejection {
        let before = format!("{:?}", self.desk);
        let refused = self.perform(operation);
        let is_same = before == format!("{:?}", self.desk);
        assert!(is_same, "something was written by {operation:?}");
        refused.expect_err("it is refused")
    }

    pub(crate) fn start(&self) -> Start {
        self.desk.start_of(900, &self.workflow)
    }

    pub(crate) fn begin(&self, start: Start) -> Operation {
        submit(Entry::Start(Box::new(start)))
    }

    /// The handler of `pay` starts a run.
    pub(crate) fn call(&self, start: Start) -> Operation {
        let row = &self.held;
        let token = row.token().expect("it is held");
        let key = start.key.clone().unwrap_or_default();
        let call = Call::new((row.key, row.step, token), key, false, start);
        submit(Entry::Call(Box::new(call)))
    }

    pub(crate) fn declaration(&self, input: String) -> Declaration {
        Declaration {
            life: Life(7),
            version: 0,
            workflow: self.workflow.name.clone(),
            trigger: Name::stored(DEFAULT_TRIGGER),
            plan: PlanDraft::cron("0 9 * * *", "UTC")
                .check()
                .expect("it is a plan"),
            input: payload(input),
        }
    }

    pub(crate) fn workflow(&self) -> DefinitionKey {
        self.workflow.clone()
    }
}

pub(crate) fn submit(entry: Entry) -> Operation {
    let entries = vec![entry];
    Operation::Submit(Submit {
        shard: Shard::default(),
        groups: vec![Group { entries }],
        offer: None,
        wait: true,
    })
}

pub(crate) fn scheduled(number: u128, name: &str, action: ScheduleAction, by: By) -> Operation {
    Operation::Schedule(Box::new(ScheduleCommand {
        shard: Shard::default(),
        schedule: ScheduleKey::Named(name.to_owned()),
        action,
        command: CommandId::from_u128(number),
        by,
    }))
}

pub(crate) fn payload(text: String) -> Payload {
    Payload::new(text.into_bytes())
}

/// How something is written, and how much of it is taken.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    /// Plain text of at most so many bytes.
    Text(usize),
    /// Plain text that is cut, not refused, if it is too long.
    Cut,
    /// A JSON object of at most so many bytes.
    Object(usize),
    /// JSON of a size that the host bounds.
    Json,
}

impl Kind {
    pub(crate) fn limit(self) -> Option<usize> {
        match self {
            Kind::Text(limit) | Kind::Object(limit) => Some(limit),
            Kind::Cut | Kind::Json => None,
        }
    }

    /// What has the greatest length, and what is one byte longer.
    pub(crate) fn edge(self) -> Option<[String; 2]> {
        let limit = self.limit()?;
        let around = self.around("").len();
        Some([limit, limit + 1].map(|length| self.around(&"x".repeat(length - around))))
    }

    /// What has a NUL character: as such and, in JSON, escaped, in a text and in a key.
    pub(crate) fn nuls(self) -> Vec<String> {
        match self {
            Kind::Text(_) | Kind::Cut => vec!["a\0b".to_owned(), "\0".to_owned()],
            Kind::Object(_) | Kind::Json => vec![
                self.around("a\0b"),
                self.around(r"a\u0000b"),
                self.around(r"\\\u0000"),
                r#"{"a\u0000b":1}"#.to_owned(),
            ],
        }
    }

    /// What has none, though it looks so: an escaped backslash before five characters, and a control character that JSON
    /// escapes likewise.
    pub(crate) fn look_alike(self) -> String {
        match self {
            Kind::Text(_) | Kind::Cut => r"a\u0000b".to_owned(),
            Kind::Object(_) | Kind::Json => self.around(r"a\\u0000b\u0001"),
        }
    }

    fn around(self, text: &str) -> String {
        match self {
            Kind::Text(_) | Kind::Cut => text.to_owned(),
            Kind::Object(_) | Kind::Json => format!(r#"{{"k":"{text}"}}"#),
        }
    }
}
