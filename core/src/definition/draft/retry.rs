//! When a failed attempt of a draft's step is tried again.
//!
//! Invariant: what is printed parses back to the same retry; an option that is not given is not printed.

use std::time::Duration;

use serde_json::{Value, json};

use super::print::Object;
use crate::definition::reader::{Fields, Reader};
use crate::definition::retry::{Backoff, BackoffKind, Retry};
use crate::definition::span::DraftSpan;

/// When a failed attempt of a draft's step is tried again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DraftRetry {
    /// How many attempts may be executed in all.
    pub max_attempts: u32,
    /// How many lost attempts the step survives; 3 if not given.
    pub max_lost: Option<u32>,
    /// How long to wait in between; not at all if not given.
    pub backoff: Option<DraftBackoff>,
}

impl DraftRetry {
    /// That many attempts in all, without a pause.
    pub const fn attempts(max_attempts: u32) -> DraftRetry {
        DraftRetry {
            max_attempts,
            max_lost: None,
            backoff: None,
        }
    }

    /// The same pause each time.
    pub fn constant(max_attempts: u32, pause: Duration) -> DraftRetry {
        DraftRetry::paced(max_attempts, BackoffKind::Constant, Some(pause), None)
    }

    /// A pause that grows by `min` each time, up to `max`.
    pub fn linear(max_attempts: u32, min: Duration, max: Duration) -> DraftRetry {
        DraftRetry::paced(max_attempts, BackoffKind::Linear, Some(min), Some(max))
    }

    /// A pause that doubles each time, from a second up to an hour.
    pub fn exponential(max_attempts: u32) -> DraftRetry {
        DraftRetry::paced(max_attempts, BackoffKind::Exponential, None, None)
    }

    fn paced(
        max_attempts: u32,
        kind: BackoffKind,
        min: Option<Duration>,
        max: Option<Duration>,
    ) -> DraftRetry {
        let backoff = DraftBackoff {
            min: min.map(DraftSpan::from),
            max: max.map(DraftSpan::from),
            ..DraftBackoff::of(kind)
        };
        DraftRetry {
            backoff: Some(backoff),
            ..DraftRetry::attempts(max_attempts)
        }
    }
}

/// How the pauses of a draft's step grow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DraftBackoff {
    /// The law of growth.
    pub kind: BackoffKind,
    /// The first pause; a second if not given.
    pub min: Option<DraftSpan>,
    /// The longest pause; an hour, or `min` if that is longer, if not given. Linear and exponential only.
    pub max: Option<DraftSpan>,
    /// What a pause is multiplied with each time, in thousandths; 2,000 if not given. Exponential only.
    pub factor_thousandths: Option<u32>,
    /// By which part of itself a pause may be shortened, in thousandths; 0 if not given.
    pub jitter_thousandths: Option<u16>,
}

impl DraftBackoff {
    /// The law with its defaults.
    pub const fn of(kind: BackoffKind) -> DraftBackoff {
        DraftBackoff {
            kind,
            min: None,
            max: None,
            factor_thousandths: None,
            jitter_thousandths: None,
        }
    }
}

/// With every option that has an effect written out.
impl From<Retry> for DraftRetry {
    fn from(retry: Retry) -> DraftRetry {
        DraftRetry {
            max_attempts: retry.max_attempts,
            max_lost: Some(retry.max_lost),
            backoff: DraftBackoff::written_out(retry.backoff),
        }
    }
}

impl DraftBackoff {
    fn written_out(backoff: Backoff) -> Option<DraftBackoff> {
        let plain = DraftBackoff {
            min: Some(backoff.min.into()),
            jitter_thousandths: Some(backoff.jitter_thousandths),
            ..DraftBackoff::of(backoff.kind)
        };
        let max = Some(backoff.max.into());
        match backoff.kind {
            BackoffKind::None => None,
            BackoffKind::Constant => Some(plain),
            BackoffKind::Linear => Some(DraftBackoff { max, ..plain }),
            BackoffKind::Exponential => Some(DraftBackoff {
                max,
                factor_thousandths: Some(backoff.factor_thousandths),
                ..plain
            }),
        }
    }
}

pub(super) fn read_retry(reader: &mut Reader, fields: &Fields<'_>) -> Option<DraftRetry> {
    let path = fields.path("retry");
    let fields = reader.fields(
        fields.value("retry")?,
        &path,
        &["max_attempts", "max_lost", "backoff"],
    )?;
    Some(DraftRetry {
        max_attempts: reader.integer(&fields, "max_attempts").unwrap_or(1),
        max_lost: reader.integer(&fields, "max_lost"),
        backoff: read_backoff(reader, &fields),
    })
}

fn read_backoff(reader: &mut Reader, fields: &Fields<'_>) -> Option<DraftBackoff> {
    let path = fields.path("backoff");
    let known = ["kind", "min", "max", "factor", "jitter"];
    let fields = reader.fields(fields.value("backoff")?, &path, &known)?;
    if fields.value("kind").is_none() {
        reader.missing(&fields, "kind", "a kind of backoff");
    }
    let kind = reader.word(&fields, "kind", &BackoffKind::ALL, BackoffKind::as_str);
    let backoff = DraftBackoff {
        kind: kind.unwrap_or(BackoffKind::Exponential),
        min: reader.span(&fields, "min"),
        max: reader.span(&fields, "max"),
        factor_thousandths: reader.thousandths(&fields, "factor"),
        jitter_thousandths: reader.thousandths(&fields, "jitter"),
    };
    Some(backoff)
}

impl DraftRetry {
    pub(super) fn to_json(&self) -> Value {
        let mut object = Object::default();
        object.put("max_attempts", Some(self.max_attempts));
        object.put("max_lost", self.max_lost);
        object.put("backoff", self.backoff.as_ref().map(DraftBackoff::to_json));
        object.into_value()
    }
}

impl DraftBackoff {
    fn to_json(&self) -> Value {
        let mut object = Object::default();
        object.put("kind", Some(self.kind.as_str()));
        object.put("min", self.min.map(|span| span.to_string()));
        object.put("max", self.max.map(|span| span.to_string()));
        object.put("factor", self.factor_thousandths.map(decimal));
        object.put(
            "jitter",
            self.jitter_thousandths.map(|part| decimal(part.into())),
        );
        object.into_value()
    }
}

/// Thousandths as the JSON number they are.
fn decimal(thousandths: u32) -> Value {
    let (whole, rest) = (thousandths / 1_000, thousandths % 1_000);
    if rest == 0 {
        return json!(whole);
    }
    let text = format!("{whole}.{rest:03}");
    let number = serde_json::from_str(text.trim_end_matches('0'));
    number.expect("digits with a point are a JSON number")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousandths_print_as_the_shortest_decimal() {
        for (thousandths, text) in [
            (0, "0"),
            (1_000, "1"),
            (1_500, "1.5"),
            (1, "0.001"),
            (u32::MAX, "4294967.295"),
        ] {
            assert_eq!(decimal(thousandths).to_string(), text);
        }
    }
}
