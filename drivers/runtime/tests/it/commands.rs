//! Commands as values, triggers, and what is not shown.

use serde_json::json;
use squid_mesh::core::run::Status;
use squid_mesh::{
    Applied, Command, RedactedPart, Signal, StartError, StepContext, StepError, Workflow, step,
};

use crate::harness::{on_every_store, until_status};

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
