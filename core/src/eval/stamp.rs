//! Defaults that say when a run was started.
//!
//! Invariant: fields that are there keep their bytes; one that is stamped is stamped once.

use std::collections::BTreeSet;

use super::scan::{self, Kind};
use super::writer;
use crate::cron::Zone;
use crate::definition::Stamp;
use crate::payload::Payload;
use crate::time::Timestamp;

/// Puts the fields that an object lacks behind those it has. A field that is `null` is there. What is no object, or no
/// JSON, stays as it is: its contract has more to say about it.
///
/// A day is that of the zone; an instant is the same everywhere.
pub fn stamped(input: &Payload, fields: &[(&str, Stamp)], now: Timestamp, zone: Zone) -> Payload {
    if fields.is_empty() {
        return input.clone();
    }
    let Some(mut there) = names(input) else {
        return input.clone();
    };
    let text = input.bytes().trim_ascii_end();
    let mut bytes = text[..text.len() - 1].to_vec();
    for (name, stamp) in fields {
        let first = there.is_empty();
        if !there.insert((*name).to_owned()) {
            continue;
        }
        if !first {
            bytes.push(b',');
        }
        bytes.extend(writer::text(name));
        bytes.push(b':');
        bytes.extend(writer::text(&shown(*stamp, now, zone)));
    }
    bytes.extend_from_slice(&input.bytes()[text.len() - 1..]);
    Payload::new(bytes)
}

/// How many bytes an input has once it is stamped, whenever that is: until the year 10000 all instants are written in as
/// many characters. So whoever asks for a start can hold the limit of what will be stored, though only the database knows
/// when that is.
pub fn stamped_bytes(input: &Payload, fields: &[(&str, Stamp)]) -> usize {
    let stamped = stamped(input, fields, Timestamp::default(), Zone::UTC);
    stamped.bytes().len()
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

fn shown(stamp: Stamp, now: Timestamp, zone: Zone) -> String {
    match stamp {
        Stamp::Now => now.to_string(),
        Stamp::Today => zone.day(now).unwrap_or_else(|| now.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(input: &str) -> String {
        let fields = [
            ("at", Stamp::Now),
            ("d\"y", Stamp::Today),
            ("at", Stamp::Today),
        ];
        let now = Timestamp::from_micros(1_774_749_600_000_001);
        let input = Payload::new(input.as_bytes());
        let stamped = stamped(&input, &fields, now, Zone::UTC);
        assert_eq!(stamped_bytes(&input, &fields), stamped.bytes().len());
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
    fn a3_4_today_is_the_day_that_it_is_in_the_zone() {
        let fields = [("now", Stamp::Now), ("day", Stamp::Today)];
        // 22:30 on the 28th in UTC, when it is past midnight in Berlin and before 17:00 in New York.
        let now = Timestamp::from_micros(1_774_737_000_000_000);
        for (zone, day) in [
            ("UTC", "2026-03-28"),
            ("Europe/Berlin", "2026-03-28"),
            ("Asia/Kolkata", "2026-03-29"),
            ("America/New_York", "2026-03-28"),
        ] {
            let zone = Zone::parse(zone).unwrap();
            let stamped = stamped(&Payload::new(*b"{}"), &fields, now, zone);
            let text = String::from_utf8(stamped.bytes().to_vec()).unwrap();
            let expected = format!(r#"{{"now":"2026-03-28T22:30:00.000000Z","day":"{day}"}}"#);
            assert_eq!(text, expected, "{zone}");
        }
    }

    #[test]
    fn what_is_no_object_stays_as_it_is() {
        for input in ["null", "[]", "\"{}\"", "{", "", "{}x"] {
            assert_eq!(stamp(input), input);
        }
    }
}
