//! Time zones by name.
//!
//! Invariant: a `Zone` is in the database that was compiled in, under the very name it shows.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use chrono_tz::{TZ_VARIANTS, Tz};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A time zone of the IANA database, like `Europe/Berlin`; ordered by its name.
///
/// ```
/// use squid_mesh_core::cron::Zone;
///
/// let zone: Zone = "Europe/Berlin".parse()?;
/// assert_eq!(zone.name(), "Europe/Berlin");
/// assert_eq!(
///     Zone::parse("europe/berlin").unwrap_err().to_string(),
///     r#"unknown time zone "europe/berlin", did you mean Europe/Berlin?"#,
/// );
/// # Ok::<(), squid_mesh_core::cron::InvalidZone>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Zone(Tz);

/// No zone has a name that is longer, in bytes; for longer ones nothing is suggested.
const LONGEST_NAME: usize = 64;

/// The edition of the IANA database that was compiled in, like `2025b`.
pub fn tz_version() -> &'static str {
    chrono_tz::IANA_TZDB_VERSION
}

impl Zone {
    /// Coordinated universal time.
    pub const UTC: Zone = Zone(Tz::UTC);

    /// Finds a zone by its exact name.
    ///
    /// # Errors
    /// If the database has none of that name: says which one may be meant. Trying again does not help, another edition might.
    pub fn parse(name: &str) -> Result<Zone, InvalidZone> {
        name.parse().map(Zone).map_err(|_| InvalidZone {
            name: name.chars().take(LONGEST_NAME).collect(),
            near: near(name),
        })
    }

    /// Every zone of the database, those that are other names of one another included.
    pub fn all() -> impl Iterator<Item = Zone> {
        TZ_VARIANTS.iter().map(|tz| Zone(*tz))
    }

    /// Its name in the database.
    pub fn name(self) -> &'static str {
        self.0.name()
    }

    pub(super) fn tz(self) -> Tz {
        self.0
    }
}

/// The zone that may be meant: its name but for upper and lower case, else its city, else at most two letters off, and
/// fewer if it is short.
fn near(name: &str) -> Option<&'static str> {
    if name.len() > LONGEST_NAME {
        return None;
    }
    let names = || TZ_VARIANTS.iter().map(|tz| tz.name());
    let wanted = name.trim().replace(' ', "_").to_ascii_lowercase();
    let city = |name: &str| name.rsplit('/').next().map(str::to_ascii_lowercase);
    let wanted_city = city(&wanted);
    names()
        .find(|known| known.eq_ignore_ascii_case(&wanted))
        .or_else(|| names().find(|known| city(known) == wanted_city))
        .or_else(|| {
            names()
                .map(|known| (letters_off(&wanted, &known.to_ascii_lowercase()), known))
                .min_by_key(|(off, _)| *off)
                .filter(|(off, _)| *off <= 2 && off * 4 <= wanted.len())
                .map(|(_, known)| known)
        })
}

/// How many letters to add, drop or change to make one text of the other; by rows of the usual table.
fn letters_off(from: &str, to: &str) -> usize {
    if from.len().abs_diff(to.len()) > 2 {
        return usize::MAX;
    }
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.bytes().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, b) in to.bytes().enumerate() {
            let change = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[to.len()]
}

impl FromStr for Zone {
    type Err = InvalidZone;

    fn from_str(name: &str) -> Result<Zone, InvalidZone> {
        Zone::parse(name)
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.name(), f)
    }
}

impl PartialOrd for Zone {
    fn partial_cmp(&self, other: &Zone) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Zone {
    fn cmp(&self, other: &Zone) -> Ordering {
        self.name().cmp(other.name())
    }
}

impl Serialize for Zone {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Zone {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Zone, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

/// A name that the time zone database does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidZone {
    name: String,
    near: Option<&'static str>,
}

impl InvalidZone {
    /// The name that was asked for, cut to its first 64 characters.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The zone that may be meant.
    pub fn suggestion(&self) -> Option<&'static str> {
        self.near
    }
}

impl std::error::Error for InvalidZone {}

impl fmt::Display for InvalidZone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unknown time zone {:?}", self.name)?;
        match self.near {
            Some(near) => write!(f, ", did you mean {near}?"),
            None => write!(
                f,
                ", expected a name of the IANA database {} like Europe/Berlin",
                tz_version()
            ),
        }
    }
}
