//! Attempts that are driven by hand.

use std::time::Duration;

use squid_mesh::core::definition::StepIndex;
use squid_mesh::core::event::code;
use squid_mesh::core::id::{Incarnation, Life, RunId};
use squid_mesh::core::name::{DEFAULT_QUEUE, Name};
use squid_mesh::core::payload::Payload;
use squid_mesh::core::run::Seq;
use squid_mesh::core::task::{
    Brief, Fence, Lane, TASK_FORMAT, TaskKey, TaskKind, TaskRow, Token, Work,
};
use squid_mesh::core::time::Timestamp;
use squid_mesh::core::worker::{AttemptId, Execution, StopReason};
use squid_mesh::{Client, Handlers, StepContext, StepError, Workflow, step};

/// What a worker would have executed for the only step of a workflow.
fn execution<I, O>(workflow: &Workflow<I, O>, handler: &str, input: &str) -> Execution {
    let name = |text: &str| Name::new(text).expect("a proper name");
    let run = RunId::from_u128(1);
    let key = TaskKey { run, lane: Lane(1) };
    let fence = Fence {
        seq: Seq(1),
        claims: 1,
    };
    let owner = Incarnation::from_u128(2);
    let brief = Brief {
        sources: Vec::new(),
        work: Work::Plain,
        timeout: Some(Duration::from_secs(5)),
        handler: name(handler),
        definition: workflow.definition().key().clone(),
        trace: None,
        occurrence: None,
    };
    let task = TaskRow {
        key,
        life: Life(3),
        kind: TaskKind::Step,
        step: StepIndex(0),
        queue: name(DEFAULT_QUEUE),
        priority: 0,
        handler: name(handler),
        due_at: Timestamp::from_micros(0),
        attempt: 2,
        fence,
        owner: Some(owner),
        begun: false,
        expired: false,
        hand_offs: 0,
        format: TASK_FORMAT,
        renew_until: None,
        brief,
    };
    Execution {
        attempt: AttemptId {
            key,
            token: Token {
                life: Life(3),
                fence,
                owner,
            },
        },
        task,
        handler: name(handler),
        step: workflow.definition().step(StepIndex(0)).name.clone(),
        input: Payload::new(input.as_bytes()),
        timeout: Some(Duration::from_secs(5)),
        transactional: false,
    }
}

async fn client() -> Client {
    let connected = Client::connect("sqlite::memory:").await;
    connected.expect("a store in memory is connected to")
}

async fn charge(cx: StepContext, cents: u64) -> Result<String, StepError> {
    match cents {
        0 => panic!("nothing to charge"),
        1 => Err(StepError::permanent(
            "stopped",
            format!("{:?}", cx.cancelled().await),
        )),
        _ => Ok(format!(
            "{cents} by {} on attempt {}",
            cx.step(),
            cx.attempt()
        )),
    }
}

fn order() -> Workflow<u64, String> {
    let (mut wf, cents) = Workflow::builder::<u64>("order", 1);
    let paid = wf.step("pay", cents, step(charge));
    wf.finish(paid).expect("it is a proper workflow")
}

#[tokio::test]
async fn an_attempt_gives_what_a_runtime_would_report() {
    let (order, client) = (order(), client().await);
    let begin = |input: &str| {
        order
            .attempt(&execution(&order, "order_pay", input), &client)
            .unwrap()
    };
    let returned = begin("7").await.unwrap();
    assert_eq!(returned.output.bytes(), b"\"7 by pay on attempt 2\"");
    let code = |failed: Result<_, squid_mesh::core::worker::AttemptFailure>| {
        failed.unwrap_err().failure.code
    };
    assert_eq!(code(begin("0").await.map(drop)), code::PANIC);
    assert_eq!(
        code(begin("\"seven\"").await.map(drop)),
        code::INVALID_INPUT
    );
}

#[tokio::test]
async fn an_attempt_that_is_told_to_stop_hears_the_first_reason() {
    let (order, client) = (order(), client().await);
    let attempt = order
        .attempt(&execution(&order, "order_pay", "1"), &client)
        .unwrap();
    attempt.stop(StopReason::Shutdown);
    attempt.stop(StopReason::LeaseLost);
    assert_eq!(attempt.await.unwrap_err().failure.message, "Shutdown");
}

#[tokio::test]
async fn a_handler_that_a_workflow_or_a_list_does_not_have_is_none() {
    let (order, client) = (order(), client().await);
    let listed = Handlers::new().add("charge", charge);
    assert!(
        order
            .attempt(&execution(&order, "charge", "7"), &client)
            .is_none()
    );
    assert!(
        listed
            .attempt(&execution(&order, "order_pay", "7"), &client)
            .is_none()
    );
    assert!(
        listed
            .attempt(&execution(&order, "charge", "7"), &client)
            .unwrap()
            .await
            .is_ok()
    );
}
