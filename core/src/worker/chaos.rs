//! A worker against a store that answers anything it legally may, in any order.
//!
//! Invariant: what is checked here holds after every action, whatever the choices.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;

use super::rig::{config, definition, first, name, second, start, text, third, unavailable, wait};
use super::{Action, AttemptId, Config, Input, QueueConfig, Ticket, Worker};
use crate::id::{RunId, Shards};
use crate::operation::{
    Claimed, GroupReply, HeldReply, Offer, Operation, Rejection, Reply, SlotReply,
};
use crate::payload::PayloadRef;
use crate::store::{Fetch, Fetched, StoreError};
use crate::task::TaskRow;
use crate::time::{Moment, Timestamp};

const SLOTS: u32 = 5;
const LEASE: Duration = Duration::from_secs(6);

struct Chaos {
    worker: Worker,
    now: Moment,
    choices: u64,
    runs: u128,
    operations: BTreeMap<Ticket, Operation>,
    /// Those that may have committed and are to be performed again.
    doubted: BTreeMap<Ticket, Operation>,
    fetches: BTreeMap<Ticket, Fetch>,
    executing: BTreeSet<AttemptId>,
    begun: BTreeSet<AttemptId>,
    told: BTreeSet<AttemptId>,
    asked: BTreeSet<u64>,
    stopped: bool,
}

impl Chaos {
    fn new(seed: u64) -> Chaos {
        let config = Config {
            queues: vec![QueueConfig {
                name: name("default"),
                slots: SLOTS,
            }],
            shards: Shards::new(2).unwrap(),
            lease: LEASE,
            grace: LEASE,
            settles: 2,
            ..config()
        };
        let now = Moment::from_micros(0);
        Chaos {
            worker: Worker::new(config, now),
            now,
            choices: seed,
            runs: 0,
            operations: BTreeMap::new(),
            doubted: BTreeMap::new(),
            fetches: BTreeMap::new(),
            executing: BTreeSet::new(),
            begun: BTreeSet::new(),
            told: BTreeSet::new(),
            asked: BTreeSet::new(),
            stopped: false,
        }
    }

    /// A number below `bound`, from the seed (an LCG by Knuth).
    fn choose(&mut self, bound: u32) -> u32 {
        self.choices = self
            .choices
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        u32::try_from((self.choices >> 33) % u64::from(bound)).unwrap()
    }

    fn pick<K: Copy, V>(&mut self, map: &BTreeMap<K, V>) -> Option<K> {
        let count = u32::try_from(map.len()).unwrap();
        (count > 0).then(|| *map.keys().nth(self.choose(count) as usize).unwrap())
    }

    fn handle(&mut self, input: Input) {
        self.worker.handle(input, self.now);
        while let Some(action) = self.worker.poll(self.now) {
            assert!(!self.stopped, "nothing follows the end: {action:?}");
            self.act(action);
            self.check();
        }
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Perform { ticket, operation } => {
                let doubted = self.doubted.remove(&ticket);
                assert!(
                    doubted.is_none_or(|doubted| doubted == operation),
                    "repeated otherwise"
                );
                assert!(
                    self.operations.insert(ticket, operation).is_none(),
                    "in flight already"
                );
            }
            Action::Fetch { ticket, wanted } => drop(self.fetches.insert(ticket, wanted)),
            Action::Execute(execution) => {
                assert!(
                    self.begun.insert(execution.attempt),
                    "executed twice: {execution:?}"
                );
                self.executing.insert(execution.attempt);
            }
            Action::Stop { attempt, .. } => {
                assert!(self.told.insert(attempt), "told twice: {attempt:?}")
            }
            Action::Abort { attempt } => {
                assert!(self.executing.remove(&attempt), "it does not execute")
            }
            Action::Answer { request, .. } => {
                assert!(self.asked.remove(&request), "answered twice")
            }
            Action::Log(_) | Action::Ended(_) => {}
            Action::Stopped => self.stopped = true,
        }
    }

    /// Even if everything that is offered is taken, no more attempts execute than there are slots; one claim is in
    /// flight at most, and no run is in two settles or two submits.
    fn check(&self) {
        let (mut offered, mut claims) = (0, 0);
        let (mut settled, mut submitted) = (BTreeSet::new(), BTreeSet::new());
        for operation in self.operations.values().chain(self.doubted.values()) {
            let runs: BTreeSet<RunId> = match operation {
                Operation::Settle(settle) => {
                    settle.reports.iter().map(|report| report.key.run).collect()
                }
                Operation::Submit(submit) => submit
                    .groups
                    .iter()
                    .flat_map(|group| &group.entries)
                    .map(|entry| entry.run())
                    .collect(),
                Operation::Register(_)
                | Operation::Claim(_)
                | Operation::Lease(_)
                | Operation::Queue(_)
                | Operation::Schedule(_) => BTreeSet::new(),
            };
            offered += offer(operation).map_or(0, slots);
            claims += u32::from(matches!(operation, Operation::Claim(_)));
            let others = if matches!(operation, Operation::Settle(_)) {
                &mut settled
            } else {
                &mut submitted
            };
            for run in runs {
                assert!(others.insert(run), "run {run} is in flight twice");
            }
        }
        assert!(claims <= 1);
        let executing = u32::try_from(self.executing.len()).unwrap();
        assert!(
            executing + offered <= SLOTS,
            "{executing} execute and {offered} are offered of {SLOTS}"
        );
    }

    /// A task of a run that nobody heard of, or of the run given.
    fn task(&mut self, run: Option<RunId>, shard: crate::id::Shard) -> TaskRow {
        self.runs += 1;
        let output = text("1");
        let mut task = match self.choose(5) {
            0 => second(self.runs, &output),
            4 => third(self.runs),
            1 if run.is_none() => wait(self.runs),
            _ => first(self.runs),
        };
        task.key.run = run.unwrap_or_else(|| task.key.run.with_slot(shard.as_u16()));
        task.fence.seq.0 = u32::try_from(self.runs).unwrap();
        task.expired = run.is_none() && self.choose(8) == 0;
        task.brief.timeout = (self.choose(4) == 0).then(|| LEASE / 3);
        task.due_at = Timestamp::default().plus(LEASE * (self.choose(3) + 1) / 3);
        task
    }

    fn answer(&mut self, ticket: Ticket, faults: bool) {
        let operation = self.operations.remove(&ticket).unwrap();
        let result = match if faults { self.choose(6) } else { 5 } {
            0 => Err(unavailable()),
            1 => Err(StoreError::Conflict),
            2 if self.choose(4) == 0 => Err(StoreError::Refused("full".into())),
            _ => Ok(self.reply(&operation, faults)),
        };
        let repeats = !matches!(operation, Operation::Lease(_));
        if repeats && matches!(result, Err(StoreError::Unavailable(_))) {
            self.doubted.insert(ticket, operation);
        }
        self.handle(Input::Performed { ticket, result });
    }

    fn reply(&mut self, operation: &Operation, faults: bool) -> Reply {
        let now = Timestamp::default();
        let busy = |chaos: &mut Chaos| faults && chaos.choose(4) == 0;
        match operation {
            Operation::Claim(claim) => {
                let count = if faults {
                    self.choose(slots(&claim.offer) + 1)
                } else {
                    0
                };
                let tasks: Vec<TaskRow> =
                    (0..count).map(|_| self.task(None, claim.shard)).collect();
                let more = self.choose(2) == 0 && !tasks.is_empty();
                let left = if more {
                    vec![(name("default"), 0)]
                } else {
                    Vec::new()
                };
                Reply::Claimed(Claimed {
                    now,
                    tasks,
                    more,
                    left,
                    next_due: Some(LEASE / 9),
                })
            }
            Operation::Lease(leases) => {
                let held = |chaos: &mut Chaos| match chaos.choose(8) {
                    0 if faults => HeldReply::Lost,
                    1 => HeldReply::Held {
                        lease: LEASE,
                        stop: true,
                    },
                    _ => HeldReply::Held {
                        lease: LEASE,
                        stop: false,
                    },
                };
                let mut replies = Vec::new();
                for _ in leases.renew.iter().chain(&leases.begun) {
                    replies.push(if busy(self) {
                        HeldReply::Busy
                    } else {
                        held(self)
                    });
                }
                for _ in &leases.hand_back {
                    replies.push(if busy(self) {
                        HeldReply::Busy
                    } else {
                        HeldReply::HandedBack
                    });
                }
                Reply::Leased(replies)
            }
            Operation::Settle(settle) => {
                let mut free = slots(&settle.offer);
                let (mut replies, mut handed) = (Vec::new(), Vec::new());
                for report in &settle.reports {
                    let (run, step) = (report.key.run, report.step.0);
                    replies.push(match self.choose(8) {
                        _ if busy(self) => SlotReply::Busy,
                        0 => SlotReply::Rejected(Rejection::Stale { run, step }),
                        _ => SlotReply::Accepted,
                    });
                    let next = if faults { self.choose(4).min(free) } else { 0 };
                    if replies.last() == Some(&SlotReply::Accepted) {
                        free -= next;
                        handed.extend((0..next).map(|_| self.task(Some(run), settle.shard)));
                    }
                }
                Reply::Settled {
                    now,
                    slots: replies,
                    handed,
                    ended: Vec::new(),
                    next_due: None,
                }
            }
            Operation::Submit(submit) => {
                let count = submit.offer.as_ref().map_or(0, slots);
                let handed = (0..count).map(|_| self.task(None, submit.shard)).collect();
                let mut groups = Vec::new();
                for _ in &submit.groups {
                    groups.push(if busy(self) {
                        GroupReply::Busy
                    } else {
                        GroupReply::Done(Vec::new())
                    });
                }
                Reply::Submitted {
                    now,
                    groups,
                    handed,
                    next_due: None,
                }
            }
            Operation::Register(_) | Operation::Queue(_) | Operation::Schedule(_) => {
                unreachable!(
                    "a worker neither registers nor concerns itself with queues and schedules"
                )
            }
        }
    }

    fn answer_fetch(&mut self, ticket: Ticket) {
        let wanted = self.fetches.remove(&ticket).unwrap();
        let payload = |place: PayloadRef| (place, text("1"));
        let result = match self.choose(6) {
            0 => Err(unavailable()),
            1 => Err(StoreError::Corrupt {
                detail: "bits".into(),
            }),
            2 => Ok(Fetched::default()),
            _ => Ok(Fetched {
                payloads: wanted.payloads.into_iter().map(payload).collect(),
                definitions: vec![definition()],
                ..Fetched::default()
            }),
        };
        self.handle(Input::Fetched { ticket, result });
    }

    fn finish_one(&mut self) {
        let executing: BTreeMap<AttemptId, ()> =
            self.executing.iter().map(|id| (*id, ())).collect();
        if let Some(attempt) = self.pick(&executing) {
            self.executing.remove(&attempt);
            self.handle(Input::Finished {
                attempt,
                result: Ok(text("1").into()),
            });
        }
    }

    fn step(&mut self) {
        match self.choose(12) {
            0..5 => match self.pick(&self.operations.clone()) {
                Some(ticket) => self.answer(ticket, true),
                None => self.sleep(),
            },
            5 => match self.pick(&self.fetches.clone()) {
                Some(ticket) => self.answer_fetch(ticket),
                None => self.sleep(),
            },
            6 | 7 => self.finish_one(),
            8 => {
                self.runs += 1;
                let request = u64::try_from(self.runs).unwrap();
                self.asked.insert(request);
                let run = u128::from(self.choose(4));
                self.handle(Input::Submit {
                    request,
                    group: start(run),
                });
            }
            9 => self.handle(Input::Hint(crate::store::Hint { queue: None })),
            10 => {
                let pause = Duration::from_millis(self.choose(2_000).into());
                self.now = self.now.plus(pause);
                self.sleep();
            }
            _ => self.sleep(),
        }
    }

    /// Lets time pass until the next deadline.
    fn sleep(&mut self) {
        if let Some((at, _)) = self.worker.deadline() {
            self.now = self.now.max(at);
            self.handle(Input::Hint(crate::store::Hint {
                queue: Some(name("elsewhere")),
            }));
        }
    }

    /// The store answers everything, handlers finish, and the worker is shut down.
    fn end(&mut self) {
        self.handle(Input::Drain);
        for _ in 0..10_000 {
            if self.stopped {
                return;
            }
            self.finish_one();
            match self.pick(&self.operations.clone()) {
                Some(ticket) => self.answer(ticket, false),
                None => self.sleep(),
            }
        }
        panic!("it does not stop: {:?}", self.worker);
    }
}

fn offer(operation: &Operation) -> Option<&Offer> {
    match operation {
        Operation::Claim(claim) => Some(&claim.offer),
        Operation::Settle(settle) => Some(&settle.offer),
        Operation::Submit(submit) => submit.offer.as_ref(),
        Operation::Register(_)
        | Operation::Lease(_)
        | Operation::Queue(_)
        | Operation::Schedule(_) => None,
    }
}

fn slots(offer: &Offer) -> u32 {
    offer.queues.iter().map(|demand| demand.slots).sum()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_a_store_answers_no_slot_is_used_twice_and_every_client_is_answered_once(seed: u64) {
        let mut chaos = Chaos::new(seed);
        for _ in 0..400 {
            chaos.step();
        }
        chaos.end();
        prop_assert!(chaos.asked.is_empty(), "{:?} were not answered", chaos.asked);
        prop_assert!(chaos.executing.is_empty(), "{:?} execute still", chaos.executing);
        prop_assert_eq!(chaos.worker.deadline(), None);
    }
}
