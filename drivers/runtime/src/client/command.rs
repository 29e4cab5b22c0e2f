//! Commands as values: what a builder would do, to be kept, sent on, and performed elsewhere.
//!
//! Invariant: applying a command does what awaiting the builder that it was made of would have done.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use squid_mesh_core::id::RunId;
use squid_mesh_core::schedule::PlanDraft;
use squid_mesh_core::time::Timestamp;

/// One command: an envelope that is written as JSON.
///
/// ```
/// use squid_mesh::{Command, CommandKind};
///
/// let command: Command = serde_json::from_str(
///     r#"{"type": "approve", "run": "0189d7a2-0000-7000-8000-000000000000", "actor": "ana", "key": "form-1"}"#,
/// )?;
/// assert!(matches!(command.what, CommandKind::Approve { step: None, .. }));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Command {
    /// What is to be done, and about which run, workflow, queue or schedule: `type` and the fields that go with it.
    #[serde(flatten)]
    pub what: CommandKind,
    /// Who asks.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub actor: Option<String>,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub comment: Option<String>,
    /// Whatever else is to be recorded with it: a JSON object.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub metadata: Option<Value>,
    /// The key that makes a repetition one: of a start its idempotency key, else the command key. A command without one that is
    /// applied twice is two commands.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub key: Option<String>,
    /// When it was asked for, by whoever did. What is recorded is when the database took it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub time: Option<Timestamp>,
}

/// What a command is to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum CommandKind {
    /// Start a run.
    Start(Box<StartCommand>),
    /// Cancel a run.
    Cancel {
        /// The run.
        run: RunId,
        /// Take back what was done.
        #[serde(default)]
        undo: bool,
        /// Do not wait for running attempts.
        #[serde(default)]
        force: bool,
    },
    /// Approve what a run waits for.
    Approve {
        /// The run.
        run: RunId,
        /// The step, should it wait at several.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        step: Option<String>,
    },
    /// Reject what a run waits for approval of.
    Reject {
        /// The run.
        run: RunId,
        /// The step, should it wait at several.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        step: Option<String>,
    },
    /// Resume a run that waits at a pause.
    Resume {
        /// The run.
        run: RunId,
        /// The step, should it wait at several.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        step: Option<String>,
    },
    /// Say that an attempt of unknown outcome succeeded.
    ResolveSucceeded {
        /// The run.
        run: RunId,
        /// The step, should there be several.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        step: Option<String>,
        /// The output.
        payload: Value,
        /// The label that came with it.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        label: Option<String>,
    },
    /// Say that a step whose attempt has an unknown outcome is to be tried again.
    ResolveRetry {
        /// The run.
        run: RunId,
        /// The step, should there be several.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        step: Option<String>,
    },
    /// Say that an attempt of unknown outcome failed for good.
    ResolveFailed {
        /// The run.
        run: RunId,
        /// The step, should there be several.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        step: Option<String>,
        /// The failure's code.
        code: String,
        /// The failure's message.
        message: String,
    },
    /// Give up taking back what a step did.
    SkipUndo {
        /// The run.
        run: RunId,
        /// The step, should there be several.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        step: Option<String>,
    },
    /// Send a signal.
    Signal {
        /// The run.
        run: RunId,
        /// Its name.
        signal: String,
        /// What it carries.
        payload: Value,
    },
    /// Start a run like another.
    Replay {
        /// The other.
        run: RunId,
        /// On the version that the other ran.
        #[serde(default)]
        same_version: bool,
        /// Repeat even what must not be repeated unasked.
        #[serde(default)]
        allow_irreversible: bool,
    },
    /// Start a run that does again some steps of another, and all that wait for them.
    Fork {
        /// The other.
        run: RunId,
        /// The steps.
        from: Vec<String>,
        /// Repeat even what must not be repeated unasked.
        #[serde(default)]
        allow_irreversible: bool,
    },
    /// Start a run that goes on where a failed one did not.
    ResumeFailed {
        /// The failed run.
        run: RunId,
        /// Repeat even what must not be repeated unasked.
        #[serde(default)]
        allow_irreversible: bool,
    },
    /// Pause a queue. It takes no metadata: the operator log has no place for it.
    PauseQueue {
        /// The queue.
        queue: String,
    },
    /// Resume a queue: see the above.
    ResumeQueue {
        /// The queue.
        queue: String,
    },
    /// Create a schedule. Like the other commands about schedules that start no run, it takes no metadata.
    CreateSchedule(Box<ScheduleCommand>),
    /// Change a schedule.
    ChangeSchedule(Box<ScheduleCommand>),
    /// Pause a schedule.
    PauseSchedule {
        /// The schedule.
        schedule: String,
    },
    /// Resume a schedule.
    ResumeSchedule {
        /// The schedule.
        schedule: String,
    },
    /// Delete a schedule.
    DeleteSchedule {
        /// The schedule.
        schedule: String,
    },
    /// Have a schedule start a run at once.
    TriggerSchedule {
        /// The schedule.
        schedule: String,
    },
    /// Say that the time of an occurrence of a schedule has come.
    FireSchedule {
        /// The schedule.
        schedule: String,
        /// The occurrence; of a signal, when what it stands for was, if that matters.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        occurrence: Option<Timestamp>,
        /// The identity that the occurrence has in place of its time.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        signal: Option<String>,
    },
}

/// A schedule, as a command says it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct ScheduleCommand {
    /// What it is called.
    pub schedule: String,
    /// The workflow that it starts.
    pub workflow: String,
    /// The trigger that it starts it by; the first, if none is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trigger: Option<String>,
    /// When, and what if it is late or the run before goes on.
    pub plan: PlanDraft,
    /// The input of its runs.
    pub payload: Value,
}

/// A start, as a command says it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct StartCommand {
    /// The workflow.
    pub workflow: String,
    /// The version; the highest there is, if none is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<u32>,
    /// The input.
    pub payload: Value,
    /// The trigger; the first, if none is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trigger: Option<String>,
    /// Labels.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// The queue of steps that name none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue: Option<String>,
    /// The priority of steps that name none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<i16>,
    /// How long after the start to begin; not beside `at`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delay: Option<Duration>,
    /// When to begin; not beside `delay`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
    /// How long the run may take.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Duration>,
    /// W3C trace context.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace: Option<String>,
}

impl Command {
    /// A command that nobody in particular asks for.
    pub fn new(what: CommandKind) -> Command {
        Command {
            what,
            actor: None,
            comment: None,
            metadata: None,
            key: None,
            time: None,
        }
    }
}

/// Something that a builder was given cannot be written as JSON, so there is no command.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} cannot be written as JSON: {why}")]
#[non_exhaustive]
pub struct UnwritableCommand {
    /// What cannot.
    pub what: &'static str,
    /// Why.
    pub why: String,
}
