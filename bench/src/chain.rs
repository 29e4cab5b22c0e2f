//! The workflow that is measured: a chain of steps that pass a number on.

use squid_mesh::{BuildError, StepContext, StepError, Workflow, step};

/// A chain of that many no-op steps.
pub(crate) fn chain(steps: u32) -> Result<Workflow<u64, u64>, BuildError> {
    let (mut wf, input) = Workflow::builder::<u64>("bench_chain", steps.max(1));
    let mut last = input;
    for index in 0..steps.max(1) {
        last = wf.step(
            format!("step_{index}"),
            last,
            step(pass).named("bench_pass"),
        );
    }
    wf.finish(last)
}

async fn pass(_: StepContext, number: u64) -> Result<u64, StepError> {
    Ok(number + 1)
}
