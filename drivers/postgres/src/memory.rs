//! Settling by what is remembered: without reading, and without locks but those of the writes.
//!
//! A worker that goes on with a run has written its rows itself a moment ago. Each is written only if it is still the version
//! that is remembered. Otherwise somebody else has been there: everything is rolled back, and the operation reads under
//! locks like any other.
//!
//! Invariant: nothing is written on the strength of a row that is not written too, so every row that was remembered is
//! compared with the stored one.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sqlx::PgConnection;
use squid_mesh_core::definition::{Definition, DefinitionKey};
use squid_mesh_core::operation::{
    Decision, Found, Memory, Operation, ReadSet, Remembered, View, Writes,
};
use squid_mesh_core::sorted::SortedMap;

use crate::definitions::Definitions;
use crate::perform::{Aborted, Settled, decide, not_written};
use crate::rows;
use crate::sql;
use crate::write::{Version, write};

/// How many bytes of rows are remembered at most.
const BYTES: usize = 8 << 20;

/// How long a write may wait for a lock before everything is read under locks instead, which skips a run that is locked
/// elsewhere: the others need not wait for it. What commits in less time meets one that did not wait as if it had come after
/// it, pauses of queues and the clock included.
const PATIENCE: &str = "10ms";

/// What need not be read again.
pub(crate) struct Known {
    pub(crate) definitions: Definitions,
    rows: Mutex<Remembered<Version>>,
}

impl Default for Known {
    fn default() -> Known {
        Known {
            definitions: Definitions::default(),
            rows: Mutex::new(Remembered::new(BYTES)),
        }
    }
}

impl Known {
    /// Remembers what was committed.
    pub(crate) fn learn(&self, writes: Writes, version: Option<Version>) {
        self.rows().learn(writes, version);
    }

    /// Forgets all rows: the store may be another one when it is back, of an earlier time.
    pub(crate) fn forget(&self) {
        self.rows().clear();
    }

    /// What an operation asks for, if all of it is remembered: the reports of a settle that does not wait.
    pub(crate) fn memory(&self, operation: &Operation) -> Option<Memory<Version>> {
        let Operation::Settle(settle) = operation else {
            return None;
        };
        if settle.wait {
            return None;
        }
        let reads = operation.reads();
        let mut memory = self.rows().take(&reads)?;
        memory.view.definitions = self.definitions_of(&reads, &memory.view)?;
        Some(memory)
    }

    fn definitions_of(
        &self,
        reads: &ReadSet,
        view: &View,
    ) -> Option<SortedMap<DefinitionKey, Arc<Definition>>> {
        let of_runs = view.runs.values().filter_map(|found| match found {
            Found::Row(row) => Some(&row.definition),
            Found::Absent | Found::Busy => None,
        });
        let mut definitions = SortedMap::default();
        for key in reads.definitions.iter().chain(of_runs) {
            if !definitions.contains_key(key) {
                definitions.insert(key.clone(), self.definitions.kept(key)?);
            }
        }
        Some(definitions)
    }

    fn rows(&self) -> MutexGuard<'_, Remembered<Version>> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Decides on what is remembered, and writes: `None` if the decision needs more, or rests on more than it writes. The
/// connection is in a transaction in which nobody waits for long from now on.
///
/// # Errors
/// A conflict if something is not as it was.
pub(crate) async fn settle(
    tx: &mut PgConnection,
    operation: &Operation,
    mut memory: Memory<Version>,
) -> Result<Option<Settled>, Aborted> {
    let queues = operation.reads().queues;
    let queues: Vec<&str> = queues.iter().map(|queue| queue.as_str()).collect();
    let clock = sqlx::query(sql::CLOCK_IN_HASTE).bind(queues).bind(PATIENCE);
    let clock = clock.fetch_one(&mut *tx).await?;
    memory.view.now = rows::clock(&clock, 0)?;
    memory.view.paused = rows::names(&clock, "paused")?;
    let Decision::Done { writes, reply } = decide(operation, &memory.view)? else {
        return Ok(None);
    };
    if !memory.is_written(&writes) {
        return Ok(None);
    }
    let written = write(tx, operation.shard(), &writes, Some(&memory)).await;
    Ok(Some(Settled {
        version: written.map_err(not_written)?,
        writes,
        reply,
    }))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use squid_mesh_core::id::{CommandId, Incarnation, Life, RunId, Shard, Shards};
    use squid_mesh_core::name::Name;
    use squid_mesh_core::operation::{
        Claim, Entry, Group, HandlerSet, Offer, Outcome, QueueDemand, Register, Reply, Report,
        Settle, SlotReply, Start, Submit,
    };
    use squid_mesh_core::payload::Payload;
    use squid_mesh_core::store::StoreError;
    use squid_mesh_core::task::TaskRow;
    use squid_mesh_sim::conformance::workflows;
    use squid_mesh_test_support::TestDatabase;

    use super::*;
    use crate::Options;
    use crate::connect::Connections;
    use crate::ledger;
    use crate::perform::perform;

    fn offer() -> Offer {
        let handlers: HandlerSet = [Name::new("echo").unwrap()].into();
        Offer {
            worker: Incarnation::from_u128(1),
            handlers: Arc::new(handlers),
            queues: vec![QueueDemand {
                queue: Name::new("default").unwrap(),
                slots: 4,
                floor: None,
            }],
            engine: 0,
            lease: Duration::from_secs(60),
        }
    }

    fn start() -> Operation {
        let key = workflows()[0].key().clone();
        let run = RunId::from_u128(7 << 64);
        let input = Payload::new(*b"1");
        let start = Start::new(run, Life(1), CommandId::from_u128(1), key, input);
        Operation::Submit(Submit {
            shard: Shard::default(),
            groups: vec![Group {
                entries: vec![Entry::Start(Box::new(start))],
            }],
            offer: None,
            wait: true,
        })
    }

    fn settle(task: &TaskRow, wait: bool) -> Operation {
        let report = Report {
            key: task.key,
            step: task.step,
            token: task.token().unwrap(),
            outcome: Outcome::Succeeded {
                output: Payload::new(*b"1"),
                label: None,
            },
        };
        Operation::Settle(Settle {
            shard: Shard::default(),
            reports: vec![report],
            offer: offer(),
            wait,
        })
    }

    #[tokio::test]
    async fn a_chain_is_settled_from_memory_from_its_first_step_on() {
        let database = TestDatabase::fresh();
        let options = Options::default().connect_options(database.url()).unwrap();
        let connections = Connections::new(options, 2, Duration::from_secs(20));
        let mut lent = connections.lend().await.unwrap();
        ledger::migrate(&mut lent, Shards::ONE).await.unwrap();
        lent.give_back();
        let known = Known::default();
        let performed = async |operation| {
            perform(&connections, &known, &operation)
                .await
                .unwrap()
                .reply
        };
        let register = Register {
            worker: None,
            definitions: workflows(),
        };
        performed(Operation::Register(register)).await;
        performed(start()).await;
        let claim = Claim {
            shard: Shard::default(),
            number: 1,
            offer: offer(),
        };
        let Reply::Claimed(claimed) = performed(Operation::Claim(claim)).await else {
            panic!("no claim reply")
        };
        let mut task = claimed.tasks[0].clone();
        let mut steps = 0;
        loop {
            assert_eq!(
                known.memory(&settle(&task, true)),
                None,
                "whoever waits reads"
            );
            let operation = settle(&task, false);
            let view = known.memory(&operation);
            let view = view.expect("what was written is remembered").view;
            assert_eq!(view.tasks[&task.key], Found::Row(task.clone()));
            // It is given once: this settle reads, and what it writes is remembered.
            let Reply::Settled {
                slots, mut handed, ..
            } = performed(operation).await
            else {
                panic!("no settle reply")
            };
            assert_eq!(slots, [SlotReply::Accepted]);
            steps += 1;
            let Some(next) = handed.pop() else { break };
            task = next;
        }
        assert_eq!(steps, workflows()[0].steps().len());
        assert_eq!(
            known.memory(&settle(&task, false)),
            None,
            "the run has ended"
        );
        connections.close().await;
        let gone = perform(&connections, &known, &start()).await;
        assert!(matches!(
            gone.map(|done| done.reply),
            Err(StoreError::Unavailable(_))
        ));
    }
}
