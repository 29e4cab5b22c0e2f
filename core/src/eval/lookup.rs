//! The part of a JSON text that a path leads to.
//!
//! Invariant: what is found is the bytes that stand there, untouched; of a name that comes twice, the last counts.

use super::scan::{self, Kind, Malformed, Scanner};
use crate::definition::{Path, Segment};

/// Where a path leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found<'a> {
    /// To this value.
    Value(&'a str),
    /// Nowhere.
    Missing {
        /// How many of its segments lead somewhere.
        there: usize,
        /// What they lead to, which does not have the next one.
        kind: Kind,
    },
}

/// Follows a path into the JSON text, all of which is read.
pub(super) fn find<'a>(json: &'a [u8], path: &Path) -> Result<Found<'a>, Malformed> {
    scan::whole(json, |scanner| descend(scanner, path.segments(), 0))
}

/// Passes over a value, the path having led to it by its first `there` segments.
fn descend<'a>(
    scanner: &mut Scanner<'a>,
    path: &[Segment],
    there: usize,
) -> Result<Found<'a>, Malformed> {
    let Some(segment) = path.get(there) else {
        return scanner.value().map(Found::Value);
    };
    let kind = scanner.kind()?;
    let mut found = Found::Missing { there, kind };
    match segment {
        Segment::Field(wanted) if kind == Kind::Object => scanner.object(|scanner, name| {
            if name != wanted.as_str() {
                return scanner.skip();
            }
            found = descend(scanner, path, there + 1)?;
            Ok(())
        })?,
        Segment::Index(wanted) if kind == Kind::Array => scanner.array(|scanner, position| {
            if u32::try_from(position) != Ok(*wanted) {
                return scanner.skip();
            }
            found = descend(scanner, path, there + 1)?;
            Ok(())
        })?,
        Segment::Field(_) | Segment::Index(_) => scanner.skip()?,
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;
    use crate::eval::samples;

    fn field(name: &str) -> Segment {
        Segment::Field(name.to_owned())
    }

    fn found(json: &str, path: Vec<Segment>) -> Found<'_> {
        find(json.as_bytes(), &Path::new(path)).unwrap()
    }

    #[test]
    fn what_is_found_keeps_its_bytes() {
        let json = r#" {"n": 1.50e+400, "list": [ 0, {"x" : [ ] } ], "\u006e2": "\u0041"} "#;
        for (path, value) in [
            (vec![], json.trim()),
            (vec![field("n")], "1.50e+400"),
            (vec![field("n2")], r#""\u0041""#),
            (vec![field("list"), Segment::Index(1)], r#"{"x" : [ ] }"#),
            (vec![field("list"), Segment::Index(1), field("x")], "[ ]"),
        ] {
            assert_eq!(found(json, path), Found::Value(value));
        }
    }

    #[test]
    fn what_is_missing_is_told_with_how_far_the_path_led() {
        for (json, path, there, kind) in [
            ("{}", vec![field("a"), field("b")], 0, Kind::Object),
            (r#"{"a":{}}"#, vec![field("a"), field("b")], 1, Kind::Object),
            (r#"{"a":null}"#, vec![field("a"), field("b")], 1, Kind::Null),
            ("[1]", vec![Segment::Index(1)], 0, Kind::Array),
            ("[1]", vec![field("0")], 0, Kind::Array),
            (r#"{"0":1}"#, vec![Segment::Index(0)], 0, Kind::Object),
            ("\"text\"", vec![Segment::Index(0)], 0, Kind::String),
        ] {
            assert_eq!(found(json, path), Found::Missing { there, kind }, "{json}");
        }
    }

    #[test]
    fn of_a_name_that_comes_twice_the_last_counts_even_if_it_leads_nowhere() {
        let path = vec![field("a"), field("b")];
        let json = r#"{"a":{"b":1},"a":{"b":2}}"#;
        assert_eq!(found(json, path.clone()), Found::Value("2"));
        let kind = Kind::Number;
        assert_eq!(
            found(r#"{"a":{"b":1},"a":3}"#, path),
            Found::Missing { there: 1, kind }
        );
    }

    #[test]
    fn text_behind_what_was_found_must_be_json_too() {
        let path = Path::new(vec![field("a")]);
        assert!(find(br#"{"a":1,"b":}"#, &path).is_err());
        assert!(find(br#"{"a":1} x"#, &path).is_err());
    }

    fn segment() -> impl Strategy<Value = Segment> {
        prop_oneof![
            samples::name().prop_map(Segment::Field),
            (0_u32..4).prop_map(Segment::Index)
        ]
    }

    fn step<'a>(value: &'a Value, segment: &Segment) -> Option<&'a Value> {
        match segment {
            Segment::Field(name) => value.as_object()?.get(name),
            Segment::Index(index) => value.as_array()?.get(*index as usize),
        }
    }

    proptest! {
        #[test]
        fn it_finds_what_serde_finds(
            text in samples::text(),
            path in proptest::collection::vec(segment(), 0..4),
        ) {
            let value: Value = serde_json::from_str(&text).unwrap();
            let expected = path.iter().try_fold(&value, step);
            match found(&text, path.clone()) {
                Found::Value(part) => {
                    let part: Value = serde_json::from_str(part).unwrap();
                    prop_assert_eq!(Some(&part), expected);
                }
                Found::Missing { there, kind } => {
                    prop_assert_eq!(expected, None);
                    let last = path[..there].iter().try_fold(&value, step).unwrap();
                    prop_assert_eq!(step(last, &path[there]), None);
                    prop_assert_eq!(Kind::of(last), kind);
                }
            }
        }
    }
}
