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
            name: name.chars().take(80).collect(),
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

/// A zone whose name differs in case only, or else one of the same city.
fn near(name: &str) -> Option<&'static str> {
    let names = || TZ_VARIANTS.iter().map(|tz| tz.name());
    let name = name.trim().replace(' ', "_");
    let city = |full: &'static str| full.rsplit('/').next().unwrap_or(full);
    names()
        .find(|known| known.eq_ignore_ascii_case(&name))
        .or_else(|| {
            let wanted = name.rsplit('/').next().unwrap_or(&name);
            names().find(|known| city(known).eq_ignore_ascii_case(wanted))
        })
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
    /// The name that was asked for, cut to its first 80 characters.
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
