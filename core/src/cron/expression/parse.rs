//! From text to fields.
//!
//! Invariant: what is accepted means the same in five and six fields, and an error's position is where the wrong part begins.

use super::field::{Field, Values};
use super::invalid::{InvalidExpression, Reason};
use crate::limits;

/// The fields of an expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fields {
    pub(crate) seconds: Values,
    pub(crate) minutes: Values,
    pub(crate) hours: Values,
    pub(crate) days: Days,
    pub(crate) months: Values,
    /// Whether the hour field is `*` or `*/n`.
    pub(crate) every_hour: bool,
}

/// Which days of its months an expression names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Days {
    /// Both fields are `*`.
    Every,
    /// The day of the week is `*`.
    OfMonth(Values),
    /// The day of the month is `*`.
    OfWeek(Values),
    /// Neither is `*`: a day that either of them names.
    Either { month: Values, week: Values },
}

/// A piece of the expression and the byte it begins at.
#[derive(Clone, Copy)]
struct Piece<'a> {
    text: &'a str,
    at: usize,
}

/// A wrong part: the byte it begins at, its field, and what is wrong.
struct Wrong {
    at: usize,
    field: Option<Field>,
    reason: Reason,
}

/// Reads an expression.
pub(super) fn parse(text: &str) -> Result<Fields, InvalidExpression> {
    fields(text).map_err(|wrong| InvalidExpression {
        text: cut(text).to_owned(),
        field: wrong.field,
        position: text[..wrong.at].chars().count(),
        reason: wrong.reason,
    })
}

fn fields(text: &str) -> Result<Fields, Wrong> {
    let whole = |reason| Wrong {
        at: 0,
        field: None,
        reason,
    };
    if text.len() > limits::EXPRESSION_BYTES {
        return Err(whole(Reason::TooLong(text.len())));
    }
    let pieces = pieces(text);
    match pieces[..] {
        [] => Err(whole(Reason::Empty)),
        [first, ..] if first.text.starts_with('@') => {
            let name = Piece {
                text: text[first.at..].trim_end(),
                ..first
            };
            read_nickname(name)
        }
        [minute, hour, day, month, weekday] => {
            read_fields(None, [minute, hour, day, month, weekday])
        }
        [second, minute, hour, day, month, weekday] => {
            read_fields(Some(second), [minute, hour, day, month, weekday])
        }
        [..] => Err(Wrong {
            at: pieces
                .get(6)
                .map_or(text.trim_end().len(), |extra| extra.at),
            ..whole(Reason::FieldCount(pieces.len()))
        }),
    }
}

fn read_nickname(nickname: Piece<'_>) -> Result<Fields, Wrong> {
    let long = match nickname.text.to_ascii_lowercase().as_str() {
        "@hourly" => "0 * * * *",
        "@daily" | "@midnight" => "0 0 * * *",
        "@weekly" => "0 0 * * 0",
        "@monthly" => "0 0 1 * *",
        "@yearly" | "@annually" => "0 0 1 1 *",
        _ => {
            return Err(Wrong {
                at: nickname.at,
                field: None,
                reason: Reason::Nickname(nickname.text.to_owned()),
            });
        }
    };
    fields(long)
}

fn read_fields(second: Option<Piece<'_>>, others: [Piece<'_>; 5]) -> Result<Fields, Wrong> {
    let [minute, hour, day, month, weekday] = others;
    let seconds = match second {
        Some(second) => read_field(Field::Second, second)?,
        None => Values::ZERO,
    };
    let minutes = read_field(Field::Minute, minute)?;
    let hours = read_field(Field::Hour, hour)?;
    let month_days = read_field(Field::DayOfMonth, day)?;
    let months = read_field(Field::Month, month)?;
    let week_days = read_field(Field::DayOfWeek, weekday)?;
    Ok(Fields {
        seconds,
        minutes,
        hours,
        days: match (day.text, weekday.text) {
            ("*", "*") => Days::Every,
            (_, "*") => Days::OfMonth(month_days),
            ("*", _) => Days::OfWeek(week_days),
            (_, _) => Days::Either {
                month: month_days,
                week: week_days,
            },
        },
        months,
        every_hour: hour.text == "*" || is_star_step(hour.text),
    })
}

/// Whether a field is one `*/n`.
fn is_star_step(text: &str) -> bool {
    text.starts_with("*/") && !text.contains(',')
}

fn read_field(field: Field, piece: Piece<'_>) -> Result<Values, Wrong> {
    let mut values = Values::default();
    for item in split(piece, ',') {
        read_item(field, item, &mut values)?;
    }
    Ok(values)
}

/// One element of a list: `*`, `a` or `a-b`, each with or without a step.
fn read_item(field: Field, item: Piece<'_>, values: &mut Values) -> Result<(), Wrong> {
    let (base, step) = match cut_at(item, '/') {
        (base, Some(step)) => (base, Some(read_step(field, step)?)),
        (base, None) => (base, None),
    };
    let last = *field.values().end();
    let (start, end) = match cut_at(base, '-') {
        _ if base.text == "*" => (*field.values().start(), last),
        (start, Some(end)) => read_range(field, base, start, end)?,
        (start, None) => {
            let start = one_sunday(field, read_value(field, start)?);
            // `a/n` goes from a to the end of the field.
            (start, if step.is_some() { last } else { start })
        }
    };
    for value in (start..=end).step_by(step.unwrap_or(1)) {
        values.insert(one_sunday(field, value));
    }
    Ok(())
}

fn read_range(
    field: Field,
    range: Piece<'_>,
    start: Piece<'_>,
    end: Piece<'_>,
) -> Result<(u32, u32), Wrong> {
    let (start, end) = match (read_value(field, start)?, read_value(field, end)?) {
        // The Sunday that ends a range is the one after Saturday, any other the one before Monday.
        (start, 0) if field == Field::DayOfWeek && start > 0 => (start, 7),
        (7, end) if field == Field::DayOfWeek && end < 7 => (0, end),
        range => range,
    };
    if start > end {
        return Err(Wrong {
            at: range.at,
            field: Some(field),
            reason: Reason::Backwards(range.text.to_owned()),
        });
    }
    Ok((start, end))
}

/// Sunday is 7 and 0 in an expression, and 0 in what it means.
fn one_sunday(field: Field, value: u32) -> u32 {
    if field == Field::DayOfWeek {
        value % 7
    } else {
        value
    }
}

fn read_step(field: Field, step: Piece<'_>) -> Result<usize, Wrong> {
    number(step.text)
        .filter(|n| (1..=field.step_max()).contains(n))
        .and_then(|n| usize::try_from(n).ok())
        .ok_or_else(|| Wrong {
            at: step.at,
            field: Some(field),
            reason: Reason::Step(step.text.to_owned()),
        })
}

fn read_value(field: Field, value: Piece<'_>) -> Result<u32, Wrong> {
    let named = || {
        let (index, _) = (0..)
            .zip(field.names())
            .find(|(_, name)| name.eq_ignore_ascii_case(value.text))?;
        Some(*field.values().start() + index)
    };
    let found = number(value.text)
        .filter(|n| field.numbers().contains(n))
        .or_else(named);
    found.ok_or_else(|| {
        let found = value.text.to_owned();
        Wrong {
            at: value.at,
            field: Some(field),
            reason: match unsupported(value.text) {
                Some(what) => Reason::Unsupported { found, what },
                None => Reason::Value(found),
            },
        }
    })
}

/// What other dialects of cron mean by a text.
fn unsupported(text: &str) -> Option<&'static str> {
    let letters = text.trim_start_matches(|c: char| c.is_ascii_digit());
    if text.contains('#') {
        return Some("# (the nth weekday of a month)");
    }
    match letters.to_ascii_uppercase().as_str() {
        "?" => Some("? (no specific value)"),
        "L" => Some("L (the last day)"),
        "W" | "LW" => Some("W (the nearest working day)"),
        _ => None,
    }
}

fn number(text: &str) -> Option<u32> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if digits { text.parse().ok() } else { None }
}

/// The pieces between white space.
fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut at = 0;
    text.split_inclusive(char::is_whitespace)
        .filter_map(|part| {
            let piece = Piece {
                text: part.trim_end(),
                at,
            };
            at += part.len();
            (!piece.text.is_empty()).then_some(piece)
        })
        .collect()
}

/// The pieces between separators.
fn split(piece: Piece<'_>, separator: char) -> impl Iterator<Item = Piece<'_>> {
    let mut at = piece.at;
    piece.text.split(separator).map(move |text| {
        let part = Piece { text, at };
        at += text.len() + separator.len_utf8();
        part
    })
}

/// What comes before the first separator, and what after it.
fn cut_at(piece: Piece<'_>, separator: char) -> (Piece<'_>, Option<Piece<'_>>) {
    match piece.text.split_once(separator) {
        None => (piece, None),
        Some((before, after)) => (
            Piece {
                text: before,
                at: piece.at,
            },
            Some(Piece {
                text: after,
                at: piece.at + before.len() + separator.len_utf8(),
            }),
        ),
    }
}

/// The text's start, at most as long as an expression may be.
fn cut(text: &str) -> &str {
    let mut end = text.len().min(limits::EXPRESSION_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}
