//! A story as lines that say everything, for whoever knows the engine.
//!
//! Invariant: one line for each thing that happened, with its event and its time.

use std::fmt;

use squid_mesh_core::operation::{Entry, Operation, Reply, Report, SlotReply};
use squid_mesh_core::task::TaskRow;

use super::{Attempted, Deed, Landed, Scene, Trouble, Who};
use crate::plan::Wish;

impl fmt::Display for Scene {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = self.at.to_string();
        write!(f, "{:>6}  {at:>16}  {}", self.event, self.deed)
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Who::Process(process) => write!(f, "process {}", process.0),
            Who::Client(command) => write!(f, "a client for command {command}"),
            Who::Handler => f.write_str("a handler"),
            Who::Body(body) => write!(f, "body {}", body.0),
        }
    }
}

impl fmt::Display for Attempted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Attempted {
            key,
            fence,
            step,
            role,
        } = self;
        write!(f, "{key} {fence} step {} ({role:?})", step.0)
    }
}

impl fmt::Display for Deed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Deed::Boots {
                node,
                process,
                incarnation,
            } => write!(
                f,
                "node {node} starts process {} ({incarnation})",
                process.0
            ),
            Deed::Gone { node, process } => {
                write!(f, "process {} of node {node} is gone", process.0)
            }
            Deed::Stopped(process) => write!(f, "process {} has stopped", process.0),
            Deed::Thaws(node) => write!(f, "node {node} goes on"),
            Deed::Installs { node, release } => {
                write!(f, "node {node} is to run release {}", release + 1)
            }
            Deed::Sends { command, via, wish } => {
                let wish = summary(wish);
                write!(f, "a client sends command {command} via {via:?}: {wish:?}")
            }
            Deed::Answered { command, reply } => {
                write!(f, "command {command} is answered: {reply:?}")
            }
            Deed::Fault(fault, trouble) => write!(f, "FAULT {} {trouble}", fault.name()),
            Deed::Waits(who) => write!(f, "{who} waits for a lock"),
            Deed::Resolved { who, lands: true } => {
                write!(f, "an operation in doubt of {who} lands")
            }
            Deed::Resolved { who, lands: false } => {
                write!(f, "an operation in doubt of {who} is rolled back")
            }
            Deed::Lands(landed) => write!(f, "{landed}"),
            Deed::Begins {
                process,
                body,
                of,
                attempt,
                script,
            } => write!(
                f,
                "process {} begins body {}: {of} attempt {attempt}: {script:?}",
                process.0, body.0
            ),
            Deed::Returns { body, of, ending } => {
                write!(f, "body {} of {of} returns {ending:?}", body.0)
            }
            Deed::Stops {
                process,
                of,
                reason,
            } => write!(f, "process {} tells {of} to stop: {reason:?}", process.0),
            Deed::Aborts { process, of } => write!(f, "process {} aborts {of}", process.0),
            Deed::Kills(process) => write!(f, "a handler kills process {}", process.0),
            Deed::Calls { body, of, key } => {
                write!(f, "body {} of {of} starts a run under key {key}", body.0)
            }
            Deed::CallAnswered { body, result } => {
                write!(f, "body {} is answered: {result}", body.0)
            }
            Deed::Logs { process, line } => write!(f, "process {} logs {line}", process.0),
            Deed::Hears { process, error } => write!(f, "process {} hears: {error}", process.0),
            Deed::Calm => f.write_str("faults stop"),
            Deed::Finished => f.write_str("every run has ended"),
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trouble::Request { who, .. } => write!(f, "of {who}"),
            Trouble::Node(node, None) => write!(f, "of node {node}"),
            Trouble::Node(node, Some(span)) => write!(f, "of node {node} for {span} us"),
            Trouble::Store(span) => write!(f, "for {span} us"),
            Trouble::Clock(by) => write!(f, "by {by} us"),
            Trouble::Run(run) => write!(f, "of run {run}"),
            Trouble::Row(run, seq) => write!(f, "of row {} of run {run}", seq.0),
            Trouble::Attempt(process, of) => write!(f, "in process {}: {of}", process.0),
            Trouble::Hint(node) => write!(f, "to node {node}"),
            Trouble::Scan(who) => write!(f, "of {who}"),
            Trouble::World => f.write_str("everywhere"),
        }
    }
}

impl fmt::Display for Landed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let who = match self.who {
            Who::Client(_) => "a client".to_owned(),
            who => who.to_string(),
        };
        match (self.operation.as_ref(), &self.reply) {
            (Operation::Claim(claim), Reply::Claimed(claimed)) => {
                let task = |row: &TaskRow| format!("{} {} {:?}", row.key, row.fence, row.item());
                let tasks: Vec<String> = claimed.tasks.iter().map(task).collect();
                let (number, lease) = (claim.number, claim.offer.lease);
                let tasks = tasks.join(", ");
                write!(f, "{who} claim {number}: [{tasks}] until +{lease:?}")
            }
            (Operation::Settle(settle), Reply::Settled { slots, handed, .. }) => {
                let one = |(report, slot): (&Report, &SlotReply)| {
                    let Report {
                        key,
                        token,
                        step,
                        outcome,
                        ..
                    } = report;
                    format!(
                        "{key} {} step {} {outcome:?} -> {slot:?}",
                        token.fence, step.0
                    )
                };
                let reports: Vec<String> = settle.reports.iter().zip(slots).map(one).collect();
                let handed = handed
                    .iter()
                    .map(|row| format!("{} {}", row.key, row.fence));
                let handed: Vec<String> = handed.collect();
                let (reports, handed) = (reports.join("; "), handed.join(", "));
                write!(f, "{who} settle: [{reports}] handed [{handed}]")
            }
            (Operation::Lease(leases), Reply::Leased(replies)) => {
                let keys = |held: &[squid_mesh_core::operation::Held]| {
                    let keys: Vec<String> = held.iter().map(|held| held.key.to_string()).collect();
                    keys.join(", ")
                };
                write!(
                    f,
                    "{who} renew [{}] begun [{}] hand back [{}] -> {replies:?}",
                    keys(&leases.renew),
                    keys(&leases.begun),
                    keys(&leases.hand_back)
                )
            }
            (Operation::Submit(_), Reply::Submitted { groups, .. }) => {
                write!(f, "{who} submit -> {groups:?}")
            }
            (Operation::Queue(command), reply) => {
                write!(
                    f,
                    "{who} {:?} {} -> {reply:?}",
                    command.action, command.queue
                )
            }
            (_, reply) => write!(f, "{who} -> {reply:?}"),
        }
    }
}

fn summary(wish: &Wish) -> Vec<String> {
    let entries = match wish {
        Wish::Group(group) => &group.entries,
        Wish::Queue(queue) => return vec![format!("{:?} {}", queue.action, queue.queue)],
        Wish::Schedule(command) => {
            return vec![format!("{:?} {}", command.action, command.schedule)];
        }
    };
    let one = |entry: &Entry| match entry {
        Entry::Start(start) => format!("start {} of {}", start.run, start.definition),
        Entry::Cancel(cancel) => format!(
            "cancel {}{}",
            cancel.run,
            if cancel.force { " --force" } else { "" }
        ),
        Entry::Resolve(resolve) => format!("{:?} of {}", resolve.ruling, resolve.run),
        Entry::Signal(signal) => format!("signal {} to {}", signal.signal, signal.run),
        Entry::Call(call) => format!("{} starts {}", call.task, call.start.run),
    };
    entries.iter().map(one).collect()
}
