//! Waits and log lines: steps that the engine performs by itself.
//!
//! Invariant: none of them runs a handler or occupies a slot while it waits.

use std::time::Duration;

use squid_mesh_core::definition::{DraftKind, DraftStep, LogLevel};

use super::WorkflowBuilder;
use super::value::Value;
use super::wire::{Needs, Wire};

/// A type that an instant can have: `String` for RFC 3339 text, `u64` or `i64` for milliseconds since 1970.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no instant",
    label = "expected RFC 3339 text as a `String`, or milliseconds since 1970 as a `u64` or `i64`"
)]
pub trait Instant: sealed::Sealed {}

impl Instant for String {}
impl Instant for u64 {}
impl Instant for i64 {}

mod sealed {
    pub trait Sealed {}
    impl Sealed for String {}
    impl Sealed for u64 {}
    impl Sealed for i64 {}
}

impl<I> WorkflowBuilder<I> {
    /// Declares a durable wait that ends `duration` after everything in `needs` is there. It occupies no worker.
    pub fn wait(
        &mut self,
        name: impl Into<String>,
        duration: Duration,
        needs: impl Needs,
    ) -> Value<()> {
        let mut step = DraftStep::wait(name, duration);
        self.set_needs(&mut step, needs);
        self.declare(step)
    }

    /// Declares a durable wait that ends at an instant; at once if it is past. An instant that cannot be read, or is too far
    /// away, fails the step with the code `invalid_wait`.
    ///
    /// ```
    /// use squid_mesh::{BuildError, StepContext, StepError, Workflow, step};
    ///
    /// #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
    /// struct Reminder { at: String, text: String }
    ///
    /// async fn send(_: StepContext, text: String) -> Result<(), StepError> {
    ///     println!("{text}");
    ///     Ok(())
    /// }
    ///
    /// fn remind() -> Result<Workflow<Reminder, ()>, BuildError> {
    ///     let (mut wf, reminder) = Workflow::builder::<Reminder>("remind", 1);
    ///     let due = wf.wait_until("due", reminder.field::<String>("at"));
    ///     let sent = wf.step("send", reminder.field::<String>("text"), step(send).after(&due));
    ///     wf.finish(sent)
    /// }
    /// ```
    pub fn wait_until<T: Instant>(
        &mut self,
        name: impl Into<String>,
        instant: impl Wire<T>,
    ) -> Value<()> {
        let mut step = DraftStep::of(name.into(), DraftKind::Until);
        self.set_input(&mut step, instant);
        self.declare(step)
    }

    /// Declares a line in the host's log, at level `info`, once everything in `needs` is there.
    ///
    /// ```
    /// use squid_mesh::{BuildError, LogLevel, StepContext, StepError, Workflow, step};
    ///
    /// async fn charge(_: StepContext, cents: u64) -> Result<u64, StepError> {
    ///     Ok(cents)
    /// }
    ///
    /// fn order() -> Result<Workflow<u64, u64>, BuildError> {
    ///     let (mut wf, cents) = Workflow::builder::<u64>("order", 1);
    ///     let paid = wf.step("charge_card", cents, step(charge));
    ///     wf.log("note", "the card was charged", paid);
    ///     wf.log_at(LogLevel::Debug, "detail", "nothing else to do", paid);
    ///     wf.finish(paid)
    /// }
    /// ```
    pub fn log(
        &mut self,
        name: impl Into<String>,
        message: impl Into<String>,
        needs: impl Needs,
    ) -> Value<()> {
        self.log_line(None, name.into(), message.into(), needs)
    }

    /// Declares a line in the host's log at a level of its own: see [`log`](WorkflowBuilder::log).
    pub fn log_at(
        &mut self,
        level: LogLevel,
        name: impl Into<String>,
        message: impl Into<String>,
        needs: impl Needs,
    ) -> Value<()> {
        self.log_line(Some(level), name.into(), message.into(), needs)
    }

    fn log_line(
        &mut self,
        level: Option<LogLevel>,
        name: String,
        message: String,
        needs: impl Needs,
    ) -> Value<()> {
        let mut step = DraftStep::of(name, DraftKind::Log { level, message });
        self.set_needs(&mut step, needs);
        self.declare(step)
    }
}
