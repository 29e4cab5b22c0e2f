//! Replays, forks, resumed failures.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde_json::json;
use squid_mesh::core::event::CopyKind;
use squid_mesh::core::name::Name;
use squid_mesh::core::run::Status;
use squid_mesh::{
    CopyError, InspectError, RunHandle, Runtime, StepContext, StepError, Workflow, step,
};

use crate::harness::{Place, journal_rows, on_every_store};
use crate::host::execute;

/// How often each step was executed.
type Counts = Arc<Mutex<BTreeMap<String, u32>>>;

fn executed(counts: &Counts) -> BTreeMap<String, u32> {
    std::mem::take(&mut *counts.lock().unwrap())
}

fn expected<const N: usize>(steps: [&str; N]) -> BTreeMap<String, u32> {
    steps.map(|step| (step.to_owned(), 1)).into()
}

/// Whether a step is irreversible, and whether it fails as long as this says so.
#[derive(Clone, Copy, Default)]
struct Nature {
    irreversible: &'static str,
    failing: &'static str,
}

/// `a`, `b`, `c` in a chain and `s` beside it; a step fails as long as nobody has mended it.
fn chain(counts: &Counts, mended: &Arc<Mutex<bool>>, nature: Nature) -> Workflow<u32, (u32, u32)> {
    let (mut wf, input) = Workflow::builder::<u32>("chain", 1);
    let mut made = BTreeMap::new();
    for (name, needs) in [("a", ""), ("b", "a"), ("c", "b"), ("s", "")] {
        let (counts, mended) = (counts.clone(), mended.clone());
        let handler = move |cx: StepContext, n: u32| {
            *counts
                .lock()
                .unwrap()
                .entry(cx.step().to_owned())
                .or_default() += 1;
            let fails = cx.step() == nature.failing && !*mended.lock().unwrap();
            async move {
                match fails {
                    true => Err(StepError::permanent("broken", "not yet mended")),
                    false => Ok(n + 1),
                }
            }
        };
        let mut spec = step(handler).named("count");
        if name == nature.irreversible {
            spec = spec.irreversible();
        }
        let value = made.get(needs).copied().unwrap_or(input);
        made.insert(name, wf.step(name, value, spec));
    }
    wf.finish((made["c"], made["s"])).unwrap()
}

struct World {
    runtime: Runtime,
    wf: Workflow<u32, (u32, u32)>,
    counts: Counts,
    mended: Arc<Mutex<bool>>,
}

impl World {
    async fn new(place: &Place, nature: Nature) -> World {
        let (counts, mended) = (Counts::default(), Arc::default());
        let wf = chain(&counts, &mended, nature);
        let runtime = place.runtime().await.workflow(&wf).start().await.unwrap();
        World {
            runtime,
            wf,
            counts,
            mended,
        }
    }

    /// A run that has ended.
    async fn ended(&self, input: u32) -> RunHandle<(u32, u32)> {
        let run = self.runtime.client().start(&self.wf.reference(), input);
        let run = run
            .label("customer", "ana")
            .key(format!("key-{input}"))
            .await
            .unwrap();
        run.wait_terminal().await.unwrap();
        executed(&self.counts);
        run
    }
}

on_every_store! {
    async fn a_run_whose_input_cannot_be_read_is_not_copied_as_if_it_had_had_none(place) {
        let (mut wf, input) = Workflow::builder::<Option<u32>>("maybe", 1);
        let end = wf.step("end", input, step(async |_, n: Option<u32>| Ok(n)));
        let wf = wf.finish(end).unwrap();
        let runtime = place.runtime().await.workflow(&wf).start().await.unwrap();
        let client = runtime.client();
        let run = client.start(&wf.reference(), Some(1)).await.unwrap();
        assert_eq!(run.result().await.unwrap(), Some(1));
        let mut tx = client.begin().await.unwrap();
        let (journal, broken) = match place.is_sqlite() {
            true => ("squid_mesh_journal", "x'7b'"),
            false => ("squid_mesh.journal", r"'\x7b'"),
        };
        execute(&mut tx, &format!("update {journal} set payload = {broken} where seq = 1")).await.unwrap();
        tx.commit().await.unwrap();
        let refused = run.replay().await;
        assert!(matches!(refused, Err(CopyError::Lookup(InspectError::Unreadable { .. }))), "{refused:?}");
        runtime.shutdown().await;
    }

    async fn a14_1_a_replay_is_a_run_with_the_same_input_and_each_names_the_other(place) {
        let world = World::new(place, Nature::default()).await;
        let client = world.runtime.client();
        let source = world.ended(5).await;
        let rows = journal_rows(client, source.id()).await;
        let copy = source.replay().actor("ana").comment("again").key("r1").await.unwrap();
        assert_ne!(copy.id(), source.id());
        assert_eq!(copy.result().await.unwrap(), (8, 6));
        let seen = copy.inspect().with_payloads().await.unwrap();
        let origin = seen.source.unwrap();
        assert_eq!((origin.run, origin.kind, seen.input), (source.id(), CopyKind::Replay, Some(json!(5))));
        assert_eq!(seen.by.actor.as_deref(), Some("ana"));
        assert_eq!(source.inspect().await.unwrap().copies, [copy.id()]);
        assert_eq!(journal_rows(client, source.id()).await, rows);
        let again = source.replay().key("r1").await.unwrap();
        assert_eq!((again.id(), again.existing()), (copy.id(), true));
        world.runtime.shutdown().await;
    }

    async fn a14_2_what_is_irreversible_is_not_repeated_unasked(place) {
        let world = World::new(place, Nature { irreversible: "c", failing: "" }).await;
        let source = world.ended(5).await;
        let error = source.replay().await.unwrap_err();
        assert!(matches!(&error, CopyError::UnsafeReplay { steps, .. } if steps == &[Name::new("c").unwrap()]), "{error}");
        let copy = source.replay().allow_irreversible().await.unwrap();
        assert_eq!(copy.result().await.unwrap(), (8, 6));
        world.runtime.shutdown().await;
    }

    async fn a14_3_an_irreversible_step_that_was_not_done_does_not_stand_in_the_way(place) {
        let world = World::new(place, Nature { irreversible: "b", failing: "b" }).await;
        let failed = world.ended(1).await;
        *world.mended.lock().unwrap() = true;
        failed.replay().await.unwrap().result().await.unwrap();
        world.runtime.shutdown().await;
    }

    async fn a14_3_an_irreversible_step_that_was_not_reached_does_not_either(place) {
        let world = World::new(place, Nature { irreversible: "c", failing: "b" }).await;
        let failed = world.ended(1).await;
        *world.mended.lock().unwrap() = true;
        failed.replay().await.unwrap().result().await.unwrap();
        world.runtime.shutdown().await;
    }

    async fn a14_4_a_replay_runs_the_newest_version_unless_it_is_to_be_the_same(place) {
        let world = World::new(place, Nature::default()).await;
        let source = world.ended(5).await;
        let (mut wf, n) = Workflow::builder::<u32>("chain", 2);
        let doubled = wf.step("double", n, step(async |_, n: u32| Ok((2 * n, n))));
        let newer = wf.finish(doubled).unwrap();
        let runtime = place.runtime().await.workflow(&world.wf).workflow(&newer).start().await.unwrap();
        let client = runtime.client();
        let latest = client.replay(source.id()).await.unwrap();
        assert_eq!(latest.result().await.unwrap(), json!([10, 5]));
        assert_eq!(latest.inspect().await.unwrap().version, 2);
        let same = client.replay(source.id()).same_version().await.unwrap();
        assert_eq!(same.result().await.unwrap(), json!([8, 6]));
        assert_eq!(same.inspect().await.unwrap().version, 1);
        runtime.shutdown().await;
        world.runtime.shutdown().await;
    }

    async fn a14_5_labels_and_keys_are_not_copied(place) {
        let world = World::new(place, Nature::default()).await;
        let source = world.ended(5).await;
        let seen = source.inspect().await.unwrap();
        assert_eq!((seen.key.as_deref(), seen.labels.len()), (Some("key-5"), 1));
        let copy = source.replay().await.unwrap().inspect().await.unwrap();
        assert_eq!((copy.key, copy.labels.len(), copy.trigger), (None, 0, seen.trigger));
        world.runtime.shutdown().await;
    }

    async fn a14_6_a_fork_takes_over_what_does_not_depend_on_its_steps(place) {
        let world = World::new(place, Nature::default()).await;
        let source = world.ended(5).await;
        let fork = source.fork(["b"]).await.unwrap();
        assert_eq!(fork.result().await.unwrap(), (8, 6));
        assert_eq!(executed(&world.counts), expected(["b", "c"]));
        let seen = fork.inspect().with_payloads().await.unwrap();
        let inherited: Vec<(&str, bool)> = seen.steps.iter().map(|step| (step.name.as_str(), step.inherited)).collect();
        assert_eq!(inherited, [("a", true), ("b", false), ("c", false), ("s", true)]);
        assert_eq!(seen.step("a").unwrap().output, Some(json!(6)));
        let error = source.fork(["nobody"]).await.unwrap_err();
        assert!(matches!(&error, CopyError::Rejected(rejection) if rejection.code() == "unknown_step"), "{error}");
        world.runtime.shutdown().await;
    }

    async fn a14_7_a_fork_does_not_repeat_what_is_irreversible_but_may_inherit_it(place) {
        let world = World::new(place, Nature { irreversible: "b", failing: "" }).await;
        let source = world.ended(5).await;
        let error = source.fork(["a"]).await.unwrap_err();
        assert!(matches!(&error, CopyError::UnsafeReplay { steps, .. } if steps == &[Name::new("b").unwrap()]), "{error}");
        source.fork(["c"]).await.unwrap().result().await.unwrap();
        assert_eq!(executed(&world.counts), expected(["c"]));
        world.runtime.shutdown().await;
    }

    async fn a14_8_a_resumed_failure_goes_on_as_a_new_run_from_the_failed_step(place) {
        let world = World::new(place, Nature { irreversible: "", failing: "b" }).await;
        let source = world.ended(5).await;
        *world.mended.lock().unwrap() = true;
        let resumed = source.resume_failed().await.unwrap();
        assert_eq!(resumed.result().await.unwrap(), (8, 6));
        let done = executed(&world.counts);
        assert!(!done.contains_key("a") && done["b"] == 1 && done["c"] == 1, "{done:?}");
        assert_eq!(source.status().await.unwrap(), Status::Failed);
        assert_eq!(resumed.inspect().await.unwrap().source.unwrap().kind, CopyKind::Resume);
        world.runtime.shutdown().await;
    }

    async fn a_run_that_has_not_ended_is_not_copied(place) {
        let (mut wf, n) = Workflow::builder::<u32>("pausing", 1);
        wf.pause("look", n);
        let wf = wf.finish(n).unwrap();
        let runtime = place.runtime().await.workflow(&wf).start().await.unwrap();
        let run = runtime.client().start(&wf.reference(), 1).await.unwrap();
        let error = run.replay().await.unwrap_err();
        assert!(matches!(error, CopyError::NotFinished { .. }), "{error}");
        runtime.shutdown().await;
    }
}
