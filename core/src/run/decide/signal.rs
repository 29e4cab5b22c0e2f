//! Signals: what comes from outside by name.
//!
//! Invariant: a signal that was accepted reaches exactly one step, in the order in which signals of its name came, or is
//! kept; none is dropped.

use super::super::deciding::Deciding;
use super::super::{Phase, Run, Seq, Stage};
use super::Stop;
use crate::change::Change;
use crate::definition::{Definition, StepIndex, StepKind, label};
use crate::event::Signalled;
use crate::limits;
use crate::mutant::Mutant;
use crate::name::Name;
use crate::operation::Rejection;
use crate::payload::OutputRef;

impl Run {
    pub(super) fn signalled(
        &self,
        deciding: &mut Deciding<'_>,
        signalled: &Signalled,
    ) -> Result<(), Stop> {
        let definition = deciding.definition();
        let signal = &signalled.signal;
        if !definition
            .steps()
            .iter()
            .any(|step| listens(&step.kind, signal))
        {
            return Err(Stop::Refused(Rejection::UnknownSignal {
                run: self.id,
                signal: signal.clone(),
            }));
        }
        if self.phase != Phase::Open {
            return Err(Stop::Refused(self.winding()));
        }
        self.obey(deciding, signalled.command)?;
        let listener = if deciding.is(Mutant::SignalToLatest) {
            self.listeners(definition, signal).max()
        } else {
            self.listeners(definition, signal).min()
        };
        let Some((_, step)) = listener else {
            return self.keep(deciding, signalled);
        };
        let place = OutputRef::here(deciding.run.seq, signalled.payload);
        deciding.give(step, label::RECEIVED, place);
        deciding.after(step)
    }

    /// The step that has waited for this signal for longest.
    pub(crate) fn listener(&self, definition: &Definition, signal: &Name) -> Option<StepIndex> {
        let first = self.listeners(definition, signal).min();
        first.map(|(_, step)| step)
    }

    /// The steps that wait for this signal, with the transitions since which they do.
    fn listeners(
        &self,
        definition: &Definition,
        signal: &Name,
    ) -> impl Iterator<Item = (Seq, StepIndex)> {
        definition.indexes().filter_map(move |step| {
            let Stage::Listening { since, .. } = self.step(step).stage else {
                return None;
            };
            listens(&definition.step(step).kind, signal).then_some((since, step))
        })
    }

    fn keep(&self, deciding: &mut Deciding<'_>, signalled: &Signalled) -> Result<(), Stop> {
        if deciding.is(Mutant::EarlySignalDropped) {
            return Ok(());
        }
        if self.kept().len() >= limits::SIGNALS_KEPT {
            return Err(Stop::Refused(Rejection::SignalBufferFull {
                run: self.id,
                limit: u32::try_from(limits::SIGNALS_KEPT).unwrap_or(u32::MAX),
            }));
        }
        deciding.push(Change::Keep {
            signal: signalled.signal.clone(),
            payload: signalled.payload,
        });
        Ok(())
    }
}

fn listens(kind: &StepKind, wanted: &Name) -> bool {
    matches!(kind, StepKind::Signal { signal, .. } if signal == wanted)
}
