//! Inputs that are put together field by field.
//!
//! Invariant: an object is wired to a typed input only after its author has said that it is of that type.

use std::fmt;
use std::marker::PhantomData;

use serde::de::DeserializeOwned;

use super::wire::{AnyPart, Source};

/// A JSON object of named sources. Made by [`object`]; wired to where a type is expected after [`of`](Object::of).
#[derive(Debug, Clone, Default)]
#[must_use = "an object is wired by giving it to a step"]
pub struct Object {
    pub(crate) fields: Vec<(String, Source)>,
}

/// An [`Object`] of which its author said that it is a `T`.
#[must_use = "an object is wired by giving it to a step"]
pub struct ObjectOf<T> {
    pub(crate) object: Object,
    ty: PhantomData<fn() -> T>,
}

/// Begins an input that is put together field by field.
///
/// ```
/// use squid_mesh::{BuildError, StepContext, StepError, Workflow, constant, object, step};
///
/// #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
/// struct Order { sku: String, cents: u64 }
/// #[derive(serde::Serialize, serde::Deserialize)]
/// struct Parcel { sku: String, paid: String, region: String }
///
/// async fn charge(_: StepContext, cents: u64) -> Result<String, StepError> {
///     Ok(format!("{cents} paid"))
/// }
/// async fn ship(_: StepContext, parcel: Parcel) -> Result<String, StepError> {
///     Ok(format!("{} to {}", parcel.sku, parcel.region))
/// }
///
/// fn order() -> Result<Workflow<Order, String>, BuildError> {
///     let (mut wf, order) = Workflow::builder::<Order>("order", 1);
///     let paid = wf.step("charge_card", order.field::<u64>("cents"), step(charge));
///     let parcel = object()
///         .field("sku", order.field::<String>("sku"))
///         .field("paid", paid)
///         .field("region", constant("eu"))
///         .of::<Parcel>();
///     let shipped = wf.step("ship", parcel, step(ship));
///     wf.finish(shipped)
/// }
/// ```
pub fn object() -> Object {
    Object::default()
}

impl Object {
    /// Adds a field.
    pub fn field(mut self, name: impl Into<String>, part: impl AnyPart) -> Object {
        self.fields.push((name.into(), part.source()));
        self
    }

    /// Says what type the object is. This is the author's word: an object that is no `T` when the step begins fails it with
    /// the code `invalid_input`.
    pub fn of<T: DeserializeOwned>(self) -> ObjectOf<T> {
        ObjectOf {
            object: self,
            ty: PhantomData,
        }
    }
}

impl<T> Clone for ObjectOf<T> {
    fn clone(&self) -> ObjectOf<T> {
        ObjectOf {
            object: self.object.clone(),
            ty: PhantomData,
        }
    }
}

impl<T> fmt::Debug for ObjectOf<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ObjectOf").field(&self.object).finish()
    }
}
