//! Who is on stage: the handlers and queues of a world's workflows, and what its clients and people do.
//!
//! Invariant: the library's cast is one among others; no choice depends on which it is, unless it says so here.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use serde_json::Value;
use squid_mesh_core::definition::{Definition, DefinitionKey};
use squid_mesh_core::name::{DEFAULT_QUEUE, Name};
use squid_mesh_core::payload::Payload;

use crate::choice::{Choices, Label};
use crate::library::{HANDLERS, QUEUES};
use crate::user::{Commands, Faults};

/// The handlers and queues of a world's workflows, and what its clients and people do.
#[derive(Debug, Clone)]
pub struct Cast {
    /// Handlers that steps name. Every node has the first; some nodes lack one of the others.
    pub handlers: Vec<Name>,
    /// Queues that steps name, the usual one first.
    pub queues: Vec<Name>,
    /// What clients and people do.
    pub commands: Commands,
    /// What may go wrong at all.
    pub faults: Faults,
    /// The longest attempt once faults have stopped.
    pub longest: Duration,
    /// How much longer people let runs wait for them because runs take long anyway.
    pub patience: Duration,
    /// Most children of one step.
    pub elements: u32,
    /// What is started, with which inputs. Empty in the library's, whose workflows take any input.
    pub starts: Vec<GivenStart>,
    /// What signals carry. Empty in the library's, whose signals carry any number.
    pub signals: BTreeMap<Name, Maker>,
    /// Whether it is the library's.
    pub library: bool,
}

/// A workflow that clients start, with its inputs.
#[derive(Debug, Clone)]
pub struct GivenStart {
    /// The workflow.
    pub definition: Arc<Definition>,
    /// The input of the run with a number.
    pub input: Maker,
}

/// Makes a value for a number.
#[derive(Clone)]
pub struct Maker(Arc<dyn Fn(u64) -> Value + Send + Sync>);

impl Maker {
    /// One that calls a function.
    pub fn new(make: impl Fn(u64) -> Value + Send + Sync + 'static) -> Maker {
        Maker(Arc::new(make))
    }

    /// The value for a number.
    pub fn make(&self, number: u64) -> Value {
        (self.0)(number)
    }
}

impl fmt::Debug for Maker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Maker")
    }
}

impl GivenStart {
    /// The input of the run with a number, as a client would send it: defaults filled in.
    fn filled(&self, number: u64) -> Result<Value, String> {
        let input = self.input.make(number);
        let Some(trigger) = self.definition.triggers().first() else {
            return Ok(input);
        };
        trigger.contract.check(&input).map_err(|violations| {
            let workflow = self.definition.key();
            format!("the input of run {number} does not fit workflow {workflow}: {violations}")
        })
    }

    /// Whether the input of the run with a number fits the workflow.
    pub(crate) fn check(&self, number: u64) -> Result<(), String> {
        self.filled(number).map(drop)
    }

    /// # Panics
    /// If the workflow's contract refuses it.
    fn payload(&self, number: u64) -> Payload {
        let filled = self.filled(number);
        let filled = filled.unwrap_or_else(|why| panic!("{why}"));
        Payload::new(filled.to_string().into_bytes())
    }
}

impl Cast {
    /// The cast of the built-in library. Its longest attempt is 2.5 leases, at most 40 s.
    pub fn library() -> Arc<Cast> {
        static LIBRARY: OnceLock<Arc<Cast>> = OnceLock::new();
        let names = |texts: &[&str]| texts.iter().map(|text| Name::stored(text)).collect();
        let cast = LIBRARY.get_or_init(|| {
            Arc::new(Cast {
                handlers: names(&HANDLERS),
                queues: names(&QUEUES),
                commands: Commands::all(),
                faults: Faults::all(),
                longest: Duration::from_secs(40),
                patience: Duration::ZERO,
                elements: 6,
                starts: Vec::new(),
                signals: BTreeMap::new(),
                library: true,
            })
        });
        Arc::clone(cast)
    }

    /// The cast of these workflows.
    pub fn of(workflows: &[Arc<Definition>], commands: Commands, faults: Faults) -> Cast {
        let handlers: BTreeSet<Name> = workflows
            .iter()
            .flat_map(|definition| definition.handlers())
            .cloned()
            .collect();
        let own = workflows.iter().map(|definition| definition.queue());
        let steps = workflows.iter().flat_map(|definition| definition.steps());
        let named: BTreeSet<&Name> = own
            .chain(steps.filter_map(|step| step.queue.as_ref()))
            .collect();
        let usual = Name::stored(DEFAULT_QUEUE);
        let others = named.into_iter().filter(|name| **name != usual).cloned();
        Cast {
            handlers: handlers.into_iter().collect(),
            queues: std::iter::once(usual.clone()).chain(others).collect(),
            commands,
            faults,
            longest: Duration::from_secs(40),
            patience: Duration::ZERO,
            elements: 64,
            starts: Vec::new(),
            signals: BTreeMap::new(),
            library: false,
        }
    }

    /// The queue that some starts ask for instead of the usual one: the second, where there is one.
    pub fn other_queue(&self) -> &Name {
        self.queues.get(1).unwrap_or(&self.queues[0])
    }

    /// The number of the input of a second start under the key of a first.
    pub(crate) const ANOTHER: u64 = 999;

    /// What the run with a number is of, and its input; nothing in the library's.
    pub fn start(
        &self,
        number: usize,
        choices: &mut Choices,
    ) -> Option<(Arc<Definition>, Payload)> {
        if self.starts.is_empty() {
            return None;
        }
        let start = &self.starts[choices.index(Label::Command, self.starts.len())];
        let input = start.payload(number as u64);
        Some((Arc::clone(&start.definition), input))
    }

    /// An input that is none of those of [`Cast::start`], for a second start under the same key.
    pub fn another_input(&self, definition: &DefinitionKey) -> Payload {
        let mut starts = self.starts.iter();
        match starts.find(|start| start.definition.key() == definition) {
            Some(start) => start.payload(Cast::ANOTHER),
            None => Payload::new(*b"\"another\""),
        }
    }

    /// What the signal with a number carries; nothing if any number will do.
    pub fn signal(&self, signal: &Name, number: u64) -> Option<Payload> {
        let value = self.signals.get(signal)?.make(number);
        Some(Payload::new(value.to_string().into_bytes()))
    }
}
