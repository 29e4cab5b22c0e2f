//! Values that do not exist yet, and how they are wired to inputs.
//!
//! Invariant: a handle remembers the builder that made it, so a value of one workflow is never wired into another.

use std::fmt;
use std::marker::PhantomData;

use serde::Serialize;
use squid_mesh_core::definition::{DraftBinding, DraftSource};

/// A handle to something of type `T` that a run will have: its input, or the output of a step. `Copy`, and needs no `T`.
pub struct Value<T> {
    pub(crate) place: Place,
    pub(crate) builder: BuilderId,
    ty: PhantomData<fn() -> T>,
}

/// Where a value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// The run's input.
    Input,
    /// The output of the step declared at this position.
    Step(usize),
}

/// Tells one builder of this process from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BuilderId(pub(crate) u64);

impl<T> Value<T> {
    pub(crate) fn new(place: Place, builder: BuilderId) -> Value<T> {
        Value {
            place,
            builder,
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
        write!(f, "Value({:?})", self.place)
    }
}

/// A value that is the same in every run. Made by [`constant`].
#[derive(Debug, Clone)]
pub struct Constant<T> {
    json: Result<serde_json::Value, String>,
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

/// One source of a binding, before it is checked.
#[derive(Debug, Clone)]
pub enum Source {
    #[doc(hidden)]
    Value(Wired),
    #[doc(hidden)]
    Constant(Result<serde_json::Value, String>),
}

/// A [`Value`] without its type.
#[derive(Debug, Clone, Copy)]
pub struct Wired {
    pub(crate) place: Place,
    pub(crate) builder: BuilderId,
}

/// What can be one element of an input of type `T`: a [`Value<T>`] or a [`Constant<T>`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be part of a step's input",
    label = "neither a value of the run nor a constant",
    note = "a step's input is wired from `Value<T>`, `constant(..)`, a tuple of them, or `()`; its type must be the one that the handler takes"
)]
pub trait Part<T> {
    #[doc(hidden)]
    fn source(self) -> Source;
}

impl<T> Part<T> for Value<T> {
    fn source(self) -> Source {
        Source::Value(Wired {
            place: self.place,
            builder: self.builder,
        })
    }
}

impl<T> Part<T> for Constant<T> {
    fn source(self) -> Source {
        Source::Constant(self.json)
    }
}

/// What can be wired to an input of type `T`: a [`Value<T>`], a [`Constant<T>`], a tuple of two to eight of them for a tuple
/// `T`, or `()` for none.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be wired to an input",
    label = "neither a value of the run nor a constant",
    note = "a step's input is wired from `Value<T>`, `constant(..)`, a tuple of them, or `()`; its type must be the one that the handler takes"
)]
pub trait Wire<T> {
    #[doc(hidden)]
    fn binding(self) -> Binding;
}

/// How an input is put together, before it is checked.
#[derive(Debug, Clone)]
pub enum Binding {
    #[doc(hidden)]
    Nothing,
    #[doc(hidden)]
    Whole(Source),
    #[doc(hidden)]
    Tuple(Vec<Source>),
}

impl Wire<()> for () {
    fn binding(self) -> Binding {
        Binding::Nothing
    }
}

impl<T> Wire<T> for Value<T> {
    fn binding(self) -> Binding {
        Binding::Whole(self.source())
    }
}

impl<T> Wire<T> for Constant<T> {
    fn binding(self) -> Binding {
        Binding::Whole(self.source())
    }
}

/// Values that must be there before something begins: one, a tuple of up to eight, or `()` for none.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is nothing that a step can come after",
    label = "expected a `Value`, a tuple of values, or `()`"
)]
pub trait Needs {
    #[doc(hidden)]
    fn wired(self) -> Vec<Wired>;
}

impl Needs for () {
    fn wired(self) -> Vec<Wired> {
        Vec::new()
    }
}

impl<T> Needs for Value<T> {
    fn wired(self) -> Vec<Wired> {
        vec![Wired {
            place: self.place,
            builder: self.builder,
        }]
    }
}

macro_rules! tuples {
    ($(($($part:ident $ty:ident),+);)+) => {$(
        impl<$($part, $ty),+> Wire<($($ty,)+)> for ($($part,)+)
        where
            $($part: Part<$ty>),+
        {
            fn binding(self) -> Binding {
                #[expect(non_snake_case, reason = "one name for a type and its value")]
                let ($($part,)+) = self;
                Binding::Tuple(vec![$($part.source()),+])
            }
        }

        impl<$($ty),+> Needs for ($(Value<$ty>,)+) {
            fn wired(self) -> Vec<Wired> {
                #[expect(non_snake_case, reason = "one name for a type and its value")]
                let ($($ty,)+) = self;
                vec![$(Wired { place: $ty.place, builder: $ty.builder }),+]
            }
        }
    )+};
}

tuples! {
    (A TA, B TB);
    (A TA, B TB, C TC);
    (A TA, B TB, C TC, D TD);
    (A TA, B TB, C TC, D TD, E TE);
    (A TA, B TB, C TC, D TD, E TE, F TF);
    (A TA, B TB, C TC, D TD, E TE, F TF, G TG);
    (A TA, B TB, C TC, D TD, E TE, F TF, G TG, H TH);
}

impl Binding {
    /// The values it is made of.
    pub(crate) fn values(&self) -> Vec<Wired> {
        self.sources()
            .iter()
            .filter_map(|source| source.wired())
            .collect()
    }

    /// The constants that cannot be written as JSON, and why.
    pub(crate) fn unwritable(&self) -> Vec<&str> {
        self.sources()
            .iter()
            .filter_map(|source| source.unwritable())
            .collect()
    }

    fn sources(&self) -> &[Source] {
        match self {
            Binding::Nothing => &[],
            Binding::Whole(source) => std::slice::from_ref(source),
            Binding::Tuple(sources) => sources,
        }
    }

    /// As the core's draft has it; steps are called by their names.
    pub(crate) fn draft(self, names: &[String]) -> DraftBinding {
        match self {
            Binding::Nothing => DraftBinding::Nothing,
            Binding::Whole(source) => DraftBinding::Whole(source.draft(names)),
            Binding::Tuple(sources) => DraftBinding::Tuple(
                sources
                    .into_iter()
                    .map(|source| source.draft(names))
                    .collect(),
            ),
        }
    }
}

impl Source {
    fn wired(&self) -> Option<Wired> {
        match self {
            Source::Value(wired) => Some(*wired),
            Source::Constant(_) => None,
        }
    }

    fn unwritable(&self) -> Option<&str> {
        match self {
            Source::Constant(Err(error)) => Some(error),
            Source::Constant(Ok(_)) | Source::Value(_) => None,
        }
    }

    fn draft(self, names: &[String]) -> DraftSource {
        match self {
            Source::Value(wired) => wired.draft(names),
            Source::Constant(json) => DraftSource::Constant(json.unwrap_or_default()),
        }
    }
}

impl Wired {
    pub(crate) fn draft(self, names: &[String]) -> DraftSource {
        match self.place {
            Place::Input => DraftSource::Input,
            // A value of another workflow has been reported; any name will do then.
            Place::Step(at) => DraftSource::Output(names.get(at).cloned().unwrap_or_default()),
        }
    }
}
