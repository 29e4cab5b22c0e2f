//! What happened, as one number and, when asked for, as a story.
//!
//! Invariant: two simulations with the same hash made the same decisions in the same order; without a story nothing is
//! formatted.

use crate::choice::mix;
use crate::clock::SimTime;

/// The trace of one simulation.
#[derive(Debug, Default)]
pub struct Trace {
    hash: u64,
    events: u64,
    story: Option<Vec<String>>,
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

    /// Folds something that was decided into the hash.
    #[inline]
    pub fn note(&mut self, word: u64) {
        self.hash = mix(self.hash, word);
    }

    /// Adds a line to the story, if one is told.
    #[inline]
    pub fn say(&mut self, line: impl FnOnce() -> String) {
        if let Some(story) = &mut self.story {
            story.push(format!(
                "{:>6}  {:>16}  {}",
                self.events,
                self.now.to_string(),
                line()
            ));
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
    pub fn story(&self) -> &[String] {
        self.story.as_deref().unwrap_or_default()
    }
}
