//! What is said of schedules, in every situation one can be in.

mod common;

use common::*;
use serde_json::json;
use squid_mesh_core::definition::Definition;
use squid_mesh_core::event::By;
use squid_mesh_core::id::{CommandId, Life, Shard};
use squid_mesh_core::name::Name;
use squid_mesh_core::operation::{
    Declaration, Operation, Outcome, Rejection, Reply, ScheduleAction, ScheduleCommand,
    ScheduleReply,
};
use squid_mesh_core::payload::Payload;
use squid_mesh_core::schedule::{
    DraftCatchUp, Overlap, PlanDraft, ScheduleEvidence, ScheduleExplanation, ScheduleKey,
    ScheduleNextAction, ScheduleReason, ScheduleRow, Standing, explain,
};
use squid_mesh_core::store::ScheduleRecord;
use squid_mesh_core::task::TaskKey;
use squid_mesh_core::time::Timestamp;

const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;

fn digest() -> Definition {
    parsed(json!({"name": "digest", "version": 1,
        "triggers": [{"name": "nightly", "input": {"fields": {"tenant": {"type": "string"}}}}],
        "steps": [{"name": "a", "handler": "h"}]}))
}

/// 2027-03-01T00:00:00Z and so many seconds.
fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros((1_803_859_200 + seconds) * 1_000_000)
}

fn daily() -> PlanDraft {
    PlanDraft::cron("0 9 * * *", "UTC")
}

/// A desk with one schedule, and what it is called.
struct Scene {
    desk: Desk,
    key: ScheduleKey,
}

impl Scene {
    /// A schedule of this plan and input, made at the beginning of March.
    fn with(plan: &PlanDraft, input: &str) -> Scene {
        let mut desk = Desk::new([digest()]);
        desk.now = at(0);
        let key = ScheduleKey::Named("nightly".to_owned());
        let mut scene = Scene { desk, key };
        let create = ScheduleAction::Create(Box::new(declaration(plan, input)));
        scene.act(1, create).expect("it fits");
        scene
    }

    fn of(plan: &PlanDraft) -> Scene {
        Scene::with(plan, "{}")
    }

    fn act(&mut self, number: u128, action: ScheduleAction) -> Result<ScheduleReply, Rejection> {
        let command = ScheduleCommand {
            shard: Shard::default(),
            schedule: self.key.clone(),
            action,
            command: CommandId::from_u128(number),
            by: By::default(),
        };
        match self.desk.perform(&Operation::Schedule(Box::new(command))) {
            Reply::Schedule(reply) => reply,
            other => panic!("{other:?}"),
        }
    }

    /// The same when it has been acted on.
    fn after(mut self, action: ScheduleAction) -> Scene {
        self.act(2, action).expect("it fits");
        self
    }

    fn later(mut self, seconds: i64) -> Scene {
        self.desk.now = at(seconds);
        self
    }

    /// The same when its task was settled at its time.
    fn fired(mut self, seconds: i64, definition: Option<&Definition>) -> Scene {
        self.desk.now = at(seconds);
        let TaskKey { run, lane } = self.key.id().task();
        let definition = definition.map(|definition| definition.key().clone());
        self.desk.finish(run, lane.0, Outcome::Fired { definition });
        self
    }

    fn record(&self) -> ScheduleRecord {
        let id = self.key.id();
        let schedule = self.desk.schedule(id).expect("it is there");
        ScheduleRecord {
            now: self.desk.now,
            row: ScheduleRow::from(&schedule),
            task: self.desk.tasks_of(id.task().run).pop(),
        }
    }

    fn explained(&self) -> ScheduleExplanation {
        explain(&self.record(), Some(&digest()))
    }
}

fn declaration(plan: &PlanDraft, input: &str) -> Declaration {
    Declaration {
        life: Life(7),
        version: 0,
        workflow: Name::stored("digest"),
        trigger: Name::stored("nightly"),
        plan: plan.check().expect("it is a plan"),
        input: Payload::new(input.as_bytes()),
    }
}

fn declared() -> Scene {
    let mut desk = Desk::new([digest()]);
    desk.now = at(0);
    let key: ScheduleKey = "digest/nightly".parse().expect("it is a key");
    let mut scene = Scene { desk, key };
    let declare = Declaration {
        version: 1,
        ..declaration(&daily(), "{}")
    };
    let declare = ScheduleAction::Declare(Box::new(declare));
    scene.act(1, declare).expect("it fits");
    scene
}

/// A situation, with what is said of it.
type Situation = (ScheduleReason, &'static str, fn() -> Scene);

fn situations() -> Vec<Situation> {
    use ScheduleReason as R;
    vec![
        (R::Scheduled, "it fires at 2027-03-01T09:00:00", || {
            Scene::of(&daily())
        }),
        (R::NotStarted, "it starts at 2027-03-05T00:00:00", || {
            Scene::of(&daily().start(at(4 * DAY)))
        }),
        (R::FiringLate, "it is due since 2027-03-01T09:00:00", || {
            Scene::of(&daily()).later(10 * HOUR)
        }),
        (R::Firing, "a worker has its firing in hand", || {
            let mut scene = Scene::of(&daily()).later(9 * HOUR);
            let TaskKey { run, lane } = scene.key.id().task();
            scene.desk.claim(run, lane.0);
            // The desk's leases end when the task is due.
            scene.later(9 * HOUR - 1)
        }),
        (
            R::WaitingForPrevious,
            "occurrence 2027-03-02T09:00:00.000000Z waits for the end of run",
            || {
                let plan = daily().overlap(Overlap::QueueOne);
                let definition = Some(&digest()).cloned();
                let scene = Scene::of(&plan).fired(9 * HOUR, definition.as_ref());
                scene.fired(DAY + 9 * HOUR, definition.as_ref())
            },
        ),
        (R::External, "somebody else says when", || {
            Scene::of(&PlanDraft::external())
        }),
        (R::Paused, "it is paused", || {
            Scene::of(&daily()).after(ScheduleAction::Pause)
        }),
        (
            R::Retired,
            "version 2 of workflow digest does not declare it",
            || declared().after(ScheduleAction::Retire { version: 2 }),
        ),
        (
            R::Ended,
            "no further occurrence comes before its end",
            || {
                let scene = Scene::of(&daily().end(at(DAY)));
                scene.fired(9 * HOUR, Some(&digest()))
            },
        ),
        (R::NeverFires, "its expression names no instant", || {
            Scene::of(&PlanDraft::cron("0 0 30 2 *", "UTC"))
        }),
        (
            R::UnknownWorkflow,
            "no definition of workflow digest is known, since",
            || Scene::of(&daily()).fired(9 * HOUR, None),
        ),
        (
            R::InvalidInput,
            "does not take the schedule's input",
            || Scene::with(&daily(), r#"{"tenant": 7}"#).fired(9 * HOUR, Some(&digest())),
        ),
    ]
}

#[test]
fn s12_2_every_situation_has_its_reason_and_shows_what_it_follows_from() {
    for (reason, part, scene) in situations() {
        let explained = scene().explained();
        assert_eq!(explained.reason, reason, "{}", explained.summary);
        assert!(explained.summary.contains(part), "{}", explained.summary);
        assert_ne!(explained.evidence, [], "{reason}");
    }
}

#[test]
fn a18_6_every_action_that_is_offered_is_accepted() {
    for (reason, _, scene) in situations() {
        for action in scene().explained().next_actions {
            let mut scene = scene();
            let (now, definition) = (scene.desk.now, digest().key().clone());
            let performed = match action {
                ScheduleNextAction::Pause => ScheduleAction::Pause,
                ScheduleNextAction::Resume => ScheduleAction::Resume,
                ScheduleNextAction::Delete => ScheduleAction::Delete,
                ScheduleNextAction::Trigger => ScheduleAction::Trigger { definition },
                ScheduleNextAction::Fire => ScheduleAction::Fire {
                    occurrence: now,
                    signal: None,
                    definition,
                },
                ScheduleNextAction::Change => {
                    ScheduleAction::Change(Box::new(declaration(&daily(), "{}")))
                }
                // Of runs and processes.
                _ => continue,
            };
            let accepted = scene.act(9, performed.clone());
            assert!(accepted.is_ok(), "{reason}: {performed:?}: {accepted:?}");
        }
    }
}

#[test]
fn what_would_be_refused_is_not_offered() {
    let offers = |scene: &Scene, definition: Option<&Definition>| {
        explain(&scene.record(), definition).next_actions
    };
    let retired = declared().after(ScheduleAction::Retire { version: 2 });
    assert_eq!(offers(&retired, Some(&digest())), []);
    assert_eq!(
        offers(&declared(), Some(&digest())),
        [ScheduleNextAction::Pause, ScheduleNextAction::Trigger]
    );
    let unfit = Scene::with(&daily(), r#"{"tenant": 7}"#);
    for (scene, definition) in [(unfit, Some(digest())), (Scene::of(&daily()), None)] {
        let offered = offers(&scene, definition.as_ref());
        assert!(!offered.contains(&ScheduleNextAction::Trigger));
        assert!(offered.contains(&ScheduleNextAction::RegisterWorkflow));
    }
}

#[test]
fn an_explanation_tells_of_what_was_missed_and_skipped_since_a_run_was_started_last() {
    let missed = Scene::of(&daily()).fired(3 * DAY, Some(&digest()));
    let told = missed.explained();
    assert_eq!(told.reason, ScheduleReason::Scheduled);
    let part =
        "; occurrences from 2027-03-01T09:00:00.000000Z to 2027-03-03T09:00:00.000000Z were missed";
    assert!(told.summary.ends_with(part), "{}", told.summary);
    let field = ScheduleEvidence::Field {
        field: "state.missed",
        value: at(2 * DAY + 9 * HOUR).to_string(),
    };
    assert!(told.evidence.contains(&field), "{:?}", told.evidence);

    let caught_up = Scene::of(&daily().catch_up(DraftCatchUp::Latest));
    let told = caught_up.fired(3 * DAY, Some(&digest())).explained();
    assert_eq!(told.summary, "it fires at 2027-03-04T09:00:00.000000Z");

    let skipping = Scene::of(&daily().overlap(Overlap::Skip)).fired(9 * HOUR, Some(&digest()));
    let told = skipping.fired(DAY + 9 * HOUR, Some(&digest())).explained();
    let part =
        "; occurrence 2027-03-02T09:00:00.000000Z started nothing, as the run before was going on";
    assert!(told.summary.ends_with(part), "{}", told.summary);
}

#[test]
fn a_row_that_cannot_be_read_is_said_to_be_so() {
    let mut record = Scene::of(&daily()).record();
    record.row.state = vec![99];
    let told = explain(&record, None);
    assert_eq!(told.reason, ScheduleReason::Unreadable);
    assert_eq!(told.next_actions, [ScheduleNextAction::Upgrade]);
    assert_eq!((told.standing, told.next), (Standing::Active, None));
    record.row.plan = "{}x".to_owned();
    assert_eq!(explain(&record, None).next_actions, []);
}

#[test]
fn a_definition_of_another_workflow_is_not_started() {
    let mut scene = Scene::of(&daily());
    let mut definition = digest().key().clone();
    definition.name = Name::stored("other");
    let refused = scene.act(9, ScheduleAction::Trigger { definition });
    let rejection = refused.unwrap_err();
    assert_eq!(rejection.code(), "unfit_schedule");
    let text = rejection.to_string();
    assert!(
        text.contains("it starts workflow digest, not other@1"),
        "{text}"
    );
}

#[test]
fn a_schedule_of_a_workflows_name_is_made_by_the_workflow_only() {
    let mut scene = Scene::of(&daily());
    scene.key = "digest/weekly".parse().unwrap();
    let create = ScheduleAction::Create(Box::new(declaration(&daily(), "{}")));
    let refused = scene.act(9, create);
    assert_eq!(refused.unwrap_err().code(), "declared_schedule");
}
