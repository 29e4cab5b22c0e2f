//! A step is given a value of another type than its handler takes.

use squid_mesh::{StepContext, StepError, Workflow, step};

async fn reserve(_: StepContext, order: u64) -> Result<String, StepError> {
    Ok(order.to_string())
}

async fn charge(_: StepContext, order: u64) -> Result<bool, StepError> {
    Ok(order > 0)
}

fn main() {
    let (mut wf, order) = Workflow::builder::<u64>("order", 1);
    let stock = wf.step("reserve", order, step(reserve));
    let paid = wf.step("charge", stock, step(charge));
    let _ = wf.finish(paid);
}
