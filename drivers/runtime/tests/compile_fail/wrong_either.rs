//! Two branches that come together give different types.

use squid_mesh::{StepContext, StepError, Workflow, step};

async fn ship(_: StepContext, order: u64) -> Result<String, StepError> {
    Ok(order.to_string())
}

async fn refund(_: StepContext, order: u64) -> Result<bool, StepError> {
    Ok(order > 0)
}

fn main() {
    let (mut wf, order) = Workflow::builder::<u64>("order", 1);
    let shipped = wf.step("ship", order, step(ship));
    let refunded = wf.on_failure(&shipped, |wf, _| wf.step("refund", order, step(refund)));
    let end = wf.either(shipped, refunded);
    let _ = wf.finish(end);
}
