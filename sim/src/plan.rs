//! What clients ask for in one world: starts, repeated starts, cancels, pauses of queues.
//!
//! Invariant: a plan is drawn before the first event; a command keeps its ids however often it is sent.

mod schedules;

use std::time::Duration;

use squid_mesh_core::definition::Definition;
use squid_mesh_core::event::By;
use squid_mesh_core::id::{CommandId, Life, RunId};
use squid_mesh_core::name::{ENGINE_QUEUE, Name};
use squid_mesh_core::operation::{
    Cancel, Entry, Group, QueueAction, QueueCommand, ScheduleCommand, Start, StartDelay,
};
use squid_mesh_core::payload::Payload;

use crate::choice::{Choices, Label, Topic};
use crate::clock::SimTime;
use crate::settings::{Settings, Traffic};

pub(crate) use schedules::wish as schedule_wish;

/// One thing a client asks for.
#[derive(Debug, Clone)]
pub struct Command {
    /// When it is first sent.
    pub at: SimTime,
    /// What it asks for.
    pub wish: Wish,
    /// Through which node's worker; straight to the store, if none is named.
    pub via: Option<usize>,
}

/// What a client asks for.
#[derive(Debug, Clone)]
pub enum Wish {
    /// Starts and commands on runs.
    Group(Group),
    /// A pause or resume, always straight to the store.
    Queue(QueueCommand),
    /// Something that is done to a schedule, always straight to the store.
    Schedule(Box<ScheduleCommand>),
}

/// Draws everything that clients ask for, in the order in which it is first sent.
pub fn drawn(settings: &Settings, choices: &mut Choices) -> Vec<Command> {
    let mut commands: Vec<Command> = Vec::new();
    for number in 0..settings.runs {
        let outer = choices.enter(Topic::Plan, &[number as u64]);
        let before = commands.len();
        let burst = choices.happens(Label::Command, 500);
        let latest = if burst {
            settings.horizon.0 / 50
        } else {
            settings.horizon.0 / 2
        };
        let at = SimTime(choices.choose(Label::Command, latest));
        let mut start = start(number, settings, choices);
        // Clients ask for what a deploy brings when it has begun.
        let at = at.max(settings.known_from(&start.definition));
        match settings.traffic {
            Traffic::Mixed => around(&start, at, settings, choices, &mut commands),
            Traffic::StartsOnly => start.deadline = None,
        }
        let via = route(settings, choices);
        commands.push(Command {
            at,
            wish: single(Entry::Start(Box::new(start))),
            via,
        });
        if choices.drops() {
            commands.truncate(before);
        }
        choices.leave(outer);
    }
    merge_some(&mut commands, choices);
    if settings.traffic == Traffic::Mixed {
        pauses(settings, choices, &mut commands);
        schedules::drawn(settings, &mut commands, choices);
    }
    commands.sort_by_key(|command| command.at);
    commands
}

/// What else concerns the run of a start: repeats, duplicates under its key, cancels.
fn around(
    start: &Start,
    at: SimTime,
    settings: &Settings,
    choices: &mut Choices,
    commands: &mut Vec<Command>,
) {
    let mut push = |at: SimTime, entry: Entry, choices: &mut Choices| {
        let via = route(settings, choices);
        commands.push(Command {
            at,
            wish: single(entry),
            via,
        });
    };
    let asked = settings.cast.commands;
    if asked.repeats && choices.happens(Label::Command, 120) {
        let later = at.plus_micros(choices.magnitude(Label::Command, 1, 10_000_000));
        push(later, Entry::Start(Box::new(start.clone())), choices);
    }
    if asked.repeats && start.key.is_some() && choices.happens(Label::Command, 600) {
        let mut again = Start {
            command: CommandId::from_u128(choices.bits()),
            ..start.clone()
        };
        again.life = life(choices);
        if choices.happens(Label::Command, 400) {
            again.input = settings.cast.another_input(&start.definition);
            again.raw_input = again.input.digest();
        }
        let later = at.plus_micros(choices.magnitude(Label::Command, 1, 10_000_000) - 1);
        push(later, Entry::Start(Box::new(again)), choices);
    }
    if asked.cancels && choices.happens(Label::Command, 220) {
        let mut at = at;
        let mut cancel = cancel(start.run, choices);
        for _ in 0..choices.pick(Label::Command, &[1, 1, 2]) {
            at = at.plus_micros(choices.magnitude(Label::Command, 100, 20_000_000));
            push(at, Entry::Cancel(cancel.clone()), choices);
            if choices.happens(Label::Command, 500) {
                cancel = self::cancel(start.run, choices);
            }
        }
    }
}

fn single(entry: Entry) -> Wish {
    Wish::Group(Group {
        entries: vec![entry],
    })
}

/// Operators pause queues and resume them, some more than once, some never.
fn pauses(settings: &Settings, choices: &mut Choices, commands: &mut Vec<Command>) {
    if !settings.cast.commands.pauses || !choices.happens(Label::Command, 350) {
        return;
    }
    let (usual, other) = (&settings.cast.queues[0], settings.cast.other_queue());
    for nth in 0..choices.between(Label::Command, 1, 4) {
        let outer = choices.enter(Topic::Plans, &[nth]);
        let queue = choices.pick(
            Label::Command,
            &[usual.as_str(), usual.as_str(), other.as_str(), ENGINE_QUEUE],
        );
        let at = SimTime(choices.choose(Label::Command, settings.horizon.0 / 2));
        let mut push = |at, wish| {
            let via = None;
            commands.push(Command { at, wish, via });
        };
        push(at, set_queue(queue, QueueAction::Pause, choices));
        if choices.happens(Label::Command, 150) {
            let again = at.plus_micros(choices.magnitude(Label::Command, 1, 1_000_000));
            push(again, set_queue(queue, QueueAction::Pause, choices));
        }
        if choices.happens(Label::Command, 800) {
            let later = at.plus_micros(choices.magnitude(Label::Command, 10_000, 10_000_000));
            push(later, set_queue(queue, QueueAction::Resume, choices));
        }
        choices.leave(outer);
    }
}

/// A pause or resume by a command of its own.
pub fn set_queue(queue: &str, action: QueueAction, choices: &mut Choices) -> Wish {
    Wish::Queue(QueueCommand {
        queue: Name::stored(queue),
        action,
        command: CommandId::from_u128(choices.bits()),
        actor: Some("ana".into()),
        comment: None,
    })
}

fn route(settings: &Settings, choices: &mut Choices) -> Option<usize> {
    let direct = !choices.happens(Label::Command, 600);
    (!direct).then(|| choices.index(Label::Command, settings.nodes.len()))
}

fn start(number: usize, settings: &Settings, choices: &mut Choices) -> Start {
    let given = settings.cast.start(number, choices);
    let definition = match &given {
        Some((definition, _)) => definition,
        None => &settings.workflows[choices.index(Label::Command, settings.workflows.len())],
    };
    let key = choices
        .happens(Label::Command, 300)
        .then(|| format!("key {number}"));
    let run = match &key {
        Some(key) => RunId::derived(definition.name(), key),
        None => RunId::from_u128(choices.bits()),
    };
    let at = settings.base.as_micros() / 1_000
        + i64::try_from(choices.between(Label::Command, 0, 60_000)).expect("a minute");
    let plain = || Payload::new(format!("{{\"number\":{number},\"at\":{at}}}").into_bytes());
    let priority = choices.pick(Label::Command, &[None, None, None, Some(3), Some(-3)]);
    let (life, command) = (life(choices), CommandId::from_u128(choices.bits()));
    let trigger = definition
        .triggers()
        .first()
        .map(|trigger| trigger.name.clone());
    let definition = Definition::key(definition).clone();
    let input = given.map_or_else(plain, |(_, input)| input);
    let asked = settings.cast.commands;
    let start = Start::new(run, life, command, definition, input);
    Start {
        key,
        queue: choices
            .happens(Label::Command, 100)
            .then(|| settings.cast.other_queue().clone()),
        priority,
        delay: delay(settings, choices),
        deadline: (asked.deadlines && choices.happens(Label::Command, 120))
            .then(|| span(choices, 200_000, 40_000_000)),
        trigger: trigger.unwrap_or_else(|| start.trigger.clone()),
        ..start
    }
}

fn delay(settings: &Settings, choices: &mut Choices) -> Option<StartDelay> {
    if !settings.cast.commands.delays || !choices.happens(Label::Command, 250) {
        return None;
    }
    let span = span(choices, 1_000, 120_000_000);
    Some(if choices.happens(Label::Command, 300) {
        StartDelay::At(settings.base.plus(span))
    } else {
        StartDelay::In(span)
    })
}

fn cancel(run: RunId, choices: &mut Choices) -> Cancel {
    Cancel {
        run,
        command: CommandId::from_u128(choices.bits()),
        by: By {
            actor: Some("ana".into()),
            ..By::default()
        },
        force: choices.happens(Label::Command, 250),
        undo: choices.happens(Label::Command, 400),
    }
}

/// Some pairs of commands are one atomic group.
fn merge_some(commands: &mut Vec<Command>, choices: &mut Choices) {
    let mut index = 1;
    while index < commands.len() {
        let apart = |a: &Group, b: &Group| {
            a.entries
                .iter()
                .all(|x| b.entries.iter().all(|y| x.run() != y.run()))
        };
        let together = match (&commands[index - 1].wish, &commands[index].wish) {
            (Wish::Group(one), Wish::Group(other)) => {
                one.entries.len() < 3 && apart(one, other) && choices.happens(Label::Command, 60)
            }
            (Wish::Group(_) | Wish::Queue(_) | Wish::Schedule(_), _) => false,
        };
        if !together {
            index += 1;
            continue;
        }
        let merged = commands.remove(index).wish;
        if let (Wish::Group(into), Wish::Group(merged)) = (&mut commands[index - 1].wish, merged) {
            into.entries.extend(merged.entries);
        }
    }
}

fn life(choices: &mut Choices) -> Life {
    Life(choices.choose(Label::Identity, u64::MAX))
}

fn span(choices: &mut Choices, low: u64, high: u64) -> Duration {
    Duration::from_micros(choices.magnitude(Label::Command, low, high))
}
