//! A step with children, as the first of its workflow.

use serde_json::{Value, json};
use squid_mesh_core::change::{Change, Chore};
use squid_mesh_core::definition::Definition;
use squid_mesh_core::event::Found;
use squid_mesh_core::run::Fan;
use squid_mesh_core::task::{Lane, Work};

use super::*;

pub(crate) fn child() -> Definition {
    workflow(json!([
        {"name": "invoice", "child": {"workflow": "invoice"}, "input": "input"},
        {"name": "next", "handler": "h", "needs": ["invoice"]},
    ]))
}

pub(crate) fn each(options: Value) -> Definition {
    let mut each = json!({"workflow": "parcel"});
    each.as_object_mut()
        .unwrap()
        .extend(options.as_object().unwrap().clone());
    workflow(json!([
        {"name": "parcels", "each": each, "input": "input"},
        {"name": "next", "handler": "h", "needs": ["parcels"]},
    ]))
}

/// After that many elements were counted, two at a time.
pub(crate) fn counted(count: u32, collect: bool) -> Fold {
    let mut run = Fold::start(each(json!({"parallel": 2, "collect": collect})));
    assert_eq!(run.last(), [engage(A, Chore::Evaluate, 0, due(0))]);
    run.take(found(A, Found::Children { count }));
    run
}

pub(crate) fn fan(count: u32) -> Change {
    Change::Fan { step: A, count }
}

pub(crate) fn spawn(upto: u32) -> Change {
    Change::Spawn { step: A, upto }
}

pub(crate) fn recall(upto: u32) -> Change {
    Change::Recall { step: A, upto }
}

pub(crate) fn arrive(child: u32) -> Change {
    Change::Arrive { step: A, child }
}

pub(crate) fn spoil(code: &str, seq: u32) -> Change {
    let (code, place) = (code.to_owned(), at(seq));
    Change::Spoil {
        step: A,
        code,
        place,
    }
}

pub(crate) const REST: Change = Change::Rest { step: A };

pub(crate) fn work(run: &Fold) -> Work {
    let row = run.run().task_at(run.definition(), Lane(0)).unwrap();
    assert!(row.key.run == run.run().id());
    row.brief.work
}

pub(crate) fn active(run: &Fold) -> u32 {
    run.run().step(A).fan.as_deref().map_or(0, Fan::active)
}
