//! What a handler is told beside its input.
//!
//! Invariant: a context belongs to one attempt; when that attempt is over, for whatever reason, its cancellation has fired.

use std::sync::Arc;
use std::time::Instant;

use serde::Serialize;
use squid_mesh_core::definition::DefinitionKey;
use squid_mesh_core::id::RunId;
use squid_mesh_core::name::Name;
use squid_mesh_core::worker::{Execution, StopReason};
use tokio::sync::watch;

use super::ScheduleContext;
use crate::author::WorkflowRef;
use crate::client::{Caller, StartChild};

/// What a handler is told beside its input. Cheap to clone.
///
/// ```
/// use squid_mesh::{StepContext, StepError};
///
/// async fn charge(cx: StepContext, cents: u64) -> Result<String, StepError> {
///     // The same for every attempt of this step: whoever is called can recognise a repetition.
///     let key = cx.idempotency_key();
///     tokio::select! {
///         receipt = gateway(key, cents) => Ok(receipt),
///         reason = cx.cancelled() => Err(StepError::permanent("cancelled", format!("{reason:?}"))),
///     }
/// }
/// # async fn gateway(_: &str, _: u64) -> String { String::new() }
/// ```
#[derive(Debug, Clone)]
pub struct StepContext {
    attempt: Arc<Attempt>,
    deadline: Option<Instant>,
    stop: watch::Receiver<Option<StopReason>>,
}

#[derive(Debug)]
struct Attempt {
    run: RunId,
    definition: DefinitionKey,
    step: Name,
    number: u32,
    idempotency_key: String,
    trace: Option<String>,
    schedule: Option<ScheduleContext>,
    /// None in tests of handlers alone.
    caller: Option<Caller>,
}

impl StepContext {
    pub(crate) fn new(execution: &Execution, caller: Caller) -> (StepContext, Stopper) {
        let (sender, stop) = watch::channel(None);
        let occurrence = execution.task.brief.occurrence.as_deref();
        let attempt = Attempt {
            run: execution.run(),
            definition: execution.task.brief.definition.clone(),
            step: execution.step.clone(),
            number: execution.task.attempt,
            idempotency_key: execution.idempotency_key(),
            trace: execution.task.brief.trace.clone(),
            schedule: occurrence.map(ScheduleContext::from),
            caller: Some(caller),
        };
        let timeout = execution.timeout;
        let cx = StepContext {
            attempt: Arc::new(attempt),
            // By tokio's clock, which is the usual one unless a test or a simulation has paused it.
            deadline: timeout
                .and_then(|timeout| tokio::time::Instant::now().into_std().checked_add(timeout)),
            stop,
        };
        (cx, Stopper(sender))
    }

    /// The same of an attempt whose time begins later than it was made.
    pub(crate) fn with_deadline(self, deadline: Option<Instant>) -> StepContext {
        StepContext { deadline, ..self }
    }

    /// Of no attempt that there is.
    #[cfg(test)]
    pub(crate) fn sample() -> StepContext {
        let attempt = Attempt {
            run: RunId::from_u128(1),
            definition: DefinitionKey {
                name: Name::stored("order"),
                version: 1,
            },
            step: Name::stored("charge"),
            number: 1,
            idempotency_key: "order:charge".to_owned(),
            trace: None,
            schedule: None,
            caller: None,
        };
        StepContext {
            attempt: Arc::new(attempt),
            deadline: None,
            stop: watch::channel(None).1,
        }
    }

    /// The run this attempt belongs to.
    pub fn run_id(&self) -> RunId {
        self.attempt.run
    }

    /// The workflow's name.
    pub fn workflow(&self) -> &str {
        self.attempt.definition.name.as_str()
    }

    /// The version of the definition that the run is pinned to.
    pub fn version(&self) -> u32 {
        self.attempt.definition.version
    }

    /// The step's name.
    pub fn step(&self) -> &str {
        self.attempt.step.as_str()
    }

    /// Which attempt of the step this is, from 1; lost attempts count too.
    pub fn attempt(&self) -> u32 {
        self.attempt.number
    }

    /// Run id and step name: the same for every attempt of this step, and different for every other step.
    pub fn idempotency_key(&self) -> &str {
        &self.attempt.idempotency_key
    }

    /// The W3C trace context (`traceparent`) that the run was started with.
    pub fn trace(&self) -> Option<&str> {
        self.attempt.trace.as_deref()
    }

    /// The schedule that started the run, with the window that it is for; `None` if something else did. Children have none.
    pub fn schedule(&self) -> Option<&ScheduleContext> {
        self.attempt.schedule.as_ref()
    }

    /// When this attempt is dropped because its step's timeout is over; `None` without a timeout. Of a transactional step, the
    /// timeout begins when the transaction has begun.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Starts a run of another workflow as a child of this step; options are chained on it, and awaiting it starts the run.
    /// The run is durable when it returns, in the highest version that this process registered (or that is stored, of a
    /// workflow that it did not register).
    ///
    /// The same key in the same step is the same run, however often it is asked for and by whichever attempt; another workflow
    /// or input under it is refused. In another step it is another run. A step may start 1,000.
    ///
    /// The step ends when its handler has returned and what it started has ended: with the handler's output, or with
    /// `child_failed` or `child_cancelled` if one of the runs did not complete, which is not attempted again. A step that
    /// fails, and a run that is cancelled or fails, cancels them. A [detached](crate::StartChild::detach) run goes its own way.
    /// A handler may wait for a run's result meanwhile, which holds its slot.
    ///
    /// Handlers in transactions and handlers that take effects back start none.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new()?.block_on(async {
    /// use squid_mesh::{Runtime, StepContext, StepError, Workflow, WorkflowRef, step};
    ///
    /// async fn print(_: StepContext, page: u64) -> Result<String, StepError> { Ok(format!("page {page}")) }
    ///
    /// async fn pages(cx: StepContext, count: u64) -> Result<u64, StepError> {
    ///     let printing = WorkflowRef::<u64, String>::named("printing")?;
    ///     for page in 0..count {
    ///         cx.start_child(&printing, page, format!("page-{page}")).await?;
    ///     }
    ///     Ok(count)
    /// }
    ///
    /// let (mut wf, page) = Workflow::builder::<u64>("printing", 1);
    /// let printed = wf.step("print", page, step(print));
    /// let printing = wf.finish(printed)?;
    /// let (mut wf, count) = Workflow::builder::<u64>("book", 1);
    /// let printed = wf.step("pages", count, step(pages));
    /// let book = wf.finish(printed)?;
    ///
    /// let runtime = Runtime::builder("sqlite::memory:").workflow(&printing).workflow(&book).start().await?;
    /// let run = runtime.client().start(&book.reference(), 3).await?;
    /// assert_eq!(run.result().await?, 3);
    /// let seen = run.inspect().await?;
    /// assert_eq!(seen.step("pages").and_then(|step| step.children.as_ref()).map(|pages| pages.ended), Some(3));
    /// # runtime.shutdown().await;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn start_child<I: Serialize, O>(
        &self,
        workflow: &WorkflowRef<I, O>,
        input: I,
        key: impl Into<String>,
    ) -> StartChild<O> {
        let caller = self.attempt.caller.as_ref();
        let caller =
            caller.expect("every attempt that a runtime executes can be asked for its client");
        caller.start(workflow, input, key.into(), self.trace())
    }

    /// Whether the attempt was asked to stop. It may still finish, and its result is still reported.
    pub fn is_cancelled(&self) -> bool {
        self.stop_reason().is_some()
    }

    /// Why the attempt was asked to stop, if it was.
    pub fn stop_reason(&self) -> Option<StopReason> {
        let asked = *self.stop.borrow();
        // Without its sender the attempt is over; only a task that outlived its handler can see that.
        asked.or_else(|| {
            self.stop
                .has_changed()
                .is_err()
                .then_some(StopReason::LeaseLost)
        })
    }

    /// Waits until the attempt is asked to stop, and says why. Cancellation-safe.
    ///
    /// In a task that outlived its handler it answers [`StopReason::LeaseLost`]: nobody holds the step for it any more.
    pub async fn cancelled(&self) -> StopReason {
        let mut stop = self.stop.clone();
        let reason = stop.wait_for(Option::is_some).await;
        reason
            .ok()
            .and_then(|reason| *reason)
            .unwrap_or(StopReason::LeaseLost)
    }
}

/// Fires the cancellation of one attempt.
#[derive(Debug)]
pub(crate) struct Stopper(watch::Sender<Option<StopReason>>);

impl Stopper {
    /// Asks the attempt to stop. The first reason stays.
    pub(crate) fn stop(&self, reason: StopReason) {
        self.0.send_if_modified(|stop| {
            let first = stop.is_none();
            if first {
                *stop = Some(reason);
            }
            first
        });
    }
}
