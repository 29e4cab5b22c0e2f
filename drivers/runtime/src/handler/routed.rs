//! Outputs that say which way the run goes on.
//!
//! Invariant: a label is part of what a step returned, not of its output.

/// An output with the label of the branch to take. A handler that returns it is wired with
/// [`step_routed`](crate::step_routed), which says which labels there are; [`step`](crate::step) does not take it.
///
/// ```
/// use squid_mesh::{Routed, StepContext, StepError, step_routed};
///
/// async fn assess(_: StepContext, cents: u64) -> Result<Routed<u64>, StepError> {
///     Ok(Routed::new(if cents > 100_000 { "fraud" } else { "clean" }, cents))
/// }
///
/// let assessing = step_routed(assess, ["fraud", "clean"]);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Routed<T> {
    pub(super) label: String,
    pub(super) output: T,
}

impl<T> Routed<T> {
    /// An output with a label. A label that the step does not declare fails it for good, with the code `unknown_label`.
    pub fn new(label: impl Into<String>, output: T) -> Routed<T> {
        Routed {
            label: label.into(),
            output,
        }
    }

    /// The label.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// The output.
    pub fn output(&self) -> &T {
        &self.output
    }
}
