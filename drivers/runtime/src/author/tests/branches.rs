//! Guards, failures and alternatives.

use squid_mesh_core::definition::{DraftBinding, DraftOrigin, RouteMark};

use super::*;
use crate::author::{StepFailure, step, step_routed};
use crate::handler::Routed;

async fn assess(_: StepContext, order: Order) -> Result<Routed<u64>, StepError> {
    Ok(Routed::new("clean", order.cents))
}

async fn told(_: StepContext, failure: StepFailure) -> Result<u64, StepError> {
    Err(StepError::permanent(failure.code, failure.message))
}

#[test]
fn steps_declared_in_a_branch_carry_the_guards_of_every_branch_around_them() {
    let (mut wf, order) = builder();
    let assessed = wf.step("assess", order, step_routed(assess, ["fraud", "clean"]));
    let review = wf.when(&assessed, "fraud", |wf| {
        let review = wf.approval("review", assessed);
        wf.when(&review, "rejected", |wf| {
            wf.when(&assessed, "fraud", |wf| {
                wf.step("report", assessed, step(pass))
            });
        });
        review
    });
    wf.step(
        "after",
        *review,
        step(async |_: StepContext, _: crate::Decision| Ok(1)),
    );
    let draft = draft(wf);
    assert_eq!(step_named(&draft, "assess").labels, ["fraud", "clean"]);
    assert_eq!(step_named(&draft, "assess").when, []);
    assert_eq!(
        step_named(&draft, "review").when,
        [guard("assess", "fraud")]
    );
    assert_eq!(
        step_named(&draft, "report").when,
        [guard("assess", "fraud"), guard("review", "rejected")]
    );
    assert_eq!(step_named(&draft, "after").when, []);
}

#[test]
fn a_failure_branch_is_guarded_by_failed_and_gives_the_failure() {
    let (mut wf, order) = builder();
    let paid = wf.step("charge", order, step(charge));
    wf.on_failure(&paid, |wf, failure| {
        wf.step("notify", failure, step(told).mark(RouteMark::Compensation))
    });
    let failure = wf.failure(paid);
    wf.step("code", failure.field::<u64>("code"), step(pass));
    let draft = draft(wf);
    let notify = step_named(&draft, "notify");
    assert_eq!(notify.when, [guard("charge", "failed")]);
    assert_eq!(notify.mark, Some(RouteMark::Compensation));
    let failure = DraftOrigin::Failure("charge".to_owned());
    assert_eq!(notify.input, DraftBinding::Whole(failure.clone().into()));
    let code = step_named(&draft, "code");
    assert_eq!(code.when, []);
    assert_eq!(code.input, DraftBinding::Whole(at(failure, &["code"])));
}

#[test]
fn alternatives_of_alternatives_are_one_group_in_order() {
    let (mut wf, order) = builder();
    let [a, b, c] = ["a", "b", "c"].map(|name| wf.step(name, order, step(charge)));
    let first = wf.either(c, a);
    let all = wf.either(first, b);
    let same = wf.either_of(&[a, first, a]);
    wf.step("join", all, step(pass));
    wf.step("other", same, step(pass));
    let draft = draft(wf);
    let either = |names: &[&str]| {
        let names = names.iter().map(|name| (*name).to_owned());
        DraftBinding::Whole(DraftOrigin::Either(names.collect()).into())
    };
    assert_eq!(step_named(&draft, "join").input, either(&["c", "a", "b"]));
    assert_eq!(step_named(&draft, "other").input, either(&["a", "c"]));
}

#[test]
fn needs_wait_for_outputs_failures_and_alternatives_without_taking_them() {
    let (mut wf, order) = builder();
    let a = wf.step("a", order, step(charge));
    let b = wf.step("b", order, step(charge));
    let either = wf.either(a, b);
    let failure = wf.failure(b);
    wf.log("note", "so far", (a, either, failure, order));
    wf.step("last", order, step(charge).after(&either).after(&failure));
    let draft = draft(wf);
    let note = step_named(&draft, "note");
    assert_eq!(note.needs, ["a"]);
    assert_eq!(note.either, [["a".to_owned(), "b".to_owned()]]);
    assert_eq!(note.when, [guard("b", "failed")]);
    assert_eq!(step_named(&draft, "last").after, ["a", "b", "b"]);
}

#[test]
fn only_what_a_step_gives_has_a_label_a_failure_or_alternatives() {
    let (mut wf, order) = builder();
    let paid = wf.step("charge", order, step(charge));
    let both = wf.either(paid, paid);
    wf.when(&order, "big", |wf| wf.log("a", "a", ()));
    wf.when(&both, "big", |_| ());
    wf.either(order, order);
    let failure = wf.failure(paid);
    wf.failure(failure);
    let (mut other, foreign) = builder();
    let foreign = other.step("charge", foreign, step(charge));
    wf.when(&foreign, "big", |_| ());
    assert_eq!(
        problems(wf),
        [
            problem("steps[1].when", "unknown_step"),
            problem("steps[2].when", "unknown_step"),
            problem("steps[2]", "unknown_step"),
            problem("steps[2]", "unknown_step"),
            problem("steps[2]", "unknown_step"),
            problem("steps[2].when", "unknown_step"),
        ]
    );
}
