//! Handlers that are not executed but played.
//!
//! Invariant: what a scripted handler gives is a function of its input; whether and when it gives it, the seed draws.

use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

type Make = Arc<dyn Fn(&Value) -> Value + Send + Sync>;

/// A handler that is not executed but played: how long it takes and whether it succeeds, fails, hangs, panics, ignores being
/// told to stop or takes its process with it is drawn with the faults of the seed; what it gives when it succeeds is said here.
///
/// ```
/// use std::time::Duration;
/// use serde_json::json;
/// use squid_mesh_sim::Scripted;
///
/// // Books the price in the ledger "payments", and returns a receipt.
/// let charge = Scripted::effect("payments")
///     .amount(|order| order["cents"].as_i64().unwrap_or_default())
///     .returning(|order| json!({"receipt": order["id"]}))
///     .takes(Duration::from_millis(50)..=Duration::from_secs(20));
/// let decline = Scripted::fails("declined", "no money");
/// ```
#[derive(Clone)]
pub struct Scripted {
    output: Make,
    failure: Option<ScriptedFailure>,
    effect: Option<Effect>,
    takes: Option<RangeInclusive<Duration>>,
}

/// How a scripted handler fails whenever it ends by itself.
#[derive(Debug, Clone)]
pub(crate) struct ScriptedFailure {
    pub(crate) code: String,
    pub(crate) message: String,
    pub(crate) retryable: bool,
}

#[derive(Clone)]
struct Effect {
    ledger: String,
    amount: Arc<dyn Fn(&Value) -> i64 + Send + Sync>,
}

impl Scripted {
    /// A handler that returns its input.
    pub fn echoes() -> Scripted {
        Scripted::returns(Value::clone)
    }

    /// A handler that returns what a function makes of its input.
    pub fn returns<T: Serialize>(make: impl Fn(&Value) -> T + Send + Sync + 'static) -> Scripted {
        Scripted {
            output: json(make),
            failure: None,
            effect: None,
            takes: None,
        }
    }

    /// A handler that always returns the same.
    ///
    /// # Panics
    /// If the value cannot be written as JSON.
    pub fn constant(value: impl Serialize) -> Scripted {
        let value = serde_json::to_value(value).expect("a constant can be written as JSON");
        Scripted::returns(move |_| value.clone())
    }

    /// A handler that fails for good, whatever its input.
    pub fn fails(code: impl Into<String>, message: impl Into<String>) -> Scripted {
        let failure = ScriptedFailure {
            code: code.into(),
            message: message.into(),
            retryable: false,
        };
        Scripted {
            failure: Some(failure),
            ..Scripted::echoes()
        }
    }

    /// A handler that books 1 in the ledger of this name, under the idempotency key of its attempt, and returns its input. The
    /// entry is made at some time while it executes: an attempt that fails, hangs or dies afterwards has had its effect.
    ///
    /// The ledger honours keys unless the campaign [says otherwise](crate::user::Campaign::ledger_ignoring_keys).
    pub fn effect(ledger: impl Into<String>) -> Scripted {
        Scripted {
            effect: Some(Effect {
                ledger: ledger.into(),
                amount: Arc::new(|_| 1),
            }),
            ..Scripted::echoes()
        }
    }

    /// The amount that the effect books; nothing without an [effect](Scripted::effect).
    #[must_use]
    pub fn amount(mut self, amount: impl Fn(&Value) -> i64 + Send + Sync + 'static) -> Scripted {
        if let Some(effect) = &mut self.effect {
            effect.amount = Arc::new(amount);
        }
        self
    }

    /// What it returns, as a function of its input.
    #[must_use]
    pub fn returning<T: Serialize>(
        mut self,
        make: impl Fn(&Value) -> T + Send + Sync + 'static,
    ) -> Scripted {
        self.output = json(make);
        self
    }

    /// Of one that [fails](Scripted::fails): another attempt may be made.
    #[must_use]
    pub fn retryable(mut self) -> Scripted {
        if let Some(failure) = &mut self.failure {
            failure.retryable = true;
        }
        self
    }

    /// How long an attempt takes; without it, mostly milliseconds, and now and then longer than a lease.
    #[must_use]
    pub fn takes(mut self, span: RangeInclusive<Duration>) -> Scripted {
        self.takes = Some(span);
        self
    }

    pub(crate) fn output(&self, input: &Value) -> Value {
        (self.output)(input)
    }

    pub(crate) fn failure(&self) -> Option<&ScriptedFailure> {
        self.failure.as_ref()
    }

    pub(crate) fn span(&self) -> Option<&RangeInclusive<Duration>> {
        self.takes.as_ref()
    }

    /// The ledger that its effect is booked in, and how much.
    pub(crate) fn booking(&self, input: &Value) -> Option<(&str, i64)> {
        let effect = self.effect.as_ref()?;
        Some((&effect.ledger, (effect.amount)(input)))
    }

    pub(crate) fn ledger(&self) -> Option<&str> {
        self.effect.as_ref().map(|effect| effect.ledger.as_str())
    }
}

impl fmt::Debug for Scripted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scripted")
            .field("failure", &self.failure)
            .field("ledger", &self.ledger())
            .field("takes", &self.takes)
            .finish_non_exhaustive()
    }
}

fn json<T: Serialize>(make: impl Fn(&Value) -> T + Send + Sync + 'static) -> Make {
    Arc::new(move |input| {
        serde_json::to_value(make(input)).expect("an output can be written as JSON")
    })
}
