//! The contract of a draft.
//!
//! Invariant: a default of a checked contract passes that contract, whether it is a literal or a stamp.

use super::super::contract::{Contract, Field, FieldDefault, Stamp};
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
            match &field.default {
                Some(FieldDefault::Literal(value)) => {
                    if !field.ty.fits(field.nullable, value) {
                        self.mismatch(&path, name, field, reader::type_name(value));
                    }
                    self.json(&reader::field(&path, "default"), value);
                }
                Some(FieldDefault::Stamp(stamp)) if !Stamp::fits(field.ty) => {
                    let found = format!("{:?}, a string", stamp.as_str());
                    self.mismatch(&path, name, field, &found);
                }
                Some(FieldDefault::Stamp(_)) | None => {}
            }
        }
    }

    fn mismatch(&mut self, path: &str, name: &str, field: &Field, found: &str) {
        let message = format!(
            "the default of field {name:?} is {found}, but its type is {}",
            field.ty
        );
        self.report(path, ProblemCode::DefaultMismatch, message);
    }

    /// A signal starts nothing, so there is no start that its payload could be stamped at.
    pub(super) fn without_stamps(&mut self, path: &str, contract: &Contract) {
        let base = reader::field(path, "fields");
        for (name, _) in contract.stamps() {
            let path = reader::field(&reader::field(&base, name), "stamp");
            let message = "only inputs of runs are stamped, when the run is started; a signal's payload is not";
            self.report(&path, ProblemCode::OptionWithoutEffect, message);
        }
    }
}
