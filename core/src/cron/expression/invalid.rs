//! Why a text is no cron expression.
//!
//! Invariant: an error says where, what was found there, and what would have been right.

use std::fmt;

use super::field::Field;
use crate::limits;

/// A text that is no cron expression. Parsing it again gives the same error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidExpression {
    pub(super) text: String,
    pub(super) field: Option<Field>,
    pub(super) position: usize,
    pub(super) reason: Reason,
}

/// What is wrong, with the text that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reason {
    Empty,
    TooLong(usize),
    FieldCount(usize),
    Nickname(String),
    Value(String),
    Step(String),
    Backwards(String),
    Unsupported { found: String, what: &'static str },
}

impl InvalidExpression {
    /// The field that is wrong, if it is a single one.
    pub fn field(&self) -> Option<Field> {
        self.field
    }

    /// Where the wrong part begins, in characters from the start of the text, which is 0.
    pub fn position(&self) -> usize {
        self.position
    }

    /// The text that was parsed, cut to its first 256 bytes.
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl std::error::Error for InvalidExpression {}

impl fmt::Display for InvalidExpression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cron expression {:?}, ", self.text)?;
        if let Some(field) = self.field {
            write!(f, "{field} ")?;
        }
        write!(f, "at position {}: ", self.position)?;
        self.reason.write(self.field, f)
    }
}

impl Reason {
    fn write(&self, field: Option<Field>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Empty => f.write_str(
                "nothing found, expected five fields (minute, hour, day of month, month, day of week), six with \
                 the second first, or a name like @daily",
            ),
            Reason::TooLong(bytes) => write!(
                f,
                "{bytes} bytes found, allowed are {}",
                limits::EXPRESSION_BYTES
            ),
            Reason::FieldCount(found) => write!(
                f,
                "{found} fields found, expected five (minute, hour, day of month, month, day of week) or six with \
                 the second first"
            ),
            Reason::Nickname(found) => write!(
                f,
                "found {found:?}, allowed are @hourly, @daily, @midnight, @weekly, @monthly, @yearly and @annually"
            ),
            Reason::Value(found) => {
                write!(f, "found {found:?}, ")?;
                allowed(field, f)
            }
            Reason::Step(found) => {
                write!(f, "found the step {found:?}, ")?;
                match field {
                    Some(field) => write!(f, "allowed are 1 to {}", field.step_max()),
                    None => Ok(()),
                }
            }
            Reason::Backwards(range) => write!(
                f,
                "the range {range:?} runs backwards, allowed are two ranges with a comma between them"
            ),
            Reason::Unsupported { found, what } => {
                write!(f, "found {found:?}, but {what} is not supported, ")?;
                allowed(field, f)
            }
        }
    }
}

fn allowed(field: Option<Field>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let Some(field) = field else { return Ok(()) };
    let numbers = field.numbers();
    write!(f, "allowed are {} to {}", numbers.start(), numbers.end())?;
    if let [first, .., last] = field.names() {
        write!(f, ", {first} to {last}")?;
    }
    f.write_str(", *, ranges, steps and lists")
}
