//! When a schedule fires, as its author writes it.
//!
//! Invariant: two expressions are equal if and only if their texts are.

mod field;
mod invalid;
mod parse;

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub use field::Field;
pub use invalid::InvalidExpression;
pub(super) use parse::{Days, Fields};

use super::matcher::Matcher;

/// A cron expression: which wall-clock times it names, in no particular zone. Cheap to clone.
///
/// Five fields are minute, hour, day of month, month and day of week; a sixth before them is the second, which is otherwise 0.
/// Each field is a list (`,`) of numbers, names of months and weekdays (`JAN`, `MON`, in any case), ranges (`9-17`), `*`, and
/// steps on a range (`9-17/2`), on everything (`*/15`) or from a value on (`5/15`). 0 and 7 are Sunday, and a Sunday that ends a
/// range is the one after Saturday (`FRI-SUN`). If day of month and day of week are both something other than `*`, a day counts
/// that either of them names (`S9.1`). `@hourly`, `@daily`, `@midnight`, `@weekly`, `@monthly`, `@yearly` and `@annually` stand
/// for the usual. `?`, `L`, `W` and `#` are refused.
///
/// It shows and compares as it was written: `0 9 * * *` and `00 9 * * *` are two expressions.
///
/// ```
/// use squid_mesh_core::cron::Expression;
///
/// let expression: Expression = "0 9 * * MON-FRI".parse()?;
/// assert_eq!(expression.to_string(), "0 9 * * MON-FRI");
///
/// let error = Expression::parse("0 24 * * *").unwrap_err();
/// assert_eq!(error.position(), 2);
/// # Ok::<(), squid_mesh_core::cron::InvalidExpression>(())
/// ```
#[derive(Clone)]
pub struct Expression(Arc<Parsed>);

struct Parsed {
    text: String,
    every_hour: bool,
    matcher: Matcher,
}

impl Expression {
    /// Reads an expression of at most [`EXPRESSION_BYTES`](crate::limits::EXPRESSION_BYTES).
    ///
    /// # Errors
    /// If the text is no expression: says which field, where, what was found and what is allowed. Trying again does not help.
    pub fn parse(text: &str) -> Result<Expression, InvalidExpression> {
        let fields = parse::parse(text)?;
        Ok(Expression(Arc::new(Parsed {
            text: text.to_owned(),
            every_hour: fields.every_hour,
            matcher: Matcher::new(fields),
        })))
    }

    /// The text as it was written.
    pub fn as_str(&self) -> &str {
        &self.0.text
    }

    /// Whether it goes by the hours that pass and not by an hour of the day: its hour field is `*` or `*/n` (`S9.3`).
    ///
    /// `@hourly` is sub-daily. A field that names hours is not, however many they are: neither `0-23` nor `0,6,12,18` nor
    /// `*/6,1`.
    pub fn is_sub_daily(&self) -> bool {
        self.0.every_hour
    }

    /// Whether there is any day that it names: `0 0 30 2 *` is an expression, and never fires.
    pub fn fires(&self) -> bool {
        self.0.matcher.fires()
    }

    pub(super) fn matcher(&self) -> &Matcher {
        &self.0.matcher
    }
}

impl FromStr for Expression {
    type Err = InvalidExpression;

    fn from_str(text: &str) -> Result<Expression, InvalidExpression> {
        Expression::parse(text)
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl PartialEq for Expression {
    fn eq(&self, other: &Expression) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Expression {}

impl PartialOrd for Expression {
    fn partial_cmp(&self, other: &Expression) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Expression {
    fn cmp(&self, other: &Expression) -> Ordering {
        self.as_str().cmp(other.as_str())
    }
}

impl Hash for Expression {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl Serialize for Expression {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Expression {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Expression, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}
