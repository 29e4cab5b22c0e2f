//! Fetching what is immutable.
//!
//! Invariant: what was written reads back byte by byte, and what was not written is missing, never something else.

use std::collections::BTreeSet;

use squid_mesh_core::definition::DefinitionKey;
use squid_mesh_core::id::RunId;
use squid_mesh_core::operation::{Entry, Operation, Register};
use squid_mesh_core::payload::{Payload, PayloadDigest, PayloadRef};
use squid_mesh_core::run::Seq;
use squid_mesh_core::store::{Fetch, Fetched, Inspect, JournalPart, Store, StoreError, StoredRow};

use super::cast::{Worker, json, report, start, submit, workflow};
use super::concurrent::claimed;
use super::failure::{Failure, holds, perform, same, same_rows, unanswered};
use super::observe::EVERYTHING;
use super::script::Ending;
use super::workflows::{name, versions, workflows};

/// A text that a store which reads JSON would write otherwise, beside one longer than a database page.
const PECULIAR: &str =
    r#"{"z": 1, "a" :1.0, "z":"\u00e9 é", "big":123456789012345678901234567890}"#;
const LONG: usize = 100_000;

/// Payloads, definitions, and parts of journals.
pub(super) async fn check<S: Store + Inspect>(store: &S) -> Result<(), Failure> {
    let worker = Worker::able(1);
    perform(store, &worker.register()).await?;
    let (input, long) = (json(PECULIAR), json(&format!("\"{}\"", "x".repeat(LONG))));
    let first = start(1, &workflow("chain"), 0, None, input.clone());
    let second = start(2, &workflow("chain"), 0, None, long.clone());
    let (run, other) = (first.run, second.run);
    let entries = [first, second].map(|start| Entry::Start(Box::new(start)));
    perform(store, &submit(store.shards(), entries.into())).await?;
    let shard = run.shard(store.shards());
    let reply = perform(store, &worker.claim(shard, 1, 2)).await?;
    let reports = claimed(&reply)
        .iter()
        .map(|task| report(task, Ending::Succeeded(true)));
    let reports = reports.collect();
    perform(store, &worker.settle(shard, reports, 0, true)).await?;

    let output = json("{\"well\":true}");
    let here = vec![
        (at(run, 1, &input), input.clone()),
        (at(run, 2, &output), output),
        (at(other, 1, &long), long),
    ];
    let nowhere = [at(run, 99, &input), at(RunId::from_u128(7), 1, &input)];
    found(store, here, nowhere).await?;
    newest(store).await?;
    parts(store, [run, other, RunId::from_u128(7)]).await?;
    let wrong = PayloadRef {
        digest: PayloadDigest([0; 8]),
        ..at(run, 1, &input)
    };
    let wanted = Fetch {
        payloads: BTreeSet::from([wrong]),
        ..Fetch::default()
    };
    let fetched = store.fetch(wanted).await;
    let is_corrupt = matches!(fetched, Err(StoreError::Corrupt { .. }));
    let what = "a payload that is not what its reference says is corrupt";
    holds(what, is_corrupt, fetched)
}

/// Fetches what is there together with what is not.
async fn found<S: Store>(
    store: &S,
    here: Vec<(PayloadRef, Payload)>,
    nowhere: [PayloadRef; 2],
) -> Result<(), Failure> {
    let unknown = DefinitionKey {
        name: name("unknown"),
        version: 1,
    };
    let known = workflows();
    let keys = known.iter().map(|definition| definition.key().clone());
    let wanted = Fetch {
        payloads: here
            .iter()
            .map(|(reference, _)| *reference)
            .chain(nowhere)
            .collect(),
        definitions: keys.chain([unknown]).collect(),
        ..Fetch::default()
    };
    let fetched = store.fetch(wanted).await.map_err(unanswered)?;
    same_rows("payloads", &here, &fetched.payloads)?;
    same_rows("definitions", &known, &fetched.definitions)?;
    let nothing = store.fetch(Fetch::default()).await.map_err(unanswered)?;
    same("nothing fetched", &Fetched::default(), &nothing)
}

/// The newest of several versions, before and after there are several.
async fn newest<S: Store>(store: &S) -> Result<(), Failure> {
    let [chain, fork] = ["chain", "fork"].map(workflow);
    let wanted = Fetch {
        newest: ["chain", "fork", "unknown"].map(name).into(),
        ..Fetch::default()
    };
    let of = |fetched: Fetched| -> Vec<DefinitionKey> {
        let newest = fetched.newest.iter();
        newest.map(|definition| definition.key().clone()).collect()
    };
    let fetched = store.fetch(wanted.clone()).await.map_err(unanswered)?;
    same_rows("the newest versions", &[chain, fork.clone()], &of(fetched))?;
    for definition in versions() {
        let definitions = vec![definition];
        let register = Register {
            worker: None,
            definitions,
        };
        perform(store, &Operation::Register(register)).await?;
    }
    let tenth = versions()[0].key().clone();
    let fetched = store.fetch(wanted).await.map_err(unanswered)?;
    same_rows("the newest of many versions", &[tenth, fork], &of(fetched))
}

/// Parts of journals, as they are of the whole.
async fn parts<S: Store + Inspect>(store: &S, runs: [RunId; 3]) -> Result<(), Failure> {
    let all = u64::MAX;
    let table = [
        (0, u32::MAX, 9, all),
        (0, 1, 9, all),
        (1, 2, 9, all),
        (0, 2, 1, all),
        (1, 1, 9, all),
        (2, 9, 9, all),
        (0, 9, 0, all),
        (0, 9, 9, 0),
    ];
    for run in runs {
        let whole = store.journal(run, Seq::FIRST, EVERYTHING).await;
        let whole = whole.map_err(unanswered)?;
        let [first, second] = [0, 1].map(|at| whole.get(at).map_or(0, payload_bytes));
        // As many bytes as the first rows have, and one more or less.
        let sums = [first, first + second];
        let around = sums.map(|sum| [sum.saturating_sub(1), sum, sum + 1]);
        let around = around.into_iter().flatten().map(|bytes| (0, 9, 9, bytes));
        let around = around.chain([(1, 9, 9, 1), (1, 9, 1, second)]);
        for (after, upto, limit, bytes) in table.into_iter().chain(around) {
            let part = JournalPart {
                run,
                after: Seq(after),
                upto: Seq(upto),
                limit,
                bytes,
            };
            let wanted = Fetch {
                journal: Some(part),
                ..Fetch::default()
            };
            let fetched = store.fetch(wanted).await.map_err(unanswered)?;
            let expected: Vec<StoredRow> = whole
                .iter()
                .filter(|row| (after + 1..=upto).contains(&row.seq.0))
                .take(limit as usize)
                .scan(0, |before, row| {
                    let is_wanted = *before < bytes;
                    *before += payload_bytes(row);
                    is_wanted.then_some(row)
                })
                .cloned()
                .collect();
            same_rows(&format!("{part:?}"), &expected, &fetched.journal)?;
        }
    }
    Ok(())
}

fn payload_bytes(stored: &StoredRow) -> u64 {
    let payload = stored
        .row
        .as_ref()
        .ok()
        .and_then(|row| row.payload.as_ref());
    payload.map_or(0, |payload| payload.bytes().len() as u64)
}

fn at(run: RunId, seq: u32, payload: &Payload) -> PayloadRef {
    PayloadRef {
        run,
        seq: Seq(seq),
        digest: payload.digest(),
    }
}
