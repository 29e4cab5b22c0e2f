//! What a claim takes, and what it leaves.

use super::*;
use crate::id::{Incarnation, RunId};
use crate::task::sample::first_step;
use crate::time::Timestamp;

const NOW: Timestamp = Timestamp::from_micros(1_000);

fn name(text: &str) -> Name {
    Name::stored(text)
}

/// A claim of two slots in each of two queues.
fn claim() -> Claim {
    let demand = |queue| crate::operation::QueueDemand {
        queue: name(queue),
        slots: 2,
        floor: None,
    };
    Claim {
        shard: Shard::default(),
        number: 1,
        offer: Offer {
            worker: Incarnation::from_u128(7),
            handlers: Arc::new([name("work")].into()),
            queues: ["mail", "default"].map(demand).into(),
            engine: 2,
            lease: Duration::from_secs(30),
        },
    }
}

/// A due step in a queue, free or under a lease that has ended.
fn due(run: u128, queue: &str, owned: bool) -> TaskRow {
    let mut row = first_step(RunId::from_u128(run), queue);
    row.due_at = NOW;
    row.owner = owned.then(|| Incarnation::from_u128(9));
    row.fence.claims = u32::from(owned);
    row
}

fn claimed(due: Vec<TaskRow>, paused: &[&str]) -> (Claimed, Writes) {
    let view = View {
        now: NOW,
        due,
        paused: paused.iter().copied().map(name).collect(),
        ..View::default()
    };
    match claim().decide(&view) {
        Decision::Done {
            writes,
            reply: Reply::Claimed(claimed),
        } => (claimed, writes),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_claim_asks_which_of_the_queues_it_scans_are_paused() {
    let mut claim = claim();
    claim.offer.queues[1].slots = 0;
    assert_eq!(claim.reads().queues, [name("mail")].into());
}

#[test]
fn of_a_paused_queue_losses_are_claimed_and_nothing_else() {
    let rows = vec![
        due(1, "mail", false),
        due(2, "mail", true),
        due(3, "default", false),
    ];
    let (claimed, writes) = claimed(rows, &["mail"]);
    let items: Vec<(u128, Item)> = claimed
        .tasks
        .iter()
        .map(|row| (row.key.run.as_u128(), row.item()))
        .collect();
    assert_eq!(items, [(2, Item::Loss), (3, Item::Attempt)]);
    assert_eq!(writes.tasks_updated.len(), 2);
    assert!(!claimed.more && claimed.left.is_empty());
}

#[test]
fn what_is_paused_makes_nobody_ask_again() {
    let rows = || (1..=2).map(|run| due(run, "mail", false)).collect();
    let (held_back, writes) = claimed(rows(), &["mail"]);
    assert!(held_back.tasks.is_empty() && !held_back.more && held_back.left.is_empty());
    assert!(writes.tasks_updated.is_empty());
    // As many rows as were asked for: without the pause there may be more.
    let (taken, _) = claimed(rows(), &[]);
    assert!(taken.tasks.len() == 2 && taken.more);
    let losses = (1..=2).map(|run| due(run, "mail", true)).collect();
    let (lost, _) = claimed(losses, &["mail"]);
    assert!(lost.tasks.len() == 2 && lost.more);
}

#[test]
fn a_claim_that_was_overtaken_by_a_later_one_takes_nothing() {
    let worker = Incarnation::from_u128(7);
    let offer = Offer {
        worker,
        handlers: Arc::default(),
        queues: Vec::new(),
        engine: 1,
        lease: Duration::from_secs(30),
    };
    let claim = |number| Claim {
        shard: Shard::default(),
        number,
        offer: offer.clone(),
    };
    let mut view = View {
        now: Timestamp::from_micros(5),
        ..View::default()
    };
    let row = claim(4).unregistered(&view);
    view.worker = Some(WorkerRow { claim: 4, ..row });
    let Decision::Done { writes, reply } = claim(3).decide(&view) else {
        panic!("a late claim reads nothing more");
    };
    assert!(writes.is_empty());
    let Reply::Claimed(claimed) = reply else {
        panic!("a claim is answered as a claim");
    };
    assert!(claimed.tasks.is_empty() && !claimed.more);
}
