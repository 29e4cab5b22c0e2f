//! What is left when the database server itself is killed.

use std::collections::BTreeSet;
use std::time::Duration;

use squid_mesh::core::id::RunId;
use squid_mesh::core::run::Status;
use squid_mesh::{Client, Runtime, StepContext, StepError, Workflow, step};
use squid_mesh_test_support::{Settings, TestCluster};
use tokio::sync::mpsc;

/// Starts to be acknowledged in all, and how many of them before the server is killed.
const STARTS: u64 = 1_000;
const BEFORE: usize = 400;

async fn double(_: StepContext, number: u64) -> Result<u64, StepError> {
    Ok(number * 2)
}

fn doubling() -> Workflow<u64, u64> {
    let (mut wf, number) = Workflow::builder::<u64>("crash_doubling", 1);
    let doubled = wf.step("double", number, step(double));
    wf.finish(doubled).unwrap()
}

/// Starts runs one after the other, as often as it takes, and says which were acknowledged.
async fn start_all(client: Client, lane: u64, lanes: u64, acknowledged: mpsc::Sender<RunId>) {
    let workflow = doubling().reference();
    for number in (lane..STARTS).step_by(usize::try_from(lanes).unwrap()) {
        // A start insists for a while by itself, so that this is no busy loop while the server is away.
        let run = loop {
            let start = client
                .start(&workflow, number)
                .key(format!("start-{number}"));
            match start.await {
                Ok(run) => break run,
                Err(_) => tokio::task::yield_now().await,
            }
        };
        acknowledged.send(run.id()).await.unwrap();
    }
}

#[test]
fn a20_6_every_acknowledged_start_survives_the_servers_death_and_finishes() {
    let cluster = TestCluster::private(Settings::durable()).unwrap();
    let database = cluster.database().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let workflow = doubling();
        let builder = Runtime::builder(database.url()).workflow(&workflow);
        let mesh = builder
            .poll(Duration::from_millis(50))
            .start()
            .await
            .unwrap();
        let (sender, mut acknowledged) = mpsc::channel(1);
        for lane in 0..8 {
            tokio::spawn(start_all(mesh.client().clone(), lane, 8, sender.clone()));
        }
        drop(sender);
        let mut runs = BTreeSet::new();
        while let Some(run) = acknowledged.recv().await {
            runs.insert(run);
            if runs.len() == BEFORE {
                tokio::task::block_in_place(|| {
                    cluster.kill9().unwrap();
                    cluster.start().unwrap();
                });
            }
        }
        assert_eq!(
            runs.len() as u64,
            STARTS,
            "every start was acknowledged in the end"
        );
        for run in runs {
            let status = mesh.client().run::<u64>(run).wait_terminal().await.unwrap();
            assert_eq!(status, Status::Completed, "{run}");
        }
        mesh.shutdown().await;
    });
}
