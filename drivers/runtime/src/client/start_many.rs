//! Starting many runs at once.
//!
//! Invariant: all of a batch are started or none, by one operation; so all of them are of one shard.

use std::future::IntoFuture;
use std::pin::Pin;

use serde::Serialize;
use squid_mesh_core::id::RunId;
use squid_mesh_core::limits;
use squid_mesh_core::operation::{Entry, Group, GroupReply, Rejection, Start};
use squid_mesh_core::store::Store as _;

use super::lookup::Lookup;
use super::start::handle_of;
use super::{Client, LimitExceeded, RunHandle, StartError, StartRun};
use crate::author::WorkflowRef;
use crate::transaction::HostConnection;

/// Starts that are being put together; awaiting it starts all of them, or none.
///
/// Dropped, the future has started all of the runs or none. Starting again is safe if each has an idempotency key.
///
/// ```
/// # tokio::runtime::Runtime::new()?.block_on(async {
/// use squid_mesh::{Runtime, StepContext, StepError, Workflow, step};
///
/// async fn double(_: StepContext, n: u64) -> Result<u64, StepError> { Ok(2 * n) }
///
/// let (mut wf, n) = Workflow::builder::<u64>("doubling", 1);
/// let doubled = wf.step("double", n, step(double));
/// let doubling = wf.finish(doubled)?;
/// let runtime = Runtime::builder("sqlite::memory:").workflow(&doubling).start().await?;
///
/// let runs = runtime
///     .client()
///     .start_many(&doubling.reference(), [1, 2, 3])
///     .each(|index, start| start.key(format!("batch-7-{index}")))
///     .await?;
/// assert_eq!(runs[2].result().await?, 6);
/// # runtime.shutdown().await;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[must_use = "runs are started by awaiting this"]
pub struct StartMany<O> {
    starts: Vec<StartRun<O>>,
}

/// A batch was not started: none of its runs was, unless the error says that nobody knows.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartManyError {
    /// One of the starts stands in the way.
    #[error("start number {index} (from 0): {error}")]
    At {
        /// Which, from 0.
        index: usize,
        /// What is wrong with it.
        #[source]
        error: StartError,
    },
    /// It is too large. Nothing was written.
    #[error(transparent)]
    Limit(#[from] LimitExceeded),
    /// The batch as a whole was not taken, or nobody knows whether it was: see [`StartError`].
    #[error(transparent)]
    Batch(StartError),
}

impl Client {
    /// Starts a run of each input: all of them, or none. Options of each are set by [`StartMany::each`], and awaiting it starts
    /// the runs.
    pub fn start_many<I: Serialize, O>(
        &self,
        workflow: &WorkflowRef<I, O>,
        inputs: impl IntoIterator<Item = I>,
    ) -> StartMany<O> {
        let inputs = inputs.into_iter();
        StartMany::new(inputs.map(|input| self.start(workflow, input)).collect())
    }
}

impl<O> StartMany<O> {
    pub(super) fn new(starts: Vec<StartRun<O>>) -> StartMany<O> {
        StartMany { starts }
    }

    /// Sets options of each start: `options` is given its position, from 0.
    pub fn each(mut self, mut options: impl FnMut(usize, StartRun<O>) -> StartRun<O>) -> Self {
        let starts = self.starts.into_iter().enumerate();
        self.starts = starts.map(|(index, start)| options(index, start)).collect();
        self
    }

    /// Starts the runs in a transaction of the host, as [`StartRun::in_tx`] does one. Dropping the future leaves a transaction
    /// that should be rolled back.
    ///
    /// # Errors
    /// As there.
    pub async fn in_tx<'t>(
        self,
        transaction: impl Into<HostConnection<'t>>,
    ) -> Result<Vec<RunHandle<O>>, StartManyError> {
        let connection = transaction.into();
        let Some((client, group)) = self.prepare(Lookup::in_transaction()).await? else {
            return Ok(Vec::new());
        };
        let reply = client.submit_in(connection, group).await;
        handles_of(&client, reply.map_err(StartManyError::Batch)?)
    }

    async fn submit(self) -> Result<Vec<RunHandle<O>>, StartManyError> {
        let Some((client, group)) = self.prepare(Lookup::default()).await? else {
            return Ok(Vec::new());
        };
        let reply = client.lane().submit(group).await;
        let not_done = |not_done| StartManyError::Batch(StartError::from(not_done));
        handles_of(&client, reply.map_err(not_done)?)
    }

    /// Everything checked, as one group; `None` for no start at all.
    async fn prepare(
        self,
        mut definitions: Lookup,
    ) -> Result<Option<(Client, Group)>, StartManyError> {
        LimitExceeded::check("number of starts", self.starts.len(), limits::GROUP_STARTS)?;
        let mut starts = Vec::with_capacity(self.starts.len());
        let mut client = None;
        for (index, start) in self.starts.into_iter().enumerate() {
            let prepared = start.prepare(&mut definitions).await;
            let (its, start) = prepared.map_err(|error| StartManyError::At { index, error })?;
            starts.push(start);
            client = Some(its);
        }
        check_bytes(starts.iter().map(|start| start.input.bytes().len()))?;
        let Some(client) = client else {
            return Ok(None);
        };
        gather(&client, &mut starts)?;
        let entries = starts
            .into_iter()
            .map(|start| Entry::Start(Box::new(start)));
        Ok(Some((
            client,
            Group {
                entries: entries.collect(),
            },
        )))
    }
}

fn check_bytes(inputs: impl Iterator<Item = usize>) -> Result<(), LimitExceeded> {
    LimitExceeded::check("bytes of all inputs", inputs.sum(), limits::GROUP_BYTES)
}

/// Brings all runs into one shard. The id of a run with a key follows from its key; the others go where those are.
fn gather(client: &Client, starts: &mut [Start]) -> Result<(), StartManyError> {
    let shards = client.store().shards();
    let keyed = starts.iter().find(|start| start.key.is_some());
    let Some(slot) = keyed.or(starts.first()).map(|start| start.run.slot()) else {
        return Ok(());
    };
    let shard = RunId::from_u128(0).with_slot(slot).shard(shards);
    for (index, start) in starts.iter_mut().enumerate() {
        if start.key.is_none() {
            start.run = start.run.with_slot(slot);
        }
        if start.run.shard(shards) != shard {
            let rejection = Rejection::CrossShardBatch { run: start.run };
            let error = rejection.into();
            return Err(StartManyError::At { index, error });
        }
    }
    Ok(())
}

fn handles_of<O>(client: &Client, reply: GroupReply) -> Result<Vec<RunHandle<O>>, StartManyError> {
    let handle = |reply| handle_of(client.clone(), reply);
    match reply {
        GroupReply::Done(replies) => Ok(replies.into_iter().map(handle).collect()),
        GroupReply::Refused { index, rejection } => Err(StartManyError::At {
            index,
            error: rejection.into(),
        }),
        GroupReply::Busy => Err(StartManyError::Batch(StartError::Refused(
            "a run is locked".to_owned(),
        ))),
    }
}

impl<O: 'static> IntoFuture for StartMany<O> {
    type Output = Result<Vec<RunHandle<O>>, StartManyError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.submit())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_inputs_of_a_batch_are_taken_at_their_limit_and_refused_above() {
        let half = limits::GROUP_BYTES / 2;
        assert_eq!(check_bytes([half, half].into_iter()), Ok(()));
        let above = check_bytes([half, half, 1].into_iter()).unwrap_err();
        assert!(above.found == above.limit + 1, "{above}");
    }
}
