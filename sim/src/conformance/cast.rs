//! Those who act in a check: workers with what they can execute, and the starts of clients.
//!
//! Invariant: ids are numbers that a check gives out, so a check does the same each time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use squid_mesh_core::definition::DefinitionKey;
use squid_mesh_core::event::Failure;
use squid_mesh_core::id::{CommandId, Incarnation, Life, RunId, Shard, Shards};
use squid_mesh_core::operation::{
    Claim, Entry, Group, HandlerSet, Offer, Operation, Outcome, QueueDemand, Register,
    Registration, Report, Settle, Start, Submit,
};
use squid_mesh_core::payload::Payload;
use squid_mesh_core::task::{Item, TaskRow, Work};

use super::script::Ending;
use super::workflows::{COMMON_HANDLERS, HOUR, QUEUES, RARE_HANDLER, name, workflows};

/// How long the suite's workers lease tasks: longer than any check takes.
pub(crate) const LEASE: Duration = HOUR;

/// One worker process.
#[derive(Debug, Clone)]
pub(crate) struct Worker {
    pub(crate) incarnation: Incarnation,
    handlers: Arc<HandlerSet>,
}

impl Worker {
    /// One with every handler.
    pub(crate) fn able(number: u128) -> Worker {
        let handlers = COMMON_HANDLERS
            .into_iter()
            .chain([RARE_HANDLER])
            .map(name)
            .collect();
        Worker {
            incarnation: Incarnation::from_u128(number),
            handlers: Arc::new(handlers),
        }
    }

    /// One that lacks the rare handler.
    pub(crate) fn lacking(number: u128) -> Worker {
        let handlers = COMMON_HANDLERS.into_iter().map(name).collect();
        Worker {
            incarnation: Incarnation::from_u128(number),
            handlers: Arc::new(handlers),
        }
    }

    /// Declares this worker and every workflow.
    pub(crate) fn register(&self) -> Operation {
        let registration = self.registration();
        Operation::Register(Register {
            worker: Some(registration),
            definitions: workflows(),
        })
    }

    pub(crate) fn registration(&self) -> Registration {
        Registration {
            incarnation: self.incarnation,
            name: format!("worker {}", self.incarnation.as_u128()),
            handlers: Arc::clone(&self.handlers),
            queues: QUEUES.map(name).into(),
        }
    }

    /// Slots of every queue, and for engine items.
    pub(crate) fn offer(&self, slots: u8, engine: u8, lease: Duration) -> Offer {
        let demand = |queue| QueueDemand {
            queue: name(queue),
            slots: slots.into(),
            floor: None,
        };
        Offer {
            worker: self.incarnation,
            handlers: Arc::clone(&self.handlers),
            queues: QUEUES.map(demand).into(),
            engine: engine.into(),
            lease,
        }
    }

    pub(crate) fn claim(&self, shard: Shard, number: u64, slots: u8) -> Operation {
        Operation::Claim(Claim {
            shard,
            number,
            offer: self.offer(slots, slots, LEASE),
        })
    }

    /// Reports on tasks of one shard, with free slots for what becomes ready.
    pub(crate) fn settle(
        &self,
        shard: Shard,
        reports: Vec<Report>,
        slots: u8,
        wait: bool,
    ) -> Operation {
        Operation::Settle(Settle {
            shard,
            reports,
            offer: self.offer(slots, slots, LEASE),
            wait,
        })
    }
}

/// A start by the client's command of this number.
pub(crate) fn start(
    number: u32,
    workflow: &DefinitionKey,
    slot: u8,
    key: Option<String>,
    input: Payload,
) -> Start {
    let own = RunId::from_u128(u128::from(number) << 64).with_slot(slot.into());
    let run = key
        .as_ref()
        .map_or(own, |key| RunId::derived(&workflow.name, key));
    let command = CommandId::from_u128(number.into());
    Start {
        key,
        labels: BTreeMap::from([("number".to_owned(), number.to_string())]),
        ..Start::new(run, Life(number.into()), command, workflow.clone(), input)
    }
}

/// The key of the workflow of this name.
pub(crate) fn workflow(name: &str) -> DefinitionKey {
    let all = workflows();
    let found = all
        .iter()
        .find(|definition| definition.name().as_str() == name);
    found
        .expect("checks name workflows of the suite")
        .key()
        .clone()
}

/// Submits entries of one shard, each in a group of its own, waiting for runs that are locked elsewhere.
pub(crate) fn submit(shards: Shards, entries: Vec<Entry>) -> Operation {
    let shard = entries
        .first()
        .expect("something is submitted")
        .run()
        .shard(shards);
    let groups = entries
        .into_iter()
        .map(|entry| Group {
            entries: vec![entry],
        })
        .collect();
    Operation::Submit(Submit {
        shard,
        groups,
        offer: None,
        wait: true,
    })
}

/// How a held task is reported: as the script says for an attempt, as what it is for an engine item.
pub(crate) fn report(task: &TaskRow, ending: Ending) -> Report {
    let token = task.token().expect("only a held task is reported");
    let outcome = match (task.item(), &task.brief.work) {
        (Item::Attempt, _) => outcome(ending),
        (_, Work::Deliver { parent, end, .. }) => Outcome::ChildEnded {
            parent: parent.clone(),
            end: *end,
            payload: json("null"),
        },
        (_, Work::RecallCalled { from, runs }) => Outcome::Recall {
            from: *from,
            upto: from + u32::try_from(runs.len()).expect("children of one task are few"),
            called: runs.clone(),
        },
        (_, Work::Release { schedule }) => Outcome::Released {
            schedule: *schedule,
        },
        (Item::Firing, _) => Outcome::Fired {
            definition: Some(DefinitionKey {
                name: task.brief.definition.name.clone(),
                version: 1,
            }),
        },
        (item, _) => Outcome::Engine(item),
    };
    Report {
        key: task.key,
        step: task.step,
        token,
        outcome,
    }
}

fn outcome(ending: Ending) -> Outcome {
    let failed = |code, retryable| Failure::new(code, "it did not work out", retryable);
    match ending {
        Ending::Succeeded(well) => Outcome::Succeeded {
            output: json(&format!("{{\"well\":{well}}}")),
            label: None,
        },
        Ending::Failed => Outcome::Failed {
            failure: failed("unlucky", true),
            details: None,
        },
        Ending::FailedForGood => {
            let details = json("[\"detail\"]");
            let failure = Failure {
                details: Some(details.digest()),
                ..failed("hopeless", false)
            };
            Outcome::Failed {
                failure,
                details: Some(details),
            }
        }
    }
}

/// A payload of this text.
pub(crate) fn json(text: &str) -> Payload {
    Payload::new(text.as_bytes())
}
