//! An object is wired to a step without saying what it is.

use squid_mesh::{StepContext, StepError, Workflow, object, step};

#[derive(serde::Deserialize)]
struct Parcel {
    sku: String,
}

async fn ship(_: StepContext, parcel: Parcel) -> Result<String, StepError> {
    Ok(parcel.sku)
}

fn main() {
    let (mut wf, sku) = Workflow::builder::<String>("order", 1);
    let shipped = wf.step("ship", object().field("sku", sku), step(ship));
    let _ = wf.finish(shipped);
}
