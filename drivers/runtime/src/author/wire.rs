//! How values are wired to inputs.
//!
//! Invariant: what is wired to an input of type `T` is made of handles to that type; only parts and objects are the author's
//! word.

use squid_mesh_core::definition::{
    DraftBinding, DraftGuard, DraftOrigin, DraftSource, Path, ProblemCode, label,
};

use super::field::Field;
use super::gate::Gate;
use super::object::{Object, ObjectOf};
use super::value::{Constant, Place, Value, Wired};

/// What can be one element of an input, whatever its type.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be part of a step's input",
    label = "neither a value of the run nor a constant"
)]
pub trait AnyPart {
    #[doc(hidden)]
    fn source(self) -> Source;
}

/// What can be one element of an input of type `T`: a [`Value<T>`], a [`Field<T>`] or a [`Constant<T>`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be part of an input as a `{T}`",
    label = "no value of the run or constant of this type",
    note = "an input is wired from `Value<T>`, `constant(..)`, a tuple of them, `object().field(..).of::<T>()`, or `()`; its type must be the one that is taken"
)]
pub trait Part<T>: AnyPart {}

/// What can be wired to an input, whatever its type: see [`Wire`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be wired to an input",
    label = "neither a value of the run nor a constant"
)]
pub trait AnyWire {
    #[doc(hidden)]
    fn binding(self) -> Binding;
}

/// What can be wired to an input of type `T`: a [`Value<T>`], a [`Field<T>`], a [`Constant<T>`], an [`ObjectOf<T>`], a tuple of
/// two to eight of them for a tuple `T`, or `()` for none.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be wired to an input of type `{T}`",
    label = "no value of the run or constant of this type",
    note = "an input is wired from `Value<T>`, `constant(..)`, a tuple of them, `object().field(..).of::<T>()`, or `()`; its type must be the one that is taken"
)]
pub trait Wire<T>: AnyWire {}

/// Values that must be there before something begins: one, a tuple of up to eight, or `()` for none.
///
/// A failure as a need means that its step has failed for good.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is nothing that a step can come after",
    label = "expected a `Value`, a tuple of values, or `()`"
)]
pub trait Needs {
    #[doc(hidden)]
    fn wired(self) -> Vec<Wired>;
}

/// One source of a binding, before it is checked.
#[derive(Debug, Clone)]
pub enum Source {
    #[doc(hidden)]
    Value(Wired, Result<Path, String>),
    #[doc(hidden)]
    Constant(Result<serde_json::Value, String>),
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
    #[doc(hidden)]
    Object(Vec<(String, Source)>),
}

impl AnyWire for () {
    fn binding(self) -> Binding {
        Binding::Nothing
    }
}

impl Wire<()> for () {}

impl Needs for () {
    fn wired(self) -> Vec<Wired> {
        Vec::new()
    }
}

impl<T> AnyPart for Value<T> {
    fn source(self) -> Source {
        Source::Value(self.wired, Ok(Path::default()))
    }
}

impl<T> AnyPart for Gate<T> {
    fn source(self) -> Source {
        (*self).source()
    }
}

impl<T> AnyPart for Field<T> {
    fn source(self) -> Source {
        Source::Value(self.of, self.path)
    }
}

impl<T> AnyPart for Constant<T> {
    fn source(self) -> Source {
        Source::Constant(self.json)
    }
}

macro_rules! whole {
    ($($handle:ident),+) => {$(
        impl<T> AnyWire for $handle<T> {
            fn binding(self) -> Binding {
                Binding::Whole(self.source())
            }
        }
    )+};
}

whole!(Value, Gate, Field, Constant);

impl<T> Part<T> for Value<T> {}
impl<T> Part<T> for Gate<T> {}
impl<T> Part<T> for Field<T> {}
impl<T> Part<T> for Constant<T> {}

impl<T> Wire<T> for Value<T> {}
impl<T> Wire<T> for Gate<T> {}
impl<T> Wire<T> for Field<T> {}
impl<T> Wire<T> for Constant<T> {}

impl AnyWire for Object {
    fn binding(self) -> Binding {
        Binding::Object(self.fields)
    }
}

impl<T> AnyWire for ObjectOf<T> {
    fn binding(self) -> Binding {
        self.object.binding()
    }
}

impl<T> Wire<T> for ObjectOf<T> {}

impl<T> Needs for Value<T> {
    fn wired(self) -> Vec<Wired> {
        vec![self.wired]
    }
}

impl<T> Needs for Field<T> {
    fn wired(self) -> Vec<Wired> {
        vec![self.of]
    }
}

impl<T> Needs for Gate<T> {
    fn wired(self) -> Vec<Wired> {
        (*self).wired()
    }
}

macro_rules! tuples {
    ($(($($part:ident $ty:ident),+);)+) => {$(
        impl<$($part: AnyPart),+> AnyWire for ($($part,)+) {
            fn binding(self) -> Binding {
                #[expect(non_snake_case, reason = "one name for a type and its value")]
                let ($($part,)+) = self;
                Binding::Tuple(vec![$($part.source()),+])
            }
        }

        impl<$($part, $ty),+> Wire<($($ty,)+)> for ($($part,)+)
        where
            $($part: Part<$ty>),+
        {
        }

        impl<$($part: Needs),+> Needs for ($($part,)+) {
            fn wired(self) -> Vec<Wired> {
                #[expect(non_snake_case, reason = "one name for a type and its value")]
                let ($($part,)+) = self;
                [$($part.wired()),+].concat()
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

/// What a builder has declared so far: what the places of values stand for.
#[derive(Debug, Default)]
pub(crate) struct Declared {
    /// The names of the steps.
    pub(crate) steps: Vec<String>,
    /// The groups of alternatives, by the positions of their steps.
    pub(crate) eithers: Vec<Vec<usize>>,
}

impl Declared {
    /// The name of a step. A position of another builder has been reported; any name will do then.
    pub(crate) fn name(&self, at: usize) -> String {
        self.steps.get(at).cloned().unwrap_or_default()
    }

    /// The names of the steps of a group of alternatives.
    pub(crate) fn group(&self, at: usize) -> Vec<String> {
        let steps = self.eithers.get(at).into_iter().flatten();
        steps.map(|step| self.name(*step)).collect()
    }

    /// The guard that a step has failed for good.
    pub(crate) fn failed(&self, at: usize) -> DraftGuard {
        DraftGuard {
            step: self.name(at),
            label: label::FAILED.to_owned(),
        }
    }

    fn origin(&self, wired: Wired) -> DraftOrigin {
        match wired.place {
            Place::Input => DraftOrigin::Input,
            Place::Step(at) => DraftOrigin::Output(self.name(at)),
            Place::Failure(at) => DraftOrigin::Failure(self.name(at)),
            Place::Either(at) => DraftOrigin::Either(self.group(at)),
        }
    }
}

impl Binding {
    /// The sources, with where each is in the JSON form of a binding at `path`.
    pub(crate) fn sources(&self, path: &str) -> Vec<(String, &Source)> {
        match self {
            Binding::Nothing => Vec::new(),
            Binding::Whole(source) => vec![(path.to_owned(), source)],
            Binding::Tuple(sources) => {
                let sources = sources.iter().enumerate();
                sources
                    .map(|(i, source)| (format!("{path}[{i}]"), source))
                    .collect()
            }
            Binding::Object(fields) => {
                let fields = fields.iter();
                fields
                    .map(|(name, source)| (format!("{path}.object.{name}"), source))
                    .collect()
            }
        }
    }

    /// The names that two fields have.
    pub(crate) fn repeated(&self) -> Vec<&str> {
        let Binding::Object(fields) = self else {
            return Vec::new();
        };
        let names = fields.iter().enumerate();
        let earlier = |at: usize, name: &str| fields[..at].iter().any(|(other, _)| other == name);
        names
            .filter(|(at, (name, _))| earlier(*at, name))
            .map(|(_, (name, _))| name.as_str())
            .collect()
    }

    /// As the core's draft has it; steps are called by their names.
    pub(crate) fn draft(self, declared: &Declared) -> DraftBinding {
        match self {
            Binding::Nothing => DraftBinding::Nothing,
            Binding::Whole(source) => DraftBinding::Whole(source.draft(declared)),
            Binding::Tuple(sources) => {
                let sources = sources.into_iter();
                DraftBinding::Tuple(sources.map(|source| source.draft(declared)).collect())
            }
            Binding::Object(fields) => {
                let fields = fields.into_iter();
                DraftBinding::Object(
                    fields
                        .map(|(name, source)| (name, source.draft(declared)))
                        .collect(),
                )
            }
        }
    }
}

impl Source {
    /// The value that it is, or is a part of.
    pub(crate) fn wired(&self) -> Option<Wired> {
        match self {
            Source::Value(wired, _) => Some(*wired),
            Source::Constant(_) => None,
        }
    }

    /// Why it cannot be put into a draft.
    pub(crate) fn problem(&self) -> Option<(ProblemCode, String)> {
        match self {
            Source::Value(_, Err(error)) => Some((ProblemCode::MalformedSource, error.clone())),
            Source::Constant(Err(error)) => {
                let message = format!("the constant cannot be written as JSON: {error}");
                Some((ProblemCode::WrongType, message))
            }
            Source::Value(_, Ok(_)) | Source::Constant(Ok(_)) => None,
        }
    }

    /// What cannot be put into a draft has been reported; anything will do for it.
    fn draft(self, declared: &Declared) -> DraftSource {
        match self {
            Source::Value(wired, path) => DraftSource {
                origin: declared.origin(wired),
                path: path.unwrap_or_default(),
            },
            Source::Constant(json) => DraftSource::constant(json.unwrap_or_default()),
        }
    }
}
