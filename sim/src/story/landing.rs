//! Operations that landed, in plain language: what was asked for, what was answered, and what follows.
//!
//! Invariant: what follows is read off the journal rows that were written, not guessed.

use squid_mesh_core::change::{Change, Heading, StepEnd};
use squid_mesh_core::event::Role;
use squid_mesh_core::operation::{
    Entry, EntryReply, GroupReply, HeldReply, JournalRow, Leases, Operation, Outcome, QueueAction,
    Reply, Report, Ruling, ScheduleAction, SlotReply,
};
use squid_mesh_core::task::{Item, TaskRow};

use super::cast::Cast;
use super::plain::span;
use super::{Attempted, Landed, Who};
use crate::clock::{SimTime, micros};

/// What is told of an operation that landed: nothing, where nothing came of it.
pub(super) fn told(landed: &Landed, at: SimTime, cast: &Cast) -> Vec<String> {
    let who = cast.who(landed.who);
    let mut lines = match (landed.operation.as_ref(), &landed.reply) {
        (Operation::Register(_), Reply::Registered(conflicts)) => conflicts
            .iter()
            .map(|conflict| format!("{who} may not start: {conflict}"))
            .collect(),
        (Operation::Submit(submit), Reply::Submitted { groups, .. }) => {
            let entries = submit.groups.iter().flat_map(|group| &group.entries);
            let calls = entries.clone().any(|entry| matches!(entry, Entry::Call(_)));
            let who = match landed.who {
                Who::Process(_) if !calls => format!("a client through {who}"),
                _ => who.clone(),
            };
            let groups = submit.groups.iter().zip(groups);
            groups
                .flat_map(|(group, reply)| group_told(&who, &group.entries, reply, cast))
                .collect()
        }
        (Operation::Claim(claim), Reply::Claimed(claimed)) => {
            let lease = span(micros(claim.offer.lease));
            let claimed = claimed.tasks.iter().map(|row| {
                let what = claimed_for(row, cast);
                format!("{who} claims {what} (lease until +{lease})")
            });
            claimed.collect()
        }
        (Operation::Lease(leases), Reply::Leased(replies)) => {
            leases_told(&who, leases, replies, cast)
        }
        (Operation::Settle(settle), Reply::Settled { slots, .. }) => {
            let reports = settle.reports.iter().zip(slots);
            reports
                .map(|(report, slot)| report_told(&who, report, slot, cast))
                .collect()
        }
        (Operation::Queue(command), Reply::Queue(reply)) => {
            let does = match command.action {
                QueueAction::Pause => "pauses",
                QueueAction::Resume => "resumes",
            };
            let was = match reply {
                Ok(reply) if reply.changed => String::new(),
                Ok(_) => ", which changes nothing".into(),
                Err(rejection) => format!(", and is refused: {rejection}"),
            };
            vec![format!("{who} {does} queue {}{was}", command.queue)]
        }
        (Operation::Schedule(command), Reply::Schedule(reply)) => {
            let was = match reply {
                Ok(reply) if reply.changed => String::new(),
                Ok(_) => ", which changes nothing".into(),
                Err(rejection) => format!(", and is refused: {rejection}"),
            };
            let does = schedule_does(&command.action);
            vec![format!("{who} {does} {}{was}", command.schedule)]
        }
        (_, reply) => vec![format!("{who} is answered {reply:?}")],
    };
    if let Some(last) = lines.last_mut() {
        *last += &follows(landed, cast);
        if landed.decided < at {
            *last += &format!(" (decided at +{}, in doubt since)", span(landed.decided.0));
        }
    }
    lines
}

/// What a client is told that is more than that it is done.
pub(super) fn answered(reply: &GroupReply, cast: &Cast) -> Option<String> {
    match reply {
        GroupReply::Done(_) | GroupReply::Busy => None,
        GroupReply::Refused { rejection, .. } => {
            let why = cast.rename(&rejection.to_string());
            Some(format!("the client is told that it is refused: {why}"))
        }
    }
}

fn group_told(who: &str, entries: &[Entry], reply: &GroupReply, cast: &Cast) -> Vec<String> {
    let wishes = entries.iter().map(|entry| wish(entry, cast));
    match reply {
        GroupReply::Done(replies) => {
            let one = |(wish, reply): (String, &EntryReply)| match reply {
                EntryReply::Started(start) if start.existing => {
                    let run = cast.run(start.run);
                    format!("{who} asks to {wish}: that is {run}, which exists")
                }
                EntryReply::Started(_) => format!("{who} asks to {wish}"),
                EntryReply::Cancelled(cancel) => {
                    format!("{who} asks to {wish}: it is {}", cancel.status)
                }
                EntryReply::Obeyed(obeyed) => {
                    format!("{who} asks to {wish}: it is {}", obeyed.status)
                }
            };
            wishes.zip(replies).map(one).collect()
        }
        GroupReply::Refused { rejection, .. } => {
            let why = cast.rename(&rejection.to_string());
            let wishes: Vec<String> = wishes.collect();
            vec![format!(
                "{who} asks to {}, and is refused: {why}",
                wishes.join(" and ")
            )]
        }
        GroupReply::Busy => Vec::new(),
    }
}

/// What a start or command asks for.
pub(super) fn wish(entry: &Entry, cast: &Cast) -> String {
    match entry {
        Entry::Start(start) => match &start.copy {
            Some(copy) => {
                let (run, source) = (cast.run(start.run), cast.run(copy.source));
                format!("start {run}, a copy of {source}")
            }
            None => format!("start {}", cast.run(start.run)),
        },
        Entry::Cancel(cancel) => {
            let how = match (cancel.force, cancel.undo) {
                (true, true) => " by force, taking effects back",
                (true, false) => " by force",
                (false, true) => ", taking effects back",
                (false, false) => "",
            };
            format!("cancel {}{how}", cast.run(cancel.run))
        }
        Entry::Resolve(resolve) => {
            let run = cast.run(resolve.run);
            let of = match &resolve.step {
                Some(step) => format!("step {step} of {run}"),
                None => run,
            };
            match &resolve.ruling {
                Ruling::Resume => format!("resume {of}"),
                Ruling::Approve => format!("approve {of}"),
                Ruling::Reject => format!("reject {of}"),
                Ruling::Succeeded { .. } => format!("take {of} for done"),
                Ruling::Retry => format!("have {of} tried again"),
                Ruling::Fail { .. } => format!("take {of} for failed"),
                Ruling::SkipUndo => format!("give the undo of {of} up"),
            }
        }
        Entry::Signal(signal) => {
            format!("send signal {} to {}", signal.signal, cast.run(signal.run))
        }
        Entry::Call(call) => {
            let of = call.task.run;
            format!(
                "start a run for {} of {}",
                cast.step(of, call.step),
                cast.run(of)
            )
        }
    }
}

/// What a task is claimed for.
fn claimed_for(row: &TaskRow, cast: &Cast) -> String {
    let of = Attempted {
        key: row.key,
        fence: row.fence,
        step: row.step,
        role: row.role(),
    };
    let (what, run) = (cast.attempted(of), cast.run(row.key.run));
    match row.item() {
        Item::Attempt => what,
        Item::Loss => format!("the expired lease of {what}, to record the loss"),
        Item::Wait => format!("the end of {what}"),
        Item::Deadline => format!("the deadline of {run}"),
        Item::Chore(chore) => {
            format!(
                "{what}, for the engine to {}",
                format!("{chore:?}").to_lowercase()
            )
        }
        Item::Delivery => format!("the news that {run} has ended"),
        Item::Firing => format!("the next occurrence of {run}"),
    }
}

/// What a report is about.
pub(super) fn subject(report: &Report, cast: &Cast) -> String {
    let (run, step) = (
        cast.run(report.key.run),
        cast.step(report.key.run, report.step),
    );
    match &report.outcome {
        Outcome::ChildEnded { parent, .. } => {
            format!("the end of {run} to its parent {}", cast.run(parent.run))
        }
        Outcome::Released { .. } => format!("the end of {run} to its schedule"),
        Outcome::Fired { .. } => run,
        Outcome::Engine(Item::Deadline) => format!("the deadline of {run}"),
        _ => format!("{step} of {run}"),
    }
}

fn report_told(who: &str, report: &Report, slot: &SlotReply, cast: &Cast) -> String {
    let subject = subject(report, cast);
    let what = match &report.outcome {
        Outcome::Succeeded { .. } => format!("that {subject} succeeded"),
        Outcome::Failed { failure, .. } => format!("that {subject} failed ({})", failure.code),
        Outcome::Conflicted => format!("that the transaction of {subject} met another"),
        Outcome::Engine(Item::Loss) => {
            format!("the loss of {subject}: its lease ended without a report")
        }
        Outcome::Engine(Item::Wait) => format!("that the time of {subject} has come"),
        Outcome::Engine(Item::Deadline) => format!("{subject}: it has come"),
        Outcome::Unreadable { detail } => {
            format!("that what {subject} needs cannot be read: {detail}")
        }
        Outcome::Engine(_) | Outcome::Found(_) => format!("what the engine found at {subject}"),
        Outcome::Spawn(spawn) => {
            let count = spawn.inputs.len();
            format!(
                "{count} runs of {} that {subject} starts",
                spawn.definition.name
            )
        }
        Outcome::Collected { .. } => format!("the results of the runs that {subject} started"),
        Outcome::Recall { .. } => format!("that the runs of {subject} are told to cancel"),
        Outcome::ChildEnded { .. } | Outcome::Released { .. } => subject,
        Outcome::Fired { .. } => format!("an occurrence of {subject}"),
    };
    match slot {
        SlotReply::Accepted => format!("{who} records {what}"),
        SlotReply::Busy => format!("{who} wants to record {what}, and finds the run locked"),
        SlotReply::Rejected(why) => {
            let why = cast.rename(&why.to_string());
            format!("{who} wants to record {what}, and is refused: {why}")
        }
    }
}

fn leases_told(who: &str, leases: &Leases, replies: &[HeldReply], cast: &Cast) -> Vec<String> {
    let lease = span(micros(leases.lease));
    let renewals = leases.renew.iter().map(|held| {
        let what = cast.held(held);
        (
            format!("{who} renews its lease on {what} (until +{lease})"),
            what,
        )
    });
    let begun = leases.begun.iter().map(|held| {
        let what = cast.held(held);
        (
            format!("{who} has it recorded that the handler of {what} is about to begin"),
            what,
        )
    });
    let back = leases.hand_back.iter().map(|held| {
        let what = cast.held(held);
        (format!("{who} hands {what} back"), what)
    });
    let all = renewals.chain(begun).chain(back).zip(replies);
    let told = all.filter_map(|((text, what), reply)| match reply {
        HeldReply::Held { stop: true, .. } => Some(format!("{text}, and hears that it is to stop")),
        HeldReply::Held { .. } | HeldReply::HandedBack => Some(text),
        HeldReply::Lost => Some(format!("{who} finds that its lease on {what} is lost")),
        HeldReply::Busy => None,
    });
    told.collect()
}

fn schedule_does(action: &ScheduleAction) -> &'static str {
    match action {
        ScheduleAction::Create(_) => "creates",
        ScheduleAction::Change(_) => "changes",
        ScheduleAction::Declare(_) => "declares",
        ScheduleAction::Retire { .. } => "retires",
        ScheduleAction::Pause => "pauses",
        ScheduleAction::Resume => "resumes",
        ScheduleAction::Delete => "deletes",
        ScheduleAction::Trigger { .. } => "triggers",
        ScheduleAction::Fire { .. } => "fires an occurrence of",
    }
}

/// What follows from an operation: read off the rows that it wrote, and off what it handed to whoever asked.
fn follows(landed: &Landed, cast: &Cast) -> String {
    let rows = landed.recorded.iter();
    let mut follows: Vec<String> = rows.flat_map(|row| consequences(row, cast)).collect();
    let handed = match &landed.reply {
        Reply::Settled { handed, .. } | Reply::Submitted { handed, .. } => &handed[..],
        _ => &[],
    };
    let who = cast.who(landed.who);
    let handed = handed.iter();
    follows.extend(handed.map(|row| format!("{who} gets {} at once", claimed_for(row, cast))));
    match follows.is_empty() {
        true => String::new(),
        false => format!("; {}", follows.join("; ")),
    }
}

fn consequences(row: &JournalRow, cast: &Cast) -> Vec<String> {
    let run = cast.run(row.run);
    let step = |step| cast.step(row.run, step);
    let after = |due: squid_mesh_core::time::Timestamp| micros(due.since(row.at));
    let one = |change: &Change| match change {
        Change::Schedule {
            step: of,
            role,
            due,
            ..
        } => {
            let what = match role {
                Role::Step => step(*of),
                Role::Undo => format!("the undo of {}", step(*of)),
            };
            Some(match after(*due) {
                0 => format!("{what} is ready"),
                wait => format!("{what} is due in {}", span(wait)),
            })
        }
        Change::Await { step: of, due, .. } => {
            Some(format!("{} is over in {}", step(*of), span(after(*due))))
        }
        Change::Open { step: of, .. } => Some(format!("{} waits for somebody", step(*of))),
        Change::Stop { step: of } => Some(format!("{} is to stop", step(*of))),
        Change::Hold { step: of, .. } => Some(format!(
            "{} is in doubt: nobody knows what became of it",
            step(*of)
        )),
        Change::Settle { step: of, end } => match end {
            StepEnd::Succeeded => None,
            StepEnd::Cancelled => Some(format!("{} is cancelled", step(*of))),
            StepEnd::Skipped => Some(format!("{} is skipped", step(*of))),
        },
        Change::Fail { step: of, code, .. } => Some(format!("{} has failed ({code})", step(*of))),
        Change::Undone { step: of, done } => Some(match done {
            true => format!("{} is taken back", step(*of)),
            false => format!("{} is not taken back", step(*of)),
        }),
        Change::Wind { heading } => Some(match heading {
            Heading::Completed => format!("{run} is about to complete"),
            Heading::Failed(cause) => format!("{run} is failing ({})", cause.code()),
            Heading::Cancelled => format!("{run} is being cancelled"),
        }),
        Change::Finish => Some(format!("{run} has ended")),
        Change::Keep { signal, .. } => Some(format!("signal {signal} is kept until it is wanted")),
        _ => None,
    };
    row.transition.changes.iter().filter_map(one).collect()
}
