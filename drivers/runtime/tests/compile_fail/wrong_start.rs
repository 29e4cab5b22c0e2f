//! A run is started with an input of another type than its workflow takes.

use squid_mesh::{Client, StartError, WorkflowRef};

async fn start(client: &Client, order: &WorkflowRef<u64, String>) -> Result<(), StartError> {
    client.start(order, "seven").await?;
    Ok(())
}

fn main() {
    let _ = start;
}
