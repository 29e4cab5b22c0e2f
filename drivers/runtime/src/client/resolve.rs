//! Deciding about steps: gates, attempts of unknown outcome, undo handlers that are gone.
//!
//! Invariant: a decision is durable when it returns, and one that is repeated under its key is told what the first one did.

use std::future::IntoFuture;
use std::pin::Pin;

use serde::Serialize;
use serde_json::Value;
use squid_mesh_core::definition::Contract;
use squid_mesh_core::id::RunId;
use squid_mesh_core::name::{InvalidName, Name};
use squid_mesh_core::operation::{
    CommandReply, Entry, EntryReply, Rejection, Resolve, Ruling, Waiting,
};
use squid_mesh_core::payload::Payload;
use squid_mesh_core::run::Status;

use super::submit::NotDone;
use super::word::{NUL, Word, submit_errors, unfit, word_options};
use super::{Client, LimitExceeded};

/// A decision that is being put together; awaiting it decides.
///
/// Dropped while it is awaited, it was made or not; making it again under the same [key](ResolveRun::key) is safe.
#[derive(Debug)]
#[must_use = "a decision is made by awaiting this"]
pub struct ResolveRun {
    pub(super) client: Client,
    pub(super) run: RunId,
    pub(super) step: Option<String>,
    pub(super) decision: Decided,
    pub(super) word: Word,
}

/// What is decided.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Decided {
    Resume,
    Approve,
    Reject,
    Succeeded {
        output: Result<Value, String>,
        label: Option<String>,
    },
    Retry,
    Fail {
        code: String,
        message: String,
    },
    SkipUndo,
}

impl Client {
    /// Approves what a run waits for. Whoever does has to say who they are; awaiting it approves.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new()?.block_on(async {
    /// use squid_mesh::{Runtime, StepContext, StepError, Workflow, step};
    ///
    /// async fn ship(_: StepContext, order: u64) -> Result<u64, StepError> { Ok(order) }
    /// async fn refund(_: StepContext, order: u64) -> Result<u64, StepError> { Ok(0 * order) }
    ///
    /// let (mut wf, order) = Workflow::builder::<u64>("order", 1);
    /// let review = wf.approval("review", order);
    /// let shipped = wf.when(&review, "approved", |wf| wf.step("ship", order, step(ship)));
    /// let refunded = wf.when(&review, "rejected", |wf| wf.step("refund", order, step(refund)));
    /// let end = wf.either(shipped, refunded);
    /// let order = wf.finish(end)?;
    ///
    /// let mut stepper = Runtime::builder("sqlite::memory:").workflow(&order).manual().await?;
    /// let client = stepper.client().clone();
    /// let run = client.start(&order.reference(), 7).await?;
    /// client.approve(run.id()).actor("ana").comment("a good customer").key("form-1").await?;
    /// while stepper.execute_next().await?.is_some() {}
    /// assert_eq!(run.result().await?, 7);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn approve(&self, run: RunId) -> ResolveRun {
        ResolveRun::new(self.clone(), run, Decided::Approve)
    }

    /// Rejects what a run waits for approval of: see [`approve`](Client::approve).
    pub fn reject(&self, run: RunId) -> ResolveRun {
        ResolveRun::new(self.clone(), run, Decided::Reject)
    }

    /// Resumes a run that waits at a pause; awaiting it resumes.
    pub fn resume(&self, run: RunId) -> ResolveRun {
        ResolveRun::new(self.clone(), run, Decided::Resume)
    }

    /// Says what came of an attempt whose outcome is unknown: that it succeeded, is to be tried again, or failed.
    pub fn resolve_unknown(&self, run: RunId) -> ResolveUnknown {
        ResolveUnknown {
            client: self.clone(),
            run,
        }
    }

    /// Gives up taking back what a step of a run did, so that the run can end: the step is recorded as `undo_failed`.
    pub fn skip_undo(&self, run: RunId) -> ResolveRun {
        ResolveRun::new(self.clone(), run, Decided::SkipUndo)
    }
}

/// An attempt of unknown outcome, about which somebody is going to say something. Made by [`Client::resolve_unknown`].
#[derive(Debug)]
#[must_use = "what came of the attempt is still to be said"]
pub struct ResolveUnknown {
    client: Client,
    run: RunId,
}

impl ResolveUnknown {
    /// It succeeded, with this output.
    pub fn succeeded(self, output: impl Serialize) -> ResolveRun {
        let output = serde_json::to_value(output).map_err(|error| error.to_string());
        let label = None;
        self.decided(Decided::Succeeded { output, label })
    }

    /// It succeeded, with this output, and the label of the branch to take.
    pub fn succeeded_with_label(
        self,
        label: impl Into<String>,
        output: impl Serialize,
    ) -> ResolveRun {
        let output = serde_json::to_value(output).map_err(|error| error.to_string());
        let label = Some(label.into());
        self.decided(Decided::Succeeded { output, label })
    }

    /// The step is to be tried again.
    pub fn retry(self) -> ResolveRun {
        self.decided(Decided::Retry)
    }

    /// It failed for good, with this code and message.
    pub fn fail(self, code: impl Into<String>, message: impl Into<String>) -> ResolveRun {
        let (code, message) = (code.into(), message.into());
        self.decided(Decided::Fail { code, message })
    }

    fn decided(self, decision: Decided) -> ResolveRun {
        ResolveRun::new(self.client, self.run, decision)
    }
}

impl ResolveRun {
    pub(super) fn new(client: Client, run: RunId, decision: Decided) -> ResolveRun {
        ResolveRun {
            client,
            run,
            step: None,
            decision,
            word: Word::default(),
        }
    }

    word_options!(key);

    /// The step that is meant, should the run wait for such decisions at several.
    pub fn step(mut self, step: impl Into<String>) -> Self {
        self.step = Some(step.into());
        self
    }

    async fn submit(self) -> Result<CommandReply, ResolveError> {
        let limit = self.client.payload_limit();
        let resolve = Resolve {
            run: self.run,
            command: self.word.command(self.run)?,
            step: self.step.as_deref().map(Name::new).transpose()?,
            ruling: self.decision.ruling(limit)?,
            by: self.word.by()?,
        };
        obeyed(&self.client, Entry::Resolve(Box::new(resolve))).await
    }
}

/// Submits a command about a run.
pub(super) async fn obeyed<E>(client: &Client, entry: Entry) -> Result<CommandReply, E>
where
    E: From<NotDone>,
{
    match client.lane().submit_one(entry).await? {
        EntryReply::Obeyed(reply) => Ok(reply),
        other => unreachable!("a command is answered by {other:?}"),
    }
}

impl Decided {
    fn ruling(self, limit: usize) -> Result<Ruling, ResolveError> {
        Ok(match self {
            Decided::Resume => Ruling::Resume,
            Decided::Approve => Ruling::Approve,
            Decided::Reject => Ruling::Reject,
            Decided::Retry => Ruling::Retry,
            Decided::SkipUndo => Ruling::SkipUndo,
            Decided::Fail { code, message } => Ruling::Fail {
                code: Some(without_nul(&code)),
                message: without_nul(&message),
            },
            Decided::Succeeded { output, label } => {
                let output = output.map_err(ResolveError::Encode)?;
                Contract::Any
                    .check(&output)
                    .map_err(|_| unfit("the output", NUL))?;
                let text = output.to_string();
                LimitExceeded::check("bytes of the output", text.len(), limit)?;
                Ruling::Succeeded {
                    output: Payload::new(text.into_bytes()),
                    label: label.as_deref().map(Name::new).transpose()?,
                }
            }
        })
    }
}

fn without_nul(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

impl IntoFuture for ResolveRun {
    type Output = Result<CommandReply, ResolveError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.submit())
    }
}

/// Nothing was decided about a run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ResolveError {
    /// No run has this id.
    #[error("run {run} does not exist")]
    UnknownRun {
        /// The id.
        run: RunId,
    },
    /// The run has ended.
    #[error("run {run} has ended as {status}")]
    Finished {
        /// The run.
        run: RunId,
        /// How it ended.
        status: Status,
    },
    /// The run does not wait for such a decision.
    #[error(transparent)]
    NotWaiting(NotWaiting),
    /// Several steps wait for such a decision: name one.
    #[error(transparent)]
    AmbiguousGate(NotWaiting),
    /// The text is no name of a step or label. Nothing was written.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// The output cannot be written as JSON. Nothing was written.
    #[error("the output cannot be written as JSON: {0}")]
    Encode(String),
    /// The engine refused it. Nothing was written.
    #[error(transparent)]
    Rejected(Rejection),
    /// Something is too large. Nothing was written.
    #[error(transparent)]
    Limit(#[from] LimitExceeded),
    /// The store refused it. Nothing was written.
    #[error("the store did not take the decision: {0}")]
    Refused(String),
    /// The store did not answer: the decision may have been made or not. Making it again under the same key is safe.
    #[error("the store did not answer, and the decision may have been made or not: {0}")]
    Unknown(String),
}

/// What a run waits for instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{rejection}")]
#[non_exhaustive]
pub struct NotWaiting {
    /// The run.
    pub run: RunId,
    /// The steps that wait for somebody, and for what.
    pub waits: Vec<Waiting>,
    rejection: Rejection,
}

submit_errors!(ResolveError);

impl From<Rejection> for ResolveError {
    fn from(rejection: Rejection) -> ResolveError {
        let waiting = |run: RunId, waits: &[Waiting]| NotWaiting {
            run,
            waits: waits.to_vec(),
            rejection: rejection.clone(),
        };
        match &rejection {
            Rejection::UnknownRun { run } => ResolveError::UnknownRun { run: *run },
            Rejection::Finished { run, status } => ResolveError::Finished {
                run: *run,
                status: *status,
            },
            Rejection::NotWaiting { run, waits } => ResolveError::NotWaiting(waiting(*run, waits)),
            Rejection::AmbiguousGate { run, waits } => {
                ResolveError::AmbiguousGate(waiting(*run, waits))
            }
            _ => ResolveError::Rejected(rejection),
        }
    }
}
