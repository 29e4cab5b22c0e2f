//! What the workers and clients of a script know: enough to turn an action into an operation.
//!
//! Invariant: a session learns from replies alone, so two stores that reply alike are asked alike.

use std::sync::Arc;

use squid_mesh_core::definition::Definition;
use squid_mesh_core::event::By;
use squid_mesh_core::id::{CommandId, Incarnation, RunId, Shard, Shards};
use squid_mesh_core::limits;
use squid_mesh_core::operation::{
    Call, Cancel, Claim, Entry, EntryReply, Group, GroupReply, Held, HeldReply, Leases, Offer,
    Operation, QueueAction, QueueCommand, Register, Reply, Report, Start, StartDelay, Submit,
};
use squid_mesh_core::task::{Item, TaskRow};
use squid_mesh_core::time::Timestamp;

use super::calendar::Calendar;
use super::cast::{LEASE, Worker, json, report, start};
use super::script::{Action, Ending, Pick, Side, Want, Wish};
use super::workflows::{HOUR, QUEUES, contradiction, name, workflows};

/// Clients and two workers.
pub(super) struct Session {
    shards: Shards,
    workflows: Vec<Arc<Definition>>,
    able: Holder,
    lacking: Holder,
    runs: Vec<RunId>,
    calendar: Calendar,
    over: Vec<TaskRow>,
    last: Option<Operation>,
    drawn: u32,
}

/// What one worker knows.
struct Holder {
    worker: Worker,
    claims: u64,
    held: Vec<TaskRow>,
}

impl Holder {
    fn of(worker: Worker) -> Holder {
        Holder {
            worker,
            claims: 0,
            held: Vec::new(),
        }
    }

    fn take(&mut self, tasks: &[TaskRow]) {
        for task in tasks {
            if !self
                .held
                .iter()
                .any(|held| held.key == task.key && held.fence == task.fence)
            {
                self.held.push(task.clone());
            }
        }
    }
}

impl Session {
    pub(super) fn new(shards: Shards) -> Session {
        Session {
            shards,
            workflows: workflows(),
            able: Holder::of(Worker::able(1)),
            lacking: Holder::of(Worker::lacking(2)),
            runs: Vec::new(),
            calendar: Calendar::default(),
            over: Vec::new(),
            last: None,
            drawn: 0,
        }
    }

    /// Declares the workflows and both workers.
    pub(super) fn opening(&self) -> [Operation; 2] {
        Side::BOTH.map(|side| self.register(side, false))
    }

    /// The operation that an action amounts to, if there is anything to do. `now` is about what the store's clock says.
    pub(super) fn operation(&mut self, action: &Action, now: Timestamp) -> Option<Operation> {
        match action {
            Action::Register {
                worker,
                contradicts,
            } => Some(self.register(*worker, *contradicts)),
            Action::Submit {
                offer,
                place,
                groups,
            } => self.submit(*offer, *place, groups),
            Action::Claim {
                worker,
                place,
                slots,
                engine,
            } => Some(self.claim(
                *worker,
                *place,
                self.holder(*worker).worker.offer(*slots, *engine, LEASE),
            )),
            Action::Lapse { worker, place } => Some(self.claim(
                *worker,
                *place,
                self.holder(*worker).worker.offer(1, 1, limits::LEASE_MIN),
            )),
            Action::Lease { worker, picks } => self.lease(*worker, picks),
            Action::Settle {
                worker,
                slots,
                picks,
            } => self.settle(*worker, *slots, picks),
            Action::Late { pick, ending } => self.late(*pick, *ending),
            Action::Queue { queue, pauses } => self.queue(*queue, *pauses),
            Action::Schedule { schedule, deed } => {
                self.drawn += 1;
                let deed = (*schedule, deed);
                let drawn = (self.drawn, now);
                self.calendar
                    .operation(self.shards, &self.workflows, deed, drawn)
            }
            Action::Repeat => self.last.clone(),
        }
    }

    fn holder(&self, side: Side) -> &Holder {
        match side {
            Side::Able => &self.able,
            Side::Lacking => &self.lacking,
        }
    }

    fn holder_mut(&mut self, incarnation: Incarnation) -> &mut Holder {
        if incarnation == self.able.worker.incarnation {
            &mut self.able
        } else {
            &mut self.lacking
        }
    }

    fn register(&self, side: Side, contradicts: bool) -> Operation {
        let definitions = if contradicts {
            vec![contradiction()]
        } else {
            self.workflows.clone()
        };
        Operation::Register(Register {
            worker: Some(self.holder(side).worker.registration()),
            definitions,
        })
    }

    fn claim(&self, side: Side, place: u8, offer: Offer) -> Operation {
        let number = self.holder(side).claims + 1;
        Operation::Claim(Claim {
            shard: self.shard(place),
            number,
            offer,
        })
    }

    fn shard(&self, place: u8) -> Shard {
        RunId::from_u128(0)
            .with_slot(place.into())
            .shard(self.shards)
    }

    fn submit(
        &mut self,
        offer: Option<Side>,
        place: u8,
        groups: &[Vec<Wish>],
    ) -> Option<Operation> {
        let mut wanted: Vec<Group> = Vec::new();
        for group in groups {
            let entries = group
                .iter()
                .filter_map(|wish| self.entry(place, wish))
                .collect();
            wanted.push(Group { entries });
        }
        let shard = wanted
            .iter()
            .flat_map(|group| &group.entries)
            .next()?
            .run()
            .shard(self.shards);
        // An operation addresses one shard: that of its first entry.
        for group in &mut wanted {
            group
                .entries
                .retain(|entry| entry.run().shard(self.shards) == shard);
        }
        wanted.retain(|group| !group.entries.is_empty());
        let offer = offer.map(|side| self.holder(side).worker.offer(1, 1, LEASE));
        Some(Operation::Submit(Submit {
            shard,
            groups: wanted,
            offer,
            wait: true,
        }))
    }

    fn entry(&mut self, place: u8, wish: &Wish) -> Option<Entry> {
        self.drawn += 1;
        let command = CommandId::from_u128(self.drawn.into());
        match wish {
            Wish::Start {
                workflow,
                input,
                key,
                delayed,
            } => {
                let definition = workflow.of(&self.workflows)?.key().clone();
                let key = key.map(|key| format!("key {key}"));
                let delay = delayed.then_some(StartDelay::In(HOUR));
                let input = json(&format!("{{\"n\":{input}}}"));
                let start = Start {
                    delay,
                    ..start(self.drawn, &definition, place, key, input)
                };
                Some(Entry::Start(Box::new(start)))
            }
            Wish::Cancel { run, force } => run.of(&self.runs).map(|run| {
                Entry::Cancel(Cancel {
                    run: *run,
                    command,
                    by: By {
                        actor: Some("somebody".to_owned()),
                        ..By::default()
                    },
                    force: *force,
                    undo: false,
                })
            }),
            Wish::Call {
                task,
                workflow,
                input,
                key,
                detached,
            } => {
                let known = self.able.held.iter().chain(&self.lacking.held);
                let known: Vec<&TaskRow> = known.chain(&self.over).collect();
                let task = task.of(&known)?;
                let token = task.token().expect("a worker knows of tasks that it held");
                let definition = workflow.of(&self.workflows)?.key().clone();
                let input = json(&format!("{{\"n\":{input}}}"));
                let start = start(self.drawn, &definition, place, None, input);
                let attempt = (task.key, task.step, token);
                let call = Call::new(attempt, format!("key {key}"), *detached, start);
                Some(Entry::Call(Box::new(call)))
            }
        }
    }

    fn lease(&self, side: Side, picks: &[(Pick, Want)]) -> Option<Operation> {
        let known: Vec<&TaskRow> = self.holder(side).held.iter().chain(&self.over).collect();
        let shard = picks.first()?.0.of(&known)?.key.run.shard(self.shards);
        let mut leases = Leases {
            shard,
            lease: LEASE,
            renew: Vec::new(),
            begun: Vec::new(),
            hand_back: Vec::new(),
        };
        let mut keys = Vec::new();
        for (pick, want) in picks {
            let task = pick.of(&known)?;
            let token = task.token().expect("a worker knows of tasks that it held");
            // A worker wants one thing of a lease at a time.
            if task.key.run.shard(self.shards) == shard && !keys.contains(&task.key) {
                keys.push(task.key);
                let held = Held {
                    key: task.key,
                    token,
                };
                match want {
                    Want::Renew => leases.renew.push(held),
                    Want::Begin => leases.begun.push(held),
                    Want::HandBack => leases.hand_back.push(held),
                }
            }
        }
        Some(Operation::Lease(leases))
    }

    fn settle(&self, side: Side, slots: u8, picks: &[(Pick, Ending)]) -> Option<Operation> {
        let Holder { worker, held, .. } = self.holder(side);
        let shard = picks.first()?.0.of(held)?.key.run.shard(self.shards);
        let mut reports: Vec<Report> = Vec::new();
        for (pick, ending) in picks {
            let task = pick.of(held)?;
            if task.key.run.shard(self.shards) == shard
                && !reports.iter().any(|report| report.key == task.key)
            {
                reports.push(report(task, *ending));
            }
        }
        Some(worker.settle(shard, reports, slots, true))
    }

    fn late(&self, pick: Pick, ending: Ending) -> Option<Operation> {
        let task = pick.of(&self.over)?;
        let shard = task.key.run.shard(self.shards);
        Some(
            self.able
                .worker
                .settle(shard, vec![report(task, ending)], 0, true),
        )
    }

    fn queue(&mut self, queue: Pick, pauses: bool) -> Option<Operation> {
        self.drawn += 1;
        Some(Operation::Queue(QueueCommand {
            queue: name(queue.of(&QUEUES)?),
            action: if pauses {
                QueueAction::Pause
            } else {
                QueueAction::Resume
            },
            command: CommandId::from_u128(self.drawn.into()),
            actor: Some("somebody".to_owned()),
            comment: None,
        }))
    }

    /// Takes in what an operation was answered.
    pub(super) fn learn(&mut self, operation: &Operation, reply: &Reply) {
        match (operation, reply) {
            (Operation::Submit(submit), Reply::Submitted { groups, handed, .. }) => {
                self.learn_starts(groups);
                if let Some(offer) = &submit.offer {
                    self.holder_mut(offer.worker).take(handed);
                }
            }
            (Operation::Claim(claim), Reply::Claimed(claimed)) => {
                let holder = self.holder_mut(claim.offer.worker);
                holder.claims = holder.claims.max(claim.number);
                holder.take(&claimed.tasks);
                self.learn_runs(&claimed.tasks);
            }
            (Operation::Settle(settle), Reply::Settled { handed, .. }) => {
                for report in &settle.reports {
                    self.end(&Held {
                        key: report.key,
                        token: report.token,
                    });
                }
                self.holder_mut(settle.offer.worker).take(handed);
            }
            (Operation::Lease(leases), Reply::Leased(replies)) => {
                let wants = leases
                    .renew
                    .iter()
                    .chain(&leases.begun)
                    .chain(&leases.hand_back);
                for (held, reply) in wants.zip(replies) {
                    if matches!(reply, HeldReply::HandedBack | HeldReply::Lost) {
                        self.end(held);
                    }
                }
            }
            (Operation::Schedule(command), Reply::Schedule(reply)) => {
                if let Ok(reply) = reply {
                    self.calendar.learn(command, reply);
                }
            }
            (Operation::Register(_), _) | (Operation::Queue(_), Reply::Queue(_)) => {}
            (_, reply) => panic!("the reply is of another operation: {reply:?}"),
        }
        self.last = Some(operation.clone());
    }

    fn learn_starts(&mut self, groups: &[GroupReply]) {
        for group in groups {
            let GroupReply::Done(entries) = group else {
                continue;
            };
            for entry in entries {
                if let EntryReply::Started(start) = entry
                    && !self.runs.contains(&start.run)
                {
                    self.runs.push(start.run);
                }
            }
        }
    }

    /// Runs that schedules have started are met when their steps are claimed.
    fn learn_runs(&mut self, tasks: &[TaskRow]) {
        for task in tasks {
            if task.item() == Item::Attempt && !self.runs.contains(&task.key.run) {
                self.runs.push(task.key.run);
            }
        }
    }

    fn end(&mut self, lease: &Held) {
        let holder = self.holder_mut(lease.token.owner);
        let is_it = |held: &TaskRow| held.key == lease.key && held.token() == Some(lease.token);
        if let Some(at) = holder.held.iter().position(is_it) {
            let task = holder.held.remove(at);
            self.over.push(task);
        }
    }
}
