//! A run that decides in the middle of a batch.
//!
//! Invariant: what was decided is in the batch, or nothing of it is.

use super::Rejection;
use super::batch::Batch;
use crate::event::Event;
use crate::id::RunId;
use crate::payload::Payload;
use crate::run::{Facts, Verdict};

/// Why a run did not move on.
pub(super) enum Undecided {
    /// All tasks of this run must be read first.
    NeedTasksOf(RunId),
    /// The event does not fit it.
    Refused(Rejection),
}

impl Batch<'_> {
    /// Has a run that [`Batch::find`] found decide on an event, and moves it on. `payload` is that of the journal row.
    pub(super) fn decide(
        &mut self,
        id: RunId,
        event: Event,
        payload: Option<Payload>,
    ) -> Result<(), Undecided> {
        let claimed = self.claimed(id);
        let facts = Facts {
            now: self.view.now,
            claimed: claimed.as_ref(),
            mutation: self.view.mutation,
        };
        let (run, definition) = self.run(id);
        match run.decide(definition, event, &facts) {
            Verdict::Claims => Err(Undecided::NeedTasksOf(id)),
            Verdict::Refused(rejection) => Err(Undecided::Refused(rejection)),
            Verdict::Decided(decided) if !self.knows_rows_of(id, &decided) => {
                Err(Undecided::NeedTasksOf(id))
            }
            Verdict::Decided(decided) => {
                self.advance(id, *decided, payload);
                Ok(())
            }
        }
    }
}
