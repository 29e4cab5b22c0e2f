//! What happened in a world, as data: told as lines, in plain language, or drawn as a timeline.
//!
//! Invariant: nothing here decides anything, and nothing is made of it unless a story is told.

mod cast;
mod html;
mod landing;
mod plain;
mod report;
mod technical;
mod timeline;
mod trouble;

use std::rc::Rc;

use squid_mesh_core::definition::StepIndex;
use squid_mesh_core::event::Role;
use squid_mesh_core::id::{Incarnation, RunId};
use squid_mesh_core::operation::{GroupReply, JournalRow, Operation, Reply};
use squid_mesh_core::run::Seq;
use squid_mesh_core::task::{Fence, TaskKey};
use squid_mesh_core::worker::StopReason;

pub use cast::Cast;
pub use html::html;
pub use plain::{Line, Tone, lines, span};
pub use report::Report;

use crate::clock::SimTime;
use crate::fault::Fault;
use crate::ghost::{BodyId, ProcessId};
use crate::plan;
use crate::script::{Ending, Script};

/// One thing that happened.
#[derive(Debug, Clone)]
pub struct Scene {
    /// After how many events.
    pub event: u64,
    /// When, in true time.
    pub at: SimTime,
    /// What.
    pub deed: Deed,
}

/// Whoever asks the store for something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// A process.
    Process(ProcessId),
    /// A client, for this command.
    Client(usize),
    /// A handler's body, by itself.
    Body(BodyId),
    /// A real handler, by itself.
    Handler,
}

/// What happened.
#[derive(Debug, Clone)]
pub enum Deed {
    /// A node's process starts.
    Boots {
        /// The node.
        node: usize,
        /// The process.
        process: ProcessId,
        /// What it calls itself.
        incarnation: Incarnation,
    },
    /// A process is gone, with everything in it.
    Gone {
        /// Its node.
        node: usize,
        /// The process.
        process: ProcessId,
    },
    /// A process has shut down.
    Stopped(ProcessId),
    /// A node that stood still goes on.
    Thaws(usize),
    /// A node is to run a release from its next start on.
    Installs {
        /// The node.
        node: usize,
        /// The release, from 0.
        release: usize,
    },
    /// A client sends a command.
    Sends {
        /// Which.
        command: usize,
        /// Through which node, if it is to be one.
        via: Option<usize>,
        /// What it asks for.
        wish: plan::Wish,
    },
    /// A client is answered.
    Answered {
        /// For which command.
        command: usize,
        /// By what.
        reply: GroupReply,
    },
    /// A fault strikes.
    Fault(Fault, Trouble),
    /// A request waits for a lock.
    Waits(Who),
    /// An operation in doubt lands, or is rolled back.
    Resolved {
        /// Whose.
        who: Who,
        /// Whether it lands.
        lands: bool,
    },
    /// An operation lands.
    Lands(Box<Landed>),
    /// A handler's body begins.
    Begins {
        /// In which process.
        process: ProcessId,
        /// The body.
        body: BodyId,
        /// For what.
        of: Attempted,
        /// Which attempt, from 1.
        attempt: u32,
        /// What it is going to do.
        script: Box<Script>,
    },
    /// A handler's body ends by itself.
    Returns {
        /// The body.
        body: BodyId,
        /// Of what.
        of: Attempted,
        /// How.
        ending: Ending,
    },
    /// A worker tells a body to stop.
    Stops {
        /// In which process.
        process: ProcessId,
        /// Of what.
        of: Attempted,
        /// Why.
        reason: StopReason,
    },
    /// A worker drops a body.
    Aborts {
        /// In which process.
        process: ProcessId,
        /// Of what.
        of: Attempted,
    },
    /// A handler ends its process.
    Kills(ProcessId),
    /// A handler's body starts a run.
    Calls {
        /// The body.
        body: BodyId,
        /// Of what.
        of: Attempted,
        /// Under which key.
        key: u64,
    },
    /// A handler's body is answered.
    CallAnswered {
        /// The body.
        body: BodyId,
        /// By what.
        result: String,
    },
    /// A process writes a line to its log.
    Logs {
        /// The process.
        process: ProcessId,
        /// The line.
        line: String,
    },
    /// A process hears that its request came to nothing, or that nobody knows.
    Hears {
        /// The process.
        process: ProcessId,
        /// What it hears.
        error: String,
    },
    /// Faults and clients stop.
    Calm,
    /// Every run has ended.
    Finished,
}

/// What a handler's body is executed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempted {
    /// The task.
    pub key: TaskKey,
    /// The claim.
    pub fence: Fence,
    /// The step.
    pub step: StepIndex,
    /// Whether it is the step or its undo.
    pub role: Role,
}

/// An operation that landed.
#[derive(Debug, Clone)]
pub struct Landed {
    /// Who asked.
    pub who: Who,
    /// For what.
    pub operation: Rc<Operation>,
    /// What was answered.
    pub reply: Reply,
    /// What was added to journals.
    pub recorded: Vec<JournalRow>,
    /// Whether it wrote something.
    pub wrote: bool,
    /// When it was decided.
    pub decided: SimTime,
}

/// Whom or what a fault strikes.
#[derive(Debug, Clone)]
pub enum Trouble {
    /// A request on its way, at the store, or on its way back.
    Request {
        /// Whose.
        who: Who,
        /// For what; nothing, if it only reads.
        operation: Option<Rc<Operation>>,
    },
    /// A node, for so many microseconds if it passes.
    Node(usize, Option<u64>),
    /// The store, for so many microseconds.
    Store(u64),
    /// The database's clock, by so many microseconds.
    Clock(i64),
    /// A run.
    Run(RunId),
    /// A row of a run's journal.
    Row(RunId, Seq),
    /// An attempt.
    Attempt(ProcessId, Attempted),
    /// A hint to a node.
    Hint(usize),
    /// A claim that is not shown everything.
    Scan(Who),
    /// Everybody.
    World,
}
