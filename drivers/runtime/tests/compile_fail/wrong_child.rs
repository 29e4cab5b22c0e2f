//! A child is given an input of another type than its workflow takes.

use squid_mesh::{Workflow, WorkflowRef};

fn wire(shipping: &WorkflowRef<String, bool>) {
    let (mut wf, order) = Workflow::builder::<u64>("order", 1);
    let shipped = wf.child("ship", shipping, order);
    let _ = wf.finish(shipped);
}

fn main() {
    let _ = wire;
}
