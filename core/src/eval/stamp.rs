//! Defaults that say when a run was started.
//!
//! Invariant: fields that are there keep their bytes; one that is stamped is stamped once.

use std::collections::BTreeSet;

use super::scan::{self, Kind};
use super::writer;
use crate::payload::Payload;
use crate::time::Timestamp;

/// What is put in for a field that is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stamp {
    /// The instant, as RFC 3339 text in UTC.
    Now,
    /// The date in UTC, as `2026-11-25`.
    Today,
}

/// Puts the fields that an object lacks behind those it has. A field that is `null` is there. What is no object, or no
/// JSON, stays as it is: its contract has more to say about it.
pub fn stamped(input: &Payload, fields: &[(String, Stamp)], now: Timestamp) -> Payload {
    let Some(mut there) = names(input) else {
        return input.clone();
    };
    let text = input.bytes().trim_ascii_end();
    let mut bytes = text[..text.len() - 1].to_vec();
    for (name, stamp) in fields {
        let first = there.is_empty();
        if !there.insert(name.clone()) {
            continue;
        }
        if !first {
            bytes.push(b',');
        }
        bytes.extend(writer::text(name));
        bytes.push(b':');
        bytes.extend(writer::text(&stamp.of(now)));
    }
    bytes.extend_from_slice(&input.bytes()[text.len() - 1..]);
    Payload::new(bytes)
}

/// The names of an object's fields.
fn names(input: &Payload) -> Option<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    let kind = scan::whole(input.bytes(), |scanner| {
        let kind = scanner.kind()?;
        if kind != Kind::Object {
            return scanner.skip().map(|()| kind);
        }
        scanner.object(|scanner, name| {
            names.insert(name.into_owned());
            scanner.skip()
        })?;
        Ok(kind)
    });
    (kind == Ok(Kind::Object)).then_some(names)
}

impl Stamp {
    fn of(self, now: Timestamp) -> String {
        let instant = now.to_string();
        match self {
            Stamp::Now => instant,
            Stamp::Today => match instant.split_once('T') {
                Some((date, _)) => date.to_owned(),
                None => instant,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(input: &str) -> String {
        let fields = [
            ("at".to_owned(), Stamp::Now),
            ("d\"y".to_owned(), Stamp::Today),
            ("at".to_owned(), Stamp::Today),
        ];
        let now = Timestamp::from_micros(1_774_749_600_000_001);
        let stamped = stamped(&Payload::new(input.as_bytes()), &fields, now);
        String::from_utf8(stamped.bytes().to_vec()).unwrap()
    }

    #[test]
    fn a3_4_what_is_missing_is_put_in_and_what_is_there_keeps_its_bytes() {
        for (input, output) in [
            (
                "{}",
                r#"{"at":"2026-03-29T02:00:00.000001Z","d\"y":"2026-03-29"}"#,
            ),
            (
                " { \"n\" : 1.0 } \n",
                " { \"n\" : 1.0 ,\"at\":\"2026-03-29T02:00:00.000001Z\",\"d\\\"y\":\"2026-03-29\"} \n",
            ),
            (
                r#"{"\u0061t":null,"x":{"d\"y":1}}"#,
                r#"{"\u0061t":null,"x":{"d\"y":1},"d\"y":"2026-03-29"}"#,
            ),
            (r#"{"at":1,"d\"y":2}"#, r#"{"at":1,"d\"y":2}"#),
        ] {
            assert_eq!(stamp(input), output);
        }
    }

    #[test]
    fn what_is_no_object_stays_as_it_is() {
        for input in ["null", "[]", "\"{}\"", "{", "", "{}x"] {
            assert_eq!(stamp(input), input);
        }
    }
}
