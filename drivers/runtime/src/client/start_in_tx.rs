//! Starting runs in a transaction of the host.
//!
//! Invariant: whether the run exists is the transaction's end to say: this commits nothing.

use std::sync::Arc;

use squid_mesh_core::operation::{Entry, Group, GroupReply, Operation, Reply, Submit};
use squid_mesh_core::store::{Store as _, StoreError};

use super::lookup::Lookup;
use super::start::handle_of;
use super::submit::only;
use super::{Client, RunHandle, StartError, StartRun};
use crate::transaction::{HostConnection, OwnedTx, Transactions};

impl<O> StartRun<O> {
    /// Starts the run in a transaction that the host has begun and will end: a sqlx `Transaction` or connection to the store's
    /// database, or a [`Tx`](crate::Tx). The run is there once that is committed, and never if it is rolled back; before, no
    /// other connection sees it, and no worker its first step. What was checked for a plain start is checked for this one, and
    /// idempotency keys work alike.
    ///
    /// Nobody is told of the commit: the first step is found when a worker looks next, within its poll interval (1 s unless
    /// it was set).
    ///
    /// In Postgres the transaction has to be READ COMMITTED, the default; its settings and savepoints are left as they are.
    /// In SQLite it had better hold the write lock from its beginning (`BEGIN IMMEDIATE`): one that has read before others
    /// wrote cannot write any more, and conflicts whatever it tries. In memory nobody else can read while it is open, so the
    /// workflow has to be registered in this process.
    ///
    /// Dropping the future leaves a transaction that should be rolled back.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new()?.block_on(async {
    /// use squid_mesh::{Runtime, StepContext, StepError, Workflow, step};
    ///
    /// async fn ship(_: StepContext, order: i64) -> Result<i64, StepError> { Ok(order) }
    ///
    /// let (mut wf, order) = Workflow::builder::<i64>("shipping", 1);
    /// let shipped = wf.step("ship", order, step(ship));
    /// let shipping = wf.finish(shipped)?;
    /// let runtime = Runtime::builder("sqlite::memory:").workflow(&shipping).start().await?;
    /// let client = runtime.client();
    ///
    /// let mut tx = client.begin().await?; // or the host's own: `pool.begin().await?`
    /// // ... the host's writes ...
    /// let run = client.start(&shipping.reference(), 7).key("order-7").in_tx(&mut tx).await?;
    /// tx.commit().await?;
    /// assert_eq!(run.result().await?, 7);
    /// # runtime.shutdown().await;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Any [`StartError`] but [`StartError::Unknown`]. After one that is not [`StartError::Refused`] the transaction is as it
    /// was before, and may go on.
    pub async fn in_tx<'t>(
        self,
        transaction: impl Into<HostConnection<'t>>,
    ) -> Result<RunHandle<O>, StartError> {
        let connection = transaction.into();
        let (client, start) = self.prepare(&mut Lookup::in_transaction()).await?;
        let entries = vec![Entry::Start(Box::new(start))];
        let reply = client.submit_in(connection, Group { entries }).await?;
        Ok(handle_of(client, only(reply)?))
    }
}

impl Client {
    /// Begins a transaction of the store's database, for a host that writes and starts runs together and has no pool of its
    /// own. In SQLite it takes its turn with the engine, which writes nothing until it has ended. Cancellation-safe: dropping the future begins nothing, or rolls back.
    ///
    /// # Errors
    /// If the store does not answer, or has no transactions that a host could share. Trying again is safe.
    pub async fn begin(&self) -> Result<OwnedTx, StoreError> {
        let transactions = self.transactions()?;
        let tx = transactions.begin(None).await?;
        Ok(OwnedTx::new(tx, transactions.clone()))
    }

    fn transactions(&self) -> Result<&Arc<dyn Transactions>, StoreError> {
        self.store().transactions().ok_or_else(|| {
            StoreError::Refused("the store has no transactions that a host could share".to_owned())
        })
    }

    /// Submits a group in a transaction of the host.
    pub(super) async fn submit_in(
        &self,
        connection: HostConnection<'_>,
        group: Group,
    ) -> Result<GroupReply, StartError> {
        let refused = |error: StoreError| StartError::Refused(error.to_string());
        let Some(first) = group.entries.first() else {
            return Ok(GroupReply::Done(Vec::new()));
        };
        let submit = Submit {
            shard: first.run().shard(self.store().shards()),
            groups: vec![group],
            offer: None,
            wait: true,
        };
        let transactions = self.transactions().map_err(refused)?;
        let performed = transactions.perform_in(connection, Operation::Submit(submit));
        match performed.await {
            Ok(Reply::Submitted { mut groups, .. }) => match groups.pop() {
                Some(GroupReply::Busy) => Err(StartError::Conflict),
                Some(reply) => Ok(reply),
                None => Err(StartError::Refused(
                    "a submission without an answer".to_owned(),
                )),
            },
            Ok(other) => unreachable!("a submission is answered by {other:?}"),
            Err(StoreError::Conflict) => Err(StartError::Conflict),
            Err(error) => Err(refused(error)),
        }
    }
}
