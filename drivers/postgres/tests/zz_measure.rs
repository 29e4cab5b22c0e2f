mod common;
use std::sync::Arc;
use std::time::{Duration, Instant};
use squid_mesh_core::id::*;
use squid_mesh_core::name::Name;
use squid_mesh_core::operation::*;
use squid_mesh_core::payload::Payload;
use squid_mesh_core::store::Store as _;
use squid_mesh_core::task::TaskRow;
use squid_mesh_postgres::{Options, PostgresStore};
use squid_mesh_sim::conformance::workflows;

fn offer(slots: u32) -> Offer {
    let handlers: HandlerSet = [Name::new("echo").unwrap()].into();
    Offer { worker: Incarnation::from_u128(77), handlers: Arc::new(handlers), queues: vec![QueueDemand { queue: Name::new("default").unwrap(), slots, floor: None }], engine: 64, lease: Duration::from_secs(60) }
}
fn id(seed: u128, n: u128) -> RunId { RunId::from_u128((0x0190_0000_0000_7000_8000_0000_0000_0000 + (seed << 80)) + (n << 24)) }

#[tokio::test]
#[ignore = "measures"]
async fn measure() {
    let url = std::env::var("MEASURE_URL").unwrap();
    let batches: u128 = std::env::var("BATCHES").unwrap().parse().unwrap();
    let batch: u128 = std::env::var("BATCH").unwrap().parse().unwrap();
    let seed: u128 = std::env::var("SEED").unwrap().parse().unwrap();
    let handing = std::env::var("HANDOFF").is_ok();
    let store = PostgresStore::connect(&url, Options::default()).await.unwrap();
    store.migrate().await.unwrap();
    let o = offer(0);
    store.perform(Operation::Register(Register { worker: Some(Registration { incarnation: o.worker, name: "w".into(), handlers: o.handlers.clone(), queues: vec![] }), definitions: workflows() })).await.unwrap();
    let mut times = [Duration::ZERO; 5];
    let mut number = seed as u64 * 1_000_000;
    let begin = Instant::now();
    for b in 0..batches {
        let groups = (0..batch).map(|n| {
            let input = Payload::new(*b"{\"amount\": 12}");
            let run = id(seed, b * batch + n);
            Group { entries: vec![Entry::Start(Box::new(Start { run, life: Life(1), command: CommandId::from_u128(run.as_u128()), definition: workflows()[0].key().clone(), raw_input: input.digest(), input, key: None, labels: Default::default(), queue: None, priority: None, delay: None, deadline: None, trace: None }))] }
        }).collect();
        let t = Instant::now();
        let slots = if handing { 1000 } else { 0 };
        let Reply::Submitted { mut handed, .. } = store.perform(Operation::Submit(Submit { shard: Shard::default(), groups, offer: Some(offer(slots)), wait: false })).await.unwrap() else { panic!() };
        times[0] += t.elapsed();
        for step in 1..=3 {
            if handed.is_empty() {
                number += 1;
                let t = Instant::now();
                let Reply::Claimed(c) = store.perform(Operation::Claim(Claim { shard: Shard::default(), number, offer: offer(512) })).await.unwrap() else { panic!() };
                handed = c.tasks;
                times[4] += t.elapsed();
            }
            assert_eq!(handed.len() as u128, batch);
            let reports = handed.iter().map(|t: &TaskRow| Report { key: t.key, step: t.step, token: t.token().unwrap(), outcome: Outcome::Succeeded { output: Payload::new(*b"{\"paid\": true}") } }).collect();
            let t = Instant::now();
            let Reply::Settled { handed: h, slots: s, .. } = store.perform(Operation::Settle(Settle { shard: Shard::default(), reports, offer: offer(slots), wait: false })).await.unwrap() else { panic!() };
            assert!(s.iter().all(|s| *s == SlotReply::Accepted));
            times[step] += t.elapsed();
            handed = h;
        }
    }
    let per = |d: Duration| d.as_micros() as u128 / batches;
    println!("batch {batch}: submit {} settle {} {} {} claim {} us per operation; {:.0} runs/s", per(times[0]), per(times[1]), per(times[2]), per(times[3]), per(times[4]), (batches * batch) as f64 / begin.elapsed().as_secs_f64());
}
