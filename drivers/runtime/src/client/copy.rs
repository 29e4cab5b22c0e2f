//! Copies of runs that have ended: replays, forks, resumed failures.
//!
//! Invariant: the same command is the same copy, whose id is derived from it; the source is never changed.

use std::collections::BTreeMap;
use std::future::IntoFuture;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;

use serde_json::Value;
use squid_mesh_core::definition::{Definition, DefinitionKey, InputViolations};
use squid_mesh_core::event::CopyKind;
use squid_mesh_core::id::RunId;
use squid_mesh_core::name::{InvalidName, Name};
use squid_mesh_core::operation::{Copy, Entry, Rejection, Start};
use squid_mesh_core::run::{Origin, Seq, Status};

use super::record::{Pinned, unreadable};
use super::start::{handle_of, life, trigger};
use super::word::{Word, lookup_errors, rejections, submit_errors, word_options};
use super::{Client, InspectError, LimitExceeded, RunHandle, StartError};

/// A copy of a run that is being put together; awaiting it starts the copy.
///
/// Dropped while it is awaited, it has started the copy or not; starting it again under the same [key](CopyRun::key) is
/// safe.
#[derive(Debug)]
#[must_use = "a copy is started by awaiting this"]
pub struct CopyRun<O> {
    pub(super) client: Client,
    pub(super) source: RunId,
    pub(super) kind: CopyKind,
    pub(super) from: Vec<String>,
    pub(super) same_version: bool,
    pub(super) allow_irreversible: bool,
    pub(super) word: Word,
    ty: PhantomData<fn() -> O>,
}

impl Client {
    /// Starts a run like one that has ended: by the same trigger, with the same stored input, linked to it. It runs the
    /// highest version that this process registered (the highest stored one, in a process that registered none of the name),
    /// unless it is to be the [same](CopyRun::same_version). Refused, if a step succeeded that must not be repeated unasked.
    pub fn replay(&self, run: RunId) -> CopyRun<Value> {
        CopyRun::new(self.clone(), run, CopyKind::Replay)
    }

    /// Starts a run that takes over what another, which has ended, did, but for some steps and all that wait for them: these
    /// are done again.
    pub fn fork<S: Into<String>>(
        &self,
        run: RunId,
        from_steps: impl IntoIterator<Item = S>,
    ) -> CopyRun<Value> {
        let mut fork = CopyRun::new(self.clone(), run, CopyKind::Fork);
        fork.from = from_steps.into_iter().map(Into::into).collect();
        fork
    }

    /// Starts a run that goes on where one that failed did not: it takes over what that one did, and does again what failed.
    /// The failed run stays as it is.
    pub fn resume_failed(&self, run: RunId) -> CopyRun<Value> {
        CopyRun::new(self.clone(), run, CopyKind::Resume)
    }
}

impl<O> RunHandle<O> {
    /// Starts a run like this one: see [`Client::replay`].
    pub fn replay(&self) -> CopyRun<O> {
        CopyRun::new(self.client().clone(), self.id(), CopyKind::Replay)
    }

    /// Starts a run that takes over what this one did, but for some steps: see [`Client::fork`].
    pub fn fork<S: Into<String>>(&self, from_steps: impl IntoIterator<Item = S>) -> CopyRun<O> {
        let mut fork = CopyRun::new(self.client().clone(), self.id(), CopyKind::Fork);
        fork.from = from_steps.into_iter().map(Into::into).collect();
        fork
    }

    /// Starts a run that goes on where this one failed: see [`Client::resume_failed`].
    pub fn resume_failed(&self) -> CopyRun<O> {
        CopyRun::new(self.client().clone(), self.id(), CopyKind::Resume)
    }
}

impl<O> CopyRun<O> {
    pub(super) fn new(client: Client, source: RunId, kind: CopyKind) -> CopyRun<O> {
        CopyRun {
            client,
            source,
            kind,
            from: Vec::new(),
            same_version: false,
            allow_irreversible: false,
            word: Word::default(),
            ty: PhantomData,
        }
    }

    word_options!(key);

    /// Replay on the version that the source ran. Forks and resumptions always do.
    pub fn same_version(mut self) -> Self {
        self.same_version = true;
        self
    }

    /// Repeat even what is irreversible, was marked as not compensatable, or has an unknown outcome.
    pub fn allow_irreversible(mut self) -> Self {
        self.allow_irreversible = true;
        self
    }

    async fn submit(self) -> Result<RunHandle<O>, CopyError> {
        let start = self.start().await?;
        let lane = self.client.lane();
        let reply = lane.submit_one(Entry::Start(Box::new(start))).await?;
        Ok(handle_of(self.client, reply))
    }

    /// The start as the store takes it.
    async fn start(&self) -> Result<Start, CopyError> {
        let source = self.client.pinned(self.source).await?;
        let status = source.status();
        if !status.is_terminal() {
            let run = self.source;
            return Err(Rejection::NotFinished { run, status }.into());
        }
        let definition = self.definition(&source).await?;
        let row = self.client.row(self.source, Seq::FIRST).await?;
        let input = row
            .payload
            .ok_or_else(|| unreadable(self.source, "its journal has no input"))?;
        let origin = source.run.origin();
        fits(&definition, origin, &source.json(&input)?)?;
        let command = self.word.command(self.source)?;
        Ok(Start {
            run: RunId::copied(self.source, command),
            life: life(),
            command,
            definition: definition.key().clone(),
            trigger: origin.trigger.clone(),
            input,
            raw_input: origin.raw_input,
            key: None,
            labels: BTreeMap::new(),
            queue: origin.queue.clone(),
            priority: origin.priority,
            delay: None,
            deadline: None,
            trace: None,
            parent: None,
            copy: Some(Copy {
                source: self.source,
                kind: self.kind,
                from: self.names()?,
                allow_irreversible: self.allow_irreversible,
            }),
            occurrence: None,
            zone: None,
            by: self.word.by()?,
        })
    }

    fn names(&self) -> Result<Vec<Name>, InvalidName> {
        self.from.iter().map(|name| Name::new(name)).collect()
    }

    async fn definition(&self, source: &Pinned) -> Result<Arc<Definition>, CopyError> {
        if self.kind != CopyKind::Replay || self.same_version {
            return Ok(Arc::clone(&source.definition));
        }
        let name = source.definition.name();
        self.client
            .definition(name, None)
            .await
            .map_err(|error| match error {
                StartError::Lookup(error) => CopyError::Lookup(error.into()),
                error => CopyError::Refused(error.to_string()),
            })
    }
}

/// Whether a version takes the stored input of a run that another version may have run.
fn fits(definition: &Definition, origin: &Origin, input: &Value) -> Result<(), CopyError> {
    let workflow = definition.key().clone();
    let Ok(trigger) = trigger(definition, Some(origin.trigger.as_str())) else {
        let trigger = origin.trigger.clone();
        return Err(CopyError::UnknownTrigger { workflow, trigger });
    };
    match trigger.contract.check(input) {
        Ok(_) => Ok(()),
        Err(violations) => Err(CopyError::InvalidInput {
            workflow,
            violations,
        }),
    }
}

impl<O: 'static> IntoFuture for CopyRun<O> {
    type Output = Result<RunHandle<O>, CopyError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.submit())
    }
}

/// A run was not copied.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CopyError {
    /// No run has this id.
    #[error("run {run} does not exist")]
    UnknownRun {
        /// The id.
        run: RunId,
    },
    /// The run has not ended.
    #[error("run {run} is {status}, and only a run that has ended can be copied")]
    NotFinished {
        /// The run.
        run: RunId,
        /// Its status.
        status: Status,
    },
    /// The copy would repeat what must not be repeated unasked.
    #[error("a copy of run {run} would repeat {steps:?}, which must not be repeated unasked")]
    UnsafeReplay {
        /// The run.
        run: RunId,
        /// The steps that are irreversible or not compensatable and succeeded, or whose outcome is unknown.
        steps: Vec<Name>,
    },
    /// The version to run has no trigger of the name that the source was started by. Nothing was written.
    #[error("workflow {workflow} has no trigger {trigger}")]
    UnknownTrigger {
        /// The workflow, with its version.
        workflow: DefinitionKey,
        /// The trigger.
        trigger: Name,
    },
    /// The version to run does not take the source's input. Nothing was written.
    #[error("the stored input does not fit workflow {workflow}: {violations}")]
    InvalidInput {
        /// The workflow, with its version.
        workflow: DefinitionKey,
        /// Every violation.
        violations: InputViolations,
    },
    /// The text is no name of a step. Nothing was written.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// The engine refused it. Nothing was written.
    #[error(transparent)]
    Rejected(Rejection),
    /// Something is too large. Nothing was written.
    #[error(transparent)]
    Limit(#[from] LimitExceeded),
    /// The run cannot be looked at. Nothing was written; copying again is safe.
    #[error("the run cannot be looked up")]
    Lookup(#[source] InspectError),
    /// The store refused it. Nothing was written.
    #[error("the store did not take the copy: {0}")]
    Refused(String),
    /// The store did not answer: the copy may have been started or not. Starting it again under the same key is safe.
    #[error("the store did not answer, and the copy may have been started or not: {0}")]
    Unknown(String),
}

submit_errors!(CopyError);

lookup_errors!(CopyError);
rejections!(
    CopyError: UnknownRun { run },
    NotFinished { run, status },
    UnsafeReplay { run, steps }
);
