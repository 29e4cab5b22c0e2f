//! A join is wired in another order than its handler takes it.

use squid_mesh::{StepContext, StepError, Workflow, step};

async fn reserve(_: StepContext, order: u64) -> Result<String, StepError> {
    Ok(order.to_string())
}

async fn charge(_: StepContext, order: u64) -> Result<bool, StepError> {
    Ok(order > 0)
}

async fn ship(_: StepContext, (stock, _paid): (String, bool)) -> Result<String, StepError> {
    Ok(stock)
}

fn main() {
    let (mut wf, order) = Workflow::builder::<u64>("order", 1);
    let stock = wf.step("reserve", order, step(reserve));
    let paid = wf.step("charge", order, step(charge));
    let shipped = wf.step("ship", (paid, stock), step(ship));
    let _ = wf.finish(shipped);
}
