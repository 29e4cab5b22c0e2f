//! Starts of many runs at once.

use std::sync::atomic::Ordering;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use squid_mesh::core::id::Shards;
use squid_mesh::core::limits;
use squid_mesh::core::operation::Rejection;
use squid_mesh::{
    AnyStore, Client, Runtime, SharedStore, StartError, StartManyError, Workflow, step,
};

use crate::faulty::Faulty;
use crate::harness::{on_every_store, on_postgres};

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Note {
    text: String,
}

pub(crate) fn noting() -> Workflow<Note, String> {
    let (mut wf, note) = Workflow::builder::<Note>("noting", 1);
    let noted = wf.step("note", note, step(async |_, note: Note| Ok(note.text)));
    wf.finish(noted).unwrap()
}

pub(crate) fn notes(count: usize) -> Vec<Note> {
    let note = |number| Note {
        text: format!("note {number}"),
    };
    (0..count).map(note).collect()
}

on_every_store! {
    async fn a3_6_one_start_that_does_not_fit_keeps_all_of_a_batch_from_starting(place) {
        let runtime = place.runtime().await.workflow(noting()).queue("elsewhere", 1).start().await.unwrap();
        let client = runtime.client();
        let mut inputs = notes(500);
        inputs[317].text = "a\0b".to_owned();
        let refused = client.start_many(&noting().reference(), inputs).await.unwrap_err();
        let StartManyError::At { index, error } = refused else { panic!("{refused}") };
        assert!(index == 317 && matches!(error, StartError::InvalidInput { .. }), "{index} {error}");
        assert_eq!(client.list(&Default::default(), None, 1_000).await.unwrap().runs.len(), 0);

        let batch = client.start_many(&noting().reference(), notes(500));
        let runs = batch.each(|n, start| start.key(format!("n{n}")).label("batch", "7")).await.unwrap();
        assert_eq!((runs.len(), runs.iter().filter(|run| run.existing()).count()), (500, 0));
        let mut clash = notes(500);
        clash[317].text = "other".to_owned();
        let batch = client.start_many(&noting().reference(), clash);
        let refused = batch.each(|n, start| if n == 317 { start.key("n317") } else { start }).await.unwrap_err();
        let StartManyError::At { index: 317, error: StartError::KeyConflict { run } } = refused else { panic!("{refused}") };
        assert_eq!(run, runs[317].id());
        assert_eq!(client.list(&Default::default(), None, 1_000).await.unwrap().runs.len(), 500);
        runtime.shutdown().await;
    }

    async fn the_workflow_of_a_batch_is_looked_up_once_and_no_older_version_of_it(place) {
        let declared = place.runtime().await.workflow(noting()).queue("elsewhere", 1).start().await.unwrap();
        let faulty = Faulty::new(place).await;
        let stranger = Client::connect(faulty.shared()).await.unwrap();
        let runs = stranger.start_many(&noting().reference(), notes(20)).await.unwrap();
        assert_eq!((runs.len(), faulty.faults.fetches.load(Ordering::SeqCst)), (20, 1));
        stranger.start_json("noting", None, serde_json::json!({"text": "n"})).await.unwrap();
        assert_eq!(faulty.faults.fetches.load(Ordering::SeqCst), 2);
        declared.shutdown().await;
    }

    async fn a_batch_is_taken_at_its_limit_and_refused_above(place) {
        let runtime = place.runtime().await.workflow(noting()).queue("elsewhere", 1).start().await.unwrap();
        let start = |count| runtime.client().start_many(&noting().reference(), notes(count));
        let refused = start(limits::GROUP_STARTS + 1).await.unwrap_err();
        assert!(matches!(refused, StartManyError::Limit(_)), "{refused}");
        assert_eq!(start(limits::GROUP_STARTS).await.unwrap().len(), limits::GROUP_STARTS);
        assert_eq!(start(0).await.unwrap().len(), 0);
        let mut tx = runtime.client().begin().await.unwrap();
        assert_eq!(start(3).in_tx(&mut tx).await.unwrap().len(), 3);
        tx.rollback().await;
        let all = runtime.client().list(&Default::default(), None, 1_000).await.unwrap();
        assert_eq!(all.runs.len(), limits::GROUP_STARTS);
        runtime.shutdown().await;
    }
}

#[test]
fn a_batch_goes_into_one_shard_and_keys_that_lead_elsewhere_are_refused() {
    on_postgres(async |place| {
        let options = squid_mesh::postgres::Options::default().schema("sharded");
        let options = options.shards(Shards::new(8).unwrap());
        let store = squid_mesh::postgres::PostgresStore::connect(place.url().unwrap(), options);
        let store = AnyStore::Postgres(store.await.unwrap());
        store.migrate().await.unwrap();
        let store = SharedStore::new(store);
        let runtime = Runtime::builder(store)
            .workflow(noting())
            .start()
            .await
            .unwrap();
        let start = || {
            runtime
                .client()
                .start_many(&noting().reference(), notes(20))
        };
        let refused = start()
            .each(|n, start| start.key(format!("k{n}")))
            .await
            .unwrap_err();
        let StartManyError::At { index, error } = refused else {
            panic!("{refused}")
        };
        assert!(index > 0);
        assert!(
            matches!(
                error,
                StartError::Rejected(Rejection::CrossShardBatch { .. })
            ),
            "{error}"
        );
        let runs = start()
            .each(|n, start| if n == 3 { start.key("k3") } else { start })
            .await
            .unwrap();
        for run in &runs {
            assert_eq!(run.id().slot(), runs[3].id().slot());
            run.result().await.unwrap();
        }
        runtime.shutdown().await;
    });
}
