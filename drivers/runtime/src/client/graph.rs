//! Runs as graphs.
//!
//! Invariant: a graph holds no payload, and needs nothing but what is stored.

use squid_mesh_core::graph::RunGraph;
use squid_mesh_core::id::RunId;

use super::record::unreadable;
use super::{Client, InspectError};

impl Client {
    /// A run as a graph: where each of its steps stands, and which ways were gone, left or are open. It can be written as JSON,
    /// and drawn by [Mermaid](RunGraph::to_mermaid) or [DOT](RunGraph::to_dot). Nodes and edges have the same ids on each
    /// call, and the workflow need not be known to this process.
    ///
    /// Cancellation-safe: looking changes nothing.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new()?.block_on(async {
    /// use squid_mesh::core::graph::{EdgeState, NodeState};
    /// use squid_mesh::{Runtime, StepContext, StepError, Workflow, step};
    ///
    /// async fn double(_: StepContext, n: u64) -> Result<u64, StepError> { Ok(2 * n) }
    ///
    /// let (mut wf, n) = Workflow::builder::<u64>("doubling", 1);
    /// let twice = wf.step("twice", n, step(double));
    /// let again = wf.step("again", twice, step(double));
    /// let doubling = wf.finish(again)?;
    /// let mut stepper = Runtime::builder("sqlite::memory:").workflow(&doubling).manual().await?;
    /// let client = stepper.client().clone();
    ///
    /// let run = client.start(&doubling.reference(), 3).await?;
    /// stepper.execute_next().await?;
    /// let graph = client.graph(run.id()).await?;
    /// assert_eq!(graph.nodes[0].state, NodeState::Succeeded);
    /// assert_eq!(graph.edges[0].state, EdgeState::Selected);
    /// println!("{}", graph.to_mermaid());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// If the run or its definition cannot be looked at; asking again is safe.
    pub async fn graph(&self, run: RunId) -> Result<RunGraph, InspectError> {
        let record = self.record(run).await?;
        let definition = self.pinned_definition(&record).await?;
        RunGraph::of(&record, &definition).map_err(|error| unreadable(run, &error.to_string()))
    }
}
