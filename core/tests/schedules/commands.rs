//! What is done to schedules.

use super::*;

#[test]
fn s9_6_a_schedulers_firing_is_the_same_run_as_the_engines() {
    let mut desk = scheduled(&daily());
    desk.now = at(9 * HOUR);
    let fire = |occurrence| ScheduleAction::Fire {
        occurrence,
        signal: None,
        definition: digest().key().clone(),
    };
    let first = act(&mut desk, 2, fire(at(9 * HOUR))).started.unwrap();
    assert_eq!(
        (first.run, first.existing),
        (id().occurrence(at(9 * HOUR)), false)
    );
    let again = act(&mut desk, 3, fire(at(9 * HOUR))).started.unwrap();
    assert_eq!((again.run, again.existing), (first.run, true));
    turns(&mut desk);
    assert_eq!(occurrences(&desk), [at(9 * HOUR)]);
    let refused = |desk: &mut Desk, occurrence| {
        command(desk, 4, key(), fire(occurrence))
            .unwrap_err()
            .code()
    };
    assert_eq!(refused(&mut desk, at(8 * HOUR)), "no_occurrence");
    assert_eq!(refused(&mut desk, at(DAY + 9 * HOUR)), "occurrence_not_due");
}

#[test]
fn s9_6_a_schedule_without_an_expression_is_fired_by_others_only() {
    let mut desk = scheduled(&PlanDraft::default());
    desk.now = at(DAY);
    assert_eq!(turns(&mut desk), 0);
    let fire = |signal: &str| ScheduleAction::Fire {
        occurrence: at(HOUR),
        signal: Some(signal.to_owned()),
        definition: digest().key().clone(),
    };
    let one = act(&mut desk, 2, fire("a")).started.unwrap();
    let other = act(&mut desk, 3, fire("b")).started.unwrap();
    let again = act(&mut desk, 4, fire("a")).started.unwrap();
    assert_ne!(one.run, other.run);
    assert_eq!((again.run, again.existing), (one.run, true));
}

#[test]
fn a_trigger_starts_a_run_whatever_the_time_and_only_once() {
    let mut desk = scheduled(&PlanDraft {
        overlap: Some(Overlap::Skip),
        ..daily()
    });
    act(&mut desk, 2, ScheduleAction::Pause);
    let trigger = || ScheduleAction::Trigger {
        definition: digest().key().clone(),
    };
    desk.now = at(5);
    let first = act(&mut desk, 3, trigger());
    desk.now = at(6);
    let again = act(&mut desk, 3, trigger());
    assert_eq!(
        (again.started, again.at),
        (first.started, at(5)),
        "as the first time"
    );
    let other = act(&mut desk, 4, trigger());
    assert_ne!(other.started, first.started, "runs of triggers may overlap");
    assert_eq!(desk.runs_of(id()).len(), 2);
    let run = first.started.unwrap().run;
    let occurrence = desk.run(run).origin().occurrence.clone().unwrap();
    assert_eq!(
        (occurrence.at, occurrence.occasion),
        (at(5), Occasion::Triggered)
    );
    assert!(!occurrence.reports);
}

#[test]
fn s9_1_what_a_newer_version_declares_stands() {
    let declared = ScheduleKey::Declared {
        workflow: Name::stored("digest"),
        trigger: Name::stored("nightly"),
    };
    let mut desk = desk(0);
    let declare = |desk: &mut Desk, version, cron| {
        let plan = PlanDraft::cron(cron, "UTC");
        let declaration = Declaration {
            version,
            ..declaration(&plan)
        };
        let action = ScheduleAction::Declare(Box::new(declaration));
        command(desk, 1, declared.clone(), action).unwrap()
    };
    assert!(declare(&mut desk, 2, "0 9 * * *").changed);
    assert!(
        !declare(&mut desk, 2, "0 9 * * *").changed,
        "a restart changes nothing"
    );
    assert!(
        !declare(&mut desk, 1, "0 8 * * *").changed,
        "an older binary"
    );
    assert!(declare(&mut desk, 3, "0 10 * * *").changed);
    let reply = command(
        &mut desk,
        1,
        declared.clone(),
        ScheduleAction::Retire { version: 3 },
    );
    assert!(!reply.unwrap().changed, "version 3 declares it");
    let reply = command(
        &mut desk,
        1,
        declared.clone(),
        ScheduleAction::Retire { version: 4 },
    );
    assert_eq!(reply.unwrap().standing, Some(Standing::Retired));
    assert_eq!(desk.tasks_of(declared.id().task().run), []);
    let declare_again = |desk: &mut Desk, version| {
        let declaration = Declaration {
            version,
            ..declaration(&daily())
        };
        let action = ScheduleAction::Declare(Box::new(declaration));
        command(desk, 1, declared.clone(), action).unwrap()
    };
    assert!(
        !declare_again(&mut desk, 3).changed,
        "an older binary cannot bring it back"
    );
    let back = declare_again(&mut desk, 5);
    assert_eq!(
        (back.changed, back.standing),
        (true, Some(Standing::Active))
    );
    assert!(desk.log.is_empty(), "deploys are not what operators do");
    for action in [
        ScheduleAction::Delete,
        ScheduleAction::Change(Box::new(declaration(&daily()))),
    ] {
        let refused = command(&mut desk, 9, declared.clone(), action).unwrap_err();
        assert_eq!(refused.code(), "declared_schedule");
    }
}

#[test]
fn a_repeated_command_is_answered_as_it_was_and_changes_nothing() {
    let mut desk = scheduled(&daily());
    let create = || ScheduleAction::Create(Box::new(declaration(&daily())));
    assert!(act(&mut desk, 1, create()).changed, "the same command");
    assert!(
        !act(&mut desk, 2, create()).changed,
        "another one of the same content"
    );
    assert!(act(&mut desk, 3, ScheduleAction::Pause).changed);
    assert!(act(&mut desk, 4, ScheduleAction::Resume).changed);
    let seq = desk.schedule(id()).unwrap().seq;
    desk.now = at(60);
    let again = act(&mut desk, 3, ScheduleAction::Pause);
    assert_eq!((again.changed, again.at), (true, at(0)));
    assert!(!act(&mut desk, 5, ScheduleAction::Resume).changed);
    assert_eq!(desk.schedule(id()).unwrap().seq, seq);
    assert!(act(&mut desk, 6, ScheduleAction::Delete).changed);
    assert!(act(&mut desk, 6, ScheduleAction::Delete).changed);
    assert_eq!(desk.schedule(id()), None);
    let logged: Vec<OperatorAction> = desk.log.values().map(|entry| entry.action).collect();
    assert_eq!(logged.len(), 6);
    assert_eq!(logged[5], OperatorAction::DeleteSchedule);
}

#[test]
fn what_does_not_fit_is_refused_by_its_code() {
    let mut desk = scheduled(&daily());
    let other = ScheduleKey::Named("other".to_owned());
    let hourly = PlanDraft::cron("0 * * * *", "UTC");
    let create = ScheduleAction::Create(Box::new(declaration(&hourly)));
    let code = |reply: Result<ScheduleReply, Rejection>| reply.unwrap_err().code();
    assert_eq!(
        code(command(&mut desk, 2, key(), create)),
        "schedule_exists"
    );
    let trigger = || ScheduleAction::Trigger {
        definition: digest().key().clone(),
    };
    for action in [
        ScheduleAction::Pause,
        ScheduleAction::Resume,
        ScheduleAction::Delete,
        trigger(),
    ] {
        assert_eq!(
            code(command(&mut desk, 3, other.clone(), action)),
            "unknown_schedule"
        );
    }
    let mut unknown = digest().key().clone();
    unknown.version = 9;
    let action = ScheduleAction::Trigger {
        definition: unknown,
    };
    assert_eq!(
        code(command(&mut desk, 4, key(), action)),
        "unknown_workflow"
    );
    assert_eq!(desk.runs_of(id()), []);
}

#[test]
fn a_schedule_that_cannot_start_a_run_says_why_and_tries_again_until_it_is_missed() {
    let mut desk = scheduled(&daily());
    desk.now = at(9 * HOUR);
    let TaskKey { run, lane } = id().task();
    desk.finish(run, lane.0, Outcome::Fired { definition: None });
    let schedule = desk.schedule(id()).unwrap();
    let trouble = schedule.state.trouble.clone().unwrap();
    assert_eq!(
        (trouble.code.as_str(), trouble.since),
        ("unknown_workflow", at(9 * HOUR))
    );
    let retry = desk.now.plus(limits::FIRING_RETRY);
    assert_eq!(schedule.next_firing(), Some(retry));
    desk.now = retry;
    turns(&mut desk);
    assert_eq!(occurrences(&desk), [at(9 * HOUR)]);
    assert_eq!(desk.schedule(id()).unwrap().state.trouble, None);
    desk.now = at(DAY + 9 * HOUR);
    desk.finish(run, lane.0, Outcome::Fired { definition: None });
    desk.now = at(DAY + 10 * HOUR);
    turns(&mut desk);
    let missed = desk.schedule(id()).unwrap().state.missed.unwrap();
    assert_eq!(
        (missed.first, missed.last),
        (at(DAY + 9 * HOUR), at(DAY + 9 * HOUR))
    );
}

#[test]
fn a_deleted_schedule_is_not_missed_by_its_runs_nor_by_a_firing_in_flight() {
    let (mut desk, first) = overlapping(Overlap::QueueOne);
    desk.now = at(3 * DAY + 9 * HOUR);
    let TaskKey { run, lane } = id().task();
    let claimed = desk.claim(run, lane.0);
    act(&mut desk, 9, ScheduleAction::Delete);
    assert_eq!(desk.settle(&claimed, fired()), SlotReply::Accepted);
    end(&mut desk, first);
    assert_eq!(desk.tasks_of(first), []);
    // One of the same name is another schedule.
    let mut again = declaration(&daily());
    again.life = Life(8);
    act(&mut desk, 10, ScheduleAction::Create(Box::new(again)));
    assert_eq!(desk.settle(&claimed, fired()), SlotReply::Accepted);
    assert_eq!(occurrences(&desk), [at(9 * HOUR)]);
}

#[test]
fn what_waits_need_not_once_the_schedule_allows_overlaps() {
    let (mut desk, first) = overlapping(Overlap::QueueOne);
    assert_eq!(desk.run(first).status(), Status::Pending);
    desk.now = at(2 * DAY + 10 * HOUR);
    act(
        &mut desk,
        2,
        ScheduleAction::Change(Box::new(declaration(&daily()))),
    );
    assert_eq!(turns(&mut desk), 1);
    assert_eq!(occurrences(&desk), [at(9 * HOUR), at(DAY + 9 * HOUR)]);
    desk.now = at(3 * DAY + 9 * HOUR);
    turns(&mut desk);
    assert_eq!(occurrences(&desk).len(), 3);
    tell(&mut desk, first);
}
