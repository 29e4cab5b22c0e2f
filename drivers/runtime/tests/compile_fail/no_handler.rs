//! A function that is no handler: it takes no context.

use squid_mesh::{StepError, step};

async fn reserve(order: u64) -> Result<String, StepError> {
    Ok(order.to_string())
}

fn main() {
    let _ = step(reserve);
}
