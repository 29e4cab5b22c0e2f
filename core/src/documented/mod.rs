//! What `docs/ERRORS.md` says of the core, compared with what there is.
//!
//! Invariant: every code and every error of the core has its entry there, and there is no entry of anything else.

use std::collections::BTreeSet;

use crate::definition::{ContractViolation, ProblemCode};
use crate::event::code;
use crate::operation::Rejection;
use crate::store::{StoreError, TransactionError};
use crate::worker::SubmitError;

mod page;

use page::{entries, variants};

fn set<'a>(words: impl IntoIterator<Item = &'a str>) -> BTreeSet<&'a str> {
    words.into_iter().collect()
}

#[test]
fn every_rejection_has_an_entry_and_every_entry_is_one() {
    let documented = entries("## Rejections (`core::operation::Rejection`)");
    assert_eq!(documented, set(Rejection::CODES.iter().copied()));
}

#[test]
fn every_failure_code_of_the_engine_has_an_entry_and_every_entry_is_one() {
    let documented = entries("## Failure codes that the engine records (`core::event::code`)");
    assert_eq!(documented, set(code::ALL.iter().copied()));
}

#[test]
fn every_problem_of_a_definition_has_an_entry_and_every_entry_is_one() {
    let documented = entries("## Problems of definitions (`core::definition::ProblemCode`)");
    let codes = ProblemCode::ALL.iter().map(|code| code.as_str());
    assert_eq!(documented, set(codes));
}

#[test]
fn every_way_in_which_an_input_does_not_fit_has_an_entry_and_every_entry_is_one() {
    let documented = entries("### Inputs that do not fit (`core::definition::ContractViolation`)");
    let violations = variants!(ContractViolation {
        Missing,
        Unknown,
        IllTyped,
        Nul
    });
    assert_eq!(documented, set(violations));
}

#[test]
fn every_error_of_a_store_and_a_worker_has_an_entry_and_every_entry_is_one() {
    let documented = entries("## Store errors (`core::store::StoreError`)");
    let errors = variants!(StoreError {
        Unavailable,
        Conflict,
        Refused,
        Newer,
        Corrupt
    });
    assert_eq!(documented, set(errors));
    let documented = entries("### Through a runtime (`core::worker::SubmitError`)");
    let errors = variants!(SubmitError {
        Refused,
        Overloaded,
        Stopped
    });
    assert_eq!(documented, set(errors));
    let documented = entries("### Transactions (`core::store::TransactionError`)");
    let errors = variants!(TransactionError {
        Ended,
        Aborted,
        Store
    });
    assert_eq!(documented, set(errors));
}
