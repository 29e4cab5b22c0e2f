//! Texts that not every store can hold.
//!
//! Invariant: what is refused is refused alike on every store, by a typed error, and nothing is written.

use serde_json::{Value, json};
use squid_mesh::core::event::By;
use squid_mesh::core::id::{CommandId, RunId};
use squid_mesh::core::name::Name;
use squid_mesh::core::operation::{
    Cancel, Entry, Group, GroupReply, Operation, QueueAction, QueueCommand, Rejection, Reply,
    Signal as Sent, Submit,
};
use squid_mesh::core::payload::Payload;
use squid_mesh::core::run::Status;
use squid_mesh::core::store::{ScheduleFilter, Store};
use squid_mesh::{
    ApplyError, CancelError, Client, PlanDraft, QueueError, ResolveError, RunHandle, Runtime,
    ScheduleError, SharedStore, Signal, SignalError, StartError, Workflow,
};

use crate::harness::{Place, journal_rows, on_every_store, until_status};

const NOTE: Signal<Value> = Signal::new("note");

/// Waits for a note beside a pause.
fn noted() -> Workflow<Value, Value> {
    let (mut wf, input) = Workflow::builder::<Value>("noted", 1);
    wf.pause("look", ());
    let note = wf.signal("note", &NOTE, input);
    wf.finish(*note).unwrap()
}

/// JSON with the character in a text, in a key, and deep within.
fn spoiled() -> [Value; 3] {
    [
        json!("a\0b"),
        json!({"a\0": 1}),
        json!({"a": [{"b": "\0"}]}),
    ]
}

/// A run that waits, and a schedule.
async fn scene(place: &Place) -> (Runtime, RunHandle<Value>) {
    let wf = noted();
    let runtime = place.runtime().await.workflow(&wf).start().await.unwrap();
    let client = runtime.client();
    let run = client.start(&wf.reference(), json!({})).await.unwrap();
    until_status(client, run.id(), Status::Waiting).await;
    let plan = PlanDraft::cron("0 9 * * *", "UTC");
    client
        .create_schedule("nightly", &wf.reference(), plan, json!({}))
        .await
        .unwrap();
    client
        .pause_queue("mail")
        .comment("as it was")
        .await
        .unwrap();
    (runtime, run)
}

/// All that could have been written.
async fn seen(client: &Client, run: RunId) -> String {
    let runs = client.list(&Default::default(), None, 100).await.unwrap();
    let schedules = client
        .schedules(&ScheduleFilter::default(), None, 100)
        .await
        .unwrap();
    let queues = client.queues().await.unwrap();
    let nightly = client
        .inspect_schedule("nightly")
        .with_payloads()
        .await
        .unwrap();
    format!(
        "{} {:?} {:?} {queues:?} {:?} {:?}",
        journal_rows(client, run).await,
        runs.runs,
        schedules.schedules,
        nightly.plan,
        nightly.input
    )
}

fn is_invalid(rejection: &Rejection, of: &str) -> bool {
    let Rejection::InvalidCommand { what, problem } = rejection else {
        return false;
    };
    what == of && problem.contains("NUL")
}

async fn performed(store: &SharedStore, entry: Entry) -> Rejection {
    let submit = Submit {
        shard: entry.run().shard(store.shards()),
        groups: vec![Group {
            entries: vec![entry],
        }],
        offer: None,
        wait: true,
    };
    match store.perform(Operation::Submit(submit)).await.unwrap() {
        Reply::Submitted { mut groups, .. } => match groups.remove(0) {
            GroupReply::Refused { rejection, .. } => rejection,
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

on_every_store! {
    async fn a21_1_what_is_started_or_scheduled_has_no_nul_character(place) {
        let (runtime, run) = scene(place).await;
        let client = runtime.client();
        let reference = noted().reference();
        let before = seen(client, run.id()).await;
        for input in spoiled() {
            let error = client.start(&reference, input.clone()).await.unwrap_err();
            assert!(matches!(error, StartError::InvalidInput { .. }), "{error}");
            let plan = || PlanDraft::cron("0 10 * * *", "UTC");
            let error = client.create_schedule("weekly", &reference, plan(), input.clone()).await.unwrap_err();
            assert!(matches!(error, ScheduleError::InvalidInput { .. }), "{error}");
            let error = client.change_schedule("nightly", &reference, plan(), input).await.unwrap_err();
            assert!(matches!(error, ScheduleError::InvalidInput { .. }), "{error}");
        }
        let start = || client.start(&reference, json!({}));
        for (start, named) in [
            (start().label("a\0", "b"), "a label"),
            (start().label("a", "b\0"), "a label"),
            (start().key("\0"), "the idempotency key"),
        ] {
            let error = start.await.unwrap_err();
            assert!(matches!(error, StartError::NulCharacter { what } if what == named), "{error}");
        }
        let error = start().comment("\0").await.unwrap_err();
        assert!(matches!(&error, StartError::Rejected(why) if is_invalid(why, "the comment")), "{error}");
        let error = client.fire_schedule_signal("nightly", "a\0").await.unwrap_err();
        assert!(matches!(error, ScheduleError::Signal { .. }), "{error}");
        assert_eq!(seen(client, run.id()).await, before);
        runtime.shutdown().await;
    }

    async fn a21_1_what_is_said_to_a_run_has_no_nul_character(place) {
        let (runtime, run) = scene(place).await;
        let client = runtime.client();
        let before = seen(client, run.id()).await;
        for payload in spoiled() {
            let error = client.signal(run.id(), &NOTE, payload.clone()).await.unwrap_err();
            assert!(matches!(error, SignalError::InvalidPayload { .. }), "{error}");
            let metadata = json!({ "deep": payload });
            let error = client.resume(run.id()).metadata(metadata.clone()).await.unwrap_err();
            assert!(matches!(&error, ResolveError::Rejected(why) if is_invalid(why, "the metadata")), "{error}");
            let command = json!({"type": "cancel", "run": run.id(), "metadata": metadata});
            let error = client.apply(serde_json::from_value(command).unwrap()).await.unwrap_err();
            let ApplyError::Cancel(CancelError::Rejected(why)) = &error else { panic!("{error}") };
            assert!(is_invalid(why, "the metadata"), "{error}");
        }
        let error = client.signal(run.id(), &NOTE, json!(1)).comment("\0").await.unwrap_err();
        assert!(matches!(&error, SignalError::Rejected(why) if is_invalid(why, "the comment")), "{error}");
        let error = client.resume(run.id()).actor("a\0b").await.unwrap_err();
        assert!(matches!(&error, ResolveError::Rejected(why) if is_invalid(why, "the actor")), "{error}");
        let error = client.resume_queue("mail").comment("a\0b").await.unwrap_err();
        assert!(matches!(&error, QueueError::Rejected(why) if is_invalid(why, "the comment")), "{error}");
        assert_eq!(seen(client, run.id()).await, before);
        client.signal(run.id(), &NOTE, json!("a\\u0000b\u{1}")).comment("\\0").await.unwrap();
        client.resume(run.id()).await.unwrap();
        assert_eq!(run.result().await.unwrap(), json!("a\\u0000b\u{1}"), "what looks like one is taken");
        runtime.shutdown().await;
    }

    async fn a21_1_the_store_itself_takes_none_from_whoever_does_not_look(place) {
        let (runtime, run) = scene(place).await;
        let (client, run) = (runtime.client(), run.id());
        let store = client.store();
        let before = seen(client, run).await;
        let command = CommandId::from_u128(7);
        let saying = |comment: &str, metadata: &str| By {
            comment: Some(comment.to_owned()),
            metadata: Some(metadata.to_owned()),
            ..By::default()
        };
        let cancel = |by| Entry::Cancel(Cancel { run, command, by, force: false, undo: false });
        let refused = performed(store, cancel(saying("a\0b", "{}"))).await;
        assert!(is_invalid(&refused, "the comment"), "{refused}");
        let refused = performed(store, cancel(saying("", r#"{"a":"\u0000"}"#))).await;
        assert!(is_invalid(&refused, "the metadata"), "{refused}");
        for payload in [r#"{"a":"\u0000"}"#, "\"\0\""] {
            let (signal, payload) = (Name::new("note").unwrap(), Payload::new(payload.as_bytes()));
            let sent = Sent { run, command, signal, payload, by: By::default() };
            let refused = performed(store, Entry::Signal(Box::new(sent))).await;
            assert!(is_invalid(&refused, "the payload"), "{refused}");
        }
        let resume = QueueCommand {
            queue: Name::new("mail").unwrap(),
            action: QueueAction::Resume,
            command,
            actor: Some("\0".to_owned()),
            comment: None,
        };
        let reply = store.perform(Operation::Queue(resume)).await.unwrap();
        assert!(matches!(&reply, Reply::Queue(Err(why)) if is_invalid(why, "the actor")), "{reply:?}");
        assert_eq!(seen(client, run).await, before);
        runtime.shutdown().await;
    }
}
