//! Starting runs.
//!
//! Invariant: nothing is submitted before all of it has been checked, and what is submitted again is the same start.

use std::collections::BTreeMap;
use std::future::IntoFuture;
use std::marker::PhantomData;
use std::pin::Pin;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;
use squid_mesh_core::definition::{Definition, Trigger, canonical_json};
use squid_mesh_core::eval::stamped_bytes;
use squid_mesh_core::event::By;
use squid_mesh_core::id::{CommandId, Life, RunId};
use squid_mesh_core::limits;
use squid_mesh_core::name::Name;
use squid_mesh_core::operation::{Entry, EntryReply, Start, StartDelay};
use squid_mesh_core::payload::Payload;
use squid_mesh_core::time::Timestamp;
use uuid::Uuid;

use super::lookup::Lookup;
use super::word::{Word, word_options};
use super::{Client, LimitExceeded, RunHandle, StartError};

/// A start that is being put together; awaiting it starts the run.
///
/// The future is cancellation-safe in this sense: dropped, it has started the run or not, and starting again under the same
/// idempotency key is safe.
#[derive(Debug)]
#[must_use = "a run is started by awaiting this"]
pub struct StartRun<O> {
    client: Client,
    pub(super) workflow: Result<Name, StartError>,
    pub(super) version: Option<u32>,
    pub(super) input: Result<Value, serde_json::Error>,
    pub(super) options: Options,
    pub(super) word: Word,
    ty: PhantomData<fn() -> O>,
}

#[derive(Debug, Default)]
pub(super) struct Options {
    pub(super) trigger: Option<String>,
    pub(super) key: Option<String>,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) queue: Option<String>,
    pub(super) priority: Option<i16>,
    pub(super) delay: Option<StartDelay>,
    pub(super) deadline: Option<Duration>,
    pub(super) trace: Option<String>,
}

impl<O> StartRun<O> {
    pub(super) fn new(
        client: Client,
        workflow: Result<Name, StartError>,
        version: Option<u32>,
        input: impl Serialize,
    ) -> StartRun<O> {
        let input = serde_json::to_value(input);
        StartRun {
            client,
            workflow,
            version,
            input,
            options: Options::default(),
            word: Word::default(),
            ty: PhantomData,
        }
    }

    word_options!();

    /// The trigger to start it by, whose contract the input is held against; the workflow's first, without one.
    pub fn trigger(mut self, trigger: impl Into<String>) -> Self {
        self.options.trigger = Some(trigger.into());
        self
    }

    /// Starts at most one run of this workflow under the key, however often and from wherever it is tried: a later start
    /// with the same input gets the first one's run, one with another input is refused.
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.options.key = Some(key.into());
        self
    }

    /// A label to list by; at most 32, of at most 128 bytes each for key and value.
    pub fn label(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.options.labels.insert(key.into(), value.into());
        self
    }

    /// Begins that long after the start is recorded, by the database's clock; ten years at most.
    pub fn delay(mut self, delay: Duration) -> Self {
        self.options.delay = Some(StartDelay::In(delay));
        self
    }

    /// Begins at that instant by the database's clock; at once if it is past, and refused if it is more than ten years away.
    pub fn at(mut self, at: Timestamp) -> Self {
        self.options.delay = Some(StartDelay::At(at));
        self
    }

    /// The queue of steps that name none, instead of the workflow's.
    pub fn queue(mut self, queue: impl Into<String>) -> Self {
        self.options.queue = Some(queue.into());
        self
    }

    /// The priority of steps that name none, instead of the workflow's; lower is more urgent.
    pub fn priority(mut self, priority: i16) -> Self {
        self.options.priority = Some(priority);
        self
    }

    /// How long the run may take from its first due time on, instead of the workflow's deadline.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.options.deadline = Some(deadline);
        self
    }

    /// The W3C trace context (`traceparent`) that its steps continue.
    pub fn trace(mut self, traceparent: impl Into<String>) -> Self {
        self.options.trace = Some(traceparent.into());
        self
    }

    async fn submit(self) -> Result<RunHandle<O>, StartError> {
        let (client, start) = self.prepare(&mut Lookup::default()).await?;
        let entry = Entry::Start(Box::new(start));
        let reply = client.lane().submit_one(entry).await?;
        Ok(handle_of(client, reply))
    }

    /// The start as the store takes it, checked.
    pub(super) async fn prepare(
        self,
        definitions: &mut Lookup,
    ) -> Result<(Client, Start), StartError> {
        let input = self.input.map_err(StartError::Encode)?;
        let workflow = self.workflow?;
        self.options.check()?;
        let definition = definitions
            .definition(&self.client, &workflow, self.version)
            .await?;
        let mut start = start(
            &definition,
            &input,
            self.options,
            self.client.payload_limit(),
        )?;
        start.by = self.word.by()?;
        Ok((self.client, start))
    }
}

/// The run that a start is answered with.
pub(super) fn handle_of<O>(client: Client, reply: EntryReply) -> RunHandle<O> {
    match reply {
        EntryReply::Started(reply) => RunHandle::new(client, reply.run, reply.existing),
        other => unreachable!("a start is answered by {other:?}"),
    }
}

impl<O: 'static> IntoFuture for StartRun<O> {
    type Output = Result<RunHandle<O>, StartError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.submit())
    }
}

impl Options {
    fn check(&self) -> Result<(), StartError> {
        LimitExceeded::check("number of labels", self.labels.len(), limits::LABELS)?;
        for (key, value) in &self.labels {
            LimitExceeded::check("bytes of a label's key", key.len(), limits::LABEL_BYTES)?;
            LimitExceeded::check("bytes of a label's value", value.len(), limits::LABEL_BYTES)?;
            no_nul("a label", key)?;
            no_nul("a label", value)?;
        }
        if let Some(key) = &self.key {
            LimitExceeded::check("bytes of the idempotency key", key.len(), limits::KEY_BYTES)?;
            no_nul("the idempotency key", key)?;
        }
        if let Some(trace) = &self.trace {
            LimitExceeded::check(
                "bytes of the trace context",
                trace.len(),
                limits::COMMENT_BYTES,
            )?;
            no_nul("the trace context", trace)?;
        }
        if let Some(StartDelay::In(delay)) = self.delay {
            span("seconds of the delay", delay)?;
        }
        self.deadline
            .map_or(Ok(()), |deadline| span("seconds of the deadline", deadline))
    }
}

fn span(what: &'static str, found: Duration) -> Result<(), StartError> {
    if found <= limits::SPAN_MAX {
        return Ok(());
    }
    // Rounded up: a span just above the limit shows as above it.
    let seconds = found
        .as_secs()
        .saturating_add(u64::from(found.subsec_nanos() > 0));
    Err(LimitExceeded {
        what,
        limit: limits::SPAN_MAX.as_secs(),
        found: seconds,
    }
    .into())
}

fn no_nul(what: &'static str, text: &str) -> Result<(), StartError> {
    if text.contains('\0') {
        Err(StartError::NulCharacter { what })
    } else {
        Ok(())
    }
}

/// The start as the store takes it: input checked, literal defaults filled in, ids drawn or derived.
fn start(
    definition: &Definition,
    input: &Value,
    options: Options,
    payload_limit: usize,
) -> Result<Start, StartError> {
    let trigger = trigger(definition, options.trigger.as_deref())?;
    let filled = trigger
        .contract
        .check(input)
        .map_err(|violations| StartError::InvalidInput {
            workflow: definition.name().clone(),
            violations,
        })?;
    let payload = Payload::new(serde_json::to_vec(&filled).map_err(StartError::Encode)?);
    // The limit is that of what is stored. The database puts the stamps in, as many bytes as any others.
    let stored = stamped_bytes(&payload, &trigger.contract.stamps());
    LimitExceeded::check("bytes of the input", stored, payload_limit)?;
    let run = match &options.key {
        Some(key) => RunId::derived(definition.name(), key),
        None => RunId::from_u128(Uuid::now_v7().as_u128()),
    };
    Ok(Start {
        run,
        life: life(),
        command: command(),
        definition: definition.key().clone(),
        trigger: trigger.name.clone(),
        input: payload,
        raw_input: Payload::new(canonical_json(input).as_bytes()).digest(),
        key: options.key,
        labels: options.labels,
        queue: options.queue.as_deref().map(Name::new).transpose()?,
        priority: options.priority,
        delay: options.delay,
        deadline: options.deadline,
        trace: options.trace,
        parent: None,
        copy: None,
        occurrence: None,
        zone: None,
        by: By::default(),
    })
}

/// The trigger of this name; the first, without one.
pub(super) fn trigger<'d>(
    definition: &'d Definition,
    name: Option<&str>,
) -> Result<&'d Trigger, StartError> {
    let found = match name {
        Some(name) => definition.trigger(name),
        None => definition.triggers().first(),
    };
    found.ok_or_else(|| StartError::UnknownTrigger {
        workflow: definition.key().clone(),
        trigger: name.unwrap_or_default().to_owned(),
    })
}

/// A command id, drawn once for each wish: a repeated submission repeats it.
pub(crate) fn command() -> CommandId {
    CommandId::from_u128(Uuid::now_v7().as_u128())
}

/// 64 random bits: the fixed bits of a UUID's halves are in different places.
pub(crate) fn life() -> Life {
    let (high, low) = Uuid::new_v4().as_u64_pair();
    Life(high ^ low)
}
