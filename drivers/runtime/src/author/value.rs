//! Values that do not exist yet.
//!
//! Invariant: a handle remembers the builder that made it, so a value of one workflow is never wired into another.

use std::fmt;
use std::marker::PhantomData;

use serde::Serialize;

/// A handle to something of type `T` that a run will have: its input, the output or the failure of a step. `Copy`, and needs
/// no `T`.
///
/// [`field`](Value::field) and [`path`](Value::path) give a part of it.
pub struct Value<T> {
    pub(crate) wired: Wired,
    ty: PhantomData<fn() -> T>,
}

/// Where a value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// The run's input.
    Input,
    /// The output of the step declared at this position.
    Step(usize),
    /// The failure of the step declared at this position.
    Failure(usize),
    /// The output of whichever step of the group at this position succeeded.
    Either(usize),
}

/// Tells one builder of this process from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BuilderId(pub(crate) u64);

/// A [`Value`] without its type.
#[derive(Debug, Clone, Copy)]
pub struct Wired {
    pub(crate) place: Place,
    pub(crate) builder: BuilderId,
}

impl<T> Value<T> {
    pub(crate) fn new(place: Place, builder: BuilderId) -> Value<T> {
        Value {
            wired: Wired { place, builder },
            ty: PhantomData,
        }
    }
}

impl<T> Clone for Value<T> {
    fn clone(&self) -> Value<T> {
        *self
    }
}

impl<T> Copy for Value<T> {}

impl<T> fmt::Debug for Value<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Value({:?})", self.wired.place)
    }
}

/// A value that is the same in every run. Made by [`constant`].
#[derive(Debug, Clone)]
pub struct Constant<T> {
    pub(crate) json: Result<serde_json::Value, String>,
    ty: PhantomData<fn() -> T>,
}

/// A value that is the same in every run; part of the definition, so another constant is another definition.
///
/// ```
/// use squid_mesh::{StepContext, StepError, Workflow, constant, step};
///
/// async fn greet(_: StepContext, (name, greeting): (String, String)) -> Result<String, StepError> {
///     Ok(format!("{greeting}, {name}"))
/// }
///
/// let (mut wf, name) = Workflow::builder::<String>("hello", 1);
/// let text = wf.step("greet", (name, constant("Hello".to_owned())), step(greet));
/// let hello = wf.finish(text)?;
/// # Ok::<(), squid_mesh::BuildError>(())
/// ```
pub fn constant<T: Serialize>(value: T) -> Constant<T> {
    let json = serde_json::to_value(value).map_err(|error| error.to_string());
    Constant {
        json,
        ty: PhantomData,
    }
}
