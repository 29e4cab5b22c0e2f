//! Commands as values, triggers, and what is not shown.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::json;
use squid_mesh::core::event::CopyKind;
use squid_mesh::core::id::RunId;
use squid_mesh::core::run::Status;
use squid_mesh::core::time::Timestamp;
use squid_mesh::{
    Applied, ApplyError, CatchUp, Command, PlanDraft, RedactedPart, ResolveError, ResolveUnknown,
    Routed, Signal, StartError, StepContext, StepError, StepStatus, Workflow, step, step_routed,
};

use crate::harness::{on_every_store, until, until_status};

const PAID: Signal<u64> = Signal::new("paid");

async fn pay(_: StepContext, (card, cents): (String, u64)) -> Result<serde_json::Value, StepError> {
    Ok(json!({"card": card, "cents": cents}))
}

/// A review, then a signal, then a step that gives what must not be seen.
fn paying() -> Workflow<String, serde_json::Value> {
    let (mut wf, card) = Workflow::builder::<String>("paying", 1);
    wf.manual("from_support");
    let review = wf.pause("look", ());
    let cents = wf.signal("await_payment", &PAID, review);
    let paid = wf.step("pay", (card, *cents), step(pay));
    wf.finish(paid).unwrap()
}

async fn ship(cx: StepContext, weight: u32) -> Result<Routed<u32>, StepError> {
    assert!(cx.attempt() > 1, "the first attempt dies half way");
    Ok(Routed::new("fast", weight))
}

/// A review, and a shipment that must not be repeated unasked.
fn delivering() -> Workflow<u32, String> {
    let (mut wf, weight) = Workflow::builder::<u32>("delivering", 1);
    let say = |word: &'static str| {
        step(move |_: StepContext, n: u32| async move { Ok(format!("{word} {n}")) })
    };
    let review = wf.approval("review", weight);
    let shipped = wf.when(&review, "approved", |wf| {
        let spec = step_routed(ship, ["fast", "slow"]).irreversible();
        wf.step("ship", weight, spec)
    });
    let mut ends = vec![wf.when(&review, "rejected", |wf| {
        wf.step("refund", weight, say("rejected"))
    })];
    for way in ["fast", "slow"] {
        ends.push(wf.when(&shipped, way, |wf| wf.step(way, shipped, say(way))));
    }
    let end = wf.either_of(&ends);
    wf.finish(end).unwrap()
}

fn round_trip(command: &Command) -> Command {
    let text = serde_json::to_string(command).unwrap();
    let read: Command = serde_json::from_str(&text).unwrap();
    assert_eq!(read, *command, "{text}");
    read
}

on_every_store! {
    async fn s13_3_what_a_builder_would_do_is_done_by_its_command(place) {
        let wf = paying();
        let runtime = place.runtime().await.workflow(&wf).start().await.unwrap();
        let client = runtime.client();
        let start = client.start(&wf.reference(), "4711".to_owned()).key("k1").label("customer", "ana").actor("ana").trigger("from_support");
        let start = round_trip(&start.to_command().unwrap());
        let Applied::Started { run, existing: false } = client.apply(start.clone()).await.unwrap() else { panic!() };
        assert_eq!(client.apply(start).await.unwrap(), Applied::Started { run, existing: true });
        let seen = until_status(client, run, Status::Paused).await;
        assert_eq!((seen.trigger.as_str(), seen.by.actor.as_deref(), seen.labels.len()), ("from_support", Some("ana"), 1));

        let resume = client.resume(run).step("look").comment("fine").metadata(json!({"n": 1})).key("c1");
        let resume = round_trip(&resume.to_command().unwrap());
        let first = client.apply(resume.clone()).await.unwrap();
        let signal = round_trip(&client.signal(run, &PAID, 5).actor("bank").to_command().unwrap());
        client.apply(signal).await.unwrap();
        until_status(client, run, Status::Completed).await;
        let (Applied::Obeyed(first), Applied::Obeyed(again)) = (first, client.apply(resume).await.unwrap()) else { panic!() };
        assert_eq!((first.seq, first.at), (again.seq, again.at));

        let replay = round_trip(&client.replay(run).same_version().key("r1").to_command().unwrap());
        let Applied::Started { run: copy, .. } = client.apply(replay).await.unwrap() else { panic!() };
        let cancel = round_trip(&client.cancel(copy).undo(true).reason("no").to_command().unwrap());
        let Applied::Cancelled(reply) = client.apply(cancel).await.unwrap() else { panic!() };
        assert_eq!(reply.run, copy);
        let pause = round_trip(&client.pause_queue("slow").actor("ana").to_command());
        assert!(matches!(client.apply(pause).await.unwrap(), Applied::Queue(_)));
        runtime.shutdown().await;
    }

    async fn s13_3_every_kind_of_command_is_read_as_it_was_written(place) {
        let client = place.client().await;
        let run = RunId::from_u128(7);
        let unknown = || client.resolve_unknown(run);
        let plan = || PlanDraft::cron("@daily", "UTC").catch_up(CatchUp::All(3)).jitter(Duration::from_secs(5));
        let commands = [
            client.start_json("paying", 2, json!("x")).at(Timestamp::from_micros(5)).queue("q").priority(3).to_command(),
            client.start_json("paying", None, json!("x")).delay(Duration::from_millis(5)).trace("t").to_command(),
            client.cancel(run).force(true).undo(true).to_command(),
            client.approve(run).actor("ana").step("a").to_command(),
            client.reject(run).actor("ana").to_command(),
            client.resume(run).metadata(json!({"n": 1})).to_command(),
            unknown().succeeded_with_label("fast", 5).step("a").to_command(),
            unknown().retry().to_command(),
            unknown().fail("lost", "in the post").to_command(),
            client.skip_undo(run).step("a").to_command(),
            client.signal(run, &PAID, 5).key("k").to_command(),
            client.replay(run).same_version().allow_irreversible().to_command(),
            client.fork(run, ["a", "b"]).to_command(),
            client.resume_failed(run).comment("mended").to_command(),
            Ok(client.pause_queue("mail").key("k").to_command()),
            Ok(client.resume_queue("mail").actor("ana").to_command()),
            client.create_schedule_json("a", "paying", plan(), json!("x")).trigger("from_support").to_command(),
            client.change_schedule_json("a", "paying", plan(), json!("x")).actor("ana").to_command(),
            Ok(client.pause_schedule("a").key("k").to_command()),
            Ok(client.resume_schedule("a").comment("mended").to_command()),
            Ok(client.delete_schedule("a").to_command()),
            client.trigger_schedule("a").metadata(json!({"n": 1})).to_command(),
            client.fire_schedule("a", Timestamp::from_micros(5)).to_command(),
            client.fire_schedule_signal("a", "7").occurred_at(Timestamp::from_micros(5)).to_command(),
        ];
        let mut kinds = BTreeSet::new();
        for command in commands {
            let command = round_trip(&command.unwrap());
            let json = serde_json::to_value(&command).unwrap();
            kinds.insert(json["type"].as_str().unwrap().to_owned());
        }
        let expected = [
            "approve", "cancel", "change_schedule", "create_schedule", "delete_schedule", "fire_schedule", "fork",
            "pause_queue", "pause_schedule", "reject", "replay", "resolve_failed", "resolve_retry", "resolve_succeeded",
            "resume", "resume_failed", "resume_queue", "resume_schedule", "signal", "skip_undo", "start",
            "trigger_schedule",
        ];
        assert!(kinds.iter().eq(expected), "{kinds:?}");
    }

    async fn s13_3_what_people_decide_is_done_by_commands(place) {
        let wf = delivering();
        let runtime = place.runtime().await.workflow(&wf).start().await.unwrap();
        let client = runtime.client();
        let start = async |weight: u32| {
            let run = client.start(&wf.reference(), weight).await.unwrap();
            until_status(client, run.id(), Status::Paused).await;
            run
        };
        let apply = async |command: Result<Command, _>| client.apply(round_trip(&command.unwrap())).await.unwrap();

        let rejected = start(1).await;
        apply(client.reject(rejected.id()).actor("ana").to_command()).await;
        assert_eq!(rejected.result().await.unwrap(), "rejected 1");

        let mut ended = Vec::new();
        for decide in [
            |unknown: ResolveUnknown| unknown.succeeded_with_label("slow", 7).to_command(),
            |unknown: ResolveUnknown| unknown.retry().to_command(),
            |unknown: ResolveUnknown| unknown.fail("stolen", "gone").to_command(),
        ] {
            let run = start(2).await;
            apply(client.approve(run.id()).actor("ana").to_command()).await;
            until(async || run.inspect().await.unwrap().step("ship").unwrap().status == StepStatus::Held).await;
            apply(decide(client.resolve_unknown(run.id()))).await;
            ended.push(run.result().await.map_err(|error| error.to_string()));
            if let Err(error) = ended.last().unwrap() {
                assert!(error.contains("stolen: gone"), "{error}");
                for (copy, kind) in [
                    (client.fork(run.id(), ["ship"]).to_command(), CopyKind::Fork),
                    (client.resume_failed(run.id()).to_command(), CopyKind::Resume),
                ] {
                    let Applied::Started { run: copy, .. } = apply(copy).await else { panic!("a copy is a start") };
                    let source = client.inspect(copy).await.unwrap().source.unwrap();
                    assert_eq!((source.run, source.kind), (run.id(), kind));
                }
            }
        }
        assert_eq!((ended[0].as_deref(), ended[1].as_deref()), (Ok("slow 7"), Ok("fast 2")));
        let given_up = client.apply(client.skip_undo(rejected.id()).to_command().unwrap()).await;
        let Err(ApplyError::Resolve(ResolveError::Finished { run, .. })) = given_up else { panic!("{given_up:?}") };
        assert_eq!(run, rejected.id());
        runtime.shutdown().await;
    }

    async fn s13_3_no_field_of_a_command_is_dropped_unsaid(place) {
        let client = place.client().await;
        let pause = client.pause_queue("mail").key("k").to_command();
        let Applied::Queue(first) = client.apply(pause.clone()).await.unwrap() else { panic!() };
        let resume = client.resume_queue("mail").key("k").to_command();
        let Applied::Queue(resumed) = client.apply(resume).await.unwrap() else { panic!() };
        assert!(first.changed && resumed.changed);
        assert_eq!(client.apply(pause.clone()).await.unwrap(), Applied::Queue(first), "the key makes a repetition one");

        let mut said = pause;
        said.metadata = Some(json!({"ticket": 7}));
        let refused = client.apply(said).await.unwrap_err();
        assert!(matches!(refused, ApplyError::Field { field: "metadata", .. }), "{refused}");
        let both = json!({"type": "start", "workflow": "paying", "payload": "x", "at": Timestamp::from_micros(5), "delay": {"secs": 1, "nanos": 0}});
        let refused = client.apply(serde_json::from_value(both).unwrap()).await.unwrap_err();
        assert!(matches!(refused, ApplyError::Field { field: "at", .. }), "{refused}");
    }

    async fn s1_10_a_run_is_started_by_one_of_the_triggers_there_are(place) {
        let wf = paying();
        let runtime = place.runtime().await.workflow(&wf).start().await.unwrap();
        let client = runtime.client();
        let plain = client.start(&wf.reference(), "4711".to_owned()).await.unwrap();
        assert_eq!(plain.inspect().await.unwrap().trigger, wf.definition().triggers()[0].name);
        let named = client.start(&wf.reference(), "4711".to_owned()).trigger("from_support").await.unwrap();
        assert_eq!(named.inspect().await.unwrap().trigger.as_str(), "from_support");
        let error = client.start(&wf.reference(), "4711".to_owned()).trigger("from_mars").await.unwrap_err();
        assert!(matches!(&error, StartError::UnknownTrigger { trigger, .. } if trigger == "from_mars"), "{error}");
        runtime.shutdown().await;
    }

    async fn a18_9_a_hook_sees_every_payload_before_it_is_shown(place) {
        let wf = paying();
        let builder = place.runtime().await.workflow(&wf);
        let builder = builder.redact(|context, value| match context.part {
            RedactedPart::Input => *value = "****".into(),
            RedactedPart::Output { step } if step.as_str() == "pay" => value["card"] = "****".into(),
            RedactedPart::Metadata => value["seen"] = true.into(),
            RedactedPart::Signal { .. } => *value = 0.into(),
            _ => {}
        });
        let runtime = builder.start().await.unwrap();
        let client = runtime.client();
        let run = client.start(&wf.reference(), "4711".to_owned()).await.unwrap();
        until_status(client, run.id(), Status::Paused).await;
        for cents in [5, 6] {
            client.signal(run.id(), &PAID, cents).await.unwrap();
        }
        client.resume(run.id()).metadata(json!({"db_password": "x"})).await.unwrap();
        assert_eq!(run.result().await.unwrap(), json!({"card": "4711", "cents": 5}), "results are for programs");
        let seen = run.inspect().with_payloads().await.unwrap();
        assert_eq!(seen.input, Some(json!("****")));
        assert_eq!(seen.step("pay").unwrap().output, Some(json!({"card": "****", "cents": 5})));
        assert_eq!(seen.signals[0].payload, Some(json!(0)));
        let history = client.history(run.id()).await.unwrap();
        let entry = history.iter().find(|entry| entry.event == "resolved").unwrap();
        assert_eq!(entry.metadata, Some(json!({"db_password": "[redacted]", "seen": true})));
        runtime.shutdown().await;
    }
}
