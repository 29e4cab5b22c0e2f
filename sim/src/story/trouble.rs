//! Faults in plain language: what strikes whom, and what that means.
//!
//! Invariant: whatever strikes is called by what it strikes, never by an id.

use squid_mesh_core::operation::Operation;

use super::cast::Cast;
use super::plain::span;
use super::{Trouble, Who, landing};
use crate::fault::Fault;

/// What a fault is and does.
pub(super) fn told(fault: Fault, trouble: &Trouble, cast: &Cast) -> String {
    match trouble {
        Trouble::Request { who, operation } => {
            let what = asked(*who, operation.as_deref(), cast);
            request(fault, &what, &cast.who(*who))
        }
        Trouble::Node(node, _) => of_node(fault, &Cast::node(*node)),
        Trouble::Store(micros) => match fault {
            Fault::ReadOnly => format!("the store refuses to write for {}", span(*micros)),
            Fault::Restored => format!(
                "another server takes over without what was committed last: all connections are cut, and it answers nobody for {}",
                span(*micros)
            ),
            Fault::Failover => format!(
                "another server takes over with everything that was committed: all connections are cut, and it answers nobody for {}",
                span(*micros)
            ),
            _ => format!("the store answers nobody for {}", span(*micros)),
        },
        Trouble::Clock(by) => {
            let way = if *by < 0 { "back" } else { "forward" };
            format!(
                "the database's clock steps {way} by {}",
                span(by.unsigned_abs())
            )
        }
        Trouble::Run(run) => format!("the snapshot of {} becomes unreadable", cast.run(*run)),
        Trouble::Row(run, seq) => {
            format!(
                "row {} of the journal of {} is damaged",
                seq.0,
                cast.run(*run)
            )
        }
        Trouble::Attempt(process, of) => {
            let (node, what) = (cast.process(*process), cast.attempted(*of));
            let handler = format!("the handler of {what} on {node}");
            match fault {
                Fault::HandlerFails => format!("{handler} is going to fail"),
                Fault::HandlerHangs => format!("{handler} never returns"),
                Fault::HandlerIgnoresStop => format!("{handler} will ignore being told to stop"),
                Fault::HandlerOverruns => format!("{handler} takes about as long as it may"),
                Fault::HandlerKillsHost => {
                    format!("{handler} is going to take its process with it")
                }
                Fault::Oversized => format!("{handler} is going to return more than it may"),
                Fault::HostConflict => format!("the transaction of {handler} will meet another"),
                _ => format!("{} of {handler}", fault.name()),
            }
        }
        Trouble::Hint(node) => {
            let node = Cast::node(*node);
            match fault {
                Fault::HintLost => format!("a hint that there is work does not reach {node}"),
                Fault::HintTwice => format!("a hint that there is work reaches {node} twice"),
                _ => format!("a hint that there is work reaches {node} late"),
            }
        }
        Trouble::Scan(who) => {
            let who = cast.who(*who);
            format!("a claim of {who} is shown some of the due tasks only")
        }
        Trouble::World => "no hint is ever delivered".into(),
    }
}

/// What somebody asks the store for, as the subject of a sentence.
fn asked(who: Who, operation: Option<&Operation>, cast: &Cast) -> String {
    let who = cast.who(who);
    match operation {
        None => format!("{who}'s read"),
        Some(Operation::Register(_)) => format!("{who}'s registration"),
        Some(Operation::Claim(_)) => format!("{who}'s claim"),
        Some(Operation::Lease(leases)) => {
            let (kind, held) = match (&leases.renew[..], &leases.begun[..], &leases.hand_back[..]) {
                ([held, ..], ..) => ("renewal of its lease", held),
                (_, [held, ..], _) => ("note that a handler begins", held),
                (.., [held, ..]) => ("hand-back", held),
                _ => return format!("{who}'s renewal"),
            };
            format!("{who}'s {kind} on {}", cast.held(held))
        }
        Some(Operation::Settle(settle)) => match settle.reports.first() {
            Some(report) => format!("{who}'s report on {}", landing::subject(report, cast)),
            None => format!("{who}'s report"),
        },
        Some(Operation::Submit(submit)) => {
            let entries = submit.groups.iter().flat_map(|group| &group.entries);
            let wishes: Vec<String> = entries.map(|entry| landing::wish(entry, cast)).collect();
            format!("{who}'s request to {}", wishes.join(" and "))
        }
        Some(Operation::Queue(queue)) => {
            format!("{who}'s {:?} of queue {}", queue.action, queue.queue).to_lowercase()
        }
        Some(Operation::Schedule(schedule)) => {
            format!("{who}'s command on schedule {}", schedule.schedule)
        }
    }
}

fn request(fault: Fault, what: &str, who: &str) -> String {
    match fault {
        Fault::LostRequest => format!("{what} never reaches the store, and {who} hears nothing"),
        Fault::LostReply => {
            format!(
                "the acknowledgement of {what} is lost: the store performs it, and {who} does not hear of it"
            )
        }
        Fault::Conflict => format!("{what} meets another transaction: rolled back for certain"),
        Fault::InDoubtLands => {
            format!("the commit of {what} is in doubt, and is going to land later")
        }
        Fault::InDoubtRollsBack => {
            format!("the commit of {what} is in doubt, and is going to be rolled back later")
        }
        Fault::Doubled => format!("{what} is performed twice"),
        Fault::Stall => format!("{what} is under way for a long time"),
        Fault::SlowReply => format!("the answer to {what} is under way for a long time"),
        Fault::ReplyTwice => format!("the answer to {what} comes twice"),
        _ => format!("{}: {what}", fault.name()),
    }
}

fn of_node(fault: Fault, node: &str) -> String {
    match fault {
        Fault::Crash | Fault::CrashAll => {
            format!("{node} crashes: what it held is nobody's until its lease ends")
        }
        Fault::CrashAtEffect => {
            format!(
                "{node} dies in the middle of what it does: what it held is nobody's until its lease ends"
            )
        }
        Fault::Freeze | Fault::FreezeHolder => {
            format!("{node} stands still with everything in flight, and does not know it")
        }
        Fault::Drain => format!("{node} is told to shut down"),
        Fault::DrainCut => format!("{node} is told to shut down, and will be cut short"),
        Fault::HostJump => format!("the clock of {node} jumps ahead"),
        Fault::HostDrift => format!("the clock of {node} is far too fast or too slow"),
        Fault::NodeLost => {
            format!("{node} is lost for ever: what it held is nobody's until its lease ends")
        }
        Fault::Namesake => format!("{node} starts under a name that another node has"),
        Fault::Replaced => {
            format!(
                "{node} is taken for dead: another node is about to start under its name, with all that it can do"
            )
        }
        Fault::MissingHandler => format!("{node} lacks a handler, or does not serve a queue"),
        _ => format!("{} of {node}", fault.name()),
    }
}
