//! Reading JSON without stopping at the first thing that does not fit.
//!
//! Invariant: whatever could not be read has left a problem at its path.

use serde_json::{Map, Value};

use super::path::{InvalidPath, Path};
use super::problem::{Problem, ProblemCode};
use super::span::DraftSpan;

/// Fields that the engine writes and no author may.
pub(super) const OWNED_BY_RUNTIME: [&str; 24] = [
    "attempt",
    "attempts",
    "created_at",
    "digest",
    "due_at",
    "fence",
    "finished_at",
    "format",
    "id",
    "incarnation",
    "journal",
    "lease",
    "life",
    "outcome",
    "output",
    "owner",
    "run",
    "run_id",
    "seq",
    "shard",
    "snapshot",
    "started_at",
    "state",
    "status",
];

/// Collects the problems of one document.
#[derive(Debug, Default)]
pub(super) struct Reader {
    pub(super) problems: Vec<Problem>,
}

/// One object of the document and where it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fields<'a> {
    map: &'a Map<String, Value>,
    path: &'a str,
}

impl<'a> Fields<'a> {
    /// The field's value, if it is there and not `null`.
    pub(super) fn value(&self, key: &str) -> Option<&'a Value> {
        self.map.get(key).filter(|value| !value.is_null())
    }

    /// The field's value, `null` included.
    pub(super) fn value_or_null(&self, key: &str) -> Option<&'a Value> {
        self.map.get(key)
    }

    /// Where the field is.
    pub(super) fn path(&self, key: &str) -> String {
        field(self.path, key)
    }
}

impl Reader {
    pub(super) fn report(&mut self, path: &str, code: ProblemCode, message: impl Into<String>) {
        self.problems.push(Problem::new(path, code, message));
    }

    /// The value as an object; every field that is not `known` is reported by its name.
    pub(super) fn fields<'a>(
        &mut self,
        value: &'a Value,
        path: &'a str,
        known: &[&str],
    ) -> Option<Fields<'a>> {
        let map = self.map(value, path)?;
        let mut strange: Vec<&String> = map
            .keys()
            .filter(|k| !known.contains(&k.as_str()))
            .collect();
        strange.sort();
        for key in strange {
            let (code, message) = if OWNED_BY_RUNTIME.contains(&key.as_str()) {
                (
                    ProblemCode::OwnedByRuntime,
                    format!("field {key:?} is written by the engine only"),
                )
            } else {
                let message = format!("unknown field {key:?}; known are {}", known.join(", "));
                (ProblemCode::UnknownField, message)
            };
            self.report(&field(path, key), code, message);
        }
        Some(Fields { map, path })
    }

    /// The value as an object whose keys are the author's own.
    pub(super) fn map<'a>(
        &mut self,
        value: &'a Value,
        path: &str,
    ) -> Option<&'a Map<String, Value>> {
        let map = value.as_object();
        if map.is_none() {
            self.wrong_type(path, "an object", value);
        }
        map
    }

    pub(super) fn array<'a>(&mut self, value: &'a Value, path: &str) -> Option<&'a [Value]> {
        let items = value.as_array();
        if items.is_none() {
            self.wrong_type(path, "an array", value);
        }
        items.map(Vec::as_slice)
    }

    /// The text of an optional field.
    pub(super) fn text(&mut self, fields: &Fields<'_>, key: &str) -> Option<String> {
        let value = fields.value(key)?;
        self.as_text(value, &fields.path(key)).map(str::to_owned)
    }

    /// The text of a field that must be there; empty if it is not.
    pub(super) fn required_text(&mut self, fields: &Fields<'_>, key: &str) -> String {
        if fields.value(key).is_none() {
            self.missing(fields, key, "a string");
        }
        self.text(fields, key).unwrap_or_default()
    }

    pub(super) fn as_text<'a>(&mut self, value: &'a Value, path: &str) -> Option<&'a str> {
        let text = value.as_str();
        if text.is_none() {
            self.wrong_type(path, "a string", value);
        }
        text
    }

    /// The texts of an optional array.
    pub(super) fn texts(&mut self, fields: &Fields<'_>, key: &str) -> Vec<String> {
        let value = fields.value(key);
        value.map_or_else(Vec::new, |value| self.texts_of(value, &fields.path(key)))
    }

    /// The texts of an array.
    pub(super) fn texts_of(&mut self, value: &Value, path: &str) -> Vec<String> {
        let items = self.array(value, path).unwrap_or_default();
        let texts = items.iter().enumerate();
        texts
            .filter_map(|(i, text)| self.as_text(text, &item(path, i)).map(str::to_owned))
            .collect()
    }

    pub(super) fn boolean(&mut self, fields: &Fields<'_>, key: &str) -> Option<bool> {
        let value = fields.value(key)?;
        if value.as_bool().is_none() {
            self.wrong_type(&fields.path(key), "a boolean", value);
        }
        value.as_bool()
    }

    /// The whole number of an optional field that fits its type.
    pub(super) fn integer<T: TryFrom<i64> + TryFrom<u64>>(
        &mut self,
        fields: &Fields<'_>,
        key: &str,
    ) -> Option<T> {
        let value = fields.value(key)?;
        let read = match (value.as_i64(), value.as_u64()) {
            (Some(number), _) => T::try_from(number).ok(),
            (None, Some(number)) => T::try_from(number).ok(),
            (None, None) => {
                self.wrong_type(&fields.path(key), "a whole number", value);
                return None;
            }
        };
        if read.is_none() {
            let message = format!("{value} is beyond the range of this field");
            self.report(&fields.path(key), ProblemCode::OutOfRange, message);
        }
        read
    }

    /// The decimal number of an optional field, in thousandths, read from its text.
    pub(super) fn thousandths<T: TryFrom<i128>>(
        &mut self,
        fields: &Fields<'_>,
        key: &str,
    ) -> Option<T> {
        let value = fields.value(key)?;
        let Value::Number(number) = value else {
            self.wrong_type(&fields.path(key), "a number", value);
            return None;
        };
        let read = thousandths(&number.to_string())
            .and_then(|exact| T::try_from(exact).map_err(|_| ProblemCode::OutOfRange));
        match read {
            Ok(exact) => Some(exact),
            Err(code) => {
                let why = if code == ProblemCode::TooPrecise {
                    "has more than three decimals"
                } else {
                    "is beyond the range of this field"
                };
                self.report(&fields.path(key), code, format!("{number} {why}"));
                None
            }
        }
    }

    pub(super) fn span(&mut self, fields: &Fields<'_>, key: &str) -> Option<DraftSpan> {
        let value = fields.value(key)?;
        let path = fields.path(key);
        match self.as_text(value, &path)?.parse() {
            Ok(span) => Some(span),
            Err(error) => {
                self.report(&path, ProblemCode::MalformedSpan, error.to_string());
                None
            }
        }
    }

    /// The choice that the word of an optional field stands for.
    pub(super) fn word<T: Copy>(
        &mut self,
        fields: &Fields<'_>,
        key: &str,
        all: &[T],
        word_of: fn(T) -> &'static str,
    ) -> Option<T> {
        let word = self.text(fields, key)?;
        let choice = all.iter().copied().find(|one| word_of(*one) == word);
        if choice.is_none() {
            let words: Vec<&str> = all.iter().map(|one| word_of(*one)).collect();
            let shown: String = word.chars().take(80).collect();
            let message = format!("{shown:?} is no word for it; expected {}", words.join(", "));
            self.report(&fields.path(key), ProblemCode::UnknownWord, message);
        }
        choice
    }

    /// The path that a text is.
    pub(super) fn json_path(&mut self, path: &str, text: &str) -> Option<Path> {
        match text.parse() {
            Ok(read) => Some(read),
            Err(error) => {
                let code = match &error {
                    InvalidPath::Malformed { .. } => ProblemCode::MalformedPath,
                    InvalidPath::TooLong => ProblemCode::LimitExceeded,
                };
                self.report(path, code, error.to_string());
                None
            }
        }
    }

    pub(super) fn missing(&mut self, fields: &Fields<'_>, key: &str, expected: &str) {
        let message = format!("field {key:?} is missing: expected {expected}");
        self.report(&fields.path(key), ProblemCode::MissingField, message);
    }

    pub(super) fn wrong_type(&mut self, path: &str, expected: &str, found: &Value) {
        let message = format!("expected {expected}, found {}", type_name(found));
        self.report(path, ProblemCode::WrongType, message);
    }
}

/// The exact value of a JSON number's text in thousandths.
fn thousandths(text: &str) -> Result<i128, ProblemCode> {
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let fraction = fraction.trim_end_matches('0');
    let digits: i128 = format!("{whole}{fraction}")
        .parse()
        .map_err(|_| ProblemCode::OutOfRange)?;
    if digits == 0 {
        return Ok(0);
    }
    let exponent: i64 = exponent.parse().map_err(|_| ProblemCode::OutOfRange)?;
    let decimals = i64::try_from(fraction.len()).map_err(|_| ProblemCode::OutOfRange)?;
    let shift = exponent.saturating_add(3).saturating_sub(decimals);
    let power = u32::try_from(shift.unsigned_abs())
        .ok()
        .and_then(|n| 10_i128.checked_pow(n));
    match (shift < 0, power) {
        (false, Some(power)) => digits.checked_mul(power).ok_or(ProblemCode::OutOfRange),
        (false, None) => Err(ProblemCode::OutOfRange),
        (true, Some(power)) if digits % power == 0 => Ok(digits / power),
        (true, _) => Err(ProblemCode::TooPrecise),
    }
}

/// The path of a field below `base`.
pub(super) fn field(base: &str, key: &str) -> String {
    let plain = !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    match (base.is_empty(), plain) {
        (true, true) => key.to_owned(),
        (false, true) => format!("{base}.{key}"),
        (_, false) => format!("{base}[{key:?}]"),
    }
}

/// The path of an element below `base`.
pub(super) fn item(base: &str, index: usize) -> String {
    format!("{base}[{index}]")
}

/// What a JSON value is, for messages.
pub(super) fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(number) if number.is_f64() => "a float",
        Value::Number(_) => "an integer",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "a map",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn decimals_are_read_exactly_or_not_at_all() {
        for (text, expected) in [
            ("0", Ok(0)),
            ("2", Ok(2_000)),
            ("2.0", Ok(2_000)),
            ("0.1", Ok(100)),
            ("1.001", Ok(1_001)),
            ("-0.5", Ok(-500)),
            ("-0.0", Ok(0)),
            ("1e3", Ok(1_000_000)),
            ("1.5e+1", Ok(15_000)),
            ("5e-3", Ok(5)),
            ("20e-4", Ok(2)),
            ("0.0001", Err(ProblemCode::TooPrecise)),
            ("1.0005", Err(ProblemCode::TooPrecise)),
            ("1e-400", Err(ProblemCode::TooPrecise)),
            ("1e300", Err(ProblemCode::OutOfRange)),
            ("1e99999999999999999999", Err(ProblemCode::OutOfRange)),
        ] {
            assert_eq!(thousandths(text), expected, "{text}");
        }
    }

    #[test]
    fn strange_fields_are_named_in_a_stable_order() {
        let value = json!({"known": 1, "zeta": 1, "run_id": 1, "a b": 1});
        let mut reader = Reader::default();
        assert!(reader.fields(&value, "steps[0]", &["known"]).is_some());
        let found: Vec<(&str, ProblemCode)> = reader
            .problems
            .iter()
            .map(|p| (p.path.as_str(), p.code))
            .collect();
        assert_eq!(
            found,
            [
                ("steps[0][\"a b\"]", ProblemCode::UnknownField),
                ("steps[0].run_id", ProblemCode::OwnedByRuntime),
                ("steps[0].zeta", ProblemCode::UnknownField),
            ]
        );
    }

    #[test]
    fn integers_must_fit_their_field() {
        let value = json!({"a": 32_768, "b": -1, "c": 1.0, "d": u64::MAX, "e": -32_768});
        let mut reader = Reader::default();
        let fields = reader
            .fields(&value, "", &["a", "b", "c", "d", "e"])
            .unwrap();
        assert_eq!(reader.integer::<i16>(&fields, "a"), None);
        assert_eq!(reader.integer::<u32>(&fields, "b"), None);
        assert_eq!(reader.integer::<u32>(&fields, "c"), None);
        assert_eq!(reader.integer::<u32>(&fields, "d"), None);
        assert_eq!(reader.integer::<i16>(&fields, "e"), Some(-32_768));
        let codes: Vec<ProblemCode> = reader.problems.iter().map(|p| p.code).collect();
        let range = ProblemCode::OutOfRange;
        assert_eq!(codes, [range, range, ProblemCode::WrongType, range]);
    }
}
