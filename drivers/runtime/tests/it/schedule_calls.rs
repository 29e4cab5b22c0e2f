//! What hosts and operators ask of schedules, on every store.

use std::collections::BTreeMap;

use serde_json::json;
use squid_mesh::core::id::RunId;
use squid_mesh::core::run::Status;
use squid_mesh::core::schedule::{Occasion, ScheduleNextAction, Standing};
use squid_mesh::core::store::ScheduleFilter;
use squid_mesh::{
    Applied, ApplyError, CatchUp, Client, Command, InspectError, Overlap, PlanDraft, Runtime,
    ScheduleError, ScheduleReason,
};

use crate::harness::{Place, on_every_store, until};
use crate::schedules::{at, context, declaring, digest, digesting, ids_of, runs_of};

async fn running(place: &Place) -> Runtime {
    let builder = place.runtime().await.workflow(digesting());
    builder.start().await.unwrap()
}

fn daily() -> PlanDraft {
    PlanDraft::cron("0 9 * * *", "Europe/Berlin")
}

/// A schedule that is far from firing.
async fn created(client: &Client, name: &str) {
    let reference = digesting().reference();
    let create = client.create_schedule(name, &reference, daily(), digest("ana"));
    assert!(create.await.unwrap().changed);
}

/// Applies a command as it is read back from its text.
async fn applied(client: &Client, command: &Command) -> Result<Applied, ApplyError> {
    let text = serde_json::to_string(command).unwrap();
    let read: Command = serde_json::from_str(&text).unwrap();
    assert_eq!(read, *command, "{text}");
    client.apply(read).await
}

fn text<T>(result: Result<T, ScheduleError>) -> String {
    result.err().unwrap().to_string()
}

on_every_store! {
    async fn s9_2_every_second_has_one_run_whoever_fires_it(place) {
        let mut runtimes = Vec::new();
        for _ in 0..3 {
            runtimes.push(running(place).await);
        }
        let client = place.client().await;
        let plan = PlanDraft::cron("* * * * * *", "UTC");
        client.create_schedule("pulse", &digesting().reference(), plan, digest("ana")).await.unwrap();
        until(async || ids_of(&client, "pulse").await.len() >= 3).await;
        client.delete_schedule("pulse").await.unwrap();
        let mut by_occurrence: BTreeMap<_, Vec<RunId>> = BTreeMap::new();
        for run in ids_of(&client, "pulse").await {
            client.run::<()>(run).wait_terminal().await.unwrap();
        }
        for run in runs_of(&client, "pulse").await {
            assert_eq!(run.status, Status::Completed);
            let told = context(&run);
            assert!(told.received_at >= told.occurrence, "nothing fires early");
            by_occurrence.entry(told.occurrence).or_default().push(run.run);
        }
        assert!(by_occurrence.values().all(|runs| runs.len() == 1), "{by_occurrence:?}");
        for runtime in runtimes {
            runtime.shutdown().await;
        }
    }

    async fn s9_6_an_occurrence_that_is_fired_twice_has_one_run(place) {
        let runtime = running(place).await;
        let client = runtime.client();
        let external = PlanDraft::external();
        client.create_schedule("outside", &digesting().reference(), external, digest("ana")).await.unwrap();
        let occurrence = at("2026-01-02T03:04:05Z");
        let first = client.fire_schedule("outside", occurrence).actor("crond").await.unwrap();
        let again = client.fire_schedule("outside", occurrence).await.unwrap();
        assert_eq!((first.existing(), again.existing(), again.id()), (false, true, first.id()));
        first.wait_terminal().await.unwrap();
        let seen = first.inspect().await.unwrap();
        assert_eq!(seen.by.actor.as_deref(), Some("crond"));
        let told = context(&seen);
        assert_eq!((told.occurrence, told.occasion), (occurrence, Occasion::Fired));
        let other = client.fire_schedule("outside", at("2026-01-02T03:04:06Z")).await.unwrap();
        assert_ne!(other.id(), first.id());
        let told = client.explain_schedule("outside").await.unwrap();
        assert_eq!((told.reason, told.next), (ScheduleReason::External, None));
        runtime.shutdown().await;
    }

    async fn s9_6_a_signal_that_comes_twice_has_one_run(place) {
        let runtime = running(place).await;
        let client = runtime.client();
        created(client, "nightly").await;
        let first = client.fire_schedule_signal("nightly", "message 7").await.unwrap();
        let again = client.fire_schedule_signal("nightly", "message 7").occurred_at(at("2026-01-01T00:00:00Z"));
        let again = again.await.unwrap();
        assert_eq!((first.existing(), again.existing(), again.id()), (false, true, first.id()));
        let other = client.fire_schedule_signal("nightly", "message 8").occurred_at(at("2026-01-01T00:00:00Z"));
        let other = other.await.unwrap();
        let seen = other.inspect().await.unwrap();
        assert_eq!(context(&seen).occurrence, at("2026-01-01T00:00:00Z"));
        runtime.shutdown().await;
    }

    async fn s9_6_what_is_no_occurrence_or_still_to_come_is_not_fired(place) {
        let runtime = running(place).await;
        let client = runtime.client();
        created(client, "nightly").await;
        let beside = client.fire_schedule("nightly", at("2026-01-01T07:00:00Z")).await;
        assert!(matches!(beside, Err(ScheduleError::NoOccurrence { .. })), "{beside:?}");
        let occurrence = at("2026-01-01T08:00:00Z");
        assert!(!client.fire_schedule("nightly", occurrence).await.unwrap().existing());
        let ahead = client.fire_schedule("nightly", at("2126-01-01T08:00:00Z")).await;
        assert!(matches!(ahead, Err(ScheduleError::NotDue { .. })), "{ahead:?}");
        for (signal, expected) in [("", "is empty"), ("a\0b", "NUL character"), (&"x".repeat(257), "limit of 256")] {
            let refused = text(client.fire_schedule_signal("nightly", signal).await);
            assert!(refused.contains(expected), "{refused}");
        }
        runtime.shutdown().await;
    }

    async fn s8_5_a_command_under_a_key_has_its_effect_once(place) {
        let runtime = running(place).await;
        let client = runtime.client();
        let reference = digesting().reference();
        let create = || client.create_schedule("nightly", &reference, daily(), digest("ana")).actor("ops").key("c");
        assert!(create().await.unwrap().changed);
        assert!(create().await.unwrap().changed, "it is told what it did");
        let pause = || client.pause_schedule("nightly").actor("ops").comment("moving").key("p");
        let paused = pause().await.unwrap();
        assert_eq!((paused.changed, paused.standing, paused.next), (true, Some(Standing::Paused), None));
        client.resume_schedule("nightly").key("r").await.unwrap();
        let again = pause().await.unwrap();
        assert_eq!((again.changed, again.at), (true, paused.at));
        let seen = client.inspect_schedule("nightly").await.unwrap();
        assert_eq!(seen.standing, Standing::Active, "the same pause again is no other one");

        let plan = || PlanDraft::cron("0 10 * * *", "UTC").catch_up(CatchUp::All(3));
        let change = || client.change_schedule("nightly", &reference, plan(), digest("eve")).key("h");
        assert!(change().await.unwrap().changed);
        client.change_schedule("nightly", &reference, daily(), digest("ana")).await.unwrap();
        change().await.unwrap();
        let seen = client.inspect_schedule("nightly").with_payloads().await.unwrap();
        assert_eq!((seen.plan.cron.as_deref(), seen.input), (Some("0 9 * * *"), Some(json!({"tenant": "ana"}))));

        let trigger = async || client.trigger_schedule("nightly").actor("ops").key("t").await.unwrap().id();
        let run = trigger().await;
        assert_eq!(trigger().await, run);
        assert_ne!(client.trigger_schedule("nightly").await.unwrap().id(), run);
        let delete = || client.delete_schedule("nightly").key("d");
        assert!(delete().await.unwrap().changed);
        assert!(delete().await.unwrap().changed);
        assert_eq!(trigger().await, run, "what was started is told of a schedule that is gone, too");
        let gone = client.inspect_schedule("nightly").await;
        assert!(matches!(gone, Err(ScheduleError::UnknownSchedule { .. })), "{gone:?}");
        runtime.shutdown().await;
    }

    async fn s13_3_what_is_asked_of_schedules_is_done_by_its_command(place) {
        let runtime = running(place).await;
        let client = runtime.client();
        let reference = digesting().reference();
        let plan = daily().overlap(Overlap::QueueOne).catch_up(CatchUp::All(3)).start(at("2027-01-01T00:00:00Z"));
        let create = client.create_schedule("nightly", &reference, plan, digest("ana")).trigger("manual").key("c");
        let create = create.to_command().unwrap();
        let Applied::Schedule(reply) = applied(client, &create).await.unwrap() else { panic!() };
        assert!(reply.changed);
        let change = client.change_schedule("nightly", &reference, daily(), digest("eve")).to_command().unwrap();
        applied(client, &change).await.unwrap();
        applied(client, &client.pause_schedule("nightly").actor("ops").to_command()).await.unwrap();
        let seen = client.inspect_schedule("nightly").with_payloads().await.unwrap();
        assert_eq!((seen.standing, seen.input), (Standing::Paused, Some(json!({"tenant": "eve"}))));
        applied(client, &client.resume_schedule("nightly").to_command()).await.unwrap();
        let trigger = client.trigger_schedule("nightly").metadata(json!({"n": 1})).key("t").to_command().unwrap();
        let Applied::Started { run, existing: false } = applied(client, &trigger).await.unwrap() else { panic!() };
        assert_eq!(applied(client, &trigger).await.unwrap(), Applied::Started { run, existing: false });
        let fire = client.fire_schedule("nightly", at("2026-01-01T08:00:00Z")).to_command().unwrap();
        let Applied::Started { run, existing: false } = applied(client, &fire).await.unwrap() else { panic!() };
        assert_eq!(applied(client, &fire).await.unwrap(), Applied::Started { run, existing: true });
        let signal = client.fire_schedule_signal("nightly", "7").to_command().unwrap();
        assert!(matches!(applied(client, &signal).await.unwrap(), Applied::Started { existing: false, .. }));
        applied(client, &client.delete_schedule("nightly").to_command()).await.unwrap();

        for (command, field) in [
            (r#"{"type": "pause_schedule", "schedule": "nightly", "metadata": {}}"#, "metadata"),
            (r#"{"type": "fire_schedule", "schedule": "nightly"}"#, "occurrence"),
        ] {
            let refused = client.apply(serde_json::from_str(command).unwrap()).await;
            assert!(matches!(&refused, Err(ApplyError::Field { field: named, .. }) if *named == field), "{refused:?}");
        }
        runtime.shutdown().await;
    }

    async fn what_cannot_be_is_refused_by_name_and_nothing_is_written(place) {
        let runtime = running(place).await;
        let client = runtime.client();
        let create = |name: &str, workflow: &str, plan: PlanDraft, input| {
            client.create_schedule_json(name, workflow, plan, input)
        };
        let fit = || json!({"tenant": "ana"});
        let cron = |expression: &str| PlanDraft::cron(expression, "UTC");
        let all = |most| daily().catch_up(CatchUp::All(most));
        let long = "x".repeat(129);
        for (refused, parts) in [
            (create("", "digesting", daily(), fit()), vec!["\"\" is no schedule"]),
            (create(&long, "digesting", daily(), fit()), vec!["1 to 128 bytes"]),
            (create("a\0b", "digesting", daily(), fit()), vec!["\"a\\0b\" is no schedule"]),
            (create("digesting/own", "digesting", daily(), fit()), vec!["\"digesting/own\" is declared by its workflow"]),
            (create("a", "digesting", cron("61 * * * *"), fit()), vec!["minute at position 0", "\"61\""]),
            (create("a", "digesting", cron("0 9 * * mon-xyz"), fit()), vec!["day of week at position 12", "\"xyz\""]),
            (create("a", "digesting", cron("0 9 *"), fit()), vec!["at position 5: 3 fields found"]),
            (create("a", "digesting", PlanDraft::cron("@daily", "Europe/Berln"), fit()), vec!["unknown time zone \"Europe/Berln\""]),
            (create("a", "digesting", all(0), fit()), vec!["catch_up: all needs a bound of 1 to 1000, found 0"]),
            (create("a", "digesting", all(1_001), fit()), vec!["catch_up: all needs a bound of 1 to 1000, found 1001"]),
            (
                create("a", "digesting", PlanDraft::cron("x", "y").catch_up(CatchUp::All(0)), fit()),
                vec!["cron: ", "zone: ", "catch_up: "],
            ),
            (create("a", "digesting", daily(), json!({"tenant": 7, "more": 1})), vec!["\"tenant\" is ill-typed", "\"more\" is unknown"]),
            (create("a", "digesting", daily(), json!({"tenant": "a\0b"})), vec!["\"tenant\" has a NUL character"]),
            (create("a", "nothing", daily(), fit()), vec!["workflow nothing is not known"]),
            (create("a", "Not a name", daily(), fit()), vec!["\"Not a name\""]),
            (create("a", "digesting", daily(), fit()).trigger("yearly"), vec!["digesting@1 has no trigger \"yearly\""]),
            (create("a", "digesting", daily(), fit()).actor(" "), vec!["the actor is missing"]),
            (create("a", "digesting", daily(), fit()).key("x".repeat(257)), vec!["bytes of the command key"]),
        ] {
            let refused = text(refused.await);
            for part in parts {
                assert!(refused.contains(part), "{part} is not in {refused}");
            }
        }
        let page = client.schedules(&ScheduleFilter::default(), None, 0).await.unwrap();
        assert_eq!(page.schedules, []);
        runtime.shutdown().await;
    }

    async fn what_is_there_otherwise_or_not_there_is_refused_by_its_own_error(place) {
        let wf = declaring(1, &[("nightly", "0 9 * * *")]);
        let runtime = place.runtime().await.workflow(&wf).start().await.unwrap();
        let client = runtime.client();
        let reference = wf.reference();
        client.create_schedule("mine", &reference, daily(), digest("ana")).await.unwrap();
        let same = client.create_schedule("mine", &reference, daily(), digest("ana")).await.unwrap();
        assert!(!same.changed, "the same is there already");
        let other = client.create_schedule("mine", &reference, daily(), digest("eve")).await;
        assert!(matches!(other, Err(ScheduleError::Exists { .. })), "{other:?}");
        for refused in [
            client.change_schedule("digesting/nightly", &reference, daily(), digest("ana")).await,
            client.delete_schedule("digesting/nightly").await,
        ] {
            assert!(matches!(refused, Err(ScheduleError::Declared { .. })), "{refused:?}");
        }
        for refused in [
            client.change_schedule("other", &reference, daily(), digest("ana")).await,
            client.pause_schedule("other").await,
            client.resume_schedule("other").await,
            client.delete_schedule("other").await,
        ] {
            assert!(matches!(refused, Err(ScheduleError::UnknownSchedule { .. })), "{refused:?}");
        }
        for refused in [
            client.trigger_schedule("other").await.err(),
            client.fire_schedule("other", at("2026-01-01T00:00:00Z")).await.err(),
            client.explain_schedule("other").await.err(),
            client.inspect_schedule("other").await.err(),
        ] {
            assert!(matches!(refused, Some(ScheduleError::UnknownSchedule { .. })), "{refused:?}");
        }
        let many = client.inspect_schedule("mine").preview(1_001).await;
        assert!(matches!(many, Err(ScheduleError::Limit(_))), "{many:?}");
        assert_eq!(client.inspect_schedule("mine").preview(1_000).await.unwrap().upcoming.len(), 1_000);
        runtime.shutdown().await;
    }

    async fn a_day_that_never_comes_is_accepted_and_said_never_to_come(place) {
        let runtime = running(place).await;
        let client = runtime.client();
        let plan = PlanDraft::cron("0 0 30 2 *", "UTC");
        let created = client.create_schedule("never", &digesting().reference(), plan, digest("ana")).await.unwrap();
        assert_eq!((created.changed, created.next), (true, None));
        let told = client.explain_schedule("never").await.unwrap();
        assert_eq!(told.reason, ScheduleReason::NeverFires);
        assert_eq!(told.summary, "its expression names no instant");
        assert_eq!(client.inspect_schedule("never").await.unwrap().upcoming, []);
        runtime.shutdown().await;
    }

    async fn schedules_are_listed_by_name_page_by_page(place) {
        let wf = declaring(1, &[("nightly", "0 9 * * *")]);
        let runtime = place.runtime().await.workflow(&wf).start().await.unwrap();
        let client = runtime.client();
        for name in ["Zoe", "ana", "eve", "\u{e4}"] {
            client.create_schedule(name, &wf.reference(), daily(), digest(name)).await.unwrap();
        }
        client.pause_schedule("eve").await.unwrap();
        let everything = ScheduleFilter::default();
        let (mut names, mut cursor) = (Vec::new(), None);
        loop {
            let page = client.schedules(&everything, cursor.as_deref(), 2).await.unwrap();
            names.extend(page.schedules.into_iter().map(|schedule| schedule.schedule));
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(names, ["Zoe", "ana", "digesting/nightly", "eve", "\u{e4}"]);
        let mut paused = ScheduleFilter::default();
        paused.standings.insert(Standing::Paused);
        let page = client.schedules(&paused, None, 0).await.unwrap();
        assert_eq!((page.schedules.len(), page.schedules[0].due), (1, None));
        let mut elsewhere = ScheduleFilter::default();
        elsewhere.workflow = Some(squid_mesh::core::name::Name::stored("other"));
        assert_eq!(client.schedules(&elsewhere, None, 0).await.unwrap().schedules, []);
        for cursor in ["", "s1-", "c1-5-7", "s1-a\0b"] {
            let refused = client.schedules(&everything, Some(cursor), 0).await;
            assert!(matches!(refused, Err(InspectError::MalformedCursor { .. })), "{cursor:?}");
        }
        runtime.shutdown().await;
    }

    async fn s12_3_the_input_of_a_schedule_is_shown_if_asked_for_and_as_the_hook_leaves_it(place) {
        let runtime = running(place).await;
        created(runtime.client(), "nightly").await;
        let client = runtime.client().with_redaction(|cx, value| {
            assert_eq!((cx.run, cx.schedule), (None, Some("nightly")));
            value["tenant"] = "****".into();
        });
        let plain = client.inspect_schedule("nightly").await.unwrap();
        assert!(!serde_json::to_string(&plain).unwrap().contains("ana"));
        let shown = client.inspect_schedule("nightly").with_payloads().await.unwrap();
        assert_eq!(shown.input, Some(json!({"tenant": "****"})));
        runtime.shutdown().await;
    }

    async fn s12_2_a_schedule_that_nobody_fires_is_said_to_be_late(place) {
        let runtime = running(place).await;
        let client = runtime.client().clone();
        let plan = PlanDraft::cron("* * * * * *", "UTC");
        let input = json!({"tenant": "ana"});
        client.create_schedule_json("pulse", "digesting", plan, input).await.unwrap();
        until(async || !ids_of(&client, "pulse").await.is_empty()).await;
        runtime.shutdown().await;
        let late = async || client.explain_schedule("pulse").await.unwrap();
        until(async || late().await.reason == ScheduleReason::FiringLate).await;
        assert!(late().await.next_actions.contains(&ScheduleNextAction::StartWorker));
        client.delete_schedule("pulse").await.unwrap();
    }
}
