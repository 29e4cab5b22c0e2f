//! The contract of a draft.
//!
//! Invariant: a default of a checked contract passes that contract.

use super::super::contract::Contract;
use super::super::problem::ProblemCode;
use super::super::reader;
use super::Checker;

impl Checker<'_> {
    pub(super) fn contract(&mut self, path: &str, contract: &Contract) {
        let fields = match contract {
            Contract::Any | Contract::Value { .. } => return,
            Contract::Fields { fields, .. } => fields,
        };
        let base = reader::field(path, "fields");
        for (name, field) in fields {
            let path = reader::field(&base, name);
            if name.contains('\0') {
                let message = "the field's name has a NUL character, which no input may have";
                self.report(&path, ProblemCode::NulCharacter, message);
            }
            let Some(default) = &field.default else {
                continue;
            };
            if !field.ty.fits(field.nullable, default) {
                let found = reader::type_name(default);
                let message = format!(
                    "the default of field {name:?} is {found}, but its type is {}",
                    field.ty
                );
                self.report(&path, ProblemCode::DefaultMismatch, message);
            }
            self.json(&reader::field(&path, "default"), default);
        }
    }
}
