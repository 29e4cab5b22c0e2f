//! Paths into a JSON value, like `.order.lines[0].sku`.
//!
//! Invariant: a path prints to the text it is read from, up to needless quotes and the dot at its beginning.

use std::fmt;
use std::str::FromStr;

use crate::limits;

/// A path into a JSON value. Empty for the whole value.
///
/// Field names of other characters than ASCII letters, digits, `_` and `-` are quoted as JSON strings in brackets. The dot
/// at the beginning may be left out.
///
/// ```
/// use squid_mesh_core::definition::Path;
/// let path: Path = r#"order.lines[0]["unit price"]"#.parse().unwrap();
/// assert_eq!(path.to_string(), r#".order.lines[0]["unit price"]"#);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Path(Vec<Segment>);

/// One step of a path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Segment {
    /// A field of an object.
    Field(String),
    /// An element of an array, from 0.
    Index(u32),
}

impl Path {
    /// A path of these segments.
    pub fn new(segments: Vec<Segment>) -> Path {
        Path(segments)
    }

    /// Whether it leads to the whole value.
    pub fn is_whole(&self) -> bool {
        self.0.is_empty()
    }

    /// The segments, outermost first.
    pub fn segments(&self) -> &[Segment] {
        &self.0
    }

    /// The text without a dot at its beginning, as conditions write it; it reads back too.
    pub fn bare(&self) -> String {
        let text = self.to_string();
        text.strip_prefix('.').map(str::to_owned).unwrap_or(text)
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|segment| segment.fmt(f))
    }
}

impl fmt::Display for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Segment::Field(name) if !name.is_empty() && name.chars().all(is_plain) => {
                write!(f, ".{name}")
            }
            Segment::Field(name) => write!(f, "[{}]", serde_json::Value::from(name.as_str())),
            Segment::Index(index) => write!(f, "[{index}]"),
        }
    }
}

impl FromStr for Path {
    type Err = InvalidPath;

    fn from_str(text: &str) -> Result<Path, InvalidPath> {
        let malformed = || InvalidPath::Malformed {
            text: text.chars().take(80).collect(),
        };
        let mut segments = Vec::new();
        let mut rest = text;
        if rest.starts_with(is_plain) {
            let (segment, tail) = plain(rest).ok_or_else(malformed)?;
            segments.push(segment);
            rest = tail;
        }
        while !rest.is_empty() {
            if segments.len() == limits::PATH_SEGMENTS {
                return Err(InvalidPath::TooLong);
            }
            let (segment, tail) = first(rest).ok_or_else(malformed)?;
            segments.push(segment);
            rest = tail;
        }
        Ok(Path(segments))
    }
}

/// Whether a character may stand in a field name that is not quoted.
fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '-'
}

/// The first segment and what follows it.
fn first(text: &str) -> Option<(Segment, &str)> {
    if let Some(text) = text.strip_prefix('.') {
        return plain(text);
    }
    let text = text.strip_prefix('[')?;
    if text.starts_with('"') {
        return quoted(text);
    }
    let (digits, rest) = text.split_once(']')?;
    let exact = digits == "0" || !digits.starts_with('0');
    let index = digits.bytes().all(|b| b.is_ascii_digit()) && exact;
    let index = index.then(|| digits.parse().ok()).flatten()?;
    Some((Segment::Index(index), rest))
}

fn plain(text: &str) -> Option<(Segment, &str)> {
    let end = text.find(|c| !is_plain(c)).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    (!name.is_empty()).then(|| (Segment::Field(name.to_owned()), rest))
}

/// A field name as a JSON string, up to its bracket.
fn quoted(text: &str) -> Option<(Segment, &str)> {
    let mut names = serde_json::Deserializer::from_str(text).into_iter::<String>();
    let name = names.next()?.ok()?;
    let rest = text[names.byte_offset()..].strip_prefix(']')?;
    Some((Segment::Field(name), rest))
}

/// A text that is no path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidPath {
    /// It cannot be read as one.
    #[error(
        "{text:?} is no path: expected fields and elements like order.lines[0][\"unit price\"]"
    )]
    Malformed {
        /// The text, or its beginning.
        text: String,
    },
    /// It has more segments than a path may have.
    #[error("a path of more than {} segments", limits::PATH_SEGMENTS)]
    TooLong,
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn field(name: &str) -> Segment {
        Segment::Field(name.to_owned())
    }

    #[test]
    fn paths_are_read_with_and_without_a_dot_at_their_beginning() {
        for (text, segments, printed) in [
            ("", vec![], ""),
            ("amount", vec![field("amount")], ".amount"),
            (".amount", vec![field("amount")], ".amount"),
            (
                "lines[0].sku-id",
                vec![field("lines"), Segment::Index(0), field("sku-id")],
                ".lines[0].sku-id",
            ),
            (
                "[4294967295]",
                vec![Segment::Index(u32::MAX)],
                "[4294967295]",
            ),
            ("0", vec![field("0")], ".0"),
            (r#"["plain"]"#, vec![field("plain")], ".plain"),
            (r#"[""]"#, vec![field("")], r#"[""]"#),
            (
                r#"a["]\"[.ü"].b"#,
                vec![field("a"), field("]\"[.ü"), field("b")],
                r#".a["]\"[.ü"].b"#,
            ),
        ] {
            let path: Path = text.parse().unwrap();
            assert_eq!(path.segments(), segments, "{text}");
            assert_eq!(path.to_string(), printed);
            assert_eq!(path.is_whole(), text.is_empty());
        }
    }

    #[test]
    fn what_is_no_path_is_refused() {
        for text in [
            ".",
            "a.",
            "a..b",
            "..a",
            "a b",
            "a[",
            "a[]",
            "a[-1]",
            "a[+1]",
            "a[01]",
            "a[4294967296]",
            "a[b]",
            "a[\"b]",
            "a[\"b\"",
            "a[\"b\" ]",
            "a[0]b",
            "größe",
            " a",
        ] {
            let refused = text.parse::<Path>().unwrap_err();
            assert!(matches!(refused, InvalidPath::Malformed { .. }), "{text}");
            assert!(refused.to_string().contains("is no path"), "{refused}");
        }
    }

    #[test]
    fn a_path_has_at_most_32_segments() {
        let of = |count: usize| "[0]".repeat(count).parse::<Path>();
        assert_eq!(of(32).unwrap().segments().len(), 32);
        assert_eq!(of(33), Err(InvalidPath::TooLong));
        let bare = |count: usize| format!("a{}", ".a".repeat(count - 1)).parse::<Path>();
        assert_eq!(bare(32).unwrap().segments().len(), 32);
        assert_eq!(bare(33), Err(InvalidPath::TooLong));
    }

    proptest! {
        #[test]
        fn every_path_reads_back_from_both_of_its_texts(segments in vec(prop_oneof![
            ".{0,4}".prop_map(Segment::Field),
            "[a-z_-]{1,3}".prop_map(Segment::Field),
            any::<u32>().prop_map(Segment::Index),
        ], 0..6)) {
            let path = Path::new(segments);
            prop_assert_eq!(&path.to_string().parse::<Path>().unwrap(), &path);
            prop_assert_eq!(path.bare().parse::<Path>().unwrap(), path);
        }

        #[test]
        fn no_text_makes_the_reader_panic(text in ".*") {
            let _ = text.parse::<Path>();
        }
    }
}
