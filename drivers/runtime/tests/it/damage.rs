//! Journal rows that somebody else has written over.

use squid_mesh::core::event::code;
use squid_mesh::core::explain::{Evidence, NextAction, Reason};
use squid_mesh::core::run::{Seq, Status};
use squid_mesh::{Client, Performed, StepContext, StepError, Undo, Workflow, step};

use crate::harness::{journal_rows, on_every_store};
use crate::host::execute;

async fn next(_: StepContext, n: u32) -> Result<u32, StepError> {
    Ok(n + 1)
}

/// Two steps, the first of which is taken back if the run fails.
fn chain() -> Workflow<u32, u32> {
    let back = async |_: StepContext, _: Undo<u32, u32>| Ok(());
    let (mut wf, input) = Workflow::builder::<u32>("chain", 1);
    let first = step(next).named("first").undo(back);
    let value = wf.step("first", input, first);
    let value = wf.step("second", value, step(next).named("second"));
    wf.finish(value).unwrap()
}

/// Writes another payload into the journal row of whatever run has it.
async fn write_over(client: &Client, seq: u32) {
    let mut tx = client.begin().await.unwrap();
    let (journal, bytes) = match tx.postgres() {
        Ok(_) => ("squid_mesh.journal", r"'\x39'"),
        Err(_) => ("squid_mesh_journal", "x'39'"),
    };
    let statement = format!("update {journal} set payload = {bytes} where seq = {seq}");
    execute(&mut tx, &statement).await.unwrap();
    tx.commit().await.unwrap();
}

on_every_store! {
    async fn a_run_whose_input_was_written_over_halts_and_is_not_compensated(place) {
        let (wf, client) = (chain(), place.client().await);
        let mut stepper = place.runtime().await.workflow(&wf).manual().await.unwrap();
        let sick = client.start(&wf.reference(), 1).await.unwrap();
        write_over(&client, 1).await;
        let well = client.start(&wf.reference(), 2).await.unwrap();
        let mut failures = Vec::new();
        while let Some(performed) = stepper.execute_next().await.unwrap() {
            if let Performed::Attempt { run, failure: Some(failure), .. } = performed {
                failures.push((run, failure.code));
            }
        }
        assert_eq!(failures, [(sick.id(), code::UNREADABLE.to_owned())]);
        assert_eq!(well.result().await.unwrap(), 4);
        let explanation = client.explain(sick.id()).await.unwrap();
        assert_eq!(explanation.reason, Reason::Unreadable, "{explanation:?}");
        assert!(explanation.evidence.contains(&Evidence::Journal { seq: Seq(1) }));
        assert!(explanation.next_actions.contains(&NextAction::Cancel));
        assert_eq!(journal_rows(&client, sick.id()).await, 1, "nothing was recorded of it");
        sick.cancel().await.unwrap();
        assert_eq!(sick.inspect().await.unwrap().status, Status::Cancelled);
    }
}
