//! Starting a run.
//!
//! Invariant: a run id is started once; the same start again is answered alike, another one under its key finds the run.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::{Copy, Refusal, unreadable};
use crate::change::Change;
use crate::cron::Zone;
use crate::definition::{Definition, DefinitionKey};
use crate::eval;
use crate::event::{By, Copied, Parent, Started};
use crate::id::{CommandId, Incarnation, Life, RunId};
use crate::limits;
use crate::mutant::{Mutant, Mutation};
use crate::name::{DEFAULT_TRIGGER, Name};
use crate::operation::batch::{Batch, Lookup};
use crate::operation::{Rejection, RunRow, StartReply, words};
use crate::payload::{Payload, PayloadDigest};
use crate::run::{Facts, Run, Seq};
use crate::schedule::Occurrence;
use crate::time::Timestamp;

/// Start a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Start {
    /// The run to be: made by the caller, or derived from workflow and key.
    pub run: RunId,
    /// Its life, drawn by the caller.
    pub life: Life,
    /// Identifies this start, however often it is submitted.
    pub command: CommandId,
    /// What to run.
    pub definition: DefinitionKey,
    /// The trigger it is started by.
    pub trigger: Name,
    /// The input, checked against the contract, literal defaults filled in. Stamps are put in when the run is inserted, by
    /// the database's clock; the input of a copy is stored as it is.
    pub input: Payload,
    /// Digest of the caller's input as canonical JSON, before defaults.
    pub raw_input: PayloadDigest,
    /// The idempotency key that `run` was derived from.
    pub key: Option<String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Queue of steps that name none, instead of the definition's.
    pub queue: Option<Name>,
    /// Priority of steps that name none, instead of the definition's.
    pub priority: Option<i16>,
    /// How long after the start the first steps are due.
    pub delay: Option<StartDelay>,
    /// How long the run may take from its first due time on, instead of the definition's deadline.
    pub deadline: Option<Duration>,
    /// W3C trace context of the caller.
    pub trace: Option<String>,
    /// The run whose step starts it.
    pub parent: Option<Parent>,
    /// The run it is to be a copy of.
    pub copy: Option<Copy>,
    /// The occurrence of a schedule that it is of.
    pub occurrence: Option<Occurrence>,
    /// The zone in which its input is stamped, if not that of the trigger's schedule, or UTC.
    pub zone: Option<Zone>,
    /// Who asks.
    pub by: By,
}

/// When the first steps of a delayed start are due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartDelay {
    /// That long after the database's clock at the start.
    In(Duration),
    /// At that instant by the database's clock; at once if it is past.
    At(Timestamp),
}

impl Start {
    /// A start with nothing but what each has: by the default trigger, at once, with an input that is stored as it was given.
    pub fn new(
        run: RunId,
        life: Life,
        command: CommandId,
        definition: DefinitionKey,
        input: Payload,
    ) -> Start {
        Start {
            run,
            life,
            command,
            definition,
            trigger: Name::fixed(DEFAULT_TRIGGER),
            raw_input: input.digest(),
            input,
            key: None,
            labels: BTreeMap::new(),
            queue: None,
            priority: None,
            delay: None,
            deadline: None,
            trace: None,
            parent: None,
            copy: None,
            occurrence: None,
            zone: None,
            by: By::default(),
        }
    }

    pub(super) fn begin(
        &self,
        batch: &mut Batch<'_>,
        offerer: Option<Incarnation>,
    ) -> Result<StartReply, Refusal> {
        match batch.find(self.run) {
            Lookup::Absent => self.first(batch),
            Lookup::Busy => Err(Refusal::Busy),
            Lookup::Unreadable(error) => Err(unreadable(self.run, error)),
            Lookup::Here => self.again(batch, offerer),
        }
    }

    /// Whether every store can hold what the caller says and carries along, and its times are near enough.
    pub(super) fn check(&self, now: Timestamp) -> Result<(), Rejection> {
        words::by(&self.by, false)?;
        let delay = self.delay.map(|delay| match delay {
            StartDelay::In(span) => span,
            StartDelay::At(at) => at.since(now),
        });
        for (what, span) in [("delay", delay), ("deadline", self.deadline)] {
            words::span(what, span.unwrap_or_default())?;
        }
        words::at_most(limits::LABELS, "the number of labels", self.labels.len())?;
        for (key, value) in &self.labels {
            for (what, text) in [("a label's key", key), ("a label's value", value)] {
                let bytes = format!("the number of bytes of {what}");
                words::at_most(limits::LABEL_BYTES, &bytes, text.len())?;
                words::plain(what, text)?;
            }
        }
        let key = self.key.as_deref().unwrap_or_default();
        let bytes = "the number of bytes of the idempotency key";
        words::at_most(limits::KEY_BYTES, bytes, key.len())?;
        words::plain("the idempotency key", key)?;
        let trace = self.trace.as_deref().unwrap_or_default();
        words::comment("the trace context", trace)?;
        // The input of a copy is what its source has.
        match &self.copy {
            Some(_) => Ok(()),
            None => words::json("the input", &self.input),
        }
    }

    fn first(&self, batch: &mut Batch<'_>) -> Result<StartReply, Refusal> {
        self.check(batch.view.now)?;
        let Some(definition) = batch.view.definitions.get(&self.definition) else {
            return Err(Refusal::Rejected(Rejection::UnknownWorkflow {
                definition: self.definition.clone(),
            }));
        };
        let definition = Arc::clone(definition);
        let inherited = match &self.copy {
            Some(copy) => copy.inherited(batch, self, &definition)?,
            None => Vec::new(),
        };
        self.insert(batch, &definition, inherited, true);
        Ok(StartReply {
            run: self.run,
            existing: false,
        })
    }

    /// Adds the run, which does not exist; its first steps may be handed over.
    pub(in crate::operation) fn begin_as_is(
        &self,
        batch: &mut Batch<'_>,
        definition: &Arc<Definition>,
    ) {
        self.insert(batch, definition, Vec::new(), true);
    }

    /// Adds the run, which does not exist; its first steps are claimed like everything else.
    pub(in crate::operation) fn insert_unoffered(
        &self,
        batch: &mut Batch<'_>,
        definition: &Arc<Definition>,
    ) {
        self.insert(batch, definition, Vec::new(), false);
    }

    fn insert(
        &self,
        batch: &mut Batch<'_>,
        definition: &Arc<Definition>,
        mut inherited: Vec<Change>,
        offered: bool,
    ) {
        if let Some(occurrence) = self.occurrence_of(batch) {
            let occurrence = Box::new(occurrence);
            inherited.insert(0, Change::Belong { occurrence });
        }
        let now = batch.view.now;
        let facts = Facts {
            now,
            claimed: None,
            mutation: batch.view.mutation,
        };
        let input = self.stored_input(definition, now, batch.view.mutation);
        let started = self.started(definition, &input, now, batch.view.mutation);
        // A copy is of its source's occurrence, and started by whoever asked for it.
        let own = self.occurrence.as_ref().filter(|_| self.copy.is_none());
        let decided = Run::start(self.run, self.life, definition, started, inherited, facts);
        let row = RunRow {
            id: self.run,
            life: self.life,
            definition: self.definition.clone(),
            seq: decided.run.seq(),
            status: decided.run.status(),
            state: Vec::new(),
            parent: self.parent.as_ref().map(|parent| parent.run),
            source: self.copy.as_ref().map(|copy| copy.source),
            schedule: own.map(|of| of.schedule),
            labels: self.labels.clone(),
            created: now,
            updated: now,
        };
        batch.insert(row, Arc::clone(definition), decided, input, offered);
    }

    /// The occurrence that the run is of: its own, or that of the run it is a copy of, to which nothing is reported.
    fn occurrence_of(&self, batch: &Batch<'_>) -> Option<Occurrence> {
        let Some(copy) = &self.copy else {
            return self.occurrence.clone();
        };
        let source = batch.run(copy.source).0.origin().occurrence.as_ref()?;
        Some(Occurrence {
            reports: false,
            ..Occurrence::clone(source)
        })
    }

    /// The input with the trigger's stamps. They are read from the definition, so that no way of starting a run can forget
    /// them; a copy takes over the input that its source has, stamps and all.
    fn stored_input(&self, definition: &Definition, now: Timestamp, mutation: Mutation) -> Payload {
        let now = if mutation.is(Mutant::StampOfTheCaller) {
            callers_clock(self.run)
        } else {
            now
        };
        let trigger = definition.trigger(self.trigger.as_str());
        let Some(trigger) = trigger.filter(|_| self.copy.is_none()) else {
            return self.input.clone();
        };
        let declared = trigger
            .schedule
            .as_ref()
            .and_then(|schedule| schedule.plan.zone());
        let zone = self.zone.or(declared).unwrap_or(Zone::UTC);
        eval::stamped(&self.input, &trigger.contract.stamps(), now, zone)
    }

    fn started(
        &self,
        definition: &Definition,
        input: &Payload,
        now: Timestamp,
        mutation: Mutation,
    ) -> Started {
        let due = self.delay.map(|delay| match delay {
            StartDelay::In(span) => now.plus(span),
            StartDelay::At(at) => at,
        });
        let due = due.filter(|due| *due > now);
        let span = self.deadline.or(definition.deadline());
        let begins = due.filter(|_| !mutation.is(Mutant::DeadlineIgnoresDelay));
        Started {
            command: self.command,
            definition: self.definition.clone(),
            digest: definition.digest(),
            trigger: self.trigger.clone(),
            input: input.digest(),
            raw_input: self.raw_input,
            key: self.key.clone(),
            labels: self.labels.clone(),
            queue: self.queue.clone(),
            priority: self.priority,
            due,
            deadline: span.map(|span| begins.unwrap_or(now).plus(span)),
            trace: self.trace.clone(),
            parent: self.parent.clone(),
            copy: self.copy.as_ref().map(|copy| Copied {
                run: copy.source,
                kind: copy.kind,
            }),
            by: self.by.clone(),
        }
    }

    /// A start whose run exists: the same command again, or the same key.
    pub(super) fn again(
        &self,
        batch: &mut Batch<'_>,
        offerer: Option<Incarnation>,
    ) -> Result<StartReply, Refusal> {
        let run = self.run;
        let (existing, definition) = batch.run(run);
        let origin = existing.origin();
        if existing.life() == self.life && origin.command == self.command {
            if let Some(worker) = offerer
                && batch.hand_again(run, worker, Seq(0)).is_none()
            {
                return Err(Refusal::NeedTasksOf(run));
            }
            return Ok(StartReply {
                run,
                existing: false,
            });
        }
        let mutation = batch.view.mutation;
        let same = if mutation.is(Mutant::KeyComparesStamped) {
            let stored = self.stored_input(definition, batch.view.now, mutation);
            origin.input == stored.digest()
        } else {
            origin.raw_input == self.raw_input || mutation.is(Mutant::KeyNotCompared)
        };
        let workflow = existing.definition().name == self.definition.name;
        let copied = self.copy.as_ref().map(|copy| copy.source)
            == origin.copy.as_ref().map(|copied| copied.run);
        let keyed = self.key.is_some() || self.copy.is_some();
        if keyed && workflow && same && copied {
            return Ok(StartReply {
                run,
                existing: true,
            });
        }
        Err(Refusal::Rejected(Rejection::KeyConflict { run }))
    }
}

/// The instant in the id that a caller drew for a run: 48 bits of milliseconds. Only a mutant asks for it.
fn callers_clock(run: RunId) -> Timestamp {
    let millis = i64::try_from(run.as_u128() >> 80).unwrap_or_default();
    Timestamp::from_micros(millis * 1_000)
}
