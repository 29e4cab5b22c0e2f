//! The runtime: a worker, its loop and the clients beside it.
//!
//! Invariant: everything a runtime set going belongs to its loop, and ends with it.

mod attempts;
mod builder;
mod clock;
mod driver;
mod errand;
mod error;
mod fitness;
mod manual;
mod schedules;
mod transacting;
mod watches;

use std::fmt;

use squid_mesh_core::id::Incarnation;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

pub use builder::RuntimeBuilder;
pub(crate) use driver::{Message, Watch};
pub use error::LaunchError;
pub use manual::{Performed, Stepper};

use crate::client::Client;

/// Executes the steps of workflows in this process, until it is shut down.
///
/// Dropping it ends it like a crash would: attempts are dropped where they await, nothing is reported or handed back, and
/// other processes take the steps over when their leases end. [`Runtime::shutdown`] is the orderly way.
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
///
/// let runtime = Runtime::builder("sqlite::memory:").workflow(&doubling).start().await?;
/// let run = runtime.client().start(&doubling.reference(), 21).await?;
/// assert_eq!(run.result().await?, 42);
/// runtime.shutdown().await;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "dropping a runtime ends it like a crash would"]
pub struct Runtime {
    client: Client,
    incarnation: Incarnation,
    messages: mpsc::Sender<Message>,
    driver: JoinHandle<()>,
}

impl Runtime {
    /// A client of the same store, which submits through this runtime: batched with its own work, and with first steps
    /// handed straight to it.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// This start of this process, as `workers` and leases name it.
    pub fn incarnation(&self) -> Incarnation {
        self.incarnation
    }

    /// Stops claiming, lets handlers finish until the grace ends, hands back what has not begun, and returns when nothing is
    /// in flight.
    ///
    /// Clients of the runtime go on to work, straight with the store. Dropping the future is dropping the runtime.
    pub async fn shutdown(mut self) {
        // A loop that has ended, by a panic that it has logged, needs no telling.
        let _ = self.messages.send(Message::Drain).await;
        if let Err(error) = (&mut self.driver).await {
            tracing::error!(%error, "the runtime ended before it was shut down");
        }
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl fmt::Debug for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runtime")
            .field("incarnation", &self.incarnation)
            .finish_non_exhaustive()
    }
}
