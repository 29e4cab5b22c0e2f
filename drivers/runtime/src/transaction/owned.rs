//! A transaction that a host begins by its client.
//!
//! Invariant: dropped without a commit, it is rolled back.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use squid_mesh_core::store::TransactionError;

use super::{Transactions, Tx};

/// A transaction of the store's database, for a host that writes and starts runs together and has no pool of its own. Made
/// by [`Client::begin`](crate::Client::begin); dropped, it is rolled back.
pub struct OwnedTx {
    tx: Tx,
    store: Arc<dyn Transactions>,
}

impl OwnedTx {
    pub(crate) fn new(tx: Tx, store: Arc<dyn Transactions>) -> OwnedTx {
        OwnedTx { tx, store }
    }

    /// Commits everything that was written in it. Dropping the future leaves unknown whether it was committed.
    ///
    /// # Errors
    /// [`TransactionError::Ended`] and [`TransactionError::Aborted`] say that it was not there to commit any more. After
    /// [`StoreError::Unavailable`](squid_mesh_core::store::StoreError::Unavailable) it may have been committed or not.
    pub async fn commit(self) -> Result<(), TransactionError> {
        self.store.commit(self.tx).await
    }

    /// Rolls everything back that was written in it, and waits for it for as long as the store is patient. Dropping the future
    /// rolls back too.
    pub async fn rollback(self) {
        self.store.rollback(self.tx).await;
    }
}

impl Deref for OwnedTx {
    type Target = Tx;

    fn deref(&self) -> &Tx {
        &self.tx
    }
}

impl DerefMut for OwnedTx {
    fn deref_mut(&mut self) -> &mut Tx {
        &mut self.tx
    }
}

impl<'a> From<&'a mut OwnedTx> for super::HostConnection<'a> {
    fn from(owned: &'a mut OwnedTx) -> super::HostConnection<'a> {
        (&mut owned.tx).into()
    }
}

impl fmt::Debug for OwnedTx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OwnedTx")
    }
}
