//! Schedules, through operations.

#[path = "../common/mod.rs"]
mod common;

mod commands;
mod occurrences;

use common::*;
use serde_json::json;
use squid_mesh_core::definition::Definition;
use squid_mesh_core::event::By;
use squid_mesh_core::id::{CommandId, Life, RunId, Shard};
use squid_mesh_core::limits;
use squid_mesh_core::name::Name;
use squid_mesh_core::operation::{
    Declaration, Operation, OperatorAction, Outcome, Rejection, Reply, ScheduleAction,
    ScheduleCommand, ScheduleReply, SlotReply,
};
use squid_mesh_core::payload::Payload;
use squid_mesh_core::run::Status;
use squid_mesh_core::schedule::{
    DraftCatchUp, Occasion, Overlap, PlanDraft, ScheduleId, ScheduleKey, Standing,
};
use squid_mesh_core::task::{TaskKey, TaskRow};
use squid_mesh_core::time::Timestamp;

const DAY: i64 = 86_400;
const HOUR: i64 = 3_600;
/// 2027-03-01T00:00:00Z.
const MARCH: i64 = 1_803_859_200;

fn digest() -> Definition {
    parsed(json!({"name": "digest", "version": 1,
        "triggers": [{"name": "nightly", "input":
            {"fields": {"tenant": {"type": "string", "default": "all"}, "schedule": {"type": "any"}}}}],
        "steps": [{"name": "a", "handler": "h"}]}))
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros((MARCH + seconds) * 1_000_000)
}

fn daily() -> PlanDraft {
    PlanDraft::cron("0 9 * * *", "UTC")
}

fn key() -> ScheduleKey {
    ScheduleKey::Named("nightly".to_owned())
}

fn id() -> ScheduleId {
    key().id()
}

fn declaration(plan: &PlanDraft) -> Declaration {
    Declaration {
        life: Life(7),
        version: 0,
        workflow: Name::stored("digest"),
        trigger: Name::stored("nightly"),
        plan: plan.check().expect("it is a plan"),
        input: Payload::new(*b"{}"),
    }
}

fn desk(seconds: i64) -> Desk {
    let mut desk = Desk::new([digest()]);
    desk.now = at(seconds);
    desk
}

fn command(
    desk: &mut Desk,
    number: u128,
    schedule: ScheduleKey,
    action: ScheduleAction,
) -> Result<ScheduleReply, Rejection> {
    let command = ScheduleCommand {
        shard: Shard::default(),
        schedule,
        action,
        command: CommandId::from_u128(number),
        by: By {
            actor: Some("ana".to_owned()),
            ..By::default()
        },
    };
    match desk.perform(&Operation::Schedule(Box::new(command))) {
        Reply::Schedule(reply) => reply,
        other => panic!("{other:?}"),
    }
}

fn act(desk: &mut Desk, number: u128, action: ScheduleAction) -> ScheduleReply {
    command(desk, number, key(), action).expect("it fits")
}

/// A desk with a schedule that was created at the beginning of March.
fn scheduled(plan: &PlanDraft) -> Desk {
    let mut desk = desk(0);
    let create = ScheduleAction::Create(Box::new(declaration(plan)));
    assert!(act(&mut desk, 1, create).changed);
    desk
}

fn fired() -> Outcome {
    Outcome::Fired {
        definition: Some(digest().key().clone()),
    }
}

/// The schedule's task, if it is due.
fn due_task(desk: &Desk) -> Option<TaskRow> {
    let mut tasks = desk.tasks_of(id().task().run);
    tasks.retain(|task| task.due_at <= desk.now);
    tasks.pop()
}

/// Lets the schedule take turns for as long as it is due; how many.
fn turns(desk: &mut Desk) -> usize {
    let mut turns = 0;
    while due_task(desk).is_some() {
        let TaskKey { run, lane } = id().task();
        desk.finish(run, lane.0, fired());
        turns += 1;
        assert!(turns < 10_000, "it does not come to rest");
    }
    turns
}

fn occurrences(desk: &Desk) -> Vec<Timestamp> {
    let runs = desk.runs_of(id());
    runs.into_iter().map(|(occurrence, _)| occurrence).collect()
}

/// Ends a run of the schedule, and has the schedule told.
fn end(desk: &mut Desk, run: RunId) {
    desk.finish(run, 0, output("1"));
    tell(desk, run);
}

fn tell(desk: &mut Desk, run: RunId) {
    for task in desk.tasks_of(run) {
        desk.finish(run, task.key.lane.0, Outcome::Released { schedule: id() });
    }
}

/// A desk on whose third morning the run of the first day is still going on.
fn overlapping(overlap: Overlap) -> (Desk, RunId) {
    let mut desk = scheduled(&PlanDraft {
        overlap: Some(overlap),
        ..daily()
    });
    for day in 0..3 {
        desk.now = at(day * DAY + 9 * HOUR);
        turns(&mut desk);
    }
    (desk, id().occurrence(at(9 * HOUR)))
}
