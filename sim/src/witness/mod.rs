//! What the world asked for and did of one run, and how the run is seen to stand: what the reference model is asked about.
//!
//! Invariant: data and nothing else. Facts are what bodies really did and what was really accepted; what is seen is what a
//! reader of the store sees.

mod way;

use serde_json::Value;
use squid_mesh_core::definition::{Definition, LabelIndex, StepIndex};
use squid_mesh_core::name::Name;
use squid_mesh_core::operation::Copy;
use squid_mesh_core::payload::Payload;
use squid_mesh_core::run::Status;
use squid_mesh_core::time::Timestamp;

pub use way::{Gives, Way, covers, parsed};

/// What the world asked for and did, of one run.
pub struct Facts<'a> {
    /// What it runs.
    pub definition: &'a Definition,
    /// Its input, as it is stored.
    pub input: &'a Payload,
    /// When it was started.
    pub started: Timestamp,
    /// Whether its first steps were put off.
    pub delayed: bool,
    /// The largest payload, in bytes.
    pub largest: usize,
    /// What was done about each step.
    pub steps: Vec<Worked<'a>>,
    /// What people and the clock said that was accepted, each once, by the rows of the journal.
    pub orders: Vec<(u32, Order<'a>)>,
    /// The run that it is a copy of.
    pub source: Option<(&'a Copy, &'a Definition, &'a Seen)>,
}

impl<'a> Facts<'a> {
    /// The first thing that was said of the run, of those that are of a kind.
    pub fn said<T>(&self, of: impl Fn(&Order<'a>) -> Option<T>) -> Option<T> {
        self.orders.iter().find_map(|(_, order)| of(order))
    }

    /// Whether somebody forced the run to its end, and took it upon himself that attempts go unrecorded.
    pub fn forced(&self) -> bool {
        let force = |order: &Order<'_>| matches!(order, Order::Cancel { force: true, .. });
        self.orders.iter().any(|(_, order)| force(order))
    }

    /// The signals of a name, in the order in which they came, by the rows of the journal.
    pub fn signals(&self, name: &Name) -> impl Iterator<Item = (u32, &'a Payload)> {
        self.orders
            .iter()
            .filter_map(move |(at, order)| match order {
                Order::Signal(own, payload) if *own == name => Some((*at, *payload)),
                _ => None,
            })
    }
}

/// What was done about a step.
#[derive(Debug, Clone, Default)]
pub struct Worked<'a> {
    /// Bodies of its handler that began, in the order in which they did.
    pub attempts: Vec<Attempt<'a>>,
    /// Bodies of its undo that began.
    pub undos: Vec<Attempt<'a>>,
    /// Runs that were started for it, or by its handler.
    pub children: Vec<Child<'a>>,
    /// Whether somebody wrote its line.
    pub logged: bool,
}

/// A body that began.
#[derive(Debug, Clone)]
pub struct Attempt<'a> {
    /// Which of all bodies in the world it is.
    pub nth: usize,
    /// What it was given.
    pub input: &'a Payload,
    /// What it did.
    pub did: Did<'a>,
}

/// What a body did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Did<'a> {
    /// It returned this, with this label.
    Returned(&'a Payload, Option<&'a str>),
    /// It failed with this code; whether another attempt may help.
    Failed(&'a str, bool),
    /// Its transaction met another.
    Conflicted,
    /// Its worker dropped it.
    Dropped,
    /// It died with its host, or goes on.
    Vanished,
}

/// A run that was started for a step.
#[derive(Debug, Clone)]
pub struct Child<'a> {
    /// Which of the step's children; of one that a handler started, none.
    pub number: Option<u32>,
    /// Its input.
    pub input: &'a Payload,
    /// What came of it.
    pub came: Came,
}

/// What came of a child.
#[derive(Debug, Clone, PartialEq)]
pub enum Came {
    /// A result; none if it cannot be put together.
    Result(Option<Value>),
    /// A failure; what its step failed with, if it was one's.
    Failure(Option<Value>),
    /// It was cancelled.
    Cancel,
    /// Nothing yet, or nobody can tell.
    Unknown,
}

/// What was said of a run, and accepted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Order<'a> {
    /// It is cancelled: what was done is taken back or not, and it ends at once or not.
    Cancel {
        /// What was done is taken back.
        undo: bool,
        /// It ends at once.
        force: bool,
    },
    /// Its deadline came, and was due.
    Deadline,
    /// A gate goes this way.
    Decided(StepIndex, &'static str),
    /// An attempt of unknown outcome returned this.
    Succeeded(StepIndex, &'a Payload, Option<LabelIndex>),
    /// It failed with this code.
    Failed(StepIndex, &'a str),
    /// It is tried again.
    Retry(StepIndex),
    /// A step is not taken back.
    SkipUndo(StepIndex),
    /// A signal.
    Signal(&'a Name, &'a Payload),
}

/// How a run is seen to stand.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    /// Its status.
    pub status: Status,
    /// The step that it failed with, if it was one, and the code.
    pub cause: Option<(Option<StepIndex>, String)>,
    /// Its result, as a reader gets it; none if that cannot be put together.
    pub result: Option<Payload>,
    /// Its steps.
    pub steps: Vec<SeenStep>,
}

/// How a step is seen to stand.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SeenStep {
    /// How it ended.
    pub end: End,
    /// By which row of the journal.
    pub at: u32,
    /// The label it returned.
    pub label: Option<LabelIndex>,
    /// Its output, or what it failed with.
    pub gave: Option<Payload>,
    /// How often it was attempted.
    pub tries: Tries,
    /// Whether it was taken back, once that has ended, and how often it was tried.
    pub undo: Option<(Option<bool>, Tries)>,
}

impl SeenStep {
    /// The code that it failed with.
    pub fn code(&self) -> String {
        let failure = self.gave.as_ref().map(parsed).unwrap_or_default();
        failure["code"].as_str().unwrap_or_default().to_owned()
    }
}

/// How a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum End {
    /// It has not.
    #[default]
    Open,
    /// With an output, or by its time.
    Succeeded,
    /// With a failure.
    Failed,
    /// Without having been reached.
    Skipped,
    /// With its run.
    Cancelled,
}

/// Attempts as they are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tries {
    /// Those that reported.
    pub executed: u32,
    /// Those that were lost.
    pub lost: u32,
    /// Those whose transaction met another.
    pub conflicts: u32,
}
