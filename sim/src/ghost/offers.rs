//! How often explanations have offered what: trying everything each time would be most of the work of a simulation.
//!
//! Invariant: the first offer of an action under a reason is tried in every world, and of the others some.

use std::collections::BTreeMap;
use std::mem::{Discriminant, discriminant};

use squid_mesh_core::explain::{NextAction, Reason};

/// Of the offers that follow the first, one of so many is tried.
const SAMPLE: u32 = 24;

/// How often each action was offered, by reason.
#[derive(Debug, Default)]
pub struct Offers {
    counts: BTreeMap<Reason, Vec<(Discriminant<NextAction>, u32)>>,
}

impl Offers {
    /// Counts an offer, and says whether it is to be tried.
    pub fn is_tried(&mut self, reason: Reason, action: &NextAction) -> bool {
        let kind = discriminant(action);
        let counts = self.counts.entry(reason).or_default();
        let known = counts.iter().position(|(known, _)| *known == kind);
        let index = known.unwrap_or_else(|| {
            counts.push((kind, 0));
            counts.len() - 1
        });
        let count = &mut counts[index].1;
        *count += 1;
        *count == 1 || count.is_multiple_of(SAMPLE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_offer_under_each_reason_is_tried_and_then_a_few() {
        let mut offers = Offers::default();
        let tried = (0..100).filter(|_| offers.is_tried(Reason::Timer, &NextAction::Cancel));
        assert_eq!(tried.count(), 1 + 4);
        assert!(offers.is_tried(Reason::Timer, &NextAction::CancelUndo));
        assert!(offers.is_tried(Reason::Child, &NextAction::Cancel));
    }
}
