//! When schedules fire: expressions, zones, and what the changes of the clocks do to them.
//!
//! Invariant: a calendar's firings are a set of instants that depends on the calendar and the time zone database alone, so a
//! walk that starts again at any of them goes on as if it had never stopped.

mod clock;
mod expression;
mod firing;
mod matcher;
mod policy;
mod walk;
mod zone;

use serde::{Deserialize, Serialize};

pub use expression::{Expression, Field, InvalidExpression};
pub use firing::Firing;
pub use policy::{AppliedPolicy, GapPolicy, Pass, RepeatedHourPolicy};
pub use zone::{InvalidZone, Zone, tz_version};

use crate::time::Timestamp;

/// An expression in a zone, with what to do about times that the clocks leave out or repeat.
///
/// It fires at whole seconds from 1970-01-01T00:00:00Z to 9999-12-31T23:59:59Z; between two firings are at most eight years, so
/// every search is bounded. What is beyond the last change that the time zone database foretells has the offset after it.
///
/// ```
/// use squid_mesh_core::cron::{Calendar, Expression, Zone};
///
/// let calendar = Calendar::new(Expression::parse("30 2 * * *")?, Zone::parse("Europe/Berlin")?);
/// // On 28 March 2027 the clocks go from 02:00 to 03:00.
/// let before = serde_json::from_str("\"2027-03-27T12:00:00Z\"")?;
/// let firing = calendar.next_after(before).unwrap();
/// assert_eq!(firing.at.to_string(), "2027-03-28T01:00:00.000000Z");
/// assert_eq!(firing.local.to_string(), "2027-03-28 03:00:00");
/// assert_eq!(firing.policy.unwrap().as_str(), "gap_fire_after");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Calendar {
    expression: Expression,
    zone: Zone,
    gap: GapPolicy,
    repeated_hour: RepeatedHourPolicy,
}

impl Calendar {
    /// With the policies that suit the expression (`S9.3`): one that is sub-daily skips the times in a gap and fires at every
    /// pass of a repeated hour, any other fires once, after the gap and at the first pass.
    pub fn new(expression: Expression, zone: Zone) -> Calendar {
        Calendar {
            gap: GapPolicy::default_for(&expression),
            repeated_hour: RepeatedHourPolicy::default_for(&expression),
            expression,
            zone,
        }
    }

    /// With another policy for times that the clocks jump over.
    #[must_use]
    pub fn with_gap(self, gap: GapPolicy) -> Calendar {
        Calendar { gap, ..self }
    }

    /// With another policy for times that the clocks pass twice.
    #[must_use]
    pub fn with_repeated_hour(self, repeated_hour: RepeatedHourPolicy) -> Calendar {
        Calendar {
            repeated_hour,
            ..self
        }
    }

    /// The expression.
    pub fn expression(&self) -> &Expression {
        &self.expression
    }

    /// The zone.
    pub fn zone(&self) -> Zone {
        self.zone
    }

    /// What it does about times that the clocks jump over.
    pub fn gap(&self) -> GapPolicy {
        self.gap
    }

    /// What it does about times that the clocks pass twice.
    pub fn repeated_hour(&self) -> RepeatedHourPolicy {
        self.repeated_hour
    }

    /// The first firing that is later than an instant; `None` if there is none until the end of year 9999.
    ///
    /// ```
    /// # use squid_mesh_core::cron::{Calendar, Expression, Zone};
    /// # use squid_mesh_core::time::Timestamp;
    /// let calendar = Calendar::new(Expression::parse("0 * * * *")?, Zone::UTC);
    /// let first = calendar.next_after(Timestamp::MIN).unwrap();
    /// assert_eq!(first.at, Timestamp::from_micros(0));
    /// assert_eq!(calendar.next_after(first.at).unwrap().at, Timestamp::from_micros(3_600_000_000));
    /// # Ok::<(), squid_mesh_core::cron::InvalidExpression>(())
    /// ```
    pub fn next_after(&self, after: Timestamp) -> Option<Firing> {
        walk::next_after(self, walk::floor(after)).map(|at| Firing::of(self, at))
    }

    /// The last firing that is not later than an instant; `None` if there is none since 1970.
    pub fn last_at_or_before(&self, until: Timestamp) -> Option<Firing> {
        walk::last_until(self, walk::floor(until)).map(|at| Firing::of(self, at))
    }

    /// The last `n` firings that are later than `after` and not later than `until`, from early to late; fewer if there are not
    /// as many. The work is that of `n` searches, however far apart the two instants are.
    pub fn newest(&self, n: u32, after: Timestamp, until: Timestamp) -> Vec<Firing> {
        let (after, mut until) = (walk::floor(after), walk::floor(until));
        let mut firings = Vec::new();
        for _ in 0..n {
            let Some(at) = walk::last_until(self, until).filter(|at| *at > after) else {
                break;
            };
            firings.push(Firing::of(self, at));
            until = at - chrono::TimeDelta::seconds(1);
        }
        firings.reverse();
        firings
    }
}
