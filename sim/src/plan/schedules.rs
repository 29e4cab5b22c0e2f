//! What clients ask of schedules in one world.
//!
//! Invariant: everything is drawn from a substream of its own, so worlds without schedules are as they were.

use std::sync::Arc;

use squid_mesh_core::definition::{DefinitionKey, DraftSpan};
use squid_mesh_core::event::By;
use squid_mesh_core::id::{CommandId, Life, Shard};
use squid_mesh_core::name::{DEFAULT_TRIGGER, Name};
use squid_mesh_core::operation::{Declaration, ScheduleAction, ScheduleCommand};
use squid_mesh_core::payload::Payload;
use squid_mesh_core::schedule::{DraftCatchUp, Overlap, Plan, PlanDraft, ScheduleKey};
use squid_mesh_core::time::Timestamp;

use super::{Command, Wish};
use crate::choice::{Choices, Label, Topic};
use crate::clock::SimTime;
use crate::settings::Settings;

/// Seconds between two occurrences, from often to rarely.
const PERIODS: [u64; 7] = [2, 3, 5, 8, 10, 15, 30];
/// Zones whose clocks change near one of the bases, one whose offset is no whole hour, and one that never changes.
const ZONES: [&str; 4] = [
    "UTC",
    "Europe/Berlin",
    "Australia/Lord_Howe",
    "Asia/Kathmandu",
];

/// Draws schedules and what is done to them.
pub(super) fn drawn(settings: &Settings, commands: &mut Vec<Command>, choices: &mut Choices) {
    if !settings.schedules {
        return;
    }
    for number in 0..choices.between(Label::Schedule, 1, 2) {
        let outer = choices.enter(Topic::Schedule, &[number]);
        one(number, settings, commands, choices);
        choices.leave(outer);
    }
}

fn one(number: u64, settings: &Settings, commands: &mut Vec<Command>, choices: &mut Choices) {
    let at = SimTime(choices.choose(Label::Schedule, settings.horizon.0 / 4));
    let first = declaration(settings, choices);
    let deploys = choices.happens(Label::Schedule, 300);
    let key = if deploys {
        ScheduleKey::Declared {
            workflow: first.workflow.clone(),
            trigger: Name::stored(&format!("nightly_{number}")),
        }
    } else {
        ScheduleKey::Named(format!("schedule {number}"))
    };
    let versions = versions(&first, settings, choices);
    let mut push = |at: SimTime, action: ScheduleAction, choices: &mut Choices| {
        let command = CommandId::from_u128(choices.bits());
        let wish = wish(&key, command, action);
        let twice = choices.happens(Label::Schedule, 250);
        for nth in 0..=u64::from(twice) {
            let later = nth * choices.magnitude(Label::Schedule, 1, 3_000_000);
            commands.push(Command {
                at: at.plus_micros(later),
                wish: wish.clone(),
                via: None,
            });
        }
    };
    let create = match deploys {
        true => versions[0].clone(),
        false => ScheduleAction::Create(Box::new(first.clone())),
    };
    push(at, create, choices);
    for _ in 0..choices.between(Label::Schedule, 0, 5) {
        let outer = choices.enter(Topic::Schedule, &[number, 1]);
        let at = SimTime(choices.choose(Label::Schedule, settings.horizon.0));
        let action = match choices.choose(Label::Schedule, 13) {
            0..=1 => ScheduleAction::Pause,
            2..=3 => ScheduleAction::Resume,
            4..=7 if deploys => versions[choices.index(Label::Schedule, versions.len())].clone(),
            4 | 12 => ScheduleAction::Delete,
            5 => ScheduleAction::Create(Box::new(declaration(settings, choices))),
            6..=7 => {
                let mut changed = declaration(settings, choices);
                let same_days = changed.plan.zone() == first.plan.zone();
                if choices.happens(Label::Schedule, 400) && same_days {
                    changed.plan = first.plan.clone();
                }
                ScheduleAction::Change(Box::new(changed))
            }
            8 => ScheduleAction::Trigger {
                definition: definition(settings, choices),
            },
            _ => fire(&first.plan, at, settings, choices),
        };
        push(at, action, choices);
        if choices.happens(Label::Schedule, 300) {
            let later = at.plus_micros(choices.magnitude(Label::Schedule, 1_000, 8_000_000));
            push(later, ScheduleAction::Resume, choices);
        }
        choices.leave(outer);
    }
}

/// What the processes of each version of a workflow say of a schedule when they start: the first declares it, a later one may
/// declare it otherwise, or not at all. They start in any order, as in deploys that are rolled back.
fn versions(
    first: &Declaration,
    settings: &Settings,
    choices: &mut Choices,
) -> Vec<ScheduleAction> {
    let versions = 1..=u32::try_from(choices.between(Label::Schedule, 1, 3)).expect("a few");
    let mut declared = first.clone();
    let said = versions.map(|version| {
        if version > 1 {
            if choices.happens(Label::Schedule, 300) {
                return ScheduleAction::Retire { version };
            }
            let plan = declaration(settings, choices).plan;
            if plan.zone() == first.plan.zone() {
                declared.plan = plan;
            }
        }
        declared.version = version;
        ScheduleAction::Declare(Box::new(declared.clone()))
    });
    said.collect()
}

/// A host's scheduler fires an occurrence of the first plan, about when the engine does.
fn fire(plan: &Plan, at: SimTime, settings: &Settings, choices: &mut Choices) -> ScheduleAction {
    let clock = settings.base.plus(at.since(SimTime(0)));
    let occurrence = plan.last_at_or_before(clock).unwrap_or(clock);
    ScheduleAction::Fire {
        occurrence,
        signal: None,
        definition: definition(settings, choices),
    }
}

fn declaration(settings: &Settings, choices: &mut Choices) -> Declaration {
    let workflow = &settings.workflows[choices.index(Label::Schedule, settings.workflows.len())];
    // The oracle of stamps knows the days of UTC.
    let stamped = !workflow.contract().stamps().is_empty();
    let number = choices.choose(Label::Schedule, 1_000);
    Declaration {
        life: Life(choices.choose(Label::Identity, u64::MAX)),
        version: 0,
        workflow: workflow.name().clone(),
        trigger: Name::stored(DEFAULT_TRIGGER),
        plan: plan(settings, stamped, choices),
        input: Payload::new(format!("{{\"number\":{number}}}").into_bytes()),
    }
}

fn definition(settings: &Settings, choices: &mut Choices) -> DefinitionKey {
    let workflow = &settings.workflows[choices.index(Label::Schedule, settings.workflows.len())];
    Arc::clone(workflow).key().clone()
}

fn plan(settings: &Settings, utc: bool, choices: &mut Choices) -> Plan {
    // About a dozen occurrences until faults stop.
    let period = settings.horizon.0 / 12_000_000;
    let slow = PERIODS.iter().position(|seconds| *seconds >= period);
    let slow = slow.unwrap_or(PERIODS.len() - 1);
    let period = PERIODS[(slow + choices.index(Label::Schedule, 2)).min(PERIODS.len() - 1)];
    let cron = match choices.choose(Label::Schedule, 8) {
        0 => format!("0,{period},30,45 * * * * *"),
        1 => format!("*/{period} * 0-23 * * *"),
        // Of those it depends on the zone whether they have an occurrence within the horizon.
        2 => format!("*/{period} 0-29 * * * *"),
        3 => format!("*/{period} * 0-2,12-16 * * *"),
        _ => format!("*/{period} * * * * *"),
    };
    let span = |choices: &mut Choices, most| {
        let micros = choices.magnitude(Label::Schedule, 1_000, most);
        Some(DraftSpan::from_micros(i128::from(micros)))
    };
    let jitters = choices.happens(Label::Schedule, 300);
    let zone = choices.pick(Label::Schedule, &ZONES);
    let zone = if utc { "UTC" } else { zone };
    let ends = choices.happens(Label::Schedule, 150);
    let draft = PlanDraft {
        jitter: if jitters {
            span(choices, 3_000_000)
        } else {
            None
        },
        catch_up: choices.pick(
            Label::Schedule,
            &[
                None,
                Some(DraftCatchUp::Latest),
                Some(DraftCatchUp::All(1)),
                Some(DraftCatchUp::All(3)),
            ],
        ),
        grace: span(choices, 8_000_000),
        overlap: choices.pick(
            Label::Schedule,
            &[
                None,
                Some(Overlap::Skip),
                Some(Overlap::QueueOne),
                Some(Overlap::CancelRunning),
            ],
        ),
        end: ends.then(|| end(settings, choices)),
        ..PlanDraft::cron(cron, zone)
    };
    draft.check().expect("every part keeps within its bounds")
}

fn end(settings: &Settings, choices: &mut Choices) -> Timestamp {
    let after = choices.between(Label::Schedule, 1, settings.horizon.0);
    settings.base.plus(std::time::Duration::from_micros(after))
}

/// What is done to a schedule by a command of its own.
pub(crate) fn wish(key: &ScheduleKey, command: CommandId, action: ScheduleAction) -> Wish {
    Wish::Schedule(Box::new(ScheduleCommand {
        shard: Shard::default(),
        schedule: key.clone(),
        action,
        command,
        by: By {
            actor: Some("ana".into()),
            ..By::default()
        },
    }))
}
