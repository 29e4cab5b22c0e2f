//! When schedules start runs, by a clock that is set: on SQLite, whose stores can be given one.

use serde_json::json;
use squid_mesh::core::run::Status;
use squid_mesh::core::schedule::{Occasion, Standing};
use squid_mesh::{CatchUp, Overlap, PlanDraft, ScheduleContext, ScheduleReason};

use crate::schedules::{Bench, Digest, at, context, declaring, digest, digesting, resting};

fn daily() -> PlanDraft {
    PlanDraft::cron("0 9 * * *", "UTC")
}

#[tokio::test]
async fn a15_1_each_day_has_a_run_that_is_told_its_window() {
    let mut bench = Bench::new("2027-03-01T00:00:00Z", &[&digesting()]).await;
    let plan = PlanDraft::cron("0 9 * * *", "Asia/Kolkata");
    let create =
        bench
            .client
            .create_schedule("nightly", &digesting().reference(), plan, digest("ana"));
    assert_eq!(create.await.unwrap().next, Some(at("2027-03-01T03:30:00Z")));
    bench.until("2027-03-04T00:00:00Z").await;

    let runs = bench.runs("nightly").await;
    let told: Vec<ScheduleContext> = runs
        .iter()
        .map(|run| serde_json::from_value(run.steps[0].output.clone().unwrap()).unwrap())
        .collect();
    assert_eq!(told.len(), 3);
    for (day, told) in (1..).zip(&told) {
        let occurrence = at(&format!("2027-03-0{day}T03:30:00Z"));
        assert_eq!(
            (told.schedule.as_str(), told.occurrence),
            ("nightly", occurrence)
        );
        assert_eq!(
            (told.window_end, told.occasion),
            (occurrence, Occasion::Due)
        );
        assert_eq!(told.received_at, occurrence);
    }
    assert_eq!(told[0].window_start, at("2027-02-28T03:30:00Z"));
    for pair in told.windows(2) {
        assert_eq!(
            pair[1].window_start, pair[0].window_end,
            "windows follow each other"
        );
    }
    for (run, told) in runs.iter().zip(&told) {
        assert_eq!((context(run), run.status), (told, Status::Completed));
        let history = bench.client.history(run.run).await.unwrap();
        let sentence = format!(
            "digesting@1 was started by schedule nightly for {}",
            told.occurrence
        );
        assert_eq!(history[0].summary, sentence);
    }
}

#[tokio::test]
async fn s9_1_a_declared_trigger_fires_with_its_payload() {
    let wf = declaring(1, &[("nightly", "0 9 * * *")]);
    let mut bench = Bench::new("2027-03-01T00:00:00Z", &[&wf]).await;
    bench.until("2027-03-02T12:00:00Z").await;
    let runs = bench.runs("digesting/nightly").await;
    assert_eq!(runs.len(), 2);
    for run in runs {
        assert_eq!(run.input, Some(json!({"tenant": "all"})));
        assert_eq!(
            (run.trigger.as_str(), run.status),
            ("nightly", Status::Completed)
        );
        assert_eq!(context(&run).schedule, "digesting/nightly");
    }
}

#[tokio::test]
async fn a15_7_days_of_downtime_are_caught_up_with_as_the_policy_says() {
    for (catch_up, expected) in [
        (CatchUp::Skip, vec![]),
        (CatchUp::Latest, vec![3]),
        (CatchUp::All(3), vec![1, 2, 3]),
    ] {
        let mut bench = Bench::new("2027-03-01T00:00:00Z", &[&digesting()]).await;
        let plan = daily().catch_up(catch_up);
        let create =
            bench
                .client
                .create_schedule("nightly", &digesting().reference(), plan, digest("ana"));
        create.await.unwrap();
        bench.at("2027-03-04T00:00:00Z").await;
        let expected: Vec<_> = expected
            .iter()
            .map(|day| at(&format!("2027-03-0{day}T09:00:00Z")))
            .collect();
        assert_eq!(bench.occurrences("nightly").await, expected, "{catch_up:?}");
        let seen = bench.client.inspect_schedule("nightly").await.unwrap();
        assert_eq!(seen.missed.is_some(), catch_up != CatchUp::All(3));
        assert_eq!(seen.due, Some(at("2027-03-04T09:00:00Z")));
    }
}

#[tokio::test]
async fn a15_9_a_change_of_the_expression_fires_nothing_of_the_past() {
    let mut bench = Bench::new("2027-03-01T00:00:00Z", &[&digesting()]).await;
    let client = bench.client.clone();
    let workflow = digesting().reference();
    client
        .create_schedule("nightly", &workflow, daily(), digest("ana"))
        .await
        .unwrap();
    bench.until("2027-03-01T12:00:00Z").await;
    let later = PlanDraft::cron("0 10 * * *", "UTC");
    let change = client
        .change_schedule("nightly", &workflow, later, digest("eve"))
        .await
        .unwrap();
    assert!(change.changed);
    assert_eq!(change.next, Some(at("2027-03-02T10:00:00Z")));
    bench.until("2027-03-02T12:00:00Z").await;
    let runs = bench.runs("nightly").await;
    let occurrences: Vec<_> = runs.iter().map(|run| context(run).occurrence).collect();
    assert_eq!(
        occurrences,
        [at("2027-03-01T09:00:00Z"), at("2027-03-02T10:00:00Z")]
    );
    assert_eq!(runs[1].input, Some(json!({"tenant": "eve"})));
}

#[tokio::test]
async fn a15_10_a_paused_schedule_fires_nothing_shows_what_comes_and_catches_up_when_resumed() {
    let mut bench = Bench::new("2027-03-01T00:00:00Z", &[&digesting()]).await;
    let client = bench.client.clone();
    let plan = daily().catch_up(CatchUp::Latest);
    client
        .create_schedule("nightly", &digesting().reference(), plan, digest("ana"))
        .await
        .unwrap();
    client.pause_schedule("nightly").actor("ops").await.unwrap();
    bench.until("2027-03-03T12:00:00Z").await;
    assert_eq!(bench.occurrences("nightly").await, []);
    let seen = client.inspect_schedule("nightly").preview(2).await.unwrap();
    assert_eq!((seen.standing, seen.due), (Standing::Paused, None));
    assert_eq!(seen.next, Some(at("2027-03-04T09:00:00Z")));
    let upcoming: Vec<_> = seen.upcoming.iter().map(|firing| firing.utc).collect();
    assert_eq!(
        upcoming,
        [at("2027-03-04T09:00:00Z"), at("2027-03-05T09:00:00Z")]
    );
    assert_eq!(
        client.explain_schedule("nightly").await.unwrap().reason,
        ScheduleReason::Paused
    );

    client
        .resume_schedule("nightly")
        .actor("ops")
        .await
        .unwrap();
    bench.settle().await;
    assert_eq!(
        bench.occurrences("nightly").await,
        [at("2027-03-03T09:00:00Z")]
    );
    let missed = client
        .inspect_schedule("nightly")
        .await
        .unwrap()
        .missed
        .unwrap();
    assert_eq!(
        (missed.first, missed.last),
        (at("2027-03-01T09:00:00Z"), at("2027-03-02T09:00:00Z"))
    );
}

/// Three mornings of a schedule whose first run goes on.
async fn overlapping(overlap: Overlap) -> Bench {
    let wf = resting();
    let mut bench = Bench::new("2027-03-01T00:00:00Z", &[&wf]).await;
    let plan = daily().overlap(overlap);
    let create = bench
        .client
        .create_schedule("nightly", &wf.reference(), plan, digest("ana"));
    create.await.unwrap();
    bench.until("2027-03-03T12:00:00Z").await;
    bench
}

#[tokio::test]
async fn a15_11_allow_starts_a_run_beside_those_that_go_on() {
    let bench = overlapping(Overlap::Allow).await;
    assert_eq!(bench.occurrences("nightly").await.len(), 3);
}

#[tokio::test]
async fn a15_11_skip_starts_none_and_the_schedule_goes_on() {
    let mut bench = overlapping(Overlap::Skip).await;
    let client = bench.client.clone();
    let runs = bench.runs("nightly").await;
    assert_eq!(runs.len(), 1);
    let seen = client.inspect_schedule("nightly").await.unwrap();
    assert_eq!(
        (seen.skipped, seen.previous),
        (Some(at("2027-03-03T09:00:00Z")), Some(runs[0].run))
    );
    let summary = client.explain_schedule("nightly").await.unwrap().summary;
    assert!(
        summary.contains("occurrence 2027-03-03T09:00:00.000000Z started nothing"),
        "{summary}"
    );
    client.resume(runs[0].run).await.unwrap();
    bench.until("2027-03-04T12:00:00Z").await;
    let expected = [at("2027-03-01T09:00:00Z"), at("2027-03-04T09:00:00Z")];
    assert_eq!(bench.occurrences("nightly").await, expected);
}

#[tokio::test]
async fn a15_11_queue_one_has_one_wait_at_most() {
    let mut bench = overlapping(Overlap::QueueOne).await;
    let client = bench.client.clone();
    let runs = bench.runs("nightly").await;
    assert_eq!(runs.len(), 1);
    let seen = client.inspect_schedule("nightly").await.unwrap();
    assert_eq!(seen.waiting, Some(at("2027-03-02T09:00:00Z")));
    let explained = client.explain_schedule("nightly").await.unwrap();
    assert_eq!(explained.reason, ScheduleReason::WaitingForPrevious);
    client.resume(runs[0].run).await.unwrap();
    bench.settle().await;
    let expected = [at("2027-03-01T09:00:00Z"), at("2027-03-02T09:00:00Z")];
    assert_eq!(bench.occurrences("nightly").await, expected);
}

#[tokio::test]
async fn a15_11_cancel_running_cancels_the_run_before() {
    let bench = overlapping(Overlap::CancelRunning).await;
    let runs = bench.runs("nightly").await;
    let seen: Vec<_> = runs
        .iter()
        .map(|run| (context(run).occurrence, run.status))
        .collect();
    assert_eq!(
        seen,
        [
            (at("2027-03-01T09:00:00Z"), Status::Cancelled),
            (at("2027-03-02T09:00:00Z"), Status::Cancelled),
            (at("2027-03-03T09:00:00Z"), Status::Paused),
        ]
    );
    let reason = runs[0].cancel.as_ref().unwrap().reason.clone();
    assert_eq!(reason.as_deref(), Some("schedule nightly is due again"));
}

#[tokio::test]
async fn a15_12_no_input_can_pretend_to_be_of_a_schedule() {
    let mut bench = Bench::new("2027-03-01T00:00:00Z", &[&digesting()]).await;
    let client = bench.client.clone();
    let evil = Digest {
        tenant: "eve".to_owned(),
        schedule: Some(json!({"schedule": "other", "occurrence": "1970-01-01T00:00:00Z"})),
    };
    let workflow = digesting().reference();
    client
        .create_schedule("nightly", &workflow, daily(), evil.clone())
        .await
        .unwrap();
    let by_hand = client.start(&workflow, evil.clone()).await.unwrap();
    bench.until("2027-03-01T12:00:00Z").await;
    let runs = bench.runs("nightly").await;
    assert_eq!(runs[0].input, Some(serde_json::to_value(&evil).unwrap()));
    let told: ScheduleContext =
        serde_json::from_value(runs[0].steps[0].output.clone().unwrap()).unwrap();
    assert_eq!(
        (told.schedule.as_str(), told.occurrence),
        ("nightly", at("2027-03-01T09:00:00Z"))
    );
    assert_eq!(by_hand.result().await.unwrap(), None);
    assert_eq!(client.inspect(by_hand.id()).await.unwrap().schedule, None);
}

#[tokio::test]
async fn s8_1_a_replay_keeps_the_window_and_is_no_run_of_the_schedule() {
    let mut bench = Bench::new("2027-03-01T00:00:00Z", &[&digesting()]).await;
    let client = bench.client.clone();
    client
        .create_schedule("nightly", &digesting().reference(), daily(), digest("ana"))
        .await
        .unwrap();
    bench.until("2027-03-01T12:00:00Z").await;
    let source = bench.runs("nightly").await.remove(0);
    bench.at("2027-03-01T18:00:00Z").await;
    let replay = client.replay(source.run).await.unwrap();
    bench.settle().await;
    let copy = client.inspect(replay.id()).with_payloads().await.unwrap();
    assert_eq!(
        (copy.status, &copy.schedule),
        (Status::Completed, &source.schedule)
    );
    assert_eq!(copy.steps[0].output, source.steps[0].output);
    assert_eq!(
        bench.runs("nightly").await.len(),
        1,
        "the schedule has not started it"
    );
}

#[tokio::test]
async fn s9_5_a_year_of_downtime_is_made_up_for_in_one_turn() {
    for catch_up in [CatchUp::Skip, CatchUp::Latest] {
        let mut bench = Bench::new("2027-03-01T00:00:00Z", &[&digesting()]).await;
        let plan = PlanDraft::cron("* * * * *", "UTC").catch_up(catch_up);
        let create =
            bench
                .client
                .create_schedule("minutely", &digesting().reference(), plan, digest("ana"));
        create.await.unwrap();
        bench.set(at("2028-03-01T00:00:30Z"));
        let mut performed = 0;
        while bench.stepper.execute_next().await.unwrap().is_some() {
            performed += 1;
        }
        // The turns of what is late, of what is due, and the steps of what was started.
        assert!(performed <= 6, "{performed}");
    }
}

#[tokio::test]
async fn s9_4_a_trigger_starts_a_run_out_of_turn_and_the_schedule_goes_on() {
    let mut bench = Bench::new("2027-03-01T00:00:00Z", &[&digesting()]).await;
    let client = bench.client.clone();
    client
        .create_schedule("nightly", &digesting().reference(), daily(), digest("ana"))
        .await
        .unwrap();
    let run = client
        .trigger_schedule("nightly")
        .actor("ops")
        .await
        .unwrap();
    bench.settle().await;
    let seen = client.inspect(run.id()).await.unwrap();
    assert_eq!(
        (seen.status, seen.by.actor.as_deref()),
        (Status::Completed, Some("ops"))
    );
    let told = context(&seen);
    assert_eq!(
        (told.occasion, told.occurrence),
        (Occasion::Triggered, at("2027-03-01T00:00:00Z"))
    );
    let due = client.inspect_schedule("nightly").await.unwrap().due;
    assert_eq!(due, Some(at("2027-03-01T09:00:00Z")));
}
