//! The reference model: the outcomes that a run may come to, by its definition and by what the world did to it.
//!
//! It is written from the semantics, looks at a whole run at its end instead of at one row after the other, and shares nothing
//! with what the engine decides by, nor with the graph code of ghost and oracles. Whatever faults leave open is a set: which of
//! several attempts was heard, whether a step was reached before the run began to end. The set is never written out. A step's
//! ways are those that are allowed after the ends that the steps before it have had, and as the graph has no cycle, all these
//! together are those of the run.
//!
//! Invariant: what is seen of a run is compared with what is allowed, and never asked why it is so.

mod attempt;
mod copy;
mod ending;
mod graph;
mod kind;
mod step;
#[cfg(test)]
mod tests;
mod undo;
mod value;

pub use value::bound;

use crate::witness::{Facts, Seen};

/// Facts beside what is seen.
struct Model<'m> {
    facts: &'m Facts<'m>,
    seen: &'m Seen,
    /// The row by which the run began to end before all its steps had ended; `u32::MAX` if it did not.
    cut: u32,
}

/// Why a run cannot have come to this; nothing if it can. Of one that goes on, whether what it did so far can be.
pub fn refused(facts: &Facts<'_>, seen: &Seen) -> Option<String> {
    let (cut, status, cause) = ending::of(facts, seen);
    let model = Model { facts, seen, cut };
    if !seen.status.is_terminal() {
        // One that is ending may stand anywhere.
        return (cut == u32::MAX).then(|| model.steps_refused()).flatten();
    }
    if (seen.status, &seen.cause) != (status, &cause) {
        let (is, why) = (seen.status, &seen.cause);
        return Some(format!(
            "it is {is} ({why:?}), and may be {status} ({cause:?})"
        ));
    }
    let steps = model.copy_refused().or_else(|| model.steps_refused());
    steps
        .or_else(|| model.undo_refused())
        .or_else(|| model.result_refused())
}
