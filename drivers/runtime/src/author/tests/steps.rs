//! Options of steps, undo handlers, objects and triggers.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;
use squid_mesh_core::definition::{
    DraftBinding, DraftKind, DraftOrigin, DraftRetry, DraftSource, DraftUndo, OnLost,
};

use super::*;
use crate::Retry;
use crate::author::{Outcome, Undo, constant, object, step};

async fn refund(_: StepContext, undo: Undo<Order, u64>) -> Result<(), StepError> {
    assert_eq!(undo.input.cents, undo.output);
    Ok(())
}

#[test]
fn a_step_has_the_options_it_was_given() {
    let (mut wf, order) = builder();
    let charging = step(charge)
        .undo(refund)
        .undo_retry(Retry::immediate(3))
        .undo_timeout(Duration::from_secs(5))
        .on_lost(OnLost::Hold)
        .not_compensatable();
    wf.step("charge", order, charging);
    wf.step("ship", order, step(charge).irreversible());
    wf.step("pay", order, step(charge).undo(refund).undo_named("refund"));
    let draft = draft(wf);
    let paid = step_named(&draft, "charge");
    assert_eq!(
        paid.undo,
        Some(DraftUndo {
            handler: "order_charge_undo".to_owned(),
            retry: Some(DraftRetry::attempts(3)),
            timeout: Some(Duration::from_secs(5).into()),
        })
    );
    assert_eq!(
        (paid.on_lost, paid.compensatable),
        (Some(OnLost::Hold), Some(false))
    );
    assert_eq!(
        (paid.irreversible, step_named(&draft, "ship").irreversible),
        (None, Some(true))
    );
    let undo = step_named(&draft, "pay").undo.as_ref();
    assert_eq!(undo.map(|undo| undo.handler.as_str()), Some("refund"));
}

#[test]
fn undo_handlers_are_registered_beside_those_of_their_steps() {
    let (mut wf, order) = builder();
    wf.step("charge", order, step(charge).undo(refund));
    let registry = wf.registry();
    let names: Vec<&str> = registry.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["order_charge", "order_charge_undo"]);
}

#[test]
fn options_of_an_undo_handler_that_there_is_not_are_reported() {
    let (mut wf, order) = builder();
    wf.step(
        "charge",
        order,
        step(charge).undo_retry(Retry::immediate(3)),
    );
    assert_eq!(
        problems(wf),
        [problem("steps[0].undo", "option_without_effect")]
    );
}

#[test]
fn an_object_is_put_together_of_named_sources() {
    let (mut wf, order) = builder();
    let paid = wf.step("charge", order, step(charge));
    let parcel = object()
        .field("sku", order.field::<String>("sku"))
        .field("cents", paid)
        .field("region", constant("eu"));
    wf.approval("check", parcel.clone());
    wf.step("again", parcel.of::<Order>(), step(charge));
    let draft = draft(wf);
    let expected = DraftBinding::Object(BTreeMap::from([
        ("sku".to_owned(), at(DraftOrigin::Input, &["sku"])),
        ("cents".to_owned(), DraftSource::output("charge")),
        ("region".to_owned(), DraftSource::constant("eu")),
    ]));
    assert_eq!(step_named(&draft, "again").input, expected);
    assert_eq!(step_named(&draft, "check").input, expected);
}

#[test]
fn what_cannot_be_bound_is_reported_where_it_is() {
    let (mut wf, order) = builder();
    let wrong = object()
        .field("a", order.path::<u64>("a..b"))
        .field("b", order)
        .field("b", order);
    wf.step("first", wrong.of::<Order>(), step(charge));
    wf.approval("second", (order, order.path::<u64>("[").field::<u64>("x")));
    assert_eq!(
        problems(wf),
        [
            problem("steps[0].input.object.a", "malformed_source"),
            problem("steps[0].input.object.b", "conflicting_options"),
            problem("steps[1].input[1]", "malformed_source"),
        ]
    );
}

#[test]
fn named_triggers_take_the_same_input() {
    let (mut wf, order) = builder();
    wf.manual("from_support").manual("from_webhook");
    wf.step("charge", order, step(charge));
    let draft = draft(wf);
    let names: Vec<&str> = draft
        .triggers
        .iter()
        .map(|trigger| trigger.name.as_str())
        .collect();
    assert_eq!(names, ["from_support", "from_webhook"]);
    assert!(
        draft
            .triggers
            .iter()
            .all(|trigger| trigger.input == draft.input)
    );
    assert!(matches!(&draft.steps[0].kind, DraftKind::Handler(name) if name == "order_charge"));
}

#[test]
fn what_the_engine_gives_decodes_into_the_types_that_handlers_take() {
    let undo: Undo<Order, u64> = serde_json::from_value(json!({
        "input": {"sku": "lamp", "cents": 5}, "output": 5, "run_input": {"sku": "lamp", "cents": 5},
        "failure": {"code": "lost", "message": "gone", "details": null},
    }))
    .unwrap();
    assert_eq!(
        undo.failure.map(|failure| failure.code),
        Some("lost".to_owned())
    );
    let bare: Undo<u8, ()> =
        serde_json::from_value(json!({"input": 1, "output": null, "run_input": null})).unwrap();
    assert_eq!(bare.failure, None);
    let failed: Outcome<u64> = serde_json::from_value(json!({
        "status": "failed", "failure": {"code": "lost", "message": "gone"},
    }))
    .unwrap();
    assert!(matches!(failed, Outcome::Failed { failure } if failure.details.is_null()));
    let gathered: Vec<Outcome<u64>> = serde_json::from_value(json!([
        {"status": "completed", "result": 7}, {"status": "cancelled"},
    ]))
    .unwrap();
    assert_eq!(
        gathered,
        [Outcome::Completed { result: 7 }, Outcome::Cancelled]
    );
    let decision: crate::Decision = serde_json::from_value(json!({
        "decision": "approved", "actor": "ana", "comment": null, "metadata": {}, "decided_at": "2026-01-01T00:00:00Z",
    }))
    .unwrap();
    assert_eq!(
        (decision.actor.as_deref(), decision.comment),
        (Some("ana"), None)
    );
}
