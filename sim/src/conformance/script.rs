//! Scripts: what clients and workers do to a store, as data that can be generated and shrunk.
//!
//! Invariant: every script makes sense in every state: an action picks among what is there, and does nothing where there
//! is nothing to pick from.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::deed::{Deed, deed, season};

/// Actions, one after another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    /// In the order in which they are taken.
    pub actions: Vec<Action>,
}

/// One action. A [`Pick`] chooses among what there is at that time.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Action {
    /// A worker registers again, or declares a workflow that contradicts a stored one.
    Register {
        /// Who.
        worker: Side,
        /// Whether it contradicts.
        contradicts: bool,
    },
    /// A client, or a worker with free slots, submits groups.
    Submit {
        /// The worker that offers slots for first steps.
        offer: Option<Side>,
        /// The slot that unkeyed runs are placed by.
        place: u8,
        /// The groups.
        groups: Vec<Vec<Wish>>,
    },
    /// A worker claims.
    Claim {
        /// Who.
        worker: Side,
        /// In which shard.
        place: u8,
        /// Free slots of each queue.
        slots: u8,
        /// Free slots for engine items.
        engine: u8,
    },
    /// A worker claims with the shortest lease and lets it end.
    Lapse {
        /// Who.
        worker: Side,
        /// In which shard.
        place: u8,
    },
    /// A worker renews, marks as begun and hands back.
    Lease {
        /// Who.
        worker: Side,
        /// Which leases, held or over, and what is wanted of each.
        picks: Vec<(Pick, Want)>,
    },
    /// A worker reports.
    Settle {
        /// Who.
        worker: Side,
        /// Free slots of each queue for what becomes ready.
        slots: u8,
        /// Which of its leases, and how they ended.
        picks: Vec<(Pick, Ending)>,
    },
    /// Somebody reports under a lease that is over.
    Late {
        /// Which.
        pick: Pick,
        /// How it ended.
        ending: Ending,
    },
    /// An operator pauses or resumes a queue.
    Queue {
        /// Which.
        queue: Pick,
        /// Whether it is paused.
        pauses: bool,
    },
    /// Somebody does something to a schedule.
    Schedule {
        /// To which.
        schedule: Pick,
        /// What.
        deed: Deed,
    },
    /// The last operation is performed again, as after an unknown commit.
    Repeat,
}

/// One of two workers. Only the first has every handler.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Has every handler.
    Able,
    /// Lacks one.
    Lacking,
}

impl Side {
    pub(super) const BOTH: [Side; 2] = [Side::Able, Side::Lacking];
}

/// Chooses one of a list: its remainder by the list's length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pick(pub u8);

impl Pick {
    pub(super) fn of<T>(self, list: &[T]) -> Option<&T> {
        if list.is_empty() {
            None
        } else {
            list.get(usize::from(self.0) % list.len())
        }
    }
}

/// What an entry of a submission wishes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wish {
    /// A start.
    Start {
        /// Which workflow.
        workflow: Pick,
        /// Which input.
        input: u8,
        /// Under which idempotency key.
        key: Option<u8>,
        /// Whether the first steps are due in an hour only.
        delayed: bool,
    },
    /// A cancel of a run that was started before, by a command of its own or by the first one of that run.
    Cancel {
        /// Which run.
        run: Pick,
        /// At once.
        force: bool,
    },
    /// A start by the handler of a task that is or was held, under its lease.
    Call {
        /// Which task.
        task: Pick,
        /// Which workflow.
        workflow: Pick,
        /// Which input.
        input: u8,
        /// Under which key of the step.
        key: u8,
        /// Whether the run goes its own way.
        detached: bool,
    },
}

/// What is wanted of a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Want {
    /// That it lasts longer.
    Renew,
    /// That its body is known to have begun.
    Begin,
    /// That somebody else may have it.
    HandBack,
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// With one of two outputs.
    Succeeded(bool),
    /// With a failure that may be tried again.
    Failed,
    /// With a failure that may not.
    FailedForGood,
}

/// Scripts of up to so many actions. They shrink to fewer and simpler ones. Some begin with schedules that are due within
/// seconds, for which they wait once.
pub fn scripts(actions: usize) -> impl Strategy<Value = Script> {
    let seasonal = option::weighted(0.15, vec((pick(), season()), 2..5));
    (seasonal, vec(action(), 1..=actions)).prop_map(|(seasonal, rest)| {
        let seasonal = seasonal.into_iter().flatten();
        let mut actions: Vec<Action> = seasonal.map(on_schedule).collect();
        actions.extend(rest);
        Script { actions }
    })
}

fn on_schedule((schedule, deed): (Pick, Deed)) -> Action {
    Action::Schedule { schedule, deed }
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        7 => claim(),
        7 => settle(),
        5 => submit(),
        2 => (side(), vec((pick(), want()), 1..4)).prop_map(|(worker, picks)| Action::Lease { worker, picks }),
        2 => (pick(), ending()).prop_map(|(pick, ending)| Action::Late { pick, ending }),
        2 => Just(Action::Repeat),
        3 => (pick(), deed()).prop_map(on_schedule),
        1 => (side(), any::<bool>()).prop_map(|(worker, contradicts)| Action::Register { worker, contradicts }),
        1 => (side(), place()).prop_map(|(worker, place)| Action::Lapse { worker, place }),
        1 => (pick(), prop::bool::weighted(0.4)).prop_map(|(queue, pauses)| Action::Queue { queue, pauses }),
    ]
}

fn claim() -> impl Strategy<Value = Action> {
    (side(), place(), 0..5_u8, 0..3_u8).prop_map(|(worker, place, slots, engine)| Action::Claim {
        worker,
        place,
        slots,
        engine,
    })
}

fn settle() -> impl Strategy<Value = Action> {
    (side(), 0..3_u8, vec((pick(), ending()), 1..4)).prop_map(|(worker, slots, picks)| {
        Action::Settle {
            worker,
            slots,
            picks,
        }
    })
}

fn submit() -> impl Strategy<Value = Action> {
    (option::of(side()), place(), vec(vec(wish(), 1..4), 1..3)).prop_map(
        |(offer, place, groups)| Action::Submit {
            offer,
            place,
            groups,
        },
    )
}

fn wish() -> impl Strategy<Value = Wish> {
    prop_oneof![
        4 => (pick(), 0..2_u8, option::of(0..3_u8), prop::bool::weighted(0.2)).prop_map(
            |(workflow, input, key, delayed)| Wish::Start { workflow, input, key, delayed }
        ),
        1 => (pick(), prop::bool::weighted(0.3)).prop_map(|(run, force)| Wish::Cancel { run, force }),
        2 => (pick(), pick(), 0..2_u8, 0..2_u8, prop::bool::weighted(0.2)).prop_map(
            |(task, workflow, input, key, detached)| Wish::Call { task, workflow, input, key, detached }
        ),
    ]
}

fn ending() -> impl Strategy<Value = Ending> {
    prop_oneof![
        6 => any::<bool>().prop_map(Ending::Succeeded),
        2 => Just(Ending::Failed),
        1 => Just(Ending::FailedForGood),
    ]
}

fn want() -> impl Strategy<Value = Want> {
    prop_oneof![2 => Just(Want::Renew), 1 => Just(Want::Begin), 1 => Just(Want::HandBack)]
}

fn side() -> impl Strategy<Value = Side> {
    prop_oneof![2 => Just(Side::Able), 1 => Just(Side::Lacking)]
}

fn place() -> impl Strategy<Value = u8> {
    prop_oneof![3 => Just(0), 1 => 0..8_u8]
}

pub(super) fn pick() -> impl Strategy<Value = Pick> {
    any::<u8>().prop_map(Pick)
}
