//! Attempts that share their transaction with what their host writes: a success is settled in it, anything else rolls it
//! back first.
//!
//! Invariant: a body whose settle was sent reports nothing but what became of that; if nobody knows, a conflict.

use std::rc::Rc;

use squid_mesh_core::event::{Failure, code};
use squid_mesh_core::operation::{Operation, Reply, SlotReply};
use squid_mesh_core::payload::Payload;
use squid_mesh_core::store::StoreError;
use squid_mesh_core::worker::{AttemptFailure, AttemptId, Execution, Input, SettledInPlace};

use super::World;
use super::delivery::Answer;
use super::request::{Sender, Wish};
use crate::choice::Label;
use crate::fault::sometimes::Milestone;
use crate::fault::{Fault, Situation};
use crate::ghost::{BodyEnd, BodyId, ProcessId};
use crate::oracle;
use crate::script::{Ending, Script};
use crate::story::{Attempted, Trouble};
use crate::violation::Check;

/// Of a thousand attempts after a conflict, how many meet another: what is fought over stays so.
const STAYS_HOT: u32 = 800;

impl World {
    /// What a script becomes in a transaction: its driver drops it at its timeout, and it may meet another transaction.
    pub(super) fn transact(
        &mut self,
        process: ProcessId,
        of: Attempted,
        execution: &Execution,
        script: &mut Script,
    ) {
        if let Some(timeout) = execution.timeout
            && script.lasts.is_none_or(|lasts| lasts > timeout)
        {
            (script.lasts, script.ending) = (Some(timeout), Ending::Overtime);
        }
        let rate = self.settings.intensities.of(Fault::HostConflict);
        let run = self.ghost.runs.get(&execution.run());
        let met = run.map_or(0, |run| run.steps[execution.index().at()].tries.conflicts);
        let rate = if rate > 0 && met > 0 { STAYS_HOT } else { rate };
        if self.choices.happens(Label::Script, rate) {
            self.fired(Fault::HostConflict, Situation::Attempt);
            let trouble = || Trouble::Attempt(process, of);
            self.trace.fault(Fault::HostConflict, trouble);
            script.ending = Ending::Conflict;
        } else if met > 0 && self.choices.happens(Label::Script, rate / 2) {
            // What comes after conflicts is what their number must not matter for.
            let retry_after = None;
            script.ending = Ending::Failure { retry_after };
        }
    }

    /// A body has ended whose transaction is to be settled or rolled back.
    pub(super) fn end_transaction(
        &mut self,
        node: usize,
        process: ProcessId,
        id: BodyId,
        execution: Box<Execution>,
    ) -> Check {
        let attempt = execution.attempt;
        let Script { ending, .. } = self.ghost.bodies[id.0].script;
        match ending {
            Ending::Conflict => {
                self.exits(id);
                self.ghost.bodies[id.0].end = Some(BodyEnd::RolledBack);
                return self.input(node, process, Input::Conflicted { attempt });
            }
            Ending::Overtime => {
                self.exits(id);
                self.ghost.bodies[id.0].end = Some(BodyEnd::Aborted);
                let result = Err(plain(Failure::timed_out()));
                return self.input(node, process, Input::Finished { attempt, result });
            }
            _ => {}
        }
        let result = self.result_of(id, ending, None);
        self.exits(id);
        self.ghost.bodies[id.0].end = Some(BodyEnd::Returned(result.clone()));
        let settle = result.and_then(|returned| {
            let config = self.config(node, process);
            execution.settle(returned.output, &config)
        });
        match settle {
            Ok(settle) => {
                self.ghost.bodies[id.0].settles = true;
                let wish = Wish::Perform(Rc::new(Operation::Settle(settle)));
                self.send(Sender::InPlace(id), wish);
                Ok(())
            }
            Err(failure) => {
                let result = Err(failure);
                self.input(node, process, Input::Finished { attempt, result })
            }
        }
    }

    /// The store answers a settle in its body's transaction.
    pub(super) fn transaction_hears(
        &mut self,
        node: usize,
        id: BodyId,
        wish: &Wish,
        answer: Answer,
    ) -> Check {
        let body = &self.ghost.bodies[id.0];
        let (process, attempt) = (body.process, body.attempt);
        let output = match &body.end {
            Some(BodyEnd::Returned(Ok(returned))) => returned.output.clone(),
            _ => Payload::null(),
        };
        let input = match answer {
            Answer::Performed(Ok(reply)) => {
                if let Wish::Perform(operation) = wish {
                    oracle::delivered(&mut self.ghost, process, operation, &reply);
                }
                settled(attempt, output, reply)
            }
            Answer::Performed(Err(StoreError::Refused(why))) => {
                self.trouble_for(Sender::InPlace(id));
                let failure = plain(Failure::new(code::TRANSACTION_ABORTED, &why, true));
                self.ghost.bodies[id.0].end = Some(BodyEnd::Returned(Err(failure.clone())));
                let result = Err(failure);
                Input::Finished { attempt, result }
            }
            Answer::Performed(Err(_)) | Answer::Fetched(_) => {
                self.trouble_for(Sender::InPlace(id));
                Input::Conflicted { attempt }
            }
        };
        if matches!(input, Input::SettledInPlace(_)) {
            self.sometimes.reached(Milestone::SettledInPlace);
        }
        self.input(node, process, input)
    }
}

fn settled(attempt: AttemptId, output: Payload, reply: Reply) -> Input {
    let Reply::Settled {
        mut slots,
        ended,
        next_due,
        ..
    } = reply
    else {
        unreachable!("a settle is answered by its slots")
    };
    let recorded = match slots.pop() {
        Some(SlotReply::Accepted) => Ok(()),
        Some(SlotReply::Rejected(rejection)) => Err(rejection),
        Some(SlotReply::Busy) | None => return Input::Conflicted { attempt },
    };
    Input::SettledInPlace(Box::new(SettledInPlace {
        attempt,
        output,
        recorded,
        ended,
        next_due,
    }))
}

fn plain(failure: Failure) -> AttemptFailure {
    AttemptFailure {
        failure,
        details: None,
    }
}
