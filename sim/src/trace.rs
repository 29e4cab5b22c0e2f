//! What happened, as one number and, when asked for, as a story.
//!
//! Invariant: two simulations with the same hash made the same decisions in the same order; without a story nothing is
//! kept.

use crate::choice::mix;
use crate::clock::SimTime;
use crate::fault::Fault;
use crate::story::{Deed, Scene, Trouble};

/// The trace of one simulation.
#[derive(Debug, Default)]
pub struct Trace {
    hash: u64,
    events: u64,
    operations: u32,
    faults: u32,
    story: Option<Vec<Scene>>,
    now: SimTime,
}

impl Trace {
    /// A trace that also tells a story.
    pub fn told() -> Trace {
        Trace {
            story: Some(Vec::new()),
            ..Trace::default()
        }
    }

    /// An event begins: one heap item that calls the engine or the store.
    #[inline]
    pub fn event(&mut self, now: SimTime, word: u64) {
        self.events += 1;
        self.now = now;
        self.hash = mix(mix(self.hash, now.0), word);
    }

    /// An operation that wrote something has landed.
    #[inline]
    pub fn wrote(&mut self) {
        self.operations += 1;
    }

    /// A fault has fired.
    #[inline]
    pub fn fault(&mut self, fault: Fault, trouble: impl FnOnce() -> Trouble) {
        self.faults += 1;
        self.say(|| Deed::Fault(fault, trouble()));
    }

    /// Operations that wrote something, and faults that fired.
    pub fn counts(&self) -> (u32, u32) {
        (self.operations, self.faults)
    }

    /// Folds something that was decided into the hash.
    #[inline]
    pub fn note(&mut self, word: u64) {
        self.hash = mix(self.hash, word);
    }

    /// Adds something to the story, if one is told.
    #[inline]
    pub fn say(&mut self, deed: impl FnOnce() -> Deed) {
        if let Some(story) = &mut self.story {
            story.push(Scene {
                event: self.events,
                at: self.now,
                deed: deed(),
            });
        }
    }

    /// Keeps the clock of the story right where no event begins.
    pub fn at(&mut self, now: SimTime) {
        self.now = now;
    }

    /// The hash so far.
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// How many events there were.
    pub fn events(&self) -> u64 {
        self.events
    }

    /// The story, if one was told.
    pub fn into_story(self) -> Vec<Scene> {
        self.story.unwrap_or_default()
    }
}
