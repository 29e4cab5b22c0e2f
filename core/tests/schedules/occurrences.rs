//! Which occurrences start runs.

use super::*;

#[test]
fn a15_1_each_occurrence_starts_a_run_that_knows_its_window() {
    let plan = PlanDraft::cron("0 9 * * *", "Asia/Kolkata");
    let mut desk = scheduled(&plan);
    // 09:00 in Kolkata is 03:30 UTC.
    for day in 0..3 {
        desk.now = at(day * DAY + 3 * HOUR + 1_800);
        assert_eq!(turns(&mut desk), 1);
    }
    let expected: Vec<Timestamp> = (0..3).map(|day| at(day * DAY + 12_600)).collect();
    assert_eq!(occurrences(&desk), expected);
    let (second, run) = desk.runs_of(id())[1];
    assert_eq!(run, id().occurrence(second));
    let occurrence = desk.run(run).origin().occurrence.clone().unwrap();
    assert_eq!(
        (occurrence.schedule, occurrence.name.as_str(), occurrence.at),
        (id(), "nightly", second)
    );
    assert_eq!(occurrence.window_start, at(12_600));
    assert_eq!(
        (occurrence.received_at, occurrence.occasion),
        (second, Occasion::Due)
    );
    let first = desk.runs_of(id())[0].1;
    let window = desk
        .run(first)
        .origin()
        .occurrence
        .clone()
        .unwrap()
        .window_start;
    assert_eq!(window, at(12_600 - DAY), "as if it had been there before");
    let task = desk.tasks_of(run).remove(0);
    assert_eq!(task.brief.occurrence, Some(occurrence));
}

#[test]
fn a15_2_a_firing_that_is_performed_twice_starts_one_run() {
    let mut desk = scheduled(&daily());
    desk.now = at(9 * HOUR);
    let TaskKey { run, lane } = id().task();
    let first = desk.claim(run, lane.0);
    // Its lease ends unheard of, and others take over.
    let second = desk.claim(run, lane.0);
    assert_eq!(desk.settle(&second, fired()), SlotReply::Accepted);
    for late in [&first, &second, &first] {
        assert_eq!(
            desk.settle(late, fired()),
            SlotReply::Accepted,
            "nothing is left to do"
        );
    }
    assert_eq!(occurrences(&desk), [at(9 * HOUR)]);
    assert_eq!(desk.schedule(id()).unwrap().seq.0, 2);
}

#[test]
fn a15_7_days_of_downtime_are_caught_up_with_as_the_policy_says() {
    let days = |from: i64, to: i64| (from..=to).map(|day| at(day * DAY + 9 * HOUR));
    let table = [
        (DraftCatchUp::Skip, days(4, 3).collect::<Vec<_>>()),
        (DraftCatchUp::Latest, days(3, 3).collect()),
        (DraftCatchUp::All(2), days(2, 3).collect()),
        (DraftCatchUp::All(3), days(1, 3).collect()),
        (DraftCatchUp::All(9), days(1, 3).collect()),
    ];
    for (catch_up, expected) in table {
        let mut desk = scheduled(&PlanDraft {
            catch_up: Some(catch_up),
            ..daily()
        });
        desk.now = at(9 * HOUR);
        turns(&mut desk);
        // The workers are down from the second to the fourth day.
        desk.now = at(3 * DAY + 12 * HOUR);
        turns(&mut desk);
        assert_eq!(occurrences(&desk)[1..], expected, "{catch_up:?}");
        let missed = desk.schedule(id()).unwrap().state.missed;
        let dropped = 3 - i64::try_from(expected.len()).unwrap();
        let last = missed.map(|missed| missed.last);
        assert_eq!(
            last,
            (dropped > 0).then(|| at(dropped * DAY + 9 * HOUR)),
            "{catch_up:?}"
        );
        desk.now = at(4 * DAY + 9 * HOUR);
        turns(&mut desk);
        assert_eq!(
            occurrences(&desk).last(),
            Some(&at(4 * DAY + 9 * HOUR)),
            "it goes on"
        );
    }
}

#[test]
fn a15_8_a_year_of_minutes_is_missed_in_one_turn() {
    for (catch_up, more) in [(DraftCatchUp::Skip, 0), (DraftCatchUp::Latest, 1)] {
        let mut desk = scheduled(&PlanDraft {
            catch_up: Some(catch_up),
            ..PlanDraft::cron("* * * * *", "UTC")
        });
        desk.now = at(365 * DAY + 30);
        assert_eq!(
            desk.tasks_of(id().task().run).len(),
            1,
            "one row is late, not a year of them"
        );
        // The newest that is missed if that is caught up with, and the one that is on time.
        assert_eq!(turns(&mut desk), 1 + more, "{catch_up:?}");
        let started = occurrences(&desk);
        assert_eq!(
            (started.len(), started.last()),
            (1 + more, Some(&at(365 * DAY)))
        );
    }
}

#[test]
fn s9_1_what_is_late_by_the_grace_is_on_time_and_by_a_microsecond_more_is_missed() {
    for (late, started) in [(0, 1), (60_000_000, 1), (60_000_001, 0)] {
        let mut desk = scheduled(&daily());
        desk.now = Timestamp::from_micros(at(9 * HOUR).as_micros() + late);
        turns(&mut desk);
        assert_eq!(occurrences(&desk).len(), started, "{late}");
    }
}

#[test]
fn a15_9_a_change_of_the_expression_fires_nothing_of_the_past() {
    let mut desk = scheduled(&daily());
    desk.now = at(9 * HOUR);
    turns(&mut desk);
    desk.now = at(12 * HOUR);
    let plan = PlanDraft {
        catch_up: Some(DraftCatchUp::All(10)),
        ..PlanDraft::cron("0 10 * * *", "UTC")
    };
    let change = ScheduleAction::Change(Box::new(declaration(&plan)));
    let reply = act(&mut desk, 2, change);
    assert_eq!(reply.next, Some(at(DAY + 10 * HOUR)));
    assert_eq!(turns(&mut desk), 0);
    desk.now = at(DAY + 10 * HOUR);
    turns(&mut desk);
    assert_eq!(occurrences(&desk), [at(9 * HOUR), at(DAY + 10 * HOUR)]);
}

#[test]
fn a_firing_in_flight_goes_by_the_plan_that_stands_when_it_is_committed() {
    let mut desk = scheduled(&daily());
    desk.now = at(9 * HOUR);
    let TaskKey { run, lane } = id().task();
    let claimed = desk.claim(run, lane.0);
    let plan = PlanDraft::cron("0 10 * * *", "UTC");
    act(
        &mut desk,
        2,
        ScheduleAction::Change(Box::new(declaration(&plan))),
    );
    assert_eq!(desk.settle(&claimed, fired()), SlotReply::Accepted);
    assert_eq!(occurrences(&desk), []);
    assert_eq!(desk.tasks_of(run)[0].due_at, at(10 * HOUR));
}

#[test]
fn s9_4_a_change_that_leaves_the_times_alone_loses_nothing_that_is_pending() {
    let mut desk = scheduled(&daily());
    desk.now = at(9 * HOUR + 10);
    let mut changed = declaration(&daily());
    changed.input = Payload::new(*br#"{"tenant":"acme"}"#);
    act(&mut desk, 2, ScheduleAction::Change(Box::new(changed)));
    turns(&mut desk);
    let (_, run) = desk.runs_of(id())[0];
    assert_eq!(desk.payload(run, 1), r#"{"tenant":"acme"}"#);
}

#[test]
fn a15_10_a_paused_schedule_fires_nothing_and_catches_up_when_it_is_resumed() {
    for (catch_up, started) in [(DraftCatchUp::Skip, 0), (DraftCatchUp::Latest, 1)] {
        let mut desk = scheduled(&PlanDraft {
            catch_up: Some(catch_up),
            ..daily()
        });
        let reply = act(&mut desk, 2, ScheduleAction::Pause);
        assert_eq!((reply.standing, reply.next), (Some(Standing::Paused), None));
        desk.now = at(3 * DAY);
        assert_eq!(turns(&mut desk), 0);
        let schedule = desk.schedule(id()).unwrap();
        assert_eq!(
            schedule.plan.next_after(desk.now),
            Some(at(3 * DAY + 9 * HOUR))
        );
        act(&mut desk, 3, ScheduleAction::Resume);
        turns(&mut desk);
        assert_eq!(occurrences(&desk).len(), started, "{catch_up:?}");
        assert_eq!(
            desk.schedule(id()).unwrap().next_firing(),
            Some(at(3 * DAY + 9 * HOUR))
        );
    }
}

#[test]
fn a15_11_allow_starts_runs_beside_those_that_go_on() {
    let (desk, first) = overlapping(Overlap::Allow);
    assert_eq!(occurrences(&desk).len(), 3);
    assert!(!desk.run(first).origin().is_awaited());
}

#[test]
fn a15_11_skip_starts_none_and_goes_on() {
    let (mut desk, first) = overlapping(Overlap::Skip);
    assert_eq!(occurrences(&desk), [at(9 * HOUR)]);
    let state = desk.schedule(id()).unwrap().state;
    assert_eq!(state.skipped, Some(at(2 * DAY + 9 * HOUR)));
    end(&mut desk, first);
    assert_eq!(turns(&mut desk), 0);
    desk.now = at(3 * DAY + 9 * HOUR);
    turns(&mut desk);
    assert_eq!(occurrences(&desk), [at(9 * HOUR), at(3 * DAY + 9 * HOUR)]);
}

#[test]
fn a15_11_queue_one_keeps_the_first_that_waits() {
    let (mut desk, first) = overlapping(Overlap::QueueOne);
    let state = desk.schedule(id()).unwrap().state;
    assert_eq!(state.waiting, Some(at(DAY + 9 * HOUR)));
    assert_eq!(state.skipped, Some(at(2 * DAY + 9 * HOUR)));
    end(&mut desk, first);
    assert_eq!(turns(&mut desk), 1);
    assert_eq!(occurrences(&desk), [at(9 * HOUR), at(DAY + 9 * HOUR)]);
    let second = id().occurrence(at(DAY + 9 * HOUR));
    assert_eq!(desk.schedule(id()).unwrap().state.previous, Some(second));
}

#[test]
fn a15_11_cancel_running_cancels_and_starts_the_newest_when_that_has_ended() {
    let mut desk = scheduled(&PlanDraft {
        overlap: Some(Overlap::CancelRunning),
        ..daily()
    });
    desk.now = at(9 * HOUR);
    turns(&mut desk);
    let first = id().occurrence(at(9 * HOUR));
    let claimed = desk.claim(first, 0);
    for day in 1..3 {
        desk.now = at(day * DAY + 9 * HOUR);
        turns(&mut desk);
    }
    assert_eq!(
        desk.run(first).status(),
        Status::Cancelling,
        "its handler is told to stop"
    );
    assert_eq!(occurrences(&desk), [at(9 * HOUR)]);
    desk.settle(&claimed, output("1"));
    assert_eq!(desk.run(first).status(), Status::Cancelled);
    tell(&mut desk, first);
    turns(&mut desk);
    assert_eq!(occurrences(&desk), [at(9 * HOUR), at(2 * DAY + 9 * HOUR)]);
}

#[test]
fn p5_5_a_run_before_that_is_gone_is_not_waited_for() {
    let (mut desk, first) = overlapping(Overlap::QueueOne);
    desk.forget(first);
    desk.now = at(3 * DAY + 9 * HOUR);
    turns(&mut desk);
    let started = occurrences(&desk);
    assert_eq!(
        started,
        [at(DAY + 9 * HOUR)],
        "what waited has begun, and the next one waits"
    );
}

#[test]
fn a15_12_an_input_cannot_pretend_to_be_of_another_schedule() {
    let mut desk = desk(0);
    let mut spoofed = declaration(&daily());
    spoofed.input = Payload::new(*br#"{"schedule":{"name":"other","occurrence":1}}"#);
    act(&mut desk, 1, ScheduleAction::Create(Box::new(spoofed)));
    desk.now = at(9 * HOUR);
    turns(&mut desk);
    let (_, run) = desk.runs_of(id())[0];
    assert!(desk.payload(run, 1).contains("other"));
    let occurrence = desk.run(run).origin().occurrence.clone().unwrap();
    assert_eq!(
        (occurrence.name.as_str(), occurrence.at),
        ("nightly", at(9 * HOUR))
    );
}

#[test]
fn s9_1_a_clock_that_goes_back_fires_no_occurrence_again_and_none_early() {
    let mut desk = scheduled(&daily());
    desk.now = at(DAY + 9 * HOUR);
    turns(&mut desk);
    let started = occurrences(&desk);
    desk.now = at(9 * HOUR);
    assert_eq!(turns(&mut desk), 0);
    // A task that was claimed before the clock went back.
    let TaskKey { run, lane } = id().task();
    desk.finish(run, lane.0, fired());
    assert_eq!(occurrences(&desk), started);
    assert_eq!(desk.tasks_of(run)[0].due_at, at(2 * DAY + 9 * HOUR));
}

#[test]
fn s9_1_jitter_makes_late_and_never_early() {
    let plan = PlanDraft {
        jitter: Some("10m".parse().unwrap()),
        ..daily()
    };
    let mut desk = scheduled(&plan);
    let mut dues = Vec::new();
    for day in 0..20 {
        let due = desk.schedule(id()).unwrap().next_firing().unwrap();
        let occurrence = at(day * DAY + 9 * HOUR);
        assert!(
            due >= occurrence && due <= at(day * DAY + 9 * HOUR + 600),
            "{due}"
        );
        dues.push(due.since(occurrence));
        desk.now = due;
        turns(&mut desk);
    }
    assert_eq!(occurrences(&desk).len(), 20);
    dues.sort_unstable();
    dues.dedup();
    assert!(dues.len() > 15, "they are spread");
}

#[test]
fn s9_1_nothing_fires_before_the_start_or_at_and_after_the_end() {
    let plan = PlanDraft {
        start: Some(at(DAY + 9 * HOUR)),
        end: Some(at(3 * DAY + 9 * HOUR)),
        ..daily()
    };
    let mut desk = scheduled(&plan);
    for hour in 0..(6 * 24) {
        desk.now = at(hour * HOUR);
        turns(&mut desk);
    }
    assert_eq!(
        occurrences(&desk),
        [at(DAY + 9 * HOUR), at(2 * DAY + 9 * HOUR)]
    );
    assert_eq!(desk.schedule(id()).unwrap().next_firing(), None);
    assert_eq!(desk.tasks_of(id().task().run), []);
}
