//! The children of one step: how many there are to be, which exist, which have ended.
//!
//! Invariant: `arrived <= started <= count`, a child arrives once, and a number is always the same run.

use serde::{Deserialize, Serialize};

use super::Seq;
use crate::definition::StepIndex;
use crate::id::RunId;
use crate::payload::OutputRef;

/// The children of one step. A child is known by its number, from 0. Its run's id is derived from that, unless the step's
/// handler started it: those are listed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Fan {
    /// How many there are to be.
    pub count: u32,
    /// The transition that counted them.
    pub since: Seq,
    /// Those before this one exist, or existed.
    pub started: u32,
    /// Those before this one were told to cancel.
    pub recalled: u32,
    /// How many have ended.
    pub arrived: u32,
    /// One bit each that has ended.
    bits: Vec<u8>,
    /// What the step fails with, once its children have ended.
    pub spoilt: Option<Spoilt>,
    /// The runs that the step's handler started, in the order of their numbers.
    called: Vec<RunId>,
}

/// What a step with children fails with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spoilt {
    /// The failure's code.
    pub code: String,
    /// Where the failure lives.
    pub place: OutputRef,
}

impl Fan {
    /// That many children, none of which exists.
    pub(super) fn of(count: u32, since: Seq) -> Fan {
        Fan {
            count,
            since,
            ..Fan::default()
        }
    }

    /// One more child, which exists.
    pub(super) fn adopt(&mut self, run: RunId) {
        self.called.push(run);
        self.count += 1;
        self.started += 1;
    }

    /// The run that is a child of `step` of `parent`.
    pub fn run(&self, parent: RunId, step: StepIndex, child: u32) -> RunId {
        let called = usize::try_from(child).ok();
        let called = called.and_then(|child| self.called.get(child));
        called
            .copied()
            .unwrap_or_else(|| RunId::child(parent, step, child))
    }

    /// The runs in a range of numbers that the step's handler started; none where the step itself has children.
    pub(super) fn called(&self, from: u32, upto: u32) -> Vec<RunId> {
        let children =
            (from..upto).filter_map(|child| self.called.get(usize::try_from(child).ok()?));
        children.copied().collect()
    }

    /// How many exist and have not ended.
    pub fn active(&self) -> u32 {
        self.started - self.arrived
    }

    /// Whether some exist that were neither told to cancel nor have ended.
    pub fn has_untold(&self) -> bool {
        self.recalled < self.started && self.active() > 0
    }

    /// Whether a child has ended.
    pub fn has_arrived(&self, child: u32) -> bool {
        let (byte, bit) = place(child);
        self.bits.get(byte).is_some_and(|bits| bits & bit != 0)
    }

    /// Notes that a child has ended; whether that is news.
    pub(super) fn arrive(&mut self, child: u32) -> bool {
        if child >= self.started || self.has_arrived(child) {
            return false;
        }
        let (byte, bit) = place(child);
        if self.bits.len() <= byte {
            self.bits.resize(byte + 1, 0);
        }
        self.bits[byte] |= bit;
        self.arrived += 1;
        true
    }
}

fn place(child: u32) -> (usize, u8) {
    let byte = usize::try_from(child / 8).expect("a child's number fits into an address");
    (byte, 1 << (child % 8))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_arrives_once_and_only_if_it_exists() {
        let mut fan = Fan::of(20, Seq(3));
        assert!(!fan.arrive(0), "it does not exist yet");
        fan.started = 17;
        assert!(fan.arrive(16) && !fan.arrive(16));
        assert!(fan.arrive(3) && fan.has_arrived(3) && !fan.has_arrived(4));
        assert!(!fan.arrive(17));
        assert_eq!((fan.arrived, fan.active()), (2, 15));
    }
}
