//! What is outside of the engine: a bank, a warehouse, a carrier.
//!
//! Invariant: each of them takes idempotency keys, and honours them.

use squid_mesh_sim::env::Ledger;

/// The services that the saga's handlers call. In production these are clients; here they are ledgers.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shop {
    /// Money that was taken, and given back.
    pub bank: Ledger,
    /// Pieces that were reserved, and released.
    pub stock: Ledger,
    /// Parcels that were sent.
    pub parcels: Ledger,
}
