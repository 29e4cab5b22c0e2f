//! What is said with a command about a schedule.
//!
//! Invariant: what is refused here is refused before anything is written, whatever the store.

use super::{ScheduleAction, ScheduleCommand};
use crate::limits;
use crate::operation::{Rejection, words};
use crate::schedule::ScheduleKey;

impl ScheduleCommand {
    /// Whether every store can hold what is said and carried along.
    pub(super) fn check(&self) -> Result<(), Rejection> {
        words::by(&self.by, false)?;
        self.check_name()?;
        match &self.action {
            ScheduleAction::Create(declaration)
            | ScheduleAction::Change(declaration)
            | ScheduleAction::Declare(declaration) => words::json("the input", &declaration.input),
            ScheduleAction::Fire {
                signal: Some(signal),
                ..
            } => {
                let bytes = "the number of bytes of the signal";
                words::at_most(limits::FIRING_SIGNAL_BYTES, bytes, signal.len())?;
                words::plain("the signal", signal)
            }
            ScheduleAction::Fire { signal: None, .. }
            | ScheduleAction::Retire { .. }
            | ScheduleAction::Pause
            | ScheduleAction::Resume
            | ScheduleAction::Delete
            | ScheduleAction::Trigger { .. } => Ok(()),
        }
    }

    /// A name reads back from its text as what it is.
    fn check_name(&self) -> Result<(), Rejection> {
        match self.schedule.to_string().parse::<ScheduleKey>() {
            Ok(read) if read == self.schedule => Ok(()),
            Ok(_) => Err(words::invalid(
                "the schedule's name",
                "that of another schedule",
            )),
            Err(error) => Err(words::invalid("the schedule's name", &error.to_string())),
        }
    }
}
