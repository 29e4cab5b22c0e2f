//! Parts of values.
//!
//! Invariant: a path that cannot be read is kept as what is wrong with it, and reported when the workflow is finished.

use std::fmt;
use std::marker::PhantomData;

use squid_mesh_core::definition::{Path, Segment};

use super::value::{Value, Wired};

/// A part of a [`Value`], of type `T`: what [`Value::field`] and [`Value::path`] give. Wired like a value.
///
/// That the value has such a part, and that it is a `T`, is the author's word: a part that is missing when the step begins
/// fails it for good with the code `missing_input_path`.
///
/// ```
/// use squid_mesh::{BuildError, StepContext, StepError, Workflow, step};
///
/// #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
/// struct Order { customer: Customer, skus: Vec<String> }
/// #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
/// struct Customer { email: String }
///
/// async fn pick(_: StepContext, (sku, email): (String, String)) -> Result<String, StepError> {
///     Ok(format!("{sku} for {email}"))
/// }
///
/// fn order() -> Result<Workflow<Order, String>, BuildError> {
///     let (mut wf, order) = Workflow::builder::<Order>("order", 1);
///     let email = order.field::<Customer>("customer").field::<String>("email");
///     let picked = wf.step("pick", (order.path::<String>("skus[0]"), email), step(pick));
///     wf.finish(picked)
/// }
/// ```
pub struct Field<T> {
    pub(crate) of: Wired,
    pub(crate) path: Result<Path, String>,
    ty: PhantomData<fn() -> T>,
}

impl<T> Value<T> {
    /// The field of this name, whatever characters it has. `U` is the author's word.
    pub fn field<U>(&self, name: &str) -> Field<U> {
        Field::<T>::whole(self.wired).field(name)
    }

    /// The part at a path like `lines[0].sku`. `U` is the author's word.
    pub fn path<U>(&self, path: &str) -> Field<U> {
        Field::<T>::whole(self.wired).path(path)
    }
}

impl<T> Field<T> {
    fn whole(of: Wired) -> Field<T> {
        Field {
            of,
            path: Ok(Path::default()),
            ty: PhantomData,
        }
    }

    /// The field of this name within this part. `U` is the author's word.
    pub fn field<U>(&self, name: &str) -> Field<U> {
        self.deeper(Ok(vec![Segment::Field(name.to_owned())]))
    }

    /// The part of this part at a path like `lines[0].sku`. `U` is the author's word.
    pub fn path<U>(&self, path: &str) -> Field<U> {
        self.deeper(read(path))
    }

    fn deeper<U>(&self, further: Result<Vec<Segment>, String>) -> Field<U> {
        let path = self.path.clone().and_then(|path| {
            let mut segments = path.segments().to_vec();
            segments.extend(further?);
            Ok(Path::new(segments))
        });
        Field {
            of: self.of,
            path,
            ty: PhantomData,
        }
    }
}

impl<T> Clone for Field<T> {
    fn clone(&self) -> Field<T> {
        Field {
            of: self.of,
            path: self.path.clone(),
            ty: PhantomData,
        }
    }
}

impl<T> fmt::Debug for Field<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.path {
            Ok(path) => write!(f, "Field({:?}{path})", self.of.place),
            Err(error) => write!(f, "Field({:?}, {error})", self.of.place),
        }
    }
}

/// Reads a path like `lines[0].sku`, with or without a dot before its first name.
pub(crate) fn read(text: &str) -> Result<Vec<Segment>, String> {
    let malformed = || format!("{text:?} is no path like \"lines[0].sku\"");
    let mut segments = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let segment;
        if let Some(inside) = rest.strip_prefix('[') {
            let (index, after) = inside.split_once(']').ok_or_else(malformed)?;
            let digits = index.bytes().all(|byte| byte.is_ascii_digit());
            let index = digits.then(|| index.parse().ok()).flatten();
            segment = Segment::Index(index.ok_or_else(malformed)?);
            rest = after;
        } else {
            let named = match rest.strip_prefix('.') {
                Some(named) => named,
                None if segments.is_empty() => rest,
                None => return Err(malformed()),
            };
            let end = named.find(['.', '[']).unwrap_or(named.len());
            let (name, after) = named.split_at(end);
            if name.is_empty() || name.contains(']') {
                return Err(malformed());
            }
            segment = Segment::Field(name.to_owned());
            rest = after;
        }
        segments.push(segment);
    }
    if segments.is_empty() {
        return Err(malformed());
    }
    Ok(segments)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_read_with_names_and_indexes() {
        for (text, printed) in [
            ("sku", ".sku"),
            (".sku", ".sku"),
            ("lines[0].sku", ".lines[0].sku"),
            ("[3][0]", "[3][0]"),
            ("a.b-c.d e", r#".a.b-c["d e"]"#),
        ] {
            let path = Path::new(read(text).unwrap());
            assert_eq!(path.to_string(), printed);
        }
    }

    #[test]
    fn what_is_no_path_is_refused_with_its_text() {
        for text in [
            "",
            ".",
            "a.",
            "a..b",
            "a[",
            "a[]",
            "a[x]",
            "a[+1]",
            "a[-1]",
            "a]b",
            "a[0]b",
            "[99999999999]",
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(&format!("{text:?}")), "{error}");
        }
    }
}
