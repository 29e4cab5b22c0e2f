//! An undo handler expects another output than its step gives.

use squid_mesh::{StepContext, StepError, Undo, step};

async fn reserve(_: StepContext, order: u64) -> Result<String, StepError> {
    Ok(order.to_string())
}

async fn release(_: StepContext, undo: Undo<u64, bool>) -> Result<(), StepError> {
    let _ = undo.output;
    Ok(())
}

fn main() {
    let _ = step(reserve).undo(release);
}
