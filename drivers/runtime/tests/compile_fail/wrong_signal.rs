//! What a signal carries is given to a step that takes another type.

use squid_mesh::{Signal, StepContext, StepError, Workflow, step};

const PAID: Signal<u64> = Signal::new("paid");

async fn ship(_: StepContext, address: String) -> Result<String, StepError> {
    Ok(address)
}

fn main() {
    let (mut wf, _order) = Workflow::builder::<u64>("order", 1);
    let paid = wf.signal("await_payment", &PAID, ());
    let shipped = wf.step("ship", paid, step(ship));
    let _ = wf.finish(shipped);
}
