//! Settling by what is remembered: without reading, and without locks but those of the writes.
//!
//! A worker that goes on with a run has written its rows itself a moment ago. Each is written only if it is still the version
//! that is remembered. Otherwise somebody else has been there: everything is rolled back, and the operation reads under
//! locks like any other.
//!
//! Invariant: nothing is written on the strength of a row that is not written too, so every row that was remembered is
//! compared with the stored one.

use std::sync::{Arc, Mutex, PoisonError};

use sqlx::PgConnection;
use squid_mesh_core::definition::{Definition, DefinitionKey};
use squid_mesh_core::operation::{
    Decision, Found, Memory, Operation, ReadSet, Remembered, View, Writes,
};
use squid_mesh_core::sorted::SortedMap;

use crate::definitions::Definitions;
use crate::perform::{Aborted, Settled, decide, not_written};
use crate::read::{WAITED, names};
use crate::rows;
use crate::sql;
use crate::write::{Version, write};

/// About how many bytes of rows are remembered at most.
const BYTES: usize = 8 << 20;

/// What need not be read again.
pub(crate) struct Known {
    pub(crate) definitions: Definitions,
    rows: Mutex<Rows>,
}

/// Rows that were written since the last connection was made.
struct Rows {
    epoch: u64,
    remembered: Remembered<Version>,
}

impl Default for Known {
    fn default() -> Known {
        let rows = Rows {
            epoch: 0,
            remembered: Remembered::new(BYTES),
        };
        Known {
            definitions: Definitions::default(),
            rows: Mutex::new(rows),
        }
    }
}

impl Known {
    /// What is known of the server that an operation is performed on, in an epoch of its connections. Behind a connection that
    /// is made later may be another server, of an earlier time: it knows no rows of this one.
    pub(crate) fn of(&self, epoch: u64) -> KnownOf<'_> {
        KnownOf { known: self, epoch }
    }
}

/// What is known in one epoch of the connections.
pub(crate) struct KnownOf<'a> {
    known: &'a Known,
    epoch: u64,
}

impl KnownOf<'_> {
    pub(crate) fn definitions(&self) -> &Definitions {
        &self.known.definitions
    }

    /// Remembers what was committed.
    pub(crate) fn learn(&self, writes: Writes, version: Option<Version>) {
        self.rows(|rows| rows.learn(writes, version));
    }

    /// What an operation asks for, if all of it is remembered: the reports of a settle that does not wait.
    pub(crate) fn memory(&self, operation: &Operation) -> Option<(ReadSet, Memory<Version>)> {
        let Operation::Settle(settle) = operation else {
            return None;
        };
        if settle.wait {
            return None;
        }
        let reads = operation.reads();
        let mut memory = self.rows(|rows| rows.take(&reads))??;
        memory.view.definitions = self.definitions_of(&reads, &memory.view)?;
        Some((reads, memory))
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
                definitions.insert(key.clone(), self.definitions().kept(key)?);
            }
        }
        Some(definitions)
    }

    /// Does something with the rows of this epoch, unless a later one has begun.
    fn rows<T>(&self, with: impl FnOnce(&mut Remembered<Version>) -> T) -> Option<T> {
        let mut rows = self
            .known
            .rows
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if rows.epoch < self.epoch {
            rows.epoch = self.epoch;
            rows.remembered.clear();
        }
        (rows.epoch == self.epoch).then(|| with(&mut rows.remembered))
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
    reads: &ReadSet,
    mut memory: Memory<Version>,
) -> Result<Option<Settled>, Aborted> {
    // A write waits for no lock for longer than a read that counts as not having waited: what commits in less time meets one
    // that did not as if it had come after it, pauses and the clock included. Then everything is read under locks instead, which
    // skips a run that is locked elsewhere, so that the others need not wait for it.
    let patience = WAITED.as_millis().to_string();
    let clock = sqlx::query(sql::CLOCK_IN_HASTE)
        .bind(names(&reads.queues))
        .bind(patience);
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
    use squid_mesh_core::task::TaskRow;
    use squid_mesh_sim::conformance::workflows;
    use squid_mesh_test_support::TestDatabase;

    use sqlx::Connection as _;

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

    fn settled(task: &TaskRow, wait: bool) -> Operation {
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

    /// A schema with one run, whose first step is claimed, and what is known of it.
    async fn claimed() -> (TestDatabase, Connections, Known, TaskRow) {
        let database = TestDatabase::fresh();
        let options = Options::default().connect_options(database.url()).unwrap();
        let connections = Connections::new(options, 2, Duration::from_secs(20));
        let mut lent = connections.lend().await.unwrap();
        ledger::migrate(&mut lent, Shards::ONE).await.unwrap();
        lent.give_back();
        let known = Known::default();
        let register = Operation::Register(Register {
            worker: None,
            definitions: workflows(),
        });
        let claim = Operation::Claim(Claim {
            shard: Shard::default(),
            number: 1,
            offer: offer(),
        });
        for operation in [register, start()] {
            perform(&connections, &known, &operation).await.unwrap();
        }
        let performed = perform(&connections, &known, &claim).await.unwrap();
        let Reply::Claimed(mut claimed) = performed.reply else {
            panic!("no claim reply")
        };
        let task = claimed.tasks.pop().unwrap();
        (database, connections, known, task)
    }

    #[tokio::test]
    async fn a_chain_is_settled_from_memory_from_its_first_step_on() {
        let (_database, connections, known, mut task) = claimed().await;
        let mut lent = connections.lend().await.unwrap();
        let known = known.of(lent.epoch());
        let mut steps = 0;
        loop {
            let waiting = known.memory(&settled(&task, true));
            assert!(waiting.is_none(), "whoever waits reads");
            let operation = settled(&task, false);
            let (reads, memory) = known
                .memory(&operation)
                .expect("what was written is remembered");
            assert_eq!(memory.view.tasks[&task.key], Found::Row(task.clone()));
            let mut tx = lent.begin().await.unwrap();
            let decided = settle(&mut tx, &operation, &reads, memory).await;
            let Settled {
                writes,
                reply,
                version,
            } = decided.ok().flatten().expect("nothing has changed");
            tx.commit().await.unwrap();
            known.learn(writes, version);
            let Reply::Settled {
                slots, mut handed, ..
            } = reply
            else {
                panic!("no settle reply")
            };
            assert_eq!(slots, [SlotReply::Accepted]);
            steps += 1;
            let Some(next) = handed.pop() else { break };
            task = next;
        }
        assert_eq!(steps, workflows()[0].steps().len());
        let ended = known.memory(&settled(&task, false));
        assert!(ended.is_none(), "the run has ended");
    }

    #[tokio::test]
    async fn nothing_is_remembered_across_the_making_of_a_connection() {
        let (_database, connections, known, task) = claimed().await;
        let first = connections.lend().await.unwrap();
        let second = connections.lend().await.unwrap();
        let (before, after) = (known.of(first.epoch()), known.of(second.epoch()));
        let operation = settled(&task, false);
        assert!(after.memory(&operation).is_none());
        assert!(before.memory(&operation).is_none(), "it is past");
        first.give_back();
        second.give_back();
        perform(&connections, &known, &operation).await.unwrap();
        assert!(
            before.rows(|_| ()).is_none(),
            "what it still writes is not learnt"
        );
        assert!(after.rows(|_| ()).is_some());
    }
}
