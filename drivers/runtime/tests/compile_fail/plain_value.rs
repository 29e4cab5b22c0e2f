//! A step is given something that is no value of a run.

use squid_mesh::{StepContext, StepError, Workflow, step};

async fn charge(_: StepContext, order: u64) -> Result<bool, StepError> {
    Ok(order > 0)
}

fn main() {
    let (mut wf, _order) = Workflow::builder::<u64>("order", 1);
    let paid = wf.step("charge", 7_u64, step(charge));
    let _ = wf.finish(paid);
}
