//! What clients and people do besides starting runs.
//!
//! Invariant: what is off is never drawn.

/// What clients and people do besides starting runs and answering what runs wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Commands {
    /// Clients repeat starts, also under the same key with another input.
    pub repeats: bool,
    /// Clients cancel runs, some with force, some asking to take back what was done.
    pub cancels: bool,
    /// People pause queues and resume them.
    pub pauses: bool,
    /// Some starts are delayed.
    pub delays: bool,
    /// Some starts have a deadline of their own.
    pub deadlines: bool,
    /// People replay, fork and resume runs that have ended.
    pub copies: bool,
    /// People decide what nobody waits for, and send signals early.
    pub mistakes: bool,
    /// People give up the undo of steps whose undo goes on.
    pub skipped_undos: bool,
}

impl Commands {
    /// Everything.
    pub const fn all() -> Commands {
        Commands {
            repeats: true,
            cancels: true,
            pauses: true,
            delays: true,
            deadlines: true,
            copies: true,
            mistakes: true,
            skipped_undos: true,
        }
    }

    /// Starts only, once each, and answers to what runs wait for.
    pub const fn starts_only() -> Commands {
        Commands {
            repeats: false,
            cancels: false,
            pauses: false,
            delays: false,
            deadlines: false,
            copies: false,
            mistakes: false,
            skipped_undos: false,
        }
    }

    /// The same with or without cancels.
    #[must_use]
    pub const fn cancels(mut self, on: bool) -> Commands {
        self.cancels = on;
        self
    }

    /// The same with or without deadlines of single starts.
    #[must_use]
    pub const fn deadlines(mut self, on: bool) -> Commands {
        self.deadlines = on;
        self
    }

    /// The same with or without copies of runs that have ended.
    #[must_use]
    pub const fn copies(mut self, on: bool) -> Commands {
        self.copies = on;
        self
    }

    /// The same with or without undos that people give up.
    #[must_use]
    pub const fn skipped_undos(mut self, on: bool) -> Commands {
        self.skipped_undos = on;
        self
    }
}

impl Default for Commands {
    /// Everything that an engine has to bear and that leaves the meaning of a run alone: all but copies and undos that people
    /// give up.
    fn default() -> Commands {
        Commands::all().copies(false).skipped_undos(false)
    }
}
