//! A workflow promises another result than it is finished with.

use squid_mesh::{BuildError, StepContext, StepError, Workflow, step};

async fn reserve(_: StepContext, order: u64) -> Result<String, StepError> {
    Ok(order.to_string())
}

fn order() -> Result<Workflow<u64, bool>, BuildError> {
    let (mut wf, order) = Workflow::builder("order", 1);
    let stock = wf.step("reserve", order, step(reserve));
    wf.finish(stock)
}

fn main() {
    let _ = order();
}
