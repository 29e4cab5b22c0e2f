//! Pausing and resuming queues.

use std::sync::Arc;

use squid_mesh::core::explain::{NextAction, Reason};
use squid_mesh::core::operation::Rejection;
use squid_mesh::core::run::Status;
use squid_mesh::{QueueError, StepContext, StepStatus, Workflow, step};
use tokio::sync::{Mutex, Semaphore};

use crate::harness::{on_every_store, until};

/// One step that notes its input, once its gate lets it, and another that notes it again.
fn noting(notes: &Arc<Mutex<Vec<u32>>>, gate: &Arc<Semaphore>) -> Workflow<u32, u32> {
    let (mut wf, input) = Workflow::builder::<u32>("noting", 1);
    let (noted, open) = (notes.clone(), gate.clone());
    let first = wf.step(
        "first",
        input,
        step(move |_: StepContext, n: u32| {
            let (notes, open) = (noted.clone(), open.clone());
            async move {
                open.acquire().await?.forget();
                notes.lock().await.push(n);
                Ok(n)
            }
        }),
    );
    let noted = notes.clone();
    let second = wf.step(
        "second",
        first,
        step(move |_: StepContext, n: u32| {
            let notes = noted.clone();
            async move {
                notes.lock().await.push(n + 100);
                Ok(n)
            }
        }),
    );
    wf.finish(second).unwrap()
}

on_every_store! {
    async fn a17_3_nothing_of_a_paused_queue_is_claimed_until_it_is_resumed(place) {
        let (notes, gate) = (Arc::default(), Arc::new(Semaphore::new(100)));
        let wf = noting(&notes, &gate);
        let start = async || place.runtime().await.workflow(&wf).queue("mail", 4).queue("default", 4).start().await.unwrap();
        let runtime = start().await;
        let client = place.client().await;
        let paused = client.pause_queue("mail").actor("ana").comment("the provider is down").await.unwrap();
        assert_eq!((paused.paused, paused.changed), (true, true));
        let again = client.pause_queue("mail").actor("ben").await.unwrap();
        assert_eq!((again.paused, again.changed), (true, false));
        let held = client.start(&wf.reference(), 1).queue("mail").await.unwrap();
        let through_worker = runtime.client().start(&wf.reference(), 2).queue("mail").await.unwrap();
        // What is due of another queue is claimed, so the paused one would have been.
        runtime.client().start(&wf.reference(), 3).await.unwrap().result().await.unwrap();
        runtime.shutdown().await;
        let runtime = start().await;
        runtime.client().start(&wf.reference(), 4).await.unwrap().result().await.unwrap();
        assert_eq!(*notes.lock().await, [3, 103, 4, 104]);

        let explanation = client.explain(held.id()).await.unwrap();
        assert_eq!((explanation.reason, explanation.status), (Reason::QueuePaused, Status::Pending));
        assert_eq!(serde_json::to_value(explanation.reason).unwrap(), "queue_paused");
        assert!(explanation.next_actions.contains(&NextAction::ResumeQueue) && explanation.summary.contains("mail"));
        let queues = client.queues().await.unwrap();
        assert_eq!(queues.len(), 1);
        assert_eq!((queues[0].name.as_str(), queues[0].paused, queues[0].since), ("mail", true, paused.at));
        assert_eq!(queues[0].actor.as_deref().zip(queues[0].comment.as_deref()), Some(("ana", "the provider is down")));

        let resumed = client.resume_queue("mail").actor("ben").await.unwrap();
        assert_eq!((resumed.paused, resumed.changed), (false, true));
        assert_eq!(client.run::<u32>(held.id()).result().await.unwrap(), 1);
        assert_eq!(client.run::<u32>(through_worker.id()).result().await.unwrap(), 2);
        let queues = client.queues().await.unwrap();
        assert_eq!((queues[0].paused, queues[0].actor.as_deref()), (false, Some("ben")));
        runtime.shutdown().await;
    }

    async fn a_pause_lets_running_attempts_finish_and_hands_nothing_off(place) {
        let (notes, gate) = (Arc::default(), Arc::new(Semaphore::new(0)));
        let wf = noting(&notes, &gate);
        let runtime = place.runtime().await.workflow(&wf).start().await.unwrap();
        let client = runtime.client();
        let run = client.start(&wf.reference(), 1).await.unwrap();
        let step = async |step: &str| run.inspect().await.unwrap().step(step).unwrap().status;
        until(async || step("first").await == StepStatus::Running).await;
        client.pause_queue("default").await.unwrap();
        gate.add_permits(1);
        until(async || step("first").await == StepStatus::Succeeded).await;
        assert_eq!((step("second").await, &*notes.lock().await), (StepStatus::Ready, &vec![1]));
        assert_eq!(client.explain(run.id()).await.unwrap().reason, Reason::QueuePaused);
        client.resume_queue("default").await.unwrap();
        assert_eq!(run.result().await.unwrap(), 1);
        runtime.shutdown().await;
    }

    async fn s8_5_a_pause_that_is_repeated_under_its_key_is_answered_as_the_first(place) {
        let client = place.client().await;
        let first = client.pause_queue("mail").key("k").await.unwrap();
        let resumed = client.resume_queue("mail").key("k").await.unwrap();
        assert!(first.changed && resumed.changed && !resumed.paused, "another action is another command");
        assert_eq!(client.pause_queue("mail").key("k").await.unwrap(), first);
        assert!(!client.queues().await.unwrap()[0].paused, "it was not done again");
        assert!(client.pause_queue("post").key("k").await.unwrap().changed, "of another queue");
        let long = client.pause_queue("mail").key("k".repeat(9 << 10)).await.unwrap_err();
        assert!(matches!(long, QueueError::Limit(_)), "{long}");
    }

    async fn what_cannot_be_paused_is_refused_with_a_typed_error(place) {
        let client = place.client().await;
        let error = client.pause_queue("$engine").await.unwrap_err();
        assert!(matches!(&error, QueueError::Rejected(rejection) if rejection.code() == "reserved_queue"), "{error}");
        let error = client.pause_queue("No Queue").await.unwrap_err();
        assert!(matches!(error, QueueError::Name(_)), "{error}");
        let error = client.pause_queue("mail").comment("x".repeat(9 << 10)).await.unwrap_err();
        assert!(matches!(error, QueueError::Limit(_)), "{error}");
        let error = client.pause_queue("mail").actor("a\0b").await.unwrap_err();
        assert!(matches!(&error, QueueError::Rejected(Rejection::InvalidCommand { what, .. }) if what == "the actor"), "{error}");
        assert_eq!(client.queues().await.unwrap(), []);
    }
}
