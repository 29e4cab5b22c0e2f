//! What the handlers of this application share.
//!
//! Invariant: holds nothing of a run; whatever a handler has to remember is in the ledger.

use std::sync::Arc;

use crate::gateway::GatewayClient;
use crate::ledger::Ledger;

/// The application behind the handlers.
#[derive(Debug)]
pub struct App {
    /// Its own tables.
    pub ledger: Ledger,
    /// Its way to the payment gateway.
    pub gateway: GatewayClient,
}

impl App {
    /// Puts the application together.
    pub fn new(ledger: Ledger, gateway: GatewayClient) -> Arc<App> {
        Arc::new(App { ledger, gateway })
    }
}
